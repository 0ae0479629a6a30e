"""Tests of artifacts/networks/steps.py, on networks of the trainer: its numbers lead to what onnxruntime answers."""

import math
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from artifacts.errors import ArtifactRefused
from artifacts.networks.engines.weights import with_outputs
from artifacts.networks.gru import GruModel, OnnxRuntime
from artifacts.networks.runtime import open_session
from artifacts.networks.steps import BEGIN, END, Steps, steps
from artifacts.store.store import Store
from tests.conftest import gru_version
from tests.trainer import small
from trainer.gru.export import build
from trainer.gru.model import Mixture

pytestmark = pytest.mark.torch

TICKETS = [
    ["coffre"],
    ["zzz"],
    ["avoir", "problème", "conntecter", "<PRODUCT>", "coffre", "conntecter", "motdepase"],
    ["problème", "é"] * 40,
]


@pytest.fixture
def files(store: Store) -> Mapping[str, bytes]:
    """Give the files of the fixture's version."""
    return gru_version(store)[1]


def with_graph(model: GruModel, mixture: Mixture, temperature: float) -> bytes:
    """Give the model the networks of `small`, and return their graph."""
    raw = build(mixture, temperature)
    model.vocabulary, model.labels = small.VOCABULARY, [f"category {label}" for label in range(5)]
    model.engine = OnnxRuntime(open_session(raw), len(model.vocabulary), model.vocabulary.num_buckets + 1)
    return raw


def check(found: Steps, model: GruModel, tokens: list[str]) -> None:
    """Compare the probabilities with the model's, the logits with their parts, and the stages with rounding."""
    (expected_C,) = model.probabilities([model.encode(tokens)])
    np.testing.assert_allclose(found.probabilities, expected_C, rtol=0, atol=1e-6)
    parts = [*(network.logits for network in found.networks), found.linear.logits, found.linear.bias]
    np.testing.assert_allclose(np.sum(parts, axis=0), found.logits, rtol=0, atol=1e-9)
    differences = found.differences
    assert max(differences.vectors, differences.states, differences.probabilities) < 1e-5
    assert differences.logits < 1e-6 * max(10.0, *map(abs, found.logits))  # float32 has 7 digits of a large one too
    assert [one.token for one in found.tokens] == tokens


@pytest.mark.parametrize("tokens", TICKETS, ids=lambda tokens: f"{len(tokens)} tokens")
def test_steps_lead_to_the_answer_of_onnxruntime(
    model: GruModel, files: Mapping[str, bytes], tokens: list[str]
) -> None:
    """Of one token, of an unknown one alone, of several lengths: the last step is what the model answers."""
    check(steps(model, files, model.encode(tokens)), model, tokens)


@pytest.mark.parametrize(("num_members", "num_layers", "bidirectional"), [(2, 1, True), (3, 2, True), (2, 3, False)])
def test_steps_of_several_networks(model: GruModel, num_members: int, num_layers: int, bidirectional: bool) -> None:
    """Two and three GRUs of several layers beside a linear part: every stage is that of onnxruntime."""
    config = small.config(num_layers=num_layers, bidirectional=bidirectional)
    members = [small.network(config, seed=seed) for seed in range(num_members)]
    raw = with_graph(model, Mixture(members, small.fitted(), weight=0.6, linear_weight=1.4).eval(), 1.7)

    for tokens in (["créer"], ["inconnu"], ["été", "conntecter", "a", "zzz", "facture", "conntecter"] * 5):
        found = steps(model, {"model.onnx": raw}, model.encode(tokens))

        check(found, model, tokens)
        assert len(found.networks) == num_members
        assert [len(network.layers) for network in found.networks] == [num_layers] * num_members
        assert {len(layer) for network in found.networks for layer in network.layers} == {1 + bidirectional}


def test_words_of_vectors_alone_are_unknown_in_pairs(model: GruModel) -> None:
    """A word that only pretrained vectors brought has a row of its own, and stands in a pair as <UNK>."""
    words = list(small.VOCABULARY.rows)
    mixture = Mixture(
        [small.network(small.CONFIG, with_vectors=True)], small.fitted(num_taught=small.NUM_TAUGHT), 1.0, 1.0
    )
    raw = with_graph(model, mixture.eval(), 1.0)

    found = steps(model, {"model.onnx": raw}, model.encode([words[2], words[-1]]))

    assert [(token.token, token.known) for token in found.tokens] == [(words[2], True), (words[-1], True)]
    assert [(pair.before, pair.after) for pair in found.linear.pairs] == [
        (BEGIN, words[2]), (words[2], "<UNK>"), ("<UNK>", END),
    ]  # fmt: skip
    check(found, model, [words[2], words[-1]])


def test_states_follow_the_equation(model: GruModel, files: Mapping[str, bytes]) -> None:
    """Each state is (1 - z) * n + z * h of the one before: forward from the first token, backward from the last."""
    found = steps(model, files, model.encode(TICKETS[2]))

    for network in found.networks:
        for number, way in enumerate(network.layers[0]):
            order = slice(None, None, -1 if number else 1)
            update, proposal, state = (np.array(kind)[order] for kind in (way.update, way.proposal, way.state))
            before = np.concatenate((np.zeros_like(state[:1]), state[:-1]))
            np.testing.assert_allclose(state, (1 - update) * proposal + update * before, atol=1e-12)


def test_pairs_are_told_by_their_words(model: GruModel, files: Mapping[str, bytes]) -> None:
    """Each neighbouring pair is named, from the ticket's beginning to its end; an unknown word stands as <UNK>."""
    found = steps(model, files, model.encode(["problème", "zzz", "coffre"]))
    pairs = found.linear.pairs

    assert [(pair.before, pair.after) for pair in pairs] == [
        (BEGIN, "problème"), ("problème", "<UNK>"), ("<UNK>", "coffre"), ("coffre", END),
    ]  # fmt: skip
    total = np.sum(found.linear.words, axis=0) + np.sum([pair.scores for pair in pairs], axis=0)
    np.testing.assert_allclose(found.linear.logits, total / math.sqrt(3), atol=1e-9)


def test_difference_is_not_hidden(model: GruModel, files: Mapping[str, bytes]) -> None:
    """Where onnxruntime computes another GRU than NumPy, the vectors agree and the states do not."""
    graph = onnx.load_model_from_string(files["model.onnx"])
    (gru,) = (node for node in graph.graph.node if node.op_type == "GRU")
    for attribute in gru.attribute:
        if attribute.name == "linear_before_reset":
            attribute.i = 0

    found = steps(model, {"model.onnx": graph.SerializeToString()}, model.encode(TICKETS[2])).differences

    assert found.vectors < 1e-6
    assert found.states > 1e-4


def test_outputs_are_added_as_onnx_reads_them(files: Mapping[str, bytes]) -> None:
    """Behind the file's own output stand the names that were added, long ones too; nothing else has changed."""
    before = onnx.load_model_from_string(files["model.onnx"])
    names = ["logits_BC", "x" * 300]
    after = onnx.load_model_from_string(with_outputs(files["model.onnx"], names))

    assert [one.name for one in after.graph.output] == ["probabilities", *names]
    del after.graph.output[1:]
    assert after == before


def test_graph_of_another_make_is_refused(model: GruModel, files: Mapping[str, bytes]) -> None:
    """A graph whose weights have other names is refused with the name that is missing."""
    graph = onnx.load_model_from_string(files["model.onnx"])
    for constant in graph.graph.initializer:
        if constant.name == "head_bias":
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant), "bias_of_head"))

    with pytest.raises(ArtifactRefused, match="head_bias"):
        steps(model, {"model.onnx": graph.SerializeToString()}, model.encode(["avoir"]))
