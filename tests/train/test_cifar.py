"""CIFAR-10's binary version is read exactly or refused by name, and the splits are what they are said to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.train.cifar_files import FILES, drawn, write_files

from netsurgery.errors import DataError, SettingError
from netsurgery.train.cifar import cifar10

RECORD = 3_073  # bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images in each file."""
    write_files(tmp_path, images_per_file=4)
    return tmp_path


def refusal(action: Callable[[], object], path: Path) -> str:
    """The message of the DataError that `action` raises, which has to name `path`."""
    with pytest.raises(DataError, match=re.escape(str(path))) as caught:
        action()
    return str(caught.value)


def test_the_last_training_images_are_held_out_and_all_stay_bytes(folder: Path) -> None:
    dataset = cifar10(folder, validation=3)
    images, labels = (np.concatenate(parts) for parts in zip(*(drawn(4, seed) for seed in range(5)), strict=True))
    expected = ((images[:17], labels[:17]), (images[17:], labels[17:]), drawn(4, seed=5))
    for split, (pixels, classes) in zip(
        (dataset.train, dataset.validation, dataset.read_test()), expected, strict=True
    ):
        assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
        np.testing.assert_array_equal(split.images.numpy(), pixels)
        np.testing.assert_array_equal(split.labels.numpy(), classes)
        assert len(split) == len(classes)


@pytest.mark.parametrize("picked", [slice(1, 3), torch.tensor([2, 0, 2])], ids=["slice", "indices"])
def test_a_batch_is_normalised_by_channel(folder: Path, picked: slice | torch.Tensor) -> None:
    split = cifar10(folder, validation=3).train
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]).double(), torch.tensor([0.229, 0.224, 0.225]).double()
    expected = (split.images[picked] / 255.0 - mean[:, None, None]) / deviation[:, None, None]
    batch = split.batch(picked)
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch.double(), expected, rtol=0, atol=4e-6)  # a few roundings of numbers below 5


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named_before_anything_is_read(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    message = refusal(lambda: cifar10(folder, validation=3), folder / missing)
    assert "No such file" in message
    assert "CIFAR-10" in message


@pytest.mark.parametrize("damaged", [FILES[0], FILES[3], FILES[5]])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds 0 bytes, expected 3,073 for each of 1 to 10,000 images"),
        (bytes(4 * RECORD - 1), "holds 12,291 bytes"),
        (bytes(4 * RECORD + 1), "holds 12,293 bytes"),
    ],
    ids=["empty", "cut off", "a byte too many"],
)
def test_a_file_of_another_length_is_refused(folder: Path, damaged: str, content: bytes, says: str) -> None:
    (folder / damaged).write_bytes(content)
    assert says in refusal(lambda: cifar10(folder, validation=3), folder / damaged)


@pytest.mark.parametrize("damaged", FILES[1:])
def test_a_file_that_is_cut_off_between_two_images_is_refused(folder: Path, damaged: str) -> None:
    (folder / damaged).write_bytes((folder / damaged).read_bytes()[:-RECORD])
    message = refusal(lambda: cifar10(folder, validation=3), folder / damaged)
    assert "holds 3 images, but data_batch_1.bin holds 4" in message


def test_a_larger_file_than_the_original_is_refused_unread(folder: Path) -> None:
    with (folder / FILES[0]).open("r+b") as file:
        file.truncate(10_001 * RECORD)
    assert "to 10,000 images" in refusal(lambda: cifar10(folder, validation=3), folder / FILES[0])


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / FILES[1]).unlink()
    (folder / FILES[1]).mkdir()
    refusal(lambda: cifar10(folder, validation=3), folder / FILES[1])


@pytest.mark.parametrize("label", [10, 255])
def test_a_label_beyond_the_classes_is_refused(folder: Path, label: int) -> None:
    content = bytearray((folder / FILES[2]).read_bytes())
    content[2 * RECORD] = label
    (folder / FILES[2]).write_bytes(content)
    message = refusal(lambda: cifar10(folder, validation=3), folder / FILES[2])
    assert f"has the label {label} at image 2, expected 0 to 9" in message


def test_test_images_are_not_read_before_read_test_is_called(folder: Path) -> None:
    (folder / FILES[5]).write_bytes(b"\xff" * (4 * RECORD))
    dataset = cifar10(folder, validation=3)
    assert len(dataset.train) == 17
    assert "has the label 255" in refusal(dataset.read_test, folder / FILES[5])


@pytest.mark.parametrize("name", ["no-such-folder", FILES[0]])
def test_what_is_not_a_directory_is_refused(folder: Path, name: str) -> None:
    assert "data_batch_1.bin to data_batch_5.bin and test_batch.bin" in refusal(
        lambda: cifar10(folder / name), folder / name
    )


@pytest.mark.parametrize("validation", [20, 5_000])
def test_too_few_images_to_hold_some_out_are_refused(folder: Path, validation: int) -> None:
    assert f"20 training images, too few to hold out {validation}" in refusal(
        lambda: cifar10(folder, validation), folder
    )


@pytest.mark.parametrize("validation", [0, 1.5])
def test_a_validation_part_that_is_no_count_is_refused(folder: Path, validation: int) -> None:
    with pytest.raises(SettingError, match=r"validation=.* is not allowed"):
        cifar10(folder, validation)


def test_cifar10_has_45000_5000_and_10000_images(cifar10_folder: Path) -> None:
    dataset = cifar10(cifar10_folder)
    splits = (dataset.train, dataset.validation, dataset.read_test())
    assert [len(split) for split in splits] == [45_000, 5_000, 10_000]
    assert all(split.images.shape == (len(split), 3, 32, 32) for split in splits)
    assert [split.labels.unique().tolist() for split in splits] == [list(range(10))] * 3
