"""Made-up control groups, as a container's kernel shows them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from artifacts.system import cores


def make_cgroups(folder: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: Mapping[str, str]) -> None:
    """Let `artifacts.system.cores` read these control groups.

    Args:
        folder: an empty one, in which they are written.
        monkeypatch: of the test.
        own: the content of `/proc/self/cgroup`.
        files: path below `/sys/fs/cgroup` -> content.
    """
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "own").write_text(own)
    monkeypatch.setattr(cores, "CGROUPS", folder)
    monkeypatch.setattr(cores, "OWN_GROUPS", folder / "own")
