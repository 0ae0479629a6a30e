"""The folder that holds every model: create, publish, promote, roll back and delete durably; read verified.

The contract: a version that `publish` returned survives kill -9 and power loss; any other is invisible. A file of a
published version is never changed. `model.json` and `current` change only in this file, under the model's lock.

How a version becomes visible. It is written in `.tmp/`, each file flushed to the disk, the manifest last; then one
rename puts the whole folder in its place, and only then the pointer `current` moves to it, by another rename. A rename
is atomic: whoever looks sees the old or the new, never half. The folder itself is flushed after each rename, because a
rename is only in memory until then.

How one goes. The same backwards: one rename takes the whole folder into `.tmp/`, where nobody looks, the folder that it
left is flushed, and only then are its files removed.

Who may do what at once. Whoever changes a model holds a lock (flock) on its folder, and whoever creates or deletes a
model one on the store's; the kernel releases a lock when its holder dies, so none is ever left over. A folder in
`.tmp/` is locked by who writes in it, so that `sweep` can tell what a crash has left from what is being written. All
this holds on one machine: a network file system is refused.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from artifacts.errors import (
    ArtifactRefused,
    InvalidInput,
    InvalidName,
    ModelExists,
    ModelNotFound,
    ModelNotTrained,
    NothingToRollBack,
    StoreRefused,
    UnknownKind,
    VersionChanged,
    VersionNotFound,
    VersionServes,
)
from artifacts.kinds import kind_named
from artifacts.networks.manifest import (
    FORMAT,
    MANIFEST,
    Current,
    DeletedRecord,
    FileRecord,
    Manifest,
    ManifestHead,
    ModelRecord,
    Served,
    decode_record,
    seal,
    unseal,
)
from artifacts.system.disk import (
    check_local,
    flush,
    flush_if_possible,
    held_open,
    lock_folder,
    open_folder,
    put_in_place,
    read,
    take_away,
    write,
)

MODEL_RECORD, CURRENT = "model.json", "current"
JOBS, TEMPORARY, DELETED = ".jobs", ".tmp", ".deleted"
MAX_RECORD_BYTES = 4 * 2**20
MAX_HISTORY = 100
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
            StoreRefused: it is no folder, belongs to another user, others may enter it, or it is on another machine.
        """
        self.root = root.absolute()
        try:
            missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
            check_local(self.root)
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in missing:
                flush(made.parent)  # or a power cut takes the store away with all that it held
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
            raw = read(self.root / name / MODEL_RECORD, MAX_RECORD_BYTES)
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

    def check_version(self, name: str, version: int) -> None:
        """Do nothing if the version is there; its files are not checked.

        Raises:
            VersionNotFound, ModelNotFound, InvalidName.
        """
        versions = self.versions(name)
        if version not in versions:
            raise VersionNotFound(f"{name} has no version {version}; it has {_listed(versions)}")

    def current(self, name: str) -> Current:
        """Return which version serves.

        Raises:
            ModelNotFound, ModelNotTrained, InvalidName, ArtifactRefused.
        """
        check_name(name)
        try:
            return unseal(read(self.root / name / CURRENT, MAX_RECORD_BYTES), Current, f"{name}/{CURRENT}")
        except FileNotFoundError as error:
            self.read_model(name)
            raise ModelNotTrained("Model not trained yet") from error
        except OSError as error:
            raise ArtifactRefused(f"{name}/{CURRENT} cannot be read: {error}") from error

    def serving(self, name: str) -> int | None:
        """Return the version that the pointer names; None if there is no pointer, or none that can be read.

        Raises:
            ModelNotFound, InvalidName.
        """
        current = self._serving(name)
        return current.version if current else None

    def read_manifest(self, name: str, version: int) -> Manifest:
        """Return a version's manifest; its other files are not looked at, so only `read_version` makes it fit to serve.

        Raises:
            ArtifactRefused: it is missing, damaged, of an unknown format or kind, or of another version.
            InvalidName: `name` cannot name a model.
        """
        check_name(name)
        where = f"{name} version {version}"
        try:
            raw = read(self.root / name / str(version) / MANIFEST, MAX_RECORD_BYTES)
        except OSError as error:
            raise ArtifactRefused(f"{where} cannot be read: {error}") from error
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
        return manifest

    def read_version(self, name: str, version: int) -> tuple[Manifest, dict[str, bytes]]:
        """Return a version's manifest and the bytes of its files, each of the size and SHA-256 that it must have.

        Raises:
            ArtifactRefused: saying which file, what was found and what was expected.
            InvalidName: `name` cannot name a model.
        """
        manifest = self.read_manifest(name, version)
        folder = self.root / name / str(version)
        where = f"{name} version {version}"
        files = {}
        try:
            for file, record in manifest.files.items():
                files[file] = raw = read(folder / file, record.bytes)
                digest = hashlib.sha256(raw).hexdigest()
                if len(raw) != record.bytes or digest != record.sha256:
                    raise ArtifactRefused(
                        f"{where}: {file} is damaged: {len(raw)} bytes with SHA-256 {digest}, "
                        f"the manifest says {record.bytes} and {record.sha256}"
                    )
        except OSError as error:
            raise ArtifactRefused(f"{where} cannot be read: {error}") from error
        return manifest, files

    # Writing. Whatever is raised, nothing visible has changed, but that a version's number may have been used up.

    def create_model(self, name: str, kind: str) -> ModelRecord:
        """Record a new, untrained model, durably.

        Of a name that was deleted it goes on with the numbers: name and version never mean two different things.

        Raises:
            ModelExists, InvalidName, UnknownKind, StoreRefused.
            ArtifactRefused: the record of the deleted model is damaged.
        """
        check_name(name)
        kind = kind_named(kind).name
        with self._lock_names(), self.temporary_folder() as folder:
            highest = self._read_deleted(name)
            record = ModelRecord(name=name, neural_network_type=kind, created=now(), highest_version=highest)
            write(folder / MODEL_RECORD, seal(record))
            try:
                with put_in_place(folder, self.root / name):
                    pass
            except FileExistsError as error:
                raise ModelExists("Model already exists") from error
        return self.read_model(name)

    def publish(
        self,
        manifest: M,
        files: Mapping[str, bytes],
        *,
        serve: bool = True,
        expected: int | None = None,
        guard: AbstractContextManager[object] | None = None,
    ) -> M:
        """Write a version, make it the serving one, and return its manifest once both are on the disk.

        Args:
            manifest: complete but for `version` and `files`, which are filled in here.
            files: name -> bytes, just those that the model's kind has.
            serve: whether it is to serve; if not, it is only there to be promoted.
            expected: it is to serve only in place of this version; 0: only if none serves; None: in place of any.
            guard: entered when all is written and nothing visible yet, left when all is visible. An error of its
                entry or of its exit takes the version back, so a transaction that may not commit can be the guard. It
                is entered under the model's lock: whoever holds the guard must not wait for the lock.
        Raises:
            StoreRefused: the disk is full, read-only or failing.
            ModelNotFound, ArtifactRefused, and what the guard raises.
        """
        name = manifest.name
        assert set(files) == set(kind_named(manifest.neural_network_type).files), "files of another kind; our bug"
        with self.lock(name):
            record = self.read_model(name)
            version = record.highest_version + 1
            # First of all the number is used up, so that it is never given twice, whatever happens next.
            self._replace(
                self.root / name / MODEL_RECORD, seal(msgspec.structs.replace(record, highest_version=version))
            )
            records = {file: FileRecord(len(raw), hashlib.sha256(raw).hexdigest()) for file, raw in files.items()}
            manifest = msgspec.structs.replace(manifest, version=version, files=records)
            with self.temporary_folder() as folder:
                for file, raw in files.items():
                    write(folder / file, raw)
                write(folder / MANIFEST, seal(manifest))
                # An error closes the steps last first, each taking back what it did: the pointer, then the folder.
                with contextlib.ExitStack() as steps, guard or contextlib.nullcontext():
                    try:
                        steps.enter_context(put_in_place(folder, self.root / name / str(version)))
                    except FileExistsError as error:
                        raise StoreRefused(f"{name} has a folder {version} already, nothing was changed") from error
                    serving = self._serving(name)
                    if serve and expected in (None, serving.version if serving else 0):
                        pointer = _pointer(serving, Served(version, now()))
                        steps.enter_context(self._replaced(self.root / name / CURRENT, seal(pointer)))
        return manifest

    def promote(self, name: str, version: int, *, expected: int | None = None) -> Current:
        """Make a version the serving one, and return the new pointer once it is on the disk.

        Sizes and hashes of its files are checked first; the graph is not run (`artifacts.kinds.load` does that). The
        version that serves already stays so, and nothing is written. A pointer that is damaged is replaced.

        Args:
            name: of the model.
            version: that is to serve.
            expected: the version that the caller believes to serve; a guard against two who decide at once.
        Raises:
            VersionNotFound, ArtifactRefused (the version is damaged), ModelNotFound, InvalidName, StoreRefused.
            VersionChanged: another version than `expected` serves, or none.
        """
        with self.lock(name):
            serving = self._serving(name)
            found = serving.version if serving else None
            if expected is not None and found != expected:
                raise VersionChanged(
                    f"{name}: {f'version {found}' if found else 'no version'} serves, not {expected}; "
                    f"somebody was faster, so look again, then decide"
                )
            self.check_version(name, version)
            self.read_version(name, version)
            if serving is not None and found == version:
                return serving
            pointer = _pointer(serving, Served(version, now()))
            self._replace(self.root / name / CURRENT, seal(pointer))
        return pointer

    def rollback(self, name: str) -> Current:
        """Serve the version that served before the present one, and return the new pointer once it is on the disk.

        Which one that is, `version_before` says; a second rollback goes on to the one before that, never back again.

        Raises:
            NothingToRollBack: none that served before is still there.
            ArtifactRefused: the pointer or that version is damaged; `promote` can name another one.
            ModelNotFound, ModelNotTrained, InvalidName, StoreRefused.
        """
        with self.lock(name):
            serving = self.current(name)
            version = version_before(serving, self.versions(name))
            if version is None:
                others = [other for other in self.versions(name) if other != serving.version]
                raise NothingToRollBack(
                    f"{name}: no version that served before version {serving.version} is still there; "
                    f"others that could be promoted: {_listed(others)}"
                )
            self.read_version(name, version)
            pointer = _pointer(serving, Served(version, now(), rollback=True))
            self._replace(self.root / name / CURRENT, seal(pointer))
        return pointer

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version, durably; its number is not given again.

        Raises:
            VersionServes: it is the serving one.
            VersionNotFound, ModelNotFound, InvalidName, StoreRefused.
            ArtifactRefused: the pointer is damaged, so it cannot be told what serves.
        """
        with self.lock(name):
            serving = self._surely_serving(name)
            self.check_version(name, version)
            if serving is not None and serving.version == version:
                raise VersionServes(f"{name} version {version} serves; promote another one first, or delete the model")
            self._remove_versions(name, [version])

    def delete_model(self, name: str) -> None:
        """Delete a model with all its versions, durably; a damaged one too.

        What stays is its name and highest number, in `.deleted`, for the case that it is created again.

        Raises:
            ModelNotFound, InvalidName, StoreRefused.
        """
        with self.lock(name), self._lock_names(), self.temporary_folder() as folder:
            try:
                highest = self.read_model(name).highest_version
            except ArtifactRefused:
                highest = 0
            highest = max([highest, *self.versions(name)])
            kept = self.root / DELETED
            kept.mkdir(mode=0o700, exist_ok=True)
            flush(self.root)
            self._replace(kept / f"{name}.json", seal(DeletedRecord(name=name, highest_version=highest)))
            take_away([self.root / name], folder)

    def prune(self, name: str, keep: int) -> list[int]:
        """Delete all versions but the newest `keep`, durably, and return the numbers of those deleted.

        The serving version and the one that a rollback would serve stay too, however old. An error deletes none; a
        crash may have deleted some.

        Raises:
            InvalidInput: `keep` is negative.
            ModelNotFound, InvalidName, StoreRefused.
            ArtifactRefused: the pointer is damaged, so it cannot be told what serves.
        """
        if keep < 0:
            raise InvalidInput(f"keep is {keep}; it is the number of versions to keep, 0 or more")
        with self.lock(name):
            serving = self._surely_serving(name)
            versions = self.versions(name)
            spared = set() if serving is None else {serving.version, version_before(serving, versions)}
            old = [version for version in versions[: max(0, len(versions) - keep)] if version not in spared]
            if old:
                self._remove_versions(name, old)
        return old

    def sweep(self) -> list[str]:
        """Remove what crashes have left in `.tmp`, and return a sentence for each thing that was done or found.

        What a living process is writing is locked by it, and is left alone; so this may run at any time, also twice at
        once. Nothing outside `.tmp` is removed: what only looks wrong there is said, and is for a person to judge. A
        complete version that never served is not wrong, for `publish` without `serve` makes such ones.

        Raises:
            StoreRefused: the store cannot be listed.
        """
        said = []
        try:
            for left_over in sorted((self.root / TEMPORARY).iterdir()):
                said += self._sweep_folder(left_over)
            for folder in sorted(self.root.iterdir()):
                if _NAME.fullmatch(folder.name):
                    said += self._doubts(folder)
        except OSError as error:
            raise StoreRefused(f"store {self.root} cannot be listed: {error}") from error
        return said

    def _sweep_folder(self, left_over: Path) -> list[str]:
        try:
            with held_open(self._lock_temporary()):
                fd = open_folder(left_over)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BaseException:
                    os.close(fd)
                    raise
            with held_open(fd):
                shutil.rmtree(left_over)
        except (BlockingIOError, FileNotFoundError):
            return []  # it is being written, or who wrote it has just removed it
        except OSError as error:
            return [f"{TEMPORARY}/{left_over.name} is left over and cannot be removed: {error}"]
        return [f"removed {TEMPORARY}/{left_over.name}, left over from a process that ended while it wrote"]

    def _doubts(self, folder: Path) -> list[str]:
        """Return what looks wrong in a folder that bears a model's name."""
        name = folder.name
        said = []
        try:
            if not (folder / MODEL_RECORD).exists():
                return [f"{name} is no model: it has no {MODEL_RECORD}; it was left as it is"]
            for entry in sorted(folder.iterdir()):
                if _VERSION.fullmatch(entry.name) and not (entry / MANIFEST).exists():
                    said.append(f"{name}/{entry.name} is no version: it has no {MANIFEST}; it was left as it is")
            serving = self._surely_serving(name)
            if serving is not None and serving.version not in self.versions(name):
                said.append(f"{name}: version {serving.version} should serve but is not there; promote another one")
        except (ModelNotFound, FileNotFoundError):
            return []  # deleted in the meantime
        except ArtifactRefused as error:
            said.append(str(error))
        return said

    def _serving(self, name: str) -> Current | None:
        """Return the pointer; None if there is none or it is damaged, for then a sound one is to replace it."""
        try:
            return self.current(name)
        except (ModelNotTrained, ArtifactRefused):
            return None

    def _surely_serving(self, name: str) -> Current | None:
        """Return the pointer; None if there is none; a damaged one is raised, for whoever deletes must not guess."""
        try:
            return self.current(name)
        except ModelNotTrained:
            return None

    def _read_deleted(self, name: str) -> int:
        """Return the highest version that a deleted model of that name ever had, 0 if there was none."""
        file = f"{DELETED}/{name}.json"
        try:
            return unseal(read(self.root / file, MAX_RECORD_BYTES), DeletedRecord, file).highest_version
        except FileNotFoundError:
            return 0
        except ArtifactRefused as error:
            raise ArtifactRefused(
                f"{error}; it says which numbers {name} has used before it was deleted; remove it to begin at 1"
            ) from error

    def _remove_versions(self, name: str, versions: list[int]) -> None:
        with self.temporary_folder() as folder:
            take_away([self.root / name / str(version) for version in versions], folder)

    # Locks and temporary folders

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the model's lock; it is the folder's own, so there is no lock file to be left over."""
        check_name(name)
        folder = self.root / name
        try:
            fd = lock_folder(folder)
        except FileNotFoundError as error:
            raise ModelNotFound("Model not found") from error
        except OSError as error:
            raise StoreRefused(f"{folder} cannot be locked, nothing was changed: {error}") from error
        with held_open(fd):
            yield

    @contextlib.contextmanager
    def _lock_names(self) -> Iterator[None]:
        """Hold the lock on which models there are. Whoever needs a model's lock too takes that one first."""
        try:
            fd = lock_folder(self.root)
        except OSError as error:
            raise StoreRefused(f"{self.root} cannot be locked, nothing was changed: {error}") from error
        with held_open(fd):
            yield

    def _lock_temporary(self) -> int:
        """Return the lock on what is in `.tmp`: a new folder there is locked before `sweep` can look at it."""
        return lock_folder(self.root / TEMPORARY)

    @contextlib.contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Give a new folder in `.tmp`, removed at the end unless it was put in its place; disk errors are ours."""
        folder = self.root / TEMPORARY / uuid.uuid4().hex
        with contextlib.ExitStack() as ends:
            try:
                with held_open(self._lock_temporary()):
                    folder.mkdir(mode=0o700)
                    try:
                        fd = open_folder(folder)
                    except OSError:
                        folder.rmdir()
                        raise
                    ends.callback(os.close, fd)  # last of all, for it unlocks the folder
                    ends.callback(shutil.rmtree, folder, ignore_errors=True)
                    fcntl.flock(fd, fcntl.LOCK_EX)
                yield folder
            except FileExistsError:
                raise
            except OSError as error:
                raise StoreRefused(f"store {self.root} cannot be written, nothing was changed: {error}") from error

    def _replace(self, target: Path, raw: bytes) -> None:
        """Put `raw` in place of a record, durably: the old one or the new one is there, never half."""
        with self._replaced(target, raw):
            pass

    @contextlib.contextmanager
    def _replaced(self, target: Path, raw: bytes) -> Iterator[None]:
        """Put `raw` in place of a record, durably; if the block fails, the old one comes back."""
        with self.temporary_folder() as folder:
            write(folder / target.name, raw)
            with contextlib.suppress(FileNotFoundError):
                os.link(target, folder / "old")  # a second name, by which it can come back without being written
            os.replace(folder / target.name, target)
            try:
                flush(target.parent)
                yield
            except BaseException:
                if (folder / "old").exists():
                    os.replace(folder / "old", target)
                else:
                    target.unlink()
                flush_if_possible(target.parent)
                raise


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


def _pointer(serving: Current | None, served: Served) -> Current:
    """Return the pointer that follows `serving`."""
    history = serving.history if serving else []
    return Current(version=served.version, history=[*history[1 - MAX_HISTORY :], served])


def _listed(versions: list[int]) -> str:
    return (", ".join(map(str, versions[-10:])) if len(versions) <= 10 else f"{len(versions)}") or "none"
