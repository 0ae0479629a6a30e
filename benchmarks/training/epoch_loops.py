"""The training loop, and the loops that one would write first, timed on the same tickets from the same weights.

The trainer's loop puts tickets of like length into a batch, warms its rate up and cools it down, clips the gradient.
The others shuffle, pad, and take plain AdamW with one rate. All train the same network (one GRU of the default recipe),
one thread, in one process, turn by turn, after a few steps to warm up.
"""

# Axes: B tickets in the batch, T tokens (padded), N tickets of the set.

import copy
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click
import msgspec
import numpy as np

from artifacts.kinds import kind_named
from artifacts.networks.gru import pad
from artifacts.text.vocabulary import PAD, Encoded, Vocabulary, build_rows
from benchmarks.accuracy.sets import KIND, read_train
from benchmarks.common.arithmetic import BACKWARD, network_flops, peak_flops
from benchmarks.common.rounds import interleaved
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig, read_config
from trainer.kinds import trainer_of

if TYPE_CHECKING:  # importing torch takes seconds, and only the measuring process needs it
    from trainer.gru.model import TicketClassifier

WARM_STEPS = 5


class Loop(msgspec.Struct, frozen=True):
    """A way to train for an epoch.

    Attributes:
        name: for people.
        batches: `trainer` is its whole loop, `buckets` its batches alone.
        reads_padding: say that every ticket is as long as the matrix is wide.
        to_longest: pad to the longest ticket of the set, and not of the batch. The network takes no matrix that is
            wider than its longest ticket, so such a loop reads the padding.
    """

    name: str
    batches: Literal["trainer", "buckets", "shuffled"]
    reads_padding: bool = False
    to_longest: bool = False


LOOPS = (
    Loop("the trainer's loop", "trainer"),  # first, for the others are compared with it
    Loop("its batches, plain AdamW", "buckets"),
    Loop("shuffled, padded to the batch", "shuffled"),
    Loop("the same, the GRU reads the padding", "shuffled", reads_padding=True),
    Loop("padded to the whole set, reads it", "shuffled", reads_padding=True, to_longest=True),
)


class Material(NamedTuple):
    """What every loop learns from.

    Attributes:
        tickets: encoded.
        targets: the label of each.
        words: in row order.
        config: resolved.
        longest: tokens of the longest ticket of the set.
    """

    tickets: list[Encoded]
    targets: list[int]
    words: list[str]
    num_categories: int
    config: TrainConfig
    longest: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each ticket."""
        return [len(ticket.ids) for ticket in self.tickets]


class Task(msgspec.Struct, frozen=True):
    """What a measuring process is told on stdin; a fit is one round."""

    train: Path
    overrides: tuple[str, ...]
    rounds: int = 1


class Taken(msgspec.Struct, frozen=True):
    """What an epoch took, in seconds of the clock and of the processor."""

    seconds: float
    cpu_seconds: float


class Measured(msgspec.Struct, frozen=True):
    """What the process of the loops gives back.

    Attributes:
        num_tokens: of all tickets together, padding not counted.
        flops: of an epoch, forwards and backwards.
        peak_flops: a second, of one core.
        padding: of each loop, the share of what the network is given that is padding.
        taken: of each loop, each round.
    """

    num_tickets: int
    num_tokens: int
    longest: int
    batch: int
    flops: int
    peak_flops: float
    padding: list[float]
    taken: list[list[Taken]]


@click.command("loops", hidden=True)
@shows_errors
def loops_command() -> None:
    """Time the loops on what stdin says, and print what they took as JSON."""
    click.echo(msgspec.json.encode(time_loops(read_task())).decode())


def read_task() -> Task:
    """Return what stdin says."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Task, dec_hook=lambda _, path: Path(path))


def read_material(path: Path, overrides: tuple[str, ...]) -> Material:
    """Return a training file as the trainer encodes it.

    Raises:
        InvalidInput: the file does not fit.
    """
    rows = read_train(path)
    config = trainer_of(kind_named(KIND)).resolved(read_config(TrainConfig, None, overrides), rows)
    assert isinstance(config, TrainConfig), "settings of another kind; this is our bug"
    words = build_rows(rows.tokens, config.min_count, config.max_vocabulary)
    vocabulary = Vocabulary(words, config.ngram_buckets)
    label_of = {category: label for label, category in enumerate(sorted(rows.categories))}
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    return Material(
        tickets,
        [label_of[ticket.expected] for ticket in rows.tickets],
        list(words),
        len(label_of),
        config,
        max(len(ticket.ids) for ticket in tickets),
    )


def time_loops(task: Task) -> Measured:
    """Return what each loop takes on one thread, the rounds interleaved."""
    import torch

    from trainer.gru.model import TicketClassifier

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # as the trainer has it
    material = read_material(task.train, task.overrides)
    torch.manual_seed(material.config.seed)
    untrained = TicketClassifier(material.words, material.num_categories, material.config)
    lengths = material.lengths
    num_few = WARM_STEPS * material.config.batch
    few = material._replace(tickets=material.tickets[:num_few], targets=material.targets[:num_few])

    def timed(loop: Loop) -> Taken:
        model = copy.deepcopy(untrained)
        start, cpu_start = time.perf_counter(), time.process_time()
        run_loop(loop, model, material)
        return Taken(time.perf_counter() - start, time.process_time() - cpu_start)

    for loop in LOOPS:
        run_loop(loop, copy.deepcopy(untrained), few)
    taken = interleaved([partial(timed, loop) for loop in LOOPS], task.rounds)
    forwards = network_flops(untrained).of(len(lengths), sum(lengths))
    return Measured(
        num_tickets=len(lengths),
        num_tokens=sum(lengths),
        longest=material.longest,
        batch=material.config.batch,
        flops=(1 + BACKWARD) * forwards,
        peak_flops=peak_flops(),  # when the core has had work for minutes and its clock has settled
        padding=[padding_share(lengths, batches_of(loop, material), width(loop, material)) for loop in LOOPS],
        taken=taken,
    )


def run_loop(loop: Loop, model: "TicketClassifier", material: Material) -> None:
    """Train a model in place for an epoch."""
    if loop.batches != "trainer":
        plain_epoch(loop, model, material)
        return
    from trainer.gru import train

    once = msgspec.structs.replace(material.config, epochs=1)
    train.train(model, material.tickets, material.targets, [], [], once)


def plain_epoch(loop: Loop, model: "TicketClassifier", material: Material) -> None:
    """Train a model in place for an epoch as one would write it first: a batch, the loss, a step of AdamW."""
    import torch
    from torch import nn

    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=material.config.lr)
    targets_N = torch.tensor(material.targets)
    model.train()
    for chosen in batches_of(loop, material):
        arrays = pad([material.tickets[i] for i in chosen], len(material.words))
        ids_BT, lengths_B, grams_UK = (torch.from_numpy(array).long() for array in arrays)
        num_missing = max(0, width(loop, material) - ids_BT.shape[1])
        ids_BT = nn.functional.pad(ids_BT, (0, num_missing), value=PAD)
        if loop.reads_padding:
            lengths_B = torch.full_like(lengths_B, ids_BT.shape[1])
        loss = criterion(model(ids_BT, lengths_B, grams_UK), targets_N[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def width(loop: Loop, material: Material) -> int:
    """Return how wide a loop's matrices are at least."""
    return material.longest if loop.to_longest else 1


def batches_of(loop: Loop, material: Material) -> Iterator[list[int]]:
    """Return the ticket numbers of each batch of an epoch; those of the trainer's loop are drawn as it draws them."""
    random = np.random.default_rng(material.config.seed)
    if loop.batches == "shuffled":
        return shuffled(len(material.tickets), material.config.batch, random)
    from trainer.gru.train import batches

    return batches(material.lengths, material.config.batch, random)


def shuffled(num_tickets: int, size: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Yield the ticket numbers of each batch, in random order."""
    order = random.permutation(num_tickets).tolist()
    for start in range(0, num_tickets, size):
        yield order[start : start + size]


def padding_share(lengths: Sequence[int], batches: Iterator[list[int]], at_least: int) -> float:
    """Return which share of the matrices' places holds no token.

    Args:
        lengths: of each ticket.
        batches: ticket numbers.
        at_least: tokens that every matrix is wide.
    """
    num_places = sum(len(chosen) * max(at_least, *(lengths[i] for i in chosen)) for chosen in batches)
    return 1.0 - sum(lengths) / num_places
