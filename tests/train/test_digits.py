"""IDX files are read exactly or refused by name, and the splits are what they are said to be."""

from __future__ import annotations

import gzip
import re
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from netsurgery.errors import DataError, MissingExtraError, SettingError
from netsurgery.train.dataset import Dataset
from netsurgery.train.digits import embedded, mnist, read_idx
from netsurgery.train.split import Split

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

Bytes = NDArray[np.uint8]


def header(shape: tuple[int, ...], element: int = 0x08) -> bytes:
    return bytes([0, 0, element, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx(array: Bytes) -> bytes:
    return header(array.shape) + array.tobytes()


def random_pair(count: int, seed: int) -> tuple[Bytes, Bytes]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 28, 28), np.uint8), generator.integers(0, 10, count, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine training images and four test images."""
    for part, count in (("train", 9), ("t10k", 4)):
        images, labels = random_pair(count, seed=count)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def refusal(action: Callable[[], object], path: Path) -> str:
    """The message of the DataError that `action` raises, which has to name `path`."""
    with pytest.raises(DataError, match=re.escape(str(path))) as caught:
        action()
    return str(caught.value)


@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)), zipped=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_an_idx_file_holds_is_read_back(tmp_path: Path, array: Bytes, zipped: bool) -> None:
    path = tmp_path / ("array.gz" if zipped else "array")
    path.write_bytes(gzip.compress(idx(array), compresslevel=1) if zipped else idx(array))
    found = read_idx(path)
    assert found.dtype == np.uint8
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@given(content=st.binary(max_size=40) | st.binary(max_size=30).map(lambda rest: b"\0\0\x08\x01\0\0\0" + rest))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_an_array_or_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "array"
    path.write_bytes(content)
    try:
        understood = idx(read_idx(path))
    except DataError as error:
        understood, message = None, str(error)
    assert understood == content if understood is not None else str(path) in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\x08", "begins with 00 00 08,"),
        (b"\0\1" + header((2,))[2:] + b"ab", "begins with 00 01 08 01"),
        (header((2,), element=0x0D) + b"ab", "begins with 00 00 0d 01"),
        (header(()), "begins with 00 00 08 00"),
        (header((1,) * 5) + b"a", "begins with 00 00 08 05"),
        (header((2, 3))[:-1], "ends inside its header, which announces 2 dimensions"),
        (header((2, 3)) + b"abcde", "announces shape (2, 3), 6 bytes, but only 5 bytes follow"),
        (header((2, 3)) + b"abcdefg", "announces shape (2, 3), 6 bytes, but more bytes follow"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_a_damaged_idx_file_is_refused(tmp_path: Path, content: bytes, says: str, zipped: bool) -> None:
    path = tmp_path / ("array.gz" if zipped else "array")
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert says in refusal(lambda: read_idx(path), path)


def refusal_and_peak_bytes(path: Path) -> tuple[str, int]:
    """What read_idx says of the file, and the most memory it held meanwhile."""
    tracemalloc.start()
    try:
        message = refusal(lambda: read_idx(path), path)
        return message, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(0xFFFFFFFF,) * 4, (1 << 31, 2), ((1 << 31) + 1,)])
def test_an_absurd_size_is_refused_without_allocating_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "array"
    path.write_bytes(header(shape))
    message, peak_bytes = refusal_and_peak_bytes(path)
    assert "at most 268,435,456 bytes are read" in message
    assert peak_bytes < 1 << 20


def test_a_gzip_bomb_is_read_only_as_far_as_its_header_announces(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header((10,)) + bytes(1 << 25), compresslevel=1))
    message, peak_bytes = refusal_and_peak_bytes(path)
    assert "10 bytes, but more bytes follow" in message
    assert peak_bytes < 1 << 20


@pytest.mark.parametrize(
    "damage",
    [
        lambda zipped: b"no gzip" + zipped,
        lambda zipped: zipped[:-20],
        lambda zipped: zipped[:-8] + bytes(8),
        lambda zipped: zipped[:30] + bytes(40) + zipped[70:],
        lambda zipped: zipped[:10] + b"\xff" + zipped[11:],
        lambda zipped: zipped + b"behind the end",
    ],
    ids=["no gzip", "cut off", "wrong checksum", "damaged content", "damaged stream", "trailing bytes"],
)
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "array.gz"
    path.write_bytes(damage(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, 500, np.uint8)))))
    assert "can't be read" in refusal(lambda: read_idx(path), path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    refusal(lambda: read_idx(tmp_path / "none"), tmp_path / "none")
    refusal(lambda: read_idx(tmp_path), tmp_path)


@pytest.mark.parametrize("zipped", [(), FILES, (TRAIN_IMAGES, TEST_LABELS)], ids=["plain", "gzipped", "mixed"])
def test_the_last_training_images_are_held_out(folder: Path, zipped: tuple[str, ...]) -> None:
    for name in zipped:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    digits = mnist(folder, validation=2)
    for split, (images, labels) in (
        (digits.train, tuple(part[:7] for part in random_pair(9, seed=9))),
        (digits.validation, tuple(part[7:] for part in random_pair(9, seed=9))),
        (digits.read_test(), random_pair(4, seed=4)),
    ):
        assert (split.images.dtype, split.labels.dtype) == (torch.float32, torch.int64)
        np.testing.assert_array_equal(split.images.numpy(), images[:, None].astype(np.float64) / 256)
        np.testing.assert_array_equal(split.labels.numpy(), labels)
        assert len(split) == len(labels)


@pytest.mark.parametrize("damaged", [TEST_IMAGES, TEST_LABELS])
def test_test_data_is_not_read_before_read_test_is_called(folder: Path, damaged: str) -> None:
    (folder / damaged).write_bytes(b"garbage")
    digits = mnist(folder, validation=2)
    assert len(digits.train) == 7
    refusal(digits.read_test, folder / damaged)


@pytest.mark.parametrize("missing", FILES)
def test_every_missing_file_is_named_before_anything_is_read(folder: Path, missing: str) -> None:
    (folder / TRAIN_IMAGES).write_bytes(b"garbage")
    (folder / missing).unlink()
    assert "is missing, with and without .gz" in refusal(lambda: mnist(folder), folder / missing)


@pytest.mark.parametrize("name", ["no-such-folder", TRAIN_IMAGES])
def test_what_is_no_directory_is_refused(folder: Path, name: str) -> None:
    assert "is not a directory" in refusal(lambda: mnist(folder / name), folder / name)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        (TRAIN_IMAGES, np.zeros((9, 28, 27), np.uint8), "shape (9, 28, 27), expected (n, 28, 28)"),
        (TRAIN_IMAGES, np.zeros((9, 784), np.uint8), "shape (9, 784), expected (n, 28, 28)"),
        (TRAIN_IMAGES, np.zeros((0, 28, 28), np.uint8), "shape (0, 28, 28), expected (n, 28, 28)"),
        (TRAIN_LABELS, np.zeros(8, np.uint8), "shape (8,), expected (9,)"),
        (TRAIN_LABELS, np.zeros((9, 1), np.uint8), "shape (9, 1), expected (9,)"),
        (TRAIN_LABELS, np.full(9, 10, np.uint8), "holds the label 10, expected 0 to 9"),
    ],
)
def test_arrays_that_are_no_digits_are_refused(folder: Path, name: str, array: Bytes, says: str) -> None:
    (folder / name).write_bytes(idx(array))
    assert says in refusal(lambda: mnist(folder, validation=2), folder / name)


@pytest.mark.parametrize("validation", [9, 10, 5_000])
def test_too_few_images_to_hold_some_out_are_refused(folder: Path, validation: int) -> None:
    assert f"9 training images, too few to hold out {validation}" in refusal(lambda: mnist(folder, validation), folder)


@pytest.mark.parametrize("validation", [0, -1, 1.5])
def test_a_validation_part_that_is_no_count_is_refused(folder: Path, validation: int) -> None:
    with pytest.raises(SettingError, match=r"validation=.* is not allowed"):
        mnist(folder, validation)


def test_one_training_image_may_be_left(folder: Path) -> None:
    digits = mnist(folder, validation=8)
    assert (len(digits.train), len(digits.validation)) == (1, 8)


def splits(digits: Dataset) -> list[Split]:
    return [digits.train, digits.validation, digits.read_test()]


def test_mnist_has_55000_5000_and_10000_images(mnist_folder: Path) -> None:
    digits = mnist(mnist_folder)
    assert [len(split) for split in splits(digits)] == [55_000, 5_000, 10_000]
    assert all(split.images.shape == (len(split), 1, 28, 28) for split in splits(digits))
    assert [split.labels.unique().tolist() for split in splits(digits)] == [list(range(10))] * 3


def test_embedded_digits_have_1197_300_and_300_images_of_mnists_shape_and_range() -> None:
    pytest.importorskip("sklearn")
    assert [len(split) for split in splits(embedded())] == [1_197, 300, 300]
    for split in splits(embedded()):
        assert split.images.shape == (len(split), 1, 28, 28)
        assert (split.images.dtype, split.labels.dtype) == (torch.float32, torch.int64)
        assert 0 <= float(split.images.min()) < 0.01
        assert 0.99 < float(split.images.max()) < 1
        assert split.labels.unique().tolist() == list(range(10))


def test_embedded_splits_are_disjoint_and_together_all_digits_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    distinct = {image.numpy().tobytes() for split in splits(embedded()) for image in split.images}
    assert len(distinct) == len({image.tobytes() for image in datasets.load_digits().images}) == 1_797


def test_embedded_digits_are_the_same_each_time_whatever_the_global_seed() -> None:
    pytest.importorskip("sklearn")
    first = splits(embedded())
    torch.manual_seed(1234)
    for one, other in zip(first, splits(embedded()), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_missing_scikit_learn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn.*pip install 'netsurgery\[demo\]'"):
        embedded()
