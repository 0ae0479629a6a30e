"""`puppet-train sample`: invented tickets that `fit` reads."""

from pathlib import Path

import pytest

from tests.trainer.cli.commands import puppet_train, refusal
from trainer.data.tickets import read

pytestmark = pytest.mark.torch


def test_sample_writes_tickets_that_fit_reads(tmp_path: Path) -> None:
    """The file is JSONL of as many tickets as asked for, and the command says that they are invented."""
    result = puppet_train("sample", tmp_path / "sample.jsonl", "--num-tickets", 60)

    rows = read(tmp_path / "sample.jsonl")
    assert len(rows.tickets) == 60
    assert result.stdout == f"60 synthetic tickets (invented, seed 0) written to {tmp_path / 'sample.jsonl'}\n"


def test_sample_depends_on_its_seed_alone(tmp_path: Path) -> None:
    """The same seed writes the same bytes, another seed others."""
    paths = [tmp_path / name for name in "abc"]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        puppet_train("sample", path, "--num-tickets", 20, "--seed", seed)

    one, same, other = (path.read_bytes() for path in paths)
    assert one == same != other


def test_sample_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A folder that is not there, or a folder in place of the file, is named."""
    for path in (tmp_path / "nowhere" / "x", tmp_path):
        assert refusal("sample", path)[0].startswith(f"error: cannot write {path}: ")
