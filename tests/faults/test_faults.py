"""What of the fault campaign runs with every `make test`; `make faults` runs all of it.

For each change one kill at each kind of call, one full and one failing disk; some power cuts; and the proof that the
oracle sees what it is to see.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from artifacts.store.store import Store
from tests.faults import kill, power
from tests.faults.changes import CHANGES, NAME
from tests.faults.kill import a_copy, counted, failed, kill_in, killed, traced
from tests.faults.oracle import judge, look
from tests.faults.worker import Worker

pytestmark = pytest.mark.system

SEED = 20261122
# Of each change the state that most is to be done in; the campaign has the others.
SAMPLED = (
    *("create:deleted before", "publish:left-overs", "promote:never served", "rollback:further", "prune:two"),
    *("delete version:oldest", "delete model:deleted before", "sweep:left-overs", "open jobs:new", "submit:key"),
    *("once:key", "claim:folder gone", "cancel:running", "finish:published", "run:second", "recover:published"),
    *("correct:known id", "erase:kept body"),
)


def needed(lacking: str) -> None:
    """Skip where something is lacking; in CI it fails."""
    if lacking:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Give the process in which the changes are made."""
    needed(kill.lacking())
    worker = Worker()
    yield worker
    worker.close()


def test_sample_has_every_change() -> None:
    """No kind of change is left out."""
    assert {name.split(":")[0] for name in SAMPLED} == {name.split(":")[0] for name in CHANGES}


def test_kill_comes_before_the_call(worker: Worker, tmp_path: Path) -> None:
    """The call at which the process is killed is not carried out; the one before it is."""
    case = counted(worker, CHANGES["publish:second"], tmp_path)
    in_place = next(point for point in case.points if point.line.endswith(f'"STORE/{NAME}/2") = 0'))
    after = case.points[case.points.index(in_place) + 1]

    for point, versions in ((in_place, [1]), (after, [1, 2])):
        with a_copy(case.template, tmp_path) as root:
            assert kill_in(worker, case, point, root, tmp_path)
            assert Store(root).versions(NAME) == versions


@pytest.mark.parametrize("name", SAMPLED)
def test_kill_leaves_the_old_or_the_new(worker: Worker, tmp_path: Path, name: str) -> None:
    """After kill -9 at one call of each kind, and after the acknowledgement, nothing is lost and nothing is half."""
    case = counted(worker, CHANGES[name], tmp_path)
    chance = random.Random(f"{SEED} {name}")
    kinds = {point.call: [other for other in case.points if other.call == point.call] for point in case.points}

    for point in (*(chance.choice(points) for points in kinds.values()), None):
        assert killed(worker, case, point, tmp_path) == [], point


@pytest.mark.parametrize("name", SAMPLED)
def test_failing_disk_is_told_and_changes_nothing(worker: Worker, tmp_path: Path, name: str) -> None:
    """A full disk, and one that cannot flush, refuse the change; the process lives on and then makes it."""
    case = counted(worker, CHANGES[name], tmp_path)
    chance = random.Random(f"{SEED} {name}")

    for error in ("ENOSPC", "EIO"):
        points = [point for point in case.points if point.error == error]
        if points:
            point = chance.choice(points)
            said, complaints = failed(worker, case, point, tmp_path)
            assert complaints == [], (point, said)


@pytest.mark.parametrize("name", ["submit:key", "claim:of three", "cancel:queued", "finish:failed", "run:second"])
def test_flush_that_fails_after_the_commit_does_not_make_it_unmade(worker: Worker, tmp_path: Path, name: str) -> None:
    """SQLite calls it an error of the commit though all see the change: it is not told as if nothing had changed."""
    case = counted(worker, CHANGES[name], tmp_path)
    point = [point for point in case.points if point.line.endswith("<STORE/.jobs>) = 0")][-1]

    assert point.error == "EIO"
    assert failed(worker, case, point, tmp_path) == ("acknowledged", [])


@pytest.mark.parametrize(("name", "said"), [("run:second", "acknowledged"), ("cancel:queued", "refused StoreRefused:")])
def test_disk_that_fails_for_good_after_the_commit(worker: Worker, tmp_path: Path, name: str, said: str) -> None:
    """A job that all see as succeeded has its version; another change is refused, and not told to be unmade."""
    case = counted(worker, CHANGES[name], tmp_path)
    point = [point for point in case.points if point.line.endswith("<STORE/.jobs>) = 0")][-1]
    num_flushes = sum(point.call == "fsync" for point in case.points)
    options = ["-e", "trace=fsync,fdatasync", "-e", f"inject={point.call}:error=EIO:when={point.number}+"]
    options += ["-e", f"inject=fsync:error=EIO:when={num_flushes + 1}+"]

    with a_copy(case.template, tmp_path) as root, traced(worker.begin(name, root), tmp_path / "log", *options):
        told = worker.act()
        found = look(root)
        worker.end()

    assert told.startswith(said)
    assert "nothing was changed" not in told
    assert list(judge(case.before, case.after, found, acknowledged=True)) == []


@pytest.mark.parametrize(
    ("name", "flag"), [("run:second", power.NOTHING_FLUSHED), ("delete model:four versions", power.JOURNAL_FLUSHED)]
)
def test_power_cut_takes_nothing_that_was_acknowledged(worker: Worker, tmp_path: Path, name: str, flag: int) -> None:
    """After a cut at the acknowledgement, at a step, and then again during the recovery, all is whole."""
    needed(power.lacking())
    case = counted(worker, CHANGES[name], tmp_path)
    point = random.Random(SEED).choice(case.points)

    assert power.cut(worker, case, None, tmp_path, flag=flag) == []
    assert power.cut(worker, case, point, tmp_path, flag=flag, recovery_call=2) == [], point


@pytest.mark.parametrize(("sabotage", "sort"), [("no flush of folders", "lost"), ("no flush of files", "partial")])
def test_power_cut_finds_out_a_missing_flush(worker: Worker, tmp_path: Path, sabotage: str, sort: str) -> None:
    """A publish that forgets to flush is acknowledged, and gone or half after the cut: the oracle can say no."""
    needed(power.lacking())
    case = counted(worker, CHANGES["publish:second"], tmp_path)

    complaints = power.cut(worker, case, None, tmp_path, sabotage=sabotage)

    assert sort in [complaint.sort for complaint in complaints]


def test_kill_finds_out_a_version_that_is_not_renamed_but_copied(worker: Worker, tmp_path: Path) -> None:
    """A version that comes into its place file by file is seen half: the oracle can say no."""
    case = counted(worker, CHANGES["publish:second"], tmp_path, "copy for rename")
    # Before it are golden.json, labels.json and manifest.json in their place; it and two others are not.
    point = next(
        point for point in case.points if point.call == "openat" and f"STORE/{NAME}/2/model.onnx" in point.line
    )

    found = [complaint.sort for complaint in killed(worker, case, point, tmp_path, "copy for rename")]

    assert "partial" in found


def test_power_cut_finds_out_a_correction_that_is_not_flushed(worker: Worker, tmp_path: Path) -> None:
    """It is acknowledged and gone after the cut: the oracle can say no."""
    needed(power.lacking())
    case = counted(worker, CHANGES["correct:one more"], tmp_path)

    assert power.cut(worker, case, None, tmp_path) == []
    found = power.cut(worker, case, None, tmp_path, sabotage="no flush of corrections")
    assert "lost" in [complaint.sort for complaint in found]


def test_bytes_of_an_erased_correction_are_found_out(worker: Worker, tmp_path: Path) -> None:
    """Deleted by SQLite alone it is in no answer, but still in the file: the oracle can say no."""
    case = counted(worker, CHANGES["erase:one"], tmp_path, "deletion by SQLite alone")

    found = killed(worker, case, None, tmp_path, "deletion by SQLite alone")

    assert [complaint.sentence for complaint in found] == [
        "no correction is seen that holds {b'canary-2'}, but feedback.sqlite does"
    ]


def test_oracle_wants_every_correction(worker: Worker, tmp_path: Path) -> None:
    """One that is gone though it was to stay is lost; one that nobody made is wrong; so is one half replaced."""
    case = counted(worker, CHANGES["correct:known id"], tmp_path)

    def sorts(corrections: tuple[tuple[str, str, str], ...]) -> list[str]:
        model = msgspec.structs.replace(case.after.models[NAME], corrections=corrections)
        found = msgspec.structs.replace(case.after, models=case.after.models | {NAME: model})
        return [complaint.sort for complaint in judge(case.before, case.after, found, acknowledged=False)]

    old, new = (view.models[NAME].corrections for view in (case.before, case.after))
    assert (len(old), len(new), len(set(old) & set(new))) == (3, 3, 2)
    assert sorts(old) == sorts(new) == []
    assert sorts(new[1:]) == ["lost"]
    assert sorts((*new, ("t-9", "Facture", "canary-9"))) == ["other"]
    assert sorts((*old, new[-1])) == ["other"]


def test_oracle_wants_all_that_was_acknowledged(worker: Worker, tmp_path: Path) -> None:
    """What is right for a change that was not acknowledged is wrong for one that was; so is a thing that is gone."""
    case = counted(worker, CHANGES["run:second"], tmp_path)
    gone = msgspec.structs.replace(case.before, models={**case.before.models, NAME: msgspec.structs.replace(
        case.before.models[NAME], versions={}, serving=None, history=())})  # fmt: skip
    jobless = msgspec.structs.replace(case.after, jobs={})

    for found in (case.before, case.after):
        assert list(judge(case.before, case.after, found, acknowledged=False)) == []
    assert list(judge(case.before, case.after, case.after, acknowledged=True)) == []
    assert [found.sort for found in judge(case.before, case.after, case.before, acknowledged=True)] == ["lost"]
    for found in (gone, jobless):
        assert "lost" in [bad.sort for bad in judge(case.before, case.after, found, acknowledged=False)]
