"""The ceiling: a Litestar handler of our own framework that reads the body of a search and does nothing with it."""

import sys

import msgspec
import uvicorn
from litestar import Litestar, get, post
from litestar.params import JSONBody

from artifacts.text.tickets import TicketSearch


class Category(msgspec.Struct, frozen=True):
    """The shortest answer of a search."""

    category: str
    confidence: float


ANSWER = Category("nothing", 1.0)


@post("/search", status_code=200)
async def search(data: JSONBody[TicketSearch]) -> Category:  # noqa: ARG001, it is decoded and not used
    """Answer the same whatever was asked."""
    return ANSWER


@get("/readyz")
async def readyz() -> None:
    """Say that it is ready."""


def main() -> None:
    """Serve on a port of loopback."""
    port = int(sys.argv[3])
    uvicorn.run(Litestar([search, readyz], openapi_config=None), port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
