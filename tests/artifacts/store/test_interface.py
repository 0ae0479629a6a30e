"""What every kind of store promises, tried on the disk and on a second kind that shares nothing with it but this.

The second kind is a dict: it shows that the interface asks for no folder, no lock file and no rename, so that a bucket
can be a store as well. Comparisons, publishing and loading are then tried over it.
"""

# ruff: noqa: D102  # the interface documents the methods of MemoryStore

import contextlib
import hashlib
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from artifacts.errors import (
    ArtifactRefused,
    InvalidInput,
    InvalidName,
    ModelExists,
    ModelNotFound,
    ModelNotTrained,
    NothingToRollBack,
    UnknownKind,
    VersionChanged,
    VersionNotFound,
    VersionServes,
)
from artifacts.kinds import kind_named, load
from artifacts.networks.manifest import MANIFEST, Current, FileRecord, Manifest, ModelRecord, Served, seal
from artifacts.store import AnyStore, Store
from artifacts.store.interface import M
from artifacts.store.versions import check_file, check_name, now, pointer_after, read_manifest, version_before

NAME = "prices"


class MemoryStore(AnyStore):
    """A store in memory, for one thread."""

    where = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.records: dict[str, ModelRecord] = {}
        self.pointers: dict[str, Current] = {}
        self.highest: dict[str, int] = {}

    def models(self) -> list[str]:
        return sorted(self.records)

    def read_model(self, name: str) -> ModelRecord:
        check_name(name)
        if name not in self.records:
            raise ModelNotFound("model-not-found")
        return self.records[name]

    def versions(self, name: str) -> list[int]:
        self.read_model(name)
        found = (key.split("/") for key in self.objects)
        return sorted(int(version) for of, version, file in found if (of, file) == (name, MANIFEST))

    def current(self, name: str) -> Current:
        self.read_model(name)
        if name not in self.pointers:
            raise ModelNotTrained("model-not-trained")
        return self.pointers[name]

    def stamp(self, name: str) -> Hashable | None:
        return len(self.pointers[name].history) if name in self.pointers else None

    def read_manifest(self, name: str, version: int) -> Manifest:
        check_name(name)
        if (raw := self.objects.get(f"{name}/{version}/{MANIFEST}")) is None:
            raise ArtifactRefused("not-valid", reason=f"{name} version {version} cannot be read: it is not there")
        return read_manifest(raw, name, version)

    def read_version(self, name: str, version: int) -> tuple[Manifest, dict[str, bytes]]:
        manifest = self.read_manifest(name, version)
        files = {file: self.objects.get(f"{name}/{version}/{file}", b"") for file in manifest.files}
        for file, raw in files.items():
            check_file(f"{name} version {version}", file, raw, manifest.files[file])
        return manifest, files

    def create_model(self, name: str, kind: str) -> ModelRecord:
        check_name(name)
        kind_named(kind)
        if name in self.records:
            raise ModelExists("model-exists")
        highest = self.highest.get(name, 0)
        record = ModelRecord(name=name, neural_network_type=kind, created=now(), highest_version=highest)
        self.records[name] = record
        return record

    def publish(
        self,
        manifest: M,
        files: Mapping[str, bytes],
        *,
        serve: bool = True,
        expected: int | None = None,
        guard: AbstractContextManager[object] | None = None,
    ) -> M:
        record = self.read_model(manifest.name)
        version = self.highest[manifest.name] = record.highest_version + 1
        self.records[manifest.name] = msgspec.structs.replace(record, highest_version=version)
        records = {file: FileRecord(len(raw), sha256(raw)) for file, raw in files.items()}
        manifest = msgspec.structs.replace(manifest, version=version, files=records)
        before, pointer = dict(self.objects), self.pointers.get(manifest.name)
        try:
            with guard or contextlib.nullcontext():
                self.objects |= {f"{manifest.name}/{version}/{file}": raw for file, raw in files.items()}
                self.objects[f"{manifest.name}/{version}/{MANIFEST}"] = seal(manifest)
                if serve and expected in (None, pointer.version if pointer else 0):
                    self.pointers[manifest.name] = pointer_after(pointer, Served(version, now()))
        except BaseException:
            self.objects = before
            if pointer is None:
                self.pointers.pop(manifest.name, None)
            else:
                self.pointers[manifest.name] = pointer
            raise
        return manifest

    def promote(self, name: str, version: int, *, expected: int | None = None) -> Current:
        serving = self.sound_pointer(name)
        if expected is not None and (serving is None or serving.version != expected):
            raise VersionChanged("not-valid", reason="another one serves")
        self.check_version(name, version)
        self.read_version(name, version)
        if serving is None or serving.version != version:
            self.pointers[name] = pointer_after(serving, Served(version, now()))
        return self.pointers[name]

    def rollback(self, name: str) -> Current:
        serving = self.current(name)
        if (version := version_before(serving, self.versions(name))) is None:
            raise NothingToRollBack("none")
        self.pointers[name] = pointer_after(serving, Served(version, now(), rollback=True))
        return self.pointers[name]

    def delete_version(self, name: str, version: int) -> None:
        serving = self.certain_pointer(name)
        self.check_version(name, version)
        if serving is not None and serving.version == version:
            raise VersionServes("version-serves", model=name, version=version)
        self._remove(f"{name}/{version}/")

    def delete_model(self, name: str) -> None:
        self.read_model(name)
        self._remove(f"{name}/")
        del self.records[name]
        self.pointers.pop(name, None)

    def prune(self, name: str, keep: int) -> list[int]:
        if keep < 0:
            raise InvalidInput("not-valid", reason="keep is negative")
        serving, versions = self.certain_pointer(name), self.versions(name)
        spared = set() if serving is None else {serving.version, version_before(serving, versions)}
        old = [version for version in versions[: max(0, len(versions) - keep)] if version not in spared]
        for version in old:
            self._remove(f"{name}/{version}/")
        return old

    def sweep(self) -> list[str]:
        return []

    def _remove(self, prefix: str) -> None:
        self.objects = {key: raw for key, raw in self.objects.items() if not key.startswith(prefix)}


def sha256(raw: bytes) -> str:
    """Return the SHA-256 of bytes, as a manifest has it."""
    return hashlib.sha256(raw).hexdigest()


@pytest.fixture(params=["disk", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AnyStore:
    """Give an empty store of each kind."""
    return Store(tmp_path / "any") if request.param == "disk" else MemoryStore()


@pytest.fixture
def version(store: Store) -> tuple[Manifest, dict[str, bytes]]:
    """Give a trained version to be published."""
    return store.read_version(NAME, 1)


def publish(
    store: AnyStore, version: tuple[Manifest, dict[str, bytes]], *, serve: bool = True, expected: int | None = None
) -> int:
    """Publish a version and return its number."""
    return store.publish(*version, serve=serve, expected=expected).version


def test_a_version_is_published_and_read_back(any_store: AnyStore, version: tuple[Manifest, dict[str, bytes]]) -> None:
    """The same bytes, verified, under the next number; and it answers."""
    any_store.create_model(NAME, "SimpleNN")
    assert (any_store.serving(NAME), any_store.stamp(NAME)) == (None, None)
    with pytest.raises(ModelNotTrained):
        any_store.current(NAME)

    assert [publish(any_store, version) for _ in range(2)] == [1, 2]

    assert any_store.models() == [NAME]
    assert any_store.versions(NAME) == [1, 2]
    assert any_store.read_model(NAME).highest_version == 2
    manifest, files = any_store.read_version(NAME, 2)
    assert files == version[1]
    assert any_store.read_manifest(NAME, 2) == manifest
    assert load(manifest, files).version == 2
    assert any_store.sweep() == []


def test_what_serves_is_changed_by_name_and_back(
    any_store: AnyStore, version: tuple[Manifest, dict[str, bytes]]
) -> None:
    """Publish, promote and rollback move the pointer, compare-and-set holds, and each change has another stamp."""
    any_store.create_model(NAME, "SimpleNN")
    stamps = []
    for change in (
        lambda: publish(any_store, version),
        lambda: publish(any_store, version),
        lambda: any_store.promote(NAME, 1),
        lambda: any_store.rollback(NAME),
    ):
        change()
        stamps.append(any_store.stamp(NAME))
    assert None not in stamps
    assert len(set(stamps)) == 4
    assert any_store.serving(NAME) == 2

    publish(any_store, version, serve=False)
    publish(any_store, version, expected=1)
    assert any_store.serving(NAME) == 2
    assert any_store.stamp(NAME) == stamps[-1]
    publish(any_store, version, expected=2)
    assert any_store.serving(NAME) == 5
    with pytest.raises(VersionChanged):
        any_store.promote(NAME, 1, expected=2)
    assert any_store.promote(NAME, 1, expected=5).version == 1
    with pytest.raises(VersionNotFound):
        any_store.promote(NAME, 9)


def test_a_number_is_given_once(any_store: AnyStore, version: tuple[Manifest, dict[str, bytes]]) -> None:
    """Not after the version was deleted, nor after the model was deleted and created again."""
    any_store.create_model(NAME, "SimpleNN")
    publish(any_store, version)
    publish(any_store, version, serve=False)

    any_store.delete_version(NAME, 2)
    assert publish(any_store, version) == 3
    with pytest.raises(VersionServes):
        any_store.delete_version(NAME, 3)
    any_store.delete_model(NAME)
    assert any_store.models() == []
    assert any_store.create_model(NAME, "SimpleNN").highest_version == 3
    assert publish(any_store, version) == 4


def test_the_serving_one_and_the_one_before_are_kept(
    any_store: AnyStore, version: tuple[Manifest, dict[str, bytes]]
) -> None:
    """Of five versions, of which 3 serves and 1 served before, `prune` to one deletes 2 and 4."""
    any_store.create_model(NAME, "SimpleNN")
    for serve in (True, False, True, False, False):
        publish(any_store, version, serve=serve)

    assert any_store.prune(NAME, 1) == [2, 4]

    assert any_store.versions(NAME) == [1, 3, 5]
    assert any_store.rollback(NAME).version == 1
    with pytest.raises(NothingToRollBack):
        any_store.rollback(NAME)
    with pytest.raises(InvalidInput):
        any_store.prune(NAME, -1)


def test_a_version_whose_guard_fails_was_never_there(
    any_store: AnyStore, version: tuple[Manifest, dict[str, bytes]]
) -> None:
    """The guard's error comes out, what served still serves, and the number is used up."""
    any_store.create_model(NAME, "SimpleNN")
    publish(any_store, version)

    @contextlib.contextmanager
    def failing() -> Iterator[None]:
        yield
        raise VersionChanged("not-valid", reason="the job was given up")

    with pytest.raises(VersionChanged, match="given up"):
        any_store.publish(*version, guard=failing())

    assert (any_store.versions(NAME), any_store.serving(NAME)) == ([1], 1)
    assert publish(any_store, version) == 3


def test_the_version_of_a_run_is_found(any_store: AnyStore, version: tuple[Manifest, dict[str, bytes]]) -> None:
    """By job and attempt; of no model, another job or another attempt there is none."""
    manifest, files = version
    any_store.create_model(NAME, "SimpleNN")
    any_store.publish(msgspec.structs.replace(manifest, job="a", attempt=2), files)
    publish(any_store, version)

    found = any_store.made_by(NAME, "a", 2)

    assert found is not None
    assert found.version == 1
    assert any_store.made_by(NAME, "a", 1) is None
    assert any_store.made_by(NAME, "b", 2) is None
    assert any_store.made_by("unknown", "a", 2) is None


def test_what_is_not_there_is_refused_by_name(any_store: AnyStore) -> None:
    """Each question about a model or a version that there is none of has its own error."""
    any_store.create_model(NAME, "SimpleNN")

    with pytest.raises(ModelExists):
        any_store.create_model(NAME, "SimpleNN")
    with pytest.raises(UnknownKind):
        any_store.create_model("other", "no kind")
    with pytest.raises(InvalidName):
        any_store.create_model("../x", "SimpleNN")
    with pytest.raises(ModelNotFound):
        any_store.versions("other")
    with pytest.raises(ModelNotFound):
        any_store.delete_model("other")
    with pytest.raises(VersionNotFound):
        any_store.delete_version(NAME, 1)
    with pytest.raises(ArtifactRefused):
        any_store.read_version(NAME, 1)


def test_models_move_to_a_store_of_another_kind(store: Store) -> None:
    """A copy of the fixture, model by model, into a store of another kind answers as the original does."""
    disk, memory = store, MemoryStore()
    for name in disk.models():
        memory.create_model(name, disk.read_model(name).neural_network_type)
        for number in disk.versions(name):
            memory.publish(*disk.read_version(name, number))

    model = load(*memory.read_version("puppet-o2", 1))

    assert model.predict([model.encode(["connexion"])]) == load(*disk.read_version("puppet-o2", 1)).predict(
        [model.encode(["connexion"])]
    )
