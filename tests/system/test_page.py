"""The pages that we write, in a real browser that reaches nothing but this machine."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from artifacts.store.store import Store
from tests.system.server import Server, serving
from trainer.cli.main import main

pytestmark = [pytest.mark.system, pytest.mark.browser]

# Measures a page in a frame: what is wider than it, and which of its texts lie on another.
LOOK = """<body><iframe src="report.html" style="width:%dpx;height:900px;border:0"></iframe><script>
onload = () => {
  const page = document.querySelector("iframe").contentDocument
  page.querySelectorAll("details").forEach(one => { one.open = true })
  const texts = [...page.querySelectorAll("h1, h2, p, dt, dd data, th, td, summary, svg [id*='-text_']")]
  const boxes = texts.map(one => [one, one.getBoundingClientRect()]).filter(([, box]) => box.width && box.height)
  const name = one => one.id || one.textContent.trim().slice(0, 40)
  const overlaps = []
  boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left)
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
    if (across > 1 && down > 1 && !one.contains(other)) overlaps.push([name(one), name(other)])
  }))
  const width = page.documentElement.scrollWidth
  const values = [...page.querySelectorAll("data")].map(one => [one.dataset.field, one.value])
  document.body.innerHTML = "<pre>" + encodeURIComponent(JSON.stringify({
    num_texts: boxes.length, num_labels: page.querySelectorAll("svg [id*='-text_']").length, overlaps, width, values
  })) + "</pre>"
}
</script>"""
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


def rendered(chromium: str, address: str, folder: Path, *more: str) -> str:
    """Return the page's document after its scripts have run, in a browser that resolves no name and asks nobody."""
    found = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000", *more, "--dump-dom", address,
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


@pytest.mark.torch
@pytest.mark.parametrize(("width", "language"), [(400, "fr"), (1280, "en")])
def test_nothing_overlaps_in_a_report(chromium: str, store: Store, tmp_path: Path, width: int, language: str) -> None:
    """On a telephone and on a screen no text lies on another and nothing sticks out; the numbers are evaluate's."""
    rows = [{"category": f"categorie_{number}_au_nom_bien_long", "text": "client " * number} for number in range(1, 31)]
    rows += [{"category": "Création de client", "text": "création client"}] * 3
    test = tmp_path / "test.jsonl"
    test.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = ["--name", "puppet-o2", "--store", str(store.root)]
    made = CliRunner().invoke(
        main, ["report", *model, "--test", str(test), "--lang", language, "--out", str(tmp_path / "report.html")]
    )
    assert made.exit_code == 0, made.output
    (tmp_path / "look.html").write_text(LOOK % width)

    text = rendered(chromium, f"file://{tmp_path / 'look.html'}", tmp_path, "--allow-file-access-from-files")

    found = re.search(r"<pre>(.*)</pre>", text)
    assert found is not None
    seen = json.loads(unquote(found[1]))
    assert seen["num_texts"] > 100
    assert seen["num_labels"] > 20, "those of the curves too"
    assert seen["overlaps"] == []
    assert seen["width"] <= width
    evaluated = CliRunner().invoke(main, ["evaluate", str(test), *model, "--json"])
    line = json.loads(evaluated.stdout.splitlines()[-1])
    assert dict(seen["values"])["accuracy"] == str(line["accuracy"])
