"""Translations of attention as one operator, ONNX Runtime's and its kin: spelt out, as the planner knows it again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, known
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.from_onnx.places import as_value, counted
from netsurgery.graph.from_onnx.traced import Traced
from netsurgery.graph.value_types import ValueType

LOWEST = float(np.finfo(np.float32).min)
"""What is added where nothing is to be seen: a file holds finite numbers."""


def attended(
    call: Call,
    query: Value,
    key: Value,
    value: Value,
    *,
    scale: float,
    masks: Sequence[Value] = (),
    softcap: float = 0.0,
) -> Value:
    """softmax(scale * query key^T + masks) value, of (B, heads, S, D), (B, heads, T, D) and (B, heads, T, D')."""
    scores = call.node(
        "MatMul", [_number(call, "Mul", query, scale), call.node("Transpose", [key], order=(0, 1, 3, 2))]
    )
    if softcap:
        scores = _number(call, "Mul", call.node("Tanh", [_number(call, "Div", scores, softcap)]), softcap)
    for mask in masks:
        scores = call.node("Add", [scores, mask])
    return call.node("MatMul", [call.node("Softmax", [scores], axis=3), value])


def _number(call: Call, operator: str, x: Value, number: float) -> Value:
    return x if number == 1 else call.node(operator, [x, known(np.float32(number).reshape(()), "number")])


def in_heads(call: Call, x: Value, heads: int) -> Value:
    """(B, S, heads * D) to (B, heads, S, D); what has four axes has heads already."""
    if len(x.shape) == 4:
        return x
    batch, size, width = x.shape
    if int(width) % heads:
        raise UnsupportedOperatorError(f"has {heads} heads for {width} channels")
    return call.node("Transpose", [call.reshaped(x, (batch, size, heads, width // heads))], order=(0, 2, 1, 3))


def out_of_heads(call: Call, x: Value) -> Value:
    """(B, heads, S, D) to (B, S, heads * D)."""
    batch, heads, size, width = x.shape
    return call.reshaped(call.node("Transpose", [x], order=(0, 2, 1, 3)), (batch, size, heads * width))


def repeated(call: Call, x: Value, times: int) -> Value:
    """Each head so many times in a row: (B, heads, T, D) to (B, heads * times, T, D)."""
    if times == 1:
        return x
    batch, heads, size, width = x.shape
    one = call.reshaped(x, (batch, heads, 1, size, width))
    several = call.node("Expand", [one], shape=(1, 1, times, 1, 1))
    return call.reshaped(several, (batch, heads * times, size, width))


def causal(call: Call, rows: int, columns: int, window: int = -1) -> Value:
    """(rows, columns), to be added: what stands behind a place isn't seen, nor what lies `window` or more before it.

    The last row sees all columns.
    """
    here = _reshaped(call, counted(call, rows), (rows, 1))
    if isinstance(columns - rows, Traced) or columns - rows:
        raise UnsupportedOperatorError("looks back on other steps than its own")
    there = counted(call, columns)
    hidden = _made(call, "Less", here, there)
    if window > 0:
        distance = known(np.int64(window - 1).reshape(()), "window")
        hidden = _made(call, "Or", hidden, _made(call, "Less", _made(call, "Add", there, distance), here))
    return _hiding(call, hidden, LOWEST)


_OF_KNOWN: dict[str, Callable[..., AnyArray]] = {
    "Add": np.add,
    "Less": np.less,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Sub": np.subtract,
    "Where": np.where,
}


def _is_fixed(x: Value) -> bool:
    return x.array is not None and x.numbers is None and x.whole is None


def _reshaped(call: Call, x: Value, shape: Sequence[int]) -> Value:
    return known(np.asarray(x.array).reshape(shape), x.name) if _is_fixed(x) else call.reshaped(x, shape)


def _typed(call: Call, x: Value, kind: ValueType) -> Value:
    return known(np.asarray(x.array).astype(kind.dtype), x.name) if _is_fixed(x) else call.as_type(x, kind)


def _made(call: Call, operator: str, *operands: Value) -> Value:
    """A node, or what it computes, where that is known whatever the sizes are: a mask is a constant then."""
    if all(map(_is_fixed, operands)):
        return known(np.asarray(_OF_KNOWN[operator](*(one.array for one in operands))), f"mask.{operator.lower()}")
    return call.node(operator, list(operands))


def _hiding(call: Call, hidden: Value, by: float, elsewhere: Value | None = None) -> Value:
    number, zero = (known(np.float32(one).reshape(()), "number") for one in (by, 0.0))
    return _made(call, "Where", hidden, number, zero if elsewhere is None else elsewhere)


def _kept(call: Call, mask: Value, batch: int, size: int, by: float) -> Value:
    """To be added for a mask of whole numbers: keys (B, T) that are seen, rows of them (B, S, T), or how many (B,)."""
    shape, rank = mask.shape, len(mask.shape)
    if rank == 1 and shape[0] == batch:
        lengths = _reshaped(call, _typed(call, mask, ValueType.INT64), (batch, 1, 1, 1))
        seen = _made(call, "Less", counted(call, size), lengths)
        return _hiding(call, _made(call, "Not", seen), by)
    if rank in (2, 3):
        wide = (batch, 1, 1, size) if rank == 2 else (batch, 1, *shape[1:])
        hidden = _made(call, "Not", _typed(call, _reshaped(call, mask, wide), ValueType.BOOL))
        return _hiding(call, hidden, by)
    raise UnsupportedOperatorError(f"has a mask of shape {tuple(shape)}; (B,), (B, T) or (B, S, T) is needed")


def _empty(value: Value | None) -> bool:
    return value is None or (value.array is not None and value.array.size == 0)


def _given(call: Call, place: int) -> Value | None:
    value = call.operands[place] if place < len(call.operands) else None
    return None if _empty(value) else value


def _refuse_cache(call: Call, places: Sequence[int]) -> None:
    if any(_given(call, place) is not None for place in places):
        raise UnsupportedOperatorError(
            "reads a cache of former steps; give its inputs as empty (input_values=), or export without a cache"
        )


def _scale(call: Call, width: int) -> float:
    given = float(call.attributes.get("scale", 0.0))
    return given or 1 / math.sqrt(int(width))


def _part(call: Call, x: Value, axis: int, start: int, stop: int) -> Value:
    return call.node("Slice", [x], axis=axis, start=start, stop=stop)


def _shifted(call: Call, x: Value, bias: Value | None, start: int) -> Value:
    """(B, S, H) plus its part of a bias."""
    if bias is None:
        return x
    array = bias.array
    stop = start + int(x.shape[-1])
    part = _part(call, bias, 0, start, stop) if array is None else known(array[start:stop], f"{bias.name}.{start}")
    return call.node("Add", [x, part])


def standard(call: Call) -> list[Value | None]:
    """Attention (query, key, value, mask, past key, past value, how many keys there are) of opset 23 and later.

    A row that sees no key gives zeros.
    """
    given = call.attributes
    heads, groups = given.get("q_num_heads", 0), given.get("kv_num_heads", 0)
    flat = len(call.x.shape) == 3
    query, key, value = (
        in_heads(call, call.operand(place), count) for place, count in ((0, heads), (1, groups), (2, groups))
    )
    before: Any = 0
    past = [_given(call, place) for place in (4, 5)]
    if past[0] is not None and past[1] is not None:
        before = past[0].shape[2]
        key = call.node("Concat", [past[0], key], axis=2)
        value = call.node("Concat", [past[1], value], axis=2)
    times = int(query.shape[1]) // int(key.shape[1])
    seen_key, seen_value = repeated(call, key, times), repeated(call, value, times)
    scale = float(given["scale"]) if "scale" in given else 1 / math.sqrt(int(query.shape[3]))
    softcap, mode = float(given.get("softcap", 0.0)), given.get("qk_matmul_output_mode", 0)
    shown = len(call.used) > 3 and call.used[3]
    turned = call.node("Transpose", [seen_key], order=(0, 1, 3, 2))
    stages = [call.node("MatMul", [_number(call, "Mul", query, scale), turned])]
    capped = _number(call, "Div", stages[0], softcap) if softcap else stages[0]
    stages.append(_number(call, "Mul", call.node("Tanh", [capped]), softcap) if softcap else capped)
    low = -math.inf if shown and mode == 2 else LOWEST
    bias, may_be_empty = _bias(call, query.shape[2], key.shape[2], before, low)
    stages.append(stages[1] if bias is None else call.node("Add", [stages[1], bias]))
    stages.append(call.node("Softmax", [stages[2]], axis=3))
    y = call.node("MatMul", [stages[3], seen_value])
    empty = _empty_rows(call, bias) if bias is not None and may_be_empty else None
    if empty is not None:
        zero = known(np.float32(0).reshape(()), "zero")
        y = call.node("Where", [empty, zero, y])
        if shown and mode == 3:
            stages[3] = call.node("Where", [empty, zero, stages[3]])
    outputs = (out_of_heads(call, y) if flat else y, key, value, stages[mode])
    return [one if used else None for one, used in zip(outputs, call.used, strict=False)]


def _empty_rows(call: Call, bias: Value) -> Value | None:
    """Where a row sees nothing; None if none does."""
    half = known(np.float32(LOWEST / 2).reshape(()), "half")
    if _is_fixed(bias):
        largest = known(np.asarray(bias.array).max(axis=-1, keepdims=True), "largest")
        empty = _made(call, "Less", largest, half)
        return empty if np.asarray(empty.array).any() else None
    return call.node("Less", [call.node("ReduceMax", [bias], axes=(len(bias.shape) - 1,), keepdims=True), half])


def _bias(call: Call, rows: int, columns: int, before: int, low: float) -> tuple[Value | None, bool]:
    """What is added to scores (B, heads, rows, columns), and whether all of a row of it may be low.

    A row stands behind as many columns as `before` says, or, where it is said how many keys there are, at their end.
    """
    given, mask, lengths = call.attributes, _given(call, 3), _given(call, 6)
    here = _reshaped(call, counted(call, rows), (rows, 1))
    there = counted(call, columns)
    hidden: list[Value] = []
    if lengths is not None:
        ends = _reshaped(call, _typed(call, lengths, ValueType.INT64), (lengths.shape[0], 1, 1, 1))
        hidden.append(_made(call, "Not", _made(call, "Less", there, ends)))
        here = _made(call, "Add", _made(call, "Sub", ends, as_value(call, rows)), here)
    elif isinstance(before, Traced) or before:
        here = _made(call, "Add", here, as_value(call, before))
    if given.get("is_causal", 0):
        hidden.append(_made(call, "Less", here, there))
    left, right = given.get("left_window_size", -1), given.get("right_window_size", -1)
    if left >= 0:
        hidden.append(_made(call, "Less", _made(call, "Add", there, _whole(left)), here))
    if right >= 0:
        hidden.append(_made(call, "Less", _made(call, "Add", here, _whole(right)), there))
    added: Value | None = None
    if mask is not None:
        width = mask.shape[-1]
        if mask.kind is ValueType.BOOL:
            mask = _hiding(call, _made(call, "Not", mask), low)
        if width != columns:
            pads = (0,) * (2 * len(mask.shape) - 1)
            mask = call.node("Pad", [mask], pads=(*pads, columns - width), value=LOWEST)
        added = mask
    if not hidden:
        return added, added is not None
    first = hidden[0]
    for other in hidden[1:]:
        first = _made(call, "Or", first, other)
    return _hiding(call, first, low, added), mask is not None or lengths is not None or max(left, right) >= 0


def _whole(number: int) -> Value:
    return known(np.int64(number).reshape(()), "number")


def of_one_input(call: Call) -> list[Value | None]:
    """com.microsoft.Attention (x, weights, bias, mask, past, addend): x makes queries, keys and values itself."""
    given, x = call.attributes, call.x
    _refuse_cache(call, (4,))
    if given.get("do_rotary", 0):
        raise UnsupportedOperatorError("turns queries and keys (do_rotary); export without that fusion")
    heads, weight = given["num_heads"], call.operand(1)
    width = int(weight.shape[1])
    sizes = tuple(given.get("qkv_hidden_sizes", ())) or (width // 3,) * 3
    matrix, bias = call.array(1, "weights"), _given(call, 2)
    parts, start = [], 0
    for which, size in zip(("query", "key", "value"), sizes, strict=True):
        rows = known(np.ascontiguousarray(matrix[:, start : start + size].T), f"{weight.name}.{which}")
        own = None if bias is None else known(call.array(2, "bias")[start : start + size], f"{bias.name}.{which}")
        parts.append(in_heads(call, call.node("Linear", [x, rows, own]), heads))
        start += size
    masks = _masks(call, _given(call, 3), _given(call, 5), x.shape[1], x.shape[1])
    y = attended(call, *parts, scale=_scale(call, parts[0].shape[3]), masks=masks)
    return [out_of_heads(call, y), None]


def _masks(call: Call, mask: Value | None, addend: Value | None, rows: int, columns: int) -> list[Value]:
    masks = [] if addend is None else [addend]
    if mask is not None:
        by = float(call.attributes.get("mask_filter_value", -10000.0))
        masks.append(_kept(call, mask, call.x.shape[0], columns, by))
    if call.attributes.get("unidirectional", 0):
        masks.append(causal(call, rows, columns))
    return masks


def of_several_inputs(call: Call) -> list[Value | None]:
    """com.microsoft.MultiHeadAttention (query, key, value, bias, key_padding_mask, attention_bias), no cache."""
    heads = call.attributes["num_heads"]
    _refuse_cache(call, (6, 7))
    query, key, value = _unpacked(call)
    bias, start, parts = _given(call, 3), 0, []
    for one in (query, key, value):
        if len(one.shape) == 4:  # with heads, and its bias
            parts.append(one)
            continue
        parts.append(in_heads(call, _shifted(call, one, bias, start), heads))
        start += int(one.shape[-1])
    masks = _masks(call, _given(call, 4), _given(call, 5), parts[0].shape[2], parts[1].shape[2])
    y = attended(call, *parts, scale=_scale(call, parts[0].shape[3]), masks=masks)
    made: list[Value | None] = [out_of_heads(call, y)]
    return [*made, *(part if used else None for part, used in zip(parts[1:], call.used[1:], strict=False))]


def _unpacked(call: Call) -> list[Value]:
    """Queries (B, S, H), keys and values, which may come as one (B, T, heads, 2 or 3, D)."""
    query, key = call.x, _given(call, 1)
    if key is not None and len(key.shape) != 5:
        return [query, key, call.operand(2)]
    packed = query if key is None else key
    if len(packed.shape) != 5:
        raise UnsupportedOperatorError("has no keys")
    batch, size, heads, count, width = packed.shape
    parts = [
        call.reshaped(_part(call, packed, 3, place, place + 1), (batch, size, heads * width)) for place in range(count)
    ]
    return parts if key is None else [query, *parts]


def of_groups(call: Call) -> list[Value | None]:
    """com.microsoft.GroupQueryAttention (query, key, value, past, past, lengths, total, cosines, sines).

    Without a cache every sequence is as long as the axis: what stands behind the end of a shorter one is no output of
    anybody's. With one, `lengths` says at which place of it the new steps of each sequence end.
    """
    given = call.attributes
    heads, groups = given["num_heads"], given["kv_num_heads"]
    if given.get("smooth_softmax", 0) > 0 or _given(call, 11) is not None:
        raise UnsupportedOperatorError("has an entry beside all keys (smooth_softmax, head_sink)")
    parts = [in_heads(call, x, count) for x, count in zip(_by_group(call), (heads, groups, groups), strict=True)]
    query, key, value = parts
    cache = _Cache.of(call, key.shape[2])
    if given.get("do_rotary", 0):
        turn = _Turn(call, call.operand(7), call.operand(8), bool(given.get("rotary_interleaved", 0)))
        places = _given(call, 9)
        if places is None and cache is not None:
            places = cache.places()
        query, key = (turn.of(x, places) for x in (query, key))
    window = given.get("local_window_size", -1)
    if cache is None:
        masks = [causal(call, query.shape[2], key.shape[2], window)]
    else:
        key, value = (cache.continued(past, x) for past, x in zip((3, 4), (key, value), strict=True))
        masks = [cache.hidden(window)]
    addend = _given(call, 10)
    masks += [] if addend is None else [addend]
    seen = [repeated(call, x, heads // groups) for x in (key, value)]
    scale, softcap = _scale(call, query.shape[3]), float(given.get("softcap", 0.0))
    y = attended(call, query, *seen, scale=scale, masks=masks, softcap=softcap)
    made: list[Value | None] = [out_of_heads(call, y)]
    return [*made, *(part if used else None for part, used in zip((key, value), call.used[1:], strict=False))]


class _Cache:
    """Keys and values (B, groups, P, D) of former steps, which new ones follow where each sequence ends.

    A cache grows by the new steps, or is a buffer with room for them: then it is as large before as after. What stands
    behind a sequence's end is 0.
    """

    def __init__(self, call: Call, room: int, steps: int) -> None:
        """Room: steps that the cache has before; steps: how many are new."""
        self._call, self._room, self._steps = call, room, steps
        self._size = self._size_after()
        last = _reshaped(call, _typed(call, call.operand(5), ValueType.INT64), (call.operand(3).shape[0], 1))
        before = _made(call, "Sub", last, _made(call, "Sub", as_value(call, steps), _whole(1)))
        self._before = _made(call, "Where", _made(call, "Less", before, _whole(0)), _whole(0), before)

    @classmethod
    def of(cls, call: Call, steps: int) -> _Cache | None:
        """The cache that a node reads; None if it reads none."""
        past = [_given(call, place) for place in (3, 4)]
        if past[0] is None or past[1] is None:
            return None
        if past[0].kind is not ValueType.FLOAT32:
            raise UnsupportedOperatorError("reads a cache of codes; export with a cache of floats")
        return cls(call, past[0].shape[2], steps)

    def _size_after(self) -> int:
        """ONNX Runtime gives as many as there are in total, and at least as many as before."""
        total = _given(self._call, 6)
        known_total = None
        if total is not None and total.array is not None:
            known_total = self._call.numbers(6, "total_sequence_length")[0]
        if known_total is None or isinstance(known_total, Traced) or isinstance(self._room, Traced):
            return self._room + self._steps
        return max(known_total, self._room)

    def places(self) -> Value:
        """Of the new steps, (B, steps)."""
        return _made(self._call, "Add", self._before, counted(self._call, self._steps))

    def continued(self, past: int, new: Value) -> Value:
        """(B, groups, size, D): the operand's steps up to each sequence's end, the new ones, and zeros."""
        call, there = self._call, counted(self._call, self._size)
        joined = call.node("Concat", [call.operand(past), new], axis=2)
        padded = call.node("Pad", [joined], pads=(0, 0, 0, 0, 0, 0, 1, 0))
        room, steps = (as_value(call, size) for size in (self._room, self._steps))
        since = _made(call, "Sub", there, self._before)
        place = _made(call, "Where", _made(call, "Less", since, steps), _made(call, "Add", room, since), self._zeros())
        place = _made(call, "Where", _made(call, "Less", there, self._before), there, place)
        rows = call.node("Transpose", [padded], order=(0, 2, 1, 3))
        index = _reshaped(call, place, (*place.shape, 1))
        return call.node("Transpose", [call.node("GatherND", [rows, index], axes_in_common=1)], order=(0, 2, 1, 3))

    def _zeros(self) -> Value:
        """The place behind all steps, old and new."""
        return as_value(self._call, self._room + self._steps)

    def hidden(self, window: int) -> Value:
        """(B, 1, steps, size), to be added: what a step may not see."""
        call = self._call
        here, there = self.places(), counted(call, self._size)
        here = _reshaped(call, here, (here.shape[0], 1, self._steps, 1))
        hidden = _made(call, "Less", here, there)
        if window > 0:
            hidden = _made(call, "Or", hidden, _made(call, "Less", _made(call, "Add", there, _whole(window - 1)), here))
        return _hiding(call, hidden, LOWEST)


def _by_group(call: Call) -> list[Value]:
    """Queries, keys and values, which may come side by side."""
    if _given(call, 1) is not None:
        return [call.x, call.operand(1), call.operand(2)]
    heads, groups = call.attributes["num_heads"], call.attributes["kv_num_heads"]
    width = int(call.x.shape[-1]) // (heads + 2 * groups)
    ends = (0, heads * width, (heads + groups) * width, (heads + 2 * groups) * width)
    return [_part(call, call.x, 2, start, stop) for start, stop in itertools.pairwise(ends)]


class _Turn:
    """Rotary embedding: pairs of entries turned by the angle of their place."""

    def __init__(self, call: Call, cosines: Value, sines: Value, interleaved: bool) -> None:
        self._call, self._tables, self._interleaved = call, (cosines, sines), interleaved

    def of(self, x: Value, places: Value | None) -> Value:
        """X (B, heads, S, D); places (B, S), or (1,), from which on they count; None: from 0 on."""
        call = self._call
        size, width = x.shape[2], int(x.shape[3])
        half = int(self._tables[0].shape[1])
        cosines, sines = (self._at(table, places, size) for table in self._tables)
        rest = [] if 2 * half == width else [_part(call, x, 3, 2 * half, width)]
        if rest:
            x = _part(call, x, 3, 0, 2 * half)
        if self._interleaved:
            pairs = call.reshaped(x, (*x.shape[:3], half, 2))
            first, second = (
                call.reshaped(_part(call, pairs, 4, place, place + 1), (*x.shape[:3], half)) for place in range(2)
            )
        else:
            first, second = _part(call, x, 3, 0, half), _part(call, x, 3, half, 2 * half)
        turned = [
            self._sum("Sub", (first, cosines), (second, sines)),
            self._sum("Add", (first, sines), (second, cosines)),
        ]
        if self._interleaved:
            columns = [call.reshaped(one, (*one.shape, 1)) for one in turned]
            turned = [call.reshaped(call.node("Concat", columns, axis=4), (*x.shape[:3], 2 * half))]
        parts = [*turned, *rest]
        return parts[0] if len(parts) == 1 else call.node("Concat", parts, axis=3)

    def _sum(self, operator: str, one: tuple[Value, Value], other: tuple[Value, Value]) -> Value:
        return self._call.node(operator, [self._call.node("Mul", list(pair)) for pair in (one, other)])

    def _at(self, table: Value, places: Value | None, size: int) -> Value:
        """The rows of a table, (1 or B, 1, S, half)."""
        call = self._call
        if places is not None and len(places.shape) == 2:
            rows = call.node("Gather", [table, places], axis=0)
            return call.reshaped(rows, (rows.shape[0], 1, *rows.shape[1:]))
        first: Any = 0
        if places is not None:
            if places.array is None:
                offset = call.node("Add", [call.as_type(places, ValueType.INT64), counted(call, size)])
                rows = call.node("Gather", [table, offset], axis=0)
                return call.reshaped(rows, (1, 1, *rows.shape))
            first = int(places.array.reshape(-1)[0])
        rows = call.node("Slice", [table], axis=0, start=first, stop=first + size)
        return call.reshaped(rows, (1, 1, *rows.shape))


def rotary(call: Call) -> Value:
    """com.microsoft.RotaryEmbedding (x, places, cosines, sines), x (B, S, H) or (B, heads, S, D)."""
    given, x = call.attributes, call.x
    if given.get("is_packed_batching", 0):
        raise UnsupportedOperatorError("packs sequences of several lengths")
    heads = given.get("num_heads", 0)
    half = int(call.operand(2).shape[1])
    if len(x.shape) == 3 and not heads:
        heads = int(x.shape[2]) // (2 * half)
    turned = _Turn(call, call.operand(2), call.operand(3), bool(given.get("interleaved", 0))).of(
        in_heads(call, x, heads), call.operand(1)
    )
    turned = turned if given.get("scale", 1.0) == 1 else _number(call, "Mul", turned, given["scale"])
    return turned if len(x.shape) == 4 else out_of_heads(call, turned)
