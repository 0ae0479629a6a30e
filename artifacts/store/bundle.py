"""A published version as one file: a zip archive that another store takes with `puppet-train import`.

In: a version of a store. Out: bytes, the same for the same version at any time, so that two copies can be compared. The
archive holds the version's folder and nothing else: the manifest, which carries the hash of itself and of every other
file, and these files. So what comes out of an archive is proven as what lies in a store is, by the same functions; the
archive itself is not trusted, not its names, its sizes, nor its checksums.
"""

import io
import zipfile
import zlib
from pathlib import Path

import msgspec

from artifacts.errors import ArtifactRefused, InvalidInput
from artifacts.networks.manifest import MANIFEST, Manifest, ModelName, decode_record
from artifacts.store.store import Store
from artifacts.store.versions import MAX_RECORD_BYTES, check_file, read_manifest
from artifacts.system.disk import read

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that zip knows: when an archive was packed would make two of them differ
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, UnicodeDecodeError)


class ManifestName(msgspec.Struct, frozen=True):
    """As much of a manifest as says which version it is of."""

    name: ModelName
    version: int


def pack(store: Store, name: str, version: int) -> bytes:
    """Return a version as one file, once every file of it has been verified.

    Raises:
        ModelNotFound, VersionNotFound, InvalidName.
        ArtifactRefused: a file of it is damaged.
    """
    store.check_version(name, version)
    manifest, files = store.read_version(name, version)
    try:
        raw = read(store.folder(name) / str(version) / MANIFEST, MAX_RECORD_BYTES)
    except OSError as error:
        raise ArtifactRefused("version-unreadable", model=f"{name} version {version}", reason=error) from error
    assert read_manifest(raw, name, version).sha256 == manifest.sha256, "a manifest never changes; this is a bug"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # stored: weights do not compress
        for file, content in sorted({**files, MANIFEST: raw}.items()):
            info = zipfile.ZipInfo(f"{name}/{version}/{file}", _DATE)
            info.external_attr = 0o600 << 16
            info.create_system = 3  # Unix, wherever it is packed
            archive.writestr(info, content)
    return packed.getvalue()


def unpack(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest and the files of a version that `pack` has written, each of them verified.

    Nothing is written: no name in the archive becomes a path. No file is read that the manifest does not name, and of
    none more bytes than it says.

    Raises:
        InvalidInput: it is no such archive.
        ArtifactRefused: a file is damaged, or is not what the manifest says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {one.filename.rpartition("/")[2]: one for one in archive.infolist()}
            if MANIFEST not in inside:
                raise InvalidInput("no-packed-version", file=path, missing=MANIFEST)
            with archive.open(inside[MANIFEST]) as packed:
                raw = packed.read(MAX_RECORD_BYTES)
            named = decode_record(raw, ManifestName, f"{path}: {MANIFEST}")
            manifest = read_manifest(raw, named.name, named.version)
            files: dict[str, bytes] = {}
            for file, record in manifest.files.items():
                if file not in inside:
                    raise InvalidInput("no-packed-version", file=path, missing=file)
                with archive.open(inside[file]) as packed:
                    files[file] = packed.read(record.bytes + 1)  # one more would show that it is longer
                check_file(f"{path}", file, files[file], record)
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput("damaged-file", file=path, form="zip", reason=reason) from error
    return manifest, files
