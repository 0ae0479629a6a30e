"""The GRU and the pooling of a training over ragged tickets: by the kernel (cell.c), or by PyTorch where there is none.

    h_NK = cell.gru(x_NI, lengths_B, module)      # the states of every token, module is the torch.nn.GRU
    pooled_B2K = cell.pool(h_NK, lengths_B)       # per ticket the largest and the mean of every entry

Both are differentiable, by x and by every weight of the module. Nothing is padded: the N tokens of a batch stand one
behind the other, ticket after ticket. The caller need not know which of the two ways runs; `kernel` alone decides. The
same input gives the same bytes on each of them, but not on both.

The weights stay those of torch.nn.GRU, so nothing else changes: a module trained with the kernel runs without it.
"""

# Axes: N tokens of the batch, B tickets, T tokens (padded), I entries of the input, D directions, H hidden,
#       K entries of a state (D H), G entries of the gates r, z, n of all directions (D 3H).

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trainer.kernels import native

LOWEST = -2.0  # stands for "no token here" before a maximum: a GRU's state lies within (-1, 1)


@functools.cache
def kernel() -> Any | None:
    """Return the functions of cell.c; None if it was not compiled for this processor."""
    library = native.library("cell")
    return None if library is None else bound(library)


def bound(library: Any) -> Any:
    """Return an object of cell.c after saying what its functions take: sizes, then addresses."""
    size, address = ctypes.c_int64, ctypes.c_void_p
    library.cell_forward.argtypes = [*[size] * 4, *[address] * 7]
    library.cell_backward.argtypes = [*[size] * 4, *[address] * 8]
    library.pool_forward.argtypes = [*[size] * 3, *[address] * 4]
    library.pool_backward.argtypes = [*[size] * 3, *[address] * 4]
    return library


def gru(x_NI: Tensor, lengths_B: Tensor, module: nn.GRU) -> Tensor:
    """Return the states h_NK of every token, of the last layer; both directions side by side.

    Args:
        x_NI: float32, the vectors of all tokens, ticket after ticket.
        lengths_B: int64 on the CPU, at least 1 each; their sum is N.
        module: of any number of layers, one direction or two, with biases. Its dropout between layers is done here as
            it would do it, in training only.
    """
    assert x_NI.dim() == 2, "one row a token; internal error"
    assert x_NI.shape[1] == module.input_size, "another input than the module's; internal error"
    if (run := chosen(x_NI, lengths_B)) is None:
        return _gru_by_pytorch(x_NI, lengths_B, module)
    assert module.bias, "the kernel adds the biases of every gate; internal error"
    h_NK = x_NI
    for layer in range(module.num_layers):
        if layer:
            h_NK = nn.functional.dropout(h_NK, module.dropout, module.training)
        ends = (f"l{layer}", f"l{layer}_reverse")[: 2 if module.bidirectional else 1]
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [getattr(module, f"{name}_{end}") for name in names for end in ends]
        h_NK = _Layer.apply(run, h_NK, lengths_B, *weights)  # type: ignore[no-untyped-call]  # of PyTorch
    return h_NK


def pool(h_NK: Tensor, lengths_B: Tensor) -> Tensor:
    """Return the largest and, behind it, the mean value of every entry over a ticket's tokens, [B, 2K].

    Args:
        h_NK: float32, within (-1, 1), ticket after ticket.
        lengths_B: int64 on the CPU, at least 1 each; their sum is N.
    """
    assert h_NK.dim() == 2, "one row a token; internal error"
    if (run := chosen(h_NK, lengths_B)) is None:
        return _pool_by_pytorch(h_NK, lengths_B)
    pooled_B2K: Tensor = _Pool.apply(run, h_NK, lengths_B)  # type: ignore[no-untyped-call]  # of PyTorch
    return pooled_B2K


def chosen(values_N: Tensor, lengths_B: Tensor) -> Any | None:
    """Return the kernel if it can do this: float32 on the CPU, and it was compiled; else None, and PyTorch does it."""
    assert (lengths_B.dtype, lengths_B.device.type) == (torch.int64, "cpu"), "lengths of another kind; internal error"
    assert lengths_B.dim() == 1, "one length a ticket; internal error"
    return kernel() if values_N.device.type == "cpu" and values_N.dtype == torch.float32 else None


def check(status: int) -> None:
    """Raise what the kernel's status stands for, unless it is 0."""
    if status == 2:  # NO_MEMORY of cell.c
        raise MemoryError("no memory for a step of the kernel")
    assert status == 0, (
        f"the kernel refuses its input ({status}): lengths below 1, or not those of all tokens; internal error"
    )


# The kernel


class _Layer(torch.autograd.Function):
    """One layer in all its directions; the weights are PyTorch's, first those of W, then U, b and c."""

    @staticmethod
    def forward(ctx: Any, run: Any, x_NI: Tensor, lengths_B: Tensor, *weights: Tensor) -> Tensor:
        x_NI, lengths_B = x_NI.contiguous(), lengths_B.contiguous()
        num = len(weights) // 4  # D
        w_GI, u_GH, b_G, c_G = (torch.cat(weights[at : at + num]) for at in range(0, 4 * num, num))
        hidden = u_GH.shape[1]
        # W x + b of all tokens in one product: it does not wait for any state.
        gates_NG = torch.addmm(b_G, x_NI, w_GI.t())
        us_NK, before_NK, h_NK = (x_NI.new_empty(len(x_NI), num * hidden) for _ in range(3))
        sizes = (len(x_NI), len(lengths_B), num, hidden)
        check(run.cell_forward(*sizes, *addresses(lengths_B, u_GH, c_G, gates_NG, us_NK, before_NK, h_NK)))
        ctx.run, ctx.sizes = run, sizes
        ctx.save_for_backward(x_NI, lengths_B, w_GI, u_GH, gates_NG, us_NK, before_NK)
        return h_NK

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_h_NK: Tensor) -> tuple[Tensor | None, ...]:
        x_NI, lengths_B, w_GI, u_GH, gates_NG, us_NK, before_NK = ctx.saved_tensors
        _, _, num, hidden = ctx.sizes
        d_a_NG, d_v_NG = torch.empty_like(gates_NG), torch.empty_like(gates_NG)
        saved = addresses(lengths_B, u_GH, gates_NG, us_NK, before_NK, d_h_NK.contiguous(), d_a_NG, d_v_NG)
        check(ctx.run.cell_backward(*ctx.sizes, *saved))
        # A weight's gradient is a sum over the tokens of products of two vectors: one product of two matrices, which
        # reads the weight once and not once a token.
        d_w_GI, d_b_G, d_c_G = d_a_NG.t() @ x_NI, d_a_NG.sum(dim=0), d_v_NG.sum(dim=0)
        # Of each direction its own states: [D, 3H, N] times [D, N, H].
        of_gates = d_v_NG.view(-1, num, 3 * hidden).permute(1, 2, 0)
        of_states = before_NK.view(-1, num, hidden).transpose(0, 1)
        d_u_GH = torch.bmm(of_gates, of_states).view_as(u_GH)
        d_x_NI = d_a_NG @ w_GI if ctx.needs_input_grad[1] else None
        return None, d_x_NI, None, *(part for whole in (d_w_GI, d_u_GH, d_b_G, d_c_G) for part in whole.chunk(num))


class _Pool(torch.autograd.Function):
    """Largest and mean, which keeps where the largest stood."""

    @staticmethod
    def forward(ctx: Any, run: Any, h_NK: Tensor, lengths_B: Tensor) -> Tensor:
        h_NK, lengths_B = h_NK.contiguous(), lengths_B.contiguous()
        sizes = (len(h_NK), len(lengths_B), h_NK.shape[1])
        pooled_B2K = h_NK.new_empty(sizes[1], 2 * sizes[2])
        places_BK = torch.empty(sizes[1:], dtype=torch.int32)
        check(run.pool_forward(*sizes, *addresses(lengths_B, h_NK, pooled_B2K, places_BK)))
        ctx.run, ctx.sizes = run, sizes
        ctx.save_for_backward(lengths_B, places_BK)
        return pooled_B2K

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_pooled_B2K: Tensor) -> tuple[Tensor | None, ...]:
        lengths_B, places_BK = ctx.saved_tensors
        d_h_NK = d_pooled_B2K.new_empty(ctx.sizes[0], ctx.sizes[2])
        d_pooled_B2K = d_pooled_B2K.contiguous()
        check(ctx.run.pool_backward(*ctx.sizes, *addresses(lengths_B, d_pooled_B2K, places_BK, d_h_NK)))
        return None, d_h_NK, None


def addresses(*tensors: Tensor) -> list[int]:
    """Return where the numbers of each tensor stand."""
    return [tensor.data_ptr() for tensor in tensors]


# PyTorch


def inside(lengths_B: Tensor, device: torch.device) -> Tensor:
    """Return of each place of the padded matrix [B, T] whether a token stands there."""
    return (torch.arange(int(lengths_B.max())) < lengths_B[:, None]).to(device)


def padded(values_NK: Tensor, inside_BT: Tensor) -> Tensor:
    """Return the rows of all tokens as [B, T, K], with zeros behind the shorter tickets."""
    values_BTK = values_NK.new_zeros(*inside_BT.shape, values_NK.shape[1])
    values_BTK[inside_BT] = values_NK
    return values_BTK


def _gru_by_pytorch(x_NI: Tensor, lengths_B: Tensor, module: nn.GRU) -> Tensor:
    inside_BT = inside(lengths_B, x_NI.device)
    # Packed, each direction starts at the ticket's own first or last token, never in the padding.
    packed = pack_padded_sequence(padded(x_NI, inside_BT), lengths_B, batch_first=True, enforce_sorted=False)
    h_BTK, _ = pad_packed_sequence(module(packed)[0], batch_first=True)
    h_NK: Tensor = h_BTK[inside_BT]
    return h_NK


def _pool_by_pytorch(h_NK: Tensor, lengths_B: Tensor) -> Tensor:
    inside_BT = inside(lengths_B, h_NK.device)
    h_BTK, inside_BT1 = padded(h_NK, inside_BT), inside_BT.unsqueeze(2)
    largest_BK = torch.where(inside_BT1, h_BTK, LOWEST).amax(dim=1)
    mean_BK = h_BTK.sum(dim=1) / lengths_B.to(h_NK.device).unsqueeze(1)
    return torch.cat((largest_BK, mean_BK), dim=1)
