"""Every change to a store and its jobs, each from the states that it may find: what the campaign interrupts.

A change is prepared once, in a copy of the fixture's store; that is the template which each fault begins with a copy
of. `begin` opens the store in a process of its own and returns the act, which is all that is interrupted. An act can be
repeated after any fault, on whatever the fault has left.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from artifacts.errors import (
    CorrectionNotFound,
    ModelExists,
    ModelNotFound,
    NothingToRollBack,
    PuppetError,
    VersionChanged,
    VersionNotFound,
    VersionServes,
)
from artifacts.jobs.jobs import Jobs
from artifacts.jobs.records import BODY, Job
from artifacts.store import feedback
from artifacts.store.feedback import Correction
from artifacts.store.store import Store

NAME, PRICES, UNTRAINED = "puppet-o2", "prices", "untrained"  # the models of tests/make_fixture.py
Deed = Callable[[Store], object]  # prepares a state, or is the change
LARGE_BYTES = 2**20


class Run(NamedTuple):
    """What a run process has."""

    store: Store
    jobs: Jobs
    job: Job


class Change(msgspec.Struct, frozen=True):
    """One change from one state.

    Attributes:
        name: of the change, and after a colon of the state.
        prepare: makes that state of the fixture's store.
        begin: returns the act.
        done: what a repetition may say because the first time has done it already.
        steps: how many changes it is made of, each of them whole: a fault may part them. Also 2 where the last flush is
            a step: what it is refused for may have been made (artifacts/store/feedback.py).
    """

    name: str
    prepare: Deed
    begin: Callable[[Path], Callable[[], object]]
    done: tuple[type[PuppetError], ...] = ()
    steps: int = 1


# What the states are made of


def nothing(store: Store) -> None:
    """Leave the store as it is."""


def publish(store: Store, name: str = NAME, *, serve: bool = True, job: Job | None = None, padding: int = 0) -> None:
    """Publish the fixture's version once more, as a job's run process does if there is a job."""
    manifest, files = store.read_version(name if name != UNTRAINED else NAME, 1)
    origin, guard = {}, None
    if job is not None:
        origin = {"job": job.id, "attempt": job.attempt}
        guard = Jobs(store).publishing(job.id, job.attempt)
    files["report.json"] += b" " * padding
    store.publish(msgspec.structs.replace(manifest, name=name, **origin), files, serve=serve, guard=guard)


def four(store: Store) -> None:
    """Have four versions, of which the last serves."""
    for _ in range(3):
        publish(store)


def publish_two(store: Store) -> None:
    """Publish a version of one model, then one of another."""
    publish(store)
    publish(store, PRICES)


def waiting(store: Store) -> None:
    """Have one version that waits to be promoted."""
    publish(store, serve=False)


def rolled_back(store: Store) -> None:
    """Have four versions, of which the third serves again."""
    four(store)
    store.rollback(NAME)


def deleted(store: Store) -> None:
    """Have deleted the model."""
    store.delete_model(NAME)


def made_again(store: Store) -> None:
    """Have deleted the model and made it again."""
    four(store)
    store.delete_model(NAME)
    store.create_model(NAME, "GRU")
    manifest, files = store.read_version(PRICES, 1)
    store.create_model("flats", "SimpleNN")
    store.publish(msgspec.structs.replace(manifest, name="flats"), files)


def left_over(store: Store) -> None:
    """Have what a crash may leave: an empty folder where the next version goes, and two folders in `.tmp`."""
    (store.root / NAME / "2").mkdir(mode=0o700)
    for number in range(2):
        shutil.copytree(store.root / NAME / "1", store.root / ".tmp" / f"{number:032x}" / "1")


def submit(jobs: Jobs, name: str = NAME, *, keep_data: bool = False, promote: str = "always", key: str = "") -> Job:
    """Ask for a training."""
    folder = jobs.new_folder()
    (folder / BODY).write_bytes(b'{"the": "body"}')
    return jobs.submit(
        folder,
        name,
        "GRU",
        keep_data=keep_data,
        promote=promote,
        idempotency_key=key or None,
        body_sha256="sha" if key else "",
    )


def claimed(jobs: Jobs) -> Job:
    """Return a job that this process runs; if none waits, one is asked for."""
    job = jobs.claim()
    if job is None:
        submit(jobs)
        job = jobs.claim()
    assert job is not None
    return job


def queued(store: Store) -> None:
    """Have one job that waits."""
    submit(Jobs(store))


def queued_first(store: Store) -> None:
    """Have one job that waits, of a model without a version."""
    submit(Jobs(store), UNTRAINED)


def queued_to_wait(store: Store) -> None:
    """Have one job that waits, and whose version is not to serve."""
    submit(Jobs(store), promote="never")


def queued_keeping(store: Store) -> None:
    """Have one job that waits, and whose data is kept."""
    submit(Jobs(store), keep_data=True)


def three_queued(store: Store) -> None:
    """Have three jobs that wait, the first two of one model."""
    jobs = Jobs(store)
    for name in (NAME, NAME, PRICES):
        submit(jobs, name)


def with_key(store: Store) -> None:
    """Have one job that was asked for with a key."""
    submit(Jobs(store), key="earlier")


def without_folder(store: Store) -> None:
    """Have a job that waits, whose folder is gone, and one that can run."""
    jobs = Jobs(store)
    shutil.rmtree(jobs.folder(submit(jobs).id))
    submit(jobs, PRICES)


def dead(store: Store, *, cancelled: bool = False, version: bool = False, num_jobs: int = 1) -> None:
    """Have jobs that run in no process, as after the process has died."""
    jobs = Jobs(store)
    for _ in range(num_jobs):
        submit(jobs, PRICES if _ else NAME)
    for _ in range(num_jobs):
        job = claimed(jobs)
        if version:
            manifest, files = store.read_version(NAME, 1)
            # Without the transaction: the moment after the rename and before the commit.
            store.publish(msgspec.structs.replace(manifest, job=job.id, attempt=1), files, serve=False)
        if cancelled:
            jobs.request_cancel(job.id)
        with jobs.run_lock(job.id):
            pass


def ended(store: Store) -> None:
    """Have three jobs that have ended, of which one kept its data, with data left over, and a folder of no job."""
    jobs = Jobs(store)
    for number in range(3):
        job = submit(jobs, keep_data=number == 0)
        jobs.request_cancel(job.id)
        (jobs.folder(job.id) / BODY).write_bytes(b"left over")
    (jobs.folder("0" * 32) / "made").mkdir(parents=True)
    (jobs.folder("0" * 32) / BODY).write_bytes(b"left over")


def correct(store: Store, number: int, content: int | None = None, padding: int = 0) -> None:
    """Keep a correction, whose ticket says which one it is (oracle.py looks for it in the files)."""
    text = f"canary-{number if content is None else content}" + " x" * (padding // 2)
    feedback.add(store, NAME, Correction(id=f"t-{number}", category="Facture", text=text), limit=100)


def corrected(store: Store) -> None:
    """Have three corrections."""
    for number in (1, 2, 3):
        correct(store, number)


def corrected_and_kept(store: Store) -> None:
    """Have three corrections, and the kept body of a training that has ended, in which the second one is."""
    corrected(store)
    jobs = Jobs(store)
    job = submit(jobs, keep_data=True)
    jobs.request_cancel(job.id)
    (jobs.folder(job.id) / BODY).write_bytes(b'{"training_data":[{"category":"Facture","id":"t-2","text":"canary-2"}]}')


# The acts that need what was opened before


def on_store(act: Deed) -> Callable[[Path], Callable[[], object]]:
    """Return the beginning of an act that needs the store only."""

    def begin(root: Path) -> Callable[[], object]:
        store = Store(root)
        return lambda: act(store)

    return begin


def on_jobs(act: Callable[[Jobs], object], keep_ended: int = 1000) -> Callable[[Path], Callable[[], object]]:
    """Return the beginning of an act that needs the jobs only."""

    def begin(root: Path) -> Callable[[], object]:
        jobs = Jobs(Store(root), keep_ended=keep_ended)
        return lambda: act(jobs)

    return begin


def on_run(act: Callable[[Run], object]) -> Callable[[Path], Callable[[], object]]:
    """Return the beginning of an act that needs a job which this process runs."""

    def begin(root: Path) -> Callable[[], object]:
        store = Store(root)
        jobs = Jobs(store)
        run = Run(store, jobs, claimed(jobs))
        return lambda: act(run)

    return begin


def submitting(key: str = "", sha256: str = "sha", padding: int = 0) -> Callable[[Path], Callable[[], object]]:
    """Return the beginning of a submit: the body is there."""

    def begin(root: Path) -> Callable[[], object]:
        jobs = Jobs(Store(root))
        folder = jobs.new_folder()
        (folder / BODY).write_bytes(b'{"the": "body"}' + b" " * padding)
        return lambda: jobs.submit(folder, NAME, "GRU", idempotency_key=key or None, body_sha256=sha256)

    return begin


def cancelling(run: bool) -> Callable[[Path], Callable[[], object]]:
    """Return the beginning of a cancel of a job that runs or that waits."""

    def begin(root: Path) -> Callable[[], object]:
        jobs = Jobs(Store(root))
        found = [job for job in jobs.list() if job.state == "queued"]
        job = claimed(jobs) if run else found[0] if found else submit(jobs)
        return lambda: jobs.request_cancel(job.id)

    return begin


def begin_finish_published(root: Path) -> Callable[[], object]:
    """Return the end of a run whose version is in its place."""
    store = Store(root)
    jobs = Jobs(store)
    job = claimed(jobs)
    manifest, files = store.read_version(NAME, 1)
    store.publish(msgspec.structs.replace(manifest, job=job.id, attempt=job.attempt), files, serve=False)
    return lambda: jobs.finish(job.id, job.attempt, "failed", "it failed")


def erasing(correction_id: str | None) -> Callable[[Path], Callable[[], object]]:
    """Return the beginning of an erasure of one correction, or of all."""

    def begin(root: Path) -> Callable[[], object]:
        store = Store(root)
        jobs = Jobs(store)
        return lambda: feedback.erase(store, jobs, NAME, correction_id)

    return begin


def once(jobs: Jobs) -> None:
    """Do something just once."""
    with jobs.once("a-key", "sha"):
        pass


def training(root: Path) -> Callable[[], object]:
    """Return the end of a whole training: asked for and claimed, to be published, and then it serves."""
    store = Store(root)
    jobs = Jobs(store)
    jobs.recover()  # what ran in a process before has ended with it
    for job in jobs.list():
        jobs.request_cancel(job.id)
    submitted = submit(jobs, PRICES)
    job = claimed(jobs)
    assert job.id == submitted.id

    def act() -> None:
        publish(store, PRICES, job=job)
        job_then = jobs.get(job.id)
        assert job_then.state == "succeeded"
        assert store.current(PRICES).version == job_then.version == store.versions(PRICES)[-1]

    return act


def recover_all(root: Path) -> Callable[[], object]:
    """Return what the server does when it starts: sweep the store, then put the jobs right."""
    store = Store(root)
    jobs = Jobs(store)
    return lambda: (store.sweep(), jobs.recover())


CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        Change("create:new", nothing, on_store(lambda store: store.create_model("new", "GRU")), (ModelExists,)),
        Change(
            "create:deleted before", deleted, on_store(lambda store: store.create_model(NAME, "GRU")), (ModelExists,)
        ),
        Change("publish:first", nothing, on_store(lambda store: publish(store, UNTRAINED))),
        Change("publish:second", nothing, on_store(publish)),
        Change("publish:fifth", four, on_store(publish)),
        Change("publish:not to serve", nothing, on_store(lambda store: publish(store, serve=False))),
        Change("publish:SimpleNN", nothing, on_store(lambda store: publish(store, PRICES))),
        Change("publish:large", nothing, on_store(lambda store: publish(store, padding=LARGE_BYTES))),
        Change("publish:after rollback", rolled_back, on_store(publish)),
        Change("publish:left-overs", left_over, on_store(publish)),
        Change("publish:two models", nothing, on_store(publish_two), steps=2),
        Change("promote:older", four, on_store(lambda store: store.promote(NAME, 2))),
        Change(
            "promote:never served",
            waiting,
            on_store(lambda store: store.promote(NAME, 2, expected=1)),
            (VersionChanged,),
        ),
        Change(
            "promote:there and back",
            four,
            on_store(lambda store: (store.promote(NAME, 1), store.promote(NAME, 4))),
            steps=2,
        ),
        Change("rollback:once", four, on_store(lambda store: store.rollback(NAME)), (NothingToRollBack,)),
        Change("rollback:further", rolled_back, on_store(lambda store: store.rollback(NAME)), (NothingToRollBack,)),
        Change(
            "delete version:oldest", four, on_store(lambda store: store.delete_version(NAME, 1)), (VersionNotFound,)
        ),
        Change(
            "delete version:newest",
            rolled_back,
            on_store(lambda store: store.delete_version(NAME, 4)),
            (VersionNotFound, VersionServes),
        ),
        Change("delete model:one version", nothing, on_store(lambda store: store.delete_model(NAME)), (ModelNotFound,)),
        Change("delete model:four versions", four, on_store(lambda store: store.delete_model(NAME)), (ModelNotFound,)),
        Change(
            "delete model:untrained", nothing, on_store(lambda store: store.delete_model(UNTRAINED)), (ModelNotFound,)
        ),
        Change(
            "delete model:deleted before",
            made_again,
            on_store(lambda store: store.delete_model(NAME)),
            (ModelNotFound,),
        ),
        Change("delete model:corrected", corrected, on_store(lambda store: store.delete_model(NAME)), (ModelNotFound,)),
        Change("correct:first", nothing, on_store(lambda store: correct(store, 1)), steps=2),
        Change("correct:one more", corrected, on_store(lambda store: correct(store, 4)), steps=2),
        Change("correct:known id", corrected, on_store(lambda store: correct(store, 2, content=20)), steps=2),
        Change("correct:large", corrected, on_store(lambda store: correct(store, 4, padding=2**17)), steps=2),
        Change("erase:one", corrected, erasing("t-2"), (CorrectionNotFound,), steps=2),
        Change("erase:all", corrected, erasing(None), steps=2),
        Change("erase:kept body", corrected_and_kept, erasing("t-2"), (CorrectionNotFound,), steps=2),
        Change("prune:one", four, on_store(lambda store: store.prune(NAME, 3))),
        Change("prune:two", four, on_store(lambda store: store.prune(NAME, 1))),
        Change("prune:nothing kept", rolled_back, on_store(lambda store: store.prune(NAME, 0))),
        Change("sweep:left-overs", left_over, on_store(lambda store: store.sweep())),
        Change("open jobs:new", nothing, lambda root: lambda: Jobs(Store(root))),
        Change("submit:first", nothing, submitting()),
        Change("submit:large", three_queued, submitting(padding=LARGE_BYTES)),
        Change("submit:key", nothing, submitting("new")),
        Change("submit:same key", with_key, submitting("earlier")),
        Change("once:key", queued, on_jobs(once)),
        Change("claim:one", queued, on_jobs(claimed)),
        Change("claim:of three", three_queued, on_jobs(claimed)),
        Change("claim:folder gone", without_folder, on_jobs(claimed)),
        Change("cancel:queued", queued, cancelling(run=False)),
        Change("cancel:queued, data kept", queued_keeping, cancelling(run=False)),
        Change("cancel:running", queued, cancelling(run=True)),
        Change(
            "finish:failed",
            queued,
            on_run(lambda run: run.jobs.finish(run.job.id, run.job.attempt, "failed", "it failed")),
        ),
        Change(
            "finish:interrupted",
            three_queued,
            on_run(lambda run: run.jobs.finish(run.job.id, run.job.attempt, "interrupted")),
        ),
        Change(
            "finish:data kept",
            queued_keeping,
            on_run(lambda run: run.jobs.finish(run.job.id, run.job.attempt, "cancelled")),
        ),
        Change("finish:published", queued, begin_finish_published, steps=2),
        Change("run:second", queued, on_run(lambda run: publish(run.store, job=run.job))),
        Change("run:first", queued_first, on_run(lambda run: publish(run.store, run.job.model_name, job=run.job))),
        Change("run:not to serve", queued_to_wait, on_run(lambda run: publish(run.store, job=run.job, serve=False))),
        Change("run:others wait", three_queued, on_run(lambda run: publish(run.store, job=run.job))),
        Change("recover:interrupted", dead, recover_all),
        Change("recover:cancelled", lambda store: dead(store, cancelled=True), recover_all),
        Change("recover:published", lambda store: dead(store, version=True), recover_all, steps=2),
        Change("recover:two dead", lambda store: dead(store, num_jobs=2), recover_all, steps=2),
        Change("recover:ended", ended, recover_all),
        Change("recover:forget", ended, on_jobs(Jobs.recover, keep_ended=1), steps=2),
    )
}

# What any store must be able to do after any fault.
TRAINING = Change("a whole training", nothing, training)
RECOVERY = Change("recovery", nothing, recover_all)
ALL = CHANGES | {change.name: change for change in (TRAINING, RECOVERY)}
