"""Stage 4 of reading an export: which columns are the category, the text and the id; and what their cells say.

In: the records of stage 3, and what the options name. Out: for each record a category or why it has none, and a
content. A column that nobody named is taken only if its name leaves no doubt. Otherwise the file is refused with every
column, an example, the number of distinct values, and the options that would name the likely ones: a guess would teach
a model the wrong thing in silence.
"""

import contextlib
import functools
import itertools
import re
import shlex
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from artifacts.errors import ArtifactRefused, Fault, InvalidContent, InvalidInput, ModelNotFound, ModelNotTrained
from artifacts.networks.manifest import Columns
from artifacts.problems.phrases import phrase
from artifacts.problems.sentences import DEFAULT, Language
from artifacts.store.interface import AnyStore
from trainer.data.files import FaultyCell, Fields, Record, excerpt
from trainer.data.forms import Export
from trainer.data.source import MAX_BYTES

PROBED = 1000  # records whose fields are looked at before a column is chosen
MAX_DISTINCT = 10_000  # records by which distinct values are counted for a refusal
MAX_LISTED = 40  # columns in a refusal
MAX_NAME = 200  # characters of a column's name there
OWN_TEXT = ("tokens", "text", "email_text")  # as names.toml has them, unfolded: the members of the project's own rows
DEPTH = 4  # of objects in objects whose fields are listed
LONG_TEXT = 40  # characters of a mean cell above which a column looks like text
_REPEATED = re.compile(
    r" \(\d+\)$"
)  # what `tables.unique_names` adds: of two columns of one name neither is surely meant
_SEPARATORS = ";|\n"
NUM_LABELS = 3  # of the categories in a cell that a refusal names


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an export is to be read: the options of every command that reads one, and the table [data] of `--config`.

    Attributes:
        category: the column of categories; a dotted path reaches inside an object; None: remembered, or guessed.
        text: the columns of the text, joined by a line break in this order; empty: remembered, or guessed.
        id: the column by which the support team knows a ticket.
        encoding: of a text, as Python calls it; None: found.
        delimiter: of a table; None: found.
        header: whether a row names the columns; without one they are called 1, 2, ...
        skip_unlabelled: leave out rows without a category, and count them, instead of refusing the file.
        skip_faulty: leave out every other row that does not fit, and count it.
        first_label: of several categories in a cell take the first.
        merge: category -> the one that it is read as.
        max_bytes: of a compressed file once unpacked, and of standard input.
        remembered: what the model's last training file was read by.
    """

    category: str | None = None
    text: tuple[str, ...] = ()
    id: str | None = None
    encoding: str | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] | None = None
    header: bool = True
    skip_unlabelled: bool = False
    skip_faulty: bool = False
    first_label: bool = False
    merge: dict[str, str] = {}
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = MAX_BYTES
    remembered: Columns | None = None


AS_FOUND = Reading()  # no option is given


def as_remembered(reading: Reading) -> Reading:
    """Return how another file is read that belongs to the one that the options name: their columns if it has them.

    A test file may have the project's own names where the export that is learnt from has others.
    """
    old = reading.remembered or Columns()
    columns = msgspec.structs.replace(
        old,
        category=reading.category or old.category,
        text=list(reading.text) or old.text,
        id=reading.id or old.id,
        encoding=reading.encoding or old.encoding,
        delimiter=reading.delimiter or old.delimiter,
    )
    return msgspec.structs.replace(
        reading, category=None, text=(), id=None, encoding=None, delimiter=None, remembered=columns
    )


def remembering(reading: Reading, store: AnyStore, name: str) -> Reading:
    """Return how to read, with what the model's serving version remembers of its training file."""
    try:
        columns = store.read_manifest(name, store.current(name).version).columns
    except (ModelNotFound, ModelNotTrained, ArtifactRefused):  # a damaged record is no reason not to read a file
        return reading
    return reading if columns is msgspec.UNSET else msgspec.structs.replace(reading, remembered=columns)


class Chosen(msgspec.Struct, frozen=True):
    """Which columns are read.

    Attributes:
        category: where the category is; several: of which each record has one (`category` or `label`).
        text: where the content is.
        either: whether each record has one of `text`, as the project's own rows have `tokens` or `text`; otherwise all
            of them are joined.
        id: where the id is.
        how: of the columns that no option named, how they were chosen, in words.
        absent: of the columns, those that the first records do not have.
    """

    category: tuple[str, ...]
    text: tuple[str, ...]
    either: bool
    id: str | None
    how: str
    absent: tuple[str, ...] = ()

    @property
    def present(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns of the category and of the text that the first records have."""
        category = tuple(name for name in self.category if name not in self.absent)
        return category, tuple(name for name in self.text if name not in self.absent)

    @property
    def said(self) -> str:
        """What was chosen, in one line."""
        category, text = self.present
        parts = [f"category from {_or(category)}"] if category else []
        parts.append(f"text from {_or(text) if self.either else ' + '.join(map(repr, text))}")
        if self.id is not None:
            parts.append(f"id from {self.id!r}")
        return ", ".join(parts) + (f" ({self.how})" if self.how else "")


class Column(msgspec.Struct, frozen=True):
    """A column as a refusal shows it: its name, how many distinct values it has, and the first of them."""

    name: str
    num_distinct: int
    example: str

    def shown(self, language: Language) -> str:
        """Return the line of a column."""
        if not self.num_distinct:
            return phrase("empty-column", language, name=self.name)
        return phrase("column", language, name=self.name, count=self.num_distinct, example=self.example)


class ColumnsFound(msgspec.Struct, frozen=True):
    """What a file was found to have, where it is not certain which columns to read.

    Attributes:
        columns: the first of them.
        num_more: columns that are not among these.
        is_start: whether only its first rows were looked at, because it has many.
        options: of a command, that would name the likely columns; empty if none is likely.
        has_header: whether its first line looks like names of columns.
    """

    columns: list[Column]
    num_more: int
    is_start: bool
    options: list[str]
    has_header: bool


class ColumnsUnclear(InvalidInput):
    """It is not certain which columns to read."""

    found = ColumnsFound([], 0, False, [], True)

    @property
    def options(self) -> list[str]:
        """The options that would name the likely columns."""
        return self.found.options

    def shown(self, language: Language = DEFAULT) -> str:
        """Return what is not certain, and below it every column and what would make it certain."""
        found = self.found
        lines = [
            self.message.detail(language),
            phrase("columns-of-the-start" if found.is_start else "columns", language, num_rows=MAX_DISTINCT),
            *(f"  {column.shown(language)}" for column in found.columns),
        ]
        lines += [f"  {phrase('more-columns', language, count=found.num_more)}"] if found.num_more else []
        category, text = (", ".join(_raw_names(what)) for what in ("category", "text"))
        lines.append(phrase("usual-names", language, category=category, text=text))
        if found.options:
            lines.append(phrase("add-options", language, options=shlex.join(found.options)))
        if not found.has_header:
            lines.append(phrase("no-header", language))
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.shown()


class Unlabelled(InvalidContent):
    """A record has no category: its cell is blank, null, or a word for nothing."""


class SeveralLabels(InvalidContent):
    """A cell holds several categories."""


class FaultyCategory(InvalidContent):
    """A cell holds something that is no category."""


@functools.cache
def known_names() -> dict[str, dict[str, list[str]]]:
    """Return the lists of names.toml, each name as `plain` writes it; words of [missing] as `folded` does."""
    lists = tomllib.loads((resources.files("trainer.data") / "names.toml").read_text("utf-8"))
    return {
        what: {
            key: [folded(word) if what == "missing" else plain(word) for word in words] for key, words in kinds.items()
        }
        for what, kinds in lists.items()
    }


def plain(name: object) -> str:
    """Return a name without what people write differently: case, accents, blanks, signs.

    >>> plain("Ticket Type"), plain("CATÉGORIE"), plain("e-mail_text")
    ('tickettype', 'categorie', 'emailtext')
    """
    letters = unicodedata.normalize("NFKD", str(name).casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def folded(word: str) -> str:
    """Return a word without case, accents and blanks around it; its signs stay."""
    letters = unicodedata.normalize("NFKD", word.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def score_names(wanted: Sequence[str] = ()) -> "functools.partial[int]":
    """Return what counts how many cells of a row are names of columns: those wanted, or those usually taken."""
    names = known_names()
    usual = {
        one
        for what in ("category", "text", "subject", "id")
        for kind in ("own", "usual")
        for one in names[what].get(kind, ())
    }
    likely = {one for what in ("category", "text", "subject") for one in names[what]["likely"]}
    return functools.partial(_score, frozenset(map(plain, wanted)), frozenset(usual), frozenset(likely))


def _score(wanted: frozenset[str], usual: frozenset[str], likely: frozenset[str], cells: Sequence[str]) -> int:
    found = {plain(cell) for cell in cells if len(cell) <= 60}
    if wanted:
        return len(found & wanted)
    sure = len(found & usual)
    # A title above the header may be one word that is also a name; a header has several.
    return sure if sure and (len(found) > 1 or len(cells) == 1) else int(len(found & likely) > 1)


def choose(export: Export, reading: Reading, needs_category: bool) -> Chosen:
    """Return which columns of an export are read: those named, else those remembered, else those surely meant.

    Args:
        export: its first records are looked at and put back.
        reading: what the options say.
        needs_category: whether there has to be one.

    Raises:
        ColumnsUnclear: a column that was named is not there, or none is certain.
    """
    probed = list(itertools.islice(export.records, PROBED))
    export.records = itertools.chain(probed, export.records)
    tops = export.columns or list(dict.fromkeys(name for record in probed for name in record.fields))
    if not tops:
        return Chosen(("category",), ("text",), False, None, "")  # no row can be read, and each will say why
    old = reading.remembered
    how: list[str] = []

    def find(named: str) -> str:
        found = _find(named, tops, probed)
        if found is None:
            error = ColumnsUnclear("no-such-column", file=export.name, column=named)
            raise _unclear(error, export, probed, tops, needs_category)
        return found

    def remembered(names: Sequence[str]) -> tuple[str, ...]:
        found = [_find(name, tops, probed) for name in names]
        kept = tuple(name for name in found if name is not None)
        return kept if names and len(kept) == len(names) else ()

    either = False
    if reading.text:
        text: tuple[str, ...] = tuple(map(find, reading.text))
    elif old is not None and (text := remembered(old.text)):
        how.append("text as in the last training")
    else:
        text, either = _usual_text(tops, bool(export.columns))
    category: tuple[str, ...] = ()
    if not needs_category:
        pass
    elif reading.category is not None:
        category = (find(reading.category),)
    elif old is not None and old.category is not None and (category := remembered([old.category])):
        how.append("category as in the last training")
    else:
        category = _usual("category", tops, several=not export.columns)
    if not text or (needs_category and not category):
        if text:
            error = ColumnsUnclear("category-column-unclear", file=export.name)
        elif category or not needs_category:
            error = ColumnsUnclear("text-column-unclear", file=export.name)
        else:
            error = ColumnsUnclear("columns-unclear", file=export.name)
        raise _unclear(error, export, probed, tops, needs_category)
    if reading.id is not None:
        id_column: str | None = find(reading.id)
    elif old is not None and old.id is not None and (kept := remembered([old.id])):
        id_column = kept[0]
    else:
        id_column = next(iter(_usual("id", tops)), None)
    if not reading.text or (needs_category and reading.category is None):
        how.append("--category and --text overrule" if needs_category else "--text overrules")
    absent = tuple(name for name in (*category, *text) if name not in tops and "." not in name)
    return Chosen(category, text, either, id_column, "; ".join(how), absent)


def remembered_columns(reading: Reading, chosen: Chosen) -> Columns:
    """Return what a manifest says of how its training file was read, so that the next export needs no option."""
    old = reading.remembered or Columns()
    category, text = chosen.present
    return Columns(
        category=category[0] if len(category) == 1 else None,
        text=list(text) if len(text) == 1 or not chosen.either else [],
        id=chosen.id,
        encoding=reading.encoding or old.encoding,
        delimiter=reading.delimiter or old.delimiter,
        header=reading.header and old.header,
        first_label=reading.first_label or old.first_label,
        merge={**old.merge, **reading.merge},
    )


# Cells


def value_at(fields: Fields, column: str) -> object:
    """Return a cell; a dotted path reaches inside objects, unless a column is called so itself."""
    if column in fields:
        return fields[column]
    found: object = fields
    for part in column.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def category_of(fields: Fields, chosen: Chosen, reading: Reading) -> str:
    """Return the category of a record: NFC, without white space around it, and merged as the options say.

    Raises:
        Unlabelled, SeveralLabels, FaultyCategory.
    """
    present = [value for column in chosen.category if (value := value_at(fields, column)) is not None]
    if len(present) > 1:
        raise FaultyCategory("not-exactly-one-column", columns=chosen.category)
    return label_of(present[0] if present else None, reading)


def label_of(cell: object, reading: Reading) -> str:
    """Return the category that a cell names; see `category_of`."""
    merge, first = {**(reading.remembered.merge if reading.remembered else {}), **reading.merge}, takes_first(reading)
    labels = _labels(cell)
    if len(labels) > 1 and not first:
        raise SeveralLabels("several-categories", categories=labels[:NUM_LABELS])
    label = unicodedata.normalize("NFC", labels[0]).strip() if labels else ""
    if label in merge:
        return merge[label]
    if not label:
        raise Unlabelled("no-category")
    if is_missing(label):
        raise Unlabelled("category-like-a-missing-value", word=label)
    return label


def takes_first(reading: Reading) -> bool:
    """Return whether the first of several categories in a cell counts."""
    return reading.first_label or (reading.remembered is not None and reading.remembered.first_label)


def _labels(cell: object) -> list[str]:
    """Return the labels in a cell, each once; more than one only if the cell surely is a list."""
    if cell is None:
        return []
    if isinstance(cell, str):
        # Arrays in a cell of a table: as JSON, as Python writes a list, a tuple or a set, as Label Studio's CSV export.
        inner = cell.strip()
        if inner == "[]":
            return []
        if inner.startswith('{"choices"'):
            try:
                return list(dict.fromkeys(map(str, msgspec.json.decode(inner)["choices"])))
            except (msgspec.DecodeError, KeyError, TypeError):
                return [cell]
        if inner[:2] in ("['", '["', "('", '("', "{'", '{"') and inner[-1:] == {"[": "]", "(": ")", "{": "}"}[inner[0]]:
            with contextlib.suppress(msgspec.DecodeError):
                return list(dict.fromkeys(msgspec.json.decode(inner, type=list[str])))
            found = re.findall(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", inner)
            return list(dict.fromkeys(one or other for one, other in found)) or [cell]
        return [cell]
    if isinstance(cell, bool):
        return [str(cell).lower()]
    if isinstance(cell, int | float):
        return [] if cell != cell else [str(cell)]  # NaN, which parquet has for no number, is not equal to itself
    if isinstance(cell, list):
        labels = [
            label for one in cell if one is not None and not isinstance(one, list | dict) for label in _labels(one)
        ]
        if len(labels) < len([one for one in cell if one is not None]):
            raise FaultyCategory("list-of-objects-in-cell")
        return list(dict.fromkeys(labels))
    if isinstance(cell, dict):
        raise FaultyCategory("object-in-cell", fields=list(cell))
    return [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)]  # parquet has dates and bytes


def is_missing(label: str) -> bool:
    """Return whether a category is what programs and people write where there is none.

    >>> [is_missing(word) for word in ("nan", "N/A", "-", "???", "Non renseigné", "Réseau", "C", "1")]
    [True, True, True, True, True, False, False, False]
    """
    word = folded(label)
    if word in known_names()["missing"]["words"]:
        return True
    return all(unicodedata.category(sign)[0] in "PZ" or sign in "=+|~^`<>" for sign in word)


def joined_labels(categories: Counter[str]) -> dict[str, list[str]]:
    """Return category -> its parts, for those that are surely several in one cell, such as "Imprimantes;Niveau 1".

    A name may hold a sign that elsewhere separates. So every part of a name must be met again: by itself, or in another
    combination. By a comma more names are written, so there each part has to stand alone elsewhere.
    """
    found: dict[str, list[str]] = {}
    for separator in (*_SEPARATORS, ","):
        parts_of = {name: [part.strip() for part in name.split(separator)] for name in categories if separator in name}
        parts_of = {name: parts for name, parts in parts_of.items() if len(parts) > 1 and all(parts)}
        combined = Counter(part for parts in parts_of.values() for part in set(parts))
        for name, parts in parts_of.items():
            alone = [part in categories for part in parts]
            again = [stands or combined[part] > 1 for stands, part in zip(alone, parts, strict=True)]
            if all(alone) or (separator != "," and any(again) and len(parts_of) > 1):
                found.setdefault(name, parts)
    return found


def content_of(fields: Fields, chosen: Chosen) -> list[str] | str:
    """Return the content of a record: its tokens, or its text.

    Raises:
        FaultyCategory: a cell holds no text.
        FaultyCell: a token is no text.
    """
    present = [(column, value_at(fields, column)) for column in chosen.text]
    if chosen.either:
        present = [(column, value) for column, value in present if value is not None]
        if len(present) != 1:
            raise FaultyCategory("not-exactly-one-column", columns=chosen.text)
    if len(present) == 1:
        column, value = present[0]
        if isinstance(value, list) and all(isinstance(token, str) for token in value):
            return value
        if isinstance(value, list) and plain(column) == "tokens":
            return words_in(value, column)
        if plain(column) == "tokens" and isinstance(value, str):
            return tokens_of(value, column)
    # A blank subject leaves no blank line.
    return "\n".join(text for _, value in present if (text := text_of_cell(value)).strip())


def tokens_of(cell: str, column: str) -> list[str]:
    """Return the tokens in a cell of a table: a JSON array can hold "mot de passe", plain words stand between spaces.

    Raises:
        FaultyCell: it looks like a JSON array and is none.
    """
    if not cell.lstrip().startswith("["):
        return cell.split()
    try:
        return words_in(msgspec.json.decode(cell, type=list[object]), column)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise FaultyCell(Fault.of(f"/{column}", "no-json-array-in-cell", reason=error)) from error


def words_in(tokens: list[object], column: str) -> list[str]:
    """Return tokens that are words, all of them.

    Raises:
        FaultyCell: one is not.
    """
    words = [token for token in tokens if isinstance(token, str)]
    if len(words) < len(tokens):
        place, wrong = next((place, one) for place, one in enumerate(tokens) if not isinstance(one, str))
        raise FaultyCell(Fault.of(f"/{column}/{place}", "token-is-no-text", value=f"{wrong!r:.40}"))
    return words


def text_of_cell(value: object) -> str:
    """Return a cell as text; of a document in objects (Jira writes texts so) the texts inside it, in order."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, list):
        return "\n".join(text for one in value if (text := text_of_cell(one)).strip())
    if isinstance(value, dict):
        inner = next((value[name] for name in ("text", "content", "value") if name in value), None)
        if inner is None and value.get("type") not in ("hardBreak", "rule", "mention", "emoji", "media"):
            raise FaultyCategory("object-in-cell", fields=list(value))
        return text_of_cell(inner)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# Choosing


def _find(named: str, tops: Sequence[str], probed: Sequence[Record]) -> str | None:
    """Return the column that a name means: spelled so, or so but for case, accents and blanks; or its number."""
    if named in tops:
        return named
    alike = [top for top in tops if plain(top) == plain(named) and plain(named)]
    if len(alike) == 1:
        return alike[0]
    if "." in named and any(value_at(record.fields, named) is not None for record in probed):
        return named
    if named.isdigit() and 1 <= int(named) <= len(tops):
        return tops[int(named) - 1]
    return None


def _usual(what: str, tops: Sequence[str], several: bool = False) -> tuple[str, ...]:
    """Return the column whose name surely means something: the project's own name, or the only usual one.

    Args:
        what: "category" or "id".
        tops: the columns.
        several: whether rows may differ, so that two of the project's own names are one each.
    """
    names = known_names()[what]
    own = [top for top in tops if plain(_REPEATED.sub("", top)) in names["own"]]
    if own:
        # Of JSON each object may have another one of them.
        if several:
            return (*names["own"], *(name for name in own if name not in names["own"]))
        return tuple(own) if len(own) == 1 else ()
    usual = [top for top in tops if plain(_REPEATED.sub("", top)) in names["usual"]]
    return tuple(usual) if len(usual) == 1 else ()


def _usual_text(tops: Sequence[str], is_table: bool) -> tuple[tuple[str, ...], bool]:
    """Return the columns that are surely the text, and whether each record has one of them."""
    names = known_names()
    tops = [_REPEATED.sub("", top) for top in tops]
    own = [top for top in tops if plain(top) in names["text"]["own"]]
    if own:
        if is_table:
            return (tuple(own), False) if len(own) == 1 else ((), False)
        return (*OWN_TEXT, *(name for name in own if name not in OWN_TEXT)), True
    usual = [top for top in tops if plain(top) in names["text"]["usual"]]
    subject = [top for top in tops if plain(top) in names["subject"]["usual"]]
    if len(usual) == 1 and len(subject) <= 1:
        return (*subject, *usual), False
    return (), False


def _unclear(
    error: ColumnsUnclear, export: Export, probed: Sequence[Record], tops: Sequence[str], needs_category: bool
) -> ColumnsUnclear:
    """Return the refusal with every column, and the options that name the likely ones."""
    records = [record for record in itertools.islice(export.records, MAX_DISTINCT) if record.fault is None]
    paths = (
        list(tops)
        if export.columns
        else list(dict.fromkeys(path for record in probed for path in _paths(record.fields)))
    )
    columns, stats = [], {}
    for path in paths:
        cells = [text for record in records if (text := _shown(value_at(record.fields, path)).strip())]
        stats[path] = (len(set(cells)), sum(map(len, cells)) / max(1, len(cells)), len(cells))
        example = excerpt(cells[0]) if cells else ""
        # A file without a line end is one name of megabytes.
        columns.append(Column(path if len(path) <= MAX_NAME else excerpt(path), stats[path][0], example))
    error.found = ColumnsFound(
        columns=columns[:MAX_LISTED],
        num_more=max(0, len(columns) - MAX_LISTED),
        is_start=len(records) >= MAX_DISTINCT,
        options=_likely_options(stats, len(records), needs_category),
        has_header=export.delimiter is None or any(plain(top) in _all_names() for top in tops),
    )
    return error


def _shown(value: object) -> str:
    """Return a cell as an example of its column; a list of objects, which is no text, as it stands there."""
    try:
        return text_of_cell(value)
    except FaultyCategory:
        return str(value)


def _paths(fields: Fields, prefix: str = "", depth: int = 1) -> Iterator[str]:
    """Yield the dotted path of each field of an object that is not an object itself."""
    for name, value in fields.items():
        if isinstance(value, dict) and value and depth < DEPTH:
            yield from _paths(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}"


def _likely_options(stats: dict[str, tuple[int, float, int]], num_records: int, needs_category: bool) -> list[str]:
    """Return options that name the columns which are probably meant.

    By name first, then by what is in them: a category has few distinct values, and short ones, a text many and long.
    """
    names = known_names()

    def rank(path: str, what: str) -> int:
        name, last = plain(path), plain(path.rsplit(".", 1)[-1])
        order = [one for kind in ("own", "usual", "likely") for one in names[what].get(kind, ())]
        return next((len(order) - order.index(one) for one in (name, last) if one in order), 0)

    def fits_category(path: str) -> tuple[bool, int, float]:
        distinct, mean, filled = stats[path]
        few = 2 <= distinct <= max(2, filled // 2) and mean < LONG_TEXT and filled > num_records // 2
        return few, rank(path, "category") if few or distinct < filled else 0, -distinct

    def fits_text(path: str) -> tuple[int, float]:
        distinct, mean, _ = stats[path]
        return rank(path, "text") if distinct > 1 else 0, mean if distinct > 1 else 0.0

    options: list[str] = []
    category = max(stats, key=fits_category, default=None) if needs_category else None
    if category is not None and not (fits_category(category)[0] or rank(category, "category")):
        category = None
    if category is not None:
        options += ["--category", category]
    elif needs_category:
        return []  # half a command would be refused again
    rest = [path for path in stats if path != category]
    text = max(rest, key=fits_text, default=None)
    subject = max(
        (path for path in rest if rank(path, "subject")), key=lambda path: rank(path, "subject"), default=None
    )
    if text is not None and subject is not None and not rank(text, "text") and stats[text][1] < LONG_TEXT:
        text = None  # only a subject has a name
    if text is None and subject is None:
        return []
    options += [word for path in dict.fromkeys((subject, text)) if path is not None for word in ("--text", path)]
    return options


@functools.cache
def _all_names() -> frozenset[str]:
    return frozenset(
        one for what in ("category", "text", "subject", "id") for kind in known_names()[what].values() for one in kind
    )


def _raw_names(what: str) -> list[str]:
    lists = tomllib.loads((resources.files("trainer.data") / "names.toml").read_text("utf-8"))[what]
    return [*lists["own"], *lists["usual"]]


def _or(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def check_merge(words: Sequence[str]) -> dict[str, str]:
    """Return what `--merge "Réseau=réseau"` says, category -> the one that it is read as.

    Raises:
        InvalidInput: a word has no "=", or a category is read as one that is itself read as another.
    """
    merge: dict[str, str] = {}
    for word in words:
        old, equals, new = (unicodedata.normalize("NFC", part).strip() for part in word.partition("="))
        if not equals or not old or not new:
            raise InvalidInput("merge-without-equals", word=word)
        merge[old] = new
    chained = next((new for new in merge.values() if merge.get(new, new) != new), None)
    if chained is not None:
        raise InvalidInput("chained-merge", category=chained, into=merge[chained])
    return merge


def read_data_table(file: Path | None) -> dict[str, object]:
    """Return the table [data] of a configuration, empty if there is none; its fields are those of `Reading`.

    Raises:
        InvalidInput: the file cannot be read as TOML.
    """
    if file is None:
        return {}
    try:
        found = tomllib.loads(file.read_text("utf-8")).get("data", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput("configuration-unreadable", path=file, reason=error) from error
    if not isinstance(found, dict):
        raise InvalidInput("data-is-no-table", file=file)
    return found
