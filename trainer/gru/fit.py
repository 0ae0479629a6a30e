"""The kind GRU on the trainer's side: checked tickets in, a trained network and its files out.

    prepare -> train_parts -> calibrate -> refit -> learn_from_unlabelled -> the graph (export.py) -> validate, describe

`fit` calls these steps one after the other; what one hands to the next is a frozen Struct. The idea: an ensemble learns
from most tickets and answers the few that were held out of its training. Those answers are the only honest ones, so
they decide how much each member counts, how sure an answer may sound, and which tickets the model may route by itself.
After that nothing has to be held out any more, and the ensemble that is published learns from every ticket.

What it leaves to others: reading (trainer/data), the members (ensemble.py: linear.py, model.py and train.py), settings
for a given time (budget.py, tune.py), mixing weights and temperature (calibrate.py), the graph (export.py), what a
terminal shows (show.py), publishing (run.py). `kinds.Trainer` says what each name here is for.
"""

# Axes: N tickets, K of them held out of a training, C categories.

import importlib.util
import time
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from artifacts.arrays import Floats
from artifacts.errors import InvalidInput
from artifacts.evaluation.abstain import Abstention, CategoryCoverage, OutOfScope
from artifacts.evaluation.metrics import Metrics, measure
from artifacts.evaluation.profile import Profile
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import TENSORS, Calibration, GruManifest, GruReport, Trials, encoding
from artifacts.networks.manifest import Epoch, Parity
from artifacts.schemas import Summary
from artifacts.store.versions import now
from artifacts.text.tickets import Prediction, Ticket
from artifacts.text.vocabulary import Encoded, Vocabulary, build_rows
from trainer.config import TrainConfig, forbidden, resolve
from trainer.curation.aliases import merged, read_aliases, with_aliases
from trainer.curation.unlabelled import with_labels
from trainer.curation.vectors import without
from trainer.data import tickets
from trainer.data.tickets import Rows, cut, fingerprint, split
from trainer.gru import show
from trainer.jobs.pace import starting_with
from trainer.kinds import Fitted, Progress, libraries
from trainer.selection.budget import rounds
from trainer.selection.out_of_scope import try_out
from trainer.selection.threshold import coverage_by_category, fit_abstention

if TYPE_CHECKING:  # these import torch, which takes seconds; here they are only names of types
    from trainer.gru.calibrate import Mix
    from trainer.gru.ensemble import Experts, Part

# What a graph of this kind may hold: `puppet-train verify` refuses any other operator, such as a Loop that never ends.
OPERATORS = frozenset(
    {
        *("Add", "Cast", "Concat", "Div", "GRU", "Gather", "Gemm", "Less", "Max", "Mod", "Mul", "Pad", "ReduceMax"),
        *("ReduceSum", "Reshape", "Softmax", "Split", "Sqrt", "Sub", "Transpose", "Unsqueeze", "Where"),
    }
)
NOTICED_MB = 10  # of tables; the largest public set here has 18
MAX_MATRIX = 500  # categories of a full confusion matrix in the report
# The other names that every kind brings (kinds.Trainer). A GRU reads tickets as any text classifier does.
Config = TrainConfig
table = None  # its rows are tickets
check_rows = tickets.check_rows
check_trainable = tickets.check_categories
show_rows, show_validation, show_evaluation = show.show_rows, show.show_validation, show.show_evaluation


class Prepared(msgspec.Struct, frozen=True):
    """What a training starts from.

    Attributes:
        config: resolved, so that no setting is left to the recipe.
        rows: N tickets, aliases replaced.
        aliases: placeholder -> the placeholder that it is read as.
        labels: the C categories, sorted; the place of a category is its label.
        targets: N labels, one for each ticket.
        parts: row numbers to learn from, and row numbers held out; one split, or each fold in turn.
        search: what a search for settings found; None without one.
    """

    config: TrainConfig
    rows: Rows
    aliases: dict[str, str]
    labels: list[str]
    targets: list[int]
    parts: "list[Part]"
    search: Trials | None = None


class HeldOut(msgspec.Struct, frozen=True):
    """What the held-out tickets were answered by ensembles that had not learnt from them, and what that decides.

    Attributes:
        rows: K row numbers, part by part.
        targets_K: int64, the true labels.
        probabilities_KC: float32, of the whole ensemble, calibrated.
        gru_KC, linear_KC: float32, of each side alone, not calibrated.
        mix: how much each side counts.
        calibration: the temperature, and the loss in nats a ticket before and after it.
    """

    rows: list[int]
    targets_K: NDArray[np.int64]
    probabilities_KC: Floats
    # These two only say in the report what each side is worth by itself; nothing is decided by them.
    gru_KC: Floats
    linear_KC: Floats
    mix: "Mix"
    calibration: Calibration


class Validation(msgspec.Struct, frozen=True):
    """What the held-out tickets say about the model; all of it None if none was held out.

    Attributes:
        metrics, linear, gru: of the whole ensemble, and of each side alone.
        confusion_matrix: C x C counts; row: true label, column: predicted label; None of too many categories, whose
            metrics hold the cells that are not 0.
        profile: what a server compares its live tickets with (drift).
        abstention: which tickets the model routes by itself; None also if too few tickets were held out.
        coverage: of each category, what that rule routes.
        labels_follow_text: whether the text tells the categories; None also if there are too few tickets to deny it.
    """

    metrics: Metrics | None = None
    linear: Metrics | None = None
    gru: Metrics | None = None
    confusion_matrix: list[list[int]] | None = None
    profile: Profile | None = None
    abstention: Abstention | None = None
    coverage: dict[str, CategoryCoverage] | None = None
    labels_follow_text: bool | None = None


class TrainedNetwork(msgspec.Struct, frozen=True):
    """The network that is published, and how its training went.

    Attributes:
        graph: `model.onnx`.
        parity: the proof that it answers as the network does.
        vocabulary: the graph's.
        curve, best_epoch: of the first GRU that still had tickets held out.
        num_parameters: of all GRUs.
        num_taken: unlabelled tickets that were learnt from.
        out_of_scope: whether its confidence notices categories that it never saw; None if that was not tried.
        seconds: from the call of `fit` to here.
    """

    graph: bytes
    parity: Parity
    vocabulary: Vocabulary
    curve: list[Epoch]
    best_epoch: int
    num_parameters: int
    num_taken: int
    out_of_scope: OutOfScope | None
    seconds: float


def resolved(config: TrainConfig, rows: Rows) -> TrainConfig:
    """Return the settings with a number wherever the recipe, the number of tickets or the size of the tables decides.

    Raises:
        InvalidInput: aliases that contradict each other.
    """
    # Here, because it imports SciPy, which reading and checking rows do without.
    from trainer.gru.low_rank import MB, MIN_RANK, choose_rank

    read_aliases(config.aliases)
    rank = config.linear_rank
    # Counting the words takes a third of a second for 30,000 tickets, so few categories do without it.
    if rank is None and len(rows.categories) <= MIN_RANK:
        rank = 0
    if rank is None:
        rank = choose_rank(num_table_rows(config, rows), len(rows.categories), config.max_table_mb * MB)
    # As many columns as categories are full tables, which need no basis.
    rank = rank if rank < len(rows.categories) else 0
    return msgspec.structs.replace(resolve(config, len(rows.tickets)), linear_rank=rank)


def num_table_rows(config: TrainConfig, rows: Rows) -> int:
    """Return how many rows the linear part's tables have together, at most: words, n-grams and pairs."""
    # The published network learns from all tickets, and perhaps from the unlabelled ones too.
    words = set(
        build_rows(chain(rows.tokens, rows.unlabelled), config.min_count, config.max_vocabulary, forbidden(config))
    )
    if rows.vectors is not None:
        words |= set(rows.vectors.words)
    return len(words) + config.ngram_buckets + 1 + config.pairs


def show_plan(config: TrainConfig, rows: Rows) -> list[str]:
    """Return how large the linear part's tables are going to be, and whether that is more than they may take.

    Tables that nobody would notice are not mentioned.

    Args:
        config: resolved.
        rows: checked.
    """
    from trainer.gru.low_rank import MB, table_bytes

    num_rows, num_categories = num_table_rows(config, rows), len(rows.categories)
    full_mb = table_bytes(num_rows, num_categories) / MB
    said = f"tables of the linear part: {num_rows} rows x {num_categories} categories are {full_mb:.0f} MB"
    if not config.linear_rank and full_mb < NOTICED_MB:
        return []
    if not config.linear_rank:
        return [f"{said}, max_table_mb is {config.max_table_mb}: full tables"]
    low_mb = table_bytes(num_rows, config.linear_rank) / MB
    return [f"{said}, max_table_mb is {config.max_table_mb}: low rank, {config.linear_rank} columns, {low_mb:.0f} MB"]


def fit(name: str, rows: Rows, config: TrainConfig, progress: Progress, job: str | None) -> Fitted:
    """Train on checked tickets and return the network's files; see `kinds.Trainer.fit`."""
    # The time that `minutes` grants begins here: reading the rows is over, importing torch is not.
    start_s, end_s = time.perf_counter(), time.monotonic() + config.minutes * 60
    data = prepare(rows, config)
    from trainer.gru import export

    check_device(data.config.device)
    if data.config.minutes:
        data = tune(data, progress, end_s)
    still = rounds(data.config, len(rows.tickets), len(rows.unlabelled))
    progress.plan(still)
    # First round: ensembles that have tickets held out. Their answers decide everything that has to be decided.
    of_parts = train_parts(data, data.parts, progress)
    progress.plan(still[1:])
    progress.phase("calibrate")
    held_out = calibrate(data, of_parts)
    # Second round: the same members, with nothing held out. What was decided stays, for nothing is left to decide by.
    final = refit(data, of_parts[-1], progress)
    progress.plan(starting_with("unlabelled", still) or starting_with("out_of_scope", still))
    final, num_taken = learn_from_unlabelled(data, final, held_out, progress)
    progress.plan(starting_with("out_of_scope", still))
    out_of_scope = try_out_of_scope(data, progress)
    progress.plan([])
    progress.phase("export")
    network = final.together(held_out.mix)
    # PyTorch's part ends here. From now on the graph is the model; it may not leave unless it answers as PyTorch does.
    graph, parity = export.export(network, final.vocabulary, held_out.calibration.temperature)
    trained = TrainedNetwork(
        graph=graph,
        parity=parity,
        # Of the second round, not of the first: words that only held-out or unlabelled tickets hold are known now.
        vocabulary=final.vocabulary,
        curve=of_parts[-1].curve,  # the second round has no validation loss to draw
        best_epoch=of_parts[-1].best_epochs[0],
        num_parameters=sum(weight.numel() for weight in network.members.parameters()),
        num_taken=num_taken,
        out_of_scope=out_of_scope,
        seconds=time.perf_counter() - start_s,
    )
    # The figures are those of the first round, because only it has tickets that it did not learn from. The published
    # ensemble has learnt from more, so they are a little too low.
    validation = validate(data, of_parts, held_out)
    manifest = describe(name, job, data, held_out, validation, trained)
    files = files_of(data, trained)
    # It loads as the server will load it, golden rows included, or it is refused here and never published.
    GruModel(manifest, files)
    return Fitted(manifest, files, report_of(data, validation, trained), answers(data, held_out))


def prepare(rows: Rows, config: TrainConfig) -> Prepared:
    """Return the tickets with labels, and which of them teach and which are held out; nothing here needs torch.

    Raises:
        InvalidInput: `minutes` without Optuna, or aliases that contradict each other or stand in too few tickets.
    """
    if config.minutes and importlib.util.find_spec("optuna") is None:
        raise InvalidInput("tuner-missing")
    config = resolved(config, rows)
    aliases = read_aliases(config.aliases)
    rows = merged(rows, aliases, config.min_count)
    if (is_forbidden := forbidden(config)) is not None and rows.vectors is not None:
        rows = msgspec.structs.replace(rows, vectors=without(rows.vectors, is_forbidden))
    # Sorted: then the same categories get the same labels, whatever the order of the rows.
    labels = sorted(rows.categories)
    label_of = {category: label for label, category in enumerate(labels)}
    targets = [label_of[ticket.expected] for ticket in rows.tickets]
    return Prepared(config, rows, aliases, labels, targets, parts_of(rows, config))


def parts_of(rows: Rows, config: TrainConfig) -> "list[Part]":
    """Return what to learn from and what to hold out: one split, or each fold in turn."""
    # One split of 600 tickets holds out 60, of which the mixing weight and the temperature would be mostly luck. So
    # under 2,000 tickets there are four folds, and nearly every ticket is held out once (decision 0011).
    if config.folds > 1:
        return cut(rows, config.folds, config.seed)
    return [split(rows, config.validation, config.seed)]


def check_device(device: str) -> None:
    """Raise InvalidInput if the device is one that PyTorch cannot use here."""
    import torch

    # "auto" falls back to the CPU; who asks for cuda by name should not wait for the CPU without knowing.
    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("no-cuda")


def tune(data: Prepared, progress: Progress, end_s: float) -> Prepared:
    """Return the same tickets with settings that are done in time, the best that were found.

    Raises:
        InvalidInput: not even the shortest training is done by `end_s` (of `time.monotonic`).
    """
    from trainer.selection.tune import settings_in_time

    config, search = settings_in_time(
        *(data.rows, data.targets, data.parts[0], len(data.labels), data.config, progress, end_s)
    )
    # Fewer folds may be among what was given up for time, so the tickets are cut anew.
    return msgspec.structs.replace(data, config=config, parts=parts_of(data.rows, config), search=search)


def train_parts(
    data: Prepared, parts: "list[Part]", progress: Progress, again: "Experts | None" = None
) -> "list[Experts]":
    """Return one ensemble for each part, trained on its tickets and asked about those that it holds out.

    Args:
        data: prepared.
        parts: of `data.rows`.
        progress: of the first GRU; others are announced as they begin.
        again: the ensemble whose numbers of epochs and C are taken over; None to choose them.
    """
    from trainer.gru import ensemble

    return ensemble.train(data.rows, data.targets, parts, len(data.labels), data.config, progress, refit=again)


def calibrate(data: Prepared, of_parts: "list[Experts]") -> HeldOut:
    """Return the answers to the held-out tickets, and the mixing weights and the temperature that suit them best.

    The tickets stand for those of tomorrow: on tickets that it has learnt from a network is always too sure.
    """
    import torch

    from trainer.gru.calibrate import fit_share, fit_temperature

    # The folds' answers are pooled. Each is of another network, but all of them are trained in the same way, and the
    # few numbers that are sought belong to the way: on whole sets they carry over to the network that learns from
    # everything; on 600 or 1,200 tickets that one is too sure by up to five points (docs/LOG.md, "A threshold from a
    # target").
    rows = [row for _, held_out in data.parts for row in held_out]
    targets_K = torch.tensor([data.targets[row] for row in rows], dtype=torch.int64)
    gru_KC = torch.cat([experts.gru_NC for experts in of_parts])
    linear_KC = torch.cat([experts.linear_NC for experts in of_parts])
    # The sum of logits, not the mean of probabilities: it is as good or better, and one softmax (docs/LOG.md, "Two
    # experts"). Mixing comes first, for the temperature is that of the sum: logits = (w_gru gru + w_linear linear) / T.
    mix = fit_share(gru_KC, linear_KC, targets_K)
    logits_KC = mix.logits(gru_KC, linear_KC)
    calibration = fit_temperature(logits_KC, targets_K)

    def softmax(logits_KC: torch.Tensor) -> Floats:
        probabilities_KC: Floats = torch.softmax(logits_KC, dim=1).numpy()
        return probabilities_KC

    return HeldOut(
        rows=rows,
        targets_K=targets_K.numpy(),
        probabilities_KC=softmax(logits_KC / calibration.temperature),
        gru_KC=softmax(gru_KC),
        linear_KC=softmax(linear_KC),
        mix=mix,
        calibration=msgspec.structs.replace(calibration, linear_share=mix.share),
    )


def refit(data: Prepared, experts: "Experts", progress: Progress) -> "Experts":
    """Return the ensemble trained once more, on every ticket; or as it is, if it has seen them all or may not."""
    is_wanted = data.config.refit or data.config.folds > 1  # of several folds none is the model
    if not is_wanted or not any(held_out for _, held_out in data.parts):
        return experts
    # A tenth more tickets to learn from is worth up to 1.6 points (docs/LOG.md, "The tickets that were kept out").
    return train_on_all(data, experts, progress)


def learn_from_unlabelled(
    data: Prepared, experts: "Experts", held_out: HeldOut, progress: Progress
) -> tuple["Experts", int]:
    """Return an ensemble that has also learnt from the unlabelled tickets it was sure of, and how many these were.

    Self-training (Yarowsky 1995): the ensemble labels tickets, and those labels that are surely enough right teach the
    next one, which so learns the words that stand in no labelled ticket. At .7 nine in ten of the labels were right and
    accuracy on 600 labelled tickets rose by 2 to 3 points (docs/LOG.md, "Tickets without a category").
    """
    if not data.rows.unlabelled:
        return experts, 0
    import torch

    from trainer.gru.train import logits

    # The teacher is the ensemble that has just learnt from every labelled ticket, the best there is so far.
    vocabulary, temperature = experts.vocabulary, held_out.calibration.temperature
    encoded = [vocabulary.encode(tokens) for tokens in data.rows.unlabelled]
    # The temperature counts: "surely enough" is a probability, and an uncalibrated one promises too much.
    logits_UC = logits(experts.together(held_out.mix), encoded, len(vocabulary), torch.device("cpu")) / temperature
    rows = with_labels(data.rows, data.labels, torch.softmax(logits_UC, dim=1).numpy())
    label_of = {category: label for label, category in enumerate(data.labels)}
    targets = [label_of[ticket.expected] for ticket in rows.tickets]
    # Mixing weights and temperature stay: nothing is held out from here on, so there is nothing to choose others by.
    more = msgspec.structs.replace(data, rows=rows, targets=targets)
    return train_on_all(more, experts, progress), len(rows.tickets) - len(data.rows.tickets)


def train_on_all(data: Prepared, experts: "Experts", progress: Progress) -> "Experts":
    """Return the members of an ensemble trained anew on all tickets, with nothing held out.

    Each starts from its own seed again and runs for as many epochs as its best one took: without held-out tickets
    nothing could say when to stop.
    """
    everything = list(range(len(data.rows.tickets)))
    (again,) = train_parts(data, [(everything, [])], progress, again=experts)
    return again


def try_out_of_scope(data: Prepared, progress: Progress) -> OutOfScope | None:
    """Return whether confidence tells tickets of no known category apart, from a quick training; None if not asked."""
    # The published network has seen every category, so only another, without some of them, can be asked about them.
    return try_out(data.rows, data.parts[0], data.config, progress) if data.config.out_of_scope else None


def validate(data: Prepared, of_parts: "list[Experts]", held_out: HeldOut) -> Validation:
    """Return what the answers to the held-out tickets say, all by networks that had not learnt from them."""
    follows = labels_follow_text(data, held_out)
    if not held_out.rows:
        return Validation(labels_follow_text=follows)
    labels, targets_K, probabilities_KC = data.labels, held_out.targets_K, held_out.probabilities_KC
    # Each ticket is read with the vocabulary of its own part, to which its words are as new as those of a ticket of
    # tomorrow are to the published one. The final vocabulary knows them all: nothing would ever be unknown.
    encoded, unknown = [], []
    for experts, (_, rows) in zip(of_parts, data.parts, strict=True):
        read = [experts.vocabulary.encode(data.rows.tokens[row]) for row in rows]
        encoded += read
        unknown += [ticket.unknown_share(len(experts.vocabulary)) for ticket in read]
    config = data.config
    routing = fit_abstention(
        probabilities_KC, targets_K, np.array(unknown), config.target, config.abstain, config.folds
    )
    abstention, routed_K = routing if routing is not None else (None, None)
    return Validation(
        metrics=measured(data, held_out, probabilities_KC),
        linear=measured(data, held_out, held_out.linear_KC),
        gru=measured(data, held_out, held_out.gru_KC),
        confusion_matrix=confusion_matrix(targets_K, probabilities_KC),
        profile=profile_of(labels, encoded, probabilities_KC),
        abstention=abstention,
        coverage=coverage_by_category(labels, probabilities_KC, targets_K, routed_K) if routed_K is not None else None,
        labels_follow_text=follows,
    )


def labels_follow_text(data: Prepared, held_out: HeldOut) -> bool | None:
    """Return whether the text tells the categories; None if the tickets are too few to deny it."""
    from trainer.curation.signal import Answered, follows_text

    # The linear part's answers and not the ensemble's: how the two are mixed and when a GRU stops was chosen on these
    # very tickets, which would make a little evidence out of nothing.
    parts = [np.full(len(rows), part) for part, (_, rows) in enumerate(data.parts)]
    answered = Answered(np.array(held_out.rows, dtype=np.int64), held_out.linear_KC, np.concatenate(parts))
    follows, _ = follows_text(data.rows, np.array(data.targets), answered)
    return follows


def confusion_matrix(targets_K: NDArray[np.int64], probabilities_KC: Floats) -> list[list[int]] | None:
    """Return how often each category was taken for each; None of over 500 categories.

    Nearly all of 3,000 x 3,000 counts are 0, and in a report they would be 18 MB.
    """
    num_categories = probabilities_KC.shape[1]
    if num_categories > MAX_MATRIX:
        return None
    counts_CC = np.zeros((num_categories, num_categories), dtype=np.int64)
    # add.at, because counts[i, j] += 1 would count a repeated pair once.
    np.add.at(counts_CC, (targets_K, probabilities_KC.argmax(axis=1)), 1)
    found: list[list[int]] = counts_CC.tolist()
    return found


def measured(data: Prepared, held_out: HeldOut, probabilities_KC: Floats) -> Metrics:
    """Return the metrics of these answers to the held-out tickets; mistakes carry their row number in the data."""
    kept: list[Ticket] = [data.rows.tickets[row] for row in held_out.rows]
    found = measure(data.labels, [one.expected for one in kept], [probabilities_KC], [one.id for one in kept])
    # `measure` numbers mistakes among the tickets that it was given; a person looks them up in the file.
    mistakes = [msgspec.structs.replace(mistake, row=held_out.rows[mistake.row]) for mistake in found.mistakes]
    return msgspec.structs.replace(found, mistakes=mistakes)


def profile_of(labels: list[str], encoded: list[Encoded], probabilities_KC: Floats) -> Profile:
    """Return the counts of what was answered to held-out tickets, which a server compares its own with."""
    # Held-out tickets again: on tickets that it has learnt from, a model is surer and knows every word, and live
    # traffic would seem to have drifted from the first day on.
    profile = Profile()
    best_K, highest_K = probabilities_KC.argmax(axis=1).tolist(), probabilities_KC.max(axis=1).tolist()
    for ticket, best, highest in zip(encoded, best_K, highest_K, strict=True):
        profile.add(labels[best], highest, len(ticket.unknown), len(ticket.ids))
    return profile


def answers(data: Prepared, held_out: HeldOut) -> dict[int, Prediction]:
    """Return row number -> the answer to a held-out ticket, by which another version can be compared with this one."""
    return {
        row: Prediction(data.labels[int(row_C.argmax())], float(row_C.max()), [], 0)
        for row, row_C in zip(held_out.rows, held_out.probabilities_KC, strict=True)
    }


def describe(
    name: str, job: str | None, data: Prepared, held_out: HeldOut, validation: Validation, trained: TrainedNetwork
) -> GruManifest:
    """Return `manifest.json`, all of it but what the store fills in and what run.py knows of the data's origin."""
    rows, config = data.rows, data.config
    found = fingerprint(rows, len(held_out.rows))
    found = msgspec.structs.replace(
        found,
        num_train=len(rows.tickets) if config.folds > 1 else found.num_train,  # each fold teaches those of the others
        num_unlabelled=len(rows.unlabelled),
        num_taken=trained.num_taken,
        num_vectors=len(rows.vectors.words) if rows.vectors is not None else 0,
        num_forbidden=num_forbidden(rows, config),
    )
    # The keys stay where there is nothing to say, so that a reader of the summary need not ask which there are.
    nothing: Summary = {"accuracy": None, "macro_f1": None, "num_tickets": 0}
    return GruManifest(
        neural_network_type="GRU",
        name=name,
        version=1,  # the store gives the number
        created=now(),
        job=job,  # None where a person called `puppet-train fit`
        tensors=TENSORS,  # all that another ONNX runtime needs to know to feed the graph
        files={},  # the store fills in sizes and hashes as it writes them
        # The loader refuses rules that its own code does not implement: other ids would be answered, wrongly.
        encoding=encoding(len(trained.vocabulary), config.ngram_buckets),
        # Read back as a TrainConfig these train the same weights, if the libraries and the machine are the same too;
        # all but forbidden names, for a list of people who are to be forgotten would be the last place to name them.
        training=msgspec.structs.asdict(msgspec.structs.replace(config, forbid="")),
        libraries=libraries("torch", "scikit-learn"),
        seconds=trained.seconds,
        data=found,  # a digest and counts, never a ticket
        validation=validation.metrics.summary if validation.metrics is not None else nothing,
        calibration=held_out.calibration,
        parity=trained.parity,
        # The rule and the profile stand here and not in the report, because the server reads only the manifest.
        abstain=validation.abstention,
        profile=validation.profile,
        labels_follow_text=validation.labels_follow_text,
    )


def num_forbidden(rows: Rows, config: TrainConfig) -> int:
    """Return how many distinct words of the tickets are forbidden, those without a category included."""
    is_forbidden = forbidden(config)
    if is_forbidden is None:
        return 0
    words = {token for tokens in (*rows.tokens, *rows.unlabelled) for token in tokens}
    return sum(map(is_forbidden, words))


def report_of(data: Prepared, validation: Validation, trained: TrainedNetwork) -> GruReport:
    """Return `report.json`: what a person wants to know of the training, and the server does not."""
    return GruReport(
        epochs=trained.curve,
        best_epoch=trained.best_epoch,
        num_parameters=trained.num_parameters,
        seconds=trained.seconds,
        validation=validation.metrics,
        # Each side alone, so that a team sees what the GRU gains over a linear classifier on its own tickets.
        linear_validation=validation.linear,
        gru_validation=validation.gru,
        confusion_matrix=validation.confusion_matrix,
        search=data.search,
        coverage=validation.coverage,
        out_of_scope=trained.out_of_scope,
    )


def files_of(data: Prepared, trained: TrainedNetwork) -> dict[str, bytes]:
    """Return the version's files by name, all but the manifest and the report.

    Raises:
        InvalidInput: a placeholder that others are read as has no row; `max_vocabulary` is too small.
    """
    from trainer.gru import export

    # An alias gets the row of the placeholder that it is read as: a search pays nothing for it.
    words = with_aliases(trained.vocabulary.rows, data.aliases)
    # Made-up tickets with known words, so none that a person wrote is stored.
    golden = export.golden_rows(trained.graph, trained.vocabulary, data.config.seed)
    return {
        "model.onnx": trained.graph,
        "vocab.json": msgspec.json.encode(words),
        # The order of the graph's outputs; without it a probability belongs to nobody.
        "labels.json": msgspec.json.encode(data.labels),
        # Replayed at each load: warm-up, and the proof that this machine answers as the one that trained (1e-4).
        "golden.json": msgspec.json.encode(golden),
    }
