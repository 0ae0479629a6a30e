"""Exercice : la file sans attente.

Lisez docs/fr/14-service.md, complétez les deux fonctions, puis lancez

    pytest docs/exercises/fr/test_ex_batches.py
"""

from collections.abc import Sequence


def batches(arrivals: Sequence[float], run_ms: float, ticket_ms: float) -> list[list[int]]:
    """Renvoie quels tickets sont calculés ensemble, par leurs places dans `arrivals`.

    Un serveur libre prend tous les tickets arrivés, ou le prochain s’il n’y en a pas. Il est occupé pendant `run_ms`,
    plus `ticket_ms` par ticket du lot, puis il prend tous les tickets arrivés entre-temps.

    Arguments :
        arrivals : l’instant où arrive chaque ticket, en millisecondes, dans l’ordre.
        run_ms : ce que coûte un calcul, quoi qu’il contienne.
        ticket_ms : ce qu’y coûte chaque ticket.
    """
    raise NotImplementedError("écrivez batches ; commencez par l’instant où le serveur est libre")


def waits_ms(arrivals: Sequence[float], run_ms: float, ticket_ms: float) -> list[float]:
    """Renvoie combien de temps chaque ticket attend, de son arrivée à la fin de son lot."""
    raise NotImplementedError("écrivez waits_ms ; parcourez les lots avec la même horloge")
