"""Another process that works on the same jobs, to race the test's or to be stopped.

`python -m tests.artifacts.rival claim STORE` waits for a line, then claims, says so and finishes until nothing is left.
`... stop STORE MOMENT` claims, stops itself (SIGSTOP) before or in the transaction that publishes, and says how
publishing went.
"""

import os
import signal
import sys
from pathlib import Path

from artifacts.errors import PuppetError
from artifacts.jobs.jobs import Jobs
from artifacts.store.store import Store


def claim(store: Store) -> None:
    """Claim and finish until nothing is left."""
    jobs = Jobs(store)
    print("ready", flush=True)
    sys.stdin.readline()
    while job := jobs.claim():
        assert jobs.finish(job.id, job.attempt, "failed")
        print(job.id, flush=True)


def stop(store: Store, moment: str) -> None:
    """Claim, stop, and publish when continued."""
    jobs = Jobs(store)
    job = jobs.claim()
    assert job is not None
    print(job.id, flush=True)
    if moment == "before":
        os.kill(os.getpid(), signal.SIGSTOP)
    try:
        with jobs.publishing(job.id, job.attempt):
            os.kill(os.getpid(), signal.SIGSTOP)
            print("entered", flush=True)
            raise SystemExit
    except PuppetError as error:
        print(type(error).__name__, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "claim":
        claim(Store(Path(sys.argv[2])))
    else:
        stop(Store(Path(sys.argv[2])), sys.argv[3])
