"""Bodies that nobody should send, over every route that takes one: refused in words, never a 5xx."""

import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from artifacts.system import validation
from inference.jobs.posted import FILES
from inference.search import bodies as bodies_module
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import MODEL, POST_ROUTES, check_problem, pointers

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
# A body of each route that is right but for what a test puts in the place of VALUE, in a field that takes text.
TEMPLATES = {
    "/create_model": b'{"name": VALUE, "neural_network_type": "GRU"}',
    "/train_model": (
        b'{"name": "puppet-o2", "neural_network_type": "GRU", "training_data": [{"category": "a", "text": VALUE}]}'
    ),
    "/search": b'{"name": "puppet-o2", "neural_network_type": "GRU", "vector": ["a", VALUE]}',
    "/test": (
        b'{"name": "puppet-o2", "neural_network_type": "GRU", "test_data": [{"category": "a", "tokens": [VALUE]}]}'
    ),
    "/predict": b'{"email_text": VALUE}',
}
# Where VALUE stands; what is no JSON at all is a fault of what holds it.
PLACES = {
    "/create_model": "/name",
    "/train_model": "/training_data/0/text",
    "/search": "/vector/1",
    "/test": "/test_data/0/tokens/0",
    "/predict": "/email_text",
}
DEEP = 100_000
WHOLE = {
    "empty": b"",
    "blank": b" \n\t ",
    "no JSON": b"name=puppet-o2",
    "half an object": b'{"name": "puppet-o2", "neural',
    "two objects": b"{}{}",
    "trailing comma": b'{"name": "puppet-o2",}',
    "single quotes": b"{'name': 'puppet-o2'}",
    "null": b"null",
    "true": b"true",
    "number": b"12",
    "string": b'"puppet-o2"',
    "array": b"[]",
    "array of bodies": b'[{"name": "puppet-o2", "neural_network_type": "GRU"}]',
    "empty object": b"{}",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "byte order mark": b'\xef\xbb\xbf{"name": "puppet-o2"}',
    "UTF-16": '{"name": "puppet-o2"}'.encode("utf-16"),
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "invalid UTF-8 outside strings": b'{"name": \xff}',
    "NUL bytes": b"\0" * 1000,
    "brackets": b"[" * DEEP,
    "closed brackets": b"[" * DEEP + b"]" * DEEP,
    "braces": b'{"a":' * (DEEP // 2),
}
INSIDE = {
    "brackets": b"[" * DEEP,
    "closed brackets": b"[" * DEEP + b"]" * DEEP,
    "braces": b'{"a":' * 40_000,
    "lone surrogate": b'"\\ud800"',
    "lone surrogate in a word": b'"mot\\udfffs"',
    "raw surrogate": b'"\xed\xa0\x80"',
    "invalid UTF-8": b'"caf\xe9"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "1e999": b"1e999",
    "-1e999": b"-1e999",
    "many digits": b"9" * 10_000,
    "number": b"3",
    "float": b"1.5",
    "true": b"true",
    "null": b"null",
    "array": b'["a"]',
    "object": b'{"a": 1}',
    "control character": b'"a\x01b"',
    "bad escape": b'"\\x41"',
    "unended string": b'"abc',
    "nothing": b"",
}
MEDIA_TYPES = (
    "text/plain",
    "text/plain; application/json",
    "application/jsonp",
    "application/json-patch+json",
    "application/problem+json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "*/*",
    "json",
    "",
)
LIMITS = {"/create_model": 1000, "/search": 1000, "/predict": 1000, "/test": 2000, "/train_model": 3000}


@pytest.fixture
def training_here(settings: Settings, trainer_here: None) -> Settings:
    """Give the settings of a server that trains in this process."""
    return msgspec.structs.replace(settings, trainer="local")


@pytest.fixture
async def trainable(training_here: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a server that trains."""
    async with started(training_here) as app, connect(app) as client:
        yield client


@pytest.mark.parametrize("path", POST_ROUTES)
async def test_body_that_is_no_body_is_400(trainable: httpx.AsyncClient, path: str) -> None:
    """What is not a JSON object of the route's fields is refused with the faults and where they are."""
    for what, body in WHOLE.items():
        problem = check_problem(await trainable.post(path, content=body, headers=JSON), 400)
        assert pointers(problem), what


@pytest.mark.parametrize("path", POST_ROUTES)
async def test_field_that_is_no_text_is_400(trainable: httpx.AsyncClient, path: str) -> None:
    """A value that is no text, or no JSON at all, inside an otherwise right body is refused with its place."""
    for what, value in INSIDE.items():
        body = TEMPLATES[path].replace(b"VALUE", value)
        problem = check_problem(await trainable.post(path, content=body, headers=JSON), 400)
        assert problem["num_errors"] == 1, what
        (pointer,) = pointers(problem)
        assert PLACES[path].startswith(pointer), what


@pytest.mark.parametrize("path", POST_ROUTES)
async def test_template_is_right_but_for_its_value(trainable: httpx.AsyncClient, path: str) -> None:
    """The bodies of these tests are refused for what is put into them and for nothing else."""
    if path == "/train_model":
        return  # it would train

    response = await trainable.post(path, content=TEMPLATES[path].replace(b"VALUE", b'"mot"'), headers=JSON)

    assert response.status_code == 200


@pytest.mark.parametrize("path", POST_ROUTES)
async def test_other_media_type_is_415(client: httpx.AsyncClient, path: str) -> None:
    """A body that is not declared as what the route reads is refused with the header to send, as RFC 9110 has it."""
    more = {"/predict": ("message/rfc822",), "/train_model": FILES}
    accepted = ", ".join(["application/json", *more.get(path, ())])

    for media_type in MEDIA_TYPES:
        response = await client.post(path, content=b"{}", headers={"Content-Type": media_type})

        problem = check_problem(response, 415)
        assert response.headers["accept-post"] == accepted
        assert "Content-Type: application/json" in problem["detail"]


@pytest.mark.parametrize("path", POST_ROUTES)
async def test_no_media_type_is_415(client: httpx.AsyncClient, path: str) -> None:
    """A body without a content type is refused: a web page can send one to another site without asking."""
    response = await client.post(path, content=b"{}")

    assert "content-type" not in response.request.headers
    check_problem(response, 415)


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON ; a=b"],
)
async def test_json_with_parameters_is_accepted(client: httpx.AsyncClient, media_type: str) -> None:
    """The media type is compared without its parameters and without regard to case."""
    body = TEMPLATES["/search"].replace(b"VALUE", b'"b"')

    assert (await client.post("/search", content=body, headers={"Content-Type": media_type})).status_code == 200


@pytest.mark.parametrize("is_chunked", [False, True], ids=["Content-Length", "chunked"])
async def test_limit_of_a_body_is_exact(training_here: Settings, is_chunked: bool) -> None:
    """A body of the limit is read and one byte more is 413, whether its length was announced or not."""
    limited = msgspec.structs.replace(
        training_here, search_body_bytes=1000, mail_body_bytes=1500, test_body_bytes=2000, train_body_bytes=3000
    )

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    async with started(limited) as app, connect(app) as client:
        for path, limit in LIMITS.items():
            for extra in (-1, 0, 1):
                body = b"{}".ljust(limit + extra)
                response = await client.post(path, content=chunks(body) if is_chunked else body, headers=JSON)

                assert ("content-length" in response.request.headers) != is_chunked
                problem = check_problem(response, 413 if extra > 0 else 400)
                # Mails may be longer, so /predict knows the limit only once it knows the type.
                said = (
                    f"the limit for application/json is {limit};"
                    if path == "/predict"
                    else f"{limit} bytes for {path};"
                )
                assert (said in problem["detail"]) == (extra > 0)
        assert not [path for path in (app.state.registry.store.root / ".jobs").iterdir() if path.is_dir()]


async def test_default_limits_are_those_of_the_design(client: httpx.AsyncClient) -> None:
    """Without settings, 256 KiB is the limit of /search and 8 MiB that of /test."""
    for path, limit in {"/search": 256 * 1024, "/test": 8 * 1024 * 1024}.items():
        problem = check_problem(await client.post(path, content=b" " * (limit + 1), headers=JSON), 413)
        assert f"{limit} bytes" in problem["detail"]


@pytest.mark.parametrize("path", POST_ROUTES)
async def test_odd_content_length_is_no_bug(trainable: httpx.AsyncClient, path: str) -> None:
    """A length that is no length is the caller's mistake."""
    for length in ("abc", "-1", "1e3", "", "9" * 50):
        response = await trainable.post(path, content=b"{}", headers=JSON | {"Content-Length": length})

        assert response.status_code in (400, 413)
        check_problem(response, response.status_code)


async def test_all_faults_are_listed_with_their_pointers(client: httpx.AsyncClient) -> None:
    """Every fault of a body is named in one answer: types, missing and unknown fields, however deep."""
    body = {"neural_network_type": 3, "vectors": [["a"], "b", ["c", 4, None]], "ids": [1.5, 2, "x"], "vec/t~r": 1}

    problem = check_problem(await client.post("/search", json=body), 400)

    assert pointers(problem) == [
        "/name", "/neural_network_type", "/ids/0", "/vectors/1", "/vectors/2/1", "/vectors/2/2", "/vec~1t~0r",
    ]  # fmt: skip
    assert problem["num_errors"] == 7


async def test_only_the_first_faults_are_listed(client: httpx.AsyncClient) -> None:
    """Of a thousand faults the first 20 are listed and all are counted."""
    problem = check_problem(await client.post("/search", json=MODEL | {"vectors": [3] * 1000}), 400)

    assert pointers(problem) == [f"/vectors/{index}" for index in range(20)]
    assert problem["num_errors"] == 1000
    assert "1000 faults" in problem["detail"]


async def test_faults_are_looked_for_beside_the_loop(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body of nothing but faults does not hold up whoever else asks: the slow search for them is made in a thread."""
    in_loop = threading.get_ident()
    found_in = set[int]()

    def decode(raw: bytes, type_: type[Any]) -> Any:
        found_in.add(threading.get_ident())
        return validation.decode(raw, type_)

    monkeypatch.setattr(bodies_module, "decode", decode)

    problem = check_problem(await client.post("/search", json=MODEL | {"vectors": [0] * 50_000}), 400)

    assert problem["num_errors"] == 50_000
    assert found_in
    assert in_loop not in found_in


@pytest.mark.parametrize("path", ["/search", "/test", "/predict"])
async def test_duplicate_keys_are_no_bug(client: httpx.AsyncClient, path: str) -> None:
    """A key that stands twice is answered like one that stands once, or refused."""
    body = TEMPLATES[path].replace(b"VALUE", b'"a"')
    twice = body[:-1] + b"," + body[1:]

    response = await client.post(path, content=twice, headers=JSON)

    assert response.status_code in (200, 400)


def check_is_no_bug(response: httpx.Response) -> None:
    """Check that an answer is a 200 in JSON or a problem that is not ours."""
    if response.status_code == 200:
        assert response.headers["content-type"] == "application/json"
        assert response.json()
    else:
        assert 400 <= response.status_code < 500, response.text
        check_problem(response, response.status_code)


fuzz = hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
words = st.sampled_from(["puppet-o2", "untrained", "GRU", "client", "", "\0", "é", "\ud800", "a" * 300, "l'accès 12 €"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "name",
        "neural_network_type",
        "vector",
        "vectors",
        "text",
        "texts",
        "id",
        "ids",
        "test_data",
        "email_text",
        "category",
    ]
)
tickets = st.dictionaries(st.sampled_from(["category", "label", "tokens", "text", "email_text", "id"]), values)
bodies = st.dictionaries(names, values | st.lists(tickets, max_size=3)).map(
    lambda fields: {"name": "puppet-o2", "neural_network_type": "GRU"} | fields
) | st.dictionaries(names, values)


@fuzz
@given(path=st.sampled_from(POST_ROUTES), body=st.binary(max_size=60))
async def test_any_bytes_are_answered(trainable: httpx.AsyncClient, path: str, body: bytes) -> None:
    """Whatever bytes are posted, the answer is a problem that is the caller's."""
    check_is_no_bug(await trainable.post(path, content=body, headers=JSON))


@fuzz
@given(path=st.sampled_from(POST_ROUTES), body=bodies, is_strict=st.booleans())
async def test_any_json_is_answered(trainable: httpx.AsyncClient, path: str, body: Any, is_strict: bool) -> None:
    """Whatever JSON is posted, near to a right body or far from it, the answer is a result or the caller's problem."""
    content = json.dumps(body, ensure_ascii=is_strict).encode("utf-8", "surrogatepass")

    check_is_no_bug(await trainable.post(path, content=content, headers=JSON))


@fuzz
@given(path=st.text(min_size=1, max_size=20), method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]))
async def test_any_path_is_answered(client: httpx.AsyncClient, path: str, method: str) -> None:
    """Whatever path is asked for, the answer is a page, or a problem that is the caller's."""
    quoted = "".join(f"%{byte:02x}" for byte in path.encode("utf-8", "surrogatepass"))

    for prefix in ("/", "/schema/", "/schema/assets/", "/search/"):
        response = await client.request(method, prefix + quoted)
        assert response.status_code < 500
        if response.status_code != 200 and method != "HEAD":
            check_problem(response, response.status_code)
