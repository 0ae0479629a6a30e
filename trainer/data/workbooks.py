"""Stage 3 of reading an export, for files of cells: Excel and OpenDocument workbooks, and parquet.

In: the bytes of stage 1. Out: records, whose cells are text as a person sees it there: 3 and not 3.0, a date as ISO
8601. The libraries are the extra `tables`: python-calamine (Rust, MIT) and pyarrow (Apache 2.0), which the server has
no use for.
"""

import datetime
import importlib.util
import itertools
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, cast

from artifacts.errors import InvalidInput
from trainer.data.files import Record
from trainer.data.source import CHUNK, Source
from trainer.data.tables import MAX_TITLE, NameScore, find_header, unique_names

if TYPE_CHECKING:
    import pyarrow
    from python_calamine import CalamineSheet

BATCH = 4096  # rows of a parquet file that are in memory at once
HEADER_ROWS = 200  # of a sheet, by which the header is found


def need(library: str, file: object) -> None:
    """Raise InvalidInput unless a library of the extra `tables` is installed, which a file is read or written with."""
    if importlib.util.find_spec(library) is None:
        raise InvalidInput("table-library-missing", file=file, library=library)


def read_workbook(source: Source, score: NameScore, has_header: bool) -> tuple[str, list[str], Iterator[Record]]:
    """Return the form, the columns and the records of a workbook: of the sheet whose columns are known.

    Args:
        source: an .xlsx, .xlsb, .xls or .ods file.
        score: see `tables.find_layout`.
        has_header: whether a row names the columns.

    Raises:
        InvalidInput: it is damaged, locked, empty, or holds more than the limit once unpacked.
    """
    need("python_calamine", source.name)
    from python_calamine import CalamineError, CalamineWorkbook

    _check_size(source)
    try:
        source.file.seek(0)
        book = CalamineWorkbook.from_filelike(cast(IO[bytes], source.file))
        sheets = [book.get_sheet_by_name(name) for name in book.sheet_names]
        filled = [one for one in sheets if one.height > 1] or sheets[:1]
        # Of several that have rows, the one with the columns: a title page or a pivot may stand before it.
        sheet = max(filled, key=lambda one: _best(one, score), default=None) if has_header else next(iter(filled), None)
    except (CalamineError, OSError, ValueError) as error:
        raise InvalidInput("workbook-not-readable", file=source.name, reason=error) from error
    if sheet is None or not sheet.height:
        raise InvalidInput("table-without-rows", file=source.name)
    top = sheet.start[0] if sheet.start else 0  # rows above the first cell, which calamine leaves out
    rows = iter(sheet.iter_rows())
    start = list(itertools.islice(rows, HEADER_ROWS))
    texts = [[_shown(cell) for cell in row] for row in start]
    header = find_header(texts, score) if has_header else -1
    cells: Sequence[str] = texts[header] if has_header else [str(number) for number in range(1, len(texts[0]) + 1)]
    columns = unique_names(cells)

    def records() -> Iterator[Record]:
        for number, row in enumerate(itertools.chain(start, rows)):
            shown = [_shown(cell) for cell in row]
            if number > header and any(shown):
                yield Record(dict(zip(columns, shown, strict=False)), line=top + number + 1)

    return f"workbook, sheet {sheet.name!r}", columns, records()


def read_parquet(source: Source) -> tuple["pyarrow.Schema", list[str], Iterator[Record]]:
    """Return the schema, the columns and the records of a parquet file; its cells keep their types.

    Raises:
        InvalidInput: it is damaged, or holds more than the limit once unpacked.
    """
    need("pyarrow", source.name)
    import pyarrow
    import pyarrow.parquet

    try:
        source.file.seek(0)
        file = pyarrow.parquet.ParquetFile(source.file)
        groups = file.metadata.num_row_groups
        num_bytes = sum(file.metadata.row_group(number).total_byte_size for number in range(groups))
    except (pyarrow.ArrowException, OSError) as error:
        raise InvalidInput("damaged-file", file=source.name, form="parquet", reason=error) from error
    _check_bytes(source, num_bytes)
    columns = unique_names(file.schema_arrow.names)

    def records() -> Iterator[Record]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=BATCH):
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield Record(dict(zip(columns, cells, strict=True)), pointer=f"row {number}")
        except (pyarrow.ArrowException, OSError) as error:
            raise InvalidInput("damaged-rows", file=source.name, after_row=number, reason=error) from error

    return file.schema_arrow, columns, records()


def _best(sheet: "CalamineSheet", score: NameScore) -> int:
    """Return how many names of columns the best row of the start of a sheet has."""
    return max(
        (score([_shown(cell) for cell in row]) for row in itertools.islice(sheet.iter_rows(), MAX_TITLE)), default=0
    )


def _check_size(source: Source) -> None:
    """Refuse a workbook whose parts hold more than the limit, whatever its directory says of them."""
    source.file.seek(0)
    if not zipfile.is_zipfile(source.file):
        return  # .xls is not compressed
    num_bytes = 0
    try:
        with zipfile.ZipFile(source.file) as archive:
            for info in archive.infolist():
                _check_bytes(source, num_bytes + info.file_size)  # before a byte of it is unpacked
                # zipfile reads no more than the directory says, and notices by the checksum if that was too little.
                with archive.open(info) as part:
                    while chunk := part.read(CHUNK):
                        num_bytes += len(chunk)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise InvalidInput("damaged-file", file=source.name, form="xlsx/ods", reason=error) from error
    except RuntimeError as error:
        raise InvalidInput("file-locked-by-password", file=source.name) from error


def _check_bytes(source: Source, num_bytes: int) -> None:
    """Raise InvalidInput if a compressed form holds more than the limit."""
    if num_bytes > source.max_bytes:
        raise InvalidInput("file-too-large", file=source.name, max_bytes=source.max_bytes)


def _shown(cell: object) -> str:
    """Return a cell of a sheet as a person sees it.

    >>> _shown(3.0), _shown(3.5), _shown(True), _shown(None), _shown(datetime.date(2026, 3, 1))
    ('3', '3.5', 'true', '', '2026-03-01')
    """
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell)
