"""What follows from a route's declaration: its role is stated once, and guard and document agree on it."""

from pathlib import Path

import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from inference.app import create_app
from inference.routes.access import CLOSED_BY, OPENED_BY, Gate
from inference.routes.declared import Declared, Routes
from inference.settings import Settings

ROLES = {"open", *OPENED_BY}
FOLDER = Path(__file__).parents[3] / "inference" / "routes"


def declared(app: Litestar) -> dict[tuple[str, str], HTTPRouteHandler]:
    """Return the handler of each route by path (as the document writes it) and method, but OPTIONS and HEAD."""
    found = {}
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                found[route.path_format, method.lower()] = handler
    return found


@pytest.mark.parametrize("tokens", [(), ("admin_token",), ("search_token",), ("admin_token", "search_token")])
def test_security_of_every_route_follows_from_its_role(settings: Settings, tokens: tuple[str, ...]) -> None:
    """Whichever tokens are set: the document names for each route just the tokens that its declared role is open to."""
    settings = msgspec.structs.replace(settings, **dict.fromkeys(tokens, "t"))
    app = create_app(settings)
    paths = app.openapi_schema.to_schema()["paths"]

    shown = {place: handler for place, handler in declared(app).items() if handler.resolve_include_in_schema()}

    assert set(shown) == {(path, method) for path, operations in paths.items() for method in operations}
    for (path, method), handler in shown.items():
        role = handler.opt["role"]
        assert role in ROLES
        asked_as = ("search", "label", "admin") if role == "job" else (role,)  # jobs are asked for as any of the three
        is_closed = all(any(f"{one}_token" in tokens for one in CLOSED_BY.get(wanted, ())) for wanted in asked_as)
        expected: list[dict[str, list[str]]] = [
            {f"{one}_token": []} for one in OPENED_BY.get(role, ()) if is_closed and f"{one}_token" in tokens
        ]
        assert paths[path][method].get("security", []) == expected, (path, method)


def test_every_route_declares_a_role_and_no_security(settings: Settings) -> None:
    """Each route has a role that the guard knows, those of the documentation too; none states its security itself."""
    handlers = declared(create_app(settings))

    assert len(handlers) >= 28
    assert {handler.opt.get("role") for handler in handlers.values()} == ROLES
    for layer in {layer for handler in handlers.values() for layer in handler.ownership_layers[:-1]}:
        assert not layer.security


def test_route_that_is_added_later_is_described_too(settings: Settings) -> None:
    """Its security follows from its role, and a route without a role, which is open to nobody, names no token."""

    @get("/later", opt={"role": "admin"})
    async def later() -> str:
        return ""

    @get("/forgotten")
    async def forgotten() -> str:
        return ""

    app = Litestar([], plugins=[Declared(settings, Gate(msgspec.structs.replace(settings, admin_token="t")))])
    app.register(later)
    app.register(forgotten)

    paths = app.openapi_schema.to_schema()["paths"]

    assert paths["/later"]["get"]["security"] == [{"admin_token": []}]
    assert "security" not in paths["/forgotten"]["get"]


def test_limit_of_a_body_is_the_largest_setting_named(settings: Settings) -> None:
    """`body_limits` names settings; without it the application's limit holds; a wrong name stops the start."""
    settings = msgspec.structs.replace(settings, train_body_bytes=300_001, test_body_bytes=300_002)
    limits = {
        path: handler.resolve_request_max_body_size()
        for (path, method), handler in declared(create_app(settings)).items()
        if method == "post"
    }

    assert limits["/train_model"] == 300_001
    assert limits["/test"] == limits["/models/{name}/review"] == 300_002
    assert limits["/predict"] == max(settings.search_body_bytes, settings.mail_body_bytes)
    files = {"/train_model", "/inspect", "/evaluate", "/classify", "/models/{name}/diff"}
    assert {limits[path] for path in files} == {300_001}
    others = limits.keys() - files - {"/test", "/models/{name}/review", "/predict"}
    assert {limits[path] for path in others} == {settings.search_body_bytes}

    @post("/", body_limits=("no_such_bytes",))
    async def wrong() -> str:
        return ""

    with pytest.raises(AttributeError, match="no_such_bytes"):
        Litestar([wrong], plugins=[Declared(settings, Gate(settings))])


def test_document_keeps_the_order_of_a_class() -> None:
    """Routes stand as they are written, not by name; each application has copies of its own."""

    class Few(Routes):
        @get("/b")
        async def second(self) -> str:
            return ""

        @get("/a")
        async def first(self) -> str:
            return ""

    apps = [Litestar([Few]) for _ in range(2)]

    assert list(apps[0].openapi_schema.to_schema()["paths"]) == ["/b", "/a"]
    assert apps[0].routes[0].route_handlers[0] is not apps[1].routes[0].route_handlers[0]  # type: ignore[union-attr]


def test_handlers_are_given_what_they_need() -> None:
    """No handler looks into the application's state but the search, which says why, and what asks the gate."""
    found = {file.name: file.read_text("utf-8").count("app.state") for file in FOLDER.glob("*.py")}

    assert len(found) >= 9
    assert {name: count for name, count in found.items() if count} == {"access.py": 4, "seeds.py": 1}
