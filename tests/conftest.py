"""What several rooms of the tests share."""

import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports NumPy or torch, here or in a child. On networks this small a second thread gains nothing, and
# where other programs want the cores too its waiting at OpenMP's barriers makes a step tens of times as long.
os.environ["OMP_NUM_THREADS"] = "1"
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.networks.simple_nn import SimpleNNModel
from artifacts.store.store import Store

FIXTURES = Path(__file__).parent / "fixtures"
FIXTURE_STORE = FIXTURES / "store"
FROZEN = sorted(folder.name for folder in (FIXTURES / "frozen").iterdir() if folder.is_dir())  # see its README.md

# No deadline and no `too_slow`: the machine is shared. No database: nothing is written outside tmp_path. The blob
# reproduces a failure.
settings.register_profile(
    "puppet", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("puppet")


@pytest.fixture(autouse=True, scope="session")
def english() -> Iterator[None]:
    """Keep commands from answering in the language of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LC_ALL", "LC_MESSAGES"):
            patch.delenv(name, raising=False)
        patch.setenv("LANG", "C.UTF-8")
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with the small trained models `puppet-o2` (GRU) and `prices` (SimpleNN) and the created `untrained`.

    `prices` estimates a flat's price, about 3000 * square metres + 5000 * floor, from these two features.
    """
    root = tmp_path / "store"
    shutil.copytree(FIXTURE_STORE, root)
    root.chmod(0o700)
    return Store(root)


@pytest.fixture
def model(store: Store) -> GruModel:
    """Give the small trained model, loaded; its categories are the three of tests/make_fixture.py."""
    return GruModel(*gru_version(store))


@pytest.fixture
def prices(store: Store) -> SimpleNNModel:
    """Give the small trained model of prices, loaded."""
    return SimpleNNModel(*store.read_version("prices", 1))


def frozen_store(folder: str, tmp_path: Path) -> Store:
    """Return a copy of a frozen store, with the mode that Git does not keep."""
    shutil.copytree(FIXTURES / "frozen" / folder, tmp_path / "frozen")
    (tmp_path / "frozen").chmod(0o700)
    return Store(tmp_path / "frozen")


def gru_version(store: Store, version: int = 1) -> tuple[GruManifest, dict[str, bytes]]:
    """Return a version of `puppet-o2`; its manifest is a GRU's, which the store's signature does not say."""
    manifest, files = store.read_version("puppet-o2", version)
    assert isinstance(manifest, GruManifest)
    return manifest, files


@contextlib.contextmanager
def full_disk(max_file_bytes: int) -> Iterator[None]:
    """Let no file grow past a size: a write beyond it fails as on a full disk, for this process alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
