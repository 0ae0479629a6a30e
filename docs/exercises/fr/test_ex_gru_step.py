"""La vérification de l’exercice."""

import ex_gru_step
import numpy as np
import torch


def test_the_step_of_the_chapter() -> None:
    """Avec les poids du chapitre, x = 1 et h = 0,5 donnent 0,6499."""
    w, u = np.array([[1.0], [-1.0], [0.5]]), np.array([[-1.0], [2.0], [1.0]])
    b, c = np.array([0.0, 0.0, 0.1]), np.array([0.0, 0.0, 0.3])

    state = ex_gru_step.gru_step(np.array([1.0]), np.array([0.5]), w, u, b, c)

    assert state.shape == (1,)
    np.testing.assert_allclose(state, [0.6499], atol=1e-4)


def test_a_ticket_read_step_by_step_equals_torch() -> None:
    """Neuf tokens de trois nombres, lus dans un état de quatre, donnent les états de `torch.nn.GRU`."""
    torch.manual_seed(0)
    gru = torch.nn.GRU(input_size=3, hidden_size=4, batch_first=True).double()
    x_TE = torch.randn(9, 3, dtype=torch.float64)
    expected_TH = gru(x_TE[None])[0][0].detach().numpy()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [getattr(gru, name).detach().numpy() for name in names]

    h_H = np.zeros(4)
    for x_E, expected_H in zip(x_TE.numpy(), expected_TH, strict=True):
        h_H = ex_gru_step.gru_step(x_E, h_H, *weights)

        np.testing.assert_allclose(h_H, expected_H, atol=1e-9)
