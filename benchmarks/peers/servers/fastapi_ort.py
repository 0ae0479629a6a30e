"""FastAPI with onnxruntime: what a team arrives at that exports its network and keeps its server."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.servers.own_artifact import Answer, load


class Search(BaseModel):
    """The body of a search."""

    name: str
    neural_network_type: str
    vector: list[str]


async def readyz() -> dict[str, bool]:
    """Say that it is ready."""
    return {"ready": True}


def create_app(store: str, name: str) -> FastAPI:
    """Return the application over a version."""
    answer = load(store, name)
    app = FastAPI()

    async def search(data: Search) -> Answer:
        return answer(data.vector)

    app.post("/search")(search)
    app.get("/readyz")(readyz)
    return app


def main() -> None:
    """Serve on a port of loopback."""
    store, name, port = sys.argv[1:]
    uvicorn.run(create_app(store, name), port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
