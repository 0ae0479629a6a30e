"""An ONNX graph, written node by node, and the check that a file is such a graph.

Written with `onnx.helper`, so that one can read what a graph does where it is made (docs/decisions/0002).
"""

from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from artifacts.errors import ArtifactRefused
from artifacts.networks.manifest import Tensor

# What graphs of earlier programs hold beyond those of today's: a version once published stays good. None of them loops,
# branches or reads a file; a program that no longer writes one of its operators moves it here.
EARLIER_OPERATORS = frozenset({"And", "Equal", "Not", "Range", "Shape"})
OPSET, IR = 18, 9  # pinned: onnx's newest defaults do not load in the onnxruntime that serves
DTYPES = {
    "int32": TensorProto.INT32,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
}


class Graph:
    """Collects nodes and constants; every method adds one and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add a weight or a fixed number."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add one operation."""
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def split(self, value: str, outputs: Sequence[str], sizes: Sequence[int], axis: int) -> None:
        """Add the cut of a value into parts of these sizes along an axis."""
        length = self.constant(f"{value}_sizes", np.array(sizes, dtype=np.int64))
        self.nodes.append(helper.make_node("Split", [value, length], list(outputs), name=outputs[0], axis=axis))

    def serialise(self, tensors: Sequence[Tensor]) -> bytes:
        """Return `model.onnx`.

        Args:
            tensors: the inputs, then the one output.
        """
        *inputs, output = (helper.make_tensor_value_info(t.name, DTYPES[t.dtype], t.axes) for t in tensors)
        made = helper.make_model(
            helper.make_graph(self.nodes, "puppet", inputs, [output], self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="puppet",
        )
        raw: bytes = made.SerializeToString()
        return raw


def check_graph(raw: bytes, operators: Set[str]) -> None:
    """Do nothing if `model.onnx` is a graph of these operators and carries all its weights within itself.

    Args:
        raw: the file.
        operators: that the kind's graph may hold.

    Raises:
        ArtifactRefused: it is no valid ONNX, uses another operator (a Loop of 244 bytes runs for ever), or points to
            a file outside.
    """
    try:
        model = onnx.load_model_from_string(raw)
        if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
            raise ArtifactRefused("weights-outside-graph")
        if model.functions or model.training_info or model.graph.sparse_initializer:
            raise ArtifactRefused("graph-with-extras")
        foreign = {f"{node.domain}:{node.op_type}" for node in model.graph.node if node.domain not in ("", "ai.onnx")}
        foreign |= {node.op_type for node in model.graph.node} - operators
        if foreign:
            raise ArtifactRefused("operators-not-allowed", operators=sorted(foreign))
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ArtifactRefused("invalid-graph", reason=error) from error
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # protobuf's, whose module differs between its implementations
            raise
        raise ArtifactRefused("invalid-graph", reason=error) from error
