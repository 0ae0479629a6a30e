"""The check of the exercise."""

# Axes: B cases, F features, H hidden.

import ex_folding
import numpy as np
import torch

B, F, H = 50, 3, 8


def test_first_layer_by_hand() -> None:
    """W = 2, b = 1, mean 60, deviation 20: a flat of 72 is 0.6, so 2 * 0.6 + 1 = 2.2; and 0.1 * 72 - 5 = 2.2."""
    weight_HF, bias_H = ex_folding.fold_first(
        np.array([[2.0]]), np.array([1.0]), mean_F=np.array([60.0]), std_F=np.array([20.0])
    )

    np.testing.assert_allclose(weight_HF, [[0.1]])
    np.testing.assert_allclose(bias_H, [-5.0])


def test_last_layer_by_hand() -> None:
    """W = 2, b = -1, mean 200000, deviation 50000: an input of 0.8 makes 0.6, so 230000; 100000 * 0.8 + 150000."""
    weight_1I, bias_1 = ex_folding.fold_last(np.array([[2.0]]), np.array([-1.0]), 200_000.0, 50_000.0)

    np.testing.assert_allclose(weight_1I, [[100_000.0]])
    np.testing.assert_allclose(bias_1, [150_000.0])


def test_folded_network_answers_as_the_standardising_one() -> None:
    """A network of PyTorch gives the same prices, from features of very different sizes, before and after."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    mean_F, std_F = np.array([60.0, 3.0, 1_500.0]), np.array([20.0, 2.0, 400.0])
    target_mean, target_std = 200_000.0, 50_000.0
    features_BF = mean_F + std_F * random.normal(size=(B, F))
    first, last = torch.nn.Linear(F, H).double(), torch.nn.Linear(H, 1).double()

    def hidden(features_BF: np.ndarray) -> torch.Tensor:
        return torch.relu(first(torch.from_numpy(features_BF)))

    with torch.no_grad():
        expected_B1 = last(hidden((features_BF - mean_F) / std_F)).numpy() * target_std + target_mean
        for layer, fold, sizes in (
            (first, ex_folding.fold_first, (mean_F, std_F)),
            (last, ex_folding.fold_last, (target_mean, target_std)),
        ):
            weight, bias = fold(layer.weight.numpy().copy(), layer.bias.numpy().copy(), *sizes)
            assert (weight.shape, bias.shape) == (tuple(layer.weight.shape), tuple(layer.bias.shape))
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        found_B1 = last(hidden(features_BF)).numpy()

    np.testing.assert_allclose(found_B1, expected_B1, rtol=1e-9)
