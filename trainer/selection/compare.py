"""Is a new version better than the one that serves, or was it luck? Two versions asked about the same labelled rows.

Where both are right, or both wrong, the two cannot be told apart; what counts are the rows that only one of them gets
right. If neither were better, such a row would be a coin's toss: of n of them, the new version would win k or more by
chance with the probability that the binomial distribution says. That is McNemar's test in its exact form (McNemar
1947, "Note on the sampling error of the difference between correlated proportions"; for answers that are numbers,
where the nearer one wins, it is the sign test). A new version is better if it wins more rows than it loses, and luck
would do as much in one case of twenty at most.

A row that a version was trained on says nothing about it, so only clean rows are compared, which neither version has
learnt (artifacts/networks/learnt.py); the others are counted and measured apart. Where a version cannot be asked what
it has learnt, nothing is decided: to take every row for clean would flatter it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from artifacts.errors import ArtifactRefused, InvalidContent, NotFinite
from artifacts.kinds import load
from artifacts.networks.learnt import read_trained_on, seen, why_unknown
from artifacts.networks.manifest import Change, Comparison, MeasuredOn, Report
from artifacts.networks.runtime import Model
from artifacts.schemas import Answer, Row
from artifacts.store.interface import AnyStore

TEST_DATA: MeasuredOn = "test_data"
VALIDATION: MeasuredOn = "validation"
MIN_ROWS = 100  # fewer say too little of a model: at 100 rows and .9 the accuracy is known to 6 points
MAX_P = 0.05
MAX_CHANGES = 1000
MAX_NAME = 100  # characters of a category in a list of changes


def compare_fitted(
    store: AnyStore,
    new: Model[Any],
    report: Report,
    rows: Sequence[Row],
    unseen: Mapping[int, Answer],
    test_rows: Sequence[Row] | None,
    against: int,
) -> Comparison:
    """Return whether a version that is still to be published is better than a published one, and why.

    It is measured on `test_rows` if there are any. If not, on the rows that were kept out of training, with the answers
    of the network that has not seen them: that the published one may have been trained on them too is no merit. Of
    either, the rows that a version has learnt from are measured apart.

    Args:
        store: where the other version is.
        new: the version, loaded.
        report: of the version.
        rows: that it was trained on, kept out or not.
        unseen: row number -> answer of a network that was not trained on it.
        test_rows: to be measured on, or None.
        against: number of the other version. If it cannot be asked, the new one is not called better.
    """
    try:
        manifest, files = store.read_version(new.name, against)
        old, old_list = load(manifest, files), read_trained_on(manifest, files)
    except ArtifactRefused as error:
        return _undecided(against, f"version {against} serves but cannot be compared with: {error}")
    try:
        if test_rows is not None:
            numbers, chosen, source = list(range(len(test_rows))), test_rows, TEST_DATA
            answers: Sequence[Answer] = ask(new, chosen)
            by_new = seen(chosen, report.trained_on)
        else:
            numbers, chosen, source = list(unseen), [rows[number] for number in unseen], VALIDATION
            answers = list(unseen.values())
            by_new = [False] * len(chosen)  # by the network that answers here
        by_old, doubt = seen(chosen, old_list), why_unknown(chosen, old_list)
        if by_old is None and test_rows is None:  # how many of them are clean nobody can say
            return _undecided(against, _doubtful(against, doubt))
        asked = ask(old, chosen)
    except (InvalidContent, NotFinite) as error:
        return _undecided(against, f"the two versions cannot be asked about the same rows: {error}")
    found = compared_apart(chosen, asked, answers, numbers, source, against, by_old, by_new)
    if doubt is not None:
        return msgspec.structs.replace(found, detail=_doubtful(against, doubt))
    return judged(found)


def compare_published(store: AnyStore, name: str, old: int, new: int, rows: Sequence[Row]) -> Comparison:
    """Return what changes on `rows` from one published version to another; those that either has learnt are apart.

    Raises:
        ArtifactRefused: one of them cannot be loaded.
        InvalidContent: a row does not suit one of them.
    """
    (old_model, old_list), (new_model, new_list) = (
        (load(manifest, files), read_trained_on(manifest, files))
        for manifest, files in (store.read_version(name, number) for number in (old, new))
    )
    learnt = seen(rows, old_list), seen(rows, new_list)
    found = compared_apart(rows, ask(old_model, rows), ask(new_model, rows), range(len(rows)), TEST_DATA, old, *learnt)
    for number, listed in ((old, old_list), (new, new_list)):
        if (doubt := why_unknown(rows, listed)) is not None:
            return msgspec.structs.replace(found, detail=_doubtful(number, doubt))
    return judged(found)


def ask(model: Model[Any], rows: Sequence[Row]) -> Sequence[Answer]:
    """Return the model's answer to each row.

    Raises:
        InvalidContent: it cannot read one.
        NotFinite: an answer is no finite number.
    """
    return model.predict([model.encode(row.content) for row in rows]) if rows else []


def compared_apart(
    rows: Sequence[Row],
    old: Sequence[Answer],
    new: Sequence[Answer],
    numbers: Sequence[int],
    source: MeasuredOn,
    against: int,
    by_old: Sequence[bool] | None,
    by_new: Sequence[bool] | None,
) -> Comparison:
    """Return the comparison on the clean rows, with the metrics of the others apart.

    Args:
        rows: labelled.
        old: what the version `against` answers.
        new: what the other one answers.
        numbers: of the rows, as the caller counts them.
        source: where the rows come from.
        against: number of the old version.
        by_old: of each row, whether the old version has learnt it; None: unknown, and then it counts as clean.
        by_new: the same of the other version.
    """
    learnt_by = [flags for flags in (by_old, by_new) if flags is not None]
    is_learnt = [any(flags) for flags in zip(*learnt_by, strict=True)] or [False] * len(rows)
    clean = [place for place, is_known in enumerate(is_learnt) if not is_known]
    apart = [place for place, is_known in enumerate(is_learnt) if is_known]

    def of(places: Sequence[int]) -> Comparison:
        return compared(
            [rows[place] for place in places],
            [old[place] for place in places],
            [new[place] for place in places],
            [numbers[place] for place in places],
            source,
            against,
        )

    left_out = of(apart)
    return msgspec.structs.replace(
        of(clean),
        num_left_out=len(apart),
        num_seen_old=sum(by_old) if by_old is not None else None,
        num_seen_new=sum(by_new) if by_new is not None else None,
        old_left_out=left_out.old,
        new_left_out=left_out.new,
    )


def compared(
    rows: Sequence[Row],
    old: Sequence[Answer],
    new: Sequence[Answer],
    numbers: Sequence[int],
    source: MeasuredOn,
    against: int,
) -> Comparison:
    """Return the comparison of two versions' answers to the same rows, without a verdict yet.

    Args:
        rows: labelled.
        old: what the version `against` answers.
        new: what the other one answers.
        numbers: of the rows, as the caller counts them.
        source: where the rows come from.
        against: number of the old version.
    """
    old_errors = [_error(row.expected, answer.said) for row, answer in zip(rows, old, strict=True)]
    new_errors = [_error(row.expected, answer.said) for row, answer in zip(rows, new, strict=True)]
    num_better = sum(after < before for before, after in zip(old_errors, new_errors, strict=True))
    num_worse = sum(after > before for before, after in zip(old_errors, new_errors, strict=True))
    changes = [
        Change(number, _shown(row.expected), _shown(before.said), _shown(after.said))
        for number, row, before, after in zip(numbers, rows, old, new, strict=True)
        if before.said != after.said
    ]
    return Comparison(
        against=against,
        measured_on=source,
        num_rows=len(rows),
        old=_summary(rows, old_errors),
        new=_summary(rows, new_errors),
        num_better=num_better,
        num_worse=num_worse,
        p_value=p_value(num_better, num_worse),
        num_changes=len(changes),
        changes=changes[:MAX_CHANGES],
    )


def p_value(num_better: int, num_worse: int) -> float:
    """Return the probability of winning so many rows or more if neither version is better.

    >>> p_value(8, 2)  # (45 + 10 + 1) / 2**10
    0.0546875
    """
    from scipy.stats import binomtest  # half a second to import, and only who compares needs it

    num_told_apart = num_better + num_worse
    return float(binomtest(num_better, num_told_apart, alternative="greater").pvalue) if num_told_apart else 1.0


def judged(found: Comparison) -> Comparison:
    """Return the comparison with its verdict, in words too."""
    if found.num_rows < MIN_ROWS:
        left_out = f" ({found.num_left_out} were left out that version {found.against} or the other one has learnt)"
        reason = (
            f"{found.num_rows} rows to compare on{left_out if found.num_left_out else ''}, fewer than {MIN_ROWS}; "
            f"send more as test_data, or promote by hand"
        )
        return msgspec.structs.replace(found, detail=f"undecided: {reason}")
    counts = f"wins {found.num_better} rows of {found.num_rows} and loses {found.num_worse} ({_words(found)})"
    if found.num_better <= found.num_worse:
        return msgspec.structs.replace(found, detail=f"not better than version {found.against}: {counts}")
    chance = f"chance would do as much with p = {found.p_value:.2g}, the limit is {MAX_P}"
    if found.p_value > MAX_P:
        detail = f"not surely better than version {found.against}: {counts}; {chance}"
        return msgspec.structs.replace(found, detail=detail)
    detail = f"better than version {found.against}: {counts}; {chance}"
    return msgspec.structs.replace(found, detail=detail, is_better=True)


def _words(found: Comparison) -> str:
    return ", ".join(f"{name} {found.old[name]:.4g} -> {after:.4g}" for name, after in found.new.items())


def _doubtful(version: int, doubt: str | None) -> str:
    return (
        f"undecided: it is unknown which of these rows version {version} has learnt by heart, for {doubt}; "
        f"look at the changes with puppet-train diff, then promote by hand"
    )


def _undecided(against: int, detail: str) -> Comparison:
    return Comparison(against=against, measured_on="nothing", detail=detail)


def _error(expected: Any, said: Any) -> float:
    """Return how wrong an answer is: 0 or 1 for a category, the distance for a number."""
    return float(said != expected) if isinstance(expected, str) else abs(said - expected)


def _summary(rows: Sequence[Row], errors: Sequence[float]) -> dict[str, float]:
    if not rows:
        return {}
    mean = math.fsum(errors) / len(errors)
    return {"accuracy": 1.0 - mean} if isinstance(rows[0].expected, str) else {"mae": mean}


def _shown(said: Any) -> str | float:
    return said[:MAX_NAME] if isinstance(said, str) else float(said)
