"""The kernel computes every network that can be trained: each shape, against onnxruntime and against NumPy."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from artifacts.networks import reference
from artifacts.networks.engines import fused
from artifacts.networks.engines.engine import prove
from artifacts.networks.engines.weights import initializers
from artifacts.networks.gru import OnnxRuntime
from artifacts.networks.runtime import open_session
from tests.artifacts.networks.kernels import compiled
from tests.trainer import small
from trainer.gru import export
from trainer.gru.model import Mixture

pytestmark = pytest.mark.torch

V, NUM_ROWS = len(small.VOCABULARY), small.VOCABULARY.num_buckets + 1
TICKETS = small.ragged(40, 60)


def graph(
    num_layers: int = 1,
    bidirectional: bool = True,
    embedding: int = 8,
    hidden: int = 8,
    num_members: int = 1,
    num_pairs: int = 40,
    rank: int = 0,
    with_vectors: bool = False,
) -> bytes:
    """Return the graph of random networks of a shape."""
    config = small.config(num_layers=num_layers, bidirectional=bidirectional, embedding=embedding, hidden=hidden)
    members = [small.network(config, seed=seed, with_vectors=with_vectors) for seed in range(num_members)]
    num_taught = small.NUM_TAUGHT if with_vectors else V
    linear = small.fitted(num_pairs=num_pairs, num_taught=num_taught, rank=rank)
    return export.build(Mixture(members, linear, weight=0.6, linear_weight=1.4).eval(), 1.7)


SHAPES = {
    "default sizes": {"embedding": 32, "hidden": 32, "num_members": 2},
    "one direction": {"bidirectional": False},
    "two layers": {"num_layers": 2, "num_members": 2},
    "three layers, one direction": {"num_layers": 3, "bidirectional": False},
    "default sizes, three layers": {"embedding": 32, "hidden": 32, "num_layers": 3},
    "E below H": {"embedding": 3, "hidden": 17},
    "E over H": {"embedding": 33, "hidden": 5, "num_members": 3},
    "one number": {"embedding": 1, "hidden": 1},
    "wide": {"embedding": 96, "hidden": 200},
    "no pairs": {"num_pairs": 0},
    "low rank": {"rank": 3, "num_members": 2},
    "low rank, no pairs": {"rank": 7, "num_pairs": 0},
    "words that only vectors know": {"with_vectors": True},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("max_products_bytes", [0, fused.MAX_PRODUCTS_BYTES])
def test_kernel_computes_every_shape(shape: str, max_products_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every level answers ragged tickets with unknown words as onnxruntime and as the equations in NumPy."""
    monkeypatch.setattr(fused, "MAX_PRODUCTS_BYTES", max_products_bytes)
    raw = graph(**SHAPES[shape])  # type: ignore[arg-type]
    onnxruntime = OnnxRuntime(open_session(raw), V, NUM_ROWS)
    expected_NC = reference.probabilities(reference.from_onnx(raw), TICKETS)

    for level, library in compiled().items():
        engine = fused.Fused(raw, library)

        assert prove(engine, onnxruntime, TICKETS) < 1e-5, level
        np.testing.assert_allclose(engine.probabilities(TICKETS), expected_NC, rtol=0, atol=1e-5, err_msg=level)


def test_reader_finds_what_onnx_finds() -> None:
    """The initialisers are those that the package `onnx` reads: names, types, shapes and numbers."""
    raw = graph(num_layers=2, num_members=2, with_vectors=True)

    found = initializers(memoryview(raw))

    expected = {one.name: numpy_helper.to_array(one) for one in onnx.load_model_from_string(raw).graph.initializer}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape), name
        assert np.array_equal(found[name], values), name
