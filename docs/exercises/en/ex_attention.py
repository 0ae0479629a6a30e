"""Exercise: attention for a batch, in which nobody looks at the padding.

Read docs/en/19-attention.md, fill in the function, and run

    pytest docs/exercises/en/test_ex_attention.py
"""

# Axes: B tickets in the batch, T tokens (padded), D numbers of a question, of a key and of a value.

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def attention(q_BTD: Array, k_BTD: Array, v_BTD: Array, lengths_B: NDArray[np.int64]) -> Array:
    """Return for each token the mean of the values of its ticket, weighted by softmax(q k / sqrt(D)), [B, T, D].

    Args:
        q_BTD: what each token asks.
        k_BTD: what each token is found by.
        v_BTD: what each token says.
        lengths_B: the real length of each ticket; what comes after it gets no weight. The rows of the padding itself
            may be anything but NaN.
    """
    raise NotImplementedError("write attention; `q_BTD @ k_BTD.transpose(0, 2, 1)` gives the fit of each two tokens")
