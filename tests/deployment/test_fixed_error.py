"""What fixed point costs is said, and warned of where it is much or its calibration is of another kind than inputs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.deployment.test_fixed_activations import images, residual, to_powers
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.cli.main import main
from netsurgery.deployment.fixed_error import LARGE, FixedError, error_of
from netsurgery.errors import CalibrationWarning


def pack(path: Path, examples: Tensor, calibration: list[Tensor]) -> ns.PackReport:
    return ns.pack(
        residual(), path, example_inputs=examples, activations="fixed", calibration=calibration, ends="fixed"
    )


def warned(path: Path, examples: Tensor, calibration: list[Tensor]) -> tuple[ns.PackReport, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = pack(path, examples, calibration)
    assert {one.category for one in caught} <= {CalibrationWarning}
    assert all(one.filename == __file__ for one in caught)
    return report, "\n".join(str(one.message) for one in caught)


def test_the_report_says_what_fixed_point_moves_outputs_by(tmp_path: Path) -> None:
    x = images(64)
    report = pack(tmp_path / "a.nsm", x[:8], [x])
    with torch.no_grad():
        exact = residual()(x).numpy()
    moved = np.asarray(ns.load(tmp_path / "a.nsm")(x.numpy())) - exact
    assert report.calibration_error is not None
    assert report.example_error is not None
    expected = np.sqrt(np.square(moved).mean() / np.square(exact).mean())
    assert report.calibration_error.share == pytest.approx(expected, rel=1e-3)
    each = np.sqrt(np.square(moved).mean(1) / np.square(exact).mean(1))
    assert report.calibration_error.typical == pytest.approx(np.median(each), rel=1e-3)
    few = np.sqrt(np.square(moved[:8]).mean() / np.square(exact[:8]).mean())
    assert report.example_error.share == pytest.approx(few, rel=1e-3)
    (line,) = (one for one in str(report).splitlines() if one.startswith("Fixed point"))
    assert line == (
        f"Fixed point moves outputs by {100 * expected:.2g} % of their root mean square on the calibration batches, "
        f"by {100 * few:.2g} % of their root mean square on the example inputs."
    )


def test_nothing_is_said_of_a_network_in_floats(tmp_path: Path) -> None:
    report = ns.pack(residual(), tmp_path / "a.nsm", example_inputs=images(2))
    assert (report.calibration_error, report.example_error, report.fixed_point) == (None, None, ())


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        ([images(64) * 0], "is 0 throughout the calibration batches"),
        ([images(64) * 1e15], "on example_inputs; more than 10 % is much"),
        ([images(64) * 1e-15], "what lies beyond those is cut off"),
        ([torch.cat([images(64), images(1) * 1e6])], "half of the examples by"),
        ([images(64), images(64), images(64), images(64), images(4) * 1e6], "Fixed point moves outputs by"),
    ],
    ids=["zeros", "far larger", "far smaller", "one outlier", "a late outlier"],
)
def test_a_calibration_that_spoils_the_network_is_warned_of(
    calibration: list[Tensor], told: str, tmp_path: Path
) -> None:
    report, said = warned(tmp_path / "a.nsm", images(8), calibration)
    assert told in said
    assert report.example_error is not None
    assert report.example_error.worse > LARGE
    assert "on example_inputs; more than 10 % is much" in said
    assert "examples far larger than all others" in said


def test_examples_far_outside_of_the_calibration_are_warned_of_and_those_near_it_not(tmp_path: Path) -> None:
    x = images(64)
    assert warned(tmp_path / "a.nsm", x[:8] * 1.2, [x])[1] == ""
    _, said = warned(tmp_path / "a.nsm", x[:8] * 3, [x])
    low, high = x.min(), x.max()
    assert f"from {low:.4g} to {high:.4g} in the calibration batches" in said
    _, said = warned(tmp_path / "a.nsm", x[:8], [x.abs()])
    assert "from 0" in said.replace(f"from {x.abs().min():.4g}", "from 0")


def test_random_examples_of_a_file_say_nothing_of_a_calibration(tmp_path: Path) -> None:
    program = torch.export.export(residual(), (images(2),))
    torch.export.save(program, tmp_path / "a.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = ns.pack(tmp_path / "a.pt2", tmp_path / "a.nsm", activations="fixed", calibration=[images(2) * 1e-3])
    assert report.example_error is None
    assert report.fixed_point[0].endswith("on the calibration batches.")


def test_the_command_says_what_fixed_point_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.export.save(torch.export.export(residual(), (images(2),)), "a.pt2")
    np.save("x.npy", images(2).numpy())
    assert main(["pack", "a.pt2", "--activations", "fixed", "--calibration", "x.npy"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "of the largest. Fixed point moves outputs by" in told
    assert "% of their root mean square on the calibration batches" in told


def test_inputs_that_are_zero_are_named(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.a(x) + self.b(y)

    torch.manual_seed(0)
    x = torch.randn(20, 4)
    with pytest.warns(CalibrationWarning, match="Input 'y' is 0 throughout"):
        ns.pack(
            to_powers(Two()), tmp_path / "a.nsm", example_inputs=(x[:2], x[:2] * 0), activations="fixed",
            calibration=[(x, x * 0)], names=True,
        )  # fmt: skip


def test_errors_are_of_the_output_that_is_moved_furthest_and_of_half_of_the_examples() -> None:
    ones = np.ones((4, 2), np.float32)
    labels = np.arange(4)
    huge = np.array([[1e6, 1e6], [1, 1], [1, 1], [1, 1]], np.float32)
    spoilt = huge * np.array([[1], [0], [0], [0]], np.float32)
    assert error_of([(ones, labels)], [(ones, labels)]) == FixedError(0, 0)
    assert error_of([(ones, np.array([0, 1, 0, 0]))], [(ones, labels)]).share == pytest.approx(np.sqrt(0.5))
    found = error_of([(spoilt,)], [(huge,)])
    assert found.share < 1e-5
    assert found.typical == 1
    assert error_of([(ones[:0],)], [(ones[:0],)]) == FixedError(0, 0)
    assert error_of([(ones[:2],)], [(ones,)]) == FixedError(1, 1)
    assert error_of([(ones,)], [(ones * 0,)]).share == np.inf
    assert error_of([(ones,)], [(ones * np.nan,)]) == FixedError(0, 0)
    assert error_of([(np.float32(2),)], [(np.float32(1),)]).share == 1
