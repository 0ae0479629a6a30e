"""The temperature: one number that turns logits into honest probabilities.

A network trained to be right is not trained to be sure by the right amount. Dividing all logits by one number T leaves
the order of the categories, and so the accuracy, as it is, and moves only the confidence: T > 1 makes it humbler, T < 1
bolder. T is the number under which the validation tickets' true categories are most probable.
Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.

How it is found. As a function of b = 1/T the loss is convex, with the slope
    mean over the tickets of (sum over c of p_c z_c) - z_true,    p = softmax(b z)
"the logit that the network expects, less the logit of the truth". Where it is 0 the loss is lowest; halving an interval
finds it.
"""

# Axes: N validation tickets, C categories.

import torch
from torch import Tensor, nn

from artifacts.gru import Calibration

RANGE = (0.05, 20.0)  # a handful of tickets, all right, would otherwise ask for T = 0
HALVINGS = 60  # of the interval of b; more than a float64 can tell apart


def fit_temperature(logits_NC: Tensor, targets_N: Tensor) -> Calibration:
    """Return the temperature that minimises the cross entropy of `logits_NC / T`; 1.0 if there are no tickets."""
    if not len(targets_N):
        return Calibration(1.0, None, None)
    logits_NC = logits_NC.double()
    true_N = logits_NC.gather(1, targets_N[:, None])[:, 0]
    low, high = 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        expected_N = (torch.softmax(logits_NC * middle, dim=1) * logits_NC).sum(dim=1)
        if (expected_N - true_N).mean() < 0:  # the truth's logit is higher: be bolder
            low = middle
        else:
            high = middle
    temperature = 1 / middle
    before = nn.functional.cross_entropy(logits_NC, targets_N).item()
    after = nn.functional.cross_entropy(logits_NC / temperature, targets_N).item()
    if not after < before:  # nothing to gain but rounding
        return Calibration(1.0, before, before)
    return Calibration(temperature, before, after)
