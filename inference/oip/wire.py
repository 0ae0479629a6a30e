"""Requests and answers of the Open Inference Protocol as Structs; JSON here, binary tensors in tensors.py.

Source: github.com/kserve/open-inference-protocol (inference_rest.md), and Triton's extension `binary_tensor_data`.
Generated clients send null for what is left out. A member that this server has no use for is passed over, as the
protocol has it; among the parameters of a request an unknown one is a fault, because a misspelt `abstain` would change
what is answered and nobody would notice.
"""

from typing import Annotated, Any, Literal

import msgspec

from artifacts.text.tickets import Otherwise

Size = Annotated[int, msgspec.Meta(ge=0, le=2**40)]  # a dimension or a number of bytes; more than any body could hold
Shape = Annotated[list[Size], msgspec.Meta(min_length=1, max_length=2, examples=[[2]])]
Data = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="The elements, row by row; or a list for each row.",
        extra_json_schema={"type": "array", "items": {}},
        examples=[["Je n'arrive plus à me connecter", "ajouter un utilisateur"]],
    ),
]
Datatype = Literal["BYTES", "FP32", "FP64"]


class InputParameters(msgspec.Struct, frozen=True):
    """Parameters of an input.

    Attributes:
        binary_data_size: bytes of its elements behind the JSON, in place of `data`.
    """

    binary_data_size: Size | None = None


class RequestInput(msgspec.Struct, frozen=True):
    """A tensor that is sent.

    Attributes:
        name: `text` or `tokens` of tickets, `features` of cases.
        datatype: BYTES of tickets, FP32 or FP64 of cases.
        shape: [B] or [B, 1] of texts, [B] of tokens, [B, F] of features.
        data: its elements; `tokens` are a JSON array each.
    """

    name: str
    datatype: str
    shape: Shape
    parameters: InputParameters | None = None
    data: Data | msgspec.UnsetType = msgspec.UNSET


class OutputParameters(msgspec.Struct, frozen=True):
    """Parameters of an output that is asked for.

    Attributes:
        binary_data: whether its elements come behind the JSON; by default as `binary_data_output` says.
    """

    binary_data: bool | None = None


class RequestOutput(msgspec.Struct, frozen=True):
    """A tensor that is asked for; its name is one that the model's metadata lists."""

    name: str
    parameters: OutputParameters | None = None


class RequestParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of a request.

    Attributes:
        abstain: as in a search; where the model abstains, `category` is the empty string.
        among: as in a search; a list, or a string that holds one as JSON, for clients that send no list.
        otherwise: as in a search.
        timeout: microseconds within which the answer is of use.
        binary_data_output: whether the elements of all outputs come behind the JSON.
        priority, sequence_id, sequence_start, sequence_end, content_type, headers: passed over; other servers and
            their clients know them.
    """

    abstain: bool | None = None
    among: list[str] | str | None = None
    otherwise: Otherwise | None = None
    timeout: Annotated[int, msgspec.Meta(ge=1, le=600_000_000)] | None = None
    binary_data_output: bool | None = None
    priority: Any = None
    sequence_id: Any = None
    sequence_start: Any = None
    sequence_end: Any = None
    content_type: Any = None
    headers: Any = None


class InferenceRequest(msgspec.Struct, frozen=True):
    """What is asked of a model.

    Attributes:
        inputs: one tensor.
        id: echoed.
        outputs: that are asked for; by default all but `probabilities`.
    """

    inputs: Annotated[list[RequestInput], msgspec.Meta(min_length=1, max_length=1)]
    id: str | None = None
    parameters: RequestParameters | None = None
    outputs: Annotated[list[RequestOutput], msgspec.Meta(max_length=16)] | None = None


class AnswerParameters(msgspec.Struct, frozen=True):
    """Parameters of an output of an answer: the bytes of its elements behind the JSON."""

    binary_data_size: int


class AnswerOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor of an answer; its elements are in `data`, or behind the JSON, in the order of the outputs."""

    name: str
    datatype: Datatype
    shape: list[int]
    data: list[Any] | None = None
    parameters: AnswerParameters | None = None


class InferenceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model says.

    Attributes:
        model_version: that says so.
        id: of the request.
    """

    model_name: str
    model_version: str
    outputs: list[AnswerOutput]
    id: str | None = None


class TensorSpec(msgspec.Struct, frozen=True):
    """A tensor that a model takes or gives; -1 in its shape is any number."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelParameters(msgspec.Struct, frozen=True, omit_defaults=True):
    """What else there is to know of a model: its categories, in the order of `probabilities`."""

    categories: list[str] = []


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a model takes and gives.

    Attributes:
        versions: that answer: the one that serves.
        platform: the engine that computes, such as onnxruntime_onnx.
        inputs: one of them is sent.
        outputs: that can be asked for.
    """

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    parameters: ModelParameters


class ServerMetadata(msgspec.Struct, frozen=True):
    """What the server is, and which extensions of the protocol it has."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(msgspec.Struct, frozen=True):
    """The process answers."""

    live: bool = True


class ServerReady(msgspec.Struct, frozen=True):
    """Every trained model has been loaded or refused."""

    ready: bool = True


class ModelReady(msgspec.Struct, frozen=True):
    """The model answers."""

    name: str
    ready: bool = True
