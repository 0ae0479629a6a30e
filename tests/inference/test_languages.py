"""In which language a problem is worded, on each of the ways that an answer takes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.errors import Fault
from artifacts.jobs.jobs import Jobs
from artifacts.problems import sentences as module
from artifacts.problems.sentences import LANGUAGES, Language, Message, message, sentences
from artifacts.store.store import Store
from inference.monitoring.observer import Observer
from inference.server.edge import ENOUGH_BYTES, Edge
from inference.server.protocol import write_refusals
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import MODEL, check_problem
from tests.inference.server.test_protocol import PLAIN, Call, Peer, answers, both, json_of, search, statuses

pytestmark = pytest.mark.anyio

FRENCH = {"Accept-Language": "fr-CA, en;q=0.5"}
BODY = MODEL | {"training_data": [{"category": "a", "tokens": ["b"]}]}
NO_ROUTE = "/nope n'existe pas\u00a0; GET /schema donne la liste des routes"


@pytest.fixture
def settings(store: Store, check_here: None) -> Settings:
    """Give the settings of a server that trains; nothing works its queue."""
    return Settings(store=str(store.root), trainer="local")


@pytest.fixture
async def full(app: Litestar) -> AsyncIterator[Litestar]:
    """Give the application with its queue full."""
    admission = app.state.batcher.admission
    admission.waiting_tokens = admission.limit_tokens
    yield app
    admission.waiting_tokens = 0


def jobs_of(app: Litestar) -> Jobs:
    """Return the jobs of the application."""
    jobs: Jobs = app.state.training.jobs
    return jobs


# The ordinary way


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/nope", NO_ROUTE),
        ("GET", "/nope/", "/nope/ n'existe pas\u00a0; GET /schema donne la liste des routes"),  # the observer's
        ("GET", "/schema/nope", "/schema/nope n'existe pas\u00a0; GET /schema donne la liste des routes"),
        ("GET", "/problems/nope", "/problems/nope n'existe pas\u00a0; GET /schema donne la liste des routes"),
        ("GET", "/search", "GET n'est pas permis sur /search\u00a0; utilisez une méthode de l'en-tête Allow"),
    ],
)
async def test_refusal_is_in_the_language_of_the_request(
    client: httpx.AsyncClient, method: str, path: str, detail: str
) -> None:
    """Litestar's refusals and those in front of it follow Accept-Language, and say that they do."""
    response = await client.request(method, path, headers=FRENCH)

    check_problem(response, response.status_code, detail)
    assert (response.headers["content-language"], response.headers["vary"]) == ("fr", "Accept-Language")
    assert "n'" not in (await client.request(method, path)).json()["detail"]


async def test_language_that_is_sent_twice_counts_as_one_list(client: httpx.AsyncClient) -> None:
    """Two lines of a header are one list (RFC 9110 5.3)."""
    twice = [("accept-language", "de, en;q=0.1"), ("accept-language", "fr;q=0.2")]

    assert (await client.get("/nope", headers=twice)).json()["detail"] == NO_ROUTE


async def test_faults_are_typed_and_in_the_language(client: httpx.AsyncClient) -> None:
    """Each fault has its type and its parameters, and the whole is in French."""
    response = await client.post("/search", json={"neural_network_type": "GRU", "nope": 1}, headers=FRENCH)

    problem = check_problem(response, 400)
    assert problem["type"] == "/problems/does-not-fit"
    by_pointer = {fault["pointer"]: fault for fault in problem["errors"]}
    assert by_pointer["/name"] == {
        "type": "/problems/missing-field", "pointer": "/name", "detail": "manque\u00a0; ajoutez-le",
    }  # fmt: skip
    assert by_pointer["/nope"]["detail"].startswith("est un champ inconnu")
    assert "name" in by_pointer["/nope"]["known"]


async def test_parameters_of_the_address_have_typed_faults(client: httpx.AsyncClient) -> None:
    """What Litestar finds in a query is told as the faults of a body are."""
    response = await client.get("/audit?limit=0&before=x", headers=FRENCH)

    problem = check_problem(response, 400)
    assert problem["type"] == "/problems/query-does-not-fit"
    assert {(fault["pointer"], fault["type"]) for fault in problem["errors"]} >= {
        ("/limit", "/problems/out-of-range"),
    }


async def test_bug_in_front_of_litestar_is_worded_too(client: httpx.AsyncClient, app: Litestar) -> None:
    """The observer's 500 names the request and follows the language."""
    observer = app.asgi_handler
    assert isinstance(observer, Observer)

    async def fail(*_: Any) -> None:
        raise RuntimeError("words of a ticket")

    observer._behind = fail
    response = await client.get("/livez", headers=FRENCH | {"X-Request-ID": "find-me"})

    check_problem(response, 500, "erreur interne\u00a0; voyez le journal du serveur, identifiant de requête find-me")


# The fast way and the edge


async def test_refusal_in_front_is_litestars_in_each_language(full: Litestar) -> None:
    """A full server and a deadline answer to the byte as the ordinary way, in French and in English."""
    admission = full.state.batcher.admission
    for language in LANGUAGES:
        answer, num_begun = await both(full, Call(PLAIN, {"accept-language": language}))
        assert (statuses([answer]), num_begun) == ([503], 0)
        assert json_of(answer)["title"] == sentences(language)["server-full"].title
        assert json_of(answer)["limit_tokens"] == admission.limit_tokens < json_of(answer)["num_tokens"]
    admission.waiting_tokens //= 2
    late, num_begun = await both(full, Call(PLAIN, {"accept-language": "fr", "x-timeout-ms": "1"}))

    assert (statuses([late]), num_begun, json_of(late)["title"]) == ([504], 0, "Trop tard")


async def test_refusal_under_load_reads_no_file(full: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a worker has started, all that a refusal on the fast way needs has been written out."""
    write_refusals(full.state.settings.search_queue_tokens)
    sentences.cache_clear()
    monkeypatch.setattr(module, "files", None)  # whoever reads a sentence now fails

    for language in LANGUAGES:
        peer = Peer(full)
        head = b"Host: localhost\r\nContent-Type: application/json\r\nAccept-Language: %s\r\n" % language.encode()
        peer.protocol.data_received(search(head))
        assert statuses(answers(peer.wire.written)) == [503]


@pytest.mark.parametrize(
    ("head", "language"),
    [
        (b"Accept-Language: fr\r\nX: " + b"a" * (ENOUGH_BYTES + 4096), "fr"),
        (b"Accept-Language: fr\r\n" + b"X: a\r\n" * 101 + b"\r\n", "fr"),
        (b"Accept-Language: de;q=0, fr\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "fr"),
        (b"X: a\r\n" * 101 + b"Accept-Language: fr\r\n\r\n", "fr"),  # read to the end of the slice
        (b"Host: localhost\r\nHost: localhost\r\n\r\n", "en"),
    ],
)
@pytest.mark.parametrize("kind", [Edge, None])
async def test_edge_refuses_in_the_language_that_it_has_read(
    app: Litestar, head: bytes, language: Language, kind: type[Edge] | None
) -> None:
    """A head that is refused may have said its language by then; if not, the refusal is English."""
    peer = Peer(app) if kind is None else Peer(app, kind)

    (answer,) = await peer.ask(b"GET / HTTP/1.1\r\n" + head)

    assert b"content-language: %s\r\n" % language.encode() in answer
    problem = json_of(answer)
    assert problem["title"] == sentences(language)[problem["type"].removeprefix("/problems/")].title


async def test_bytes_that_are_no_request_are_refused_in_english(app: Litestar) -> None:
    """Where no head has been read there is no language."""
    (answer,) = await Peer(app).ask(b"\x16\x03\x01\x00\xa5")

    assert (b"content-language: en\r\n" in answer, json_of(answer)["type"]) == (True, "/problems/tls-on-http-port")


# Jobs


async def ended_job(client: httpx.AsyncClient, app: Litestar, said: Message | str, faults: list[Fault]) -> str:
    """Return the id of a job that has failed for a reason."""
    response = await client.post("/train_model", json=BODY, headers={"Prefer": "respond-async"})
    job = jobs_of(app).claim()
    assert job is not None
    assert job.id == response.json()["job"]
    jobs_of(app).finish(job.id, job.attempt, "failed", said, error="InvalidInput", faults=faults, num_faults=1)
    return job.id


async def test_job_is_told_in_the_language_of_who_asks(client: httpx.AsyncClient, app: Litestar) -> None:
    """One job has its reason, its faults and its type in either language: alone, in the list, at the end of events."""
    said = message("does-not-fit", {"what": "training_data", "count": 1})
    job_id = await ended_job(client, app, said, [Fault.of("/training_data/0/tokens", "missing-field", 3)])

    asked: list[tuple[dict[str, str], Language]] = [(FRENCH, "fr"), ({}, "en")]
    for headers, language in asked:
        alone = (await client.get(f"/jobs/{job_id}", headers=headers)).json()
        (listed,) = (await client.get("/jobs", headers=headers)).json()["jobs"]
        events = (await client.get(f"/jobs/{job_id}/events", headers=headers)).text

        assert alone == listed
        assert json.loads(next(line for line in events.splitlines() if line.startswith("data: {"))[6:]) == alone
        assert (alone["type"], alone["detail"]) == ("/problems/does-not-fit", said.detail(language))
        assert alone["errors"] == [
            {
                "type": "/problems/missing-field",
                "pointer": "/training_data/0/tokens",
                "detail": "manque\u00a0; ajoutez-le" if headers else "is missing; add it",
                "line": 3,
            }
        ]


@pytest.mark.parametrize("said", ["told by an earlier release", Message("a-type-of-tomorrow", {"n": 1})])
async def test_job_of_another_release_is_shown_as_it_was_written(
    client: httpx.AsyncClient, app: Litestar, said: Message | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record without a type, or of a type that there are no words for, keeps its own words and names no type."""
    with monkeypatch.context() as patch:
        patch.setattr(Message, "detail", lambda *_: "told by a later release")
        job_id = await ended_job(client, app, said, [])

    job = (await client.get(f"/jobs/{job_id}", headers=FRENCH)).json()

    assert job["detail"] == (said if isinstance(said, str) else "told by a later release")
    assert "type" not in job


# The page of a type


@pytest.mark.parametrize("language", LANGUAGES)
async def test_type_of_an_answer_is_the_address_of_its_page(client: httpx.AsyncClient, language: Language) -> None:
    """Whoever follows the type finds what it means, in the language of the browser, and nothing may run there."""
    headers = {"Accept-Language": language}
    problem = (await client.get("/nope", headers=headers)).json()

    page = await client.get(problem["type"], headers=headers)
    head = await client.head(problem["type"], headers=headers)

    assert page.status_code == head.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert (page.headers["content-language"], page.headers["vary"]) == (language, "Accept-Language")
    assert f"<h1>{problem['title']}</h1>" in page.text
    assert "<dd>404</dd>" in page.text
    assert head.content == b""
    assert head.headers["content-length"] == str(len(page.content))


async def test_page_is_open_where_all_else_is_closed(settings: Settings) -> None:
    """A caller without a token is told what its refusal means."""
    closed = msgspec.structs.replace(settings, search_token="s" * 20, admin_token="a" * 20)
    async with started(closed) as app, connect(app, "192.0.2.7") as client:
        refused = check_problem(await client.get("/models"), 401)

        assert (await client.get(refused["type"])).status_code == 200
