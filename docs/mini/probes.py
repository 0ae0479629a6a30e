"""What a learner's step is asked, and the truth it is compared with.

A probe gives a function of the step small inputs and returns its answer as plain numbers or text. Its truth comes from
somewhere else where there is such a place: numerical differences, `torch.autograd`, `torch.nn.GRU`,
`torch.optim.AdamW`, or the network that was exported. Without one, the solution's answer is the truth.

`check.py` runs the probes; what is said about each stands in words/en.toml and words/fr.toml.
"""

# Axes: N tickets, B tickets in the batch, T tokens (padded), V ids, E embedding, H hidden, C categories.

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Probe(NamedTuple):
    """One question to one function.

    Attributes:
        name: its key in words/*.toml.
        ask: from a step's module to what it answers.
        truth: the right answer, found without the step; None: what the solution answers.
    """

    name: str
    ask: Callable[[ModuleType], Any]
    truth: Callable[[], Any] | None = None


def drawn(*shape: int, seed: int = 0) -> Array:
    """Return numbers that look random and are always the same."""
    return np.random.default_rng(seed).normal(size=shape)


def slopes(loss: Callable[[], float], weight: Array) -> Array:
    """Return how `loss` changes with each entry of `weight`, by moving each a little up and down."""
    found = np.zeros_like(weight)
    for place in np.ndindex(weight.shape):
        kept = weight[place]
        weight[place] = kept + 1e-5
        above = loss()
        weight[place] = kept - 1e-5
        found[place] = (above - loss()) / 2e-5
        weight[place] = kept
    return found


# Step 1: five tickets, four ids, three categories.
TOKENS = [["panne", "vpn", "panne"], ["vpn", "facture"], ["facture"], ["avoir", "avoir"]]
COUNTS_NV, TARGETS_N = np.abs(drawn(5, 4)).round(), np.array([0, 2, 1, 1, 0])
WEIGHT_VC, BIAS_C = drawn(4, 3, seed=1), drawn(3, seed=2)


def mean_loss() -> float:
    """Return the mean cross entropy of step 1's tickets."""
    logits_NC = COUNTS_NV @ WEIGHT_VC + BIAS_C
    losses_N = np.log(np.exp(logits_NC).sum(axis=1)) - logits_NC[np.arange(5), TARGETS_N]
    return float(losses_N.mean())


STEP1 = [
    Probe("build_vocabulary", lambda step: list(step.build_vocabulary(TOKENS).items())),
    Probe("softmax", lambda step: step.softmax(np.array([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]]))),
    Probe("softmax-large", lambda step: step.softmax(np.array([[1000.0, 999.0], [-1000.0, -1000.0]]))),
    Probe(
        "gradient",
        lambda step: step.gradient(COUNTS_NV, TARGETS_N, WEIGHT_VC.copy(), BIAS_C.copy()),
        lambda: (slopes(mean_loss, WEIGHT_VC), slopes(mean_loss, BIAS_C)),
    ),
]

# Step 2.
WORDS = {"<pad>": 0, "<unk>": 1, "avoir": 2, "facture": 3, "panne": 4}
STEP2 = [
    Probe(
        "contributions",
        lambda step: step.contributions(["panne", "panne", "facture", "cosmos", "avoir"], WORDS, drawn(5, 2), 1),
    ),
    Probe("add_pairs", lambda step: step.add_pairs(["plus", "facture", "avoir", "facture"])),
    Probe("add_pairs-one", lambda step: step.add_pairs(["panne"])),
]


# Step 3: an expression in Values, and the same in PyTorch.
def grads(step: ModuleType, expression: Callable[..., Any], *inputs: float) -> list[float]:
    """Return the result of an expression of Values, then the gradient of each input."""
    values = [step.Value(one) for one in inputs]
    result = expression(*values)
    result.backward()
    return [result.data, *(value.grad for value in values)]


def of_torch(expression: Callable[..., Any], *inputs: float) -> list[float]:
    """Return the same as `grads`, by PyTorch."""
    values = [torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in inputs]
    result = expression(*values)
    return [result.item(), *(grad.item() for grad in torch.autograd.grad(result, values))]


def twice(x: Any) -> Any:
    """Return x + x: two ways lead to x."""
    return x + x


def diamond(x: Any) -> Any:
    """Return y + y * exp(y), y = x * x: no number may be passed on before all its ways have come together."""
    y = x * x
    return y + y * y.exp()


def neuron(x: Any, weight: Any, bias: Any) -> Any:
    """Return a small network's output."""
    state = (x * weight + bias).tanh()
    return (state.exp() + (state * weight).exp()).log()


def autograd(name: str, expression: Callable[..., Any], *inputs: float) -> Probe:
    """Return the probe that compares an expression's gradients with PyTorch's."""
    return Probe(name, lambda step: grads(step, expression, *inputs), lambda: of_torch(expression, *inputs))


STEP3 = [
    autograd("product", lambda x, y: x * y, 2.0, 3.0),
    autograd("exp", lambda x: x.exp(), 0.7),
    autograd("log", lambda x: x.log(), 3.0),
    autograd("tanh", lambda x: x.tanh(), 0.7),
    autograd("twice", twice, 3.0),
    autograd("diamond", diamond, 0.8),
    autograd("neuron", neuron, 0.5, -1.2, 0.3),
]

# Step 4: the row of the padding is not zero here, or who adds it up would not notice.
TABLE_VE, SLOPE_BE = drawn(6, 3, seed=3), drawn(2, 3, seed=4)
IDS_BT, LENGTHS_B = np.array([[2, 3, 2, 5], [4, 0, 0, 0]]), np.array([4, 1])


def mean_in_torch() -> tuple[Array, Array]:
    """Return the mean rows of both tickets, and the gradient by the table."""
    table = torch.tensor(TABLE_VE, requires_grad=True)
    mean = torch.stack([table[ids[:length]].mean(dim=0) for ids, length in zip(IDS_BT, LENGTHS_B, strict=True)])
    (grad,) = torch.autograd.grad(mean, table, torch.tensor(SLOPE_BE))
    return mean.detach().numpy(), grad.numpy()


STEP4 = [
    Probe("pad", lambda step: step.pad([[2, 3, 2, 5], [4]]), lambda: (IDS_BT, LENGTHS_B)),
    Probe("mean_of", lambda step: step.mean_of(TABLE_VE, IDS_BT, LENGTHS_B), lambda: mean_in_torch()[0]),
    Probe(
        "gradient_of_table",
        lambda step: step.gradient_of_table(SLOPE_BE, IDS_BT, LENGTHS_B, 6),
        lambda: mean_in_torch()[1],
    ),
]

# Step 5: two tickets of 4 and 2 tokens, E = 3, H = 2.
X_BTE, READ_B, LAST_BH = drawn(2, 4, 3, seed=5), np.array([4, 2]), drawn(2, 2, seed=6)
WEIGHTS = (drawn(6, 3, seed=7), drawn(6, 2, seed=8), drawn(6, seed=9), drawn(6, seed=10))


def torch_gru() -> tuple[torch.nn.GRU, torch.Tensor, torch.Tensor]:
    """Return `torch.nn.GRU` with these weights, the tokens, and all states [B, T + 1, H], still after the end."""
    gru = torch.nn.GRU(3, 2, batch_first=True).double()
    with torch.no_grad():
        for weight, value in zip(gru.parameters(), WEIGHTS, strict=True):
            weight.copy_(torch.tensor(value))
    x_BTE = torch.tensor(X_BTE, requires_grad=True)
    states_BTH, _ = gru(x_BTE)
    start = torch.zeros(1, 2, dtype=torch.float64)
    rows = []
    for states_TH, length in zip(states_BTH, READ_B, strict=True):
        read_SH = torch.cat((start, states_TH[:length]))
        rows.append(torch.cat((read_SH, read_SH[-1:].expand(4 - int(length), 2))))
    return gru, x_BTE, torch.stack(rows)


def torch_step() -> Array:
    """Return one step's new state from a state that is not 0."""
    gru, x_BTE, _ = torch_gru()
    with torch.no_grad():
        new_BH: Array = gru(x_BTE[:, :1], torch.tensor(LAST_BH)[None])[1][0].numpy()
    return new_BH


def torch_back() -> list[Array]:
    """Return the gradients by the weights, then by the tokens."""
    gru, x_BTE, states_BSH = torch_gru()
    wanted = [*gru.parameters(), x_BTE]
    return [grad.numpy() for grad in torch.autograd.grad(states_BSH[:, -1], wanted, torch.tensor(LAST_BH))]


def back(step: ModuleType) -> list[Array]:
    """Return the same by the step; its states are PyTorch's, so that only the way back is asked."""
    states_BSH = torch_gru()[2].detach().numpy()
    of_gru, of_x = step.read_back(step.Gru(*WEIGHTS), X_BTE, READ_B, states_BSH, LAST_BH)
    return [*of_gru, of_x]


STEP5 = [
    Probe("gru_step", lambda step: step.gru_step(step.Gru(*WEIGHTS), X_BTE[:, 0], LAST_BH)[3], torch_step),
    Probe(
        "read",
        lambda step: step.read(step.Gru(*WEIGHTS), X_BTE, READ_B),
        lambda: torch_gru()[2].detach().numpy(),
    ),
    Probe("read_back", back, torch_back),
]


# Step 6: three steps of AdamW on four weights.
def adamw(step: ModuleType) -> list[float]:
    """Return a weight after each of three steps."""
    weight, mean, square = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    found: list[float] = []
    for number in (1, 2, 3):
        slope = drawn(2, seed=number)
        weight, mean, square = step.adamw_step(weight, slope, mean, square, number, 0.1, 0.5)
        found += list(weight)
    return found


def adamw_in_torch() -> list[float]:
    """Return the same by `torch.optim.AdamW`."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.5)
    found: list[float] = []
    for number in (1, 2, 3):
        weight.grad = torch.tensor(drawn(2, seed=number))
        optimizer.step()
        found += weight.tolist()
    return found


# 12 tickets that a network answers too surely: it is right on three quarters of them.
SURE_NC, SURE_N = np.tile([3.0, 0.0], (12, 1)), np.array([0, 0, 0, 1] * 3)

STEP6 = [
    Probe("adamw_step", adamw, adamw_in_torch),
    Probe("best_epoch", lambda step: [step.best_epoch([3.0, 2.0, 1.5, 1.7, 1.4, 1.6], 2), step.best_epoch([1.0], 2)]),
    Probe("best_epoch-stop", lambda step: step.best_epoch([3.0, 2.0, 2.5, 2.1], 2)),
    # sigmoid(3 / T) = 3 / 4 means 3 / T = ln 3.
    Probe("fit_temperature", lambda step: step.fit_temperature(SURE_NC, SURE_N), lambda: round(3 / np.log(3), 2)),
]


# Step 7: a network with random weights; what is exported must answer as it does.
ROWS = [[2, 3, 4, 5, 6], [3], [6, 2, 2]]


def network(step: ModuleType) -> Any:
    """Return an untrained network with weights large enough for every difference to show."""
    torch.manual_seed(3)
    made = step.Classifier(7, 3)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(3)
    return made.eval()


def exported(step: ModuleType) -> Any:
    """Return what onnxruntime answers with the exported network."""
    import onnxruntime

    session = onnxruntime.InferenceSession(step.export(network(step), 2.0))
    return step.probabilities(session, ROWS)


def searched(step: ModuleType) -> list[Any]:
    """Return the status and the body of a search, and the status of one that does not fit."""
    from litestar.testing import TestClient

    with TestClient(step.create_app(lambda text: (text.upper(), 0.5))) as client:
        right = client.post("/search", json={"text": "panne"})
        return [right.status_code, right.text, client.post("/search", json={"txet": "panne"}).status_code]


STEP7 = [
    Probe("gates", lambda step: step.gates(torch.arange(6.0)), lambda: [2.0, 3.0, 0.0, 1.0, 4.0, 5.0]),
    Probe("gru_node", exported),
    Probe("create_app", searched, lambda: [200, '{"category":"PANNE","confidence":0.5}', 400]),
]

PROBES = {1: STEP1, 2: STEP2, 3: STEP3, 4: STEP4, 5: STEP5, 6: STEP6, 7: STEP7}
