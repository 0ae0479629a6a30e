"""Which sets a folder has, and parts of a training file that keep each category's share."""

import json
from collections import Counter
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from benchmarks.accuracy.sets import Part, choose, find_sets, read_train, stratified


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one set in both forms, one in one, and two that lack a file."""
    for name in ("b/train.jsonl", "b/test.jsonl", "b/train.tokens.jsonl", "b/test.tokens.jsonl", "a/train.jsonl",
                 "a/test.jsonl", "only_train/train.jsonl", "mixed/train.jsonl", "mixed/test.tokens.jsonl"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "README.md").touch()
    return tmp_path


def test_sets_with_both_files_of_a_form_are_found(folder: Path) -> None:
    """A set is a pair of files of one form; a folder can have two, and half a pair is none."""
    found = find_sets(folder)

    assert [one.label for one in found] == ["a (text)", "b (text)", "b (tokens)"]
    assert found[2].train == folder / "b" / "train.tokens.jsonl"
    assert found[2].test == folder / "b" / "test.tokens.jsonl"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ((), ["a (text)", "b (text)", "b (tokens)"]),
        (("b",), ["b (text)", "b (tokens)"]),
        (("b (tokens)", "a"), ["a (text)", "b (tokens)"]),
    ],
)
def test_sets_are_chosen_by_folder_or_label(folder: Path, names: tuple[str, ...], labels: list[str]) -> None:
    """No name means all."""
    assert [one.label for one in choose(find_sets(folder), names, folder)] == labels


def test_unknown_set_is_refused_with_those_that_are_there(folder: Path) -> None:
    """A misspelt name is not silently nothing, and an empty folder not an empty table."""
    with pytest.raises(click.UsageError, match=r"no set c; it has a \(text\), b \(text\)"):
        choose(find_sets(folder), ("b", "c"), folder)
    with pytest.raises(click.UsageError, match="no folder NAME"):
        choose([], (), folder)


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=80), st.integers(1, 100), st.integers(0, 3))
def test_part_has_the_size_and_the_shares(categories: list[str], num_rows: int, draw: int) -> None:
    """As many rows as asked, each once, no category lost, and none further than one row from its share but the rarest.

    Where a category's share is under one row it still gets one, which the others pay for.
    """
    rows = stratified(categories, num_rows, draw)

    counts, found = Counter(categories), Counter(categories[row] for row in rows)
    assert len(rows) == min(len(categories), max(num_rows, len(counts)))
    assert rows == sorted(set(rows))
    assert found.keys() == counts.keys()
    shares = {name: min(num_rows, len(categories)) * count / len(categories) for name, count in counts.items()}
    if min(shares.values()) >= 1:
        assert all(abs(found[name] - shares[name]) < 1 for name in counts)


def test_draws_differ_and_repeat() -> None:
    """The same draw is the same rows, another is not."""
    categories = ["a", "b"] * 50

    assert stratified(categories, 20, 1) == stratified(categories, 20, 1)
    assert stratified(categories, 20, 1) != stratified(categories, 20, 2)


def test_part_of_a_file_is_read(tmp_path: Path) -> None:
    """Half of 4 and 2 tickets is 2 and 1; a file of one category is refused."""
    path = tmp_path / "train.jsonl"
    rows = [{"category": name, "text": f"ticket {number}"} for number, name in enumerate("aaaabb")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert read_train(path).categories == {"a": 4, "b": 2}
    assert read_train(path, Part(3)).categories == {"a": 2, "b": 1}
    path.write_text(json.dumps(rows[0]))
    with pytest.raises(InvalidInput, match="one category"):
        read_train(path)
