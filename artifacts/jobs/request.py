"""What a request for a training says: the body of POST /train_model, specified once for both sides.

The server shows it in its document and spools the bytes unread; the trainer's process decodes them, in
`trainer/jobs/body.py`.
"""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from artifacts.networks.manifest import ModelName
from artifacts.schemas import KindName, Row

R = TypeVar("R", bound=Row | msgspec.Raw)
Promotion = Literal["always", "if_better", "never"]  # when a new version serves
# Settings are the trainer's, and differ from kind to kind; here they are bytes that must turn out to be an object.
Config = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="Settings of the training, by name; those of the kind hold where it is null or left out.",
        extra_json_schema={"anyOf": [{"type": "object"}, {"type": "null"}], "default": None},
    ),
]


class TrainModel(msgspec.Struct, Generic[R], frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Labelled tickets to train a model on. The server only spools this; the trainer's process checks it.

    Attributes:
        training_data: rows of the kind; they may be left out where the model's corrections are trained on.
        config: settings of the kind.
        promote: whether the new version serves: always, never, or if it is surely better than the serving one.
        test_data: labelled rows to compare the two on; without them those that are kept out of training.
        keep_data: whether this body stays on the disk after the training.
        include_feedback: whether the model's corrections are trained on as well, those that are there when it begins.
    """

    name: Annotated[ModelName, msgspec.Meta(description="The model's name.", examples=["puppet-o2"])]
    neural_network_type: KindName
    training_data: list[R] | None = None
    config: Config | msgspec.UnsetType = msgspec.UNSET
    promote: Promotion = "always"
    test_data: list[R] | None = None
    keep_data: bool = False
    include_feedback: bool = False
