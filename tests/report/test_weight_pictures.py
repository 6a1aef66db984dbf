"""Weights as pictures: every connection is where it belongs, and a single one is never lost."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.report.masks import SHAPES, masks_of

from netsurgery.records.record import Run, TensorCount, Trace
from netsurgery.report.weight_pictures import weight_pictures

pytest.importorskip("matplotlib")

Mask = NDArray[Any]


def random_masks() -> dict[str, Mask]:
    return dict(masks_of({**SHAPES, "none": (0, 3)}))


def run_of(masks: dict[str, Mask]) -> Run:
    tensors = [TensorCount(name, mask.shape, int(np.count_nonzero(mask)), mask.size) for name, mask in masks.items()]
    return Run(7, 1.25, 1.5, 1.02, 0.75, tensors, 61.0, Trace())


def element_of(mask: Mask, name: str = "fc.weight") -> str:
    masks = {name: mask}
    return weight_pictures(run_of(masks), masks)


def images_of(element: str) -> dict[str, NDArray[Any]]:
    """Alternative text -> RGBA pixels, 0 .. 255."""
    from matplotlib.image import imread

    found = re.findall(r'<img alt="([^"]*)"[^>]*src="data:image/png;base64,([^"]*)"', element)
    return {text: np.rint(255 * imread(BytesIO(b64decode(data)))).astype(int) for text, data in found}


def image_of(element: str, name: str = "fc.weight") -> NDArray[Any]:
    (pixels,) = [pixels for text, pixels in images_of(element).items() if text.startswith(f"{name},")]
    return pixels


def orange(pixels: NDArray[Any]) -> NDArray[Any]:
    return (pixels[..., 0] == 217) & (pixels[..., 3] > 0)


def test_every_tensor_is_shown_and_counted() -> None:
    masks = random_masks()
    element = weight_pictures(run_of(masks), masks)
    assert "Of seed 7." in element
    for name, mask in masks.items():
        assert f"{int(mask.sum())} of {mask.size} kept" in element
        if mask.size:
            assert orange(image_of(element, name)).sum() == mask.sum()


def test_a_tensor_without_mask_is_counted() -> None:
    masks = random_masks()
    element = weight_pictures(run_of(masks), {})
    assert "<img" not in element
    for name, mask in masks.items():
        assert f"{name}: {int(mask.sum())} of {mask.size} kept" in element


def test_kernels_are_tiles_with_outputs_across() -> None:
    mask = np.zeros((4, 2, 3, 3), bool)
    mask[2, 1, 0, 2] = True
    pixels = image_of(element_of(mask))
    assert pixels.shape[:2] == (2 * 4 + 1, 4 * 4 + 1)
    assert np.argwhere(orange(pixels)).tolist() == [[1 * 4 + 1 + 0, 2 * 4 + 1 + 2]]


def test_a_single_connection_of_a_large_matrix_stays_visible() -> None:
    mask = np.zeros((2500, 1300), bool)
    mask[2498, 1298] = True
    element = element_of(mask)
    pixels = image_of(element)
    assert pixels.shape[:2] == (834, 434)
    assert np.argwhere(orange(pixels)).tolist() == [[832, 432]]
    assert pixels[832, 432, 3] >= 90
    assert "a pixel is a block of 3×3" in element


def test_a_single_connection_of_many_kernels_stays_visible() -> None:
    mask = np.zeros((301, 400, 3, 3), bool)
    mask[300, 399, 1, 1] = True
    element = element_of(mask)
    assert np.argwhere(orange(image_of(element))).tolist() == [[399, 300]]
    assert "a pixel is a kernel" in element


def test_a_single_connection_of_a_long_vector_stays_visible() -> None:
    mask = np.zeros(3000, bool)
    mask[2999] = True
    element = element_of(mask, "fc.bias")
    assert np.argwhere(orange(image_of(element, "fc.bias"))).tolist() == [[0, 999]]
    assert "a pixel is a block of 3, orange" in element


def test_units_without_connections_are_grey() -> None:
    mask = np.eye(6, 8, dtype=bool)
    mask[3] = False
    element = element_of(mask)
    grey = image_of(element)[..., 0] == 128
    assert np.flatnonzero(grey.all(axis=1)).tolist() == [3]
    assert np.flatnonzero(grey.all(axis=0)).tolist() == [3, 6, 7]
    assert "5 of 6 outputs and 5 of 8 inputs keep a connection" in element


@pytest.mark.parametrize(("inputs", "shown"), [(784, True), (64, True), (63, False), (49, False), (800, False)])
def test_square_inputs_of_the_first_matrix_are_drawn_as_an_image(inputs: int, shown: bool) -> None:
    mask = np.zeros((3, inputs), bool)
    mask[:, 9], mask[1, 10] = True, True
    pictures = [pixels for text, pixels in images_of(element_of(mask)).items() if text.startswith("Connections")]
    assert len(pictures) == shown
    if shown:
        side = pictures[0].shape[0]
        assert np.flatnonzero(orange(pictures[0])).tolist() == [9, 10]
        assert pictures[0].shape[1] == side
        assert pictures[0][..., 3].ravel()[9] > pictures[0][..., 3].ravel()[10]


def test_only_the_first_tensor_is_said_to_read_the_input() -> None:
    masks = {"fc1.weight": np.ones((3, 64), bool), "fc2.weight": np.ones((2, 64), bool)}
    masks["fc1.weight"][0, 0] = masks["fc2.weight"][0, 0] = False
    texts = [text for text in images_of(weight_pictures(run_of(masks), masks)) if text.startswith("Connections")]
    assert len(texts) == 1
    assert "inputs of fc1.weight keeps" in texts[0]


def test_inputs_aren_t_drawn_where_all_connections_are_kept() -> None:
    assert list(images_of(element_of(np.ones((3, 64), bool)))) == [
        "fc.weight, 3×64: 192 of 192 kept (100 %); 3 of 3 outputs and 64 of 64 inputs keep a connection. "
        "Outputs top to bottom, inputs left to right."
    ]


def test_a_weight_has_the_color_of_its_sign_and_is_the_fuller_the_larger_it_is() -> None:
    weights = np.array([[0.5, -0.5, 0.0, 0.1], [-1.0, 1e-9, 0.0, 1.0]], np.float32)
    pixels = image_of(element_of(weights))
    blue = (pixels[..., :3] == (47, 126, 216)).all(axis=2) & (pixels[..., 3] > 0)
    np.testing.assert_array_equal(orange(pixels), weights > 0)
    np.testing.assert_array_equal(blue, weights < 0)
    opacity = pixels[..., 3]
    assert opacity[1, 0] == opacity[1, 3] == 255
    assert 255 > opacity[0, 0] == opacity[0, 1] > opacity[0, 3] > opacity[1, 1] >= 70
    kernels = np.zeros((1, 1, 2, 2), np.float32)
    kernels[0, 0] = [[1.0, -1.0], [0.0, 0.25]]
    tile = image_of(element_of(kernels))[1:3, 1:3]
    assert tile[0, 1, 2] == 216
    assert tile[1, 0, 3] == 0
    assert orange(tile).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([[0.5, -0.125], [0.0, 0.25]], "powers of two, ±2⁻³ to ±2⁻¹;"),
        ([[2.0, -2.0], [0.0, 2.0]], "75 %), all ±2¹;"),
        ([[0.3, -0.3, 0.3, 0.0, 0.3], [0.7, 0.7, -0.7, 0.7, 0.7]], "at most 2 values in an output;"),
        ([[0.3, -0.3, 0.31, 0.0], [0.7, 0.6, -0.7, 0.7]], "nothing"),
        ([[0.3, 0.0, 0.0, 0.0], [0.0, 0.0, -0.7, 0.0]], "nothing"),
        ([[0.0, 0.0], [0.0, 0.0]], "(0 %);"),
        ([[-0.5, -0.125], [0.0, -0.25]], "powers of two, −2⁻³ to −2⁻¹;"),
        ([[1.0, 1.0], [1.0, 1.0]], "(100 %), all 2⁰;"),
    ],
)
def test_the_caption_says_which_values_are_left(weights: list[list[float]], words: str) -> None:
    element = element_of(np.array(weights, np.float32))
    if words == "nothing":
        assert "values in an output" not in element
        assert "powers" not in element
    else:
        assert words in element


def test_powers_of_two_are_counted_in_a_chart() -> None:
    matrix = np.array([[0.5, -0.125], [0.0, 0.25]], np.float32)
    weights = {"a.weight": matrix, "b.weight": matrix * 3, "b.bias": matrix[0]}
    element = weight_pictures(run_of(weights), weights)
    assert element.count("<svg") == 1
    assert "connections have become: 2⁻³ to 2⁻¹." in element
    assert ">a.weight</li>" in element
    assert ">b.weight</li>" not in element
    assert ">b.bias</li>" not in element


def test_masks_have_no_values_to_speak_of() -> None:
    element = element_of(np.array([[True, False], [True, True]]))
    assert "<svg" not in element
    assert "±" not in element
    assert "values in" not in element


def test_a_large_tensor_that_keeps_everything_is_described_and_not_drawn() -> None:
    generator = np.random.default_rng(0)
    large = generator.normal(size=(1300, 4)).astype(np.float32)
    assert "<img" not in element_of(large)
    assert "Too large to show single weights." in element_of(large)
    assert "<img" not in element_of(large[:, 0].copy(), "fc.bias")
    large[0, 0] = 0
    assert "orange, the fuller the more of it is kept" in element_of(large)
