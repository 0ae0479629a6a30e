"""Compile the kernels, each once for each level of processor; needs a C compiler and nothing else.

    python -m artifacts.networks.engines.build

In: the C files of KERNELS. Out: of gru.c `gru-LEVEL.kernel` next to it, and so on, or one line that says why there is
none: kernels are optional, and without them onnxruntime serves and PyTorch trains as before. An installation does the
same (setup.py), so this module imports the standard library alone and can be run before anything is installed.
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

ROOT = Path(__file__).parents[3]  # where the packages lie
SOURCE = ROOT / "artifacts" / "networks" / "engines" / "gru.c"  # of the engine
FUNCTIONS = SOURCE.with_name("functions.h")  # which kernels include
CELL, MARGIN, ROWS = (ROOT / "trainer" / "kernels" / name for name in ("cell.c", "margin.c", "rows.c"))
# What is compiled, each with flags of its own. A training that diverges shows by NaN, so its kernels have to keep them.
KERNELS: dict[Path, tuple[str, ...]] = {
    SOURCE: (),
    CELL: ("-fno-finite-math-only",),
    MARGIN: (),
    ROWS: ("-fno-finite-math-only",),
}
WITHOUT = "onnxruntime serves and PyTorch trains"
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


def objects(source: Path = SOURCE) -> list[tuple[str, Path]]:
    """Return the objects of a source that this processor can run, best first, each with the name of its level."""
    try:
        features = set(Path("/proc/cpuinfo").read_text("ascii", "replace").split())
    except OSError:
        features = set()  # so only the level that every processor has
    found = [(level, source.with_name(object_name(level, source))) for level in levels() if level.features <= features]
    # The digest stands among an object's bytes. One that was compiled before the source changed counts as none, so that
    # a server is refused at its start, and not each version when it is loaded.
    wanted = digest(source).encode()
    return [(level.name, path) for level, path in found if path.is_file() and wanted in path.read_bytes()]


def digest(source: Path = SOURCE) -> str:
    """Return a digest of a source, which is compiled in: an object of another source is never called."""
    return hashlib.sha256(source.read_bytes() + FUNCTIONS.read_bytes()).hexdigest()[:16]


def compiler() -> list[str]:
    """Return the command of the C compiler, of $CC if it is set; none if there is none."""
    for command in (os.environ.get("CC") or "", sysconfig.get_config_var("CC") or "", "cc", "gcc", "clang"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
        if os.environ.get("CC"):  # who names one wants that one, or, with CC=none, none
            return []
    return []


def compile_level(
    level: Level, target: Path, command: Sequence[str], more: Sequence[str] = (), source: Path = SOURCE
) -> None:
    """Compile one level to a file, which is whole or not there.

    Args:
        level: of `levels`.
        target: the file.
        command: of the compiler.
        more: further flags.
        source: of KERNELS.
    Raises:
        OSError, subprocess.CalledProcessError: the compiler or the disk refuses.
    """
    # Of its own, since two installations may compile side by side; with a dot, or setuptools takes it for a package.
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        made = Path(folder) / target.name
        flags = (*FLAGS, *level.flags, *KERNELS[source], f'-DSOURCE="{digest(source)}"', *more)
        subprocess.run(  # noqa: S603  # the compiler of this machine, on our own source
            [*command, *flags, "-o", str(made), str(source), "-lm"],
            check=True,
            capture_output=True,
            text=True,
        )
        made.replace(target)


def object_name(level: Level, source: Path = SOURCE) -> str:
    """Return the name of the file of a level: not .so, which Python would take for a module of its own."""
    return f"{source.stem}-{level.name}.kernel"


def compile_all(root: Path) -> tuple[list[Path], str]:
    """Compile every kernel for every level of this machine; never raises for what the machine lacks.

    Args:
        root: the folder of the packages; each object goes to where its source lies below ROOT.
    Returns:
        The files, and the one line that says what there is and what there is not.
    """
    command, found = compiler(), list[Path]()
    if not levels():
        return [], f"no kernel: none for {platform.machine()} processors; {WITHOUT}"
    if not command:
        return [], f"no kernel: there is no C compiler; {WITHOUT}"
    try:
        for source in KERNELS:
            folder = root / source.relative_to(ROOT).parent
            folder.mkdir(parents=True, exist_ok=True)
            for level in levels():
                target = folder / object_name(level, source)
                compile_level(level, target, command, source=source)
                found.append(target)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        return found, f"no kernel of every level: {reason}; {WITHOUT} where there is none"
    names = ", ".join(source.name for source in KERNELS)
    return found, f"kernels compiled ({names}) for {', '.join(level.name for level in levels())}"


def main() -> None:
    """Compile next to the sources, and say what there is now."""
    found, sentence = compile_all(ROOT)
    print(sentence)
    sys.exit(0 if found else 1)


if __name__ == "__main__":
    main()
