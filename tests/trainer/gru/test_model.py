"""The network: equal to the NumPy oracle, blind to padding, and neutral before it has learnt anything."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from artifacts.networks import reference
from artifacts.networks.gru import pad
from artifacts.text.tokens import ngrams
from artifacts.text.vocabulary import PAD, UNK, Encoded
from tests import oracle
from tests.trainer import small
from trainer.config import TrainConfig
from trainer.gru.model import TicketClassifier
from trainer.kernels import cell
from trainer.kernels.cell import LOWEST
from trainer.stepping.ragged import Ragged

pytestmark = pytest.mark.torch

NUM_WORDS = len(small.VOCABULARY)


def logits(model: TicketClassifier, tickets: list[Encoded]) -> torch.Tensor:
    """Return the network's logits for one padded batch."""
    ids_BT, lengths_B, grams_UK = (torch.from_numpy(array).long() for array in pad(tickets, NUM_WORDS))
    with torch.no_grad():
        found: torch.Tensor = model(ids_BT, lengths_B, grams_UK)
    return found


def numpy_network(model: TicketClassifier) -> reference.Network:
    """Return the oracle with the weights of `model`."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    return oracle.from_state_dict(state, list(small.VOCABULARY.rows))


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_network_equals_the_numpy_oracle(num_layers: int, bidirectional: bool) -> None:
    """A ragged batch with unknown tokens gets the logits that the equations give each of its tickets."""
    model = small.network(small.config(num_layers=num_layers, bidirectional=bidirectional))
    tickets = small.ragged(12, longest=30)
    expected_NC = np.stack([reference.walk(numpy_network(model), ticket).logits_C for ticket in tickets])

    found_NC = logits(model, tickets)

    assert found_NC.dtype == torch.float32
    assert found_NC.shape == (12, 5)
    np.testing.assert_allclose(found_NC.numpy(), expected_NC, rtol=0, atol=1e-5)
    assert np.ptp(expected_NC, axis=0).min() > 0.1, "the tickets are told apart, so equality says something"


def test_batch_without_unknown_tokens_equals_the_oracle() -> None:
    """A batch that brings no n-grams (one row of padding in their place) is read like any other."""
    model = small.network(small.CONFIG)
    tickets = [small.VOCABULARY.encode(["connexion", "été"]), small.VOCABULARY.encode(["a"])]

    found_NC = logits(model, tickets)

    expected_NC = np.stack([reference.walk(numpy_network(model), ticket).logits_C for ticket in tickets])
    np.testing.assert_allclose(found_NC.numpy(), expected_NC, rtol=0, atol=1e-5)


def test_a_gru_of_one_number_equals_the_sum_by_hand() -> None:
    """With W_n = 1 and all other weights 0, h = tanh(x) / 2: tanh(ln 2) = 3/5 gives 0.3, and a 0 then halves it."""
    gru = torch.nn.GRU(1, 1, batch_first=True)
    with torch.no_grad():
        for weight in gru.parameters():
            weight.zero_()
        gru.get_parameter("weight_ih_l0")[2] = 1.0  # r, z, n: the third is the proposal
    x_T1 = np.array([[math.log(2.0)], [0.0]])
    lesson = reference.Direction(np.array([[0.0], [0.0], [1.0]]), np.zeros((3, 1)), np.zeros(3), np.zeros(3))

    states, _ = gru(torch.tensor(x_T1, dtype=torch.float32)[None])

    np.testing.assert_allclose(states[0].detach().numpy(), [[0.3], [0.15]], atol=1e-6)
    np.testing.assert_allclose(reference.read(lesson, x_T1).h_TH, [[0.3], [0.15]], atol=1e-12)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_ticket_alone_equals_ticket_in_a_batch(bidirectional: bool) -> None:
    """Padding and neighbours change no ticket's logits."""
    model = small.network(small.config(num_layers=2, bidirectional=bidirectional))
    tickets = small.ragged(9, longest=40, seed=1)

    together = logits(model, tickets)

    alone = torch.cat([logits(model, [ticket]) for ticket in tickets])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_all_negative_states_are_not_beaten_by_padding() -> None:
    """The maximum over a ticket whose states are all below 0 is one of them, not the 0 of a padded place."""
    model = small.network(small.config(bidirectional=False))
    with torch.no_grad():
        model.gru.get_parameter("bias_ih_l0")[16:] = -5.0  # the proposal n, and so every state, is close to -1
        model.head.weight[:, 8:] = 0.0  # only the maximum is read
    short, long = small.VOCABULARY.encode(["client"]), small.VOCABULARY.encode(["client"] * 9)

    together = logits(model, [short, long])

    torch.testing.assert_close(together[:1], logits(model, [short]), rtol=0, atol=1e-6)
    assert LOWEST < -1.0, "a GRU's state lies within (-1, 1)"


def test_order_of_the_tokens_matters() -> None:
    """Two tickets of the same words in another order get other logits, which a sum over words could not give."""
    model = small.network(small.CONFIG)
    one, other = (small.VOCABULARY.encode(words.split()) for words in ("créer client facture", "facture client créer"))

    found_NC = logits(model, [one, other])

    assert (found_NC[0] - found_NC[1]).abs().max() > 1e-3


@pytest.mark.parametrize("num_categories", [2, 77])
def test_loss_at_step_0_is_close_to_ln_c(num_categories: int) -> None:
    """A new network holds every category for about equally likely, so its cross entropy is ln(C)."""
    torch.manual_seed(0)
    model = TicketClassifier(list(small.VOCABULARY.rows), num_categories, small.CONFIG).eval()
    tickets = small.ragged(64, longest=20)
    targets = torch.arange(64) % num_categories

    loss = torch.nn.functional.cross_entropy(logits(model, tickets), targets).item()

    assert loss == pytest.approx(math.log(num_categories), rel=0.05)


def test_padding_rows_are_zero() -> None:
    """Row 0 of words and n-grams is zero, before training and as a gradient."""
    model = small.network(small.CONFIG)
    ids_BT, lengths_B, grams_UK = (torch.from_numpy(a).long() for a in pad(small.ragged(4, 9), NUM_WORDS))

    model(ids_BT, lengths_B, grams_UK).sum().backward()

    for weight in (model.embedding.word.weight, model.embedding.gram.weight):
        assert not weight[PAD].any()
        assert weight.grad is not None
        assert not weight.grad[PAD].any()
        assert weight.grad.any()


def test_evaluation_is_deterministic() -> None:
    """In evaluation two passes give bitwise the same logits, whatever dropout is set."""
    model = small.network(small.config(dropout=0.5, word_dropout=0.5, ngram_dropout=0.5))
    tickets = small.ragged(6, 12)

    assert torch.equal(logits(model, tickets), logits(model, tickets))


@pytest.mark.parametrize("kind", ["dropout", "word_dropout", "ngram_dropout"])
def test_training_uses_each_dropout(kind: str) -> None:
    """In training each of the three dropouts alone makes two passes differ; with none they are equal."""
    off = {"dropout": 0.0, "word_dropout": 0.0, "ngram_dropout": 0.0}
    tickets, random = small.ragged(6, 12), np.random.default_rng(0)

    def read(config: TrainConfig) -> torch.Tensor:
        model = small.network(config).train()
        ragged = Ragged(tickets, model.grams_VK.numpy(), model.num_taught)
        batch = ragged.batch(range(6), random, config.word_dropout, config.ngram_dropout)
        embedding = model.embedding
        with torch.no_grad():
            return model.read(batch, embedding.word.weight[batch.words_R], embedding.gram.weight[batch.grams_S], random)

    still, shaken = small.config(**off), small.config(**off | {kind: 0.5})
    assert torch.equal(read(still), read(still))
    assert not torch.equal(read(shaken), read(shaken))


def test_dropout_is_on_the_vectors_and_on_the_pooled_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """In training, half of what the GRU reads and half of what the head reads is 0, the rest twice as large."""
    model = small.network(small.config(dropout=0.5, embedding=64, hidden=64))
    read: list[torch.Tensor] = []
    gru = cell.gru

    def spy(x_NI: torch.Tensor, *rest: Any) -> torch.Tensor:
        read.append(x_NI.detach())
        return gru(x_NI, *rest)

    monkeypatch.setattr(cell, "gru", spy)
    model.head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].detach()))
    batch = Ragged(small.ragged(12, 20), model.grams_VK.numpy(), model.num_taught).batch(range(12))
    rows = model.embedding.word.weight[batch.words_R], model.embedding.gram.weight[batch.grams_S]

    for random in (None, np.random.default_rng(0)):
        model.read(batch, *rows, random)

    vectors, pooled, shaken_vectors, shaken_pooled = read
    assert vectors.all()
    assert pooled.all()
    assert (shaken_vectors == 0.0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (shaken_pooled == 0.0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(shaken_vectors[shaken_vectors != 0.0], 2.0 * vectors[shaken_vectors != 0.0])


def test_reserved_tokens_have_no_spelling() -> None:
    """A ticket that spells out <UNK> or <PAD> reads the bare row of <UNK>: there are no n-grams to learn from."""
    model = small.network(small.CONFIG)
    ticket = small.VOCABULARY.encode(["<UNK>", "a", "<PAD>"])
    assert ticket.ids[::2] == [UNK, UNK]

    found_NC = logits(model, [ticket])

    np.testing.assert_allclose(
        found_NC[0].numpy(), reference.walk(numpy_network(model), ticket).logits_C, rtol=0, atol=1e-5
    )


def test_dropout_stands_between_layers_only_where_there_are_several() -> None:
    """One layer has no dropout of its own (PyTorch would warn), two have."""
    assert small.network(small.config(dropout=0.5, num_layers=1)).gru.dropout == 0.0
    assert small.network(small.config(dropout=0.5, num_layers=2)).gru.dropout == 0.5


def test_left_out_word_is_read_like_an_unknown_one() -> None:
    """A known word under word dropout has the vector of <UNK> + its own n-grams, as if the vocabulary lacked it."""
    model = small.network(small.CONFIG)
    known = small.VOCABULARY.encode(["connexion"])
    assert known.ids[0] < NUM_WORDS
    network = numpy_network(model)
    grams = [ngrams("connexion", 64)]

    batch = Ragged([known], model.grams_VK.numpy(), model.num_taught).batch([0], np.random.default_rng(0), 0.999999)
    embedding = model.embedding
    found_C = model.read(batch, embedding.word.weight[batch.words_R], embedding.gram.weight[batch.grams_S])[0].detach()

    expected_C = reference.walk(network, Encoded([NUM_WORDS], ["connexion"], grams, 0)).logits_C
    np.testing.assert_allclose(found_C.numpy(), expected_C, rtol=0, atol=1e-5)
