"""The store in a folder of this machine: create, publish, promote, roll back and delete durably; read verified.

What each method promises stands in interface.py, and a store of another kind promises the same. The contract: a version
that `publish` returned survives kill -9 and power loss; any other is invisible. A file of a published version is never
changed. `model.json` and `current` change only in this file, under the model's lock.

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
import shutil
import stat
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from artifacts.errors import (
    ArtifactRefused,
    InvalidInput,
    ModelExists,
    ModelNotFound,
    ModelNotTrained,
    NothingToRollBack,
    StoreRefused,
    VersionChanged,
    VersionServes,
)
from artifacts.kinds import kind_named
from artifacts.networks.manifest import (
    MANIFEST,
    Current,
    DeletedRecord,
    FileRecord,
    Manifest,
    ModelRecord,
    Served,
    seal,
    unseal,
)
from artifacts.store.interface import AnyStore, M
from artifacts.store.sweep import sweep
from artifacts.store.versions import (
    MAX_NAMED,
    MAX_RECORD_BYTES,
    MODEL_RECORD,
    NAME,
    VERSION,
    check_file,
    check_name,
    check_new_name,
    now,
    pointer_after,
    read_manifest,
    version_before,
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

CURRENT = "current"
JOBS, TEMPORARY, DELETED = ".jobs", ".tmp", ".deleted"


class Store(AnyStore):
    """A store folder, checked once when it is opened.

    Attributes:
        root: the folder. What this machine keeps in it beside the models is found by `folder` and `jobs_folder`.
    """

    def __init__(self, root: Path) -> None:
        """Open `root`, creating it (mode 0700) if it is missing.

        Raises:
            StoreRefused: it is no folder, belongs to another user, others may enter it, or it is on another machine.
        """
        self.root = root.absolute()
        self.where = str(self.root)
        try:
            missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
            check_local(self.root)
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in missing:
                flush(made.parent)  # or a power cut takes the store away with all that it held
            found = self.root.stat()
            if found.st_uid != os.geteuid():
                raise StoreRefused("store-of-another-user", path=self.root, owner=found.st_uid, user=os.geteuid())
            if found.st_mode & 0o077:
                mode = f"{stat.S_IMODE(found.st_mode):04o}"
                raise StoreRefused("store-open-to-others", path=self.root, mode=mode)
            for folder in (JOBS, TEMPORARY):
                (self.root / folder).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreRefused("store-unusable", path=self.root, reason=error) from error

    @property
    def jobs_folder(self) -> Path:
        """The folder of the trainings that this machine was asked for; `Jobs` says what is in it."""
        return self.root / JOBS

    def folder(self, name: str) -> Path:
        """Return the model's folder, there or not, for what is kept with it (corrections); change it under `lock`.

        Raises:
            InvalidName: `name` cannot name a model; so every path stays inside the store.
        """
        check_name(name)
        return self.root / name

    # Reading

    def models(self) -> list[str]:
        """See `AnyStore.models`; a folder with a `model.json` is one."""
        return sorted(
            entry.name
            for entry in self.root.iterdir()
            if NAME.fullmatch(entry.name) and (entry / MODEL_RECORD).is_file()
        )

    def read_model(self, name: str) -> ModelRecord:
        """See `AnyStore.read_model`; the record is `NAME/model.json`."""
        check_name(name)
        try:
            raw = read(self.root / name / MODEL_RECORD, MAX_RECORD_BYTES)
        except FileNotFoundError as error:
            raise ModelNotFound("model-not-found") from error
        except OSError as error:
            raise ArtifactRefused("record-unreadable", file=f"{name}/{MODEL_RECORD}", reason=error) from error
        return unseal(raw, ModelRecord, f"{name}/{MODEL_RECORD}")

    def versions(self, name: str) -> list[int]:
        """See `AnyStore.versions`; a folder with a manifest is one."""
        check_name(name)
        try:
            entries = list((self.root / name).iterdir())
        except FileNotFoundError as error:
            raise ModelNotFound("model-not-found") from error
        return sorted(
            int(entry.name) for entry in entries if VERSION.fullmatch(entry.name) and (entry / MANIFEST).is_file()
        )

    def current(self, name: str) -> Current:
        """See `AnyStore.current`; the pointer is the file `NAME/current`."""
        check_name(name)
        try:
            return unseal(read(self.root / name / CURRENT, MAX_RECORD_BYTES), Current, f"{name}/{CURRENT}")
        except FileNotFoundError as error:
            self.read_model(name)
            raise ModelNotTrained("model-not-trained") from error
        except OSError as error:
            raise ArtifactRefused("record-unreadable", file=f"{name}/{CURRENT}", reason=error) from error

    def stamp(self, name: str) -> tuple[int, int] | None:
        """See `AnyStore.stamp`; a pointer is replaced by a rename, so a new one is another file."""
        try:
            found = (self.root / name / CURRENT).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def read_manifest(self, name: str, version: int) -> Manifest:
        """See `AnyStore.read_manifest`; it is `NAME/VERSION/manifest.json`."""
        check_name(name)
        where = f"{name} version {version}"
        try:
            raw = read(self.root / name / str(version) / MANIFEST, MAX_RECORD_BYTES)
        except OSError as error:
            raise ArtifactRefused("version-unreadable", model=where, reason=error) from error
        return read_manifest(raw, name, version)

    def read_version(
        self, name: str, version: int, only: Collection[str] | None = None
    ) -> tuple[Manifest, dict[str, bytes]]:
        """See `AnyStore.read_version`; each file is read once, so that what was hashed is what is used.

        Args:
            name: of the model.
            version: of it.
            only: read no other files than these, where the weights are not needed; None: all.
        """
        manifest = self.read_manifest(name, version)
        folder = self.root / name / str(version)
        where = f"{name} version {version}"
        files = {}
        try:
            for file, record in manifest.files.items():
                if only is not None and file not in only:
                    continue
                files[file] = raw = read(folder / file, record.bytes)
                check_file(where, file, raw, record)
        except OSError as error:
            raise ArtifactRefused("version-unreadable", model=where, reason=error) from error
        return manifest, files

    # Writing. Whatever is raised, nothing visible has changed, but that a version's number may have been used up.

    def create_model(self, name: str, kind: str) -> ModelRecord:
        """See `AnyStore.create_model`; its folder is complete before a rename puts it in its place."""
        check_new_name(name)
        kind = kind_named(kind).name
        with self._lock_names(), self.temporary_folder() as folder:
            highest = self._read_deleted(name)
            record = ModelRecord(name=name, neural_network_type=kind, created=now(), highest_version=highest)
            write(folder / MODEL_RECORD, seal(record))
            try:
                with put_in_place(folder, self.root / name):
                    pass
            except FileExistsError as error:
                raise ModelExists("model-exists") from error
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
        """See `AnyStore.publish`; the guard is entered under the model's lock."""
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
                        raise StoreRefused("version-folder-in-the-way", model=name, version=version) from error
                    serving = self.sound_pointer(name)
                    if serve and expected in (None, serving.version if serving else 0):
                        pointer = pointer_after(serving, Served(version, now()))
                        steps.enter_context(self._replaced(self.root / name / CURRENT, seal(pointer)))
        return manifest

    def promote(self, name: str, version: int, *, expected: int | None = None) -> Current:
        """See `AnyStore.promote`; one rename replaces the pointer."""
        with self.lock(name):
            serving = self.sound_pointer(name)
            found = serving.version if serving else None
            if expected is not None and found != expected:
                if found is None:
                    raise VersionChanged("no-version-serves", model=name, expected=expected)
                raise VersionChanged("another-version-serves", model=name, found=found, expected=expected)
            self.check_version(name, version)
            self.read_version(name, version)
            if serving is not None and found == version:
                return serving
            pointer = pointer_after(serving, Served(version, now()))
            self._replace(self.root / name / CURRENT, seal(pointer))
        return pointer

    def rollback(self, name: str) -> Current:
        """See `AnyStore.rollback`; one rename replaces the pointer."""
        with self.lock(name):
            serving = self.current(name)
            version = version_before(serving, self.versions(name))
            if version is None:
                others = [other for other in self.versions(name) if other != serving.version]
                raise NothingToRollBack(
                    "nothing-to-roll-back", model=name, version=serving.version, others=others[-MAX_NAMED:]
                )
            self.read_version(name, version)
            pointer = pointer_after(serving, Served(version, now(), rollback=True))
            self._replace(self.root / name / CURRENT, seal(pointer))
        return pointer

    def delete_version(self, name: str, version: int) -> None:
        """See `AnyStore.delete_version`; one rename takes its folder away."""
        with self.lock(name):
            serving = self.certain_pointer(name)
            self.check_version(name, version)
            if serving is not None and serving.version == version:
                raise VersionServes("version-serves", model=name, version=version)
            self._remove_versions(name, [version])

    def delete_model(self, name: str) -> None:
        """See `AnyStore.delete_model`; its name and highest number stay in `.deleted`."""
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
        """See `AnyStore.prune`; all of them are renamed away before the first is removed."""
        if keep < 0:
            raise InvalidInput("invalid-keep", keep=keep)
        with self.lock(name):
            serving = self.certain_pointer(name)
            versions = self.versions(name)
            spared = set() if serving is None else {serving.version, version_before(serving, versions)}
            old = [version for version in versions[: max(0, len(versions) - keep)] if version not in spared]
            if old:
                self._remove_versions(name, old)
        return old

    def sweep(self) -> list[str]:
        """See `AnyStore.sweep`; nothing outside `.tmp` is removed."""
        return sweep(self, self.root, self.root / TEMPORARY)

    def _read_deleted(self, name: str) -> int:
        """Return the highest version that a deleted model of that name ever had, 0 if there was none."""
        file = f"{DELETED}/{name}.json"
        try:
            return unseal(read(self.root / file, MAX_RECORD_BYTES), DeletedRecord, file).highest_version
        except FileNotFoundError:
            return 0
        except ArtifactRefused as error:
            raise ArtifactRefused("deleted-record-damaged", model=name, file=file, reason=error) from error

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
            raise ModelNotFound("model-not-found") from error
        except OSError as error:
            raise StoreRefused("folder-not-locked", path=folder, reason=error) from error
        with held_open(fd):
            yield

    @contextlib.contextmanager
    def _lock_names(self) -> Iterator[None]:
        """Hold the lock on which models there are. Whoever needs a model's lock too takes that one first."""
        try:
            fd = lock_folder(self.root)
        except OSError as error:
            raise StoreRefused("folder-not-locked", path=self.root, reason=error) from error
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
                raise StoreRefused("store-not-written", path=self.root, reason=error) from error

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
