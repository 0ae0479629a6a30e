"""The routes of the review queue: show what waits, load tickets without categories, skip one. One method each.

A ticket is labelled by POST /feedback with its id, which also takes it out of the queue (inference/corrections.py).
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from artifacts.errors import ArtifactRefused, Fault, InvalidContent, ModelNotTrained
from artifacts.networks.runtime import Model
from artifacts.store.audit import AuditLog
from artifacts.store.review import MAX_TICKET_BYTES, Added, ReviewItem, ReviewQueue, id_of
from artifacts.system.validation import decoder_of, find_faults
from artifacts.text.tickets import read_tokens
from inference.corrections import labelled
from inference.errors import ReviewOff
from inference.review.guesses import Guessed, Guesses, Likeness, sizes_of, sureness
from inference.review.intake import num_bytes
from inference.review.order import diverse, uncertain
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.openapi import READ, REVIEW, documented, refusals
from inference.schemas import (
    ReviewAnswer,
    ReviewLoaded,
    ReviewLoadRaw,
    ReviewOrder,
    ReviewSkipped,
    ReviewTicket,
    WaitingTicket,
)
from inference.search.bodies import UNREADABLE, Faults, decoded
from inference.search.registry import Registry
from inference.settings import Settings

MAX_ITEMS = 1000  # of one answer

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_ITEMS, description="Tickets at most.")]
Order = Annotated[
    ReviewOrder,
    QueryParameter(
        description="uncertain: the least sure first. diverse: no two like ones before each group of like tickets was "
        "seen once. oldest: as they came."
    ),
]


class Review:
    """The review queue as the routes have it; belongs to one event loop.

    Attributes:
        queue: of the store.
        guesses: what is known of what waits.
        settings: of the server.
        turn: of a request that computes for a while: one at a time, for the threads are there for others too.
    """

    def __init__(self, queue: ReviewQueue, settings: Settings) -> None:
        self.queue = queue
        self.guesses = Guesses()
        self.settings = settings
        self.turn = asyncio.Lock()

    def check_on(self) -> None:
        """Raise ReviewOff unless the server keeps tickets to be reviewed."""
        if not self.settings.review:
            raise ReviewOff("review-off")


def serving_or_none(registry: Registry, name: str) -> Model[Any] | None:
    """Return the version that serves; None where there is none yet, for tickets may wait for a first training.

    Raises:
        ModelLoading: in a moment there is one.
    """
    try:
        return registry.serving(name)
    except (ModelNotTrained, ArtifactRefused):
        return None


def looked_at(review: Review, model: Model[Any] | None, name: str, order: ReviewOrder, limit: int) -> ReviewAnswer:
    """Return the first tickets that wait in an order; computes."""
    items = review.queue.waiting(name)
    if not items:
        review.guesses.forget(name)
        return ReviewAnswer(name, 0, [])
    guessed = review.guesses.guessed(name, model, items)
    likeness = review.guesses.likeness(name, model, items)
    places: Sequence[int] = range(len(items))
    if order == "uncertain":
        places = uncertain(sureness(guessed))
    elif order == "diverse":
        places = diverse(likeness.vectors_ND, likeness.group_N, sureness(guessed), limit)
    return ReviewAnswer(name, len(items), shown(items, guessed, likeness, places[:limit]))


def shown(
    items: Sequence[ReviewItem], guessed: Sequence[Guessed], likeness: Likeness, places: Sequence[int]
) -> list[WaitingTicket]:
    """Return the tickets at some places of the queue with what is known of them."""
    groups, sizes = likeness.group_N.tolist(), sizes_of(likeness.group_N).tolist()
    return [
        WaitingTicket(
            id=items[place].id,
            tokens=items[place].tokens,
            text=items[place].text,
            created=items[place].created,
            **guessed[place]._asdict(),
            group=groups[place],
            group_size=sizes[groups[place]],
        )
        for place in places
    ]


def checked(tickets: Sequence[msgspec.Raw]) -> list[ReviewItem]:
    """Return tickets that are to wait, decoded one by one; takes a while.

    Raises:
        InvalidInput: with every fault.
    """
    decoder = decoder_of(ReviewTicket)
    faults = Faults()
    items = []
    for index, raw in enumerate(tickets):
        pointer = f"/tickets/{index}"
        try:
            ticket = decoder.decode(raw)
        except UNREADABLE:
            for fault in find_faults(raw, ReviewTicket, pointer):
                faults.add(fault)
            continue
        content = ticket.tokens if ticket.tokens is not None else ticket.text or ""
        pointer += "/tokens" if ticket.tokens is not None else "/text"
        if (size := num_bytes(content)) > MAX_TICKET_BYTES:
            faults.add(Fault.of(pointer, "ticket-too-long-for-review", num_bytes=size, limit_bytes=MAX_TICKET_BYTES))
            continue
        try:
            if not read_tokens(content):
                faults.add(Fault.of(pointer, "empty-ticket"))
        except InvalidContent as error:
            faults.add(Fault.of_error(pointer, error))
            continue
        id_ = str(ticket.id) if ticket.id is not None else id_of(content)
        items.append(ReviewItem(id=id_, tokens=ticket.tokens, text=ticket.text))
    faults.refuse("tickets")
    return items


class ReviewRoutes(Routes):
    """The routes under /models/{name}/review."""

    path = "/models/{name:str}/review"

    @get("/", opt=access.LABEL, responses=refusals(*READ, 409))
    async def show_review(
        self,
        name: FromPath[str],
        registry: NamedDependency[Registry],
        review: NamedDependency[Review],
        order: Order = "uncertain",
        limit: Limit = 20,
    ) -> ReviewAnswer:
        """Show tickets that wait for a person, with the best guesses of the version that serves."""
        review.check_on()
        await asyncio.to_thread(labelled, registry.store, name)
        model = serving_or_none(registry, name)
        async with review.turn:
            return await asyncio.to_thread(looked_at, review, model, name, order, limit)

    @post(
        "/",
        operation_class=documented(REVIEW),
        opt=access.LABEL,
        body_limits=("test_body_bytes",),
        status_code=200,
        responses=refusals(*READ, 409, 507),
    )
    async def load_review(
        self,
        request: AnyRequest,
        name: FromPath[str],
        registry: NamedDependency[Registry],
        review: NamedDependency[Review],
        audit: NamedDependency[AuditLog],
    ) -> ReviewLoaded:
        """Let tickets without categories wait for a person: all of them, or none where there is no room."""
        access.check_media_type(request)
        review.check_on()
        body = await decoded(await request.body(), ReviewLoadRaw)
        author = access.author_of(request)

        def load() -> Added:
            labelled(registry.store, name)
            items = checked(body.tickets)
            with audit.change(author, "load_review", name):
                return review.queue.add(name, items)

        async with review.turn:
            added = await asyncio.to_thread(load)
        return ReviewLoaded(
            model_name=name, num_added=added.num_added, num_known=added.num_known, num_waiting=added.num_waiting
        )

    @delete("/{item_id:str}", opt=access.LABEL, status_code=200, responses=refusals(*READ, 409))
    async def skip_review(
        self,
        request: AnyRequest,
        name: FromPath[str],
        item_id: FromPath[str],
        registry: NamedDependency[Registry],
        review: NamedDependency[Review],
        audit: NamedDependency[AuditLog],
    ) -> ReviewSkipped:
        """Skip a ticket for good: it waits no more, and does not come back when it is asked about again."""
        review.check_on()
        author = access.author_of(request)

        def skip() -> None:
            registry.store.read_model(name)
            with audit.change(author, "skip_review", name, correction_id=item_id):
                review.queue.skip(name, item_id)

        await asyncio.to_thread(skip)
        return ReviewSkipped(model_name=name, id=item_id)
