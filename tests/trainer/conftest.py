"""What the tests of the trainer share."""

import os
from pathlib import Path

import pytest

# Before anything imports torch, here or in a child. On networks this small a second thread gains nothing, and where
# other programs want the cores too its waiting at OpenMP's barriers makes a step tens of times as long.
os.environ["OMP_NUM_THREADS"] = "1"
from artifacts.store.store import Store
from tests.trainer.small import NAME


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """Give a store with one created, untrained GRU."""
    store = Store(tmp_path / "store")
    store.create_model(NAME, "GRU")
    return store
