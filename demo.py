"""The whole system in one command: synthetic tickets -> trainer -> store -> server -> a search.

`make demo` runs it and leaves the server running; `make demo-check` runs it with a store of its own, makes the calls of
the seed documents (docs/calls.http) and exits.
"""

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODEL = "puppet-o2"
TICKET = ["avoir", "problème", "conntecter", "<PRODUCT>", "mot de passe", "expirer"]  # with a typo, as users write
TRAINER = (sys.executable, "-m", "trainer")


def main() -> None:
    """Parse, run, and end the server that was started."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="use a free port and a temporary store, then exit")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory(prefix="puppet-demo-") as folder:
        store = Path(folder) / "store" if check else HERE / "artifacts" / "models"
        train(store, Path(folder) / "tickets.jsonl")
        server, address = serve(store, port=free_port() if check else 8000)
        try:
            show_search(address)
            if check:
                calls = (HERE / "docs" / "calls.http").read_text("utf-8")
                run_calls(address, calls.replace(f'"{MODEL}"', '"support"'))  # ours is there already
                print("\nAll calls of the seed documents were answered as they should be.")
            else:
                print(f"\nServing on http://{address}, documentation at http://{address}/schema. Ctrl-C ends it.")
                print(f"The page for those who have no terminal: http://{address}/ui/", flush=True)
                server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            server.terminate()
            server.wait(timeout=60)


def train(store: Path, tickets: Path) -> None:
    """Train the model on synthetic tickets, unless the store has it already."""
    if (store / MODEL / "current").exists():
        print(f"{store / MODEL} is trained already; it is served as it is. Delete the folder to train it again.")
        return
    print("1. Write synthetic French tickets.", flush=True)
    subprocess.run([*TRAINER, "sample", tickets], check=True)
    print("\n2. Train a GRU on them, export it to ONNX, publish it.", flush=True)
    subprocess.run([*TRAINER, "fit", tickets, "--name", MODEL, "--store", store], check=True)


def serve(store: Path, port: int) -> tuple["subprocess.Popen[bytes]", str]:
    """Start the server, wait until it is ready, and return it with its address."""
    print("\n3. Serve it.", flush=True)
    server = subprocess.Popen([sys.executable, "-m", "inference", "--store", store, "--port", str(port)])
    address = f"127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if call(address, "GET", "/readyz")[0] == 200:
                return server, address
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.05)
    server.kill()
    raise SystemExit("the server did not start; its log is above")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(
    address: str, method: str, path: str, body: bytes | None = None, media_type: str = "application/json"
) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of one request."""
    connection = http.client.HTTPConnection(address, timeout=600)
    try:
        connection.request(method, path, body, {"Content-Type": media_type})
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


def show_search(address: str) -> None:
    """Ask for the category of one ticket and print it."""
    body = {"name": MODEL, "neural_network_type": "GRU", "vector": TICKET}
    start = time.perf_counter()
    status, answer = call(address, "POST", "/search", json.dumps(body).encode())
    milliseconds = 1000 * (time.perf_counter() - start)
    assert status == 200, answer
    print(f"\n4. Search: {' '.join(TICKET)}")
    print(json.dumps(answer, ensure_ascii=False, indent=2))
    print(f"   answered in {milliseconds:.1f} ms, connection and all")


def run_calls(address: str, text: str) -> list[dict[str, Any]]:
    """Make every call of a .http file, check that it is answered 200, and return the answers."""
    print("\n5. The calls of the seed documents (docs/calls.http).")
    answers = []
    for block in text.split("\n### ")[1:]:
        head, _, body = block.partition("\n\n")
        _, request, content_type = head.splitlines()
        method, url = request.split()
        path = url.removeprefix("{{host}}")
        status, answer = call(address, method, path, body.encode(), content_type.removeprefix("Content-Type: "))
        shown = {key: answer[key] for key in list(answer)[:6]}
        print(f"   {method} {path} -> {status} {json.dumps(shown, ensure_ascii=False)[:300]}")
        assert status == 200, answer
        answers.append(answer)
    return answers


if __name__ == "__main__":
    main()
