"""The table from an error to its status: complete, documented, and the only one."""

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Iterator

import httpx
import pytest

import artifacts
import inference
from artifacts.errors import Fault, InvalidInput, ModelNotFound, NoTrainingData, PuppetError
from inference import errors
from inference.errors import STATUS, TrainingFailed, from_name, problem
from inference.search.batcher import Batcher
from inference.search.registry import Registry
from inference.settings import UnsafeAddress
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
    """The name of a class becomes that class again, with its sentence."""
    error = from_name(kind.__name__, "the reason", [], 0)

    assert type(error) is kind
    assert str(error) == "the reason"


def test_faults_of_the_trainer_come_back() -> None:
    """Invalid input keeps its faults and their number."""
    faults = [Fault("/training_data/3", "is wrong")]

    error = from_name("InvalidInput", "does not fit", faults, 57)

    assert isinstance(error, InvalidInput)
    assert (list(error.faults), error.num_faults) == (faults, 57)


@pytest.mark.parametrize("name", ["", "KeyError", "PuppetError", "SystemExit"])
def test_unknown_error_of_the_trainer_is_a_failed_training(name: str) -> None:
    """A name that is none of our classes cannot choose a class of its own."""
    assert type(from_name(name, "the reason", [], 0)) is TrainingFailed


@pytest.mark.parametrize(
    ("kind", "name"), [(ModelNotFound, "Model not found"), (NoTrainingData, "No training data provided")]
)
def test_error_is_worded_where_it_is_raised(kind: type[PuppetError], name: str) -> None:
    """The table adds no words to the sentence of an error."""
    answer = errors.answer_puppet_error(None, kind(name))

    assert (f'"detail":"{name}"'.encode()) in answer.content


def test_problem_leaves_out_what_is_empty() -> None:
    """An error without faults has no `errors`; `type` is the default of RFC 9457 and is left out."""
    assert problem(404, "Model not found").content == b'{"title":"Not Found","status":404,"detail":"Model not found"}'


def test_problem_counts_more_faults_than_it_lists() -> None:
    """`num_errors` is the number of all faults."""
    content = problem(400, "x", (Fault("/a/0", "wrong"),), 99).content

    assert content == (
        b'{"title":"Bad Request","status":400,"detail":"x",'
        b'"errors":[{"pointer":"/a/0","detail":"wrong"}],"num_errors":99}'
    )


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

    check_problem(response, 500)
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
        raise kind("the reason")

    monkeypatch.setattr(Registry, "serving", fail)
    caplog.set_level(logging.INFO, "puppet")
    caplog.clear()

    response = await client.post("/search", json=MODEL | {"vector": CONNECTION})

    check_problem(response, STATUS[kind], "the reason")
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
        ("GET", "/", 404, "there is no /; GET /schema lists the routes"),
        ("POST", "/search/x", 404, "there is no /search/x; GET /schema lists the routes"),
        ("GET", "/search", 405, "GET is not allowed on /search"),
        ("DELETE", "/livez", 405, "DELETE is not allowed on /livez"),
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
