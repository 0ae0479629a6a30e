"""The command line of `puppet-train`: the group, to which each of the other modules here brings its commands.

They parse, call, and show; the work is in run.py, in data and in the store. What a person reads goes to the terminal as
tables; with `--json` the last line of stdout is one JSON object. An error is one message and exit status 1; a wrong
option is exit status 2.
"""

import io
import sys

import click

from trainer.cli import explanation, inspection, sample, training, versions, work


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="puppet-o2")
def main() -> None:
    """Train, measure and check Puppet's models, offline."""
    # A terminal or a file that is no UTF-8 lacks characters: one that is replaced is better than an exception.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


for module in (inspection, training, sample, versions, explanation, work):
    for command in module.COMMANDS:
        main.add_command(command)
