"""Compile the kernels of artifacts/networks/engines/build.py with an installation, where there is a C compiler.

All else about the package stands in pyproject.toml. A kernel is optional: an installation never fails for it, and
says in one line what there is. A wheel that holds objects is of one system and processor, and of any Python, since
nothing in them knows of Python; a wheel without is for every machine. `CC=none` makes such a wheel where there is a
compiler.
"""

import runpy
import sys
from pathlib import Path
from typing import Any

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

BUILD = runpy.run_path(str(Path(__file__).with_name("artifacts") / "networks" / "engines" / "build.py"))


class BuildKernels(Command):
    """Compile into the build folder, or next to the sources for an editable installation."""

    description = "compile the kernels, if there is a C compiler"
    user_options = ()
    editable_mode = False  # setuptools sets it (setuptools.command.build.SubCommand)

    def initialize_options(self) -> None:
        """Begin without a folder."""
        self.build_lib: str | None = None  # which `set_undefined_options` takes for not set
        self.found: list[Path] = []

    def finalize_options(self) -> None:
        """Take the folder of the build."""
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        """Compile, and say what there is."""
        root = Path(__file__).parent if self.editable_mode else Path(self.build_lib or ".")
        self.found, sentence = BUILD["compile_all"](root)
        print(sentence, file=sys.stderr)

    def get_source_files(self) -> list[str]:
        """Return what a source distribution needs."""
        sources = (*BUILD["KERNELS"], BUILD["FUNCTIONS"])
        return [str(source.relative_to(BUILD["ROOT"])) for source in sources]

    def get_outputs(self) -> list[str]:
        """Return what has been compiled."""
        return list(map(str, self.found))

    def get_output_mapping(self) -> dict[str, str]:
        """Return nothing: no output is a source file that an editable installation could link to."""
        return {}


class BuildAll(build):
    """Build with the kernels."""

    sub_commands = [*build.sub_commands, ("build_kernels", None)]  # noqa: RUF012  # as setuptools has it


class WithKernels(Distribution):
    """The package, which is of one machine where the kernels can be compiled."""

    def has_ext_modules(self) -> bool:
        """Return whether it goes where compiled files belong."""
        return bool(BUILD["levels"]() and BUILD["compiler"]())


class Wheel(bdist_wheel):
    """Name the wheel for what is in it."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return Python, ABI and platform: any Python, no ABI of it."""
        tag: Any = super().get_tag()
        return ("py3", "none", tag[2])


setup(distclass=WithKernels, cmdclass={"build": BuildAll, "build_kernels": BuildKernels, "bdist_wheel": Wheel})
