"""Class folders and shards: what is found, and what is refused in words that say what to do."""

from __future__ import annotations

import gc
import io
import shutil
import tarfile
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.pictures.made import CLASSES, encoded, picture, write_folders, write_shard, write_shards

from netsurgery.errors import DataError, LabelWarning
from netsurgery.pictures.finding import test_pictures as pictures_of_test
from netsurgery.pictures.finding import training_pictures
from netsurgery.pictures.picture_set import held_out
from netsurgery.pictures.shards import Shards

JPEG = encoded(picture(0, 0))


def test_class_folders_are_sorted_and_labels_are_those_of_training(tmp_path: Path) -> None:
    write_folders(tmp_path, training=3, test=2)
    shutil.rmtree(tmp_path / "val" / "ant")  # the test may lack a class
    (tmp_path / "train" / "bee" / ".hidden.jpg").write_bytes(b"")
    (tmp_path / "train" / "bee" / "notes.txt").write_text("no picture")
    (tmp_path / "train" / "bee" / "UPPER.JPEG").write_bytes(JPEG)
    training = training_pictures(tmp_path)
    test = pictures_of_test(tmp_path, training)
    assert training.classes == CLASSES == test.classes
    assert training.labels.tolist() == [0] * 3 + [1] * 4 + [2] * 3
    assert test.labels.tolist() == [1] * 2 + [2] * 2
    assert training.name(3) == str(tmp_path / "train" / "bee" / "000.jpg")
    assert training.read(0) == (tmp_path / "train" / "ant" / "000.jpg").read_bytes()


def test_pictures_lie_as_deep_as_folders_go_and_what_is_hidden_is_passed_over(tmp_path: Path) -> None:
    write_folders(tmp_path, training=2, test=1)
    ant = tmp_path / "train" / "ant"
    for place in ("day/2", "day", ".thumbnails", "__MACOSX", "day/.cache"):
        (ant / place).mkdir(parents=True, exist_ok=True)
        (ant / place / "z.jpg").write_bytes(JPEG)
    (ant / "day" / "back").symlink_to(ant)
    (tmp_path / "train" / "__MACOSX" / "ant").mkdir(parents=True)
    (tmp_path / "val" / "bee" / "000.jpg").unlink()
    (tmp_path / "val" / "bee" / "night").mkdir()
    (tmp_path / "val" / "bee" / "night" / "a.jpg").write_bytes(JPEG)
    training = training_pictures(tmp_path)
    assert training.classes == CLASSES
    names = [Path(training.name(index)).relative_to(ant).as_posix() for index in range(4)]
    assert names == ["000.jpg", "001.jpg", "day/z.jpg", "day/2/z.jpg"]
    assert training.labels.tolist() == [0] * 4 + [1] * 2 + [2] * 2
    assert training.read(3) == JPEG
    assert pictures_of_test(tmp_path, training).labels.tolist() == [0, 1, 2]


def test_classes_are_the_same_in_all_spellings_of_their_names(tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))
    assert one != two
    for part, name in ("train", one), ("train", "ant"), ("val", two), ("val", "ant"):
        (tmp_path / part / name).mkdir(parents=True)
        (tmp_path / part / name / "a.jpg").write_bytes(JPEG)
    training = training_pictures(tmp_path)
    test = pictures_of_test(tmp_path, training)
    assert test.classes == training.classes
    assert sorted(test.labels.tolist()) == [0, 1]
    assert test.read(1) == JPEG
    (tmp_path / "train" / two).mkdir()
    with pytest.raises(DataError, match="has two class folders called 'Käfer'"):
        training_pictures(tmp_path)


def test_names_may_hold_any_letters(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part / "Käfer").mkdir(parents=True)
        (tmp_path / part / "Käfer" / "größe 1.png").write_bytes(encoded(picture(0, 0), "PNG"))
    training = training_pictures(tmp_path)
    assert training.classes == ("Käfer",)
    assert training.name(0).endswith("Käfer/größe 1.png")
    assert training.read(0)[:4] == b"\x89PNG"


def test_shards_hold_what_the_folders_hold(tmp_path: Path) -> None:
    folders = training_pictures(write_folders(tmp_path / "folders"))
    shards = training_pictures(write_shards(tmp_path / "shards"))
    of_folders = sorted((int(folders.labels[index]), folders.read(index)) for index in range(len(folders)))
    of_shards = sorted((int(shards.labels[index]), shards.read(index)) for index in range(len(shards)))
    assert of_folders == of_shards
    assert len(np.unique(shards.neighbourhoods)) == 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_shards_are_read_as_their_own_library_reads_them(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    shards = training_pictures(write_shards(tmp_path))
    paths = sorted(map(str, tmp_path.glob("train-*.tar")))
    theirs = [
        (int(sample["cls"]), sample["jpg"])
        for sample in webdataset.WebDataset(paths, shardshuffle=False, empty_check=False)
    ]
    gc.collect()
    assert [(int(shards.labels[index]), shards.read(index)) for index in range(len(shards))] == theirs


def test_shards_that_their_own_library_wrote_are_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "train-0.tar")) as writer:
        for number in range(3):
            writer.write({"__key__": f"folder.1/{number}", "jpg": JPEG, "cls": number, "json": {"any": "thing"}})
    shards = Shards([tmp_path / "train-0.tar"])
    assert shards.labels.tolist() == [0, 1, 2]
    assert shards.read(2) == JPEG


def flatten(folder: Path) -> None:
    """As ImageNet's validation pictures come."""
    for path in [*folder.glob("val/*/*.jpg")]:
        path.rename(folder / "val" / f"{path.parent.name}-{path.name}")
    for path in [path for path in (folder / "val").iterdir() if path.is_dir()]:
        path.rmdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "train"), "train is not a directory. Class folders"),
        (lambda folder: shutil.rmtree(folder / "val"), "val is not a directory. Class folders"),
        (lambda folder: [path.unlink() for path in (folder / "train" / "bee").iterdir()], "bee holds no picture"),
        (lambda folder: (folder / "val" / "ant").rename(folder / "val" / "elk"), "'elk', which the training pictures"),
        (
            flatten,
            "val has no class folders, but pictures",
        ),
        (lambda folder: write_shard(folder / "val-0.tar", {"a.jpg": JPEG, "a.cls": b"0"}), "shards for one of train"),
    ],
)
def test_wrong_folders_are_refused(change: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    write_folders(tmp_path, training=2, test=1)
    change(tmp_path)
    with pytest.raises(DataError, match=message):
        pictures_of_test(tmp_path, training_pictures(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.jpg": JPEG}, "a has no label"),
        ({"a.jpg": JPEG, "a.cls": b"cat"}, "a.cls holds b'cat', expected a label"),
        ({"a.jpg": JPEG, "a.cls": b"-1"}, "a.cls holds b'-1', expected a label"),
        ({"notes.txt": b"none"}, "holds no picture with a label"),
        ({"a.jpg": JPEG, "a.cls": b"5"}, "has the label 5, expected 0 to 1"),
        ({"a.jpg": JPEG, "a.cls": b"999999999999999"}, "a.cls holds b'999999999999999', expected a label"),
        ({"a.jpg": JPEG, "a.cls": b"1000000"}, "expected a label, a whole number in 0 .. 999,999"),
        ({"a.jpg": JPEG, "a.cls": b"1" + b" " * 20 + b"7"}, "a.cls holds b'1 +' ..., expected a label"),
        ({"a.jpg": JPEG, "a.png": JPEG, "a.cls": b"1"}, "a has a second picture, a.png"),
        ({"a.jpg": JPEG, "a.cls": b"1", "a.CLS": b"0"}, "a has a second label, a.CLS"),
    ],
)
def test_wrong_shards_are_refused(content: dict[str, bytes], message: str, tmp_path: Path) -> None:
    write_shard(tmp_path / "train-0.tar", content)
    with pytest.raises(DataError, match=message):
        Shards([tmp_path / "train-0.tar"], classes=2)


def test_a_file_that_is_no_archive_and_one_that_was_cut_off_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path)
    path = tmp_path / "train-0000.tar"
    shards = Shards([path])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 4])
    with pytest.raises(DataError, match="the file ends before it"):
        shards.read(len(shards) - 1)
    for damaged in (content[: len(content) // 4], b"no archive at all" * 100, b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"can't be read as a \.tar file|holds no picture"):
            Shards([path])


def test_every_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    """Between two members, too, where tarfile says nothing; in the zeros behind the end everything is there."""
    path = tmp_path / "train-0.tar"
    write_shard(path, {"a.jpg": JPEG, "a.cls": b"0", "b.jpg": JPEG, "b.cls": b"1"})
    content = path.read_bytes()
    with tarfile.open(path) as archive:
        borders = [member.offset for member in archive][1:]
        end = archive.offset
    for length in (*borders, borders[-1] + 100, end - 1, end, end + 511):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"train-0\.tar (is cut off or damaged|can't be read as a \.tar file)"):
            Shards([path])
    path.write_bytes(content[: end + 512])
    assert len(Shards([path])) == 2
    damaged = bytearray(content)
    damaged[borders[1] : borders[1] + 8] = b"\xff" * 8
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="is cut off or damaged"):
        Shards([path])
    path.write_bytes(content * 2)
    with pytest.raises(DataError, match="goes on behind its end"):
        Shards([path])


def test_a_name_that_occurs_twice_in_a_shard_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "train-0.tar", "w") as archive:
        for name in ("a.jpg", "a.cls", "a.jpg"):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            archive.addfile(entry, io.BytesIO(b"0"))
    with pytest.raises(DataError, match=r"a has a second picture, a\.jpg"):
        Shards([tmp_path / "train-0.tar"])


def test_labels_that_begin_at_one_are_warned_of_where_classes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "train-0.tar"
    write_shard(path, {"a.jpg": JPEG, "a.cls": b"1", "b.jpg": JPEG, "b.cls": b"2"})
    with pytest.warns(LabelWarning, match="has the label 0; the smallest is 1.*subtract it"):
        Shards([path])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Shards([path], classes=3)  # a test may lack a class


@pytest.mark.parametrize("empty", [False, True])
def test_shards_for_training_alone_are_said_to_lack_the_test(empty: bool, tmp_path: Path) -> None:
    write_shards(tmp_path)
    for path in tmp_path.glob("val-*.tar"):
        path.unlink()
    if empty:
        (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="val holds no shards" if empty else "val is not a directory"):
        pictures_of_test(tmp_path, training_pictures(tmp_path))


def test_the_last_of_each_class_are_held_out_at_most_a_fifth() -> None:
    labels = np.array([0] * 20 + [1] * 100 + [2] * 4)
    chosen = held_out(labels, per_class=10)
    assert np.flatnonzero(chosen).tolist() == [*range(16, 20), *range(110, 120)]
    with pytest.raises(DataError, match="too few to hold any out"):
        held_out(np.array([0, 0, 1, 1]))
