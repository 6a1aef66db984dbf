"""The cut keeps exactly the largest scores."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netsurgery.methods.ranking import Scores, cut_at

non_negative = st.floats(0, 2.0**127, width=32)
ties = st.sampled_from([0.0, 0.5, 1.0, float(np.float32(1e-40)), 2.0])
arrays = st.lists(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.one_of(non_negative, ties)), min_size=1, max_size=4
)


@settings(max_examples=120, deadline=None)
@given(arrays, st.data())
def test_exactly_the_largest_are_kept(parts: list[np.ndarray], data: st.DataObject) -> None:
    total = sum(part.size for part in parts)
    keep = data.draw(st.integers(1, total))
    tensors = [torch.from_numpy(part) for part in parts]
    scores_of = [Scores(lambda parts=parts: parts) for parts in (tensors[:2], tensors[2:])]
    cut = cut_at(scores_of, keep)
    assert cut is not None
    cuts = cut.shared(scores_of)
    chosen = [part.select(each) for part, each in zip(cuts[0].parts + cuts[1].parts, tensors, strict=True)]
    kept = torch.cat(chosen).numpy()
    assert [int(torch.cat([*part, torch.zeros(0)]).sum()) for part in (chosen[:2], chosen[2:])] == [
        each.kept for each in cuts
    ]
    scores = np.concatenate(parts)
    assert kept.sum() == keep
    if keep < total:
        assert scores[kept].min() >= scores[~kept].max()


def test_ties_are_broken_by_position() -> None:
    parts = [torch.ones(3), torch.ones(2, 2)]
    scores = [Scores(lambda: parts)]
    cut = cut_at(scores, keep=5)
    assert cut is not None
    first, second = cut.shared(scores)[0].parts
    assert (first.kept, second.kept) == (3, 2)
    assert first.select(parts[0]).tolist() == [True, True, True]
    assert second.select(parts[1]).tolist() == [[True, True], [False, False]]


def test_nan_and_infinity_give_no_cut() -> None:
    for broken in (float("nan"), float("inf")):
        scores = [torch.tensor([1.0, broken, 2.0])]
        assert cut_at([Scores(lambda scores=scores: scores)], keep=1) is None
