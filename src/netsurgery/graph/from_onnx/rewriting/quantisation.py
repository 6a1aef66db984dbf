"""Quantised models as models of floats: weights as exactly what they stand for, activations without their rounding.

What a quantised value is called stands for the number that it means. Rounding to whole numbers is left out, and kept is
what bounds them: a value beyond the range of its type is the end of that range, which is often all that is left of a
ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.from_onnx.rewriting.names import names_in
from netsurgery.graph.ir import unlike

Rewrite: TypeAlias = Callable[["_Rewriting", onnx.NodeProto], None]

_MICROSOFT = "com.microsoft"
_MOVES = ("Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""What moves entries of its first operand."""

_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual")
_OTHER_TYPES = frozenset(("ArgMax", "ArgMin", "NonZero", "Shape", "Size", *_COMPARISONS))
"""What gives another type than it is given; all else moves what it is given, whatever that is, or computes with it."""

_PER_AXIS = "has scales for an axis of a value that isn't a constant"


def without_quantisation(graph: onnx.GraphProto) -> list[str]:
    """Rewrite a graph in place. Returns remarks. Raises UnsupportedOperatorError for what isn't known beforehand."""
    if not any(node.op_type in _REWRITES for node in graph.node):
        return []
    rewriting = _Rewriting(graph)
    rewriting.rewrite()
    if not rewriting.left_out:
        return []
    whats = "a value is" if rewriting.left_out == 1 else f"{rewriting.left_out} values are"
    return [f"It is quantised: {whats} not rounded here as there, but kept within the same bounds."]


class _Rewriting:
    """The nodes that are there so far, and which values stand for quantised ones."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._known = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self._known[node.output[0]] = node.attribute[0].t
        self._taken = names_in(graph)
        self._real: set[str] = set()
        self._steps: dict[str, AnyArray] = {}
        self._measured: set[str] = set()
        self._counted: set[str] = set()
        self._node = onnx.NodeProto()
        self._named: set[str] = set()
        self.left_out = 0

    def rewrite(self) -> None:
        for node in self._graph.node:
            self._node = node
            rewrite = _REWRITES.get(node.op_type)
            if rewrite is not None and node.domain in ("", "ai.onnx", _MICROSOFT):
                rewrite(self, node)
                continue
            if node.op_type not in _OTHER_TYPES and any(name in self._real for name in node.input):
                self._real.update(node.output[:1] if node.op_type == "TopK" else node.output)
            if not self._counted_in_steps(node):
                self._nodes.append(node)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        del self._graph.value_info[:]  # types have changed
        for output in self._graph.output:
            if output.name in self._real:
                output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT

    def _counted_in_steps(self, node: onnx.NodeProto) -> bool:
        """Leave out the rounding of what is divided by steps that a model measures, as biases are. True where done."""
        of_steps = [name in self._measured for name in node.input]
        if node.op_type == "Mul" and all(
            own or self.is_known(name) for own, name in zip(of_steps, node.input, strict=True)
        ):
            self._measured.update(node.output if any(of_steps) else ())
        elif node.op_type == "Div" and of_steps[1] and not of_steps[0]:
            self._counted.update(node.output)
        elif node.op_type in ("Floor", "Ceil", "Round", "Cast") and node.input[0] in self._counted:
            self.add("Identity", list(node.input), node.output[0])
            if node.op_type == "Cast":
                self._real.update(node.output)
                self.left_out += 1
            else:
                self._counted.update(node.output)
            return True
        return False

    def keep(self, node: onnx.NodeProto) -> None:
        """Take a node over as it is."""
        self._nodes.append(node)

    def unknown(self, why: str) -> UnsupportedOperatorError:
        """What is said of the present node where it can't be rewritten."""
        where = f"{self._node.op_type} {self._node.name or self._node.output[0]!r}"
        return UnsupportedOperatorError(f"{where} {why}; give the model as it was before quantisation.")

    def is_known(self, name: str) -> bool:
        return name in self._known

    def is_real(self, name: str) -> bool:
        """True for a name that stood for whole numbers and stands for what they mean."""
        return name in self._real

    def array(self, name: str) -> AnyArray:
        """The entries of a constant. Raises UnsupportedOperatorError."""
        if name not in self._known:
            raise self.unknown(f"takes {name!r}, which isn't a constant")
        array: AnyArray = onnx.numpy_helper.to_array(self._known[name])
        return array

    def constant(self, values: AnyArray, wish: str) -> str:
        name = unlike(wish, self._taken)
        tensor = onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
        self._graph.initializer.append(tensor)
        self._known[name] = tensor
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """A new node; returns its output."""
        made = output or unlike(f"{self._node.output[0]}.{operator.lower()}", self._taken)
        name = "" if self._node.name in self._named else self._node.name  # ONNX Runtime takes no name twice
        self._named.add(name)
        self._nodes.append(onnx.helper.make_node(operator, list(inputs), [made], name=name, **attributes))
        return made

    def as_given(self, operator: str, inputs: Sequence[str], output: str = "", leaving_out: Sequence[str] = ()) -> str:
        """A node of another operator with the attributes that the present one has."""
        made = self.add(operator, inputs, output)
        self._nodes[-1].attribute.extend(one for one in self._node.attribute if one.name not in leaving_out)
        return made

    def real(self, name: str, scale: str, zero: str, axis: int = 1) -> str:
        """The name of the floats that a quantised operand means."""
        if name in self._real or (not self.is_known(name) and self.looks_up(name, scale, zero)):
            return name
        return self.constant(_meant(self.array(name), self.array(scale), self._zero(zero), axis), f"{name}.real")

    def looks_up(self, name: str, scale: str, zero: str) -> bool:
        """True for a quantised constant, moved or looked up, of which nothing else is made: it is real from now on."""
        made = next((node for node in self._nodes if name in node.output), None)
        while made is not None and made.op_type in _MOVES and made.input[0] not in self._known:
            name = made.input[0]
            made = next((node for node in self._nodes if name in node.output), None)
        if made is None or made.op_type not in _MOVES or made.input[0] not in self._known:
            return False
        moved = self._moved(name, scale, zero)
        if moved is None or self.array(scale).size > 1:
            return False
        made.input[0] = self.real(made.input[0], scale, zero)
        self._real.update(moved)
        return True

    def counted(self, name: str, zero: str) -> str | None:
        """The whole numbers of a constant, moved or looked up, less their zero, as floats; None for anything else.

        They move once more, so that others may have theirs by another scale, or as a table of bytes.
        """
        at = self._zero(zero)
        if at is not None and at.size > 1:
            return None
        if self.is_known(name):
            return self.constant(_meant(self.array(name), np.ones(1), at, 0), f"{name}.counted")
        made = next((node for node in self._nodes if name in node.output), None)
        inner = self.counted(made.input[0], zero) if made is not None and made.op_type in _MOVES else None
        if made is None or inner is None:
            return None
        moved = self.add(made.op_type, [inner, *made.input[1:]])
        self._nodes[-1].attribute.extend(made.attribute)
        return moved

    def _moved(self, name: str, scale: str, zero: str) -> set[str] | None:
        """What a value is called wherever it is moved; None unless each of its ends is made real by this scale."""
        found = {name}
        for node in self._graph.node:
            if not found.intersection(node.input):
                continue
            if node.op_type in _MOVES and not found.intersection(node.input[1:]):
                found.update(node.output)
            elif not _makes_real(node, found, scale, zero):
                return None
        return None if found.intersection(output.name for output in self._graph.output) else found

    def bounded(self, value: str, scale: str, zero: str, output: str, kind: np.dtype[np.generic] | None = None) -> None:
        """Call a value by the name of what it was quantised to, within the bounds of that."""
        steps, at = self.array(scale).astype(np.float64), self._zero(zero)
        info = np.iinfo(at.dtype if at is not None else kind or np.dtype(np.uint8))
        offset = 0.0 if at is None else at.astype(np.float64)
        if steps.size > 1:
            raise self.unknown(_PER_AXIS)
        if not np.isfinite(steps).all():  # of a mask, of which the lowest numbers made the step overflow
            self.add("Identity", [value], output)
            self._real.add(output)
            self.left_out += 1
            return
        low, high = ((info.min - offset) * steps, (info.max - offset) * steps)
        bounds = [
            self.constant(np.float32(np.asarray(one).reshape(())), f"{output}.{word}")
            for one, word in ((low, "least"), (high, "most"))
        ]
        self.add("Clip", [value, *bounds], output)
        self._real.add(output)
        self._steps[output] = np.asarray(steps)
        self.left_out += 1

    def quantised(self, x: str, scale: str, zero: str, output: str) -> None:
        """Note what a constant is quantised to, for operators that take it so."""
        names = [scale, *([zero] if zero else [])]
        if not all(self.is_known(name) and self.array(name).size == 1 for name in names):
            return
        at = self._zero(zero)
        kind = np.dtype(np.uint8) if at is None else at.dtype
        if kind.kind in "iu":
            steps = np.rint(self.array(x) / self.array(scale).reshape(())) + (0 if at is None else at.reshape(()))
            whole = np.clip(steps, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
            self._known[output] = onnx.numpy_helper.from_array(whole, output)

    def measured(self, scale: str) -> None:
        """Note that this is a step that the model measures as it runs."""
        self._measured.add(scale)

    def stands_for(self, name: str, step: float | None = None) -> None:
        """The name means real numbers from now on; step: what one whole number of it was."""
        self._real.add(name)
        if step is not None:
            self._steps[name] = np.asarray(step)

    def in_steps(self, name: str) -> str:
        """A real value as the whole numbers that it was, unrounded."""
        step = self._steps.get(name)
        if step is None or float(step.reshape(())) == 1.0:
            return name
        return self.add("Div", [name, self.constant(np.float32(step.reshape(())), f"{name}.step")])

    def _zero(self, name: str) -> AnyArray | None:
        return self.array(name) if name else None


def _meant(whole: AnyArray, scale: AnyArray, zero: AnyArray | None, axis: int) -> AnyArray:
    """(whole - zero) * scale as float32, rounded once; scales of an axis along it."""

    def spread(given: AnyArray) -> AnyArray:
        if given.size == 1:
            return given.reshape(()).astype(np.float64)
        return given.astype(np.float64).reshape([-1 if one == axis % whole.ndim else 1 for one in range(whole.ndim)])

    offset = 0.0 if zero is None else spread(zero)
    return np.asarray((whole.astype(np.float64) - offset) * spread(scale), np.float32)


def _makes_real(node: onnx.NodeProto, names: set[str], scale: str, zero: str) -> bool:
    """True for a node that takes these names by this scale and zero, which stand behind each of them."""
    if node.op_type not in ("DequantizeLinear", "QGemm") and not node.op_type.startswith("QLinear"):
        return False
    inputs = [*node.input, "", ""]
    places = [place for place, name in enumerate(node.input) if name in names]
    return all(inputs[place + 1 : place + 3] == [scale, zero] for place in places)


def _operand(node: onnx.NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""


def _integer(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(one.i) for one in node.attribute if one.name == name), default)


def _quantize(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    x, scale, zero = (_operand(node, place) for place in range(3))
    if rewriting.is_known(x):
        rewriting.keep(node)  # is folded
        rewriting.quantised(x, scale, zero, node.output[0])
        return
    asked = _integer(node, "output_dtype", 0)
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(asked)) if asked else None
    rewriting.bounded(x, scale, zero, node.output[0], kind)


def _dequantize(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    x, scale, zero = (_operand(node, place) for place in range(3))
    if rewriting.is_real(x):
        rewriting.add("Identity", [x], node.output[0])
    elif rewriting.is_known(x):
        rewriting.keep(node)  # is folded
    elif rewriting.looks_up(x, scale, zero):
        rewriting.add("Identity", [x], node.output[0])
    else:  # whole numbers that the caller gives, or that were computed
        steps = rewriting.array(scale).astype(np.float32)
        at = rewriting.array(zero).astype(np.float32) if zero else np.zeros_like(steps)
        if steps.size > 1:
            raise rewriting.unknown(_PER_AXIS)
        moved = rewriting.counted(x, zero)
        if moved is None:
            whole = rewriting.add("Cast", [x], to=onnx.TensorProto.FLOAT)
            moved = rewriting.add("Sub", [whole, rewriting.constant(at.reshape(()), f"{x}.zero")])
        rewriting.add("Mul", [moved, rewriting.constant(steps.reshape(()), f"{x}.scale")], node.output[0])


def _convolution(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """QLinearConv (x, its scale and zero, w, its, y's scale and zero, bias in steps of x's times w's)."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = (_operand(node, place) for place in range(9))
    operands = [rewriting.real(x, x_scale, x_zero), rewriting.real(w, w_scale, w_zero, 0)]
    if bias:
        steps = rewriting.array(x_scale).astype(np.float64) * rewriting.array(w_scale).astype(np.float64)
        values = rewriting.array(bias).astype(np.float64) * steps.reshape(-1)
        operands.append(rewriting.constant(np.asarray(values, np.float32), f"{bias}.real"))
    last = bool(_integer(node, "channels_last", 0))  # of ONNX Runtime's own, whose weights stand as ONNX has them
    rank = rewriting.array(w).ndim if last else 0
    if last:
        operands[0] = rewriting.add("Transpose", [operands[0]], perm=[0, rank - 1, *range(1, rank - 1)])
    made = rewriting.as_given("Conv", operands, leaving_out=("channels_last",))
    if last:
        made = rewriting.add("Transpose", [made], perm=[0, *range(2, rank), 1])
    rewriting.bounded(made, y_scale, y_zero, node.output[0])


def _product(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """QLinearMatMul (a, its scale and zero, b, its, y's)."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (_operand(node, place) for place in range(8))
    real = [rewriting.real(a, a_scale, a_zero, -2), rewriting.real(b, b_scale, b_zero, -1)]
    rewriting.bounded(rewriting.add("MatMul", real), y_scale, y_zero, node.output[0])


def _gemm(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """QGemm (a, its scale and zero, b, its, c in steps of a's times b's, y's): a float where y has no scale."""
    a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = (_operand(node, place) for place in range(9))
    transposed = _integer(node, "transB", 0)
    operands = [rewriting.real(a, a_scale, a_zero), rewriting.real(b, b_scale, b_zero, 0 if transposed else 1)]
    if c:
        steps = rewriting.array(a_scale).astype(np.float64) * rewriting.array(b_scale).astype(np.float64)
        values = rewriting.array(c).astype(np.float64) * steps.reshape(-1)
        operands.append(rewriting.constant(np.asarray(values, np.float32), f"{c}.real"))
    if y_scale:
        rewriting.bounded(rewriting.as_given("Gemm", operands), y_scale, y_zero, node.output[0])
    else:
        rewriting.as_given("Gemm", operands, node.output[0])


def _of_two(operator: str) -> Rewrite:
    """QLinearAdd and QLinearMul (a, its scale and zero, b, its, y's)."""

    def rewrite(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
        a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (_operand(node, place) for place in range(8))
        real = [rewriting.real(a, a_scale, a_zero), rewriting.real(b, b_scale, b_zero)]
        rewriting.bounded(rewriting.add(operator, real), y_scale, y_zero, node.output[0])

    return rewrite


def _of_one(operator: str) -> Rewrite:
    """QLinear... (x, its scale and zero, y's scale and zero)."""

    def rewrite(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
        x, x_scale, x_zero, y_scale, y_zero = (_operand(node, place) for place in range(5))
        last = bool(_integer(node, "channels_last", 0))
        kernel = next((one.ints for one in node.attribute if one.name == "kernel_shape"), (1, 1))  # of pictures
        rank = len(kernel) + 2
        places = [place for place, one in enumerate(node.attribute) if one.name in ("channels_last", "opset")]
        for place in reversed(places):
            del node.attribute[place]
        value = rewriting.real(x, x_scale, x_zero)
        if last:
            value = rewriting.add("Transpose", [value], perm=[0, rank - 1, *range(1, rank - 1)])
        value = rewriting.as_given(operator, [value])
        if last:
            value = rewriting.add("Transpose", [value], perm=[0, *range(2, rank), 1])
        rewriting.bounded(value, y_scale, y_zero, node.output[0])

    return rewrite


def _concat(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """QLinearConcat (y's scale and zero, then each input, its scale and zero)."""
    inputs = list(node.input)
    real = [rewriting.real(*inputs[place : place + 3]) for place in range(2, len(inputs), 3)]
    rewriting.bounded(rewriting.as_given("Concat", real), inputs[0], inputs[1], node.output[0])


def _where(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """QLinearWhere (condition, a, its scale and zero, b, its, y's)."""
    inputs = list(node.input)
    real = [rewriting.real(*inputs[place : place + 3]) for place in (1, 4)]
    rewriting.bounded(rewriting.add("Where", [inputs[0], *real]), inputs[7], inputs[8], node.output[0])


def _dynamic(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """DynamicQuantizeLinear: the range is that of the value itself, so that nothing bounds it. A step counts 1."""
    quantised, scale, *zero = node.output
    rewriting.add("Identity", [node.input[0]], quantised)
    rewriting.add("Identity", [rewriting.constant(np.float32(1), f"{scale}.one")], scale)
    if zero:
        rewriting.add("Identity", [rewriting.constant(np.uint8(0), f"{zero[0]}.none")], zero[0])
    rewriting.stands_for(quantised, 1.0)
    rewriting.measured(scale)
    rewriting.left_out += 1


def _integer_layer(operator: str) -> Rewrite:
    """MatMulInteger and ConvInteger (x, w, x's zero, w's zero): sums of whole numbers, in steps of both."""

    def rewrite(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
        x, w, x_zero, w_zero = (_operand(node, place) for place in range(4))

        def counted(name: str, zero: str, axis: int) -> str:
            at = rewriting.array(zero) if zero else None
            return rewriting.constant(_meant(rewriting.array(name), np.ones(1), at, axis), f"{name}.real")

        if rewriting.is_real(x):
            steps = rewriting.in_steps(x)
        elif rewriting.is_known(x):  # by a scale that is known as well, and which multiplies what comes out
            steps = counted(x, x_zero, -2)
        else:
            moved = rewriting.counted(x, x_zero)
            if moved is None:
                raise rewriting.unknown("takes whole numbers that weren't quantised in the model")
            steps = moved
        operands = [steps, counted(w, w_zero, 0 if operator == "Conv" else -1)]
        rewriting.as_given(operator, operands, node.output[0])
        rewriting.stands_for(node.output[0], 1.0)

    return rewrite


def _dynamic_product(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """DynamicQuantizeMatMul (a, b, b's scale, b's zero, bias): a is a float."""
    a, b, scale, zero, bias = (_operand(node, place) for place in range(5))
    operands = [a, rewriting.real(b, scale, zero, -1)]
    rewriting.left_out += 1
    if bias:
        rewriting.add("Add", [rewriting.add("MatMul", operands), bias], node.output[0])
    else:
        rewriting.add("MatMul", operands, node.output[0])


def _product_to_float(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """MatMulIntegerToFloat (a, b, their scales, their zeros, bias), where a was quantised in the model."""
    a, b, a_scale, b_scale, _, b_zero, bias = (_operand(node, place) for place in range(7))
    product = rewriting.add("MatMul", [rewriting.in_steps(a), rewriting.real(b, b_scale, b_zero, -1)])
    if bias:
        rewriting.add("Add", [rewriting.add("Mul", [product, a_scale]), bias], node.output[0])
    else:
        rewriting.add("Mul", [product, a_scale], node.output[0])


def _product_by_codes(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """MatMulNBits, which may round what it is given (accuracy_level: 2 and 3 to 16 bits, 4 to whole numbers of 8)."""
    if _integer(node, "accuracy_level", 0) > 1:
        kept = [one for one in node.attribute if one.name != "accuracy_level"]
        del node.attribute[:]
        node.attribute.extend(kept)
        rewriting.left_out += 1
    rewriting.keep(node)


def _dynamic_lstm(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """DynamicQuantizeLSTM: an LSTM whose W (d, inputs, 4h) and R (d, h, 4h) are turned, with scales behind them."""
    w, r = (
        np.ascontiguousarray(
            _meant_by_direction(*(rewriting.array(node.input[place]) for place in (weight, scale, zero))).swapaxes(1, 2)
        )
        for weight, scale, zero in ((1, 8, 9), (2, 10, 11))
    )
    operands = [node.input[0], rewriting.constant(w, f"{node.input[1]}.real")]
    operands += [rewriting.constant(r, f"{node.input[2]}.real"), *node.input[3:8]]
    while not operands[-1]:
        operands.pop()
    made = onnx.helper.make_node("LSTM", operands, list(node.output), name=node.name)
    made.attribute.extend(node.attribute)
    rewriting.keep(made)
    rewriting.left_out += 1


def _meant_by_direction(whole: AnyArray, scale: AnyArray, zero: AnyArray) -> AnyArray:
    """(whole - zero) * scale of (d, rows, 4h): a scale for each direction, or for each column of each."""

    def spread(given: AnyArray) -> AnyArray:
        shape = (len(whole), 1, -1) if given.size > 1 else (1, 1, 1)
        return given.astype(np.float64).reshape(shape)

    return np.asarray((whole.astype(np.float64) - spread(zero)) * spread(scale), np.float32)


def _attention(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """QAttention (x, w, bias, their scales, mask, their zeros, past): Attention, whose bias is in floats."""
    x, w, bias, x_scale, w_scale, mask, x_zero, w_zero, past = (_operand(node, place) for place in range(9))
    if not rewriting.is_known(w):  # quantize_dynamic takes Attention of ONNX for ONNX Runtime's, and makes such files
        raise rewriting.unknown("has weights that are computed, and isn't what ONNX Runtime takes for it")
    operands = [rewriting.real(x, x_scale, x_zero), rewriting.real(w, w_scale, w_zero, -1), bias, mask, past]
    while not operands[-1]:
        operands.pop()
    made = onnx.helper.make_node("Attention", operands, list(node.output), name=node.name, domain=_MICROSOFT)
    made.attribute.extend(node.attribute)
    rewriting.keep(made)


def _embedding(rewriting: _Rewriting, node: onnx.NodeProto) -> None:
    """QEmbedLayerNormalization: EmbedLayerNormalization, whose tables, scale and shift are quantised."""
    ids, segments, *quantised = (_operand(node, place) for place in range(7))
    scales, zeros = ([_operand(node, first + place) for place in range(5)] for first in (8, 13))
    real = [
        rewriting.real(*three) if three[0] else "" for three in zip(quantised, scales, zeros, strict=True)
    ]  # words, places, segments, scale, shift
    operands = [ids, segments, *real, _operand(node, 7)]
    while not operands[-1]:
        operands.pop()
    made = onnx.helper.make_node(
        "EmbedLayerNormalization", operands, list(node.output), name=node.name, domain=_MICROSOFT
    )
    made.attribute.extend(node.attribute)
    rewriting.keep(made)


_REWRITES: dict[str, Rewrite] = {
    "ConvInteger": _integer_layer("Conv"),
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLSTM": _dynamic_lstm,
    "DynamicQuantizeLinear": _dynamic,
    "DynamicQuantizeMatMul": _dynamic_product,
    "MatMulInteger": _integer_layer("MatMul"),
    "MatMulIntegerToFloat": _product_to_float,
    "MatMulNBits": _product_by_codes,
    "QAttention": _attention,
    "QEmbedLayerNormalization": _embedding,
    "QGemm": _gemm,
    "QLinearAdd": _of_two("Add"),
    "QLinearAveragePool": _of_one("AveragePool"),
    "QLinearConcat": _concat,
    "QLinearConv": _convolution,
    "QLinearGlobalAveragePool": _of_one("GlobalAveragePool"),
    "QLinearLeakyRelu": _of_one("LeakyRelu"),
    "QLinearMatMul": _product,
    "QLinearMul": _of_two("Mul"),
    "QLinearReduceMean": _of_one("ReduceMean"),
    "QLinearSigmoid": _of_one("Sigmoid"),
    "QLinearSoftmax": _of_one("Softmax"),
    "QLinearWhere": _where,
    "QuantizeLinear": _quantize,
}
"""Operators of ONNX and of ONNX Runtime that quantise, and what they become."""
