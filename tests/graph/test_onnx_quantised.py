"""Quantised ONNX models as models of floats: QDQ, ONNX Runtime's operators, and what is quantised while it runs."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
quantization = pytest.importorskip("onnxruntime.quantization")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs  # noqa: E402

import netsurgery as ns  # noqa: E402
from netsurgery.errors import UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.from_onnx import read_model  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402

RANDOM = np.random.default_rng(9)


def network():
    """Convolution, ReLU, pool, residual sum, and a linear layer."""

    def weight(*shape):
        return (RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    nodes = [
        ("Conv", ["x", "k1", "b1"], ["c1"], {"pads": [1] * 4}),
        ("Relu", ["c1"], ["r1"]),
        ("Conv", ["r1", "k2", "b1"], ["c2"], {"pads": [1] * 4, "group": 2}),
        ("Add", ["c2", "r1"], ["s"]),
        ("MaxPool", ["s"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Flatten", ["p"], ["f"]),
        ("Gemm", ["f", "w", "b2"], ["y"], {"transB": 1}),
    ]
    constants = {"k1": weight(8, 3, 3, 3), "b1": weight(8, 4)[:, 0], "k2": weight(8, 4, 3, 3), "w": weight(5, 72),
                 "b2": weight(5, 4)[:, 0]}  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


class Pictures(quantization.CalibrationDataReader):
    def __init__(self):
        self._left = [{"x": RANDOM.standard_normal((4, 3, 6, 6)).astype(np.float32)} for _ in range(4)]

    def get_next(self):
        return self._left.pop() if self._left else None


STATIC = {
    "QDQ": {"quant_format": quantization.QuantFormat.QDQ},
    "QDQ, per channel": {"quant_format": quantization.QuantFormat.QDQ, "per_channel": True},
    "QDQ, signed": {"quant_format": quantization.QuantFormat.QDQ, "activation_type": quantization.QuantType.QInt8},
    "operators": {"quant_format": quantization.QuantFormat.QOperator},
    "operators, per channel": {"quant_format": quantization.QuantFormat.QOperator, "per_channel": True},
}


def quantised(folder, kind):
    source, target = folder / "float.onnx", folder / "quantised.onnx"
    onnx.save(network(), source)
    if kind == "dynamic":
        quantization.quantize_dynamic(source, target, op_types_to_quantize=["MatMul", "Gemm", "Conv"])
    else:
        quantization.quantize_static(source, target, Pictures(), **STATIC[kind])
    return source, target


@pytest.mark.parametrize("kind", [*STATIC, "dynamic"])
def test_a_quantised_model_computes_what_it_means_and_nearly_what_it_gives(tmp_path, kind):
    source, target = quantised(tmp_path, kind)
    found = read_model(target, run_node)
    assert any("quantised" in remark for remark in found.remarks)
    x = RANDOM.standard_normal((3, 3, 6, 6)).astype(np.float32)
    (mine,) = run(found.graph, {"x": x})
    (meant,) = onnx_runtime_outputs(found.as_read, {"x": x})
    (rounded,) = onnx_runtime_outputs(target, {"x": x})
    (whole,) = onnx_runtime_outputs(source, {"x": x})
    largest = np.abs(whole).max()
    np.testing.assert_allclose(mine, meant, rtol=0, atol=1e-5 * largest)
    assert np.abs(mine - rounded).max() < 0.05 * largest
    assert np.abs(mine - whole).max() <= np.abs(rounded - whole).max() + 0.02 * largest


@pytest.mark.parametrize("kind", ["QDQ", "QDQ, per channel", "dynamic"])
def test_a_quantised_model_packs_and_its_weights_are_what_they_stand_for(tmp_path, kind):
    _, target = quantised(tmp_path, kind)
    report = ns.pack(target, tmp_path / "model.nsm")
    assert "of the model in float32" in report.compared_with
    assert "not rounded here as there" in str(report)
    values = {name: weights.values for name, weights in ns.load(tmp_path / "model.nsm").graph.constants.items()}
    matrices = [one.reshape(len(one), -1) for one in values.values() if one.ndim > 1]
    assert all(len(np.unique(row)) <= 256 for matrix in matrices for row in matrix)


def one_node(operator, inputs, outputs, constants, domain="", kind=TensorProto.UINT8, **attributes):
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, outputs, domain=domain, **attributes)],
        "test",
        [helper.make_tensor_value_info("x", kind, ["N", 4])],
        [helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid("", 13)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def test_bounds_stay_where_a_relu_was_left_to_them():
    """With zero as the least whole number nothing below 0 is had: the ReLU before it may have been left out."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    model = one_node("Relu", ["x"], ["y"], {"s": np.float32(0.5), "z": np.uint8(0)}, kind=TensorProto.FLOAT)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    found = read_model(model, run_node)
    x = np.float32([[-3, 1.125, 4.0, 1000]])
    assert run(found.graph, {"x": x})[0].tolist() == [[0, 1.125, 4.0, 127.5]]


def test_whole_numbers_that_the_caller_gives_are_made_floats():
    model = one_node("DequantizeLinear", ["x", "s", "z"], ["y"], {"s": np.float32(0.5), "z": np.uint8(3)})
    found = read_model(model, run_node)
    assert run(found.graph, {"x": np.float32([[0, 3, 4, 255]])})[0].tolist() == [[-1.5, 0, 0.5, 126]]


def test_rows_of_a_quantised_table_are_rows_of_what_it_means():
    table = RANDOM.integers(0, 256, (7, 4)).astype(np.uint8)
    nodes = [
        helper.make_node("Gather", ["t", "x"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    constants = {"t": table, "s": np.float32(0.25), "z": np.uint8(100)}
    model = one_node("Relu", ["x"], ["y"], constants, kind=TensorProto.INT64)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    ids = np.int64([[0, 6, 2, 3]])
    (found,) = run(read_model(model, run_node).graph, {"x": ids})
    assert np.array_equal(found, (table[ids].astype(np.float32) - 100) / 4)


def of_nodes(nodes, constants, kind=TensorProto.FLOAT, outputs=("y",)):
    model = one_node("Relu", ["x"], ["y"], constants, kind=kind)
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(helper.make_node(operator, *rest[:2], **dict(rest[2:])) for operator, *rest in nodes)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs)
    return model


def test_rows_of_a_quantised_table_may_be_moved_before_they_are_made_floats():
    table = RANDOM.integers(0, 256, (7, 4)).astype(np.uint8)
    nodes = [
        ("Gather", ["t", "x"], ["q"]),
        ("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ("Transpose", ["q"], ["turned"], ("perm", [1, 0, 2])),
        ("DequantizeLinear", ["turned", "s", "z"], ["other"]),
    ]
    constants = {"t": table, "s": np.float32(0.25), "z": np.uint8(100)}
    ids = np.int64([[0, 6, 2, 3]])
    found = run(read_model(of_nodes(nodes, constants, TensorProto.INT64, ("y", "other")), run_node).graph, {"x": ids})
    wanted = (table[ids].astype(np.float32) - 100) / 4
    assert np.array_equal(found[0], wanted)
    assert np.array_equal(found[1], wanted.swapaxes(0, 1))


def test_rows_of_which_whole_numbers_are_used_stay_whole():
    nodes = [
        ("Gather", ["t", "x"], ["q"]),
        ("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ("Cast", ["q"], ["whole"], ("to", TensorProto.INT64)),
        ("Cast", ["whole"], ["other"], ("to", TensorProto.FLOAT)),
    ]
    constants = {"t": RANDOM.integers(0, 256, (7, 4)).astype(np.uint8), "s": np.float32(0.25), "z": np.uint8(100)}
    with pytest.raises(UnsupportedOperatorError, match="a constant of uint8"):
        read_model(of_nodes(nodes, constants, TensorProto.INT64, ("y", "other")), run_node)


def test_a_bias_in_steps_that_the_model_measures_is_not_rounded():
    """ONNX Runtime's quantiser divides a bias by the steps of x and w, rounds it and adds it to whole sums."""
    # ONNX Runtime adds pairs of products in 16 bits where a processor has no VNNI: 7 bits of a weight don't overflow.
    weight, bias = RANDOM.integers(-63, 64, (4, 3)).astype(np.int8), np.float32([0.3, -7.7, 100.0])
    nodes = [
        ("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        ("Mul", ["s", "ws"], ["steps"]),
        ("Div", ["bias", "steps"], ["counted"]),
        ("Floor", ["counted"], ["rounded"]),
        ("Cast", ["rounded"], ["whole"], ("to", TensorProto.INT32)),
        ("MatMulInteger", ["q", "w", "z"], ["sums"]),
        ("Add", ["sums", "whole"], ["moved"]),
        ("Cast", ["moved"], ["floats"], ("to", TensorProto.FLOAT)),
        ("Mul", ["floats", "steps"], ["y"]),
    ]
    model = of_nodes(nodes, {"w": weight, "ws": np.float32(0.25), "bias": bias})
    found, x = read_model(model, run_node), RANDOM.standard_normal((5, 4)).astype(np.float32)
    (mine,) = run(found.graph, {"x": x})
    np.testing.assert_allclose(mine, x @ (weight.astype(np.float32) / 4) + bias, rtol=1e-5, atol=1e-4)
    assert np.abs(mine - onnx_runtime_outputs(model, {"x": x})[0]).max() < 0.05 * np.abs(mine).max()


def test_what_a_quantised_value_decides_is_no_float():
    """The place of the largest entry is a whole number, whatever the entries were."""
    nodes = [
        ("QuantizeLinear", ["x", "s", "z"], ["q"]),
        ("DequantizeLinear", ["q", "s", "z"], ["d"]),
        ("MatMulInteger", ["q", "w"], ["sums"]),
        ("ArgMax", ["sums"], ["best"], ("axis", 1)),
        ("Cast", ["best"], ["y"], ("to", TensorProto.FLOAT)),
    ]
    model = of_nodes(nodes, {"s": np.float32(0.25), "z": np.uint8(0), "w": np.eye(4, dtype=np.int8)[::-1].copy()})
    model.graph.output[0].name = "best"
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    found = read_model(model, run_node)
    assert run(found.graph, {"x": np.float32([[1, 3, 2, 0]])})[0].tolist() == [[2]]
    assert onnx_runtime_outputs(found.as_read, {"x": np.float32([[1, 3, 2, 0]])})[0].tolist() == [[2]]


def test_rows_of_a_quantised_table_are_real_for_operators_that_quantise_too():
    table = RANDOM.integers(0, 256, (7, 4)).astype(np.uint8)
    of_microsoft = ("domain", "com.microsoft")
    nodes = [
        ("Gather", ["t", "x"], ["q"]),
        ("QLinearAdd", ["q", "s", "z", "b", "s", "z", "s2", "z"], ["sum"], of_microsoft),
        ("DequantizeLinear", ["sum", "s2", "z"], ["y"]),
    ]
    constants = {"t": table, "s": np.float32(0.25), "z": np.uint8(100), "s2": np.float32(0.5), "b": table[0]}
    model = of_nodes(nodes, constants, TensorProto.INT64)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    ids = np.int64([[0, 6, 2, 3]])
    (found,) = run(read_model(model, run_node).graph, {"x": ids})
    meant = (table.astype(np.float32) - 100) / 4
    assert np.array_equal(found, np.clip(meant[ids] + meant[0], -50, 77.5))
    assert np.abs(found - onnx_runtime_outputs(model, {"x": ids})[0]).max() <= 0.25


def test_a_constant_that_the_model_quantises_is_what_it_means():
    of_microsoft = ("domain", "com.microsoft")
    nodes = [
        ("QuantizeLinear", ["c", "s", "z"], ["qc"]),
        ("QuantizeLinear", ["x", "s", "z"], ["q"]),
        ("QLinearMul", ["q", "s", "z", "qc", "s", "z", "s2", "z"], ["product"], of_microsoft),
        ("DequantizeLinear", ["product", "s2", "z"], ["y"]),
    ]
    model = of_nodes(nodes, {"c": np.float32(3.1), "s": np.float32(0.25), "z": np.uint8(0), "s2": np.float32(1)})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    x = np.float32([[-1, 0.5, 2, 100]])
    assert run(read_model(model, run_node).graph, {"x": x})[0].tolist() == [[0, 1.5, 6, 63.75 * 3]]


def test_a_quantised_constant_may_be_moved_before_an_operator_takes_it():
    nodes = [
        ("QuantizeLinear", ["x", "s", "z"], ["q"]),
        ("Transpose", ["k"], ["turned"]),
        ("QLinearAdd", ["q", "s", "z", "turned", "s", "z", "s2", "z"], ["sum"], ("domain", "com.microsoft")),
        ("DequantizeLinear", ["sum", "s2", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.25), "z": np.uint8(0), "s2": np.float32(0.5), "k": np.uint8([[1], [2], [3], [4]])}
    model = of_nodes(nodes, constants)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    x = np.float32([[0, 0.5, 2, 3]])
    assert run(read_model(model, run_node).graph, {"x": x})[0].tolist() == [[0.25, 1, 2.75, 4]]


def test_entries_of_quantised_values_are_chosen_by_what_decides_there():
    nodes = [
        ("Greater", ["x", "zero"], ["c"]),
        ("QuantizeLinear", ["x", "s", "z"], ["q"]),
        ("QLinearWhere", ["c", "q", "s", "z", "k", "s", "z", "s2", "z"], ["chosen"], ("domain", "com.microsoft")),
        ("DequantizeLinear", ["chosen", "s2", "z"], ["y"]),
    ]
    constants = {"zero": np.float32(0), "s": np.float32(0.25), "z": np.uint8(0), "s2": np.float32(0.5)}
    model = of_nodes(nodes, {**constants, "k": np.uint8([[1, 2, 3, 4]])})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    x = np.float32([[-1, 0.5, -2, 100]])
    (found,) = run(read_model(model, run_node).graph, {"x": x})
    assert found.tolist() == [[0.25, 0.5, 0.75, 63.75]]
    assert np.abs(found - onnx_runtime_outputs(model, {"x": x})[0]).max() <= 0.25


def test_a_quantised_convolution_may_have_its_channels_last():
    """As ONNX Runtime's optimiser writes it; its weights stand as in ONNX."""
    whole = RANDOM.integers(-128, 128, (2, 3, 2, 2)).astype(np.int8)
    names = ["q", "s", "z", "w", "s", "zw", "s2", "z"]
    nodes = [
        ("QuantizeLinear", ["x", "s", "z"], ["q"]),
        ("QLinearConv", names, ["c"], ("domain", "com.microsoft"), ("channels_last", 1)),
        ("DequantizeLinear", ["c", "s2", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.0625), "z": np.uint8(128), "zw": np.int8(0), "s2": np.float32(1), "w": whole}
    model = of_nodes(nodes, constants)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5, 4, 3]))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    x = RANDOM.standard_normal((2, 5, 4, 3)).astype(np.float32)
    (found,), (wanted,) = run(read_model(model, run_node).graph, {"x": x}), onnx_runtime_outputs(model, {"x": x})
    assert found.shape == wanted.shape == (2, 4, 3, 2)
    assert np.abs(found - wanted).max() <= 2


@pytest.mark.parametrize(
    ("operator", "settings"),
    [
        ("QLinearGlobalAveragePool", ()),
        ("QLinearAveragePool", (("kernel_shape", [2, 2]), ("strides", [2, 1]))),
    ],
)
def test_a_quantised_pool_may_have_its_channels_last(operator, settings):
    nodes = [
        ("QuantizeLinear", ["x", "s", "z"], ["q"]),
        (operator, ["q", "s", "z", "s", "z"], ["p"], ("domain", "com.microsoft"), ("channels_last", 1), *settings),
        ("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    model = of_nodes(nodes, {"s": np.float32(0.0625), "z": np.uint8(128)})
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5, 4, 3]))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    x = RANDOM.standard_normal((2, 5, 4, 3)).astype(np.float32)
    (found,), (wanted,) = run(read_model(model, run_node).graph, {"x": x}), onnx_runtime_outputs(model, {"x": x})
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 0.0625


def test_a_product_by_codes_does_not_round_what_it_is_given():
    """accuracy_level 4, with which models of language are written, has ONNX Runtime round it to 8 bits."""
    codes, scales = RANDOM.integers(0, 256, (3, 1, 16)).astype(np.uint8), np.float32([0.5, 0.25, 1])
    given = (("domain", "com.microsoft"), ("K", 32), ("N", 3), ("bits", 4), ("block_size", 32))
    models = [
        of_nodes([("MatMulNBits", ["x", "w", "s"], ["y"], *given, *more)], {"w": codes, "s": scales})
        for more in ((), (("accuracy_level", 4),))
    ]
    for model in models:
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32]))
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    x = RANDOM.standard_normal((4, 32)).astype(np.float32)
    plain, rounding = (read_model(model, run_node) for model in models)
    assert not plain.remarks
    assert plain.as_read is None
    assert "quantised" in rounding.remarks[0]
    wanted = onnx_runtime_outputs(models[0], {"x": x})[0]
    for made in (run(plain.graph, {"x": x})[0], onnx_runtime_outputs(rounding.as_read, {"x": x})[0]):
        np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4)


def test_whole_numbers_of_two_constants_are_multiplied_as_they_are():
    """As of the table of places of DeBERTa, which dynamic quantisation finds among the constants."""
    a, b = RANDOM.integers(0, 256, (4, 5)).astype(np.uint8), RANDOM.integers(-128, 128, (5, 3)).astype(np.int8)
    nodes = [
        ("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        ("MatMulInteger", ["q", "w", "z"], ["own"]),
        ("Cast", ["own"], ["real"], ("to", TensorProto.FLOAT)),
        ("Mul", ["real", "s"], ["scaled"]),
        ("MatMulInteger", ["a", "b", "za"], ["sums"]),
        ("Cast", ["sums"], ["floats"], ("to", TensorProto.FLOAT)),
        ("MatMul", ["scaled", "floats"], ["y"]),
    ]
    constants = {"a": a, "b": b, "za": np.uint8(7), "w": np.eye(4, dtype=np.int8)}
    model, x = of_nodes(nodes, constants), np.eye(4, dtype=np.float32)
    (found,) = run(read_model(model, run_node).graph, {"x": x})
    assert np.array_equal(found, (a.astype(np.float32) - 7) @ b.astype(np.float32))


@pytest.mark.parametrize("read_too", [False, True])
def test_rows_of_a_quantised_table_are_multiplied_as_they_are(read_too):
    """Dynamic quantisation hands an embedding on to the layer behind it as bytes, which others may read as floats."""
    table, w = RANDOM.integers(0, 256, (7, 4)).astype(np.uint8), RANDOM.integers(-128, 128, (4, 3)).astype(np.int8)
    nodes = [
        ("Gather", ["t", "x"], ["q"]),
        ("Reshape", ["q", "shape"], ["rows"]),
        ("MatMulInteger", ["rows", "w", "z"], ["sums"]),
        ("Cast", ["sums"], ["floats"], ("to", TensorProto.FLOAT)),
        ("Mul", ["s", "v"], ["both"]),
        ("Mul", ["floats", "both"], ["y"]),
        ("DequantizeLinear", ["q", "s", "z"], ["read"]),
    ]
    constants = {"t": table, "w": w, "s": np.float32(0.25), "v": np.float32(0.5), "z": np.uint8(100)}
    constants["shape"] = np.array([2, 2, 4])
    outputs = ("y", "read") if read_too else ("y",)
    ids = np.int64([[0, 6, 2, 3]])
    model = of_nodes(nodes[: 6 + read_too], constants, TensorProto.INT64, outputs)
    found = run(read_model(model, run_node).graph, {"x": ids})
    counted = table[ids].astype(np.float32) - 100
    assert np.array_equal(found[0], counted.reshape(2, 2, 4) @ w.astype(np.float32) / 8)
    if read_too:
        assert np.array_equal(found[1], counted / 4)


def test_a_step_that_overflowed_bounds_nothing():
    """Symmetric quantisation of a mask of the lowest numbers: twice their range is no float32."""
    nodes = [("QuantizeLinear", ["x", "s", "z"], ["q"]), ("DequantizeLinear", ["q", "s", "z"], ["y"])]
    model = of_nodes(nodes, {"s": np.float32(np.inf), "z": np.int8(0)})
    x = np.float32([[0, -1, 3, np.finfo(np.float32).min]])
    assert np.array_equal(run(read_model(model, run_node).graph, {"x": x})[0], x)


def test_quantised_attention_and_embedding_are_those_of_floats():
    def quantised(array):
        steps = float(np.abs(array).max() / 127)
        return np.rint(array / steps).astype(np.int8), np.float32(steps), np.int8(0)

    def floats(*shape):
        return RANDOM.standard_normal(shape).astype(np.float32)

    arrays = {"words": floats(9, 8), "places": floats(7, 8), "g": floats(8), "b": floats(8), "w": floats(8, 24)}
    whole = {name: quantised(array) for name, array in arrays.items()}
    ids = np.int32([[0, 6, 2, 3], [1, 1, 8, 7]])
    tables = ["words", "places", "", "g", "b"]
    scales, zeros = ([f"{one}.{what}" if one else "" for one in tables] for what in "sz")
    nodes = [
        ("QEmbedLayerNormalization", ["x", "", *tables, "", *scales, *zeros], ["e", "unread"]),
        ("DynamicQuantizeLinear", ["e"], ["q", "s", "z"]),
        ("QAttention", ["q", "w", "bias", "s", "w.s", "", "z", "w.z"], ["y"], ("num_heads", 2)),
    ]
    constants = {"bias": floats(24)}
    for name, (array, scale, zero) in whole.items():
        constants |= {name: array, f"{name}.s": scale, f"{name}.z": zero}
    model = of_nodes(nodes, constants, TensorProto.INT32)
    for node in model.graph.node:
        node.domain = "" if node.op_type == "DynamicQuantizeLinear" else "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    real = {name: array.astype(np.float32) * scale for name, (array, scale, _) in whole.items()}
    plain = of_nodes(
        [
            ("EmbedLayerNormalization", ["x", "", "words", "places", "", "g", "b"], ["e", "unread"]),
            ("Attention", ["e", "w", "bias"], ["y"], ("num_heads", 2)),
        ],
        {**real, "bias": constants["bias"]},
        TensorProto.INT32,
    )
    for node in plain.graph.node:
        node.domain = "com.microsoft"
    plain.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    (found,), (wanted,) = run(read_model(model, run_node).graph, {"x": ids}), onnx_runtime_outputs(plain, {"x": ids})
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    rounded = onnx_runtime_outputs(model, {"x": ids})[0]
    assert np.abs(found - rounded).max() < 0.05 * np.abs(wanted).max()


def test_quantised_attention_of_onnxs_own_operator_is_refused():
    """ONNX Runtime's dynamic quantisation takes ONNX's Attention for its own, and doesn't load what it writes."""
    nodes = [
        ("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        ("QAttention", ["q", "q", "x", "s", "s", "", "z", "z"], ["y"], ("domain", "com.microsoft"), ("num_heads", 2)),
    ]
    model = of_nodes(nodes, {})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UnsupportedOperatorError, match="weights that are computed"):
        read_model(model, run_node)


def test_a_scale_that_is_computed_is_refused():
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["s"], keepdims=0),
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
    ]
    model = one_node("Relu", ["x"], ["y"], {}, kind=TensorProto.FLOAT)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with pytest.raises(UnsupportedOperatorError, match="QuantizeLinear 'q' takes 's', which isn't a constant"):
        read_model(model, run_node)
