"""A new version is called better only where luck would hardly do as much, on rows that it has not learnt by heart."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import ArtifactRefused, InvalidContent
from artifacts.networks.learnt import read_trained_on, seen, trained_on, why_unknown
from artifacts.networks.manifest import Change, Comparison, TrainedOn
from artifacts.networks.simple_nn import Example, Value
from artifacts.store.store import Store
from artifacts.text.tickets import Prediction, Ticket
from tests.trainer import small
from tests.trainer.small import NAME
from trainer.data.tickets import Rows
from trainer.run import fit
from trainer.selection.compare import (
    compare_published,
    compared,
    judged,
    p_value,
)

LABELS = ("billing", "access")


def tickets(categories: Sequence[str]) -> list[Ticket]:
    """Return a ticket of each category, no two alike."""
    return [Ticket(category, [f"word{number}"]) for number, category in enumerate(categories)]


def answers(categories: Sequence[str]) -> list[Prediction]:
    """Return what a model would say."""
    return [Prediction(category, 0.9, [], 0) for category in categories]


def verdict(num_rows: int, num_better: int, num_worse: int) -> Comparison:
    """Return the verdict on so many rows, of which each version gets some right that the other gets wrong."""
    expected = ["billing"] * num_rows
    old = ["access"] * num_better + ["billing"] * (num_rows - num_better)
    new = ["billing"] * (num_rows - num_worse) + ["access"] * num_worse
    return judged(compared(tickets(expected), answers(old), answers(new), range(num_rows), "test_data", 3))


@given(st.integers(0, 60), st.integers(0, 60))
def test_p_value_is_the_share_of_coin_tosses_that_go_as_well(num_better: int, num_worse: int) -> None:
    """Of all 2^n outcomes of n tosses, it is the share with as many wins or more."""
    n = num_better + num_worse

    found = p_value(num_better, num_worse)

    assert found == pytest.approx(sum(math.comb(n, k) for k in range(num_better, n + 1)) / 2**n)


def test_rows_whose_answer_changes_are_listed_by_number() -> None:
    """A row is told by the caller's number, what was expected and both answers; those that both answer alike are not.

    Of five rows the old version gets the first three right and the new one the first two and the last: one lost, one
    won, and one where the wrong answer has changed.
    """
    rows = tickets(["billing", "billing", "billing", "access", "access"])
    old = answers(["billing", "billing", "billing", "other", "billing"])
    new = answers(["billing", "billing", "access", "third", "access"])

    found = compared(rows, old, new, [10, 11, 12, 13, 14], "validation", 7)

    assert (found.against, found.measured_on, found.num_rows) == (7, "validation", 5)
    assert (found.num_better, found.num_worse, found.num_changes) == (1, 1, 3)
    assert found.old == {"accuracy": pytest.approx(0.6)}
    assert found.new == {"accuracy": pytest.approx(0.6)}
    assert found.changes == [
        Change(12, "billing", "billing", "access"),
        Change(13, "access", "other", "third"),
        Change(14, "access", "billing", "access"),
    ]


def test_of_two_numbers_the_nearer_one_wins() -> None:
    """Errors 1 and 2 against .5 and 3: one row won, one lost, and the mean error goes from 1.5 to 1.75."""
    rows = [Example([0.0], 10.0), Example([1.0], 20.0)]

    found = compared(rows, [Value(11.0), Value(18.0)], [Value(9.5), Value(23.0)], [0, 1], "test_data", 1)

    assert (found.num_better, found.num_worse) == (1, 1)
    assert (found.old, found.new) == ({"mae": 1.5}, {"mae": 1.75})


def test_a_thousand_changes_are_kept_and_all_are_counted() -> None:
    """A list of changes cannot make a manifest too large to be read; long names are cut for the same reason."""
    rows = tickets(["x" * 500] * 1500)

    found = compared(rows, answers(["y" * 500] * 1500), answers(["z" * 500] * 1500), range(1500), "test_data", 1)

    assert (found.num_changes, len(found.changes)) == (1500, 1000)
    assert found.changes[-1] == Change(999, "x" * 100, "y" * 100, "z" * 100)


def test_better_by_more_than_luck_is_better() -> None:
    """20 won and 5 lost: p = .002."""
    found = verdict(200, 20, 5)

    assert found.is_better
    assert found.p_value == pytest.approx(0.00204, rel=0.01)
    assert found.detail == (
        "better than version 3: wins 20 rows of 200 and loses 5 (accuracy 0.9 -> 0.975); "
        "chance would do as much with p = 0.002, the limit is 0.05"
    )


def test_better_by_what_luck_may_do_is_not_surely_better() -> None:
    """8 won and 4 lost: p = .19."""
    found = verdict(200, 8, 4)

    assert not found.is_better
    assert "not surely better than version 3: wins 8 rows of 200 and loses 4" in found.detail
    assert "p = 0.19, the limit is 0.05" in found.detail


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (7, 7), (5, 20)])
def test_as_good_or_worse_is_not_better(won: int, lost: int) -> None:
    """It has to win more than it loses, whatever the test says."""
    found = verdict(200, won, lost)

    assert not found.is_better
    assert found.detail.startswith("not better than version 3: wins")


@pytest.mark.parametrize(("num_rows", "is_better"), [(99, False), (100, True)])
def test_under_a_hundred_rows_nothing_is_better(num_rows: int, is_better: bool) -> None:
    """However clear it looks; the message says how many there were and what to do."""
    found = verdict(num_rows, 50, 0)

    assert found.is_better is is_better
    assert ("99 rows to compare on, fewer than 100; send more as test_data" in found.detail) is not is_better


def test_rows_that_were_trained_on_are_known_again() -> None:
    """In whatever form they come, and under whatever category; others are not."""
    kept = trained_on([Ticket("a", ["Facture", "double"]), Ticket("a", ["accès"]), Ticket("b", ["accès"])])
    asked = [
        Ticket("other", ["facture", "double"]),
        Ticket("a", text="FACTURE double"),
        Ticket("a", ["facture", "simple"]),
        Ticket("a", ["double", "facture"]),
    ]

    assert seen(asked, kept) == [True, True, False, False]
    assert len(kept.hashes) == 2 * 8  # each distinct row once


def test_a_list_says_by_which_rules_it_was_made_and_is_read_by_them() -> None:
    """Under rules 1 two amounts are one ticket, under rules 2 two; a list of either is asked in its own way."""
    salt = b"salt"
    first, second = Ticket("a", text="payé 12,50"), Ticket("a", text="payé 1500,75")
    by_rules = {
        rules: TrainedOn(salt, hashlib.blake2b(first.key(rules), digest_size=8, key=salt).digest(), rules)
        for rules in (1, 2)
    }

    assert seen([first, second], by_rules[1]) == [True, True]
    assert seen([first, second], by_rules[2]) == [True, False]
    assert trained_on([first]).rules == 3
    assert trained_on([Example([1.0], 2.0)]).rules == 1
    assert trained_on([]).hashes == b""


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (None, "it kept no list of the rows that it was trained on"),
        (TrainedOn(b"salt", b"", 4), "was made by rules 4, this program knows rules 1, 2, 3"),
        (TrainedOn(b"salt", b"", 0), "was made by rules 0"),
    ],
)
def test_rows_that_cannot_be_looked_up_are_not_called_unseen(kept: TrainedOn | None, reason: str) -> None:
    """No list, or one that this program cannot spell a row for: nothing is said of any row."""
    rows = [Ticket("a", ["accès"])]

    assert seen(rows, kept) is None
    assert reason in str(why_unknown(rows, kept))
    assert why_unknown(rows, trained_on(rows)) is None


def test_lists_of_two_versions_share_nothing() -> None:
    """The salt is new each time, so nobody can tell from two lists that a row is in both."""
    rows = [Ticket("a", ["facture"])]

    first, second = trained_on(rows), trained_on(rows)

    assert first.salt != second.salt
    assert first.hashes != second.hashes


def test_a_damaged_report_is_refused(store: Store) -> None:
    """It is one of our own files, so it is the version that is at fault; a report of before the lists has none."""
    manifest, _ = store.read_version("puppet-o2", 1)
    prices, _ = store.read_version("prices", 1)
    kept = TrainedOn(b"salt", b"hash", 5)
    of_rules_1 = msgspec.structs.replace(kept, rules=None)
    report = msgspec.json.encode({"trained_on": {"salt": "c2FsdA==", "hashes": "aGFzaA=="}, "epochs": []})

    assert read_trained_on(manifest, {"report.json": msgspec.json.encode({"trained_on": kept})}) == kept
    assert read_trained_on(manifest, {"report.json": b"{}"}) is None
    # A list of before the rules were noted there is of the rules that the manifest names.
    assert read_trained_on(manifest, {"report.json": report}) == msgspec.structs.replace(of_rules_1, rules=2)
    assert read_trained_on(prices, {"report.json": report}) == msgspec.structs.replace(of_rules_1, rules=1)
    with pytest.raises(ArtifactRefused, match=r"report\.json cannot be read"):
        read_trained_on(manifest, {"report.json": b"[]"})


# With real networks


def many(num_each: int, start: int = 0, swapped: bool = False) -> Rows:
    """Return distinct tickets of two categories that a word tells apart; `swapped`: each under the other's name."""
    words: Mapping[str, str] = {"Facture": "facture", "Accès": "accès"}
    names = list(words)[::-1] if swapped else list(words)
    return small.rows(
        {
            name: [[word, f"numéro{number}", "bonjour"] for number in range(start, start + num_each)]
            for name, word in zip(names, words.values(), strict=True)
        }
    )


CONFIG = small.config(epochs=4, validation=0.5)
torch = pytest.mark.torch


@torch
def test_a_surely_better_version_serves(empty: Store) -> None:
    """The first one has learnt the names the wrong way round; nothing served before it, so it serves."""
    fit(empty, NAME, many(40, swapped=True), CONFIG, promote="if_better")

    manifest, _ = fit(empty, NAME, many(40), CONFIG, promote="if_better", test_rows=many(60, start=100))

    assert empty.serving(NAME) == 2
    found = manifest.comparison
    assert found is not None
    assert (found.against, found.measured_on, found.num_rows, found.num_left_out) == (1, "test_data", 120, 0)
    assert (found.old, found.new) == ({"accuracy": 0.0}, {"accuracy": 1.0})
    assert (found.num_better, found.num_worse, found.num_changes) == (120, 0, 120)
    assert empty.read_manifest(NAME, 2).comparison == found


@torch
def test_a_version_that_is_no_better_is_there_and_does_not_serve(empty: Store) -> None:
    """It can be promoted by hand afterwards."""
    fit(empty, NAME, many(40), CONFIG)

    manifest, _ = fit(empty, NAME, many(40, swapped=True), CONFIG, promote="if_better", test_rows=many(60, start=100))

    assert (empty.versions(NAME), empty.serving(NAME)) == ([1, 2], 1)
    assert manifest.comparison is not None
    assert manifest.comparison.detail.startswith("not better than version 1: wins 0 rows of 120 and loses 120")


@torch
def test_kept_out_rows_decide_where_none_are_sent(empty: Store) -> None:
    """Of 160 rows that are kept out, those that the old version knows are left out.

    The old one was trained on 10 of the 160 numbers of each category, so it knows 20 rows, of which some are kept out.
    """
    fit(empty, NAME, many(10, swapped=True), CONFIG)

    manifest, _ = fit(empty, NAME, many(160), CONFIG, promote="if_better")

    found = manifest.comparison
    assert found is not None
    assert found.measured_on == "validation"
    assert found.num_rows + found.num_left_out == 160
    assert 0 < found.num_left_out <= 20
    rows = many(160).tickets
    assert all(rows[change.row].expected == change.expected for change in found.changes)
    known = {ticket.key(2) for ticket in many(10).tickets}
    assert not any(rows[change.row].key(2) in known for change in found.changes)
    assert found.is_better
    assert empty.serving(NAME) == 2


@torch
def test_the_same_data_again_leaves_nothing_to_compare_on(empty: Store) -> None:
    """The old version was trained on every row that the new one kept out, so it says that there are too few."""
    fit(empty, NAME, many(120), CONFIG)

    manifest, _ = fit(empty, NAME, many(120), small.config(epochs=4, validation=0.5, seed=1), promote="if_better")

    found = manifest.comparison
    assert found is not None
    assert (found.num_rows, found.num_left_out) == (0, 120)
    assert (
        "undecided: 0 rows to compare on (120 were left out that version 1 or the other one has learnt), fewer than"
        in found.detail
    )
    assert empty.serving(NAME) == 1


@torch
def test_what_was_changed_meanwhile_is_not_replaced(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new version was compared with one that does not serve any more, so it waits to be promoted by hand."""
    fit(empty, NAME, many(40, swapped=True), CONFIG)
    publish = Store.publish
    fit(empty, NAME, many(40, swapped=True), CONFIG, promote="never")

    def changed_before(store: Store, *args: Any, **kwargs: Any) -> object:
        monkeypatch.undo()
        store.promote(NAME, 2)
        return publish(store, *args, **kwargs)

    monkeypatch.setattr(Store, "publish", changed_before)

    manifest, _ = fit(empty, NAME, many(40), CONFIG, promote="if_better", test_rows=many(60, start=100))

    assert manifest.comparison is not None
    assert manifest.comparison.is_better
    assert (empty.versions(NAME), empty.serving(NAME)) == ([1, 2, 3], 2)


@torch
def test_a_serving_version_that_cannot_be_loaded_is_not_replaced_by_itself(empty: Store) -> None:
    """There is nothing to compare with, and it says why."""
    fit(empty, NAME, many(40), CONFIG)
    (empty.root / NAME / "1" / "model.onnx").write_bytes(b"damaged")

    manifest, _ = fit(empty, NAME, many(40), CONFIG, promote="if_better", test_rows=many(60, start=100))

    assert manifest.comparison is not None
    assert "version 1 serves but cannot be compared with" in manifest.comparison.detail
    assert "model.onnx is damaged" in manifest.comparison.detail
    assert empty.serving(NAME) == 1


@torch
def test_two_published_versions_are_compared(empty: Store) -> None:
    """On the rows that neither has learnt, under the caller's numbers; the others are counted and measured apart."""
    fit(empty, NAME, many(40, swapped=True), CONFIG)
    fit(empty, NAME, many(40, start=40), CONFIG)

    rows = many(100, start=30).tickets

    found = compare_published(empty, NAME, 1, 2, rows)

    assert found.is_better
    assert (found.num_rows, found.num_left_out, found.num_seen_old, found.num_seen_new) == (100, 100, 20, 80)
    assert (found.old, found.new) == ({"accuracy": 0.0}, {"accuracy": 1.0})
    assert (found.old_left_out, found.new_left_out) == ({"accuracy": 0.0}, {"accuracy": 1.0})
    learnt = {ticket.key(2) for ticket in (*many(40).tickets, *many(40, start=40).tickets)}
    assert len(found.changes) == 100
    assert not any(rows[change.row].key(2) in learnt for change in found.changes)
    with pytest.raises(InvalidContent):
        compare_published(empty, NAME, 1, 2, [Ticket("Facture", [" "])])


def publish_with_list(store: Store, kept: TrainedOn | None) -> None:
    """Publish version 1 again as version 2, with another list of the rows that it was trained on."""
    manifest, files = store.read_version(NAME, 1)
    report = msgspec.json.decode(files["report.json"], type=dict[str, Any]) | {"trained_on": kept}
    store.publish(manifest, files | {"report.json": msgspec.json.encode(report)})


@torch
@pytest.mark.parametrize("kept", [None, TrainedOn(b"salt", b"", 4)], ids=["no list", "other rules"])
@pytest.mark.parametrize("test_rows", [None, many(60, start=500)], ids=["kept out", "sent"])
def test_a_version_that_cannot_say_what_it_has_seen_is_not_replaced_by_itself(
    empty: Store, kept: TrainedOn | None, test_rows: Rows | None
) -> None:
    """Nothing is decided where rows of its training cannot be told from others, however clear the numbers look."""
    fit(empty, NAME, many(40, swapped=True), CONFIG)
    publish_with_list(empty, kept)

    manifest, _ = fit(empty, NAME, many(160), CONFIG, promote="if_better", test_rows=test_rows)

    found = manifest.comparison
    assert found is not None
    assert (found.against, found.is_better, empty.serving(NAME)) == (2, False, 2)
    assert found.detail.startswith("undecided: it is unknown which of these rows version 2 has learnt by heart, for ")
    assert found.detail.endswith("look at the changes with puppet-train diff, then promote by hand")
    # Rows that were sent are counted all the same: a person who decides by hand wants the numbers.
    assert (found.num_rows, found.num_better) == ((120, 120) if test_rows is not None else (0, 0))


@torch
def test_two_versions_of_which_one_kept_no_list_are_counted_and_not_judged(empty: Store) -> None:
    """`puppet-train diff` shows what changes, says that what was seen is unknown, and names the version."""
    fit(empty, NAME, many(40), CONFIG)
    publish_with_list(empty, None)

    found = compare_published(empty, NAME, 1, 2, many(100, start=30).tickets)
    reverse = compare_published(empty, NAME, 2, 1, many(100, start=30).tickets)

    assert (found.num_rows, found.num_seen_old, found.num_seen_new, found.is_better) == (180, 20, None, False)
    assert "which of these rows version 2 has learnt" in found.detail
    assert "which of these rows version 2 has learnt" in reverse.detail


@torch
@pytest.mark.parametrize("num_clean", [0, 45, 60])
def test_rows_that_the_new_version_has_learnt_do_not_decide(empty: Store, num_clean: int) -> None:
    """It has the test rows by heart and wins every one; under 100 others nothing is decided, and it says why."""
    fit(empty, NAME, many(40, swapped=True), CONFIG)
    test = many(60 + num_clean, start=100)  # of each category

    manifest, _ = fit(empty, NAME, many(60, start=100), CONFIG, promote="if_better", test_rows=test)

    found = manifest.comparison
    assert found is not None
    assert (found.num_rows, found.num_left_out, found.num_seen_old, found.num_seen_new) == (2 * num_clean, 120, 0, 120)
    assert (found.old_left_out, found.new_left_out) == ({"accuracy": 0.0}, {"accuracy": 1.0})
    assert found.is_better is (2 * num_clean >= 100)
    assert empty.serving(NAME) == (2 if found.is_better else 1)
    if not found.is_better:
        assert found.detail.startswith(f"undecided: {2 * num_clean} rows to compare on (120 were left out that ")
