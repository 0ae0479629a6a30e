"""The public sets of a folder, and parts of their training files.

In: a folder with NAME/train.jsonl and NAME/test.jsonl (raw text), or the same with `.tokens.jsonl`. Out: what there is,
checked, and the rows of a part that keeps each category's share.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import numpy as np

from artifacts.kinds import kind_named
from trainer.data.tickets import Rows, check_categories, noticed, read
from trainer.run import read_test_rows

FORMS = {"text": "jsonl", "tokens": "tokens.jsonl"}
KIND = "GRU"


class DataSet(msgspec.Struct, frozen=True):
    """One set in one form, such as `banking77_fr (tokens)`."""

    label: str
    train: Path
    test: Path


class Facts(msgspec.Struct, frozen=True):
    """What a set is, known before anything is trained.

    Attributes:
        majority_accuracy: what the commonest category of the training file would get on the test file.
        train_sha256, test_sha256: of the files' bytes.
    """

    label: str
    num_train: int
    num_test: int
    num_categories: int
    majority_accuracy: float
    train_sha256: str
    test_sha256: str


class Part(msgspec.Struct, frozen=True):
    """Which rows of the training file are trained on; None: all. Two draws of a size are two parts."""

    num_rows: int | None = None
    draw: int = 0


def find_sets(data: Path) -> list[DataSet]:
    """Return every set in the folder that has both files of a form, in order."""
    found = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        for form, ending in FORMS.items():
            train, test = folder / f"train.{ending}", folder / f"test.{ending}"
            if train.is_file() and test.is_file():
                found.append(DataSet(f"{folder.name} ({form})", train, test))
    return found


def choose(found: list[DataSet], names: tuple[str, ...], data: Path) -> list[DataSet]:
    """Return the sets that are named, by folder or by label, or all.

    Raises:
        click.UsageError: a name fits none, or there is none.
    """
    known = {one.label for one in found} | {one.train.parent.name for one in found}
    if missing := [name for name in names if name not in known]:
        labels = ", ".join(one.label for one in found) or "none"
        raise click.UsageError(f"{data} has no set {', '.join(missing)}; it has {labels}")
    if not found:
        raise click.UsageError(f"{data} has no folder NAME with train.jsonl and test.jsonl")
    return [one for one in found if not names or one.label in names or one.train.parent.name in names]


def read_facts(one: DataSet) -> Facts:
    """Return what the set is.

    Raises:
        InvalidInput: a file does not fit.
    """
    rows = read_train(one.train)
    test_rows = read_test(one.test)
    commonest, _ = rows.categories.most_common(1)[0]
    return Facts(
        label=one.label,
        num_train=len(rows.tickets),
        num_test=len(test_rows.tickets),
        num_categories=len(rows.categories),
        majority_accuracy=test_rows.categories[commonest] / len(test_rows.tickets),
        train_sha256=hashlib.sha256(one.train.read_bytes()).hexdigest(),
        test_sha256=hashlib.sha256(one.test.read_bytes()).hexdigest(),
    )


def read_train(path: Path, part: Part = Part()) -> Rows:  # noqa: B008, a frozen Struct
    """Return the checked rows of a training file, or of a part of it.

    Raises:
        InvalidInput: the file does not fit, or what is left is one category.
    """
    rows = read(path)
    if part.num_rows is not None:
        kept = stratified([ticket.expected for ticket in rows.tickets], part.num_rows, part.draw)
        rows = noticed([rows.tickets[row] for row in kept], [rows.tokens[row] for row in kept])
    check_categories(rows)
    return rows


def read_test(path: Path) -> Rows:
    """Return the checked rows of a test file.

    Raises:
        InvalidInput: the file does not fit.
    """
    rows = read_test_rows(path, kind_named(KIND))
    assert isinstance(rows, Rows), "rows of another kind; this is our bug"
    return rows


def stratified(categories: Sequence[str], num_rows: int, draw: int) -> list[int]:
    """Return `num_rows` row numbers in order, each category with its share of them, and at least one.

    More than `num_rows` come back only where there are more categories than that, all where there are not so many rows.
    The same categories, number and draw give the same rows.

    >>> stratified(["a", "a", "a", "a", "b", "b"], 3, 0)
    [0, 2, 5]
    """
    counts = Counter(categories)
    num_rows = min(num_rows, len(categories))
    share = {name: num_rows * count / len(categories) for name, count in counts.items()}
    num_kept = {name: max(1, int(share[name])) for name in counts}
    # Largest remainders first; a category that was lifted to one row has a negative one.
    while (num_left := num_rows - sum(num_kept.values())) > 0:
        wanting = sorted(counts, key=lambda name: (num_kept[name] - share[name], name))
        for name in [name for name in wanting if num_kept[name] < counts[name]][:num_left]:
            num_kept[name] += 1
    while sum(num_kept.values()) > max(num_rows, len(counts)):
        num_kept[max((n for n in counts if num_kept[n] > 1), key=lambda n: (num_kept[n] - share[n], n))] -= 1
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(categories):
        rows_of[name].append(row)
    random = np.random.default_rng(draw)
    return sorted(
        rows_of[name][place]
        for name in sorted(rows_of)
        for place in random.permutation(len(rows_of[name]))[: num_kept[name]].tolist()
    )
