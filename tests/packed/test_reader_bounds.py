"""The work of reading is bounded: a small file can't ask for hours or for all memory."""

from __future__ import annotations

import time
from types import ModuleType

import numpy as np
import pytest
from tests.packed.readers import READERS, decode

from fuzz.mutations import with_header
from netsurgery import _native
from netsurgery.errors import FileLimitError, PackedFileError
from netsurgery.graph.ir import GraphBuilder
from netsurgery.packed import format as fmt
from netsurgery.packed import writer
from netsurgery.packed.format import ATTRIBUTES, Context, Encoding, Limits, Mask
from netsurgery.packed.writer import encode
from specification import coder as reference_coder

CONCAT, ADD, SIGN = 9, 6, np.uint32(1 << 31)


def begun(nodes: int = 1) -> _native.Encoder:
    """A file of one input of shape (1,), up to its number of nodes."""
    encoder = _native.Encoder()
    encoder.flag(Context.NAMES, False)
    encoder.integer(Context.INPUT_COUNT, 0)
    encoder.integer(Context.RANK, 1)
    encoder.flag(Context.RANK, True)
    encoder.flag(Context.INPUT_FORM, False)
    encoder.integer(Context.SIZE, 0)
    encoder.integer(Context.NODE_COUNT, nodes)
    return encoder


def one_output(encoder: _native.Encoder) -> None:
    encoder.integer(Context.OUTPUT_COUNT, 0)
    encoder.integer(Context.OUTPUT, 0)


def joined(new: int, tied: int) -> bytes:
    """One Concat of so many constants with one entry, and of so many more uses of the first of them."""
    encoder = begun()
    encoder.integer(Context.OPERATOR, CONCAT - 1)
    encoder.integer(Context.OPERAND_COUNT, new + tied - 1)
    for index in range(new + tied):
        encoder.flag(Context.CONSTANT_FLAG, True)
        encoder.flag(Context.TIED, index >= new)
        if index >= new:
            encoder.integer(Context.TIED, 0)
    encoder.integer(Context.ATTRIBUTE + ATTRIBUTES.index("axis"), 0)
    for _ in range(new):
        encoder.integer(Context.RANK, 1)
        encoder.integer(Context.SIZE, 0)
    one_output(encoder)
    for _ in range(new):
        encoder.integer(Context.MASK, Mask.ZERO)
    return with_header(encoder.finish())


def added(rows: int, columns: int) -> _native.Encoder:
    """A matrix of this shape is added to the input; its entries follow, from the encoding on."""
    encoder = begun()
    encoder.integer(Context.OPERATOR, ADD - 1)
    encoder.flag(Context.CONSTANT_FLAG, False)
    encoder.integer(Context.DISTANCE, 0)
    encoder.flag(Context.CONSTANT_FLAG, True)
    encoder.flag(Context.TIED, False)
    encoder.integer(Context.RANK, 2)
    encoder.integer(Context.SIZE, rows - 1)
    encoder.flag(Context.SIZE, columns != rows)
    if columns != rows:
        encoder.integer(Context.SIZE, columns - 1)
    one_output(encoder)
    encoder.integer(Context.PLANE, 0)
    encoder.integer(Context.MASK + 1, Mask.DENSE)
    return encoder


def far_from_expected(entries: int) -> bytes:
    """A row of -0, announced as numbers around 2^127: 255 decisions for each, all of them foretold."""
    encoder = added(1, entries)
    encoder.integer(Context.ENCODING + 1, Encoding.FLOATS)
    encoder.flag(Context.MANTISSA + 1, True)
    encoder.raw(0, 5)
    encoder.integer(Context.EXPONENT + 1, 2 * (254 - 124))
    encoder.flag(Context.MIXED + 1, False)
    ones = np.ones((1, entries), np.uint8)
    encoder.floats((1, entries, 1, 1), ones, 0, 254, False, True, ones * SIGN)
    return with_header(encoder.finish())


@pytest.mark.parametrize(("new", "tied"), [(30_000, 0), (30_000, 230_000)])
def test_constants_and_their_further_uses_are_read_in_time_linear_in_their_number(new: int, tied: int) -> None:
    content = joined(new, tied)
    assert len(content) < 6000
    begin = time.process_time()
    packed = decode(content)
    assert time.process_time() - begin < 8  # one or two seconds; half a minute if each looked through all the others
    assert len(packed.graph.constants) == new
    assert packed.graph.shapes()[packed.graph.outputs[0]] == (new + tied,)


def test_more_constants_than_allowed_are_refused() -> None:
    with pytest.raises(FileLimitError, match="more than 65,536 constants"):
        decode(joined(fmt.MOST_CONSTANTS + 1, 0))


def test_a_few_bytes_that_ask_for_millions_of_decisions_are_refused() -> None:
    assert decode(far_from_expected(1000)).graph.constants
    content = far_from_expected(70_000)
    assert len(content) < 40
    with pytest.raises(FileLimitError, match="far more work"):
        decode(content, limits=Limits(elements=70_000))


@pytest.mark.parametrize("module", [_native, reference_coder])
def test_a_decoder_stops_after_the_last_decision_granted(module: ModuleType) -> None:
    decoder = module.Decoder(b"", 0, 3)
    for _ in range(3):
        decoder.flag(0)
    decoder.raw(16)  # plain bits cost what they are, so that the file's size bounds them
    for _ in range(2):
        with pytest.raises(OverflowError, match="more decisions than allowed"):
            decoder.flag(0)
    ones = np.ones((1, 100), np.uint8)
    with pytest.raises(OverflowError):
        module.Decoder(b"", 0, 99).mask((1, 100, 1, 1), False)
    with pytest.raises(OverflowError):
        module.Decoder(b"", 0, 199).floats((1, 100, 1, 1), ones, 0, 0, False, True)


@pytest.mark.parametrize("module", [_native, reference_coder])
def test_an_encoder_counts_the_decisions_that_a_decoder_needs(module: ModuleType) -> None:
    encoder = module.Encoder()
    encoder.integer(0, 5)
    encoder.mask((2, 3, 1, 1), False, np.eye(2, 3, dtype=np.uint8))
    assert encoder.decisions == 10
    for granted in (9, 10):
        decoder = module.Decoder(encoder.finish(), 0, granted)
        decoder.integer(0)
        if granted == 10:
            decoder.mask((2, 3, 1, 1), False)
        else:
            with pytest.raises(OverflowError):
                decoder.mask((2, 3, 1, 1), False)


def test_a_writer_refuses_what_would_take_a_reader_too_many_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Relu", [builder.input("x", ("batch", 3))])])
    encode(graph)
    monkeypatch.setattr(Limits, "decisions_for", lambda *_: 10)
    with pytest.raises(FileLimitError, match="decisions"):
        encode(graph)


@pytest.mark.parametrize("values", [4, 5])
def test_a_codebook_has_no_more_values_than_there_are_entries(values: int) -> None:
    encoder = added(2, 2)
    encoder.integer(Context.ENCODING + 1, Encoding.CODEBOOK)
    encoder.integer(Context.CODES, values - 1)
    encoder.flag(Context.MANTISSA, True)
    encoder.raw(0, 5)
    encoder.integer(Context.EXPONENT, 0)
    encoder.flag(Context.MIXED, False)
    book = np.arange(120, 120 + values, dtype=np.uint32).reshape(1, -1) << 23
    encoder.floats((1, values, 1, 1), np.ones((1, values), np.uint8), 0, 124, False, True, book)
    codes = np.arange(4, dtype=np.uint8).reshape(2, 2)
    encoder.codes((2, 2, 1, 1), np.ones((2, 2), np.uint8), (values - 1).bit_length(), codes)
    content = with_header(encoder.finish())
    if values == 4:
        assert len(np.unique(decode(content).graph.constants["add_1.b"].values)) == 4
    else:
        with pytest.raises(PackedFileError, match="codebook has 5 values for 4 entries"):
            decode(content)


@pytest.mark.parametrize("coder", READERS)
def test_padding_that_would_fill_the_memory_when_run_is_refused(coder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = GraphBuilder()
    pool = builder.node(
        "MaxPool", [builder.input("x", (1, 1, 1, 1))], kernel=(60_000,) * 2, pads=(59_999, 59_999, 0, 0)
    )
    with pytest.raises(FileLimitError, match=r"3,600,000,000 entries of a value"):
        encode(builder.graph([pool]))
    monkeypatch.setattr(writer, "_check_limits", lambda *_: None)
    with pytest.raises(FileLimitError, match=r"maxpool_1's padded input has 3,600,000,000 entries"):
        decode(encode(builder.graph([pool])), coder=coder)
