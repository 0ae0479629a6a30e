"""Step 6: training as the product does it: AdamW, clipping, early stopping, and a temperature at the end.

    python step6.py tickets.jsonl order.jsonl

From here on PyTorch computes the gradients: step 3 and step 5 showed that it does what you wrote. What is left to
understand is how the weights move, when to stop, and how sure the answers should be.
"""

# Axes: B tickets in the batch, T tokens (padded), E embedding, H hidden, N tickets, C categories.

import copy
from typing import Any

import numpy as np
import torch
from step1 import Array, Predict, Ticket, build_vocabulary, main, softmax, tokenize
from step4 import Ids, batches, encode, pad
from torch import Tensor, nn

EMBEDDING, HIDDEN, DROPOUT = 32, 64, 0.4
MAX_EPOCHS, PATIENCE, LEARNING_RATE, DECAY = 12, 3, 5e-3, 0.01


class Classifier(nn.Module):
    """An embedding, the GRU of step 5 as PyTorch has it, a linear layer on the state after the last token."""

    def __init__(self, num_words: int, num_categories: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_words, EMBEDDING)
        self.gru = nn.GRU(EMBEDDING, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, num_categories)

    def forward(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Return logits_BC."""
        # In training a share of the numbers is set to 0 at random, so that no single one can be relied upon.
        x_BTE = nn.functional.dropout(self.embedding(ids_BT), DROPOUT, self.training)
        states_BTH, _ = self.gru(x_BTE)
        return self.head(states_BTH[torch.arange(len(ids_BT)), lengths_B - 1])


def adamw_step(
    weight: Array, slope: Array, mean: Array, square: Array, num_steps: int, rate: float, decay: float
) -> tuple[Array, Array, Array]:
    """Return the new weight, and the new running means of the slope and of its square.

    `mean` and `square` are the running means before this step, 0 before the first; `num_steps` is 1 for the first step.
    The decay pulls the weight towards 0 by rate * decay * weight, whatever the slope.
    """
    # keep 0.9 of mean and 0.999 of square; divide them by 1 - 0.9**num_steps and 1 - 0.999**num_steps (they
    # started at 0); then weight - rate * decay * weight - rate * mean / (sqrt(square) + 1e-8)
    raise NotImplementedError("write adamw_step")


def best_epoch(losses: list[float], patience: int) -> tuple[int, bool]:
    """Return the epoch with the lowest validation loss so far, counted from 0, and whether training should stop.

    It stops when the last `patience` epochs have all brought nothing lower than the epochs before them.
    """
    # the epoch of the lowest loss; stop if it is `patience` or more epochs ago
    raise NotImplementedError("write best_epoch")


def fit_temperature(logits_NC: Array, targets_N: Ids) -> float:
    """Return the T of 0.25, 0.26 ... 5 for which softmax(logits / T) has the lowest mean loss."""
    # try each T; the loss of a ticket is minus the logarithm of the probability of its true category
    raise NotImplementedError("write fit_temperature")


# From here on it is given.


def train(rows: list[list[int]], targets_N: Tensor, num_words: int, num_categories: int) -> tuple[Classifier, float]:
    """Return the trained network, at its best epoch, and its temperature."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    network = Classifier(num_words, num_categories)
    # A part of the taught tickets says when to stop and how sure to be: those that judge must not choose as well.
    order = random.permutation(len(rows))
    chooses, teaches = np.split(order, [len(rows) // 8])
    moments: dict[str, tuple[Any, Any]] = {name: (0.0, 0.0) for name, _ in network.named_parameters()}

    def logits(chosen: Ids) -> Tensor:
        ids_BT, lengths_B = pad([rows[i] for i in chosen])
        return network(torch.from_numpy(ids_BT), torch.from_numpy(lengths_B))

    losses: list[float] = []
    kept = network.state_dict()
    num_steps, stop = 0, False
    while not stop and len(losses) < MAX_EPOCHS:
        network.train()  # with dropout
        for batch in batches(len(teaches), random):
            chosen = teaches[batch]
            network.zero_grad()
            nn.functional.cross_entropy(logits(chosen), targets_N[chosen]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            num_steps += 1
            with torch.no_grad():
                for name, weight in network.named_parameters():
                    step = (weight, weight.grad, *moments[name], num_steps, LEARNING_RATE, DECAY)
                    moved, *means = adamw_step(*step)
                    weight.copy_(moved)
                    moments[name] = (means[0], means[1])
        network.eval()  # without
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(logits(chooses), targets_N[chooses])))
        best, stop = best_epoch(losses, PATIENCE)
        if best == len(losses) - 1:
            kept = copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    with torch.no_grad():
        temperature = fit_temperature(logits(chooses).double().numpy(), targets_N[chooses].numpy())
    return network, temperature


def prepare(taught: list[Ticket]) -> tuple[list[str], dict[str, int], Classifier, float]:
    """Return the labels, the vocabulary, the trained network and its temperature."""
    labels = sorted({category for category, _ in taught})
    vocabulary = build_vocabulary([tokenize(text) for _, text in taught])
    rows = [encode(text, vocabulary) for _, text in taught]
    targets_N = torch.tensor([labels.index(category) for category, _ in taught])
    return labels, vocabulary, *train(rows, targets_N, len(vocabulary), len(labels))


def fit(taught: list[Ticket]) -> Predict:
    """Return a function that gives texts their categories."""
    labels, vocabulary, network, temperature = prepare(taught)
    print(f"temperature {temperature:.2f}")

    def predict(texts: list[str]) -> list[str]:
        ids_BT, lengths_B = pad([encode(text, vocabulary) for text in texts])
        with torch.no_grad():
            logits_BC = network(torch.from_numpy(ids_BT), torch.from_numpy(lengths_B))
        return [labels[label] for label in logits_BC.argmax(dim=1)]

    return predict


if __name__ == "__main__":
    main(fit)
