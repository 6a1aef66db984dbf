"""What an ONNX model leaves to be computed from its constants: each operator by hand, and as ONNX Runtime has it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import CaptureError  # noqa: E402
from netsurgery.graph.from_onnx.folders import FOLDERS  # noqa: E402
from netsurgery.graph.ir import node  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402


def f32(*values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)


def i64(*values: Any) -> np.ndarray:
    return np.asarray(values, np.int64)


def u8(*values: Any) -> np.ndarray:
    return np.asarray(values, np.uint8)


def truth(*values: Any) -> np.ndarray:
    return np.asarray(values, np.bool_)


@dataclass(frozen=True)
class Case:
    """A node of constants, and its outputs as one works them out with a pencil."""

    operator: str
    operands: tuple[Any, ...]  # None: left out
    expected: Any
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 20

    def __str__(self) -> str:
        return f"{self.operator}-{self.opset}"


def case(operator: str, *operands: Any, gives: Any, opset: int = 20, **attributes: Any) -> Case:
    return Case(operator, operands, gives, attributes, opset)


GRID = np.arange(6, dtype=np.float32).reshape(2, 3)
NAN, INF = float("nan"), float("inf")

CASES = [
    case("Abs", i64(-3, 2), gives=i64(3, 2)),
    case("Add", i64(2**53, 1), i64(1, 2), gives=i64(2**53 + 1, 3)),
    case("And", truth(1, 1, 0), truth(1, 0, 0), gives=truth(1, 0, 0)),
    case("ArgMax", f32([1, 3, 3], [5, 4, 5]), gives=i64([1], [0]), axis=1),
    case("ArgMax", f32([1, 3, 3], [5, 4, 5]), gives=i64(2, 2), axis=1, keepdims=0, select_last_index=1),
    case("ArgMin", f32([1, 0, 0]), gives=i64([1]), axis=-1),
    case("BlackmanWindow", i64(4).reshape(()), gives=f32(0, 0.34, 1, 0.34)),
    case("Cast", f32(-1.7, 1.7, 0.0), gives=i64(-1, 1, 0), to=TensorProto.INT64),
    case("Cast", f32(-INF, -1e30), gives=i64(-(2**63), -(2**63)), to=TensorProto.INT64),
    case("Cast", f32(-1.7, 0.0), gives=truth(1, 0), to=TensorProto.BOOL),
    case("Cast", i64(3), gives=np.asarray([3], np.float64), to=TensorProto.DOUBLE),
    case("Cast", f32(2049), gives=np.asarray([2048], np.float16), to=TensorProto.FLOAT16),
    case("CastLike", f32(2.5), i64(7), gives=i64(2)),
    case("Ceil", f32(-1.5, 1.5), gives=f32(-1, 2)),
    case("Clip", i64(-5, 5, 50), i64(0).reshape(()), i64(9).reshape(()), gives=i64(0, 5, 9)),
    case("Clip", i64(-5, 50), None, i64(9).reshape(()), gives=i64(-5, 9)),
    case("Compress", GRID, truth(1, 0, 1), gives=f32([0, 2], [3, 5]), axis=1),
    case("Compress", GRID, truth(0, 1, 0, 0, 1), gives=f32(1, 4)),
    case("Concat", i64(1, 2), i64(), i64(3), gives=i64(1, 2, 3), axis=-1),
    case("ConstantOfShape", i64(2, 1), gives=f32([0], [0])),
    case("ConstantOfShape", i64(3), gives=i64(7, 7, 7), value=numpy_helper.from_array(i64(7))),
    case("Cos", f32(0), gives=f32(1)),
    case("CumSum", f32([1, 2, 3]), i64(1).reshape(()), gives=f32([1, 3, 6])),
    case("CumSum", i64(1, 2, 3), i64(0).reshape(()), gives=i64(5, 3, 0), exclusive=1, reverse=1),
    case("CumSum", i64(1, 2, 3), i64(0).reshape(()), gives=i64(0, 1, 3), exclusive=1),
    case("DequantizeLinear", u8(0, 128, 255), f32(0.5).reshape(()), u8(128).reshape(()), gives=f32(-64, 0, 63.5)),
    case("DequantizeLinear", u8(0, 9), f32(0.5).reshape(()), gives=f32(0, 4.5), opset=11),
    case("DequantizeLinear", u8([2, 4], [6, 8]), f32(0.5, 2), u8(2, 4), gives=f32([0, 1], [4, 8]), axis=0, opset=13),
    case("DequantizeLinear", u8([2, 4], [6, 8]), f32(0.5, 2), u8(2, 4), gives=f32([0, 0], [2, 8]), opset=13),
    case("DequantizeLinear", np.asarray([2**31 - 1, -2], np.int32), f32(0.5).reshape(()), gives=f32(2.0**30, -1)),
    case("DequantizeLinear", np.asarray([[1, 2, 3]], np.int8), f32([1, 10]), gives=f32([1, 2, 30]), opset=21, axis=1,
         block_size=2),
    case("Det", f32([[2, 1], [1, 3]], [[0, 1], [1, 0]]).reshape(2, 2, 2), gives=f32(5, -1)),
    case("Div", i64(7, -7, 7, -7), i64(2, 2, -2, -2), gives=i64(3, -3, -3, 3)),
    case("Div", f32(1, -1), f32(4, 0), gives=f32(0.25, -INF)),
    case("Equal", i64(1, 2), i64(1, 3), gives=truth(1, 0)),
    case("Erf", f32(0, INF, -INF), gives=f32(0, 1, -1)),
    case("Exp", f32(0, -INF), gives=f32(1, 0)),
    case("Expand", f32([1], [2]), i64(2, 1, 3), gives=f32([[1] * 3, [2] * 3], [[1] * 3, [2] * 3])),
    case("Expand", f32([1, 2]), i64(1), gives=f32([1, 2])),
    case("EyeLike", GRID, gives=f32([0, 1, 0], [0, 0, 1]), k=1),
    case("EyeLike", GRID, gives=i64([1, 0, 0], [0, 1, 0]), dtype=TensorProto.INT64),
    case("Flatten", GRID, gives=GRID.reshape(1, 6), axis=0),
    case("Flatten", GRID, gives=GRID, axis=-1),
    case("Floor", f32(-1.5, 1.5), gives=f32(-2, 1)),
    case("Gather", GRID, i64([2, 0], [-1, 0]), gives=GRID[:, [[2, 0], [2, 0]]], axis=1),
    case("Gather", i64(4, 5), i64(-1).reshape(()), gives=i64(5).reshape(())),
    case("GatherElements", GRID, i64([1, 0, -1]), gives=f32([3, 1, 5]), axis=0),
    case("GatherElements", GRID, i64([2, 0], [-1, 1]), gives=f32([2, 0], [5, 4]), axis=1),
    case("GatherND", GRID, i64([1, 2], [0, -1]), gives=f32(5, 2)),
    case("GatherND", GRID, i64([2], [0]), gives=f32(2, 3), batch_dims=1),
    case("GatherND", np.arange(8).reshape(2, 2, 2), i64([[1]], [[0]]), gives=i64([[2, 3]], [[4, 5]]), batch_dims=1),
    case("Greater", i64(1, 2), i64(1, 1), gives=truth(0, 1)),
    case("GreaterOrEqual", i64(1, 0), i64(1, 1), gives=truth(1, 0)),
    case("HammingWindow", i64(4).reshape(()), gives=f32(2 / 23, 25 / 46, 1, 25 / 46)),
    case("HannWindow", i64(4).reshape(()), gives=f32(0, 0.5, 1, 0.5)),
    case("HannWindow", i64(3).reshape(()), gives=f32(0, 1, 0), periodic=0),
    case("Identity", i64(4), gives=i64(4)),
    case("IsInf", f32(INF, -INF, 0, NAN), gives=truth(1, 1, 0, 0)),
    case("IsInf", f32(INF, -INF), gives=truth(0, 1), detect_positive=0),
    case("IsNaN", f32(INF, NAN), gives=truth(0, 1)),
    case("Less", i64(1, 2), i64(1, 3), gives=truth(0, 1)),
    case("LessOrEqual", i64(1, 4), i64(1, 3), gives=truth(1, 0)),
    case("Log", f32(1, 0), gives=f32(0, -INF)),
    case("Max", i64(1, 9), i64(5), i64(2, 3), gives=i64(5, 9)),
    case("MelWeightMatrix", *(i64(size).reshape(()) for size in (1, 4, 8)), f32(0).reshape(()), f32(4).reshape(()),
         gives=f32([1], [0], [0])),
    case("Min", f32(1, 9), f32(5), gives=f32(1, 5)),
    case("Mod", i64(7, -7, 7, -7), i64(3, 3, -3, -3), gives=i64(1, 2, -2, -1)),
    case("Mod", f32(7.5, -7.5), f32(2, 2), gives=f32(1.5, -1.5), fmod=1),
    case("Mul", i64(2**40, -3), i64(8, 5), gives=i64(2**43, -15)),
    case("Neg", i64(4, -2), gives=i64(-4, 2)),
    case("NonZero", f32([0, 3], [5, 0]), gives=i64([0, 1], [1, 0])),
    case("BitShift", u8(3, 129), u8(1, 1), gives=u8(6, 2), direction="LEFT"),
    case("BitShift", u8(3, 129), u8(1, 7), gives=u8(1, 1), direction="RIGHT"),
    case("BitwiseAnd", i64(6, -1), i64(3, 8), gives=i64(2, 8), opset=18),
    case("BitwiseNot", i64(6, -1), gives=i64(-7, 0), opset=18),
    case("BitwiseOr", i64(6, -1), i64(3, 8), gives=i64(7, -1), opset=18),
    case("BitwiseXor", i64(6, -1), i64(3, 8), gives=i64(5, -9), opset=18),
    case("Not", truth(1, 0), gives=truth(0, 1)),
    case("OneHot", i64(0, -1, 5), i64(3).reshape(()), f32(2, 9), gives=f32([9, 2, 2], [2, 2, 9], [2, 2, 2])),
    case("OneHot", i64(1), i64(2).reshape(()), i64(0, 1), gives=i64([0], [1]), axis=0),
    case("Or", truth(1, 0), truth(0, 0), gives=truth(1, 0)),
    case("Pow", i64(3, -2), i64(4, 3), gives=i64(81, -8)),
    case("Pow", f32(4, 2), f32(0.5, -1), gives=f32(2, 0.5)),
    case("Pow", f32(4), i64(2), gives=f32(16)),
    case("QuantizeLinear", f32(-9, 0.25, 0.75, 900), f32(0.5).reshape(()), u8(2).reshape(()), gives=u8(0, 2, 4, 255)),
    case("QuantizeLinear", f32([1, 1], [9, 9]), f32(1, 2), np.asarray([0, 0], np.int8),
         gives=np.asarray([[1, 0], [9, 4]], np.int8), axis=1, opset=13),
    case("QuantizeLinear", f32(3, 5), f32(2).reshape(()), gives=u8(2, 2), opset=11),
    case("Range", i64(1).reshape(()), i64(8).reshape(()), i64(3).reshape(()), gives=i64(1, 4, 7)),
    case("Range", i64(5).reshape(()), i64(0).reshape(()), i64(-2).reshape(()), gives=i64(5, 3, 1)),
    case("Range", f32(0).reshape(()), f32(1).reshape(()), f32(0.25).reshape(()), gives=f32(0, 0.25, 0.5, 0.75)),
    case("Reciprocal", f32(4, 0), gives=f32(0.25, INF)),
    case("ReduceL1", f32([1, -2]), i64(1), gives=f32([3])),
    case("ReduceL2", f32([3, 4]), gives=f32(5), opset=13, axes=[1], keepdims=0),
    case("ReduceMax", GRID, gives=f32([5]).reshape(1, 1), opset=11),
    case("ReduceMin", GRID, i64(-1), gives=f32([0], [3])),
    case("ReduceProd", i64(2, 3, 4), gives=i64(24).reshape(()), keepdims=0),
    case("ReduceSum", GRID, gives=f32([3, 5, 7]), axes=[0], opset=11),
    case("ReduceSum", GRID, i64(0), gives=f32([3, 5, 7]), opset=13),
    case("ReduceSum", i64(2, 3), gives=i64(5), opset=13),
    case("ReduceSumSquare", f32([3, 4]), i64(1), gives=f32([25])),
    case("ReduceLogSumExp", f32([0, 0]), i64(1), gives=f32([np.log(2)])),
    case("Reshape", i64([1, 2], [3, 4]), i64(0, -1, 1), gives=i64([[1], [2]], [[3], [4]])),
    case("Reshape", np.zeros((0, 3), np.float32), i64(3, 0), gives=np.zeros((3, 0), np.float32), allowzero=1),
    case("Round", f32(0.5, 1.5, -2.5), gives=f32(0, 2, -2)),
    case("ScatterND", f32(1, 2, 3), i64([2], [-3]), f32(9, 8), gives=f32(8, 2, 9)),
    case("ScatterND", GRID, i64([1]), f32([7, 8, 9]), gives=f32([0, 1, 2], [7, 8, 9])),
    case("Shape", np.zeros((3, 1, 0), np.float32), gives=i64(3, 1, 0)),
    case("Shape", GRID, gives=i64(3), start=-1),
    case("Sign", i64(-4, 0, 9), gives=i64(-1, 0, 1)),
    case("Sin", f32(0), gives=f32(0)),
    case("Size", GRID, gives=i64(6).reshape(())),
    case("Slice", i64(0, 1, 2, 3, 4), i64(-1), i64(-(2**62)), i64(0), i64(-2), gives=i64(4, 2, 0)),
    case("Slice", GRID, i64(1, 0), i64(99, 2), i64(-1, 0), gives=GRID[:, 1:]),
    case("Slice", i64(1, 2), i64(2), i64(9), gives=i64()),
    case("Sqrt", f32(9), gives=f32(3)),
    case("Squeeze", i64([[1], [2]]), gives=i64(1, 2)),
    case("Squeeze", i64([[1], [2]]), i64(-1), gives=i64([1, 2]), opset=13),
    case("Squeeze", i64([[1], [2]]), gives=i64([1], [2]), axes=[0], opset=11),
    case("Sub", u8(5), u8(3), gives=u8(2), opset=14),
    case("Sum", f32(1), f32(2, 3), f32(4), gives=f32(7, 8)),
    case("Tile", i64([1, 2]), i64(2, 2), gives=i64([1, 2, 1, 2], [1, 2, 1, 2])),
    case("Transpose", GRID, gives=GRID.T),
    case("Transpose", i64([[1, 2]]), gives=i64([[1]], [[2]]), perm=[2, 0, 1]),
    case("Trilu", i64([1, 2], [3, 4]), gives=i64([1, 2], [0, 4])),
    case("Trilu", i64([1, 2], [3, 4]), i64(-1).reshape(()), gives=i64([0, 0], [3, 0]), upper=0),
    case("Unique", i64(3, 1, 3, 2), gives=i64(1, 2, 3)),
    case("Unique", i64(3, 1, 3, 2), gives=i64(3, 1, 2), sorted=0),
    case("Unique", i64([2, 0], [1, 0], [2, 0]), gives=i64([1, 0], [2, 0]), axis=0),
    case("Unsqueeze", i64(5, 6), i64(-1, 0), gives=i64([[5], [6]])),
    case("Unsqueeze", i64(5, 6), gives=i64([5], [6]), axes=[1], opset=11),
    case("Where", truth(1, 0), i64(1, 2), i64(9), gives=i64(1, 9)),
    case("Xor", truth(1, 1), truth(1, 0), gives=truth(0, 1)),
    # Translated operators, whose meaning changed from one opset to another, or that are easy to get wrong.
    case("Softmax", f32([[0, 0], [0, 0]]), gives=f32([[0.25] * 2] * 2), axis=1, opset=11),
    case("Softmax", f32([[0, 0], [0, 0]]), gives=f32([[0.5] * 2] * 2), axis=1, opset=13),
    case("LogSoftmax", f32([[0, 0], [0, 0]]), gives=f32([[np.log(0.25)] * 2] * 2), opset=12),
    case("BatchNormalization", f32([[4]]), f32(2), f32(1), f32(2), f32(4), gives=f32([[3]]), epsilon=0.0, opset=11),
    case("GlobalMaxPool", f32([[1, 3, 2], [5, 4, 0]]), gives=f32([[3], [5]])),
    case("GlobalMaxPool", np.arange(8, dtype=np.float32).reshape(1, 1, 2, 2, 2), gives=f32([[[[7]]]])),
    case("MaxPool", f32([[1, 3, 2, 4]]), gives=f32([[1, 3, 3, 4]]), kernel_shape=[2], auto_pad="SAME_LOWER"),
    case("MaxPool", f32([[1, 3, 2, 4]]), gives=f32([[1, 3, 3, 4, 4]]), kernel_shape=[2], pads=[1, 1]),
    case("MaxPool", f32([[1, 3, 2, 4]]), gives=f32([[3, 3, 4, 4]]), kernel_shape=[2], pads=[0, 1]),
    case("AveragePool", f32([[2, 4, 6]]), gives=f32([[2, 3, 5]]), kernel_shape=[2], auto_pad="SAME_LOWER"),
    case("Pad", f32([1, 2, 3]), i64(0, -1, 0, 2), gives=f32([2, 3, 0, 0])),
    case("Resize", f32([[1, 2, 3]]), None, None, i64(1, 1, 5), gives=f32([[1, 1, 2, 2, 3]]),
         coordinate_transformation_mode="align_corners", nearest_mode="round_prefer_floor", opset=19),
    case("MatMul", np.asarray([[3.0]], np.float64), np.asarray([[0.5]], np.float64), gives=np.asarray([[1.5]])),
]  # fmt: skip


def model(one: Case) -> Any:
    """The node of constants alone, and an input that is passed through, as a network has to have one."""
    names = ["" if operand is None else f"c{place}" for place, operand in enumerate(one.operands)]
    node = helper.make_node(one.operator, names, ["y"], name="node", **one.attributes)
    nodes, kind = [node], helper.np_dtype_to_tensor_dtype(one.expected.dtype)
    nodes.append(helper.make_node("Identity", ["x"], ["z"]))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [
            helper.make_tensor_value_info("y", kind, one.expected.shape),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]),
        ],
        [
            numpy_helper.from_array(np.asarray(operand), name)
            for name, operand in zip(names, one.operands, strict=True)
            if operand is not None
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", one.opset)], ir_version=10)


def folded(one: Case) -> np.ndarray:
    """What becomes of the node, in its own type."""
    from netsurgery.graph.from_onnx.call import known
    from netsurgery.graph.from_onnx.folding import folded
    from netsurgery.runtime.reference import run_node

    operands = [None if operand is None else known(np.asarray(operand), "c") for operand in one.operands]
    (result,) = folded(model(one).graph.node[0], operands, one.opset, [True], run_node)
    assert result is not None
    return result


@each_case("one", CASES, ids=str)
def test_a_node_of_constants_gives_what_is_worked_out_by_hand(one: Case) -> None:
    onnx.checker.check_model(model(one), full_check=True)
    result = folded(one)
    assert (result.dtype, result.shape) == (one.expected.dtype, one.expected.shape)
    np.testing.assert_allclose(result, one.expected, rtol=1e-6, atol=1e-7)


@each_case("one", CASES, ids=str)
def test_onnx_runtime_has_the_same_numbers(one: Case) -> None:
    wanted = onnx_runtime_outputs(model(one), {"x": f32(1)})[0]
    np.testing.assert_allclose(one.expected.astype(np.float32), wanted, rtol=1e-6, atol=1e-7)


@each_case("one", [one for one in CASES if one.expected.dtype == np.float32 and one.expected.size], ids=str)
def test_a_network_that_gives_it_back_is_read_with_it(one: Case) -> None:
    graph = read_onnx(model(one))
    np.testing.assert_allclose(run(graph, {"x": f32(1)})[0], one.expected, rtol=1e-6, atol=1e-7)
    assert [made.operator for made in graph.nodes] == ["Reshape"]  # the input, passed through


SPLITS = [
    ({"axis": 1}, None, 11, [[[0, 1]], [[2, 3]]]),
    ({"axis": 1, "split": [1, 2]}, None, 11, [[[0]], [[1, 2]]]),
    ({"axis": -1}, [1, 2], 13, [[[0]], [[1, 2]]]),
    ({"axis": 1, "num_outputs": 2}, None, 18, [[[0, 1]], [[2]]]),
]


@pytest.mark.parametrize(("attributes", "sizes", "opset", "expected"), SPLITS)
def test_a_constant_is_split_into_parts_as_given_or_equal_ones(
    attributes: dict[str, Any], sizes: list[int] | None, opset: int, expected: list[Any]
) -> None:
    count = sum(len(part[0]) for part in expected)
    constants = {"c": f32(list(range(count))), **({} if sizes is None else {"sizes": i64(*sizes)})}
    nodes = [
        helper.make_node("Split", list(constants), ["a", "b"], **attributes),
        helper.make_node("Abs", ["x"], ["y"]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("a", "b", "y")]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    results = run(read_onnx(made), {"x": f32(1)})
    assert [result.tolist() for result in results[:2]] == expected


def test_every_operator_of_the_table_has_a_case() -> None:
    assert {one.operator for one in CASES} | {"Split"} >= set(FOLDERS)


REFUSED = [
    (case("Div", i64(1), i64(0), gives=i64(0)), "divides whole numbers by zero"),
    (case("Mod", i64(1), i64(0), gives=i64(0)), "divides whole numbers by zero"),
    (case("Pow", i64(2), i64(-1), gives=i64(0)), "powers below zero"),
    (case("Gather", i64(1, 2), i64(2), gives=i64(0)), "picks entries beyond the 2 that there are"),
    (case("ScatterND", f32(1), i64([0]), f32(2), gives=f32(0), reduction="add"), "constants take 'none' only"),
    (case("QuantizeLinear", f32(3), f32(2).reshape(()), gives=u8(2), opset=21, output_dtype=TensorProto.UINT4),
     "quantises a constant to uint4"),
    (case("Optional", f32([[1]]), gives=f32(1)), "Optional reads constants only, but is not among the operators"),
    (case("Range", i64(1).reshape(()), i64(2).reshape(()), i64(0).reshape(()), gives=i64(1)), "a step of zero"),
    (case("ReduceSum", GRID, gives=GRID, noop_with_empty_axes=1), "reduces over no axis"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "message"), REFUSED, ids=str)
def test_what_can_not_be_computed_beforehand_is_refused_in_words(one: Case, message: str) -> None:
    made = model(one)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    made.graph.output[0].type.tensor_type.shape.SetInParent()
    with pytest.raises(CaptureError, match=re.escape(message)):
        read_onnx(made)


def test_floats_beyond_whole_numbers_are_cast_as_when_a_network_runs() -> None:
    x = f32(INF, -INF, NAN, 3e9, -3e9, 2.0**31, -(2.0**31), 1e30)
    for name, code in (("int32", TensorProto.INT32), ("int64", TensorProto.INT64)):
        found = folded(case("Cast", x, gives=x, to=code))
        np.testing.assert_array_equal(found, run_node(node("Cast", ["x"], "y", type=name), [x]))
