"""The training loop: it learns, it can be repeated, and it leaves the best weights it found."""

import copy
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from artifacts.errors import InvalidInput
from artifacts.networks.manifest import Epoch
from artifacts.text.vocabulary import Encoded
from tests.trainer import small
from trainer.config import TrainConfig
from trainer.gru.model import TicketClassifier
from trainer.gru.train import BUCKET_BATCHES, batches, logits, tensors, train
from trainer.kernels import cell
from trainer.stepping import ragged, rows
from trainer.stepping.rows import SteppedTable

pytestmark = pytest.mark.torch

CPU = torch.device("cpu")
PLAIN = small.config(dropout=0.0, word_dropout=0.0, ngram_dropout=0.0, label_smoothing=0.0)
NUM_WORDS = len(small.VOCABULARY)


def thirty_two() -> tuple[list[Encoded], list[int]]:
    """Return 32 encoded tickets of four categories with their labels."""
    of_category = small.tickets(8)
    encoded = [small.VOCABULARY.encode(tokens) for group in of_category.values() for tokens in group]
    return encoded, [label for label, group in enumerate(of_category.values()) for _ in group]


def trained(
    config: TrainConfig, validation: Sequence[Encoded] = (), validation_targets: Sequence[int] = ()
) -> tuple[TicketClassifier, list[Epoch], int]:
    """Return a new network trained on the 32 tickets, its curve, and its best epoch."""
    tickets, targets = thirty_two()
    torch.manual_seed(config.seed)
    model = TicketClassifier(list(small.VOCABULARY.rows), 4, config)
    curve, best_epoch = train(model, tickets, targets, validation, validation_targets, config)
    return model, curve, best_epoch


def same_weights(one: TicketClassifier, other: TicketClassifier) -> bool:
    """Return whether two networks have bitwise the same weights."""
    others = other.state_dict()
    return all(torch.equal(weight, others[name]) for name, weight in one.state_dict().items())


def test_overfits_32_tickets_to_100_percent() -> None:
    """A network that can learn at all knows 32 tickets by heart after 30 epochs, with its usual dropouts too."""
    tickets, targets = thirty_two()
    model, curve, _ = trained(small.config(epochs=30))

    assert logits(model, tickets, NUM_WORDS, CPU).argmax(dim=1).tolist() == targets
    assert curve[-1].loss < 0.7 * curve[0].loss


def test_same_seed_gives_bitwise_the_same_weights() -> None:
    """Two trainings of one seed, with every dropout on, end in the same weights and the same curve of losses."""
    one, curve, _ = trained(small.config(seed=3))
    other, other_curve, _ = trained(small.config(seed=3))

    assert same_weights(one, other)
    assert [epoch.loss for epoch in curve] == [epoch.loss for epoch in other_curve]


def test_another_seed_gives_other_weights() -> None:
    """The seed decides the weights at the start and the order of the batches."""
    assert not same_weights(trained(small.config(seed=3))[0], trained(small.config(seed=4))[0])


def test_order_of_batches_depends_on_the_seed() -> None:
    """From the same first weights, another seed alone (another order of the tickets) leads to other weights."""
    tickets, targets = thirty_two()
    torch.manual_seed(0)
    first = TicketClassifier(list(small.VOCABULARY.rows), 4, PLAIN)
    second = copy.deepcopy(first)

    train(first, tickets, targets, [], [], PLAIN)
    train(second, tickets, targets, [], [], replace(PLAIN, seed=1))

    assert not same_weights(first, second)


@given(
    lengths=st.lists(st.integers(1, 512), min_size=1, max_size=400),
    size=st.integers(1, 64),
    seed=st.integers(0, 2**32 - 1),
)
def test_batches_hold_each_ticket_exactly_once(lengths: list[int], size: int, seed: int) -> None:
    """Whatever the lengths, an epoch reads every ticket once, in batches of at most `size` and never an empty one."""
    found = list(batches(lengths, size, np.random.default_rng(seed)))

    assert sorted(number for batch in found for number in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in found)


@given(lengths=st.lists(st.integers(1, 512), min_size=1, max_size=200), seed=st.integers(0, 99))
def test_like_lengths_are_together(lengths: list[int], seed: int) -> None:
    """Within one pool the batches do not overlap in length: each ends where the next longer one begins."""
    assert len(lengths) <= 4 * BUCKET_BATCHES
    found = list(batches(lengths, 4, np.random.default_rng(seed)))
    ranges = sorted((min(lengths[i] for i in batch), max(lengths[i] for i in batch)) for batch in found)

    assert all(longest <= shortest for (_, longest), (shortest, _) in itertools.pairwise(ranges))


def test_epochs_have_different_batches() -> None:
    """Two epochs cut the tickets into other batches, also where all lengths are equal, and begin with another one."""
    random = np.random.default_rng(0)

    one, other = (list(batches([7] * 200, 8, random)) for _ in range(2))

    assert {frozenset(batch) for batch in one} != {frozenset(batch) for batch in other}
    assert one[0] != other[0]


def test_batches_come_in_random_order() -> None:
    """Short tickets do not come first: the batches of a sorted pool are shuffled."""
    lengths = list(range(1, 201))

    shortest = [min(lengths[i] for i in batch) for batch in batches(lengths, 8, np.random.default_rng(0))]

    assert shortest != sorted(shortest)


def test_tensors_are_what_the_network_takes() -> None:
    """A batch becomes int64 ids and n-grams, padded, and lengths on the CPU."""
    tickets = [small.VOCABULARY.encode(["connexion", "inconnu"]), small.VOCABULARY.encode(["a"])]

    ids_BT, lengths_B, grams_UK = tensors(tickets, NUM_WORDS, CPU)

    assert (ids_BT.dtype, lengths_B.dtype, grams_UK.dtype) == (torch.int64,) * 3
    assert ids_BT.tolist() == [[small.VOCABULARY.rows["connexion"], NUM_WORDS], [small.VOCABULARY.rows["a"], 0]]
    assert lengths_B.tolist() == [2, 1]
    assert grams_UK.tolist() == tickets[0].grams


def test_logits_keep_the_order_of_the_tickets() -> None:
    """Tickets are run sorted by length and answered in the order they came, beyond one chunk of 256 too."""
    model = small.network(small.CONFIG)
    tickets = small.ragged(300, longest=6)

    found_NC = logits(model, tickets, NUM_WORDS, CPU)

    alone_NC = torch.cat([logits(model, [ticket], NUM_WORDS, CPU) for ticket in tickets])
    assert found_NC.shape == (300, 5)
    torch.testing.assert_close(found_NC, alone_NC, rtol=0, atol=1e-5)


def test_early_stopping_restores_the_best_weights() -> None:
    """Where each epoch makes validation worse, training stops `patience` epochs later, with the first one's weights.

    The validation tickets are the training tickets under wrong labels: what is learnt is unlearnt there.
    """
    tickets, targets = thirty_two()
    wrong = [(target + 1) % 4 for target in targets]
    config = replace(PLAIN, epochs=20, patience=3)
    torch.manual_seed(0)
    model = TicketClassifier(list(small.VOCABULARY.rows), 4, config)
    weights: list[dict[str, torch.Tensor]] = []

    curve, best_epoch = train(
        model,
        tickets,
        targets,
        tickets,
        wrong,
        config,
        on_epoch=lambda _: weights.append(copy.deepcopy(model.state_dict())),
    )

    losses = [epoch.validation_loss or 0.0 for epoch in curve]
    assert losses == sorted(losses), "each epoch is worse than the one before"
    assert best_epoch == 1
    assert [epoch.epoch for epoch in curve] == [1, 2, 3, 4]
    assert not model.training
    assert all(torch.equal(weight, weights[0][name]) for name, weight in model.state_dict().items())
    assert not torch.equal(model.head.weight, weights[-1]["head.weight"])


def test_every_step_is_taken_in_training_mode() -> None:
    """Measuring validation turns dropout off; the next epoch turns it on again."""
    tickets, targets = thirty_two()
    model = TicketClassifier(list(small.VOCABULARY.rows), 4, small.CONFIG)
    modes: list[bool] = []

    train(model, tickets, targets, tickets, targets, small.CONFIG, on_step=lambda *_: modes.append(model.training))

    assert modes == [True] * 12


def test_improving_training_runs_to_its_last_epoch() -> None:
    """Where validation gets better to the end, no epoch is left out, and the last is the best."""
    tickets, targets = thirty_two()

    _, curve, best_epoch = trained(replace(PLAIN, epochs=6, patience=1), tickets, targets)

    assert [epoch.epoch for epoch in curve] == [1, 2, 3, 4, 5, 6]
    assert best_epoch == 6


def test_curve_says_what_the_network_does() -> None:
    """Of the best epoch the curve has the validation loss and accuracy that the returned network has."""
    tickets, targets = thirty_two()
    validation, validation_targets = tickets[::3], targets[::3]

    model, curve, best_epoch = trained(small.CONFIG, validation, validation_targets)

    found_NC = logits(model, validation, NUM_WORDS, CPU)
    best = curve[best_epoch - 1]
    log_p_NC = found_NC.numpy() - np.log(np.exp(found_NC.numpy()).sum(axis=1, keepdims=True))
    assert best.validation_loss == pytest.approx(-log_p_NC[range(len(validation)), validation_targets].mean(), rel=1e-5)
    assert best.validation_accuracy == pytest.approx(np.mean(log_p_NC.argmax(axis=1) == validation_targets))
    assert all(epoch.tickets_per_s > 0 for epoch in curve)


def test_training_without_validation_keeps_the_last_epoch() -> None:
    """With nothing to choose by, all epochs are run and the last one's weights stay."""
    model, curve, best_epoch = trained(small.config(patience=1))

    assert best_epoch == len(curve) == small.CONFIG.epochs
    assert all(epoch.validation_loss is None and epoch.validation_accuracy is None for epoch in curve)
    assert not model.training


def test_a_single_ticket_and_a_single_epoch_train() -> None:
    """The smallest training there is, one step, has a schedule too."""
    tickets, targets = thirty_two()
    config = small.config(epochs=1)
    model = TicketClassifier(list(small.VOCABULARY.rows), 4, config)

    curve, best_epoch = train(model, tickets[:1], targets[:1], [], [], config)

    assert (len(curve), best_epoch) == (1, 1)


def test_loss_is_the_cross_entropy_of_the_logits() -> None:
    """A step that moves nothing reports -log softmax(logits)[label], with no softmax applied twice."""
    tickets, targets = thirty_two()
    config = replace(PLAIN, epochs=1, batch=32, lr=1e-12, weight_decay=0.0)
    torch.manual_seed(0)
    model = TicketClassifier(list(small.VOCABULARY.rows), 4, config)
    before_NC = logits(model, tickets, NUM_WORDS, CPU).numpy()

    curve, _ = train(model, tickets, targets, [], [], config)

    log_p_NC = before_NC - np.log(np.exp(before_NC).sum(axis=1, keepdims=True))
    assert curve[0].loss == pytest.approx(-log_p_NC[range(32), targets].mean(), rel=1e-5)


def test_label_smoothing_raises_the_loss_that_is_asked_for() -> None:
    """With smoothing s and C categories the loss of certainty is not 0: training asks for 1 - s + s/C, not for 1."""
    _, plain, _ = trained(replace(PLAIN, epochs=40))
    _, smooth, _ = trained(replace(PLAIN, epochs=40, label_smoothing=0.2))
    true, other = 0.85, 0.05  # 1 - 0.2 + 0.2 / 4, and 0.2 / 4
    floor = -(true * np.log(true) + 3 * other * np.log(other))  # the entropy of what is asked for

    assert plain[-1].loss < 0.05
    assert floor <= smooth[-1].loss < floor + 0.1


def spied_steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float, float]]:
    """Return a list that takes the gradient's length, its factor and the rate of each step of each table."""
    steps: list[tuple[float, float, float]] = []
    step = SteppedTable.step

    def spy(table: SteppedTable, gradient: torch.Tensor, factor: float) -> None:
        step(table, gradient, factor)
        steps.append((gradient.norm().item(), factor, table.rate))

    monkeypatch.setattr(SteppedTable, "step", spy)
    return steps


def lengths_of(steps: list[tuple[float, float, float]]) -> list[float]:
    """Return how long the gradient of all three tables together was in each step, after it was shortened."""
    return [float(np.linalg.norm([length * factor for length, factor, _ in group])) for group in threes(steps)]


def threes(steps: list[tuple[float, float, float]]) -> list[list[tuple[float, float, float]]]:
    """Return what belongs to one step: words, n-grams, and every other weight."""
    return [steps[at : at + 3] for at in range(0, len(steps), 3)]


def test_gradient_is_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step is taken, the gradient of all weights together is no longer than `clip`."""
    steps = spied_steps(monkeypatch)

    trained(small.config(clip=0.01))

    assert len(threes(steps)) == 3 * 4
    assert lengths_of(steps) == pytest.approx([0.01] * 12, rel=1e-3)


def test_short_gradient_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is shorter than `clip` is not made longer."""
    steps = spied_steps(monkeypatch)

    trained(small.config(clip=1000.0))

    assert {factor for _, factor, _ in steps} == {1.0}


def test_each_step_has_the_gradient_of_its_own_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one batch and weights that stand still, every step's gradient is the first one's, not a growing sum."""
    steps = spied_steps(monkeypatch)

    trained(replace(PLAIN, batch=32, lr=1e-12, weight_decay=0.0, clip=1000.0))

    lengths = lengths_of(steps)
    assert lengths == pytest.approx([lengths[0]] * 3, rel=1e-4)
    assert lengths[0] > 0.0


def test_learning_rate_warms_up_and_cools_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate starts low, reaches `lr` once and ends near 0, over all steps of all epochs, short batches too."""
    steps = spied_steps(monkeypatch)

    trained(small.config(epochs=10, lr=0.01, batch=10))

    assert all(len({rate for _, _, rate in group}) == 1 for group in threes(steps)), "one rate for every weight"
    rates = [group[0][2] for group in threes(steps)]
    assert len(rates) == 10 * 4
    peak = rates.index(max(rates))
    assert rates[0] < 0.001
    assert max(rates) == pytest.approx(0.01, rel=0.05)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.0005


@pytest.mark.parametrize("has_kernel", [True, False])
def test_every_weight_moves(has_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernels and without, a training changes every weight but the rows of padding."""
    if not has_kernel:
        without_kernels(monkeypatch)
    torch.manual_seed(0)
    before = TicketClassifier(list(small.VOCABULARY.rows), 4, small.CONFIG).state_dict()

    after = trained(small.config())[0].state_dict()

    for name, weight in after.items():
        is_still = (weight == before[name]).reshape(len(weight), -1).all(dim=1)
        assert is_still.tolist() == [name.startswith("embedding") and row == 0 for row in range(len(weight))], name


def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train as where there is no compiler."""
    for module in (cell, ragged, rows):
        monkeypatch.setattr(module, "kernel", lambda: None)


def test_with_and_without_the_kernels_the_same_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are rounded otherwise, so the bytes differ, but each step of the curve is the same to four digits."""
    one, curve, _ = trained(small.config(seed=3))
    without_kernels(monkeypatch)
    other, other_curve, _ = trained(small.config(seed=3))
    again, _, _ = trained(small.config(seed=3))

    assert [epoch.loss for epoch in curve] == pytest.approx([epoch.loss for epoch in other_curve], rel=1e-4)
    assert same_weights(other, again)
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(weight, other.state_dict()[name], rtol=0, atol=2e-3)


def test_callbacks_follow_every_step_and_epoch() -> None:
    """`on_step` counts the tickets of its epoch with their mean loss so far, `on_epoch` gets the curve's entries."""
    tickets, targets = thirty_two()
    model = TicketClassifier(list(small.VOCABULARY.rows), 4, small.CONFIG)
    steps: list[tuple[int, int, float]] = []
    epochs: list[Epoch] = []

    curve, _ = train(
        model,
        tickets,
        targets,
        [],
        [],
        small.CONFIG,
        on_step=lambda epoch, num_tickets, loss: steps.append((epoch, num_tickets, loss)),
        on_epoch=epochs.append,
    )

    assert [(epoch, done) for epoch, done, _ in steps] == [(e, 8 * n) for e in (1, 2, 3) for n in (1, 2, 3, 4)]
    assert [loss for _, done, loss in steps if done == 32] == [epoch.loss for epoch in curve]
    assert epochs == curve


@pytest.mark.parametrize("with_validation", [True, False])
def test_divergence_is_refused_with_the_remedy(with_validation: bool) -> None:
    """A loss that is no number any more ends the training with a sentence that names lr, never with NaN weights."""
    tickets, targets = thirty_two()
    validation = (tickets, targets) if with_validation else ([], [])

    with pytest.raises(InvalidInput, match=r"diverged in epoch 1: .* smaller lr \(it is 1e\+30\)"):
        trained(replace(PLAIN, lr=1e30), *validation)
