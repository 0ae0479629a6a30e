"""What a training is made of, how fast this machine is at it, and so how much of it is left.

In: the rounds of a training (budget.py), and what it tells while it goes on (`kinds.Progress`). Out: seconds. Nothing
here imports torch. The idea: nearly all of the time goes into GRUs that read tickets again and again, and into linear
parts that are fitted to tickets once. How long either takes for a ticket is learnt from the first steps and the first
fit, and the rest is multiplication. Before the first steps nothing is known, and nothing is said. After a second of
steps the time of the whole training is said once, and never again: so it can be compared with what it took.
"""

import math
import time
from collections.abc import Sequence
from itertools import dropwhile
from typing import Literal

import msgspec

from artifacts.jobs.events import Phase

SAID_AFTER_S = 1.0  # of steps; fewer are one long look for memory
OUTSIDE_S = 6.0  # of a training outside its rounds: to load PyTorch, to export and to prove the graph

# What a round is for: to answer tickets kept out, to learn from all, from unlabelled ones too, without some categories.
Purpose = Literal["parts", "all", "unlabelled", "out_of_scope"]


class Pace(msgspec.Struct, frozen=True):
    """How fast this machine is at it.

    Attributes:
        gru_s: seconds for a GRU to learn from one ticket once.
        linear_s: seconds for a linear part, for each ticket.
    """

    gru_s: float
    linear_s: float


class Round(msgspec.Struct, frozen=True):
    """Experts that are trained at the same time, each on as many tickets.

    Attributes:
        purpose: what they are trained for.
        num_tickets: that each learns from; a mean.
        grus, linears: how many of either.
        epochs: of a GRU at most.
        processes: that train at once.
    """

    purpose: Purpose
    num_tickets: float
    grus: int
    linears: int
    epochs: int
    processes: int

    def seconds(self, pace: Pace) -> float:
        """Return how long it takes."""
        gru_s, linear_s = self.num_tickets * self.epochs * pace.gru_s, self.num_tickets * pace.linear_s
        whole_s = self.grus * gru_s + self.linears * linear_s
        # Each network is one process's: a lone one takes as long on two cores as on one.
        return max(whole_s / self.processes, math.ceil(self.grus / self.processes) * gru_s)


def starting_with(purpose: Purpose, rounds: Sequence[Round]) -> list[Round]:
    """Return the rounds from one on; none if there is no such round."""
    return list(dropwhile(lambda one: one.purpose != purpose, rounds))


class Estimate:
    """What is left of a training: is told what `kinds.Progress` is told. One training, one thread.

    A linear part's time counts once one has been fitted in this process; with several processes others may fit it.
    """

    def __init__(self) -> None:
        self._rounds: Sequence[Round] = ()
        self._began_s = 0.0  # of the first of the rounds
        self._phase: Phase | None = None
        self._gru_s: float | None = None
        self._linear_s = 0.0
        self._asked_s = 0.0  # when the phase began
        # Of the GRU that is trained now: tickets to read in all epochs, and those read so far.
        self._num_tickets = self._num_all = self._num_read = 0
        self._first: tuple[float, int] | None = None  # when it had made its first step, and tickets read then
        self._started_s = 0.0
        self._planned_s: float | None = None  # when the first rounds were planned
        self._expected_s: float | None = None

    def plan(self, rounds: Sequence[Round]) -> None:
        """Take the rounds that are still to come, of which the first begins now."""
        self._rounds, self._began_s = rounds, time.monotonic()
        if self._planned_s is None:
            self._planned_s = self._began_s

    def phase(self, phase: Phase) -> None:
        """Take what begins now."""
        self._phase, self._asked_s = phase, time.monotonic()

    def fitted(self, num_tickets: int) -> None:
        """Take that the linear part that was begun last is fitted to so many tickets."""
        self._linear_s = (time.monotonic() - self._asked_s) / max(1, num_tickets)

    def start(self, num_tickets: int, num_epochs: int) -> None:
        """Take how much the next GRU has to read."""
        self._num_tickets, self._num_all, self._num_read = num_tickets, num_tickets * num_epochs, 0
        self._first, self._started_s = None, time.monotonic()

    def step(self, epoch: int, num_tickets: int) -> None:
        """Take how far the GRU is: tickets of an epoch, counted from 1."""
        now, self._num_read = time.monotonic(), (epoch - 1) * self._num_tickets + num_tickets
        if self._first is None:
            # All there is to go by so far, though PyTorch takes its memory in this step.
            self._first, since, num_read = (now, self._num_read), self._started_s, self._num_read
        else:
            since, num_read = self._first[0], self._num_read - self._first[1]
        if num_read > 0:
            self._gru_s = (now - since) / num_read
        # In its first step PyTorch takes its memory, so what is said must rest on others, if there are any.
        has_seen = (num_read < self._num_read and now - since >= SAID_AFTER_S) or self._num_read >= self._num_all
        if has_seen and self._expected_s is None and self._rounds and self._planned_s is not None:
            self._expected_s = OUTSIDE_S + now - self._planned_s + (self.seconds_left() or 0.0)

    @property
    def expected_s(self) -> float | None:
        """About how long the whole training takes, as it was first known; None before that."""
        return self._expected_s

    def seconds_left(self) -> float | None:
        """Return about how long the training will take from now on, at most; None while nobody can know.

        A GRU that stops early, or a later round of fewer epochs, takes less. The export and the publishing, which take
        seconds, do not count.
        """
        if self._gru_s is None:
            return None
        of_gru_s = (self._num_all - self._num_read) * self._gru_s if self._phase == "network" else 0.0
        if not self._rounds:
            return of_gru_s if self._phase == "network" else None
        pace = Pace(self._gru_s, self._linear_s)
        of_round_s = self._rounds[0].seconds(pace) - (time.monotonic() - self._began_s)
        return max(of_round_s, of_gru_s, 0.0) + sum(one.seconds(pace) for one in self._rounds[1:])
