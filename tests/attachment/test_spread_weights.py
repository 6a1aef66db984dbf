"""Weights that are spread over two processes train as in one: the same masks after every step, files, saved states."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.attachment import spread_worker
from torch import Tensor, nn

import netsurgery as ns

try:
    from torch.distributed.fsdp import fully_shard as _  # noqa: F401
except ImportError:
    pytest.skip("this build of torch has no fully_shard", allow_module_level=True)
if not torch.distributed.is_gloo_available():
    pytest.skip("this build of torch has no gloo", allow_module_level=True)

pytestmark = pytest.mark.slow  # two processes for more than half a minute
Case = tuple[str, int, str, str]


def whole(model: nn.Module) -> nn.Module:
    return model


@pytest.fixture(scope="module")
def saved_by_one() -> Any:
    return spread_worker.resumed(whole, None)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, saved_by_one: Any) -> list[dict[str, Any]]:
    """What each of two processes gives; one pair of them for all claims."""
    folder = tmp_path_factory.mktemp("spread")
    torch.save(saved_by_one[1], folder / "saved by one.pt")
    processes = [
        subprocess.Popen(
            [sys.executable, spread_worker.__file__, str(rank), str(folder)],
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        )
        for rank in range(spread_worker.WORLD)
    ]
    try:
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(spread_worker.WORLD)]


ALONE: dict[Case, dict[str, Any]] = {}


def alone(case: Case) -> dict[str, Any]:
    """What one process gives."""
    if case not in ALONE:
        ALONE[case] = spread_worker.outcome(whole, case)
    return ALONE[case]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


ALL = [("fully_shard", case) for case in spread_worker.ALL]
ALL += [("data parallel", case) for case in spread_worker.ALL[::3]]
ALL += [("tensor parallel", case) for case in spread_worker.TENSOR_PARALLEL]


@pytest.mark.parametrize(("way", "case"), ALL, ids=lambda one: one if isinstance(one, str) else " ".join(map(str, one)))
def test_both_processes_have_the_same_and_it_is_what_one_process_has(
    way: str, case: Case, found: list[dict[str, Any]]
) -> None:
    first, second = (one[way][case] for one in found)
    assert same(first, second)
    assert first["decoded"]
    expected = alone(case)
    if way != "tensor parallel":
        # Both have the same batches: the mean of two equal gradients is exact, and everything after it is.
        assert same(first, expected)
    elif case[3] != "inq at random":  # numbers are drawn in the order of parts, which lie side by side there
        assert {key: first[key] for key in ("rows", "after each step")} == {
            key: expected[key] for key in ("rows", "after each step")
        }
        assert same(first["masks"], expected["masks"])
        # The hidden layer's outputs are summed in two halves. AdamW moves a weight by the rate at most, and by as much
        # less exactly as the gradient, a sum of 8 examples, is: some units in the last place, in each step.
        tolerance = spread_worker.STEPS * spread_worker.RATE * 2**-20
        for name, weight in expected["weights"].items():
            torch.testing.assert_close(first["weights"][name], weight, rtol=0, atol=tolerance)


def test_a_state_saved_by_two_processes_is_resumed_by_one_to_the_same_bits(found: list[dict[str, Any]]) -> None:
    result, saved = found[0]["saved here"]
    assert same(found[0]["saved here"], found[1]["saved here"])
    assert same(spread_worker.resumed(whole, saved)[0], result)


def test_a_state_saved_by_one_process_is_resumed_by_two_to_the_same_bits(
    found: list[dict[str, Any]], saved_by_one: Any
) -> None:
    result, saved = saved_by_one
    for one in found:
        assert same(one["resumed here"]["state"], saved)
        assert same(one["resumed here"], result)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("flattened", ("AttachmentError", "FullyShardedDataParallel", "fully_shard (FSDP2)")),
        ("torn filters", ("AttachmentError", "'sketching'", "2.weight", "Stage(skip=...)")),
        (
            "torn transposed filters",
            ("AttachmentError", "'sketching'", "parts of those of 4.weight", "Stage(skip=...)"),
        ),
        ("parallel layers", ("AttachmentError", "0 is tensor parallel", "skip=...")),
        ("torn groups", ("AttachmentError", "0.weight, 2.weight", "sharing=3")),
    ],
)
def test_what_does_not_work_is_refused_by_name_in_every_process_and_with_advice(
    case: str, words: tuple[str, ...], found: list[dict[str, Any]]
) -> None:
    for one in found:
        assert all(word in one["refused"][case] for word in words)


def test_an_ordinary_step_exchanges_a_number_per_stretch_of_a_tensor_and_few_methods_even_that(
    found: list[dict[str, Any]],
) -> None:
    steps = found[0]["exchanged"]["surgery"]  # of 4 tensors of one stretch each
    ordinary = [step for number, step in enumerate(steps, 1) if number > 1 and number % 4]
    assert set(ordinary) == {(1, 4 * 4)}
    observing = {step for number, step in enumerate(steps, 1) if number % 4 == 0 and number % 20}
    inputs = 4 * (30 + 33)  # bytes of what is kept for each input of both weights
    assert observing == {(3, 4 * 4 + inputs + 4 * 4)}
    weights = 4 * (30 * 33 + 33 + 33 * 4 + 4)
    assert all(size < 4 * weights for _, size in steps)
    for method in ("inq", "sketching"):
        quiet = sum(step == (0, 0) for step in found[0]["exchanged"][method])
        assert quiet >= len(steps) - 9  # the portions of inq
    assert set(found[0]["exchanged"]["data parallel"]) == {(0, 0)}


def test_activations_are_rounded_under_fully_shard_as_in_one_process(found: list[dict[str, Any]]) -> None:
    expected = spread_worker.grids(whole)
    assert len(expected) == 3  # two layers, and an output
    for one in found:
        assert same(one["grids"], expected)


def test_all_processes_pack_the_whole_network_and_the_first_one_writes_it(found: list[dict[str, Any]]) -> None:
    first, second = (one["packed"] for one in found)
    assert (first["written"], second["written"]) == (True, False)
    assert first["size"] == second["size"] == Path(first["path"]).stat().st_size
    model = spread_worker.network("uneven", 0)
    model.load_state_dict(first["weights"])
    x = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x)
    torch.testing.assert_close(torch.from_numpy(ns.load(first["path"])(x.numpy())), expected, rtol=1e-5, atol=1e-5)
