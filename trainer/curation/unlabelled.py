"""Tickets whose category nobody has said: read, and labelled by the experts where these are sure.

In: a file of tickets, and experts that learnt from the labelled ones. Out: more tickets to learn from. A student that
learns from its teacher's sure answers meets words that the labelled tickets lack, beside words that they hold; on 600
labelled tickets and some thousands of others it is two to three points more often right than its teacher (docs/LOG.md).
Source: Lee 2013, "Pseudo-Label"; Yarowsky 1995, "Unsupervised word sense disambiguation rivaling supervised methods".
"""

# Axes: N tickets, C categories.

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from artifacts.arrays import Floats
from artifacts.errors import Fault, InvalidInput, InvalidText, NoTrainingData
from artifacts.text.tickets import Ticket
from trainer.data.columns import AS_FOUND, FaultyCategory, Reading, choose, content_of
from trainer.data.files import FaultLog, FaultyCell
from trainer.data.tickets import SKIP_FAULTY, Rows, cached_reader, export_of, repaired_content

SURE = 0.7  # a lower limit teaches more errors, a higher one only what the student knows already (docs/LOG.md)


def read_unlabelled(path: Path, reading: Reading = AS_FOUND) -> list[list[str]]:
    """Return the normalised tokens of each ticket of an export, or of a folder of e-mails; empty ones are left out.

    A category, if a row has one, is not read.

    Args:
        path: of a file, `-`, or a folder.
        reading: how the file is read.

    Raises:
        InvalidInput: it cannot be read, holds no ticket, or rows of it do not fit.
    """
    read, faults, token_lists = cached_reader(), FaultLog(), []
    with contextlib.suppress(NoTrainingData), export_of(path, reading, reading.text, needs_category=False) as export:
        chosen = choose(export, reading, needs_category=False)
        for record in export.records:
            try:
                if record.fault is None and (tokens := read(repaired_content(content_of(record.fields, chosen)))):
                    token_lists.append(tokens)
                found = record.fault
            except (FaultyCategory, InvalidText) as error:
                found = Fault.of_error(f"{record.pointer}/{chosen.text[0]}", error, record.line)
            except FaultyCell as error:
                found = msgspec.structs.replace(error.fault, line=record.line)
            if found is not None:
                faults.add([found], record.place, option=SKIP_FAULTY)
    if faults.num_faults and not reading.skip_faulty:
        raise faults.error(str(path))
    if not token_lists:
        raise InvalidInput("no-unlabelled-tickets", path=path)
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
