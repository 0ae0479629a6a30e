"""What the arithmetic of a network allows: its multiplications and additions, over the most that one core does.

In: a network of torch, or a published graph. Out: floating point operations, and how many of them a second the same
core does where it does nothing else. Only products of matrices count; the gates' exponentials, the look-ups and the
sums of the linear parts are left out, so what follows from it is a floor that nothing can be under, not a forecast.
"""

import math
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from torch import nn

PEAK_SIZE = 1024  # of a square matrix: large enough for every core to reach its best, 12 MB for three of them
BACKWARD = 2  # a product's gradients towards both of its factors are two products of the same size


class Flops(msgspec.Struct, frozen=True):
    """Floating point operations of an answer: for each token that is read, and once for each ticket."""

    per_token: int
    per_ticket: int

    def of(self, num_tickets: int, num_tokens: int) -> int:
        """Return those of so many tickets, that have so many tokens together."""
        return num_tickets * self.per_ticket + num_tokens * self.per_token


def graph_flops(model: bytes) -> Flops:
    """Return the operations of a graph: its GRUs read each token, its Gemm is once for a ticket.

    Raises:
        ValueError: it has no GRU; it is written in another way than is counted here.
    """
    import onnx

    graph = onnx.load_from_string(model).graph
    size = {one.name: math.prod(one.dims) for one in graph.initializer}
    # The inputs are X, W, R and B: 3H x E and 3H x H for each direction, each number multiplied once and added once.
    per_token = [2 * (size[node.input[1]] + size[node.input[2]]) for node in graph.node if node.op_type == "GRU"]
    if not per_token:
        raise ValueError("the graph has no GRU, so its operations cannot be counted")
    return Flops(sum(per_token), sum(2 * size[node.input[1]] for node in graph.node if node.op_type == "Gemm"))


def network_flops(model: "nn.Module") -> Flops:
    """Return the operations of a network's answer, as `graph_flops` does; training takes 1 + BACKWARD times as many."""
    from torch import nn

    grus = [part for part in model.modules() if isinstance(part, nn.GRU)]
    heads = [part for part in model.modules() if isinstance(part, nn.Linear)]
    weights = [weight.numel() for gru in grus for name, weight in gru.named_parameters() if name.startswith("weight")]
    return Flops(2 * sum(weights), 2 * sum(head.weight.numel() for head in heads))


def peak_flops(size: int = PEAK_SIZE, rounds: int = 10) -> float:
    """Return how many operations a second one core does on the product of two matrices, in the best of the rounds.

    Of the processor's time, because a core that others use as well is no slower for that.
    """
    import torch

    torch.set_num_threads(1)
    left, right = torch.ones(size, size), torch.ones(size, size)
    taken = []
    for _ in range(rounds + 1):  # the first is the warm-up
        start = time.process_time()
        torch.mm(left, right)
        taken.append(time.process_time() - start)
    return float(2 * size**3 / min(taken[1:]))
