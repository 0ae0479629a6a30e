"""AUROC by ranks, against scikit-learn; and a trial on categories that a training never saw."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer import small
from tests.trainer.small import Recorder
from trainer.config import FAST_EPOCHS
from trainer.data.files import RawRow
from trainer.data.tickets import Rows, check_rows, split
from trainer.kinds import Silent
from trainer.samples.synthetic import generate
from trainer.selection.out_of_scope import auroc, left_out, try_out

VALUES = st.lists(st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.9, 1.0]), min_size=1, max_size=30)


@given(VALUES, VALUES)
def test_auroc_is_that_of_scikit_learn(known: list[float], unknown: list[float]) -> None:
    """With ties and without."""
    from sklearn.metrics import roc_auc_score

    expected = roc_auc_score([1] * len(known) + [0] * len(unknown), known + unknown)

    assert auroc(np.array(known), np.array(unknown)) == pytest.approx(expected, abs=1e-12)


def test_a_fifth_is_left_out_and_the_seed_says_which() -> None:
    """Of 15 categories 3, of 5 one; another seed, other ones; the same seed, the same."""
    categories = [f"c{number:02}" for number in range(15)]

    found = left_out(categories, 0)

    assert len(found) == 3
    assert set(found) <= set(categories)
    assert found == left_out(categories, 0) != left_out(categories, 1)
    assert len(left_out(categories[:5], 0)) == 1


def sample(num_tickets: int) -> Rows:
    """Return synthetic tickets, checked."""
    raw = (msgspec.json.encode({"category": name, "tokens": tokens}) for name, tokens in generate(num_tickets, 0))
    return check_rows([RawRow(row) for row in raw], "sample")


@pytest.mark.torch
def test_confidence_tells_left_out_categories_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ticket of a left-out category teaches, all of them are asked about, and they get less confidence."""
    from trainer.gru import ensemble

    rows = sample(600)
    part = split(rows, 0.2, 0)
    taught: list[set[str]] = []
    real = ensemble.train

    def spy(rows: Rows, targets: list[int], parts: list[ensemble.Part], *rest: object) -> object:
        taught.append({rows.tickets[row].expected for row in parts[0][0]})
        return real(rows, targets, parts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ensemble, "train", spy)
    told = Recorder()

    found = try_out(rows, part, small.config(seed=3), told)

    assert found.categories == left_out(sorted(rows.categories), 3)
    assert taught == [set(rows.categories) - set(found.categories)]
    assert found.num_unknown == sum(rows.categories[name] for name in found.categories)
    assert found.num_known == sum(rows.tickets[row].expected not in found.categories for row in part[1])
    assert found.auroc is not None
    assert 0.7 < found.auroc <= 1.0
    assert [epochs for _, epochs, _ in told.starts] == [FAST_EPOCHS]


def test_too_little_to_try_is_said() -> None:
    """Four categories, or a handful of tickets, are not tried, and the detail says what it takes."""
    rows = small.rows(small.tickets(10))

    found = try_out(rows, split(rows, 0.25, 0), small.config(), Silent())

    assert (found.auroc, found.categories) == (None, [])
    assert "it takes 5 categories, there are 4" in found.detail
