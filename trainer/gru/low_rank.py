"""Tables of low rank: the linear part of a set with so many categories that full tables would not fit.

In: tickets as ids, and R. Out: a `Linear` whose tables have R columns in place of C, and a basis of R rows that turns
their sum into scores. What it leaves to others: counting (linear.py), which way is the best (ensemble.py).

Full tables have C columns: 3,000 categories over 58,000 rows are 699 MB, and a machine for each category takes far too
long. In place of a score per category a row then says R numbers, which are added up over the ticket as scores are, and
    scores_C = (sum of rows)_R @ basis_RC + bias_C
is done once for each ticket. Nothing else of the graph changes (docs/decisions/0028-tables-of-low-rank.md).

Three ways to fit them, for none is the best one on every set (docs/LOG.md, "Tables of low rank"):
- softmax: tables and basis learn together, by the gradient of the cross entropy, as fastText does (Joulin et al. 2016,
  arXiv 1607.01759). The better one where a category has dozens of tickets.
- ridge: each category gets a code of R numbers beforehand, nearly at right angles to all others, and the tables are the
  least squares solution that takes a ticket to the code of its category (Dietterich and Bakiri 1995, "Error-Correcting
  Output Codes"; Hsu et al. 2009, arXiv 0902.1284). Convex and without epochs; the better one where a category has few.
- margin: the full tables are fitted first, and then kept are the R directions in which the scores that they give the
  tickets differ most (reduced-rank regression, Izenman 1975). Nearly as good as full tables where R is not far below C.
"""

# Axes: N tickets, F features (linear.py), D entries of a pretrained vector, C categories, R columns,
#       B tickets of a step.

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from artifacts.arrays import Floats
from artifacts.text.vocabulary import Encoded
from trainer.gru.linear import Features, Linear, fold, weigh
from trainer.kernels import margin

Way = Literal["softmax", "ridge", "margin"]
WAYS: tuple[Way, ...] = ("softmax", "ridge", "margin")
# Categories for each column, up to which full tables are fitted first: with 256 columns 250 MB, while it lasts.
MARGIN_WITHIN = 4
NEAR = 1.25  # up to so many, the cut costs no more than chance does, and nothing else is tried (docs/LOG.md)
MARGIN_C = 1.0
# More than 256 was not tried. Below 64 accuracy falls, so whoever asks for less memory still gets 64 (docs/LOG.md).
MAX_RANK, MIN_RANK, RANK_STEP = 256, 64, 16
FLOAT_BYTES, MB = 4, 1_000_000

PENALTY = 0.5  # of the ridge; .1 to .5 were alike, 2 worse by two points (docs/LOG.md)
ITERATIONS = 30  # of conjugate gradients; after 16 the answers still change
SHARPNESS = 10.0  # a ridge's scores lie within 0 and 1; of a size with the others, the temperature's range suits them

EPOCHS, LR, MAX_BATCH, MIN_BATCH = 8, 0.01, 128, 16
DROPOUT, DECAY = 0.5, 0.1


def table_bytes(num_rows: int, num_columns: int) -> int:
    """Return the bytes that tables of so many rows and columns take in the graph."""
    return num_rows * num_columns * FLOAT_BYTES


def choose_rank(num_rows: int, num_categories: int, max_bytes: int) -> int:
    """Return how many columns the tables get: 0 for full ones, where these fit or are hardly larger.

    >>> choose_rank(60_000, 77, 100_000_000), choose_rank(60_000, 3000, 100_000_000), choose_rank(60_000, 77, 1_000_000)
    (0, 256, 64)

    Args:
        num_rows: of all tables together.
        num_categories: C.
        max_bytes: that the tables may take.
    """
    if num_categories <= MIN_RANK or table_bytes(num_rows, num_categories) <= max_bytes:
        return 0
    fitting = max_bytes // table_bytes(num_rows, 1) // RANK_STEP * RANK_STEP
    rank = int(min(MAX_RANK, max(MIN_RANK, fitting)))
    return rank if rank < num_categories else 0


def ways(rank: int, num_categories: int) -> Sequence[Way]:
    """Return in which ways tables of so many columns can be fitted; the first where there is nothing to choose by."""
    if num_categories <= NEAR * rank:
        # Next to full tables, and one fit; by itself softmax seems likelier, but was worse with the GRU (docs/LOG.md).
        return ("margin",)
    return WAYS if num_categories <= MARGIN_WITHIN * rank else WAYS[:2]


def fit(
    tickets: Sequence[Encoded],
    targets: Sequence[int],
    features: Features,
    num_categories: int,
    rank: int,
    ways: Sequence[Way],
    seed: int = 0,
) -> list[Linear]:
    """Return the linear part of these tickets, of low rank, fitted in each of these ways.

    Args:
        tickets: at least one of two categories.
        targets: their labels.
        features: over the vocabulary.
        num_categories: C; one without a ticket gets a score below all others.
        rank: R; at most C are used.
        ways: see above.
        seed: of the codes, or of the tables' first values and of the order of the steps.
    """
    weighted = weigh(tickets, features)
    targets_N = np.array(targets)
    missing_C = np.bincount(targets_N, minlength=num_categories) == 0
    learn = {"softmax": softmax, "ridge": ridge, "margin": projected}
    found = []
    for way in ways:
        rows_FR, basis_RC, bias_C = learn[way](
            weighted.matrix_NF, targets_N, num_categories, min(rank, num_categories), seed
        )
        basis_RC[:, missing_C] = 0.0
        bias_C[missing_C] = bias_C.min() - 1.0
        # Back to the counts, as in linear.py: a row of the table is what was learnt x the feature's weight.
        rows_FR, rows_DR = np.split(rows_FR, [len(weighted.weight_F)])
        rows_FR *= weighted.weight_F[:, None]
        found.append(fold(features, rows_FR, weighted.vectors_VD @ rows_DR, bias_C, basis_RC))
    return found


def ridge(
    x_NF: sparse.csr_matrix, targets_N: NDArray[Any], num_categories: int, rank: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Return the tables, the basis and the bias by least squares onto codes.

    min over U of |X U - codes of the tickets|^2 + PENALTY |U|^2 is solved in its dual form, U = X' G with
        (X X' + PENALTY) G = codes of the tickets,
    by conjugate gradients (Hestenes and Stiefel 1952), which only multiply by X: X X' is N x N and never made.
    """
    random = np.random.default_rng(seed)
    # Orthonormal columns, so that what one category's code adds to another's score is as little as R numbers allow.
    codes_CR, _ = np.linalg.qr(random.normal(size=(num_categories, rank)))
    codes_CR = (codes_CR * np.sqrt(num_categories / rank)).astype(np.float32)  # each of length about 1
    share_C = (np.bincount(targets_N, minlength=num_categories) / len(targets_N)).astype(np.float32)
    # Less their mean, which the bias brings back: a penalised table should not have to carry it.
    residual_NR = codes_CR[targets_N] - share_C @ codes_CR
    found_NR, step_NR = np.zeros_like(residual_NR), residual_NR.copy()
    xt_FN = x_NF.T.tocsr()
    square_R = np.square(residual_NR).sum(axis=0)
    for _ in range(ITERATIONS):
        product_NR = x_NF @ (xt_FN @ step_NR) + PENALTY * step_NR
        length_R = square_R / np.maximum((step_NR * product_NR).sum(axis=0), 1e-12)
        found_NR += length_R * step_NR
        residual_NR -= length_R * product_NR
        before_R, square_R = square_R, np.square(residual_NR).sum(axis=0)
        step_NR = residual_NR + square_R / np.maximum(before_R, 1e-12) * step_NR
    return xt_FN @ found_NR, codes_CR.T * SHARPNESS, share_C * SHARPNESS


def projected(
    x_NF: sparse.csr_matrix,
    targets_N: NDArray[Any],
    num_categories: int,
    rank: int,
    seed: int,  # noqa: ARG001  # nothing here is drawn
) -> tuple[Floats, Floats, Floats]:
    """Return the full tables W, cut down to the R directions in which the tickets' scores differ most.

    Of all tables U V of R columns, W V' V, with V the first R right singular vectors of the scores X W less their mean,
    gives the tickets the scores next to those of W. What W itself is like does not count, but what it says of tickets.
    """
    ((weights_FC, bias_C),) = margin.fit(x_NF, targets_N, num_categories, [MARGIN_C])
    scores_NC = x_NF @ weights_FC
    mean_C = scores_NC.mean(axis=0)
    scores_NC -= mean_C
    _, vectors_CC = np.linalg.eigh(scores_NC.T @ scores_NC)  # the largest come last
    basis_RC = np.ascontiguousarray(vectors_CC[:, -rank:].T)
    # The mean is the bias's, whole; what the tables still say of it is taken off again.
    return weights_FC @ basis_RC.T, basis_RC, bias_C + mean_C - mean_C @ basis_RC.T @ basis_RC


def softmax(
    x_NF: sparse.csr_matrix, targets_N: NDArray[Any], num_categories: int, rank: int, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Return the tables, the basis and the bias under which the tickets' categories are most probable."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)
    random = np.random.default_rng(seed)
    num_tickets, num_features = x_NF.shape
    # Of what no ticket holds, padding included, nothing is learnt: it says 0, and not what it began with.
    is_held_F1 = torch.from_numpy(np.bincount(x_NF.indices, minlength=num_features) > 0).unsqueeze(1)
    rows_FR = nn.Parameter(torch.randn(num_features, rank, generator=generator) * is_held_F1 * 0.1 / rank**0.5)
    basis_RC = nn.Parameter(torch.randn(rank, num_categories, generator=generator) / rank**0.5)
    bias_C = nn.Parameter(torch.zeros(num_categories))
    batch = min(MAX_BATCH, max(MIN_BATCH, num_tickets // 40))
    num_steps = EPOCHS * -(-num_tickets // batch)
    optimizer = torch.optim.AdamW([rows_FR, basis_RC, bias_C], lr=LR, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=num_steps + 1)
    wanted_N = torch.from_numpy(targets_N)
    for _ in range(EPOCHS):
        order = random.permutation(num_tickets)
        for start in range(0, num_tickets, batch):
            chosen = order[start : start + batch]
            x_BF = x_NF[chosen]
            # SciPy multiplies by the counts, which are sparse, and PyTorch does the rest: the sum of rows is cut out of
            # the graph of derivatives, and its own derivative is carried on by hand, dU = X' dsums.
            sums_BR = torch.from_numpy(x_BF @ rows_FR.detach().numpy()).requires_grad_()
            kept_BR = torch.rand(sums_BR.shape, generator=generator) >= DROPOUT
            logits_BC = (sums_BR * kept_BR / (1 - DROPOUT)) @ basis_RC + bias_C
            optimizer.zero_grad()
            loss: Any = nn.functional.cross_entropy(logits_BC, wanted_N[chosen])  # torch leaves `backward` untyped
            loss.backward()
            assert sums_BR.grad is not None, "backward leaves a gradient; our bug"
            rows_FR.grad = torch.from_numpy(x_BF.T @ sums_BR.grad.numpy())
            optimizer.step()
            schedule.step()
    return rows_FR.detach().numpy(), basis_RC.detach().numpy(), bias_C.detach().numpy()
