"""Compile the kernel, once for each level of processor; needs a C compiler and nothing else.

    python -m artifacts.networks.engines.build

In: gru.c. Out: `gru-LEVEL.kernel` next to it, or one line that says why there is none: the kernel is optional, and
without it onnxruntime serves as before. An installation does the same (setup.py), so this module imports the standard
library alone and can be run before anything is installed.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

EngineName = Literal["onnxruntime", "fused"]
EngineChoice = Literal["onnxruntime", "fused", "auto"]  # auto: the kernel where there is one

SOURCE = Path(__file__).with_name("gru.c")
# Each lets the compiler turn a loop into vector instructions, and none changes what infinity or NaN are compared to but
# for the last two but one, which say that there are none. -ffast-math is -O3 and these and more: under it the compiler
# takes `(t + 1.5 * 2^23) - 1.5 * 2^23` for t, and the exponential is wrong (docs/LOG.md).
FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-shared"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffinite-math-only", "-ffp-contract=fast"),
)


class Level(NamedTuple):
    """What a processor can do: the compiler's name for it and flags, and what /proc/cpuinfo must list to run it."""

    name: str
    flags: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()


AVX2 = frozenset(["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"])
AVX512 = AVX2 | frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])
# The levels of the x86-64 psABI, best first. A processor of ARM has its vectors from the first one on.
LEVELS = {
    "x86_64": (
        # Without the width, clang keeps to 8 numbers at a time and takes twice as long.
        Level("x86-64-v4", ("-march=x86-64-v4", "-mprefer-vector-width=512"), AVX512),
        Level("x86-64-v3", ("-march=x86-64-v3",), AVX2),
        Level("x86-64", ("-march=x86-64",)),
    ),
    "aarch64": (Level("aarch64"),),
}


def levels(machine: str = "") -> Sequence[Level]:
    """Return the levels of a machine, of this one by default, best first; none of one that nobody has tried."""
    return LEVELS.get(machine or platform.machine(), ())


def objects() -> list[tuple[str, Path]]:
    """Return the kernels of this source that this processor can run, best first, each with the name of its level."""
    try:
        features = set(Path("/proc/cpuinfo").read_text("ascii", "replace").split())
    except OSError:
        features = set()  # so only the level that every processor has
    found = [(level, SOURCE.with_name(object_name(level))) for level in levels() if level.features <= features]
    # The digest stands among an object's bytes. One that was compiled before the source changed counts as none, so that
    # a server is refused at its start, and not each version when it is loaded.
    return [(level.name, path) for level, path in found if path.is_file() and digest().encode() in path.read_bytes()]


def digest() -> str:
    """Return a digest of the source, which is compiled in: an object of another source is never called."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]


def compiler() -> list[str]:
    """Return the command of the C compiler, of $CC if it is set; none if there is none."""
    for command in (os.environ.get("CC") or "", sysconfig.get_config_var("CC") or "", "cc", "gcc", "clang"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
        if os.environ.get("CC"):  # who names one wants that one, or, with CC=none, none
            return []
    return []


def compile_level(level: Level, target: Path, command: Sequence[str], more: Sequence[str] = ()) -> None:
    """Compile one level to a file, which is whole or not there.

    Raises:
        OSError, subprocess.CalledProcessError: the compiler or the disk refuses.
    """
    # Of its own, since two installations may compile side by side; with a dot, or setuptools takes it for a package.
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        made = Path(folder) / target.name
        source = f'-DSOURCE="{digest()}"'
        subprocess.run(  # noqa: S603  # the compiler of this machine, on our own source
            [*command, *FLAGS, *level.flags, source, *more, "-o", str(made), str(SOURCE), "-lm"],
            check=True,
            capture_output=True,
            text=True,
        )
        made.replace(target)


def object_name(level: Level) -> str:
    """Return the name of the file of a level: not .so, which Python would take for a module of its own."""
    return f"gru-{level.name}.kernel"


def compile_all(folder: Path) -> tuple[list[Path], str]:
    """Compile every level of this machine into a folder; never raises for what the machine lacks.

    Returns:
        The files, and the one line that says what there is and what there is not.
    """
    command, found = compiler(), list[Path]()
    if not levels():
        return [], f"no kernel: none for {platform.machine()} processors; onnxruntime serves"
    if not command:
        return [], "no kernel: there is no C compiler; onnxruntime serves"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for level in levels():
            compile_level(level, folder / object_name(level), command)
            found.append(folder / object_name(level))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        return found, f"no kernel of every level: {reason}; onnxruntime serves where there is none"
    return found, f"kernel compiled for {', '.join(level.name for level in levels())}"


def main() -> None:
    """Compile next to the source, and say what there is now."""
    found, sentence = compile_all(SOURCE.parent)
    print(sentence)
    sys.exit(0 if found else 1)


if __name__ == "__main__":
    main()
