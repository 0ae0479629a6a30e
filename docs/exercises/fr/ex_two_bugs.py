"""Exercice : le plancher de la perte, et un dernier état qui s’arrête à temps.

Lisez docs/fr/08-deux-bugs.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_two_bugs.py
"""

# Axes : B courriels du lot, T mots (remplissage compris), H l’état.

from torch import Tensor


def lowest_loss(num_categories: int) -> float:
    """Renvoie ce que `CrossEntropyLoss` fait encore payer à la bonne réponse la plus sûre, après un premier softmax.

    Calculé à la main : avec `math`, sans torch.
    """
    raise NotImplementedError("écrivez lowest_loss ; commencez par le softmax d’un 1 et de num_categories - 1 zéros")


def last_states(states_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """Renvoie l’état de chaque courriel après son dernier mot [B,H], sans compactage.

    Arguments :
        states_BTH : les états après chaque pas, remplissage compris : `gru(x_BTE)[0]` en PyTorch.
        lengths_B : int64, le nombre de mots de chaque courriel, au moins 1.
    """
    raise NotImplementedError("écrivez last_states ; commencez par un courriel : où est son dernier mot ?")
