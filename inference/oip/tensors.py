"""Tensors of the Open Inference Protocol, to lists of Python and back: from JSON, or from bytes behind it.

In: a body and the length of its JSON. Out: what the JSON says, and the elements of its input; or every fault with its
place. It knows no model. All sizes must add up to the byte: a body of which anything is left over is refused, for
whoever sent it meant something else.

    JSON {"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 11}}]}
    4 bytes of length, little end first, then so many bytes of UTF-8, for each element: 02 00 00 00 h i 01 00 00 00 a
"""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from artifacts.errors import Fault, InvalidInput
from artifacts.system.validation import decode, decoder_of, does_not_fit
from inference.oip.wire import AnswerOutput, AnswerParameters, Datatype, RequestInput
from inference.search.bodies import UNREADABLE

MAX_LENGTH_DIGITS = 9
_LENGTH = struct.Struct("<I")  # in front of each element of BYTES
_FLOATS = {"FP32": "<f4", "FP64": "<f8"}


def header_length(given: str | None, num_bytes: int) -> int:
    """Return how many bytes of a body are its JSON.

    Args:
        given: the header Inference-Header-Content-Length; None: all of them.
        num_bytes: of the body.
    Raises:
        InvalidInput: it is no number of bytes that the body has.
    """
    if given is None:
        return num_bytes
    is_number = given.isascii() and given.isdigit() and len(given) <= MAX_LENGTH_DIGITS
    if not is_number or not 1 <= int(given) <= num_bytes:
        raise InvalidInput("wrong-header-length", found=given[:40], limit_bytes=num_bytes)
    return int(given)


def strings_of(tensor: RequestInput, behind: bytes, pointer: str) -> list[str]:
    """Return the elements of a tensor of BYTES, as many as its shape says.

    Args:
        tensor: of shape [B] or [B, 1].
        behind: the bytes after the JSON.
        pointer: of the tensor.
    Raises:
        InvalidInput: they do not fit.
    """
    size = tensor.shape[0]
    if is_binary(tensor, behind, pointer):
        return _strings_in(behind, size, pointer)
    found: list[str | list[str]] = _json_of(tensor, list[str | list[str]], pointer)
    return flat(found, tensor.shape, pointer)


def numbers_of(tensor: RequestInput, behind: bytes, pointer: str) -> list[list[float]]:
    """Return the rows of a tensor of floats of shape [B, F]; see `strings_of`. They may be no finite numbers."""
    num_rows, num_columns = tensor.shape
    if is_binary(tensor, behind, pointer):
        dtype = np.dtype(_FLOATS[tensor.datatype])
        _check_count(len(behind), num_rows * num_columns * dtype.itemsize, f"{pointer}/parameters/binary_data_size")
        rows: list[list[float]] = np.frombuffer(behind, dtype).reshape(num_rows, num_columns).tolist()
        return rows
    numbers: list[float | list[float]] = _json_of(tensor, list[float | list[float]], pointer)
    row = flat(numbers, tensor.shape, pointer)
    return [row[start : start + num_columns] for start in range(0, len(row), num_columns)]


def is_binary(tensor: RequestInput, behind: bytes, pointer: str) -> bool:
    """Return whether the elements of the one input are behind the JSON, and not in it.

    Raises:
        InvalidInput: they are in both places or in none, or what is behind the JSON is not as long as announced.
    """
    announced = tensor.parameters.binary_data_size if tensor.parameters is not None else None
    has_data = not isinstance(tensor.data, msgspec.UnsetType) and bytes(tensor.data) != b"null"
    if (announced is None) != has_data:
        known = ["data", "parameters.binary_data_size"]
        raise does_not_fit("body", [Fault.of(pointer, "not-exactly-one", known=known)])
    if len(behind) != (announced or 0):
        found = Fault.of(
            f"{pointer}/parameters/binary_data_size",
            "wrong-binary-data-size",
            found=announced or 0,
            expected=len(behind),
        )
        raise does_not_fit("body", [found])
    return announced is not None


def flat(found: Sequence[Any], shape: Sequence[int], pointer: str) -> list[Any]:
    """Return the elements of a tensor in JSON row by row, whether they came so or as a list for each row.

    Raises:
        InvalidInput: there are not as many as the shape says.
    """
    if found and isinstance(found[0], list):
        _check_count(len(found), shape[0], f"{pointer}/data")
        for place, row in enumerate(found):
            if len(shape) != 2 or not isinstance(row, list) or len(row) != shape[1]:
                raise does_not_fit("body", [Fault.of(f"{pointer}/data/{place}", "row-of-another-shape", shape=shape)])
        return [one for row in found for one in row]
    size = shape[0] * (shape[1] if len(shape) == 2 else 1)
    _check_count(len(found), size, f"{pointer}/data")
    for place, one in enumerate(found):
        if isinstance(one, list):
            raise does_not_fit("body", [Fault.of(f"{pointer}/data/{place}", "row-of-another-shape", shape=shape)])
    return list(found)


def answered(
    name: str, datatype: Datatype, shape: list[int], values: list[Any], *, is_binary: bool
) -> tuple[AnswerOutput, bytes]:
    """Return an output of an answer, and its bytes behind the JSON.

    Args:
        name: of the tensor.
        datatype: of its elements.
        shape: of the tensor.
        values: its elements, row by row.
        is_binary: whether they go behind the JSON.
    """
    if not is_binary:
        return AnswerOutput(name, datatype, shape, values), b""
    if datatype == "BYTES":
        raw = [value.encode() for value in values]
        behind = b"".join(part for one in raw for part in (_LENGTH.pack(len(one)), one))
    else:
        behind = np.array(values, _FLOATS[datatype]).tobytes()
    return AnswerOutput(name, datatype, shape, parameters=AnswerParameters(len(behind))), behind


def _json_of(tensor: RequestInput, type_: Any, pointer: str) -> Any:
    assert not isinstance(tensor.data, msgspec.UnsetType), "is_binary has seen to that; internal error"
    try:
        return decoder_of(type_).decode(tensor.data)
    except UNREADABLE:
        return decode(tensor.data, type_, pointer=f"{pointer}/data")


def _strings_in(raw: bytes, size: int, pointer: str) -> list[str]:
    """Return the elements of BYTES: each its length, then so many bytes of UTF-8."""
    found: list[str] = []
    start = 0
    while start < len(raw) and len(found) < size:
        end = start + _LENGTH.size
        num_bytes = _LENGTH.unpack_from(raw, start)[0] if end <= len(raw) else 0
        start, end = end, end + num_bytes
        if end > len(raw):
            fault = Fault.of(f"{pointer}/data/{len(found)}", "element-past-the-end", num_bytes=num_bytes)
            raise does_not_fit("body", [fault])
        try:
            found.append(raw[start:end].decode())
        except UnicodeDecodeError as error:
            fault = Fault.of(f"{pointer}/data/{len(found)}", "element-not-utf-8")
            raise does_not_fit("body", [fault]) from error
        start = end
    _check_count(len(found), size, f"{pointer}/data")
    if start < len(raw):
        expected = Fault.of(
            f"{pointer}/parameters/binary_data_size", "wrong-binary-data-size", found=len(raw), expected=start
        )
        raise does_not_fit("body", [expected])
    return found


def _check_count(found: int, expected: int, pointer: str) -> None:
    """Raise InvalidInput unless there are as many as the shape says."""
    if found != expected:
        raise does_not_fit("body", [Fault.of(pointer, "wrong-number-of-elements", found=found, expected=expected)])
