"""Étape 7 : le réseau quitte PyTorch sous forme de fichier, et répond par HTTP.

    python step7.py tickets.jsonl order.jsonl       # entraîne, exporte, et répond avec onnxruntime
    python step7.py serve tickets.jsonl             # de même, puis sert sur 127.0.0.1:8000 jusqu’à Ctrl-C

ONNX est un format de fichier pour des calculs : une liste de nœuds, avec entrées, sorties et poids. onnxruntime
l’exécute sans PyTorch et sans une ligne de vous.
"""

# Axes : B tickets du lot, T tokens (remplissage compris), E embedding, H état, C catégories.

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import torch
from litestar import Litestar, post
from litestar.params import JSONBody
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from step1 import Predict, Ticket, main, read_tickets
from step4 import encode, pad
from step6 import HIDDEN, Classifier, prepare


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """Ce qui entre."""

    text: str


class Answer(msgspec.Struct):
    """Ce qui sort."""

    category: str
    confidence: float


def gates(weight: torch.Tensor) -> NDArray[np.float32]:
    """Renvoie les lignes de r, z et n dans l’ordre d’ONNX : z, r, n."""
    # weight.detach().numpy(), np.split en 3, np.concatenate dans l’autre ordre
    raise NotImplementedError("écrivez gates")


def gru_node() -> Any:
    """Renvoie le nœud : x_TBE, W, R, B et lengths en entrée, le dernier état h_1BH en sortie.

    Sa première sortie, tous les états, n’est pas demandée : un nom vide l’omet.
    """
    # helper.make_node("GRU", entrées, sorties, hidden_size=HIDDEN, ...) ; la cinquième entrée de GRU : les longueurs ;
    # linear_before_reset=1, c’est r * (U h + c), l’équation de l’étape 5
    raise NotImplementedError("écrivez gru_node")


def create_app(answer: Callable[[str], tuple[str, float]]) -> Litestar:
    """Renvoie l’application : POST /search prend un Search et renvoie un Answer, avec le statut 200."""

    # une fonction décorée par `post`, qui prend `data: JSONBody[Search]` ; dites le statut, sinon `post` répond
    # 201 (created)
    raise NotImplementedError("écrivez create_app")


# À partir d’ici, tout est donné.


def export(network: Classifier, temperature: float) -> bytes:
    """Renvoie le réseau en ONNX : ids [B, T] et lengths [B] en entrée, probabilities [B, C] en sortie."""
    gru = network.gru
    weights = {
        "word_embedding": network.embedding.weight.detach().numpy(),
        "W": gates(gru.weight_ih_l0)[None],
        "R": gates(gru.weight_hh_l0)[None],
        "B": np.concatenate((gates(gru.bias_ih_l0), gates(gru.bias_hh_l0)))[None],
        # La température est repliée dans la dernière couche : le fichier n’a besoin d’aucun nœud pour elle.
        "head_weight": network.head.weight.detach().numpy() / np.float32(temperature),
        "head_bias": network.head.bias.detach().numpy() / np.float32(temperature),
        "axis_of_directions": np.array([0]),
    }
    nodes = [
        helper.make_node("Transpose", ["ids"], ["ids_TB"], perm=[1, 0]),  # le GRU d’ONNX veut le temps en premier
        helper.make_node("Gather", ["word_embedding", "ids_TB"], ["x_TBE"]),
        gru_node(),
        helper.make_node("Squeeze", ["h_1BH", "axis_of_directions"], ["h_BH"]),
        helper.make_node("Gemm", ["h_BH", "head_weight", "head_bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "mini",
        [value("ids", TensorProto.INT32, ["B", "T"]), value("lengths", TensorProto.INT32, ["B"])],
        [value("probabilities", TensorProto.FLOAT, ["B", "C"])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def probabilities(session: Any, rows: list[list[int]]) -> NDArray[np.float32]:
    """Renvoie probabilities_BC de tickets encodés, par onnxruntime."""
    ids_BT, lengths_B = (array.astype(np.int32) for array in pad(rows))
    given = {"ids": ids_BT, "lengths": lengths_B}
    # Un graphe qui a oublié les longueurs ne les prend pas : c’est la vérification qui le dit, pas une erreur ici.
    return session.run(None, {one.name: given[one.name] for one in session.get_inputs()})[0]


def fit(taught: list[Ticket]) -> Predict:
    """Renvoie une fonction qui donne aux textes leur catégorie, par le fichier exporté."""
    labels, vocabulary, network, temperature = prepare(taught)
    session = onnxruntime.InferenceSession(export(network, temperature))

    def predict(texts: list[str]) -> list[str]:
        found_BC = probabilities(session, [encode(text, vocabulary) for text in texts])
        return [labels[label] for label in found_BC.argmax(axis=1)]

    return predict


def serve(path: str) -> None:
    """Entraîne sur un fichier et sert."""
    import uvicorn

    labels, vocabulary, network, temperature = prepare(read_tickets(path))
    session = onnxruntime.InferenceSession(export(network, temperature))

    def answer(text: str) -> tuple[str, float]:
        (row_C,) = probabilities(session, [encode(text, vocabulary)])
        return labels[row_C.argmax()], float(row_C.max())

    uvicorn.run(create_app(answer), host="127.0.0.1", port=8000)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        main(fit)
