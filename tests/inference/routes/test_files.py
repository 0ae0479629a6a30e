"""Files that are posted as they are: each form is read, what it is asked for is done, and a wrong one is refused.

The trainer's own code checks and runs the jobs in a thread of the test's process; no model is trained.
"""

import csv
import gzip
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.jobs.jobs import Jobs, is_copy
from artifacts.store import forgetting
from artifacts.store.bundle import unpack
from artifacts.store.store import Store
from artifacts.text.people import Person
from inference.jobs.posted import FILES
from inference.routes.openapi import DESCRIBED
from inference.settings import Settings
from inference.tokens import NamedToken, Role, sha256_of
from tests.inference.conftest import connect, started
from tests.inference.helpers import ACCESS, CATEGORY, CONNECTION, MODEL, check_problem, pointers
from tests.inference.worker import WorkerHere
from trainer.jobs.runners import run_any

pytestmark = pytest.mark.anyio

UNPACKED_BYTES = 2**20
TOKENS: dict[str, Role] = {"the-Search_1": "search", "other-Search_2": "search", "the-Label_3": "label"}
TOKEN_ADMIN = "the-Admin_4"
CSV = {"Content-Type": "text/csv"}
ASYNC = {"Prefer": "respond-async"}
WHERE = {"text": "Descriptif", "category": "Nature"}
WORKS = ("/train_model", "/inspect", "/evaluate", "/classify", "/models/puppet-o2/diff")


@pytest.fixture
def settings(store: Store, check_here: None) -> Settings:
    """Give the settings of a server that trains."""
    return Settings(store=str(store.root), trainer="local")


@pytest.fixture(autouse=True)
def worker(store: Store, check_here: None) -> Iterator[WorkerHere]:
    """Give a worker that does what the trainer's does, in a thread; a file may unpack to 1 MiB."""
    with WorkerHere(store, lambda folder, attempt: run_any(folder, attempt, UNPACKED_BYTES)) as worker:
        yield worker


def export(encoding: str = "cp1252") -> bytes:
    """Return tickets of the fixture model as another program exports them: its own columns, semicolons."""
    rows = ["Numéro;Nature;Descriptif;Clé"]
    rows += [f"{n};{category};{' '.join(tokens)};é" for n, (category, tokens) in enumerate(CATEGORY.items(), 100)]
    return "\r\n".join(rows).encode(encoding) + b"\r\n"


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip archive of files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return packed.getvalue()


def mail(words: list[str]) -> bytes:
    """Return an e-mail of these words."""
    return b"From: a@b.example\nSubject: \nContent-Type: text/plain; charset=utf-8\n\n" + " ".join(words).encode()


def parquet() -> bytes:
    """Return the export as parquet."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = list(csv.DictReader(io.StringIO(export().decode("cp1252")), delimiter=";"))
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def workbook() -> bytes:
    """Return the export as a workbook."""
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("python_calamine")
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    for number, cells in enumerate(csv.reader(io.StringIO(export().decode("cp1252")), delimiter=";")):
        sheet.write_row(number, 0, cells)
    book.close()
    return file.getvalue()


def json_lines() -> bytes:
    """Return the export as one JSON object a line."""
    rows = csv.DictReader(io.StringIO(export().decode("cp1252")), delimiter=";")
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


FORMS: dict[str, Any] = {
    "text/csv": export,
    "text/tab-separated-values": lambda: export("utf-8").replace(b";", b"\t"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": workbook,
    "application/vnd.apache.parquet": parquet,
    "application/x-ndjson": json_lines,
    "application/gzip": lambda: gzip.compress(export()),
    "application/zip": lambda: zipped({"export.csv": export()}),
}
MAILS: dict[str, Any] = {
    "application/zip": lambda: zipped({f"mails/{n}/{n}.eml": mail(words) for n, words in enumerate(CATEGORY.values())}),
    "message/rfc822": lambda: mail(CONNECTION),
    "application/mbox": lambda: b"From a@b.example Tue Mar 12 10:12:00 2024\n" + mail(CONNECTION) + b"\n",
}


async def classified(client: httpx.AsyncClient, raw: bytes, media_type: str, **query: Any) -> dict[str, Any]:
    """Return what came of a file that was sorted."""
    headers = {"Content-Type": media_type, "Accept": "application/json"}
    response = await client.post("/classify", params=MODEL | query, content=raw, headers=headers)
    assert response.status_code == 200, response.text
    return dict(response.json())


# Forms


@pytest.mark.parametrize("media_type", FORMS)
async def test_file_of_each_form_is_given_back_with_categories(client: httpx.AsyncClient, media_type: str) -> None:
    """Every column stays, the category comes after them, and the file has the name that its sender gave it."""
    raw = FORMS[media_type]()
    query = MODEL | {"text": "Descriptif", "output": "csv", "filename": "dossier/export été.csv"}

    response = await client.post("/classify", params=query, content=raw, headers={"Content-Type": media_type})

    assert response.status_code == 200, response.text
    assert "filename*=utf-8''export%20%C3%A9t%C3%A9-sorted.csv" in response.headers["content-disposition"]
    assert response.headers["cache-control"] == "no-store"
    text = response.content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text), delimiter=";" if ";" in text.splitlines()[0] else text[6:7]))
    assert [row["category"] for row in rows] == list(CATEGORY)
    assert [(row["Numéro"], row["Clé"]) for row in rows] == [("100", "é"), ("101", "é"), ("102", "é")]
    again = await client.get(response.headers["location"] + "/result")
    assert again.content == response.content


@pytest.mark.parametrize("media_type", MAILS)
async def test_mails_are_sorted(client: httpx.AsyncClient, media_type: str) -> None:
    """One e-mail, a mailbox, and a folder as a zip archive."""
    found = await classified(client, MAILS[media_type](), media_type)

    wanted = dict.fromkeys(CATEGORY, 1) if media_type == "application/zip" else {"Problème de connexion": 1}
    assert found["per_category"] == wanted
    assert found["filename"].endswith("-sorted.csv")


@pytest.mark.parametrize("output", ["csv", "tsv", "xlsx", "jsonl", "parquet"])
async def test_file_is_given_back_in_the_form_that_is_asked_for(client: httpx.AsyncClient, output: str) -> None:
    """Whatever form came."""
    if output in ("xlsx", "parquet"):
        pytest.importorskip({"xlsx": "xlsxwriter", "parquet": "pyarrow"}[output])
    starts = {"csv": b"\xef\xbb\xbf", "tsv": b"\xef\xbb\xbf", "xlsx": b"PK", "jsonl": b"{", "parquet": b"PAR1"}
    query = MODEL | {"text": "Descriptif", "output": output}

    response = await client.post("/classify", params=query, content=export(), headers=CSV)

    assert response.content.startswith(starts[output])
    assert response.headers["content-type"].partition(";")[0] in (*FILES, "application/x-ndjson")
    assert f"tickets-sorted.{output}" in response.headers["content-disposition"]


async def test_rows_of_a_body_are_sorted_in_their_order(client: httpx.AsyncClient) -> None:
    """JSON without a file: the answer has a line for each row, with its id."""
    rows = [{"tokens": ACCESS, "id": 7}, {"text": " ".join(CONNECTION)}]

    response = await client.post("/classify", json=MODEL | {"data": rows})

    found = [json.loads(line) for line in response.text.splitlines()]
    assert [(row.get("id"), row["category"]) for row in found] == [
        (7, "Accès utilisateur"),
        (None, "Problème de connexion"),
    ]


async def test_preview_says_how_a_file_is_understood_and_what_is_likely(client: httpx.AsyncClient) -> None:
    """Foreign columns are no refusal there: they are shown with samples, and the likely ones with their roles."""
    response = await client.post("/inspect?preview=true", content=export(), headers=CSV)

    found = response.json()
    assert response.status_code == 200, found
    assert (found["num_rows"], found["encoding"], found["delimiter"]) == (3, "cp1252", ";")
    assert [column["name"] for column in found["columns"]] == ["Numéro", "Nature", "Descriptif", "Clé"]
    assert found["columns"][2]["role"] == "text"
    assert found["rows"][0]["Nature"] == "Problème de connexion"
    assert [problem["type"] for problem in found["problems"]] == ["columns-unclear"]
    assert not found["is_certain"]


async def test_preview_of_named_columns_is_certain(client: httpx.AsyncClient) -> None:
    """What the request names is what is read."""
    found = (await client.post("/inspect", params=WHERE | {"preview": "1"}, content=export(), headers=CSV)).json()

    assert found["is_certain"]
    assert {one["name"]: (one["role"], one["why"]) for one in found["columns"] if one["role"]} == {
        "Nature": ("category", "named"), "Descriptif": ("text", "named"),
    }  # fmt: skip


@pytest.mark.torch  # it needs what trains
async def test_inspection_says_what_to_look_at_row_by_row(client: httpx.AsyncClient) -> None:
    """A finding has the rows that it is of, by the lines by which a training's corrections name them."""
    twice = export("utf-8") + export("utf-8").split(b"\r\n", 1)[1]

    response = await client.post("/inspect", params=WHERE, content=twice, headers=CSV)

    found = response.json()
    assert response.status_code == 200, found
    (repeats,) = [one for one in found["findings"] if one["type"] == "duplicates"]
    assert [row["line"] for row in repeats["rows"]] == [5, 6, 7]
    assert found["categories"] == dict.fromkeys(CATEGORY, 2)


async def test_file_is_measured_as_a_body_is(client: httpx.AsyncClient) -> None:
    """/evaluate and /test give the same figures of the same rows."""
    rows = [{"category": category, "tokens": tokens} for category, tokens in CATEGORY.items()]
    tested = (await client.post("/test", json=MODEL | {"test_data": rows})).json()

    by_file = await client.post("/evaluate", params=MODEL | WHERE, content=export(), headers=CSV)
    by_rows = await client.post("/evaluate", json=MODEL | {"test_data": rows})

    for response in (by_file, by_rows):
        assert response.status_code == 200, response.text
        assert response.json()["per_category"] == tested["per_category"]
        assert response.json()["model_name"] == "puppet-o2"


@pytest.mark.torch  # it needs what trains
async def test_versions_are_compared_ticket_by_ticket(client: httpx.AsyncClient, store: Store) -> None:
    """A version that says another category is shown with the ticket's line and words."""
    manifest, files = store.read_version("puppet-o2", 1)
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    store.publish(manifest, files | {"labels.json": msgspec.json.encode(labels[1:] + labels[:1])}, serve=False)

    unlearnt = export().replace(
        b";\xe9", b" aussi;\xe9"
    )  # the last column of each row; rows that are learnt say nothing

    response = await client.post("/models/puppet-o2/diff", params=WHERE, content=unlearnt, headers=CSV)

    found = response.json()
    assert response.status_code == 200, found
    assert (found["old"], found["new"], found["comparison"]["num_changes"]) == (1, 2, 3)
    first = found["changes"][0]
    assert (first["line"], first["category"], first["old"]) == (2, "Problème de connexion", "Problème de connexion")
    assert first["new"] != first["old"]
    assert "connexion" in first["text"]


# A file is sent once


async def test_file_of_an_earlier_job_is_read_again(client: httpx.AsyncClient, store: Store) -> None:
    """Also of one that was refused for its columns; and the copy of one job outlives that of the other."""
    refused = await client.post("/evaluate", params=MODEL, content=export(), headers=CSV)
    check_problem(refused, 400)
    assert "columns-unclear" in refused.json()["type"]
    (job,) = (await client.get("/jobs")).json()["jobs"]
    body = MODEL | {"data_of": job["id"], "reading": {"text": ["Descriptif"]}}

    response = await client.post("/classify", json=body, headers={"Accept": "application/json"})

    assert response.json()["per_category"] == dict.fromkeys(CATEGORY, 1)


async def test_files_are_erased_after_their_hours(client: httpx.AsyncClient, store: Store) -> None:
    """Neither result nor upload is there then, and both say so; the job itself stays."""
    response = await client.post("/classify", params=MODEL | {"text": "Descriptif"}, content=export(), headers=CSV)
    place = response.headers["location"]
    jobs = Jobs(store)

    assert jobs.expire(1, time.time()) == 0
    assert jobs.expire(1, time.time() + 2 * 3600) == 1

    gone = check_problem(await client.get(f"{place}/result"), 404)
    assert gone["type"] == "/problems/result-gone"
    job = (await client.get(place)).json()
    assert (job["state"], job["has_result"]) == ("succeeded", False)
    again = await client.post("/classify", json=MODEL | {"data_of": job["id"]})
    assert check_problem(again, 404)["type"] == "/problems/upload-gone"


async def test_files_beyond_what_is_kept_go_oldest_first(client: httpx.AsyncClient, store: Store) -> None:
    """Files that are sent one after the other fill no disk."""
    jobs, query = Jobs(store), MODEL | {"text": "Descriptif"}
    places = [
        (await client.post("/classify", params=query, content=export(), headers=CSV)).headers["location"]
        for _ in range(2)
    ]
    num_bytes = sum(path.stat().st_size for path in store.jobs_folder.rglob("*") if is_copy(path.name))

    assert jobs.spare(num_bytes) == 0
    assert jobs.spare(num_bytes - 1) == 1

    assert [(await client.get(f"{place}/result")).status_code for place in places] == [404, 200]


async def test_forgotten_person_is_in_no_file_of_a_job(client: httpx.AsyncClient, store: Store) -> None:
    """A name is found in what was posted and in what was given back, and where bytes hide it the copy goes too."""
    named = export("utf-8") + "103;Facture;Mme Lefèvre attend;é\r\n".encode()
    for raw, media_type in ((named, "text/csv"), (gzip.compress(named), "application/gzip")):
        await classified(client, raw, media_type, text="Descriptif")
    jobs, person = Jobs(store), Person(["Lefevre"])
    wanted = forgetting.wanted(store, person, [])

    found = forgetting.find(store, jobs, wanted)
    forgetting.erase(store, jobs, wanted, found)

    assert {Path(trace.path).name for trace in found} >= {"upload", "answer.csv"}
    assert forgetting.find(store, jobs, wanted) == []
    assert [path.name for path in store.jobs_folder.rglob("upload")] == []


# What does not fit


@pytest.mark.parametrize("path", WORKS)
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_a_foreign_page_can_send_is_refused(client: httpx.AsyncClient, path: str, media_type: str) -> None:
    """The three types that need no preflight, and none at all, are 415, with those that are taken."""
    response = await client.post(path, content=b"a", headers={"Content-Type": media_type} if media_type else {})

    problem = check_problem(response, 415)
    assert {"application/json", *FILES} <= set(problem["accepted"])


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"nam": "x"}, ["/nam"]),
        ({"top_k": "two", "abstain": "perhaps"}, ["/top_k", "/abstain"]),
        ({"merge": "Facture"}, ["/merge"]),
    ],
)
async def test_query_that_does_not_fit_is_refused_with_each_fault(
    client: httpx.AsyncClient, query: dict[str, str], wrong: list[str]
) -> None:
    """Before a byte of the file is kept."""
    response = await client.post("/classify", params=query, content=export(), headers=CSV)

    assert sorted(pointers(check_problem(response, 400))) == sorted(wrong)  # the framework keeps no order of names


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/classify", MODEL, "/data"),
        ("/evaluate", MODEL | {"test_data": []}, "/test_data"),
        ("/inspect", {}, "/training_data"),
        ("/classify", MODEL | {"data": [{"text": "a"}], "data_of": "0" * 32}, "/data"),
        ("/train_model", MODEL | {"training_data": [{}], "data_of": "0" * 32}, "/training_data"),
        ("/classify", MODEL | {"data": [{"text": "a", "tokens": ["b"]}]}, "/data/0"),
    ],
)
async def test_body_without_rows_or_with_two_sources_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], pointer: str
) -> None:
    """Each is said with its place, and no job is made."""
    response = await client.post(path, json=body)

    assert pointers(check_problem(response, 400)) == [pointer]
    assert (await client.get("/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(
    ("raw", "media_type", "problem"),
    [
        (lambda: gzip.compress(b"a;b\n" * 2**19), "application/gzip", "file-too-large"),
        (lambda: zipped({"a.csv": b"a;b\n" * 2**19}), "application/zip", "file-too-large"),
        (lambda: zipped({f"{n}/1.eml": bytes(2**19) for n in range(4)}), "application/zip", "file-too-large"),
        (lambda: zipped({"../a.eml": b"From: a", "b.eml": b"From: a"}), "application/zip", "unsafe-path-in-archive"),
        (lambda: zipped({"a/1.eml": b"From: a"})[:40], "application/zip", "damaged-file"),
        (lambda: b"%PDF-1.7", "text/csv", "document-instead-of-table"),
        (lambda: b"", "text/csv", "no-training-data"),
    ],
)
async def test_file_that_cannot_be_read_is_refused_by_its_own_name(
    client: httpx.AsyncClient, raw: Any, media_type: str, problem: str
) -> None:
    """Bombs, paths that lead outside, damage and other documents; no place of the server's disk is told."""
    query = MODEL | {"filename": "export.bin"}

    response = await client.post("/classify", params=query, content=raw(), headers={"Content-Type": media_type})

    found = check_problem(response, 400)
    assert found["type"] == f"/problems/{problem}"
    assert "/.jobs/" not in response.text
    if problem != "no-training-data":
        assert "export.bin" in found["detail"]


async def test_file_over_the_limit_is_refused(settings: Settings) -> None:
    """The largest file is the largest body of a training."""
    async with started(msgspec.structs.replace(settings, train_body_bytes=100)) as app, connect(app) as client:
        response = await client.post("/classify", params=MODEL, content=export(), headers=CSV)

        check_problem(response, 413)


async def test_result_that_is_not_there_is_said_with_its_reason(client: httpx.AsyncClient, worker: WorkerHere) -> None:
    """Not yet, and never."""
    worker.go.clear()
    response = await client.post("/evaluate", params=MODEL, content=export(), headers=CSV | ASYNC)
    assert response.status_code == 202
    assert response.json()["kind"] == "evaluate"
    place = response.headers["location"]

    assert check_problem(await client.get(f"{place}/result"), 404)["type"] == "/problems/result-not-yet"
    assert (await client.post(f"{place}/cancel", json={})).json()["cancel_requested"]
    worker.go.set()
    while (await client.get(place)).json()["state"] in ("queued", "running"):
        pass
    assert check_problem(await client.get(f"{place}/result"), 404)["type"] == "/problems/no-result"


# Whose job it is


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


async def test_token_sees_the_jobs_that_it_asked_for(settings: Settings) -> None:
    """Another of the same role is told that there is no such job, on each route; an administrator sees all."""
    named = [NamedToken(f"t{n}", role, sha256_of(token)) for n, (token, role) in enumerate(TOKENS.items())]
    mine, other, label = map(bearer, TOKENS)
    admin = bearer(TOKEN_ADMIN)
    guarded = msgspec.structs.replace(settings, admin_token=TOKEN_ADMIN)
    async with started(guarded, tokens=named) as app, connect(app) as client:
        query = MODEL | {"text": "Descriptif"}
        response = await client.post("/classify", params=query, content=export(), headers=CSV | mine)
        place = response.headers["location"]
        job = place.rpartition("/")[2]

        for headers in (mine, admin):
            assert (await client.get(place, headers=headers)).json()["kind"] == "classify"
            assert (await client.get(f"{place}/result", headers=headers)).status_code == 200
            assert len((await client.get("/jobs", headers=headers)).json()["jobs"]) == 1
        for headers in (other, label):
            assert (await client.get("/jobs", headers=headers)).json()["jobs"] == []
            for path in (place, f"{place}/result", f"{place}/events"):
                check_problem(await client.get(path, headers=headers), 404)
            check_problem(await client.post(f"{place}/cancel", json={}, headers=headers), 404)
        stolen = await client.post("/classify", json=MODEL | {"data_of": job}, headers=other)
        check_problem(stolen, 404)


# Versions


async def test_version_is_given_as_one_file(client: httpx.AsyncClient, tmp_path: Path, store: Store) -> None:
    """Twice the same bytes, which hold what the store holds."""
    first, second = [await client.get("/models/puppet-o2/versions/1/download") for _ in range(2)]

    assert first.content == second.content
    assert 'filename="puppet-o2-1.zip"' in first.headers["content-disposition"]
    (tmp_path / "version.zip").write_bytes(first.content)
    assert unpack(tmp_path / "version.zip") == store.read_version("puppet-o2", 1)
    check_problem(await client.get("/models/puppet-o2/versions/9/download"), 404)


async def test_report_that_is_not_there_is_said_with_the_remedy(client: httpx.AsyncClient) -> None:
    """A version of an earlier release has none, until it is written again; a kind without one is refused."""
    problem = check_problem(await client.get("/models/puppet-o2/versions/1/report"), 404)
    assert problem["type"] == "/problems/no-report"
    assert "POST /models/puppet-o2/versions/1/report" in problem["detail"]

    check_problem(await client.get("/models/puppet-o2/versions/9/report"), 404)
    check_problem(await client.get("/models/puppet-o2/versions/1/report?lang=de"), 400)
    wrong = await client.post("/models/prices/versions/1/report", json={})
    check_problem(wrong, 400)


@pytest.mark.torch  # it needs what trains
async def test_report_is_written_again_in_both_languages(client: httpx.AsyncClient) -> None:
    """It comes under a policy of its own, in the language of the request."""
    written = await client.post("/models/puppet-o2/versions/1/report", json={})
    assert written.status_code == 200, written.text

    for headers, query, language in (({}, "", "en"), ({"Accept-Language": "fr"}, "", "fr"), ({}, "?lang=fr", "fr")):
        page = await client.get(f"/models/puppet-o2/versions/1/report{query}", headers=headers)
        assert (page.status_code, page.headers["content-language"]) == (200, language)
        assert f'<html lang="{language}">' in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "script" not in page.headers["content-security-policy"]


# The document


async def test_document_names_each_parameter_and_type_of_a_file(app: Litestar) -> None:
    """Every route that takes a file says which types, and each parameter of its query."""
    paths = app.openapi_schema.to_schema()["paths"]
    for path in WORKS:
        operation = paths[path.replace("puppet-o2", "{name}")]["post"]
        assert {"application/json", *FILES} == set(operation["requestBody"]["content"])
        named = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        assert {"category", "text", "encoding", "filename"} <= named <= set(DESCRIBED)
        assert "202" in operation["responses"]
