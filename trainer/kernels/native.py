"""The compiled kernels of this folder: found next to their sources and opened, or there is none.

In: the name of a C file here. Out: its functions by ctypes, so that one object serves every Python. It leaves to others
how a kernel is compiled (artifacts/networks/engines/build.py) and what its functions take (cell.py).
"""

import ctypes
import functools
import logging
from pathlib import Path
from typing import Any

from artifacts.networks.engines import build

log = logging.getLogger("puppet")


@functools.cache
def library(name: str) -> Any | None:
    """Return the best object of NAME.c that this processor can run; None, with a line in the log, if there is none."""
    # Only objects of this very source count (build.objects), so the functions take what the callers think they do.
    for level, path in build.objects(Path(__file__).with_name(f"{name}.c")):
        try:
            opened = ctypes.CDLL(str(path))
        except OSError as error:
            log.warning("kernel %s is not used: %s", path.name, error)
        else:
            log.info("kernel %s for %s", name, level)
            return opened
    log.info("no kernel %s: not compiled for this processor; run python -m artifacts.networks.engines.build", name)
    return None
