"""The answer to a search: its Struct in, the bytes of an answer out.

    Struct -> ids -> batcher -> answer -> bytes

The route in routes.py and the dispatcher in front of it both answer through `answer`, so they cannot differ.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from artifacts.errors import Fault, InvalidContent, InvalidInput
from artifacts.kinds import Kind, check_kind
from artifacts.runtime import Model
from artifacts.schemas import Answer, Search
from artifacts.validation import summary
from inference.batcher import Batcher, Caller
from inference.bodies import encode_all
from inference.ranked import rank, ranking_of
from inference.registry import Registry
from inference.schemas import SearchAnswers

MAX_TIMEOUT_MS = 600_000
MAX_TIMEOUT_DIGITS = 6

_encode = msgspec.json.Encoder().encode


async def answer(kind: Kind, body: Search, registry: Registry, batcher: Batcher, caller: Caller) -> bytes:
    """Return the answer to a search, as JSON; the caller learns how long each stage took.

    Raises:
        InvalidInput, KindMismatch: the body.
        ModelNotFound, ModelNotTrained, InvalidName, ModelLoading, ArtifactRefused: as `Registry.serving`.
        ServerFull, TooLate, ClientLeft, NotFinite: as `Batcher.predict`.
    """
    model = registry.serving(body.name)
    check_kind(kind.name, body.name, model.manifest.neural_network_type)
    field, content = body.given
    is_one = field in body.ONE
    parsed = time.perf_counter()
    ranking = ranking_of(model, body.ranking)
    if ranking is not None:
        caller.parse_s = parsed - caller.began
        contents = {f"/{field}": content} if is_one else {f"/{field}/{i}": one for i, one in enumerate(content)}
        ranked = await rank(model, contents, ranking, batcher, caller)
        return written(body, model, is_one, ranked)
    if is_one:
        try:
            encoded = [await batcher.encode(model, content)]
        except InvalidContent as error:
            raise InvalidInput(summary("body", 1), [Fault(f"/{field}", str(error))]) from error
    else:
        contents = {f"/{field}/{index}": one for index, one in enumerate(content)}
        encoded = await encode_all(batcher, model, contents)
    caller.parse_s = parsed - caller.began
    caller.ids_s = time.perf_counter() - parsed
    return written(body, model, is_one, await batcher.predict(model, encoded, caller))


def written(body: Search, model: Model[Any], is_one: bool, found: Sequence[Answer]) -> bytes:
    """Return answers as JSON, with the ids of the body."""
    if is_one:
        return _encode(msgspec.structs.replace(found[0], id=body.id, model_name=model.name, version=model.version))
    if body.ids is not None:
        found = [msgspec.structs.replace(one, id=id_) for one, id_ in zip(found, body.ids, strict=True)]
    return _encode(SearchAnswers(model.name, model.version, found))


def deadline_after(arrived: float, timeout_ms: bytes | None) -> float | None:
    """Return when the answer to a request is of no use any more.

    Args:
        arrived: when the request came, of `time.perf_counter`.
        timeout_ms: the header X-Timeout-Ms; None without one.
    Raises:
        InvalidInput: it is no whole number of milliseconds within 1..600000.
    """
    if timeout_ms is None:
        return None
    is_number = timeout_ms.isdigit() and len(timeout_ms) <= MAX_TIMEOUT_DIGITS  # of bytes: 0 to 9 and nothing else
    if not is_number or not 1 <= int(timeout_ms) <= MAX_TIMEOUT_MS:
        found = timeout_ms.decode("latin-1")
        raise InvalidInput(
            f"the header X-Timeout-Ms is {found!r:.40}; send whole milliseconds, 1 to {MAX_TIMEOUT_MS}, or leave it out"
        )
    return arrived + int(timeout_ms) / 1000
