"""Data files for the tests, as a desk would send them."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path


def written(folder: Path, name: str, content: str | bytes) -> Path:
    """Return a file of that content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(*rows: object) -> str:
    """Return the rows, one a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows: Sequence[tuple[str, ...]], delimiter: str, header: tuple[str, ...]) -> str:
    """Return a table as Python's own writer makes it, with CRLF and quotes where they are needed."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([header, *rows])
    return out.getvalue()
