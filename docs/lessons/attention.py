"""A GRU or attention, trained from nothing on few tickets: which of them reads order, and how often each is right.

    python docs/lessons/attention.py                   # both sets of the course, three seeds: a few minutes
    python docs/lessons/attention.py --num-seeds 1

Four networks differ in one thing only, how a token learns of the others: not at all, through a GRU, through a layer of
attention, or through attention with a vector added for each place. Vectors, pooling (the mean), batches and AdamW are
the same. The two sets are those of docs/mini: sample tickets, where one word often gives the category away, and a set
where only the order does. docs/en/19-attention.md is the chapter to this file.

In: nothing, the tickets are invented. Out, on stdout: a line per network, with the accuracy on a fifth that was held
out, mean and range over the seeds, and its processor time.
"""

# Axes: B tickets in the batch, T tokens (padded), E embedding (and hidden), C categories.

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from docs.mini import mini
from docs.mini.tickets import write

SIZE, HEADS, PLACES = 32, 4, 64  # E; parts that attention looks at separately; the longest ticket
EPOCHS, BATCH, LEARNING_RATE, HELD_OUT = 15, 32, 3e-3, 0.2
KINDS = ("mean of vectors", "GRU", "attention", "attention and places")
SETS = ("tickets", "order")


class Classifier(nn.Module):
    """Vectors, one of the four ways in which tokens learn of each other, their mean, a linear layer."""

    def __init__(self, kind: str, num_words: int, num_categories: int) -> None:
        super().__init__()
        self.kind = kind
        self.embedding = nn.Embedding(num_words, SIZE, padding_idx=mini.PAD)
        if kind == "GRU":
            self.gru = nn.GRU(SIZE, SIZE, batch_first=True)
        if kind.startswith("attention"):
            # Attention, then a network that treats each token by itself: one layer of a transformer.
            self.layer = nn.TransformerEncoderLayer(SIZE, HEADS, 4 * SIZE, dropout=0.0, batch_first=True)
        if kind.endswith("places"):
            self.places = nn.Embedding(PLACES, SIZE)
        self.head = nn.Linear(SIZE, num_categories)

    def forward(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Return logits_BC."""
        x_BTE = self.embedding(ids_BT)
        is_padding_BT = torch.arange(ids_BT.shape[1]) >= lengths_B[:, None]
        if self.kind.endswith("places"):
            x_BTE = x_BTE + self.places(torch.arange(ids_BT.shape[1]).clamp(max=PLACES - 1))
        if self.kind == "GRU":
            # It reads the padding too, but only after the ticket, and those states are not averaged.
            x_BTE = self.gru(x_BTE)[0]
        if self.kind.startswith("attention"):
            x_BTE = self.layer(x_BTE, src_key_padding_mask=is_padding_BT)  # nobody looks at the padding
        x_BTE = x_BTE.masked_fill(is_padding_BT[:, :, None], 0.0)
        logits_BC: Tensor = self.head(x_BTE.sum(dim=1) / lengths_B[:, None])
        return logits_BC


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return ids_BT and lengths_B as the networks take them."""
    ids_BT, lengths_B = mini.pad([list(row) for row in rows])
    return torch.from_numpy(ids_BT).long(), torch.from_numpy(lengths_B).long()


def train(kind: str, tickets: Sequence[tuple[str, str]], seed: int, epochs: int) -> float:
    """Return the accuracy of a network on the tickets that were held out, after its last epoch."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    order = random.permutation(len(tickets))
    held_out, taught = np.split(order, [round(len(tickets) * HELD_OUT)])
    labels = sorted({category for category, _ in tickets})
    vocabulary = mini.build_vocabulary([tickets[i][1] for i in taught])
    rows = [mini.encode(text, vocabulary) for _, text in tickets]
    targets_N = torch.tensor([labels.index(category) for category, _ in tickets])
    network = Classifier(kind, len(vocabulary), len(labels))
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    for _ in range(epochs):
        shuffled = random.permutation(taught)
        for start in range(0, len(shuffled), BATCH):
            chosen = shuffled[start : start + BATCH]
            loss = nn.functional.cross_entropy(network(*padded([rows[i] for i in chosen])), targets_N[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    network.eval()
    with torch.no_grad():
        answers_N = network(*padded([rows[i] for i in held_out])).argmax(dim=1)
    return float((answers_N == targets_N[held_out]).double().mean())


@click.command()
@click.option("--num-seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each.")
@click.option("--epochs", type=click.IntRange(min=1), default=EPOCHS, show_default=True, help="Of each training.")
@click.option("--num-tickets", type=click.IntRange(min=50), help="Of each set; all by default.")
def main(num_seeds: int, epochs: int, num_tickets: int | None) -> None:
    """Train the four networks on both sets, and print how often each is right."""
    torch.set_num_threads(1)  # a second thread gains nothing on matrices this small
    with tempfile.TemporaryDirectory() as made:
        write(Path(made))
        sets = {name: mini.read_tickets(str(Path(made, f"{name}.jsonl")))[:num_tickets] for name in SETS}
    click.echo(f"{'':22}{'tickets':24}{'word order':24}seconds")
    results = {}
    for kind in KINDS:
        start = time.process_time()
        found = {name: [train(kind, sets[name], seed, epochs) for seed in range(num_seeds)] for name in SETS}
        cells = [f"{np.mean(found[name]):.3f} ({min(found[name]):.3f} to {max(found[name]):.3f})" for name in SETS]
        click.echo(f"{kind:22}{cells[0]:24}{cells[1]:24}{time.process_time() - start:7.1f}")
        results[kind] = found
    click.echo(json.dumps(results))


if __name__ == "__main__":
    main()
