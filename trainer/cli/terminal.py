"""What every command of `puppet-train` shares: its two consoles, how it shows an error and a training, its options."""

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from artifacts.errors import InvalidInput, PuppetError
from artifacts.jobs.events import Phase
from artifacts.networks.manifest import Comparison, Epoch
from artifacts.problems.phrases import phrase
from artifacts.problems.sentences import DEFAULT, Language
from trainer.data.columns import ColumnsUnclear
from trainer.data.files import FaultyRows
from trainer.jobs.pace import Estimate, Round

WORDS = "trainer.cli.words"  # of the command that runs, in click's notes of a call
LANGUAGE = "trainer.cli.language"  # of its reader, there too
DEFAULT_STORE = "artifacts/models"
# A category is printed as it is, were it "[/red]" or ":smile:".
out = Console(highlight=False, markup=False, emoji=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


def shows_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn an error of ours into its message, its faults and exit status 1, in the reader's language."""

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PuppetError as error:
            show_error(error, language())
            sys.exit(1)

    return wrapper


def language() -> Language:
    """Return the language of whoever reads the terminal, which `main` has read from the environment."""
    context = click.get_current_context(silent=True)
    found: Language = context.meta.get(LANGUAGE, DEFAULT) if context is not None else DEFAULT
    return found


def show_error(error: PuppetError, language: Language) -> None:
    """Print what is wrong, where, and what to do about it."""
    text = error.shown(language) if isinstance(error, ColumnsUnclear) else error.message.detail(language)
    err.print(phrase("error", language, text=text), style="bold red", soft_wrap=True)
    if isinstance(error, FaultyRows) and error.groups:
        for group in error.groups:
            err.print(f"  {group.shown(language)}", soft_wrap=True)
        if (listed := where_listed(language)) is not None:
            err.print(listed, soft_wrap=True)
    elif isinstance(error, InvalidInput):
        for fault in error.faults:
            err.print(f"  {fault.shown(language)}", soft_wrap=True)
    if isinstance(error, ColumnsUnclear) and error.options:
        err.print(phrase("ready-to-copy", language, command=again(error.options)), soft_wrap=True)


def where_listed(language: Language) -> str | None:
    """Return where every fault is listed, or the option that lists them; None if the command that runs has it not."""
    given = click.get_current_context().params
    if "faults_file" not in given:
        return None
    file = given["faults_file"]
    return phrase("faults-option", language) if file is None else phrase("faults-listed", language, file=file)


def again(options: list[str]) -> str:
    """Return the command that runs now, with options in place of those of the same name, as a shell takes it."""
    context = click.get_current_context()
    kept: list[str] = []
    words = iter(context.meta.get(WORDS, []))
    for word in words:
        name, equals, _ = word.partition("=")
        if name not in options[::2]:
            kept.append(word)
        elif not equals:
            next(words, None)  # its value, which was not the right one
    return shlex.join([*context.command_path.split(), *kept, *options])


store_option = click.option(
    "--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, show_default=True, envvar="PUPPET_STORE",
    show_envvar=True, help="Folder that holds the models.",
)  # fmt: skip
name_option = click.option("--name", required=True, help="Name of the model: a-z, 0-9, '_' and '-'.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout.")
data_argument = click.argument("data", type=click.Path(path_type=Path))


def print_line(line: object) -> None:
    """Print the one line that other programs read: a JSON object, the last of stdout; in ASCII if that is no UTF-8."""
    text = msgspec.json.encode(line).decode()
    if (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8":
        text = json.dumps(msgspec.json.decode(text))  # a character is escaped here, where one that lacks is replaced
    sys.stdout.write(text + "\n")


def show_comparison(comparison: Comparison) -> None:
    """Print whether a version is better than another, and what that rests on."""
    out.print(comparison.detail, soft_wrap=True)
    if comparison.num_left_out:
        old, new = (
            "an unknown number" if number is None else number
            for number in (comparison.num_seen_old, comparison.num_seen_new)
        )
        changed = ", ".join(
            f"{name} {before:.4g} -> {comparison.new_left_out[name]:.4g}"
            for name, before in comparison.old_left_out.items()
        )
        out.print(
            f"{comparison.num_left_out} rows are left out of this, because a version has learnt from them (the old one "
            f"from {old}, the new one from {new}); on these {changed}, which says nothing of other rows",
            soft_wrap=True,
        )


PHASES: dict[Phase, str] = {
    "read": "reading",
    "check": "checking",
    "linear": "linear part",
    "network": "networks",
    "calibrate": "calibrating",
    "export": "exporting",
    "publish": "publishing",
    "answer": "answering",
}


class Bar:
    """The progress of a command: a line of what it does and how much is left, and one for each network.

    In a pipe or a log it stays silent, but for one line of stdout that says how long a training will take.
    """

    def __init__(self) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[says]}"),
            console=err,
            disable=not err.is_terminal,
        )
        self._whole: TaskID | None = None
        self._phase: Phase = "read"
        self._left = Estimate()
        self._task = TaskID(0)
        self._what = ""
        self._accuracy = "-"
        self._num_tickets = 0
        self._num_epochs = 0
        self._start = 0.0
        self._has_said = False

    @property
    def expected_s(self) -> float | None:
        """How long the training takes, as it was said at its start; None if it never was."""
        return self._left.expected_s

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._whole is not None and reason[0] is None:
            self._bar.update(self._whole, total=1, completed=1, says="")
        self._bar.stop()

    def plan(self, rounds: Sequence[Round]) -> None:
        """Take what the time that is left is counted by."""
        self._left.plan(rounds)

    def phase(self, phase: Phase) -> None:
        """Show what is done now, and how much is left of it all."""
        self._phase = phase
        self._left.phase(phase)
        self._show_left()

    def fitted(self, num_tickets: int) -> None:
        """Take how fast a linear part is fitted."""
        self._left.fitted(num_tickets)
        self._show_left()

    def start(self, num_tickets: int, num_epochs: int, is_refit: bool) -> None:
        """Show how much a network has to do, on a line of its own."""
        self._left.start(num_tickets, num_epochs)
        self._num_tickets, self._num_epochs, self._start, self._accuracy = num_tickets, num_epochs, 0.0, "-"
        self._what = "all tickets, epoch" if is_refit else "epoch"
        self._task = self._bar.add_task(f"{self._what} 1/{num_epochs}", total=num_tickets * num_epochs, says="")

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Show how far it is."""
        self._left.step(epoch, num_tickets)
        done = (epoch - 1) * self._num_tickets + num_tickets
        self._start = self._start or time.perf_counter()
        seconds = time.perf_counter() - self._start
        speed = f"{done / seconds:,.0f}" if seconds else "-"
        says = f"loss {loss:.3f}  validation {self._accuracy}  {speed} tickets/s"
        if self.expected_s is not None and not self._has_said:
            self._has_said = True
            out.print(f"this training takes about {timedelta(seconds=round(self.expected_s))}", soft_wrap=True)
        self._bar.update(self._task, completed=done, description=f"{self._what} {epoch}/{self._num_epochs}", says=says)
        self._show_left()

    def epoch(self, epoch: Epoch) -> None:
        """Take what the validation tickets say, for the next step to show."""
        if epoch.validation_accuracy is not None:
            self._accuracy = f"{epoch.validation_accuracy:.3f}"

    def _show_left(self) -> None:
        if self._whole is None:
            self._whole = self._bar.add_task("", total=None, says="")
        left = self._left.seconds_left()
        says = "" if left is None else f"about {timedelta(seconds=round(left))} left"
        self._bar.update(self._whole, description=PHASES[self._phase], says=says)
