"""The door to disk: a graph that answers as the network does passes, and every way to get it wrong is refused."""

import copy
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from artifacts.arrays import Floats
from artifacts.errors import ArtifactRefused
from artifacts.networks import reference
from artifacts.networks.gru import pad, run
from artifacts.networks.gru_records import TENSORS
from artifacts.networks.runtime import open_session
from artifacts.text.vocabulary import RESERVED, Encoded, Vocabulary, build_rows
from tests import oracle
from tests.trainer import small
from trainer.graph import check_graph
from trainer.gru import export
from trainer.gru.fit import OPERATORS
from trainer.gru.linear import Linear
from trainer.gru.model import Mixture, TicketClassifier

pytestmark = pytest.mark.torch

NUM_WORDS = len(small.VOCABULARY)
SHAPES = [(num_layers, bidirectional) for num_layers in (1, 2, 3) for bidirectional in (True, False)]


def network(
    num_layers: int = 1,
    bidirectional: bool = True,
    num_members: int = 1,
    num_pairs: int = 40,
    with_vectors: bool = False,
    rank: int = 0,
) -> Mixture:
    """Return small random networks with a random linear part, of low rank if one is given."""
    config = small.config(num_layers=num_layers, bidirectional=bidirectional)
    members = [small.network(config, seed=seed, with_vectors=with_vectors) for seed in range(num_members)]
    num_taught = small.NUM_TAUGHT if with_vectors else NUM_WORDS
    linear = small.fitted(num_pairs=num_pairs, num_taught=num_taught, rank=rank)
    return Mixture(members, linear, weight=0.6, linear_weight=1.4).eval()


def numpy_of(model: Mixture) -> reference.Together:
    """Return the same in NumPy."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    pretrained = small.PRETRAINED_VD if model.first.projection is not None else None
    words, num_taught = list(small.VOCABULARY.rows), model.linear.num_taught
    return oracle.from_mixture(state, words, model.weight, model.linear.weight, num_taught, pretrained)


def answers(raw: bytes, tickets: list[Encoded]) -> Floats:
    """Return what onnxruntime says of one padded batch."""
    return run(open_session(raw), pad(tickets, NUM_WORDS), NUM_WORDS, small.VOCABULARY.num_buckets + 1)


@pytest.mark.parametrize(("num_layers", "bidirectional"), SHAPES)
def test_right_graph_passes_and_the_record_says_how_well(num_layers: int, bidirectional: bool) -> None:
    """Every shape of network is exported, within 1e-5 of PyTorch on 12 batches of 144 tickets."""
    raw, parity = export.export(network(num_layers, bidirectional), small.VOCABULARY, 1.7)

    assert onnx.load_model_from_string(raw).graph.name == "puppet"
    assert 0.0 < parity.max_difference <= parity.tolerance == 1e-5
    assert (parity.num_batches, parity.num_tickets, parity.weight_scale) == (12, 144, 4.0)


@pytest.mark.parametrize(("num_layers", "bidirectional"), SHAPES)
def test_graph_equals_the_numpy_oracle(num_layers: int, bidirectional: bool) -> None:
    """A ragged batch with unknown tokens gets from onnxruntime what the equations give, calibrated."""
    model = network(num_layers, bidirectional)
    tickets = small.ragged(12, longest=30)
    from_torch = numpy_of(model)

    raw, _ = export.export(model, small.VOCABULARY, 2.5)
    found_NC = answers(raw, tickets)

    assert found_NC.dtype == np.float32
    assert found_NC.shape == (12, 5)
    np.testing.assert_allclose(found_NC, reference.probabilities(from_torch, tickets, 2.5), rtol=0, atol=1e-6)
    # The file alone says as much: what was folded (n-grams, <UNK>, temperature) stands in its weights.
    np.testing.assert_allclose(found_NC, reference.probabilities(reference.from_onnx(raw), tickets), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("num_members", "num_layers"), [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("num_pairs", [0, 40])
def test_graph_of_all_experts_equals_the_numpy_oracle(num_members: int, num_layers: int, num_pairs: int) -> None:
    """The weighted sum of several networks and of the linear part, with pairs and without."""
    model = network(num_layers, num_members=num_members, num_pairs=num_pairs)
    tickets = small.ragged(12, longest=30)
    from_torch = numpy_of(model)

    raw, parity = export.export(model, small.VOCABULARY, 2.5)
    found_NC = answers(raw, tickets)

    assert parity.max_difference <= 1e-5
    check_graph(raw, OPERATORS)
    np.testing.assert_allclose(found_NC, reference.probabilities(from_torch, tickets, 2.5), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found_NC, reference.probabilities(reference.from_onnx(raw), tickets), rtol=0, atol=1e-6)
    alone_NC = np.concatenate([answers(raw, [ticket]) for ticket in tickets])
    np.testing.assert_allclose(found_NC, alone_NC, rtol=0, atol=1e-6)
    for weight in ("weight", "linear.weight"):
        deaf = copy.deepcopy(model)
        owner = deaf.linear if weight == "linear.weight" else deaf
        owner.weight = 0.0
        without = answers(export.build(deaf, 2.5), tickets)
        assert np.abs(found_NC - without).max() > 0.01, f"the expert of {weight} is not heard"


@pytest.mark.parametrize(("num_pairs", "with_vectors"), [(40, False), (0, False), (40, True)])
def test_graph_of_low_rank_equals_the_numpy_oracle(num_pairs: int, with_vectors: bool) -> None:
    """Tables of three columns and their basis answer as the equations do, and without the basis otherwise."""
    model = network(num_members=2, num_pairs=num_pairs, with_vectors=with_vectors, rank=3)
    tickets = small.ragged(12, longest=30)

    raw, parity = export.export(model, small.VOCABULARY, 2.5)
    found_NC = answers(raw, tickets)

    assert parity.max_difference <= 1e-5
    assert parity.weight_scale == 4.0  # the basis is not scaled, or the scores would be 16 times as large
    check_graph(raw, OPERATORS)
    np.testing.assert_allclose(found_NC, reference.probabilities(numpy_of(model), tickets, 2.5), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found_NC, reference.probabilities(reference.from_onnx(raw), tickets), rtol=0, atol=1e-6)
    alone_NC = np.concatenate([answers(raw, [ticket]) for ticket in tickets])
    np.testing.assert_allclose(found_NC, alone_NC, rtol=0, atol=1e-6)
    assert model.linear.basis_RC is not None
    model.linear.basis_RC.zero_()
    assert np.abs(found_NC - answers(export.build(model, 2.5), tickets)).max() > 0.01  # the tables are heard


@pytest.mark.parametrize("wrong", ["turned", "weak"])
def test_wrong_basis_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A basis whose columns are in another order, or that lacks a tenth of its weight, does not leave."""
    real = export.build

    def build(model: Mixture, temperature: float) -> bytes:
        made = onnx.load_model_from_string(real(model, temperature))
        (basis,) = (one for one in made.graph.initializer if one.name == "linear_basis")
        value = numpy_helper.to_array(basis)
        changed = value[:, ::-1].copy() if wrong == "turned" else value * np.float32(0.9)
        basis.CopyFrom(numpy_helper.from_array(changed, "linear_basis"))
        raw: bytes = made.SerializeToString()
        return raw

    monkeypatch.setattr(export, "build", build)

    with pytest.raises(ArtifactRefused, match="differs from PyTorch"):
        export.export(network(rank=3), small.VOCABULARY, 1.0)


def test_graph_of_full_tables_is_written_as_before() -> None:
    """Where tables are full there is no basis, and nodes and weights have the names and the order that they had."""
    made = onnx.load_model_from_string(export.build(network(), 1.0)).graph

    assert "linear_basis" not in {one.name for one in made.initializer}
    assert [node.output[0] for node in made.node][-9:] == [
        *("bigram_hash_TB", "bigram_row_TB", "bigram_scores_TBC", "bigram_score_sum_BC", "linear_score_sum_BC"),
        *("sqrt_length_B1", "linear_logits_BC", "logits_BC", "probabilities"),
    ]


def test_graph_with_vectors_equals_the_numpy_oracle() -> None:
    """Projected vectors are folded into the words' rows; words that only they know count as unknown in pairs."""
    model = network(num_members=2, with_vectors=True)
    tickets = small.ragged(12, longest=30)
    assert any(small.NUM_TAUGHT <= token < NUM_WORDS for ticket in tickets for token in ticket.ids)

    raw, _ = export.export(model, small.VOCABULARY, 2.5)
    found_NC = answers(raw, tickets)

    check_graph(raw, OPERATORS)
    np.testing.assert_allclose(found_NC, reference.probabilities(numpy_of(model), tickets, 2.5), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found_NC, reference.probabilities(reference.from_onnx(raw), tickets), rtol=0, atol=1e-6)
    for member in model:
        assert member.projection is not None
        with torch.no_grad():
            member.projection.weight.zero_()
    assert np.abs(found_NC - answers(export.build(model, 2.5), tickets)).max() > 0.01  # the vectors are heard


@pytest.mark.parametrize(("num_layers", "bidirectional"), SHAPES)
def test_ticket_alone_equals_ticket_in_a_batch(num_layers: int, bidirectional: bool) -> None:
    """In the graph too, padding and neighbours change no ticket's probabilities."""
    raw = export.build(network(num_layers, bidirectional), 1.0)
    tickets = small.ragged(9, longest=40, seed=2)

    together_NC = answers(raw, tickets)

    alone_NC = np.concatenate([answers(raw, [ticket]) for ticket in tickets])
    np.testing.assert_allclose(together_NC, alone_NC, rtol=0, atol=1e-6)


def strong_network() -> Mixture:
    """Return a network of three layers with weights as large as a bold learning rate makes them."""
    made = small.network(small.config(num_layers=3, embedding=32, hidden=32))
    with torch.no_grad():
        for weight in made.gru.parameters():
            weight.mul_(2.0)
        for weight in made.embedding.parameters():
            weight.mul_(0.6)
    return Mixture([made], small.fitted())


def test_right_graph_of_a_chaotic_network_passes() -> None:
    """Where 4 times as large weights would let rounding alone grow past the limit, a smaller factor is taken."""
    _, parity = export.export(strong_network(), small.VOCABULARY, 1.0)

    assert parity.max_difference <= 1e-5
    assert parity.weight_scale == 2.0


def test_wrong_graph_of_a_chaotic_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smaller factor does not let a wrong graph through."""
    real = export.build

    def build(network: Mixture, temperature: float) -> bytes:
        made = onnx.load_model_from_string(real(network, temperature))
        reset_before(made)
        raw: bytes = made.SerializeToString()
        return raw

    monkeypatch.setattr(export, "build", build)

    with pytest.raises(ArtifactRefused, match="differs from PyTorch"):
        export.export(strong_network(), small.VOCABULARY, 1.0)


def test_export_changes_nothing_in_the_network() -> None:
    """The network that was scaled for the check is a copy."""
    model = network()
    before = copy.deepcopy(model.state_dict())

    export.export(model, small.VOCABULARY, 2.0)

    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_network_in_training_mode_is_exported_without_dropout() -> None:
    """The network is compared as it will answer, whatever mode it was left in."""
    model = Mixture([small.network(small.config(dropout=0.5))], small.fitted()).train()

    raw, _ = export.export(model, small.VOCABULARY, 1.0)

    assert raw == export.build(model.eval(), 1.0)


# Sabotage: each edits the real graph as somebody might write it wrongly; the file stays a valid graph.

Edit = Callable[[onnx.ModelProto], None]


def named(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """Return the node of that name."""
    found: onnx.NodeProto
    (found,) = (node for node in model.graph.node if node.name == name)
    return found


def change_constants(prefix: str, change: Callable[[Floats], Floats]) -> Edit:
    """Return an edit of the constants whose name begins with `prefix`; there must be one."""

    def edit(model: onnx.ModelProto) -> None:
        found = [constant for constant in model.graph.initializer if constant.name.startswith(prefix)]
        assert found
        for constant in found:
            changed = change(numpy_helper.to_array(constant).copy())
            constant.CopyFrom(numpy_helper.from_array(changed.astype(np.float32), constant.name))

    return edit


def in_torch_order(weight_D3H: Floats) -> Floats:
    """Return z, r, n as r, z, n, in a weight or in both halves of a bias."""
    num_blocks = 6 if weight_D3H.ndim == 2 else 3
    blocks = np.split(weight_D3H, num_blocks, axis=1)
    for first in range(0, num_blocks, 3):
        blocks[first], blocks[first + 1] = blocks[first + 1], blocks[first]
    return np.concatenate(blocks, axis=1)


def reset_before(model: onnx.ModelProto) -> None:
    """Make the reset gate act on the state instead of on the product, as ONNX does by default."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "linear_before_reset":
                attribute.i = 0


def no_lengths(model: onnx.ModelProto) -> None:
    """Let the GRU read the padding."""
    for node in model.graph.node:
        if node.op_type == "GRU":
            del node.input[4:]


def no_max_mask(model: onnx.ModelProto) -> None:
    """Take the maximum over padded places as well."""
    named(model, "max_DBH").input[0] = named(model, "h_or_lowest_TDBH").input[1]


def no_sqrt(model: onnx.ModelProto) -> None:
    """Divide the linear part by length."""
    named(model, "linear_logits_BC").input[1] = "length_B1"


def plain_sum(model: onnx.ModelProto) -> None:
    """Do not divide the linear part at all."""
    named(model, "logits_BC").input[1] = "linear_score_sum_BC"


def no_linear_part(model: onnx.ModelProto) -> None:
    """Leave the linear part out."""
    named(model, "logits_BC").input[1] = "gru_logits_BC"


def softmax_over_tickets(model: onnx.ModelProto) -> None:
    """Share the probability out among the tickets of the batch."""
    named(model, "probabilities").attribute[0].i = 0


def sum_of_ngrams(model: onnx.ModelProto) -> None:
    """Give an unknown token the sum of its n-grams' vectors."""
    named(model, "unknown_UF").input[0] = "ngram_vector_sum_UE"


def mean_of_scores(model: onnx.ModelProto) -> None:
    """Give an unknown token the mean of its n-grams' scores."""
    place = [node.name for node in model.graph.node].index("unknown_UF")
    mean = helper.make_node("Div", ["ngram_score_sum_UC", "num_ngrams_U1"], ["mean_UC"], name="mean_UC")
    model.graph.node.insert(place, mean)
    named(model, "unknown_UF").input[1] = "mean_UC"


def pairs_turned_round(model: onnx.ModelProto) -> None:
    """Take each pair the other way round."""
    spread, both = named(model, "bigram_first_hash_TB"), named(model, "bigram_hash_TB")
    spread.input[0], both.input[1] = both.input[1], spread.input[0]


def unknown_as_edge(model: onnx.ModelProto) -> None:
    """Let an unknown word stand in a pair as the ticket's edge."""
    place = [node.name for node in model.graph.node].index("bigram_first_TB")
    edge = helper.make_node("Where", ["known_TB", "ids_TB", "zero"], ["edge_TB"], name="edge_TB")
    model.graph.node.insert(place, edge)
    named(model, "bigram_first_TB").input[0] = "edge_TB"


def mean_over_padding(model: onnx.ModelProto) -> None:
    """Divide the sum of the states by the sum of the lengths of the batch."""
    model.graph.node.insert(
        [node.name for node in model.graph.node].index("mean_DBH"),
        helper.make_node("ReduceSum", ["length_B1"], ["all_lengths"], name="all_lengths", keepdims=1),
    )
    named(model, "mean_DBH").input[1] = "all_lengths"


def one_direction_twice(model: onnx.ModelProto) -> None:
    """Let the backward GRU have the weights of the forward one."""
    change_constants("gru_0_0_R", lambda w: np.stack((w[0], w[0])))(model)


EDITS: dict[str, Edit] = {
    "gate order of W": change_constants("gru_0_0_W", in_torch_order),
    "gate order of R": change_constants("gru_0_0_R", in_torch_order),
    "gate order of B": change_constants("gru_0_0_B", in_torch_order),
    "halves of B swapped": change_constants(
        "gru_0_0_B", lambda b: np.concatenate(np.split(b, 2, axis=1)[::-1], axis=1)
    ),
    "linear_before_reset=0": reset_before,
    "no sequence_lens": no_lengths,
    "max mask +0 instead of -2": change_constants("max_pool_padding", np.zeros_like),
    "no max mask": no_max_mask,
    "length instead of sqrt(length)": no_sqrt,
    "no division by sqrt(length)": plain_sum,
    "no linear part": no_linear_part,
    "softmax over the tickets": softmax_over_tickets,
    "sum of n-grams instead of mean": sum_of_ngrams,
    "mean of scores instead of sum": mean_of_scores,
    "pairs turned round": pairs_turned_round,
    "unknown word as the edge of a pair": unknown_as_edge,
    "mean over the padding": mean_over_padding,
    "one direction twice": one_direction_twice,
    "NaN": change_constants("head_bias", lambda b: b * np.nan),
}


@pytest.fixture(scope="module")
def model() -> Mixture:
    """Give a small random network whose graph the sabotages edit."""
    return network()


@pytest.mark.parametrize("sabotage", EDITS)
def test_sabotaged_graph_is_refused(model: Mixture, monkeypatch: pytest.MonkeyPatch, sabotage: str) -> None:
    """A graph that is valid and answers plausibly, but not as PyTorch does, may not leave."""
    real = export.build

    def build(network: Mixture, temperature: float) -> bytes:
        made = onnx.load_model_from_string(real(network, temperature))
        EDITS[sabotage](made)
        raw: bytes = made.SerializeToString()
        check_graph(raw, OPERATORS)  # it is not the form of the graph that gives it away
        return raw

    monkeypatch.setattr(export, "build", build)

    with pytest.raises(ArtifactRefused, match=r"export refused: ONNX differs from PyTorch by .*, limit is 1e-05"):
        export.export(model, small.VOCABULARY, 1.0)


def test_unknown_row_that_is_left_out_is_refused(model: Mixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown token that lacks the vector of <UNK> is noticed."""
    real = export.build

    def build(network: Mixture, temperature: float) -> bytes:
        bare = copy.deepcopy(network)
        with torch.no_grad():
            bare.first.embedding.word.weight[1] = 0.0
        return real(bare, temperature)

    monkeypatch.setattr(export, "build", build)

    with pytest.raises(ArtifactRefused, match="differs from PyTorch"):
        export.export(model, small.VOCABULARY, 1.0)


@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_temperature_that_is_not_applied_is_refused(
    model: Mixture, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    """A graph without its temperature is refused, also where it happens to be 1: the scaled graph's is 4."""
    real = export.build
    monkeypatch.setattr(export, "build", lambda network, _: real(network, 1.0))

    with pytest.raises(ArtifactRefused, match="differs from PyTorch"):
        export.export(model, small.VOCABULARY, temperature)


# The graph itself


def test_graph_is_what_the_manifest_promises() -> None:
    """Opset 18, IR 9, and inputs and output of the names, types and axes that every manifest lists."""
    made = onnx.load_model_from_string(export.build(network(), 1.0))
    dtypes = {TensorProto.INT32: "int32", TensorProto.FLOAT: "float32"}

    found = [
        (value.name, dtypes[value.type.tensor_type.elem_type], [d.dim_param for d in value.type.tensor_type.shape.dim])
        for value in (*made.graph.input, *made.graph.output)
    ]

    assert found == [(tensor.name, tensor.dtype, tensor.axes) for tensor in TENSORS]
    assert [(entry.domain, entry.version) for entry in made.opset_import] == [("", 18)]
    assert made.ir_version == 9


def test_allow_list_holds_just_the_operators_in_use() -> None:
    """An operator that no graph of ours needs is not allowed either."""
    model = network(num_layers=2, num_members=2)
    made = onnx.load_model_from_string(export.build(model, 1.0))

    assert {node.op_type for node in made.graph.node} == OPERATORS


def test_graph_holds_nothing_that_it_does_not_use() -> None:
    """Every constant and every result is read by a node, or is the answer."""
    model = network(num_layers=3, num_members=2)
    made = onnx.load_model_from_string(export.build(model, 1.0))
    read = {name for node in made.graph.node for name in node.input} | {"probabilities"}

    assert {constant.name for constant in made.graph.initializer} <= read
    assert {name for node in made.graph.node for name in node.output} <= read


# Golden rows


def test_golden_rows_hold_only_words_of_the_vocabulary_and_invented_ones() -> None:
    """What is stored beside a model is nobody's ticket: words drawn at random, and letters drawn at random."""
    raw = export.build(network(), 1.0)

    rows = export.golden_rows(raw, small.VOCABULARY, seed=5)

    words = set(small.VOCABULARY.rows) - set(RESERVED)
    invented = [token for row in rows for token in row.tokens if token not in words]
    assert len(rows) == 6
    assert invented
    assert all(token.isascii() and token.isalpha() and token.islower() and len(token) < 40 for token in invented)
    assert any(row.grams for row in rows)
    assert any(not row.grams for row in rows)


def test_golden_rows_say_what_the_graph_answers() -> None:
    """Each row has the ids, the n-grams and the probabilities that its tokens have on this very graph."""
    model = network()
    raw, _ = export.export(model, small.VOCABULARY, 1.3)
    expected = numpy_of(model)

    for row in export.golden_rows(raw, small.VOCABULARY, seed=0):
        ticket = small.VOCABULARY.encode(row.tokens)
        assert (row.ids, row.grams) == (ticket.ids, ticket.grams)
        np.testing.assert_allclose([row.probabilities], reference.probabilities(expected, [ticket], 1.3), atol=1e-6)


@given(num_tickets=st.integers(2, 12), longest=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_invented_tickets_cover_the_lengths(num_tickets: int, longest: int, seed: int) -> None:
    """The first ticket has one token and the second as many as allowed; the same seed gives the same tickets."""
    tickets = export.invented_tickets(small.VOCABULARY, num_tickets, longest, seed)

    lengths = [len(tokens) for tokens in tickets]
    assert lengths[:2] == [1, longest]
    assert len(lengths) == num_tickets
    assert all(1 <= length <= longest for length in lengths)
    assert all(token for tokens in tickets for token in tokens)
    assert tickets == export.invented_tickets(small.VOCABULARY, num_tickets, longest, seed)


def test_every_other_invented_ticket_has_unknown_words() -> None:
    """Both the tables of words and those of n-grams are used, and some batches have both."""
    tickets = export.invented_tickets(small.VOCABULARY, 20, 30, seed=1)

    unknown = [bool(small.VOCABULARY.encode(tokens).unknown) for tokens in tickets]

    assert not any(unknown[::2])
    assert sum(unknown[1::2]) >= 9  # an invented word of one letter may be in the vocabulary


def test_vocabulary_without_words_is_exported() -> None:
    """Where no word came often enough for a row of its own, n-grams carry everything, and the export works."""
    empty = Vocabulary(build_rows([], 2, 10), 64)
    torch.manual_seed(0)
    words_VS, grams_GS, pairs_PS = (np.zeros((size, 3), dtype=np.float32) for size in (2, 65, 0))
    linear = Linear(words_VS, grams_GS, pairs_PS, np.zeros(3, dtype=np.float32), 2)
    model = Mixture([TicketClassifier(list(empty.rows), 3, small.CONFIG)], linear).eval()

    raw, _ = export.export(model, empty, 1.0)

    assert len(export.golden_rows(raw, empty, seed=0)) == 6
