"""Placeholders that mean the same: how they are set, and that a version reads one as the other."""

import msgspec
import pytest

from artifacts.errors import InvalidInput
from artifacts.networks.gru import GruModel
from artifacts.store.store import Store
from tests.trainer import small
from trainer.curation.aliases import merged, read_aliases, with_aliases
from trainer.run import fit


@pytest.mark.parametrize("setting", ["<A>=<A>", "<A>=<B>,<B>=<C>", "<A>=<B>,<A>=<C>", "<A>=<UNK>", "<PAD>=<A>"])
def test_contradictions_are_refused(setting: str) -> None:
    """A placeholder is read as one other, that one as itself, and the reserved ones are left alone."""
    with pytest.raises(InvalidInput, match="aliases is"):
        read_aliases(setting)


def test_tickets_have_one_placeholder_left() -> None:
    """Labelled tickets and unlabelled ones; without aliases they are what they were."""
    rows = small.rows({"a": [["x", "<B>"], ["y", "<A>"]], "b": [["z"]]})
    rows = msgspec.structs.replace(rows, unlabelled=[["<B>"]])

    found = merged(rows, {"<B>": "<A>"}, 2)

    assert found.tokens == [["x", "<A>"], ["y", "<A>"], ["z"]]
    assert found.unlabelled == [["<A>"]]
    assert merged(rows, {}, 2) is rows


def test_placeholder_that_cannot_be_learnt_is_refused() -> None:
    """Too few tickets hold it, or the vocabulary is full: its aliases would be unknown words in silence."""
    rows = small.rows({"a": [["x", "<B>"]], "b": [["z"]]})

    with pytest.raises(InvalidInput, match="<A>, aliases included, stands in 1 tickets, it needs 2"):
        merged(rows, {"<B>": "<A>"}, 2)
    with pytest.raises(InvalidInput, match="raise max_vocabulary"):
        with_aliases({"<PAD>": 0, "<UNK>": 1}, {"<B>": "<A>"})


@pytest.mark.torch
def test_version_reads_an_alias_as_the_other(empty: Store) -> None:
    """Published and loaded again: the same answer to both, neither unknown, one row fewer than without the alias."""
    tickets = small.tickets(8)
    config = small.config(aliases="<NAME>=<PRODUCT>", epochs=2)
    tickets = {name: [*group, [*group[0][:2], "<NAME>"]] for name, group in tickets.items()}
    manifest, _ = fit(empty, small.NAME, small.rows(tickets), config)

    model = GruModel(*empty.read_version(small.NAME, manifest.version))

    first, second = model.predict([model.encode(["facture", mask, "payer"]) for mask in ("<PRODUCT>", "<NAME>")])
    assert first == second
    assert second.unknown_tokens == []
    assert model.vocabulary.rows["<NAME>"] == model.vocabulary.rows["<PRODUCT>"]
    assert len(model.vocabulary) == len(model.vocabulary.rows) - 1
    assert model.manifest.training["aliases"] == "<NAME>=<PRODUCT>"
