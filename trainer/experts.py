"""The experts learn from the same tickets: a few GRUs, and the linear part by itself.

In: checked rows, and which of them may teach. Out: the experts, and their answers to the tickets that were kept out.
How their answers become one is for calibrate.py.
"""

# Axes: N tickets that were kept out, C categories.

from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from torch import Tensor

from artifacts.manifest import Epoch
from artifacts.vocabulary import Vocabulary, build_rows
from trainer import linear
from trainer import train as loop
from trainer.calibrate import fit_temperature
from trainer.config import TrainConfig
from trainer.kinds import Progress
from trainer.linear import Linear
from trainer.model import Mixture, TicketClassifier
from trainer.tickets import Rows

LINEAR_CS = (1.0, 0.3, 3.0)  # the first where there is nothing to choose by


class Experts(msgspec.Struct, frozen=True):
    """The experts, over one vocabulary.

    Attributes:
        model: the GRUs; the linear part is still to be added.
        linear_c: that the linear part was fitted with.
        gru_NC, linear_NC: what each side says to the tickets that were kept out.
        curve: of the first GRU's training.
        best_epochs: whose weights each GRU has.
    """

    vocabulary: Vocabulary
    model: Mixture
    linear: Linear
    linear_c: float
    gru_NC: Tensor
    linear_NC: Tensor
    curve: list[Epoch]
    best_epochs: list[int]


def train(
    rows: Rows,
    targets: list[int],
    train_rows: list[int],
    validation_rows: list[int],
    num_categories: int,
    config: TrainConfig,
    device: torch.device,
    progress: Progress,
    epochs: Sequence[int] = (),
    linear_c: float = 0.0,
) -> Experts:
    """Return the experts, trained on `train_rows`.

    The vocabulary is that of the training tickets: only they may say which words are known. With several folds a GRU
    is trained to its last epoch, so that its answers to tickets kept out have chosen nothing; with one split, to its
    best.

    Args:
        rows: checked.
        targets: the label of each.
        train_rows: numbers of those to learn from.
        validation_rows: numbers of those to answer.
        num_categories: C.
        config: resolved.
        device: for the GRUs.
        progress: was told of the first GRU's start; is told of its steps, and of the others.
        epochs: of each GRU; by default as the settings say.
        linear_c: of the linear part; 0: as the settings say, or the best on the tickets kept out.
    """
    words = build_rows((rows.tokens[row] for row in train_rows), config.min_count, config.max_vocabulary)
    vocabulary = Vocabulary(words, config.ngram_buckets)
    teaching = [vocabulary.encode(rows.tokens[row]) for row in train_rows]
    kept_out = [vocabulary.encode(rows.tokens[row]) for row in validation_rows]
    of_teaching = [targets[row] for row in train_rows]
    of_kept_out = torch.tensor([targets[row] for row in validation_rows], dtype=torch.int64)

    features = linear.Features(vocabulary, config.pairs)
    wanted = linear_c or config.linear_c
    fitted = [
        (c, linear.fit(teaching, of_teaching, features, num_categories, c))
        for c in ((wanted,) if wanted else LINEAR_CS if kept_out else LINEAR_CS[:1])
    ]
    scored = [(c, one, torch.from_numpy(linear.scores(one, kept_out))) for c, one in fitted]
    chosen_c, chosen, linear_NC = min(scored, key=lambda one: fit_temperature(one[2], of_kept_out).loss_after or 0.0)

    chooses = kept_out if config.folds == 1 else []
    members, curves, best_epochs = [], [], []
    for number in range(config.grus):
        seed = member_seed(config.seed, number)
        settings = msgspec.structs.replace(config, seed=seed, epochs=epochs[number] if epochs else config.epochs)
        if number:
            progress.start(len(train_rows), settings.epochs, is_refit=bool(epochs))
        torch.manual_seed(seed)
        model = TicketClassifier(list(words), num_categories, settings).to(device)
        curve, best_epoch = loop.train(
            *(model, teaching, of_teaching, chooses, of_kept_out.tolist() if chooses else [], settings),
            progress.step,
            progress.epoch,
        )
        members.append(model)
        curves.append(curve)
        best_epochs.append(best_epoch)
    mixture = Mixture(members)
    gru_NC = loop.logits(mixture, kept_out, len(words), device)
    return Experts(vocabulary, mixture, chosen, chosen_c, gru_NC, linear_NC, curves[0], best_epochs)


def member_seed(seed: int, number: int) -> int:
    """Return the seed of a GRU: of the first the given one; of the others such that no two trainings share one."""
    return seed if not number else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
