"""The folder that holds every model: create, publish durably, read verified.

The contract: a version that `publish` returned survives kill -9 and power loss; any other is invisible. A file of a
published version is never changed. `model.json` and `current` change only in this file, under the model's lock.

How a version becomes visible. It is written in `.tmp/`, each file flushed to the disk, the manifest last; then one
rename puts the whole folder in its place, and only then the pointer `current` moves to it, by another rename. A rename
is atomic: whoever looks sees the old or the new, never half. The folder itself is flushed after each rename, because a
rename is only in memory until then.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from artifacts.errors import (
    ArtifactRefused,
    InvalidName,
    ModelExists,
    ModelNotFound,
    ModelNotTrained,
    StoreRefused,
    UnknownKind,
)
from artifacts.kinds import kind_named
from artifacts.manifest import (
    FORMAT,
    MANIFEST,
    Current,
    FileRecord,
    Manifest,
    ManifestHead,
    ModelRecord,
    Served,
    decode_record,
    seal,
    unseal,
)

MODEL_RECORD, CURRENT = "model.json", "current"
JOBS, TEMPORARY = ".jobs", ".tmp"
MAX_RECORD_BYTES = 4 * 2**20
M = TypeVar("M", bound=Manifest)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def now() -> str:
    """Return the time as RFC 3339 in UTC; only ever shown, order goes by version number."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def check_name(name: str) -> None:
    """Do nothing if `name` can name a model.

    Raises:
        InvalidName: it cannot; the pattern also keeps every name inside the store's folder.
    """
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"model name {name!r:.80} is not allowed: 1 to 63 of a-z, 0-9, '_' and '-', the first a letter or digit"
        )


class Store:
    """A store folder, checked once when it is opened."""

    def __init__(self, root: Path) -> None:
        """Open `root`, creating it (mode 0700) if it is missing.

        Raises:
            StoreRefused: it is no folder, belongs to another user, or others may enter it.
        """
        self.root = root.absolute()
        try:
            missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in missing:
                _flush(made.parent)  # or a power cut takes the store away with all that it held
            found = self.root.stat()
            if found.st_uid != os.geteuid():
                raise StoreRefused(
                    f"store {self.root} belongs to user {found.st_uid}, this process is user {os.geteuid()}; "
                    f"a model is code, so use a folder of your own (--store DIR)"
                )
            if found.st_mode & 0o077:
                raise StoreRefused(
                    f"store {self.root} has mode {stat.S_IMODE(found.st_mode):04o}, others may enter it; "
                    f"run: chmod 700 {self.root}"
                )
            for folder in (JOBS, TEMPORARY):
                (self.root / folder).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreRefused(f"store {self.root} cannot be used: {error}") from error

    # Reading

    def models(self) -> list[str]:
        """Return the names of the models, in order."""
        return sorted(
            entry.name
            for entry in self.root.iterdir()
            if _NAME.fullmatch(entry.name) and (entry / MODEL_RECORD).is_file()
        )

    def read_model(self, name: str) -> ModelRecord:
        """Return the model's record.

        Raises:
            ModelNotFound, InvalidName, ArtifactRefused.
        """
        check_name(name)
        try:
            raw = _read(self.root / name / MODEL_RECORD, MAX_RECORD_BYTES)
        except FileNotFoundError as error:
            raise ModelNotFound("Model not found") from error
        except OSError as error:
            raise ArtifactRefused(f"{name}/{MODEL_RECORD} cannot be read: {error}") from error
        return unseal(raw, ModelRecord, f"{name}/{MODEL_RECORD}")

    def versions(self, name: str) -> list[int]:
        """Return the numbers of the versions that are there, in order; their files are not checked.

        Raises:
            ModelNotFound, InvalidName.
        """
        check_name(name)
        try:
            entries = list((self.root / name).iterdir())
        except FileNotFoundError as error:
            raise ModelNotFound("Model not found") from error
        return sorted(
            int(entry.name) for entry in entries if _VERSION.fullmatch(entry.name) and (entry / MANIFEST).is_file()
        )

    def current(self, name: str) -> Current:
        """Return which version serves.

        Raises:
            ModelNotFound, ModelNotTrained, InvalidName, ArtifactRefused.
        """
        check_name(name)
        try:
            return unseal(_read(self.root / name / CURRENT, MAX_RECORD_BYTES), Current, f"{name}/{CURRENT}")
        except FileNotFoundError as error:
            self.read_model(name)
            raise ModelNotTrained("Model not trained yet") from error
        except OSError as error:
            raise ArtifactRefused(f"{name}/{CURRENT} cannot be read: {error}") from error

    def read_version(self, name: str, version: int) -> tuple[Manifest, dict[str, bytes]]:
        """Return a version's manifest and the bytes of its files, each of the size and SHA-256 that it must have.

        Raises:
            ArtifactRefused: saying which file, what was found and what was expected.
            InvalidName: `name` cannot name a model.
        """
        check_name(name)
        folder = self.root / name / str(version)
        where = f"{name} version {version}"
        try:
            raw = _read(folder / MANIFEST, MAX_RECORD_BYTES)
            head = decode_record(raw, ManifestHead, f"{where}: {MANIFEST}")
            if head.format != FORMAT:
                raise ArtifactRefused(f"{where} has format {head.format}, this program reads format {FORMAT}")
            try:
                kind = kind_named(head.neural_network_type)
            except UnknownKind as error:
                raise ArtifactRefused(f"{where} is of a kind that this program lacks: {error}") from error
            manifest = unseal(raw, kind.manifest, f"{where}: {MANIFEST}")
            if (manifest.name, manifest.version) != (name, version):
                raise ArtifactRefused(f"{where}: the manifest is of {manifest.name} version {manifest.version}")
            expected = set(kind.files)
            if set(manifest.files) != expected:
                raise ArtifactRefused(f"{where} lists {sorted(manifest.files)}, its kind has {sorted(expected)}")
            files = {}
            for file, record in manifest.files.items():
                files[file] = raw = _read(folder / file, record.bytes)
                digest = hashlib.sha256(raw).hexdigest()
                if len(raw) != record.bytes or digest != record.sha256:
                    raise ArtifactRefused(
                        f"{where}: {file} is damaged: {len(raw)} bytes with SHA-256 {digest}, "
                        f"the manifest says {record.bytes} and {record.sha256}"
                    )
        except OSError as error:
            raise ArtifactRefused(f"{where} cannot be read: {error}") from error
        return manifest, files

    # Writing

    def create_model(self, name: str, kind: str) -> ModelRecord:
        """Record a new, untrained model, durably.

        Raises:
            ModelExists, InvalidName, UnknownKind, StoreRefused.
        """
        check_name(name)
        record = ModelRecord(name=name, neural_network_type=kind_named(kind).name, created=now())
        with self._temporary_folder() as folder:
            _write(folder / MODEL_RECORD, seal(record))
            try:
                _put_in_place(folder, self.root / name)
            except FileExistsError as error:
                raise ModelExists("Model already exists") from error
        return self.read_model(name)

    def publish(self, manifest: M, files: Mapping[str, bytes]) -> M:
        """Write a version, make it the serving one, and return its manifest once both are on the disk.

        Args:
            manifest: complete but for `version` and `files`, which are filled in here.
            files: name -> bytes, just those that the model's kind has.
        Raises:
            StoreRefused: the disk is full, read-only or failing; nothing visible has changed.
            ModelNotFound, ArtifactRefused.
        """
        name = manifest.name
        assert set(files) == set(kind_named(manifest.neural_network_type).files), "files of another kind; our bug"
        with self._lock(name):
            record = self.read_model(name)
            version = record.highest_version + 1
            # First of all the number is used up, so that it is never given twice, whatever happens next.
            self._replace(name, MODEL_RECORD, seal(msgspec.structs.replace(record, highest_version=version)))
            records = {file: FileRecord(len(raw), hashlib.sha256(raw).hexdigest()) for file, raw in files.items()}
            manifest = msgspec.structs.replace(manifest, version=version, files=records)
            with self._temporary_folder() as folder:
                for file, raw in files.items():
                    _write(folder / file, raw)
                _write(folder / MANIFEST, seal(manifest))
                target = self.root / name / str(version)
                try:
                    _put_in_place(folder, target)
                except FileExistsError as error:
                    raise StoreRefused(f"{name} has a folder {version} already, nothing was changed") from error
                try:
                    history = self.current(name).history
                except (ModelNotTrained, ArtifactRefused):
                    history = []  # a damaged pointer is replaced by a sound one
                pointer = Current(version=version, history=[*history[-99:], Served(version, now())])
                try:
                    self._replace(name, CURRENT, seal(pointer))
                except StoreRefused:
                    target.rename(folder)  # abandoned: the version before serves on, and this one is removed
                    raise
        return manifest

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold the model's lock; it is the folder's own, so there is no lock file to be left over."""
        check_name(name)
        try:
            fd = os.open(self.root / name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise ModelNotFound("Model not found") from error
        except OSError as error:
            raise StoreRefused(f"{self.root / name} cannot be locked, nothing was changed: {error}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        """Give a new folder in `.tmp`, removed at the end unless it was put in its place; disk errors are ours."""
        folder = self.root / TEMPORARY / uuid.uuid4().hex
        try:
            folder.mkdir(mode=0o700)
            yield folder
        except FileExistsError:
            raise
        except OSError as error:
            raise StoreRefused(f"store {self.root} cannot be written, nothing was changed: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _replace(self, name: str, file: str, raw: bytes) -> None:
        """Put `raw` in place of a model's record, durably: the old one or the new one is there, never half."""
        target = self.root / name / file
        with self._temporary_folder() as folder:
            _write(folder / file, raw)
            with contextlib.suppress(FileNotFoundError):
                os.link(target, folder / "old")  # a second name, by which it can come back without being written
            os.replace(folder / file, target)
            try:
                _flush(target.parent)
            except OSError:
                if (folder / "old").exists():
                    os.replace(folder / "old", target)
                else:
                    target.unlink()
                raise


def _read(path: Path, limit: int) -> bytes:
    """Return a regular file's bytes, one more than `limit` at most; a link, pipe or folder is an OSError."""
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        return file.read(limit + 1)


def _open_at_once(path: str, flags: int) -> int:
    """Open without following a link and without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _write(path: Path, raw: bytes) -> None:
    """Write a new file and wait until the disk has it. A failed fsync is not retried: the page may be marked clean."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(fd)


def _flush(folder: Path) -> None:
    """Wait until the disk has the folder's entries."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _put_in_place(folder: Path, target: Path) -> None:
    """Rename a complete folder to `target`, durably.

    A rename replaces an empty folder and refuses a full one, so it can only ever put away a left-over that holds
    nothing.

    Raises:
        FileExistsError: there is something at `target`.
    """
    _flush(folder)
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise
    try:
        _flush(target.parent)
    except OSError:
        target.rename(folder)  # it may not be on the disk, so nobody is to see it
        raise
