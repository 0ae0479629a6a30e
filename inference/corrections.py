"""Corrections that people send of a model's answers: check one, and write it to the disk, one after the other.

In: a body of POST /feedback, decoded. Out: the correction, once it is on the disk. What the file of corrections is and
how one is erased from it is in artifacts/store/feedback.py; HTTP is in routes/feedback.py.
"""

import asyncio
import logging
import unicodedata

import msgspec

from artifacts.errors import Fault, InvalidContent, KindMismatch, PuppetError
from artifacts.kinds import KINDS, kind_named
from artifacts.networks.manifest import ModelRecord
from artifacts.store import feedback
from artifacts.store.audit import NO_TOKEN, AuditLog, Author
from artifacts.store.feedback import Correction
from artifacts.store.review import ReviewQueue
from artifacts.store.store import Store
from artifacts.text.tickets import read_tokens
from inference.errors import ServerFull
from inference.schemas import Feedback
from inference.search.bodies import Faults
from inference.search.registry import Registry

WAITING_LIMIT = 256  # corrections that may wait for the disk, which takes some ms for each

log = logging.getLogger("puppet")


class Corrections:
    """Keeps corrections; belongs to one event loop.

    Attributes:
        num_waiting: corrections that wait for the disk, at most WAITING_LIMIT.
    """

    def __init__(self, store: Store, limit: int, audit: AuditLog, review: ReviewQueue, *, is_reviewing: bool) -> None:
        self.num_waiting = 0
        self._review = review
        self._is_reviewing = is_reviewing  # whether tickets are added to the queue, or wait there from before
        self._store = store
        self._limit = limit  # of one model
        self._audit = audit
        # One at a time: the disk takes them one by one anyway, and the threads are there for others too.
        self._turn = asyncio.Semaphore(1)

    async def keep(self, body: Feedback, author: Author) -> tuple[Correction, bool]:
        """Write what a body asks to keep to the disk; return it, and whether it replaced an earlier one of its id.

        The audit log is written in the same turn and thread: so it waits for the disk where the correction does.

        Raises:
            ServerFull: WAITING_LIMIT corrections wait already.
            FeedbackFull: as `feedback.add`.
            Others: as `checked`.
        """
        if self.num_waiting >= WAITING_LIMIT:
            raise ServerFull("feedback-queue-full", num_waiting=self.num_waiting, limit=WAITING_LIMIT)

        def keep() -> tuple[Correction, bool]:
            correction = checked(self._store, body)
            if author.token_name != NO_TOKEN:
                correction = msgspec.structs.replace(correction, token_name=author.token_name)
            with self._audit.change(
                *(author, "keep_correction", body.name), version=correction.version, correction_id=correction.id
            ):
                is_known = feedback.add(self._store, body.name, correction, self._limit)
            self._close(body.name, correction)
            return correction, is_known

        self.num_waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(keep)
        finally:
            self.num_waiting -= 1

    def _close(self, name: str, correction: Correction) -> None:
        """Take a ticket that was labelled out of the review queue, if it waits there; the correction is kept anyway."""
        try:
            if self._is_reviewing or self._review.has_folder(name):
                self._review.close(name, correction.id, correction.content if self._is_reviewing else None)
        except PuppetError as error:
            log.error("a ticket of %s was labelled, but still waits for review: %s", name, error)


def labelled(store: Store, name: str) -> ModelRecord:
    """Return the record of a model that tells categories of tickets apart; reads the disk.

    Raises:
        KindMismatch: it does not.
        ModelNotFound, InvalidName, ArtifactRefused.
    """
    record = store.read_model(name)
    if not kind_named(record.neural_network_type).reads_text:
        raise KindMismatch(
            "no-categories",
            model_name=name,
            neural_network_type=record.neural_network_type,
            known=[one.name for one in KINDS.values() if one.reads_text],
        )
    return record


def checked(store: Store, body: Feedback) -> Correction:
    """Return what a body asks to keep; reads the disk.

    Raises:
        InvalidInput: with every fault.
        KindMismatch: the model does not tell categories of tickets apart.
        ModelNotFound, InvalidName, ArtifactRefused.
    """
    record = labelled(store, body.name)
    faults = Faults()
    category = unicodedata.normalize("NFC", body.category).strip()
    if not category:
        faults.add(Fault.of("/category", "blank-category"))
    try:
        category.encode()
    except UnicodeEncodeError:
        faults.add(Fault.of("/category", "lone-surrogate"))
    field, content = ("tokens", body.tokens) if body.tokens is not None else ("text", body.text or "")
    try:
        if not read_tokens(content):
            faults.add(Fault.of(f"/{field}", "empty-ticket"))
    except InvalidContent as error:
        faults.add(Fault.of_error(f"/{field}", error))
    if body.version is not None and body.version > record.highest_version:
        faults.add(Fault.of("/version", "version-too-high", version=body.version, limit=record.highest_version))
    faults.refuse("body")
    return Correction(id=str(body.id), category=category, tokens=body.tokens, text=body.text, version=body.version)


def is_new_category(registry: Registry, correction: Correction, name: str) -> bool | None:
    """Return whether the version that this process serves lacks the category; None if it serves none."""
    try:
        model = registry.serving(name)
    except PuppetError:  # it is untrained, being loaded or refused; the correction is kept all the same
        return None
    return correction.category not in getattr(model, "labels", ())
