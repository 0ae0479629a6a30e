"""From the bytes of a body to Structs, and from its inputs to what a model's graph takes.

In: a body that has been read whole. Out: a Struct of schemas.py or of a kind, and encoded inputs; or every fault with
its JSON Pointer. It knows nothing of HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

import msgspec

from artifacts.errors import Fault, InvalidContent
from artifacts.kinds import DEFAULT, KINDS, Kind, kind_named
from artifacts.networks.runtime import Model
from artifacts.schemas import Search
from artifacts.system.validation import MAX_FAULTS_SHOWN, decode, decoder_of, does_not_fit
from inference.schemas import KindOnly
from inference.search.large import LargeWork

SLICE_TICKETS = 256  # that are decoded and encoded in one turn of the loop, about 1 ms
INLINE_CHARACTERS = 4096  # of a raw text, about 2 ms; 256 KiB of short words take 150 ms
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what bytes that do not fit raise

T = TypeVar("T")
E = TypeVar("E")  # an input as a graph takes it


async def decoded(raw: bytes, type_: type[T]) -> T:
    """Return a body as a `type_`.

    Raises:
        InvalidInput: with every fault.
    """
    try:
        return decoder_of(type_).decode(raw)
    except UNREADABLE:
        # Finding every fault is slow: 256 KiB of nothing else held each search up for 0.8 s.
        return await asyncio.to_thread(decode, raw, type_)


def read_search(raw: bytes) -> tuple[Kind, Search]:
    """Return the kind that a search asks, and the search; quick, for a body that fits.

    Raises:
        UnknownKind: naming the known ones.
        One of UNREADABLE: it does not fit; `decoded` says in what.
    """
    # Most ask the default kind, and fit: the body is then decoded once, and not a first time for the kind alone.
    default = KINDS[DEFAULT]
    try:
        search = decoder_of(default.search).decode(raw)
    except UNREADABLE:
        pass  # of another kind, or wrong; below it is found out which
    else:
        if search.neural_network_type == DEFAULT:
            return default, search
    kind = kind_asked(raw)
    return kind, decoder_of(kind.search).decode(raw)


def kind_asked(raw: bytes) -> Kind:
    """Return the kind of network that a body asks, which says how to decode the rest of it.

    A body that cannot be read is left to the default kind, whose decoder says why.

    Raises:
        UnknownKind: naming the known ones.
    """
    try:
        return kind_named(decoder_of(KindOnly).decode(raw).neural_network_type)
    except UNREADABLE:
        return KINDS[DEFAULT]


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and let other requests in between slices of them."""
    for index, item in enumerate(items):
        if index and index % SLICE_TICKETS == 0:
            await asyncio.sleep(0)
        yield item


class Faults:
    """The faults of a body: all are counted and the first 20 kept, for a body of nothing else would fill the memory."""

    def __init__(self) -> None:
        self._shown: list[Fault] = []
        self._num = 0

    def add(self, fault: Fault) -> None:
        """Take one more."""
        self._num += 1
        if self._num <= MAX_FAULTS_SHOWN:
            self._shown.append(fault)

    def refuse(self, what: str) -> None:
        """Raise InvalidInput if there are any; `what` says in what."""
        if self._num:
            raise does_not_fit(what, self._shown, self._num)


def is_long(content: Any) -> bool:
    """Return whether an input is a text that is too long to be read in a moment."""
    return isinstance(content, str) and len(content) > INLINE_CHARACTERS


async def encode_one(large: LargeWork, model: Model[E], content: Any) -> E:
    """Return an input as the graph takes it; a text that is too long to be read in a moment is read in the thread.

    Raises:
        InvalidContent: as `Model.encode`.
    """
    if is_long(content):
        return await large.run(model.encode, content)
    return model.encode(content)


async def encode_all(large: LargeWork, model: Model[E], contents: dict[str, Any]) -> list[E]:
    """Return inputs as the model's graph takes them.

    Args:
        large: reads what is long.
        model: that is asked.
        contents: JSON Pointer -> input.
    Raises:
        InvalidInput: some cannot be read; each with its pointer.
    """
    encoded: list[E] = []
    faults = Faults()
    async for pointer, content in in_turns(contents.items()):
        try:
            encoded.append(await encode_one(large, model, content))
        except InvalidContent as error:
            faults.add(Fault.of_error(pointer, error))
    faults.refuse("body")
    return encoded
