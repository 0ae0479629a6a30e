"""How a file is shown to a person who chooses columns."""

from pathlib import Path

from tests.trainer.files import table, written
from trainer.curation.preview import MAX_CELL, NUM_ROWS, preview
from trainer.data.columns import AS_FOUND


def test_rows_are_few_and_short_unless_they_are_asked_for_whole(tmp_path: Path) -> None:
    """Twenty shortened rows are enough to choose columns by; tickets that are to be labelled come whole."""
    rows = [(f"ticket {number} {'long ' * 100}",) for number in range(NUM_ROWS + 5)]
    data = written(tmp_path, "export.csv", table(rows, ",", ("text",)))

    short = preview(data, AS_FOUND)
    whole = preview(data, AS_FOUND, NUM_ROWS + 2)

    assert (short.num_rows, whole.num_rows) == (NUM_ROWS + 5, NUM_ROWS + 5)
    assert [len(short.rows), len(whole.rows)] == [NUM_ROWS, NUM_ROWS + 2]
    assert {len(row["text"]) for row in short.rows} == {MAX_CELL + len("...")}
    assert [row["text"] for row in whole.rows] == [text for (text,) in rows[: NUM_ROWS + 2]]
    assert short.columns == whole.columns
