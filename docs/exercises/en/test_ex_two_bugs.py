"""The check of the exercise."""

# Axes: B e-mails in the batch, T words (padded), E a word's vector, H hidden.

import math

import ex_two_bugs
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence


def test_the_five_categories_of_the_chapter() -> None:
    """With five categories, as in the seed, the loss stops at 0.9048."""
    assert ex_two_bugs.lowest_loss(5) == pytest.approx(0.9048, abs=1e-4)


@pytest.mark.parametrize("num_categories", [2, 5, 77])
def test_floor_is_that_of_the_library(num_categories: int) -> None:
    """`CrossEntropyLoss` asks as much for a probability of 1."""
    sure = torch.zeros(1, num_categories, dtype=torch.float64)
    sure[0, 0] = 1.0

    expected = torch.nn.CrossEntropyLoss()(sure, torch.tensor([0])).item()

    assert ex_two_bugs.lowest_loss(num_categories) == pytest.approx(expected, abs=1e-9)
    assert ex_two_bugs.lowest_loss(num_categories) < math.log(num_categories)


def test_last_states_equal_those_of_packing() -> None:
    """E-mails of one, nine and four words, filled up to nine, give the states that a packed sequence gives."""
    torch.manual_seed(0)
    gru = torch.nn.GRU(input_size=3, hidden_size=4, batch_first=True)
    x_BTE, lengths_B = torch.randn(3, 9, 3), torch.tensor([1, 9, 4])
    packed = pack_padded_sequence(x_BTE, lengths_B, batch_first=True, enforce_sorted=False)
    expected_BH = gru(packed)[1].squeeze(0)

    found_BH = ex_two_bugs.last_states(gru(x_BTE)[0], lengths_B)

    torch.testing.assert_close(found_BH, expected_BH)


def test_more_padding_changes_nothing() -> None:
    """The answer to an e-mail does not depend on the length of its neighbours."""
    states_BTH = torch.arange(24.0).reshape(2, 4, 3)
    longer_BTH = torch.cat([states_BTH, torch.full((2, 5, 3), -1.0)], dim=1)
    lengths_B = torch.tensor([4, 2])

    found_BH = ex_two_bugs.last_states(longer_BTH, lengths_B)

    assert found_BH.tolist() == [[9.0, 10.0, 11.0], [15.0, 16.0, 17.0]]
