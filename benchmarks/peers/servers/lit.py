"""LitServe with one worker, as its first example shows it; the model runs in a process beside the server's."""

import sys
from typing import Any

import litserve

from benchmarks.peers.servers.own_artifact import Answer, load


class Api(litserve.LitAPI):
    """Answers one ticket at a time."""

    def __init__(self, store: str, name: str) -> None:
        super().__init__(api_path="/search")
        self.store, self.model_name = store, name

    def setup(self, device: object) -> None:  # noqa: ARG002, LitServe's signature
        """Load the version."""
        self.answer = load(self.store, self.model_name)

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        """Return the ticket's tokens."""
        tokens: list[str] = request["vector"]
        return tokens

    def predict(self, x: list[str]) -> Answer:
        """Return the answer."""
        return self.answer(x)

    def encode_response(self, output: Answer) -> Answer:
        """Return the answer as it is."""
        return output


def main() -> None:
    """Serve on a port of loopback."""
    store, name, port = sys.argv[1:]
    server = litserve.LitServer(Api(store, name), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(port), num_api_servers=1, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
