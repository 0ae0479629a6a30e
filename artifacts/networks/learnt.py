"""Which rows a version has learnt from, and figures that these cannot flatter: the one place that decides it.

A version may know by heart a row that it was trained on, so a right answer there says nothing of other rows. Each
version keeps salted hashes of its training rows (`TrainedOn` in report.json), by which a row can be known again and
not read. A row is learnt if its content was trained on, under whatever category; all others are clean. In: labelled
rows and a version's list. Out: which rows it has learnt, and an evaluation of the clean rows, the learnt ones apart.

What it leaves to others: the metrics (evaluation/metrics.py), which of two versions is better
(trainer/selection/compare.py). It does not know rows that are nearly the same: `puppet-train inspect --test` does.
"""

# Axes: N rows.

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np

from artifacts.errors import ArtifactRefused
from artifacts.networks.manifest import Manifest, TrainedOn
from artifacts.schemas import Evaluation, Row, Summary

HASH_BYTES = 8  # of a million rows and a stranger, one in 10^13 is taken for one that was learnt
SALT_BYTES = 16
NO_LIST = "it kept no list of the rows that it was trained on"

Encoded = TypeVar("Encoded")
Measured = TypeVar("Measured", contravariant=True)  # an encoded input


class Measures(Protocol[Measured]):
    """What is asked for an evaluation; a `Model` is one."""

    def evaluate(self, rows: Sequence[Any], encoded: Sequence[Measured], /) -> Evaluation:
        """Return the metrics on labelled rows; see `Model.evaluate`."""


def trained_on(rows: Sequence[Row]) -> TrainedOn:
    """Return what tells later whether a row was among these, without holding any of them."""
    # A salt of its own: from two lists nobody can tell that a row is in both, and no table of hashes made beforehand
    # opens any. Only a version that starts from another one takes over its salt (`trained_on_as_well`).
    salt = secrets.token_bytes(SALT_BYTES)
    rules = rows[0].KEY_RULES[-1] if rows else None
    # In order, so that a row is found by halving: the list of a million rows is never unpacked.
    return TrainedOn(salt, b"".join(sorted({_hash(row, rules, salt) for row in rows})), rules)


def trained_on_as_well(before: TrainedOn, rows: Sequence[Row]) -> TrainedOn:
    """Return the list of a version that has learnt from these rows on top of all that `before` lists.

    The earlier rows are hashes, which nobody can key anew: so the list keeps the salt, and the two can be compared.

    Args:
        before: of the version that it started from; by rules that the rows know.
        rows: that came on top, or were there before already.
    """
    assert why_unknown(rows, before) is None, "the rules were looked at before the training; a bug in Puppet"
    size = HASH_BYTES
    listed = {before.hashes[place : place + size] for place in range(0, len(before.hashes), size)}
    listed |= {_hash(row, before.rules, before.salt) for row in rows}
    return TrainedOn(before.salt, b"".join(sorted(listed)), before.rules)


def seen(rows: Sequence[Row], by: TrainedOn | None) -> list[bool] | None:
    """Return of each row whether a version was trained on it; None if that cannot be known, see `why_unknown`."""
    if by is None or why_unknown(rows, by) is not None:
        return None
    # Big-endian numbers are in the order of their bytes.
    listed = np.frombuffer(by.hashes, dtype=">u8", count=len(by.hashes) // HASH_BYTES)
    asked_N = np.frombuffer(b"".join(_hash(row, by.rules, by.salt) for row in rows), dtype=">u8")
    if not len(listed):
        return [False] * len(rows)
    place_N = np.minimum(np.searchsorted(listed, asked_N), len(listed) - 1)
    found: list[bool] = (listed[place_N] == asked_N).tolist()
    return found


def why_unknown(rows: Sequence[Row], by: TrainedOn | None) -> str | None:
    """Return why a version cannot be asked which of the rows it was trained on; None if it can."""
    if by is None:
        return NO_LIST
    known = rows[0].KEY_RULES if rows else ()
    # Under other rules equal tickets may have other keys: a learnt row would pass for a clean one.
    if rows and by.rules not in known:
        return (
            f"its list of the rows that it was trained on was made by rules {by.rules}, "
            f"this program knows rules {', '.join(map(str, known))}"
        )
    return None


def _hash(row: Row, rules: int | None, salt: bytes) -> bytes:
    assert rules is not None, "a list of rows says by which rules, or its manifest does; a bug in this file"
    return hashlib.blake2b(row.key(rules), digest_size=HASH_BYTES, key=salt).digest()


def read_trained_on(manifest: Manifest, files: Mapping[str, bytes]) -> TrainedOn | None:
    """Return a version's list, with the rules that it was made by; None if the version kept no list.

    Raises:
        ArtifactRefused: its report cannot be read.
    """
    try:
        found = msgspec.json.decode(files["report.json"], type=_Kept).trained_on
        # Older lists do not say by which rules they were made: it was those that the version reads text by.
        if found is not None and found.rules is None:
            return msgspec.structs.replace(found, rules=manifest.key_rules)
        return found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactRefused("report-unreadable", reason=error) from error


class _Kept(msgspec.Struct, frozen=True):
    """As much of a report as the list is."""

    trained_on: TrainedOn | None = None


def evaluate_apart(
    model: Measures[Encoded], rows: Sequence[Any], encoded: Sequence[Encoded], was_seen: Sequence[bool] | None
) -> tuple[Evaluation | None, Evaluation | None]:
    """Return the metrics of a version on the rows that are clean, and on those that it has learnt; None of no row.

    Args:
        model: the version.
        rows: labelled; those that it cannot read, because they have no token, come last.
        encoded: of the rows that it can read.
        was_seen: of these, whether the version was trained on it; None: unknown, and then all count as clean.
    """
    learnt = [] if was_seen is None else [number for number, is_learnt in enumerate(was_seen) if is_learnt]
    if not learnt:
        return model.evaluate(rows, encoded), None
    if len(learnt) == len(encoded):  # a row without a token, which nobody can learn, is no clean set by itself
        return None, model.evaluate(rows, encoded)
    known = set(learnt)
    clean = [number for number in range(len(rows)) if number not in known]

    def of(numbers: Sequence[int]) -> Evaluation | None:
        if not numbers:
            return None
        read = [encoded[number] for number in numbers if number < len(encoded)]
        # Mistakes are named by the number of their row, as the caller counts them.
        return model.evaluate([rows[number] for number in numbers], read).renumbered(numbers)

    return of(clean), of(learnt)


def with_parts(
    whole: Evaluation, clean: Evaluation | None, learnt: Evaluation | None, unknown: str | None = None
) -> Evaluation:
    """Return an evaluation that says which of its rows were clean.

    Args:
        whole: the metrics that it gives at the top.
        clean: of the clean rows; from `evaluate_apart`.
        learnt: of the others.
        unknown: why it is not known which rows are which, if it is not.
    """
    if unknown is not None:
        return msgspec.structs.replace(whole, unknown=unknown)
    # Nothing was measured where there is no row: no number is made up, but the count says so.
    nothing: Summary = dict.fromkeys(whole.part) | {"num_tickets": 0}
    return msgspec.structs.replace(
        whole,
        clean=clean.part if clean is not None else nothing,
        learnt=learnt.part if learnt is not None else nothing,
    )
