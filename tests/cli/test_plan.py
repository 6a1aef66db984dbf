"""`netsurgery plan`: the papers' rows as counts, and as files."""

from __future__ import annotations

import pytest

from netsurgery.cli.main import main


def test_rows_are_printed_beside_what_was_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "alexnet", "--layers"]) == 0
    shown = capsys.readouterr().out
    assert "surgery and INQ, 3 bits (Zhou et al. 2017): 89x reported" in shown
    assert "surgery (Guo, Yao, Chen 2016, table 4): 17.7x reported" in shown
    kept = "3,461,124 of 60,965,224 parameters kept, 17.6x fewer; of weights alone, as biases all stay, 17.7x"
    assert kept in shown
    assert "fc1     1,396,703 of  37,748,736 weights, 1,396,703 additions" in shown
    assert "bytes" not in shown


def test_without_layers_only_the_sums_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "resnet50"]) == 0
    shown = capsys.readouterr().out
    assert "layer1" not in shown
    assert "90 % zero and 4 bits (of no paper)" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lenet5"], "NETWORK must be one of alexnet, vgg16, googlenet, resnet18, resnet50"),
        (["alexnet", "--seed", "-1"], "--seed must be a whole number in 0 .."),
    ],
)
def test_what_no_paper_has_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *arguments]) == 1
    assert says in capsys.readouterr().err
