"""The C example gives the scores that Python gives, and says in one line what it can't use."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import netsurgery as ns
from netsurgery.graph.ir import Array, GraphBuilder
from netsurgery.packed.writer import encode

SOURCE = Path(__file__).parents[2] / "examples" / "c" / "run_lenet.c"
SHAPE = (1, 1, 8, 8)


@pytest.fixture(scope="module")
def program(compiled: Callable[[Path, Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(SOURCE, tmp_path_factory.mktemp("program") / "run_lenet")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small LeNet: convolution, pooling, two layers; most of its weights are zero."""
    generator = np.random.default_rng(0)

    def sparse(*shape: int) -> Array:
        return np.where(generator.random(shape) < 0.3, generator.normal(size=shape), 0).astype(np.float32)

    builder = GraphBuilder()
    value = builder.node("Conv", [builder.input("image", ("batch", *SHAPE[1:])), builder.constant(sparse(4, 1, 3, 3))])
    value = builder.node("Relu", [builder.node("MaxPool", [value], kernel=(2, 2), strides=(2, 2))])
    value = builder.node("Reshape", [value], shape=(-1, 36))
    value = builder.node("Relu", [builder.node("Linear", [value, builder.constant(sparse(20, 36))])])
    value = builder.node("Linear", [value, builder.constant(sparse(10, 20)), builder.constant(sparse(10))])
    path = tmp_path / "model.nsm"
    path.write_bytes(encode(builder.graph([value])))
    return path


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def scores(done: subprocess.CompletedProcess[str]) -> list[np.float32]:
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    given = [np.float32(line.split()[1]) for line in lines]
    assert re.fullmatch(rf"best {np.argmax(given)}, [\d.]+ us \(median of 1000 runs, \w+\)", last)
    return given


def test_scores_of_an_image_are_those_of_python_bit_for_bit(program: Path, model: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    (tmp_path / "image.f32").write_bytes(image.tobytes())
    np.testing.assert_array_equal(scores(run(program, model, tmp_path / "image.f32")), ns.load(model)(image)[0])


def test_without_an_image_a_ramp_is_taken(program: Path, model: Path) -> None:
    ramp = (np.arange(64, dtype=np.float32) / np.float32(64)).reshape(SHAPE)
    np.testing.assert_array_equal(scores(run(program, model)), ns.load(model)(ramp)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: "),
        (["missing.nsm"], r"missing\.nsm can't be read: No such file"),
        (["image.f32"], r"image\.f32: not an \.nsm file"),
        (["model.nsm", "missing.f32"], r"missing\.f32: No such file"),
        (["model.nsm", "image.f32"], r"image\.f32 doesn't hold 64 float32 numbers"),
    ],
)
def test_what_can_not_be_used_is_said_in_one_line(
    arguments: list[str], message: str, program: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "image.f32").write_bytes(bytes(4 * 63))
    done = run(program, *(tmp_path / name for name in arguments))
    assert done.returncode == 1
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert re.search(message, line)
