"""Translations of ATen's layers: what has weights, windows or a normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Activation, Call, Constant, Cut, Open, Sizes, pointwise, product
from netsurgery.graph.transposed_convolution import as_convolution
from netsurgery.graph.value_types import ValueType

Outputs: TypeAlias = tuple[str | None, ...]


def convolution(call: Call) -> str:
    """aten.conv1d/2d/3d (also with padding by name) and aten.convolution."""
    weight = call.parameter("weight")
    count = _spatial_axes(call, len(weight.shape) - 2)
    if call.arguments.get("transposed"):
        return transposed_convolution(call)
    dilations = call.whole("dilation", count)
    if call.arguments["padding"] == "same":  # torch puts the odd one at the end
        totals = [d * (size - 1) for d, size in zip(dilations, weight.tensor.shape[2:], strict=True)]
        pads = tuple(total // 2 for total in totals) + tuple(total - total // 2 for total in totals)
    else:
        pads = (0,) * 2 * count if call.arguments["padding"] == "valid" else 2 * call.whole("padding", count)
    return call.node(
        "Conv",
        [call.operand(call.first), call.operand("weight"), call.optional("bias")],
        strides=call.whole("stride", count),
        pads=pads,
        dilations=dilations,
        groups=call.arguments["groups"],
    )


def transposed_convolution(call: Call) -> str:
    """aten.conv_transpose1d/2d/3d: a Conv that makes every phase of the strides, DepthToSpace, and what is cut off.

    Where its output has to be as large as something of open axes (`output_size`), the most is made, and cut.
    """
    weight = call.parameter("weight")
    count = _spatial_axes(call, len(weight.shape) - 2)
    pads, strides, dilations = (call.whole(name, count) for name in ("padding", "stride", "dilation"))
    over = call.arguments["output_padding"]
    follows = isinstance(over, Sequence) and any(isinstance(one, Open) for one in over)
    most = tuple(max(stride, dilation) - 1 for stride, dilation in zip(strides, dilations, strict=True))
    over = most if follows else call.whole("output_padding", count)
    way = as_convolution(weight.tensor.shape[2:], strides, dilations, 2 * pads, over, call.arguments["groups"])
    operands = [call.operand(call.first), _as_phases(call, weight, way.weight)]
    if call.given("bias"):
        operands.append(_as_phases(call, call.parameter("bias"), way.bias))
    settings = {"pads": way.pads, "dilations": way.dilations, "groups": way.groups}
    x = call.node("Conv", operands, "phases" if way.blocks or way.crops or follows else "", **settings)
    if way.blocks:
        x = call.node("DepthToSpace", [x], "whole" if way.crops or follows else "", blocks=way.blocks)
    if way.crops:
        begins, ends = way.crops[:count], way.crops[count:]
        cut = (0, 0, *(-crop for crop in begins), 0, 0, *(-crop for crop in ends))
        x = call.node("Pad", [x], "most" if follows else "", pads=cut)
    for place, size in enumerate(call.shape[2:], 2) if follows else ():
        x = call.node("Slice", [x], f"cut_{place}", axis=place, stop=call.extent(size))
    return x


def _as_phases(call: Call, constant: Constant, made: Callable[[Any], Any]) -> str:
    return call.placed(Constant(torch.from_numpy(made(constant.tensor.detach().numpy())), f"{constant.name}.phases"))


def _spatial_axes(call: Call, count: int) -> int:
    if len(call.sizes(call.first)) != count + 2:
        raise UnsupportedOperatorError(f"{count + 2} axes are needed, the first of them the batch")
    return count


def linear(call: Call) -> str:
    """aten.linear. Where the first axis is a product of several, it stays apart as far as anybody asks for that."""
    known, x, bias = call.parameter("weight"), call.operand("input"), call.optional("bias")
    if known.tensor.ndim == 1:  # of a single output, which has no axis
        row = call.placed(Constant(known.tensor.reshape(1, -1), f"{known.name}.row"))
        made = call.node("Linear", [x, row], "row")
        made = call.reshaped(made, (*call.shape, 1), call.shape, "" if bias is None else "sums")
        return made if bias is None else call.node("Add", [made, bias])
    weight = call.operand("weight")
    origin = call.origins.get(x)
    if origin is None:
        return call.node("Linear", [x, weight, bias])
    apart = (*origin.shape[:-1], *call.shape[-1:])
    made = call.node("Linear", [origin.name, weight, bias], "apart")
    return call.reshaped(made, apart, call.shape)


def bilinear(call: Call) -> str:
    """aten.bilinear: for each output a matrix between both inputs; the first one's products with all rows, weighed."""
    known, sizes = call.parameter("weight"), call.sizes("input1")
    outputs, _, width = known.tensor.shape
    rows = Constant(known.tensor.transpose(1, 2).reshape(outputs * width, -1).contiguous(), f"{known.name}.rows")
    products = call.node("Linear", [call.operand("input1"), call.placed(rows)], "products")
    apart = call.reshaped(products, (*sizes[:-1], outputs * width), (*sizes[:-1], outputs, width), "apart")
    second = call.reshaped(call.operand("input2"), (*sizes[:-1], width), (*sizes[:-1], 1, width), "second")
    weighed, bias = call.node("Mul", [apart, second], "weighed"), call.optional("bias")
    made = call.node("ReduceSum", [weighed], "" if bias is None else "sums", axes=(len(sizes),), keepdims=False)
    return made if bias is None else call.node("Add", [made, bias])


def embedding(call: Call) -> str:
    """aten.embedding: rows of a known table, by computed whole numbers."""
    call.parameter("weight")
    return call.node("Embedding", [call.operand("indices"), call.operand("weight")])


def matrix_product(call: Call) -> str:
    """aten.mm, bmm, matmul, mv. A constant matrix on the right is a Linear layer's weight, transposed."""
    left, right = (call.arguments[name] for name in list(call.arguments)[:2])
    if call.kind.whole:
        return _product_of_whole(call, left, right)
    if isinstance(right, Constant) and len(right.shape) == 2:
        return call.node("Linear", [call.placed(left), _transposed_weight(call, right)])
    return call.node("MatMul", [call.placed(left, "left"), call.placed(right, "right")])


def _product_of_whole(call: Call, left: Activation | Constant, right: Activation | Constant) -> str:
    """Of whole numbers, which floats don't all hold: all products of entries, added up along the axis between."""
    if min(len(left.shape), len(right.shape)) < 2:
        raise UnsupportedOperatorError("multiplies vectors of whole numbers; give matrices, or floats")
    rows = (*left.shape, 1)
    columns = (*right.shape[:-2], 1, *right.shape[-2:])
    a = call.reshaped(call.placed(left, "left", call.kind), left.shape, rows, "rows")
    b = call.reshaped(call.placed(right, "right", call.kind), right.shape, columns, "columns")
    axis, size = len(call.shape) - 1, call.extent(left.shape[-1])
    sums = call.node("CumSum", [call.node("Mul", [a, b], "products")], "sums", axis=axis)
    last = call.node("Slice", [sums], "last", axis=axis, start=size - 1, stop=size)
    return call.reshaped(last, (*call.shape[:-1], 1, *call.shape[-1:]), call.shape)


def _transposed_weight(call: Call, matrix: Constant) -> str:
    return call.placed(Constant(matrix.tensor.t(), matrix.name))


def matrix_product_and_sum(call: Call) -> str:
    """aten.addmm and baddbmm: beta * self + alpha * (left @ right)."""
    left, right = (call.arguments[name] for name in list(call.arguments)[1:3])
    if call.number("beta") != 1 or call.number("alpha") != 1:
        raise UnsupportedOperatorError("alpha and beta other than 1 are not supported")
    bias = call.arguments["self"]
    if isinstance(right, Constant) and len(right.shape) == 2:
        weight = _transposed_weight(call, right)
        if isinstance(bias, Constant) and bias.shape == right.shape[1:]:
            return call.node("Linear", [call.placed(left), weight, call.operand("self")])
        product = call.node("Linear", [call.placed(left), weight], "product")
    else:
        product = call.node("MatMul", [call.placed(left, "left"), call.placed(right, "right")], "product")
    return call.node("Add", [call.operand("self"), product])


def batch_norm(call: Call) -> Outputs:
    """aten.batch_norm: `batch_norm_of_running` in eval mode, refused in training mode."""
    return batch_norm_of_a_batch(call) if call.arguments["training"] else batch_norm_of_running(call)


def batch_norm_of_running(call: Call) -> Outputs:
    """aten._native_batch_norm_legit_no_training: x * scale + shift for each channel.

    scale = weight / sqrt(variance + eps), shift = bias - mean * scale, in float64 and rounded once.
    """
    mean, variance = (call.parameter(name).tensor.double() for name in ("running_mean", "running_var"))
    weight = call.parameter("weight").tensor.double() if call.given("weight") else torch.ones_like(mean)
    bias = call.parameter("bias").tensor.double() if call.given("bias") else torch.zeros_like(mean)
    scale = weight / torch.sqrt(variance + call.number("eps"))
    shift = bias - mean * scale
    column = (-1, *[1] * (len(call.sizes(call.first)) - 2))
    placed = [
        call.placed(Constant(values.reshape(column), f"{call.place or call.name}.{kind}"))
        for values, kind in ((scale, "scale"), (shift, "shift"))
    ]
    scaled = call.node("Mul", [call.operand(call.first), placed[0]], "scaled")
    return (call.node("Add", [scaled, placed[1]]),)


def batch_norm_of_a_batch(_: Call) -> Outputs:
    """A batch norm in training mode."""
    raise UnsupportedOperatorError(
        "normalises by statistics of the batch; call model.eval() before exporting, or track running statistics"
    )


def batch_norm_without_statistics(call: Call) -> Outputs:
    """A batch norm that tracks none: in evaluation mode, too, it normalises by those of the batch that it sees."""
    rank = len(call.sizes("input"))
    axes = tuple(axis for axis in range(rank) if axis != 1)
    x = call.operand("input")
    centred = call.node("Sub", [x, call.node("Mean", [x], "mean", axes=axes)], "centred")
    variance = call.node("Mean", [call.node("Mul", [centred, centred], "squares")], "variance", axes=axes)
    held = call.node("Add", [variance, call.placed(float(call.number("eps")), "epsilon")], "held")
    made = call.node("Div", [centred, call.node("Sqrt", [held], "deviation")], "normalised")
    for name, operator in (("weight", "Mul"), ("bias", "Add")):
        if call.given(name):
            entries = call.parameter(name).tensor.reshape(-1, *(1,) * (rank - 2))
            made = call.node(operator, [made, call.placed(Constant(entries, name), name)], f"{name}d")
    return (made,)


def layer_norm(call: Call) -> Outputs:
    """aten.layer_norm and native_layer_norm."""
    axis = len(call.sizes("input")) - len(call.arguments["normalized_shape"])
    operands = [call.operand("input"), call.optional("weight"), call.optional("bias")]
    for name in ("weight", "bias"):
        if call.given(name):
            call.parameter(name)
    return (call.node("LayerNorm", operands, axis=axis, epsilon=call.number("eps")),)


def rms_norm(call: Call) -> str:
    """aten.rms_norm, whose epsilon is that of float32 where none is given."""
    axis = len(call.sizes("input")) - len(call.arguments["normalized_shape"])
    epsilon = call.number("eps") if call.given("eps") else torch.finfo(torch.float32).eps
    if call.given("weight"):
        call.parameter("weight")
    return call.node("RmsNorm", [call.operand("input"), call.optional("weight")], axis=axis, epsilon=epsilon)


def group_norm(call: Call) -> str:
    """aten.group_norm and native_group_norm."""
    return _normalised_groups(call, call.arguments["num_groups" if call.given("num_groups") else "group"])


def instance_norm(call: Call) -> str:
    """aten.instance_norm: group_norm with one channel a group, or, by running statistics, a batch norm."""
    if not call.arguments["use_input_stats"]:
        return str(batch_norm_of_running(call)[0])
    return _normalised_groups(call, call.known(call.sizes("input")[1:2])[0])


def _normalised_groups(call: Call, groups: int) -> str:
    """Each group of channels of (N, C, ...) is normalised as LayerNorm does, then scaled and shifted by channel."""
    before = call.sizes("input")
    (channels,) = call.known(before[1:2])
    each = product((channels // groups, *before[2:]))
    grouped: Sizes = (before[0], groups, each if isinstance(each, int) else Open(each))
    x = call.reshaped(call.operand("input"), before, grouped, "grouped")
    x = call.node("LayerNorm", [x], "normal", axis=2, epsilon=call.number("eps"))
    steps = [(operator, name) for operator, name in (("Mul", "weight"), ("Add", "bias")) if call.given(name)]
    x = call.reshaped(x, grouped, before, "ungrouped" if steps else "")
    for operator, name in steps:
        constant = call.parameter(name)
        column = Constant(constant.tensor.reshape(-1, *[1] * (len(before) - 2)), constant.name)
        x = call.node(operator, [x, call.placed(column)], "" if name == steps[-1][1] else "scaled")
    return x


def max_pool(call: Call) -> Outputs:
    """aten.max_pool1d/2d/3d, also with indices, which must be unused."""
    return (_pool(call, "MaxPool", dilations=call.whole("dilation", len(call.arguments["kernel_size"]))),)


def of_a_batch(pool: Callable[[Call], str | Outputs]) -> Callable[[Call], str | Outputs]:
    """A pool that takes one example without an axis for the batch, too."""

    def translate(call: Call) -> str | Outputs:
        bins = call.arguments["kernel_size" if "kernel_size" in call.arguments else "output_size"]
        given = call.sizes(call.first)
        if len(given) != len(bins) + 1:
            return pool(call)
        x = Activation(call.reshaped(call.operand(call.first), given, (1, *given), "batch"), (1, *given))
        shape = (1, *call.shape)
        made = pool(replace(call, arguments={**call.arguments, call.first: x}, shape=shape, name=f"{call.name}.batch"))
        if isinstance(made, str):
            return call.reshaped(made, shape, call.shape)
        return tuple(None if one is None else call.reshaped(one, shape, call.shape, "example") for one in made)

    return translate


def average_pool(call: Call) -> str:
    """aten.avg_pool1d/2d/3d."""
    divisor = call.arguments.get("divisor_override")
    if divisor is None:
        return _pool(call, "AveragePool", count_include_pad=call.arguments["count_include_pad"])
    if call.arguments["ceil_mode"]:  # windows at the end would have to be sums of fewer entries
        raise UnsupportedOperatorError("divisor_override with ceil_mode is not supported; leave one of them out")
    entries = math.prod(call.whole("kernel_size", len(call.shape) - 2))
    means = _pool(call, "AveragePool", "means", count_include_pad=True)
    return call.node("Mul", [means, call.placed(entries / divisor, "factor")])


def _pool(call: Call, operator: str, suffix: str = "", **attributes: Any) -> str:
    count = _spatial_axes(call, len(call.arguments["kernel_size"]))
    kernel = call.whole("kernel_size", count)
    return call.node(
        operator,
        [call.operand(call.first)],
        suffix,
        kernel=kernel,
        strides=call.whole("stride", count) or kernel,
        pads=2 * call.whole("padding", count),
        ceil_mode=call.arguments["ceil_mode"],
        **attributes,
    )


def adaptive_pool(operator: str) -> Callable[[Call], Outputs]:
    """aten.adaptive_avg_pool and adaptive_max_pool, the latter's indices unused."""

    def translate(call: Call) -> Outputs:
        count = _spatial_axes(call, len(call.arguments["output_size"]))
        return (call.node(operator, [call.operand(call.first)], size=tuple(map(call.extent, call.shape[-count:]))),)

    return translate


def attention(call: Call) -> Outputs:
    """aten.scaled_dot_product_attention: softmax(query @ key^T * scale + mask) @ value; 0 where a mask hides all."""
    if call.arguments["dropout_p"]:
        raise UnsupportedOperatorError("dropout is not supported")
    query, key = call.sizes("query"), call.sizes("key")
    grouped = bool(call.arguments.get("enable_gqa"))
    keys, values = (_for_each_head(call, name, query) if grouped else call.operand(name) for name in ("key", "value"))
    order = [*range(len(key) - 2), len(key) - 1, len(key) - 2]
    scale = call.number("scale") if call.given("scale") else 1 / math.sqrt(call.known(query[-1:])[0])
    scaled = call.node("Mul", [call.operand("query"), call.placed(scale, "scale")], "scaled")
    weights = call.node("MatMul", [scaled, call.transposed(keys, order, "key")], "products")
    seen: str | None = None
    if call.arguments["is_causal"]:
        weights = call.node("Add", [weights, _causal(call, query[-2], key[-2])], "masked")
    elif call.given("attn_mask"):
        mask, seen = _mask(call)
        weights = call.node("Add", [weights, mask], "masked")
    weights = call.node("Softmax", [weights], "weights", axis=len(query) - 1)
    if seen is None:
        return (call.node("MatMul", [weights, values]),)
    return (call.node("Mul", [call.node("MatMul", [weights, values], "means"), seen]),)


def _for_each_head(call: Call, name: str, query: Sizes) -> str:
    """Keys or values (..., heads, T, W), each head as often in a row as there are queries for it."""
    sizes, x = call.sizes(name), call.operand(name)
    heads, shared = call.known((query[-3], sizes[-3]))
    if heads == shared:
        return x
    front, back = sizes[:-2], sizes[-2:]
    x = call.reshaped(x, sizes, (*front, 1, *back), f"{name}.groups")
    apart = (*front, heads // shared, *back)
    x = call.node("Expand", [x], f"{name}.repeated", shape=(1,) * len(front) + (heads // shared, 1, 1))
    return call.reshaped(x, apart, (*front[:-1], heads, *back), f"{name}.heads")


def _causal(call: Call, queries: int | Open, keys: int | Open) -> str:
    """Hides from each query the keys behind it."""
    if isinstance(queries, int) and isinstance(keys, int):
        return call.placed(_hidden(torch.ones((queries, keys), dtype=torch.bool).tril()), "mask")
    lowest = call.placed(torch.finfo(torch.float32).min, "lowest")
    hidden = call.expanded(lowest, (queries, keys), "hidden")
    return call.node("Trilu", [hidden], "mask", upper=True, diagonal=1)


def _mask(call: Call) -> tuple[str, str | None]:
    """What is added to the weights, and what the means are multiplied by: 0 where nothing is seen, else 1, or None."""
    mask = call.arguments["attn_mask"]
    tensor = mask.tensor if isinstance(mask, Constant) else mask.whole.tensor if isinstance(mask, Cut) else None
    lowest = torch.finfo(torch.float32).min
    if tensor is not None:
        shown = tensor if tensor.dtype == torch.bool else tensor > -math.inf
        if isinstance(mask, Cut) or bool(shown.any(-1).all()):
            finite = _hidden if tensor.dtype == torch.bool else lambda whole: whole.clamp(min=lowest)
            return call.placed(pointwise(mask, finite), "mask"), None
        added = torch.zeros(tensor.shape) if tensor.dtype == torch.bool else tensor
        mask = Constant(added.masked_fill(~shown, -math.inf), mask.name)
    elif isinstance(mask, Activation) and call.builder.type_of(mask.name) is ValueType.BOOL:
        zero, hidden = (call.placed(number, "mask") for number in (0.0, lowest))
        ones = call.node("Cast", [mask.name], "shown", type=str(ValueType.FLOAT32))
        seen = call.node("ReduceMax", [ones], "seen", axes=(len(mask.shape) - 1,))
        return call.node("Where", [mask.name, zero, hidden], "mask"), seen
    name = call.placed(mask, "attn_mask")
    if not _may_be_infinite(call, name):
        return name, None
    most = call.node("ReduceMax", [name], "most", axes=(len(mask.shape) - 1,))
    hidden = call.node("IsInf", [most], "hidden", positive=False)
    seen = call.node("Cast", [call.node("Not", [hidden], "shown")], "seen", type=str(ValueType.FLOAT32))
    return call.node("Max", [name, call.placed(lowest, "lowest")], "held"), seen


def _may_be_infinite(call: Call, name: str) -> bool:
    """Whether a quotient by 0 is among what a value is made of: how a graph holds infinities."""
    open_names, looked_at = [name], set[str]()
    while open_names:
        made = call.builder.maker(open_names.pop())
        if made is None or made.output in looked_at:
            continue
        looked_at.add(made.output)
        by = call.builder.maker(str(made.inputs[1])) if made.operator == "Div" else None
        if by is not None and (by.operator == "Cast" or 0 in by.attributes.get("values", ())):  # type: ignore[operator]
            return True
        open_names += made.given
    return False


def _hidden(seen: torch.Tensor) -> torch.Tensor:
    """0 where the mask is True, elsewhere the lowest number: Softmax makes 0 of it, and a file holds finite numbers."""
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
