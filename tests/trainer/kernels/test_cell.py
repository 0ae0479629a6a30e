"""The GRU of a training by the kernel: states and gradients are PyTorch's, and those of the equations."""

import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from artifacts.networks.engines import build
from tests.artifacts.networks.kernels import compiled
from trainer.kernels import cell, native

pytestmark = pytest.mark.torch

LEVELS = [level.name for level in build.levels()]
LENGTHS = [3, 1, 7, 2, 7, 1, 12, 4, 5]


def opened(path: Path) -> Any:
    """Return a compiled cell.c whose functions know what they take."""
    return cell.bound(ctypes.CDLL(str(path)))


def kernels() -> dict[str, Any]:
    """Return the compiled cell.c of each level that runs here, best first."""
    return compiled(build.CELL, opened)


@pytest.fixture
def with_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the best kernel of this source run, whatever was installed."""
    best = next(iter(kernels().values()))
    monkeypatch.setattr(cell, "kernel", lambda: best)


def network(
    num_layers: int = 1, bidirectional: bool = True, embedding: int = 5, hidden: int = 7, seed: int = 0
) -> nn.GRU:
    """Return a random torch.nn.GRU, its weights about as large as trained ones."""
    torch.manual_seed(seed)
    made = nn.GRU(embedding, hidden, num_layers, bidirectional=bidirectional, batch_first=True)
    with torch.no_grad():
        for weight in made.parameters():
            weight.uniform_(-1.5 / hidden**0.5, 1.5 / hidden**0.5)
    return made


def batch(lengths: Sequence[int], embedding: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return random vectors x_NI, which want a gradient, and the lengths."""
    random_ = torch.Generator().manual_seed(seed)
    x_NI = torch.randn(sum(lengths), embedding, generator=random_)
    return x_NI.requires_grad_(), torch.tensor(lengths)


def found(x_NI: Tensor, lengths_B: Tensor, module: nn.GRU, seed: int = 0) -> dict[str, Tensor]:
    """Return the states, what they are pooled to, and every gradient of a loss that asks both for something."""
    h_NK = cell.gru(x_NI, lengths_B, module)
    pooled_B2K = cell.pool(h_NK, lengths_B)
    random_ = torch.Generator().manual_seed(seed)
    asked = [(out * torch.randn(out.shape, generator=random_)).sum() for out in (h_NK, pooled_B2K)]
    loss = asked[0] + asked[1]
    weights = dict(module.named_parameters())
    gradients = torch.autograd.grad(loss, [x_NI, *weights.values()])
    return {"h": h_NK.detach(), "pooled": pooled_B2K.detach(), **dict(zip(["x", *weights], gradients, strict=True))}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Every number differs by at most 1e-5 of the largest of its tensor."""
    assert one.keys() == other.keys()
    for name, expected in other.items():
        assert one[name].shape == expected.shape, name
        difference, largest = (one[name] - expected).abs().max().item(), expected.abs().max().item()
        # The loss asks for numbers of size 1; where every gate is at its end, only the rounding of float32 is left.
        assert difference <= 1e-5 * max(largest, 0.1), f"{name}: {difference} of {largest}"


# Equal


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=14),
    num_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    embedding=st.integers(1, 40),
    hidden=st.integers(1, 40) | st.just(32),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradients_are_those_of_pytorch(
    lengths: list[int], num_layers: int, bidirectional: bool, embedding: int, hidden: int, seed: int
) -> None:
    """Of each weight and of the input, whatever the shape, on every level.

    PyTorch computes in float64 here, so that its own rounding does not count as the kernel's.
    """
    module = network(num_layers, bidirectional, embedding, hidden, seed)
    x_NI, lengths_B = batch(lengths, embedding, seed)
    by_level = {}
    with pytest.MonkeyPatch.context() as patch:
        for level, library in kernels().items():
            patch.setattr(cell, "kernel", lambda library=library: library)
            by_level[level] = found(x_NI, lengths_B, module, seed)

    expected = found(x_NI.detach().double().requires_grad_(), lengths_B, module.double(), seed)

    for gradients in by_level.values():
        assert {values.dtype for values in gradients.values()} == {torch.float32}
        assert_close(gradients, expected)


def loss_of(x_NI: Any, lengths: Sequence[int], weights: dict[str, Any], asked_NK: Any) -> float:
    """Return sum(asked * h) of one layer in one direction, by the equations in NumPy and float64."""
    w, u, b, c = (weights[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    total, at = 0.0, 0
    for length in lengths:
        h = np.zeros(u.shape[1])
        for x, asked in zip(x_NI[at : at + length], asked_NK[at : at + length], strict=True):
            (wr, wz, wn), (ur, uz, un) = np.split(w @ x + b, 3), np.split(u @ h + c, 3)
            r, z = 1 / (1 + np.exp(-(wr + ur))), 1 / (1 + np.exp(-(wz + uz)))
            h = (1 - z) * np.tanh(wn + r * un) + z * h
            total += float(asked @ h)
        at += length
    return total


def test_gradients_are_numerical_differences(with_kernel: None) -> None:
    """Each number of each weight, moved a little up and down, changes the loss as its gradient says."""
    module, (x_NI, lengths_B) = network(bidirectional=False, hidden=3), batch(LENGTHS)
    h_NK = cell.gru(x_NI, lengths_B, module)
    asked_NK = torch.randn(h_NK.shape, generator=torch.Generator().manual_seed(1))
    (h_NK * asked_NK).sum().backward()  # type: ignore[no-untyped-call]
    parameters = {"x": x_NI, **dict(module.named_parameters())}
    values = {name: one.detach().double().numpy() for name, one in parameters.items()}

    for name, parameter in parameters.items():
        assert parameter.grad is not None
        numerical = np.zeros_like(values[name])
        for place in np.ndindex(numerical.shape):
            moved = []
            for step in (1e-5, -1e-5):
                changed = values | {name: values[name].copy()}
                changed[name][place] += step
                moved.append(loss_of(changed["x"], LENGTHS, changed, asked_NK.double().numpy()))
            numerical[place] = (moved[0] - moved[1]) / 2e-5
        np.testing.assert_allclose(parameter.grad, numerical, rtol=0, atol=1e-5 * np.abs(numerical).max(), err_msg=name)


def test_same_batch_has_the_same_bytes(with_kernel: None) -> None:
    """Again, and in another thread; and a ticket's states are the same alone and among others."""
    module, (x_NI, lengths_B) = network(2, embedding=32, hidden=32), batch(LENGTHS, 32)
    first = found(x_NI, lengths_B, module)

    with ThreadPoolExecutor(3) as pool:
        others = [found(x_NI, lengths_B, module), *pool.map(lambda _: found(x_NI, lengths_B, module), range(6))]
    one_layer = network(embedding=32, hidden=32)
    together_NK = cell.gru(x_NI, lengths_B, one_layer)
    alone = [cell.gru(x, torch.tensor([len(x)]), one_layer) for x in torch.split(x_NI, LENGTHS)]

    for other in others:
        assert all(torch.equal(other[name], values) for name, values in first.items())
    # W x + b of few tokens is summed in another order by PyTorch's product, so not to the bit.
    torch.testing.assert_close(torch.cat(alone), together_NK, rtol=0, atol=1e-6)


def test_first_of_equal_values_is_the_largest(with_kernel: None) -> None:
    """Only one token is told that it was the largest; and each is told of the mean."""
    h_NK = torch.tensor([[0.5, -1.0], [0.5, 0.25], [0.0, 0.25], [-0.5, 1.0]], requires_grad=True)

    pooled_B2K = cell.pool(h_NK, torch.tensor([3, 1]))
    (pooled_B2K * torch.tensor([[3.0, 30.0, 0.3, 0.6], [5.0, 50.0, 0.1, 0.2]])).sum().backward()  # type: ignore[no-untyped-call]

    assert pooled_B2K.tolist() == [[0.5, 0.25, pytest.approx(1 / 3), pytest.approx(-0.5 / 3)], [-0.5, 1.0, -0.5, 1.0]]
    expected_NK = torch.tensor([[3.1, 0.2], [0.1, 30.2], [0.1, 0.2], [5.1, 50.2]])
    torch.testing.assert_close(h_NK.grad, expected_NK)


# What runs, and when


def test_without_a_kernel_pytorch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was compiled, and for numbers of another kind, the same functions give the same."""
    module, (x_NI, lengths_B) = network(2), batch(LENGTHS)
    best = next(iter(kernels().values()))
    monkeypatch.setattr(cell, "kernel", lambda: best)
    expected = found(x_NI, lengths_B, module)
    assert cell.chosen(x_NI, lengths_B) is best
    assert cell.chosen(x_NI.double(), lengths_B) is None

    monkeypatch.setattr(cell, "kernel", lambda: None)

    assert cell.chosen(x_NI, lengths_B) is None
    assert_close(found(x_NI, lengths_B, module), expected)


def test_kernel_that_was_not_compiled_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says so, and what to run."""
    caplog.set_level("INFO", "puppet")
    monkeypatch.setattr(build, "objects", lambda _: [])

    assert native.library.__wrapped__("cell") is None

    assert caplog.messages == [
        "no kernel cell: not compiled for this processor; run python -m artifacts.networks.engines.build"
    ]


def test_object_that_cannot_be_opened_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is no library is a warning, and the next level is tried."""
    (tmp_path / "broken").write_bytes(b"no library")
    build.compile_level(build.levels()[-1], tmp_path / "good", build.compiler(), source=build.CELL)
    monkeypatch.setattr(build, "objects", lambda _: [("best", tmp_path / "broken"), ("next", tmp_path / "good")])

    library = native.library.__wrapped__("cell")

    assert library is not None
    assert library.cell_forward
    assert "kernel broken is not used" in caplog.text


def test_dropout_between_layers_is_of_training_only(with_kernel: None) -> None:
    """As PyTorch has it: entries of the states between two layers are left out, and none of one layer."""
    module, (x_NI, lengths_B) = network(2), batch(LENGTHS)
    expected_NK = cell.gru(x_NI, lengths_B, module)
    module.dropout = 0.5

    in_training_NK = cell.gru(x_NI, lengths_B, module.train())
    in_use_NK = cell.gru(x_NI, lengths_B, module.eval())
    one_layer = network(1).train()
    one_layer.dropout = 0.5

    assert not torch.equal(in_training_NK, expected_NK)
    assert torch.equal(in_use_NK, expected_NK)
    assert torch.equal(cell.gru(x_NI, lengths_B, one_layer), cell.gru(x_NI, lengths_B, one_layer))


def test_number_that_is_not_finite_shows(with_kernel: None) -> None:
    """A training that diverges is found by NaN in its loss, so the kernel keeps it; other tickets are not touched."""
    module, (x_NI, lengths_B) = network(embedding=32, hidden=32), batch([4, 6, 3], 32)
    with torch.no_grad():
        x_NI[5] = float("nan")

    pooled_B2K = cell.pool(cell.gru(x_NI, lengths_B, module), lengths_B)

    assert pooled_B2K.isfinite().all(dim=1).tolist() == [True, False, True]
    assert pooled_B2K[1, 64:].isnan().all()


# Refused


@pytest.mark.parametrize("lengths", [[4, 0], [5], [3], [-1, 5], [4, 2**62, -(2**62)], []])
def test_lengths_that_do_not_fit_are_refused(with_kernel: None, lengths: list[int]) -> None:
    """Nothing is read or written unless the lengths are those of the tokens."""
    module, (x_NI, _) = network(), batch([4])

    wrong_B = torch.tensor(lengths, dtype=torch.int64)

    with pytest.raises(AssertionError, match="internal error"):
        cell.gru(x_NI, wrong_B, module)
    with pytest.raises(AssertionError, match="internal error"):
        cell.pool(x_NI, wrong_B)


def test_values_of_another_shape_are_refused(with_kernel: None) -> None:
    """What the kernel cannot see, because it takes addresses, is asserted before."""
    module, (x_NI, lengths_B) = network(), batch([4])

    for wrong_x, wrong_lengths in (
        (x_NI[:, :4], lengths_B),
        (x_NI.unsqueeze(0), lengths_B),
        (x_NI, lengths_B.int()),
        (x_NI, lengths_B.unsqueeze(0)),
    ):
        with pytest.raises(AssertionError, match="internal error"):
            cell.gru(wrong_x, wrong_lengths, module)
    with pytest.raises(AssertionError, match="internal error"):
        cell.gru(x_NI, lengths_B, nn.GRU(5, 3, bias=False))


@pytest.mark.parametrize(
    "sizes", [(4, 1, 0, 3), (4, 1, 3, 3), (4, 1, 1, 0), (4, 1, 1, 1025), (0, 1, 1, 3), (4, 0, 1, 3)]
)
def test_sizes_beyond_the_limits_are_refused(sizes: tuple[int, ...]) -> None:
    """Tokens, tickets, directions and entries have limits that the kernel itself checks: status 1."""
    lengths_B = torch.tensor([4])
    for library in kernels().values():
        assert library.cell_forward(*sizes, lengths_B.data_ptr(), *[None] * 6) == 1
        assert library.cell_backward(*sizes, lengths_B.data_ptr(), *[None] * 7) == 1


# The sanitisers, other compilers and another processor


def fuzzed(
    folder: Path, command: Sequence[str], flags: Sequence[str], run: Sequence[str] = (), rounds: str = "40"
) -> None:
    """Compile fuzz_cell.c and let it compare random batches with the plain equations."""
    program, seed = folder / "fuzz", str(random.randrange(2**32))
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", *flags]
    source = Path(__file__).with_name("fuzz_cell.c")
    subprocess.run([*command, *options, "-o", str(program), str(source), "-lm"], check=True)

    done = subprocess.run([*run, program, seed, rounds], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr}"
    assert done.stdout == f"{rounds} batches\n"


def test_sanitisers_find_nothing(tmp_path: Path) -> None:
    """Random batches, right and wrong ones, read and write nothing that is not theirs, and are computed right.

    PUPPET_TEST_KERNELS is how many (`make fuzz`).
    """
    flags = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    fuzzed(tmp_path, build.compiler(), flags, rounds=os.environ.get("PUPPET_TEST_KERNELS", "40"))


@pytest.mark.parametrize("command", ["gcc", "clang"])
def test_compilers_agree(tmp_path: Path, command: str) -> None:
    """Compiled as an installation does it, each compiler's program computes what the equations say."""
    if shutil.which(command) is None:
        pytest.skip(f"no {command} here")
    flags = [flag for flag in (*build.FLAGS, *build.KERNELS[build.CELL]) if flag not in ("-shared", "-std=c11")]
    fuzzed(tmp_path, [command], [*flags, *build.levels()[-1].flags])


ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")  # Debian: gcc-aarch64-linux-gnu, qemu-user


@pytest.mark.skipif(None in map(shutil.which, ARM), reason=f"needs {' and '.join(ARM)}, which .ci/run installs")
def test_arm_computes_the_same(tmp_path: Path) -> None:
    """Compiled for ARM64 and run on an emulated one, the kernel computes what the equations say."""
    flags = [flag for flag in (*build.FLAGS, *build.KERNELS[build.CELL]) if flag not in ("-shared", "-std=c11")]
    (arm,) = build.levels("aarch64")
    fuzzed(tmp_path, ARM[:1], [*flags, *arm.flags, "-static"], ARM[1:])
