"""Tickets whose category nobody has said: read, and labelled by the experts where these are sure.

In: a file of tickets, and experts that learnt from the labelled ones. Out: more tickets to learn from. A student that
learns from its teacher's sure answers meets words that the labelled tickets lack, beside words that they hold; on 600
labelled tickets and some thousands of others it is two to three points more often right than its teacher (docs/LOG.md).
Source: Lee 2013, "Pseudo-Label"; Yarowsky 1995, "Unsupervised word sense disambiguation rivaling supervised methods".
"""

# Axes: N tickets, C categories.

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from artifacts.arrays import Floats
from artifacts.errors import InvalidInput, NoTrainingData
from artifacts.schemas import Row
from artifacts.text.tickets import Ticket
from trainer.data.files import decode_rows, read_file
from trainer.data.mails import read_folder
from trainer.data.tickets import CONTENT_FIELDS, Rows, cells_of, normalised

SURE = 0.7  # a lower limit teaches more errors, a higher one only what the student knows already (docs/LOG.md)


class UnlabelledTicket(Row, frozen=True, omit_defaults=True):
    """A ticket of which only the content is read; a category, if it has one, is not."""

    tokens: list[str] | None = None
    text: str | None = None
    email_text: str | None = None

    def __post_init__(self) -> None:
        if [self.tokens, self.text, self.email_text].count(None) != 2:
            raise ValueError("expected exactly one of `tokens`, `text`, `email_text`")

    @property
    def content(self) -> list[str] | str:
        """The tokens or the raw text, under whichever field they came."""
        return next(found for found in (self.tokens, self.text, self.email_text) if found is not None)

    @property
    def content_field(self) -> str:
        """The field that the content came under."""
        return next(field for field in CONTENT_FIELDS if getattr(self, field) is not None)


def table(columns: Sequence[str]) -> Callable[[Sequence[str]], object]:
    """Return what reads a row of a table with these columns, of which one is tickets; see `data.TableReader`.

    Raises:
        InvalidInput: there is not one column of tickets.
    """
    names = [name.lower() for name in columns]
    content = [name for name in names if name in CONTENT_FIELDS]
    if len(content) != 1:
        raise InvalidInput(f"expected exactly one of {', '.join(CONTENT_FIELDS)}")
    return lambda cells: cells_of(names, content, cells)


def read_unlabelled(path: Path) -> list[list[str]]:
    """Return the normalised tokens of each ticket of a data file, or of a folder of e-mails.

    Raises:
        InvalidInput: it cannot be read, holds no ticket, or rows of it do not fit.
        MailMissing: it is a folder and the extra `mail` is not installed.
    """
    raw_rows = read_folder(path) if path.is_dir() else read_file(path, table)
    try:
        _, token_lists = decode_rows(raw_rows, str(path), UnlabelledTicket, normalised)
    except NoTrainingData as error:
        raise InvalidInput(f"{path} holds no ticket; expected tickets without a category to learn from") from error
    return token_lists


def with_labels(rows: Rows, labels: Sequence[str], probabilities_NC: Floats) -> Rows:
    """Return the labelled tickets, and after them those of the others whose category is surely enough known.

    Args:
        rows: with `unlabelled`.
        labels: the categories in the order of the outputs.
        probabilities_NC: what the experts say to the unlabelled ones.
    """
    best_N = probabilities_NC.argmax(axis=1)
    sure = np.flatnonzero(probabilities_NC.max(axis=1) >= SURE).tolist()
    return msgspec.structs.replace(
        rows,
        tickets=rows.tickets + [Ticket(labels[best_N[row]], rows.unlabelled[row]) for row in sure],
        tokens=rows.tokens + [rows.unlabelled[row] for row in sure],
    )
