"""A file that is posted as it is: its media types, and the query of the address that says how it is to be read.

In: a content type and the parameters of a query. Out: the body that a JSON request for the same would have, without
rows, and what is known of the file. Only parameters are looked at here; the trainer's process reads the file, and
checks the body as it checks any other.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from artifacts.errors import Fault, InvalidInput
from artifacts.jobs.records import JobKind, Upload
from artifacts.system.validation import invalid
from inference.training import Posted

JSON = "application/json"
# Media type -> the suffix of a file of that form. A page of another site can send none of them without asking first.
FILES: Mapping[str, str] = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/zip": "zip",
    "application/gzip": "gz",
    "application/mbox": "mbox",
    "message/rfc822": "eml",
}
MAX_FILENAME = 120  # characters

# Parameters of the query, and how each is read: as text, a list of texts, a number, yes or no, JSON, OLD=NEW,
# or where a training starts.
READING: Mapping[str, str] = {
    "category": "text",
    "text": "list",
    "id": "text",
    "encoding": "text",
    "delimiter": "delimiter",
    "header": "flag",
    "skip_unlabelled": "flag",
    "skip_faulty": "flag",
    "first_label": "flag",
    "merge": "pairs",
}
ABOUT_FILE: Mapping[str, str] = {"filename": "text", "as": "text"}
OWN: Mapping[JobKind, Mapping[str, str]] = {
    "train": {
        "name": "text",
        "neural_network_type": "text",
        "config": "json",
        "promote": "text",
        "include_feedback": "flag",
        "keep_data": "flag",
        "from": "start",
    },
    "inspect": {"name": "text", "neural_network_type": "text", "preview": "flag"},
    "evaluate": {"name": "text", "neural_network_type": "text", "version": "number"},
    "diff": {"old": "number", "new": "number"},
    "classify": {
        "name": "text",
        "neural_network_type": "text",
        "version": "number",
        "abstain": "flag",
        "top_k": "number",
        "among": "list",
        "otherwise": "text",
        "explain": "flag",
        "output": "text",
    },
}
FLAGS = {"true": True, "1": True, "false": False, "0": False}


def parameters_of(kind: JobKind) -> Mapping[str, str]:
    """Return every parameter that the query of a posted file may have, and how it is read."""
    return {**OWN[kind], **READING, **ABOUT_FILE}


def posted_file(kind: JobKind, media_type: str, query: Iterable[tuple[str, str]]) -> Posted:
    """Return the request for a job on a file that is posted as it is.

    Args:
        kind: of the job.
        media_type: that the file is sent as.
        query: parameters of the address, in their order.
    Raises:
        InvalidInput: one is unknown or does not fit, each with its name.
    """
    known = parameters_of(kind)
    found: dict[str, object] = {}
    reading: dict[str, object] = {}
    faults: list[Fault] = []
    for name, value in query:
        if name not in known:
            faults.append(Fault.of(f"/{name}", "unknown-parameter", known=sorted(known)))
            continue
        target = reading if name in READING else found
        try:
            _take(target, name, known[name], value)
        except ValueError:
            faults.append(invalid(f"/{name}", f"expected {_WORDS[known[name]]}, got {value[:80]!r}", None))
    if faults:
        raise InvalidInput("query-does-not-fit", faults, num_faults=len(faults))
    filename = clean_filename(str(found.pop("filename", "")), media_type)
    for name in ("as", "preview"):
        found.pop(name, None)
    body = msgspec.json.encode(found | {"reading": reading} if reading else found)
    return Posted(body, Upload(media_type, filename))


_WORDS = {"flag": "true or false", "number": "a whole number", "json": "JSON", "pairs": "OLD=NEW"}


def _take(target: dict[str, object], name: str, form: str, value: str) -> None:
    """Put a parameter where it belongs.

    Raises:
        ValueError: it does not fit.
    """
    if form == "flag":
        if value.lower() not in FLAGS:
            raise ValueError
        target[name] = FLAGS[value.lower()]
    elif form == "number":
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise ValueError
        target[name] = int(value)
    elif form == "json":
        target[name] = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(value)))
    elif form == "list":
        target.setdefault(name, []).append(value)  # type: ignore[attr-defined]  # a list from its first value on
    elif form == "pairs":
        old, equals, new = value.partition("=")
        if not equals:
            raise ValueError
        target.setdefault(name, {})[old] = new  # type: ignore[index]  # a dict from its first value on
    elif form == "start":  # "serving", or the number of a version; the trainer's check looks at the rest
        target[name] = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value
    elif form == "delimiter":
        target[name] = "\t" if value in ("tab", "\\t") else value
    else:
        target[name] = value


def is_flag_set(query: Mapping[str, str], name: str) -> bool:
    """Return whether a flag of the query is set.

    Raises:
        InvalidInput: it is neither true nor false.
    """
    value = query.get(name, "false").lower()
    if value not in FLAGS:
        fault = invalid(f"/{name}", f"expected {_WORDS['flag']}, got {value[:80]!r}", None)
        raise InvalidInput("query-does-not-fit", [fault], num_faults=1)
    return FLAGS[value]


def clean_filename(given: str, media_type: str) -> str:
    """Return the name of a file as a client calls it, without a folder and signs; one of our own where there is none.

    >>> clean_filename("mes fichiers/export juin.csv", "text/csv"), clean_filename("", "text/csv")
    ('export juin.csv', 'tickets.csv')
    """
    name = PurePosixPath(given.replace("\\", "/")).name
    name = "".join(letter for letter in name if letter.isprintable())[-MAX_FILENAME:].strip(". ")
    suffix = "json" if media_type == JSON else FILES[media_type]
    return name or f"tickets.{suffix}"
