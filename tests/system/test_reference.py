"""The reference and the READMEs: nothing that a user can set or call is missing, and defaults are as stated."""

import re
from pathlib import Path

import click
import msgspec
import pytest

from artifacts.kinds import KINDS
from artifacts.mail.message import Stripped
from inference.app import create_app
from inference.server.cli import main as serve
from inference.settings import Settings
from trainer.cli.main import main as train
from trainer.kinds import trainer_of

DOCS = Path(__file__).parents[2] / "docs"
LANGUAGES = ("en", "fr")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("settings", [Settings, *(trainer_of(kind).Config for kind in KINDS.values())])
def test_every_setting_is_listed_with_its_default(language: str, settings: type[msgspec.Struct]) -> None:
    """The server's settings and those of each kind have a table of just their fields, with the code's defaults."""
    text = (DOCS / language / "reference.md").read_text("utf-8")
    fields = {field.name for field in msgspec.structs.fields(settings)}

    tables = [dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table, re.MULTILINE)) for table in text.split("\n\n")]

    rows = max(tables, key=lambda table: len(table.keys() & fields))
    assert rows.keys() == fields
    for field in msgspec.structs.fields(settings):
        stated = rows[field.name]
        if field.default == "":
            assert stated.startswith("("), field.name
        elif isinstance(field.default, bool) or not isinstance(field.default, int | float):
            assert stated == re.sub("True|False", lambda word: word[0].lower(), str(field.default)), field.name
        else:
            assert float(stated) == field.default, field.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_of_stripped_is_listed(language: str) -> None:
    """What an answer says of an e-mail has a table of just its fields."""
    text = (DOCS / language / "reference.md").read_text("utf-8")

    tables = [re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for table in text.split("\n\n")]

    assert [field.name for field in msgspec.structs.fields(Stripped)] in tables


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_route_is_listed(language: str, tmp_path: Path) -> None:
    """Each path and method of the OpenAPI document has a row."""
    text = (DOCS / language / "reference.md").read_text("utf-8")
    app = create_app(Settings(store=str(tmp_path / "store")))

    paths = app.openapi_schema.to_schema()["paths"]

    assert paths
    for path, operations in paths.items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_is_listed(language: str) -> None:
    """Each visible option of each visible command is named."""
    text = (DOCS / language / "reference.md").read_text("utf-8")
    assert isinstance(train, click.Group)
    assert isinstance(serve, click.Group)
    context = click.Context(train)
    found = (train.get_command(context, name) for name in train.list_commands(context))  # imported one by one
    below = [*serve.commands.values(), *(command for command in found if command is not None)]
    commands = [serve, *(command for command in below if not command.hidden)]

    parameters = [one for command in commands for one in command.params if not getattr(one, "hidden", False)]
    options = [option for parameter in parameters for option in parameter.opts if option[:2] == "--"]

    assert len(options) > 10
    for option in options:
        if option != "--version":
            assert f"`{option}" in text, option
