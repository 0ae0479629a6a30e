"""What the arithmetic of a network comes to, counted by hand, and that things which are compared take turns."""

from typing import Any

import numpy as np
import pytest

from benchmarks.common.arithmetic import Flops, graph_flops, network_flops, peak_flops
from benchmarks.common.rounds import Spread, interleaved, spread
from tests.trainer.small import CONFIG, VOCABULARY


@pytest.mark.torch
def test_graph_is_counted_product_by_product() -> None:
    """Two GRUs, E = 3, H = 4, two directions: 2 x 12 x 7 numbers each, so 672 operations a token; a head of 5 x 16.

    What has no weight is not counted, and a graph without a GRU is refused.
    """
    from onnx import helper, numpy_helper

    sizes = {"W": (2, 12, 3), "R": (2, 12, 4), "head": (5, 16)}
    weights = [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in sizes.items()]
    grus = [helper.make_node("GRU", ["x", "W", "R", "bias"], [f"h{number}"]) for number in range(2)]
    rest = [helper.make_node("Gemm", ["pooled", "head", "bias"], ["deep"]), helper.make_node("Add", ["a", "b"], ["c"])]

    def raw(nodes: list[Any]) -> bytes:
        made: bytes = helper.make_model(helper.make_graph(nodes, "graph", [], [], weights)).SerializeToString()
        return made

    assert graph_flops(raw([*grus, *rest])) == Flops(672, 160)
    assert graph_flops(raw([*grus, *rest])).of(2, 10) == 7040
    with pytest.raises(ValueError, match="no GRU"):
        graph_flops(raw(rest))


@pytest.mark.torch
def test_network_is_counted_as_its_graph() -> None:
    """E = H = 8, two directions, 5 categories: 2 x 2 x 24 x 16 a token, 2 x 5 x 32 a ticket."""
    from trainer.gru.model import TicketClassifier

    network = TicketClassifier(list(VOCABULARY.rows), 5, CONFIG)

    assert network_flops(network) == Flops(1536, 320)


@pytest.mark.torch
def test_peak_is_a_speed_of_this_core() -> None:
    """More than a thousandth and less than a thousand times what a core of today does, 1e11 a second."""
    assert 1e8 < peak_flops(size=256, rounds=3) < 1e14


def test_things_take_turns_and_each_begins_a_round() -> None:
    """Three things in four rounds: 012, 120, 201, 012."""
    order: list[int] = []

    def thing(number: int) -> int:
        order.append(number)
        return 10 * number

    found = interleaved([lambda: thing(0), lambda: thing(1), lambda: thing(2)], 4)

    assert order == [0, 1, 2, 1, 2, 0, 2, 0, 1, 0, 1, 2]
    assert found == [[0] * 4, [10] * 4, [20] * 4]
    assert spread([3.04, 1.0, 2.06], 1) == Spread(2.1, 1.0, 3.0)
