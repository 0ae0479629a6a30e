"""The weights of a GRU out of the bytes of `model.onnx`, without the package `onnx`, which the server does not have.

In: the file's bytes, verified. Out: each initialiser by its frozen name (docs/decisions/0021) as an array over these
very bytes: nothing is copied. Or the same graph that also answers with what it computes on the way. It leaves to others
what the weights mean (fused.py, ../reference.py).

An ONNX file is one message of Protocol Buffers: a row of fields, each a key (number of the field and how it is written)
and a value. Only three messages are on the way to a weight: ModelProto.graph, GraphProto.initializer, and of each
TensorProto its sizes, its type, its name and its numbers. Every other field is stepped over.
Source: https://protobuf.dev/programming-guides/encoding/ and onnx.proto3 of ONNX 1.20.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifacts.networks.engines.engine import EngineRefused

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # how a value is written; 3 and 4 are of the past, and in no ONNX file
GRAPH, INITIALIZER, OUTPUT = 7, 5, 12  # of ModelProto, of GraphProto, of the same
OUTPUT_NAME = 1  # of ValueInfoProto
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # of TensorProto
DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}  # TensorProto.FLOAT, INT32, INT64 and DOUBLE
# What was called otherwise before decision 0021 -> its name now.
FORMER_NAMES = {
    "words": "word_embedding",
    "grams_of_unknown": "ngram_embedding",
    "pairs": "bigram_weight",
    "num_words": "vocab_size",
    "num_taught": "num_trained_words",
    "num_pairs": "num_bigram_rows",
    "pair_factor": "bigram_hash_factor",
    "unk": "unk_id",
}


def initializers(model: memoryview) -> dict[str, NDArray[np.generic]]:
    """Return the initialisers of a graph by name, read-only and over the same memory.

    Raises:
        EngineRefused: the bytes are no ONNX file, or an initialiser is of a type or a form that our graphs lack.
    """
    try:
        graphs = [value for number, value in fields(model) if number == GRAPH]
        found = [value for graph in graphs for number, value in fields(graph) if number == INITIALIZER]
        return dict(tensor(value) for value in found)
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise EngineRefused(f"model.onnx cannot be read: {error!r}") from error


def tensor(message: memoryview) -> tuple[str, NDArray[np.generic]]:
    """Return the name and the numbers of a TensorProto."""
    dims: list[int] = []
    name, dtype, raw = "", "", memoryview(b"")
    for number, value in fields(message):
        if number == DIMS and isinstance(value, memoryview):  # several in one field, as proto3 packs numbers
            dims += varints(value)
        elif number == DIMS:
            dims.append(value)
        elif number == DATA_TYPE:
            dtype = DTYPES[value]
        elif number == NAME:
            name = bytes(value).decode()
        elif number == RAW_DATA:
            raw = value
    # Of other numbers than the sizes say, reshape raises ValueError.
    return FORMER_NAMES.get(name, name), np.frombuffer(raw, dtype).reshape(dims)


def fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Give each field of a message: its number, and its value as an int or, where it has bytes, as a view of them.

    Raises:
        IndexError, ValueError: the bytes end too early, or a value is written in no known way.
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        how = key & 7
        if how == VARINT:
            value, at = varint(message, at)
            yield key >> 3, value
            continue
        size, at = varint(message, at) if how == BYTES else ({FIXED64: 8, FIXED32: 4}[how], at)
        if size > len(message) - at:
            raise ValueError(f"a field of {size} bytes where {len(message) - at} are left")
        yield key >> 3, message[at : at + size]
        at += size


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the whole number that begins at a place, and where it ends: 7 bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):  # of 64 bits at most: ten bytes
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:  # the highest bit says whether one more follows
            return value, at
    raise ValueError("a number of over ten bytes")


def varints(message: memoryview) -> Iterator[int]:
    """Give the whole numbers that stand one behind the other."""
    at = 0
    while at < len(message):
        value, at = varint(message, at)
        yield value


def with_outputs(model: bytes, names: Iterable[str]) -> bytes:
    """Return a graph that also answers with values of its inside, which it names.

    Two messages of one type, one behind the other, are read as their merger: fields of several values are joined. So
    the file stays as it is, and behind it comes a graph of nothing but outputs. Shapes need not be said.
    """
    outputs = b"".join(written(OUTPUT, written(OUTPUT_NAME, name.encode())) for name in names)
    return model + written(GRAPH, outputs)


def written(number: int, value: bytes) -> bytes:
    """Return a field of bytes: its key, its length and the bytes.

    >>> written(1, b"ab").hex(" ")
    '0a 02 61 62'
    """
    head = bytearray()
    for part in (number << 3 | BYTES, len(value)):
        while part > 0x7F:
            head.append(part & 0x7F | 0x80)
            part >>= 7
        head.append(part)
    return bytes(head) + value
