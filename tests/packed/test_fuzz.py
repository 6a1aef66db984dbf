"""Damaged files are refused with a typed error, by both readers alike; what they accept survives writing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from tests.packed.graphs import every_encoding

from fuzz import checking
from fuzz.checking import SMALL, Finding, check
from fuzz.corpus import corpus
from fuzz.mutations import MUTATIONS, Inventor, mutated, with_header
from netsurgery.errors import PackedFileError
from netsurgery.graph.operators import OPERATORS
from netsurgery.graph.weights import Weights
from netsurgery.packed.format import Limits
from netsurgery.packed.reader import Packed, decode
from netsurgery.packed.writer import encode

BOTH = ("library", "native")
ALL = ("library", "native", "reference")


def test_the_corpus_holds_every_operator_and_every_encoding() -> None:
    files = [decode(content) for content in corpus()]
    assert {node.operator for packed in files for node in packed.graph.nodes} == set(OPERATORS)
    encodings = {how.encoding for packed in files for how in packed.stored.values()}
    assert {
        "zero",
        "float32",
        "powers of two",
        "scaled powers of two",
        "codebook of 5",
        "1 binary plane",
        "2 binary planes",
    } <= encodings
    assert {bool(packed.graph.axes) for packed in files} == {True, False}


def test_the_corpus_is_accepted_by_all_readers() -> None:
    assert all(check(content, ALL, SMALL) for content in corpus())


def test_mutated_files_are_refused_alike_or_read_alike() -> None:
    accepted = [check(mutated(0, number, corpus()), ALL, SMALL) for number in range(600)]
    assert 20 < sum(accepted) < 400  # both ends are visited


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_is_the_same_for_the_same_seed_and_changes_files(mutation: object) -> None:
    files = corpus()
    made = [[mutation(file, random.Random(3), files) for file in files] for _ in range(2)]  # noqa: S311
    assert made[0] == made[1]
    assert sum(new != old for new, old in zip(made[0], files, strict=True)) > len(files) / 2


def test_invented_files_reach_most_operators() -> None:
    seen: set[str] = set()
    for number in range(600):
        invented = Inventor(random.Random(number)).stream()  # noqa: S311
        try:
            packed = decode(with_header(invented), limits=SMALL)
        except PackedFileError:
            continue
        seen |= {node.operator for node in packed.graph.nodes}
    assert len(seen) > 15


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (KeyError("x"), "library: KeyError"),
        (MemoryError(), "library: MemoryError"),
        (RecursionError(), "library: RecursionError"),
        (checking._TookTooLong(), "library: more than 10 seconds"),
    ],
)
def test_an_untyped_error_and_a_hang_are_findings(
    answer: BaseException, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise answer

    monkeypatch.setattr(checking.library, "decode", broken)
    with pytest.raises(Finding, match=sentence):
        check(corpus()[0], BOTH[:1], SMALL)


@pytest.mark.parametrize(
    "change",
    [
        lambda read: replace(read, graph=read.graph.replaced(outputs=())),
        lambda read: replace(read, graph=read.graph.replaced(known_least={"batch": 2})),
        lambda read: replace(read, graph=read.graph.replaced(constants={n: w.values for n, w in held(read)})),
        lambda read: replace(read, stored={name: replace(how, bits=0) for name, how in read.stored.items()}),
        lambda read: replace(read, structure_bits=0),
    ],
    ids=["outputs", "smallest sizes", "types of weights", "bits of a constant", "bits of the structure"],
)
def test_readers_that_differ_are_a_finding(change: Callable[[Packed], Packed], monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(every_encoding())
    assert check(content, BOTH, Limits())
    monkeypatch.setattr(checking.library, "decode", lambda content, **_: change(decode(content)))
    with pytest.raises(Finding, match="read different graphs"):
        check(content, BOTH, Limits())


def held(read: Packed) -> Iterable[tuple[str, Weights]]:
    return read.graph.constants.items()
