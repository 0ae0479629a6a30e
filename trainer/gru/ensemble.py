"""The experts learn from the same tickets: a few GRUs, and the linear part by itself.

In: checked rows, and which of them may teach. Out: the experts, and their answers to the tickets that were kept out.
Each GRU and each linear part is a task of its own, so that as many are trained at once as there are cores
(parallel.py). How their answers become one is for calibrate.py.
"""

# Axes: N tickets that were kept out, C categories.

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from artifacts.arrays import Floats
from artifacts.networks.manifest import Epoch
from artifacts.text.vocabulary import Encoded, Vocabulary, build_rows
from trainer.config import TrainConfig, forbidden
from trainer.data.tickets import Rows
from trainer.gru import linear, low_rank
from trainer.gru import train as loop
from trainer.gru.calibrate import Mix, fit_temperature
from trainer.gru.linear import Linear
from trainer.gru.low_rank import Way
from trainer.gru.model import Mixture, TicketClassifier
from trainer.jobs import parallel
from trainer.kinds import Progress, Silent

LINEAR_CS = (1.0, 0.3, 3.0)  # the first where there is nothing to choose by
LinearChoice = float | Way  # C of the support vector machine, or the way of tables of low rank

SILENT = Silent()
Part = tuple[list[int], list[int]]  # the numbers of the rows to learn from, and of those to answer


class Lesson(msgspec.Struct, frozen=True):
    """What an expert is to learn: made of plain data, for it may be sent to another process.

    Attributes:
        vocabulary: over which the tickets are encoded.
        num_taught: rows of it that the tickets gave; the others came with the vectors.
        pretrained_VD: a vector for each row, if there is a file of them.
        tickets: to learn from.
        targets: their labels.
        kept_out: to answer.
        kept_out_targets: labels of these, where they choose the best epoch; else none.
        num_categories: C.
        is_refit: whether the tickets are all that there are.
    """

    vocabulary: Vocabulary
    num_taught: int
    pretrained_VD: Floats | None
    tickets: list[Encoded]
    targets: list[int]
    kept_out: list[Encoded]
    kept_out_targets: list[int]
    num_categories: int
    is_refit: bool

    def gru(self, config: TrainConfig) -> TicketClassifier:
        """Return a new GRU over the vocabulary."""
        words = list(self.vocabulary.rows)
        return TicketClassifier(words, self.num_categories, config, self.num_taught, self.pretrained_VD)


class Learnt(msgspec.Struct, frozen=True):
    """A trained GRU, or a fitted linear part.

    Attributes:
        weights: of the GRU by name, or the Linear.
        logits_NC: its answers to the tickets that were kept out.
        curve, best_epoch: of the GRU's training.
        choice: that the linear part was fitted with.
    """

    weights: Mapping[str, NDArray[Any]] | Linear
    logits_NC: Floats
    curve: list[Epoch] = []
    best_epoch: int = 0
    choice: LinearChoice = 0.0


class Experts(msgspec.Struct, frozen=True):
    """The experts of one part, over one vocabulary.

    Attributes:
        members: the GRUs.
        linear: the linear part.
        linear_choice: that it was fitted with.
        gru_NC, linear_NC: what each side says to the tickets that were kept out.
        curve: of the first GRU's training.
        best_epochs: whose weights each GRU has.
    """

    vocabulary: Vocabulary
    members: list[TicketClassifier]
    linear: Linear
    linear_choice: LinearChoice
    gru_NC: Tensor
    linear_NC: Tensor
    curve: list[Epoch]
    best_epochs: list[int]

    def together(self, mix: Mix) -> Mixture:
        """Return the network that answers with all of them."""
        return Mixture(self.members, self.linear, mix.weight, mix.linear_weight)


def train(
    rows: Rows,
    targets: Sequence[int],
    parts: Sequence[Part],
    num_categories: int,
    config: TrainConfig,
    progress: Progress,
    refit: Experts | None = None,
) -> list[Experts]:
    """Return the experts of each part, trained on its tickets.

    The vocabulary is that of the training tickets: only they may say which words are known. With several folds a GRU
    is trained to its last epoch, so that its answers to tickets kept out have chosen nothing; with one split, to its
    best.

    Args:
        rows: checked.
        targets: the label of each.
        parts: what to learn from and what to answer.
        num_categories: C.
        config: resolved.
        progress: is told of what this process trains.
        refit: whose epochs and choice are taken over; none to choose them.
    """
    lessons = [lesson(rows, targets, part, num_categories, config, refit is not None) for part in parts]
    members = [setting(config, number, refit) for number in range(config.grus)]
    grus: list[Callable[[Progress], Learnt]] = [
        partial(train_gru, one, member) for one in lessons for member in members
    ]
    choices = linear_choices(config, num_categories, refit, any(one.kept_out for one in lessons))
    linears: list[Callable[[Progress], list[Learnt]]] = [partial(fit_linear, one, config, choices) for one in lessons]
    # One process by itself begins with the linear parts, which take seconds: then it knows early how long they take,
    # and can say how much is left. Of several, this one fits a linear part and then takes a GRU, from the back; the
    # others begin with the GRUs, which take longest.
    if config.processes > 1:
        num_front = len(grus) - 1
        tasks: list[Callable[[Progress], Any]]
        tasks = [*linears[:1], *grus[:num_front], *linears[1:], *grus[num_front:]]
        found: list[Any] = parallel.run_all(tasks, config.processes, progress)
        learnt = iter([*found[1 : num_front + 1], *found[-1:]])
        of_linear = [*found[:1], *found[num_front + 1 : -1]]
    else:
        of_linear = parallel.run_all(linears, 1, progress)
        learnt = iter(parallel.run_all(grus, 1, progress))
    of_gru = [[next(learnt) for _ in members] for _ in lessons]
    best = best_linear(of_linear, [targets[row] for _, kept_out in parts for row in kept_out])
    return [
        gather(one, its_grus, its_linears[best], members)
        for one, its_grus, its_linears in zip(lessons, of_gru, of_linear, strict=True)
    ]


def linear_choices(
    config: TrainConfig, num_categories: int, refit: Experts | None, can_choose: bool
) -> Sequence[LinearChoice]:
    """Return what the linear part is fitted with, each in turn; the better one is kept.

    Args:
        config: resolved.
        num_categories: C.
        refit: the experts whose choice is taken over.
        can_choose: whether tickets are kept out to choose by.
    """
    if refit is not None:
        return (refit.linear_choice,)
    if config.linear_rank:
        found = low_rank.ways(config.linear_rank, num_categories)
        return found if can_choose and not config.linear_c else found[:1]  # a C that is set: nothing is to be chosen
    if config.linear_c:
        return (config.linear_c,)
    return LINEAR_CS if can_choose else LINEAR_CS[:1]


def lesson(
    rows: Rows, targets: Sequence[int], part: Part, num_categories: int, config: TrainConfig, is_refit: bool
) -> Lesson:
    """Return what the experts of a part are to learn."""
    teaching, kept_out = part
    words = build_rows(
        (rows.tokens[row] for row in teaching), config.min_count, config.max_vocabulary, forbidden(config)
    )
    num_taught, pretrained_VD = len(words), None
    if rows.vectors is not None:
        for word in rows.vectors.words:  # one that the tickets lack, or that only one of them has, is known from now on
            words.setdefault(word, len(words))
        pretrained_VD = np.zeros((len(words), rows.vectors.vectors_ND.shape[1]), dtype=np.float32)
        pretrained_VD[[words[word] for word in rows.vectors.words]] = directions(rows.vectors.vectors_ND)
    vocabulary = Vocabulary(words, config.ngram_buckets)
    return Lesson(
        vocabulary=vocabulary,
        num_taught=num_taught,
        pretrained_VD=pretrained_VD,
        tickets=[vocabulary.encode(rows.tokens[row]) for row in teaching],
        targets=[targets[row] for row in teaching],
        kept_out=[vocabulary.encode(rows.tokens[row]) for row in kept_out],
        kept_out_targets=[targets[row] for row in kept_out] if config.folds == 1 else [],
        num_categories=num_categories,
        is_refit=is_refit,
    )


def directions(vectors_ND: Floats) -> Floats:
    """Return the vectors less their mean, each of length 1.

    What all words have in common says nothing of any, and a vector's length is that of its word's frequency. As they
    are in the file, vectors gained nothing (docs/LOG.md). Source: Mu and Viswanath 2018, "All-but-the-Top".
    """
    centred_ND = vectors_ND - vectors_ND.mean(axis=0)
    found: Floats = centred_ND / np.maximum(np.linalg.norm(centred_ND, axis=1, keepdims=True), 1e-6)
    return found


def setting(config: TrainConfig, number: int, refit: Experts | None) -> TrainConfig:
    """Return the settings of a GRU: with its own seed, and in a refit with the epochs that its best one took."""
    epochs = refit.best_epochs[number] if refit is not None else config.epochs
    return msgspec.structs.replace(config, seed=member_seed(config.seed, number), epochs=epochs)


def member_seed(seed: int, number: int) -> int:
    """Return the seed of a GRU: of the first the given one; of the others such that no two trainings share one."""
    return seed if not number else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def prepare(config: TrainConfig) -> torch.device:
    """Set how PyTorch computes in this process, and return where."""
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    # It would also fill each new array with NaN, to show what reads unwritten memory: an eighth of a short batch.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # PyTorch adds it itself
    wanted = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def train_gru(one: Lesson, config: TrainConfig, progress: Progress) -> Learnt:
    """Return a GRU that has learnt a lesson.

    Args:
        one: the lesson.
        config: with the GRU's own seed and epochs.
        progress: is told of its steps.
    """
    device = prepare(config)
    progress.phase("network")
    progress.start(len(one.tickets), config.epochs, one.is_refit)
    torch.manual_seed(config.seed)
    model = one.gru(config).to(device)
    chooses = one.kept_out if one.kept_out_targets else []
    curve, best_epoch = loop.train(
        *(model, one.tickets, one.targets, chooses, one.kept_out_targets, config), progress.step, progress.epoch
    )
    logits_NC = loop.logits(model, one.kept_out, len(one.vocabulary), device)
    weights = {name: weight.cpu().numpy() for name, weight in model.state_dict().items()}
    return Learnt(weights, logits_NC.numpy(), curve, best_epoch)


def fit_linear(one: Lesson, config: TrainConfig, choices: Sequence[LinearChoice], progress: Progress) -> list[Learnt]:
    """Return a linear part that has learnt a lesson, for each choice.

    All in one task, because they share the counting, and the search for one C begins where that for another has ended.
    """
    progress.phase("linear")
    features = linear.Features(one.vocabulary, config.pairs, one.num_taught, one.pretrained_VD)
    taught = one.tickets, one.targets, features, one.num_categories
    if config.linear_rank:
        prepare(config)
        ways = [choice for choice in choices if isinstance(choice, str)]
        fitted = low_rank.fit(*taught, config.linear_rank, ways, config.seed)
    else:
        fitted = linear.fit(*taught, [choice for choice in choices if not isinstance(choice, str)])
    progress.fitted(len(one.tickets) * len(choices))
    return [
        Learnt(found, linear.scores(found, one.kept_out), choice=choice)
        for found, choice in zip(fitted, choices, strict=True)
    ]


def best_linear(of_linear: Sequence[Sequence[Learnt]], targets: Sequence[int]) -> int:
    """Return which C is the best: that under which the tickets kept out, of all parts together, are likeliest.

    One for all folds, because their answers are calibrated together, and the network of all tickets takes C from them.
    When each fold chose its own, the temperature was that of a mixture, and that network up to 18 points too sure
    (docs/LOG.md, "A threshold that its own tickets bear out").

    Args:
        of_linear: of each part, a linear part for each C.
        targets: labels of the tickets kept out, part by part.
    """
    targets_N = torch.tensor(targets, dtype=torch.int64)

    def loss(place: int) -> float:
        scores_NC = torch.cat([torch.from_numpy(of_part[place].logits_NC) for of_part in of_linear])
        return fit_temperature(scores_NC, targets_N).loss_after or 0.0

    return min(range(len(of_linear[0])), key=loss)


def gather(one: Lesson, grus: Sequence[Learnt], fitted: Learnt, settings: Sequence[TrainConfig]) -> Experts:
    """Return the experts of a lesson: every GRU, and the linear part."""
    members = []
    for learnt, config in zip(grus, settings, strict=True):
        model = one.gru(config)
        assert isinstance(learnt.weights, Mapping), "a GRU has weights; our bug"
        model.load_state_dict({name: torch.from_numpy(weight) for name, weight in learnt.weights.items()})
        members.append(model.eval())
    assert isinstance(fitted.weights, Linear), "a linear part has rows; our bug"
    return Experts(
        one.vocabulary,
        members,
        fitted.weights,
        fitted.choice,
        torch.stack([torch.from_numpy(learnt.logits_NC) for learnt in grus]).mean(dim=0),
        torch.from_numpy(fitted.logits_NC),
        grus[0].curve,
        [learnt.best_epoch for learnt in grus],
    )
