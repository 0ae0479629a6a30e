"""GET /models/{name}/drift: whether the tickets are still those of the training."""

from typing import Annotated, Any

from litestar import Request, Router, get
from litestar.params import FromPath, QueryParameter

from artifacts.errors import InvalidInput
from artifacts.networks.manifest import Manifest
from inference.monitoring.drift import Drift, Found
from inference.monitoring.drift_tests import MIN_TICKETS, reasons
from inference.routes import access
from inference.routes.openapi import READ, refusals, token_needed
from inference.schemas import DriftAnswer, DriftDay, DriftReason, NewWord, Verdict
from inference.search.registry import Registry
from inference.settings import Settings

MAX_WORDS_SHOWN = 20
Days = Annotated[int, QueryParameter(description="So many days up to today (UTC).")]


def judged(manifest: Manifest, found: Found, is_saved: bool) -> DriftAnswer:
    """Return the verdict on what was found of a version.

    Args:
        manifest: of the version.
        found: what was counted of it.
        is_saved: whether that could be written to the disk.
    """
    expected = manifest.profile
    num_expected = expected.num_tickets if expected is not None else 0
    num_tickets = found.profile.num_tickets
    verdict: Verdict = "not_enough_data"
    why: list[DriftReason] = []
    detail = ""
    if expected is None:
        detail = "the version has no profile of its training to compare with; train it again, on text"
    elif num_expected < MIN_TICKETS:
        detail = f"{num_expected} tickets were kept out of the training, a comparison takes {MIN_TICKETS}; send more"
    elif num_tickets < MIN_TICKETS:
        detail = f"{num_tickets} tickets were answered in these days, a comparison takes {MIN_TICKETS}; wait for more"
    else:
        why = reasons(expected, found.profile)
        verdict = "drift" if why else "stable"
    if not is_saved:
        detail += "; " * bool(detail) + "the store cannot be written: a restart and other workers lack these counts"
    often = sorted(found.words.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_WORDS_SHOWN]
    return DriftAnswer(
        model_name=manifest.name,
        version=manifest.version,
        verdict=verdict,
        detail=detail,
        reasons=why,
        num_tickets=num_tickets,
        num_expected=num_expected,
        days=[DriftDay(day, num) for day, num in sorted(found.days.items())],
        new_words=[NewWord(word, num) for word, num in often],
    )


def create_drift_routes(settings: Settings) -> Router:
    """Return the route of the drift."""
    most = max(1, settings.drift_days)
    week = min(7, most)

    @get(
        "/models/{name:str}/drift",
        opt=access.SEARCH,
        security=token_needed(settings, "search"),
        responses=refusals(*READ),
    )
    async def show_drift(request: Request[Any, Any, Any], name: FromPath[str], days: Days = week) -> DriftAnswer:
        """Tell whether the tickets that the serving version answers are still like those of its training, and why."""
        if not 1 <= days <= most:
            raise InvalidInput(f"days is {days}; send 1 to {most}, for counts are kept so long (drift_days)")
        registry: Registry = request.app.state.registry
        drift: Drift = request.app.state.drift
        model = registry.serving(name)
        found = await drift.found(name, model.version, days)
        return judged(model.manifest, found, drift.is_saved)

    return Router("/", route_handlers=[show_drift])
