"""Where models are kept: published, promoted and deleted durably, read verified.

`AnyStore` is what every kind of store promises; `Store` is the kind that keeps them in a folder of this machine.
"""

from artifacts.store.interface import AnyStore
from artifacts.store.store import Store

__all__ = ["AnyStore", "Store"]
