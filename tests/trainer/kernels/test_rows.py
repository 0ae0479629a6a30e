"""The kernel of rows: tables and sums of random shapes, right ones and damaged ones, held against plain loops.

What a training makes of it is tested with the training's steps (tests/trainer/stepping).
"""

import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from artifacts.networks.engines import build


def fuzzed(folder: Path, command: Sequence[str], flags: Sequence[str], rounds: str = "200") -> None:
    """Compile fuzz_rows.c and let it compare random tables and sums with the plain loops."""
    program, seed = folder / "fuzz", str(random.randrange(2**32))
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", *flags]
    source = Path(__file__).with_name("fuzz_rows.c")
    subprocess.run([*command, *options, "-o", str(program), str(source), "-lm"], check=True)

    done = subprocess.run([program, seed, rounds], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr}"
    assert done.stdout == f"{rounds} tables\n"


def test_sanitisers_find_nothing(tmp_path: Path) -> None:
    """Right and damaged input reads and writes nothing that is not its own, and is computed right or refused.

    PUPPET_TEST_KERNELS is how many tables (`make fuzz`).
    """
    flags = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    fuzzed(tmp_path, build.compiler(), flags, os.environ.get("PUPPET_TEST_KERNELS", "200"))


@pytest.mark.parametrize("command", ["gcc", "clang"])
def test_compilers_agree(tmp_path: Path, command: str) -> None:
    """Compiled as an installation does it, each compiler's program computes what the plain loops say, NaN as well."""
    if shutil.which(command) is None:
        pytest.skip(f"no {command} here")
    flags = [flag for flag in (*build.FLAGS, *build.KERNELS[build.ROWS]) if flag not in ("-shared", "-std=c11")]
    fuzzed(tmp_path, [command], [*flags, *build.levels()[-1].flags])
