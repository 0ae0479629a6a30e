"""From text to tokens, and from a token to its character n-grams.

In: a ticket as a desk has it, raw text or tokens. Out: tokens in the one spelling under which they are counted,
looked up and hashed. Trainer and server both call this file and no other code touches text, so that a ticket cannot be
read one way in training and another way in production (training/serving skew).

The idea, once. A word that the model never saw ("conntecter") has no row in the vocabulary, but most of its pieces do
exist elsewhere: `<co con onn ... ter er>`. We cut each word into pieces of 3 to 5 characters, hash every piece to a row
of a fixed table, and let the mean of those rows stand for the word. No table of pieces has to be kept, only a hash
function that gives the same number on every machine, in every process (Python's own `hash` does not).
Source: Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information" (fastText), arXiv 1607.04606.

Rules have a number. A model knows only the words that its own rules made: one that learnt <NUM> has never seen <99,99>.
So each version names the rules of its training, and the server reads a ticket by the rules of the version that answers.
New rules are a new entry of `RULES`; what an old entry names is never changed.

Numbers, once. An invoice's number says little and may name a person, so of a number its shape is left: <9999>. But 401
and 503, or the 10 and the 11 of Windows, are what a ticket is about. So a short number keeps its digits on the way,
<#401>, and the vocabulary decides: where many tickets hold it, it has a row, and everywhere else it is read as its
shape. `mask` is the only way back, and whatever is shown or stored has gone through a vocabulary.
"""

import re
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from artifacts.errors import InvalidText
from artifacts.text.plain import plain
from artifacts.text.scripts import WORD, is_latin, lower, without_unseen

MAX_TOKEN_CHARACTERS = 256  # no word is longer; a longer token is cut, and the answer counts it as truncated
CURVED = "\u2019"  # the apostrophe of French typography; a keyboard types the straight one
NGRAM_SIZES = (3, 4, 5)  # of the word between its marks "<" and ">", as in fastText
MAX_TOKENS = 512  # of a ticket; what comes after is not read, and the answer says how much
MAX_NGRAMS = 24  # bounds what one unknown word can cost; "connexion" and its marks have exactly 24

# Every repetition below is bounded or cannot be entered twice from one place, so no text makes matching quadratic
# (256 KiB of "a.a.a.a" would otherwise hold the server for minutes).
_PLACEHOLDER = r"(?-i:<[A-Z][A-Z0-9_]{0,62}>)"
_EMAIL = r"[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
_URL = r"(?:https?://|www\.)[^\s<>\"]{1,2048}"
# An IBAN has 15 to 34 characters, by fours if it is spaced. Past the bank's four letters each four holds a digit, which
# tells it from words after a code: "QR12 mais cela bloque".
_IBAN = (
    r"[a-z]{2}\d{2}(?:[a-z0-9]{4}(?=[a-z]{0,3}\d)[a-z0-9]{7,26}"
    r"| [a-z0-9]{4}(?: (?=[a-z]{0,3}\d)[a-z0-9]{4}){2,6}(?: (?=[a-z]{0,2}\d)[a-z0-9]{1,3})?"
    r"| \d{4} \d{4} \d{3})"  # Norway's, the shortest
)
# International, or national with one kind of separator: "05-11-2024 14" is a date. No country's code starts with 0, so
# the zeros before an order number are not a prefix.
_PHONE = (
    r"(?:\+[1-9](?:[ .()/-]{0,2}\d){7,13}|00[1-9](?:[ .()/-]{0,2}\d){8,13}"
    r"|0[1-9](?:(?: ?\d){8,9}|(?:\.?\d){8,9}|(?:-?\d){8,9}|(?:/\d\d){4}))"
)
_NUMBER = r"\d+(?:[.,:/]\d+)*"
MAX_CODE_DIGITS = 3  # 401, 503: longer numbers are of invoices, orders and people
_IS_CODE = re.compile(rf"<#(\d{{1,{MAX_CODE_DIGITS}}})>")
_LONG_RUN = re.compile(r"\d{5,}")
_DIGIT = re.compile(r"\d")

_SURROGATE = re.compile("[\ud800-\udfff]")
_IS_PLACEHOLDER = re.compile(_PLACEHOLDER)
_PERSONAL = (  # personal data that a tokeniser upstream may have let through as a token of its own
    (re.compile(_EMAIL), "<EMAIL>"),
    (re.compile(_IBAN), "<IBAN>"),
    (re.compile(_PHONE), "<PHONE>"),
)
_TOKENS = (
    rf"(?P<placeholder>{_PLACEHOLDER})"
    rf"|(?P<URL>{_URL})"
    # French drops the vowel before a vowel: "l'accès" is "le" + "accès", two words. Before EMAIL: "d'alice@mail.fr".
    rf"|(?P<elision>\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)'(?=\w|{_PLACEHOLDER}))"
    rf"|(?P<EMAIL>(?<![\w.+-]){_EMAIL})"
    rf"|(?P<IBAN>\b{_IBAN}\b)"
    rf"|(?P<PHONE>(?<!\w){_PHONE}(?!\w|:\d))"  # "05 11 2024 14:30" is a date
    rf"|(?P<NUM>(?<!\w){_NUMBER}(?!\w))"
    r"|(?P<word>WORD(?:'WORD)*)"  # "aujourd'hui" and "can't" stay whole
    # What a complaint, a question, a price or a smile ends on; other punctuation says little. ":)" can be all there is.
    r"|(?P<smile>(?<!\w)[:;=]['-]?[()dp/|](?!\w))"
    r"|(?P<sign>[!?€$£%\u2600-\u27bf\U0001f300-\U0001faff])"
)
_TOKEN = re.compile(_TOKENS.replace("WORD", r"\w+"), re.IGNORECASE)
# A word and the marks on its letters. Of a text without marks it finds what the one above does, and takes longer.
_MARKED_TOKEN = re.compile(_TOKENS.replace("WORD", WORD), re.IGNORECASE)


def _number(digits: str) -> str:
    """Return the mask of a number: <NUM> for one or two digits, else its shape, five digits at most in a row."""
    return "<NUM>" if len(digits) <= 2 else f"<{_DIGIT.sub('9', _LONG_RUN.sub('99999', digits))}>"


def _any_number(digits: str) -> str:  # noqa: ARG001  # every mask is called with the digits
    """Return the mask of a number before numbers kept their shape."""
    return "<NUM>"


def _as_it_is(text: str) -> str:
    return text


class Rules(NamedTuple):
    """One set of rules of text -> tokens -> n-grams: all that two sets may differ in.

    A further difference is a further field, whose default is what the earlier sets do.

    Attributes:
        number: of the set, as a manifest names it.
        words: finds the words of raw text; the name of the group that matched says what the word is.
        marked_words: the same where a text is not Latin alone; None: `words` does.
        personal: pattern -> placeholder, for a token that is personal data as a whole.
        mask_number: returns the placeholder of a number in raw text, given its digits and separators.
        plain: returns a raw text as its writer saw it, before words are looked for.
        without_unseen: returns a token without the characters that nobody sees.
        lower: returns a token in lower case.
        keeps_codes: whether a number of one to three digits is told from others of its shape, see `mask`.
        ngram_sizes: characters of an n-gram, in the order in which they are cut.
        max_ngrams: of a token; the rest is not read.
        max_tokens: of a ticket; the rest is not read, and the answer says how much.
        max_token_characters: of a token; a longer one is cut, and the answer counts it.
    """

    number: int
    words: re.Pattern[str] = _TOKEN
    marked_words: re.Pattern[str] | None = None
    personal: Sequence[tuple[re.Pattern[str], str]] = _PERSONAL
    mask_number: Callable[[str], str] = _number
    plain: Callable[[str], str] = _as_it_is
    without_unseen: Callable[[str], str] = _as_it_is
    lower: Callable[[str], str] = str.lower
    keeps_codes: bool = False
    ngram_sizes: tuple[int, ...] = NGRAM_SIZES
    max_ngrams: int = MAX_NGRAMS
    max_tokens: int = MAX_TOKENS
    max_token_characters: int = MAX_TOKEN_CHARACTERS


# Every set that a published version may name. Versions of old rules stay for years, so an entry is never removed.
RULES = {
    rules.number: rules
    for rules in (
        Rules(1, mask_number=_any_number),  # a price, a time and a spam's number were all one word
        Rules(2),  # a number keeps its shape: a quarter of a point more on a set of SMS (docs/LOG.md)
        # HTML and escapes are read, marks belong to their letter, runs without blanks are cut, codes have rows.
        Rules(3, marked_words=_MARKED_TOKEN, plain=plain, without_unseen=without_unseen, lower=lower, keeps_codes=True),
    )
}
NEWEST = RULES[max(RULES)]  # what a training reads by


def normalise(token: str, rules: Rules = NEWEST) -> str:
    """Return the spelling under which `token` is counted, looked up and hashed; "" if it is blank.

    NFC, lower case, white space folded, the apostrophe straight, without characters that nobody sees; a placeholder
    such as `<PRODUCT>` stays as it is; a token that is an e-mail address, an IBAN or a phone number becomes `<EMAIL>`,
    `<IBAN>` or `<PHONE>`, so that it is never stored. A token over 256 characters is cut. The result is its own
    spelling under the same rules: normalise(normalise(t)) == normalise(t).

    >>> normalise("  Mot de  Passe "), normalise("<PRODUCT>"), normalise("Jean.Dupont@mail.fr")
    ('mot de passe', '<PRODUCT>', '<EMAIL>')

    Raises:
        InvalidText: the token holds a NUL character or half of a surrogate pair.
    """
    _check(token)
    token = rules.without_unseen(token)[: rules.max_token_characters]
    token = unicodedata.normalize("NFC", token).replace(CURVED, "'")
    token = " ".join(token.split())
    if _IS_PLACEHOLDER.fullmatch(token):
        return token
    # Lower case can undo NFC and lengthen ("İ" becomes two characters), so compose and cut once more.
    token = unicodedata.normalize("NFC", rules.lower(token))[: rules.max_token_characters]
    # A joiner at the cut joins nothing. Marks that one held apart stand side by side without it, perhaps in another
    # order than NFC has them in; and in that order another joiner may join nothing.
    while (seen := rules.without_unseen(token)) != token:
        token = unicodedata.normalize("NFC", seen)
    token = token.rstrip()
    for pattern, placeholder in rules.personal:
        if pattern.fullmatch(token):
            return placeholder
    return token


def split(text: str, rules: Rules = NEWEST) -> list[str]:
    """Return the words of raw text as they are spelled there, in order; numbers and addresses are masked.

    Of a number its shape is left: <9,99> is a price, <99:99> a time, and a spam's <99999> is no <NUM> of days. It says
    nothing of whom the number is about, and on a set of SMS it is worth a quarter of a point (docs/LOG.md). One of one
    to three digits without separators is still told from others of its shape (<#401>), see `mask`.

    Raises:
        InvalidText: the text holds a NUL character or half of a surrogate pair.
    """
    _check(text)
    text = unicodedata.normalize("NFC", rules.plain(text)).replace(CURVED, "'")
    text = text.replace("\u00a0", " ").replace("\u202f", " ")  # French spaces that do not break, as in a pasted number
    pattern = rules.words
    if rules.marked_words is not None and not is_latin(text):
        pattern = rules.marked_words
    words = []
    for match in pattern.finditer(text):
        group = match.lastgroup
        assert group is not None, "every alternative of `words` is a named group; this is our bug"
        if group == "NUM":
            number = match.group()
            is_code = rules.keeps_codes and len(number) <= MAX_CODE_DIGITS and _stands_alone(number, text, match)
            words.append(f"<#{_ascii(number)}>" if is_code else rules.mask_number(number))
        else:
            words.append(f"<{group}>" if group.isupper() else match.group())
    return words


def _stands_alone(number: str, text: str, match: re.Match[str]) -> bool:
    """Return whether a number has no separators: it is none of the parts of 1,5 or 05-11-2024."""
    if not number.isdecimal():
        return False
    before, after = text[max(0, match.start() - 2) : match.start()], text[match.end() : match.end() + 2]
    return not (before[1:] == "-" and before[0].isdecimal()) and not (after[:1] == "-" and after[1:].isdecimal())


def _ascii(digits: str) -> str:
    """Return digits of any script as 0 to 9."""
    return digits if digits.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in digits)


def is_code(token: str) -> bool:
    """Return whether a token is a short number that is told from others of its shape, as rules 3 write it."""
    return token.startswith("<#") and _IS_CODE.fullmatch(token) is not None


def mask(token: str, rules: Rules = NEWEST) -> str:
    """Return the shape of a short number, by which it is read where it has no row; any other token as it is.

    >>> mask("<#401>"), mask("<#10>"), mask("erreur")
    ('<999>', '<NUM>', 'erreur')
    """
    return rules.mask_number(token[2:-1]) if rules.keeps_codes and is_code(token) else token


def tokenize(text: str, rules: Rules = NEWEST) -> list[str]:
    """Return the words of raw text, each in its normalised spelling; see `split`.

    >>> tokenize("L’accès à <PRODUCT> échoue depuis 3 jours, écrivez à a.b@c.fr !")
    ["l'", 'accès', 'à', '<PRODUCT>', 'échoue', 'depuis', '<#3>', 'jours', 'écrivez', 'à', '<EMAIL>', '!']

    Raises:
        InvalidText: as `split`.
    """
    return [normalise(word, rules) for word in split(text, rules)]


def _check(text: str) -> None:
    """Refuse what no text has and what UTF-8 cannot carry."""
    if "\0" in text:
        raise InvalidText("nul-character")
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidText("lone-surrogate")


def ngrams(token: str, num_buckets: int, rules: Rules = NEWEST) -> list[int]:
    """Return the rows of the n-gram table that stand for `token`: 1 to 24 numbers in 1..num_buckets.

    The first 24 pieces of `<token>`, short ones first, each hashed with CRC-32 of its UTF-8 bytes (ISO 3309, as in
    zlib: in the standard library, in C, and the same on every machine). Row 0 is left for padding.

    >>> ngrams("a", 20000) == [1 + zlib.crc32(b"<a>") % 20000]
    True

    Args:
        token: a normalised, non-blank token.
        num_buckets: size of the hash table; two pieces that share a row are rare and do little harm.
        rules: of the model; the numbers above are those of the newest.
    """
    # A short number has the pieces of its shape: 401 and 408 are no more alike than 401 and 503.
    marked = f"<{mask(token, rules)}>"
    pieces = [marked[i : i + size] for size in rules.ngram_sizes for i in range(len(marked) - size + 1)]
    return [gram_row(piece, num_buckets) for piece in pieces[: rules.max_ngrams]]


def gram_row(piece: str, num_buckets: int) -> int:
    """Return the row of the n-gram table that stands for a piece of a token."""
    return 1 + zlib.crc32(piece.encode()) % num_buckets
