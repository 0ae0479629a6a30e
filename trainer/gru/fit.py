"""The kind GRU on the trainer's side: checked tickets in, a trained network and its files out.

    rows -> parts -> two experts for each part -> share and temperature -> both experts on all rows -> graph

What it leaves to others: reading (trainer/data), the experts (ensemble.py: linear.py,
model.py and train.py), settings for a given time (budget.py, tune.py), share and temperature (calibrate.py), the
graph (export.py), publishing (run.py). `kinds.Trainer` says what each name here is for.
"""

# Axes: C categories.

import importlib.util
import time

import msgspec
import numpy as np
from rich.console import RenderableType
from rich.table import Table

from artifacts.errors import InvalidInput
from artifacts.evaluation.abstain import Abstention, AbstentionMetrics, OutOfScope
from artifacts.evaluation.metrics import Metrics, measure
from artifacts.evaluation.profile import Profile
from artifacts.networks.gru import TENSORS, Floats, GruManifest, GruModel, GruReport, encoding
from artifacts.schemas import Summary
from artifacts.store.store import now
from artifacts.text.tickets import Prediction, Ticket
from artifacts.text.vocabulary import Encoded
from trainer.config import TrainConfig, resolve
from trainer.data import tickets
from trainer.data.aliases import merged, read_aliases, with_aliases
from trainer.data.tickets import MIN_FOR_VALIDATION, MIN_WORDS, Rows, cut, fingerprint, near_empty_rows, split
from trainer.data.unlabelled import with_labels
from trainer.kinds import Fitted, Progress, libraries
from trainer.selection import out_of_scope
from trainer.selection.threshold import coverage_by_category, fit_abstention

MAX_SHOWN = 5  # confusions and mistakes in the terminal
Config = TrainConfig
OPERATORS = frozenset(
    {
        *("Add", "Cast", "Concat", "Div", "GRU", "Gather", "Gemm", "Less", "Max", "Mod", "Mul", "Pad", "ReduceMax"),
        *("ReduceSum", "Reshape", "Softmax", "Split", "Sqrt", "Sub", "Transpose", "Unsqueeze", "Where"),
    }
)
table = tickets.table
check_rows = tickets.check_rows
check_trainable = tickets.check_categories


def resolved(config: TrainConfig, rows: Rows) -> TrainConfig:
    """Return the settings with a number wherever the recipe or the number of tickets decides.

    Raises:
        InvalidInput: aliases that contradict each other.
    """
    read_aliases(config.aliases)
    return resolve(config, len(rows.tickets))


def fit(name: str, rows: Rows, config: TrainConfig, progress: Progress, job: str | None) -> Fitted:
    """Train on checked tickets and return the network's files; see `kinds.Trainer.fit`."""
    start, end_s = time.perf_counter(), time.monotonic() + config.minutes * 60
    if config.minutes and importlib.util.find_spec("optuna") is None:
        raise InvalidInput("minutes needs Optuna to search with; pip install 'puppet-o2[tune]', or leave minutes out")
    config = resolved(config, rows)
    aliases = read_aliases(config.aliases)
    rows = merged(rows, aliases, config.min_count)
    labels = sorted(rows.categories)
    label_of = {category: label for label, category in enumerate(labels)}
    targets = [label_of[ticket.expected] for ticket in rows.tickets]
    parts = parts_of(rows, config)
    progress.start(len(parts[0][0]), config.epochs, is_refit=False)

    import torch

    from trainer.gru import ensemble, export
    from trainer.gru.calibrate import fit_share, fit_temperature
    from trainer.gru.train import logits

    if config.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("device is cuda, but this machine has none that PyTorch can use; set device to auto or cpu")
    searched = None
    if config.minutes:
        from trainer.selection.tune import settings_in_time

        config, searched = settings_in_time(rows, targets, parts[0], len(labels), config, progress, end_s)
        parts = parts_of(rows, config)

    # Each part in turn is kept out, and the experts that learn from the others answer its tickets, which stand for
    # tickets of tomorrow. From these answers follow the share and the temperature.
    of_parts = ensemble.train(rows, targets, parts, len(labels), config, progress)
    kept_out = [row for _, validation_rows in parts for row in validation_rows]
    gru_NC = torch.cat([found.gru_NC for found in of_parts])
    linear_NC = torch.cat([found.linear_NC for found in of_parts])
    kept_targets_N = torch.tensor([targets[row] for row in kept_out], dtype=torch.int64)
    mix = fit_share(gru_NC, linear_NC, kept_targets_N)
    logits_NC = mix.logits(gru_NC, linear_NC)
    calibration = msgspec.structs.replace(fit_temperature(logits_NC, kept_targets_N), linear_share=mix.share)

    # Now the tickets that were kept out may teach as well: all experts once more, from the same seeds, on every ticket,
    # each for as many epochs as its best one took.
    found = of_parts[-1]
    curve, best_epochs = found.curve, found.best_epochs
    everything = list(range(len(rows.tickets)))
    if kept_out and (config.refit or config.folds > 1):
        progress.start(len(everything), best_epochs[0], is_refit=True)
        (found,) = ensemble.train(rows, targets, [(everything, [])], len(labels), config, progress, refit=found)
    num_taken = 0
    if rows.unlabelled:
        # They teach others in turn: experts that learn from all tickets, and from those whose category they are sure
        # of. The share and the temperature stay, because nothing is kept out to choose others by.
        model, vocabulary = found.together(mix), found.vocabulary
        encoded = [vocabulary.encode(tokens) for tokens in rows.unlabelled]
        said_NC = logits(model, encoded, len(vocabulary), torch.device("cpu")) / calibration.temperature
        more = with_labels(rows, labels, torch.softmax(said_NC, dim=1).numpy())
        num_taken = len(more.tickets) - len(rows.tickets)
        progress.start(len(more.tickets), found.best_epochs[0], is_refit=True)
        (found,) = ensemble.train(
            *(more, [label_of[ticket.expected] for ticket in more.tickets], [(list(range(len(more.tickets))), [])]),
            *(len(labels), config, progress),
            refit=found,
        )
    model, vocabulary = found.together(mix), found.vocabulary
    graph, parity = export.export(model, vocabulary, calibration.temperature)
    scope = out_of_scope.try_out(rows, parts[0], config, progress) if config.out_of_scope else None

    probabilities_NC = torch.softmax(logits_NC / calibration.temperature, dim=1).numpy()
    metrics = matrix = linear_metrics = gru_metrics = abstention = coverage = profile = None
    validation: Summary = {"accuracy": None, "macro_f1": None, "num_tickets": 0}
    if kept_out:
        kept = [rows.tickets[row] for row in kept_out]
        metrics = measured(labels, kept, kept_out, probabilities_NC)
        linear_metrics = measured(labels, kept, kept_out, torch.softmax(linear_NC, dim=1).numpy())
        gru_metrics = measured(labels, kept, kept_out, torch.softmax(gru_NC, dim=1).numpy())
        validation = metrics.summary
        counts_CC = np.zeros((len(labels), len(labels)), dtype=np.int64)
        np.add.at(counts_CC, (kept_targets_N.numpy(), probabilities_NC.argmax(axis=1)), 1)
        matrix = counts_CC.tolist()
        # Each by the vocabulary that its part had, to which it is as new as a ticket of tomorrow is to the last one.
        read = [
            (part.vocabulary.encode(rows.tokens[row]), len(part.vocabulary))
            for part, (_, validation_rows) in zip(of_parts, parts, strict=True)
            for row in validation_rows
        ]
        profile = profile_of(labels, [ticket for ticket, _ in read], probabilities_NC)
        unknown_N = np.array([ticket.unknown_share(num_words) for ticket, num_words in read])
        kept_labels_N = kept_targets_N.numpy()
        sure = fit_abstention(probabilities_NC, kept_labels_N, unknown_N, config.target, config.abstain, config.folds)
        if sure is not None:
            abstention, routed_N = sure
            coverage = coverage_by_category(labels, probabilities_NC, kept_labels_N, routed_N)
    seconds = time.perf_counter() - start
    data = fingerprint(rows, len(kept_out))
    data = msgspec.structs.replace(
        data,
        num_train=len(rows.tickets) if config.folds > 1 else data.num_train,  # each part teaches those of the others
        num_unlabelled=len(rows.unlabelled),
        num_taken=num_taken,
        num_vectors=len(rows.vectors.words) if rows.vectors is not None else 0,
    )
    manifest = GruManifest(
        neural_network_type="GRU",
        name=name,
        version=1,  # the store gives the number
        created=now(),
        job=job,
        tensors=TENSORS,
        files={},
        encoding=encoding(len(vocabulary), config.ngram_buckets),
        training=msgspec.structs.asdict(config),
        libraries=libraries("torch", "scikit-learn"),
        seconds=seconds,
        data=data,
        validation=validation,
        calibration=calibration,
        parity=parity,
        abstain=abstention,
        profile=profile,
    )
    files = {
        "model.onnx": graph,
        "vocab.json": msgspec.json.encode(with_aliases(vocabulary.rows, aliases)),
        "labels.json": msgspec.json.encode(labels),
        "golden.json": msgspec.json.encode(export.golden_rows(graph, vocabulary, config.seed)),
    }
    GruModel(manifest, files)  # loads as the server will load it, or is refused here
    report = GruReport(
        epochs=curve,
        best_epoch=best_epochs[0],
        num_parameters=sum(weight.numel() for weight in model.members.parameters()),
        seconds=seconds,
        validation=metrics,
        linear_validation=linear_metrics,
        gru_validation=gru_metrics,
        confusion_matrix=matrix,
        search=searched,
        coverage=coverage,
        out_of_scope=scope,
    )
    unseen = {
        row: Prediction(labels[int(row_C.argmax())], float(row_C.max()), [], 0)
        for row, row_C in zip(kept_out, probabilities_NC, strict=True)
    }
    return Fitted(manifest, files, report, unseen)


def measured(labels: list[str], tickets: list[Ticket], numbers: list[int], probabilities_NC: Floats) -> Metrics:
    """Return the metrics of an expert's answers to tickets that were kept out; mistakes by their number in the data."""
    expected = [ticket.expected for ticket in tickets]
    found = measure(labels, expected, [probabilities_NC], [ticket.id for ticket in tickets])
    mistakes = [msgspec.structs.replace(one, row=numbers[one.row]) for one in found.mistakes]
    return msgspec.structs.replace(found, mistakes=mistakes)


def profile_of(labels: list[str], encoded: list[Encoded], probabilities_NC: Floats) -> Profile:
    """Return the counts of what was answered to tickets that were kept out, which a server compares its own with."""
    profile = Profile()
    best_N, highest_N = probabilities_NC.argmax(axis=1).tolist(), probabilities_NC.max(axis=1).tolist()
    for ticket, best, highest in zip(encoded, best_N, highest_N, strict=True):
        profile.add(labels[best], highest, len(ticket.unknown), len(ticket.ids))
    return profile


def parts_of(rows: Rows, config: TrainConfig) -> list[tuple[list[int], list[int]]]:
    """Return what to learn from and what to keep out: one split, or each fold in turn."""
    if config.folds > 1:
        return cut(rows, config.folds, config.seed)
    return [split(rows, config.validation, config.seed)]


def show_rows(rows: Rows) -> list[str]:
    """Return what the tickets are, and what a person should look at in them."""
    lines = [f"{len(rows.tickets)} tickets in {len(rows.categories)} categories"]
    if rows.num_duplicates:
        lines.append(f"  {rows.num_duplicates} tickets repeat an earlier one; kept, on one side of the split")
    if rows.num_conflicts:
        lines.append(f"  {rows.num_conflicts} distinct tickets stand under more than one category; kept, look at them")
    if num_near_empty := len(near_empty_rows(rows)):
        lines.append(f"  {num_near_empty} tickets have fewer than {MIN_WORDS} words; kept, look at them")
    few = sorted(category for category, count in rows.distinct.items() if count < MIN_FOR_VALIDATION)
    if few:
        shown = ", ".join(few[:10]) + (", ..." if len(few) > 10 else "")
        lines.append(
            f"  {len(few)} categories have fewer than {MIN_FOR_VALIDATION} distinct tickets; all are trained on, "
            f"none validated: {shown}"
        )
    if rows.unlabelled:
        lines.append(f"  {len(rows.unlabelled)} further tickets without a category")
    if rows.vectors is not None:
        found = rows.vectors.num_found
        words = len({token for tokens in rows.tokens + rows.unlabelled for token in tokens})
        lines.append(
            f"  pretrained vectors of {found} of the {words} words, and of {len(rows.vectors.words) - found} others"
        )
    return lines


def show_validation(manifest: GruManifest, report: GruReport) -> list[str]:
    """Return what the validation tickets say, and on what the published network was trained."""
    if report.validation is None:
        return ["no validation: too few tickets to keep some out; measure on others with puppet-train evaluate"]
    metrics = report.validation
    lines = [
        f"validation: accuracy {metrics.accuracy:.4f}, macro F1 {metrics.macro_f1:.4f} "
        f"on {metrics.total_tests} tickets; temperature {manifest.calibration.temperature:.3f}"
    ]
    if report.linear_validation is not None and report.gru_validation is not None:
        share = manifest.calibration.linear_share
        lines.append(
            f"linear part alone {report.linear_validation.accuracy:.4f}, GRU alone "
            f"{report.gru_validation.accuracy:.4f}, together {metrics.accuracy:.4f} (linear share {share:.2f})"
        )
        if report.linear_validation.correct_predictions >= metrics.correct_predictions:
            lines.append("the GRU gains nothing over the linear part on these tickets; more of them may change that")
    lines += show_abstention(manifest.abstain, report.out_of_scope)
    if report.search is not None and report.search.num_trials:
        before, after = report.search.loss_before, report.search.loss_after
        lines.append(
            f"{report.search.num_trials} settings tried: loss {before:.4f} with the first, {after:.4f} with the best"
        )
    if manifest.data.num_unlabelled:
        lines.append(
            f"then learnt from {manifest.data.num_taken} of the {manifest.data.num_unlabelled} tickets without a "
            "category, those that the experts were sure of; the figures above are of before"
        )
    elif manifest.training["refit"]:
        lines.append(f"then trained again on all {manifest.data.num_tickets} tickets, {report.best_epoch} epochs")
    return lines


def show_abstention(rule: Abstention | None, scope: OutOfScope | None) -> list[str]:
    """Return how many tickets the model routes by itself, and whether it notices those of no known category."""
    lines = []
    if rule is not None and rule.accuracy is not None:
        lines.append(
            f"routes {rule.coverage:.1%} of tickets by itself, of which {rule.accuracy:.1%} are right "
            f"(target {rule.target:.1%}: confidence from {rule.threshold:.3f} on)"
        )
    elif rule is not None:
        lines.append(f"routes no ticket by itself: {rule.detail}")
    else:
        lines.append("cannot say which tickets it may route by itself: too few were kept out of training")
    if scope is not None and scope.auroc is not None:
        lines.append(
            f"categories that it never saw: AUROC {scope.auroc:.3f} of its confidence ({scope.num_known} tickets of "
            f"known categories, {scope.num_unknown} of {len(scope.categories)} left out of a quick training)"
        )
    return lines


def show_evaluation(evaluation: Metrics) -> list[RenderableType]:
    """Return a table per category and one of the whole, the worst confusions, and the surest mistakes."""
    made = Table()
    for number, column in enumerate(("category", *"PRF", "tickets")):
        made.add_column(column, justify="right" if number else "left")
    for category, metrics in evaluation.per_category.items():
        shares = (metrics.precision, metrics.recall, metrics.f1)
        made.add_row(category, *(f"{share:.3f}" for share in shares), str(metrics.support))
    lines: list[RenderableType] = [made, show_confidence(evaluation)]
    for category, count in evaluation.unknown_categories.items():
        lines.append(f"the model has no category {category!r}: its {count} tickets count as errors")
    lines += [f"{one.count} x {one.expected} taken for {one.predicted}" for one in evaluation.confusions[:MAX_SHOWN]]
    for mistake in evaluation.mistakes[:MAX_SHOWN]:
        name = f"row {mistake.row}" if mistake.id is None else f"row {mistake.row} (id {mistake.id})"
        lines.append(f"{name}: {mistake.confidence:.3f} sure of {mistake.predicted}, was {mistake.expected}")
    if evaluation.abstention is not None:
        lines.append(show_routed(evaluation.abstention))
    lines.append(
        f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f}: "
        f"{evaluation.correct_predictions} of {evaluation.total_tests} right"
    )
    return lines


def show_routed(found: AbstentionMetrics) -> str:
    """Return what the version's own rule does on the tickets that were given, beside its target."""
    left = ", ".join(f"{count} {reason}" for reason, count in found.reasons.items())
    if found.accuracy is None or found.accuracy_interval is None:
        return f"routes none of these tickets by itself (target {found.target:.1%} right): {left}"
    low, high = found.accuracy_interval.low, found.accuracy_interval.high
    return (
        f"routes {found.coverage:.1%} of these tickets by itself, of which {found.accuracy:.1%} are right "
        f"({low:.1%} to {high:.1%} on others; target {found.target:.1%})" + (f"; not routed: {left}" if left else "")
    )


def show_confidence(evaluation: Metrics) -> Table:
    """Return what can be expected of the answers, and of their confidences, as a table."""
    made = Table("measure", "value", "meaning")
    if evaluation.accuracy_interval is not None:
        low, high = evaluation.accuracy_interval.low, evaluation.accuracy_interval.high
        made.add_row("accuracy", f"{evaluation.accuracy:.4f}", f"{low:.4f} to {high:.4f} on other such tickets (95 %)")
    for k, share in evaluation.top_k_accuracy.items():
        if k != "1":  # the accuracy
            made.add_row(f"top-{k} accuracy", f"{share:.4f}", f"the true category is among the {k} most probable")
    if evaluation.ece is not None and evaluation.brier is not None:
        made.add_row("ECE", f"{evaluation.ece:.4f}", "confidence and accuracy differ by so much; 0 is best")
        made.add_row("Brier score", f"{evaluation.brier:.4f}", "squared error of the probabilities, 0 to 2; 0 is best")
    for at in evaluation.coverage_at:
        meaning = "no confidence is enough" if at.threshold is None else f"if sure by {at.threshold:.4f} at least"
        made.add_row(f"{at.accuracy:.0%} right", f"{at.coverage:.1%}", f"of the tickets answered, {meaning}")
    return made
