"""Translations of ONNX layers: convolution, products, normalisation, pooling, activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.arithmetic import extreme, number, of_whole_numbers
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.places import counted_along
from netsurgery.graph.from_onnx.traced import Traced, at_least_zero
from netsurgery.graph.operators import Operator
from netsurgery.graph.value_types import ValueType


def conv(call: Call) -> Value:
    """Convolution by known weights."""
    weight = call.array(1, "weight")
    x, settings = padded(call, call.x, windows(call, weight.shape[2:]))
    return call.node(
        "Conv",
        [x, call.operand(1), known(call.array(2, "bias"), call.operand(2).name) if call.given(2) else None],
        groups=call.attributes.get("group", 1),
        **settings,
    )


def pool(operator: str) -> Callable[[Call], Value]:
    """MaxPool or AveragePool."""

    def translate(call: Call) -> Value:
        kernel = tuple(call.attributes["kernel_shape"])
        settings: dict[str, Any] = {"ceil_mode": call.attributes.get("ceil_mode", 0)}
        own = windows(call, kernel)
        if operator == "MaxPool":
            x, own = padded(call, call.x, own, value=LOWEST)
            return call.node(operator, [x], kernel=kernel, **settings, **own)
        x, outside = padded(call, call.x, own)
        includes = call.attributes.get("count_include_pad", 0)
        if outside is own:
            return call.node(operator, [x], kernel=kernel, count_include_pad=includes, **settings, **own)
        means = call.node(operator, [x], kernel=kernel, count_include_pad=1, **settings, **outside)
        if includes:
            return means
        one = known(np.ones((1,) * len(x.shape), np.float32), "one")
        inside, _ = padded(call, call.node("Expand", [one], shape=(1, 1, *call.x.shape[2:])), own)
        shares = call.node(operator, [inside], kernel=kernel, count_include_pad=1, **settings, **outside)
        return call.node("Div", [means, shares])

    return translate


LOWEST = -float(np.finfo(np.float32).max)
"""What is no larger than any finite number."""


def padded(
    call: Call, x: Value, settings: dict[str, tuple[int, ...]], value: float = 0.0
) -> tuple[Value, dict[str, tuple[int, ...]]]:
    """Where pads follow open axes, as TensorFlow's SAME of strides, x padded by a node, and settings without pads."""
    pads = settings["pads"]
    if not any(isinstance(number, Traced) for number in pads):
        return x, settings
    count = len(pads) // 2
    x = call.node("Pad", [x], pads=(0, 0, *pads[:count], 0, 0, *pads[count:]), value=value)
    return x, {**settings, "pads": ()}


def windows(call: Call, kernel: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Strides, dilations and pads, the last perhaps from `auto_pad`."""
    strides = tuple(call.attributes.get("strides", ())) or (1,) * len(kernel)
    dilations = tuple(call.attributes.get("dilations", ())) or (1,) * len(kernel)
    automatic = call.attributes.get("auto_pad", "NOTSET")
    pads = tuple(call.attributes.get("pads", ())) if automatic == "NOTSET" else ()
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        # Windows so many that each stride of the input begins one: ceil(size / stride).
        sizes = zip(call.x.shape[2:], kernel, strides, dilations, strict=True)
        free = [
            at_least_zero((-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size)
            for size, width, stride, dilation in sizes
        ]
        less, more = [total // 2 for total in free], [total - total // 2 for total in free]
        pads = (*less, *more) if automatic == "SAME_UPPER" else (*more, *less)
    return {"strides": strides, "dilations": dilations, "pads": pads}


def global_pool(operator: str) -> Callable[[Call], Value]:
    """Pooling over all there is."""
    return lambda call: call.node(operator, [call.x], size=(1,) * (len(call.x.shape) - 2))


def gemm(call: Call) -> Value:
    """The sum alpha * A' B' + beta * C, where ' may be a transpose. A constant B makes it a Linear."""
    alpha, beta = call.attributes.get("alpha", 1.0), call.attributes.get("beta", 1.0)
    a, b = call.x, call.operand(1)
    if call.attributes.get("transA", 0):
        a = _transposed(call, a)
    addend = _scaled(call, call.operand(2), beta) if call.given(2) and beta != 0 else None
    if b.array is None or a.array is not None:
        b = _transposed(call, b) if call.attributes.get("transB", 0) else b
        product = _scaled(call, call.node("MatMul", [a, b]), alpha)
    else:
        weight = _scaled(call, b if call.attributes.get("transB", 0) else _transposed(call, b), alpha)
        units = weight.shape[0]
        if addend is not None and addend.array is not None and addend.shape in ((), (1,), (units,), (1, 1), (1, units)):
            array = addend.array.reshape(-1)
            if array.size == units:
                return call.node("Linear", [a, weight, known(array, addend.name)])
            return call.node("Linear", [a, weight, known(np.repeat(array, units), f"{addend.name}.repeated")])
        product = call.node("Linear", [a, weight])
    return product if addend is None else call.node("Add", [product, addend])


def _transposed(call: Call, x: Value) -> Value:
    if x.array is None:
        return call.node("Transpose", [x], order=(1, 0))
    return known(x.array.T, f"{x.name}.transposed")


def _scaled(call: Call, x: Value, factor: float) -> Value:
    if factor == 1:
        return x
    if x.array is None:
        return call.node("Mul", [x, known(np.float64(factor), "factor")])
    return known(np.asarray(x.array * np.float64(factor)), f"{x.name}.scaled")


def matmul(call: Call) -> Value:
    """MatMul."""
    return product(call, call.x, call.operand(1))


def product(call: Call, a: Value, b: Value) -> Value:
    """A product of matrices; a constant one on the right makes it a Linear."""
    if a.kind is not None and a.kind.whole:
        return _product_of_whole(call, a, b)
    if a.array is None and b.array is not None and len(b.shape) == 2:
        return call.node("Linear", [a, _transposed(call, b)])
    return call.node("MatMul", [a, b])


def _product_of_whole(call: Call, a: Value, b: Value) -> Value:
    """Of whole numbers, which floats don't all hold: all products of entries, added up along the axis between."""
    rows, columns = len(a.shape) > 1, len(b.shape) > 1
    left = a.shape if rows else (1, *a.shape)
    right = b.shape if columns else (*b.shape, 1)
    every = call.node("Mul", [shaped(call, a, (*left, 1)), shaped(call, b, (*right[:-2], 1, *right[-2:]))])
    axis = len(every.shape) - 2
    total = of_whole_numbers(call, every, "ReduceSum", (axis,), keepdims=False)
    kept = (*total.shape[:-2], *total.shape[-2:-1] * rows, *total.shape[-1:] * columns)
    return call.reshaped(total, kept)


def shaped(call: Call, x: Value, shape: Sequence[int]) -> Value:
    """In another shape, if it has another one."""
    if tuple(x.shape) == tuple(shape):
        return x
    if x.array is not None and x.whole is None:
        return known(x.array.reshape([int(size) for size in shape]), f"{x.name}.reshaped")
    return call.reshaped(x, shape)


def batch_norm(call: Call) -> Value:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, all known, as one product and one sum for each channel."""
    if call.attributes.get("training_mode", 0) or (call.opset < 14 and any(call.used[1:])):
        raise UnsupportedOperatorError("is in training mode; export the model in evaluation mode (model.eval())")
    scale, bias = call.floats(1, "scale"), call.floats(2, "bias")
    mean, variance = call.floats(3, "mean"), call.floats(4, "variance")
    factor = scale / np.sqrt(variance + call.attributes.get("epsilon", 1e-5))
    shape = (-1,) + (1,) * (len(call.x.shape) - 2)
    product = known(factor.reshape(shape), f"{call.operand(1).name}.factor")
    offset = known((bias - mean * factor).reshape(shape), f"{call.operand(2).name}.offset")
    return call.node("Add", [call.node("Mul", [call.x, product]), offset])


def layer_norm(call: Call) -> Value:
    """LayerNormalization; scale and bias may have fewer axes than what is normalised.

    A scale of ones without a bias, which ONNX can't leave out, is none: it has the sizes of axes that may be open.
    """
    axis, epsilon = call.axis(-1), call.attributes.get("epsilon", 1e-5)
    normal = call.x.shape[axis:]
    scale = call.array(1, "scale")
    plain = bool((scale == 1).all()) and not (call.given(2) and call.array(2, "bias").any())
    if plain and scale.shape == normal:
        return call.node("LayerNorm", [call.x], axis=axis, epsilon=epsilon)

    def spread(index: int, role: str) -> Value:
        array, name = call.array(index, role), call.operand(index).name
        if array.shape == normal:
            return known(array, name)
        return known(np.broadcast_to(array, normal), f"{name}.repeated")

    return call.node(
        "LayerNorm",
        [call.x, spread(1, "scale"), spread(2, "bias") if call.given(2) else None],
        axis=axis,
        epsilon=epsilon,
    )


def lrn(call: Call) -> Value:
    """Normalisation by neighbouring channels; the defaults are the same."""
    names = ("size", "alpha", "beta", "bias")
    return call.node("Lrn", [call.x], **{name: call.attributes[name] for name in names if name in call.attributes})


def named(operator: Operator) -> Callable[[Call], Value]:
    """An operator that the operator table names in ONNX, its attributes too."""
    settings = [attribute for attribute in operator.attributes if attribute.onnx]

    def translate(call: Call) -> Value:
        operands = [
            call.operand(place) if call.given(place) or not operand.optional else None
            for place, operand in enumerate(operator.operands)
        ]
        rank = len(call.x.shape)
        given = {one.name: one.of_onnx(call.attributes) for one in settings}
        axes = {one.name: from_front(given[one.name], rank) for one in settings if one.is_axis}
        return call.node(operator.name, operands, **given | axes)

    return translate


def clip(call: Call) -> Value:
    """Clip, whose bounds are operands since opset 11; those that are computed, or of whole numbers, by Max and Min."""
    if call.x.kind is not ValueType.FLOAT32:
        return _clipped_by_values(call)
    bounds = {}
    for index, name in ((1, "minimum"), (2, "maximum")):
        if call.given(index) and call.operand(index).array is None:
            return _clipped_by_values(call)
        if call.given(index):
            bounds[name] = call.floats(index, name).item()
    return call.node("Clip", [call.x], **bounds)


def _clipped_by_values(call: Call) -> Value:
    """The upper bound is taken last: where bounds are the wrong way round it is what ONNX has."""
    x = call.x
    for index, operator in ((1, "Max"), (2, "Min")):
        if call.given(index):
            x = extreme(call, operator, x, call.operand(index))
    return x


def swish(call: Call) -> Value:
    """The product x * sigmoid(alpha * x)."""
    alpha = call.attributes.get("alpha", 1.0)
    if alpha == 1:
        return call.node("Silu", [call.x])
    return call.node("Mul", [call.x, call.node("Sigmoid", [_scaled(call, call.x, alpha)])])


def softmax(operator: str) -> Callable[[Call], Value]:
    """Softmax or LogSoftmax."""
    return lambda call: _over_joined(call, lambda x, axis: call.node(operator, [x], axis=axis))


def hardmax(call: Call) -> Value:
    """Hardmax: 1 where the largest entry stands, the first of those alike, and 0 elsewhere."""

    def where_largest(x: Value, axis: int) -> Value:
        largest = call.node("ArgMax", [x], axis=axis, keepdims=True)
        at = call.node("Equal", [largest, counted_along(call, x, axis)])
        return call.node("Cast", [at], type=str(ValueType.FLOAT32))

    return _over_joined(call, where_largest)


def _over_joined(call: Call, function: Callable[[Value, int], Value]) -> Value:
    """A function of x along an axis; before opset 13 over all axes from `axis` on, taken together."""
    x = call.x
    axis = call.axis(1 if call.opset < 13 else -1)
    if call.opset >= 13 or axis == len(x.shape) - 1:
        return function(x, axis)
    return call.reshaped(function(call.reshaped(x, (*x.shape[:axis], math.prod(x.shape[axis:]))), axis), x.shape)


def lp_pool(call: Call) -> Value:
    """LpPool: the root of the sum of powers in each window, by a convolution with ones. Pads are zeros."""
    kernel = tuple(call.attributes["kernel_shape"])
    settings = windows(call, kernel)
    if call.attributes.get("ceil_mode", 0):
        settings = _to_the_end(call, kernel, settings)
    x, settings = padded(call, _power(call), settings)
    channels = int(call.x.shape[1])
    ones = known(np.ones((channels, 1, *kernel), np.float32), "ones")
    return _root(call, call.node("Conv", [x, ones], groups=channels, **settings))


def global_lp_pool(call: Call) -> Value:
    """GlobalLpPool: the same of all there is."""
    total = call.node("ReduceSum", [_power(call)], axes=tuple(range(2, len(call.x.shape))), keepdims=True)
    return _root(call, total)


def _to_the_end(call: Call, kernel: Sequence[int], settings: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Settings with so many more pads that windows which begin inside, and end outside, are whole (`ceil_mode`)."""
    count = len(kernel)
    pads = list(settings["pads"] or (0,) * (2 * count))
    for place, (size, width) in enumerate(zip(call.x.shape[2:], kernel, strict=True)):
        stride, reach = settings["strides"][place], (width - 1) * settings["dilations"][place] + 1
        free = size + pads[place] + pads[count + place] - reach
        steps = -(-free // stride)
        begins_outside = not isinstance(size, Traced) and steps * stride >= size + pads[place]
        pads[count + place] += at_least_zero((steps - begins_outside) * stride - free)
    return {**settings, "pads": tuple(pads)}


def _power(call: Call) -> Value:
    p = call.attributes.get("p", 2)
    if p == 2:
        return call.node("Mul", [call.x, call.x])
    size = call.node("Abs", [call.x])
    return size if p == 1 else call.node("Pow", [size, number(p, "exponent")])


def _root(call: Call, x: Value) -> Value:
    p = call.attributes.get("p", 2)
    if p == 1:
        return x
    return call.node("Sqrt", [x]) if p == 2 else call.node("Pow", [x, number(1 / p, "exponent")])
