"""What the tests of the trainer share."""

from pathlib import Path

import pytest

from artifacts.store.store import Store
from tests.trainer.small import NAME


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """Give a store with one created, untrained GRU."""
    store = Store(tmp_path / "store")
    store.create_model(NAME, "GRU")
    return store
