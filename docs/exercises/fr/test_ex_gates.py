"""La vérification de l’exercice."""

# Axes : T tokens, E le vecteur d’un token, H l’état.

import ex_gates
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from artifacts.networks.runtime import open_session
from trainer.graph import IR, OPSET
from trainer.gru.export import gates

E, H = 3, 4
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


@pytest.fixture
def gru() -> torch.nn.GRU:
    """Donne un GRU de PyTorch aux poids tirés au hasard, assez grands pour qu’une erreur se voie."""
    torch.manual_seed(0)
    made = torch.nn.GRU(E, H, batch_first=True)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_()
    return made


def translated(gru: torch.nn.GRU) -> tuple[ex_gates.Array, ...]:
    """Renvoie les W, R et B de qui fait l’exercice pour les poids de `gru`."""
    return ex_gates.to_onnx(*(getattr(gru, name).detach().numpy() for name in NAMES))


def test_shapes_are_those_of_onnx(gru: torch.nn.GRU) -> None:
    """W est [1,3H,E], R est [1,3H,H] et B est [1,6H], tous en float32."""
    found = translated(gru)

    assert [array.shape for array in found] == [(1, 3 * H, E), (1, 3 * H, H), (1, 6 * H)]
    assert {array.dtype for array in found} == {np.dtype(np.float32)}


def test_blocks_are_where_the_library_puts_them(gru: torch.nn.GRU) -> None:
    """W contient les blocs dans l’ordre z, r, h."""
    np.testing.assert_array_equal(translated(gru)[0][0], gates(getattr(gru, NAMES[0])))


def test_onnxruntime_answers_as_pytorch_does(gru: torch.nn.GRU) -> None:
    """Un graphe d’un seul nœud GRU, avec les poids traduits, donne les états de PyTorch pour sept tokens au hasard."""
    x_T1E = torch.randn(7, 1, E)
    expected_TH = gru(x_T1E.transpose(0, 1))[0][0].detach().numpy()
    weights = [numpy_helper.from_array(array, name) for array, name in zip(translated(gru), "WRB", strict=True)]
    node = helper.make_node("GRU", ["x", "W", "R", "B"], ["states"], hidden_size=H, linear_before_reset=1)
    x, states = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "states"))
    graph = helper.make_graph([node], "exercise", [x], [states], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)

    (found_TDBH,) = open_session(model.SerializeToString()).run(None, {"x": x_T1E.numpy()})

    np.testing.assert_allclose(found_TDBH[:, 0, 0], expected_TH, atol=1e-5)
