"""The table of kinds: what `neural_network_type` stands for on disk and on the wire.

A kind is one row of `KINDS`. Both sides look a kind up here and nowhere compare its name, so a further kind is a row
here and a module a side.
"""

import unicodedata

import msgspec

from artifacts.errors import KindMismatch, UnknownKind


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True):
    """One labelled ticket, as tokens or as raw text.

    Attributes:
        category: what it is about, as the desk names it (`label` is read as well).
        tokens: its words; a token may hold spaces ("mot de passe").
        text: or its raw text (`email_text` is read as well).
        id: the caller's own name for it, echoed.
    """

    category: str | None = None
    tokens: list[str] | None = None
    text: str | None = None
    id: str | int | None = None
    label: str | None = None
    email_text: str | None = None

    def __post_init__(self) -> None:
        if (self.category is None) == (self.label is None):
            raise ValueError("expected exactly one of `category`, `label`")
        if [self.tokens, self.text, self.email_text].count(None) != 2:
            raise ValueError("expected exactly one of `tokens`, `text`, `email_text`")
        if not self.expected.strip():
            raise ValueError("the category is blank")

    @property
    def expected(self) -> str:
        """The category, under whichever field it came; NFC and without white space around it, as it is compared."""
        return unicodedata.normalize("NFC", self.category if self.category is not None else self.label or "").strip()

    @property
    def content(self) -> list[str] | str:
        """The tokens or the raw text, under whichever field they came."""
        if self.tokens is not None:
            return self.tokens
        return self.text if self.text is not None else self.email_text or ""


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model says of one ticket.

    Attributes:
        category: the most probable one.
        confidence: its calibrated probability, 0..1.
        unknown_tokens: the tokens that are not in the vocabulary (read by their character n-grams), each once.
        num_truncated_tokens: tokens past the 512th, which were not read, and tokens cut at 256 characters.
        id: the caller's own name for the ticket.
    """

    category: str
    confidence: float
    unknown_tokens: list[str]
    num_truncated_tokens: int
    id: str | int | None = None


class Kind(msgspec.Struct, frozen=True):
    """One row of the table.

    Attributes:
        name: the value of `neural_network_type`.
        row: the Struct of one labelled row of data.
        answer: the Struct of the answer to one row.
        files: what a version's folder holds beside `manifest.json`.
    """

    name: str
    row: type[Ticket]
    answer: type[Prediction]
    files: tuple[str, ...]


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("GRU", Ticket, Prediction, ("model.onnx", "vocab.json", "labels.json", "golden.json", "report.json")),
    )
}


def kind_named(name: str) -> Kind:
    """Return the row of the table.

    Raises:
        UnknownKind: naming the known ones.
    """
    if name not in KINDS:
        raise UnknownKind(f"neural_network_type {name!r:.80} is unknown; known: {', '.join(KINDS)}")
    return KINDS[name]


def check_kind(asked: str, model_name: str, kind: str) -> None:
    """Do nothing if `asked` is the model's kind.

    Raises:
        UnknownKind: `asked` is no kind at all.
        KindMismatch: it is another kind than the model's.
    """
    kind_named(asked)
    if asked != kind:
        raise KindMismatch(f"model {model_name} is of neural_network_type {kind}, not {asked}; name its own kind")
