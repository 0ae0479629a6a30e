"""Étape 1 : compter les mots. Une régression softmax en NumPy, avec son gradient trouvé à la main.

    python step1.py tickets.jsonl

Un ticket devient une ligne de nombres, un par mot. Une catégorie a un poids par mot, et son score (son logit) est la
somme des nombres fois les poids. Softmax en fait des probabilités ; l’entraînement déplace les poids.
"""

# Axes : N tickets, V identifiants du vocabulaire, C catégories.

import json
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ticket = tuple[str, str]  # catégorie, texte
Predict = Callable[[list[str]], list[str]]  # textes -> catégories
PAD, UNK = 0, 1  # deux identifiants qui ne sont pas des mots
MIN_COUNT = 2
NUM_STEPS, LEARNING_RATE = 200, 2.0


def tokenize(text: str) -> list[str]:
    """Renvoie les mots d’un texte en minuscules, et ses ! et ?."""
    return re.findall(r"<\w+>|\w+|[!?]", unicodedata.normalize("NFC", text).lower())


def build_vocabulary(tickets: list[list[str]]) -> dict[str, int]:
    """Renvoie token -> identifiant des tokens présents dans MIN_COUNT tickets ou plus, dans l’ordre alphabétique.

    Les identifiants commencent à 2 : `<pad>` vaut 0 et `<unk>` vaut 1.
    """
    # comptez dans combien de tickets figure chaque token ; un ticket qui le dit deux fois compte une fois
    raise NotImplementedError("écrivez build_vocabulary")


def count(tickets: list[list[str]], vocabulary: dict[str, int]) -> Array:
    """Renvoie counts_NV : combien de fois chaque identifiant figure dans chaque ticket ; inconnus sous UNK."""
    counts_NV = np.zeros((len(tickets), len(vocabulary)))
    for row, tokens in enumerate(tickets):
        for token in tokens:
            counts_NV[row, vocabulary.get(token, UNK)] += 1
    return counts_NV


def softmax(logits_NC: Array) -> Array:
    """Renvoie probabilities_NC : au-dessus de 0, chaque ligne de somme 1, en proportion de exp(logits)."""
    # exp, puis divisez chaque ligne par sa somme ; ôtez d’abord son plus grand logit, sinon exp(1000) est infini
    raise NotImplementedError("écrivez softmax")


def gradient(counts_NV: Array, targets_N: NDArray[np.int64], weight_VC: Array, bias_C: Array) -> tuple[Array, Array]:
    """Renvoie comment la perte moyenne change avec chaque poids, [V, C], et chaque biais, [C].

    La perte d’un ticket est l’opposé du logarithme de la probabilité qu’a reçue sa vraie catégorie.
    """
    # la pente de la perte par rapport aux logits : les probabilités, moins 1 à la vraie catégorie
    raise NotImplementedError("écrivez gradient")


# À partir d’ici, tout est donné : lisez, puis lancez.


def regress(counts_NV: Array, targets_N: NDArray[np.int64], num_categories: int) -> tuple[Array, Array]:
    """Renvoie weight_VC et bias_C après NUM_STEPS pas de descente : chaque pas va contre le gradient."""
    weight_VC, bias_C = np.zeros((counts_NV.shape[1], num_categories)), np.zeros(num_categories)
    for _ in range(NUM_STEPS):
        of_weight, of_bias = gradient(counts_NV, targets_N, weight_VC, bias_C)
        weight_VC -= LEARNING_RATE * of_weight
        bias_C -= LEARNING_RATE * of_bias
    return weight_VC, bias_C


def fit(taught: list[Ticket]) -> Predict:
    """Renvoie une fonction qui donne aux textes leur catégorie, apprise de tickets étiquetés."""
    labels = sorted({category for category, _ in taught})
    tokens = [tokenize(text) for _, text in taught]
    vocabulary = build_vocabulary(tokens)
    targets_N = np.array([labels.index(category) for category, _ in taught])
    weight_VC, bias_C = regress(count(tokens, vocabulary), targets_N, len(labels))

    def predict(texts: list[str]) -> list[str]:
        counts_NV = count([tokenize(text) for text in texts], vocabulary)
        return [labels[label] for label in (counts_NV @ weight_VC + bias_C).argmax(axis=1)]

    return predict


def read_tickets(path: str) -> list[Ticket]:
    """Renvoie (catégorie, texte) de chaque ligne d’un fichier JSONL."""
    rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    return [(row["category"], row.get("text") or " ".join(row["tokens"])) for row in rows]


def held_out_accuracy(fit: Callable[[list[Ticket]], Predict], tickets: list[Ticket], seed: int = 0) -> float:
    """Renvoie la part de réponses justes sur un cinquième des tickets, que `fit` ne voit jamais."""
    order = np.random.default_rng(seed).permutation(len(tickets))
    held_out, taught = np.split(order, [len(tickets) // 5])
    predict = fit([tickets[i] for i in taught])
    answers = predict([tickets[i][1] for i in held_out])
    return float(np.mean([answer == tickets[i][0] for answer, i in zip(answers, held_out, strict=True)]))


def main(fit: Callable[[list[Ticket]], Predict]) -> None:
    """Affiche l’exactitude sur les tickets mis de côté, pour les fichiers de la ligne de commande."""
    for path in sys.argv[1:]:
        start = time.perf_counter()
        accuracy = held_out_accuracy(fit, read_tickets(path))
        print(f"{path}: held-out accuracy {accuracy:.3f} in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(fit)
