"""Support vector machines by the kernel: the optimum of their problem, and what LIBLINEAR finds."""

import ctypes
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from artifacts.networks.engines import build
from tests.artifacts.networks.kernels import compiled
from trainer.kernels import margin

LEVELS = [level.name for level in build.levels()]
Problem = tuple[sparse.csr_matrix, NDArray[np.int64], int]


def kernels() -> dict[str, Any]:
    """Return the compiled margin.c of each level that runs here, best first."""
    return compiled(build.MARGIN, ctypes.CDLL)


@pytest.fixture(autouse=True)
def with_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the best kernel of this source run, whatever was installed, and nearly to the end."""
    monkeypatch.setattr(margin, "kernel", lambda: next(iter(kernels().values())))
    monkeypatch.setattr(margin, "TOLERANCE", 1e-4)


def problem(num_categories: int, num_tickets: int = 300, num_features: int = 120, seed: int = 0) -> Problem:
    """Return tickets of a few features each, some of which tell the category."""
    chosen = np.random.default_rng(seed)
    targets_N = np.arange(num_tickets) % num_categories
    places = [
        np.unique([*chosen.integers(num_features, size=6), target * 7 % num_features, target * 3 % num_features])
        for target in targets_N
    ]
    ends = np.cumsum([0, *map(len, places)])
    values = chosen.uniform(0.1, 0.6, size=ends[-1]).astype(np.float32)
    matrix_NF = sparse.csr_matrix((values, np.concatenate(places), ends), (num_tickets, num_features))
    return matrix_NF, targets_N, num_categories


def solved(one: Problem, *cs: float) -> list[NDArray[np.float64]]:
    """Return scores_NC for each C."""
    return [one[0] @ weights_FC + bias_C for weights_FC, bias_C in margin.fit(*one, cs)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("num_categories", [2, 3, 9, 20, 40, 77])
@pytest.mark.parametrize("c", [0.1, 1.0])
def test_scores_are_those_of_liblinear(
    level: str, num_categories: int, c: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every level, and every number of categories side by side: within .002 of what scikit-learn gives."""
    if level not in kernels():
        pytest.skip("not of this processor")
    monkeypatch.setattr(margin, "kernel", lambda: kernels()[level])
    one = problem(num_categories)

    (scores_NC,) = solved(one, c)

    monkeypatch.setattr(margin, "kernel", lambda: None)
    (expected_NC,) = solved(one, c)
    assert scores_NC.shape == (300, num_categories)
    assert scores_NC.dtype == np.float32
    np.testing.assert_allclose(scores_NC, expected_NC, rtol=0, atol=2e-3)


def test_some_level_runs_here() -> None:
    """None of the tests above was left out for every level."""
    assert kernels()


@pytest.mark.parametrize("c", [0.03, 1.0, 30.0])
def test_weights_are_the_optimum_of_the_problem(c: float) -> None:
    """The slope of |w|^2 / 2 + c sum of max(0, 1 - y w x)^2 is w - 2 c sum of y max(0, 1 - y w x) x, and nearly 0."""
    matrix_NF, targets_N, num_categories = problem(11)

    ((weights_FC, bias_C),) = margin.fit(matrix_NF, targets_N, num_categories, [c])

    x_NF = np.hstack([matrix_NF.toarray(), np.ones((300, 1))])  # the bias is the weight of a feature that all have
    w_FC = np.vstack([weights_FC, bias_C]).astype(np.float64)
    y_NC = np.where(targets_N[:, None] == np.arange(11), 1, -1)
    slope_FC = w_FC - 2 * c * x_NF.T @ (y_NC * np.maximum(0, 1 - y_NC * (x_NF @ w_FC)))
    assert np.abs(slope_FC).max() < 2e-3 * max(1.0, c) * np.abs(w_FC).max()


def test_search_that_begins_where_another_ended_finds_the_same() -> None:
    """After C = 1 the machines of .3 and 3 are those that would have been found first."""
    one = problem(20)

    together = solved(one, 1.0, 0.3, 3.0)

    alone = [solved(one, c)[0] for c in (1.0, 0.3, 3.0)]
    for found_NC, expected_NC in zip(together, alone, strict=True):
        np.testing.assert_allclose(found_NC, expected_NC, rtol=0, atol=2e-3)
    assert np.abs(alone[1] - alone[2]).max() > 0.1


def test_same_problem_gives_the_same_bits() -> None:
    """The order of the tickets is drawn from a fixed seed."""
    first, second = (solved(problem(20), 1.0)[0] for _ in range(2))

    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("has_kernel", [True, False])
def test_category_without_a_ticket_is_never_the_answer(has_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no weights, and a bias below all others."""
    if not has_kernel:
        monkeypatch.setattr(margin, "kernel", lambda: None)
    matrix_NF, targets_N, _ = problem(4)

    ((weights_FC, bias_C),) = margin.fit(matrix_NF, targets_N + (targets_N >= 2), 5, [1.0])

    assert not weights_FC[:, 2].any()
    assert bias_C[2] == bias_C[[0, 1, 3, 4]].min() - 1.0


def test_problem_that_does_not_fit_is_refused() -> None:
    """The kernel compares every place with the sizes, and does nothing."""
    matrix_NF, targets_N, _ = problem(4)

    with pytest.raises(AssertionError, match="refuses"):
        next(margin.by_kernel(matrix_NF, targets_N, 3, [1.0]))


def test_sanitisers_find_nothing(tmp_path: Path) -> None:
    """Random problems read and write nothing that is not theirs, and are solved; damaged ones are refused.

    PUPPET_TEST_KERNELS is how many (`make fuzz`).
    """
    rounds, seed = os.environ.get("PUPPET_TEST_KERNELS", "40"), str(random.randrange(2**32))
    source, target = Path(__file__).with_name("fuzz_margin.c"), tmp_path / "fuzz"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-fsanitize=address,undefined"]
    command = [*build.compiler(), *flags, "-fno-sanitize-recover=all", "-o", str(target), str(source), "-lm"]
    subprocess.run(command, check=True)

    done = subprocess.run([target, seed, rounds], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr}"
