"""Whether a search fails, waits or mixes two versions while the version that serves is changed 200 times.

The server's real command with `--workers` workers; an open loop of `--rate` searches a second (client.py) while every
`--every` seconds a promotion makes the other of two versions serve. The two were trained apart, and the second one's
categories have changed places, so that a graph of one with the labels of the other would answer as neither. Before the
load each version is asked every ticket, and each answer of the load is compared with that of the version that it names.

Wanted: 0 failures, 0 answers that are not of the version that they name, and no answer of the old version later than
250 ms after a promotion was answered. For comparison the same load runs before without a promotion.

The generator shares the cores with the workers, where there are no more than these. Its lateness is reported; here it
voids nothing, because what counts are answers and not milliseconds, and it makes the latency longer and never shorter.
"""

# Axes: N requests of a run.

import asyncio
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from artifacts.store.store import Store
from benchmarks.common import machine, options, report
from benchmarks.load.client import (
    SHORT_SPIN_S,
    Address,
    Calls,
    Connection,
    new_sleeping_loop,
    open_loop,
    post,
    quiet,
    schedule,
)
from benchmarks.load.searches import OneAnswer, first_answers, make_tickets, search_body, train, trained_store
from benchmarks.load.server import running_server
from benchmarks.training.training_summary import Quantiles, quantiles
from trainer.cli.terminal import shows_errors

MIN_SWAPS = 200
SETTLED_S = 5.0  # in which every worker must serve what was promoted before the load
CONFIDENCE = 1e-4  # by which a confidence may differ: as golden rows may; the two versions differ by far more
TARGET_LAG_MS = 250.0  # from the answer to a promotion to the last answer of the version before


class Settings(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names."""

    name: str
    swaps: int
    every: float
    rate: float
    workers: int
    connections: int
    tokens: int
    seed: int


class Numbers(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        alone, swapping: latency of the answered requests without and with promotions.
        lateness_alone_p99_ms, lateness_swapping_p99_ms: of the generator, which is in the latency.
        num_calls: during the promotions.
        num_refused: of them, 503.
        num_errors: of them, neither 200 nor 503.
        num_wrong: answers that are not those of the version that they name.
        num_by_version: answers of each.
        num_swaps: promotions that were answered with 200.
        num_failed_swaps: others.
        promote_ms: how long a promotion took, in milliseconds: median and longest.
        lag_ms: from the answer to a promotion to the last answer of the version before; median and longest.
        void_because: why this is no result.
    """

    alone: Quantiles
    swapping: Quantiles
    lateness_alone_p99_ms: float
    lateness_swapping_p99_ms: float
    num_calls: int
    num_refused: int
    num_errors: int
    num_wrong: int
    num_by_version: dict[int, int]
    num_swaps: int
    num_failed_swaps: int
    promote_ms: tuple[float, float]
    lag_ms: tuple[float, float]
    void_because: list[str]


class Swap(NamedTuple):
    """A promotion: to which version, and when it was asked for and answered, on the clock of `time.perf_counter`."""

    version: int
    asked_s: float
    answered_s: float
    status: int


class Given(NamedTuple):
    """An answer of the load: which version it names, when it came, and whether it is the one of that version."""

    version: int
    at_s: float
    is_right: bool


@click.command("swaps")
@options.name("Model to train and ask.")
@click.option("--swaps", type=click.IntRange(1), default=MIN_SWAPS, show_default=True, help="Fewer are void.")
@click.option("--every", type=click.FloatRange(0.05, 60), default=0.3, show_default=True, help="Seconds, a promotion.")
@options.rate
@options.workers
@options.connections(32, 500, "Of the open loop.")
@options.tokens
@options.seed
@options.save
@shows_errors
def swaps_command(save: bool, **given: Any) -> None:
    """Change the serving version under load, and look at every answer."""
    here = machine.read_machine()
    settings = options.read(Settings, given)
    with trained_store(settings.name) as store:
        numbers = measure(settings, store, add_versions(store, settings.name))
    found = machine.result("swaps", here, settings, numbers)
    report.conclude(found, [make_sheet(settings, numbers)], [], numbers.void_because, save)


def add_versions(store: Path, name: str) -> tuple[int, int]:
    """Return two versions that answer every ticket in different ways: the one that is there, and a new one.

    Raises:
        click.ClickException: none can be trained.
    """
    first = Store(store).current(name).version
    train(store, name, None, "seed=1", "refit=False")
    return first, publish_permuted(Store(store), name)


def publish_permuted(store: Store, name: str) -> int:
    """Publish a further version that names each category by another, and return its number.

    Its graph and golden rows are those of the version that serves.
    """
    manifest, files = store.read_version(name, store.current(name).version)
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    return store.publish(manifest, files | {"labels.json": msgspec.json.encode(labels[1:] + labels[:1])}).version


def measure(settings: Settings, store: Path, versions: tuple[int, int]) -> Numbers:
    """Return what the load saw without and with promotions."""
    tickets = make_tickets(None, settings.tokens, settings.seed).fixed
    with running_server(store, workers=settings.workers) as server:
        address = Address.of(server.url)
        searches = [post(address, "/search", search_body(settings.name, ticket)) for ticket in tickets]
        golden: dict[int, list[OneAnswer]] = {}
        for version in versions:
            promote_and_settle(settings, address, version, searches[0])
            golden[version] = first_answers(address, searches, OneAnswer)
        check_golden(golden)
        given: list[Given] = []

        def take(number: int, body: bytes) -> None:
            at_s = time.perf_counter()
            answer = msgspec.json.decode(body, type=OneAnswer)
            right = is_right(answer, golden, number % len(searches))
            given.append(Given(answer.version, at_s, right))

        def load(seconds: float, part: int) -> Calls:
            arrivals_N = schedule(settings.rate, seconds, [settings.seed, part])
            with quiet(), asyncio.Runner(loop_factory=new_sleeping_loop) as runner:
                return runner.run(
                    open_loop(address, searches, arrivals_N, settings.connections, spin_s=SHORT_SPIN_S, take=take)
                )

        seconds = settings.swaps * settings.every
        load(1.0, 0)
        alone = load(min(seconds, 20.0), 1)
        given.clear()
        swaps: list[Swap] = []
        start = time.perf_counter() + 0.2
        swapper = threading.Thread(target=swap, args=(settings, address, versions, start, swaps))
        swapper.start()
        swapping = load(seconds + 0.5, 2)  # it outlasts the last promotion's time
        swapper.join()
    return summarise(settings, alone, swapping, swaps, given)


def promote(settings: Settings, address: Address, version: int) -> int:
    """Let a version serve, and return the status of the answer."""
    body = msgspec.json.encode({"version": version})
    with Connection(address) as connection:
        status, _ = connection.call(post(address, f"/models/{settings.name}/promote", body))
    return status


def promote_and_settle(settings: Settings, address: Address, version: int, search: bytes) -> None:
    """Let a version serve, and wait until every worker does.

    Raises:
        click.ClickException: they do not.
    """
    status = promote(settings, address, version)
    deadline = time.monotonic() + SETTLED_S
    # Each on a connection of its own: the kernel spreads them over the workers.
    while status != 200 or any(first_answers(address, [search], OneAnswer)[0].version != version for _ in range(32)):
        if status != 200 or time.monotonic() > deadline:
            raise click.ClickException(f"version {version} does not serve {SETTLED_S:.0f} s after its promotion")


def check_golden(golden: dict[int, list[OneAnswer]]) -> None:
    """Do nothing if the two versions answer every ticket with another category and another confidence.

    Raises:
        click.ClickException: they do not, so a mixture of them could not be seen.
    """
    first, second = golden.values()
    num_same = sum(
        one.category == other.category or abs(one.confidence - other.confidence) <= 2 * CONFIDENCE
        for one, other in zip(first, second, strict=True)
    )
    if num_same > len(first) // 10:
        raise click.ClickException(
            f"the two versions answer {num_same} of {len(first)} tickets alike; nothing is shown"
        )


def is_right(answer: OneAnswer, golden: dict[int, list[OneAnswer]], ticket: int) -> bool:
    """Return whether an answer is that of the version that it names, to this ticket."""
    if answer.version not in golden:
        return False
    expected = golden[answer.version][ticket]
    return (
        answer.category == expected.category
        and abs(answer.confidence - expected.confidence) <= CONFIDENCE
        and answer.unknown_tokens == expected.unknown_tokens
        and answer.model_name == expected.model_name
    )


def swap(settings: Settings, address: Address, versions: tuple[int, int], start_s: float, swaps: list[Swap]) -> None:
    """Promote the versions in turn, one every so often from `start_s` on; append each to `swaps`."""
    for number in range(settings.swaps):
        time.sleep(max(0.0, start_s + number * settings.every - time.perf_counter()))
        version = versions[number % 2]  # the second serves at the start
        asked_s = time.perf_counter()
        try:
            status = promote(settings, address, version)
        except OSError:
            status = 0
        swaps.append(Swap(version, asked_s, time.perf_counter(), status))


def lags_ms(swaps: list[Swap], given: list[Given]) -> list[float]:
    """Return for each promotion how long after its answer the last answer of another version came; 0 if none did.

    The last promotion's time ends with the load; any other's with the next promotion.
    """
    ends = [swap.asked_s for swap in swaps[1:]] + [float("inf")]
    found = []
    for one, end in zip(swaps, ends, strict=True):
        late = [answer.at_s for answer in given if one.answered_s < answer.at_s < end and answer.version != one.version]
        found.append((max(late) - one.answered_s) * 1e3 if late else 0.0)
    return found


def summarise(settings: Settings, alone: Calls, swapping: Calls, swaps: list[Swap], given: list[Given]) -> Numbers:
    """Return the numbers of a run."""
    lags = sorted(lags_ms(swaps, given))
    taken = sorted((one.answered_s - one.asked_s) * 1e3 for one in swaps)
    by_version: dict[int, int] = {}
    for answer in given:
        by_version[answer.version] = by_version.get(answer.version, 0) + 1
    reasons = []
    if len(swaps) < MIN_SWAPS:
        reasons.append(f"{len(swaps)} promotions, a result has at least {MIN_SWAPS}")
    if len(by_version) < 2:
        reasons.append("one version gave every answer, so nothing was swapped")
    if lags[-1] > 0.9 * settings.every * 1e3:
        reasons.append("a version still answered when the next promotion came; choose a longer --every")
    return Numbers(
        alone=quantiles(alone.latency_s),
        swapping=quantiles(swapping.latency_s),
        lateness_alone_p99_ms=quantiles(alone.lateness_s).p99_ms,
        lateness_swapping_p99_ms=quantiles(swapping.lateness_s).p99_ms,
        num_calls=len(swapping.statuses),
        num_refused=swapping.num_refused,
        num_errors=swapping.num_errors,
        num_wrong=sum(not answer.is_right for answer in given),
        num_by_version=dict(sorted(by_version.items())),
        num_swaps=sum(one.status == 200 for one in swaps),
        num_failed_swaps=sum(one.status != 200 for one in swaps),
        promote_ms=(round(taken[len(taken) // 2], 1), round(taken[-1], 1)),
        lag_ms=(round(lags[len(lags) // 2], 1), round(lags[-1], 1)),
        void_because=reasons,
    )


def make_sheet(settings: Settings, numbers: Numbers) -> report.Sheet:
    """Return the table for people."""

    def row(what: str, found: Quantiles, lateness: float) -> list[str]:
        return [what, *(f"{value:.3f}" for value in msgspec.structs.astuple(found)), f"{lateness:.3f}"]

    rows = [
        row("one version serves", numbers.alone, numbers.lateness_alone_p99_ms),
        row("versions change", numbers.swapping, numbers.lateness_swapping_p99_ms),
    ]
    shares = ", ".join(f"{count} of version {version}" for version, count in numbers.num_by_version.items())
    notes = [
        f"{numbers.num_swaps} promotions, {numbers.num_failed_swaps} failed; {numbers.num_calls} searches meanwhile: "
        f"{numbers.num_errors} errors, {numbers.num_refused} refused; wanted: 0 failures.",
        f"{numbers.num_wrong} answers are not those of the version that they name, wanted 0; {shares}.",
        f"A promotion took {numbers.promote_ms[0]:.0f} ms, {numbers.promote_ms[1]:.0f} ms at worst. After its answer "
        f"the version before gave its last answer within {numbers.lag_ms[0]:.0f} ms, {numbers.lag_ms[1]:.0f} ms at "
        f"worst, wanted {TARGET_LAG_MS:.0f} ms.",
        f"Milliseconds. Open loop of {settings.rate:g} a second, {settings.workers} workers, a promotion every "
        f"{settings.every:g} s. The generator shares the cores with the workers; how late it was is in the latency.",
    ]
    columns = ["what", "p50", "p99", "p99.9", "max", "late p99"]
    return report.Sheet(f"What a search sees of {settings.swaps} hot swaps: {settings.name}", columns, rows, notes)
