"""The folder that holds every model: published, promoted and deleted durably, read verified."""

from artifacts.store.store import Store

__all__ = ["Store"]
