"""ONNX's own node tests, for every ONNX operator that is translated."""

import warnings
from fnmatch import fnmatchcase
from functools import cache
from inspect import signature

import numpy as np
import pytest
from tests.each_case import each_case

onnx = pytest.importorskip("onnx")
node_cases = pytest.importorskip("onnx.backend.test.case.node")

from onnx import inliner  # noqa: E402
from tests.graph.onnx_reading import read_onnx  # noqa: E402

from netsurgery.deployment.dense_runtime import asked  # noqa: E402
from netsurgery.errors import CaptureError, UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.from_onnx import OLDEST_OPSET  # noqa: E402
from netsurgery.graph.from_onnx.call import known  # noqa: E402
from netsurgery.graph.from_onnx.folding import FOLDABLE, folded  # noqa: E402
from netsurgery.graph.from_onnx.operators import TRANSLATIONS  # noqa: E402
from netsurgery.graph.from_onnx.rewriting.old_operators import NEWEST_REWRITTEN  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402

FEWEST = 300
"""So many runs at least; fewer would mean that cases are no longer found."""

COMPUTED = {
    **dict.fromkeys(("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Gather", "GatherElements"), 2),
    **dict.fromkeys(("GatherND", "MatMul", "Add", "Sub", "Mul", "Div", "Mod", "PRelu"), 2),
    **dict.fromkeys(("Where", "ScatterElements", "ScatterND", "Gemm"), 3),
    "Attention": 7,
    "MaxUnpool": 2,
    "NonMaxSuppression": 2,
    **dict.fromkeys(("RoiAlign", "GridSample"), 3),
    **dict.fromkeys(("Concat", "Sum", "Max", "Min", "Mean"), 99),
}
"""How many operands of an operator may be computed, where it isn't only the first; the others are frozen."""

FIRST_OUTPUT_ONLY = ("LayerNormalization", "Dropout")
"""Their other outputs aren't asked for: netsurgery doesn't give them."""

UNROUNDED = ("test_cast*_FLOAT_to_FLOAT16*", "test_cast*_FLOAT_to_BFLOAT16*")
"""Half floats in between are float32, so that nothing is rounded."""

SKIPPED = {
    "test_*_int8*": "whole numbers of 8 bits",
    "test_*_int16*": "whole numbers of 16 bits",
    "test_[!p]*_uint*": "whole numbers without a sign",
    "test_bitwise_[aox]*": "bits of two tensors",
    "test_bitwise_not_[34]d": "whole numbers without a sign",
    "test_equal_string*": "text",
    "test_shape_start_greater_than_end": "an empty tensor",
    "test_cast*_to_FLOAT[48]*": "gives another type than float32",
    "test_cast*_to_[IU]*": "gives another type than float32",
    "test_cast*_FLOAT[48]*_to_*": "takes another type than float32",
    "test_cast*_[IU]*_to_*": "takes another type than float32",
    "test_batchnorm_*_training_mode": "training mode",
    "test_training_dropout*": "training mode",
    "test_identity_sequence": "not a tensor",
    "test_identity_opt": "not a tensor",
    "test_sequence_insert_*": "not a tensor",
    "test_split_to_sequence_*": "not a tensor",
    "test_reduce_*_empty_set*": "an empty tensor",
    "test_reduce_m*_bool_inputs": "takes another type than float32",
    "test_reshape_allowzero_reordered": "an empty tensor",
    "test_slice_start_out_of_bounds": "an empty tensor",
    "test_split_zero_size_splits_*": "an empty tensor",
    "test_causal_conv_with_state_kernel_size_one_expanded": "an empty tensor",
    "test_tri[lu]_zero": "an empty tensor",
    "test_maxunpool_export_with_output_shape": "indices that count otherwise in ONNX Runtime",
    "test_constantofshape_*": "a size that is computed as the network runs",
    "test_range_*": "a size that is computed as the network runs",
    "test_h*window*_expanded": "a size that is computed as the network runs",
    "test_blackmanwindow*_expanded": "a size that is computed as the network runs",
}
"""Pattern of names -> why such cases can't run."""

COARSE = {
    "*_bf16_*": 2.0**-6,
    "*_bf16": 2.0**-6,
    "*_fp16_*": 2.0**-9,
    "*_fp16": 2.0**-9,
    "*BFLOAT16*": 2.0**-8,
    "*bfloat16*": 2.0**-7,
    "*FLOAT16*": 2.0**-10,
    "*float16*": 2.0**-9,
}
"""Pattern of names -> what other floats round by, a share of each number, and float32 does not."""


CANCELLING = ("test_dft*", "test_stft*")
"""Sums of large numbers that are next to nothing: off by a share of the largest one."""


@cache
def everything():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generators of other operators' cases divide by zero
        return node_cases.collect_testcases(None)


@cache
def cases():
    """Those whose nodes are all translated, or, in the expansion of Gelu, known before the network runs."""
    return {
        case.name: case
        for case in everything()
        if not any(fnmatchcase(case.name, pattern) for pattern in UNROUNDED)
        and (operators := {node.op_type for node in case.model.graph.node}) & set(TRANSLATIONS)
        and operators <= {*TRANSLATIONS, "Constant"} | ({"Sqrt"} if "gelu" in case.name else set())
    }


OTHERWISE = ("test_resize_downsample_scales_linear_align_corners", "test_resize_downsample_scales_cubic_align_corners")
"""ONNX's numbers follow from a size that isn't whole; here, in torch and in ONNX Runtime corners meet corners."""


def skipped(name):
    return [pattern for pattern in SKIPPED if fnmatchcase(name, pattern)]


def runs():
    """Case, and how many of its inputs are computed: one, and, where more may be, all of those too."""
    for name, case in cases().items():
        if not skipped(name) and name not in OTHERWISE:
            most = min(COMPUTED.get(case.model.graph.node[0].op_type, 1), len(case.model.graph.input))
            if name.endswith("_expanded"):
                most = 1
            yield from ((name, count) for count in sorted({1, most}))


def array(data):
    if isinstance(data, list):
        return [array(one) for one in data]
    return onnx.numpy_helper.to_array(data) if isinstance(data, onnx.TensorProto) else np.asarray(data)


def prepared(name, computed):
    """The case's model with all inputs but the first frozen; arrays of those inputs; expected outputs."""
    case = cases().get(name) or taken_apart()[name]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.ir_version = max(model.ir_version, 4)  # initialisers need not be inputs
    for entry in model.opset_import:
        entry.version = entry.version if entry.domain else max(entry.version, OLDEST_OPSET)
    given, expected = ([array(data) for data in side] for side in case.data_sets[0])
    inputs = list(model.graph.input)
    for value, data in list(zip(inputs, given, strict=True))[computed:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(data, value.name))
        model.graph.input.remove(value)
    if model.graph.node[0].op_type in FIRST_OUTPUT_ONLY:
        del model.graph.output[1:], expected[1:]
    fed = {value.name: data for value, data in zip(inputs[:computed], given, strict=False)}
    return model, {name: as_read(data) for name, data in fed.items()}, expected


def as_read(data):
    """Other floats as netsurgery takes them."""
    return data.astype(np.float32) if data.dtype.kind == "f" or data.dtype.name == "bfloat16" else data


def rtol_of(name, case):
    return max([case.rtol, *(coarse for pattern, coarse in COARSE.items() if fnmatchcase(name, pattern))])


def assert_as_onnx_says(name, results, expected):
    case = cases().get(name) or taken_apart()[name]
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert result.shape == wanted.shape
        if result.dtype != np.float32:
            assert result.dtype == wanted.dtype
            np.testing.assert_array_equal(result, wanted)
            continue
        rtol = rtol_of(name, case)
        if np.asarray(wanted).dtype.kind in "bi":
            np.testing.assert_array_equal(result, wanted)
            continue
        wanted = np.asarray(wanted, np.float32)
        cancels = any(fnmatchcase(name, pattern) for pattern in CANCELLING)
        largest = max(1.0, float(np.abs(wanted).max())) if cancels else 1.0
        np.testing.assert_allclose(result, wanted, rtol=rtol, atol=max(case.atol, 1e-6 * largest))


@each_case(("name", "computed"), list(runs()))
def test_a_translated_operator_computes_what_onnx_says(name, computed):
    model, given, expected = prepared(name, computed)
    assert_as_onnx_says(name, run(read_onnx(model), given), expected)


@pytest.mark.slow  # all of them once more
def test_an_open_batch_gives_the_same_results_or_is_refused():
    same = 0
    for name, computed in runs():
        model, given, expected = prepared(name, computed)
        for value in model.graph.input:
            for size in value.type.tensor_type.shape.dim[:1]:
                size.dim_param = "batch"
        try:
            graph = read_onnx(model)
        except CaptureError:
            continue
        if not graph.axes:  # it is read with a batch of one, and says so
            continue
        assert all(value.shape[0] == "batch" for value in graph.inputs if value.shape)
        if len({data.shape[:1] for data in given.values()}) == 1:
            assert_as_onnx_says(name, run(graph, given), expected)
            same += 1
    assert same > FEWEST / 2


WITHOUT_CASES = {
    "ConcatFromSequence": "test_onnx_sequences.py",
    "GlobalLpPool": "test_onnx_pooling.py",
    "SequenceAt": "test_onnx_sequences.py",
    "SequenceConstruct": "test_onnx_sequences.py",
    "SequenceEmpty": "test_onnx_sequences.py",
    "SequenceErase": "test_onnx_sequences.py",
    "SequenceLength": "test_onnx_sequences.py",
}
"""Operators of which ONNX has no case of tensors, and where they are tested."""


def test_every_translated_operator_has_a_case():
    found = {node.op_type for case in cases().values() for node in case.model.graph.node}
    assert set(TRANSLATIONS) - found == set(WITHOUT_CASES)


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_onnx_says_otherwise_is_as_in_onnx_runtime(name):
    pytest.importorskip("onnxruntime")
    model, given, expected = prepared(name, 1)
    answer = asked(model, given)
    assert answer.outputs is not None
    with pytest.raises(AssertionError):
        assert_as_onnx_says(name, answer.outputs, expected)
    assert_as_onnx_says(name, run(read_onnx(model), given), answer.outputs)


def test_every_skip_has_a_case_and_most_cases_run():
    patterns = {pattern for name in cases() for pattern in skipped(name)}
    assert patterns == set(SKIPPED)
    assert len(list(runs())) >= FEWEST


@each_case("name", [name for name in cases() if skipped(name)])
def test_a_skipped_case_is_refused_with_a_reason(name):
    if not all(isinstance(data, np.ndarray | np.generic | onnx.TensorProto) for data in cases()[name].data_sets[0][0]):
        model = cases()[name].model
    else:
        model, _, _ = prepared(name, 1)
    with pytest.raises(CaptureError, match=r"\w{4}"):
        read_onnx(model)


# Operators that ONNX defines as graphs of others


APART = ("LinearAttention", "NegativeLogLikelihoodLoss", "RotaryEmbedding", "SwiGLU")


@cache
def taken_apart():
    """Cases of operators that aren't translated, but that onnx has a definition of."""
    return {case.name: case for case in everything() if case.model.graph.node[0].op_type in APART}


@pytest.mark.skipif(
    "inline_schema_functions" not in signature(inliner.inline_selected_functions).parameters,
    reason="this onnx can't take its own operators apart",
)
@each_case("name", taken_apart())
def test_an_operator_that_onnx_defines_by_others_computes_what_onnx_says(name):
    model, given, expected = prepared(name, 99)
    if any(not one for one in model.graph.node[0].input) and not read_at_all(model):
        pytest.skip("onnx doesn't know the type of an operand that is left out")
    assert_as_onnx_says(name, run(read_onnx(model), given), expected)


def read_at_all(model):
    try:
        read_onnx(model)
    except UnsupportedOperatorError:
        return False
    return True


# With everything known


SMALL_TYPES = "casts to a type of fewer than 8 bits or of 8 bits and floating"
NOT_FOLDED = {
    "test_maxunpool_export_with_output_shape": "indices that count otherwise in ONNX Runtime",
    "test_batchnorm_*_training_mode": "training mode",
    "test_training_dropout*": "training mode",
    "test_cast*_to_FLOAT[48]*": SMALL_TYPES,
    "test_cast*_to_INT[24]*": SMALL_TYPES,
    "test_cast*_to_UINT[24]*": SMALL_TYPES,
    "test_cast*_FLOAT_to_BFLOAT16*": "casts to bfloat16, which not every onnx has",
    "test_maxpool_2d_uint8": "whole numbers in a layer",
    "test_top_k_uint64": "whole numbers without a sign",
    "test_quantizelinear_*int[24]": "whole numbers of fewer than 8 bits",
    "test_quantizelinear_*e[2-5]m*": "floats of 8 bits or fewer",
    "test_reduce_m*_empty_set*": "the largest of nothing",
    "test_reduce_sum_empty_axes_input_noop*": "reduces nothing",
    "test_scatternd_[am]*": "a reduction",
}
"""Pattern of names -> why such cases can't be computed beforehand."""

FEWEST_FOLDED = 600


@cache
def foldable():
    """Cases of one node that can be computed beforehand, whose operands are all tensors."""
    return {
        case.name: case
        for case in everything()
        if len(case.model.graph.node) == 1
        and not case.model.graph.node[0].domain
        and case.model.graph.node[0].op_type in FOLDABLE
        and all(isinstance(data, np.ndarray | np.generic | onnx.TensorProto) for data in case.data_sets[0][0])
    }


def not_folded(name):
    return [pattern for pattern in NOT_FOLDED if fnmatchcase(name, pattern)]


def fold(case, opset=None):
    """What becomes of a case's node in this opset, by default its own; and what ONNX expects."""
    graph, (inputs, outputs) = case.model.graph, case.data_sets[0]
    arrays = {value.name: array(data) for value, data in zip(graph.input, inputs, strict=True)}
    operands = [known(arrays[name], name) if name else None for name in graph.node[0].input]
    used = [bool(name) for name in graph.node[0].output]
    results = folded(graph.node[0], operands, opset or own_opset(case), used, run_node)
    return [one for one, read in zip(results, used, strict=False) if read], [array(data) for data in outputs]


def own_opset(case):
    return max(entry.version for entry in case.model.opset_import if not entry.domain)


@each_case("name", [name for name in foldable() if not not_folded(name) and name not in OTHERWISE])
def test_a_node_of_constants_is_folded_to_what_onnx_says(name):
    results, expected = fold(foldable()[name])
    for result, wanted in zip(results, expected, strict=False):
        if result is None:
            continue
        assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype)
        rtol, atol = rtol_of(name, foldable()[name]), max(foldable()[name].atol, 1e-6)
        np.testing.assert_allclose(result.astype(np.float64), wanted.astype(np.float64), rtol=rtol, atol=atol)
    assert results[0] is not None


def test_a_node_of_constants_is_folded_to_the_same_in_every_opset_with_the_same_text():
    """The version of an operator's definition tells in which opsets a case holds."""
    same = 0
    for name, case in foldable().items():
        if not_folded(name):
            continue
        operator, own = case.model.graph.node[0].op_type, own_opset(case)
        since = onnx.defs.get_schema(operator, own).since_version
        expected, _ = fold(case)
        for opset in range(max(since, OLDEST_OPSET), onnx.defs.onnx_opset_version() + 1):
            if opset == own or onnx.defs.get_schema(operator, opset).since_version != since:
                continue
            results, _ = fold(case, opset)
            for result, wanted in zip(results, expected, strict=True):
                assert (result is None) == (wanted is None)
                assert result is None or np.array_equal(result, wanted, equal_nan=result.dtype.kind == "f"), name
            same += 1
    assert same > FEWEST_FOLDED


@each_case("name", [name for name in foldable() if not_folded(name)])
def test_a_node_of_constants_that_can_not_be_folded_is_refused_with_a_reason(name):
    with pytest.raises(UnsupportedOperatorError, match=r"\w{4}"):
        fold(foldable()[name])


def test_every_reason_has_a_case_and_most_cases_are_folded():
    assert {pattern for name in foldable() for pattern in not_folded(name)} == set(NOT_FOLDED)
    assert len([name for name in foldable() if not not_folded(name)]) >= FEWEST_FOLDED
    found = {case.model.graph.node[0].op_type for case in foldable().values()}
    assert found >= set(FOLDABLE) - {"Constant", *WITHOUT_CASES}


# In every opset


LATEST_RUNTIME_OPSET = 20
"""Beyond it, definitions are compared by what the newest says; ONNX Runtime follows a release or two later."""


def restamped(name, opset):
    """A case's model said to be of another opset; None if the checker or ONNX Runtime doesn't have it so."""
    model, given, _ = prepared(name, 1)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", opset))
    model.ir_version = min(model.ir_version, 9)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return None
    answer = asked(model, given)
    return None if answer.outputs is None else (model, given, answer.outputs)


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, LATEST_RUNTIME_OPSET + 1))
def test_a_model_of_any_opset_computes_what_onnx_runtime_makes_of_it(opset):
    """Where a text has changed its meaning from one opset to another, ONNX Runtime and the reader both have to know."""
    pytest.importorskip("onnxruntime")
    same = 0
    for name in dict(runs()):
        if (found := restamped(name, opset)) is None:
            continue
        model, given, expected = found
        assert_as_onnx_says(name, run(read_onnx(model), given), expected)
        same += 1
    assert same > FEWEST / (2 if opset >= NEWEST_REWRITTEN else 3)
