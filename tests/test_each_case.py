"""Cases in one test fail, and are skipped, as they would on their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.each_case import each_case


def test_all_cases_are_run_and_those_that_fail_are_named() -> None:
    seen: list[tuple[int, str]] = []

    @each_case("letter", "ab")
    @each_case(("number", "wanted"), [(1, 1), (2, 3), (4, 5), (6, 6)])
    def compared(number: int, letter: str, wanted: int) -> None:
        seen.append((number, letter))
        assert number == wanted

    with pytest.raises(AssertionError) as failure:
        compared()
    assert seen == [(number, letter) for letter in "ab" for number in (1, 2, 4, 6)]
    told = str(failure.value)
    assert told.startswith("2 of 2 cases fail\n'a': AssertionError: 2 of 4 cases fail\n(2, 3): AssertionError: ")
    assert "(4, 5)" in told
    assert "(6, 6)" not in told


@pytest.mark.parametrize("fail", [lambda: pytest.fail("no"), lambda: [][0], lambda: int("no")])
def test_any_way_to_fail_counts(fail: Callable[[], object]) -> None:
    @each_case("number", [1, 2])
    def some(number: int) -> None:
        if number == 2:
            fail()

    with pytest.raises(AssertionError, match=r"^1 of 2 cases fail\n2: "):
        some()


@pytest.mark.parametrize("skipped", range(4))
def test_a_case_that_is_skipped_hides_no_other(skipped: int) -> None:
    @each_case("number", range(3))
    def some(number: int) -> None:
        if number < skipped:
            pytest.skip(f"{number} is too small")
        assert number != 2

    with pytest.raises(
        pytest.skip.Exception if skipped == 3 else AssertionError,
        match="0 is too small" if skipped == 3 else "1 of 3 cases",
    ):
        some()


def test_without_cases_it_is_skipped() -> None:
    @each_case("number", [])
    def some(number: int) -> None:
        raise AssertionError

    with pytest.raises(pytest.skip.Exception, match="there is no"):
        some()


@each_case("name", ["a", "b"])
def test_fixtures_are_given_as_ever(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()


def test_an_argument_that_the_test_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match=r"some has no argument \['number'\]"):

        @each_case("number", [1])
        def some() -> None:
            pass
