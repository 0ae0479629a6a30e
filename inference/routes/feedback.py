"""The routes of corrections: keep one, export them, look one up, erase. One method each."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream
from msgspec.json import encode

from artifacts.store import feedback
from artifacts.store.audit import Action, AuditLog, Author
from artifacts.store.feedback import Correction
from artifacts.store.store import Store
from artifacts.store.versions import check_name
from inference.corrections import Corrections, is_new_category
from inference.review.retraining import Retraining
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.openapi import ADMIN, FEEDBACK, JSON_LINES, READ, documented, lines_answer, refusals
from inference.schemas import Feedback, FeedbackErased, FeedbackStored
from inference.search.bodies import decoded
from inference.search.registry import Registry
from inference.training import Training

AnyRequest = Request[Any, Any, Any]


async def lines(store: Store, name: str, page: list[tuple[int, Correction]]) -> AsyncIterator[bytes]:
    """Yield the corrections from a page on, one JSON object a line."""
    while page:
        yield b"".join(encode(correction) + b"\n" for _, correction in page)
        page = await asyncio.to_thread(feedback.page, store, name, page[-1][0])


async def erased(
    store: Store, training: Training, audit: AuditLog, author: Author, name: str, correction_id: str | None
) -> FeedbackErased:
    """Erase a correction, or with None all of a model, and the kept bodies that hold them."""
    check_name(name)

    def erase() -> feedback.Erased:
        action: Action = "erase_corrections" if correction_id is None else "erase_correction"
        with audit.change(author, action, name, correction_id=correction_id or ""):
            return feedback.erase(store, training.jobs, name, correction_id)

    found = await asyncio.to_thread(erase)
    return FeedbackErased(model_name=name, num_erased=found.num_corrections, num_bodies=found.num_bodies)


class FeedbackRoutes(Routes):
    """POST /feedback, and the routes under /models/{name}/feedback."""

    @post(
        "/feedback",
        operation_class=documented(FEEDBACK),
        opt=access.FEEDBACK,
        status_code=200,
        responses=refusals(*READ, 507),
    )
    async def keep_feedback(
        self,
        request: AnyRequest,
        corrections: NamedDependency[Corrections],
        registry: NamedDependency[Registry],
        retraining: NamedDependency[Retraining],
    ) -> FeedbackStored:
        """Keep the right category of a ticket, once it is on the disk; of the same id the latest counts."""
        access.check_media_type(request)
        body = await decoded(await request.body(), Feedback)
        correction, replaced = await corrections.keep(body, access.author_of(request))
        retraining.note(body.name)
        return FeedbackStored(
            model_name=body.name,
            id=correction.id,
            replaced=replaced,
            is_new_category=is_new_category(registry, correction, body.name),
        )

    @get("/models/{name:str}/feedback", opt=access.LABEL, responses=lines_answer() | refusals(*READ))
    async def export_feedback(self, name: FromPath[str], registry: NamedDependency[Registry]) -> Stream:
        """Export the corrections in the order in which they came: JSONL, which `puppet-train fit` reads."""
        page = await asyncio.to_thread(feedback.page, registry.store, name)
        return Stream(lines(registry.store, name, page), media_type=JSON_LINES)

    @get("/models/{name:str}/feedback/{correction_id:str}", opt=access.LABEL, responses=refusals(*READ))
    async def show_feedback(
        self, name: FromPath[str], correction_id: FromPath[str], registry: NamedDependency[Registry]
    ) -> Correction:
        """Show the correction of an id."""
        return await asyncio.to_thread(feedback.get, registry.store, name, correction_id)

    @delete("/models/{name:str}/feedback", opt=access.ADMIN, status_code=200, responses=refusals(*ADMIN, 404))
    async def erase_all_feedback(
        self,
        request: AnyRequest,
        name: FromPath[str],
        registry: NamedDependency[Registry],
        training: NamedDependency[Training],
        audit: NamedDependency[AuditLog],
    ) -> FeedbackErased:
        """Erase all corrections of a model, and every kept body of its trainings, from the disk too."""
        return await erased(registry.store, training, audit, access.author_of(request), name, None)

    @delete(
        "/models/{name:str}/feedback/{correction_id:str}",
        opt=access.ADMIN,
        status_code=200,
        responses=refusals(*ADMIN, 404),
    )
    async def erase_feedback(
        self,
        request: AnyRequest,
        name: FromPath[str],
        correction_id: FromPath[str],
        registry: NamedDependency[Registry],
        training: NamedDependency[Training],
        audit: NamedDependency[AuditLog],
    ) -> FeedbackErased:
        """Erase one correction, and the kept bodies of trainings that hold it, from the disk too."""
        return await erased(registry.store, training, audit, access.author_of(request), name, correction_id)
