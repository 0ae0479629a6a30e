"""The kernels as tests compile them: every level that this processor can run, of the source that is tested."""

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artifacts.networks.engines import build, fused


@functools.cache
def compiled(source: Path = build.SOURCE, opened: Callable[[Path], Any] = fused.opened) -> dict[str, Any]:
    """Return the opened object of each level, compiled in this process's own folder; best first."""
    assert build.compiler(), "the tests of the kernels need a C compiler; .ci/run installs one"
    features = set(Path("/proc/cpuinfo").read_text("ascii", "replace").split())
    folder = Path(tempfile.mkdtemp(prefix="puppet-kernel-"))
    found = {}
    try:
        for level in build.levels():
            if level.features <= features:
                path = folder / build.object_name(level, source)
                build.compile_level(level, path, build.compiler(), source=source)
                found[level.name] = opened(path)
    finally:
        shutil.rmtree(folder)  # what is loaded stays in memory
    return found


def best() -> tuple[str, Any]:
    """Return the best level and its kernel, as `fused.kernel` does."""
    return next(iter(compiled().items()))
