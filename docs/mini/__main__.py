"""The course in seven steps, from a checkout: `python -m docs.mini start | check N | measure`.

    python -m docs.mini start                    # ./mini-mine: the seven skeletons and the two sets of tickets
    python -m docs.mini start --lang fr          # the same with French words
    python -m docs.mini check 3                  # what is wrong with mini-mine/step3.py, and what to look at
    python -m docs.mini check 3 --lang fr --folder elsewhere
    python -m docs.mini measure                  # every solution, five splits: writes docs/mini/accuracies.toml

The chapter is docs/mini/README.md (docs/mini/README.fr.md).
"""

import tempfile
import tomllib
from pathlib import Path
from typing import Any

import click

from docs.mini import check, tickets

HERE = Path(__file__).parent
ACCURACIES = HERE / "accuracies.toml"
READMES = {"en": "README.md", "fr": "README.fr.md"}
NUM_SPLITS = 5  # the spread that the chapter states is the lowest and the highest of these
LUCK = 0.02  # another machine rounds otherwise, and a few of 300 tickets fall on the other side

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("mini-mine"),
    show_default=True,
    help="Where your steps are.",
)
language_option = click.option("--lang", type=click.Choice(["en", "fr"]), default="en", show_default=True)


def words_of(language: str) -> dict[str, Any]:
    """Return the sentences of a language."""
    return tomllib.loads((HERE / "words" / f"{language}.toml").read_text("utf-8"))


def in_words(finding: check.Finding, number: int, words: dict[str, Any]) -> list[str]:
    """Return what is said about a finding: what is wrong, then what to look at."""
    said: str = words["kinds"][finding.kind].format(probe=finding.probe, **finding.values)
    if finding.kind in ("ok", "missing"):
        return [said]
    if finding.kind == "mistake":
        one = words["mistakes"][f"step{number}"][finding.values["mistake"]]
        return [said, one["says"], f"{words['look']} {one['look']}"]
    return [said, f"{words['look']} {words['probes'][f'step{number}'][finding.probe]}"]


def accuracy_in_words(found: check.Measured, number: int, words: dict[str, Any]) -> str:
    """Return an accuracy, and what the chapter promises; a lower one is pointed out."""
    lowest, highest = tomllib.loads(ACCURACIES.read_text("utf-8"))[f"step{number}"][found.name]
    kind = "accuracy" if found.accuracy >= lowest - LUCK else "accuracy_low"
    given = {"accuracy": f"{found.accuracy:.3f}", "seconds": f"{found.seconds:.1f}"}
    name = words["sets"][found.name]
    said: str = words["kinds"][kind].format(name=name, lowest=f"{lowest:.3f}", highest=f"{highest:.3f}", **given)
    return said


def table_of(language: str) -> str:
    """Return the table of both READMEs: the accuracies that were measured, as the language writes them."""
    words = words_of(language)["table"]
    accuracies = tomllib.loads(ACCURACIES.read_text("utf-8"))

    def said(*values: float, digits: int) -> str:
        written: str = words["to"].join(f"{value:.{digits}f}" for value in values)
        return written.replace(".", words["point"])

    lines = [words["head"], "|---|---|---|---|"]
    for number in check.STEPS:
        one = accuracies[f"step{number}"]
        ranges = [said(*one[name], digits=3) for name in check.SETS]
        lines.append(
            f"| {number}. {words[f'step{number}']} | {' | '.join(ranges)} | {said(one['seconds'], digits=1)} s |"
        )
    return "\n".join(lines)


def write_tables() -> None:
    """Put the tables into both READMEs, between their marks."""
    for language, name in READMES.items():
        before, mark, rest = (HERE / name).read_text("utf-8").partition("<!-- measured -->\n")
        after = rest.partition("<!-- /measured -->")[2]
        (HERE / name).write_text(f"{before}{mark}\n{table_of(language)}\n\n<!-- /measured -->{after}", "utf-8")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Build a ticket classifier in seven steps of your own."""


@main.command()
@folder_option
@language_option
def start(folder: Path, lang: str) -> None:
    """Copy the skeletons and the tickets to a folder; a file that is there is left as it is."""
    if folder.resolve().is_relative_to(HERE):
        raise click.UsageError(words_of(lang)["start"]["inside"].format(folder=folder))
    folder.mkdir(parents=True, exist_ok=True)
    skeletons = HERE / "skeletons" if lang == "en" else HERE / "skeletons" / lang
    for path in sorted(skeletons.glob("step*.py")):
        if not (folder / path.name).exists():
            (folder / path.name).write_bytes(path.read_bytes())
    tickets.write(folder)
    click.echo(words_of(lang)["start"]["done"].format(folder=folder))


@main.command("check")
@click.argument("step", type=click.IntRange(min(check.STEPS), max(check.STEPS)))
@folder_option
@language_option
@click.pass_context
def check_command(context: click.Context, step: int, folder: Path, lang: str) -> None:
    """Say what is wrong with a step, and what to look at; if nothing is, how often it is right."""
    words = words_of(lang)
    found = check.findings(step, folder.resolve())
    said: set[str] = set()
    for finding in found:
        first, *others = in_words(finding, step, words)
        # One mistake may show in several answers; it is explained once.
        click.echo("\n".join([first, *(f"    {line}" for line in others if line not in said)]))
        said.update(others)
    if any(finding.kind != "ok" for finding in found):
        context.exit(1)
    with tempfile.TemporaryDirectory() as data:
        tickets.write(Path(data))  # the same tickets for everybody, whatever became of those in the folder
        for measured in check.measure(step, folder.resolve(), Path(data)):
            click.echo(accuracy_in_words(measured, step, words))


@main.command()
def measure() -> None:
    """Measure every solution on five splits, and keep the lowest and the highest accuracy of each set."""
    lines = ["# Lowest and highest held-out accuracy of each solution on five splits: python -m docs.mini measure", ""]
    with tempfile.TemporaryDirectory() as data:
        tickets.write(Path(data))
        for number in check.STEPS:
            runs = [check.measure(number, check.SOLUTIONS, Path(data), seed) for seed in range(NUM_SPLITS)]
            lines.append(f"[step{number}]")
            for position, name in enumerate(check.SETS):
                accuracies = [run[position].accuracy for run in runs]
                lines.append(f"{name} = [{min(accuracies):.3f}, {max(accuracies):.3f}]")
            seconds = min(sum(one.seconds for one in run) for run in runs)
            lines += [f"seconds = {seconds:.1f}", ""]
            click.echo(lines[-5:])
    ACCURACIES.write_text("\n".join(lines), "utf-8")
    write_tables()


if __name__ == "__main__":
    main()
