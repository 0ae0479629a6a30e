"""The benchmark of the engines in process: every way is timed at every length, and judged by what is wanted."""

import json

from click.testing import CliRunner

from artifacts.store.store import Store
from benchmarks.__main__ import main
from benchmarks.serving import engines


def test_every_way_is_timed(store: Store) -> None:
    """Without peers one round is a table and a line of JSON; no time is judged here."""
    result = CliRunner().invoke(main, ["engines", "--store", str(store.root), "--rounds", "1"])

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])["numbers"]
    assert found["void_because"]  # one round is no result
    assert {"onnxruntime, ids to category", "onnxruntime, tokens to category"} <= found["ticket_us"].keys()
    assert all(list(by_length) == ["8", "30", "100"] for by_length in found["ticket_us"].values())


def test_kernel_is_judged_by_its_level() -> None:
    """30 tokens take at most 30 us with AVX-512 and 45 with AVX2; a level that was not timed is not judged."""
    ways = {"x86-64-v3, ids to category": {length: lambda: None for length in engines.LENGTHS}}

    numbers = engines.measure(ways, 5)

    (criterion,) = numbers.criteria
    assert criterion.what == "30 tokens alone, x86-64-v3"
    assert criterion.is_met
    assert numbers.void_because == []
