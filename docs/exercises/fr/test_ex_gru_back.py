"""La vérification de l’exercice."""

import ex_gru_back
import numpy as np
import torch


def weights(gru: torch.nn.GRU) -> list[np.ndarray]:
    """Renvoie W, U, b et c."""
    return [weight.detach().numpy() for weight in gru.parameters()]


def test_slopes_equal_those_of_torch() -> None:
    """Un lot de cinq tickets, chacun en plein milieu : les pentes sont celles de `torch.autograd`."""
    torch.manual_seed(0)
    gru = torch.nn.GRU(3, 4).double()
    x_BE = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    h_BH = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    slope_BH = torch.randn(5, 4, dtype=torch.float64)
    expected = torch.autograd.grad(gru(x_BE[None], h_BH[None])[1][0], (x_BE, h_BH), slope_BH)
    x, h, (w, u, b, c) = x_BE.detach().numpy(), h_BH.detach().numpy(), weights(gru)

    found = ex_gru_back.backward(ex_gru_back.forward(x, h, w, u, b, c)[0], h, slope_BH.numpy(), w, u)

    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-12)


def test_a_shut_gate_lets_the_slope_through() -> None:
    """Avec z proche de 1, le token est ignoré : toute la pente va à l’ancien état, rien au token."""
    w, u, c = np.zeros((3, 1)), np.zeros((3, 1)), np.zeros(3)
    w[2], b = 1.0, np.array([0.0, 50.0, 0.0])
    x, h = np.array([[0.7]]), np.array([[0.2]])

    of_x, of_h = ex_gru_back.backward(ex_gru_back.forward(x, h, w, u, b, c)[0], h, np.array([[3.0]]), w, u)

    np.testing.assert_allclose(of_h, [[3.0]], atol=1e-9)
    np.testing.assert_allclose(of_x, [[0.0]], atol=1e-9)


def test_back_through_a_whole_ticket() -> None:
    """Pas à pas, du dernier token au premier, les pentes par rapport à tous les tokens sont celles de PyTorch."""
    torch.manual_seed(1)
    gru = torch.nn.GRU(2, 3).double()
    x_TBE = torch.randn(7, 4, 2, dtype=torch.float64, requires_grad=True)
    gru(x_TBE)[1].sum().backward()
    x, (w, u, b, c) = x_TBE.detach().numpy(), weights(gru)

    states, steps = [np.zeros((4, 3))], []
    for x_BE in x:
        step, state = ex_gru_back.forward(x_BE, states[-1], w, u, b, c)
        steps.append(step)
        states.append(state)
    slope_BH, found = np.ones((4, 3)), []
    for t in reversed(range(7)):
        of_x, slope_BH = ex_gru_back.backward(steps[t], states[t], slope_BH, w, u)
        found.insert(0, of_x)

    assert x_TBE.grad is not None
    np.testing.assert_allclose(found, x_TBE.grad.numpy(), atol=1e-12)
