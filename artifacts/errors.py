"""The errors that both sides can meet: a wrong name, ticket, file or store.

Each is raised where the fact is found, with the type of its problem and the facts: `EmptyTicket("empty-ticket")`,
`QueueFull("training-queue-full", num_queued=8, limit=8)`. The words are in artifacts/problems, in two languages. The
class says what the program does about it, such as the HTTP status; the type says what a person is told. None knows of
HTTP or of a terminal: `inference/errors.py` and `trainer/cli/terminal.py` decide how an error is shown.
"""

from collections.abc import Sequence
from typing import Any, Self

import msgspec

from artifacts.problems.phrases import phrase
from artifacts.problems.sentences import DEFAULT, Language, Message, Value, message


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong in a body or a data file; made by `Fault.of`.

    Attributes:
        pointer: where, as a JSON Pointer (RFC 6901) such as `/training_data/17/tokens/3`.
        detail: what was expected and what was found, in English, for a reader that does not know the type.
        line: the line of the file, counted from 1, when the rows came from a file.
        type: of the problem, such as `missing-field`; "" in a record of an earlier release.
        parameters: what it is about; see `Message`.
    """

    pointer: str
    detail: str
    line: int | None = None
    type: str = ""
    parameters: dict[str, Value] = {}

    @classmethod
    def of(cls, pointer: str, type: str, line: int | None = None, /, **parameters: object) -> Self:  # noqa: A002
        """Return a fault of this type at this place."""
        return cls._said(pointer, message(type, parameters), line)

    @classmethod
    def of_error(cls, pointer: str, error: "PuppetError", line: int | None = None) -> Self:
        """Return an error as a fault of the place where it was met."""
        return cls._said(pointer, error.message, line)

    @classmethod
    def _said(cls, pointer: str, said: Message, line: int | None) -> Self:
        return cls(pointer, said.detail(), line, said.type, said.parameters)

    def said(self, language: Language = DEFAULT) -> str:
        """Return the detail in a language, as far as this release has words for its type."""
        said = Message(self.type, self.parameters)
        return said.detail(language) if said.is_known else self.detail

    def shown(self, language: Language = DEFAULT) -> str:
        """Return place and detail in a line, as a terminal shows them."""
        place = self.pointer or phrase("whole-row", language)
        if self.line is not None:
            place = f"{phrase('line', language, number=self.line)}, {place}"
        return phrase("field", language, name=place, text=self.said(language))

    def __str__(self) -> str:
        return self.shown()


class PuppetError(Exception):
    """A wrong input, file or setting, worded for the person who can put it right.

    Attributes:
        message: the type and its parameters; `str()` of the error is its English detail.
    """

    def __init__(self, type: str, /, **parameters: object) -> None:  # noqa: A002  # the RFC's word for it
        """Take the type of the problem, a key of artifacts/problems, and what its sentences name."""
        super().__init__(type)
        self.message = message(type, parameters)

    def __str__(self) -> str:
        return self.message.detail()

    def __reduce__(self) -> tuple[Any, ...]:  # an error that a process of a pool raises travels as its attributes
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[PuppetError], args: tuple[object, ...], attributes: dict[str, object]) -> PuppetError:
    """Return an error as it was raised in another process."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class InvalidInput(PuppetError):
    """Something in a body or a data file does not fit; `faults` says what, at most the first 20.

    Attributes:
        faults: the first faults, in the order of the input.
        num_faults: how many there are in all.
    """

    def __init__(
        self,
        type: str,  # noqa: A002
        faults: Sequence[Fault] = (),
        num_faults: int | None = None,
        /,
        **parameters: object,
    ) -> None:
        super().__init__(type, **parameters)
        self.faults = tuple(faults)
        self.num_faults = len(self.faults) if num_faults is None else num_faults


class InvalidContent(PuppetError):
    """What a row or a question is about cannot be read; whoever knows its place adds that."""


class InvalidText(InvalidContent):
    """A token or text holds a character that no text has (NUL, half of a surrogate pair)."""


class InvalidMail(PuppetError):
    """The bytes are no e-mail that can be read."""


class MailMissing(PuppetError):
    """The library that reads an Outlook .msg is not installed (extra `mail`)."""


class EmptyTicket(InvalidContent):
    """A ticket has no token that could be read."""


class InvalidFeatures(InvalidContent):
    """A vector of numbers has another length than the model's, or holds a number that is too large."""


class InvalidName(PuppetError):
    """A model name does not fit the pattern."""


class UnknownKind(PuppetError):
    """A `neural_network_type` that is not in the table of kinds."""


class KindMismatch(PuppetError):
    """A request names another kind than the model's."""


class NotFinite(PuppetError):
    """A model's answer is no finite number, so it is no answer."""


class ModelExists(PuppetError):
    """A model of that name is in the store already."""


class ModelNotFound(PuppetError):
    """No model of that name is in the store."""


class ModelNotTrained(PuppetError):
    """The model was created but has no version that serves."""


class VersionNotFound(PuppetError):
    """The model has no version of that number; it was never published, or it was deleted."""


class VersionServes(PuppetError):
    """The version that is to be deleted is the serving one."""


class VersionChanged(PuppetError):
    """Another version serves than the caller believes."""


class NothingToRollBack(PuppetError):
    """No version that served before the present one is still there."""


class NoTrainingData(PuppetError):
    """A training was asked for without tickets."""


class ArtifactRefused(PuppetError):
    """A version's files are missing, damaged, of an unknown format, or answer differently from their golden rows."""


class StoreRefused(PuppetError):
    """The store's folder belongs to somebody else, is open to others, is not local, or cannot be written."""


class JobNotFound(PuppetError):
    """No training job of that id is known."""


class CorrectionNotFound(PuppetError):
    """The model has no correction of that id; none was sent, or it was erased."""


class FeedbackFull(PuppetError):
    """A model has as many corrections as it may have."""


class ReviewItemNotFound(PuppetError):
    """No ticket of that id waits in the model's review queue; none came, or it was labelled, skipped or erased."""


class ReviewFull(PuppetError):
    """As many tickets wait in a model's review queue as may."""


class IdempotencyConflict(PuppetError):
    """An idempotency key came a second time with another request."""


class QueueFull(PuppetError):
    """As many trainings wait as may."""


class Fenced(PuppetError):
    """A training that was given up (cancelled, interrupted, begun anew) wanted to publish."""
