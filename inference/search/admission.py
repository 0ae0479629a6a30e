"""Admission by predicted cost: how much work may wait, and whether it can be done in time.

Work is counted in tokens, because a run takes time in proportion to them (a request in itself counts as 20). A request
that would stand behind too many tokens is refused while that is still cheap: an answer that comes late is worth no more
than a refusal, and it takes the core from one that would have come in time. What a token takes is learnt from the runs.
"""

import time

from inference.errors import ServerFull, TooLate
from inference.monitoring.counters import FULL, LATE, Counters

REQUEST_TOKENS = 20  # that a request costs beside its tickets: 30 us of HTTP and JSON, the model's time for so many
INLINE_TOKENS = 2048  # of one request, the most that runs on the loop; 32 tickets of 8 to 50 tokens are 930
LARGE_FACTOR = 16  # the thread's queue is so many times the loop's; who sends 20 times the work can wait for it
LEARN_TOKENS = 256  # of a turn; less says more of the price of a run than of that of a token
TOKEN_S = 2e-6  # of a token, until the first turn has been measured


class Admission:
    """The limit of both queues, and what the last runs took; one for the process, belongs to its event loop.

    Attributes:
        limit_tokens: that may wait for the loop; LARGE_FACTOR times as many for the thread.
        waiting_tokens: that wait for the loop.
        large_tokens: that wait for the thread, or run in it.
    """

    def __init__(self, limit_tokens: int, counters: Counters) -> None:
        """Take the limit of the loop's queue, and the counters that note each refusal."""
        self.limit_tokens = limit_tokens
        self.waiting_tokens = 0
        self.large_tokens = 0
        self._counters = counters
        self._token_s = TOKEN_S

    def check(self, cost: int, deadline: float | None, is_large: bool = False) -> None:
        """Raise unless work of so many tokens may wait, and can be done in time.

        A queue that is empty takes anything: a request that is larger than the limit has its turn too.

        Args:
            cost: in tokens, of the inputs alone.
            deadline: on the clock of `time.perf_counter`; None if there is none.
            is_large: whether it goes to the thread, whatever it costs.
        Raises:
            ServerFull: other work waits already.
            TooLate: by what the last turns took it will not be done by the deadline.
        """
        waiting, limit = self.waiting_tokens, self.limit_tokens
        cost += REQUEST_TOKENS
        if is_large or cost > INLINE_TOKENS + REQUEST_TOKENS:
            waiting, limit = self.large_tokens, self.limit_tokens * LARGE_FACTOR
        if waiting and waiting + cost > limit:
            self._counters.count_refusal(FULL)
            raise ServerFull("server-full", num_tokens=waiting + cost, limit_tokens=limit)
        if deadline is not None and time.perf_counter() + (waiting + cost) * self._token_s > deadline:
            self._counters.count_refusal(LATE)
            raise TooLate("too-late")

    def learn(self, num_tokens: int, seconds: float) -> None:
        """Learn from a turn what a token takes: a moving average, of turns that are long enough to tell."""
        if num_tokens >= LEARN_TOKENS:
            self._token_s += 0.1 * (seconds / num_tokens - self._token_s)
