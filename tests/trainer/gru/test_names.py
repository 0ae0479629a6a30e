"""The names in a GRU's graph are those of decision 0021, with their types and shapes; older names are still read."""

import re
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from artifacts.networks import reference
from artifacts.networks.gru_records import GruManifest
from tests.system.server import ROOT
from tests.trainer import small
from trainer.config import TrainConfig
from trainer.curation.vectors import Vectors
from trainer.gru import fit as gru
from trainer.kinds import Silent

pytestmark = pytest.mark.torch

RECORD = (ROOT / "docs" / "decisions" / "0021-names-in-the-graph.md").read_text()


def table(heading: str) -> Iterator[dict[str, str]]:
    """Give the rows of the record's table under a heading, each by the names of its columns."""
    section = RECORD.split(f"## {heading}\n")[1].split("\n## ")[0]
    names, _, *rows = (line.strip("|").split("|") for line in section.splitlines() if line.startswith("|"))
    for row in rows:
        yield {name.strip(): cell.strip().strip("`") for name, cell in zip(names, row, strict=True)}


def evaluated(shape: str, sizes: Mapping[str, int]) -> list[int]:
    """Return a shape of the record as numbers: `D, 3 H` is D and 3 times H, `F + 1` a sum.

    >>> evaluated("D, 3 H, F + 1", {"D": 2, "H": 8, "F": 11})
    [2, 24, 12]
    """
    if not shape:
        return []
    return [
        sum(int(np.prod([sizes[one] if one in sizes else int(one) for one in product.split()])) for product in axis)
        for axis in (axis.split("+") for axis in shape.split(","))
    ]


def expected(config: TrainConfig, sizes: dict[str, int], has_vectors: bool) -> dict[str, tuple[str, list[int]]]:
    """Return what the record says of a graph's initialisers: name -> dtype and shape."""
    found: dict[str, tuple[str, list[int]]] = {}
    for row in table("Initialisers"):
        for m in range(config.grus):
            for layer in range(config.num_layers):
                present = {
                    "always": True,
                    "bigrams": config.pairs > 0,
                    "bigrams, and words that only vectors know": has_vectors and config.pairs > 0,
                    "low rank": bool(config.linear_rank),
                    "not the last layer": layer < config.num_layers - 1,
                }[row["present"]]
                sizes["I"] = sizes["D"] * sizes["H"] if layer else sizes["E"]
                name = row["name"].replace("{m}", str(m)).replace("{l}", str(layer))
                if present:
                    found[name] = (row["dtype"], evaluated(row["shape"], sizes))
    return found


@pytest.mark.parametrize(
    ("changes", "has_vectors"),
    [
        ({}, False),
        ({"grus": 2, "num_layers": 2, "hidden": 6}, False),
        ({"bidirectional": False, "num_layers": 3, "pairs": 0}, False),
        ({"grus": 3, "embedding": 5}, True),
        ({"pairs": 0}, True),
        ({"linear_rank": 3, "grus": 2}, False),
        ({"linear_rank": 2, "pairs": 0}, True),
    ],
)
def test_names_types_and_shapes_are_those_of_the_record(changes: dict[str, object], has_vectors: bool) -> None:
    """A fresh training's graph has the initialisers of decision 0021 and no other, and the values on the way."""
    rows, config = small.rows(small.tickets(4)), small.config(epochs=1, **changes)
    if has_vectors:
        vectors_ND = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
        rows = msgspec.structs.replace(rows, vectors=Vectors(["facture", "rechnung"], vectors_ND, 1, 2))

    fitted = gru.fit("tiny", rows, config, Silent(), None)

    graph = onnx.load_model_from_string(fitted.files["model.onnx"]).graph
    assert isinstance(fitted.manifest, GruManifest)
    rank = config.linear_rank or 4
    sizes = {
        "M": config.grus, "E": config.embedding, "H": config.hidden, "D": 1 + config.bidirectional, "C": 4,
        "R": rank, "F": config.grus * config.embedding + rank,
        "V": fitted.manifest.encoding.num_words,
        "G": config.ngram_buckets + 1, "P": config.pairs,
    }  # fmt: skip
    found = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    shapes = {name: (str(value.dtype), list(value.shape)) for name, value in found.items()}
    assert shapes == expected(config, sizes, has_vectors)
    numbers = {name: int(found[name]) for name in ("vocab_size", "unk_id", "vocab_size_minus_1")}
    assert numbers == {"vocab_size": sizes["V"], "unk_id": 1, "vocab_size_minus_1": sizes["V"] - 1}
    values = {name for node in graph.node for name in node.output}
    for row in table("Values on the way"):
        for m in range(config.grus):
            for layer in range(config.num_layers):
                assert row["name"].replace("{m}", str(m)).replace("{l}", str(layer)) in values
    tensors = {one["name"]: (one["dtype"], re.split(", ", one["shape"])) for one in table("Inputs and outputs")}
    assert {one.name: (one.dtype, one.axes) for one in fitted.manifest.tensors} == tensors
    assert {one.name for one in (*graph.input, *graph.output)} == tensors.keys()


@pytest.mark.parametrize("has_vectors", [False, True])
def test_graph_with_the_former_names_is_read_as_before(has_vectors: bool) -> None:
    """A version from before the renaming gives the same numbers, whichever of its parts it has."""
    from trainer.gru.export import build
    from trainer.gru.model import Mixture

    linear = small.fitted(num_taught=small.NUM_TAUGHT) if has_vectors else small.fitted()
    raw = build(Mixture([small.network(small.CONFIG, with_vectors=has_vectors)], linear), 1.3)
    former = {row["now"]: row["before"] for row in table("What was renamed")}
    older = onnx.load_model_from_string(raw)
    for constant in older.graph.initializer:
        constant.name = former.get(constant.name, constant.name)
    assert {"words", "grams_of_unknown", "pairs", "num_words"} <= {one.name for one in older.graph.initializer}
    tickets = small.ragged(6, longest=20)

    found_NC = reference.probabilities(reference.from_onnx(older.SerializeToString()), tickets)

    np.testing.assert_array_equal(found_NC, reference.probabilities(reference.from_onnx(raw), tickets))
