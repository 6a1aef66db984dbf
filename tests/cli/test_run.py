"""`netsurgery run`: arrays from files in, arrays to files out, numpy only; no file runs code, none is half written."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netsurgery.cli.arrays import read_array
from netsurgery.cli.main import main
from netsurgery.errors import DataError
from netsurgery.graph.ir import GraphBuilder
from netsurgery.packed.writer import encode


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of two inputs and two outputs, sum and product, and arrays for it; the working directory."""
    builder = GraphBuilder()
    a, b = builder.input("a", ("batch", 3)), builder.input("b", ("batch", 3))
    graph = builder.graph([builder.node("Add", [a, b], "total"), builder.node("Mul", [a, b], "product")])
    (tmp_path / "model.nsm").write_bytes(encode(graph, names=True))
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    np.save(tmp_path / "b.npy", np.full((2, 3), 2, np.int64))
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARGUMENTS = ["run", "model.nsm", "--input", "a.npy", "--input", "b.npy", "--output", "y.npy", "--output", "z.npy"]


def test_outputs_are_written_in_order_and_their_shapes_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ARGUMENTS) == 0
    a, b = np.load("a.npy"), np.load("b.npy")
    np.testing.assert_array_equal(np.load("y.npy"), a + b)
    np.testing.assert_array_equal(np.load("z.npy"), a * b)
    assert np.load("y.npy").dtype == np.float32
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["wrote y.npy: total (2, 3)", "wrote z.npy: product (2, 3)"]
    assert printed.err.splitlines() == ["note: b.npy holds int64; input 'b' takes float32."]


def test_whole_numbers_that_float32_may_round_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("b.npy", np.full((2, 3), 2**24 + 1))
    refused(ARGUMENTS, "input 'b' is float32, which would round a whole number such as 16777217", capsys)
    np.save("b.npy", np.full((2, 3), -(2**24)))
    assert main(ARGUMENTS) == 0


@pytest.mark.parametrize("output", ["y.npy", "z.npy"])
def test_no_folder_is_made_for_an_output(output: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [f"folder/{output}" if one == output else one for one in ARGUMENTS]
    refused(arguments, f"folder/{output} can't be written: there is no folder", capsys)


def test_two_outputs_do_not_go_to_one_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS[:-1], "./y.npy"]) == 1
    assert capsys.readouterr().err.endswith("--output must be a file of its own for each output.\n")
    assert not (folder / "y.npy").exists()


def test_what_is_read_is_not_overwritten_by_what_the_network_gives(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("model.nsm", "a.npy", "b.npy")
    before = [(folder / name).read_bytes() for name in names]
    for name in names:
        (folder / f"link-{name}").symlink_to(name)
        for output in (name, f"./{name}", f"link-{name}"):
            refused([*ARGUMENTS[:-1], output], f"--output would overwrite {name}, which is read here. Give", capsys)
    assert [(folder / name).read_bytes() for name in names] == before
    assert not (folder / "y.npy").exists()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes have no path on this system")
def test_an_array_may_come_from_a_pipe(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = io.BytesIO()
    np.save(content, array)
    ours, theirs = os.pipe()
    os.write(theirs, content.getvalue())
    os.close(theirs)
    np.testing.assert_array_equal(read_array(Path(f"/dev/fd/{ours}")), array)
    os.close(ours)


def test_run_needs_numpy_only(folder: Path, deployed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = deployed("from netsurgery.cli.main import main\nsys.exit(main(sys.argv[1:]))", *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load("z.npy"), np.load("a.npy") * np.load("b.npy"))


def object_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], object), allow_pickle=True)
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a.npy can't be read: No such file or directory."),
        (b"", "a.npy can't be read as an .npy file of numbers"),
        (b"1, 2, 3", "a.npy can't be read as an .npy file of numbers"),
        (object_array(), "Object arrays cannot be loaded"),
        (archive(), "a.npy can't be read as an .npy file of numbers"),
    ],
)
def test_a_file_that_is_no_array_of_numbers_is_refused_in_one_line(
    content: bytes | None, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.npy").unlink() if content is None else Path("a.npy").write_bytes(content)
    refused(ARGUMENTS, message, capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "a.npy", "--output", "y.npy"], "--output=['y.npy'] is not allowed"),
        (["--input", "a.npy", "--output", "y.npy", "--output", "z.npy"], "1 arrays given; the network takes 2: a, b"),
        (["--input", "a.npy", "--input", "wide.npy", "--output", "y.npy", "--output", "z.npy"], "input 'b' has shape"),
        (["--input", "a.npy", "--input", "text.npy", "--output", "y.npy", "--output", "z.npy"], "numbers are needed"),
    ],
)
def test_what_the_network_does_not_take_or_give_is_refused_in_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("wide.npy", np.zeros((2, 4)))
    np.save("text.npy", np.full((2, 3), "x"))
    refused(["run", "model.nsm", *arguments], message, capsys)


def test_an_array_is_no_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["run", "a.npy", *ARGUMENTS[2:]], "a.npy: not an .nsm file", capsys)


def refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(Path().iterdir())
    assert main(arguments) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("netsurgery: ")
    assert message in line
    assert not captured.out
    assert set(Path().iterdir()) == before


def test_an_interrupted_write_leaves_the_old_output(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("y.npy").write_bytes(b"old")

    def interrupted(file: Any, *_: Any, **__: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", interrupted)
    before = set(Path().iterdir())
    assert main(ARGUMENTS) == 130
    assert Path("y.npy").read_bytes() == b"old"
    assert set(Path().iterdir()) == before


@given(position=st.integers(0, 127), byte=st.integers(0, 255), length=st.integers(0, 152))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore:Reading .*Python 2")
def test_a_damaged_array_is_refused_by_name_or_read(position: int, byte: int, length: int, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6, dtype=np.float32))
    content = bytearray(path.read_bytes())
    assert len(content) == 152
    content[position] = byte
    path.write_bytes(content[:length] if length > position else content)
    try:
        array = read_array(path)
    except DataError as error:
        told = str(error)
        assert told.startswith(f"{path} can't be read")
        assert "\n" not in told
    else:
        assert array.dtype != object
