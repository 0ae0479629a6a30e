"""What must hold after a fault, found out by a process that had no part in it, from the disk alone.

`look` reads all that a user can see. `judge` compares it with what could be seen before the change and what is to be
seen after it: each version, each pointer and each job is the old or the new one, and where the change was acknowledged
all of it is the new one. `settle` does what a server does when it starts, and after it nothing is left over.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from artifacts.errors import ModelNotTrained, PuppetError
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, Job
from artifacts.kinds import load
from artifacts.networks.manifest import Manifest
from artifacts.store import feedback
from artifacts.store.store import Store

Sort = Literal["lost", "partial", "job", "other"]
CANARY = re.compile(rb"canary-\d+")  # what the campaign writes into its corrections, so that no byte of one hides
ENDED = ("succeeded", "failed", "cancelled", "interrupted")


class Complaint(msgspec.Struct, frozen=True):
    """Something that must not be.

    Attributes:
        sort: what was acknowledged is lost; a version is seen that is not whole; a job and its version disagree; other.
        sentence: what, for who mends it.
    """

    sort: Sort
    sentence: str


class Seen(msgspec.Struct, frozen=True):
    """What a user can see of a model: its versions, each known by its files and its job, and the one that serves.

    Attributes:
        corrections: id, category and ticket of each, in the order in which they came.
    """

    versions: dict[int, str]
    serving: int | None
    history: tuple[int, ...]
    highest: int
    corrections: tuple[tuple[str, str, str], ...] = ()


class View(msgspec.Struct, frozen=True):
    """What a user can see of a store; jobs are known by their ids, a new one as `new`.

    Attributes:
        broken: what cannot be read or loaded though it is to be seen.
    """

    models: dict[str, Seen]
    jobs: dict[str, Job]
    broken: tuple[str, ...] = ()


def look(root: Path) -> View:
    """Return what can be seen in a store; each version is read, verified, loaded, and its golden rows asked."""
    broken: list[str] = []
    models, jobs = {}, {}
    try:
        store = Store(root)
        for name in store.models():
            models[name] = _look_at(store, name, broken)
        jobs = {job.id: job for job in Jobs(store).list()}
    except PuppetError as error:
        broken.append(str(error))
    return View(models, jobs, tuple(broken))


def _look_at(store: Store, name: str, broken: list[str]) -> Seen:
    """Return what can be seen of a model, and add to `broken` what is not whole."""
    versions = dict.fromkeys(store.versions(name), "")
    serving, history, highest = None, [], 0
    kept: tuple[tuple[str, str, str], ...] = ()
    try:
        kept = tuple((one.id, one.category, str(one.content)) for one in feedback.read_all(store, name))
    except PuppetError as error:
        broken.append(str(error))
    for version in versions:
        try:
            manifest, files = store.read_version(name, version)
            load(manifest, files)
            versions[version] = _identity(manifest)
        except PuppetError as error:
            broken.append(str(error))
    try:
        highest = store.read_model(name).highest_version
        current = store.current(name)
        serving, history = current.version, [served.version for served in current.history]
        if serving not in versions:
            broken.append(f"{name} version {serving} is to serve and is not there")
    except ModelNotTrained:
        pass
    except PuppetError as error:
        broken.append(str(error))
    return Seen(versions, serving, tuple(history), highest, kept)


def _identity(manifest: Manifest) -> str:
    """Return what tells a version from another: its files' hashes, and which run made it."""
    return f"{[record.sha256 for record in manifest.files.values()]} {manifest.job} {manifest.attempt}"


def judge(before: View, after: View, found: View, *, acknowledged: bool) -> Iterator[Complaint]:
    """Yield what is wrong with `found`.

    Args:
        before: the change.
        after: the change, done without a fault in another copy of the store.
        found: after the fault.
        acknowledged: whether who made the change was told that it is done.
    """
    for sentence in found.broken:
        yield Complaint("partial", sentence)
    for name in {*before.models, *after.models, *found.models}:
        yield from _judge_model(name, before.models.get(name), after.models.get(name), found.models.get(name))
    yield from _judge_jobs(before, after, found)
    if acknowledged and shape(found) != shape(after):
        yield Complaint("lost", f"acknowledged, but {shape(found)} is seen and not {shape(after)}")


def _judge_model(name: str, before: Seen | None, after: Seen | None, found: Seen | None) -> Iterator[Complaint]:
    if found is None:
        if before is not None and after is not None:
            yield Complaint("lost", f"model {name} is gone")
        return
    if before is None or after is None:  # it comes or goes as a whole
        whole = before or after
        fields = ("versions", "serving", "corrections")
        if whole is None or any(getattr(found, field) != getattr(whole, field) for field in fields):
            yield Complaint("other", f"model {name} is {found}, neither whole nor absent")
        return
    for version in {*before.versions, *after.versions, *found.versions}:
        old, new, is_ = (seen.versions.get(version) for seen in (before, after, found))
        if old is not None and new is not None and is_ is None:
            yield Complaint("lost", f"{name} version {version} is gone")
        elif is_ is not None and is_ not in (old, new):
            yield Complaint("other", f"{name} version {version} is neither the old nor the new one: {is_}")
    if found.serving not in (before.serving, after.serving):
        if not before.history < found.history < after.history:  # a change of two steps
            yield Complaint("other", f"{name} serves {found.serving}, neither the old nor the new version")
    elif found.history not in (before.history, after.history):
        yield Complaint("other", f"{name} has the history {found.history}")
    if gone := set(before.corrections) & set(after.corrections) - set(found.corrections):
        yield Complaint("lost", f"{name} has lost the corrections {sorted(gone)}")
    elif found.corrections not in (before.corrections, after.corrections):
        yield Complaint("other", f"{name} has the corrections {found.corrections}, neither the old nor the new ones")
    if found.highest < before.highest or found.highest < max(found.versions, default=0):
        yield Complaint("lost", f"{name} has the highest version {found.highest}: a number may be given twice")


def _judge_jobs(before: View, after: View, found: View) -> Iterator[Complaint]:
    for job_id in {*before.jobs, *after.jobs, *found.jobs}:
        old, new, is_ = (view.jobs.get(job_id) for view in (before, after, found))
        if is_ is None:
            if old is not None and new is not None:
                yield Complaint("lost", f"job {job_id}, {old.state}, is gone")
        elif old is None and new is None:
            if is_.state != "queued":
                yield Complaint("job", f"new job {job_id} is {is_.state}")
        elif _told(is_) not in [_told(job) for job in (old, new) if job is not None]:
            told = [_told(job) for job in (old, new) if job is not None]
            yield Complaint("job", f"job {job_id} is {_told(is_)}, none of {told}")
    if len(found.jobs) not in range(min(len(before.jobs), len(after.jobs)), max(len(before.jobs), len(after.jobs)) + 1):
        yield Complaint("job", f"{len(found.jobs)} jobs, and not {len(before.jobs)} or {len(after.jobs)}")


def _told(job: Job) -> tuple[object, ...]:
    """Return what a job says but for the times."""
    return job.state, job.attempt, job.cancel_requested, job.version, job.error, job.model_name


def shape(view: View) -> tuple[object, ...]:
    """Return all that can be seen but for ids, times and, where numbers were used up, the numbers themselves."""
    models = {}
    for name, seen in sorted(view.models.items()):
        numbers = sorted(seen.versions)
        models[name] = (
            len(numbers),
            numbers.index(seen.serving) if seen.serving in numbers else None,
            len(seen.history),
            seen.corrections,
        )
    return models, sorted((job.state, job.model_name, job.version is None) for job in view.jobs.values())


def corrections(view: View) -> dict[str, tuple[tuple[str, str, str], ...]]:
    """Return the corrections of each model that has some."""
    return {name: seen.corrections for name, seen in view.models.items() if seen.corrections}


def settle(root: Path, found: View) -> Iterator[Complaint]:
    """Do what a server does when it starts, in a store where nobody else works any more, and yield what is wrong then.

    Args:
        root: of the store.
        found: what was seen in it before.
    """
    try:
        store = Store(root)
        jobs = Jobs(store)
        store.sweep()
        jobs.recover()
    except PuppetError as error:
        yield Complaint("other", f"the recovery cannot be made: {error}")
        return
    if left := [path.name for path in (root / ".tmp").iterdir()]:
        yield Complaint("other", f"sweep leaves {left}")
    if told := jobs.recover():
        yield Complaint("job", f"a second recover finds {told}")
    now = look(root)
    for sentence in now.broken:
        yield Complaint("partial", f"after the recovery: {sentence}")
    if {name: seen.versions for name, seen in now.models.items()} != {
        name: seen.versions for name, seen in found.models.items()
    }:
        yield Complaint("other", "the recovery changes versions")
    if corrections(now) != corrections(found):
        yield Complaint("lost", f"the recovery makes the corrections {corrections(found)} {corrections(now)}")
    seen = set(CANARY.findall(str(corrections(now)).encode()))
    for path in root.rglob("*"):
        if path.is_file() and (hidden := set(CANARY.findall(path.read_bytes())) - seen):
            yield Complaint("other", f"no correction is seen that holds {hidden}, but {path.name} does")
    for job in now.jobs.values():
        yield from _judge_settled(jobs, now, job)
        earlier = found.jobs.get(job.id)
        if earlier is not None and earlier.state != "running" and _told(earlier) != _told(job):
            yield Complaint("job", f"the recovery makes a {earlier.state} job {job.state}")
    if lost := [job_id for job_id, job in found.jobs.items() if job_id not in now.jobs]:
        yield Complaint("lost", f"the recovery forgets the jobs {lost}")
    folders = {path.name for path in jobs.folder("0" * 32).parent.iterdir() if path.is_dir()}
    if folders - set(now.jobs):
        yield Complaint("other", f"folders of no job: {folders - set(now.jobs)}")


def _judge_settled(jobs: Jobs, now: View, job: Job) -> Iterator[Complaint]:
    """Yield what is wrong with a job that no living process runs."""
    made = {
        number: seen.versions[number]
        for name, seen in now.models.items()
        for number in seen.versions
        if name == job.model_name and f" {job.id} " in seen.versions[number]
    }
    if job.state == "running":
        yield Complaint("job", f"job {job.id} is stuck: it runs in no process")
    elif job.state == "succeeded" and job.version not in made:
        yield Complaint("lost", f"job {job.id} has succeeded, but its version {job.version} is not there")
    elif job.state != "succeeded" and made:
        yield Complaint("job", f"job {job.id} is {job.state}, but its version {list(made)} is there")
    elif job.state == "succeeded" and job.promote == "always" and now.models[job.model_name].serving not in made:
        yield Complaint("job", f"job {job.id} has succeeded, but its version {list(made)} does not serve")
    has_body = (jobs.folder(job.id) / BODY).exists()
    if job.state == "queued" and not has_body and jobs.folder(job.id).exists():
        yield Complaint("lost", f"job {job.id} waits, but its body is gone")
    if job.state != "queued" and has_body and not job.keep_data:
        yield Complaint("other", f"job {job.id} is {job.state}, and its tickets are still there")
