"""The answer to POST /test: labelled rows in, the metrics of the serving version out.

    rows as bytes ─► decode and encode, SLICE_TICKETS in one turn of the loop ─► every fault, or the metrics

The rows of 8 MiB take a second to decode; a slice takes about a millisecond, so searches go on in between.
"""

from typing import Any

import msgspec

from artifacts.errors import Fault, InvalidContent
from artifacts.kinds import check_kind, kind_named
from artifacts.schemas import Evaluation, Row
from artifacts.system.validation import decoder_of, find_faults
from inference.errors import NoTestData
from inference.schemas import Test
from inference.search.batcher import Batcher
from inference.search.bodies import UNREADABLE, Faults, encode_one, in_turns
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
    encoded: list[Any] = []
    faults = Faults()
    decoder = decoder_of(kind.row)
    async for index, raw in in_turns(enumerate(body.test_data)):
        pointer = f"/test_data/{index}"
        try:
            row = decoder.decode(raw)
            encoded.append(await encode_one(batcher.large, model, row.content))
            rows.append(row)
        except UNREADABLE:
            for fault in find_faults(raw, kind.row, pointer):
                faults.add(fault)
        except InvalidContent as error:
            faults.add(Fault.of_error(f"{pointer}/{row.content_field}", error))
    faults.refuse("test_data")
    return await batcher.large.run(model.evaluate, rows, encoded)
