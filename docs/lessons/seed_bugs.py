"""What the two bugs of the seed's e-mail classifier cost, each switched on alone and both together.

    python docs/lessons/seed_bugs.py                                   # a sample of invented e-mails, all four networks
    python docs/lessons/seed_bugs.py --softmax-before-loss             # that bug beside the correct network
    python docs/lessons/seed_bugs.py --data DIR                        # DIR/train.jsonl and DIR/test.jsonl

In: labelled e-mails, made up or read from a folder. Out, on stdout: a line per training (accuracy on e-mails that were
kept out, what the bug costs against the correct network of the same seed, last loss, seconds), the means over the
seeds, and why. Nothing is written and no model is kept; Puppet's own network is in trainer/gru/model.py.

The network is the seed's: embedding 128, one GRU of 64 that reads forwards, a linear layer, Adam at 0.001, 10 epochs.
Everything that the bugs do not touch is the same in all four: the first weights, the order of the batches, the words.
What differs is two conditions, marked BUG 1 and BUG 2 below:

1. Softmax before the loss. `CrossEntropyLoss` takes logits and applies softmax itself; here it gets probabilities.
2. The last state is read after the padding. The e-mails of a set are filled up to the longest of them all, and the GRU
   goes on reading zeros after the last word. The correct network packs them: it stops at each e-mail's last word.

Where the lesson leaves the seed: batches of 32 (the seed has 2, for its five e-mails), and words as the product cuts
them (artifacts/text/tokens.py; the seed's torchtext is no longer maintained). docs/en/08-two-bugs.md is the chapter to
this file.
"""

# Axes: N e-mails of a set, B e-mails of a batch, T words (padded), E embedding, H hidden, C categories.

import math
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from artifacts.errors import InvalidInput
from trainer.cli.terminal import shows_errors
from trainer.data.files import RawRow
from trainer.data.tickets import check_categories, check_rows, read, split
from trainer.samples.emails import generate

EMBEDDING, HIDDEN, LEARNING_RATE = 128, 64, 0.001  # the seed's
BATCH = 32
PAD, UNK = 0, 1
HELD_OUT = 0.2  # of the sample; a folder brings its own test file


class Bugs(NamedTuple):
    """Which of the two bugs a network has."""

    softmax_before_loss: bool
    last_state_after_padding: bool


NAMES = {
    Bugs(False, False): "neither bug",
    Bugs(True, False): "softmax before loss",
    Bugs(False, True): "state after padding",
    Bugs(True, True): "both bugs",
}
CORRECT = Bugs(False, False)


class Texts(NamedTuple):
    """One set of e-mails as people wrote them: the words of each, and the name of its category."""

    words: list[list[str]]
    names: list[str]


class Emails(NamedTuple):
    """One set of e-mails as the network takes them.

    Attributes:
        ids: int64 [N,T], 0 after the last word; T is the longest e-mail of the set.
        lengths: int64 [N], the words of each.
        labels: int64 [N]; -1 for a category that training has not seen, which no answer equals.
    """

    ids: Tensor
    lengths: Tensor
    labels: Tensor


class EmailClassifier(nn.Module):
    """The seed's network, with its bugs as switches."""

    def __init__(self, num_words: int, num_categories: int, bugs: Bugs) -> None:
        super().__init__()
        self.bugs = bugs
        self.embedding = nn.Embedding(num_words, EMBEDDING, padding_idx=PAD)  # the padding's row is 0 and stays 0
        self.gru = nn.GRU(EMBEDDING, HIDDEN, batch_first=True)
        self.fc = nn.Linear(HIDDEN, num_categories)

    def last_states(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Return the state [B,H] that stands for each e-mail."""
        if self.bugs.last_state_after_padding:
            # BUG 2: a word vector of 0 is no pause. Biases and old state make a new state from it, at every step.
            _, last_1BH = self.gru(self.embedding(ids_BT))
        else:
            x_BTE = self.embedding(ids_BT[:, : int(lengths_B.max())])  # as far as anybody in the batch has words
            packed = pack_padded_sequence(x_BTE, lengths_B, batch_first=True, enforce_sorted=False)
            _, last_1BH = self.gru(packed)
        states_BH: Tensor = last_1BH.squeeze(0)
        return states_BH

    def forward(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Return what the loss gets [B,C]: logits, or with bug 1 probabilities."""
        logits_BC: Tensor = self.fc(self.last_states(ids_BT, lengths_B))
        if self.bugs.softmax_before_loss:
            # BUG 1: the largest category stays the largest, so answers look right; only learning suffers.
            return torch.softmax(logits_BC, dim=1)
        return logits_BC


class Run(NamedTuple):
    """What one training came to.

    Attributes:
        accuracy: on the e-mails that were kept out, padded to their longest, as the seed evaluates.
        alone: the same, but each e-mail without any padding, as the seed's `/predict` asks.
        loss: mean over the batches of the last epoch.
        seconds: of training.
    """

    accuracy: float
    alone: float
    loss: float
    seconds: float


def train(network: EmailClassifier, emails: Emails, num_epochs: int, seed: int) -> float:
    """Train `network` in place as the seed does, and return the mean loss of its last epoch."""
    order = torch.Generator().manual_seed(seed)  # of its own: a bug must not shift the batches of the others
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    criterion = nn.CrossEntropyLoss()
    total = 0.0
    for _ in range(num_epochs):
        total = 0.0
        for batch_B in torch.split(torch.randperm(len(emails.labels), generator=order), BATCH):
            optimizer.zero_grad()
            outputs_BC = network(emails.ids[batch_B], emails.lengths[batch_B])
            loss = criterion(outputs_BC, emails.labels[batch_B])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch_B)
    return total / len(emails.labels)


@torch.no_grad()
def accuracy(network: EmailClassifier, emails: Emails, alone: bool) -> float:
    """Return the share of right answers, in percent; `alone`: no e-mail is padded."""
    if alone:  # e-mails of one length need no padding between them, and give what each gives by itself
        groups = [(emails.lengths == length).nonzero().flatten() for length in set(emails.lengths.tolist())]
    else:
        groups = list(torch.split(torch.arange(len(emails.labels)), 256))
    num_right = 0
    for batch_B in groups:
        lengths_B = emails.lengths[batch_B]
        ids_BT = emails.ids[batch_B]
        outputs_BC = network(ids_BT[:, : int(lengths_B.max())] if alone else ids_BT, lengths_B)
        num_right += int((outputs_BC.argmax(dim=1) == emails.labels[batch_B]).sum())
    return 100 * num_right / len(emails.labels)


def run(bugs: Bugs, sets: tuple[Emails, Emails], num_words: int, num_categories: int, epochs: int, seed: int) -> Run:
    """Train one network and measure it; the same seed gives every variant the same first weights."""
    learnt, held_out = sets
    torch.manual_seed(seed)
    network = EmailClassifier(num_words, num_categories, bugs)
    start = time.perf_counter()
    loss = train(network, learnt, epochs, seed)
    seconds = time.perf_counter() - start
    return Run(accuracy(network, held_out, alone=False), accuracy(network, held_out, alone=True), loss, seconds)


def read_sample(num_tickets: int, seed: int) -> tuple[Texts, Texts]:
    """Return invented e-mails to learn from, and others to measure on.

    Raises:
        InvalidInput: too few to keep one out.
    """
    emails = generate(num_tickets, seed)
    raw = [msgspec.json.encode({"category": name, "text": f"{subject}\n{body}"}) for name, subject, body in emails]
    rows = check_rows([RawRow(row) for row in raw], "the sample")
    check_categories(rows)
    learnt, held_out = split(rows, HELD_OUT, seed)
    if not held_out:
        raise InvalidInput("not-valid", reason=f"{num_tickets} e-mails are too few to keep some out; take 100 or more")
    names = [ticket.expected for ticket in rows.tickets]
    one, other = (Texts([rows.tokens[i] for i in part], [names[i] for i in part]) for part in (learnt, held_out))
    return one, other


def read_folder(folder: Path) -> tuple[Texts, Texts]:
    """Return the e-mails of `folder`/train.jsonl to learn from, and those of `folder`/test.jsonl to measure on.

    Raises:
        InvalidInput: a file is missing, a row does not fit, or all are of one category.
        NoTrainingData: a file is empty.
    """
    files = [folder / "train.jsonl", folder / "test.jsonl"]
    train, test = map(read, files)
    check_categories(train)
    one, other = (Texts(rows.tokens, [ticket.expected for ticket in rows.tickets]) for rows in (train, test))
    return one, other


def encode(texts: Texts, words: dict[str, int], labels: dict[str, int]) -> Emails:
    """Return the e-mails as one matrix, filled up with 0 to the longest of them all, as the seed's `pad_sequences`."""
    ids = [torch.tensor([words.get(word, UNK) for word in text]) for text in texts.words]
    return Emails(
        pad_sequence(ids, batch_first=True, padding_value=PAD),
        torch.tensor([len(row) for row in ids]),
        torch.tensor([labels.get(name, -1) for name in texts.names]),
    )


def lowest_loss(bugs: Bugs, num_categories: int) -> float:
    """Return the loss below which a network with these bugs cannot fall.

    Sure and right, the first softmax gives 1 and C - 1 times 0. Of these the loss takes the softmax again: the true
    category gets e / (e + C - 1), and minus its logarithm is ln(C - 1 + e) - 1.
    """
    return math.log(num_categories - 1 + math.e) - 1 if bugs.softmax_before_loss else 0.0


@torch.no_grad()
def typical_distance(bugs: Bugs, emails: Emails, num_words: int, seed: int) -> float:
    """Return how far, before training, a state lies from the middle one: median over e-mails and H."""
    torch.manual_seed(seed)
    network = EmailClassifier(num_words, 2, bugs)
    states_NH = network.last_states(emails.ids, emails.lengths)
    # Medians, because the longest e-mail has no padding and would speak for all in a mean.
    return (states_NH - states_NH.median(dim=0).values).abs().median().item()


def spread(values: Sequence[float]) -> str:
    """Return mean, lowest and highest; of three seeds a standard deviation would say no more."""
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with train.jsonl and test.jsonl; without it, a sample of invented e-mails.",
)
@click.option("--softmax-before-loss/--no-softmax-before-loss", default=None, help="Bug 1, beside the correct network.")
@click.option(
    "--last-state-after-padding/--no-last-state-after-padding",
    default=None,
    help="Bug 2, beside the correct network. With neither option: all four combinations.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option("--num-seeds", type=click.IntRange(min=1), default=3, show_default=True, help="One seed is luck.")
@click.option("--num-tickets", type=click.IntRange(min=20), default=1500, show_default=True, help="Of the sample.")
@shows_errors
def main(
    data: Path | None,
    softmax_before_loss: bool | None,
    last_state_after_padding: bool | None,
    epochs: int,
    seed: int,
    num_seeds: int,
    num_tickets: int,
) -> None:
    """Train the seed's e-mail classifier with and without its two bugs, and print what each costs."""
    torch.set_num_threads(1)  # on a busy machine two are slower: docs/decisions/0004-one-thread-trains.md
    if softmax_before_loss is None and last_state_after_padding is None:
        chosen = list(NAMES)
    else:
        chosen = list(dict.fromkeys([CORRECT, Bugs(bool(softmax_before_loss), bool(last_state_after_padding))]))

    learnt, held_out = read_folder(data) if data else read_sample(num_tickets, seed)
    counts = Counter(word for text in learnt.words for word in text)
    words = {word: row for row, (word, _) in enumerate(counts.most_common(), start=2)}  # every word, as the seed
    labels = {name: label for label, name in enumerate(sorted(set(learnt.names)))}
    num_words, num_categories = len(words) + 2, len(labels)
    sets = encode(learnt, words, labels), encode(held_out, words, labels)

    num_test = len(held_out.names)
    print(f"{data or f'invented e-mails, seed {seed}'}: {len(learnt.names)} to learn from, {num_test} to measure on")
    share = 100 * held_out.names.count(Counter(learnt.names).most_common(1)[0][0]) / num_test
    print(f"{num_categories} categories; always answering the commonest is right for {share:.1f} %")
    print()
    print(f"{'':<20} seed  accuracy  alone   cost  last loss  lowest  seconds")
    small = Emails(*(rows[:BATCH] for rows in sets[0]))
    run(CORRECT, (small, small), num_words, num_categories, 1, seed)  # PyTorch's first steps take a second: not timed
    runs: dict[Bugs, list[Run]] = {bugs: [] for bugs in chosen}
    for number in range(seed, seed + num_seeds):
        for bugs in chosen:
            one = run(bugs, sets, num_words, num_categories, epochs, number)
            runs[bugs].append(one)
            cost = "" if bugs == CORRECT else f"{runs[CORRECT][-1].accuracy - one.accuracy:.1f}"
            print(
                f"{NAMES[bugs]:<20} {number:>4} {one.accuracy:>9.1f} {one.alone:>6.1f} {cost:>6} {one.loss:>10.4f} "
                f"{lowest_loss(bugs, num_categories):>7.4f} {one.seconds:>8.1f}",
                flush=True,
            )

    print()
    print(f"{'mean (range)':<20} {'accuracy':>20} {'cost in points':>20}")
    for bugs in chosen:
        costs = [right.accuracy - wrong.accuracy for right, wrong in zip(runs[CORRECT], runs[bugs], strict=True)]
        accuracies = spread([one.accuracy for one in runs[bugs]])
        print(f"{NAMES[bugs]:<20} {accuracies:>20} {'' if bugs == CORRECT else spread(costs):>20}".rstrip())
    if any(bugs.softmax_before_loss for bugs in chosen):
        explain_softmax(num_categories)
    if any(bugs.last_state_after_padding for bugs in chosen):
        explain_padding(sets[1], num_words, seed)


def explain_softmax(num_categories: int) -> None:
    """Print why bug 1 costs what it does, with this set's numbers."""
    floor = lowest_loss(Bugs(True, False), num_categories)
    print(
        f"""
softmax before loss: the loss takes the softmax of what is a softmax already.
With {num_categories} categories it starts near ln {num_categories} = {math.log(num_categories):.4f}, and a perfect \
network would still pay {floor:.4f}.
The gradient passes the first softmax, which lets next to nothing through where the answer is sure and wrong."""
    )


def explain_padding(emails: Emails, num_words: int, seed: int) -> None:
    """Print why bug 2 costs what it does, with this set's numbers."""
    longest = emails.ids.shape[1]
    mean = emails.lengths.double().mean().item()
    before, after = (typical_distance(Bugs(False, late), emails, num_words, seed) for late in (False, True))
    print(
        f"""
state after padding: an e-mail has {mean:.1f} words and the longest {longest}, so the last state has read \
{longest - mean:.1f} times nothing.
Before training, a number of the state lies {before:.2g} from the middle at the last word, and {after:.2g} after the
padding: little of what the e-mail said is left to learn from.
Alone, an e-mail has no padding, and the network meets states that it has not learnt to read."""
    )


if __name__ == "__main__":
    main()
