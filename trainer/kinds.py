"""What a kind of network brings on the trainer's side, and how it is found.

A kind's module (fit.py, simple_nn.py) has the functions and names of `Trainer`, at its top level, and imports torch
only inside `fit`: importing torch takes seconds, and what can be refused is refused before.
"""

import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from typing import Any, Protocol, cast

import msgspec
from rich.console import RenderableType

from artifacts.jobs.events import Phase
from artifacts.kinds import Kind
from artifacts.networks.manifest import Epoch, Manifest, Report
from artifacts.schemas import Answer, Row
from trainer.data.files import RawRow, TableReader
from trainer.jobs.pace import Round


class Rows(Protocol):
    """Checked rows of data."""

    @property
    def tickets(self) -> Sequence[Row]:
        """The rows, in order."""


class Progress(Protocol):
    """Who wants to follow a training."""

    def plan(self, rounds: Sequence[Round]) -> None:
        """Take the rounds of training that are still to come, of which the first begins now."""

    def phase(self, phase: Phase) -> None:
        """Take what begins now; the same phase may come again."""

    def fitted(self, num_tickets: int) -> None:
        """Take that the linear part of the phase is fitted to so many tickets."""

    def start(self, num_tickets: int, num_epochs: int, is_refit: bool) -> None:
        """Take how much the next network has to do, and whether it learns from every ticket."""

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Take how far the epoch is, in tickets, and its mean loss so far."""

    def epoch(self, epoch: Epoch) -> None:
        """Take what an epoch came to."""


class Silent:
    """Nobody follows."""

    def plan(self, rounds: Sequence[Round]) -> None:
        """Ignore it."""

    def phase(self, phase: Phase) -> None:
        """Ignore it."""

    def fitted(self, num_tickets: int) -> None:
        """Ignore it."""

    def start(self, num_tickets: int, num_epochs: int, is_refit: bool) -> None:
        """Ignore it."""

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Ignore it."""

    def epoch(self, epoch: Epoch) -> None:
        """Ignore it."""


class Fitted(msgspec.Struct, frozen=True):
    """A trained network, ready to be published.

    Attributes:
        manifest: complete but for what the store fills in.
        files: name -> bytes, all but `report.json`.
        report: what is to be that file.
        unseen: row number -> the answer to it of a network that was not trained on it; empty if no row was kept out.
    """

    manifest: Manifest
    files: Mapping[str, bytes]
    report: Report
    unseen: Mapping[int, Answer] = {}


class Trainer(Protocol):
    """What the module of a kind has.

    Attributes:
        Config: the Struct of what can be set for a training, with a default for every field.
        OPERATORS: the ONNX operators that its graph may hold; `puppet-train verify` refuses any other.
        table: how it reads a table; None: its rows are tickets, which trainer/data/tickets.py reads.
    """

    Config: type[msgspec.Struct]
    OPERATORS: frozenset[str]
    table: TableReader | None

    def check_rows(self, raw_rows: Iterable[RawRow], what: str) -> Rows:
        """Return the rows, checked one by one.

        Raises:
            InvalidInput: with the first 20 faults and the number of all.
            NoTrainingData: there is no row.
        """

    def check_trainable(self, rows: Any) -> None:
        """Do nothing if there is something to learn in the rows.

        Raises:
            InvalidInput: there is not, and what to add.
        """

    def resolved(self, config: Any, rows: Any) -> msgspec.Struct:
        """Return the settings that a training of these rows has in the end, where some depend on their number."""

    def fit(self, name: str, rows: Any, config: Any, progress: Progress, job: str | None) -> Fitted:
        """Train on rows that were checked, prove the graph equal to the network, and return it.

        Raises:
            InvalidInput (the settings do not suit), ArtifactRefused (the graph is not equal to the network).
        """

    def show_rows(self, rows: Any) -> list[str]:
        """Return what a person should know of the data, a line each."""

    def show_plan(self, config: Any, rows: Any) -> list[str]:
        """Return what a person should know of the training before it begins, a line each; `config` is resolved."""

    def show_validation(self, manifest: Any, report: Any) -> list[str]:
        """Return what the training came to, a line each."""

    def show_evaluation(self, evaluation: Any) -> list[RenderableType]:
        """Return the metrics for a terminal."""


def trainer_of(kind: Kind) -> Trainer:
    """Return the module that trains `kind`, as the table of kinds names it."""
    return cast(Trainer, pkgutil.resolve_name(kind.trainer))


def libraries(*names: str) -> dict[str, str]:
    """Return the installed versions, for a manifest."""
    return {"python": python_version()} | {name: version(name) for name in ("numpy", "onnx", "onnxruntime", *names)}
