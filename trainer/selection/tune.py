"""Settings for one set of tickets that are done in a given time, and better ones where time is left to search.

In: the settings asked for and the time. Out: the settings to train with, and what the search came to. How long a
training takes is for budget.py.

Optuna proposes (a tree-structured Parzen estimator: settings near those that did well, far from those that did not;
Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"). A proposal is tried on one GRU, which learns from
one part and answers, together with the linear part, the tickets that are kept out of it. Only what nobody has set is
searched, and the settings so far are the first trial.

The time decides how many are tried, so another run may find others; but what is found stands in the manifest, and
trains the same model again.
"""

import time
from collections.abc import Sequence
from functools import partial

import msgspec
import optuna
import torch

from artifacts.networks.gru_records import Trials
from trainer.config import TrainConfig
from trainer.data.tickets import Rows
from trainer.gru import ensemble
from trainer.gru.calibrate import fit_share, fit_temperature
from trainer.gru.ensemble import Learnt, Lesson, Part
from trainer.jobs import parallel
from trainer.jobs.pace import OUTSIDE_S, Pace
from trainer.kinds import Progress
from trainer.selection.budget import SAMPLE, fit_into, seconds

GAIN = 0.01  # share of the first trial's loss by which another must beat it; less is luck
SIZES = (32, 48)  # E = H; larger ones cost a search more than they are worth (docs/LOG.md)
SPACE = {  # lowest, highest, whether evenly by ratio
    "dropout": (0.1, 0.6, False),
    "word_dropout": (0.0, 0.4, False),
    "label_smoothing": (0.0, 0.2, False),
    "lr": (3e-3, 2e-2, True),
    "weight_decay": (1e-3, 0.1, True),
}
LEAST_TRIALS = 4  # fewer than these find nothing


def settings_in_time(
    rows: Rows,
    targets: Sequence[int],
    part: Part,
    num_categories: int,
    config: TrainConfig,
    progress: Progress,
    end_s: float,
) -> tuple[TrainConfig, Trials]:
    """Return the best settings that were found, such that their training is done in time, and what was tried.

    Args:
        rows: checked.
        targets: the label of each.
        part: what to learn from in a trial, and what to answer; the latter may be nothing, then nothing is searched.
        num_categories: C.
        config: resolved.
        progress: is told of the trials that this process trains.
        end_s: when everything must be done, by `time.monotonic`.

    Raises:
        InvalidInput: not even the shortest training is done in time.
    """
    single = msgspec.structs.replace(config, folds=1)  # whose lessons say which tickets choose the best epoch
    pace = measure(ensemble.lesson(rows, targets, (part[0][:SAMPLE], []), num_categories, single, False), config)
    num_tickets, num_more = len(rows.tickets), len(rows.unlabelled)
    config, estimate_s = fit_into(config, num_tickets, num_more, pace, end_s - time.monotonic())
    nothing = Trials(num_trials=0, loss_before=None, loss_after=None)
    if not part[1]:
        return config, nothing
    lesson = ensemble.lesson(rows, targets, part, num_categories, single, False)
    # A proposal may be of the largest size, in the trial and then in the training.
    largest_s = estimate_s * max(SIZES) / min(SIZES)
    trial = msgspec.structs.replace(single, grus=1, refit=False, linear_c=1.0, out_of_scope=False)
    trial_s = seconds(trial, num_tickets, 0, pace) - OUTSIDE_S
    stop_s = end_s - largest_s
    if time.monotonic() + LEAST_TRIALS * trial_s / config.processes > stop_s:
        return config, nothing
    return search(lesson, [targets[row] for row in part[1]], config, stop_s, progress)


def measure(lesson: Lesson, config: TrainConfig) -> Pace:
    """Return how fast this machine learns from a lesson: two epochs of a GRU and a linear part, neither kept."""
    learnt = ensemble.train_gru(lesson, msgspec.structs.replace(config, epochs=2), ensemble.SILENT)
    start = time.monotonic()
    ensemble.fit_linear(
        lesson, config, ensemble.linear_choices(config, lesson.num_categories, None, False), ensemble.SILENT
    )
    seconds_of_linear = time.monotonic() - start
    # The second epoch, because in the first PyTorch finds its memory.
    return Pace(1 / learnt.curve[-1].tickets_per_s, seconds_of_linear / len(lesson.tickets))


def search(
    lesson: Lesson, targets: Sequence[int], config: TrainConfig, stop_s: float, progress: Progress
) -> tuple[TrainConfig, Trials]:
    """Return the best settings that were found until the time was over, and what was tried.

    Args:
        lesson: to try proposals on.
        targets: labels of the tickets that it keeps out.
        config: resolved.
        stop_s: when to stop, by `time.monotonic`; the first trials are made in any case.
        progress: is told of the trials that this process trains.
    """
    targets_N = torch.tensor(targets, dtype=torch.int64)
    (fitted,) = ensemble.fit_linear(
        lesson, config, ensemble.linear_choices(config, lesson.num_categories, None, False), progress
    )
    linear_NC = torch.from_numpy(fitted.logits_NC)

    def loss_of(learnt: Learnt) -> float:
        gru_NC = torch.from_numpy(learnt.logits_NC)
        loss = fit_temperature(fit_share(gru_NC, linear_NC, targets_N).logits(gru_NC, linear_NC), targets_N).loss_after
        assert loss is not None, "there are tickets; our bug"
        return loss

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Several trials run at once; each counts as a bad one until it has ended, so that they are not all alike.
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.seed, constant_liar=True))
    study.enqueue_trial({name: getattr(config, name) for name in free(config)})
    settings: list[TrainConfig] = []
    slowest_s = 0.0
    while not settings or time.monotonic() + slowest_s <= stop_s:
        start = time.monotonic()
        trials = [study.ask() for _ in range(config.processes)]
        tried = [proposal(config, trial) for trial in trials]
        tasks = [partial(ensemble.train_gru, lesson, one) for one in tried]
        for trial, learnt in zip(trials, parallel.run_all(tasks, config.processes, progress), strict=True):
            study.tell(trial, loss_of(learnt))
        settings += tried
        slowest_s = max(slowest_s, time.monotonic() - start)
    losses = [trial.value for trial in study.trials if trial.value is not None]
    best = min(range(len(losses)), key=losses.__getitem__)
    if losses[best] > losses[0] * (1 - GAIN):
        best = 0
    return settings[best], Trials(num_trials=len(losses), loss_before=losses[0], loss_after=losses[best])


def free(config: TrainConfig) -> list[str]:
    """Return which settings a search may change: what was set by hand stays."""
    default = TrainConfig()
    names = [name for name in SPACE if getattr(config, name) == getattr(default, name)]
    is_sized = (config.embedding, config.hidden) == (default.embedding, default.hidden)
    return [*names, "hidden"] if is_sized else names


def proposal(config: TrainConfig, trial: optuna.Trial) -> TrainConfig:
    """Return the settings of a trial."""
    found: dict[str, object] = {}
    for name in free(config):
        if name == "hidden":
            found["hidden"] = found["embedding"] = trial.suggest_categorical(name, SIZES)
        else:
            low, high, is_log = SPACE[name]
            found[name] = trial.suggest_float(name, low, high, log=is_log)
    return msgspec.structs.replace(config, **found)
