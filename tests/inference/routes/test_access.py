"""Who may call what, row by row against tables that are written out here."""

import functools
import itertools
import logging
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, get, route
from litestar.datastructures import State

from artifacts.errors import PuppetError
from inference import errors
from inference.app import create_app
from inference.errors import TokenRefused, TooManyAttempts
from inference.routes import access
from inference.routes.access import MAX_FAILURES, MAX_PEERS, Gate
from inference.settings import Settings
from inference.tokens import ROLES as TOKEN_ROLES
from inference.tokens import NamedToken, Role, sha256_of
from tests.inference.conftest import connect, started
from tests.inference.helpers import POST_ROUTES, check_problem

TOKEN, SEARCH_TOKEN, WRONG = "the-Token_42", "read-Only_17", "the-Token_43"
ROLES = {
    ("POST", "/create_model"): "admin",
    ("POST", "/train_model"): "admin",
    ("POST", "/search"): "search",
    ("POST", "/test"): "search",
    ("POST", "/predict"): "search",
    ("POST", "/inspect"): "inspect",
    ("POST", "/evaluate"): "search",
    ("POST", "/classify"): "search",
    ("POST", "/models/nobody/diff"): "search",
    ("GET", "/models/nobody/versions/1/report"): "label",
    ("POST", "/models/nobody/versions/1/report"): "admin",
    ("GET", "/models/nobody/versions/1/download"): "admin",
    ("GET", "/models"): "view",
    ("GET", "/models/nobody"): "view",
    ("GET", "/models/nobody/versions/1"): "view",
    ("GET", "/models/nobody/drift"): "search",
    ("POST", "/models/nobody/steps"): "label",
    ("POST", "/models/nobody/promote"): "admin",
    ("POST", "/models/nobody/rollback"): "admin",
    ("DELETE", "/models/nobody/versions/1"): "admin",
    ("DELETE", "/models/nobody"): "admin",
    ("POST", "/feedback"): "feedback",
    ("GET", "/models/nobody/feedback"): "label",
    ("GET", "/models/nobody/feedback/t1"): "label",
    ("DELETE", "/models/nobody/feedback"): "admin",
    ("DELETE", "/models/nobody/feedback/t1"): "admin",
    ("GET", "/models/nobody/review"): "label",
    ("POST", "/models/nobody/review"): "label",
    ("DELETE", "/models/nobody/review/t1"): "label",
    ("GET", "/jobs"): "job",
    ("GET", "/jobs/0a"): "job",
    ("GET", "/jobs/0a/events"): "job",
    ("GET", "/jobs/0a/result"): "job",
    ("POST", "/jobs/0a/cancel"): "job",
    ("GET", "/audit"): "admin",
    ("GET", "/metrics"): "search",
    ("GET", "/livez"): "open",
    ("GET", "/readyz"): "open",
    ("GET", "/problems/server-full"): "open",
    ("GET", "/v2"): "open",
    ("GET", "/v2/health/live"): "open",
    ("GET", "/v2/health/ready"): "open",
    ("GET", "/v2/models/nobody"): "view",
    ("GET", "/v2/models/nobody/ready"): "view",
    ("GET", "/v2/models/nobody/versions/1"): "view",
    ("GET", "/v2/models/nobody/versions/1/ready"): "view",
    ("POST", "/v2/models/nobody/infer"): "search",
    ("POST", "/v2/models/nobody/versions/1/infer"): "search",
    ("GET", "/"): "open",
    ("GET", "/ui"): "open",
    ("GET", "/ui/main.js"): "open",
    ("GET", "/docs"): "open",
    ("GET", "/docs/main.js"): "open",
    ("GET", "/schema"): "open",
    ("GET", "/schema/openapi.json"): "open",
    ("GET", "/schema/assets/swagger-ui.css"): "open",
}
PLACES = {
    "{name:str}": "nobody",
    "{version:int}": "1",
    "/{path:path}": "/main.js",
    "{job_id:str}": "0a",
    "{correction_id:str}": "t1",
    "{item_id:str}": "t1",
    "{type:str}": "server-full",
}  # what the paths above have for them
# Tokens that are set, who calls -> the roles (o, s, v, l, f, i, a, j) whose routes are open to a request without a
# token, with a wrong one, with the search token, with the admin token. A token that is not set is a wrong one.
MAY = {
    ("none", "here"): ("osvlfiaj", "osvlfiaj", "osvlfiaj", "osvlfiaj"),
    ("none", "elsewhere"): ("o", "o", "o", "o"),
    ("search", "here"): ("olfiaj", "olfiaj", "osvlfiaj", "olfiaj"),
    ("search", "elsewhere"): ("o", "o", "osvij", "o"),
    ("admin", "here"): ("osvj", "osvj", "osvj", "osvlfiaj"),
    ("admin", "elsewhere"): ("o", "o", "o", "osvlfiaj"),
    ("both", "here"): ("o", "o", "osvij", "osvlfiaj"),
    ("both", "elsewhere"): ("o", "o", "osvij", "osvlfiaj"),
}
# A token of each role and origin -> the roles whose routes it opens, on a server that has all of them; the second with
# feedback_role = "search". Where the caller is makes no difference.
SENT = {
    "none": ("o", "o"),
    "wrong": ("o", "o"),
    "PUPPET_SEARCH_TOKEN": ("osvij", "osvfij"),
    "PUPPET_ADMIN_TOKEN": ("osvlfiaj", "osvlfiaj"),
    "search": ("osvij", "osvfij"),
    "label": ("ovlfij", "ovlfij"),
    "admin": ("osvlfiaj", "osvlfiaj"),
    "search, lasting": ("osvij", "osvfij"),
    "label, lasting": ("ovlfij", "ovlfij"),
    "admin, lasting": ("osvlfiaj", "osvlfiaj"),
    "search, expired": ("o", "o"),
    "label, expired": ("o", "o"),
    "admin, expired": ("o", "o"),
}
# Named tokens that there are, feedback_role -> the roles that are open to callers on this machine without a token. One
# that has expired closes its routes all the same.
OPEN_HERE = {
    ("search", "label"): "olfiaj",
    ("search, expired", "label"): "olfiaj",
    ("search", "search"): "oliaj",
    ("label", "label"): "osvaj",
    ("label, expired", "label"): "osvaj",
    ("label", "search"): "osvfaj",
    ("admin", "label"): "osvj",
    ("admin, expired", "label"): "osvj",
    ("admin", "search"): "osvfj",
}
# Who calls -> may they call a route that needs a token, while none is set?
WITHOUT_TOKEN_SET = {
    "127.0.0.1": True, "127.8.8.8": True, "::1": True, "192.0.2.7": False, "2001:db8::1": False, "testclient": False,
    None: False,
}  # fmt: skip
HEADERS = {
    b"Bearer the-Token_42": True,
    b"bearer the-Token_42": True,
    b"BEARER   the-Token_42 ": True,
    b" Bearer the-Token_42": True,  # a server takes the spaces away before we see them
    b"": False,
    b"Bearer": False,
    b"Bearer ": False,
    b"Bearer wrong": False,
    b"Bearer, the-Token_42": False,
    b"Bearer=the-Token_42": False,
    b"Token the-Token_42": False,
    b"Bearer Bearer the-Token_42": False,
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
    b"Bearer \x00": False,
    b"\xff": False,
    b"Bearer " + b"x" * 100_000: False,
}


def put_in(path: str, place: tuple[str, str]) -> str:
    """Return a route's path with a place in it filled."""
    return path.replace(*place)


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
    asked = {(method, functools.reduce(put_in, PLACES.items(), path)) for method, path in found - documentation}
    assert asked == set(ROLES) - {("GET", "/schema/assets/swagger-ui.css")}


def guarded(settings: Settings, which: str = "both") -> Settings:
    """Return the settings of a server on which these tokens are set."""
    tokens = {"admin_token": TOKEN} if which in ("admin", "both") else {}
    return msgspec.structs.replace(
        settings, **tokens | ({"search_token": SEARCH_TOKEN} if which in ("search", "both") else {})
    )


def bearer(token: str | None) -> dict[str, str]:
    """Return the header that carries a token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def addresses(who: str) -> Iterator[str]:
    """Yield addresses of this machine or of others, each once, so that no limit is reached."""
    return (f"127.0.{n // 250}.{n % 250 + 1}" if who == "here" else f"192.0.2.{n}" for n in itertools.count(1))


@pytest.mark.anyio
@pytest.mark.parametrize(("which", "who"), MAY)
async def test_every_route_lets_in_whom_the_table_says(settings: Settings, which: str, who: str) -> None:
    """Each route, asked without a token, with a wrong one, the search token and the admin token, follows the table."""
    peers = addresses(who)
    async with started(guarded(settings, which)) as app:
        for token, may in zip((None, WRONG, SEARCH_TOKEN, TOKEN), MAY[which, who], strict=True):
            for (method, path), role in ROLES.items():
                async with connect(app, next(peers)) as client:
                    response = await client.request(method, path, headers=bearer(token))

                assert (response.status_code != 401) == (role[0] in may), f"{method} {path} with {token}"
                if role[0] not in may:
                    check_problem(response, 401)
                    assert response.headers["www-authenticate"] == "Bearer"
                    assert TOKEN not in response.text
                    assert SEARCH_TOKEN not in response.text


def named(what: str) -> NamedToken:
    """Return a named token of the tables above; the token itself is what it is called there."""
    role, _, ends = what.partition(", ")
    expires = {"": None, "lasting": time.time() + 3600, "expired": time.time() - 1}[ends]
    return NamedToken(what.replace(", ", "-"), msgspec.convert(role, Role), sha256_of(what.replace(", ", "-")), expires)


@pytest.mark.anyio
@pytest.mark.parametrize("who", ["here", "elsewhere"])
@pytest.mark.parametrize("feedback_role", ["label", "search"])
async def test_every_token_opens_the_routes_of_its_role(settings: Settings, who: str, feedback_role: str) -> None:
    """Each route, asked with a token of each role and origin, with one that has expired or none, follows the table."""
    settings = msgspec.structs.replace(guarded(settings), feedback_role=feedback_role)
    tokens = [named(what) for what in SENT if what.partition(",")[0] in ("search", "label", "admin")]
    own = {"none": None, "wrong": WRONG, "PUPPET_SEARCH_TOKEN": SEARCH_TOKEN, "PUPPET_ADMIN_TOKEN": TOKEN}
    peers = addresses(who)
    async with started(settings, tokens) as app:
        for what, openings in SENT.items():
            may = openings[feedback_role == "search"]
            for (method, path), role in ROLES.items():
                async with connect(app, next(peers)) as client:
                    sent = own[what] if what in own else what.replace(", ", "-")
                    response = await client.request(method, path, headers=bearer(sent))

                assert (response.status_code != 401) == (role[0] in may), f"{method} {path} with {what}"
                if role[0] not in may:
                    detail = check_problem(response, 401)["detail"]
                    assert ("expired at" in detail) == ("expired" in what)


@pytest.mark.anyio
@pytest.mark.parametrize(("what", "feedback_role"), OPEN_HERE)
async def test_a_named_token_closes_the_routes_of_its_role(settings: Settings, what: str, feedback_role: str) -> None:
    """While a role has no token its routes are open to this machine; those of label only without an admin token too."""
    settings = msgspec.structs.replace(settings, feedback_role=feedback_role)
    async with started(settings, [named(what)]) as app, connect(app) as client, connect(app, "192.0.2.1") as other:
        for (method, path), role in ROLES.items():
            may = role[0] in OPEN_HERE[what, feedback_role]
            assert ((await client.request(method, path)).status_code != 401) == may, f"{method} {path}"
            assert ((await other.request(method, path)).status_code != 401) == (role == "open"), f"{method} {path}"


@pytest.mark.anyio
async def test_tokens_are_replaced_while_the_server_runs(settings: Settings) -> None:
    """A new token opens, one that is gone opens nothing, and a role whose last token is gone is not open to all."""
    async with started(settings, [named("admin")]) as app, connect(app) as client:
        assert (await client.get("/audit", headers=bearer("admin"))).status_code == 200
        check_problem(await client.get("/audit"), 401)

        app.state.gate.take([named("label")])

        check_problem(await client.get("/audit", headers=bearer("admin")), 401)
        assert (await client.get("/models/puppet-o2/feedback", headers=bearer("label"))).status_code == 200
        app.state.gate.take([])
        for path in ("/audit", "/models/puppet-o2/feedback"):
            check_problem(await client.get(path), 401)
            check_problem(await client.get(path, headers=bearer("label")), 401)


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), ROLES)
async def test_without_a_token_set_only_this_machine_is_let_in(settings: Settings, method: str, path: str) -> None:
    """While no token is set, every route but the probes and the documentation is for callers on this machine."""
    async with started(settings) as app:
        for address, is_local in WITHOUT_TOKEN_SET.items():
            async with connect(app, address) as client:
                response = await client.request(method, path)

                may = is_local or ROLES[method, path] == "open"
                assert (response.status_code != 401) == may, f"{method} {path} from {address}: {response.text}"
                if not may:
                    problem = check_problem(response, 401)
                    # The least of the roles that open it.
                    least = {"feedback": "label", "inspect": "label", "job": "search", "view": "search"}
                    role = least.get(ROLES[method, path], ROLES[method, path])
                    assert (problem["type"], problem["role"]) == ("/problems/only-this-machine", role)
                    assert f"puppet-serve token NAME --role {role}" in problem["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), ROLES)
@pytest.mark.parametrize("who", ["here", "elsewhere"])
async def test_no_odd_header_gets_past_or_breaks_a_route(settings: Settings, method: str, path: str, who: str) -> None:
    """Once the tokens are set, only the header that carries one opens a route, on this machine too."""
    peers = addresses(who)
    async with started(guarded(settings)) as app:
        for header, is_right in HEADERS.items():
            async with connect(app, next(peers)) as client:
                response = await client.request(method, path, headers=[(b"Authorization", header)])

            may = is_right or ROLES[method, path] == "open"
            assert (response.status_code != 401) == may, f"{method} {path} with {header!r:.60}: {response.text}"
            assert response.status_code < 500 or path == "/train_model"  # which answers 503 without a trainer
            if not may:
                check_problem(response, 401)
                assert response.headers["www-authenticate"] == "Bearer"
                assert TOKEN not in response.text


@pytest.mark.anyio
@pytest.mark.parametrize("path", POST_ROUTES)
@pytest.mark.parametrize("tokens", [(TOKEN, TOKEN), (TOKEN, WRONG), (WRONG, TOKEN), (TOKEN, SEARCH_TOKEN)])
async def test_two_headers_open_nothing(settings: Settings, path: str, tokens: tuple[str, str]) -> None:
    """Of two Authorization headers none is chosen: whoever stands before us may have chosen the other."""
    headers = [("Authorization", f"Bearer {token}") for token in tokens]
    async with started(guarded(settings)) as app, connect(app) as client:
        check_problem(await client.post(path, headers=headers), 401)


@pytest.mark.anyio
@pytest.mark.parametrize("path", POST_ROUTES)
async def test_token_is_read_from_its_header_only(settings: Settings, path: str) -> None:
    """A token in the address, a cookie or another header, which logs and pages see, opens nothing."""
    elsewhere = {"Cookie": f"token={TOKEN}", "Proxy-Authorization": f"Bearer {TOKEN}", "X-Api-Key": TOKEN}
    parameters = {"token": TOKEN, "access_token": TOKEN, "Authorization": f"Bearer {TOKEN}"}
    async with started(guarded(settings)) as app, connect(app) as client:
        check_problem(await client.post(path, headers=elsewhere, params=parameters), 401)


@pytest.mark.anyio
@pytest.mark.parametrize("path", POST_ROUTES)
async def test_refused_caller_learns_nothing(settings: Settings, path: str) -> None:
    """Without the token a model that exists, one that does not, and a body that nobody can read get the same answer."""
    async with started(guarded(settings)) as app, connect(app) as client:
        answers = [
            await client.post(path, json={"name": "puppet-o2", "neural_network_type": "GRU"}),
            await client.post(path, json={"name": "new", "neural_network_type": "GRU"}),
            await client.post(path, content=b"{{{"),
            await client.post(path, content=b"{}", headers={"Content-Type": "text/plain"}),
            await client.post(path, content=b" " * (settings.mail_body_bytes + 1)),
            await client.post(path, params={"name": ["a", "b"]}),
        ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert not (app.state.registry.store.root / "new").exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "token", "words"),
    [
        ("/create_model", None, "needs the admin token, none was sent; send the header Authorization: Bearer TOKEN"),
        ("/create_model", WRONG, "needs the admin token, the one that was sent is another; send the header"),
        ("/create_model", SEARCH_TOKEN, "needs the admin token, the search token does not open it; send the right one"),
        ("/search", None, "needs the search token, none was sent; send the header Authorization: Bearer TOKEN"),
        ("/search", WRONG, "needs the search token, the one that was sent is another; send the header"),
    ],
)
async def test_refusal_names_what_is_wrong_and_the_remedy(
    settings: Settings, path: str, token: str | None, words: str
) -> None:
    """The sentence says which token the route needs, what came instead, and how to send it."""
    async with started(guarded(settings)) as app, connect(app) as client:
        assert words in check_problem(await client.post(path, headers=bearer(token)), 401)["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize("which", ["none", "both"])
async def test_options_tells_the_methods_to_everybody(settings: Settings, which: str) -> None:
    """OPTIONS is answered with the methods of a path, as the documentation is; of a path that is none, with 404."""
    async with started(guarded(settings, which)) as app, connect(app, "192.0.2.7") as client:
        for _, path in ROLES:
            response = await client.options(path)
            methods = [method for method, one in ROLES if one == path]

            assert (response.status_code, response.text) == (204, "")
            head = {"HEAD"} if "GET" in methods else set()
            assert set(response.headers["allow"].split(", ")) == {*methods, *head, "OPTIONS"}
            check_problem(await client.options(path, headers={"Host": "evil.example"}), 421)
        check_problem(await client.options("/nope"), 404)


# The limit of wrong tokens


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give the clock of the gate."""
    return Clock()


@pytest.fixture
def gate(settings: Settings, clock: Clock) -> Gate:
    """Give a gate of which both tokens are set."""
    return Gate(guarded(settings), clock=clock)


def knock(gate: Gate, *headers: str, peer: str | None = "192.0.2.7", role: str = "admin") -> Any:
    """Return the error that a request with these Authorization headers meets; None if it is let in."""
    raw = [(b"host", b"127.0.0.1"), *((b"authorization", header.encode()) for header in headers)]
    try:
        gate.check(role, raw, peer)
    except (TokenRefused, TooManyAttempts) as error:
        return error
    return None


def knock_often(gate: Gate, num_times: int, *headers: str, **who: Any) -> list[type]:
    """Return the kinds of the errors that so many equal requests meet."""
    return [type(knock(gate, *headers, **who)) for _ in range(num_times)]


def test_eleventh_wrong_token_of_a_minute_is_one_too_many(gate: Gate, clock: Clock) -> None:
    """Ten wrong tokens are refused as such, then 429 until the minute that began with the first is over."""
    for _ in range(MAX_FAILURES):
        assert isinstance(knock(gate, f"Bearer {WRONG}"), TokenRefused)
        clock.now += 1.0

    error = knock(gate, f"Bearer {WRONG}")
    assert isinstance(error, TooManyAttempts)
    assert error.retry_after_s == 50
    assert "send the right one, or wait 50 s" in str(error)
    clock.now += 49.75
    assert knock(gate, f"Bearer {WRONG}").retry_after_s == 1  # never 0, and asking has not made it longer
    clock.now += 0.25
    assert knock_often(gate, MAX_FAILURES + 1, f"Bearer {WRONG}") == [TokenRefused] * MAX_FAILURES + [TooManyAttempts]


@pytest.mark.parametrize(("role", "token"), [("admin", TOKEN), ("search", TOKEN), ("search", SEARCH_TOKEN)])
def test_right_token_is_let_in_at_the_limit(gate: Gate, role: str, token: str) -> None:
    """Behind a proxy all clients have one address, so one that has gone wrong does not lock the others out."""
    knock_often(gate, 3 * MAX_FAILURES, f"Bearer {WRONG}")

    assert knock(gate, f"Bearer {token}", role=role) is None
    assert isinstance(knock(gate, f"Bearer {WRONG}"), TooManyAttempts)  # nor does a right one start a new minute


@pytest.mark.parametrize("headers", [(), ("",), (f"Bearer {SEARCH_TOKEN}",)])
def test_what_is_no_wrong_token_does_not_count(gate: Gate, headers: tuple[str, ...]) -> None:
    """A request without a token, or with the token of a lesser role, guesses nothing, however often it comes."""
    assert set(knock_often(gate, 3 * MAX_FAILURES, *headers)) == {TokenRefused}
    assert isinstance(knock(gate, f"Bearer {WRONG}"), TokenRefused)


@pytest.mark.parametrize("header", [f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer clé"])
def test_odd_header_counts_as_a_wrong_token(gate: Gate, header: str) -> None:
    """Whatever else an Authorization header holds is a wrong token."""
    assert knock_often(gate, MAX_FAILURES + 1, header)[-1] is TooManyAttempts


def test_limit_holds_for_all_routes_together(gate: Gate) -> None:
    """Who has used up the minute on one role's routes has no other minute for the other's."""
    knock_often(gate, MAX_FAILURES // 2, f"Bearer {WRONG}", role="search")
    knock_often(gate, MAX_FAILURES // 2, f"Bearer {WRONG}", role="admin")

    assert isinstance(knock(gate, f"Bearer {WRONG}", role="search"), TooManyAttempts)


def test_each_address_has_its_own_limit(gate: Gate) -> None:
    """One address at its limit takes nothing from another; callers without one share theirs."""
    knock_often(gate, MAX_FAILURES + 1, f"Bearer {WRONG}")

    assert isinstance(knock(gate, f"Bearer {WRONG}", peer="192.0.2.8"), TokenRefused)
    assert knock_often(gate, MAX_FAILURES + 1, f"Bearer {WRONG}", peer=None)[-1] is TooManyAttempts


def test_addresses_that_are_remembered_are_bounded(gate: Gate) -> None:
    """However many addresses send wrong tokens, only the latest 1024 are kept; the oldest is forgotten first."""
    knock_often(gate, MAX_FAILURES, f"Bearer {WRONG}", peer="first")
    knock_often(gate, MAX_FAILURES, f"Bearer {WRONG}", peer="second")
    assert isinstance(knock(gate, f"Bearer {WRONG}", peer="first"), TooManyAttempts)  # so it failed later than second

    for n in range(MAX_PEERS - 1):
        knock(gate, f"Bearer {WRONG}", peer=str(n))

    assert len(gate._failures) == MAX_PEERS
    assert isinstance(knock(gate, f"Bearer {WRONG}", peer="first"), TooManyAttempts)
    assert isinstance(knock(gate, f"Bearer {WRONG}", peer="second"), TokenRefused)


def test_operator_is_told_once(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """A peer at its limit is one line in the log a minute, and none of what it has sent."""
    caplog.set_level(logging.INFO, "puppet")

    knock_often(gate, 3 * MAX_FAILURES, f"Bearer {WRONG}")

    assert [record.getMessage() for record in caplog.records] == [
        "peer 192.0.2.7 has sent 10 wrong tokens within a minute"
    ]


@pytest.mark.anyio
async def test_too_many_wrong_tokens_are_429_with_the_time_to_wait(settings: Settings) -> None:
    """Over HTTP the eleventh wrong token is 429 with Retry-After; that address may still ask what is open to it."""
    async with started(guarded(settings)) as app, connect(app) as client:
        for n in range(MAX_FAILURES):
            check_problem(await client.post(POST_ROUTES[n % len(POST_ROUTES)], headers=bearer(WRONG)), 401)

        response = await client.post("/search", headers=bearer(WRONG))
        check_problem(response, 429)
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert (await client.get("/livez", headers=bearer(WRONG))).status_code == 200
        check_problem(await client.post("/search"), 401)
        check_problem(await client.post("/search", headers=bearer(SEARCH_TOKEN)), 415)


def test_token_opens_until_the_second_in_which_it_expires(settings: Settings, clock: Clock) -> None:
    """Before its time a token opens its routes, from then on it opens none; it guesses nothing, so it is never 429."""
    token = msgspec.structs.replace(named("search"), expires=clock.now + 1)
    gate = Gate(settings, [token], wall=clock)
    assert knock(gate, "Bearer search", role="search") is None
    assert gate.opens("search", b"Bearer search", None)

    clock.now += 1

    assert not gate.opens("search", b"Bearer search", None)
    assert "expired at 1970-01-01T00:16:41Z" in str(knock(gate, "Bearer search", role="search"))
    assert knock_often(gate, 3 * MAX_FAILURES, "Bearer search", role="search") == [TokenRefused] * 3 * MAX_FAILURES


# Roles


@pytest.mark.anyio
@pytest.mark.parametrize("role", [None, "Admin", "", "root"])
async def test_route_without_a_role_is_refused_to_everybody(settings: Settings, role: str | None) -> None:
    """A forgotten or misspelt role lets nobody in, not even the administrator on this machine."""

    @get("/forgotten", opt={} if role is None else {"role": role})
    async def forgotten() -> str:
        return "let in"

    @route("/asked", http_method="OPTIONS", opt={} if role is None else {"role": role})
    async def asked() -> str:
        return "let in"

    app = Litestar(
        [forgotten, asked],
        guards=[access.check_role],
        state=State({"gate": Gate(guarded(settings))}),
        exception_handlers={PuppetError: errors.answer_puppet_error},
        openapi_config=None,
        logging_config=None,
    )

    async with connect(app) as client:
        check_problem(await client.get("/forgotten", headers=bearer(TOKEN)), 401)
        check_problem(await client.options("/asked", headers=bearer(TOKEN)), 401)


@pytest.mark.anyio
async def test_route_outside_the_router_is_guarded_too(settings: Settings) -> None:
    """A route that is added straight to the application, without a role, is refused like any other."""

    @get("/forgotten")
    async def forgotten() -> str:
        return "let in"

    async with started(settings) as app, connect(app) as client:
        app.register(forgotten)

        check_problem(await client.get("/forgotten"), 401)


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


def test_words_of_a_vocabulary_are_for_label_and_admin() -> None:
    """Where any token is set, a caller needs one of these roles that has not expired; where none is, nobody does."""
    tokens = [
        NamedToken(f"{role}-{end}", role, sha256_of(f"{role}-{end}"), float(end))
        for role in TOKEN_ROLES
        for end in (1, 3)
    ]
    gate = Gate(Settings(), tokens, wall=lambda: 2.0)

    seen = {
        token.name for token in tokens if gate.may_see_words([(b"authorization", b"Bearer " + token.name.encode())])
    }

    assert seen == {"label-3", "admin-3"}
    assert not gate.may_see_words([])
    assert Gate(Settings()).may_see_words([])
