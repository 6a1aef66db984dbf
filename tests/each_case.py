"""Many small cases in one test: what pytest does around a test takes longer than they do, and there are thousands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

Test = Callable[..., None]
_MOST_SHOWN = 20


def each_case(
    names: str | Sequence[str], cases: Iterable[Any], *, ids: Callable[[Any], str] = repr
) -> Callable[[Test], Test]:
    """Stands where `pytest.mark.parametrize` would, also one above another: one test runs all cases.

    The test fails if one of them does, and names all that did, with their errors; the first one's traceback is shown.
    It is skipped where all cases are. Fixtures are made once, so that no case may leave anything in one.

    names: the arguments that a case gives, as for parametrize: "name", or ("name", "batch").
    cases: a value for each case, or as many as there are names.
    ids: what a case is called in a failure.
    """
    arguments = [names] if isinstance(names, str) else list(names)
    listed = list(cases)

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run_all(**given: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            skipped: list[BaseException] = []
            for case in listed:
                values = (case,) if len(arguments) == 1 else case
                try:
                    test(**given, **dict(zip(arguments, values, strict=True)))
                except pytest.skip.Exception as reason:
                    skipped.append(reason)
                except (Exception, pytest.fail.Exception) as error:
                    failed.append((ids(case), error))
            if failed:
                raise AssertionError(_told(failed, len(listed))) from failed[0][1]
            if len(skipped) == len(listed):
                raise skipped[0] if skipped else pytest.skip.Exception(f"there is no {arguments}")

        signature = inspect.signature(test)
        unknown = sorted(set(arguments) - set(signature.parameters))
        if unknown:
            raise TypeError(f"{test.__name__} has no argument {unknown}")
        left = [one for name, one in signature.parameters.items() if name not in arguments]
        run_all.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return run_all

    return decorate


def _told(failed: list[tuple[str, BaseException]], count: int) -> str:
    lines = [f"{name}: {type(error).__name__}: {error}" for name, error in failed[:_MOST_SHOWN]]
    more = [f"and {len(failed) - _MOST_SHOWN} more"] if len(failed) > _MOST_SHOWN else []
    return "\n".join([f"{len(failed)} of {count} cases fail", *lines, *more])
