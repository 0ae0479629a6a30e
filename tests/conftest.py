"""What several rooms of the tests share."""

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from artifacts.runtime import Model
from artifacts.store import Store

FIXTURE_STORE = Path(__file__).parent / "fixtures" / "store"

# No deadline: the machine is shared. No database: nothing is written outside tmp_path. The blob reproduces a failure.
settings.register_profile("puppet", deadline=None, database=None, print_blob=True)
settings.load_profile("puppet")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with the small trained model `puppet-o2` and the created model `untrained`."""
    root = tmp_path / "store"
    shutil.copytree(FIXTURE_STORE, root)
    root.chmod(0o700)
    return Store(root)


@pytest.fixture
def model(store: Store) -> Model:
    """Give the small trained model, loaded; its categories are the three of tests/make_fixture.py."""
    return Model(*store.read_version("puppet-o2", 1))
