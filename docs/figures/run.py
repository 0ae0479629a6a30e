"""Run what the figures show, and keep the numbers: docs/figures/runs.json.

    python docs/figures/run.py          # about a minute of processor time, on invented tickets and e-mails

In: the sample tickets, docs/mini/mini.py and docs/lessons/seed_bugs.py. Out: the numbers that draw.py draws. The two
are apart so that a colour or a word can be changed without training again, and so that a test can compare each figure
with its numbers.
"""

import contextlib
import importlib.util
import io
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from docs.mini import mini  # noqa: E402
from docs.mini.tickets import write  # noqa: E402

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


def main() -> None:
    """Train mini.py and the lesson's three networks, and write the numbers."""
    torch.set_num_threads(1)
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
    rows = [mini.encode(tickets[i][1], model.vocabulary) for i in held_out]
    found_NC = model.probabilities(rows)
    right_N = [model.labels[row.argmax()] == tickets[i][0] for row, i in zip(found_NC, held_out, strict=True)]
    surest = np.argsort(-found_NC.max(axis=1), kind="stable")
    coverage = [round(float(found_NC[i].max()), 4) for i in surest]

    # A ticket to look at: the first held-out one of 8 to 10 tokens with an unknown word that is answered rightly.
    chosen = next(
        i
        for i, (row, right) in enumerate(zip(rows, right_N, strict=True))
        if right and 8 <= len(row) <= 10 and row.count(mini.UNK) == 1
    )
    batch = [row for row in rows if len(row) <= 12][:5]
    runs = {
        "ticket": {
            "tokens": mini.tokenize(tickets[held_out[chosen]][1]),
            "ids": rows[chosen],
            "category": tickets[held_out[chosen]][0],
            **gates(raw, rows[chosen]),
        },
        "batch": batch,
        "coverage": {"confidence": coverage, "right": [bool(right_N[i]) for i in surest]},
        "curves": curves(),
    }
    RUNS.write_text(json.dumps(runs, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
