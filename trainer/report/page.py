"""`puppet-train report`: one page on a published version, and its model card.

In: a version of the store, and labelled tickets if there are any to test on. Out: HTML that needs nothing beside
itself, and Markdown. Every number is one that `puppet-train evaluate --json` or the version's own records give; here
nothing is measured, only shown. The words are in phrases.py, the curves in plots.py, the page in
report.html and the card in card.md.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jinja2
import msgspec
from markupsafe import Markup, escape

from artifacts.errors import InvalidInput
from artifacts.evaluation.abstain import CategoryCoverage, OutOfScope
from artifacts.evaluation.metrics import Metrics, Mistake
from artifacts.networks.gru_records import GruManifest, GruReport
from artifacts.networks.manifest import decode_record
from artifacts.schemas import Row
from artifacts.store.store import Store
from trainer.kinds import Rows
from trainer.report.phrases import WORDS
from trainer.report.plots import plot_coverage, plot_losses, plot_reliability
from trainer.run import evaluate

MAX_MATRIX = 12  # categories of the matrix that is shown; of 150 nobody could read one
MAX_CONFUSIONS, MAX_MISTAKES = 15, 25
MAX_LEAST_ROUTED = 10  # categories
MAX_TEXT = 300  # characters of a ticket


class ReportContent(msgspec.Struct, frozen=True):
    """What a report is made of.

    Attributes:
        metrics: on the test file, or else on the validation tickets.
        measured_on: the name of the test file; empty for the validation tickets.
        tickets: of the test file.
    """

    manifest: GruManifest
    report: GruReport
    metrics: Metrics
    measured_on: str
    tickets: Sequence[Row]


class Matrix(msgspec.Struct, frozen=True):
    """The part of a confusion matrix that holds the largest confusions; the last row and column are all the others."""

    categories: list[str]
    counts: list[list[int]]


def collect(store: Store, name: str, version: int, rows: Rows | None, measured_on: str) -> ReportContent:
    """Return what a report on a version says.

    Args:
        store: holds it.
        name: of the model.
        version: of it.
        rows: labelled tickets to measure on; None: the validation tickets, as the training measured them.
        measured_on: what the rows are called.

    Raises:
        VersionNotFound, ArtifactRefused: there is no such version, or it cannot be verified.
        InvalidInput: it is of a kind that has no categories, or nothing was measured.
    """
    store.check_version(name, version)
    manifest, files = store.read_version(name, version)
    if not isinstance(manifest, GruManifest):
        raise InvalidInput("report-needs-gru", model=name, kind=manifest.neural_network_type)
    report = decode_record(files["report.json"], GruReport, f"report.json of {name} version {version}")
    metrics = cast(Metrics, evaluate(store, name, version, rows)) if rows is not None else report.validation
    if metrics is None:
        raise InvalidInput("nothing-validated", model=name, version=version)
    return ReportContent(manifest, report, metrics, measured_on, rows.tickets if rows is not None else ())


def write_page(found: ReportContent, language: str) -> str:
    """Return the page, in `en` or `fr`."""
    column = ("en", "fr").index(language)
    words = {key: texts[column] for key, texts in WORDS.items()}
    environment = _environment(autoescape=True, decimal=words["decimal"], percent=words["percent"])
    metrics, report = found.metrics, found.report
    plots = {"losses": plot_losses(report.epochs, report.best_epoch, words)}
    if metrics.reliability:
        plots["reliability"] = plot_reliability(metrics.reliability, words)
    if metrics.coverage:
        plots["coverage"] = plot_coverage(metrics.coverage, words)
    return environment.get_template(
        "report.html"
    ).render(
        found=found,
        language=language,
        w=words,
        # The markup is matplotlib's, made of numbers and of our own words.
        plots={name: Markup(svg) for name, svg in plots.items()},  # noqa: S704
        matrix=largest_confusions(metrics),
        categories=sorted(metrics.per_category.items(), key=lambda item: (item[1].f1, item[0])),
        mistakes=[(mistake, text_of(found.tickets, mistake)) for mistake in metrics.mistakes[:MAX_MISTAKES]],
        experts=experts(report),
        max_confusions=MAX_CONFUSIONS,
        least_routed=least_routed(report.coverage),
        least_routed_test=least_routed(metrics.abstention.per_category if metrics.abstention is not None else None),
        scope=measured_scope(report),
    )


def write_card(found: ReportContent) -> str:
    """Return the model card in Markdown, under the headings of Mitchell et al. 2019."""
    environment = _environment(autoescape=False, decimal=".", percent="%")
    categories = sorted(found.metrics.per_category.items(), key=lambda item: (item[1].f1, item[0]))
    return environment.get_template("card.md").render(
        found=found,
        experts=experts(found.report),
        categories=categories,
        least_routed=least_routed(found.report.coverage),
        scope=measured_scope(found.report),
    )


def experts(report: GruReport) -> list[tuple[str, Metrics]]:
    """Return the validation metrics of both parts together and of each alone, as far as they were measured."""
    every = (
        ("together", report.validation),
        ("gru_alone", report.gru_validation),
        ("linear", report.linear_validation),
    )
    return [(name, metrics) for name, metrics in every if metrics is not None]


def least_routed(coverage: Mapping[str, CategoryCoverage] | None) -> list[tuple[str, CategoryCoverage]]:
    """Return at most 10 categories of which not every ticket is routed, the least routed first."""
    found = [(category, one) for category, one in (coverage or {}).items() if one.coverage < 1.0]
    # Of two that are routed alike the one with more tickets says more.
    return sorted(found, key=lambda item: (item[1].coverage, -item[1].num_tickets, item[0]))[:MAX_LEAST_ROUTED]


def measured_scope(report: GruReport) -> OutOfScope | None:
    """Return how confidence tells unknown categories apart; None where it was not tried."""
    scope = report.out_of_scope
    return scope if scope is not None and scope.auroc is not None else None


def largest_confusions(metrics: Metrics, size: int = MAX_MATRIX) -> Matrix | None:
    """Return the confusion matrix of the categories that are confused most; None if nothing was kept or is confused.

    The largest confusions are taken in turn until there are `size` categories, and a category stands beside the one
    that brought it, so that what is mixed up stands together.
    """
    if metrics.confusion_matrix is None or not metrics.confusions:
        return None
    chosen: list[str] = []
    for confusion in metrics.confusions:
        pair = [confusion.expected, confusion.predicted]
        new = [category for category in pair if category not in chosen]
        if len(chosen) + len(new) > size:
            break
        if len(new) == 1:
            (old,) = (category for category in pair if category in chosen)
            chosen.insert(chosen.index(old) + 1, new[0])
        else:
            chosen += new
    place = {category: number for number, category in enumerate(chosen)}
    counts = [[0] * (len(chosen) + 1) for _ in range(len(chosen) + 1)]
    of_number = [place.get(category, len(chosen)) for category in metrics.confusion_matrix.categories]
    for true, said, count in metrics.confusion_matrix.cells:
        counts[of_number[true]][of_number[said]] += count
    return Matrix(chosen, counts)


def text_of(tickets: Sequence[Row], mistake: Mistake) -> str:
    """Return the ticket of a mistake, cut where it is long; nothing without the tickets."""
    if not tickets:
        return ""
    if mistake.row >= len(tickets):
        return "(empty)"  # a ticket without a token comes after the others
    content = tickets[mistake.row].content
    text = content if isinstance(content, str) else " ".join(content)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def _environment(autoescape: bool, decimal: str, percent: str) -> jinja2.Environment:
    """Return the templates, with numbers written as the language writes them.

    Args:
        autoescape: for HTML; a category is whatever somebody typed. In Markdown the filter `md` does it.
        decimal: the decimal sign.
        percent: with its space, if the language has one.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=autoescape,  # noqa: S701
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def number(value: Any, decimals: int = 4) -> str:
        return "–" if value is None else f"{value:.{decimals}f}".replace(".", decimal)

    def share(value: Any, decimals: int = 1) -> str:
        return "–" if value is None else f"{value * 100:.{decimals}f}".replace(".", decimal) + percent

    def md(text: Any) -> str:
        return re.sub(r"([\\`*_\[\]<>|~$&])", r"\\\1", " ".join(str(text).split()))

    def breakable(text: str) -> Markup:  # names like card_payment_fee_charged break at their underscores
        return escape(text).replace("_", Markup("_<wbr>"))

    environment.filters |= {"number": number, "share": share, "md": md, "breakable": breakable}
    return environment
