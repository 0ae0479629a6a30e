"""Callers that stall: what each kind sends, and that one follows another that the server has ended."""

import asyncio

import pytest

from benchmarks.load import stalls
from benchmarks.load.client import Address
from benchmarks.load.stalls import KINDS, call

BEGINS = {
    "silent": b"",
    "slow_head": b"POST /search HTTP/1.1\r\nX-Slow: ",
    "slow_body": b"POST /search HTTP/1.1\r\n",
    "slow_reader": b"GET /schema/openapi.json HTTP/1.1\r\n",
    "idle": b"GET /livez HTTP/1.1\r\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_caller_stalls_and_comes_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server hears the beginning and what drips after it; ended, the caller is there anew."""
    monkeypatch.setattr(stalls, "DRIP_S", 0.01)

    heard = asyncio.run(_hear_twice(kind))

    assert [one.startswith(BEGINS[kind]) for one in heard] == [True, True]
    assert all(one.endswith(KINDS[kind].drip) for one in heard)
    assert all(bool(one) == (kind != "silent") for one in heard)


async def _hear_twice(kind: str) -> list[bytes]:
    """Return what a caller sends on its first two connections, up to the first drip."""
    heard: list[bytes] = []
    twice = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = KINDS[kind].begin(address) + KINDS[kind].drip
        heard.append(await reader.readexactly(len(whole)))
        if len(heard) == 2:
            twice.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = Address(*server.sockets[0].getsockname())
    caller = asyncio.create_task(call(kind, address, 0.0, asyncio.Event()))
    async with asyncio.timeout(60):
        await twice.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    server.close()
    return heard[:2]
