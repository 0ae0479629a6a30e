"""An inference request in, the bytes of its answer out: the protocol's tensors around the questions of a search.

    JSON and tensors ─► inputs ─► ids ─► the batcher of every search ─► answers ─► outputs ─► JSON and tensors

It asks a model as search/search.py and search/ranked.py do, within the same limits and beside their requests; only the
form of the question and of the answer is another.
"""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from artifacts.errors import Fault, InvalidContent, VersionNotFound
from artifacts.kinds import kind_named
from artifacts.networks.ranking.among import renormalised
from artifacts.networks.ranking.ranker import Ranked
from artifacts.networks.runtime import Model
from artifacts.networks.simple_nn import LARGEST
from artifacts.schemas import Answer, Ranking
from artifacts.system.validation import decode, decoder_of, does_not_fit
from artifacts.text.tickets import Prediction, RankedPrediction
from inference.oip.tensors import answered, header_length, numbers_of, strings_of
from inference.oip.wire import (
    AnswerOutput,
    Datatype,
    InferenceAnswer,
    InferenceRequest,
    ModelMetadata,
    ModelParameters,
    RequestInput,
    RequestParameters,
    TensorSpec,
)
from inference.search.batcher import Batcher
from inference.search.bodies import SLICE_TICKETS, encode_all, is_long
from inference.search.context import AskedInput, Reply, RequestContext
from inference.search.ranked import guessed, kept_asked, ranking_of, shaped_all
from inference.search.registry import Registry

MAX_NUMBERS = 2**18  # probabilities of one answer: 1 MB as bytes, 5 MB as JSON, which takes the loop 20 ms to write
POINTER = "/inputs/0"

TEXT, TOKENS = TensorSpec("text", "BYTES", [-1]), TensorSpec("tokens", "BYTES", [-1])
CATEGORY, CONFIDENCE = TensorSpec("category", "BYTES", [-1]), TensorSpec("confidence", "FP32", [-1])
REASON, VALUE = TensorSpec("reason", "BYTES", [-1]), TensorSpec("value", "FP64", [-1])
PROBABILITIES = "probabilities"

_encode = msgspec.json.Encoder().encode


class Wire(NamedTuple):
    """The body of an answer, and how many bytes of it are JSON; None if all are."""

    body: bytes
    header_bytes: int | None

    @property
    def described(self) -> bytes:
        """The lines of its headers, but for the length of the body."""
        if self.header_bytes is None:
            return b"content-type: application/json\r\n"
        length = b"inference-header-content-length: %d\r\n" % self.header_bytes
        return length + b"content-type: application/octet-stream\r\n"


class OutputColumn(NamedTuple):
    """An output of an answer, before it is known how it is sent."""

    datatype: Datatype
    shape: list[int]
    values: list[Any]


def described(model: Model[Any]) -> ModelMetadata:
    """Return what a model takes and gives."""
    labels = model.ranker.labels if model.ranker is not None else []
    if kind_named(model.manifest.neural_network_type).reads_text:
        inputs, outputs = [TEXT, TOKENS], [CATEGORY, CONFIDENCE, REASON]
        if labels:
            outputs = [*outputs, TensorSpec(PROBABILITIES, "FP32", [-1, len(labels)])]
    else:
        num_features = getattr(model.manifest, "num_features", -1)
        inputs, outputs = [TensorSpec("features", "FP64", [-1, num_features])], [VALUE]
    return ModelMetadata(
        name=model.name,
        versions=[str(model.version)],
        platform=f"{model.engine_name}_onnx",
        inputs=inputs,
        outputs=outputs,
        parameters=ModelParameters(labels),
    )


def model_of(registry: Registry, name: str, version: int | None = None) -> Model[Any]:
    """Return the model that answers.

    Raises:
        VersionNotFound: it is of another version than the one that is asked.
        Others: as `Registry.serving`.
    """
    model = registry.serving(name)
    if version is not None and version != model.version:
        raise VersionNotFound("version-does-not-serve", model_name=name, version=version, serving=model.version)
    return model


class PlainInference:
    """A plain inference in the batcher's queue, as the reply that takes its answers and hands on their bytes."""

    __slots__ = ("_asked", "_contents", "_model", "_reply", "_wanted")

    def __init__(
        self,
        model: Model[Any],
        asked: InferenceRequest,
        contents: Sequence[Any],
        wanted: dict[str, bool],
        reply: Reply[Wire],
    ) -> None:
        """Take what is asked, and where the bytes go."""
        self._model, self._asked, self._contents, self._wanted, self._reply = model, asked, contents, wanted, reply

    def asked(self, index: int) -> AskedInput:
        """Return an input as it was sent; see `ReplyOfInputs`."""
        return AskedInput(None, self._contents[index])

    def take(self, found: Sequence[Answer] | BaseException) -> None:
        """Hand on the answers as an answer of the protocol, or the error instead of them."""
        if isinstance(found, BaseException):
            self._reply.take(found)
            return
        try:
            wire = _written(self._model, self._asked, self._wanted, _columns(found))
        except Exception as error:  # a bug; but the client must get an answer
            self._reply.take(error)
        else:
            self._reply.take(wire)


def begin_inference(
    name: str,
    given_length: str | None,
    raw: bytes,
    registry: Registry,
    batcher: Batcher,
    context: RequestContext,
    reply: Reply[Wire],
) -> bool:
    """Begin a plain inference and return True: `reply` takes its answer on the loop; return False if it is not plain.

    It is plain if it asks about a few tickets of some words, and for no more than a category: what `begin` of
    search/search.py takes, in another form. The rest is `infer`'s.

    Args:
        name: of the model, whose serving version is asked.
        given_length: the header Inference-Header-Content-Length.
        raw: the body.
        registry: which knows the version that serves.
        batcher: which runs it.
        context: of the request.
        reply: where the answer goes.
    Raises:
        ServerFull, TooLate: it is refused; `reply` takes nothing then.
        Others: the request is at fault, and `infer` says where.
    """
    model = registry.serving(name)
    num_header = header_length(given_length, len(raw))
    asked = decoder_of(InferenceRequest).decode(raw[:num_header])
    if not kind_named(model.manifest.neural_network_type).reads_text:
        return False
    wanted = _outputs_asked(model, asked, reads_text=True)
    parameters = asked.parameters
    ranking = _ranking(parameters) if parameters is not None else None
    if PROBABILITIES in wanted or ranking_of(model, ranking) is not None:
        return False
    contents = _contents_of(asked.inputs[0], raw[num_header:])
    if len(contents) > SLICE_TICKETS or any(map(is_long, contents)):
        return False
    if parameters is not None and parameters.timeout is not None:
        _limit_time(context, parameters.timeout)
    parsed = time.perf_counter()
    encoded = [model.encode(content) for content in contents]
    context.parse_s = parsed - context.began
    context.ids_s = time.perf_counter() - parsed
    batcher.submit(model, encoded, context, PlainInference(model, asked, contents, wanted, reply))
    return True


async def infer(
    model: Model[Any], asked: InferenceRequest, behind: bytes, batcher: Batcher, context: RequestContext
) -> Wire:
    """Return the answer to a request.

    Args:
        model: that is asked.
        asked: the JSON of the request.
        behind: the bytes after it.
        batcher: of the process.
        context: of the request.
    Raises:
        InvalidInput: the request does not fit, each fault with its JSON Pointer; or the model cannot do what is asked.
        ServerFull, TooLate, ClientLeft, NotFinite: as `Batcher.predict`.
    """
    if asked.parameters is not None and asked.parameters.timeout is not None:
        _limit_time(context, asked.parameters.timeout)
    reads_text = kind_named(model.manifest.neural_network_type).reads_text
    wanted = _outputs_asked(model, asked, reads_text)
    if reads_text:
        columns = await _sorted(model, asked, behind, PROBABILITIES in wanted, batcher, context)
    else:
        columns = await _estimated(model, asked, behind, batcher, context)
    return _written(model, asked, wanted, columns)


def _limit_time(context: RequestContext, timeout_us: int) -> None:
    """Let an answer be of no use after so many microseconds, or earlier, if a header has said so."""
    deadline = context.began + timeout_us / 1e6
    context.deadline = deadline if context.deadline is None else min(deadline, context.deadline)


def _written(
    model: Model[Any], asked: InferenceRequest, wanted: dict[str, bool], columns: dict[str, OutputColumn]
) -> Wire:
    """Return an answer of the outputs that are wanted."""
    outputs: list[AnswerOutput] = []
    parts = []
    for name, is_binary in wanted.items():
        output, part = answered(name, *columns[name], is_binary=is_binary)
        outputs.append(output)
        parts.append(part)
    head = _encode(InferenceAnswer(model.name, str(model.version), outputs, asked.id))
    return Wire(b"".join((head, *parts)), len(head)) if any(wanted.values()) else Wire(head, None)


def _outputs_asked(model: Model[Any], asked: InferenceRequest, reads_text: bool) -> dict[str, bool]:
    """Return the outputs that are asked for, in their order, and whether each is sent behind the JSON."""
    usual = (CATEGORY.name, CONFIDENCE.name, REASON.name) if reads_text else (VALUE.name,)
    binary = bool(asked.parameters is not None and asked.parameters.binary_data_output)
    if not asked.outputs:
        return dict.fromkeys(usual, binary)
    known = (*usual, PROBABILITIES) if reads_text and model.ranker is not None else usual
    wanted = {}
    for place, output in enumerate(asked.outputs):
        if output.name not in known or output.name in wanted:
            fault = Fault.of(f"/outputs/{place}/name", "unknown-tensor", found=output.name[:100], known=known)
            raise does_not_fit("body", [fault])
        own = output.parameters.binary_data if output.parameters is not None else None
        wanted[output.name] = own if own is not None else binary
    return wanted


async def _sorted(
    model: Model[Any],
    asked: InferenceRequest,
    behind: bytes,
    wants_probabilities: bool,
    batcher: Batcher,
    context: RequestContext,
) -> dict[str, OutputColumn]:
    """Return the outputs of a model that reads tickets."""
    contents: Sequence[Any] = _contents_of(asked.inputs[0], behind)
    ranking = ranking_of(model, _ranking(asked.parameters or RequestParameters()))

    def input_asked(index: int) -> AskedInput:
        return AskedInput(None, contents[index])

    pointed = {f"{POINTER}/data/{place}": content for place, content in enumerate(contents)}
    if ranking is None and not wants_probabilities:
        found: Sequence[Any] = await batcher.predict(
            model, await _encoded(batcher, model, contents, pointed), context, input_asked
        )
        return _columns(found)
    ranking = ranking or Ranking(abstain=False)
    num_numbers = len(contents) * len(model.ranker.labels) if model.ranker is not None else 0
    if wants_probabilities and num_numbers > MAX_NUMBERS:
        raise does_not_fit("body", [Fault.of("/outputs", "too-many-numbers", num=num_numbers, limit=MAX_NUMBERS)])
    kept_K = kept_asked(model, ranking, "/parameters")
    ranked = await guessed(model, pointed, ranking, batcher, context, input_asked)
    columns = _columns(await shaped_all(ranked, kept_K, ranking, model))
    if wants_probabilities:
        columns[PROBABILITIES] = _probabilities(model, ranked, kept_K)
    return columns


def _contents_of(tensor: RequestInput, behind: bytes) -> list[Any]:
    """Return the tickets that a tensor holds: texts, or lists of tokens."""
    _check_tensor(tensor, (TEXT.name, TOKENS.name), ("BYTES",))
    if len(tensor.shape) == 2 and (tensor.name != TEXT.name or tensor.shape[1] != 1):
        expected = "[B] or [B,1]" if tensor.name == TEXT.name else "[B]"
        raise does_not_fit(
            "body", [Fault.of(f"{POINTER}/shape", "wrong-shape", found=str(tensor.shape), expected=expected)]
        )
    strings = strings_of(tensor, behind, POINTER)
    if tensor.name == TEXT.name:
        return strings
    return [
        decode(string.encode(), list[str], pointer=f"{POINTER}/data/{place}") for place, string in enumerate(strings)
    ]


def _check_tensor(tensor: RequestInput, names: Sequence[str], datatypes: Sequence[str]) -> None:
    """Raise InvalidInput unless the input has one of the names and of the datatypes, and at least one row."""
    if tensor.name not in names:
        fault = Fault.of(f"{POINTER}/name", "unknown-tensor", found=tensor.name[:100], known=names)
    elif tensor.datatype not in datatypes:
        fault = Fault.of(f"{POINTER}/datatype", "wrong-datatype", found=tensor.datatype[:100], known=datatypes)
    elif not all(tensor.shape):
        fault = Fault.of(f"{POINTER}/shape", "wrong-shape", found=str(tensor.shape), expected="[B], B > 0")
    else:
        return
    raise does_not_fit("body", [fault])


def _ranking(parameters: RequestParameters) -> Ranking | None:
    """Return what the parameters of a request ask for beyond a category."""
    among = parameters.among
    if isinstance(among, str):
        among = decode(among.encode(), list[str], pointer="/parameters/among")
    if among is not None and not among:
        raise does_not_fit("body", [Fault.of("/parameters/among", "wrong-length", expected="array", limit=">= 1")])
    ranking = Ranking(parameters.abstain, None, among, parameters.otherwise)
    return ranking if ranking != Ranking() else None


async def _encoded(batcher: Batcher, model: Model[Any], contents: Sequence[Any], pointed: dict[str, Any]) -> list[Any]:
    """Return tickets as the model's graph takes them: now where that is a moment's work, else in turns."""
    if len(contents) <= SLICE_TICKETS and not any(map(is_long, contents)):
        try:
            return [model.encode(content) for content in contents]
        except InvalidContent:
            pass  # of one; below every fault is found, each with its JSON Pointer
    return await encode_all(batcher.large, model, pointed)


def _columns(found: Sequence[Any]) -> dict[str, OutputColumn]:
    """Return what was found of tickets as outputs; no category, and no reason, are empty strings."""
    assert all(isinstance(one, Prediction | RankedPrediction) for one in found), "tickets have categories; our bug"
    shape = [len(found)]
    return {
        CATEGORY.name: OutputColumn("BYTES", shape, [one.category or "" for one in found]),
        CONFIDENCE.name: OutputColumn("FP32", shape, [one.confidence for one in found]),
        REASON.name: OutputColumn("BYTES", shape, [getattr(one, "reason", None) or "" for one in found]),
    }


def _probabilities(model: Model[Any], found: Sequence[Ranked | None], kept_K: Any) -> OutputColumn:
    """Return the probability of every category for each ticket; 0 for masked ones, and for a ticket without a word."""
    assert model.ranker is not None, "known outputs have it so; internal error"
    rows_NC = np.zeros((len(found), len(model.ranker.labels)), dtype=np.float32)
    for place, one in enumerate(found):
        if one is not None:
            rows_NC[place] = one.probabilities_C
    if kept_K is not None:
        has_word_N = np.array([one is not None for one in found])
        kept_NK, _ = renormalised(rows_NC, kept_K)
        rows_NC[:] = 0
        rows_NC[:, kept_K] = kept_NK * has_word_N[:, np.newaxis]
    return OutputColumn("FP32", list(rows_NC.shape), rows_NC.ravel().tolist())


async def _estimated(
    model: Model[Any], asked: InferenceRequest, behind: bytes, batcher: Batcher, context: RequestContext
) -> dict[str, OutputColumn]:
    """Return the outputs of a model that estimates a value."""
    tensor, parameters = asked.inputs[0], asked.parameters or RequestParameters()
    for field in ("abstain", "among", "otherwise"):
        if getattr(parameters, field) is not None:
            raise does_not_fit("body", [Fault.of(f"/parameters/{field}", "no-guesses", model=model.where)])
    _check_tensor(tensor, ("features",), ("FP32", "FP64"))
    if len(tensor.shape) != 2:
        fault = Fault.of(f"{POINTER}/shape", "wrong-shape", found=str(tensor.shape), expected="[B,F]")
        raise does_not_fit("body", [fault])
    rows = numbers_of(tensor, behind, POINTER)
    for place, row in enumerate(rows):
        if not all(math.isfinite(one) and abs(one) <= LARGEST for one in row):
            fault = Fault.of(f"{POINTER}/data/{place}", "number-too-large", limit=LARGEST)
            raise does_not_fit("body", [fault])
    pointed = {f"{POINTER}/data/{place}": row for place, row in enumerate(rows)}
    encoded = await encode_all(batcher.large, model, pointed)
    found = await batcher.predict(model, encoded, context, lambda index: AskedInput(None, rows[index]))
    return {VALUE.name: OutputColumn("FP64", [len(found)], [one.said for one in found])}
