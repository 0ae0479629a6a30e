"""What is asked of /search and what answers: tickets, a request for each, and a model trained for the occasion."""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import click
import msgspec
import numpy as np

from artifacts.text.tickets import Prediction, TicketSearch
from benchmarks.accuracy.sets import KIND, read_test
from benchmarks.common import machine
from benchmarks.load.client import Address, BadAnswer, Connection
from trainer.samples.synthetic import generate

A = TypeVar("A")

NUM_TICKETS = 256  # distinct ones: enough that no cache holds just them
NUM_SYNTHETIC = 3000  # of which they are made, the default of `puppet-train sample`

Content = list[str] | str


class OneAnswer(Prediction, frozen=True, kw_only=True):
    """The answer to one ticket, which always names its model and version."""

    model_name: str
    version: int


class Tickets(NamedTuple):
    """What is asked: tickets of a fixed length, and the mixture that the open loop sends."""

    fixed: list[list[str]]
    mixed: Sequence[Content]


def make_tickets(data: Path | None, num_tokens: int, seed: int) -> Tickets:
    """Return the same tickets for the same seed: those of a file, or synthetic ones, in random order.

    The fixed ones are cut out of the row of all their tokens, so that the mixture of words stays what it is.

    Raises:
        InvalidInput: the file does not fit.
    """
    contents: list[Content] = []
    if data is not None:
        rows = read_test(data)
        order = np.random.default_rng(seed).permutation(len(rows.tickets)).tolist()
        contents = [rows.tickets[row].content for row in order]
        words = [rows.tokens[row] for row in order]
    else:
        words = [tokens for _, tokens in generate(NUM_SYNTHETIC, seed)]
    endless = itertools.chain.from_iterable(itertools.cycle(words))
    fixed = [list(itertools.islice(endless, num_tokens)) for _ in range(NUM_TICKETS)]
    return Tickets(fixed, contents or fixed)


def search_body(name: str, ticket: Content, kind: str = KIND) -> bytes:
    """Return the body of a search for one ticket."""
    if isinstance(ticket, str):
        return msgspec.json.encode(TicketSearch(name=name, neural_network_type=kind, text=ticket))
    return msgspec.json.encode(TicketSearch(name=name, neural_network_type=kind, vector=ticket))


def first_answers(address: Address, requests: Sequence[bytes], kind: type[A]) -> list[A]:
    """Return the answer to each request, asked once; what is timed later is known to be a search.

    Raises:
        click.ClickException: one is no answer of a search.
    """
    answers = []
    try:
        with Connection(address) as connection:
            for request in requests:
                status, body = connection.call(request)
                if status != 200:
                    raise click.ClickException(f"the server answers {status}: {body.decode('utf-8', 'replace'):.500}")
                answers.append(msgspec.json.decode(body, type=kind))
    except (OSError, BadAnswer, msgspec.DecodeError) as error:
        raise click.ClickException(f"no search can be had at {address.host}:{address.port}: {error}") from error
    return answers


@contextmanager
def trained_store(name: str, data: Path | None = None, store: Path | None = None) -> Iterator[Path]:
    """Give a store with a model trained with the default settings.

    Args:
        name: of the model.
        data: to train on; by default the synthetic tickets.
        store: to train into; it stays. By default one that is gone at the end.
    """
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        store = store or Path(folder) / "store"
        train(store, name, data)
        yield store


@contextmanager
def store_or_trained(store: str | None, name: str) -> Iterator[Path]:
    """Give the store that was named, or one with a model trained for the occasion."""
    if store is not None:
        yield Path(store)
    else:
        with trained_store(name) as made:
            yield made


def train(store: Path, name: str, data: Path | None = None, *settings: str) -> None:
    """Train a version with the trainer's own command; without data on the synthetic tickets.

    Raises:
        click.ClickException: it fails; what it had to say is on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="puppet-benchmark-") as folder:
        sample = data or Path(folder) / "sample.jsonl"
        fit = ["fit", str(sample), "--name", name, "--store", str(store)]
        fit += [word for setting in settings for word in ("--set", setting)]
        for arguments in ([] if data else [["sample", str(sample)]]) + [fit]:
            command = [sys.executable, "-m", "trainer", *arguments]
            if subprocess.run(command, cwd=machine.ROOT, stdout=sys.stderr, check=False).returncode:
                raise click.ClickException("no model could be trained; see above, or name one by --store and --name")
