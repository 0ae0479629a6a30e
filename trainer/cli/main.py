"""The command line of `puppet-train`: the group, to which each of the other modules here brings its commands.

They parse, call, and show; the work is in run.py, in data and in the store. What a person reads goes to the terminal as
tables; with `--json` the last line of stdout is one JSON object. An error is one message and exit status 1; a wrong
option is exit status 2. What is wrong is said in French or English, as LC_ALL, LC_MESSAGES or LANG has it; JSON is not.

A module is imported when one of its commands is called: `classify` and `apply` are commands of the plain install, in
which the libraries of a training are not there to be imported.
"""

import importlib
import io
import os
import sys

import click

from artifacts.problems.sentences import language_of, message
from trainer.cli.terminal import LANGUAGE, WORDS

# Module -> the commands that it brings, in the order in which `--help` lists them.
MODULES = {
    "inspection": ("inspect",),
    "classification": ("classify", "apply"),
    "training": ("fit", "evaluate", "report"),
    "sample": ("sample",),
    "versions": ("diff", "models", "versions", "verify", "import", "promote", "rollback", "delete", "prune", "forget"),
    "explanation": ("explain", "steps"),
    "work": ("work", "run", "check"),
}


class Commands(click.Group):
    """The commands, each imported with its module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of all commands."""
        return [name for names in MODULES.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command; None if there is none of that name, or it needs a library that is not installed."""
        try:
            return self._imported(cmd_name)
        except ModuleNotFoundError:
            return None

    def _imported(self, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of that name.

        Raises:
            ModuleNotFoundError: it needs a library of the training that is not installed.
        """
        module = next((module for module, names in MODULES.items() if cmd_name in names), None)
        if module is None:
            return None
        commands = importlib.import_module(f"trainer.cli.{module}").COMMANDS
        found: click.Command = next(command for command in commands if command.name == cmd_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and its words, which a refusal shows again with options added, in the reader's language.

        Raises:
            click.ClickException: the command needs a library that is not installed.
        """
        ctx.meta[LANGUAGE] = language_of(os.environ)
        try:
            self._imported(args[0])
        except ModuleNotFoundError as error:
            missing = message("training-library-missing", {"command": args[0], "library": error.name})
            raise click.ClickException(missing.detail(ctx.meta[LANGUAGE])) from error
        name, command, words = super().resolve_command(ctx, args)
        ctx.meta[WORDS] = list(words)
        return name, command, words


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="puppet-o2")
def main() -> None:
    """Train, measure and check Puppet's models, offline."""
    # A terminal or a file that is no UTF-8 lacks characters: one that is replaced is better than an exception.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
