"""What a crash leaves in a store folder: removed where it is surely nobody's, else described to a person.

A process that dies leaves its folder in `.tmp/`, unlocked, since the kernel releases the locks of the dead; what a
living process is writing is locked by it. All that was ever visible is elsewhere and complete, for a rename is the last
step of every change. So nothing outside `.tmp` is removed: what only looks wrong there is said, and is for a person to
judge. A complete version that never served is not wrong, for `publish` without `serve` makes such ones.
"""

import fcntl
import os
import shutil
from pathlib import Path

from artifacts.errors import ArtifactRefused, ModelNotFound, StoreRefused
from artifacts.networks.manifest import MANIFEST
from artifacts.store.interface import AnyStore
from artifacts.store.versions import MODEL_RECORD, NAME, VERSION
from artifacts.system.disk import held_open, lock_folder, open_folder


def sweep(store: AnyStore, root: Path, temporary: Path) -> list[str]:
    """Remove what crashes have left in `temporary`, and return a sentence for each thing that was done or found.

    Args:
        store: whose models are looked at.
        root: its folder.
        temporary: its folder of what is being written.
    Raises:
        StoreRefused: the store cannot be listed.
    """
    said = []
    try:
        for left_over in sorted(temporary.iterdir()):
            said += _sweep_folder(left_over)
        for folder in sorted(root.iterdir()):
            if NAME.fullmatch(folder.name):
                said += _doubts(store, folder)
    except OSError as error:
        raise StoreRefused("store-unreadable", path=root, reason=error) from error
    return said


def _sweep_folder(left_over: Path) -> list[str]:
    temporary = left_over.parent
    try:
        # The lock under which new folders are made: without it, one could be seen before its maker has locked it.
        with held_open(lock_folder(temporary)):
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
        return [f"{temporary.name}/{left_over.name} is left over and cannot be removed: {error}"]
    return [f"removed {temporary.name}/{left_over.name}, left over from a process that ended while it wrote"]


def _doubts(store: AnyStore, folder: Path) -> list[str]:
    """Return what looks wrong in a folder that bears a model's name."""
    name = folder.name
    said = []
    try:
        if not (folder / MODEL_RECORD).exists():
            return [f"{name} is no model: it has no {MODEL_RECORD}; it was left as it is"]
        for entry in sorted(folder.iterdir()):
            if VERSION.fullmatch(entry.name) and not (entry / MANIFEST).exists():
                said.append(f"{name}/{entry.name} is no version: it has no {MANIFEST}; it was left as it is")
        serving = store.certain_pointer(name)
        if serving is not None and serving.version not in store.versions(name):
            said.append(f"{name}: version {serving.version} should serve but is not there; promote another one")
    except (ModelNotFound, FileNotFoundError):
        return []  # deleted in the meantime
    except ArtifactRefused as error:
        said.append(str(error))
    return said
