"""Exercise: the floor of the loss, and a last state that stops in time.

Read docs/en/08-two-bugs.md, fill in the two functions, and run

    pytest docs/exercises/en/test_ex_two_bugs.py
"""

# Axes: B e-mails in the batch, T words (padded), H hidden.

from torch import Tensor


def lowest_loss(num_categories: int) -> float:
    """Return what `CrossEntropyLoss` still asks of the surest right answer if softmax was applied before it.

    Computed by hand: with `math`, without torch.
    """
    raise NotImplementedError("write lowest_loss; start with the softmax of a 1 and of num_categories - 1 zeros")


def last_states(states_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """Return each e-mail's state after its last word [B,H], without packing.

    Args:
        states_BTH: the states after every step, padding included: `gru(x_BTE)[0]` in PyTorch.
        lengths_B: int64, the words of each e-mail, 1 or more.
    """
    raise NotImplementedError("write last_states; start with one e-mail: which step is that of its last word?")
