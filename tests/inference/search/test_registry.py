"""Which version serves: a new one when it is sound, the one before when it is not, never a mixture of two."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from artifacts.errors import ArtifactRefused, InvalidName, ModelNotFound, ModelNotTrained
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GoldenRow
from artifacts.networks.runtime import Model
from artifacts.store.store import Store
from artifacts.text.tickets import Prediction
from inference.errors import ModelLoading
from inference.search.registry import Registry
from inference.settings import Settings
from tests.inference.conftest import connect, started
from tests.inference.helpers import (
    CLIENT,
    CONNECTION,
    DEADLINE_S,
    MODEL,
    check_problem,
    damage,
    eventually,
    publish_permuted,
)

pytestmark = pytest.mark.anyio

FILES = ("manifest.json", "model.onnx", "vocab.json", "labels.json", "golden.json", "report.json")


@pytest.fixture
async def registry(store: Store) -> Registry:
    """Give a registry that has loaded the fixture store."""
    registry = Registry(store)
    await registry.refresh()
    return registry


def publish_unanswerable(store: Store) -> int:
    """Publish a version whose files are whole but whose golden rows its graph does not answer; return its number."""
    manifest, files = store.read_version("puppet-o2", 1)
    golden = msgspec.json.decode(files["golden.json"], type=list[GoldenRow])
    other = [msgspec.structs.replace(row, probabilities=row.probabilities[::-1]) for row in golden]
    return store.publish(manifest, files | {"golden.json": msgspec.json.encode(other)}).version


def publish_reworded(store: Store) -> int:
    """Publish a version in which every word has the row of another and every category the name of another.

    An answer that took its ids from one version and its labels from another would show it.
    """
    manifest, files = store.read_version("puppet-o2", 1)
    rows = msgspec.json.decode(files["vocab.json"], type=dict[str, int])
    words = [word for word in rows if not word.startswith("<")]
    other = dict(zip(words, words[1:] + words[:1], strict=True))  # word -> the one whose row it takes
    golden = msgspec.json.decode(files["golden.json"], type=list[GoldenRow])
    spelled = {rows[other[word]]: word for word in words}  # row -> the word that now has it
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    replaced = {
        "vocab.json": {word: rows[other.get(word, word)] for word in rows},
        "labels.json": labels[1:] + labels[:1],
        "golden.json": [
            msgspec.structs.replace(
                row, tokens=[spelled.get(id_, token) for id_, token in zip(row.ids, row.tokens, strict=True)]
            )
            for row in golden
        ],
    }
    return store.publish(manifest, files | {name: msgspec.json.encode(made) for name, made in replaced.items()}).version


def category_of(model: Model[Any], tokens: list[str]) -> str:
    """Return the category that a model gives a ticket."""
    (answer,) = model.predict([model.encode(tokens)])
    assert isinstance(answer, Prediction)
    return answer.category


async def test_serving_version_is_that_of_the_store(registry: Registry) -> None:
    """After a first look the current version of each trained model serves."""
    assert registry.is_ready
    assert registry.serving("puppet-o2").version == 1


async def test_before_the_first_look_a_model_is_loading(store: Store) -> None:
    """A model that is there but has not been loaded yet is `ModelLoading`, not missing."""
    registry = Registry(store)

    assert not registry.is_ready
    with pytest.raises(ModelLoading):
        registry.serving("puppet-o2")


@pytest.mark.parametrize(
    ("name", "error"), [("nobody", ModelNotFound), ("untrained", ModelNotTrained), ("../x", InvalidName)]
)
async def test_what_does_not_serve_says_why(registry: Registry, name: str, error: type[Exception]) -> None:
    """A model that is not there, not trained or not a name at all is told apart, before the first look too."""
    for one in (registry, Registry(registry.store)):
        with pytest.raises(error):
            one.serving(name)


async def test_empty_store_is_ready(tmp_path: Any) -> None:
    """There is nothing to wait for in an empty store."""
    registry = Registry(Store(tmp_path / "empty"))

    await registry.refresh()

    assert registry.is_ready


async def test_new_version_is_picked_up(registry: Registry, store: Store) -> None:
    """A version that is published while the server runs serves from the next look on, with categories of its own."""
    old = registry.serving("puppet-o2")
    assert publish_permuted(store) == 2
    assert registry.serving("puppet-o2") is old

    await registry.refresh()

    assert registry.serving("puppet-o2").version == 2
    assert category_of(registry.serving("puppet-o2"), CLIENT) != category_of(old, CLIENT) == "Création de client"


async def test_unchanged_store_is_not_loaded_again(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at a store in which nothing has changed reads no file of it."""
    monkeypatch.setattr(Store, "read_version", None)
    monkeypatch.setattr(Store, "current", None)
    before = registry.serving("puppet-o2")

    for _ in range(3):
        await registry.refresh()

    assert registry.serving("puppet-o2") is before


async def test_what_is_loaded_is_told_once(store: Store) -> None:
    """`on_load` is called when something new serves, and not when a look finds nothing."""
    registry, calls = Registry(store), list[dict[str, int]]()
    registry.on_load = lambda: calls.append(registry.versions())

    for _ in range(3):
        await registry.refresh()
    publish_permuted(store)
    for _ in range(3):
        await registry.refresh()

    assert calls[-2:] == [{"prices": 1, "puppet-o2": 1}, {"prices": 1, "puppet-o2": 2}]
    assert len(calls) == 3


async def test_created_and_trained_model_appears(registry: Registry, store: Store) -> None:
    """A model that is created and published later serves after the next look."""
    store.create_model("later", "GRU")
    await registry.refresh()
    with pytest.raises(ModelNotTrained):
        registry.serving("later")
    manifest, files = store.read_version("puppet-o2", 1)
    store.publish(msgspec.structs.replace(manifest, name="later"), files)

    await registry.refresh()

    assert (registry.serving("later").name, registry.serving("later").version) == ("later", 1)


@pytest.mark.parametrize("file", FILES)
async def test_damaged_new_version_is_refused(
    registry: Registry, store: Store, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    """A new version with one flipped bit in any file is refused by name in the log, and the one before serves on."""
    before = registry.serving("puppet-o2")
    publish_permuted(store)
    damage(store, "puppet-o2", 2, file)

    for _ in range(3):
        await registry.refresh()

    assert registry.serving("puppet-o2") is before
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "version refused, the previous one goes on serving" in line
    assert "puppet-o2 version 2" in line
    assert file in line


async def test_version_that_answers_otherwise_is_refused(
    registry: Registry, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole files do not suffice: a version that does not answer its golden rows does not serve."""
    assert publish_unanswerable(store) == 2

    await registry.refresh()

    assert registry.serving("puppet-o2").version == 1
    assert "golden rows differ" in caplog.text


async def test_sound_version_after_a_refused_one_serves(registry: Registry, store: Store) -> None:
    """A refused version stands in nobody's way: the next sound one serves."""
    publish_unanswerable(store)
    await registry.refresh()
    store.publish(*store.read_version("puppet-o2", 1))

    await registry.refresh()

    assert registry.serving("puppet-o2").version == 3


async def test_at_start_the_newest_sound_version_serves(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """With versions 4 (current) and 3 damaged, a start serves version 2, not 1, and the log names 4 and 3."""
    for expected in (2, 3, 4):
        assert publish_permuted(store) == expected
    damage(store, "puppet-o2", 4)
    damage(store, "puppet-o2", 3, "vocab.json")
    registry = Registry(store)

    await registry.refresh()

    assert registry.is_ready
    assert registry.serving("puppet-o2").version == 2
    refused = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert ["version 4" in refused[0], "version 3" in refused[1], len(refused)] == [True, True, 2]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"{}", b'{"version":1,"history":[]}', b"[" * 100_000, None])
async def test_damaged_pointer_at_start_serves_the_newest_version(
    store: Store, caplog: pytest.LogCaptureFixture, raw: bytes | None
) -> None:
    """With a pointer that is no record (None: a record that was changed) the newest sound version serves."""
    publish_permuted(store)
    pointer = store.root / "puppet-o2" / "current"
    pointer.write_bytes(raw if raw is not None else pointer.read_bytes().replace(b'"version": 2', b'"version": 1'))
    registry = Registry(store)

    await registry.refresh()

    assert registry.serving("puppet-o2").version == 2
    assert "model puppet-o2: the pointer is refused" in caplog.text


async def test_damaged_pointer_later_changes_nothing(registry: Registry, store: Store) -> None:
    """A pointer that breaks while its version serves takes nothing away, and nothing is loaded again."""
    before = registry.serving("puppet-o2")
    (store.root / "puppet-o2" / "current").write_bytes(b"x")

    await registry.refresh()

    assert registry.serving("puppet-o2") is before


async def test_load_of_a_new_version_holds_nobody_up(
    registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a new version is being read and verified, the one before goes on answering."""
    real = Store.read_version
    loading, go_on = threading.Event(), threading.Event()

    def held(store: Store, name: str, version: int) -> Any:
        loading.set()
        assert go_on.wait(DEADLINE_S)
        return real(store, name, version)

    publish_permuted(store)
    monkeypatch.setattr(Store, "read_version", held)

    refreshing = asyncio.create_task(registry.refresh())
    await eventually(loading.is_set, "the load")
    assert registry.serving("puppet-o2").version == 1
    assert category_of(registry.serving("puppet-o2"), CLIENT) == "Création de client"
    go_on.set()
    await asyncio.wait_for(refreshing, DEADLINE_S)
    assert registry.serving("puppet-o2").version == 2


@pytest.mark.parametrize("spoil", ["version", "everything"])
async def test_model_without_a_sound_version_is_503_alone(settings: Settings, store: Store, spoil: str) -> None:
    """When none of a model's versions can be verified, that model is 503 and the server and its others work."""
    store.create_model("other", "GRU")
    manifest, files = store.read_version("puppet-o2", 1)
    store.publish(msgspec.structs.replace(manifest, name="other"), files)
    damage(store, "puppet-o2", 1)
    if spoil == "everything":
        (store.root / "puppet-o2" / "current").write_bytes(b"\0" * 100)

    async with started(settings) as app, connect(app) as client:
        ready = await client.get("/readyz")
        refused = await client.post("/search", json=MODEL | {"vector": CLIENT})
        served = await client.post("/search", json=MODEL | {"name": "other", "vector": CLIENT})

    assert ready.status_code == 200
    check_problem(refused, 503)
    assert served.json()["category"] == "Création de client"


async def test_refused_model_can_be_trained_again(store: Store) -> None:
    """A model that has no sound version serves again as soon as one is published."""
    sound = store.read_version("puppet-o2", 1)
    damage(store, "puppet-o2", 1)
    registry = Registry(store)
    await registry.refresh()
    with pytest.raises(ArtifactRefused, match="no version of model puppet-o2 can be verified"):
        registry.serving("puppet-o2")
    store.publish(*sound)

    await registry.refresh()

    assert registry.serving("puppet-o2").version == 2


async def test_server_that_runs_notices_a_new_version(app: Litestar, client: httpx.AsyncClient, store: Store) -> None:
    """Without a restart and without being told, the server answers with the version that somebody published."""
    publish_permuted(store)

    await eventually(lambda: app.state.registry.serving("puppet-o2").version == 2, "the new version to serve")

    assert (await client.post("/search", json=MODEL | {"vector": CLIENT})).json()["version"] == 2


@pytest.mark.parametrize(
    "trouble",
    [
        OSError("the disk is gone"),
        ModelNotFound("model-not-found"),
        ArtifactRefused("not-valid", reason="damaged"),
        ZeroDivisionError("bug"),
    ],
)
@pytest.mark.parametrize("method", ["models", "versions", "read_version"])
async def test_watching_survives_a_store_in_trouble(
    registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch, method: str, trouble: Exception
) -> None:
    """If the store cannot be read for a while, the watch goes on and notices what is published later."""
    real: Callable[..., Any] = getattr(Store, method)
    failed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def failing(store: Store, *args: Any) -> Any:
        if not failed.is_set():
            loop.call_soon_threadsafe(failed.set)
            raise trouble
        return real(store, *args)

    monkeypatch.setattr(Store, method, failing)
    sound = real(store, "puppet-o2", 1) if method == "read_version" else store.read_version("puppet-o2", 1)
    store.publish(*sound)

    watching = asyncio.create_task(registry.watch())
    await asyncio.wait_for(failed.wait(), DEADLINE_S)
    store.publish(*sound)
    await eventually(lambda: watching.done() or registry.serving("puppet-o2").version == 3, "the later version")

    assert not watching.done()
    watching.cancel()


async def test_model_that_cannot_be_looked_at_is_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A model whose folder cannot be read does not keep the ones after it from being loaded, nor the server unready."""
    real = Store.versions

    def failing(store: Store, name: str) -> list[int]:
        if name == "a-first":
            raise OSError("Input/output error")
        return real(store, name)

    manifest, files = store.read_version("puppet-o2", 1)
    store.create_model("a-first", "GRU")
    store.publish(msgspec.structs.replace(manifest, name="a-first"), files)
    monkeypatch.setattr(Store, "versions", failing)
    registry = Registry(store)

    await registry.refresh()

    assert registry.is_ready
    assert registry.serving("puppet-o2").version == 1
    assert "model a-first cannot be looked at: Input/output error" in caplog.text


async def test_version_with_an_unreadable_golden_row_is_refused(registry: Registry, store: Store) -> None:
    """A version whose golden ticket is empty is refused like any other that proves nothing."""
    manifest, files = store.read_version("puppet-o2", 1)
    golden = msgspec.json.decode(files["golden.json"], type=list[GoldenRow])
    golden[0] = msgspec.structs.replace(golden[0], tokens=[" "])
    store.publish(manifest, files | {"golden.json": msgspec.json.encode(golden)})

    await registry.refresh()

    assert registry.serving("puppet-o2").version == 1


async def test_vanished_model_is_nobodys_loss(registry: Registry, store: Store) -> None:
    """A model whose folder is taken away while others are looked at does not stop the look."""
    store.create_model("a-first", "GRU")
    shutil.rmtree(store.root / "a-first")
    publish_permuted(store)

    await registry.refresh()

    assert registry.serving("puppet-o2").version == 2


async def test_swap_never_mixes_versions(app: Litestar, store: Store) -> None:
    """While versions change under load, each answer is as one version gives it, with that version's number.

    Odd and even versions read each word by another row and name each category by another, so ids of one with the graph
    or the labels of the other would give a pair of category and confidence that belongs to neither.
    """
    registry: Registry = app.state.registry
    tickets = [CONNECTION, CLIENT, ["ajouter"], ["client", "coffre"]] * 250  # over 2048 tokens: they go to the thread
    odd = store.read_version("puppet-o2", 1)
    even = store.read_version("puppet-o2", publish_reworded(store))
    expected = [
        [(answer.category, pytest.approx(answer.confidence, abs=1e-6)) for answer in model.predict(encoded)]
        for model in (GruModel(*even), GruModel(*odd))
        for encoded in [[model.encode(tokens) for tokens in tickets]]
    ]
    assert expected[0][:4] != expected[1][:4]
    seen: list[int] = []

    async def ask(client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(0)
            response = await client.post("/search", json=MODEL | {"vectors": tickets})
            assert response.status_code == 200, response.text
            answer = response.json()
            found = [(result["category"], result["confidence"]) for result in answer["results"]]
            assert found == expected[answer["version"] % 2], answer["version"]
            seen.append(answer["version"])

    async with connect(app) as client:
        stop = asyncio.Event()
        asking = [asyncio.create_task(ask(client, stop)) for _ in range(3)]
        for version in range(3, 11):
            assert store.publish(*(odd if version % 2 else even)).version == version
            await registry.refresh()
            num_seen = len(seen)
            await eventually(lambda least=num_seen: len(seen) > least or any(t.done() for t in asking), "an answer")  # type: ignore[misc]
        stop.set()
        await asyncio.wait_for(asyncio.gather(*asking), DEADLINE_S)

    assert len(set(seen)) >= 6
    assert seen[-1] == 10


async def test_answer_is_of_the_version_that_began_it(
    app: Litestar, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that has taken its model keeps it to its end, though another version serves meanwhile."""
    registry: Registry = app.state.registry
    real = GruModel.predict
    in_predict, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def held(model: GruModel, tickets: Any) -> Any:
        if len(tickets) > 1:
            loop.call_soon_threadsafe(in_predict.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(DEADLINE_S)
        return real(model, tickets)

    monkeypatch.setattr(GruModel, "predict", held)
    async with connect(app) as client:
        asking = asyncio.create_task(client.post("/search", json=MODEL | {"vectors": [CLIENT] * 1000}))
        await asyncio.wait_for(in_predict.wait(), DEADLINE_S)
        publish_permuted(store)
        await registry.refresh()
        after = (await client.post("/search", json=MODEL | {"vector": CLIENT})).json()
        go_on.set()
        before = (await asyncio.wait_for(asking, DEADLINE_S)).json()

    assert (before["version"], before["results"][0]["category"]) == (1, "Création de client")
    assert (after["version"], after["category"]) == (2, "Problème de connexion")


async def test_session_is_made_of_the_bytes_that_were_hashed(registry: Registry, store: Store) -> None:
    """Files that are cut off after the load do not touch the version that serves."""
    before = category_of(registry.serving("puppet-o2"), CONNECTION)
    os.truncate(store.root / "puppet-o2" / "1" / "model.onnx", 10)

    await registry.refresh()

    assert category_of(registry.serving("puppet-o2"), CONNECTION) == before
