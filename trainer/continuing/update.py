"""From the last version: new tickets and corrections on top of what serves, in seconds.

    which rows are new ─► the version, reopened ─► each fourth kept out in turn ─► all of them ─► the graph, proven

In: checked rows and the version that serves. Out: a version as any other, which says on top of which one it learnt and
from how many tickets. What it leaves to others: whether it can start there (start.py), the weights (reopen.py,
features.py), how far a ticket may change them (learn.py), whether the result may serve (run.py, selection/compare.py).

What the figures are. Each new ticket is answered once by a model that has learnt from the other new ones and not from
it, and the serving version has not seen it either: so both can be compared on it. These answers are few, and of new
tickets alone: where there are fewer than ENOUGH of them, the temperature and the threshold stay those of the version,
which were found on more. Corrections are no fair sample of tickets (most of them are mistakes), so they do not count
there.
"""

# Axes: N tickets that are learnt from, new ones first; K of them kept out in turn; C categories.

import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from artifacts.arrays import Floats
from artifacts.evaluation.abstain import CategoryCoverage
from artifacts.evaluation.metrics import Metrics, measure
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import Calibration, GruManifest, GruReport, encoding
from artifacts.networks.learnt import trained_on_as_well
from artifacts.networks.manifest import ZERO_SHA256, Epoch, Parity, StartedFrom
from artifacts.schemas import Summary
from artifacts.store.versions import now
from artifacts.text.tickets import Prediction, read_tokens
from artifacts.text.vocabulary import RESERVED, Vocabulary, build_rows
from trainer.config import TrainConfig, forbidden
from trainer.continuing import learn
from trainer.continuing.features import Learning, widened
from trainer.continuing.learn import Numbers
from trainer.continuing.reopen import Reopened, reopen
from trainer.continuing.start import ChosenRows, Start, choose
from trainer.data.tickets import MIN_FOR_VALIDATION, Rows, fingerprint
from trainer.gru import export
from trainer.gru.calibrate import fit_temperature
from trainer.gru.fit import confusion_matrix, num_forbidden, profile_of
from trainer.gru.train import logits
from trainer.kinds import Fitted, Progress, libraries
from trainer.selection.threshold import coverage_by_category, fit_abstention

FOLDS = 4  # in which the new tickets are kept out in turn
LEAST = 20  # new tickets; with fewer none is kept out
ENOUGH = 500  # answers to tickets kept out, without corrections, from which temperature and threshold are found anew


class Update(msgspec.Struct, frozen=True):
    """What is learnt from, in one order: new tickets first, then reminders.

    Attributes:
        version: which learns, with rows for new words and labels for new categories.
        before: the version as it was.
        chosen: the numbers of the rows.
        tokens: of the N tickets.
        expected: their categories.
        targets_N: their labels.
        learning: their features.
        alike_NN: how alike each two are.
    """

    version: Reopened
    before: Reopened
    chosen: ChosenRows
    tokens: list[list[str]]
    expected: list[str]
    targets_N: NDArray[np.int64]
    learning: Learning
    alike_NN: Numbers

    @property
    def strengths(self) -> Numbers:
        """How far a ticket may change each category."""
        num_old = len(self.before.labels)
        return learn.strengths(num_old, len(self.version.labels) - num_old)

    @property
    def rows(self) -> list[int]:
        """The row number of each ticket."""
        return [*self.chosen.new, *self.chosen.reminders]


class KeptOutAnswers(msgspec.Struct, frozen=True):
    """What new tickets were answered by models that had not learnt from them.

    Attributes:
        places_K: of them among the tickets of the update.
        logits_KC: calibrated as the version's are.
    """

    places_K: NDArray[np.int64]
    logits_KC: Numbers


class Evidence(msgspec.Struct, frozen=True):
    """What these answers decide and say; of too few, what the version says that was started from.

    Attributes:
        probabilities_KC: calibrated.
        temperature: that the calibrated logits of the version are divided by.
        metrics: None without an answer.
        manifest: the version's, with calibration, abstention and profile as they are to be.
        coverage: of each category, where the threshold was found anew.
        is_anew: whether temperature and threshold were.
    """

    probabilities_KC: Floats
    temperature: float
    metrics: Metrics | None
    manifest: GruManifest
    coverage: dict[str, CategoryCoverage] | None
    is_anew: bool


def fit(name: str, rows: Rows, config: TrainConfig, progress: Progress, job: str | None, start: Start) -> Fitted:
    """Return a version that has learnt from the rows that are new to another one; see `kinds.Trainer.fit`.

    Args:
        name: of the model.
        rows: checked; those that the version knows only remind it.
        config: of which the network's own settings are the version's.
        progress: takes every phase.
        job: its id, for the manifest.
        start: the version.
    Raises:
        InvalidInput: no row is new, or too many are.
        ArtifactRefused: the version cannot be loaded, or the graph is not equal to the network.
    """
    start_s = time.perf_counter()
    chosen = choose(start, rows, config.seed)
    progress.phase("network")
    torch.set_num_threads(config.threads)
    update = read(start, rows, chosen, config)
    progress.phase("calibrate")
    answered = answer_kept_out(update, config.seed)
    progress.phase("network")
    a_NC = learn.solve(update.alike_NN, update.learning.logits_NC, update.targets_N, update.strengths)
    after = update.learning.learnt(a_NC)
    progress.phase("export")
    evidence = weigh_up(update, answered, rows, config, start.manifest)
    graph, parity = export.export(after.together(), after.vocabulary, after.temperature * evidence.temperature)
    files = {
        "model.onnx": graph,
        "vocab.json": msgspec.json.encode(after.vocabulary.rows),
        "labels.json": msgspec.json.encode(after.labels),
        "golden.json": msgspec.json.encode(export.golden_rows(graph, after.vocabulary, config.seed)),
    }
    seconds = time.perf_counter() - start_s
    started = StartedFrom(
        version=start.manifest.version,
        full_version=start.full_version,
        steps=start.steps,
        num_new=len(chosen.new),
        num_reminders=len(chosen.reminders),
        num_new_categories=len(after.labels) - len(update.before.labels),
        num_new_words=len(after.vocabulary) - len(update.before.vocabulary),
        calibrated_anew=evidence.is_anew,
    )
    manifest = describe(name, job, update, rows, config, evidence, parity, started, seconds)
    report = report_of(update, a_NC, answered, evidence, rows, start, seconds)
    GruModel(manifest, files)  # loads as the server will load it, golden rows included, or is refused here
    return Fitted(manifest, files, report, answers(update, answered, evidence))


def read(start: Start, rows: Rows, chosen: ChosenRows, config: TrainConfig) -> Update:
    """Return the tickets that are learnt from, as the version reads them."""
    before = reopen(start.manifest, start.files)
    numbers = [*chosen.new, *chosen.reminders]
    # As they were given: which short numbers have a row is for the version's own vocabulary to say.
    tokens = [read_tokens(rows.tickets[row].content) for row in numbers]
    expected = [rows.tickets[row].expected for row in numbers]
    words = new_words(before.vocabulary, tokens[: len(chosen.new)], config)
    categories = sorted(set(expected) - set(before.labels))
    version = widened(before, words, categories, usual_logit(before, tokens) if categories else 0.0)
    label_of = {category: label for label, category in enumerate(version.labels)}
    learning = Learning(version, [version.vocabulary.encode(one) for one in tokens])
    return Update(
        version=version,
        before=before,
        chosen=chosen,
        tokens=tokens,
        expected=expected,
        targets_N=np.array([label_of[category] for category in expected], dtype=np.int64),
        learning=learning,
        alike_NN=learning.alike(),
    )


def usual_logit(version: Reopened, tickets: Sequence[Sequence[str]]) -> float:
    """Return the mean of all calibrated logits: what a category has that a ticket has nothing to do with."""
    encoded = [version.vocabulary.encode(tokens) for tokens in tickets]
    found = logits(version.together(), encoded, len(version.vocabulary), torch.device("cpu"))
    return float(found.mean()) / version.temperature


def new_words(vocabulary: Vocabulary, tickets: Sequence[Sequence[str]], config: TrainConfig) -> list[str]:
    """Return the words that get a row: in `min_count` new tickets or more, and in no row yet."""
    room = max(0, config.max_vocabulary - len(vocabulary))
    found = build_rows(tickets, config.min_count, config.max_vocabulary, forbidden(config))
    return [word for word in found if word not in vocabulary.rows and word not in RESERVED][:room]


def answer_kept_out(update: Update, seed: int) -> KeptOutAnswers | None:
    """Return the answers to new tickets of models that did not learn from them; None if there are too few tickets."""
    folds = folds_of(update, seed)
    if not folds:
        return None
    places_K = np.concatenate(folds)
    found_NC = learn.cross_validated(
        update.alike_NN, update.learning.logits_NC, update.targets_N, update.strengths, folds
    )
    return KeptOutAnswers(places_K, found_NC[places_K])


def folds_of(update: Update, seed: int) -> list[NDArray[np.int64]]:
    """Return the places of the new tickets that are kept out in turn; none if they are too few.

    Equal tickets stay together. Of a category that the version does not have, at least MIN_FOR_VALIDATION distinct
    tickets are needed: one of fewer would be asked about where nearly nothing of it was learnt.
    """
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place in range(len(update.chosen.new)):
        groups[tuple(update.tokens[place])].append(place)
    distinct = Counter(update.expected[group[0]] for group in groups.values())
    known = set(update.before.labels)
    kept = [
        group
        for group in groups.values()
        if update.expected[group[0]] in known or distinct[update.expected[group[0]]] >= MIN_FOR_VALIDATION
    ]
    if len(kept) < LEAST:
        return []
    order = np.random.default_rng(seed).permutation(len(kept)).tolist()
    return [
        np.array(sorted(place for number in order[fold::FOLDS] for place in kept[number]), dtype=np.int64)
        for fold in range(FOLDS)
    ]


def weigh_up(
    update: Update, answered: KeptOutAnswers | None, rows: Rows, config: TrainConfig, manifest: GruManifest
) -> Evidence:
    """Return what the answers to tickets kept out say, and decide where they are enough for it."""
    if answered is None:
        nothing: Summary = {"accuracy": None, "macro_f1": None, "num_tickets": 0}
        empty_KC = np.empty((0, len(update.version.labels)), dtype=np.float32)
        return Evidence(empty_KC, 1.0, None, msgspec.structs.replace(manifest, validation=nothing), None, False)
    numbers = np.array(update.rows)[answered.places_K]
    targets_K = update.targets_N[answered.places_K]
    # Corrections stand last; most are mistakes, so they say nothing of how sure the model may be of other tickets.
    is_sample_K = numbers < len(rows.tickets) - rows.num_feedback
    is_anew = int(is_sample_K.sum()) >= ENOUGH
    temperature = 1.0
    if is_anew:
        found = fit_temperature(
            torch.from_numpy(answered.logits_KC[is_sample_K]), torch.from_numpy(targets_K[is_sample_K])
        )
        temperature = found.temperature
        calibration = Calibration(
            manifest.calibration.temperature * temperature,
            found.loss_before,
            found.loss_after,
            manifest.calibration.linear_share,
        )
        manifest = msgspec.structs.replace(manifest, calibration=calibration)
    probabilities_KC = softmax(answered.logits_KC / temperature)
    coverage = None
    labels = update.version.labels
    if is_anew:
        # As new to the version before as a ticket of tomorrow is to this one.
        encoded = [
            update.before.vocabulary.encode(update.tokens[place]) for place in answered.places_K[is_sample_K].tolist()
        ]
        unknown_K = np.array([one.unknown_share(len(update.before.vocabulary)) for one in encoded])
        sample_KC = probabilities_KC[is_sample_K]
        routing = fit_abstention(sample_KC, targets_K[is_sample_K], unknown_K, config.target, config.abstain, FOLDS)
        abstention, routed_K = routing if routing is not None else (manifest.abstain, None)
        manifest = msgspec.structs.replace(manifest, abstain=abstention, profile=profile_of(labels, encoded, sample_KC))
        if routed_K is not None:
            coverage = coverage_by_category(labels, sample_KC, targets_K[is_sample_K], routed_K)
    metrics = measured(update, answered, probabilities_KC, rows)
    return Evidence(
        probabilities_KC,
        temperature,
        metrics,
        msgspec.structs.replace(manifest, validation=metrics.summary),
        coverage,
        is_anew,
    )


def softmax(logits_KC: Numbers) -> Floats:
    """Return probabilities_KC float32."""
    odds_KC = np.exp(logits_KC - logits_KC.max(axis=1, keepdims=True))
    found: Floats = (odds_KC / odds_KC.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def measured(update: Update, answered: KeptOutAnswers, probabilities_KC: Floats, rows: Rows) -> Metrics:
    """Return the metrics of the answers to tickets kept out; mistakes carry their row number in the data."""
    numbers = [update.rows[place] for place in answered.places_K.tolist()]
    kept = [rows.tickets[number] for number in numbers]
    found = measure(update.version.labels, [one.expected for one in kept], [probabilities_KC], [one.id for one in kept])
    mistakes = [msgspec.structs.replace(mistake, row=numbers[mistake.row]) for mistake in found.mistakes]
    return msgspec.structs.replace(found, mistakes=mistakes)


def answers(update: Update, answered: KeptOutAnswers | None, evidence: Evidence) -> dict[int, Prediction]:
    """Return row number -> the answer to a ticket kept out, by which the version before can be compared with this."""
    if answered is None:
        return {}
    return {
        update.rows[place]: Prediction(update.version.labels[int(row_C.argmax())], float(row_C.max()), [], 0)
        for place, row_C in zip(answered.places_K.tolist(), evidence.probabilities_KC, strict=True)
    }


def describe(
    name: str,
    job: str | None,
    update: Update,
    rows: Rows,
    config: TrainConfig,
    evidence: Evidence,
    parity: Parity,
    started: StartedFrom,
    seconds: float,
) -> GruManifest:
    """Return `manifest.json`: what the version said that was started from, and what has changed."""
    num_kept_out = len(evidence.probabilities_KC)
    data = msgspec.structs.replace(
        fingerprint(rows, num_kept_out),
        num_train=len(rows.tickets),  # what was kept out was so in turn
        num_categories=len(update.version.labels),
        num_forbidden=num_forbidden(rows, config),
    )
    free = {field: value for field, value in msgspec.structs.asdict(config).items() if field in ("seed", "full_after")}
    return msgspec.structs.replace(
        evidence.manifest,
        sha256=ZERO_SHA256,
        name=name,
        version=1,  # the store gives the number
        created=now(),
        job=job,
        attempt=0,
        files={},
        encoding=encoding(len(update.version.vocabulary), update.version.vocabulary.num_buckets),
        training={**evidence.manifest.training, **free},
        libraries=libraries("torch", "scikit-learn"),
        seconds=seconds,
        data=data,
        parity=parity,
        comparison=None,
        started_from=started,
    )


def report_of(
    update: Update,
    a_NC: Numbers,
    answered: KeptOutAnswers | None,
    evidence: Evidence,
    rows: Rows,
    start: Start,
    seconds: float,
) -> GruReport:
    """Return `report.json`. Its two epochs are the tickets before and after they were learnt from."""
    learning, targets_N = update.learning, update.targets_N
    curve = []
    places_K = answered.places_K if answered is not None else np.empty(0, dtype=np.int64)
    logits_KC = answered.logits_KC if answered is not None else learning.logits_NC[:0]
    stages = (
        (learning.logits_NC, learning.logits_NC[places_K]),
        (learning.logits_NC + update.alike_NN @ a_NC, logits_KC),
    )
    for number, (of_all_NC, of_kept_KC) in enumerate(stages, 1):
        loss = accuracy = None
        if len(places_K):
            loss = learn.mean_loss(of_kept_KC, targets_N[places_K])
            accuracy = float((of_kept_KC.argmax(axis=1) == targets_N[places_K]).mean())
        curve.append(Epoch(number, learn.mean_loss(of_all_NC, targets_N), loss, accuracy, len(targets_N) / seconds))
    return GruReport(
        epochs=curve,
        best_epoch=len(curve),
        num_parameters=sum(weight.numel() for member in update.version.members for weight in member.parameters()),
        seconds=seconds,
        trained_on=trained_on_as_well(start.learnt, rows.tickets),
        validation=evidence.metrics,
        confusion_matrix=confusion_matrix(targets_N[places_K], evidence.probabilities_KC) if len(places_K) else None,
        coverage=evidence.coverage,
    )
