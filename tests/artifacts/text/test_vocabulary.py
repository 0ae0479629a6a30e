"""Tests of artifacts/text/vocabulary.py: which words get a row, and which ids a ticket gets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import ArtifactRefused, EmptyTicket, InvalidText
from artifacts.text.tokens import MAX_TOKENS, NEWEST, RULES, ngrams, tokenize
from artifacts.text.vocabulary import PAD, RESERVED, UNK, Vocabulary, build_rows

BUCKETS = 100
V = 5


@pytest.fixture
def vocabulary() -> Vocabulary:
    """Give a vocabulary of five rows: the reserved ones, `accès`, `<PRODUCT>` and `mot de passe`."""
    return Vocabulary({"<PAD>": 0, "<UNK>": 1, "accès": 2, "<PRODUCT>": 3, "mot de passe": 4}, BUCKETS)


def test_reserved_rows_come_first() -> None:
    """Row 0 is padding and row 1 the unknown word, in an empty vocabulary too, and a ticket cannot claim them."""
    assert build_rows([], 1, 10) == {"<PAD>": PAD, "<UNK>": UNK} == {"<PAD>": 0, "<UNK>": 1}
    assert build_rows([["<UNK>", "<PAD>", "a"]] * 3, 1, 10) == {"<PAD>": 0, "<UNK>": 1, "a": 2}


def test_minimum_count_counts_tickets() -> None:
    """A word that one ticket repeats ten times stands in one ticket, so a minimum of two keeps it out."""
    tickets = [["dupont"] * 10, ["accès"], ["accès"]]

    assert build_rows(tickets, 2, 10) == {"<PAD>": 0, "<UNK>": 1, "accès": 2}


def test_most_frequent_words_are_kept() -> None:
    """`max_size` rows beside the reserved ones, the most frequent words first."""
    tickets = [["a", "b", "c"], ["b", "c"], ["c"]]

    assert build_rows(tickets, 1, 2) == {"<PAD>": 0, "<UNK>": 1, "c": 2, "b": 3}


def test_ties_go_by_spelling() -> None:
    """Words that are as frequent as each other are ordered by code point."""
    assert list(build_rows([["é", "b", "a", "Z"]], 1, 3)) == [*RESERVED, "Z", "a", "b"]


@given(st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=8), max_size=12), st.integers(1, 3), st.integers(0, 9))
def test_rows_do_not_depend_on_the_order_of_tickets(tickets: list[list[str]], min_count: int, max_size: int) -> None:
    """The same tickets, shuffled inside and out, give the same rows in the same order."""
    shuffled = [random.sample(ticket, len(ticket)) for ticket in random.sample(tickets, len(tickets))]

    rows = build_rows(tickets, min_count, max_size)

    assert list(build_rows(shuffled, min_count, max_size).items()) == list(rows.items())
    assert list(rows.values()) == list(range(len(rows)))
    assert len(rows) <= max_size + 2
    assert all(sum(word in ticket for ticket in tickets) >= min_count for word in rows.keys() - set(RESERVED))


def test_known_tokens_get_their_rows(vocabulary: Vocabulary) -> None:
    """A token is looked up in its own spelling, else in its normalised one."""
    encoded = vocabulary.encode(["accès", "ACCE\u0300S", "<PRODUCT>", "Mot de  passe"])

    assert encoded.ids == [2, 2, 3, 4]
    assert (encoded.unknown, encoded.grams, encoded.num_truncated) == ([], [], 0)


def test_unknown_tokens_are_numbered_from_v(vocabulary: Vocabulary) -> None:
    """The u-th distinct unknown token is V + u, at each repetition, and brings its n-grams once."""
    encoded = vocabulary.encode(["lent", "accès", "panne", "LENT", "panne", "zut"])

    assert encoded.ids == [V, 2, V + 1, V, V + 1, V + 2]
    assert encoded.unknown == ["lent", "panne", "zut"]
    assert encoded.grams == [ngrams("lent", BUCKETS), ngrams("panne", BUCKETS), ngrams("zut", BUCKETS)]


def test_text_goes_through_the_tokenizer(vocabulary: Vocabulary) -> None:
    """Raw text gives the ids of its words."""
    text = "L’Accès à <PRODUCT> : 06 12 34 56 78"

    encoded = vocabulary.encode(text)

    assert encoded.ids == [V, 2, V + 1, 3, V + 2]
    assert encoded.unknown == ["l'", "à", "<PHONE>"]


def test_personal_token_is_not_kept(vocabulary: Vocabulary) -> None:
    """An e-mail address among the tokens comes back as a placeholder, never as itself."""
    assert vocabulary.encode(["Jean@mail.fr"]).unknown == ["<EMAIL>"]


def test_tokens_past_the_limit_are_counted(vocabulary: Vocabulary) -> None:
    """512 tokens are read and the others counted, at the limit, one above and far above."""
    assert vocabulary.encode(["accès"] * MAX_TOKENS).num_truncated == 0
    assert vocabulary.encode(["accès"] * (MAX_TOKENS + 1)).num_truncated == 1
    assert len(vocabulary.encode(["accès"] * (MAX_TOKENS + 1)).ids) == MAX_TOKENS == 512
    assert vocabulary.encode("accès " * 700).num_truncated == 188
    assert vocabulary.encode([*["accès"] * MAX_TOKENS, "panne"]).unknown == []


@pytest.mark.parametrize("as_text", [False, True])
def test_long_token_is_cut_and_counted(vocabulary: Vocabulary, as_text: bool) -> None:
    """A token over 256 characters is cut and counted as truncated, among tokens and in raw text alike."""
    just, over = "x" * 256, "x" * 257

    encoded = vocabulary.encode(f"{just} {over} accès" if as_text else [just, over, "accès"])

    assert encoded.ids == [V, V, 2]
    assert encoded.unknown == [just]
    assert encoded.num_truncated == 1


def test_both_kinds_of_truncation_add_up(vocabulary: Vocabulary) -> None:
    """Cut tokens and tokens past the limit are one number."""
    assert vocabulary.encode(["x" * 300, "y" * 300, *["accès"] * 513]).num_truncated == 2 + 3


def test_blank_tokens_are_left_out(vocabulary: Vocabulary) -> None:
    """A token of white space gives no id."""
    assert vocabulary.encode(["", "accès", " \u00a0", "\n"]).ids == [2]


@pytest.mark.parametrize("content", [[], [""], [" ", "\t\u00a0"], "", "   ", "... ; -"])
def test_empty_ticket_is_refused(vocabulary: Vocabulary, content: list[str] | str) -> None:
    """A ticket without a readable token is refused, because no length of 0 may reach the graph."""
    with pytest.raises(EmptyTicket):
        vocabulary.encode(content)


@pytest.mark.parametrize("content", [["a\0b"], "a\0b", ["\ud83d"], "\udc00"])
def test_text_that_is_no_text_is_refused(vocabulary: Vocabulary, content: list[str] | str) -> None:
    """NUL and lone surrogates are our own error, not one of a codec."""
    with pytest.raises(InvalidText):
        vocabulary.encode(content)


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"<PAD>": 0},
        {"<PAD>": 1, "<UNK>": 0},
        {"<UNK>": 1, "a": 0},
        {"<PAD>": 0, "<UNK>": 1, "a": 3},
        {"<PAD>": 0, "<UNK>": 1, "a": 2, "b": 2},
        {"<PAD>": 0, "<UNK>": 1, "a": -1},
        {"<PAD>": 0, "<UNK>": 1, "<A>": 1},
    ],
)
def test_rows_with_a_gap_are_refused(rows: dict[str, int]) -> None:
    """Rows that are not 0..V-1, each of one word, or lack the reserved ones, are no vocabulary."""
    with pytest.raises(ArtifactRefused, match=r"vocab\.json"):
        Vocabulary(rows, BUCKETS)


def test_alias_has_the_row_of_another_placeholder() -> None:
    """It is known under that row, and unknown tokens are counted from the number of rows on, not of tokens."""
    vocabulary = Vocabulary({"<PAD>": 0, "<UNK>": 1, "<A>": 2, "a": 3, "<B>": 2}, BUCKETS)

    assert len(vocabulary) == 4
    assert vocabulary.encode(["<B>", "a", "x"]).ids == [2, 3, 4]
    assert vocabulary.encode("<B> a").ids == vocabulary.encode(["<A>", "a"]).ids == [2, 3]


@given(st.one_of(st.lists(st.text(max_size=300), max_size=600), st.text(max_size=2000), st.just("été " * 700)))
def test_any_ticket_encodes_within_the_limits(content: list[str] | str) -> None:
    """Any strings give 1..512 ids in range with their n-grams, or are refused for a stated reason."""
    vocabulary = Vocabulary({"<PAD>": 0, "<UNK>": 1, "a": 2, "é": 3}, BUCKETS)
    try:
        encoded = vocabulary.encode(content)
    except (EmptyTicket, InvalidText):
        return

    num_unknown = len(encoded.unknown)
    assert 1 <= len(encoded.ids) <= MAX_TOKENS
    assert set(range(4, 4 + num_unknown)) <= set(encoded.ids) <= set(range(4 + num_unknown))
    assert len(encoded.grams) == num_unknown == len(set(encoded.unknown))
    assert all(1 <= len(rows) <= 24 and 1 <= min(rows) <= max(rows) <= BUCKETS for rows in encoded.grams)
    num_given = len(tokenize(content)) if isinstance(content, str) else len(content)
    assert encoded.num_truncated >= max(0, num_given - MAX_TOKENS)


@pytest.mark.parametrize("tokens", [["<PAD>"], ["a", "<PAD>", "b"], ["a", "zzz", "<PAD>"]])
def test_no_ticket_holds_the_padding(tokens: list[str]) -> None:
    """A token that is spelled so is read as <UNK>: to the graph the id 0 is the ticket's end."""
    vocabulary = Vocabulary({"<PAD>": 0, "<UNK>": 1, "a": 2, "b": 3}, 50)

    assert vocabulary.encode(tokens).ids[tokens.index("<PAD>")] == 1


def test_tickets_are_read_by_the_rules_of_the_words() -> None:
    """A vocabulary that rules 1 made holds <NUM> and no shape of a number; read by rules 2 it would miss it."""
    rows = {"<PAD>": 0, "<UNK>": 1, "<NUM>": 2}

    assert Vocabulary(rows, BUCKETS, RULES[1]).encode("12,50").ids == [2]
    assert Vocabulary(rows, BUCKETS, RULES[2]).encode("12,50").unknown == ["<99,99>"]
    assert Vocabulary(rows, BUCKETS).rules == NEWEST
    assert Vocabulary(rows, BUCKETS, NEWEST._replace(max_tokens=2)).encode("1 1 1").num_truncated == 1
