"""Exercice : le seuil, en comptant.

Lisez docs/fr/10-abstention.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_abstain.py
"""

from collections.abc import Sequence


def threshold(confidences: Sequence[float], right: Sequence[bool], target: float, num_least: int) -> float | None:
    """Renvoie la plus petite confiance jusqu’à laquelle la cible est encore atteinte ; None s’il n’y en a pas.

    Aiguillez les tickets à partir du plus sûr, et comptez. Aussi sûrs l’un que l’autre, ils vont ensemble ou pas, et
    moins de `num_least` tickets ne prouvent rien.

    Arguments :
        confidences : celle de la catégorie la plus probable de chaque ticket.
        right : si c’est la vraie.
        target : part des tickets aiguillés qui doit être juste.
        num_least : nombre de tickets à aiguiller au moins.
    """
    raise NotImplementedError("écrivez threshold ; triez les tickets, le plus sûr d’abord")


def coverage_and_accuracy(
    confidences: Sequence[float], right: Sequence[bool], least: float
) -> tuple[float, float | None]:
    """Renvoie la part des tickets au moins aussi sûrs, et celle des justes parmi eux ; None s’il n’y en a pas."""
    raise NotImplementedError("écrivez coverage_and_accuracy ; deux comptages, deux divisions")
