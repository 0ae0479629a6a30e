"""The training loop: from encoded tickets to the best weights found.

In: the network, training and validation tickets as ids. Out: the network with the weights of its best epoch, and the
curve. What it leaves to others: reading data (files.py), the temperature (calibrate.py), the file (export.py).
"""

# Axes: B tickets in the batch, C categories, N tickets of the split.

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from artifacts.arrays import Longs
from artifacts.errors import InvalidInput
from artifacts.networks.gru import pad
from artifacts.networks.manifest import Epoch
from artifacts.text.vocabulary import Encoded
from trainer.config import TrainConfig
from trainer.gru.model import Mixture, TicketClassifier
from trainer.stepping.ragged import Batch, Ragged
from trainer.stepping.rows import Schedule, Tables, shortening

BUCKET_BATCHES = 50  # batches that are sorted by length together: enough for little padding, few enough to stay random


def tensors(tickets: Sequence[Encoded], num_words: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return one padded batch as the network takes it: ids and grams on the device, lengths on the CPU."""
    # By the server's own `pad`: what trains is batched exactly as what serves, and no second version of it can drift.
    ids_BT, lengths_B, grams_UK = (torch.from_numpy(array).long() for array in pad(tickets, num_words))
    # pack_padded_sequence wants the lengths on the CPU, wherever the rest is.
    return ids_BT.to(device), lengths_B, grams_UK.to(device)


def batches(lengths: Sequence[int] | Longs, size: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Yield the ticket numbers of each batch: a new random order each time, like lengths together.

    Sorting everything by length would give the same batches every epoch; sorting pools of a shuffled order keeps
    both the chance and the little padding.
    """
    # Shuffled batches, each padded to its longest ticket, take 2.4 times as long an epoch (docs/LOG.md, "An epoch").
    order = random.permutation(len(lengths)).tolist()
    found = []
    for start in range(0, len(order), size * BUCKET_BATCHES):
        pool = sorted(order[start : start + size * BUCKET_BATCHES], key=lambda i: lengths[i])
        found += [pool[i : i + size] for i in range(0, len(pool), size)]
    # The batches themselves in random order too, or every pool would begin with its short tickets.
    for i in random.permutation(len(found)).tolist():
        yield found[i]


@torch.no_grad()
def logits(
    model: TicketClassifier | Mixture, tickets: Sequence[Encoded], num_words: int, device: torch.device
) -> Tensor:
    """Return logits_NC of the tickets, in order, without dropout."""
    # Dropout off: with it the same ticket would be answered differently each time.
    model.eval()
    # Sorted by length for little padding; each row is then written to its own place, so the order is kept.
    order = sorted(range(len(tickets)), key=lambda i: len(tickets[i].ids))
    found_NC = torch.empty(len(tickets), model.num_categories)
    for start in range(0, len(order), 256):
        chosen = order[start : start + 256]
        found_NC[chosen] = model(*tensors([tickets[i] for i in chosen], num_words, device)).cpu()
    return found_NC


@torch.no_grad()
def answers(model: TicketClassifier, tickets: Ragged) -> Tensor:
    """Return logits_NC of the tickets of a set, in order, without dropout."""
    model.eval()
    embedding, device = model.embedding, model.head.weight.device
    found_NC = torch.empty(len(tickets), model.num_categories)
    for chosen in np.array_split(np.argsort(tickets.lengths, kind="stable"), -(-len(tickets) // 256)):
        batch = tickets.batch(chosen)
        rows = embedding.word.weight[batch.words_R.to(device)], embedding.gram.weight[batch.grams_S.to(device)]
        found_NC[chosen] = model.read(batch, *rows).cpu()
    return found_NC


def learn(
    model: TicketClassifier,
    tables: Tables,
    batch: Batch,
    targets_B: Tensor,
    config: TrainConfig,
    left_out: np.random.Generator,
) -> float:
    """Take one step, and return the mean loss of the batch before it."""
    words_RE, grams_SE = tables.words.take(batch.words_R), tables.grams.take(batch.grams_S)
    tables.others.take(torch.tensor([0]))  # the only row
    # loss = mean over the batch of -(sum over c of q_c ln p_c): q is the smoothed truth, p softmax(logits). Smoothing
    # keeps the network from chasing certainty that the labels do not have: it asks for 0.9, not for 1. cross_entropy
    # takes logits; a softmax before it would flatten the gradient (docs/en/04-gru.md: the seed's bug).
    logits_BC = model.read(batch, words_RE, grams_SE, left_out)
    loss = nn.functional.cross_entropy(logits_BC, targets_B, label_smoothing=config.label_smoothing)
    tables.d_others_1P.zero_()  # PyTorch adds each gradient to what is there
    loss.backward()  # type: ignore[no-untyped-call]  # of torch
    # A recurrent network multiplies gradients along the ticket; now and then one is so long that its step would undo
    # all others. It is shortened to `clip` and keeps its direction.
    gradients = words_RE.grad, grams_SE.grad, tables.d_others_1P
    factor = shortening(gradients, config.clip)
    for table, gradient in zip((tables.words, tables.grams, tables.others), gradients, strict=True):
        table.step(gradient, factor)
    return loss.item()


def train(
    model: TicketClassifier,
    tickets: Sequence[Encoded],
    targets: Sequence[int],
    validation: Sequence[Encoded],
    validation_targets: Sequence[int],
    config: TrainConfig,
    on_step: Callable[[int, int, float], None] = lambda *_: None,
    on_epoch: Callable[[Epoch], None] = lambda *_: None,
) -> tuple[list[Epoch], int]:
    """Train `model` in place, leave it with the weights of its best epoch, and return the curve and that epoch.

    Args:
        model: on its device.
        tickets: of the training split, at least one.
        targets: their labels.
        validation: of the validation split; without one the last epoch counts as best.
        validation_targets: their labels.
        config: everything that can be set.
        on_step: called after each step with epoch, tickets done in it, and the mean loss so far.
        on_epoch: called after each epoch.

    Raises:
        InvalidInput: the loss is no longer a finite number; the settings are too bold.
    """
    device = model.head.weight.device
    # Two generators, so that whether anything is left out does not change which tickets stand together.
    shuffled, left_out = np.random.default_rng(config.seed), np.random.default_rng([config.seed, 1])
    grams_VK = model.grams_VK.cpu().numpy()
    reading = Ragged(tickets, grams_VK, model.num_taught)
    validating = Ragged(validation, grams_VK, model.num_taught) if validation else None
    targets_N = torch.tensor(targets)
    validation_targets_N = torch.tensor(validation_targets)
    num_steps = config.epochs * -(-len(tickets) // config.batch)  # rounded up: the last batch may be short
    schedule = Schedule(num_steps, config.lr, config.weight_decay)
    tables = Tables.of(model.embedding.word.weight, model.embedding.gram.weight, model.parameters(), schedule)
    curve: list[Epoch] = []
    best_epoch, best_loss, best_weights = 0, float("inf"), None
    for epoch in range(1, config.epochs + 1):
        model.train()  # dropout on; the validation of the epoch before had switched it off
        start = time.perf_counter()
        total_loss, num_done = 0.0, 0
        for chosen in batches(reading.lengths, config.batch, shuffled):
            batch = reading.batch(chosen, left_out, config.word_dropout, config.ngram_dropout)
            total_loss += learn(model, tables, batch, targets_N[chosen].to(device), config, left_out) * len(chosen)
            num_done += len(chosen)
            on_step(epoch, num_done, total_loss / num_done)
        tables.catch_up()
        seconds = time.perf_counter() - start
        validation_loss = accuracy = None
        # The plain cross entropy, not the smoothed one that training minimises: of four other ways to choose the epoch
        # none was surely better than this, the simplest (docs/LOG.md, "Which epoch is the best").
        if validating is not None:
            found_NC = answers(model, validating)
            validation_loss = nn.functional.cross_entropy(found_NC, validation_targets_N).item()
            accuracy = (found_NC.argmax(dim=1) == validation_targets_N).float().mean().item()
        # One NaN in a loss is soon in every weight, and no later epoch can recover.
        if not math.isfinite(total_loss + (validation_loss or 0.0)):
            raise InvalidInput("training-diverged", epoch=epoch, lr=config.lr, clip=config.clip)
        curve.append(Epoch(epoch, total_loss / num_done, validation_loss, accuracy, num_done / seconds))
        on_epoch(curve[-1])
        if validation_loss is None or validation_loss < best_loss:
            best_epoch, best_loss = epoch, validation_loss if validation_loss is not None else best_loss
            # A copy, because state_dict holds the weights themselves, which the next step changes.
            best_weights = copy.deepcopy(model.state_dict())
        # Patience 5 stopped while the rate was still high, before the cooling that makes the best epochs (docs/LOG.md).
        elif epoch - best_epoch >= config.patience:
            break
    assert best_weights is not None, "no epoch was run; this is our bug"
    model.load_state_dict(best_weights)
    model.eval()
    return curve, best_epoch
