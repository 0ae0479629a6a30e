"""`python -m benchmarks epoch`: which loops are timed, that they learn, and what an epoch of each is compared with."""

import json
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.training import epoch
from benchmarks.training.epoch import choose_files, measure_fits, time_fit
from benchmarks.training.epoch_loops import (
    LOOPS,
    Measured,
    Taken,
    Task,
    batches_of,
    padding_share,
    plain_epoch,
    read_material,
    run_loop,
    shuffled,
    time_loops,
    width,
)
from benchmarks.training.epoch_summary import Numbers, Settings, make_sheet, summarise
from tests.trainer.small import json_rows, tickets
from trainer.config import TrainConfig

SMALL = ("embedding=8", "hidden=8", "ngram_buckets=64", "batch=8", "lr=0.02", "min_count=1", "folds=1", "epochs=1")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give a training file of four categories with 8 tickets each."""
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in json_rows(tickets(8))), "utf-8")
    return path


def measured(*seconds: float) -> Measured:
    """Return loops of which each took so long on the processor in both rounds, and twice that by the clock."""
    taken = [[Taken(2 * one, one)] * 2 for one in seconds]
    return Measured(1000, 8000, 40, 64, 3_000_000, 6e7, [0.1 * place for place in range(len(seconds))], taken)


def test_padding_share_of_two_batches() -> None:
    """Lengths 1, 3 and 2, 2: places 2 x 3 and 2 x 2, tokens 8 of 10; at least 5 wide: 8 of 20."""
    lengths, batches = [1, 2, 3, 2], [[0, 2], [1, 3]]

    assert padding_share(lengths, iter(batches), 1) == pytest.approx(0.2)
    assert padding_share(lengths, iter(batches), 5) == pytest.approx(0.6)


def test_shuffled_batches_hold_each_ticket_once() -> None:
    """Eleven tickets, four a batch; another seed gives another order."""
    found, other = (list(shuffled(11, 4, np.random.default_rng(seed))) for seed in (0, 1))

    assert [len(batch) for batch in found] == [4, 4, 3]
    assert sorted(ticket for batch in found for ticket in batch) == list(range(11))
    assert found != other


def test_numbers_of_a_set() -> None:
    """Ceiling: an epoch of 3e6 operations at 6e7 a second is 20 epochs of 1000 tickets a second.

    The trainer's loop takes 2 s, 500 tickets a second; a loop of twice its processor time has a ratio of 2.
    """
    numbers = summarise("a", measured(1.0, 0.5, 2.0, 2.5, 4.0), {1: [10.0, 12.0], 2: [6.0, 5.0]})

    assert (numbers.ceiling_tickets_per_s, numbers.flops_per_token) == (20_000, 375)
    assert [line.times_ours.median for line in numbers.loops] == [1.0, 0.5, 2.0, 2.5, 4.0]
    ours = numbers.loops[0]
    assert (ours.tickets_per_s.median, ours.epoch_s.median, ours.cpu_s.median) == (500, 2.0, 1.0)
    assert ours.ceiling_share == 0.025
    assert [fits.seconds.median for fits in numbers.fits] == [11.0, 5.5]


def test_table_has_the_ceiling_first_and_says_what_a_second_core_gains() -> None:
    """A row for the ceiling and one a loop; 11 s and 5.5 s: twice as fast."""
    one = summarise("a", measured(1.0, 0.5, 2.0, 2.5, 4.0), {1: [10.0, 12.0], 2: [6.0, 5.0]})
    alone = summarise("b", measured(1.0, 0.5, 2.0, 2.5, 4.0), {1: [10.0]})
    none = summarise("c", measured(1.0, 0.5, 2.0, 2.5, 4.0), {})

    sheet = make_sheet(Settings(TrainConfig(), 2, 2), Numbers([one, alone, none], []))

    assert [row[0] for row in sheet.rows[:2]] == ["a: ceiling", "a: the trainer's loop"]
    assert sheet.rows[2][1:] == ["1000", "1000 to 1000", "1.00", "0.50", "0.50", "0.50 to 0.50", "5.0 %", "10 %"]
    assert len(sheet.rows) == 3 * (1 + len(LOOPS))
    assert {len(row) for row in sheet.rows} == {len(sheet.columns)}
    assert any(
        note.endswith("on 2 cores 5.5 s (5.0 to 6.0): 2.00 times as fast, of 2 at most.") for note in sheet.notes
    )
    assert any(note.startswith("b: the whole training takes on 1 core 10.0 s") for note in sheet.notes)
    assert not any(note.startswith("c: the whole training") for note in sheet.notes)


def test_command_asks_a_process_for_the_loops_and_one_for_each_training(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loops once, a training once; the last line is JSON, and names no folder of this machine."""
    asked: list[str] = []

    def in_process(command: str, task: Task) -> bytes:
        asked.append(command)
        assert (task.train, task.overrides[:1]) == (data, ("epochs=1",))
        return msgspec.json.encode(measured(1.0, 0.5, 2.0, 2.5, 4.0) if command == "loops" else 10.0)

    monkeypatch.setattr(epoch, "in_process", in_process)
    monkeypatch.setattr(epoch, "PROCESSES", "no_such_field")

    done = CliRunner().invoke(epoch.epoch_command, ["--data", str(data), "--set", "epochs=1", "--fits", "1"])

    assert done.exit_code == 0, done.output
    last = done.stdout.splitlines()[-1]
    (one,) = json.loads(last)["numbers"]["sets"]
    assert asked == ["loops", "one-fit"]
    assert (one["label"], len(one["loops"]), one["fits"][0]["seconds"]["median"]) == ("train.jsonl", len(LOOPS), 10.0)
    assert str(data.parent) not in last


def test_training_is_measured_on_two_cores_only_where_the_trainer_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting one and two processes take turns, each told its number; without it one, told nothing."""
    asked: list[tuple[str, ...]] = []

    def in_process(command: str, task: Task) -> bytes:
        asked.append(task.overrides)
        return b"1.5"

    monkeypatch.setattr(epoch, "in_process", in_process)
    monkeypatch.setattr(epoch, "PROCESSES", "threads")  # stands for a setting that the trainer has
    task = Task(Path("train"), ("epochs=1",))

    assert measure_fits(task, 2, num_cores=2) == {1: [1.5, 1.5], 2: [1.5, 1.5]}
    assert [words[1] for words in asked] == ["threads=1", "threads=2", "threads=2", "threads=1"]
    assert measure_fits(task, 1, num_cores=1) == {1: [1.5]}
    monkeypatch.setattr(epoch, "PROCESSES", "no_such_field")
    assert measure_fits(task, 1, num_cores=2) == {1: [1.5]}
    assert asked[-1] == ("epochs=1",)


def test_data_are_a_file_or_a_folder_of_sets(data: Path) -> None:
    """A file is taken as it is; of a folder the training files of its sets; a set of a file is refused."""
    (data.parent / "sets" / "small").mkdir(parents=True)
    for name in ("train", "test"):
        (data.parent / "sets" / "small" / f"{name}.jsonl").touch()

    assert choose_files(data, ()) == [("train.jsonl", data)]
    folder = data.parent / "sets"
    assert choose_files(folder, ()) == [("small (text)", folder / "small" / "train.jsonl")]
    with pytest.raises(click.UsageError, match="is a file"):
        choose_files(data, ("small",))


@pytest.mark.torch
def test_every_loop_trains_the_network_on_every_ticket(data: Path) -> None:
    """After an epoch of each the weights are others; the batches of each hold each ticket once."""
    import torch

    from trainer.gru.model import TicketClassifier

    material = read_material(data, SMALL)
    assert material.longest == max(material.lengths)
    for loop in LOOPS:
        torch.manual_seed(0)
        network = TicketClassifier(material.words, material.num_categories, material.config)
        before = network.head.weight.detach().clone()

        run_loop(loop, network, material)

        assert not torch.equal(before, network.head.weight), loop.name
        assert sorted(i for batch in batches_of(loop, material) for i in batch) == list(range(32))


@pytest.mark.torch
def test_padded_network_is_told_that_tickets_are_longer(data: Path) -> None:
    """The network sees the true lengths, or those of the batch, or the longest of the set."""
    import torch

    material = read_material(data, SMALL)
    material = material._replace(longest=9)
    seen: list[tuple[int, set[int]]] = []

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(material.num_categories))

        def forward(self, ids_BT: torch.Tensor, lengths_B: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            seen.append((ids_BT.shape[1], set(lengths_B.tolist())))
            return self.bias.expand(len(ids_BT), -1)

    for loop, widths in ((LOOPS[2], {4, 5, 6}), (LOOPS[3], {4, 5, 6}), (LOOPS[4], {9})):
        seen.clear()
        plain_epoch(loop, Network(), material)  # type: ignore[arg-type]  # a stand-in

        assert {wide for wide, _ in seen} <= widths
        assert width(loop, material) == (9 if loop is LOOPS[4] else 1)
        if loop.reads_padding:
            assert all(lengths == {wide} for wide, lengths in seen)
        else:
            assert set(material.lengths) == set().union(*(lengths for _, lengths in seen))


@pytest.mark.torch
def test_loops_and_a_whole_training_are_timed(data: Path) -> None:
    """Two rounds of each loop on 32 tickets, and a training that is published; no time is judged."""
    found = time_loops(Task(data, SMALL, 2))

    assert [len(taken) for taken in found.taken] == [2] * len(LOOPS)
    assert all(one.seconds > 0 for taken in found.taken for one in taken)
    assert found.num_tickets == 32
    assert found.flops == 3 * (1536 * found.num_tokens + 2 * 4 * 32 * 32)
    assert found.padding[4] >= found.padding[2] >= 0
    assert time_fit(Task(data, (*SMALL, "refit=false", "grus=1"))) > 0
