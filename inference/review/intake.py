"""Which answered tickets wait for a person: those on which the model abstained, or was not sure.

    batcher ─► note: unsure? room in the buffer? ─► every second, in a thread ─► artifacts/store/review.py

Searches pay for this only where the setting `review` is on, and then a comparison each, after the answer has gone out.
The model is not asked again: what its best guesses are is found when somebody looks at the queue (guesses.py).

Unsure is, where the version has a rule of abstention, what that rule does not route: a confidence below its threshold,
or too large a share of unknown tokens. A tie of the two best categories above the threshold is seen where the search
asked for more than a category, because a plain answer does not know its second best. A version without a rule is unsure
below a confidence of UNSURE.

The buffer bounds what a worker keeps a second, and so what this can cost, however many tickets come and however unsure
the model is. What finds no room is not kept: another one like it will come, and no team labels so many.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from artifacts.errors import ModelNotFound, PuppetError
from artifacts.evaluation.abstain import Abstention
from artifacts.kinds import kind_named
from artifacts.networks.manifest import Manifest
from artifacts.schemas import Id, Reason
from artifacts.store.feedback import CorrectionId
from artifacts.store.review import MAX_TICKET_BYTES, ReviewItem, ReviewQueue, id_of
from artifacts.text.tickets import RankedPrediction
from inference.search.context import AskedInput, QueuedRequest

BUFFER_TICKETS = 64  # that a worker keeps a second
FLUSH_S = 1.0  # between two writes; what other workers see is so old, and a crash loses so much
TIDY_S = 5.0  # between two looks at the files where the setting is off; they may hold what was kept before
MAX_LOOKED = 1024  # tickets of one request; a look takes 2 us where there are unknown words
FULL_S = 5.0  # that a full queue of a model is not asked for room again
# Of a calibrated confidence: three in ten of such answers are wrong, so a person's time is well spent on them.
UNSURE = 0.7

log = logging.getLogger("puppet")


class Noted(NamedTuple):
    """A ticket to be kept: of which model, how it was sent, and what the model said."""

    name: str
    version: int
    asked: AskedInput
    confidence: float
    reason: Reason | None


class UnsureRule(NamedTuple):
    """What a version counts as sure.

    Attributes:
        confidence: the least.
        max_unknown: the largest share of unknown tokens.
        num_words: known to it.
    """

    confidence: float
    max_unknown: float
    num_words: int


def bar_of(manifest: Manifest) -> UnsureRule | None:
    """Return what a version counts as sure; None if it does not tell categories of tickets apart."""
    if not kind_named(manifest.neural_network_type).reads_text:
        return None
    rule: Abstention | None = getattr(manifest, "abstain", None)
    if rule is None:
        return UnsureRule(UNSURE, 1.0, 0)
    # Without a threshold the version routes nothing, so nothing is sure.
    return UnsureRule(
        rule.threshold if rule.threshold is not None else 2.0,
        rule.max_unknown,
        getattr(manifest, "encoding").num_words,  # noqa: B009  # the kinds that read text have one
    )


class ReviewIntake:
    """One worker's buffer of tickets that are to wait; belongs to its event loop."""

    def __init__(self, queue: ReviewQueue) -> None:
        self._queue = queue
        self._noted: list[Noted] = []
        self._manifest: Manifest | None = None  # of the model that was asked last, and its bar
        self._bar: UnsureRule | None = None
        self._full: dict[str, float] = {}  # model whose queue is full -> when to ask it again
        self._is_written = True

    def note(self, request: QueuedRequest, answers: Sequence[Any]) -> None:
        """Note the tickets of a request on which the model was not sure."""
        model = request.model
        if model.manifest is not self._manifest:
            self._manifest, self._bar = model.manifest, bar_of(model.manifest)
        bar = self._bar
        if bar is None or len(self._noted) >= BUFFER_TICKETS or model.name in self._full:
            return
        is_ranked = bool(answers) and isinstance(answers[0], RankedPrediction)  # then it says itself whether it is sure
        for index, answer in enumerate(answers[:MAX_LOOKED]):
            # Nearly all tickets of a good model end here: known words, and sure.
            if not is_ranked and answer.confidence >= bar.confidence and not answer.unknown_tokens:
                continue
            reason = _why(bar, request.encoded[index], answer)
            if reason is None or (asked := request.reply.asked(index)) is None:
                continue
            self._noted.append(Noted(model.name, model.version, asked, answer.confidence, reason))
            if len(self._noted) >= BUFFER_TICKETS:
                return

    async def watch(self, every_s: float = FLUSH_S) -> None:
        """Write what was noted now and then, and tidy the files, for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.save()

    async def save(self) -> None:
        """Write what was noted, and tidy the files; what cannot be written is not kept, and the log says why."""
        noted, self._noted = self._noted, []
        now = asyncio.get_running_loop().time()
        self._full = {name: until for name, until in self._full.items() if until > now}
        try:
            full = await asyncio.to_thread(self._write, noted)
        except (OSError, PuppetError) as error:
            if self._is_written:  # once, and not every second
                log.error("tickets to be reviewed cannot be kept or tidied: %s", error)
            self._is_written = False
        else:
            self._is_written = True
            self._full |= dict.fromkeys(full, now + FULL_S)

    def _write(self, noted: Sequence[Noted]) -> set[str]:
        """Add tickets to the queues of their models, and return the models whose queue is full."""
        full = set()
        with contextlib.ExitStack() as ends:
            ends.callback(self._queue.tidy)  # also where a ticket cannot be added: what has closed must go
            for name in dict.fromkeys(one.name for one in noted):
                items = [item for one in noted if one.name == name and (item := item_of(one)) is not None]
                with contextlib.suppress(ModelNotFound):  # deleted in the meantime
                    if self._queue.add(name, items, whole=False).is_full:
                        full.add(name)
        return full


def _why(bar: UnsureRule, encoded: Any, answer: Any) -> Reason | None:
    """Return why a model is not sure of an answer; None if it is."""
    if isinstance(answer, RankedPrediction) and answer.reason is not None:
        return answer.reason
    # The share costs a look at every token, so it is asked for only where there is an unknown one.
    if answer.unknown_tokens and bar.num_words and encoded.unknown_share(bar.num_words) > bar.max_unknown:
        return "unknown_tokens"
    return "low_confidence" if answer.confidence < bar.confidence else None


def item_of(noted: Noted) -> ReviewItem | None:
    """Return a ticket as it waits; None if it is too long to be kept."""
    content = noted.asked.content
    if num_bytes(content) > MAX_TICKET_BYTES:
        return None
    tokens, text = (None, content) if isinstance(content, str) else (content, None)
    return ReviewItem(
        id=usable_id(noted.asked.id) or id_of(content),
        tokens=tokens,
        text=text,
        confidence=noted.confidence,
        reason=noted.reason,
        version=noted.version,
    )


def num_bytes(content: list[str] | str) -> int:
    """Return how long a ticket is in UTF-8, about."""
    return len(msgspec.json.encode(content))


def usable_id(id_: Id) -> str | None:
    """Return the caller's id of a ticket as POST /feedback takes it; None if it would not."""
    try:
        return msgspec.convert(str(id_), CorrectionId) if id_ is not None else None
    except msgspec.ValidationError:
        return None
