"""Run what the figures show, and keep the numbers: docs/figures/runs.json.

    python docs/figures/run.py               # everything: about a minute of processor time, on invented tickets
    python docs/figures/run.py turns store   # these parts only; the numbers of the others stay

In: the sample tickets, docs/mini/mini.py, docs/lessons/seed_bugs.py, the server's batcher, `puppet-train` and a
committed benchmark. Out: the numbers that draw.py draws. The two are apart so that a colour or a word can be changed
without training again, and so that a test can compare each figure with its numbers.
"""

import asyncio
import contextlib
import functools
import importlib.util
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from click.testing import CliRunner
from onnx import numpy_helper

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from artifacts.store.store import Store  # noqa: E402
from artifacts.text.vocabulary import Encoded  # noqa: E402
from docs.mini import mini  # noqa: E402
from docs.mini.tickets import write  # noqa: E402
from inference.search.batcher import Batcher  # noqa: E402
from trainer.cli.main import main as main_of_trainer  # noqa: E402
from trainer.gru.calibrate import fit_temperature  # noqa: E402
from trainer.samples.synthetic import generate  # noqa: E402

RUNS = Path(__file__).parent / "runs.json"
NUM_EPOCHS, NUM_EMAILS = 10, 600


def lesson() -> ModuleType:
    """Return the script of the two bugs, which lies in no package."""
    spec = importlib.util.spec_from_file_location("seed_bugs", ROOT / "docs" / "lessons" / "seed_bugs.py")
    assert spec is not None, "the lesson is there"
    assert spec.loader is not None, "the lesson is there"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def curves() -> dict[str, Any]:
    """Return the training loss of each epoch and the held-out accuracy of each: correct, and with each bug."""
    bugs = lesson()
    learnt, held_out = bugs.read_sample(NUM_EMAILS, 0)
    words = {word: row for row, word in enumerate(sorted({w for text in learnt.words for w in text}), start=2)}
    labels = {name: label for label, name in enumerate(sorted(set(learnt.names)))}
    sets = [bugs.encode(texts, words, labels) for texts in (learnt, held_out)]
    found = {}
    for name, one in (("correct", (False, False)), ("softmax", (True, False)), ("padding", (False, True))):
        torch.manual_seed(0)
        network = bugs.EmailClassifier(len(words) + 2, len(labels), bugs.Bugs(*one))
        optimizer = torch.optim.Adam(network.parameters(), lr=bugs.LEARNING_RATE)
        order = torch.Generator().manual_seed(0)
        losses, accuracies = [], []
        for _ in range(NUM_EPOCHS):
            total = 0.0
            for batch_B in torch.split(torch.randperm(len(sets[0].labels), generator=order), bugs.BATCH):
                optimizer.zero_grad()
                outputs_BC = network(sets[0].ids[batch_B], sets[0].lengths[batch_B])
                loss = torch.nn.functional.cross_entropy(outputs_BC, sets[0].labels[batch_B])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch_B)
            losses.append(round(total / len(sets[0].labels), 4))
            accuracies.append(round(bugs.accuracy(network, sets[1], alone=False) / 100, 4))
        found[name] = {"loss": losses, "accuracy": accuracies}
    floor = bugs.lowest_loss(bugs.Bugs(True, False), len(labels))
    return {"floor": round(floor, 4), "num_categories": len(labels), "runs": found}


def gates(raw: bytes, ids: list[int]) -> dict[str, list[list[float]]]:
    """Return the update gate z and the state h after each token, [T, H], in NumPy from the exported weights."""
    weights = {one.name: numpy_helper.to_array(one) for one in onnx.load_model_from_string(raw).graph.initializer}
    w_z, w_r, w_n = np.split(weights["W"][0], 3)
    u_z, u_r, u_n = np.split(weights["R"][0], 3)
    of_input, of_state = np.split(weights["B"][0], 2)
    (b_z, b_r, b_n), (c_z, c_r, c_n) = np.split(of_input, 3), np.split(of_state, 3)
    h = np.zeros(len(b_z))
    found: dict[str, list[list[float]]] = {"z": [], "h": []}
    for x in weights["word_embedding"][ids]:
        z = 1 / (1 + np.exp(-(w_z @ x + b_z + u_z @ h + c_z)))
        r = 1 / (1 + np.exp(-(w_r @ x + b_r + u_r @ h + c_r)))
        n = np.tanh(w_n @ x + b_n + r * (u_n @ h + c_n))
        h = (1 - z) * n + z * h
        found["z"].append(np.round(z, 3).tolist())
        found["h"].append(np.round(h, 3).tolist())
    return found


class Trained(NamedTuple):
    """mini.py after its training on the sample tickets.

    Attributes:
        model: as it serves.
        raw: the bytes of its ONNX file.
        tickets: (category, text) of those that were held out.
        rows: their ids.
    """

    model: mini.Model
    raw: bytes
    tickets: list[tuple[str, str]]
    rows: list[list[int]]

    def answers(self) -> tuple[Any, list[bool]]:
        """Return the probabilities of the held-out tickets, and which answers are right."""
        found_NC = self.model.probabilities(self.rows)
        pairs = zip(found_NC, self.tickets, strict=True)
        return found_NC, [self.model.labels[row.argmax()] == category for row, (category, _) in pairs]


@functools.cache
def trained() -> Trained:
    """Train mini.py, once for all figures that need it."""
    with tempfile.TemporaryDirectory() as made:
        write(Path(made))
        data, folder = str(Path(made, "tickets.jsonl")), str(Path(made, "model"))
        with contextlib.redirect_stdout(io.StringIO()):
            mini.train(data, folder)
        tickets = mini.read_tickets(data)
        model = mini.Model(folder)
        raw = Path(folder, "model.onnx").read_bytes()
    # The split of mini.train: the same seed, the same first draw.
    held_out = np.random.default_rng(0).permutation(len(tickets))[: round(len(tickets) * mini.VALIDATION)]
    chosen = [tickets[i] for i in held_out]
    return Trained(model, raw, chosen, [mini.encode(text, model.vocabulary) for _, text in chosen])


def ticket() -> dict[str, Any]:
    """Return a ticket to look at: the first held-out one of 8 to 10 tokens, one unknown, that is answered rightly."""
    run = trained()
    place = next(
        place
        for place, (row, right) in enumerate(zip(run.rows, run.answers()[1], strict=True))
        if right and 8 <= len(row) <= 10 and row.count(mini.UNK) == 1
    )
    category, text = run.tickets[place]
    return {
        "tokens": mini.tokenize(text),
        "ids": run.rows[place],
        "category": category,
        **gates(run.raw, run.rows[place]),
    }


def batch() -> list[list[int]]:
    """Return five held-out tickets of at most 12 tokens."""
    return [row for row in trained().rows if len(row) <= 12][:5]


def coverage() -> dict[str, Any]:
    """Return the confidence of each held-out ticket, the surest first, and whether it is answered rightly."""
    found_NC, right_N = trained().answers()
    surest = np.argsort(-found_NC.max(axis=1), kind="stable")
    confidence = [round(float(found_NC[i].max()), 4) for i in surest]
    return {"confidence": confidence, "right": [bool(right_N[i]) for i in surest]}


def reliability() -> dict[str, Any]:
    """Return how often answers are right by how sure they are, before and after the temperature.

    The temperature is read off the held-out tickets, and all else off 3,000 fresh ones.
    """
    run = trained()
    labels = run.model.labels
    held_NC = torch.tensor(np.log(run.model.probabilities(run.rows)))
    targets = torch.tensor([labels.index(category) for category, _ in run.tickets])
    temperature = fit_temperature(held_NC, targets).temperature
    fresh = generate(3000, seed=1)
    rows = [mini.encode(" ".join(tokens), run.model.vocabulary) for _, tokens in fresh]
    logits_NC = np.log(run.model.probabilities(rows))
    truth_N = np.array([labels.index(category) for category, _ in fresh])
    found: dict[str, Any] = {"temperature": round(temperature, 3)}
    for name, divisor in (("before", 1.0), ("after", temperature)):
        odds_NC = np.exp(logits_NC / divisor)
        probabilities_NC = odds_NC / odds_NC.sum(axis=1, keepdims=True)
        sure_N, right_N = probabilities_NC.max(axis=1), probabilities_NC.argmax(axis=1) == truth_N
        bins_N = np.minimum((sure_N * 10).astype(int), 9)
        bins = [
            [round(float(sure_N[chosen].mean()), 4), round(float(right_N[chosen].mean()), 4), int(chosen.sum())]
            for chosen in (bins_N == place for place in range(10))
            if chosen.sum() >= 20
        ]
        gap = sum(count * abs(sure - right) for sure, right, count in bins) / sum(count for _, _, count in bins)
        loss = -float(np.log(probabilities_NC[np.arange(len(truth_N)), truth_N]).mean())
        found[name] = {"bins": bins, "gap": round(gap, 4), "loss": round(loss, 4)}
    return found


RUN_MS, TICKET_MS, LATE_MS, ATTEMPTS = 2.0, 0.2, 2.0, 300


def turns() -> dict[str, Any]:
    """Return when 24 tickets came and in which runs the server's batcher answered them; a run takes 2 ms and more.

    A busy machine wakes a program late, and then shows itself and not the batcher: such a run is made again.
    """
    # Some come one by one, then many at a time: both ends of what a batch can be.
    gaps_ms = np.random.default_rng(0).exponential([6.0] * 5 + [0.7] * 14 + [6.0] * 5)
    comes_ms = [round(float(moment), 2) for moment in np.cumsum(gaps_ms)]
    for _ in range(ATTEMPTS):
        runs = asyncio.run(batched(comes_ms))
        nominal = [RUN_MS + TICKET_MS * len(one["tickets"]) for one in runs]
        free = [0.0, *(one["to"] for one in runs)]
        begins = [max(before, comes_ms[one["tickets"][0]]) for before, one in zip(free, runs, strict=False)]
        late = [one["to"] - one["from"] - length for one, length in zip(runs, nominal, strict=True)]
        late += [one["from"] - begin for one, begin in zip(runs, begins, strict=True)]
        if max(late) < LATE_MS:
            return {"comes": comes_ms, "runs": runs}
    raise SystemExit(f"error: in {ATTEMPTS} runs something was always {LATE_MS} ms late; try again on a calm machine")


async def batched(comes_ms: Sequence[float]) -> list[dict[str, Any]]:
    """Send a ticket to the server's batcher at each moment, and return its runs: from, to (ms), and which tickets."""
    runs: list[dict[str, Any]] = []
    start = time.perf_counter()

    def now_ms() -> float:
        return round(1000 * (time.perf_counter() - start), 2)

    class Slow:
        """Stands in for a model: holds the loop as a run does, and notes when and for which tickets."""

        def cost(self, one: Encoded) -> int:
            return len(one.ids)

        def predict(self, chosen: Sequence[Encoded]) -> Sequence[Any]:
            began = now_ms()
            time.sleep((RUN_MS + TICKET_MS * len(chosen)) / 1000)
            runs.append({"from": began, "to": now_ms(), "tickets": [one.ids[0] for one in chosen]})
            return runs[-1]["tickets"]

    model, batcher = Slow(), Batcher(4096)

    async def one(place: int) -> None:
        await asyncio.sleep(max(0.0, (comes_ms[place] - now_ms()) / 1000))
        await batcher.predict(model, [Encoded([place], [], [], 0)])

    await asyncio.gather(*(one(place) for place in range(len(comes_ms))))
    batcher.close()
    return runs


STORE_COMMANDS = (
    ("fit", ["fit", "sample.jsonl", "--promote", "always"]),
    ("fit", ["fit", "sample.jsonl", "--promote", "always"]),
    ("never", ["fit", "sample.jsonl", "--promote", "never"]),
    ("promote", ["promote", "--version", "3"]),
    ("rollback", ["rollback"]),
    ("delete", ["delete", "--version", "3", "--yes"]),
    ("fit", ["fit", "sample.jsonl", "--promote", "always"]),
)
QUICK = [
    word for one in ("folds=1", "grus=1", "epochs=1", "hidden=16", "out_of_scope=false") for word in ("--set", one)
]


def store() -> list[dict[str, Any]]:
    """Return what is in a store and what serves after each of some commands."""
    found = []
    with tempfile.TemporaryDirectory() as made, contextlib.chdir(made):
        puppet = CliRunner()
        puppet.invoke(main_of_trainer, ["sample", "sample.jsonl", "--num-tickets", "200"], catch_exceptions=False)
        for name, words in STORE_COMMANDS:
            settings = QUICK if words[0] == "fit" else []
            asked = [*words, "--name", "desk", "--store", "store", *settings]
            done = puppet.invoke(main_of_trainer, asked, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            opened = Store(Path("store"))
            serves = opened.current("desk").version
            found.append({"command": name, "versions": opened.versions("desk"), "serves": serves})
    return found


def frontier() -> dict[str, Any]:
    """Return accuracy and microseconds of each shape from a committed result of `benchmarks frontier`."""
    path = ROOT / "benchmarks" / "results" / "2026-11-28_epyc-2c_frontier.json"
    numbers = json.loads(path.read_text("utf-8"))["numbers"]
    kept = ("shape", "accuracy", "batch_us", "is_on_frontier")
    means = [{name: one[name] for name in kept} for one in numbers["means"]]
    return {"result": path.name, "linear": round(numbers["svc_accuracy"], 4), "shapes": means}


def differences() -> dict[str, Any]:
    """Return how far numerical differences of a GRU's loss are from its gradient, by the step, in 64 and 32 bits."""
    exponents = list(range(-1, -13, -1))
    found: dict[str, Any] = {"exponents": exponents}
    for name, kind in (("64", torch.float64), ("32", torch.float32)):
        torch.manual_seed(0)
        gru, head = torch.nn.GRU(8, 16).to(kind), torch.nn.Linear(16, 5).to(kind)
        tokens, target = torch.randn(12, 1, 8).to(kind), torch.tensor([3])
        weight = gru.weight_hh_l0
        (slope,) = torch.autograd.grad(loss_of(gru, head, tokens, target), weight)
        places = torch.randperm(weight.numel())[:40].tolist()
        errors = []
        for exponent in exponents:
            misses = []
            for place in places:
                values = [moved(gru, head, tokens, target, place, sign * 10.0**exponent) for sign in (1, -1)]
                misses.append(abs((values[0] - values[1]) / (2 * 10.0**exponent) - slope.view(-1)[place].item()))
            errors.append(float(f"{float(np.mean(misses)) / slope.abs().mean().item():.3g}"))
        found[name] = errors
    return found


def loss_of(gru: torch.nn.GRU, head: torch.nn.Linear, tokens: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the loss of one ticket."""
    return torch.nn.functional.cross_entropy(head(gru(tokens)[1][0]), target)


@torch.no_grad()
def moved(gru: torch.nn.GRU, head: torch.nn.Linear, tokens: Any, target: Any, place: int, step: float) -> float:
    """Return the loss with one number of U moved by a step; afterwards the weights are as before."""
    number = gru.weight_hh_l0.view(-1)[place]
    kept = number.clone()
    number += step
    loss = loss_of(gru, head, tokens, target).item()
    number.copy_(kept)
    return loss


def attention() -> dict[str, Any]:
    """Return the multiplications of the product's GRUs and of MiniLM for tickets of several lengths (chapter 19)."""
    lengths = [2**power for power in range(10)]
    # Two GRUs of 32 in both directions: three gates, each W x and U h.
    gru = [tokens * 2 * 2 * 3 * 32 * (32 + 32) for tokens in lengths]
    # Six layers of 384: four projections, a network four times as wide and back, and each token with each other.
    minilm = [tokens * 6 * (12 * 384**2 + 2 * tokens * 384) for tokens in lengths]
    return {"tokens": lengths, "gru": gru, "minilm": minilm}


PARTS: dict[str, Callable[[], Any]] = {
    "ticket": ticket,
    "batch": batch,
    "coverage": coverage,
    "curves": curves,
    "reliability": reliability,
    "turns": turns,
    "store": store,
    "frontier": frontier,
    "differences": differences,
    "attention": attention,
}


def main() -> None:
    """Run the parts that are named, or all, and keep their numbers; those of the others stay."""
    torch.set_num_threads(1)
    runs = json.loads(RUNS.read_text("utf-8")) if RUNS.exists() else {}
    for name in sys.argv[1:] or PARTS:
        runs[name] = PARTS[name]()
    RUNS.write_text(json.dumps(runs, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
