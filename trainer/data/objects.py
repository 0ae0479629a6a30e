"""Stage 3 of reading an export, for JSON and fastText: from bytes or text to records.

In: JSON Lines, an array, an object that wraps the list, Label Studio's export, fastText's `__label__` lines. Out: a
record for each row, with the object as it is. A line that is not JSON is the fault of that line.
"""

import json
from collections.abc import Iterator, Mapping

import msgspec

from artifacts.errors import Fault, InvalidInput
from artifacts.system.validation import find_halves, holds_half, marked
from trainer.data.encodings import TextEncoding, text_of
from trainer.data.files import Fields, Record
from trainer.data.source import Source
from trainer.data.tables import NameScore, unique_names

FASTTEXT = "__label__"
FASTTEXT_LINES = 5  # by which labels at the ends of lines are found
OWN_LISTS = ("training_data", "test_data")  # of the bodies of /train_model and /test
OWN_FIELDS = ("category", "label", "tokens", "text", "email_text")
_BETWEEN = " \t\r\n,\x1e"  # what may stand between two values: RFC 7464 has a record separator
MAX_DEPTH = 3  # of objects in objects, in which a list of tickets is looked for: Rasa has two
_object = msgspec.json.Decoder(dict[str, object])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def is_fasttext(head: str) -> bool:
    """Return whether a text begins as fastText's training files do: a label first, or anywhere in each line."""
    lines = [line for line in head.splitlines()[:FASTTEXT_LINES] if line.strip()]
    return head.lstrip().startswith(FASTTEXT) or (
        len(lines) > 1 and all(any(word.startswith(FASTTEXT) for word in line.split()) for line in lines)
    )


def read_fasttext(source: Source, encoding: TextEncoding) -> Iterator[Record]:
    """Yield each line: the words that begin with `__label__` are its categories, the rest its text."""
    with text_of(source, encoding) as text:
        for number, line in enumerate(text, 1):
            words = line.split()
            if not words:
                continue
            labels = [word.removeprefix(FASTTEXT) for word in words if word.startswith(FASTTEXT)]
            body = " ".join(word for word in words if not word.startswith(FASTTEXT))
            yield Record({"category": labels[0] if len(labels) == 1 else labels, "text": body}, number)


def is_json_lines(source: Source, encoding: TextEncoding) -> bool:
    """Return whether a file has an object on each line: one of its first two lines is whole.

    The second line counts too, because the first may be the faulty one.
    """
    with text_of(source, encoding) as text:
        lines = [line.strip() for line in (text.readline(), text.readline())]
        rest = text.read(1 << 16).strip()
    if not rest and not (lines[0] and lines[1]):
        return False  # one object: a ticket, or a list and what wraps it
    if lines[0].startswith("{") and lines[0].endswith("}"):
        return True
    # An object over several lines may have a list whose first element is on the second line.
    return lines[1].startswith("{") and lines[1].endswith("}") and not _is_object(_as_utf8(source, encoding))


def read_json_lines(source: Source, encoding: TextEncoding) -> Iterator[Record]:
    """Yield the object on each line that is not blank."""
    for number, line in enumerate(_lines(source, encoding), 1):
        if line.strip():
            record = record_of(line, number)
            task = None if record.fault is not None else label_studio(record.fields)
            yield record if task is None else Record(task, number)


def read_document(source: Source, encoding: TextEncoding, score: NameScore) -> tuple[str, Iterator[Record]]:
    """Return the form and the records of a JSON document.

    Args:
        source: the whole of it is read.
        encoding: of the text.
        score: how many of some names are names of columns, by which one of several lists is chosen.

    Raises:
        InvalidInput: it is no JSON, or holds no list of objects that can be told from others.
    """
    raw = _as_utf8(source, encoding)
    if b"NaN" in raw:
        raw = without_nan(raw)
    try:
        return _document(raw, source.name, score)
    except _UNREADABLE as error:
        reason: Exception = error
    try:
        if holds_half(raw):
            return _document(marked(raw), source.name, score)  # the row alone is faulty
    except _UNREADABLE as error:
        reason = error
    if len(rows := _one_after_another(raw)) > 1:
        return _array("JSON values one after another", "", rows)
    raise InvalidInput("json-file-not-readable", file=source.name, reason=reason) from reason


def _document(raw: bytes, name: str, score: NameScore) -> tuple[str, Iterator[Record]]:
    """Return the form and the records of one JSON value."""
    if raw.lstrip()[:1] == b"[":
        return _array("JSON array", "", msgspec.json.decode(raw, type=list[msgspec.Raw]))
    return _wrapped(raw, name, score)


def _one_after_another(raw: bytes) -> list[msgspec.Raw]:
    """Return the values of a text that holds several, over lines or on one, with or without commas; else nothing."""
    try:
        text = raw.decode("utf-8")
        place, decoder, found = 0, json.JSONDecoder(), []
        while (place := len(text) - len(text[place:].lstrip(_BETWEEN))) < len(text):
            _, end = decoder.raw_decode(text, place)
            found.append(msgspec.Raw(text[place:end].encode()))
            place = end
    except (ValueError, RecursionError):
        return []
    return found


def record_of(raw: bytes | msgspec.Raw, line: int | None = None, pointer: str = "") -> Record:
    """Return the record of one JSON object, or its fault."""
    try:
        fields = _object.decode(raw)
        half = next(find_halves(raw, pointer), None)  # of a document that was marked
        return Record(fields if half is None else {}, line, pointer, raw, fault=half)
    except _UNREADABLE as error:
        if b"NaN" in bytes(raw) and (known := without_nan(bytes(raw))) != raw:
            return record_of(known, line, pointer)
        return Record({}, line, pointer, raw, fault=unreadable(bytes(raw), line, pointer, error))


def without_nan(raw: bytes) -> bytes:
    """Return JSON with null for NaN, which Python and pandas write and no standard allows; other bytes as they are."""
    try:
        return msgspec.json.encode(json.loads(raw))
    except (ValueError, RecursionError, UnicodeEncodeError):
        return raw


def unreadable(raw: bytes, line: int | None, pointer: str, error: Exception) -> Fault:
    """Return why bytes are no JSON object; half of an emoji is called by its name and place."""
    if holds_half(raw):
        found = next(find_halves(marked(raw), pointer), Fault.of(pointer, "lone-surrogate"))
        return msgspec.structs.replace(found, line=line)
    if isinstance(error, msgspec.ValidationError):
        return Fault.of(pointer, "no-json-object", line)
    if isinstance(error, UnicodeDecodeError):
        return Fault.of(pointer, "undecodable-byte", line, byte=f"0x{raw[error.start]:02X}", encoding="utf-8")
    if isinstance(error, RecursionError):
        return Fault.of(pointer, "nested-too-deeply", line)
    return Fault.of(pointer, "not-json", line, reason=error)


def label_studio(task: Fields) -> Fields | None:
    """Return a task of Label Studio's export as its data and the chosen category; None if it is no such task.

    An annotation that was cancelled is left out. Several annotators who agree are one category, who disagree several.
    """
    data, annotations = task.get("data"), task.get("annotations", task.get("completions"))
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return None
    chosen: dict[str, None] = {}
    for annotation in annotations:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled") or annotation.get("cancelled"):
            continue
        for result in annotation.get("result") or ():
            value = result.get("value") if isinstance(result, dict) else None
            if isinstance(value, dict):
                choices = value.get("choices")
                if choices is None and isinstance(taxonomy := value.get("taxonomy"), list):
                    choices = [path[-1] for path in taxonomy if isinstance(path, list) and path]
                chosen.update(dict.fromkeys(map(str, choices or ())))
    named = {key: value for key, value in data.items() if key != "category"}
    labels = list(chosen)
    return {"id": task.get("id"), **named, "category": labels[0] if len(labels) == 1 else labels or None}


def _is_object(raw: bytes) -> bool:
    """Return whether bytes are one JSON object."""
    try:
        _members.decode(raw)
    except _UNREADABLE:
        return False
    return True


def _lines(source: Source, encoding: TextEncoding) -> Iterator[bytes]:
    """Yield the lines of a text as UTF-8; of UTF-8 itself the bytes, so that nothing is decoded twice."""
    if encoding.codec in ("utf-8", "utf-8-sig", "ascii"):
        start = source.head()
        if b"\n" in start or b"\r" not in start:  # lines that end in CR alone are cut as text
            for number, line in enumerate(source.file):
                yield line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
            return
    with text_of(source, encoding) as text:
        for text_line in text:
            yield text_line.encode(
                "utf-8", "surrogateescape" if encoding.codec.startswith("utf-8") else "surrogatepass"
            )


def _as_utf8(source: Source, encoding: TextEncoding) -> bytes:
    """Return a whole text as UTF-8, without a mark."""
    return b"".join(_lines(source, encoding))


def _array(form: str, pointer: str, rows: list[msgspec.Raw]) -> tuple[str, Iterator[Record]]:
    """Return the form and the records of an array; of tasks of Label Studio, what they hold."""
    firsts = [record_of(row) for row in rows[:10]]
    if any(record.fault is None and label_studio(record.fields) is not None for record in firsts):
        return "Label Studio", (_task(row, f"{pointer}/{index}") for index, row in enumerate(rows))
    if firsts and all(bytes(row).lstrip()[:1] == b"[" for row in rows[:10]):
        return "JSON array of arrays", _rows_of_cells(rows)
    return form, (record_of(row, pointer=f"{pointer}/{index}") for index, row in enumerate(rows))


def _task(raw: msgspec.Raw, pointer: str) -> Record:
    """Return the record of one task of Label Studio."""
    record = record_of(raw, pointer=pointer)
    if record.fault is None and (fields := label_studio(record.fields)) is not None:
        return Record(fields, pointer=pointer)
    return record


def _rows_of_cells(rows: list[msgspec.Raw]) -> Iterator[Record]:
    """Yield the rows of a table that is written as an array of arrays, the first of which names the columns."""
    cells = [msgspec.json.decode(row, type=list[object]) for row in rows]
    columns = unique_names(cells[0])
    for index, row in enumerate(cells[1:], 1):
        pointer = f"/{index}"
        if len(row) > len(columns):
            fault = Fault.of(pointer, "too-many-columns", num_cells=len(row), num_columns=len(columns))
            yield Record({}, pointer=pointer, fault=fault)
        else:
            filled = [*row, *[None] * (len(columns) - len(row))]
            yield Record(dict(zip(columns, filled, strict=True)), pointer=pointer)


def _wrapped(raw: bytes, name: str, score: NameScore) -> tuple[str, Iterator[Record]]:
    """Return the form and the records of an object that is one ticket, or wraps a list of them."""
    members = _members.decode(raw)
    for own in OWN_LISTS:
        if own in members and bytes(members[own]) != b"null":
            rows = msgspec.json.decode(members[own], type=list[msgspec.Raw])
            return _array(f"JSON object, list {own}", f"/{own}", rows)
    if (columns := _columns_of(raw)) is not None:
        return "JSON object of columns", columns
    if {"columns", "data"} <= members.keys() and bytes(members["data"]).lstrip()[:1] == b"[":
        rows = msgspec.json.decode(members["data"], type=list[msgspec.Raw])
        if all(bytes(row).lstrip()[:1] == b"[" for row in [members["columns"], *rows]):
            return "JSON object of rows", _rows_of_cells([members["columns"], *rows])
    if (keyed := _keyed(members)) is not None:
        return "JSON object of objects", keyed
    # A ticket by itself may hold lists too: Jira writes a text as a list of paragraphs.
    lists = {} if any(name in members for name in OWN_FIELDS) else dict(_lists_in(members))
    if len(lists) > 1:
        scores = {place: score(list(_names_in(rows[0]))) for place, rows in lists.items()}
        best = [place for place, number in scores.items() if number > 1 and number == max(scores.values())]
        lists = {place: lists[place] for place in best} if len(best) == 1 else lists
    if len(lists) > 1:
        raise InvalidInput("several-lists-of-objects", file=name, num_lists=len(lists), names=list(lists))
    if lists:
        ((pointer, rows),) = lists.items()
        return _array(f"JSON object, list {pointer.removeprefix('/')}", pointer, rows)
    return "JSON object", iter([record_of(raw, line=1)])


def _lists_in(
    members: Mapping[str, msgspec.Raw], pointer: str = "", depth: int = 1
) -> Iterator[tuple[str, list[msgspec.Raw]]]:
    """Yield each list of objects inside an object, with its pointer; neither empty ones nor lists inside lists."""
    for name, value in members.items():
        start, place = bytes(value).lstrip()[:1], f"{pointer}/{name}"
        if start == b"[":
            rows = msgspec.json.decode(value, type=list[msgspec.Raw])
            if rows and bytes(rows[0]).lstrip()[:1] == b"{":
                yield place, rows
        elif start == b"{" and depth < MAX_DEPTH:
            yield from _lists_in(_members.decode(value), place, depth + 1)


def _names_in(raw: msgspec.Raw, depth: int = 1) -> Iterator[str]:
    """Yield the names of the fields of an object, and the dotted paths of those inside it."""
    for name, value in _members.decode(raw).items():
        yield name
        if bytes(value).lstrip()[:1] == b"{" and depth < MAX_DEPTH:
            yield from (f"{name}.{inner}" for inner in _names_in(value, depth + 1))


def _keyed(members: Mapping[str, msgspec.Raw]) -> Iterator[Record] | None:
    """Return the records of an object of objects that have the same fields, as pandas and Firebase write; else None."""
    if len(members) < 2 or not all(bytes(value).lstrip()[:1] == b"{" for value in members.values()):
        return None
    names = [_members.decode(value).keys() for value in members.values()]
    if not names[0] or any(one != names[0] for one in names):
        return None
    return (record_of(value, pointer=f"row {number}") for number, value in enumerate(members.values(), 1))


def _columns_of(raw: bytes) -> Iterator[Record] | None:
    """Return the records of an object of equally long columns, as pandas writes one; None if it is no such object."""
    try:
        columns = msgspec.json.decode(raw, type=dict[str, list[str | int | float | bool | None] | dict[str, object]])
    except _UNREADABLE:
        return None
    if len(columns) < 2:
        return None
    cells = [list(column.values()) if isinstance(column, dict) else column for column in columns.values()]
    keys = [list(column) if isinstance(column, dict) else [] for column in columns.values()]
    if len(set(map(len, cells))) != 1 or not cells[0] or any(one != keys[0] for one in keys):
        return None
    if keys[0] and not all(key.isdigit() for key in keys[0]):
        return None  # an object of objects, which are no columns
    return (
        Record(dict(zip(columns, row, strict=True)), pointer=f"row {number}")
        for number, row in enumerate(zip(*cells, strict=True))
    )


def escaped(fields: Fields) -> str:
    """Return an object as JSON on one line; half of an emoji, which UTF-8 cannot carry, as the escape that it was."""
    try:
        return msgspec.json.encode(fields).decode()
    except (UnicodeEncodeError, TypeError, ValueError):
        return json.dumps(fields, default=str)
