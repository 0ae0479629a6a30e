"""Check a learner's step: what is wrong with it, and what to look at.

In: a folder with the learner's step1.py ... stepN.py. Out: findings, which are keys into words/en.toml and
words/fr.toml, so that both languages say the same. The learner's file runs, with all that it may do; nothing is
written.

How a mistake gets its name. Each probe's answer is compared with the truth. If it differs, the solution is run once
more with each typical mistake of the step (mistakes.toml): where that gives the same wrong answer, this is the mistake,
however the learner wrote it.
"""

import contextlib
import io
import logging
import sys
import time
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits  # scikit-learn brings it

from docs.mini.probes import PROBES, Probe

HERE = Path(__file__).parent
SOLUTIONS = HERE / "solutions"
STEPS = tuple(sorted(PROBES))
SETS = ("tickets", "order")


class Finding(NamedTuple):
    """What a probe came to.

    Attributes:
        probe: its name.
        kind: ok, missing (no file), unwritten, raises, mistake or differs.
        values: what the sentence of its kind names.
    """

    probe: str
    kind: str
    values: Mapping[str, str]


class Measured(NamedTuple):
    """Accuracy on the tickets that were held out, and seconds of processor time, on one set."""

    name: str
    accuracy: float
    seconds: float


def sources_of(folder: Path, last: int) -> dict[str, str]:
    """Return the text of step1 ... of a folder, as far as they are there."""
    paths = {f"step{number}": folder / f"step{number}.py" for number in STEPS if number <= last}
    return {name: path.read_text("utf-8") for name, path in paths.items() if path.is_file()}


@contextlib.contextmanager
def loaded(sources: Mapping[str, str], folder: Path) -> Iterator[ModuleType]:
    """Give the last step as a module, on top of those before it; afterwards none of them is imported any more."""
    kept = {name: sys.modules.pop(name) for name in [f"step{number}" for number in STEPS] if name in sys.modules}
    try:
        module = None
        for name, text in sources.items():
            module = sys.modules[name] = ModuleType(name)
            module.__file__ = str(folder / f"{name}.py")
            # The learner's own program, run because the learner asked for it.
            exec(compile(text, module.__file__, "exec"), module.__dict__)  # noqa: S102
        assert module is not None, "a step without sources"
        yield module
    finally:
        for name in sources:
            sys.modules.pop(name, None)
        sys.modules.update(kept)


def same(one: Any, other: Any) -> bool:
    """Return whether two answers are equal, numbers within rounding."""
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    try:
        left, right = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    except (TypeError, ValueError):
        return False
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=1e-4, atol=1e-6, equal_nan=True))


def asked(probe: Probe, sources: Mapping[str, str], folder: Path) -> Any:
    """Return a step's answer, or the exception that it raised."""
    logging.disable(logging.INFO)  # a test client names each of its requests
    try:
        # What a learner's file prints is not the check's; NumPy's warnings come out as wrong numbers, which are shown.
        with loaded(sources, folder) as step, np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            return probe.ask(step)
    except Exception as error:  # a learner's program may raise anything; it is shown
        return error
    finally:
        logging.disable(logging.NOTSET)


def mistakes_of(number: int) -> dict[str, str]:
    """Return slug -> the solution of a step with that mistake."""
    solution = (SOLUTIONS / f"step{number}.py").read_text("utf-8")
    table = tomllib.loads((HERE / "mistakes.toml").read_text("utf-8"))[f"step{number}"]
    for slug, one in table.items():
        assert solution.count(one["right"]) == 1, f"the line of step {number} that {slug} replaces"
    return {slug: solution.replace(one["right"], one["wrong"]) for slug, one in table.items()}


def where(error: Exception, folder: Path) -> str:
    """Return file and line of the learner's program where an exception came from."""
    found = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))]
    return f"{Path(found[-1].filename).name}:{found[-1].lineno}" if found else "?"


def shown(answer: Any) -> str:
    """Return an answer as the learner reads it, cut to one line."""
    with np.printoptions(precision=4, suppress=True, threshold=12):
        text = " ".join(repr(answer).replace("array(", "(").split())
    return text if len(text) <= 160 else text[:157] + "..."


def findings(number: int, folder: Path) -> list[Finding]:
    """Return what each probe of a step came to, on the learner's files."""
    mine = sources_of(folder, number)
    if absent := [f"step{n}.py" for n in STEPS if n <= number and f"step{n}" not in mine]:
        return [Finding("file", "missing", {"file": absent[0], "folder": str(folder)})]
    right = sources_of(SOLUTIONS, number)
    return [one_finding(probe, number, mine, right, folder) for probe in PROBES[number]]


def one_finding(probe: Probe, number: int, mine: dict[str, str], right: dict[str, str], folder: Path) -> Finding:
    """Return what one probe came to."""
    found = asked(probe, mine, folder)
    if isinstance(found, NotImplementedError):
        return Finding(probe.name, "unwritten", {"place": where(found, folder)})
    expected = probe.truth() if probe.truth else asked(probe, right, SOLUTIONS)
    if not isinstance(found, Exception) and same(found, expected):
        return Finding(probe.name, "ok", {})
    for slug, text in mistakes_of(number).items():
        wrong = asked(probe, right | {f"step{number}": text}, SOLUTIONS)
        # None of the mistakes raises: an exception is shown with its line instead.
        if same(wrong, found) and not same(wrong, expected):
            return Finding(probe.name, "mistake", {"mistake": slug})
    if isinstance(found, Exception):
        said = {"error": f"{type(found).__name__}: {found}", "place": where(found, folder)}
        return Finding(probe.name, "raises", said)
    return Finding(probe.name, "differs", {"found": shown(found), "expected": shown(expected)})


def measure(number: int, folder: Path, data: Path, seed: int = 0) -> list[Measured]:
    """Return what a step reaches on both sets of `data`; the split is the solution's, so that none is easier."""
    results = []
    with loaded(sources_of(SOLUTIONS, 1), SOLUTIONS) as first:
        tickets = {name: first.read_tickets(str(data / f"{name}.jsonl")) for name in SETS}
        accuracy_of = first.held_out_accuracy
    # One thread: on matrices this small several only wait for each other, and cost others the cores.
    limits = threadpool_limits(limits=1)
    with limits, loaded(sources_of(folder, number), folder) as step, contextlib.redirect_stdout(io.StringIO()):
        for name, rows in tickets.items():
            start = time.process_time()
            accuracy = accuracy_of(step.fit, rows, seed)
            results.append(Measured(name, accuracy, time.process_time() - start))
    return results
