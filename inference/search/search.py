"""The answer to a search: its Struct in, the bytes of an answer out.

    Struct ─► model ─► ids ─► batcher ─► answers ─► bytes ─► Reply.take

One function, `begin`, answers a plain search: the protocol of a connection (server/protocol.py) and the route
(routes/seeds.py) both hand it a `Reply`, which takes the bytes. What needs more than a moment, or more than a plain
answer, it leaves to `answer`, which only the route calls: that takes turns of the event loop.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from artifacts.arrays import Longs
from artifacts.errors import InvalidContent, InvalidInput, KindMismatch
from artifacts.kinds import Kind, check_kind
from artifacts.networks.runtime import Model
from artifacts.schemas import Answer, Search
from artifacts.text.tickets import Explanation, RankedPrediction, TicketSearch
from inference.schemas import SearchAnswers
from inference.search.batcher import Batcher
from inference.search.bodies import SLICE_TICKETS, encode_all, encode_one, is_long
from inference.search.context import AskedInput, Awaited, Reply, RequestContext
from inference.search.ranked import kept_asked, rank, ranking_of
from inference.search.registry import Registry

MAX_TIMEOUT_MS = 600_000  # ten minutes; who waits longer wants a job, not a search
MAX_TIMEOUT_DIGITS = 6  # checked before int(), which takes quadratic time for a long string of digits

# One encoder for the life of the process: making one for each answer costs more than the answer.
_encode = msgspec.json.Encoder().encode


class PlainSearch:
    """A search in the batcher's queue, as the reply that takes its answers and hands on their bytes."""

    __slots__ = ("body", "is_one", "model", "reply")

    def __init__(self, model: Model[Any], body: Search, is_one: bool, reply: Reply[bytes]) -> None:
        """Take the model and the body, whether one input was asked about, and where the bytes go."""
        self.model = model
        self.body = body
        self.is_one = is_one
        self.reply = reply

    def asked(self, index: int) -> AskedInput:
        """Return an input as it was sent; see `ReplyOfInputs`."""
        return asked_in(self.body, index)

    def take(self, found: Sequence[Answer] | BaseException) -> None:
        """Hand on the answers as JSON, or the error instead of them."""
        if not isinstance(found, BaseException):
            try:
                found_bytes = written(self.model, self.body, self.is_one, found)
            except Exception as error:  # a bug; but the client must get an answer
                self.reply.take(error)
            else:
                self.reply.take(found_bytes)
        else:
            self.reply.take(found)


def begin(
    kind: Kind, body: Search, registry: Registry, batcher: Batcher, context: RequestContext, reply: Reply[bytes]
) -> bool:
    """Begin a plain search and return True: `reply` takes its answer on the loop; return False if it is not plain.

    A search is plain if reading it takes no more than a moment and no more than a category (or a value) is wanted.

    Raises:
        ServerFull, TooLate: it is refused; `reply` takes nothing then.
        Others: as `model_asked` and `Model.encode`; the body is at fault, and `answer` says where.
    """
    # Once: a version that is swapped in after this line answers the next request, not this one.
    model = model_asked(kind, body, registry)
    field, content = body.given  # exactly one of vector, vectors, text, texts; the Struct has checked it
    is_one = field in body.ONE
    # One way for one and for many: a single input is a batch of one until the answer is written.
    contents = [content] if is_one else content
    # The fast way has no branches: what needs a second run, a thread or a turn of the loop goes the other one.
    is_plain = ranking_of(model, body.ranking) is None and not explains(body)
    if not is_plain or len(contents) > SLICE_TICKETS or any(map(is_long, contents)):
        return False
    parsed = time.perf_counter()
    # Here and not in the batcher's turn: a fault of the text is this request's alone, and no batch may fail for it.
    encoded = [model.encode(one) for one in contents]
    context.parse_s = parsed - context.began
    context.ids_s = time.perf_counter() - parsed
    # The request holds its model from here to its answer, so an answer never mixes two versions.
    batcher.submit(model, encoded, context, PlainSearch(model, body, is_one, reply))
    return True


async def answer(
    kind: Kind, body: Search, registry: Registry, batcher: Batcher, context: RequestContext, *, shows_words: bool
) -> bytes:
    """Return the answer to any search, as JSON; the context learns how long each stage took.

    Args:
        kind: of the body.
        body: decoded.
        registry: which knows the version that serves.
        batcher: which runs it.
        context: of the request.
        shows_words: whether the caller may see words of the vocabulary that it has not sent (`nearest`).
    Raises:
        InvalidInput, KindMismatch: the body.
        ModelNotFound, ModelNotTrained, InvalidName, ModelLoading, ArtifactRefused: as `Registry.serving`.
        ServerFull, TooLate, ClientLeft, NotFinite: as `Batcher.predict`.
    """
    reply: Awaited[bytes] = Awaited(context)
    try:
        if begin(kind, body, registry, batcher, context, reply):
            return await reply.found
    except InvalidContent:
        pass  # of one input; below every fault is found, each with its JSON Pointer
    # Everything below may take turns of the event loop, so it is a coroutine and not a callback.
    model = model_asked(kind, body, registry)
    field, content = body.given
    is_one = field in body.ONE
    if explains(body):
        check_explains(kind, body.name)  # before the model is asked, so that a refusal costs nothing
    parsed = time.perf_counter()
    context.parse_s = parsed - context.began
    # A fault names its input by a JSON Pointer (RFC 6901), so each input carries its own from here on.
    contents = {f"/{field}": content} if is_one else {f"/{field}/{i}": one for i, one in enumerate(content)}
    # The model's own setting counts where the caller does not say whether it may abstain.
    ranking = ranking_of(model, body.ranking)
    found: Sequence[Answer]
    if ranking is not None:
        found = await rank(model, contents, ranking, batcher, context, functools.partial(asked_in, body))
    else:
        encoded = await encode_all(batcher.large, model, contents)
        context.ids_s = time.perf_counter() - parsed
        found = await batcher.predict(model, encoded, context, functools.partial(asked_in, body))
    # What each token weighs is found by leaving it out and asking again: as many runs as there are tokens.
    if explains(body) and not (isinstance(found[0], RankedPrediction) and found[0].reason == "empty"):
        encoded_one = await encode_one(batcher.large, model, content)
        # Of the category that was answered, so among those that may be; `rank` has seen that the model knows them.
        kept_K = kept_asked(model, ranking) if ranking is not None else None
        explanation = await explained(kind, model, encoded_one, kept_K, batcher, context)
        if not shows_words:
            explanation = without_words(explanation)
        found = [msgspec.structs.replace(found[0], explanation=explanation)]
    return written(model, body, is_one, found)


def asked_in(body: Search, index: int) -> AskedInput:
    """Return an input of a search as it was sent."""
    # From the body once more, and only for a ticket that is kept: carried along, it would cost every search.
    field, content = body.given
    if field in body.ONE:
        return AskedInput(body.id, content)
    return AskedInput(body.ids[index] if body.ids is not None else None, content[index])


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
    # The name and the version come from the model that was run, never from the registry: it may hold another by now.
    if is_one:
        return _encode(msgspec.structs.replace(found[0], id=body.id, model_name=model.name, version=model.version))
    if body.ids is not None:  # the caller's own, so that it can match answers without counting
        found = [msgspec.structs.replace(one, id=id_) for one, id_ in zip(found, body.ids, strict=True)]
    return _encode(SearchAnswers(model.name, model.version, found))


def explains(body: Search) -> bool:
    """Return whether a search asks why, too."""
    return isinstance(body, TicketSearch) and body.explain


def check_explains(kind: Kind, name: str) -> None:
    """Raise KindMismatch unless the answers of a kind can be explained."""
    if kind.explain is None:
        raise KindMismatch("not-explainable", model_name=name, neural_network_type=kind.name)


async def explained(
    kind: Kind, model: Model[Any], encoded: Any, kept_K: Longs | None, batcher: Batcher, context: RequestContext
) -> Explanation:
    """Return what each token of a ticket weighs; in the batcher's thread, so that searches go on beside it.

    Of the best of the categories `kept_K`, or of all.

    Raises:
        ServerFull, TooLate, ClientLeft: as `LargeWork.in_steps`.
        NotFinite: as `explain.explain`.
    """
    assert kind.explain is not None, "check_explains has been called; internal error"
    # A task and not one run: some hundred runs in one piece would hold every large request up.
    work = kind.explain(model, encoded, kept_K)
    return await batcher.large.in_steps(model, work.steps, work.cost, context)


def without_words(explanation: Explanation) -> Explanation:
    """Return an explanation that names no word but those of the ticket: a known word may be somebody's name."""
    tokens = [msgspec.structs.replace(token, nearest=None) for token in explanation.tokens]
    return msgspec.structs.replace(explanation, tokens=tokens)


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
        raise InvalidInput("invalid-timeout", found=timeout_ms[:40].decode("latin-1"), limit_ms=MAX_TIMEOUT_MS)
    return arrived + int(timeout_ms) / 1000
