"""The routes of corrections: keep one, export them, look one up, erase. One function each."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Router, delete, get, post
from litestar.params import FromPath
from litestar.response import Stream
from msgspec.json import encode

from artifacts.errors import Fault, InvalidContent, KindMismatch, PuppetError
from artifacts.kinds import KINDS, kind_named
from artifacts.store import feedback
from artifacts.store.feedback import Correction
from artifacts.store.store import Store
from artifacts.text.tickets import read_tokens
from inference.errors import ServerFull
from inference.routes import access
from inference.routes.openapi import ADMIN, FEEDBACK, JSON_LINES, READ, documented, lines_answer, refusals, token_needed
from inference.schemas import Feedback, FeedbackErased, FeedbackStored
from inference.search.bodies import Faults, decoded
from inference.search.registry import Registry
from inference.settings import Settings
from inference.training import Training

WAITING_LIMIT = 256  # corrections that may wait for the disk, which takes some ms for each

AnyRequest = Request[Any, Any, Any]


def checked(store: Store, body: Feedback) -> Correction:
    """Return what a body asks to keep; reads the disk.

    Raises:
        InvalidInput: with every fault.
        KindMismatch: the model does not tell categories of tickets apart.
        ModelNotFound, InvalidName, ArtifactRefused.
    """
    record = store.read_model(body.name)
    if not kind_named(record.neural_network_type).reads_text:
        readers = ", ".join(one.name for one in KINDS.values() if one.reads_text)
        raise KindMismatch(
            f"model {body.name} is of neural_network_type {record.neural_network_type}, whose answers are no "
            f"categories; feedback is for models of {readers}"
        )
    faults = Faults()
    category = unicodedata.normalize("NFC", body.category).strip()
    if not category:
        faults.add(Fault("/category", "is blank; expected the right category of the ticket"))
    try:
        category.encode()
    except UnicodeEncodeError:
        faults.add(Fault("/category", "holds half of a surrogate pair, which no text has; remove it"))
    field, content = ("tokens", body.tokens) if body.tokens is not None else ("text", body.text or "")
    try:
        if not read_tokens(content):
            faults.add(Fault(f"/{field}", "the ticket is empty: no token that is not blank; fill it"))
    except InvalidContent as error:
        faults.add(Fault(f"/{field}", str(error)))
    if body.version is not None and body.version > record.highest_version:
        faults.add(Fault("/version", f"is {body.version}, the highest of the model is {record.highest_version}"))
    faults.refuse("body")
    return Correction(id=str(body.id), category=category, tokens=body.tokens, text=body.text, version=body.version)


def is_new_category(registry: Registry, correction: Correction, name: str) -> bool | None:
    """Return whether the version that this process serves lacks the category; None if it serves none."""
    try:
        model = registry.serving(name)
    except PuppetError:  # it is untrained, being loaded or refused; the correction is kept all the same
        return None
    return correction.category not in getattr(model, "labels", ())


async def lines(store: Store, name: str, page: list[tuple[int, Correction]]) -> AsyncIterator[bytes]:
    """Yield the corrections from a page on, one JSON object a line."""
    while page:
        yield b"".join(encode(correction) + b"\n" for _, correction in page)
        page = await asyncio.to_thread(feedback.page, store, name, page[-1][0])


def create_feedback_routes(settings: Settings) -> Router:
    """Return the routes of the corrections."""
    # One at a time: the disk takes them one by one anyway, and the threads are there for others too.
    turn = asyncio.Semaphore(1)
    num_waiting = 0

    @post(
        "/feedback",
        operation_class=documented(FEEDBACK),
        opt=access.SEARCH,
        security=token_needed(settings, "search"),
        status_code=200,
        responses=refusals(*READ, 507),
    )
    async def keep_feedback(request: AnyRequest) -> FeedbackStored:
        """Keep the right category of a ticket, once it is on the disk; of the same id the latest counts."""
        nonlocal num_waiting
        access.check_media_type(request)
        body = await decoded(await request.body(), Feedback)
        registry: Registry = request.app.state.registry
        if num_waiting >= WAITING_LIMIT:
            raise ServerFull(f"{num_waiting} corrections wait for the disk; try again in a second")

        def keep() -> tuple[Correction, bool]:
            correction = checked(registry.store, body)
            return correction, feedback.add(registry.store, body.name, correction, settings.feedback_limit)

        num_waiting += 1
        try:
            async with turn:
                correction, replaced = await asyncio.to_thread(keep)
        finally:
            num_waiting -= 1
        return FeedbackStored(
            model_name=body.name,
            id=correction.id,
            replaced=replaced,
            is_new_category=is_new_category(registry, correction, body.name),
        )

    @get(
        "/models/{name:str}/feedback",
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        responses=lines_answer() | refusals(*READ),
    )
    async def export_feedback(request: AnyRequest, name: FromPath[str]) -> Stream:
        """Export the corrections in the order in which they came: JSONL, which `puppet-train fit` reads."""
        store: Store = request.app.state.registry.store
        page = await asyncio.to_thread(feedback.page, store, name)
        return Stream(lines(store, name, page), media_type=JSON_LINES)

    @get(
        "/models/{name:str}/feedback/{correction_id:str}",
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        responses=refusals(*READ),
    )
    async def show_feedback(request: AnyRequest, name: FromPath[str], correction_id: FromPath[str]) -> Correction:
        """Show the correction of an id."""
        store: Store = request.app.state.registry.store
        return await asyncio.to_thread(feedback.get, store, name, correction_id)

    async def erased(request: AnyRequest, name: str, correction_id: str | None) -> FeedbackErased:
        store: Store = request.app.state.registry.store
        training: Training = request.app.state.training
        found = await asyncio.to_thread(feedback.erase, store, training.jobs, name, correction_id)
        return FeedbackErased(model_name=name, num_erased=found.num_corrections, num_bodies=found.num_bodies)

    @delete(
        "/models/{name:str}/feedback",
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        responses=refusals(*ADMIN, 404),
    )
    async def erase_all_feedback(request: AnyRequest, name: FromPath[str]) -> FeedbackErased:
        """Erase all corrections of a model, and every kept body of its trainings, from the disk too."""
        return await erased(request, name, None)

    @delete(
        "/models/{name:str}/feedback/{correction_id:str}",
        opt=access.ADMIN,
        security=token_needed(settings, "admin"),
        status_code=200,
        responses=refusals(*ADMIN, 404),
    )
    async def erase_feedback(request: AnyRequest, name: FromPath[str], correction_id: FromPath[str]) -> FeedbackErased:
        """Erase one correction, and the kept bodies of trainings that hold it, from the disk too."""
        return await erased(request, name, correction_id)

    return Router(
        "/",
        route_handlers=[keep_feedback, export_feedback, show_feedback, erase_all_feedback, erase_feedback],
        request_max_body_size=settings.search_body_bytes,
    )
