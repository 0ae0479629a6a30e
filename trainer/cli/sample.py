"""The command `puppet-train sample`: invented tickets and e-mails, from trainer/samples."""

from pathlib import Path

import click
import msgspec

from artifacts.errors import InvalidInput
from trainer.cli.terminal import out, shows_errors


@click.command("sample")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(["ticket", "email"]), default="ticket", show_default=True)
@click.option(
    "--num-tickets", type=click.IntRange(min=1, max=1_000_000), default=3000, show_default=True,
    help="How many tickets, or e-mails.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, other tickets.")
@shows_errors
def sample_command(output: Path, kind: str, num_tickets: int, seed: int) -> None:
    """Write synthetic French support tickets to OUTPUT, as JSONL. They are invented: no accuracy claim rests on it.

    With `--kind email`, write short French e-mails in five categories: as JSONL if OUTPUT ends in .jsonl, else as .eml
    files in the new or empty folder OUTPUT, one sub-folder a category.
    """
    try:
        what = write_tickets(output, num_tickets, seed) if kind == "ticket" else write_emails(output, num_tickets, seed)
    except OSError as error:
        raise InvalidInput("file-cannot-be-written", file=output, reason=error.strerror or error) from error
    out.print(f"{num_tickets} synthetic {what} (invented, seed {seed}) written to {output}", soft_wrap=True)


def write_tickets(output: Path, num_tickets: int, seed: int) -> str:
    """Write the synthetic tickets as JSONL, and return what they are called."""
    from trainer.samples.synthetic import generate

    lines = [msgspec.json.encode({"category": c, "tokens": t}) + b"\n" for c, t in generate(num_tickets, seed)]
    output.write_bytes(b"".join(lines))
    return "tickets"


def write_emails(output: Path, num_emails: int, seed: int) -> str:
    """Write the synthetic e-mails as JSONL or as a folder of messages, and return what they are called.

    Raises:
        InvalidInput: the folder is not empty; nothing is written then.
    """
    from trainer.samples.emails import generate

    if output.suffix == ".jsonl":
        rows = ({"email_text": f"{subject}\n{body}", "label": c} for c, subject, body in generate(num_emails, seed))
        output.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        return "e-mails"
    from trainer.samples.messages import messages

    output.mkdir(parents=True, exist_ok=True)
    if found := sorted(path.name for path in output.iterdir()):
        # Files left over from another seed would be read as part of this sample.
        raise InvalidInput("folder-not-empty", folder=output, num_entries=len(found), example=found[0])
    for path, content in messages(generate(num_emails, seed), seed):
        (output / path).parent.mkdir(exist_ok=True)
        (output / path).write_bytes(content)
    return "e-mails"


COMMANDS = (sample_command,)
