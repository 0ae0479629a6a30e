"""Where the processor time of one training goes: phase by phase, and within the loop step by step.

In: a file of tickets. Out: seconds of each. A timer that counts processor time (ITIMER_PROF) interrupts Python every
millisecond; what runs then is given all the time since the look before. Python looks at signals only between two of its
instructions, so a long call into C is given its whole time, and a step is known by the functions that are on the stack:
nothing in the trainer has to be instrumented. Processor time, because other programs may want the cores too.
"""

# Axes: W words of the language, N words of a ticket.

import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click
import msgspec
import numpy as np

from artifacts.jobs.events import Phase
from artifacts.kinds import kind_named
from artifacts.networks.manifest import Epoch
from artifacts.store.store import Store
from benchmarks.accuracy.learners import MODEL
from benchmarks.accuracy.sets import KIND
from benchmarks.common.arithmetic import BACKWARD, network_flops, peak_flops
from benchmarks.training.intake import peak_bytes
from benchmarks.training.memory import SYLLABLES
from trainer.cli.terminal import shows_errors
from trainer.config import TrainConfig, read_config
from trainer.data.tickets import Rows
from trainer.jobs.pace import Round
from trainer.run import fit, read_rows

TICK_S = 0.001
# End of a file's path and a function in it -> what it is a step of. Of the functions on the stack the innermost counts.
STEPS = {
    ("gru/train.py", "batches"): "draw batches",
    ("stepping/ragged.py", "batch"): "make batches",
    ("gru/train.py", "answers"): "validation",
    ("stepping/rows.py", "take"): "rows: catch up",
    ("stepping/rows.py", "catch_up"): "rows: catch up",
    ("stepping/rows.py", "step"): "rows: step",
    ("stepping/rows.py", "shortening"): "clip",
    ("stepping/ragged.py", "__init__"): "once: ragged",
    ("stepping/ragged.py", "forward"): "forward: embedding",
    ("stepping/ragged.py", "backward"): "backward: embedding",
    ("stepping/ragged.py", "left_out"): "forward: dropout",
    ("kernels/cell.py", "gru"): "forward: GRU",
    ("kernels/cell.py", "pool"): "forward: pooling",
    ("kernels/cell.py", "backward"): "backward: GRU and pooling",
    ("gru/model.py", "forward"): "forward: the rest",
    ("modules/loss.py", "forward"): "forward: the rest",
    ("torch/_tensor.py", "backward"): "backward",
}
LOOP, OTHER = ("gru/train.py", "train"), "the rest"
IMPORTS = "imports"
NUM_WORDS, NUM_TOPIC, TOPIC_SHARE, STRAY_SHARE, TYPO_SHARE = 60_000, 60, 0.2, 0.1, 0.02
SPREAD = 0.5  # standard deviation of the logarithm of a ticket's length: half are within a factor of 1.4


class Task(msgspec.Struct, frozen=True):
    """A training to measure, undisturbed or looked into; beside the file a store is made."""

    file: str
    overrides: tuple[str, ...]
    looks: bool


class Measured(msgspec.Struct, frozen=True):
    """What a training took.

    Attributes:
        num_tickets, num_tokens: of the file.
        seconds: of the clock, from the file to the published version.
        cpu_s: of all threads of this process; of several processes only this one's.
        start_s: of the processor, to start Python and import what reads a file.
        phases: seconds of the processor by round and phase.
        steps: seconds of the processor by step of the loop, of all GRUs together.
        peak_bytes: the most memory that this process held.
        epochs: of all GRUs together.
        tokens_read: by all epochs together.
        flops: of these, forwards and backwards.
        peak_flops: a second, of one core.
        accuracy: on tickets that were kept out.
    """

    num_tickets: int
    num_tokens: int
    seconds: float
    cpu_s: float
    start_s: float
    phases: dict[str, float]
    steps: dict[str, float]
    peak_bytes: int
    epochs: int
    tokens_read: int
    flops: int
    peak_flops: float
    accuracy: float


class Looker:
    """Follows a training, and notes what runs at each tick of the processor's time."""

    def __init__(self) -> None:
        """Begin with reading."""
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)  # by phase and step
        self.epochs = self.tickets_read = 0
        self._round, self._phase, self._num_tickets = "", "read", 0
        self._last_s = time.process_time()

    def look(self, _: int, frame: FrameType | None) -> None:
        """Give the time since the last look to what runs now; the handler of SIGPROF."""
        now_s = time.process_time()
        step, phase = "", self._phase
        while frame is not None:
            code = frame.f_code
            if code.co_filename.startswith("<frozen importlib"):
                step, phase = "", IMPORTS
                break
            where = "/".join(code.co_filename.rsplit("/", 2)[-2:]), code.co_name
            if where == LOOP:
                step = step or OTHER
                break
            step = step or STEPS.get(where, "")
            frame = frame.f_back
        else:
            step = ""  # outside the loop; the same functions calibrate and export
        self.seconds[phase, step] += now_s - self._last_s
        self._last_s = now_s

    def plan(self, rounds: Sequence[Round]) -> None:
        """Take which round begins."""
        self._round = f"{rounds[0].purpose}: " if rounds else ""

    def phase(self, phase: Phase) -> None:
        """Take what begins."""
        self._phase = f"{self._round if phase in ('linear', 'network') else ''}{phase}"

    def fitted(self, num_tickets: int) -> None:
        """Ignore it."""

    def start(self, num_tickets: int, *_: int) -> None:
        """Take how many tickets each epoch of the next GRU reads."""
        self._num_tickets = num_tickets

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Ignore it."""

    def epoch(self, _: Epoch) -> None:
        """Count it."""
        self.epochs += 1
        self.tickets_read += self._num_tickets

    def by_phase(self) -> dict[str, float]:
        """Return the seconds of each phase, in the order in which they began."""
        found: defaultdict[str, float] = defaultdict(float)
        for (phase, _), seconds in self.seconds.items():
            found[phase] += seconds
        return dict(found)

    def by_step(self) -> dict[str, float]:
        """Return the seconds of each step of the loop, the longest first."""
        found: defaultdict[str, float] = defaultdict(float)
        for (_, step), seconds in self.seconds.items():
            if step:
                found[step] += seconds
        return dict(sorted(found.items(), key=lambda one: -one[1]))


@click.command("one-speed", hidden=True)
@shows_errors
def one_speed_command() -> None:
    """Train what stdin says, and print what it took as JSON."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    click.echo(msgspec.json.encode(measure(task, Path(task.file))).decode())


def measure(task: Task, file: Path) -> Measured:
    """Return what the training of a file takes, from reading it to its published version.

    Only in a process of its own: the timer and the peak of memory are the whole process's.
    """
    start_s, config = time.process_time(), read_config(TrainConfig, None, task.overrides)
    store = Store(file.parent / f"store-{file.stem}")
    store.create_model(MODEL, KIND)
    looker = Looker()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    if task.looks:
        signal.signal(signal.SIGPROF, looker.look)
        signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)
    try:
        rows = read_rows(file, kind_named(KIND))
        assert isinstance(rows, Rows), "rows of another kind; internal error"
        looker.phase("check")
        manifest, _ = fit(store, MODEL, rows, config, looker)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    peak = peak_bytes()  # before the peak of the arithmetic is measured, which takes memory of its own
    from trainer.gru.model import TicketClassifier

    flops = network_flops(TicketClassifier(["<PAD>", "<UNK>"], len({row.expected for row in rows.tickets}), config))
    num_tokens = sum(map(len, rows.tokens))
    tokens_read = looker.tickets_read * num_tokens // len(rows.tokens)
    return Measured(
        num_tickets=len(rows.tokens),
        num_tokens=num_tokens,
        seconds=seconds,
        cpu_s=cpu_s,
        start_s=start_s,
        phases=looker.by_phase(),
        steps=looker.by_step(),
        peak_bytes=peak,
        epochs=looker.epochs,
        tokens_read=tokens_read,
        flops=(1 + BACKWARD) * flops.of(looker.tickets_read, tokens_read),
        peak_flops=peak_flops(),
        accuracy=float(manifest.validation["accuracy"] or 0.0),
    )


def write_invented(file: Path, num_tickets: int, num_words: int, num_categories: int, seed: int = 0) -> None:
    """Write invented tickets as JSON lines; the same numbers give the same file.

    A language of 60,000 words by Zipf's law, of which each category prefers 60. One word of five is such; in one
    ticket of ten they are another category's, so that nobody is right about all. One word of fifty has a typo.

    Args:
        file: is written over.
        num_tickets: their categories take turns.
        num_words: of a ticket on average; lengths are spread as those of texts are, log-normally.
        num_categories: C.
        seed: of what is drawn.
    """
    drawn = np.random.default_rng(seed)
    language: dict[str, None] = {}
    while len(language) < NUM_WORDS:
        pieces = drawn.integers(len(SYLLABLES), size=drawn.integers(1, 5)).tolist()
        language["".join(SYLLABLES[piece] for piece in pieces)] = None
    words = list(language)
    share_W = 1 / (np.arange(NUM_WORDS) + 2.7)  # Mandelbrot's offset: the first words are not quite so frequent
    until_W = np.cumsum(share_W / share_W.sum())
    topics = [drawn.integers(100, NUM_WORDS // 3, size=NUM_TOPIC) for _ in range(num_categories)]
    # The mean of a log-normal is exp(mu + spread^2 / 2).
    lengths = drawn.lognormal(np.log(num_words) - SPREAD**2 / 2, SPREAD, size=num_tickets).round().clip(2, 400)
    with file.open("w", encoding="utf-8") as out:
        for number, length in enumerate(lengths.astype(int).tolist()):
            category = number % num_categories
            told = drawn.integers(num_categories) if drawn.random() < STRAY_SHARE else category
            word_N = np.searchsorted(until_W, drawn.random(length)).clip(max=NUM_WORDS - 1)
            word_N = np.where(drawn.random(length) < TOPIC_SHARE, drawn.choice(topics[told], length), word_N)
            typo_N = drawn.random(length) < TYPO_SHARE
            text = [
                misspelt(words[word], drawn) if typo else words[word] for word, typo in zip(word_N, typo_N, strict=True)
            ]
            out.write(msgspec.json.encode({"category": f"c{category:03d}", "text": " ".join(text)}).decode() + "\n")


def misspelt(word: str, drawn: np.random.Generator) -> str:
    """Return a word with one of its letters replaced."""
    place = int(drawn.integers(len(word)))
    return word[:place] + "abcdefghijklmnopqrstuvwxyz"[drawn.integers(26)] + word[place + 1 :]
