"""How many points separate mini.py from the product, and which part of the product brings them.

    python docs/mini/points.py      # a quarter of an hour of processor time; the figures of mini.py's table

Both learn from the same 1,500 sample tickets and are measured on 3,000 others that a second seed invents: a held-out
fifth of 1,500 would leave every figure uncertain by five points.

1. mini.py as it is, then with one or two ideas of the product put into its network: what they bring where little else
   is there.
2. The product, then without one part: what is lost where all the rest is there. Parts stand in for each other, so these
   are small. The linear expert cannot be switched off, so it is taken out of the trained model.

One seed each: a difference below about one point may be luck.
"""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from artifacts.kinds import load
from artifacts.networks import reference
from artifacts.networks.gru import GruModel
from artifacts.store.store import Store
from docs.mini import check, mini

PARTS = {
    "the whole product": [],
    "a second direction": ["bidirectional=false"],
    "an ensemble of two": ["grus=1"],
    "n-grams of words": ["ngram_buckets=1"],
    "pairs of neighbours": ["pairs=0"],
    "dropout and smoothing": ["dropout=0", "word_dropout=0", "ngram_dropout=0", "label_smoothing=0"],
    "a second training": ["refit=false"],
}
ALWAYS = ["folds=1", "out_of_scope=false", "processes=1"]


def puppet(*words: str) -> bytes:
    """Run a command of `puppet-train`, and return what it prints."""
    command = [sys.executable, "-m", "trainer", *words]
    return subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603  (this project's program)


class Trained(Exception):
    """Ends a training of mini.py before the export, which is written for its own network only."""


def with_ideas(is_pooled: bool, dropout: float) -> Any:
    """Return what replaces `mini.make_network`: the same sizes, with pooling or with dropout."""

    class Classifier(nn.Module):
        def __init__(self, num_words: int, num_categories: int) -> None:
            super().__init__()
            self.embedding = nn.Embedding(num_words, mini.EMBEDDING, padding_idx=mini.PAD)
            self.gru = nn.GRU(mini.EMBEDDING, mini.HIDDEN, batch_first=True)
            self.head = nn.Linear((2 if is_pooled else 1) * mini.HIDDEN, num_categories)

        def forward(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
            # mini.py measures without gradients, and never calls `eval`.
            share = dropout if torch.is_grad_enabled() else 0.0
            h_BTH, _ = self.gru(nn.functional.dropout(self.embedding(ids_BT), share))
            lengths_B = lengths_B.long()
            last_BH = h_BTH[torch.arange(len(ids_BT)), lengths_B - 1]
            if is_pooled:
                is_padding_BT1 = (torch.arange(ids_BT.shape[1]) >= lengths_B[:, None])[:, :, None]
                mean_BH = h_BTH.masked_fill(is_padding_BT1, 0).sum(dim=1) / lengths_B[:, None]
                last_BH = torch.cat((h_BTH.masked_fill(is_padding_BT1, -2).amax(dim=1), mean_BH), dim=1)
            return self.head(nn.functional.dropout(last_BH, share))

    return Classifier


def mini_with(make_network: Any, taught: str, folder: str, other: str) -> float:
    """Return the accuracy on `other` of mini.py with another network."""

    def stop(network: Any) -> bytes:
        raise Trained(network)

    kept = mini.make_network, mini.export
    mini.make_network, mini.export = make_network, stop
    try:
        mini.train(taught, folder)
    except Trained as trained:
        network = trained.args[0]
    finally:
        mini.make_network, mini.export = kept
    vocabulary, labels = (json.loads(Path(folder, f"{name}.json").read_text("utf-8")) for name in ("vocab", "labels"))
    categories, texts = zip(*mini.read_tickets(other), strict=True)
    ids_BT, lengths_B = mini.pad([mini.encode(text, vocabulary) for text in texts])
    with torch.no_grad():
        answers_N = network(torch.from_numpy(ids_BT).long(), torch.from_numpy(lengths_B)).argmax(dim=1)
    return 100 * float(np.mean([labels[a] == c for a, c in zip(answers_N, categories, strict=True)]))


def counted(taught: str, other: str) -> float:
    """Return the accuracy on `other` of step 1 of the course: a softmax regression on counts of words."""
    with check.loaded(check.sources_of(check.SOLUTIONS, 1), check.SOLUTIONS) as step1:
        predict = step1.fit(step1.read_tickets(taught))
        categories, texts = zip(*step1.read_tickets(other), strict=True)
        return 100 * float(np.mean([a == c for a, c in zip(predict(list(texts)), categories, strict=True)]))


def networks_alone(store: Store, name: str, other: str) -> float:
    """Return the accuracy of a version's networks without its linear expert, computed by the NumPy reference."""
    manifest, files = store.read_version(name, store.current(name).version)
    model = load(manifest, files)
    assert isinstance(model, GruModel), "a version that `fit` trained is a GRU"
    whole = reference.from_onnx(files["model.onnx"])
    tables = {table: np.zeros_like(getattr(whole.fitted, table)) for table in ("words", "grams", "pairs")}
    networks = whole._replace(fitted=whole.fitted._replace(**tables))  # its bias stays: it is the networks' as well
    rows = [json.loads(line) for line in Path(other).read_text("utf-8").splitlines()]
    tickets = [model.vocabulary.encode(row["tokens"]) for row in rows]
    answers = [model.labels[logits_C.argmax()] for logits_C in (reference.joint_logits(networks, t) for t in tickets)]
    return 100 * float(np.mean([a == row["category"] for a, row in zip(answers, rows, strict=True)]))


IDEAS = {
    "as it is": mini.make_network,
    "with pooling": with_ideas(True, 0.0),
    "with dropout": with_ideas(False, 0.3),
    "with both": with_ideas(True, 0.3),
}


def main() -> None:
    """Train all, and print a line each."""
    with tempfile.TemporaryDirectory() as made:
        taught, other, store = (str(Path(made, name)) for name in ("taught.jsonl", "other.jsonl", "store"))
        puppet("sample", taught, "--num-tickets", "1500")
        puppet("sample", other, "--num-tickets", "3000", "--seed", "1")
        print(f"counting words, step 1 {counted(taught, other):.1f}")
        for idea, make_network in IDEAS.items():
            with contextlib.redirect_stdout(io.StringIO()):
                accuracy = mini_with(make_network, taught, str(Path(made, "mini")), other)
            print(f"mini.py {idea} {accuracy:.1f}", flush=True)

        whole = 0.0
        for number, (part, settings) in enumerate(PARTS.items()):
            sets = [word for setting in (*ALWAYS, *settings) for word in ("--set", setting)]
            name = f"part{number}"
            out = puppet("fit", taught, "--store", store, "--name", name, "--test", other, *sets, "--json")
            accuracy = 100 * msgspec.json.decode(out.splitlines()[-1])["accuracy"]
            whole = whole or accuracy
            print(f"{part} {accuracy:.1f} {whole - accuracy:+.1f}", flush=True)
        alone = networks_alone(Store(Path(store)), "part0", other)
        print(f"the linear expert {alone:.1f} {whole - alone:+.1f}")


if __name__ == "__main__":
    main()
