"""Tickets behind one another: what a batch reads, what is left out of it, and the gradients of its rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from artifacts.text.vocabulary import UNK
from tests.trainer import small
from trainer.gru.model import TicketClassifier
from trainer.gru.train import answers, logits
from trainer.stepping import ragged as module
from trainer.stepping.ragged import Batch, Ragged, Sums, counted, distinct, left_out, matrix, ranges, summed
from trainer.stepping.rows import kernel

pytestmark = pytest.mark.torch

NUM_WORDS = len(small.VOCABULARY)


def read(model: TicketClassifier, batch: Batch) -> torch.Tensor:
    """Return the logits of a batch."""
    embedding = model.embedding
    with torch.no_grad():
        return model.read(batch, embedding.word.weight[batch.words_R], embedding.gram.weight[batch.grams_S])


@pytest.mark.parametrize("with_vectors", [False, True])
def test_a_batch_is_read_as_the_padded_one(with_vectors: bool) -> None:
    """The same tickets, unknown words and words of the file of vectors included, get the same logits either way."""
    model = small.network(small.CONFIG, with_vectors=with_vectors)
    tickets = small.ragged(30, longest=12)
    padded_NC = logits(model, tickets, NUM_WORDS, torch.device("cpu"))
    ragged = Ragged(tickets, model.grams_VK.numpy(), model.num_taught)

    found_BC = read(model, ragged.batch([7, 29, 0, 3]))

    torch.testing.assert_close(found_BC, padded_NC[[7, 29, 0, 3]], rtol=0, atol=1e-5)
    torch.testing.assert_close(answers(model, ragged), padded_NC, rtol=0, atol=1e-5)


def test_an_unknown_word_of_two_tickets_is_one_token() -> None:
    """Its number within each ticket differs; its n-grams are looked up once."""
    tickets = [small.VOCABULARY.encode(tokens) for tokens in (["inconnu", "a"], ["x", "a", "inconnu"])]
    model = small.network(small.CONFIG)

    batch = Ragged(tickets, model.grams_VK.numpy(), model.num_taught).batch([0, 1])

    assert len(batch.token_US.ends) - 1 == 3
    assert batch.lengths_B.tolist() == [2, 3]
    assert sorted(batch.words_R.tolist()) == [UNK, small.VOCABULARY.rows["a"]]
    places_N = batch.sum_NT.columns_M[1::2]
    assert places_N[0] == places_N[4] != places_N[2]
    assert places_N[1] == places_N[3]


def test_left_out_words_take_the_row_of_unk_and_keep_their_n_grams() -> None:
    """With a word dropout of nearly 1 every token reads row 0 of the batch, which is <UNK>'s, and its own n-grams."""
    tickets = small.ragged(20, longest=12)
    model = small.network(small.CONFIG)
    ragged = Ragged(tickets, model.grams_VK.numpy(), model.num_taught)

    batch = ragged.batch(range(20), np.random.default_rng(0), word_dropout=0.999999)

    assert batch.words_R[0] == UNK
    assert set(batch.sum_NT.columns_M[::2]) == {0}
    assert (matrix(batch.token_US) != matrix(ragged.batch(range(20)).token_US)).nnz == 0


def test_kept_n_grams_are_averaged() -> None:
    """With half of the n-grams left out a token is the mean of those that are kept; with none it is 0."""
    tickets = small.ragged(20, longest=12)
    model = small.network(small.CONFIG)
    ragged = Ragged(tickets, model.grams_VK.numpy(), model.num_taught)

    batch = ragged.batch(range(20), np.random.default_rng(0), ngram_dropout=0.5)

    whole = len(ragged.batch(range(20)).token_US.columns_M)
    assert 0.3 * whole < len(batch.token_US.columns_M) < 0.7 * whole
    sums_U = np.asarray(matrix(batch.token_US).sum(axis=1)).ravel()
    assert all(one == pytest.approx(1.0) or one == 0.0 for one in sums_U)


def test_rows_are_named_once() -> None:
    """A row that stood there twice would be stepped twice."""
    tickets = small.ragged(40, longest=30)
    model = small.network(small.CONFIG)

    batch = Ragged(tickets, model.grams_VK.numpy(), model.num_taught).batch(range(40))

    for rows in (batch.words_R, batch.grams_S):
        assert len(rows) == len(set(rows.tolist()))
    assert 0 not in batch.grams_S, "row 0 is padding"


@given(st.lists(st.integers(0, 20), max_size=60))
def test_distinct_values_and_their_places(values: list[int]) -> None:
    """Each value once, and every value found again, whatever stood in the slots before."""
    slots = np.full(21, 1_000, dtype=np.int32)

    found_U, place_N = distinct(np.array(values, dtype=np.int64), slots)

    assert sorted(found_U.tolist()) == sorted(set(values))
    assert found_U[place_N].tolist() == values


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=20))
def test_ranges_and_counts_hold_empty_ones(parts: list[tuple[int, int]]) -> None:
    """Ranges one behind the other, of which some are empty, and how many flags of each are set."""
    starts, lengths = (np.array([part[place] for part in parts], dtype=np.int64) for place in (0, 1))

    found = ranges(starts, lengths)

    assert found.tolist() == [number for start, length in parts for number in range(start, start + length)]
    even_M = found % 2 == 0
    assert counted(even_M, lengths).tolist() == [
        sum(number % 2 == 0 for number in range(start, start + length)) for start, length in parts
    ]


@pytest.mark.parametrize("way", ["kernel", "SciPy"])
def test_gradient_of_a_sum_of_rows(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of y = M x the gradient by x is M^T times that by y, whichever way the product is computed."""
    if way == "SciPy":
        monkeypatch.setattr(module, "kernel", lambda: None)
    random = np.random.default_rng(0)
    dense_NS = random.normal(size=(5, 4)).astype(np.float32) * (random.random((5, 4)) < 0.5)
    rows, columns = np.nonzero(dense_NS)
    ends = np.concatenate(([0], np.cumsum((dense_NS != 0).sum(axis=1)))).astype(np.int32)
    sums = Sums(ends, columns.astype(np.int32), dense_NS[rows, columns], 4)
    rows_SE = torch.from_numpy(random.normal(size=(4, 3)).astype(np.float32)).requires_grad_()

    summed(rows_SE, sums).square().sum().backward()  # type: ignore[no-untyped-call]  # of torch

    sums_NE = torch.from_numpy(dense_NS) @ rows_SE.detach()
    torch.testing.assert_close(rows_SE.grad, torch.from_numpy(dense_NS.T.copy()) @ (2 * sums_NE))


def test_the_kernel_refuses_terms_of_no_row() -> None:
    """A term beyond the rows, or sums that end elsewhere than their terms, are an error."""
    if kernel() is None:
        pytest.skip("there is no kernel; run python -m artifacts.networks.engines.build")
    rows_SE, weights_M = torch.ones(2, 3), np.ones(2, dtype=np.float32)

    for ends, columns in (([0, 2], [0, 2]), ([0, 2], [0, -1]), ([0, 1], [0, 1]), ([0, 2, 1], [0, 1])):
        sums = Sums(np.array(ends, dtype=np.int32), np.array(columns, dtype=np.int32), weights_M, 2)
        with pytest.raises(AssertionError, match="terms of no sum or of no row"):
            summed(rows_SE, sums)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_left_out_entries_are_zero_and_the_others_larger(share: float) -> None:
    """The mean stays what it was; without a generator nothing is left out."""
    ones_NE = torch.ones(200, 50)

    found_NE = left_out(ones_NE, share, np.random.default_rng(0))

    assert (found_NE == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert found_NE.max().item() == pytest.approx(1 / (1 - share))
    assert torch.equal(left_out(ones_NE, share, None), ones_NE)
