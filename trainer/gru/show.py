"""What a terminal shows of a GRU: its tickets, what their validation says, and the metrics of an evaluation.

In: checked rows, or the records of a version. Out: lines and tables for `rich`; printing them is for trainer/cli. It
computes no metric and imports no torch, so that `puppet-train evaluate` shows its tables without waiting for it.
"""

from rich.console import RenderableType
from rich.table import Table

from artifacts.evaluation.abstain import Abstention, AbstentionMetrics, OutOfScope
from artifacts.evaluation.calibration import accuracy_interval
from artifacts.evaluation.metrics import Metrics
from artifacts.networks.gru_records import GruManifest, GruReport
from artifacts.networks.manifest import NO_SIGNAL, StartedFrom
from artifacts.text.tokens import MAX_TOKENS
from trainer.data.tickets import MIN_FOR_VALIDATION, MIN_WORDS, Rows, cut_short, near_empty_rows
from trainer.selection.threshold import MIN_TICKETS

MAX_SHOWN = 5  # confusions and mistakes in the terminal


def show_rows(rows: Rows) -> list[str]:
    """Return what the tickets are, and what a person should look at in them."""
    lines = [f"{len(rows.tickets)} tickets in {len(rows.categories)} categories"]
    if rows.num_duplicates:
        lines.append(f"  {rows.num_duplicates} tickets repeat an earlier one; kept, on one side of the split")
    if rows.num_conflicts:
        lines.append(f"  {rows.num_conflicts} distinct tickets stand under more than one category; kept, look at them")
    if num_near_empty := len(near_empty_rows(rows)):
        lines.append(f"  {num_near_empty} tickets have fewer than {MIN_WORDS} words; kept, look at them")
    num_cut, num_alike = cut_short(rows)
    if num_cut:
        lines.append(
            f"  {num_cut} of {len(rows.tickets)} tickets are cut at the {MAX_TOKENS}th token, {num_alike} are alike up "
            "to there; what comes after is not read"
        )
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
    if manifest.started_from is not None:
        return show_started(manifest, report, manifest.started_from)
    no_signal = [f"warning: {NO_SIGNAL}"] if manifest.labels_follow_text is False else []
    if report.validation is None:
        return [
            "no validation: too few tickets to keep some out; measure on others with puppet-train evaluate",
            *no_signal,
        ]
    metrics = report.validation
    lines = [
        f"validation: accuracy {metrics.accuracy:.4f}, macro F1 {metrics.macro_f1:.4f} "
        f"on {metrics.total_tests} tickets{show_baseline(metrics)}; temperature {manifest.calibration.temperature:.3f}",
        *no_signal,
    ]
    if report.linear_validation is not None and report.gru_validation is not None:
        share = manifest.calibration.linear_share
        lines.append(
            f"linear part alone {report.linear_validation.accuracy:.4f}, GRU alone "
            f"{report.gru_validation.accuracy:.4f}, together {metrics.accuracy:.4f} (linear share {share:.2f})"
        )
        if report.linear_validation.correct_predictions >= metrics.correct_predictions:
            lines.append("the GRU gains nothing over the linear part on these tickets; more of them may change that")
    lines += show_abstention(
        manifest.abstain, report.out_of_scope, metrics.total_tests, manifest.training["folds"] == 1
    )
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


def show_started(manifest: GruManifest, report: GruReport, started: StartedFrom) -> list[str]:
    """Return what a version has learnt on top of another one, and what its new tickets say."""
    lines = [
        f"learnt {started.num_new} new tickets on top of version {started.version}, {started.num_new_categories} new "
        f"categories and {started.num_new_words} new words; {started.num_reminders} known tickets were there to hold "
        f"its answers by; number {started.steps} since the full training of version {started.full_version}"
    ]
    if report.validation is None:
        return [*lines, "no validation: too few new tickets; measure on others with puppet-train evaluate"]
    before, after = report.epochs[0], report.epochs[-1]
    lines.append(
        f"validation: accuracy {after.validation_accuracy:.4f} on {report.validation.total_tests} new tickets, each "
        f"answered by a model that did not learn from it; version {started.version} {before.validation_accuracy:.4f}"
    )
    if started.calibrated_anew:
        return lines + show_abstention(manifest.abstain, None, report.validation.total_tests, False)
    return [
        *lines,
        f"too few of these to calibrate by: temperature and threshold are those of version {started.version}",
    ]


def show_baseline(metrics: Metrics) -> str:
    """Return what would be right without a look at the text, to stand next to an accuracy; "" if it is not known."""
    if metrics.largest_share is None or metrics.chance is None:
        return ""
    return f" (always {metrics.largest_category!r} {metrics.largest_share:.4f}, chance {metrics.chance:.4f})"


def show_abstention(rule: Abstention | None, scope: OutOfScope | None, num_kept_out: int, is_split: bool) -> list[str]:
    """Return how many tickets the model routes by itself, and whether it notices those of no known category.

    Args:
        rule: of the version; None if too few tickets were kept out to find one.
        scope: of its report.
        num_kept_out: tickets.
        is_split: whether that was one split, and not folds.
    """
    lines = []
    if rule is not None and rule.accuracy is not None:
        num_routed = round(rule.coverage * rule.num_tickets)
        on_others = accuracy_interval(round(rule.accuracy * num_routed), num_routed)
        lines.append(
            f"routes {rule.coverage:.1%} of tickets by itself, of which {rule.accuracy:.1%} are right "
            f"({on_others.low:.1%} to {on_others.high:.1%} on others; target {rule.target:.1%}: "
            f"confidence from {rule.threshold:.3f} on)"
        )
        if rule.detail:
            lines.append(f"  {rule.detail}")
    elif rule is not None:
        lines.append(f"routes no ticket by itself: {rule.detail}")
    else:
        lines.append(
            f"cannot say which tickets it may route by itself: {num_kept_out} were kept out of training, and it takes "
            f"{MIN_TICKETS}; give more tickets, {MIN_FOR_VALIDATION} distinct ones of a category at least"
            + (", or set folds=4, by which each is kept out once" if is_split else "")
        )
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
        name = (mistake.place or f"row {mistake.row}") + ("" if mistake.id is None else f" (id {mistake.id})")
        name += "" if mistake.words is None else f" {mistake.words!r}"
        lines.append(f"{name}: {mistake.confidence:.3f} sure of {mistake.predicted}, was {mistake.expected}")
    if evaluation.abstention is not None:
        lines.append(show_routed(evaluation.abstention))
    lines.append(
        f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f}: "
        f"{evaluation.correct_predictions} of {evaluation.total_tests} right{show_baseline(evaluation)}"
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
    if evaluation.largest_share is not None and evaluation.chance is not None:
        always = f"always {evaluation.largest_category!r}, the largest category"
        made.add_row("without the text", f"{evaluation.largest_share:.4f}", always)
        made.add_row("chance", f"{evaluation.chance:.4f}", "each category guessed as often as it comes")
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
