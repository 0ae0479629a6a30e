"""BentoML with one worker; `async`, which answers on the event loop and is faster here than its thread pool."""

import os
import sys

import bentoml

from benchmarks.peers.servers.own_artifact import Answer, load

STORE, NAME = "PEER_STORE", "PEER_NAME"  # BentoML imports this module in processes of its own


class Tickets:
    """The service."""

    def __init__(self) -> None:
        self.answer = load(os.environ[STORE], os.environ[NAME])

    async def search(self, name: str, neural_network_type: str, vector: list[str]) -> Answer:  # noqa: ARG002, the body
        """Answer one ticket."""
        return self.answer(vector)


Tickets.search = bentoml.api(route="/search")(Tickets.search)  # type: ignore[method-assign]
Service = bentoml.service(workers=1, logging={"access": {"enabled": False}})(Tickets)


def main() -> None:
    """Serve on a port of loopback."""
    os.environ[STORE], os.environ[NAME], port = sys.argv[1:]
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    service = "benchmarks.peers.servers.bento:Service"
    command = ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", port]
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    main()
