"""The synthetic tickets: reproducible, shaped like the seed's tickets, learnable but not perfectly.

`synthetic.py` promises properties, not sentences, so these tests measure a whole set of 3,000 tickets; one hash pins
the content. The Naive Bayes below is the independent judge of difficulty: it shares no code with the generator.
"""

import hashlib
import json
import math
import statistics
import unicodedata
from collections import Counter

import pytest

from trainer.samples.synthetic import CATEGORIES, PHRASES, generate

Tickets = list[tuple[str, list[str]]]

NUM_TICKETS = 3_000
NUM_TRAIN = 2_400


@pytest.fixture(scope="module")
def tickets() -> Tickets:
    """Give the 3,000 tickets that the tests measure."""
    return generate(NUM_TICKETS, seed=0)


@pytest.fixture(scope="module")
def token_counts(tickets: Tickets) -> Counter[str]:
    """Give how often each token occurs in them."""
    return Counter(token for _, tokens in tickets for token in tokens)


def test_same_seed_gives_same_tickets() -> None:
    """Two calls with one seed return equal tickets, and another seed returns other ones."""
    assert generate(50, seed=7) == generate(50, seed=7)
    assert generate(50, seed=7) != generate(50, seed=8)


def test_content_is_the_same_on_every_machine() -> None:
    """The first 200 tickets of seed 0 have a known hash; after a wanted change of the tables, write the new one."""
    content = json.dumps(generate(200, seed=0)).encode()  # pure ASCII: independent of any locale

    assert hashlib.sha256(content).hexdigest() == "75b1938c00393e579e8f97187a4872f45ff5d38746d62e543d4708198cf6780a"


@pytest.mark.parametrize("num_tickets", [0, 1, 37, 500])
def test_num_tickets_is_honoured(num_tickets: int) -> None:
    """As many tickets come back as were asked for."""
    assert len(generate(num_tickets, seed=3)) == num_tickets


def test_fewer_tickets_are_the_first_of_more() -> None:
    """A small set of a seed is the beginning of a larger one of the same seed."""
    assert generate(100, seed=5)[:10] == generate(10, seed=5)


def test_every_category_occurs_under_its_exact_name(tickets: Tickets) -> None:
    """All categories of the table are drawn, at least 12 of them, with the three that the seed names."""
    names = {category for category, _ in tickets}

    assert names == set(CATEGORIES) == set(PHRASES)
    assert len(names) >= 12
    assert {"Problème de connexion", "Accès utilisateur", "Création de client"} <= names


def test_classes_are_uneven(tickets: Tickets) -> None:
    """The largest class is about ten times the smallest, and the smallest still has enough tickets to split."""
    sizes = Counter(category for category, _ in tickets).values()

    assert 5 <= max(sizes) / min(sizes) <= 20
    assert min(sizes) >= 20


def test_categories_come_in_random_order(tickets: Tickets) -> None:
    """Every category is found in each third of the list, so a cut anywhere is a fair split."""
    third = NUM_TICKETS // 3

    for start in range(0, NUM_TICKETS, third):
        assert {category for category, _ in tickets[start : start + third]} == set(CATEGORIES)


def test_neighbours_are_mutual() -> None:
    """If A may speak of B then B may speak of A, and nobody neighbours itself: else the pair gives the label away."""
    for name, (_, neighbours) in CATEGORIES.items():
        assert neighbours
        assert name not in neighbours
        assert all(name in CATEGORIES[other][1] for other in neighbours)


def test_tokens_are_clean_strings(tickets: Tickets) -> None:
    """Every token is a non-blank, trimmed NFC string, and no sign of the phrase grammar is left in it."""
    for _, tokens in tickets:
        for token in tokens:
            assert isinstance(token, str)
            assert token
            assert token == " ".join(token.split())
            assert unicodedata.is_normalized("NFC", token)
            assert not set("@|?_") & set(token), token


def test_lengths_are_those_of_tickets(tickets: Tickets) -> None:
    """No ticket is empty: 4 to 60 tokens, a median of 15 to 20, and some long threads."""
    lengths = [len(tokens) for _, tokens in tickets]

    assert min(lengths) >= 4
    assert 40 < max(lengths) <= 60
    assert 15 <= statistics.median(lengths) <= 20


@pytest.mark.parametrize(
    "token",
    [
        *("<PRODUCT>", "<NAME>", "<PHONE>", "<EMAIL>", "<COMPANY>", "<ENTREPRISE>", "<NUM>"),
        *("mot de passe", "pièce jointe", "compte client"),
    ],
)
def test_placeholders_and_multi_word_tokens_occur(token_counts: Counter[str], token: str) -> None:
    """The masked values and multi-word tokens of the seed are ordinary tokens of the set."""
    assert token_counts[token] >= 5


def test_placeholders_are_never_misspelt(token_counts: Counter[str]) -> None:
    """A token with an angle bracket is exactly one of the seven placeholders."""
    masked = {token for token in token_counts if "<" in token or ">" in token}

    assert masked == {"<PRODUCT>", "<NAME>", "<PHONE>", "<EMAIL>", "<COMPANY>", "<ENTREPRISE>", "<NUM>"}


def test_typos_of_all_four_kinds_are_a_few_percent(token_counts: Counter[str]) -> None:
    """Long common words are seen with a letter dropped, doubled, swapped and without accents, in 1 to 6 % of cases."""
    seen = Counter[str]()
    words = ("connexion", "utilisateur", "problème", "rappeler", "disponible", "téléphone", "résolu", "accès")
    for word in words:
        pairs = [(word[:at], word[at:]) for at in range(1, len(word))]
        kinds = {
            "dropped": {left + right[1:] for left, right in pairs},
            "doubled": {left + left[-1] + right for left, right in pairs},
            "swapped": {left + right[1] + right[0] + right[2:] for left, right in pairs if len(right) > 1} - {word},
            "no accents": {word.translate(str.maketrans("éè", "ee"))} - {word},
        }
        for kind, forms in kinds.items():
            seen[kind] += sum(token_counts[form] for form in forms)

    assert min(seen[kind] for kind in ("dropped", "doubled", "swapped", "no accents")) >= 1, seen
    assert 0.01 <= seen.total() / sum(token_counts[word] for word in words) <= 0.06


def test_held_out_tickets_hold_unknown_words(tickets: Tickets) -> None:
    """A few percent of the tokens of later tickets never occur in earlier ones: names and typos, as in real life."""
    known = {token for _, tokens in tickets[:NUM_TRAIN] for token in tokens}
    later = [token for _, tokens in tickets[NUM_TRAIN:] for token in tokens]

    assert 0.01 <= sum(token not in known for token in later) / len(later) <= 0.10
    assert len(known | set(later)) >= 2_000


@pytest.mark.parametrize("seed", [0, 1])
def test_exact_duplicates_are_rare(seed: int) -> None:
    """Fewer than 2 % of the tickets repeat the tokens of another one."""
    distinct = {tuple(tokens) for _, tokens in generate(NUM_TICKETS, seed)}

    assert 1 - len(distinct) / NUM_TICKETS < 0.02


@pytest.mark.parametrize(
    ("one", "words_of_one", "other", "words_of_other"),
    [
        ("Problème de connexion", {"connexion", "connecter", "mot de passe"}, "Accès utilisateur", {"droit", "accès"}),
        ("Import de données", {"import", "importer"}, "Export de données", {"export", "exporter", "extraction"}),
        ("Facturation", {"facture", "facturer"}, "Création de client", {"création", "créer"}),
    ],
)
def test_tickets_that_speak_of_two_topics_belong_to_either(
    one: str, words_of_one: set[str], other: str, words_of_other: set[str]
) -> None:
    """Tickets with words of both topics are at least 3 in 1,000, and neither category has more than 4/5 of them."""
    num_tickets = 10_000  # a larger set than elsewhere: such tickets are few for one pair of categories
    both = [
        category
        for category, tokens in generate(num_tickets, seed=0)
        if category in (one, other) and words_of_one & set(tokens) and words_of_other & set(tokens)
    ]

    assert len(both) >= 0.003 * num_tickets
    assert 0.2 <= both.count(one) / len(both) <= 0.8


def test_bag_of_words_learns_most_but_not_all(tickets: Tickets) -> None:
    """A Naive Bayes on 2,400 tickets is right on 80 to 96 % of the other 600: learnable, honestly ambiguous."""
    train, held_out = tickets[:NUM_TRAIN], tickets[NUM_TRAIN:]
    vocabulary = {token for _, tokens in train for token in tokens}
    num_train = Counter(category for category, _ in train)
    counts = {
        name: Counter(token for category, tokens in train if category == name for token in tokens) for name in num_train
    }

    def log_probability(name: str, tokens: list[str]) -> float:
        # Additive smoothing of 0.1: unknown words cost every category about the same.
        total = counts[name].total() + 0.1 * len(vocabulary)
        return math.log(num_train[name]) + sum(math.log((counts[name][token] + 0.1) / total) for token in tokens)

    num_right = sum(
        category == max(num_train, key=lambda name: log_probability(name, tokens)) for category, tokens in held_out
    )

    assert 0.80 <= num_right / len(held_out) <= 0.96
