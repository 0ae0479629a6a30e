"""Étape 6 : l’entraînement comme dans le produit : AdamW, écrêtage, arrêt anticipé, et une température à la fin.

    python step6.py tickets.jsonl order.jsonl

À partir d’ici, PyTorch calcule les gradients : les étapes 3 et 5 ont montré qu’il fait ce que vous avez écrit. Il
reste à comprendre comment bougent les poids, quand s’arrêter, et à quel point être sûr des réponses.
"""

# Axes : B tickets du lot, T tokens (remplissage compris), E embedding, H état, N tickets, C catégories.

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
    """Un embedding, le GRU de l’étape 5 tel que l’a PyTorch, une couche linéaire sur l’état après le dernier token."""

    def __init__(self, num_words: int, num_categories: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_words, EMBEDDING)
        self.gru = nn.GRU(EMBEDDING, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, num_categories)

    def forward(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Renvoie logits_BC."""
        # À l’entraînement, une part des nombres est mise à 0 au hasard, pour qu’on ne compte sur aucun.
        x_BTE = nn.functional.dropout(self.embedding(ids_BT), DROPOUT, self.training)
        states_BTH, _ = self.gru(x_BTE)
        return self.head(states_BTH[torch.arange(len(ids_BT)), lengths_B - 1])


def adamw_step(
    weight: Array, slope: Array, mean: Array, square: Array, num_steps: int, rate: float, decay: float
) -> tuple[Array, Array, Array]:
    """Renvoie le nouveau poids, et les nouvelles moyennes glissantes de la pente et de son carré.

    `mean` et `square` sont les moyennes avant ce pas, 0 avant le premier ; `num_steps` vaut 1 au premier pas.
    Le déclin tire le poids vers 0 de rate * decay * weight, quelle que soit la pente.
    """
    # gardez 0.9 de mean et 0.999 de square ; divisez-les par 1 - 0.9**num_steps et 1 - 0.999**num_steps (ils
    # partent de 0) ; puis weight - rate * decay * weight - rate * mean / (sqrt(square) + 1e-8)
    raise NotImplementedError("écrivez adamw_step")


def best_epoch(losses: list[float], patience: int) -> tuple[int, bool]:
    """Renvoie l’époque de la plus petite perte de validation, comptée à partir de 0, et s’il faut s’arrêter.

    On s’arrête quand les `patience` dernières époques n’ont rien apporté de plus bas que les précédentes.
    """
    # l’époque de la plus petite perte ; arrêtez si elle remonte à `patience` époques ou plus
    raise NotImplementedError("écrivez best_epoch")


def fit_temperature(logits_NC: Array, targets_N: Ids) -> float:
    """Renvoie le T, parmi 0.25, 0.26 ... 5, pour lequel softmax(logits / T) a la plus petite perte moyenne."""
    # essayez chaque T ; la perte d’un ticket est l’opposé du log de la probabilité de sa vraie catégorie
    raise NotImplementedError("écrivez fit_temperature")


# À partir d’ici, tout est donné.


def train(rows: list[list[int]], targets_N: Tensor, num_words: int, num_categories: int) -> tuple[Classifier, float]:
    """Renvoie le réseau entraîné, à sa meilleure époque, et sa température."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    network = Classifier(num_words, num_categories)
    # Une part des tickets appris dit quand s’arrêter et à quel point être sûr : qui juge ne doit pas choisir aussi.
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
        network.train()  # avec dropout
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
        network.eval()  # sans
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
    """Renvoie les catégories, le vocabulaire, le réseau entraîné et sa température."""
    labels = sorted({category for category, _ in taught})
    vocabulary = build_vocabulary([tokenize(text) for _, text in taught])
    rows = [encode(text, vocabulary) for _, text in taught]
    targets_N = torch.tensor([labels.index(category) for category, _ in taught])
    return labels, vocabulary, *train(rows, targets_N, len(vocabulary), len(labels))


def fit(taught: list[Ticket]) -> Predict:
    """Renvoie une fonction qui donne aux textes leur catégorie."""
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
