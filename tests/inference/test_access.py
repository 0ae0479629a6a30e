"""Who may call what, row by row against tables that are written out here."""

import httpx
import msgspec
import pytest
from litestar import Litestar, get
from litestar.datastructures import State

from artifacts.errors import PuppetError
from inference import access, errors
from inference.app import create_app
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import POST_ROUTES, check_problem

TOKEN = "the-Token_42"
ROLES = {
    ("POST", "/create_model"): "admin",
    ("POST", "/train_model"): "admin",
    ("POST", "/search"): "search",
    ("POST", "/test"): "search",
    ("POST", "/predict"): "search",
    ("GET", "/livez"): "open",
    ("GET", "/readyz"): "open",
    ("GET", "/schema"): "open",
    ("GET", "/schema/openapi.json"): "open",
    ("GET", "/schema/assets/swagger-ui.css"): "open",
}
# Who calls -> may they call a route for admins?
WITHOUT_TOKEN_SET = {
    "127.0.0.1": True, "127.8.8.8": True, "::1": True, "192.0.2.7": False, "2001:db8::1": False, "testclient": False,
    None: False,
}  # fmt: skip
HEADERS = {
    b"Bearer the-Token_42": True,
    b"bearer the-Token_42": True,
    b"BEARER   the-Token_42 ": True,
    b"": False,
    b"Bearer": False,
    b"Bearer ": False,
    b"Bearer wrong": False,
    b"Bearer the-Token_4": False,
    b"Bearer the-Token_422": False,
    b"Bearer the-token_42": False,
    b"Bearer the-Token_42,": False,
    b"Bearer the-Token_42 the-Token_42": False,
    b"Bearer\tthe-Token_42": False,
    b"the-Token_42": False,
    b"Basic the-Token_42": False,
    b"Basic OnRoZS1Ub2tlbl80Mg==": False,
    b"Bearer \xff\xfe": False,
    "Bearer clé".encode(): False,
    b"Bearer \xc3\x28": False,
    b"Bearer " + b"x" * 100_000: False,
}


def test_every_route_is_in_the_table(settings: Settings) -> None:
    """A route that is added to the application has to be added to the table of this file, with its role."""
    found = {
        (method, route.path)
        for route in create_app(settings).routes
        for method in getattr(route, "methods", ())
        if method not in ("OPTIONS", "HEAD")
    }

    documentation = {
        ("GET", "/schema/assets/{name:str}"), ("GET", "/schema/{path:str}"), ("GET", "/schema/oauth2-redirect.html"),
    }  # fmt: skip
    assert found - documentation == set(ROLES) - {("GET", "/schema/assets/swagger-ui.css")}


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), ROLES)
async def test_without_a_token_only_this_machine_may_change_anything(
    settings: Settings, method: str, path: str
) -> None:
    """While no token is set, create and train are for callers on this machine and the rest is for everybody."""
    async with started(settings) as app:
        for address, is_local in WITHOUT_TOKEN_SET.items():
            async with connect(app, address) as client:
                response = await client.request(method, path)

                may = is_local or ROLES[method, path] != "admin"
                assert (response.status_code != 401) == may, f"{method} {path} from {address}: {response.text}"
                if not may:
                    problem = check_problem(response, 401)
                    assert "set PUPPET_ADMIN_TOKEN" in problem["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), ROLES)
@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.7"])
async def test_with_a_token_only_its_bearer_may_change_anything(
    settings: Settings, method: str, path: str, address: str
) -> None:
    """Once a token is set, create and train ask for it, on this machine too; no odd header gets past or breaks it."""
    async with started(msgspec.structs.replace(settings, admin_token=TOKEN)) as app, connect(app, address) as client:
        for header, is_right in HEADERS.items():
            response = await client.request(method, path, headers=[(b"Authorization", header)] if header else [])

            may = is_right or ROLES[method, path] != "admin"
            assert (response.status_code != 401) == may, f"{method} {path} with {header!r:.60}: {response.text}"
            assert response.status_code < 500 or path == "/train_model"  # which answers 503 without a trainer
            if not may:
                check_problem(response, 401)
                assert response.headers["www-authenticate"] == "Bearer"
                assert TOKEN not in response.text


@pytest.mark.anyio
async def test_refused_caller_learns_nothing(settings: Settings) -> None:
    """Without the token a model that exists, one that does not and a broken body get the same answer, 401."""
    async with started(msgspec.structs.replace(settings, admin_token=TOKEN)) as app, connect(app) as client:
        answers = [
            await client.post("/create_model", json={"name": "puppet-o2", "neural_network_type": "GRU"}),
            await client.post("/create_model", json={"name": "new", "neural_network_type": "GRU"}),
            await client.post("/create_model", content=b"{{{"),
        ]

    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert not (app.state.registry.store.root / "new").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("role", [None, "Admin", "", "root"])
async def test_route_without_a_role_is_refused_to_everybody(settings: Settings, role: str | None) -> None:
    """A forgotten or misspelt role lets nobody in, not even the administrator on this machine."""

    @get("/forgotten", opt={} if role is None else {"role": role})
    async def forgotten() -> str:
        return "let in"

    state = State({"settings": msgspec.structs.replace(settings, admin_token=TOKEN)})
    app = Litestar(
        [forgotten],
        guards=[access.check_role],
        state=state,
        exception_handlers={PuppetError: errors.answer_puppet_error},
        openapi_config=None,
        logging_config=None,
    )

    async with connect(app) as client:
        response = await client.get("/forgotten", headers={"Authorization": f"Bearer {TOKEN}"})

    check_problem(response, 401)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("localhost:1", True),
        ("LocalHost:65535", True),
        ("[::1]", True),
        ("[::1]:8000", True),
        ("puppet.example", True),
        ("PUPPET.Example:443", True),
        ("", False),
        (":8000", False),
        ("evil.example", False),
        ("evil.example:8000", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.", False),
        ("127.0.0.1:8000:8000", False),
        ("localhost:http", False),
        ("::1", False),
        ("[::1", False),
        ("[::2]:8000", False),
        ("evil@localhost", False),
        ("localhost,evil.example", False),
        ("0.0.0.0", False),
        ("127.1", False),
        ("2130706433", False),
    ],
)
async def test_only_our_own_names_are_answered(settings: Settings, host: str, is_ours: bool) -> None:
    """A request whose Host is none of our names is 421; ports and case do not matter."""
    allowed = msgspec.structs.replace(settings, allowed_hosts="puppet.example")
    async with started(allowed) as app, connect(app) as client:
        response = await client.get("/livez", headers={"Host": host})

    if is_ours:
        assert response.status_code == 200
    else:
        assert "PUPPET_ALLOWED_HOSTS" in check_problem(response, 421)["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), ROLES)
async def test_every_route_checks_the_host(client: httpx.AsyncClient, method: str, path: str) -> None:
    """There is no route that a page of another site could reach through its own name, nor one without a Host."""
    nameless = client.build_request(method, path)
    del nameless.headers["host"]

    check_problem(await client.request(method, path, headers={"Host": "evil.example"}), 421)
    check_problem(await client.send(nameless), 421)


@pytest.mark.anyio
@pytest.mark.parametrize("path", POST_ROUTES)
async def test_no_page_may_ask_from_another_site(client: httpx.AsyncClient, path: str) -> None:
    """A browser's question whether another site may post (a preflight) gets no permission."""
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    response = await client.options(path, headers=headers)

    assert not [name for name in response.headers if name.startswith("access-control-")]
