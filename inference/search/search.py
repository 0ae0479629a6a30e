"""The answer to a search: its Struct in, the bytes of an answer out.

    Struct -> ids -> batcher -> answer -> bytes

The route in seeds.py answers through `answer`; the protocol in front of it asks through `ask`, which leaves out what
takes turns of the loop. Both find the model and write the answer by the same functions, so they cannot differ.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from artifacts.errors import InvalidInput, KindMismatch
from artifacts.kinds import Kind, check_kind
from artifacts.networks.runtime import Model
from artifacts.schemas import Answer, Search
from artifacts.text.tickets import Explanation, RankedPrediction, TicketSearch
from inference.schemas import SearchAnswers
from inference.search.batcher import SLICE_TICKETS, Batcher, Caller, is_long
from inference.search.bodies import encode_all, read_search
from inference.search.ranked import rank, ranking_of
from inference.search.registry import Registry

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
    model = model_asked(kind, body, registry)
    field, content = body.given
    is_one = field in body.ONE
    if explains(body):
        check_explains(kind, body.name)
    parsed = time.perf_counter()
    caller.parse_s = parsed - caller.began
    contents = {f"/{field}": content} if is_one else {f"/{field}/{i}": one for i, one in enumerate(content)}
    ranking = ranking_of(model, body.ranking)
    found: Sequence[Answer]
    if ranking is not None:
        found = await rank(model, contents, ranking, batcher, caller)
    else:
        encoded = await encode_all(batcher, model, contents)
        caller.ids_s = time.perf_counter() - parsed
        found = await batcher.predict(model, encoded, caller)
    if explains(body) and not (isinstance(found[0], RankedPrediction) and found[0].reason == "empty"):
        explanation = await explained(kind, model, await batcher.encode(model, content), batcher, caller)
        found = [msgspec.structs.replace(found[0], explanation=explanation)]
    return written(model, body, is_one, found)


def ask(
    raw: bytes,
    registry: Registry,
    batcher: Batcher,
    caller: Caller,
    done: Callable[[bytes | BaseException], object],
) -> bool:
    """Return whether a search has been asked; if so `done` is called on the loop with its answer or an error.

    It has not if reading it takes more than a moment, or more than a plain answer is wanted: that is for `answer`.

    Raises:
        ServerFull, TooLate: it is refused.
        Others: the body is at fault; `answer` says where.
    """
    kind, body = read_search(raw)
    model = model_asked(kind, body, registry)
    field, content = body.given
    is_one = field in body.ONE
    contents = [content] if is_one else content
    is_plain = ranking_of(model, body.ranking) is None and not explains(body)
    if not is_plain or len(contents) > SLICE_TICKETS or any(map(is_long, contents)):
        return False
    parsed = time.perf_counter()
    encoded = [model.encode(one) for one in contents]
    caller.parse_s = parsed - caller.began
    caller.ids_s = time.perf_counter() - parsed
    batcher.submit(model, encoded, caller, functools.partial(_hand_over, model, body, is_one, done))
    return True


def _hand_over(
    model: Model[Any],
    body: Search,
    is_one: bool,
    done: Callable[[bytes | BaseException], object],
    found: Sequence[Answer] | BaseException,
) -> None:
    """Call `done` with the answer as JSON, or the error instead of it."""
    done(found if isinstance(found, BaseException) else written(model, body, is_one, found))


def model_asked(kind: Kind, body: Search, registry: Registry) -> Model[Any]:
    """Return the model that a search asks.

    Raises:
        KindMismatch: it is of another kind.
        Others: as `Registry.serving`.
    """
    model = registry.serving(body.name)
    check_kind(kind.name, body.name, model.manifest.neural_network_type)
    return model


def written(model: Model[Any], body: Search, is_one: bool, found: Sequence[Answer]) -> bytes:
    """Return what a model has found, as JSON; `is_one` says whether one input was asked about, and no list."""
    if is_one:
        return _encode(msgspec.structs.replace(found[0], id=body.id, model_name=model.name, version=model.version))
    if body.ids is not None:
        found = [msgspec.structs.replace(one, id=id_) for one, id_ in zip(found, body.ids, strict=True)]
    return _encode(SearchAnswers(model.name, model.version, found))


def explains(body: Search) -> bool:
    """Return whether a search asks why, too."""
    return isinstance(body, TicketSearch) and body.explain


def check_explains(kind: Kind, name: str) -> None:
    """Do nothing if the answers of a kind can be explained.

    Raises:
        KindMismatch: they cannot.
    """
    if kind.explain is None:
        raise KindMismatch(f"model {name} is of neural_network_type {kind.name}, which explains nothing; ask without")


async def explained(kind: Kind, model: Model[Any], encoded: Any, batcher: Batcher, caller: Caller) -> Explanation:
    """Return what each token of a ticket weighs; in the batcher's thread, so that searches go on beside it.

    Raises:
        ServerFull, TooLate, ClientLeft: as `Batcher.in_steps`.
        NotFinite: as `explain.explain`.
    """
    assert kind.explain is not None, "who explains has been checked; this is our bug"
    work = kind.explain(model, encoded)
    return await batcher.in_steps(model, work.steps, work.cost, caller)


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
