"""The commands of `puppet-train` that show how an answer comes about: what each token weighs, and every step to it.

The work is in `artifacts/networks/explain.py` and `artifacts/networks/steps.py`; `main.py` adds these commands.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Column, Table
from rich.text import Text

from artifacts.errors import KindMismatch
from artifacts.kinds import kind_named, load
from artifacts.networks.explain import finish
from artifacts.networks.runtime import Model
from artifacts.text.tickets import Explanation, Prediction, TokenWeight
from trainer.cli.terminal import json_option, name_option, out, print_line, shows_errors, store_option
from trainer.cli.versions import open_store
from trainer.report.show_steps import show_steps

BAR = 12  # signs that the heaviest token's bar has
ticket_argument = click.argument("ticket")
version_option = click.option("--version", "version", type=int, help="Which version; the serving one by default.")


@click.command("explain")
@ticket_argument
@name_option
@version_option
@store_option
@json_option
@shows_errors
def explain_command(ticket: str, name: str, version: int | None, store: Path, as_json: bool) -> None:
    """Show what each token of TICKET weighs in its answer: the ticket is asked again without it.

    TICKET is raw text, or its tokens as a JSON array of words. A weight is by how much the log-odds of the category
    fall without the token; below 0 the token speaks against it.
    """
    model, _ = opened(store, name, version)
    kind = kind_named(model.manifest.neural_network_type)
    if kind.explain is None:
        raise KindMismatch("not-explainable", model_name=name, neural_network_type=kind.name)
    encoded = encoded_as(model, ticket)
    (answer,) = model.predict([encoded])
    explanation = finish(kind.explain(model, encoded, None))
    assert isinstance(answer, Prediction), "a kind that explains answers with a category; this is our bug"
    title = f"{explanation.category}, confidence {answer.confidence:.3f} ({model.where})"
    out.print(title, style="bold", soft_wrap=True)
    show_explanation(explanation)
    if as_json:
        answer = msgspec.structs.replace(answer, model_name=model.name, version=model.version)
        print_line(msgspec.structs.replace(answer, explanation=explanation))


@click.command("steps")
@ticket_argument
@name_option
@version_option
@store_option
@json_option
@shows_errors
def steps_command(ticket: str, name: str, version: int | None, store: Path, as_json: bool) -> None:
    """Show every step from TICKET to its answer, and that onnxruntime comes to the same.

    TICKET is raw text, or its tokens as a JSON array of words. What is printed is a selection; --json has every number.
    """
    model, files = opened(store, name, version)
    kind = kind_named(model.manifest.neural_network_type)
    if kind.steps is None:
        raise KindMismatch("no-steps", model_name=name, neural_network_type=kind.name)
    found = kind.steps(model, files, encoded_as(model, ticket))
    show_steps(found)
    if as_json:
        print_line(found)


COMMANDS = (explain_command, steps_command)


def opened(store: Path, name: str, version: int | None) -> tuple[Model[Any], Mapping[str, bytes]]:
    """Return a version, the serving one by default, and its files.

    Raises:
        StoreRefused, ModelNotFound, ModelNotTrained, VersionNotFound, ArtifactRefused.
    """
    found = open_store(store)
    number = found.current(name).version if version is None else version
    found.check_version(name, number)
    manifest, files = found.read_version(name, number)
    return load(manifest, files), files


def encoded_as(model: Model[Any], ticket: str) -> Any:
    """Return a ticket of the command line as the model's graph takes it.

    Raises:
        InvalidContent: there is nothing in it, or what no text has.
    """
    return model.encode(content_of(ticket))


def content_of(ticket: str) -> list[str] | str:
    """Return the tokens of a ticket that is a JSON array of words; any other is raw text.

    >>> content_of('["mot de passe", "expirer"]'), content_of("[urgent] mot de passe")
    (['mot de passe', 'expirer'], '[urgent] mot de passe')
    """
    try:
        return msgspec.json.decode(ticket, type=list[str])
    except (msgspec.DecodeError, UnicodeEncodeError):  # half of a surrogate pair; `encode` says so
        return ticket


def show_explanation(explanation: Explanation) -> None:
    """Print the weights: green and + for the category, red and - against it, which says the same without a colour."""
    if explanation.window > 1:
        out.print(f"{explanation.window} neighbouring tokens were left out at once", soft_wrap=True)
    tokens, size = explanation.tokens, explanation.window
    rows = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    largest = max(abs(row[0].weight) for row in rows) or 1.0
    table = Table("token", "weight", Column(no_wrap=True), "without it", "unknown, spelt like")
    for row in rows:
        weight, style = row[0].weight, "green" if row[0].weight >= 0 else "red"
        bar = ("+" if weight >= 0 else "-") * round(BAR * abs(weight) / largest)
        table.add_row(
            Text(" ".join(one.token for one in row), style),
            Text(f"{weight:+.2f}", style),
            Text(bar, style),
            f"{row[0].confidence:.3f}",
            "; ".join(neighbours(one) for one in row if not one.known),
        )
    out.print(table)


def neighbours(token: TokenWeight) -> str:
    """Return the known words that an unknown token is spelt like, with the share of n-grams that both have."""
    return ", ".join(f"{one.token} {one.similarity:.2f}" for one in token.nearest or ()) or "no known word"
