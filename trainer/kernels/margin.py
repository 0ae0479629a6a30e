"""Support vector machines for many categories: by the kernel (margin.c), or by scikit-learn where there is none.

In: a sparse matrix of tickets by features, and the category of each ticket. Out: for each C, the weights and the bias
of one machine a category, one category against all others. What it leaves to others: what a feature is (gru/linear.py).

Both solve the same convex problem, so they differ by what either leaves undone at the end (TOLERANCE). With the kernel
the search for one C begins where that for the one before has ended.
"""

# Axes: N tickets, F features, C categories.

import ctypes
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from artifacts.arrays import Floats
from trainer.kernels import native

TOLERANCE = 0.1  # the largest slope that may be left; LIBLINEAR's own default (scikit-learn asks for 1e-4)
MAX_PASSES = 1000
SEED = 0
OK, BAD_PROBLEM, NO_MEMORY = range(3)


class ProblemStruct(ctypes.Structure):
    """What is to be learnt; `Problem` of margin.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("tickets", "features", "categories", "entries")),
        *((name, ctypes.c_void_p) for name in ("starts", "columns", "values", "targets")),
        *(("c", ctypes.c_float), ("tolerance", ctypes.c_float), ("max_passes", ctypes.c_int64)),
        *(("seed", ctypes.c_uint64), ("duals", ctypes.c_void_p), ("weights", ctypes.c_void_p)),
    )


def kernel() -> Any | None:
    """Return the compiled margin.c; None if there is none."""
    return native.library("margin")


def fit(
    matrix_NF: sparse.csr_matrix, targets_N: NDArray[Any], num_categories: int, cs: Sequence[float]
) -> Iterator[tuple[Floats, Floats]]:
    """Yield weights_FC and bias_C, float32, for each C in turn.

    Args:
        matrix_NF: float32.
        targets_N: labels, of at least two categories.
        num_categories: C; one without a ticket gets weights of 0 and a bias below all others.
        cs: how much a ticket on the wrong side costs, in the order in which they are fitted.
    """
    missing_C = np.bincount(targets_N, minlength=num_categories) == 0
    solve = by_kernel if kernel() is not None else by_liblinear
    for weights_FC, bias_C in solve(matrix_NF, targets_N, num_categories, cs):
        weights_FC[:, missing_C] = 0.0
        # It must never be the answer. Not -inf: at a mixing weight of 0, 0 x inf is NaN.
        bias_C[missing_C] = bias_C[~missing_C].min() - 1.0
        yield weights_FC, bias_C


def by_kernel(
    matrix_NF: sparse.csr_matrix, targets_N: NDArray[Any], num_categories: int, cs: Sequence[float]
) -> Iterator[tuple[Floats, Floats]]:
    """Yield what margin.c finds."""
    library = kernel()
    assert library is not None, "there is a kernel; our bug"
    num_tickets, num_features = matrix_NF.shape
    starts = np.ascontiguousarray(matrix_NF.indptr, dtype=np.int64)
    columns = np.ascontiguousarray(matrix_NF.indices, dtype=np.int32)
    values = np.ascontiguousarray(matrix_NF.data, dtype=np.float32)
    targets = np.ascontiguousarray(targets_N, dtype=np.int32)
    assert np.isfinite(values).all(), "the kernel is compiled for finite numbers; our bug"
    duals_NC = np.zeros((num_tickets, num_categories), dtype=np.float32)
    for c in cs:
        weights_FC = np.empty((num_features + 1, num_categories), dtype=np.float32)
        problem = ProblemStruct(
            *(num_tickets, num_features, num_categories, len(values)),
            *(one.ctypes.data for one in (starts, columns, values, targets)),
            *(c, TOLERANCE, MAX_PASSES, SEED, duals_NC.ctypes.data, weights_FC.ctypes.data),
        )
        num_passes = ctypes.c_int64()
        status = library.margin_fit(ctypes.byref(problem), ctypes.byref(num_passes))
        if status == NO_MEMORY:
            raise MemoryError
        assert status == OK, "the kernel refuses the problem; our bug"
        yield weights_FC[:-1], weights_FC[-1].copy()


def by_liblinear(
    matrix_NF: sparse.csr_matrix, targets_N: NDArray[Any], num_categories: int, cs: Sequence[float]
) -> Iterator[tuple[Floats, Floats]]:
    """Yield what LIBLINEAR finds (Fan et al. 2008)."""
    from sklearn.exceptions import ConvergenceWarning  # a second to import
    from sklearn.svm import LinearSVC

    for c in cs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits do not count
            # Many categories of one ticket may be a mistake; that is said before, in words (trainer/data/tickets.py).
            warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
            machine = LinearSVC(C=c, random_state=SEED).fit(matrix_NF, targets_N)
        coefficients_CF, intercepts_C = machine.coef_, machine.intercept_
        if len(machine.classes_) == 2:  # scikit-learn keeps the one for the second
            coefficients_CF = np.concatenate((-coefficients_CF, coefficients_CF))
            intercepts_C = np.concatenate((-intercepts_C, intercepts_C))
        weights_FC = np.zeros((matrix_NF.shape[1], num_categories), dtype=np.float32)
        weights_FC[:, machine.classes_] = coefficients_CF.T
        bias_C = np.zeros(num_categories, dtype=np.float32)
        bias_C[machine.classes_] = intercepts_C
        yield weights_FC, bias_C
