"""Which rows a version has learnt from, and an evaluation that these do not flatter."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.evaluation.metrics import Metrics
from artifacts.kinds import load
from artifacts.networks.learnt import NO_LIST, evaluate_apart, seen, trained_on, why_unknown, with_parts
from artifacts.networks.manifest import TrainedOn
from artifacts.networks.runtime import Model
from artifacts.schemas import Evaluation
from artifacts.store.store import Store
from artifacts.text.tickets import Ticket
from artifacts.text.vocabulary import Encoded

CLIENT, CONNECTION = ["créer", "client"], ["connexion", "impossible"]


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 80)))
def test_rows_of_the_list_are_found_and_no_others(learnt: list[int], asked: list[int]) -> None:
    """As a set of the rows says, whatever their number and order."""
    kept = trained_on([Ticket("a", [f"mot{number}"]) for number in learnt])
    rows = [Ticket("b", [f"mot{number}"]) for number in asked]

    if learnt:
        assert seen(rows, kept) == [number in learnt for number in asked]
    else:
        assert seen(rows, msgspec.structs.replace(kept, rules=2)) == [False] * len(asked)


@pytest.fixture
def model(store: Store) -> Model[Encoded]:
    """Give the fixture's model."""
    loaded: Model[Encoded] = load(*store.read_version("puppet-o2", 1))
    return loaded


def figures(model: Model[Encoded], rows: list[Ticket], was_seen: list[bool] | None) -> list[Evaluation | None]:
    """Return the metrics of the clean rows and of the learnt ones."""
    return [*evaluate_apart(model, rows, [model.encode(row.content) for row in rows], was_seen)]


def test_learnt_rows_are_measured_apart(model: Model[Encoded]) -> None:
    """Each part is what it is by itself, but its mistakes keep the numbers of the whole."""
    rows = [Ticket("Facture", CLIENT), Ticket("Création de client", CLIENT), Ticket("x", CONNECTION)]

    clean, learnt = figures(model, rows, [False, True, False])

    assert isinstance(clean, Metrics)
    assert isinstance(learnt, Metrics)
    alone, _ = figures(model, [rows[0], rows[2]], None)
    assert isinstance(alone, Metrics)
    assert {mistake.row for mistake in alone.mistakes} == {0, 1}
    assert {mistake.row for mistake in clean.mistakes} == {0, 2}
    assert msgspec.structs.replace(clean, mistakes=[]) == msgspec.structs.replace(alone, mistakes=[])
    assert (learnt.total_tests, learnt.accuracy) == (1, 1.0)
    whole = with_parts(clean, clean, learnt)
    assert whole.clean == clean.part
    assert whole.learnt is not None
    assert (whole.learnt["num_tickets"], whole.learnt["accuracy"], whole.learnt["accuracy_high"]) == (1, 1.0, 1.0)


def test_a_part_without_a_row_has_no_figures(model: Model[Encoded]) -> None:
    """Nothing is made up for it: its fields are there and empty."""
    rows = [Ticket("Création de client", CLIENT)]

    for was_seen, empty in (([True], "clean"), ([False], "learnt")):
        clean, learnt = figures(model, rows, was_seen)
        whole = clean or learnt
        assert whole is not None
        found = with_parts(whole, clean, learnt)
        part = getattr(found, empty)
        assert part["num_tickets"] == 0
        assert {value for name, value in part.items() if name != "num_tickets"} == {None}


def test_tickets_without_a_word_go_with_the_rows_that_are_measured(model: Model[Encoded]) -> None:
    """They come last and have no encoded ticket: errors of the clean part, or of the learnt one where nothing is clean.

    By themselves they would be a measurement on nothing but errors.
    """
    known, other, empty = (
        Ticket("Création de client", CLIENT),
        Ticket("Facture", ["nouveau"]),
        Ticket("Facture", text="..."),
    )

    clean, learnt = evaluate_apart(
        model, [known, other, empty], [model.encode(CLIENT), model.encode(["nouveau"])], [True, False]
    )

    assert isinstance(clean, Metrics)
    assert (clean.total_tests, clean.num_empty) == (2, 1)
    assert [mistake.row for mistake in clean.mistakes][-1] == 2
    assert isinstance(learnt, Metrics)
    assert (learnt.total_tests, learnt.num_empty) == (1, 0)

    nothing, all_of_it = evaluate_apart(model, [known, empty], [model.encode(CLIENT)], [True])

    assert nothing is None
    assert isinstance(all_of_it, Metrics)
    assert (all_of_it.total_tests, all_of_it.num_empty) == (2, 1)


def test_a_version_that_kept_no_list_says_so(store: Store) -> None:
    """It loads and answers, and an evaluation gives no parts but the reason; so does one whose report is no JSON."""
    manifest, files = store.read_version("puppet-o2", 1)
    rows = [Ticket("Facture", CLIENT)]
    for report in (b'{"epochs": []}', b"no report"):
        model: Model[Encoded] = load(manifest, files | {"report.json": report})

        assert model.trained_on is None
        assert seen(rows, model.trained_on) is None
        clean, learnt = figures(model, rows, seen(rows, model.trained_on))
        assert clean is not None
        found = with_parts(clean, clean, learnt, why_unknown(rows, model.trained_on))
        assert (found.clean, found.learnt, found.unknown) == (None, None, NO_LIST)


def test_a_list_that_was_cut_short_is_read_as_far_as_it_goes() -> None:
    """Half a hash at its end is none."""
    kept = trained_on([Ticket("a", ["un"]), Ticket("a", ["deux"])])
    cut = TrainedOn(kept.salt, kept.hashes[:12], kept.rules)

    assert sum(seen([Ticket("a", ["un"]), Ticket("a", ["deux"])], cut) or []) == 1
