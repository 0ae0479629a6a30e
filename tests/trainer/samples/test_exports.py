"""Exports in the manner of the programs that support teams have: each goes through inspect, fit and classify."""

import json
from pathlib import Path

import pytest

from tests.trainer.cli.commands import fit, last_line, puppet_train
from tests.trainer.sorting.test_classify import sorted_rows
from trainer.samples import exports

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("program", exports.SAMPLES)
def test_export_is_inspected_trained_on_and_sorted(tmp_path: Path, program: str) -> None:
    """With no more than --category and --text; the model remembers them, so sorting needs neither."""
    sample = exports.SAMPLES[program]
    assert {word for word in sample.options if word.startswith("--")} <= {"--category", "--text"}
    exports.write(tmp_path / "exports")
    data, store, out = tmp_path / "exports" / sample.file, tmp_path / "store", tmp_path / "sorted.csv"

    inspected = last_line(puppet_train("inspect", data, *sample.options, "--json").stdout)
    assert (inspected["num_tickets"], inspected["num_categories"]) == (exports.NUM_TICKETS, 3)
    trained = last_line(fit(data, store, *sample.options, "--json").stdout)
    assert (trained["num_unlabelled"], trained["num_faulty"], trained["num_empty"]) == (0, 0, 0)
    found = last_line(puppet_train("classify", data, out, "--name", "m", "--store", store, "--json").stdout)

    assert found["num_tickets"] == exports.NUM_TICKETS
    rows = sorted_rows(out)
    assert len(rows) == exports.NUM_TICKETS
    assert {str(row[found["columns"]["category"]]) for row in rows} <= set(exports.PHRASES)  # type: ignore[index]


def test_exports_are_the_same_each_time(tmp_path: Path) -> None:
    """They are made from a seed; a workbook's and a parquet's bytes hold the time and the library."""
    for folder in ("a", "b"):
        exports.write(tmp_path / folder)

    for sample in exports.SAMPLES.values():
        if Path(sample.file).suffix not in (".xlsx", ".parquet"):
            assert (tmp_path / "a" / sample.file).read_bytes() == (tmp_path / "b" / sample.file).read_bytes()
    assert json.loads((tmp_path / "a" / "jira.json").read_text("utf-8"))["total"] == exports.NUM_TICKETS
