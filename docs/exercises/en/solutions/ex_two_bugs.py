"""A solution of the exercise."""

# Axes: B e-mails in the batch, T words (padded), H hidden.

import math

import torch
from torch import Tensor


def lowest_loss(num_categories: int) -> float:
    """Return what `CrossEntropyLoss` still asks of the surest right answer if softmax was applied before it."""
    true, others = math.exp(1), (num_categories - 1) * math.exp(0)
    return -math.log(true / (true + others))


def last_states(states_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """Return each e-mail's state after its last word [B,H], without packing."""
    return states_BTH[torch.arange(len(lengths_B)), lengths_B - 1]  # row 0 is the state after the first word
