"""The Structs that every kind of network builds its own on: a labelled row, a question, an answer, an evaluation.

A kind of network says in its own module (gru.py, simple_nn.py) what its rows, questions and answers hold; what the
server and the trainer do with them is the same for all, and is said here.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

NAME_PATTERN = "[a-z0-9][a-z0-9_-]{0,62}"  # of a model's name, which is a folder of the store and a part of addresses
# The pattern is only shown: a name that cannot be one is told so in the sentence that the store has for it.
Name = Annotated[
    str,
    msgspec.Meta(
        description="The model's name.",
        examples=["puppet-o2"],
        extra_json_schema={"pattern": f"^{NAME_PATTERN}$"},
    ),
]
KindName = Annotated[str, msgspec.Meta(description="The kind of network.", examples=["GRU", "SimpleNN"])]
Id = str | int | None
# Why a model gives no category; the last one only where not all of them may be answered.
Reason = Literal["empty", "unknown_tokens", "top_two_tie", "low_confidence", "none_applies"]
Summary = dict[str, int | float | None]  # metrics in short; None: not defined, or too few rows to keep some out


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One labelled row of data; a kind adds the label and the content.

    Attributes:
        id: the caller's own name for it, echoed.
    """

    KEY_RULES: ClassVar[tuple[int, ...]] = (1,)  # by which `key` can be made, the newest last

    id: Id = None

    @property
    def expected(self) -> Any:
        """What the model should answer."""
        raise NotImplementedError

    @property
    def content(self) -> Any:
        """What the model is asked about, as `Model.encode` takes it."""
        raise NotImplementedError

    @property
    def content_field(self) -> str:
        """The name of the field that holds the content, for the pointer of a fault."""
        raise NotImplementedError

    def key(self, rules: int) -> bytes:  # noqa: ARG002  # numbers are spelt in one way
        """Return the content in the one spelling that all equal contents share, so that a row can be known again.

        Args:
            rules: one of `KEY_RULES`; under other rules equal contents may have other keys.
        """
        return msgspec.json.encode(self.content)


class Ranking(msgspec.Struct, frozen=True):
    """What a question asks for beyond a plain answer.

    Attributes:
        abstain: whether the model may give no category; None: as its own setting has it.
        top_k: how many of the most probable categories to name; None: none, but 3 where it gives no category.
        among: names of the categories that may be answered; None: all of them.
        otherwise: what to answer in place of no category.
    """

    abstain: bool | None = None
    top_k: int | None = None
    among: Sequence[str] | None = None
    otherwise: str | None = None


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question about one input, or about several: exactly one of the fields that `ONE` and `SEVERAL` name.

    Attributes:
        id: of the one input, echoed.
        ids: of the several inputs, echoed.
    """

    ONE: ClassVar[tuple[str, ...]] = ("vector",)
    SEVERAL: ClassVar[tuple[str, ...]] = ("vectors",)

    name: Name
    neural_network_type: KindName
    id: Id = None
    ids: list[Id] | None = None

    def __post_init__(self) -> None:
        given = [field for field in self.ONE + self.SEVERAL if getattr(self, field) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(f'`{field}`' for field in self.ONE + self.SEVERAL)}")
        several = getattr(self, given[0]) if given[0] in self.SEVERAL else None
        if several is not None and not several:
            raise ValueError("expected at least one ticket")
        if self.ids is not None and (several is None or len(self.ids) != len(several)):
            names = " or ".join(f"`{field}`" for field in self.SEVERAL)
            raise ValueError(f"`ids` goes with {names} and has one entry for each ticket")
        if self.id is not None and several is not None:
            raise ValueError(f"`id` goes with one ticket; use `ids` with `{given[0]}`")

    @property
    def ranking(self) -> Ranking | None:
        """What is asked for beyond a plain answer; None if nothing is, or the kind has nothing more to say."""
        return None

    @property
    def given(self) -> tuple[str, Any]:
        """The one field that was given, and what it holds."""
        for field in self.ONE + self.SEVERAL:
            value = getattr(self, field)
            if value is not None:
                return field, value
        raise AssertionError("a search without its input; this is our bug")


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model says of one input; a kind adds the answer itself.

    Attributes:
        id: the caller's own name for the input.
        model_name: which model says so; left out in a list, which names it once.
        version: of that model.
    """

    id: Id = None
    model_name: str | None = None
    version: int | None = None

    @property
    def said(self) -> Any:
        """The answer itself, to be compared with `Row.expected`."""
        raise NotImplementedError


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a network got right and wrong on labelled rows; a kind adds its metrics.

    Attributes:
        model_name: left out of a report, whose version is still to be published.
        version: of that model.
        clean: the rows that the version has not learnt from: what its figures on other tickets are to be read off.
        learnt: the rows that it was trained on, whose figures flatter it.
        unknown: why it cannot be told which rows are which; then neither part is given.
    """

    model_name: str | None = None
    version: int | None = None
    clean: Summary | None = None
    learnt: Summary | None = None
    unknown: str | None = None

    @property
    def summary(self) -> Summary:
        """The metrics in short."""
        raise NotImplementedError

    @property
    def part(self) -> Summary:
        """The metrics in short, as those of a part of the rows."""
        return self.summary

    def renumbered(self, numbers: Sequence[int]) -> "Evaluation":  # noqa: ARG002  # by itself it names no row
        """Return the same metrics with rows named by `numbers`, of which each is that of a row that was measured."""
        return self
