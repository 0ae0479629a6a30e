"""The documentation page in a real browser that reaches nothing but this machine."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.server import Server, serving

pytestmark = [pytest.mark.system, pytest.mark.browser]

INSTALL = "run: apt-get update && apt-get install -y chromium"


@pytest.fixture
def chromium() -> str:
    """Give the browser; without one the test is skipped, but fails in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"Chromium is not installed; {INSTALL}")
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Give a server on an empty store."""
    with serving(tmp_path, tmp_path / "store", ["--trainer", "none"]) as server:
        yield server


def rendered(chromium: str, address: str, folder: Path) -> str:
    """Return the page's document after its scripts have run, in a browser that resolves no name and asks nobody."""
    found = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000", "--dump-dom", address,
        ],
        capture_output=True, text=True, check=True, timeout=120, env=os.environ | {"HOME": str(folder)},
    )  # fmt: skip
    return found.stdout


def test_page_shows_every_route_offline(chromium: str, server: Server, tmp_path: Path) -> None:
    """Without any other network, the page at /schema renders each route of the service."""
    page = rendered(chromium, f"http://127.0.0.1:{server.port}/schema", tmp_path)

    assert '<div class="swagger-ui">' in page
    # Swagger UI writes a path with a zero-width break after each slash.
    operations = page.replace("\u200b", "").replace("<wbr>", "")
    paths = server.client.get("/schema/openapi.json").json()["paths"]
    assert {"/create_model", "/search", "/models/{name}/promote", "/jobs/{job_id}/events"} <= paths.keys()
    for path in paths:
        assert f'data-path="{path}"' in operations
    assert "Failed to load" not in page
    assert "Resolver error" not in page
