"""Step 7: the network leaves PyTorch as a file, and answers over HTTP.

    python step7.py tickets.jsonl order.jsonl       # trains, exports, and answers with onnxruntime
    python step7.py serve tickets.jsonl             # the same, then serves on 127.0.0.1:8000 until Ctrl-C

ONNX is a file format for computations: a list of nodes, each with inputs, outputs and weights. onnxruntime runs it
without PyTorch and without a line of yours.
"""

# Axes: B tickets in the batch, T tokens (padded), E embedding, H hidden, C categories.

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import torch
from litestar import Litestar, post
from litestar.params import JSONBody
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from step1 import Predict, Ticket, main, read_tickets
from step4 import encode, pad
from step6 import HIDDEN, Classifier, prepare


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """What comes in."""

    text: str


class Answer(msgspec.Struct):
    """What goes out."""

    category: str
    confidence: float


def gates(weight: torch.Tensor) -> NDArray[np.float32]:
    """Return rows of r, z and n in the order of ONNX: z, r, n."""
    # WRITE: weight.detach().numpy(), np.split into 3, np.concatenate in the other order
    r, z, n = np.split(weight.detach().numpy(), 3)
    return np.concatenate((z, r, n))


def gru_node() -> Any:
    """Return the node: x_TBE, W, R, B and lengths in, the last state h_1BH out.

    Its first output, all states, is not wanted: an empty name leaves it out.
    """
    # WRITE: helper.make_node("GRU", inputs, outputs, hidden_size=HIDDEN, ...); the fifth input of GRU is the lengths;
    # linear_before_reset=1 is r * (U h + c), the equation of step 5
    inputs = ["x_TBE", "W", "R", "B", "lengths"]
    return helper.make_node("GRU", inputs, ["", "h_1BH"], hidden_size=HIDDEN, linear_before_reset=1)


def create_app(answer: Callable[[str], tuple[str, float]]) -> Litestar:
    """Return the application: POST /search takes a Search and returns an Answer, with status 200."""

    # WRITE: a function with the decorator `post` that takes `data: JSONBody[Search]`; say the status, or `post` answers
    # 201 (created)
    @post("/search", status_code=200, sync_to_thread=True)
    def search(data: JSONBody[Search]) -> Answer:
        return Answer(*answer(data.text))

    return Litestar([search])


# From here on it is given.


def export(network: Classifier, temperature: float) -> bytes:
    """Return the network as ONNX: ids [B, T] and lengths [B] in, probabilities [B, C] out."""
    gru = network.gru
    weights = {
        "word_embedding": network.embedding.weight.detach().numpy(),
        "W": gates(gru.weight_ih_l0)[None],
        "R": gates(gru.weight_hh_l0)[None],
        "B": np.concatenate((gates(gru.bias_ih_l0), gates(gru.bias_hh_l0)))[None],
        # The temperature is folded into the last layer: the file needs no node for it.
        "head_weight": network.head.weight.detach().numpy() / np.float32(temperature),
        "head_bias": network.head.bias.detach().numpy() / np.float32(temperature),
        "axis_of_directions": np.array([0]),
    }
    nodes = [
        helper.make_node("Transpose", ["ids"], ["ids_TB"], perm=[1, 0]),  # the GRU of ONNX wants time first
        helper.make_node("Gather", ["word_embedding", "ids_TB"], ["x_TBE"]),
        gru_node(),
        helper.make_node("Squeeze", ["h_1BH", "axis_of_directions"], ["h_BH"]),
        helper.make_node("Gemm", ["h_BH", "head_weight", "head_bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "mini",
        [value("ids", TensorProto.INT32, ["B", "T"]), value("lengths", TensorProto.INT32, ["B"])],
        [value("probabilities", TensorProto.FLOAT, ["B", "C"])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def probabilities(session: Any, rows: list[list[int]]) -> NDArray[np.float32]:
    """Return probabilities_BC of encoded tickets, by onnxruntime."""
    ids_BT, lengths_B = (array.astype(np.int32) for array in pad(rows))
    given = {"ids": ids_BT, "lengths": lengths_B}
    # A graph that forgot the lengths does not take them: it is the check that says so, not an error here.
    return session.run(None, {one.name: given[one.name] for one in session.get_inputs()})[0]


def fit(taught: list[Ticket]) -> Predict:
    """Return a function that gives texts their categories, through the exported file."""
    labels, vocabulary, network, temperature = prepare(taught)
    session = onnxruntime.InferenceSession(export(network, temperature))

    def predict(texts: list[str]) -> list[str]:
        found_BC = probabilities(session, [encode(text, vocabulary) for text in texts])
        return [labels[label] for label in found_BC.argmax(axis=1)]

    return predict


def serve(path: str) -> None:
    """Train on a file and serve."""
    import uvicorn

    labels, vocabulary, network, temperature = prepare(read_tickets(path))
    session = onnxruntime.InferenceSession(export(network, temperature))

    def answer(text: str) -> tuple[str, float]:
        (row_C,) = probabilities(session, [encode(text, vocabulary)])
        return labels[row_C.argmax()], float(row_C.max())

    uvicorn.run(create_app(answer), host="127.0.0.1", port=8000)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        main(fit)
