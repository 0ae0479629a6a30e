"""Tests of inference/oip/tensors.py: elements come out as they went in, and every size must be right to the byte."""

import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from inference.oip.tensors import answered, header_length, numbers_of, strings_of
from inference.oip.wire import AnswerParameters, Datatype, RequestInput

WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5)


def tensor(datatype: str, shape: list[int], **more: Any) -> RequestInput:
    """Return an input as it comes in JSON."""
    raw = msgspec.json.encode({"name": "t", "datatype": datatype, "shape": shape} | more)
    return msgspec.json.decode(raw, type=RequestInput)


def refused(datatype: str, shape: list[int], behind: bytes = b"", **more: Any) -> list[tuple[str, str]]:
    """Return the faults of an input: where, and of which type."""
    of = strings_of if datatype == "BYTES" else numbers_of
    with pytest.raises(InvalidInput) as found:
        of(tensor(datatype, shape, **more), behind, "/inputs/0")
    return [(fault.pointer.removeprefix("/inputs/0"), fault.type) for fault in found.value.faults]


def packed(*elements: bytes) -> bytes:
    """Return elements of BYTES as Triton writes them."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


@given(WORDS)
def test_strings_come_out_as_they_went_in(words: list[str]) -> None:
    """As JSON, as a list for each row, and as bytes; what is answered is read the same way."""
    size = len(words)
    behind = packed(*(word.encode() for word in words))
    output, part = answered("t", "BYTES", [size], list(words), is_binary=True)

    assert strings_of(tensor("BYTES", [size], data=words), b"", "") == words
    assert strings_of(tensor("BYTES", [size, 1], data=[[word] for word in words]), b"", "") == words
    binary = tensor("BYTES", [size], parameters={"binary_data_size": len(behind)})
    assert strings_of(binary, behind, "") == words
    assert (part, output.parameters, output.data) == (behind, AnswerParameters(len(behind)), None)


@given(st.lists(st.tuples(*[st.floats(width=32, allow_nan=False)] * 3), min_size=1, max_size=4), st.booleans())
def test_numbers_come_out_as_they_went_in(rows: list[tuple[float, ...]], is_wide: bool) -> None:
    """In both widths; in JSON flat or by rows."""
    datatype: Datatype = "FP64" if is_wide else "FP32"
    expected = [list(row) for row in rows]
    behind = np.array(rows, "<f8" if is_wide else "<f4").tobytes()
    shape = [len(rows), 3]

    binary = numbers_of(tensor(datatype, shape, parameters={"binary_data_size": len(behind)}), behind, "")
    output, part = answered("t", datatype, shape, [one for row in rows for one in row], is_binary=True)

    assert binary == expected
    assert part == behind
    assert (output.datatype, output.shape) == (datatype, shape)
    if all(np.isfinite(rows).ravel()):
        assert numbers_of(tensor(datatype, shape, data=expected), b"", "") == expected
        assert numbers_of(tensor(datatype, shape, data=[one for row in expected for one in row]), b"", "") == expected


@pytest.mark.parametrize(
    ("shape", "behind", "more", "pointer", "type_"),
    [
        ([1], b"", {}, "", "not-exactly-one"),
        ([1], packed(b"a"), {"data": ["a"], "parameters": {"binary_data_size": 5}}, "", "not-exactly-one"),
        ([1], packed(b"a"), {"data": ["a"]}, "/parameters/binary_data_size", "wrong-binary-data-size"),
        ([1], packed(b"a"), {"parameters": {"binary_data_size": 4}}, "/parameters/binary_data_size",
         "wrong-binary-data-size"),
        ([1], packed(b"a", b"b"), {"parameters": {"binary_data_size": 10}}, "/parameters/binary_data_size",
         "wrong-binary-data-size"),
        ([2], packed(b"a"), {"parameters": {"binary_data_size": 5}}, "/data", "wrong-number-of-elements"),
        ([1], b"\5\0\0\0a", {"parameters": {"binary_data_size": 5}}, "/data/0", "element-past-the-end"),
        ([1], b"\5\0\0", {"parameters": {"binary_data_size": 3}}, "/data/0", "element-past-the-end"),
        ([2], packed(b"a", b"\xff"), {"parameters": {"binary_data_size": 10}}, "/data/1", "element-not-utf-8"),
        ([2], b"", {"data": ["a"]}, "/data", "wrong-number-of-elements"),
        ([2], b"", {"data": ["a", ["b"]]}, "/data/1", "row-of-another-shape"),
        ([2], b"", {"data": [["a"], ["b"]]}, "/data/0", "row-of-another-shape"),
        ([2, 1], b"", {"data": [["a"], ["b", "c"]]}, "/data/1", "row-of-another-shape"),
        ([1], b"", {"data": [1]}, "/data/0", "wrong-type"),
        ([2**40], b"", {"data": ["a"]}, "/data", "wrong-number-of-elements"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_add_up_are_refused(
    shape: list[int], behind: bytes, more: dict[str, Any], pointer: str, type_: str
) -> None:
    """Each with its place; a size that no body could have takes no memory."""
    assert refused("BYTES", shape, behind, **more) == [(pointer, type_)]


def test_numbers_that_do_not_add_up_are_refused() -> None:
    """Bytes of another number or width, and rows of another length."""
    behind = np.zeros(3, "<f4").tobytes()
    binary = {"parameters": {"binary_data_size": 12}}

    assert refused("FP32", [1, 2], behind, **binary) == [("/parameters/binary_data_size", "wrong-number-of-elements")]
    assert refused("FP64", [1, 3], behind, **binary) == [("/parameters/binary_data_size", "wrong-number-of-elements")]
    assert refused("FP32", [2, 1], data=[[1.0], 2.0]) == [("/data/1", "row-of-another-shape")]
    assert refused("FP32", [1, 1], data=["a"])[0][0] == "/data/0"


@pytest.mark.parametrize("given_", ["0", "11", "-1", "1.0", " 5", "٣", "1" * 50, ""])
def test_length_of_the_json_is_within_the_body(given_: str) -> None:
    """It is a plain number of bytes that the body has."""
    with pytest.raises(InvalidInput, match="Inference-Header-Content-Length"):
        header_length(given_, 10)


def test_length_of_the_json_is_the_body_by_default() -> None:
    """The edge of what is allowed counts too."""
    assert (header_length(None, 10), header_length("10", 10), header_length("1", 10)) == (10, 10, 1)
