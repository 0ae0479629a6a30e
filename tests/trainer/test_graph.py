"""The check of a graph: what is of allowed operators and whole passes, everything else is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifacts.errors import ArtifactRefused
from artifacts.kinds import kind_named
from artifacts.networks.manifest import Tensor
from artifacts.networks.runtime import open_session
from tests.conftest import FROZEN, frozen_store
from trainer.graph import EARLIER_OPERATORS, Graph, check_graph
from trainer.kinds import trainer_of

pytestmark = pytest.mark.torch  # onnx is of the training extra

OPERATORS = frozenset({"Add"})


def a_graph(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """Return a small valid-looking model of these nodes, from x to y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy")
    constants = [numpy_helper.from_array(np.ones(1, dtype=np.float32), "one")]
    return helper.make_model(
        helper.make_graph(nodes, "hostile", [x], [y], constants),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)],
        ir_version=9,
    )


ADD = helper.make_node("Add", ["x", "one"], ["y"])


def loops_forever() -> onnx.ModelProto:
    """Return a Loop whose condition is always true and which has no trip count."""
    keep, still = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("keep", "still"))
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    x_in, x_out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("x_in", "x_out"))
    body = helper.make_graph(
        [helper.make_node("Identity", ["keep"], ["still"]), helper.make_node("Identity", ["x_in"], ["x_out"])],
        "body",
        [count, keep, x_in],
        [still, x_out],
    )
    made = a_graph(helper.make_node("Loop", ["", "true", "x"], ["y"], body=body))
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    onnx.checker.check_model(made)  # nothing but our allow-list stops it
    return made


def hides_in_a_branch() -> onnx.ModelProto:
    """Return an If, whose branches hold graphs of their own."""
    branch = helper.make_graph(
        [helper.make_node("Identity", ["one"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N"])],
    )
    made = a_graph(helper.make_node("If", ["true"], ["y"], then_branch=branch, else_branch=branch))
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    return made


def scans() -> onnx.ModelProto:
    """Return a Scan."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("a", "b")]
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [values[0]], [values[1]])
    return a_graph(helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1))


def keeps_weights_outside() -> onnx.ModelProto:
    """Return a graph whose constant is to be read from a file of the attacker's choice."""
    made = a_graph(ADD)
    constant = made.graph.initializer[0]
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    entry = constant.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"
    return made


def has_functions() -> onnx.ModelProto:
    """Return a graph beside which a function stands, which may be called under any name."""
    made = a_graph(ADD)
    opsets = [helper.make_opsetid("", 18)]
    made.functions.append(
        helper.make_function("ours", "Add", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], opsets)
    )
    return made


def has_sparse_weights() -> onnx.ModelProto:
    """Return a graph with a sparse constant, whose values could stand in another file."""
    made = a_graph(ADD)
    values = numpy_helper.from_array(np.ones(1, dtype=np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, dtype=np.int64), "indices")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
    return made


def trains_itself() -> onnx.ModelProto:
    """Return a graph that brings a training graph along."""
    made = a_graph(ADD)
    made.training_info.add()
    return made


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (loops_forever, "operators that are not allowed: Loop"),
        (hides_in_a_branch, "operators that are not allowed: If"),
        (scans, "operators that are not allowed: Scan"),
        (
            lambda: a_graph(helper.make_node("Add", ["x", "one"], ["y"], domain="com.microsoft")),
            "operators that are not allowed: com.microsoft:Add",
        ),
        (keeps_weights_outside, "keeps weights in another file"),
        (has_functions, "holds functions"),
        (has_sparse_weights, "sparse weights"),
        (trains_itself, "a training graph"),
        (lambda: a_graph(helper.make_node("Add", ["x", "nothing"], ["y"])), "is not a valid graph"),
        (lambda: a_graph(helper.make_node("Add", ["x"], ["y"])), "is not a valid graph"),
    ],
    ids=[
        *("Loop", "If", "Scan", "domain", "external data", "function", "sparse", "training", "dangling", "arity"),
    ],
)
def test_graph_that_is_not_ours_is_refused(make: Callable[[], onnx.ModelProto], reason: str) -> None:
    """A foreign operator or a weight outside the file is named, before any runtime sees the graph."""
    raw = make().SerializeToString()

    with pytest.raises(ArtifactRefused, match=reason):
        check_graph(raw, OPERATORS)


@pytest.mark.parametrize("raw", [b"garbage", b"\xff" * 100, b"", b"\x00"], ids=["text", "ff", "empty", "zero"])
def test_bytes_that_are_no_graph_are_refused(raw: bytes) -> None:
    """What is no ONNX at all gets a sentence, not a parser's traceback."""
    with pytest.raises(ArtifactRefused, match=r"model\.onnx (cannot be parsed|is not a valid graph)"):
        check_graph(raw, OPERATORS)


def test_truncated_graph_is_refused() -> None:
    """Half a file is none."""
    raw = a_graph(ADD).SerializeToString()

    check_graph(raw, OPERATORS)
    with pytest.raises(ArtifactRefused):
        check_graph(raw[: len(raw) // 2], OPERATORS)


# Which operators


def test_operators_are_those_that_the_caller_allows() -> None:
    """The same graph passes where its operators are allowed; elsewhere each of them is named."""
    raw = a_graph(helper.make_node("Mul", ["x", "one"], ["z"]), helper.make_node("Add", ["z", "one"], ["y"]))

    check_graph(raw.SerializeToString(), frozenset({"Add", "Mul", "Sub"}))
    with pytest.raises(ArtifactRefused, match=r"operators that are not allowed: Add, Mul;"):
        check_graph(raw.SerializeToString(), frozenset({"Sub"}))


# Graph


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_written_graph_computes_and_says_what_it_takes(dtype: str) -> None:
    """Two nodes and their constants give 2 x + 1 in the type that the tensors promise."""
    graph = Graph()
    doubled = graph.node("Mul", ["x", graph.constant("two", np.array(2, dtype=dtype))], "doubled")
    graph.node("Add", [doubled, graph.constant("one", np.array(1, dtype=dtype))], "y")

    raw = graph.serialise([Tensor("x", dtype, ["B", 3]), Tensor("y", dtype, ["B", 3])])

    check_graph(raw, frozenset({"Add", "Mul"}))
    session = open_session(raw)
    (found_B3,) = session.run(None, {"x": np.array([[0, 1, -2], [3, 4, 5]], dtype=dtype)})
    np.testing.assert_array_equal(found_B3, np.array([[1, 3, -3], [7, 9, 11]], dtype=dtype), strict=True)
    assert [(put.name, put.shape) for put in (*session.get_inputs(), *session.get_outputs())] == [
        ("x", ["B", 3]),
        ("y", ["B", 3]),
    ]
    made = onnx.load_model_from_string(raw)
    assert ([(entry.domain, entry.version) for entry in made.opset_import], made.ir_version) == ([("", 18)], 9)


@pytest.mark.parametrize("folder", FROZEN)
def test_graphs_of_earlier_programs_stay_good(folder: str, tmp_path: Path) -> None:
    """Every version of a frozen store passes the check of `puppet-train verify`; at export only today's pass."""
    store = frozen_store(folder, tmp_path)
    for name in store.models():
        operators = trainer_of(kind_named(store.read_model(name).neural_network_type)).OPERATORS
        for version in store.versions(name):
            raw = store.read_version(name, version)[1]["model.onnx"]

            check_graph(raw, operators | EARLIER_OPERATORS)

            if name == "rules-1":
                with pytest.raises(ArtifactRefused, match="And, Equal, Not, Range, Shape"):
                    check_graph(raw, operators)
