"""A version of ours as every peer takes it: its vocabulary, its graph and our settings of onnxruntime.

So a peer gets our fast encoding and one thread without spinning, which is in its favour, and differs from us in what is
around the model.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.store.store import Store

Answer = dict[str, str | float]


def load(store: str, name: str) -> Callable[[Sequence[str]], Answer]:
    """Return what answers one ticket with the version that serves."""
    opened = Store(Path(store))
    manifest, files = opened.read_version(name, opened.current(name).version)
    assert isinstance(manifest, GruManifest), "a model of another kind; this is our bug"
    model = GruModel(manifest, files)

    def answer(tokens: Sequence[str]) -> Answer:
        (found,) = model.predict([model.encode(tokens)])
        return {"category": found.category, "confidence": found.confidence}

    return answer
