"""Étape 3 : le gradient par la machine. Un autograd pour des nombres seuls, en quelque quatre-vingts lignes.

    python step3.py tickets.jsonl

À l’étape 1, vous avez trouvé le gradient au crayon. Ici, chaque opération garde ses entrées et la pente par rapport à
chacune ; `backward` multiplie et additionne ces pentes au retour (la règle en chaîne). PyTorch fait de même avec des
matrices. Nombre par nombre, c’est lent : le modèle de l’étape 1 apprend donc de moins de tickets, une fois chacun.
"""

from __future__ import annotations

import math

from step1 import UNK, Predict, Ticket, build_vocabulary, main, tokenize

NUM_TAUGHT, LEARNING_RATE = 400, 0.3


class Value:
    """Un nombre qui se souvient de quoi il est fait.

    Attributs :
        data : le nombre.
        grad : comment le dernier résultat change quand ce nombre croît ; 0 avant `backward`.
        parents : (entrée, pente) de l’opération qui l’a fait ; vide pour une entrée.
    """

    def __init__(self, data: float, parents: tuple[tuple[Value, float], ...] = ()) -> None:
        self.data, self.grad, self.parents = data, 0.0, parents

    def __add__(self, other: Value) -> Value:
        # La somme croît de 1 quand l’un des termes croît de 1 : les deux pentes valent 1.
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other: Value) -> Value:
        # le produit et, pour chaque facteur, à quelle vitesse le produit croît avec lui
        raise NotImplementedError("écrivez __mul__")

    def exp(self) -> Value:
        """Renvoie e à la puissance de ce nombre."""
        # exp est sa propre pente
        raise NotImplementedError("écrivez exp")

    def log(self) -> Value:
        """Renvoie le logarithme naturel."""
        # la pente de log x est 1 / x
        raise NotImplementedError("écrivez log")

    def tanh(self) -> Value:
        """Renvoie la tangente hyperbolique, entre -1 et 1."""
        # avec y = tanh x, la pente est 1 - y * y
        raise NotImplementedError("écrivez tanh")

    def backward(self) -> None:
        """Calcule `grad` de tous les nombres dont celui-ci est fait."""
        # rangez chaque nombre après ses entrées, revenez depuis le résultat, ajoutez pente * grad à chaque entrée
        raise NotImplementedError("écrivez backward")


# À partir d’ici, tout est donné.


def cross_entropy(logits: list[Value], target: int) -> Value:
    """Renvoie log(somme de exp(logits)) - logits[target] : l’opposé du log de softmax à la vraie catégorie."""
    total = logits[0].exp()
    for logit in logits[1:]:
        total = total + logit.exp()
    return total.log() + Value(-1.0) * logits[target]


def fit(taught: list[Ticket]) -> Predict:
    """Renvoie une fonction qui donne aux textes leur catégorie : le modèle de l’étape 1, un pas par ticket."""
    labels = sorted({category for category, _ in taught})
    vocabulary = build_vocabulary([tokenize(text) for _, text in taught])
    weights = [[Value(0.0) for _ in labels] for _ in vocabulary]
    bias = [Value(0.0) for _ in labels]

    def score(text: str) -> tuple[list[list[Value]], list[Value]]:
        rows = [bias, *(weights[vocabulary.get(token, UNK)] for token in tokenize(text))]
        logits = list(rows[0])
        for row in rows[1:]:
            logits = [logit + weight for logit, weight in zip(logits, row, strict=True)]
        return rows, logits

    for category, text in taught[:NUM_TAUGHT]:
        rows, logits = score(text)
        cross_entropy(logits, labels.index(category)).backward()
        for weight in {id(weight): weight for row in rows for weight in row}.values():
            weight.data -= LEARNING_RATE * weight.grad
            weight.grad = 0.0

    def predict(texts: list[str]) -> list[str]:
        found = [[logit.data for logit in score(text)[1]] for text in texts]
        return [labels[row.index(max(row))] for row in found]

    return predict


if __name__ == "__main__":
    main(fit)
