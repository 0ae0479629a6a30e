"""The route of the audit log: who changed what, and how it ended."""

import asyncio
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from artifacts.store.audit import AuditLog
from inference.routes import access
from inference.routes.declared import Routes
from inference.routes.openapi import ADMIN, refusals
from inference.schemas import AuditAnswer

MAX_ENTRIES = 1000
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_ENTRIES, description="Entries at most.")]
Before = Annotated[int | None, QueryParameter(ge=1, le=2**63 - 1, description="Only entries of lower numbers.")]


class AuditRoutes(Routes):
    """GET /audit."""

    @get("/audit", opt=access.ADMIN, responses=refusals(*ADMIN))
    async def entries(self, audit: NamedDependency[AuditLog], limit: Limit = 100, before: Before = None) -> AuditAnswer:
        """List who did what, when, to what and with which outcome, the newest first; no ticket is in it."""
        return AuditAnswer(await asyncio.to_thread(audit.newest, limit, before))
