"""The kernel (gru.c) as an engine: the weights of `model.onnx` in, answers to encoded tickets out.

It leaves to others what a weight is called (weights.py), how the kernel is compiled (build.py), and whether it may
serve a version (engine.py). A call goes through ctypes, so that one object serves every Python and needs no header of
it; that costs 2 us a call, and a call answers everything that runs together.
"""

# Axes: as in gru.c.

import ctypes
import functools
import logging
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifacts.arrays import Floats
from artifacts.networks.engines import build
from artifacts.networks.engines.build import EngineName
from artifacts.networks.engines.engine import EngineRefused
from artifacts.networks.engines.weights import initializers
from artifacts.text.tokens import Rules, mask
from artifacts.text.vocabulary import Encoded

MAX_PRODUCTS_BYTES = 8 * 2**20  # of W x + b kept for each known word: 5,400 words of the default network
LINE_BYTES = 64  # of the cache: a vector that lies on two lines takes two reads

log = logging.getLogger("puppet")


class TableStruct(ctypes.Structure):
    """Numbers and how many there are; `Table` of gru.c."""

    _fields_ = (("values", ctypes.c_void_p), ("count", ctypes.c_int64))


SIZES = (
    *("members", "layers", "directions", "embedding", "hidden", "categories", "columns"),
    *("words", "trained", "unknown", "grams", "pairs", "factor", "is_low_rank"),
)
TABLES = ("word_rows", "gram_rows", "pair_rows", "basis", "ways", "head", "head_bias", "products")


class NetworkStruct(ctypes.Structure):
    """The network as the kernel is handed it; `Network` of gru.c."""

    _fields_ = (*((name, ctypes.c_int32) for name in SIZES), *((name, TableStruct) for name in TABLES))


@functools.cache
def kernel() -> tuple[str, Any] | None:
    """Return the best kernel that this processor can run, the name of its level first; None if there is none."""
    for level, path in build.objects():
        try:
            return level, opened(path)
        except (OSError, EngineRefused) as error:
            log.warning("kernel %s is not used: %s", path.name, error)
    return None


def opened(path: Path) -> Any:
    """Return a compiled kernel.

    Raises:
        OSError: it cannot be loaded.
        EngineRefused: it was compiled of another source than the one next to it, so it may expect other structs.
    """
    library = ctypes.CDLL(str(path))
    source = ctypes.c_char_p.in_dll(library, "gru_source").value or b""
    if source.decode("ascii", "replace") != build.digest():
        raise EngineRefused("it was compiled of another source; run python -m artifacts.networks.engines.build")
    # The messages are bytes: ctypes hands on the address of theirs without copying them.
    library.gru_answer.argtypes = [ctypes.c_void_p, ctypes.c_char_p, *[ctypes.c_int64] * 2, *[ctypes.c_void_p] * 2]
    sizes, rows, number = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32
    library.gru_ngrams.argtypes = [ctypes.c_char_p, ctypes.c_int64, sizes, number, number, number, rows]
    library.gru_products.argtypes = [ctypes.c_void_p] * 2
    return library


class Fused:
    """The kernel with the weights of a version; safe to call from several threads."""

    name: EngineName = "fused"

    def __init__(self, model: bytes | memoryview, library: Any) -> None:
        """Lay out the weights as the kernel reads them; the large tables stay where they are, in `model`.

        Args:
            model: the bytes of `model.onnx`, verified.
            library: from `kernel` or `opened`.
        Raises:
            EngineRefused: a weight is missing, of another shape or not finite.
        """
        self._answer = library.gru_answer
        self._kept: dict[str, NDArray[np.generic]] = {}  # whose memory the kernel reads
        sizes, tables = layout(initializers(memoryview(model)))
        self._num_categories = sizes["categories"]
        self._network = NetworkStruct(**sizes)
        for name, values in tables.items():
            self._keep(name, values)
        products = sizes["words"] * sizes["members"] * sizes["directions"] * 3 * sizes["hidden"]
        if products * 4 <= MAX_PRODUCTS_BYTES:
            found = aligned(products)
            check(library.gru_products(ctypes.byref(self._network), found.ctypes.data))
            self._keep("products", found)
        self._address = ctypes.addressof(self._network)

    def _keep(self, name: str, values: NDArray[np.generic]) -> None:
        self._kept[name] = values
        setattr(self._network, name, TableStruct(values.ctypes.data, values.size))

    def best(self, tickets: Sequence[Encoded]) -> list[tuple[int, float]]:
        """Return the label and the probability of the most probable category of each ticket."""
        room = array("d", bytes(16 * len(tickets)))
        self._run(tickets, None, room.buffer_info()[0])
        found = room.tolist()
        return list(zip(map(int, found[::2]), found[1::2], strict=True))

    def probabilities(self, tickets: Sequence[Encoded]) -> Floats:
        """Return probabilities_NC float32, rows in the order of `tickets`."""
        found_NC = np.empty((len(tickets), self._num_categories), dtype=np.float32)
        self._run(tickets, found_NC.ctypes.data, None)
        return found_NC

    def _run(self, tickets: Sequence[Encoded], probabilities: int | None, best: int | None) -> None:
        """Let the kernel write the answers to where these addresses are."""
        if not tickets:
            return
        message = message_of(tickets)
        # Half the time of array("i", message), which asks each number how it wants to be read.
        packed = struct.pack(f"{len(message)}i", *message)
        check(self._answer(self._address, packed, len(message), len(tickets), probabilities, best))


def hasher(library: Any, num_buckets: int, rules: Rules) -> Callable[[str], list[int]]:
    """Return `ngrams` of artifacts/text/tokens.py for these buckets and rules, hashed by the kernel.

    A word of ten letters takes 24 pieces: in Python that is more work than all the rest of a ticket's way to its ids.
    """
    sizes, most = array("i", rules.ngram_sizes), rules.max_ngrams
    sizes_address, hashed = sizes.buffer_info()[0], library.gru_ngrams

    def rows_of(token: str, sizes: Any = sizes) -> list[int]:  # `sizes` lives as long as this function
        marked = f"<{mask(token, rules)}>".encode()
        rows = array("i", bytes(4 * most))
        num = hashed(marked, len(marked), sizes_address, len(sizes), most, num_buckets, rows.buffer_info()[0])
        assert num > 0, "a word that is longer than a token; internal error"
        return rows[:num].tolist()

    return rows_of


def message_of(tickets: Iterable[Encoded]) -> list[int]:
    """Return tickets in a row of numbers: of each its lengths and ids, then its unknown words' n-grams.

    >>> message_of([Encoded([5, 9, 5], ["abc"], [[7, 8]], 0), Encoded([6], [], [], 0)])
    [3, 1, 5, 9, 5, 2, 7, 8, 1, 0, 6]
    """
    message: list[int] = []
    for ticket in tickets:
        ids = ticket.ids
        message += (len(ids), len(ticket.grams))
        message += ids
        for grams in ticket.grams:
            message.append(len(grams))
            message += grams
    return message


def check(status: int) -> None:
    """Raise what the kernel's status stands for, unless it is 0."""
    if status == 3:  # NO_MEMORY of gru.c
        raise MemoryError("no memory for a run of the kernel")
    assert status == 0, f"the kernel refuses its input ({status}); internal error"


def layout(weights: Mapping[str, NDArray[np.generic]]) -> tuple[dict[str, int], dict[str, NDArray[np.generic]]]:
    """Return the sizes and the tables of a network as gru.c names them.

    Raises:
        EngineRefused: a weight is missing, of another shape or not finite.
    """
    for name, values in weights.items():
        # The kernel is compiled for finite numbers; of others it might make anything.
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise EngineRefused(f"{name} holds a number that is not finite")
    try:
        return _layout(weights)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise EngineRefused(f"the weights are not those of a GRU that the kernel knows: {error!r}") from error


def _layout(weights: Mapping[str, NDArray[np.generic]]) -> tuple[dict[str, int], dict[str, NDArray[np.generic]]]:
    """Return what `layout` does; weights that do not fit raise whatever they meet."""
    members = number_of("gru_{}_0_W", weights)
    layers = number_of("gru_0_{}_W", weights)
    directions, gates, embedding = weights["gru_0_0_W"].shape
    hidden, categories = gates // 3, weights["head_bias"].size
    words, entries = weights["word_embedding"].shape
    pairs = weights.get("bigram_weight", np.zeros((0, 0), np.float32))
    basis = weights.get("linear_basis")
    factor = int(weights.get("bigram_hash_factor", np.int32(0)))
    if words * (factor + 1) >= 2**31:
        raise ValueError("int32 of the graph would overflow where the kernel's int64 does not")
    sizes = {
        "members": members,
        "layers": layers,
        "directions": directions,
        "embedding": embedding,
        "hidden": hidden,
        "categories": categories,
        "columns": entries - members * embedding,
        "words": words,
        "trained": int(weights.get("num_trained_words", np.int32(words))),
        "unknown": int(weights["unk_id"]),
        "grams": len(weights["ngram_embedding"]),
        "pairs": len(pairs),
        "factor": factor,
        "is_low_rank": int(basis is not None),
    }
    if int(weights["vocab_size"]) != words:
        raise ValueError("vocab_size is not the number of words")
    ways = []
    for member in range(members):
        for layer in range(layers):
            inputs = embedding if layer == 0 else directions * hidden
            w, u, b = (weights[f"gru_{member}_{layer}_{kind}"] for kind in "WRB")
            shapes = (directions, 3 * hidden, inputs), (directions, 3 * hidden, hidden), (directions, 6 * hidden)
            if (w.shape, u.shape, b.shape) != shapes:
                raise ValueError(f"the shapes of network {member}, layer {layer}")
            for way in range(directions):
                halves = np.split(b[way], 2)  # of what is added to W x, then of what is added to U h
                ways += [by_gate(w[way]).T, by_gate(u[way]).T, *map(by_gate, halves)]
    return sizes, {
        "word_rows": weights["word_embedding"],
        "gram_rows": weights["ngram_embedding"],
        "pair_rows": pairs,
        "basis": basis if basis is not None else np.zeros(0, np.float32),
        "ways": aligned_copy(ways),
        "head": aligned_copy([padded(weights["head_weight"].T, 4, 16)]),
        "head_bias": weights["head_bias"],
    }


def number_of(pattern: str, weights: Mapping[str, NDArray[np.generic]]) -> int:
    """Return how many weights there are of a name that counts from 0."""
    number = 0
    while pattern.format(number) in weights:
        number += 1
    return number


def by_gate(weight: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a weight of three gates in the order of the equations: ONNX has z, r, n and the chapter r, z, n."""
    z, r, n = np.split(weight, 3)
    return np.concatenate((r, z, n))


def padded(matrix: NDArray[np.generic], rows: int, columns: int) -> NDArray[np.generic]:
    """Return a matrix with zeros below and on the right, up to multiples of these numbers of rows and columns."""
    return np.pad(matrix, ((0, -len(matrix) % rows), (0, -matrix.shape[1] % columns)))


def aligned(size: int) -> Floats:
    """Return room for so many floats that begins on a cache line."""
    room = np.empty(size * 4 + LINE_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    return room[start : start + size * 4].view(np.float32)


def aligned_copy(parts: Sequence[NDArray[np.generic]]) -> Floats:
    """Return arrays one behind the other, each row by row, in memory that begins on a cache line."""
    found = aligned(sum(part.size for part in parts))
    np.concatenate([part.ravel() for part in parts], out=found)
    return found
