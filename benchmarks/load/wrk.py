"""How many requests a second a server gets through at most, by wrk (Debian package `wrk`): a closed loop in C.

Only for saturation. Its latency is that of a caller who waits for each answer before asking again; under load that
hides queueing, and client.py's open loop is the one to read.
"""

import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from benchmarks.load.client import Address
from benchmarks.load.server import pinned

# Sends the bodies of a file in turn, and ends with one line of JSON; latency is in microseconds.
SCRIPT = """
local requests, at = {}, 0
function init(args)
  local headers = {["Content-Type"] = "application/json"}
  for body in io.lines(os.getenv("WRK_BODIES")) do
    requests[#requests + 1] = wrk.format("POST", "/search", headers, body)
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"num_answered":%d,"seconds":%.6f,"num_errors":%d,"num_not_200":%d,"p50_us":%d,"p99_us":%d}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)))
end
"""
THREADS = 1  # of wrk; one is good for 100,000 requests a second and more


class Answered(msgspec.Struct, frozen=True):
    """What one run of wrk counted.

    Attributes:
        num_answered: answers of any status.
        seconds: that it ran.
        num_errors: connections and answers that failed.
        num_not_200: answers of status 400 and above.
        p50_us, p99_us: of the time to an answer.
    """

    num_answered: int
    seconds: float
    num_errors: int
    num_not_200: int
    p50_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.num_answered - self.num_not_200) / self.seconds


def find_wrk() -> str:
    """Return where wrk is.

    Raises:
        click.ClickException: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise click.ClickException("wrk is not installed; it measures saturation: apt-get install wrk")
    return found


def saturate(
    address: Address, bodies: Sequence[bytes], num_connections: int, seconds: float, core: int | None
) -> Answered:
    """Return what a server answers to callers who ask again at once.

    Args:
        address: of the server.
        bodies: of searches, sent in turn.
        num_connections: that ask at the same time.
        seconds: of the run, rounded up, because wrk counts in whole ones.
        core: of wrk.
    Raises:
        click.ClickException: wrk is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="puppet-wrk-") as folder:
        script, sent = Path(folder) / "search.lua", Path(folder) / "bodies"
        script.write_text(SCRIPT, "ascii")
        sent.write_bytes(b"".join(body + b"\n" for body in bodies))
        url = f"http://{address.host}:{address.port}"
        command = [
            find_wrk(),
            f"-t{THREADS}",
            f"-c{num_connections}",
            f"-d{math.ceil(seconds)}s",
            "-s",
            str(script),
            url,
        ]
        environment = {**os.environ, "WRK_BODIES": str(sent)}
        with pinned(core):
            done = subprocess.run(command, capture_output=True, env=environment, check=False)
    return read_answered(done.stdout, done.stderr)


def read_answered(stdout: bytes, stderr: bytes = b"") -> Answered:
    """Return the last line of wrk's output.

    Raises:
        click.ClickException: it is not the script's.
    """
    try:
        return msgspec.json.decode(stdout.rstrip().rpartition(b"\n")[2], type=Answered)
    except msgspec.DecodeError as error:
        said = (stderr or stdout).decode("utf-8", "replace")
        raise click.ClickException(f"wrk measured nothing: {said:.500}") from error
