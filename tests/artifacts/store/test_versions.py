"""Tests of store/store.py: which version serves, and how versions and models go; the rest is in test_store.py."""

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from artifacts.errors import (
    ArtifactRefused,
    InvalidInput,
    InvalidName,
    ModelNotFound,
    ModelNotTrained,
    NothingToRollBack,
    StoreRefused,
    VersionChanged,
    VersionNotFound,
    VersionServes,
)
from artifacts.networks.manifest import Current, Served, unseal
from artifacts.store.store import Store
from artifacts.store.versions import version_before
from artifacts.system import disk
from tests.artifacts.crash import CHANGES, crash
from tests.artifacts.store.test_store import HOSTILE, NAME, FullDisk, at_once, left_over, publish, snapshot, trace

State = tuple[tuple[int, ...], int | None] | None  # versions and the serving one; None: no such model
FOUR: State = ((1, 2, 3, 4), 4)
# What can be seen of the model from before a change to after it, in this order.
STATES: dict[str, list[State]] = {
    "publish": [FOUR, ((1, 2, 3, 4, 5), 4), ((1, 2, 3, 4, 5), 5)],
    "promote": [FOUR, ((1, 2, 3, 4), 2)],
    "rollback": [FOUR, ((1, 2, 3, 4), 3)],
    "delete_version": [FOUR, ((1, 3, 4), 4)],
    "delete_model": [FOUR, None],
    "prune": [FOUR, ((2, 3, 4), 4), ((3, 4), 4)],
}
each_change = pytest.mark.parametrize("what", STATES)


@pytest.fixture
def four(store: Store) -> Store:
    """Give the store with four versions of `puppet-o2`, published one after the other."""
    for _ in range(3):
        publish(store)
    return store


def state(store: Store, name: str = NAME) -> State:
    """Return what can be seen of a model, all of it read and verified."""
    if name not in store.models():
        with pytest.raises(ModelNotFound):
            store.versions(name)
        return None
    versions = store.versions(name)
    for version in versions:
        store.read_version(name, version)
    try:
        serving = store.current(name)
    except ModelNotTrained:
        return tuple(versions), None
    assert serving.history[-1].version == serving.version
    return tuple(versions), serving.version


def visible(store: Store) -> dict[str, bytes]:
    """Return all that a reader can see, and what lasts of deleted models not among it."""
    return {path: raw for path, raw in snapshot(store).items() if not path.startswith(".deleted")}


def copies(store: Store, folder: Path) -> Iterator[tuple[int, Store]]:
    """Yield 1, 2, ... with a copy of the store each."""
    for number in itertools.count(1):
        assert number < 200, "the change never came to its end"
        shutil.copytree(store.root, folder / str(number))
        yield number, Store(folder / str(number))


def history(store: Store, name: str = NAME) -> list[int]:
    """Return the versions of the history."""
    return [served.version for served in store.current(name).history]


# Promote


def test_promoted_version_serves(four: Store) -> None:
    """An earlier version serves again, the history grows, and the next publish serves as ever."""
    pointer = four.promote(NAME, 2)

    assert msgspec.structs.replace(four.current(NAME), sha256=pointer.sha256) == pointer
    assert (pointer.version, history(four)) == (2, [1, 2, 3, 4, 2])
    assert publish(four).version == four.current(NAME).version == 5
    assert left_over(four) == []


def test_promote_of_the_serving_version_writes_nothing(four: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """To promote what serves is well, and changes neither the pointer nor what served before it."""
    before = four.current(NAME)
    calls = trace(four, monkeypatch)

    assert four.promote(NAME, 4) == four.promote(NAME, 4, expected=4) == before == four.current(NAME)
    assert calls == []


@pytest.mark.parametrize("version", [0, -1, 5, 99, 10**20])
@pytest.mark.parametrize("call", ["promote", "delete_version"])
def test_version_that_is_not_there_is_not_found(four: Store, call: str, version: int) -> None:
    """A number that was never published is refused with those that there are."""
    before = snapshot(four)

    with pytest.raises(
        VersionNotFound, match=rf"\A{NAME} has no version {version}, its newest versions: 1, 2, 3, 4 \(4 in all\);"
    ):
        getattr(four, call)(NAME, version)
    assert snapshot(four) == before


def test_folder_of_a_number_that_is_no_version_is_not_found(four: Store) -> None:
    """A folder without a manifest is neither promoted nor deleted."""
    (four.root / NAME / "9").mkdir()

    for call in (four.promote, four.delete_version):
        with pytest.raises(VersionNotFound):
            call(NAME, 9)
    assert (four.root / NAME / "9").is_dir()


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
def test_damaged_version_is_not_promoted(four: Store, file: str) -> None:
    """A version is verified before it serves, in promote and in rollback; the one that serves goes on."""
    path = four.root / NAME / "3" / file
    path.write_bytes(path.read_bytes()[:-1])
    before = snapshot(four)

    changes: list[Callable[[], object]] = [lambda: four.promote(NAME, 3), lambda: four.rollback(NAME)]
    for change in changes:
        with pytest.raises(ArtifactRefused, match=f"{NAME} version 3"):
            change()
    assert snapshot(four) == before
    assert four.promote(NAME, 2).version == 2, "a sound one can still be named"


def test_promote_under_a_wrong_belief_is_refused(four: Store) -> None:
    """With `expected` a version is promoted only if that one serves; also where none serves."""
    four.publish(msgspec.structs.replace(four.read_version(NAME, 1)[0], name="untrained"), files(four), serve=False)
    before = snapshot(four)

    with pytest.raises(VersionChanged, match=f"{NAME}: version 4 serves, not 3"):
        four.promote(NAME, 2, expected=3)
    with pytest.raises(VersionChanged, match="version 4 serves, not 2"):
        four.promote(NAME, 4, expected=2)
    with pytest.raises(VersionChanged, match="untrained: no version serves, not 1"):
        four.promote("untrained", 1, expected=1)
    assert snapshot(four) == before
    assert four.promote(NAME, 2, expected=4).version == 2


def test_promote_mends_a_damaged_pointer(four: Store) -> None:
    """What served before is lost with the pointer; a belief about it cannot be met."""
    (four.root / NAME / "current").write_bytes(b"garbage")

    with pytest.raises(VersionChanged):
        four.promote(NAME, 2, expected=4)
    four.promote(NAME, 2)
    assert history(four) == [2]


# Rollback


@pytest.mark.parametrize(
    ("entries", "there", "before"),
    [
        ("1", "1", None),
        ("1 2", "12", 1),
        ("1 2 3", "123", 2),
        ("1 2 3 r2", "123", 1),  # on backwards, not to 3 again
        ("1 2 3 r2 r1", "123", None),
        ("1 2 3 r2 4", "1234", 2),  # not 3, which was rolled back from
        ("1 2 3 r2 4 r2", "1234", 1),
        ("1 2 3 1", "123", 3),  # a promote of 1: before it 3 served
        ("1 2 3 1 r3", "123", 2),
        ("1 2 3 1 r3 r2 r1", "123", None),
        ("1 2 3", "13", 1),  # 2 was deleted
        ("1 2 3", "3", None),
        ("1 2 1", "1", None),  # never the serving one itself
        ("1 2 1 3 r1", "123", 2),
        ("r2 3", "23", 2),  # where the beginning was cut off
        ("1 r2 3", "123", 2),
        ("3 r2", "123", None),
    ],
)
def test_version_before(entries: str, there: str, before: int | None) -> None:
    """What a rollback serves, by hand: `r2` is a rollback to 2, the other entries were published or promoted."""
    served = [Served(int(entry.lstrip("r")), "", rollback=entry.startswith("r")) for entry in entries.split()]

    assert version_before(Current(version=served[-1].version, history=served), [int(one) for one in there]) == before


def test_rollbacks_go_back_to_the_first(four: Store) -> None:
    """Each rollback serves an earlier version, and after the first one there is nothing left; nobody goes in a ring."""
    assert [four.rollback(NAME).version for _ in range(3)] == [3, 2, 1]
    assert history(four) == [1, 2, 3, 4, 3, 2, 1]
    before = snapshot(four)

    with pytest.raises(NothingToRollBack, match=rf"{NAME}: no .* before version 1 .* promote another one: 2, 3, 4\Z"):
        four.rollback(NAME)
    assert snapshot(four) == before


def test_rollback_leaves_out_what_was_deleted_and_what_never_served(four: Store) -> None:
    """Only a version that served and is still there comes back."""
    publish(four)
    four.publish(*four.read_version(NAME, 1), serve=False)
    four.delete_version(NAME, 4)

    assert four.rollback(NAME).version == 3


def test_rollback_of_a_model_without_a_version_is_refused(store: Store) -> None:
    """A model that nothing serves has nothing to go back from."""
    with pytest.raises(ModelNotTrained):
        store.rollback("untrained")
    with pytest.raises(NothingToRollBack, match=r"promote another one: none\Z"):
        store.rollback(NAME)


def test_history_keeps_the_last_hundred_rollbacks_too(four: Store) -> None:
    """The pointer does not grow by promote and rollback either."""
    for _ in range(60):
        four.promote(NAME, 1)
        assert four.rollback(NAME).version == 4
    assert len(history(four)) == 100
    with pytest.raises(NothingToRollBack):  # it is forgotten that 3 served; 1 was rolled back from
        four.rollback(NAME)


# Delete, prune


def test_deleted_version_is_gone_and_its_number_used_up(four: Store) -> None:
    """Nothing of it is left on the disk, the others are as they were, and the next version has a new number."""
    four.promote(NAME, 1)
    before = snapshot(four)

    four.delete_version(NAME, 4)

    assert snapshot(four) == {path: raw for path, raw in before.items() if not path.startswith(f"{NAME}/4/")}
    assert left_over(four) == []
    assert publish(four).version == 5


def test_serving_version_is_not_deleted(four: Store) -> None:
    """The serving version is refused, and so is any while the pointer cannot be read: nobody guesses."""
    before = snapshot(four)
    with pytest.raises(VersionServes, match=f"{NAME} version 4 serves; promote another"):
        four.delete_version(NAME, 4)
    assert snapshot(four) == before

    (four.root / NAME / "current").write_bytes(b"garbage")
    for change in (lambda: four.delete_version(NAME, 1), lambda: four.prune(NAME, 1)):
        with pytest.raises(ArtifactRefused, match=f"{NAME}/current"):
            change()
    assert four.versions(NAME) == [1, 2, 3, 4]


def test_version_of_a_model_that_nothing_serves_is_deleted(store: Store) -> None:
    """A version that was only there to be promoted can go."""
    manifest = msgspec.structs.replace(store.read_version(NAME, 1)[0], name="untrained")
    store.publish(manifest, files(store), serve=False)

    store.delete_version("untrained", 1)

    assert state(store, "untrained") == ((), None)


def test_deleted_model_is_gone(four: Store) -> None:
    """The model, its versions and its files are gone, the other models are not touched."""
    before = visible(four)

    four.delete_model(NAME)

    assert visible(four) == {path: raw for path, raw in before.items() if not path.startswith(NAME)}
    assert four.models() == ["prices", "untrained"]
    assert left_over(four) == []
    for entry in (four.read_model, four.current, four.versions, four.rollback, four.delete_model):
        with pytest.raises(ModelNotFound, match=r"\AModel not found\Z"):
            entry(NAME)


def test_model_created_again_goes_on_with_the_numbers(four: Store) -> None:
    """A name and a number never mean two versions, also when a model is deleted and created again, and again."""
    manifest, content = four.read_version(NAME, 1)
    for used in (4, 5):
        four.delete_model(NAME)

        assert four.create_model(NAME, "GRU").highest_version == used
        with pytest.raises(ModelNotTrained):
            four.current(NAME)
        assert four.publish(manifest, content).version == used + 1
        assert history(four) == [used + 1]
    assert four.create_model("other", "GRU").highest_version == 0


def test_damaged_model_can_be_deleted(four: Store) -> None:
    """Whoever deletes a model need not read it; the numbers of its versions are still used up."""
    for file in ("model.json", "current", "2/manifest.json"):
        (four.root / NAME / file).write_bytes(b"garbage")

    four.delete_model(NAME)

    assert four.create_model(NAME, "GRU").highest_version == 4


def test_damaged_record_of_a_deleted_model_is_refused(four: Store) -> None:
    """Rather than give numbers twice, nothing is created, and the sentence names the file to remove."""
    four.delete_model(NAME)
    path = four.root / ".deleted" / f"{NAME}.json"
    path.write_bytes(b"garbage")

    with pytest.raises(ArtifactRefused, match=rf"remove \.deleted/{NAME}\.json to begin at version 1"):
        four.create_model(NAME, "GRU")
    assert NAME not in four.models()
    path.unlink()
    assert four.create_model(NAME, "GRU").highest_version == 0


def test_stranger_is_not_deleted(store: Store) -> None:
    """A folder that bears a model's name and is none is not found, and is left alone."""
    (store.root / "mine").mkdir()

    with pytest.raises(ModelNotFound):
        store.delete_model("mine")
    assert (store.root / "mine").is_dir()


@pytest.mark.parametrize(
    ("serving", "keep", "deleted"),
    [
        (4, 0, [1, 2]),  # 3 is what a rollback would serve
        (4, 1, [1, 2]),
        (4, 2, [1, 2]),
        (4, 3, [1]),
        (4, 4, []),
        (4, 5, []),
        (4, 99, []),
        (1, 1, [2, 3]),  # 4 served before 1 was promoted
        (2, 0, [1, 3]),
    ],
)
def test_prune_keeps_the_newest_the_serving_and_the_one_before(
    four: Store, serving: int, keep: int, deleted: list[int]
) -> None:
    """The serving version and the one that a rollback would serve are spared, whatever `keep` says."""
    four.promote(NAME, serving)
    before = version_before(four.current(NAME), [1, 2, 3, 4])

    assert four.prune(NAME, keep) == deleted

    assert state(four) == (tuple(version for version in (1, 2, 3, 4) if version not in deleted), serving)
    assert left_over(four) == []
    assert four.rollback(NAME).version == before


def test_prune_of_a_model_that_nothing_serves(store: Store) -> None:
    """Without a serving version only the number counts; a negative one is refused."""
    manifest = msgspec.structs.replace(store.read_version(NAME, 1)[0], name="untrained")
    for _ in range(3):
        store.publish(manifest, files(store), serve=False)

    with pytest.raises(InvalidInput, match="keep is -1"):
        store.prune("untrained", -1)
    assert store.prune("untrained", 1) == [1, 2]
    assert store.prune("untrained", 1) == []
    assert store.prune("untrained", 0) == [3]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_name_changes_nothing(store: Store, name: str) -> None:
    """No name leads a promote or a delete out of the store."""
    before = snapshot(store)
    entries: list[Callable[[], object]] = [
        lambda: store.promote(name, 1),
        lambda: store.rollback(name),
        lambda: store.delete_version(name, 1),
        lambda: store.delete_model(name),
        lambda: store.prune(name, 0),
        lambda: store.read_manifest(name, 1),
    ]

    for entry in entries:
        with pytest.raises(InvalidName):
            entry()
    assert snapshot(store) == before


def test_manifest_reads_without_the_files(four: Store) -> None:
    """The manifest of a version whose other files are damaged can still be shown."""
    (four.root / NAME / "2" / "model.onnx").write_bytes(b"")

    assert four.read_manifest(NAME, 2).version == 2
    with pytest.raises(ArtifactRefused, match=f"{NAME} version 9"):
        four.read_manifest(NAME, 9)


def test_job_and_parent_are_kept(store: Store) -> None:
    """Which attempt of which job made a version, and what served then, is in its manifest; old ones have neither."""
    manifest, content = store.read_version(NAME, 1)
    assert (manifest.attempt, manifest.parent) == (0, None)

    store.publish(msgspec.structs.replace(manifest, job="j", attempt=3, parent=1), content)

    found = store.read_version(NAME, 2)[0]
    assert (found.job, found.attempt, found.parent) == ("j", 3, 1)


# Publish: serve, guard


def files(store: Store) -> dict[str, bytes]:
    """Return the files of the fixture's version."""
    return store.read_version(NAME, 1)[1]


@pytest.mark.parametrize(("expected", "serves"), [(None, 3), (2, 3), (1, 2), (0, 2)])
def test_version_serves_only_in_place_of_the_expected_one(store: Store, expected: int | None, serves: int) -> None:
    """Where another one serves by now, the new version is there all the same; 0 stands for none."""
    manifest, files = store.read_version(NAME, 1)
    store.publish(manifest, files)

    store.publish(manifest, files, expected=expected)

    assert (store.versions(NAME), store.serving(NAME)) == ([1, 2, 3], serves)


@pytest.mark.parametrize(("expected", "serves"), [(0, 1), (1, None)])
def test_first_version_serves_where_none_is_expected(store: Store, expected: int, serves: int | None) -> None:
    """A model that nothing serves has no version to take the place of."""
    manifest, files = store.read_version(NAME, 1)

    store.publish(msgspec.structs.replace(manifest, name="untrained"), files, expected=expected)

    assert store.serving("untrained") == serves


def test_version_that_is_not_to_serve_is_only_there(store: Store) -> None:
    """The pointer is not touched, of a trained and of an untrained model; a promote makes the version serve."""
    before = (store.root / NAME / "current").read_bytes()
    manifest = store.read_version(NAME, 1)[0]

    assert store.publish(manifest, files(store), serve=False).version == 2
    assert store.publish(msgspec.structs.replace(manifest, name="untrained"), files(store), serve=False).version == 1

    assert (store.root / NAME / "current").read_bytes() == before
    assert state(store) == ((1, 2), 1)
    assert state(store, "untrained") == ((1,), None)
    assert store.promote("untrained", 1).history == store.current("untrained").history
    assert state(store, "untrained") == ((1,), 1)


def test_guard_is_held_while_the_version_becomes_visible(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is entered when all is on the disk and nothing visible, and left when the pointer has moved durably."""
    calls = trace(store, monkeypatch)

    @contextlib.contextmanager
    def guard() -> Iterator[None]:
        assert state(store) == ((1,), 1)
        calls.append("enter")
        yield
        assert state(store) == ((1, 2), 2)
        calls.append("leave")

    store.publish(*store.read_version(NAME, 1), guard=guard())

    assert calls[8:] == [
        "fsync B/manifest.json",
        "enter",
        "fsync B",
        f"rename B {NAME}/2",
        f"fsync {NAME}",
        "fsync C/current",
        f"replace C/current {NAME}/current",
        f"fsync {NAME}",
        "leave",
    ]


@pytest.mark.parametrize("name", [NAME, "untrained"])
@pytest.mark.parametrize("serve", [True, False])
@pytest.mark.parametrize("at", ["entry", "exit"])
@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_guard_that_fails_takes_the_version_back(
    store: Store, name: str, serve: bool, at: str, error: type[BaseException]
) -> None:
    """Fenced out at the entry, or not committed at the exit: nothing was published, and the next one works."""
    manifest = msgspec.structs.replace(store.read_version(NAME, 1)[0], name=name)
    before = snapshot(store)

    @contextlib.contextmanager
    def guard() -> Iterator[None]:
        if at == "entry":
            raise error
        yield
        assert snapshot(store) != before
        raise error

    with pytest.raises(StoreRefused if error is OSError else error):
        store.publish(manifest, files(store), serve=serve, guard=guard())

    assert snapshot(store) == before
    assert left_over(store) == []
    assert store.publish(manifest, files(store)).version == store.read_model(name).highest_version


# Durability


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("promote", ["fsync A/current", f"replace A/current {NAME}/current", f"fsync {NAME}"]),
        ("rollback", ["fsync A/current", f"replace A/current {NAME}/current", f"fsync {NAME}"]),
        ("delete_version", [f"rename {NAME}/2 A/2", f"fsync {NAME}"]),
        ("prune", [f"rename {NAME}/1 A/1", f"rename {NAME}/2 A/2", f"fsync {NAME}"]),
        (
            "delete_model",
            [
                "fsync STORE",
                f"fsync A/{NAME}.json",
                f"replace A/{NAME}.json .deleted/{NAME}.json",
                "fsync .deleted",
                f"rename {NAME} B/{NAME}",
                "fsync STORE",
            ],
        ),
    ],
)
def test_change_is_durable_when_it_returns(
    four: Store, monkeypatch: pytest.MonkeyPatch, what: str, expected: list[str]
) -> None:
    """The order that survives a power cut: bytes before names, and the folder of each rename last."""
    calls = trace(four, monkeypatch)

    CHANGES[what](four)

    assert calls == expected


@pytest.mark.one_python
@each_change
def test_kill_at_any_moment_leaves_a_whole_state(four: Store, tmp_path: Path, what: str) -> None:
    """After kill -9 at each call the old or the new is there, whole; nothing else is touched, and sweep tidies up."""
    untouched = {path: raw for path, raw in visible(four).items() if path.startswith("prices")}
    manifest, content = four.read_version(NAME, 1)
    seen: list[State] = []
    swept: set[int] = set()

    calls = crash(four, tmp_path / "crashed", what)

    assert len(calls) > 5
    for number in range(1, len(calls) + 2):  # the last one was not killed
        crashed = Store(tmp_path / "crashed" / str(number))
        seen.append(state(crashed))
        before = visible(crashed)
        said = crashed.sweep()
        assert left_over(crashed) == []
        assert all("left over" in sentence for sentence in said), said
        swept.add(len(said))
        assert crashed.sweep() == []
        assert visible(crashed) == before, "sweep touches only what nobody sees"
        assert untouched.items() <= before.items()
        if seen[-1] is None:
            assert crashed.create_model(NAME, "GRU").highest_version == 4
        assert crashed.publish(manifest, content).version == crashed.read_model(NAME).highest_version >= 5
        assert crashed.current(NAME).version == crashed.versions(NAME)[-1]
    assert [key for key, _ in itertools.groupby(seen)] == STATES[what]
    assert swept > {0}, "no crash left anything for sweep"


def broken(
    patch: pytest.MonkeyPatch, names: tuple[str, ...], number: int, code: int, for_ever: bool = False
) -> Callable[[], bool]:
    """Have the `number`-th call of these functions of `os` fail, or all from it on; return whether one has."""
    count = 0

    def failing(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == number or (for_ever and count > number):
                raise OSError(code, os.strerror(code))
            return call(*args, **kwargs)

        return counted

    for name in names:
        patch.setattr(os, name, failing(getattr(os, name)))
    return lambda: count >= number


@pytest.mark.parametrize(
    ("names", "code", "nums"),
    [
        (("fsync",), errno.EIO, (12, 2, 2, 1, 4, 1)),
        (("rename", "replace"), errno.EIO, (3, 1, 1, 1, 2, 2)),
        (("mkdir", "link"), errno.ENOSPC, (5, 2, 2, 1, 4, 1)),
    ],
    ids=["fsync", "rename", "mkdir"],
)
@each_change
def test_one_failing_call_changes_nothing(
    four: Store, tmp_path: Path, what: str, names: tuple[str, ...], code: int, nums: tuple[int, ...]
) -> None:
    """Whichever call fails, all that can be seen is as it was, nothing is left over, and the next try succeeds."""
    before = visible(four)
    num_calls = nums[list(STATES).index(what)]
    for number, copy in copies(four, tmp_path / "copies"):
        with pytest.MonkeyPatch.context() as patch:
            failed = broken(patch, names, number, code)
            if number > num_calls:
                CHANGES[what](copy)
                assert not failed(), "there are more calls than were tried"
                break
            with pytest.raises(StoreRefused, match="nothing was changed"):
                CHANGES[what](copy)
        assert visible(copy) == before
        assert left_over(copy) == []
        CHANGES[what](copy)
        versions, serving = STATES[what][-1] or ((), None)
        if what == "publish" and copy.read_model(NAME).highest_version == 6:
            versions, serving = (1, 2, 3, 4, 6), 6
        assert (state(copy) or ((), None)) == (versions, serving)


@each_change
def test_disk_that_turns_read_only_leaves_a_whole_state(four: Store, tmp_path: Path, what: str) -> None:
    """From the n-th call on nothing can be written, nor taken back: what is there is the old or the new, whole."""
    refused = []
    for number, copy in copies(four, tmp_path / "copies"):
        with pytest.MonkeyPatch.context() as patch:
            changes = ("mkdir", "link", "rename", "replace", "unlink", "rmdir")
            failed = broken(patch, changes, number, errno.EROFS, for_ever=True)
            try:
                CHANGES[what](copy)
            except StoreRefused as error:
                refused.append(str(error))
                assert state(copy) in STATES[what][:-1]
            else:
                assert state(copy) == STATES[what][-1]
            if not failed():
                break
        copy.sweep()
        assert left_over(copy) == []
        assert state(copy) in STATES[what]
    assert len(refused) >= 2
    assert all("Read-only file system" in sentence for sentence in refused)


@pytest.mark.parametrize(
    ("what", "num_writes"),
    [("publish", 8), ("promote", 1), ("rollback", 1), ("delete_model", 1), ("delete_version", 0), ("prune", 0)],
)
def test_full_disk_changes_nothing(
    four: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, num_writes: int
) -> None:
    """Whichever write finds the disk full, nothing changes; what writes nothing works on a full disk."""
    before = visible(four)
    for number, copy in copies(four, tmp_path / "copies"):
        real, count = os.fdopen, 0

        def fdopen(fd: int, mode: str, number: int = number, real: Callable[..., Any] = real) -> Any:
            nonlocal count
            count += mode == "wb"
            return FullDisk(fd, mode) if mode == "wb" and count >= number else real(fd, mode)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdopen", fdopen)
            if number > num_writes:
                CHANGES[what](copy)
                assert state(copy) == STATES[what][-1]
                break
            with pytest.raises(StoreRefused, match="No space left"):
                CHANGES[what](copy)
        assert visible(copy) == before
        assert left_over(copy) == []


# Several at once


@pytest.mark.one_python
def test_of_processes_that_promote_at_once_one_is_in_time(four: Store) -> None:
    """Six processes believe that 4 serves and promote another: one does, five are told."""
    code = f"try: print(store.promote('{NAME}', 2, expected=4).version)\nexcept VersionChanged: print('changed')"

    assert sorted(at_once(code, four, 6)) == ["2"] + ["changed"] * 5
    assert history(four) == [1, 2, 3, 4, 2]


def test_no_promote_of_several_processes_is_lost(four: Store) -> None:
    """Four processes promote to and fro: each pointer that one was given is in the history, at its place."""
    code = f"for n in range(20): print(len(store.promote('{NAME}', 1 + n % 4).history), 1 + n % 4)"

    told = {tuple(map(int, line.split())) for output in at_once(code, four, 4) for line in output.splitlines()}

    final = history(four)
    assert len(final) > 10
    assert {(position, version) for position, version in told if position < 100} <= set(enumerate(final, 1))


def test_lock_survives_that_a_model_is_deleted_and_made_again(four: Store) -> None:
    """Processes that delete, create and publish one model at once: no number is given twice, nothing is left over."""
    code = f"""
version = store.read_version('{NAME}', 1)
for _ in range(6):
    try:
        print(store.publish(*version).version)
        store.delete_model('{NAME}')
        store.create_model('{NAME}', 'GRU')
        print(store.publish(*version).version)
    except (ModelNotFound, ModelExists): pass
"""
    numbers = [int(number) for output in at_once(code, four, 4) for number in output.split()]

    assert len(numbers) > 6
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) == 5
    assert left_over(four) == []
    if NAME not in four.models():
        four.create_model(NAME, "GRU")
    assert four.read_model(NAME).highest_version == max(numbers)


def test_waiting_for_the_lock_of_a_deleted_model(four: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the lock of a folder that is gone when it comes is told, or takes that of the folder made since."""
    real, waiting = fcntl.flock, threading.Event()
    asked: list[int] = []

    def flock(fd: int, how: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            asked.append(os.fstat(fd).st_ino)
            waiting.set()
        real(fd, how)

    def while_it_waits(change: Callable[[], object]) -> list[object]:
        waiting.clear()
        found: list[object] = []

        def promote() -> None:
            try:
                found.append(four.promote(NAME, 1).version)
            except ModelNotFound as error:
                found.append(str(error))

        with contextlib.ExitStack() as ends:
            fd = os.open(four.root / NAME, os.O_RDONLY)
            ends.callback(os.close, fd)
            real(fd, fcntl.LOCK_EX)
            thread = threading.Thread(target=promote)
            thread.start()
            assert waiting.wait(60)
            change()
        thread.join(60)
        assert not thread.is_alive()
        return found

    monkeypatch.setattr(fcntl, "flock", flock)
    model, aside = four.root / NAME, four.root / ".tmp" / "aside"

    def make_again() -> None:
        model.rename(aside)
        shutil.copytree(aside, model)

    first = model.stat().st_ino
    assert while_it_waits(make_again) == [1]
    assert asked[:2] == [first, model.stat().st_ino]
    assert history(four) == [1, 2, 3, 4, 1]
    old = aside / "current"
    assert unseal(old.read_bytes(), Current, "current").version == 4, "the folder that is gone is not written to"
    assert while_it_waits(lambda: model.rename(aside.with_name("again"))) == ["Model not found"]


def test_create_and_delete_of_models_take_the_lock_of_the_store(four: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a delete that fails can bring its model back: nobody has created another in its place."""
    real = fcntl.flock
    asked: list[int] = []

    def flock(fd: int, how: int) -> None:
        asked.append(os.fstat(fd).st_ino)
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    root, model = four.root.stat().st_ino, (four.root / NAME).stat().st_ino

    four.delete_model(NAME)
    assert asked[:2] == [model, root]
    asked.clear()
    four.create_model(NAME, "GRU")
    assert asked[:1] == [root]


# Sweep


def test_temporary_folder_is_locked_until_it_is_gone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a writer removes its own folder, sweep does not take it for left over."""
    real, said = shutil.rmtree, []

    def rmtree(folder: Path, **options: Any) -> None:
        if folder.exists():
            fd = os.open(folder, os.O_RDONLY)
            try:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(fd)
            said.append(folder)
        real(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)

    publish(store)

    assert len(said) == 2  # of the two records; the version's own folder was put in its place


def test_sweep_leaves_alone_what_is_being_written(store: Store) -> None:
    """In the middle of a publish there are folders in `.tmp`, and sweep has nothing to do."""
    seen: list[object] = []

    @contextlib.contextmanager
    def guard() -> Iterator[None]:
        seen.append(len(left_over(store)))
        seen.append(Store(store.root).sweep())
        yield
        seen.append(store.sweep())

    assert store.publish(*store.read_version(NAME, 1), guard=guard()).version == 2

    assert seen == [1, [], []]
    assert state(store) == ((1, 2), 2)


def test_sweep_at_any_time_harms_no_writer(store: Store) -> None:
    """Four processes that publish and sweep in turn: every version is published, nothing was swept."""
    code = f"""
version = store.read_version('{NAME}', 1)
for n in range(15):
    store.publish(*version)
    print(*store.sweep(), *store.sweep(), end='')
print('done')
"""
    assert at_once(code, store, 4) == ["done"] * 4
    assert store.versions(NAME) == list(range(1, 62))
    assert left_over(store) == []


def test_sweep_removes_what_is_left_over(store: Store) -> None:
    """A folder that nobody holds is removed with all in it, and named; a file, which we never make, is only named."""
    left = store.root / ".tmp" / "abc" / "deep"
    left.mkdir(parents=True)
    (left / "tickets").write_text("x")
    (store.root / ".tmp" / "file").write_text("mine")

    said = store.sweep()

    assert len(said) == 2
    assert said[0] == "removed .tmp/abc, left over from a process that ended while it wrote"
    assert said[1].startswith(".tmp/file is left over and cannot be removed: ")
    assert left_over(store) == [store.root / ".tmp" / "file"]


def test_sweep_does_not_follow_a_link(store: Store, tmp_path: Path) -> None:
    """A link in `.tmp` is not followed, whatever is behind it."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (store.root / ".tmp" / "link").symlink_to(tmp_path / "precious")

    (sentence,) = store.sweep()

    assert sentence.startswith(".tmp/link is left over and cannot be removed")
    assert (tmp_path / "precious" / "file").exists()


def test_sweep_says_what_looks_wrong_and_leaves_it(store: Store) -> None:
    """Folders that are no model or version, and pointers that lead nowhere, are for a person to judge."""
    (store.root / "stranger").mkdir()
    (store.root / NAME / "7").mkdir()
    (store.root / "prices" / "current").write_bytes(b"garbage")
    store.publish(msgspec.structs.replace(store.read_version(NAME, 1)[0], name="untrained"), files(store))
    shutil.rmtree(store.root / "untrained" / "1")
    store.create_model("sound", "GRU")
    store.publish(msgspec.structs.replace(store.read_version(NAME, 1)[0], name="sound"), files(store), serve=False)
    before = snapshot(store)

    said = store.sweep()

    assert said[1:] == [
        f"{NAME}/7 is no version: it has no manifest.json; it was left as it is",
        "stranger is no model: it has no model.json; it was left as it is",
        "untrained: version 1 should serve but is not there; promote another one",
    ]
    assert said[0].startswith("prices/current cannot be read")
    assert snapshot(store) == before


def test_store_that_cannot_be_listed_is_refused(store: Store) -> None:
    """Sweep does not pretend to have looked."""
    shutil.rmtree(store.root / ".tmp")

    with pytest.raises(StoreRefused, match="cannot be listed"):
        store.sweep()


# The file system


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("/dev/sda / ext4", ""),
        ("overlay / overlay", ""),
        ("host:/x / nfs4", "nfs4"),
        ("/dev/sda / ext4|host:/x {parent} nfs", "nfs"),
        ("/dev/sda / ext4|//host/x {store} cifs", "cifs"),
        ("host:/x / nfs|tmpfs {parent} tmpfs", ""),
        ("host:/x {store} nfs|/dev/sda {store} ext4", ""),  # the later one lies on top
        ("/dev/sda {store} ext4|host:/x {store} 9p", "9p"),
        ("/dev/sda / ext4|host:/x {store}/sub nfs|host:/x {store}s nfs", ""),  # beside it, and below
        ("user@host: {parent} fuse.sshfs", "fuse.sshfs"),
        ("//host/x {store} smb3|/dev/fuse {store} fuseblk", ""),
        ("proc", ""),
    ],
)
def test_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, kind: str
) -> None:
    """The mount that the store lies on decides, and the sentence names it; blanks in a path are escaped there."""
    root = tmp_path / "my stores" / "store"
    lines = mounts.format(store=root, parent=root.parent).replace("my stores", r"my\040stores").split("|")
    (tmp_path / "mounts").write_text("".join(f"{line} rw,relatime 0 0\n" for line in lines))
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mounts")

    if kind:
        with pytest.raises(StoreRefused, match=rf"on a network file system \({kind}, mounted on /.*\(--store DIR\)"):
            Store(root)
        assert not root.parent.exists(), "nothing is made there"
    else:
        assert Store(root).models() == []


def test_link_to_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is where the folder really is; a link to a folder of this machine is fine."""
    (tmp_path / "mounts").write_text(f"/dev/sda / ext4 rw 0 0\nhost:/x {tmp_path}/remote nfs rw 0 0\n")
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mounts")
    for name in ("remote", "local"):
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / f"to-{name}").symlink_to(tmp_path / name)

    with pytest.raises(StoreRefused, match="nfs"):
        Store(tmp_path / "to-remote")
    store = Store(tmp_path / "to-local")
    store.create_model("m", "GRU")
    store.delete_model("m")
    assert store.models() == []


def test_where_mounts_cannot_be_told_the_store_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux nothing is refused for it."""
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "none")

    assert Store(tmp_path / "store").models() == []
