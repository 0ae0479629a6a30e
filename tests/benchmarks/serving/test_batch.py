"""`python -m benchmarks batch`: its arithmetic, and a learner's process of its own."""

from pathlib import Path

import click
import msgspec
import pytest

from artifacts.store.store import Store
from benchmarks.accuracy.sets import read_train
from benchmarks.common.bars import plot_lines
from benchmarks.load.contenders import Model, Stage
from benchmarks.load.workload import Workload
from benchmarks.serving import batch
from benchmarks.serving.batch import (
    FLOOR,
    HTTP,
    IN_PROCESS,
    Settings,
    Task,
    batch_at,
    batch_body,
    learn,
    learner_process,
    lines,
    make_sheet,
    measure_http,
    measure_sizes,
    summarise,
    training_file,
)
from tests.benchmarks.fake import fake_server, http
from tests.benchmarks.load.test_workload import common

TICKETS = [["client"], ["connexion", "client"], ["ticket"]]


def task(store: Store, learner: str) -> Task:
    """Return what a learner is told that needs no training file."""
    return Task(learner, Model(str(store.root), "puppet-o2"), "nowhere", TICKETS, [1, 4], 0.0, None, 0)


def test_batches_take_every_ticket_in_turn() -> None:
    """Sizes 1 and 2 of three tickets: each batch goes on where the last one ended, and has just its size."""
    asked: list[list[list[str]]] = []

    found = measure_sizes(lambda batch: asked.append(list(batch)), TICKETS, [1, 2], 0.0)

    assert set(found) == {"1", "2"}
    assert all(us > 0 for us in found.values())
    ones, twos = asked[1:4], asked[5:7]  # the first of each size is the warm-up
    assert ones == [[ticket] for ticket in TICKETS]
    assert twos == [TICKETS[:2], [TICKETS[2], TICKETS[0]]]


@pytest.mark.parametrize("learner", [FLOOR, IN_PROCESS])
def test_own_model_answers_in_process(store: Store, learner: str) -> None:
    """The floor gives a row of probabilities for each ticket, the classifier a category."""
    found = learn(task(store, learner))(TICKETS)

    assert len(found) == len(TICKETS)  # type: ignore[arg-type]


@pytest.mark.system
def test_learner_has_a_process_of_its_own(store: Store) -> None:
    """It measures a round each time it is asked, and ends when nobody asks any more; a broken one is an error."""
    with learner_process(task(store, IN_PROCESS)) as ask:
        first, second = ask(), ask()

    assert set(first) == set(second) == {"1", "4"}
    broken = msgspec.structs.replace(task(store, "svc"))
    with pytest.raises(click.ClickException, match="svc has ended"), learner_process(broken):
        pass


def test_synthetic_training_file_is_one(tmp_path: Path) -> None:
    """Without `--data` the peers learn the synthetic tickets; with it the set's own file."""
    with training_file(common()) as path:
        rows = read_train(path)
    assert len(rows.tickets) == 3000
    with training_file(common(data=str(tmp_path))) as path:
        assert path == tmp_path / "train.tokens.jsonl"


def test_one_ticket_is_asked_as_one() -> None:
    """A batch of one is a `vector`, of more it is `vectors`."""
    assert "vector" in msgspec.json.decode(batch_body("m", TICKETS[:1]))
    assert msgspec.json.decode(batch_body("m", TICKETS))["vectors"] == TICKETS


def test_server_is_asked_over_one_connection() -> None:
    """Both sizes are asked; a server that refuses a batch is not measured."""
    settings = Settings(common(seconds=0.01), [1, 2], [HTTP])
    work = Workload(settings.common, Stage({}, ""), TICKETS, {}, {})
    with fake_server(lambda _: http(200)) as fake:
        found = measure_http(settings, work, fake.address)
    assert set(found) == {"1", "2"}

    refused = pytest.raises(click.ClickException, match="did not answer")
    with fake_server(lambda _: http(503)) as fake, refused:
        measure_http(settings, work, fake.address)


def test_costs_are_compared_with_the_floor(tmp_path: Path) -> None:
    """Medians 10 and 25 us: 2.5 times; a learner that is not installed has an empty row and its reason."""
    settings = Settings(common(), [1], [FLOOR, IN_PROCESS, "fasttext"])
    measured = {FLOOR: [{"1": us} for us in (9.0, 10.0, 11.0)], IN_PROCESS: [{"1": us} for us in (20.0, 25.0, 30.0)]}

    numbers = summarise(settings, measured, {"fasttext": "fastText is not installed"})
    sheet = make_sheet(settings, numbers)
    plot_lines(tmp_path / "cost.png", [lines(numbers)], is_log=(True, True))

    assert numbers.costs[IN_PROCESS]["1"].over_floor == 2.5
    assert sheet.rows[1] == ["Puppet in process", "25.0", "2.50"]
    assert sheet.rows[2] == ["fastText in process (not measured)", "", ""]
    assert "Not measured: fastText is not installed." in sheet.notes
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_tickets_repeat_where_there_are_too_few() -> None:
    """A batch may be larger than all tickets."""
    assert batch_at(TICKETS, 0, 7) == [*TICKETS, *TICKETS, TICKETS[0]]
    assert batch.SIZES == (1, 8, 32, 256)
