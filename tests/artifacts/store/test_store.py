"""Tests of store/store.py: what is acknowledged is there, what is damaged is refused, nothing else is seen."""

import errno
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artifacts.errors import (
    ArtifactRefused,
    InvalidName,
    ModelExists,
    ModelNotFound,
    ModelNotTrained,
    StoreRefused,
    UnknownKind,
)
from artifacts.networks.manifest import FileRecord, Manifest, Served, seal
from artifacts.store.store import Store
from artifacts.store.versions import check_name, now
from tests.artifacts.crash import crash
from tests.conftest import FIXTURE_STORE

ROOT = Path(__file__).parents[3]
NAME = "puppet-o2"
FILES = ["manifest.json", "model.onnx", "vocab.json", "labels.json", "golden.json", "report.json"]
HOSTILE = ["", ".", "..", "../puppet-o2", "a/b", "/etc", "%2e%2e", "a.b", "a\0b", "\0", "a\n", " a", "a b", "-a", "_a"]
HOSTILE += [
    "A",
    "CON",
    "Puppet-o2",
    "e\u0301",
    "é",
    "\u212aelvin",
    "ﬁ",
    "٣",
    "a" * 64,
    ".jobs",
    ".tmp",
    "a:b",
    "\ud800",
]


def publish(store: Store) -> Manifest:
    """Publish the fixture's version once more."""
    return store.publish(*store.read_version(NAME, 1))


def snapshot(store: Store) -> dict[str, bytes]:
    """Return path -> bytes of all that a reader can see, but for the numbers that were used up."""
    files = (path for path in store.root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in files
        if path.name != "model.json" and not path.is_relative_to(store.root / ".tmp")
    } | {name: store.read_model(name).created.encode() for name in store.models()}


def left_over(store: Store) -> list[Path]:
    """Return what is in the temporary folder."""
    return list((store.root / ".tmp").iterdir())


def reseal(store: Store, **changes: Any) -> None:
    """Change the manifest of version 1 and give it a sound seal, as somebody who can write to the store could."""
    manifest, _ = store.read_version(NAME, 1)
    (store.root / NAME / "1" / "manifest.json").write_bytes(seal(msgspec.structs.replace(manifest, **changes)))


# Names


@pytest.mark.parametrize("name", ["a", "0", "puppet-o2", "a_b-c", "con", "a" * 63])
def test_plain_name_is_allowed(store: Store, name: str) -> None:
    """1 to 63 of a-z, 0-9, `_` and `-`, the first a letter or digit."""
    check_name(name)

    if name != NAME:
        assert store.create_model(name, "GRU").name == name


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_name_is_refused_at_every_entry(store: Store, name: str) -> None:
    """A name that could leave the folder, or look like another, is refused by each function that takes one."""
    manifest, files = store.read_version(NAME, 1)
    entries: list[Callable[[], object]] = [
        lambda: check_name(name),
        lambda: store.create_model(name, "GRU"),
        lambda: store.read_model(name),
        lambda: store.versions(name),
        lambda: store.current(name),
        lambda: store.read_version(name, 1),
        lambda: store.publish(msgspec.structs.replace(manifest, name=name), files),
    ]
    before = snapshot(store)

    for entry in entries:
        with pytest.raises(InvalidName, match="1 to 63 of a-z"):
            entry()
    assert snapshot(store) == before
    assert left_over(store) == []


def test_name_cannot_reach_a_model_of_another_store(store: Store, tmp_path: Path) -> None:
    """A path to a real model elsewhere is no name, though the files are there to be read."""
    other = Store(tmp_path / "other")

    for read in (other.current, other.versions, other.read_model):
        with pytest.raises(InvalidName):
            read(f"../store/{NAME}")


# Create and read


def test_created_model_is_there_and_untrained(store: Store) -> None:
    """A created model has a record, no version, and nothing that serves."""
    record = store.create_model("new", "GRU")

    assert (record.name, record.neural_network_type, record.highest_version) == ("new", "GRU", 0)
    assert Store(store.root).read_model("new") == record
    assert store.models() == ["new", "prices", NAME, "untrained"]
    assert store.versions("new") == []
    with pytest.raises(ModelNotTrained, match=r"\AModel not trained yet\Z"):
        store.current("new")


def test_model_is_created_once(store: Store) -> None:
    """A name that is taken is refused, by a model with or without versions, and the first one is not touched."""
    before = snapshot(store)

    for name in (NAME, "untrained"):
        with pytest.raises(ModelExists, match=r"\AModel already exists\Z"):
            store.create_model(name, "GRU")
    assert snapshot(store) == before
    assert left_over(store) == []


def test_unknown_kind_creates_nothing(store: Store) -> None:
    """A model of a kind that is not in the table is refused."""
    with pytest.raises(UnknownKind):
        store.create_model("new", "LSTM")
    assert "new" not in store.models()


def test_missing_model_is_not_found(store: Store) -> None:
    """Each function says so of a name that nobody created, in the words of the seeds."""
    manifest, files = store.read_version(NAME, 1)

    for entry in (store.read_model, store.current, store.versions):
        with pytest.raises(ModelNotFound, match=r"\AModel not found\Z"):
            entry("nobody")
    with pytest.raises(ModelNotFound):
        store.publish(msgspec.structs.replace(manifest, name="nobody"), files)
    with pytest.raises(ArtifactRefused):
        store.read_version("nobody", 1)
    with pytest.raises(ArtifactRefused):
        store.read_version(NAME, 2)


def test_only_models_and_versions_are_listed(store: Store) -> None:
    """Folders of other names, without a record or without a manifest are not seen."""
    for folder in ("Other", "empty", f"{NAME}/3", f"{NAME}/x", f"{NAME}/-1"):
        (store.root / folder).mkdir()
    for folder in ("01", "0", "٤", "2x"):
        shutil.copytree(store.root / NAME / "1", store.root / NAME / folder)
    (store.root / "Other" / "model.json").write_bytes((store.root / NAME / "model.json").read_bytes())

    assert store.models() == ["prices", NAME, "untrained"]
    assert store.versions(NAME) == [1]


def test_version_reads_as_it_was_published(store: Store) -> None:
    """The manifest and the bytes that come back are those that were given."""
    manifest, files = store.read_version(NAME, 1)

    published = publish(store)

    found, found_files = store.read_version(NAME, 2)
    assert found_files == files
    assert msgspec.structs.replace(found, sha256="") == msgspec.structs.replace(published, sha256="")
    assert msgspec.structs.replace(published, version=1, sha256="") == msgspec.structs.replace(manifest, sha256="")


def test_time_is_rfc_3339() -> None:
    """Times are written in UTC, to the second."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())


# Publish


def test_published_version_serves(store: Store) -> None:
    """Each publish gives the next number, the pointer moves to it, and the history grows at its end."""
    first = store.current(NAME).history

    assert [publish(store).version for _ in range(3)] == [2, 3, 4]
    assert store.current(NAME).version == 4
    assert store.current(NAME).history[:1] == first
    assert [served.version for served in store.current(NAME).history] == [1, 2, 3, 4]
    assert store.versions(NAME) == [1, 2, 3, 4]
    assert store.read_model(NAME).highest_version == 4
    assert left_over(store) == []


def test_number_is_never_given_twice(store: Store) -> None:
    """The number of a version that was deleted is not used again."""
    publish(store)
    shutil.rmtree(store.root / NAME / "2")

    assert publish(store).version == 3


def test_first_publish_trains_an_untrained_model(store: Store) -> None:
    """The first version of a model is 1 and serves."""
    manifest, files = store.read_version(NAME, 1)

    assert store.publish(msgspec.structs.replace(manifest, name="untrained"), files).version == 1
    assert [served.version for served in store.current("untrained").history] == [1]


def test_published_files_belong_to_the_owner_alone(store: Store) -> None:
    """No file or folder of a new version can be read by others."""
    publish(store)

    paths = [*(store.root / NAME / "2").iterdir(), store.root / NAME / "2", store.root / NAME / "current"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)


def test_left_over_folder_is_not_overwritten(store: Store) -> None:
    """A folder that bears the next number, with something in it, is refused and kept; the number after it is free."""
    stranger = store.root / NAME / "2" / "stranger"
    stranger.parent.mkdir()
    stranger.write_text("mine")

    with pytest.raises(StoreRefused, match="has a folder 2 already"):
        publish(store)
    assert stranger.read_text() == "mine"
    assert store.current(NAME).version == 1
    assert publish(store).version == 3


def test_damaged_pointer_is_replaced_by_a_sound_one(store: Store) -> None:
    """A publish mends a pointer that cannot be read."""
    (store.root / NAME / "current").write_bytes(b"garbage")

    publish(store)

    assert [served.version for served in store.current(NAME).history] == [2]


def test_history_keeps_the_last_hundred(store: Store) -> None:
    """A pointer file cannot grow for ever."""
    current = store.current(NAME)
    long = [Served(version, "") for version in range(1, 101)]
    (store.root / NAME / "current").write_bytes(seal(msgspec.structs.replace(current, history=long)))

    publish(store)

    found = [served.version for served in store.current(NAME).history]
    assert found == [*range(2, 101), 2]


def test_files_of_another_kind_are_our_bug(store: Store) -> None:
    """Publishing a file too few or too many is stopped before anything is written."""
    manifest, files = store.read_version(NAME, 1)
    before = snapshot(store)

    for wrong in ({"model.onnx": b""}, {**files, "more.bin": b""}):
        with pytest.raises(AssertionError, match="our bug"):
            store.publish(manifest, wrong)
    assert snapshot(store) == before


# Damage


@pytest.mark.parametrize("file", FILES)
def test_one_bit_flip_in_any_file_is_refused(store: Store, file: str) -> None:
    """A flipped bit in each region of each file of a version is noticed, and the file is named."""
    path = store.root / NAME / "1" / file
    raw = path.read_bytes()

    for position in {*range(0, len(raw), len(raw) // 40 + 1), len(raw) - 1}:
        damaged = bytearray(raw)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(ArtifactRefused, match=re.escape(file)):
            store.read_version(NAME, 1)
    path.write_bytes(raw)
    store.read_version(NAME, 1)


@pytest.mark.parametrize("file", FILES)
def test_file_of_another_length_is_refused(store: Store, file: str) -> None:
    """A file that was cut, emptied, zeroed or added to is noticed."""
    path = store.root / NAME / "1" / file
    raw = path.read_bytes()

    for damaged in (b"", raw[:1], raw[: len(raw) // 2], raw[:-1], raw + b"\n", raw + raw, bytes(len(raw))):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactRefused, match=re.escape(file)):
            store.read_version(NAME, 1)


def replace_by_nothing(path: Path) -> None:
    """Remove the file."""
    path.unlink()


def replace_by_link(path: Path) -> None:
    """Put a link to the very same bytes in its place."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def replace_by_pipe(path: Path) -> None:
    """Put a named pipe, which nobody will ever write to, in its place."""
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


replacements = pytest.mark.parametrize(
    "replace", [replace_by_nothing, replace_by_link, replace_by_pipe, replace_by_folder], ids=lambda f: f.__name__
)


def num_open_files() -> int:
    """Return how many file descriptors this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("file", FILES)
@replacements
def test_what_is_no_file_is_refused(store: Store, file: str, replace: Callable[[Path], None]) -> None:
    """A missing file, a link, a pipe or a folder in a version is refused at once, without following or waiting."""
    replace(store.root / NAME / "1" / file)
    before = num_open_files()

    with pytest.raises(ArtifactRefused, match=re.escape(file)):
        store.read_version(NAME, 1)
    assert num_open_files() == before, "a file descriptor is left open"


@replacements
def test_record_that_is_no_file_is_refused(store: Store, replace: Callable[[Path], None]) -> None:
    """The same holds for a model's record and pointer; a missing one means not found and not trained."""
    missing = replace is replace_by_nothing

    replace(store.root / NAME / "current")
    with pytest.raises(ModelNotTrained if missing else ArtifactRefused):
        store.current(NAME)
    replace(store.root / NAME / "model.json")
    with pytest.raises(ModelNotFound if missing else ArtifactRefused):
        store.read_model(NAME)
    with pytest.raises(ModelNotFound if missing else ArtifactRefused):
        publish(store)


@pytest.mark.parametrize("file", ["model.json", "current"])
def test_one_bit_flip_in_a_record_is_refused(store: Store, file: str) -> None:
    """A damaged record or pointer is refused, and the versions can still be listed and read."""
    path = store.root / NAME / file
    raw = bytearray(path.read_bytes())
    raw[150] ^= 4
    path.write_bytes(raw)

    with pytest.raises(ArtifactRefused, match=f"{NAME}/{file}"):
        store.current(NAME) if file == "current" else store.read_model(NAME)
    assert store.versions(NAME) == [1]
    assert store.read_version(NAME, 1)[0].version == 1


def test_model_that_is_a_file_is_refused(store: Store) -> None:
    """A plain file where a model's folder should be is no model, cannot be created over, and never a stray OSError."""
    (store.root / "file").write_text("x")
    manifest, files = store.read_version(NAME, 1)

    assert "file" not in store.models()
    for entry in (store.read_model, store.current):
        with pytest.raises(ArtifactRefused):
            entry("file")
    with pytest.raises(ModelExists):
        store.create_model("file", "GRU")
    with pytest.raises(StoreRefused):
        store.publish(msgspec.structs.replace(manifest, name="file"), files)


def test_vocabulary_of_another_version_is_refused(store: Store) -> None:
    """A file swapped between two versions is noticed in both, though each is sound in itself."""
    manifest, files = store.read_version(NAME, 1)
    store.publish(manifest, files | {"vocab.json": files["vocab.json"].replace(b"client", b"patron")})
    first, second = (store.root / NAME / version / "vocab.json" for version in "12")
    first_raw = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_raw)

    for version in (1, 2):
        with pytest.raises(ArtifactRefused, match=r"vocab\.json is damaged"):
            store.read_version(NAME, version)


def test_version_in_another_place_is_refused(store: Store) -> None:
    """A version's folder copied to another number or another model is not that version."""
    shutil.copytree(store.root / NAME / "1", store.root / NAME / "2")
    shutil.copytree(store.root / NAME / "1", store.root / "untrained" / "1")

    for name, version in ((NAME, 2), ("untrained", 1)):
        with pytest.raises(ArtifactRefused, match=f"the manifest is of {NAME} version 1"):
            store.read_version(name, version)


@pytest.mark.parametrize("number", [0, 2, 99])
def test_unknown_format_is_refused(store: Store, number: int) -> None:
    """A version of a format that this program does not read is refused by its number."""
    reseal(store, format=number)

    with pytest.raises(ArtifactRefused, match=f"has format {number}, this program reads format 1"):
        store.read_version(NAME, 1)


def test_kind_that_the_program_lacks_is_refused(store: Store) -> None:
    """A version of a kind from a later program is refused like any other that cannot be served."""
    reseal(store, neural_network_type="TRANSFORMER")

    with pytest.raises(ArtifactRefused, match="TRANSFORMER"):
        store.read_version(NAME, 1)


@pytest.mark.parametrize(("name", "kind"), [(NAME, "SimpleNN"), ("prices", "GRU")])
def test_manifest_of_another_kind_is_refused(store: Store, name: str, kind: str) -> None:
    """A manifest that names a kind and has the members of another is refused, though its seal is sound."""
    manifest, _ = store.read_version(name, 1)
    path = store.root / name / "1" / "manifest.json"
    path.write_bytes(seal(msgspec.structs.replace(manifest, neural_network_type=kind)))

    with pytest.raises(ArtifactRefused, match=rf"{name} version 1: manifest\.json cannot be read: Object .* field"):
        store.read_version(name, 1)


@pytest.mark.parametrize(
    ("kind", "said"), [("SIMPLENN", "is unknown, known: GRU, SimpleNN"), ("", "''"), ("x" * 500, "'xxx")]
)
def test_kind_is_looked_at_before_the_rest(store: Store, kind: str, said: str) -> None:
    """Of a kind or format that this program lacks not even the seal is checked: a later program's may be another."""
    path = store.root / NAME / "1" / "manifest.json"

    path.write_bytes(msgspec.json.encode({"format": 1, "neural_network_type": kind, "sha512": "0"}))
    with pytest.raises(ArtifactRefused, match="is of a type that this program lacks") as refused:
        store.read_version(NAME, 1)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 250
    path.write_bytes(msgspec.json.encode({"format": 2, "neural_network_type": kind, "sha512": "0"}))
    with pytest.raises(ArtifactRefused, match="has format 2, this program reads format 1"):
        store.read_version(NAME, 1)


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"format":1}', b'{"neural_network_type":"GRU"}', b'{"format":"1","neural_network_type":"GRU"}', b""],
)
def test_manifest_without_its_head_is_refused(store: Store, raw: bytes) -> None:
    """A manifest that does not say its format and kind cannot be read, and the sentence names the file."""
    (store.root / NAME / "1" / "manifest.json").write_bytes(raw)

    with pytest.raises(ArtifactRefused, match=r"puppet-o2 version 1: manifest\.json cannot be read"):
        store.read_version(NAME, 1)


def test_version_of_each_kind_comes_back(store: Store) -> None:
    """A version is read and published again with the manifest of its own kind, and what that kind adds is kept."""
    for name, member in ((NAME, "encoding"), ("prices", "num_features")):
        manifest, files = store.read_version(name, 1)

        published = store.publish(manifest, files)

        again, same_files = store.read_version(name, published.version)
        assert type(again) is type(published) is type(manifest)
        assert getattr(again, member) == getattr(manifest, member)
        assert (again.version, same_files) == (2, files)


@pytest.mark.parametrize("file", ["more.bin", "../../secret", "/etc/hostname", ""])
def test_list_of_other_files_is_refused(store: Store, file: str) -> None:
    """A manifest that lists a file more, a path or a file less is refused before any of them is opened."""
    files = store.read_version(NAME, 1)[0].files
    record = FileRecord(0, hashlib.sha256(b"").hexdigest())
    (store.root / NAME / "1" / "more.bin").touch()
    (store.root / "secret").touch()

    reseal(store, files=files | {file: record})
    with pytest.raises(ArtifactRefused, match="its type of network has"):
        store.read_version(NAME, 1)


def test_list_of_fewer_files_is_refused(store: Store) -> None:
    """A manifest that forgets a file is refused: nothing would prove what is in it."""
    files = store.read_version(NAME, 1)[0].files

    reseal(store, files={name: record for name, record in files.items() if name != "vocab.json"})
    with pytest.raises(ArtifactRefused, match="its type of network has"):
        store.read_version(NAME, 1)


def test_huge_size_reads_no_more_than_there_is(store: Store) -> None:
    """A manifest that claims another size than the file's is refused."""
    files = store.read_version(NAME, 1)[0].files
    labels = files["labels.json"]

    for size in (0, labels.bytes - 1, labels.bytes + 1, 10**6):
        claimed = FileRecord(size, labels.sha256)
        (store.root / NAME / "1" / "manifest.json").write_bytes((FIXTURE_STORE / NAME / "1/manifest.json").read_bytes())
        reseal(store, files=files | {"labels.json": claimed})
        with pytest.raises(ArtifactRefused, match=r"labels\.json is damaged"):
            store.read_version(NAME, 1)


# The folder itself


def test_missing_store_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    """A store that is not there is created, its parents too, and nobody else may enter it."""
    store = Store(tmp_path / "a" / "b" / "store")

    assert store.root.stat().st_mode & 0o777 == 0o700
    assert store.models() == []


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777])
def test_folder_that_others_may_enter_is_refused(store: Store, mode: int) -> None:
    """A model is code, so a folder that is open to others is refused with the command that closes it."""
    store.root.chmod(mode)

    with pytest.raises(StoreRefused, match=re.escape(f"run: chmod 700 {store.root}")):
        Store(store.root)
    store.root.chmod(0o700)
    assert Store(store.root).models() == ["prices", NAME, "untrained"]


def test_folder_of_another_user_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that belongs to somebody else is refused, with both users named."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(StoreRefused, match=f"belongs to user {owner}, this process is user {owner + 1}"):
        Store(store.root)


def test_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A path that is no folder, or leads through none, is refused with the reason."""
    (tmp_path / "file").touch()

    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreRefused, match="cannot be used"):
            Store(path)


# Durability


def trace(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record from now on each call that makes something durable or visible, with temporary folders called A, B, ..."""
    calls: list[str] = []
    folders: list[str] = []

    def place(path: object) -> str:
        real = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else Path(str(path))
        parts = real.relative_to(store.root).parts or ("STORE",)
        if parts[0] == ".tmp":
            if parts[1] not in folders:
                folders.append(parts[1])
            parts = ("ABCDEF"[folders.index(parts[1])], *parts[2:])
        return "/".join(parts)

    def traced(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any, **kwargs: Any) -> Any:
            calls.append(" ".join([name, *map(place, args)]))
            return call(*args, **kwargs)

        return recorded

    for name in ("fsync", "rename", "replace"):
        monkeypatch.setattr(os, name, traced(name, getattr(os, name)))
    return calls


def test_publish_makes_each_step_durable_before_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that survives a power cut: bytes before names, the manifest last, the version before the pointer."""
    calls = trace(store, monkeypatch)

    publish(store)

    assert calls == [
        "fsync A/model.json",
        f"replace A/model.json {NAME}/model.json",
        f"fsync {NAME}",
        "fsync B/model.onnx",
        "fsync B/vocab.json",
        "fsync B/labels.json",
        "fsync B/golden.json",
        "fsync B/report.json",
        "fsync B/manifest.json",
        "fsync B",
        f"rename B {NAME}/2",
        f"fsync {NAME}",
        "fsync C/current",
        f"replace C/current {NAME}/current",
        f"fsync {NAME}",
    ]


def test_create_makes_each_step_durable_before_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A created model is on the disk when the call returns."""
    calls = trace(store, monkeypatch)

    store.create_model("new", "GRU")

    assert calls == ["fsync A/model.json", "fsync A", "rename A new", "fsync STORE"]


def test_new_store_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry of a new store in its parent, and of that in its own, are on the disk before anything is in it."""
    flushed: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(Path(f"/proc/self/fd/{fd}").readlink()))

    Store(tmp_path / "a" / "store")
    Store(tmp_path / "a" / "store")

    assert sorted(flushed) == [tmp_path, tmp_path / "a"]


@pytest.mark.one_python
def test_kill_at_any_moment_of_publish_leaves_the_old_or_the_new(store: Store, tmp_path: Path) -> None:
    """After kill -9 at each call the serving version is whole, and the next publish succeeds with a new number."""
    old = snapshot(store)
    calls = crash(store, tmp_path / "crashed", "publish")

    assert calls.count("fsync") == 12
    assert (calls.count("rename"), calls.count("replace")) == (1, 2)
    seen = []
    for number, call in enumerate(calls, 1):
        crashed = Store(tmp_path / "crashed" / str(number))
        serving = crashed.current(NAME)
        seen.append(serving.version)
        assert [served.version for served in serving.history] == list(range(1, serving.version + 1)), (number, call)
        for version in crashed.versions(NAME):
            crashed.read_version(NAME, version)
        assert {path: raw for path, raw in snapshot(crashed).items() if path in old and "current" not in path} == {
            path: raw for path, raw in old.items() if "current" not in path
        }
        highest = crashed.read_model(NAME).highest_version
        assert publish(crashed).version == highest + 1 > max(crashed.versions(NAME)[:-1])
        assert crashed.current(NAME).version == highest + 1
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


@pytest.mark.one_python
def test_kill_at_any_moment_of_create_leaves_a_whole_model_or_none(store: Store, tmp_path: Path) -> None:
    """After kill -9 at each call the model is there and untrained, or not there and can be created."""
    calls = crash(store, tmp_path / "crashed", "create")

    assert calls.count("rename") == 1
    seen = []
    for number in range(1, len(calls) + 1):
        crashed = Store(tmp_path / "crashed" / str(number))
        seen.append("new" in crashed.models())
        if seen[-1]:
            assert crashed.read_model("new").highest_version == 0
            with pytest.raises(ModelExists):
                crashed.create_model("new", "GRU")
        else:
            crashed.create_model("new", "GRU")
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


def fail_at(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], number: int, code: int) -> None:
    """Have the `number`-th call of these functions of `os` fail, and only that one."""
    count = 0

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                raise OSError(code, os.strerror(code))
            return call(*args, **kwargs)

        return counted

    for name in names:
        monkeypatch.setattr(os, name, counting(getattr(os, name)))


@pytest.mark.parametrize(
    ("names", "code", "number"),
    [(("fsync",), errno.EIO, number) for number in range(1, 13)]
    + [(("rename", "replace"), errno.EIO, number) for number in range(1, 4)]
    + [(("mkdir", "link"), errno.ENOSPC, number) for number in range(1, 6)],
)
def test_failing_disk_changes_nothing_visible(
    store: Store, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], code: int, number: int
) -> None:
    """When any one call of a publish fails, the old version serves, nothing is left over and the next publish works."""
    before = snapshot(store)
    manifest, files = store.read_version(NAME, 1)
    with monkeypatch.context() as patch:
        fail_at(patch, names, number, code)
        with pytest.raises(StoreRefused, match="nothing was changed"):
            store.publish(manifest, files)

    assert snapshot(store) == before
    assert store.versions(NAME) == [1]
    assert left_over(store) == []
    assert publish(store).version in (2, 3)


@pytest.mark.parametrize("number", range(1, 6))
def test_failing_disk_creates_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """When any one call of a create fails there is no model, nothing is left over and the next create works."""
    before = snapshot(store)
    with monkeypatch.context() as patch:
        fail_at(patch, ("mkdir", "fsync", "rename"), number, errno.EIO)
        with pytest.raises(StoreRefused, match="nothing was changed"):
            store.create_model("new", "GRU")

    assert snapshot(store) == before
    assert left_over(store) == []
    assert store.create_model("new", "GRU").name == "new"


def test_failing_first_publish_leaves_the_model_untrained(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there was no pointer there is none after the last flush of the first publish failed."""
    manifest, files = store.read_version(NAME, 1)
    manifest = msgspec.structs.replace(manifest, name="untrained")
    with monkeypatch.context() as patch:
        fail_at(patch, ("fsync",), 12, errno.EIO)
        with pytest.raises(StoreRefused):
            store.publish(manifest, files)

    assert store.versions("untrained") == []
    with pytest.raises(ModelNotTrained):
        store.current("untrained")
    assert store.publish(manifest, files).version == 2


class FullDisk(io.FileIO):
    """A file on a disk that takes half of what is written to it."""

    def write(self, raw: Any, /) -> int:
        """Write half and fail."""
        super().write(raw[: len(raw) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("number", range(1, 9))
def test_full_disk_changes_nothing_visible(store: Store, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """When the disk is full from the n-th of the eight writes on, the old version serves and nothing is left over."""
    before = snapshot(store)
    manifest, files = store.read_version(NAME, 1)
    real, count = os.fdopen, 0

    def fdopen(fd: int, mode: str) -> Any:
        nonlocal count
        count += mode == "wb"
        return FullDisk(fd, mode) if mode == "wb" and count >= number else real(fd, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", fdopen)
        with pytest.raises(StoreRefused, match="No space left"):
            store.publish(manifest, files)

    assert count == number
    assert snapshot(store) == before
    assert left_over(store) == []
    assert publish(store).version in (2, 3)


def test_real_write_error_changes_nothing_visible(store: Store) -> None:
    """The kernel's own refusal of a large file (RLIMIT_FSIZE, below the graph's size) is a refusal of ours."""
    before = snapshot(store)
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from artifacts.store.store import Store, StoreRefused\n"
        "store = Store(Path(sys.argv[1])); version = store.read_version('puppet-o2', 1)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: store.publish(*version)\n"
        "except StoreRefused as error: print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", code, str(store.root)], cwd=ROOT, capture_output=True, text=True)

    assert "nothing was changed: [Errno 27] File too large" in done.stdout
    assert snapshot(store) == before
    assert left_over(store) == []


# Several at once


def at_once(code: str, store: Store, num_processes: int) -> list[str]:
    """Return the output of so many processes that run `code` on the store, all set off when the last is ready."""
    start = (
        "import sys; from pathlib import Path; from artifacts.store.store import *; store = Store(Path(sys.argv[1]))\n"
    )
    start += "print('ready', flush=True); sys.stdin.readline()\n"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start + code, str(store.root)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(num_processes)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate(timeout=60)[0].strip() for process in processes]


@pytest.mark.one_python
def test_processes_that_publish_at_once_get_numbers_of_their_own(store: Store) -> None:
    """Four processes that publish three versions each get twelve numbers, and the last one serves."""
    code = "version = store.read_version('puppet-o2', 1)\nfor _ in range(3): print(store.publish(*version).version)"

    numbers = [int(number) for output in at_once(code, store, 4) for number in output.split()]

    assert sorted(numbers) == list(range(2, 14))
    assert [served.version for served in store.current(NAME).history] == list(range(1, 14))
    for version in store.versions(NAME):
        store.read_version(NAME, version)
    assert left_over(store) == []


@pytest.mark.one_python
def test_of_processes_that_create_at_once_one_succeeds(store: Store) -> None:
    """Eight processes create one name: one succeeds, seven are told that it exists."""
    code = "try: print(store.create_model('new', 'GRU').name)\nexcept ModelExists as error: print(error)"

    outputs = at_once(code, store, 8)

    assert sorted(outputs) == ["Model already exists"] * 7 + ["new"]
    assert store.read_model("new").highest_version == 0
    assert left_over(store) == []


def test_threads_that_publish_at_once_get_numbers_of_their_own(store: Store) -> None:
    """The lock holds between the threads of one process too."""
    version = store.read_version(NAME, 1)

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: store.publish(*version).version, range(8)))

    assert sorted(numbers) == list(range(2, 10))
    assert store.current(NAME).version == 9
