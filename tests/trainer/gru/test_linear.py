"""The linear part: what it counts, what it learns, and that its scores are sums over words, n-grams and pairs."""

import math
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.text.tokens import ngrams
from artifacts.text.vocabulary import Vocabulary, build_rows
from tests.trainer import small
from trainer.gru import linear
from trainer.gru.linear import GRAM_WEIGHT, PAIR_FACTOR, Features, Linear, gram_rows, pair_rows, scores
from trainer.kernels import margin

WORDS = Vocabulary(build_rows([["facture", "payer", "client"]], 1, 100), 64)
V = len(WORDS)


def test_every_ngram_of_a_known_word_counts() -> None:
    """All pieces of 2 to 5 letters of the marked word; those of 3 to 5 have the rows that an unknown word's have."""
    found = gram_rows("été", 1000)

    pieces = ["<é", "ét", "té", "é>", "<ét", "été", "té>", "<été", "été>", "<été>"]
    assert found == [1 + zlib.crc32(piece.encode()) % 1000 for piece in pieces]
    assert set(ngrams("été", 1000)) <= set(found)


TICKETS = st.lists(st.lists(st.integers(2, 40), min_size=1, max_size=20), min_size=1, max_size=4)


@given(TICKETS, st.integers(3, 40), st.integers(1, 500))
def test_pairs_are_those_of_each_ticket_with_its_edges(
    tickets: list[list[int]], num_words: int, num_pairs: int
) -> None:
    """One more pair than tokens, edges as <PAD>, unknown words as <UNK>."""
    lengths_N = np.array([*map(len, tickets)])

    found = pair_rows(np.array([number for ids in tickets for number in ids]), lengths_N, num_words, num_pairs)

    expected = []
    for ids in tickets:
        padded = [0, *(number if number < num_words else 1 for number in ids), 0]
        expected += [(a * PAIR_FACTOR + b) % num_pairs for a, b in pairwise(padded)]
    assert found.tolist() == expected
    assert len(found) == lengths_N.sum() + len(tickets)


def test_counts_of_a_hand_worked_ticket() -> None:
    """Of "facture facture xyz": twice the word and its n-grams, the n-grams of xyz, and four pairs.

    All over sqrt(3). The pairs: start-facture, facture-facture, facture-<UNK>, <UNK>-end.
    """
    ticket = WORDS.encode(["facture", "facture", "xyz"])

    counts_F = Features(WORDS, 100).counts([ticket]).toarray()[0] * math.sqrt(3)

    words_V, grams_G, pairs_P = np.split(counts_F, [V, V + 65])
    row = WORDS.rows["facture"]
    assert words_V.tolist() == pytest.approx([2.0 if i == row else 0.0 for i in range(V)])
    expected_G = np.zeros(65)
    for number in gram_rows("facture", 64):
        expected_G[number] += 2
    for number in ngrams("xyz", 64):
        expected_G[number] += 1
    assert grams_G.tolist() == pytest.approx(expected_G.tolist())
    expected_P = np.zeros(100)
    for number in (row, row * PAIR_FACTOR + row, row * PAIR_FACTOR + 1, PAIR_FACTOR):
        expected_P[number % 100] += 1
    assert pairs_P.tolist() == pytest.approx(expected_P.tolist())


def test_no_pairs_are_counted_where_there_is_no_table_of_them() -> None:
    """With 0 rows the features are words and n-grams, and no table of pairs is fitted."""
    rows = small.rows(small.tickets(4))
    vocabulary = Vocabulary(build_rows(rows.tokens, 1, 100), 64)
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    targets = [sorted(rows.categories).index(ticket.expected) for ticket in rows.tickets]

    (fitted,) = linear.fit(tickets, targets, Features(vocabulary, 0), 4, [1.0])

    assert fitted.pairs_PS.shape == (0, 4)
    assert scores(fitted, tickets).argmax(axis=1).tolist() == targets


def fitted_to(num_categories: int = 4) -> tuple[Linear, Vocabulary, list[list[str]], list[int], Features]:
    """Return a linear part fitted to the small tickets, with what it was fitted to."""
    rows = small.rows(dict(list(small.tickets(8).items())[:num_categories]))
    vocabulary = Vocabulary(build_rows(rows.tokens, 2, 100), 64)
    labels = sorted(rows.categories)
    targets = [labels.index(ticket.expected) for ticket in rows.tickets]
    features = Features(vocabulary, 50)
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    (found,) = linear.fit(tickets, targets, features, num_categories, [1.0])
    return found, vocabulary, rows.tokens, targets, features


@pytest.mark.parametrize("num_categories", [2, 4])
def test_scores_are_those_of_the_support_vector_machine(num_categories: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folded into rows per word and added up token by token, they decide as scikit-learn's own do.

    Of two categories scikit-learn keeps one score, which is the second's, and less it is the first's.
    """
    from sklearn.svm import LinearSVC

    monkeypatch.setattr(margin, "TOLERANCE", 1e-4)
    found, vocabulary, token_lists, targets, features = fitted_to(num_categories)
    tickets = [vocabulary.encode([*tokens, "inconnu"]) for tokens in token_lists]
    learnt_NF = features.counts([vocabulary.encode(tokens) for tokens in token_lists])
    idf_F = np.log((1 + len(targets)) / (1 + np.asarray((learnt_NF > 0).sum(axis=0))[0])) + 1
    idf_F[V_of(features) : V_of(features) + features.num_grams] *= GRAM_WEIGHT
    idf_F *= linear.NORM / np.sqrt((learnt_NF.multiply(idf_F).power(2)).sum(axis=1).mean())
    machine = LinearSVC(C=1.0, random_state=0).fit(learnt_NF.multiply(idf_F).tocsr(), targets)

    scores_NC = scores(found, tickets)

    expected = machine.decision_function(features.counts(tickets).multiply(idf_F).tocsr())
    expected_NC = expected if num_categories > 2 else np.stack((-expected, expected), axis=1)
    np.testing.assert_allclose(scores_NC, expected_NC, rtol=0, atol=2e-3)  # LIBLINEAR stops at 1e-4 of its own measure
    assert scores_NC.dtype == np.float32


def V_of(features: Features) -> int:  # noqa: N802
    """Return the number of known words."""
    return features.num_words


def test_unknown_words_are_read_by_their_ngrams() -> None:
    """A misspelt word that stood in no ticket says what the right one says."""
    found, vocabulary, token_lists, targets, _ = fitted_to()

    misspelt = [[token.replace("facture", "facturre") for token in tokens] for tokens in token_lists]
    assert misspelt != token_lists

    scores_NC = scores(found, [vocabulary.encode(tokens) for tokens in misspelt])

    assert scores_NC.argmax(axis=1).tolist() == targets


def test_category_without_a_ticket_scores_below_all_others() -> None:
    """A fold may hold no ticket of a small category; it is then never the answer."""
    rows = small.rows(small.tickets(4))
    vocabulary = Vocabulary(build_rows(rows.tokens, 1, 100), 64)
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    labels = sorted(rows.categories)
    targets = [labels.index(ticket.expected) for ticket in rows.tickets]

    (fitted,) = linear.fit(tickets, targets, Features(vocabulary, 50), 5, [1.0])

    scores_NC = scores(fitted, [*tickets, vocabulary.encode(["rien", "de", "connu"])])
    assert (scores_NC.argmax(axis=1) < 4).all()


def test_same_tickets_give_the_same_rows() -> None:
    """It is a convex problem, solved with a fixed seed."""
    first, *_ = fitted_to()
    second, *_ = fitted_to()

    np.testing.assert_array_equal(first.words_VS, second.words_VS)
    np.testing.assert_array_equal(first.pairs_PS, second.pairs_PS)
    assert not first.words_VS[:2].any()  # the reserved rows
    assert not first.grams_GS[0].any()
    assert not first.pairs_PS[0].any()


def test_vectors_let_a_word_say_what_its_neighbours_say() -> None:
    """A word that no ticket holds, with the vector of one that tickets hold, is scored like it."""
    rows = small.rows(small.tickets(8))
    words = build_rows(rows.tokens, 1, 100)
    num_taught = len(words)
    words |= {"zzz": num_taught}
    vocabulary = Vocabulary(words, 5000)
    directions_VD = np.random.default_rng(0).normal(size=(len(words), 40)).astype(np.float32)
    directions_VD[:2] = 0.0
    directions_VD[num_taught] = directions_VD[words["facture"]]
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    labels = sorted(rows.categories)
    targets = [labels.index(ticket.expected) for ticket in rows.tickets]

    (found,) = linear.fit(tickets, targets, Features(vocabulary, 50, num_taught, directions_VD), 4, [1.0])
    (without,) = linear.fit(tickets, targets, Features(vocabulary, 50, num_taught), 4, [1.0])

    stranger = [vocabulary.encode(["zzz"])]
    assert found.num_taught == without.num_taught == num_taught
    assert labels[int(scores(found, stranger).argmax())] == "Facture"
    np.testing.assert_allclose(scores(without, stranger), scores(without, [vocabulary.encode(["yyyyy"])]), atol=0.2)


def test_scores_with_vectors_are_those_of_the_support_vector_machine() -> None:
    """The sum of the vectors, folded into the words' rows, decides the training tickets as LIBLINEAR does."""
    rows = small.rows(small.tickets(8))
    vocabulary = Vocabulary(build_rows(rows.tokens, 1, 100), 64)
    directions_VD = np.random.default_rng(0).normal(size=(len(vocabulary), 10)).astype(np.float32)
    directions_VD[:2] = 0.0
    tickets = [vocabulary.encode(tokens) for tokens in rows.tokens]
    labels = sorted(rows.categories)
    targets = [labels.index(ticket.expected) for ticket in rows.tickets]

    (found,) = linear.fit(tickets, targets, Features(vocabulary, 50, None, directions_VD), 4, [1.0])

    assert scores(found, tickets).argmax(axis=1).tolist() == targets
    assert not found.words_VS[:2].any()


def test_scores_are_sums_ticket_by_ticket() -> None:
    """Rows of known words, of the n-grams of unknown ones and of pairs, added up one by one, over sqrt(length)."""
    found, vocabulary, token_lists, *_ = fitted_to()
    tickets = [
        vocabulary.encode(["zzz", *tokens, "autre", "zzz"][: 2 + place]) for place, tokens in enumerate(token_lists)
    ]

    scores_NC = scores(found, tickets)

    for row_C, ticket in zip(scores_NC, tickets, strict=True):
        expected_C = found.pairs_PS[
            pair_rows(np.array(ticket.ids), np.array([len(ticket.ids)]), len(vocabulary), 50)
        ].sum(0)
        for number in ticket.ids:
            unknown = number - len(vocabulary)
            expected_C += found.grams_GS[ticket.grams[unknown]].sum(0) if unknown >= 0 else found.words_VS[number]
        np.testing.assert_allclose(row_C, expected_C / math.sqrt(len(ticket.ids)) + found.bias_C, rtol=0, atol=1e-5)
    assert scores(found, []).shape == (0, 4)


def test_features_that_are_alike_become_one_column_of_the_same_problem() -> None:
    """Fewer columns give every two tickets the same product; each feature has its share of its column's weight."""
    _, vocabulary, token_lists, _, features = fitted_to()
    weighted = linear.weigh([vocabulary.encode(tokens) for tokens in token_lists], features)

    columns = linear.merge(weighted)

    few_NM, all_NF = columns.matrix_NM.toarray(), weighted.matrix_NF.toarray()
    assert few_NM.shape[1] < (all_NF.any(axis=0)).sum()
    np.testing.assert_allclose(few_NM @ few_NM.T, all_NF @ all_NF.T, rtol=1e-5)
    weights_M = np.random.default_rng(0).normal(size=few_NM.shape[1])
    counts_NF = all_NF / weighted.weight_F
    scores_N = counts_NF @ (weights_M[columns.column_F] * columns.share_F)
    np.testing.assert_allclose(scores_N, few_NM @ weights_M, rtol=0, atol=1e-5)
