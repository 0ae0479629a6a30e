"""La vérification de l’exercice."""

import ex_attention
import numpy as np
import torch

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def batch(seed: int, shape: tuple[int, int, int]) -> Batch:
    """Renvoie des questions, des clés et des valeurs."""
    random = np.random.default_rng(seed)
    return random.normal(size=shape), random.normal(size=shape), random.normal(size=shape)


def test_the_question_of_the_chapter() -> None:
    """Des accords de 2, 0 et 4 sur la racine de 2 donnent les poids 0,19, 0,05 et 0,77 et la réponse 2,49."""
    q, k = np.zeros((1, 3, 2)), np.array([[[2.0, 0.0], [0.0, 0.0], [2.0, 2.0]]])
    q[0, 0], v = 1.0, np.array([[[1.0, 0.0], [0.0, 0.0], [3.0, 0.0]]])

    found = ex_attention.attention(q, k, v, np.array([3]))

    assert found.shape == (1, 3, 2)
    np.testing.assert_allclose(found[0, 0], [2.49, 0.0], atol=0.01)


def test_it_equals_torch() -> None:
    """Avec et sans remplissage, les réponses sont celles de `scaled_dot_product_attention`."""
    q, k, v = batch(0, (3, 6, 4))
    lengths = np.array([6, 1, 4])
    seen = torch.arange(6) < torch.from_numpy(lengths)[:, None]
    tensors = [torch.from_numpy(array) for array in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=seen[:, None, :])

    found = ex_attention.attention(q, k, v, lengths)

    for row, length in enumerate(lengths):
        np.testing.assert_allclose(found[row, :length], expected[row, :length].numpy(), atol=1e-12)


def test_a_ticket_is_answered_alone_as_in_company() -> None:
    """Ce que contient le remplissage ne change rien, la longueur du plus long ticket non plus."""
    q, k, v = batch(1, (2, 8, 3))

    together = ex_attention.attention(q, k, v, np.array([8, 3]))
    alone = ex_attention.attention(q[1:, :3], k[1:, :3], v[1:, :3], np.array([3]))

    np.testing.assert_allclose(together[1:, :3], alone, atol=1e-12)


def test_the_padding_holds_no_nan() -> None:
    """Un NaN du remplissage se répandrait dans tout ce que l’on additionne ensuite."""
    found = ex_attention.attention(*batch(2, (2, 5, 3)), np.array([5, 1]))

    assert np.isfinite(found).all()


def test_by_itself_it_is_blind_to_order() -> None:
    """Un ticket retourné donne les mêmes réponses, retournées."""
    q, k, v = batch(3, (1, 7, 5))
    lengths = np.array([7])

    found = ex_attention.attention(q, k, v, lengths)
    turned = ex_attention.attention(q[:, ::-1], k[:, ::-1], v[:, ::-1], lengths)

    np.testing.assert_allclose(turned[:, ::-1], found, atol=1e-12)
