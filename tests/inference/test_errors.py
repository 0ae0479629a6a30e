"""The table from an error to its status: complete, documented, and the only one."""

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Iterator

import httpx
import msgspec
import pytest

import artifacts
import inference
from artifacts.errors import Fault, InvalidInput, PuppetError
from artifacts.problems.sentences import Message, message
from inference import errors
from inference.errors import STATUS, TrainingFailed, from_result, problem
from inference.search.batcher import Batcher
from inference.search.registry import Registry
from inference.settings import UnsafeAddress
from tests.inference.contract import Contract
from tests.inference.helpers import CONNECTION, MODEL, check_problem


def every_error() -> Iterator[type[PuppetError]]:
    """Yield every class of error that a module of ours defines, once all modules are imported."""
    for package in (artifacts, inference):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    waiting: list[type[PuppetError]] = [PuppetError]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__module__.startswith(("artifacts", "inference")):
                yield kind
                waiting.append(kind)


def test_every_error_has_a_status() -> None:
    """A class of error without a row in the table fails here, and so does a row without its class."""
    assert set(every_error()) == set(STATUS)
    assert len(STATUS) >= 23


def test_names_of_errors_are_unique() -> None:
    """The trainer's process names an error by its class, so no two classes share a name."""
    names = [kind.__name__ for kind in STATUS]

    assert len(set(names)) == len(names)


def test_docstring_shows_the_table() -> None:
    """The module's docstring lists every class beside the status that the table gives it."""
    shown = dict.fromkeys([UnsafeAddress.__name__], STATUS[UnsafeAddress])  # never answered, so it stands without one
    for names, status in re.findall(r"^ {6}([A-Za-z, ()]+?) {2,}(\d{3})", inspect.getdoc(errors) or "", re.MULTILINE):
        shown |= dict.fromkeys(re.findall(r"\w+", names), int(status))

    assert shown == {kind.__name__: status for kind, status in STATUS.items()}


@pytest.mark.parametrize("kind", [kind for kind in STATUS if kind is not InvalidInput])
def test_error_of_the_trainer_comes_back_as_itself(kind: type[PuppetError]) -> None:
    """The name of a class becomes that class again, with its type and its parameters."""
    said = message("request-refused", {"reason": "the reason"})

    error = from_result(kind.__name__, said, "in English", [], 0)

    assert type(error) is kind
    assert (error.message.type, error.message.parameters["reason"]) == ("request-refused", "the reason")


def test_faults_of_the_trainer_come_back() -> None:
    """Invalid input keeps its faults and their number."""
    faults = [Fault.of("/training_data/3", "missing-field")]
    said = message("does-not-fit", {"what": "body", "count": 57})

    error = from_result("InvalidInput", said, "does not fit", faults, 57)

    assert isinstance(error, InvalidInput)
    assert (error.message, list(error.faults), error.num_faults) == (said, faults, 57)


@pytest.mark.parametrize("name", ["", "KeyError", "PuppetError", "SystemExit"])
def test_unknown_error_of_the_trainer_is_a_failed_training(name: str) -> None:
    """A name that is none of our classes cannot choose a class of its own."""
    error = from_result(name, message("request-refused", {"reason": "x"}), "the reason", [], 0)

    assert type(error) is TrainingFailed
    assert error.message.parameters == {"reason": message("request-refused", {"reason": "x"})}


@pytest.mark.parametrize(
    "said",
    [
        None,
        Message("a-type-of-tomorrow"),
        Message("request-refused", {"why": "a parameter of tomorrow"}),
        Message("request-refused", {"reason": Message("a-type-of-tomorrow")}),
    ],
)
def test_words_of_another_release_are_quoted(said: Message | None) -> None:
    """What a trainer of another release says in a way that this one has no words for is passed on in its own."""
    faults = [Fault("/a", "is wrong")]
    error = from_result("InvalidInput", said, "the reason", faults, 1)

    assert isinstance(error, InvalidInput)  # its status and its faults are as ever
    assert error.faults == tuple(faults)
    assert str(error) == "the request was refused: the reason; GET /schema says what each route takes"


def test_problem_has_its_parameters_as_members() -> None:
    """A program reads the type and the numbers, and need not read the sentence; without faults there is no `errors`."""
    answer = problem(413, message("body-too-large", {"num_bytes": 9, "media_type": "x/y", "limit_bytes": 8}), "fr")

    assert msgspec.json.decode(answer.content) == {
        "type": "/problems/body-too-large",
        "title": "Corps trop grand",
        "status": 413,
        "detail": "le corps a 9 octets, la limite pour x/y est de 8\u00a0; envoyez-en un plus court",
        "num_bytes": 9,
        "media_type": "x/y",
        "limit_bytes": 8,
    }
    assert answer.headers == {"Content-Language": "fr", "Vary": "Accept-Language"}


def test_problem_counts_more_faults_than_it_lists() -> None:
    """`num_errors` is the number of all faults; one of an earlier release has neither type nor parameters."""
    faults = [Fault.of("/a/0", "version-too-high", version=3, limit=2), Fault("/b", "is wrong")]
    content = msgspec.json.decode(problem(400, message("blank-category", {}), "fr", faults, 99).content)

    assert content["num_errors"] == 99
    assert content["errors"] == [
        {
            "type": "/problems/version-too-high",
            "pointer": "/a/0",
            "detail": "vaut 3, la plus haute du modèle est 2\u00a0; envoyez la version de la réponse corrigée",
            "version": 3,
            "limit": 2,
        },
        {"pointer": "/b", "detail": "is wrong"},
    ]


@pytest.mark.anyio
async def test_bug_is_logged_and_its_text_not_answered(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody foresaw is a 500 that tells the caller nothing of what it says, and the log everything."""

    def fail(*_: object) -> None:
        raise RuntimeError("words of a ticket")

    monkeypatch.setattr(Batcher, "submit", fail)

    headers = {"x-request-id": "find-me"}
    response = await client.post("/search", json=MODEL | {"vector": CONNECTION}, headers=headers)

    check_problem(response, 500, "internal error; see the server's log, request ID find-me")
    assert "words of a ticket" not in response.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "bug in POST /search: RuntimeError (request find-me)"
    assert record.exc_info


@pytest.mark.anyio
@pytest.mark.parametrize("kind", list(STATUS))
async def test_each_error_is_answered_with_its_status(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[PuppetError],
) -> None:
    """Whatever error a route meets is answered with the table's status; ours are logged, but for those of "not now"."""

    def fail(*_: object) -> None:
        raise kind("request-refused", reason="the reason")

    monkeypatch.setattr(Registry, "serving", fail)
    monkeypatch.setattr(Contract, "check", lambda *_: None)  # most of these are no answer of this route
    caplog.set_level(logging.INFO, "puppet")
    caplog.clear()

    response = await client.post("/search", json=MODEL | {"vector": CONNECTION})

    problem = check_problem(response, STATUS[kind])
    assert (problem["type"], problem["reason"]) == ("/problems/request-refused", "the reason")
    is_ours = STATUS[kind] >= 500 and "Retry-After" not in response.headers
    assert any("the reason" in record.getMessage() for record in caplog.records) == is_ours


@pytest.mark.anyio
async def test_refused_ticket_is_not_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """A caller's mistake is the caller's; the log says nothing of the ticket."""
    response = await client.post("/search", json=MODEL | {"vector": ["secret\0word"]})

    check_problem(response, 400)
    assert "secret" not in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nope", 404, "there is no /nope; GET /schema lists the routes"),
        ("POST", "/search/x", 404, "there is no /search/x; GET /schema lists the routes"),
        ("GET", "/search", 405, "GET is not allowed on /search; use a method of the header Allow"),
        ("DELETE", "/livez", 405, "DELETE is not allowed on /livez; use a method of the header Allow"),
    ],
)
async def test_what_the_framework_refuses_is_a_problem_too(
    client: httpx.AsyncClient, method: str, path: str, status: int, detail: str
) -> None:
    """No such route and no such method are worded like every other error."""
    check_problem(await client.request(method, path), status, detail)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/create_model", "/train_model", "/search", "/test", "/predict"])
async def test_wrong_method_names_the_right_one(client: httpx.AsyncClient, path: str) -> None:
    """A GET on a route that takes POST is 405 with `Allow: POST`."""
    response = await client.get(path)

    check_problem(response, 405)
    assert "POST" in response.headers["allow"]
