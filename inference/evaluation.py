"""The answer to POST /test: labelled rows in, the metrics of the serving version out.

    rows as bytes ─► decode, encode, look up, SLICE_TICKETS in one turn of the loop ─► every fault, or the metrics

The rows of 8 MiB take a second to decode; a slice takes about a millisecond, so searches go on in between. At the top
of the answer are the metrics of all rows as they were sent, which is the contract of the seeds (total_tests is their
number); `clean` has those of the rows that the version has not learnt from, `learnt` those of the others.
"""

from typing import Any

import msgspec

from artifacts.errors import Fault, InvalidContent
from artifacts.kinds import check_kind, kind_named
from artifacts.networks.learnt import evaluate_apart, seen, why_unknown, with_parts
from artifacts.networks.runtime import Model
from artifacts.schemas import Evaluation, Row
from artifacts.system.validation import decoder_of, find_faults
from inference.errors import NoTestData
from inference.schemas import Test
from inference.search.batcher import Batcher
from inference.search.bodies import UNREADABLE, Faults, encode_one, in_turns, is_long
from inference.search.large import LargeWork
from inference.search.registry import Registry


async def evaluate(body: Test[msgspec.Raw], registry: Registry, batcher: Batcher) -> Evaluation:
    """Return the metrics of the version that serves on labelled rows.

    Raises:
        ModelNotFound, ModelNotTrained, InvalidName, ModelLoading, ArtifactRefused: as `Registry.serving`.
        KindMismatch: the model is of another kind.
        NoTestData: there is no row.
        InvalidInput: rows that cannot be read, each fault with its pointer.
    """
    model = registry.serving(body.name)
    check_kind(body.neural_network_type, body.name, model.manifest.neural_network_type)
    if not body.test_data:
        raise NoTestData("no-test-data")
    kind = kind_named(body.neural_network_type)
    rows: list[Row] = []
    was_seen: list[bool] = []
    encoded: list[Any] = []
    faults = Faults()
    decoder = decoder_of(kind.row)
    async for index, raw in in_turns(enumerate(body.test_data)):
        pointer = f"/test_data/{index}"
        try:
            row = decoder.decode(raw)
            encoded.append(await encode_one(batcher.large, model, row.content))
            was_seen += await seen_one(batcher.large, model, row)
            rows.append(row)
        except UNREADABLE:
            for fault in find_faults(raw, kind.row, pointer):
                faults.add(fault)
        except InvalidContent as error:
            faults.add(Fault.of_error(f"{pointer}/{row.content_field}", error))
    faults.refuse("test_data")
    return await batcher.large.run(measured, model, rows, encoded, was_seen)


async def seen_one(large: LargeWork, model: Model[Any], row: Row) -> list[bool]:
    """Return whether the version has learnt from a row, as a list of one; an empty list if that cannot be known.

    The row is read once more, for its key is of all its tokens; one that is too long to be read in a moment is read in
    the thread.
    """
    read = large.run(seen, [row], model.trained_on) if is_long(row.content) else None
    return (await read if read is not None else seen([row], model.trained_on)) or []


def measured(model: Model[Any], rows: list[Row], encoded: list[Any], was_seen: list[bool]) -> Evaluation:
    """Return the metrics of all rows, and those of the clean and the learnt ones in short."""
    unknown = why_unknown(rows, model.trained_on)
    clean, learnt = evaluate_apart(model, rows, encoded, was_seen if unknown is None else None)
    # Rows of one kind only are not asked a second time.
    whole = clean if learnt is None else learnt if clean is None else model.evaluate(rows, encoded)
    assert whole is not None, "there is at least one row; our bug"
    return with_parts(whole, clean, learnt, unknown)
