"""`puppet-train` within the process of the tests: what it is given, what it prints."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from tests.trainer import small
from trainer.cli import main

SETTINGS = [
    word
    for field, value in msgspec.structs.asdict(small.CONFIG).items()
    if value is not None  # as good as left out
    for word in ("--set", f"{field}={value}")
]
Tickets = Mapping[str, Sequence[Sequence[str]]]


def written(path: Path, tickets: Tickets) -> Path:
    """Return `path` with the tickets as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in small.json_rows(tickets)))
    return path


def puppet_train(*arguments: object, status: int = 0) -> Result:
    """Run `puppet-train` within this process and return what it printed; its exit status must be `status`."""
    result = CliRunner().invoke(main.main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


def fit(data: Path, store: Path, *more: object, name: str = "m") -> Result:
    """Run `puppet-train fit` with the small settings."""
    return puppet_train("fit", data, "--name", name, "--store", store, *SETTINGS, *more)


def last_line(stdout: str) -> dict[str, object]:
    """Return the JSON object in the last line."""
    found: dict[str, object] = json.loads(stdout.splitlines()[-1])
    return found


def refusal(*arguments: object) -> list[str]:
    """Run `puppet-train`, which must refuse: exit status 1, a message on stderr, nothing raised. Return its lines."""
    result = puppet_train(*arguments, status=1)
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.output
    return lines
