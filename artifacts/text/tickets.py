"""Support tickets on the wire: a labelled one, a question about one, and the answer. For every kind that reads text."""

import unicodedata
from typing import Annotated, ClassVar, Literal

import msgspec

from artifacts.schemas import Answer, Ranking, Reason, Row, Search
from artifacts.text.tokens import NEWEST, RULES, Rules, normalise, tokenize

MAX_TOP_K = 20
TopK = Annotated[int, msgspec.Meta(ge=1, le=MAX_TOP_K)]
Tokens = Annotated[list[str], msgspec.Meta(examples=[["avoir", "problème", "connexion", "<PRODUCT>"]])]
# Categories that may be answered now, and what to answer where the model says none of them.
Among = Annotated[list[str], msgspec.Meta(min_length=1, examples=[["Problème de connexion", "Accès utilisateur"]])]
Otherwise = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=200, examples=["Accueil"])]


class Ticket(Row, frozen=True, omit_defaults=True):
    """One labelled ticket, as tokens or as raw text.

    Attributes:
        category: what it is about, as the desk names it (`label` is read as well).
        tokens: its words; a token may hold spaces ("mot de passe").
        text: or its raw text (`email_text` is read as well).
    """

    KEY_RULES: ClassVar[tuple[int, ...]] = tuple(RULES)

    category: str | None = None
    tokens: list[str] | None = None
    text: str | None = None
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
        return category_name(self.category if self.category is not None else self.label or "")

    @property
    def content(self) -> list[str] | str:
        """The tokens or the raw text, under whichever field they came."""
        if self.tokens is not None:
            return self.tokens
        return self.text if self.text is not None else self.email_text or ""

    @property
    def content_field(self) -> str:
        """The field that the content came under."""
        if self.tokens is not None:
            return "tokens"
        return "text" if self.text is not None else "email_text"

    def key(self, rules: int) -> bytes:
        """Return the normalised tokens, so that a ticket is the same whether its text or its tokens are given.

        Args:
            rules: number of the text rules that normalise, one of `KEY_RULES`.
        """
        return msgspec.json.encode(read_tokens(self.content, RULES[rules]))


class TicketSearch(Search, frozen=True, kw_only=True, omit_defaults=True):
    """One ticket (`vector` or `text`) or several (`vectors` or `texts`): exactly one of the four.

    Attributes:
        vector: the tokens of a ticket, taken as they are.
        text: the raw text of a ticket.
        vectors: of several tickets.
        texts: of several tickets.
        explain: whether the answer also says what each token of the one ticket weighs.
        abstain: whether the model may give no category where it is not sure enough; its own setting by default.
        top_k: how many of the most probable categories to name beside; all if the model has fewer.
        among: the categories that may be answered now; the others are masked, and the rest is renormalised.
        otherwise: what to answer where the model would give no category, because it is not sure enough of any that may
            be answered; any name. It goes with `abstain`, and so needs not say it.
    """

    ONE: ClassVar[tuple[str, ...]] = ("vector", "text")
    SEVERAL: ClassVar[tuple[str, ...]] = ("vectors", "texts")

    vector: Tokens | None = None
    vectors: list[Tokens] | None = None
    text: str | None = None
    texts: list[str] | None = None
    explain: bool = False
    abstain: bool | None = None
    top_k: TopK | None = None
    among: Among | None = None
    otherwise: Otherwise | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.explain and self.given[0] in self.SEVERAL:  # many times the work of a search, so each asks by itself
            raise ValueError(f"`explain` goes with one ticket; send `vector` or `text` and not `{self.given[0]}`")

    @property
    def ranking(self) -> Ranking | None:
        """What is asked for beyond a category."""
        if self.abstain is None and self.top_k is None and self.among is None and self.otherwise is None:
            return None
        return Ranking(self.abstain, self.top_k, self.among, self.otherwise)


class Neighbour(msgspec.Struct, frozen=True):
    """A known word that is spelt like an unknown token.

    Attributes:
        token: the word.
        similarity: 0..1, the share that they have in common of the character n-grams that either has (Jaccard).
    """

    token: str
    similarity: float


class TokenWeight(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token weighs in the answer to a ticket.

    Attributes:
        token: in the spelling in which it is looked up.
        weight: by how much the log-odds of the explained category fall without it; below 0 it speaks against.
        confidence: the probability of the explained category without it, 0..1.
        known: whether the vocabulary holds it.
        nearest: of an unknown token, the known words that are spelt most like it, nearest first; left out after the
            64th distinct unknown token of a ticket.
    """

    token: str
    weight: float
    confidence: float
    known: bool
    nearest: list[Neighbour] | None = None


class Explanation(msgspec.Struct, frozen=True):
    """What each token of a ticket weighs in its answer, found by leaving it out and asking again.

    Attributes:
        category: the most probable one, which is explained.
        tokens: in the order of the ticket, blank ones left out.
        window: how many neighbouring tokens were left out at once, and so share one weight: 1 up to 64 tokens, 8 at
            512.
        method: how the weights were found.
        unit: of the weights; natural logarithm.
    """

    category: str
    tokens: list[TokenWeight]
    window: int
    method: Literal["occlusion"] = "occlusion"
    unit: Literal["log-odds"] = "log-odds"


class Prediction(Answer, frozen=True, omit_defaults=True):
    """What a model says of one ticket.

    Attributes:
        category: the most probable one.
        confidence: its calibrated probability, 0..1.
        unknown_tokens: the tokens that are not in the vocabulary (read by their character n-grams), each once.
        num_truncated_tokens: tokens past the 512th, which were not read, and tokens cut at 256 characters.
        explanation: what each token weighs; left out where nobody asked.
    """

    category: str
    confidence: float
    unknown_tokens: list[str]
    num_truncated_tokens: int
    explanation: Explanation | None = None

    @property
    def said(self) -> str:
        """The category."""
        return self.category


class Guess(msgspec.Struct, frozen=True):
    """One of the most probable categories, with its calibrated probability."""

    category: str
    confidence: float


class RankedPrediction(Answer, frozen=True, omit_defaults=True):
    """What a model says of one ticket where the search asks for more than a category, or lets the model abstain.

    Attributes:
        category: the most probable one of those that may be answered; where the model abstains None, or `otherwise`.
        confidence: of the most probable one, also where it is not given; 0 for an empty ticket.
        unknown_tokens, num_truncated_tokens: as in `Prediction`.
        reason: why the model abstains; left out where it does not.
        best: the most probable categories, best first; left out where the model is sure and nobody asks for them.
        explanation: as in `Prediction`.
    """

    category: str | None
    confidence: float
    unknown_tokens: list[str]
    num_truncated_tokens: int
    reason: Reason | None = None
    best: list[Guess] | None = None
    explanation: Explanation | None = None

    @property
    def said(self) -> str | None:
        """The category."""
        return self.category


def category_name(name: str) -> str:
    """Return a category's name as names are compared: NFC, without white space around it."""
    return unicodedata.normalize("NFC", name).strip()


def read_tokens(content: list[str] | str, rules: Rules = NEWEST) -> list[str]:
    """Return the tokens of a ticket in their normalised spelling, without the blank ones.

    Args:
        content: the tokens, or the raw text.
        rules: that read them; the newest, as for a training, unless a version says others.

    Raises:
        InvalidText: one holds a NUL character.
    """
    tokens = tokenize(content, rules) if isinstance(content, str) else [normalise(token, rules) for token in content]
    return [token for token in tokens if token]


EXAMPLES = (
    (
        Ticket("Problème de connexion", ["avoir", "problème", "connexion", "<PRODUCT>"]),
        Ticket("Accès utilisateur", ["ajouter", "utilisateur", "coffre"]),
    ),
    TicketSearch(name="puppet-o2", neural_network_type="GRU", vector=["avoir", "problème", "connexion", "<PRODUCT>"]),
)
