"""The commands `explain` and `steps`: what they print, in colour and without, and how they refuse."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from artifacts.networks.explain import explain
from artifacts.networks.gru import GruModel
from artifacts.store.store import Store
from trainer.cli import explanation, main
from trainer.cli.explanation import content_of
from trainer.report import show_steps

NAME = "puppet-o2"
TOKENS = ["problème", "conntecter", "coffre"]
TICKET = json.dumps(TOKENS)


def puppet_train(store: Path, command: str, ticket: str, *arguments: str, name: str = NAME, status: int = 0) -> Result:
    """Run `puppet-train` on a ticket and return what it printed; its exit status must be `status`."""
    words = [command, ticket, "--name", name, "--store", str(store), *arguments]
    result = CliRunner().invoke(main.main, words)
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def last_line(result: Result) -> dict[str, object]:
    """Return the JSON object in the last line of what a command printed."""
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


def cells(output: str) -> list[list[str]]:
    """Return the cells of a printed table's rows, but for its head."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if "│" in line]


def test_explanation_is_printed(store: Store, model: GruModel) -> None:
    """Each token has its weight with a sign, the bar has the same, and an unknown token has what is known."""
    expected = explain(model, model.encode(TOKENS))

    result = puppet_train(store.root, "explain", TICKET)

    rows = cells(result.stdout)
    assert expected.category in result.stdout.splitlines()[0]
    assert [row[:2] for row in rows] == [[one.token, f"{one.weight:+.2f}"] for one in expected.tokens]
    for row, one in zip(rows, expected.tokens, strict=True):
        assert set(row[2]) <= {"+" if one.weight >= 0 else "-"}
        assert row[3] == f"{one.confidence:.3f}"
    assert [row[4] for row in rows] == ["", "no known word", ""]
    assert "\x1b" not in result.stdout


def test_weights_are_coloured_in_a_terminal(
    store: Store, model: GruModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where colour is possible, what speaks for the category is green and what speaks against it red."""
    monkeypatch.setattr(explanation, "out", Console(force_terminal=True, color_system="standard", width=100))
    found = explain(model, model.encode(TOKENS))
    signs = [one.weight >= 0 for one in found.tokens]

    explanation.show_explanation(found)

    printed = capsys.readouterr().out
    assert len(set(signs)) == 2, "the ticket has words for and against; else this shows nothing"
    for one, is_for in zip(found.tokens, signs, strict=True):
        assert f"\x1b[{32 if is_for else 31}m{one.token}" in printed


def test_explanation_is_one_json_object(store: Store, model: GruModel) -> None:
    """With --json the last line is the answer of /search with its explanation."""
    found = last_line(puppet_train(store.root, "explain", TICKET, "--json", "--version", "1"))

    (answer,) = model.predict([model.encode(TOKENS)])
    explanation = explain(model, model.encode(TOKENS))
    assert found == msgspec.to_builtins(
        msgspec.structs.replace(answer, model_name=NAME, version=1, explanation=explanation)
    )


def test_long_ticket_has_a_row_for_each_window(store: Store) -> None:
    """Of 130 tokens three are left out at once; the table says so and has 44 rows."""
    result = puppet_train(store.root, "explain", json.dumps(["problème", "coffre"] * 65))

    assert "3 neighbouring tokens were left out at once" in result.stdout
    assert sum(bool(row[1]) for row in cells(result.stdout)) == 44


def test_raw_text_is_read_as_the_server_reads_it(store: Store) -> None:
    """What is no JSON array of words is text."""
    found = last_line(puppet_train(store.root, "explain", "Problème  de CONNEXION !", "--json"))

    assert isinstance(found["explanation"], dict)
    tokens = [token["token"] for token in found["explanation"]["tokens"]]
    assert tokens == ["problème", "de", "connexion", "!"]


@pytest.mark.parametrize("ticket", ["[urgent] rien", "[1, 2]", "{}", "[", '"a"'])
def test_what_is_no_list_of_words_is_text(ticket: str) -> None:
    """Brackets do not make tokens."""
    assert content_of(ticket) == ticket


@pytest.mark.parametrize("command", ["explain", "steps"])
def test_refusals_name_what_is_wrong(store: Store, tmp_path: Path, command: str) -> None:
    """A ticket without words, a version, model or store that is not there, and a kind without words."""
    cases = [
        ("  ", NAME, (), "empty"),
        ("a\0", NAME, (), "NUL"),
        ("a", NAME, ("--version", "7"), "7"),
        ("a", "other", (), "Model not found"),
        ("a", "untrained", (), "not trained"),
        ("a", "prices", (), "SimpleNN"),
    ]
    for ticket, name, arguments, words in cases:
        result = puppet_train(store.root, command, ticket, *arguments, name=name, status=1)
        assert result.stderr.startswith("error: ")
        assert words in result.stderr
    assert "there is no store" in puppet_train(tmp_path / "none", command, "a", status=1).stderr
    assert not (tmp_path / "none").exists()


def test_steps_are_printed_as_a_lesson(store: Store) -> None:
    """The parts stand in the order of the work, each token in the tables, and the proof at the end."""
    result = puppet_train(store.root, "steps", TICKET)

    titles = [line for line in result.stdout.splitlines() if re.match(r"\d\. ", line)]
    assert [title[:2] for title in titles] == [f"{number}." for number in range(1, 8)]
    # ids, vectors, a GRU that reads both ways, and the linear part's tokens; then its pairs.
    assert sum(row[0] == "conntecter" for row in cells(result.stdout)) == 5
    assert "largest difference: vectors" in result.stdout


def test_steps_have_every_number_as_json(store: Store, model: GruModel) -> None:
    """With --json the last line has the gates of each token, the probabilities and the differences."""
    found = last_line(puppet_train(store.root, "steps", TICKET, "--json"))

    assert isinstance(found["networks"], list)
    for way in found["networks"][0]["layers"][0]:
        assert [len(way[gate]) for gate in ("reset", "update", "proposal", "state")] == [len(TOKENS)] * 4
    assert isinstance(found["probabilities"], list)
    assert found["probabilities"] == pytest.approx(model.probabilities([model.encode(TOKENS)])[0].tolist(), abs=1e-6)
    assert isinstance(found["differences"], dict)
    assert found["differences"].keys() == {"vectors", "states", "logits", "probabilities"}


def test_steps_of_a_long_ticket_stay_short(store: Store) -> None:
    """Of 200 tokens the first are shown, and the number of those that are not is said."""
    result = puppet_train(store.root, "steps", json.dumps(["problème"] * 200))

    assert f"{200 - show_steps.MAX_TOKENS} more are not" in result.stdout
    assert len(result.stdout.splitlines()) < 150
