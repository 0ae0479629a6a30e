"""The seed's network as a version of our own, so that our server can serve the very weights of the seed's way.

In: a version that was trained, for its vocabulary and its labels. Out: a version beside it with the graph of
weights.py: E = H = 128, no n-grams, no linear part. What is faster then is the server and onnxruntime, not the model.
"""

# Axes: B tickets, T tokens, F = 2H. The GRU wants [T, B, E] and gives the last states as [D, B, H].

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from artifacts.networks.gru import GruModel, pad
from artifacts.networks.gru_records import TENSORS, GoldenRow, GruManifest
from artifacts.networks.runtime import open_session
from artifacts.store.store import Store
from artifacts.text.vocabulary import Encoded
from benchmarks.peers.weights import HIDDEN, UNK, Weights, make_weights

NAME = "seed-weights"
OPSET, IR = 18, 9  # as trainer/graph.py pins them


def gates(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return r, z, n along the second axis as ONNX's z, r, h."""
    r, z, n = np.split(rows, 3, axis=1)
    return np.concatenate((z, r, n), axis=1)


def build(weights: Weights) -> bytes:
    """Return `model.onnx`: ids, lengths and grams (not used) in, as every version has them; probabilities out."""
    constants: dict[str, NDArray[Any]] = {
        "num_words": np.array(len(weights.embedding_VE), dtype=np.int32),
        "unk": np.array(UNK, dtype=np.int32),
        "embedding": weights.embedding_VE,
        "W": gates(weights.input_DGE),
        "R": gates(weights.recurrent_DGH),
        "bias": np.concatenate((gates(weights.input_bias_DG), gates(weights.recurrent_bias_DG)), axis=1),
        "head": weights.head_CF,
        "head_bias": weights.head_bias_C,
        "rows": np.array([-1, 2 * HIDDEN], dtype=np.int64),
    }
    gru: dict[str, Any] = {"hidden_size": HIDDEN, "direction": "bidirectional", "linear_before_reset": 1}
    nodes = [
        helper.make_node("Less", ["ids", "num_words"], ["known"]),
        helper.make_node("Where", ["known", "ids", "unk"], ["seed_ids"]),
        helper.make_node("Gather", ["embedding", "seed_ids"], ["x_BTE"]),
        helper.make_node("Transpose", ["x_BTE"], ["x_TBE"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["x_TBE", "W", "R", "bias", "lengths"], ["", "last_DBH"], **gru),
        helper.make_node("Transpose", ["last_DBH"], ["last_BDH"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["last_BDH", "rows"], ["last_BF"]),
        helper.make_node("Gemm", ["last_BF", "head", "head_bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    types = {"int32": TensorProto.INT32, "float32": TensorProto.FLOAT}
    *inputs, output = (helper.make_tensor_value_info(one.name, types[one.dtype], one.axes) for one in TENSORS)
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "seed", inputs, [output], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    raw: bytes = made.SerializeToString()
    return raw


def publish_seed_weights(trained: Store, name: str, folder: Path) -> Store:
    """Return a new store in an empty folder with the seed's network over the vocabulary and labels of a model."""
    manifest, files = trained.read_version(name, trained.current(name).version)
    assert isinstance(manifest, GruManifest), "a model of another kind; this is our bug"
    vocabulary = msgspec.json.decode(files["vocab.json"], type=dict[str, int])
    labels = msgspec.json.decode(files["labels.json"], type=list[str])
    graph = build(make_weights(len(vocabulary), len(labels)))
    rows = msgspec.json.decode(files["golden.json"], type=list[GoldenRow])
    session = open_session(graph)
    golden = []
    for row in rows:
        ids_BT, lengths_B, grams_UK = pad([Encoded(row.ids, [], row.grams, 0)], len(vocabulary))
        (found_BC,) = session.run(None, {"ids": ids_BT, "lengths": lengths_B, "grams": grams_UK})
        golden.append(msgspec.structs.replace(row, probabilities=np.asarray(found_BC)[0].tolist()))
    store = Store(folder)
    store.create_model(NAME, manifest.neural_network_type)
    manifest = msgspec.structs.replace(manifest, name=NAME, version=1, files={}, parent=None)
    made = {**files, "model.onnx": graph, "golden.json": msgspec.json.encode(golden)}
    GruModel(manifest, made)  # loads as the server will load it, or is refused here
    store.publish(manifest, made)
    return store
