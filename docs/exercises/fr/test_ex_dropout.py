"""La vérification de l’exercice."""

import ex_dropout
import numpy as np
import pytest


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_mean_stays(share: float) -> None:
    """Environ autant que demandé valent 0, et la moyenne de tous est celle d’avant."""
    values = np.full((200, 500), 3.0)

    found = ex_dropout.dropout(values, share, np.random.default_rng(0))

    assert (found == 0).mean() == pytest.approx(share, abs=0.01)
    assert found.mean() == pytest.approx(3.0, rel=0.03)
    assert (values == 3.0).all()


def test_each_number_has_its_own_luck() -> None:
    """Ni lignes entières ni colonnes entières ne disparaissent."""
    dropped = ex_dropout.dropout(np.ones((60, 60)), 0.5, np.random.default_rng(1)) == 0

    assert dropped.mean(axis=0).min() > 0.2
    assert dropped.mean(axis=1).max() < 0.8


def test_a_share_of_0_changes_nothing() -> None:
    """Sans dropout, les valeurs et les mots reviennent tels quels."""
    values, ids_BT = np.array([[1.5, -2.0, 0.0]]), np.array([[4, 9, 0]])

    assert ex_dropout.dropout(values, 0.0, np.random.default_rng(2)).tolist() == values.tolist()
    assert ex_dropout.hide_words(ids_BT, 0.0, np.random.default_rng(2)).tolist() == ids_BT.tolist()


def test_words_are_hidden_and_padding_is_not() -> None:
    """Environ un cinquième des tokens est UNK ; tout autre token et tout le remplissage sont inchangés."""
    ids_BT = np.full((300, 40), 7)
    ids_BT[:, 25:] = ex_dropout.PAD

    found_BT = ex_dropout.hide_words(ids_BT, 0.2, np.random.default_rng(3))

    assert (found_BT[:, 25:] == ex_dropout.PAD).all()
    assert set(np.unique(found_BT[:, :25]).tolist()) == {ex_dropout.UNK, 7}
    assert (found_BT[:, :25] == ex_dropout.UNK).mean() == pytest.approx(0.2, abs=0.02)
    assert (ids_BT[:, :25] == 7).all()
