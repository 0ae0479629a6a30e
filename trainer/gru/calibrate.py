"""The temperature, which turns logits into honest probabilities, and the share, which says whom to believe how much.

A network trained to be right is not trained to be sure by the right amount. Dividing all logits by one number T leaves
the order of the categories, and so the accuracy, as it is, and moves only the confidence: T > 1 makes it humbler, T < 1
bolder. T is the number under which the validation tickets' true categories are most probable.
Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.

How it is found. As a function of b = 1/T the loss is convex, with the slope
    mean over the tickets of (sum over c of p_c z_c) - z_true,    p = softmax(b z)
"the logit that the network expects, less the logit of the truth". Where it is 0 the loss is lowest; halving an interval
finds it.

The share. Two experts read the same ticket: the GRU and the linear part that was fitted by itself. Each is given its
own temperature, so that both speak in the same tone, and then
    logits = (1 - s) GRU / T_gru + s linear / T_linear
with the s of a grid under which the validation tickets are most probable. On few tickets s is large and the linear
part leads; around its best value the loss is flat, so a coarse grid will do (docs/LOG.md).
"""

# Axes: N validation tickets, C categories.

import msgspec
import torch
from torch import Tensor, nn

from artifacts.networks.gru_records import Calibration

RANGE = (0.05, 20.0)  # beyond lie logits that say nothing, all alike or but rounding
HALVINGS = 60  # of the interval of b; more than a float64 can tell apart
# Each halving goes through all logits, and 26 temperatures are sought: where there are millions, 24 halvings, which
# leave b within 2e-6, must do.
MANY_LOGITS, FEW_HALVINGS = 3_000_000, 24
SHARES = tuple(step / 20 for step in range(20))  # not 1: the graph has a GRU at its heart, if only by a twentieth
NO_SHARE, NO_LINEAR_TEMPERATURE = 0.5, 0.25  # without validation tickets; six sets had .21 to .45 (LOG)


def fit_temperature(logits_NC: Tensor, targets_N: Tensor) -> Calibration:
    """Return the temperature that minimises the cross entropy of `logits_NC / T`; 1.0 if there are no tickets.

    It makes nobody bolder than N tickets can justify: where all are right, the next one is with (N + 1) / (N + 2).
    Source: Laplace's rule of succession.
    """
    if not len(targets_N):
        return Calibration(1.0, None, None)
    logits_NC = logits_NC.double()
    true_N = logits_NC.gather(1, targets_N[:, None])[:, 0]
    justified = (len(targets_N) + 1) / (len(targets_N) + 2)
    low, high = 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(HALVINGS if logits_NC.numel() <= MANY_LOGITS else FEW_HALVINGS):
        middle = (low + high) / 2
        probabilities_NC = torch.softmax(logits_NC * middle, dim=1)
        expected_N = (probabilities_NC * logits_NC).sum(dim=1)
        confidence = probabilities_NC.amax(dim=1).mean()
        if (expected_N - true_N).mean() < 0 and confidence < justified:  # the truth's logit is higher: be bolder
            low = middle
        else:
            high = middle
    temperature = 1 / middle
    before = nn.functional.cross_entropy(logits_NC, targets_N).item()
    after = nn.functional.cross_entropy(logits_NC / temperature, targets_N).item()
    if not after < before:  # nothing to gain but rounding
        return Calibration(1.0, before, before)
    return Calibration(temperature, before, after)


class Mix(msgspec.Struct, frozen=True):
    """How the logits of the two experts are added up.

    Attributes:
        share: s, of the linear part.
        weight: of the GRU's logits, (1 - s) / T_gru.
        linear_weight: of the linear part's scores, s / T_linear.
    """

    share: float
    weight: float
    linear_weight: float

    def logits(self, gru_NC: Tensor, linear_NC: Tensor) -> Tensor:
        """Return the sum [N, C]."""
        return gru_NC * self.weight + linear_NC * self.linear_weight


def fit_share(gru_NC: Tensor, linear_NC: Tensor, targets_N: Tensor) -> Mix:
    """Return the mix under which the targets are most probable; half and half if there are no tickets."""
    if not len(targets_N):
        return Mix(NO_SHARE, 1 - NO_SHARE, NO_SHARE / NO_LINEAR_TEMPERATURE)
    t_gru, t_linear = (fit_temperature(logits_NC, targets_N).temperature for logits_NC in (gru_NC, linear_NC))
    tried = [Mix(share, (1 - share) / t_gru, share / t_linear) for share in SHARES]
    return min(tried, key=lambda one: fit_temperature(one.logits(gru_NC, linear_NC), targets_N).loss_after or 0.0)
