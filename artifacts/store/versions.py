"""What every kind of store knows of versions: their names, manifests and files, and which of them served before.

In: bytes from wherever they were kept. Out: records, checked. Nothing here opens a file.
"""

import hashlib
import re
import time
from collections.abc import Collection
from datetime import UTC, datetime

from artifacts.errors import ArtifactRefused, InvalidName, UnknownKind
from artifacts.kinds import kind_named
from artifacts.networks.manifest import (
    FORMAT,
    MANIFEST,
    Current,
    FileRecord,
    Manifest,
    ManifestHead,
    Served,
    decode_record,
    unseal,
)
from artifacts.schemas import NAME_PATTERN

MAX_RECORD_BYTES = 4 * 2**20
MAX_NAMED = 10  # versions that a message names, the newest ones
MAX_HISTORY = 100
HOUR_S = 3600
DAY_S = 86_400
NAME = re.compile(NAME_PATTERN)
RESERVED = frozenset({"stats"})  # clients of Triton ask /v2/models/stats for the counters of all models
VERSION = re.compile(r"[1-9][0-9]{0,17}")
MODEL_RECORD = "model.json"


def now() -> str:
    """Return the time as RFC 3339 in UTC; only ever shown, order goes by version number."""
    return at(time.time())


def at(seconds: float) -> str:
    """Return a time, in seconds since 1970, as `now` spells it: of two such times the earlier one sorts first."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def report_file(language: str) -> str:
    """Return the name of a version's report in a language; it lies next to the files that the manifest lists."""
    return f"report.{language}.html"


def check_name(name: str) -> None:
    """Raise InvalidName unless `name` can name a model.

    Raises:
        InvalidName: it cannot; the pattern also keeps every name inside the store's folder.
    """
    if not NAME.fullmatch(name):
        raise InvalidName("invalid-model-name", name=name)


def check_new_name(name: str) -> None:
    """Raise InvalidName unless `name` can name a new model; one that is there from before keeps a reserved name."""
    check_name(name)
    if name in RESERVED:
        raise InvalidName("reserved-model-name", name=name)


def read_manifest(raw: bytes, name: str, version: int) -> Manifest:
    """Return the manifest in the bytes of a version's `manifest.json`.

    Raises:
        ArtifactRefused: it is damaged, of an unknown format or kind, or of another version.
    """
    where = f"{name} version {version}"
    head = decode_record(raw, ManifestHead, f"{where}: {MANIFEST}")
    if head.format != FORMAT:
        raise ArtifactRefused("unknown-format", model=where, found=head.format, known=FORMAT)
    try:
        kind = kind_named(head.neural_network_type)
    except UnknownKind as error:
        raise ArtifactRefused("unknown-kind-of-version", model=where, reason=error) from error
    manifest = unseal(raw, kind.manifest, f"{where}: {MANIFEST}")
    if (manifest.name, manifest.version) != (name, version):
        raise ArtifactRefused(
            "manifest-of-another-version", model=where, found_name=manifest.name, found_version=manifest.version
        )
    expected = set(kind.files)
    if set(manifest.files) != expected:
        raise ArtifactRefused("wrong-files", model=where, found=sorted(manifest.files), expected=sorted(expected))
    return manifest


def check_file(where: str, file: str, raw: bytes, record: FileRecord) -> None:
    """Raise ArtifactRefused unless a file of a version has the size and the SHA-256 that its manifest says.

    Args:
        where: the version, for the message.
        file: its name.
        raw: its bytes.
        record: of the manifest.
    """
    digest = hashlib.sha256(raw).hexdigest()
    if len(raw) != record.bytes or digest != record.sha256:
        raise ArtifactRefused(
            "file-damaged",
            model=where,
            file=file,
            num_bytes=len(raw),
            found=digest,
            expected_bytes=record.bytes,
            expected=record.sha256,
        )


def version_before(current: Current, versions: Collection[int]) -> int | None:
    """Return the version that a rollback would serve, of those that are still there; None if there is none.

    The history is read as the undo list of an editor: a publish or a promote adds its version at the end, a rollback
    takes back all that came after the version it returned to. So the next rollback goes on backwards, and a version
    that was rolled back from is not come back to.

    >>> history = [Served(1, ""), Served(2, ""), Served(3, ""), Served(2, "", rollback=True)]
    >>> version_before(Current(version=2, history=history), [1, 2, 3])
    1
    """
    line: list[int] = []
    for served in current.history:
        while served.rollback and line and line[-1] != served.version:
            line.pop()  # all of it, where the beginning of a long history was cut off
        if not served.rollback or not line:
            line.append(served.version)
    return next((version for version in reversed(line) if version != current.version and version in versions), None)


def pointer_after(serving: Current | None, served: Served) -> Current:
    """Return the pointer that follows `serving`."""
    history = serving.history if serving else []
    return Current(version=served.version, history=[*history[1 - MAX_HISTORY :], served])
