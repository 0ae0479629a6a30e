"""How long a training will take, and which settings fit into a time that was given.

In: settings, the number of tickets, and how fast this machine reads them. Out: settings that are done in time. What it
leaves to others: what to do with time that is left over (tune.py).

The training itself is not cut off: its learning rate must fall to its end, and a run that ends in the middle of its
schedule is worth little. So the time is planned before, from a short run on some of the tickets, and a plan that is
made is kept to; the same settings train the same model on any machine.
"""

from collections.abc import Sequence

import msgspec

from artifacts.errors import InvalidInput
from trainer.config import FAST_EPOCHS, TrainConfig
from trainer.jobs.pace import OUTSIDE_S, Pace, Round
from trainer.selection.out_of_scope import SHARE

SAMPLE = 2000  # tickets of the short run
MARGIN = 1.2  # a machine is not always as fast as it was during the short run
LEAST_EPOCHS = 4


def rounds(config: TrainConfig, num_tickets: int, num_unlabelled: int) -> list[Round]:
    """Return the rounds of a training with settings that are resolved, in order."""
    kept_out = num_tickets / config.folds if config.folds > 1 else num_tickets * config.validation
    parts = config.folds if config.folds > 1 else 1
    taught = num_tickets - kept_out
    grus, epochs, processes = config.grus, config.epochs, config.processes
    num_linear = 1 if config.linear_c else 3  # ensemble.linear_choices; 2 of many categories in few columns
    found = [Round("parts", taught, parts * grus, parts * num_linear, epochs, processes)]
    if config.refit or config.folds > 1:
        found.append(Round("all", num_tickets, grus, 1, epochs, processes))
    if num_unlabelled:
        found.append(Round("unlabelled", num_tickets + num_unlabelled, grus, 1, epochs, processes))
    if config.out_of_scope:
        found.append(Round("out_of_scope", (1 - SHARE) * taught, 1, 1, FAST_EPOCHS, processes))
    return found


def seconds(config: TrainConfig, num_tickets: int, num_unlabelled: int, pace: Pace) -> float:
    """Return about how long a training takes with settings that are resolved."""
    return OUTSIDE_S + MARGIN * sum(one.seconds(pace) for one in rounds(config, num_tickets, num_unlabelled))


def fit_into(
    config: TrainConfig, num_tickets: int, num_unlabelled: int, pace: Pace, left_s: float
) -> tuple[TrainConfig, float]:
    """Return the settings, reduced as far as the time asks for, and about how long they take.

    What is given up first is what is worth least: the trial of tickets out of scope, folds, epochs down to 12, GRUs but
    one for each process (one GRU takes as long as that), the second training on every ticket, the other GRUs, and
    further epochs (docs/LOG.md).

    Raises:
        InvalidInput: even the least that is worth training takes longer.
    """
    estimate = 0.0
    for tried in ladder(config):
        estimate = seconds(tried, num_tickets, num_unlabelled, pace)
        if estimate <= left_s:
            return tried, estimate
    raise InvalidInput(
        "too-little-time",
        num_tickets=num_tickets,
        estimate_s=round(estimate),
        minutes=config.minutes,
        left_s=max(0, round(left_s)),
    )


def ladder(config: TrainConfig) -> Sequence[TrainConfig]:
    """Return settings that take ever less time, the given ones first."""
    steps = [config]

    def then(**changes: object) -> None:
        steps.append(msgspec.structs.replace(steps[-1], **changes))

    if config.out_of_scope:
        then(out_of_scope=False)
    if config.folds > 1:
        then(folds=1)
    for epochs in range(config.epochs - 1, 11, -1):
        then(epochs=epochs)
    for grus in range(config.grus - 1, config.processes - 1, -1):
        then(grus=grus)
    if config.refit:
        then(refit=False)
    for grus in range(steps[-1].grus - 1, 0, -1):
        then(grus=grus)
    for epochs in range(min(config.epochs, 12) - 1, LEAST_EPOCHS - 1, -1):
        then(epochs=epochs)
    return steps
