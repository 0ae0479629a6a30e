"""Check a wheel and an sdist: every file of the three packages is in each, and what it installs starts.

    python .ci/check_release.py dist/puppet_o2-0.1.0-py3-none-any.whl dist/puppet_o2-0.1.0.tar.gz

In: the files that `make release` has built. Out: exit status 0, or a message that names what is missing. The
environment is fresh and elsewhere, so that nothing of this folder is imported by chance. Its dependencies are installed
once, for all files.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("artifacts", "trainer", "inference")
# What an import must not need: the folder's own files, nor torch, which the plain install does without.
TRY = """
import importlib.metadata, importlib.resources as resources
import artifacts, inference, trainer, inference.app, artifacts.mail.message, trainer.config
for package in (artifacts, inference, trainer):
    assert "site-packages" in package.__file__, package.__file__
    assert resources.files(package).joinpath("py.typed").is_file(), package
for name in ("report.html", "card.md"):
    assert resources.files("trainer.report").joinpath(name).read_text("utf-8").strip(), name
from artifacts.networks.engines import build, fused
# An installation compiles the kernel where there is a compiler, or brings it along; it is opened and not just there.
assert bool(fused.kernel()) == bool(build.levels() and build.compiler()), build.objects()
assert importlib.metadata.version("puppet-o2") == VERSION
"""


def tracked() -> list[str]:
    """Return the files of the three packages that git knows, relative to the repository."""
    done = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def held(file: Path) -> set[str]:
    """Return the paths inside a wheel, or inside an sdist below its one folder."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            return set(wheel.namelist())
    with tarfile.open(file) as sdist:
        return {name.partition("/")[2] for name in sdist.getnames()}


def missing(file: Path, wanted: list[str]) -> list[str]:
    """Return which of the wanted files a wheel or sdist lacks."""
    found = held(file)
    return [path for path in wanted if path not in found]


def try_out(files: list[Path]) -> None:
    """Install each file in turn in one fresh environment and start it; what fails raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        binaries = f"{folder}/venv/bin"

        def run(*command: str) -> None:
            subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)

        run(sys.executable, "-m", "venv", f"{folder}/venv")
        for file in files:
            version = file.name.removesuffix(".tar.gz").split("-")[1]
            # The second file finds its dependencies there, and pip asks no index for them again. Nothing of the first
            # is left: without the removal pip would keep it, because both are of one version.
            if file != files[0]:
                run(f"{binaries}/pip", "uninstall", "--quiet", "--disable-pip-version-check", "--yes", "puppet-o2")
            # Most of what is installed is not imported here: to compile all of it takes longer than to try it.
            run(
                f"{binaries}/pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
                "-c", str(ROOT / "constraints.txt"), f"{file.resolve()}[mail]",
            )  # fmt: skip
            run(f"{binaries}/puppet-serve", "--help")
            run(f"{binaries}/python", "-c", TRY.replace("VERSION", repr(version)))


def main() -> None:
    """Check the files that the command line names."""
    files = [Path(name) for name in sys.argv[1:]]
    if not files:
        sys.exit(f"usage: {sys.argv[0]} FILE...")
    for file in files:
        if lacking := missing(file, tracked()):
            sys.exit(f"error: {file.name} lacks {', '.join(lacking)}; see tool.setuptools in pyproject.toml")
    try_out(files)
    for file in files:
        print(f"{file.name}: every file of the packages is in it, and it starts in a fresh environment")


if __name__ == "__main__":
    main()
