"""Tests of artifacts/networks/explain.py: a token's weight is what asking without it says, and the work has a bound."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from artifacts.arrays import Floats
from artifacts.errors import NotFinite
from artifacts.networks import explain
from artifacts.networks.explain import MAX_UNKNOWN, MAX_VARIANTS, begin, log_odds, variants, window
from artifacts.networks.gru import GruModel
from artifacts.text.tickets import TicketSearch
from artifacts.text.tokens import MAX_TOKENS
from artifacts.text.vocabulary import UNK, Encoded

TICKET = ["avoir", "problème", "conntecter", "<PRODUCT>", "coffre", "conntecter", "motdepase"]


def asked_alone(model: GruModel, tokens: Sequence[str], category: str) -> tuple[float, float]:
    """Return log-odds and probability of a category for one ticket, asked by itself."""
    (row_C,) = model.probabilities([model.encode(tokens)])
    label = model.labels.index(category)
    others = sum(p for place, p in enumerate(row_C.tolist()) if place != label)
    return math.log(row_C[label] / others), float(row_C[label])


def test_weights_are_those_of_asking_one_by_one(model: GruModel) -> None:
    """Each token's weight is what the model says of the ticket with it less what it says of the tokens without it."""
    answer = model.predict([model.encode(TICKET)])[0]
    whole, _ = asked_alone(model, TICKET, answer.category)

    found = explain.explain(model, model.encode(TICKET))

    assert (found.category, found.window, found.method, found.unit) == (answer.category, 1, "occlusion", "log-odds")
    assert [one.token for one in found.tokens] == TICKET
    assert [one.known for one in found.tokens] == [token in model.vocabulary.rows for token in TICKET]
    for place, one in enumerate(found.tokens):
        without, confidence = asked_alone(model, TICKET[:place] + TICKET[place + 1 :], answer.category)
        assert one.weight == pytest.approx(whole - without, abs=1e-4)
        assert one.confidence == pytest.approx(confidence, abs=1e-6)


def test_long_ticket_is_occluded_in_windows(model: GruModel) -> None:
    """Of 150 tokens 3 are left out at once and share a weight; of the last window there are as many as are left."""
    words = [word for word in model.vocabulary.rows if model.vocabulary.rows[word] > UNK]
    tokens = [words[place * place % len(words)] for place in range(152)]
    category = model.predict([model.encode(tokens)])[0].category
    whole, _ = asked_alone(model, tokens, category)

    found = explain.explain(model, model.encode(tokens))

    assert (found.window, len(found.tokens)) == (3, 152)
    for place in (0, 2, 3, 77, 149, 150, 151):
        start = place // 3 * 3
        without, _ = asked_alone(model, tokens[:start] + tokens[start + 3 :], category)
        assert found.tokens[place].weight == pytest.approx(whole - without, abs=1e-4)


@pytest.mark.parametrize("num_tokens", [1, 2, 30, 63, 64, 65, 100, 128, 129, 511, MAX_TOKENS])
def test_variants_are_bounded_and_leave_every_token_out_once(num_tokens: int) -> None:
    """There are at most 64, each lacks one window, and together the windows are the ticket."""
    ticket = Encoded(list(range(2, num_tokens + 2)), [], [], 0)
    found = variants(ticket)

    missing = [[number for number in ticket.ids if number not in variant.ids] for variant in found]

    assert len(found) <= MAX_VARIANTS
    assert [number for one in missing for number in one] == ticket.ids
    assert {len(one) for one in missing[:-1]} <= {window(num_tokens)}
    assert all(variant.ids for variant in found)


def test_thirty_tokens_cost_thirty_one_tickets(model: GruModel) -> None:
    """The predicted cost and the tickets that are asked are those of the ticket and of each token's absence."""
    work = begin(model, model.encode(["avoir"] * 30))

    assert work.cost == 30 + 30 * 29
    assert sum(work.steps) == 31


def test_only_token_gives_way_to_unk(model: GruModel) -> None:
    """A ticket of one token is compared with <UNK>, because a ticket of none is no ticket."""
    found = explain.explain(model, model.encode(["coffre"]))
    label = model.labels.index(found.category)

    (unk_C,) = model.probabilities([Encoded([UNK], [], [], 0)])

    assert found.tokens[0].confidence == pytest.approx(float(unk_C[label]), abs=1e-6)


def test_unknown_tokens_have_neighbours_up_to_a_bound(model: GruModel) -> None:
    """The 64th distinct unknown token has its nearest words, the 65th has no such field; known ones never have."""
    tokens = ["avoir", *(f"problèmes{number}" for number in range(MAX_UNKNOWN + 1))]

    found = explain.explain(model, model.encode(tokens))

    assert [one.nearest is None for one in found.tokens] == [True] + [False] * MAX_UNKNOWN + [True]
    assert found.tokens[1].nearest is not None
    assert found.tokens[1].nearest[0].token == "problème"


def test_log_odds_keep_what_a_probability_near_1_loses() -> None:
    """Three categories, of which one has all but 2e-9 and 0: ln(1 / 2e-9); a probability of 0 stays finite."""
    rows = np.array([[1.0, 1e-9, 1e-9], [0.0, 0.5, 0.5], [0.5, 0.5, 0.0]], dtype=np.float32)

    sure, never, even = log_odds(rows, 0)

    assert sure == pytest.approx(math.log(1 / 2e-9))
    assert never < -80
    assert even == 0.0


def test_answer_that_is_no_number_explains_nothing(model: GruModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose weights have come to NaN says so."""

    def nothing(tickets: Sequence[Encoded]) -> Floats:
        return np.full((len(tickets), 3), np.nan, dtype=np.float32)

    monkeypatch.setattr(model, "probabilities", nothing)
    with pytest.raises(NotFinite, match="train it again"):
        explain.explain(model, model.encode(["avoir"]))


def test_steps_do_not_depend_on_each_other(model: GruModel) -> None:
    """Two explanations whose steps alternate are the two that are made one after the other."""
    tickets = [model.encode(TICKET), model.encode(["client", *TICKET])]
    works = [begin(model, ticket).steps for ticket in tickets]

    found: dict[int, object] = {}
    while len(found) < len(works):
        for number, steps in enumerate(works):
            try:
                next(steps)
            except StopIteration as end:
                found.setdefault(number, end.value)

    # The second time such a generator ends it has nothing to say, which `setdefault` leaves out.
    assert [found[0], found[1]] == [explain.explain(model, ticket) for ticket in tickets]


@pytest.mark.parametrize("several", [{"vectors": [["avoir"]]}, {"texts": ["avoir", "coffre"]}])
def test_several_tickets_are_not_explained(several: dict[str, list[object]]) -> None:
    """`explain` goes with one ticket, and says so."""
    with pytest.raises(ValueError, match="goes with one ticket; send `vector` or `text`"):
        TicketSearch(name="m", neural_network_type="GRU", explain=True, **several)  # type: ignore[arg-type]
