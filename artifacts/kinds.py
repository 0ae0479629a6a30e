"""The table of kinds: what `neural_network_type` stands for on disk, on the wire and in the trainer.

A kind is one row of `KINDS`. Nobody else compares a kind's name: whoever needs to know what a kind does looks here, so
a further kind is a row here, a module beside this one and a module in trainer/ (docs/en/16-kinds.md builds one).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from artifacts.arrays import Longs
from artifacts.errors import KindMismatch, UnknownKind
from artifacts.evaluation.metrics import Metrics, ValueMetrics
from artifacts.networks import gru, gru_records, simple_nn
from artifacts.networks.engines.build import EngineChoice
from artifacts.networks.explain import Explaining, begin
from artifacts.networks.manifest import Manifest
from artifacts.networks.runtime import Model
from artifacts.networks.steps import Steps, steps
from artifacts.schemas import Answer, Evaluation, Row, Search
from artifacts.text import tickets


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        name: the value of `neural_network_type`.
        row: the Struct of one labelled row of data.
        search: the Struct of the body of POST /search.
        answer: the Struct of the answer to one input.
        ranked: the Struct of the answer to a search that asks for more; None if the kind has no more to say.
        evaluation: the Struct of the answer of POST /test.
        manifest: the Struct of `manifest.json`.
        files: what a version's folder holds beside `manifest.json`.
        model: loads a version and answers.
        reads_text: whether an input may be raw text and the answer is a `Prediction`, so that POST /predict can ask.
        explain: makes the explanation of an answer out of a model, an encoded input, and the numbers of the categories
            that may be answered (None: all); None if the kind has none.
        steps: shows every number from an encoded input to its answer, out of the model, the files of its version and
            the input; None if the kind does not.
        trainer: the module that trains it (trainer/kinds.py says what it brings); a name, because this side never
            imports that one.
        examples: two labelled rows, and a question, for the documentation page.
    """

    name: str
    row: type[Row]
    search: type[Search]
    answer: type[Answer]
    ranked: type[Answer] | None = None
    evaluation: type[Evaluation]
    manifest: type[Manifest]
    files: tuple[str, ...]
    model: type[Model[Any]]
    reads_text: bool = False
    explain: Callable[[Any, Any, Longs | None], Explaining] | None = None
    steps: Callable[[Any, Mapping[str, bytes], Any], Steps] | None = None
    trainer: str
    examples: tuple[tuple[Row, Row], Search]


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="GRU",
            row=tickets.Ticket,
            search=tickets.TicketSearch,
            answer=tickets.Prediction,
            ranked=tickets.RankedPrediction,
            evaluation=Metrics,
            manifest=gru_records.GruManifest,
            files=("model.onnx", "vocab.json", "labels.json", "golden.json", "report.json"),
            model=gru.GruModel,
            reads_text=True,
            explain=begin,
            steps=steps,
            trainer="trainer.gru.fit",
            examples=tickets.EXAMPLES,
        ),
        Kind(
            name="SimpleNN",
            row=simple_nn.Example,
            search=simple_nn.ValueSearch,
            answer=simple_nn.Value,
            evaluation=ValueMetrics,
            manifest=simple_nn.SimpleNNManifest,
            files=("model.onnx", "golden.json", "report.json"),
            model=simple_nn.SimpleNNModel,
            trainer="trainer.simple_nn",
            examples=simple_nn.EXAMPLES,
        ),
    )
}
DEFAULT = "GRU"  # of `puppet-train fit` for a new model, and of a body whose own cannot be read


def kind_named(name: str) -> Kind:
    """Return the row of the table.

    Raises:
        UnknownKind: naming the known ones.
    """
    if name not in KINDS:
        raise UnknownKind("unknown-network-type", found=name, known=list(KINDS))
    return KINDS[name]


def check_kind(asked: str, model_name: str, kind: str) -> None:
    """Do nothing if `asked` is the model's kind.

    Raises:
        UnknownKind: `asked` is no kind at all.
        KindMismatch: it is another kind than the model's.
    """
    kind_named(asked)
    if asked != kind:
        raise KindMismatch("network-type-mismatch", model=model_name, expected=kind, found=asked)


def load(manifest: Manifest, files: Mapping[str, bytes], engine: EngineChoice = "onnxruntime") -> Model[Any]:
    """Return a version as a model that answers.

    Args:
        manifest: of the version.
        files: name -> the very bytes whose hashes were checked.
        engine: that is to answer, as far as it can; see `Model.start_engine`.
    Raises:
        ArtifactRefused: the files do not fit each other, or a golden row comes out differently.
    """
    return kind_named(manifest.neural_network_type).model(manifest, files, engine)
