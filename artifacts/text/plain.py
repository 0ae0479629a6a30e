r"""From raw text as a system exports it to the text that its writer saw.

In: a ticket's raw text. Out: the same without what a program put in: HTML, entities (&eacute;), line ends written as
the two characters \n, the _x000D_ of Excel, characters that nobody sees. tokens.py calls it before it looks for words,
in training and in every search alike.

The idea: a text without "<", "&", "\" and "_x00" is looked at four times, and nothing else is done. In others what is
certain is read, and what is doubtful stays. "a < b", "<3", List<String>, a path such as C:\new and the error message of
a program in XML are words that somebody wrote; to lose them is worse than to read "div" as a word.

HTML is what has the form of HTML: known tags in pairs, or line breaks, and not a tag that somebody mentions; `is_html`
says which. It goes through the reader that e-mails have (artifacts/mail/markup.py), which bounds what it costs.
"""

import html
import re
import unicodedata

from artifacts.mail.markup import html_to_text, shrink
from artifacts.text.scripts import cut_runs, is_latin, without_unseen

MAX_LEVELS = 3  # HTML as it is, escaped (&lt;p&gt;), and escaped twice (&amp;lt;p&amp;gt;)
MAX_HTML_CHARACTERS = 128 * 1024  # without styles and pictures; as of an e-mail, and far more than 512 words
MIN_BREAKS = 2  # of line breaks without a word next to them; one may be a mention

# The elements of HTML 5 and 4, and of what Word writes (<o:p>, <v:shape>).
_NAMES = (
    "a|abbr|acronym|address|article|aside|b|base|basefont|bdi|bdo|big|blockquote|body|br|"
    "button|caption|center|cite|code|col|colgroup|dd|del|details|dfn|dir|div|dl|dt|em|"
    "fieldset|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|"
    "input|ins|kbd|label|legend|li|link|main|map|mark|menu|meta|nav|noscript|object|ol|"
    "optgroup|option|p|param|picture|pre|q|s|samp|script|section|select|small|source|span|"
    "strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|"
    "thead|time|title|tr|tt|u|ul|var|video|wbr"
    "|(?:[ovwxm]|st1):[a-z]{1,40}"
)
_KNOWN = re.compile(_NAMES, re.IGNORECASE)
_TAG = re.compile(r"<(?P<closes>/?)(?P<name>[a-zA-Z][\w:.-]{0,60})(?P<rest>(?:[\s/][^<>]*)?)>")
_DOCUMENT = re.compile(r"\s*(?:<\?xml[^<>]*>\s*)?(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE)
# Of elements that stand within a line. In the midst of a text these are letters in bold; others are a quoted snippet.
_INLINE = frozenset(
    ("a", "abbr", "b", "big", "br", "code", "em", "font", "i", "img", "mark", "s", "small", "span", "strike", "strong",
     "sub", "sup", "tt", "u")
)  # fmt: skip
# Of these a closing tag may be missing, or has to be.
_NO_END = frozenset(("br", "hr", "img", "p", "li", "tr", "td", "th", "dd", "dt", "wbr", "input"))
_PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]{0,62})>")
# A "<" that begins no tag, closing tag, comment or instruction.
_NO_TAG = re.compile(rf"<(?!/?(?:{_NAMES})(?:[\s/>])|!--|!doctype|!\[|\?)", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_HIDDEN = re.compile(r"&lt;([A-Z][A-Z0-9_]{0,62})&gt;")  # a placeholder

_CHUNK = re.compile(r"\S+")
_LINE_END = re.compile(r"(?<!\\)\\++[nrt]")
# A backslash in these is one that somebody means. A drive, a share, a variable; a further name of a path; a name with a
# suffix at its end; DOMAIN\user.
_PATH = re.compile(
    r"(?<![^\W_])[a-zA-Z]:\\|^[\"'(<\[]*\\\\[\w.$-]+\\\w|%\w+%\\"
    r"|\\(?!u[0-9a-fA-F]{4})(?![nrt])[\w.$%-]"
    r"|\\[\w-]+\.(?:[a-z]{2,4}|[A-Z]{2,4}|mp[34]|7z)\W*$"
    r"|^[\"'(<\[]*[A-Z][A-Z0-9-]{1,30}\\[nrt][a-z0-9._-]*\W*$"
)
_EXCEL_ESCAPE = re.compile("_x00[01][0-9a-fA-F]_")


def plain(text: str) -> str:
    r"""Return raw text as its writer saw it, with runs without blanks cut (scripts.py).

    >>> plain("<p>L'&eacute;cran<br>est noir</p>"), plain(r"Bonjour,\nmerci"), plain(r"C:\new < D:\temp")
    ("L'écran\nest noir", 'Bonjour, merci', 'C:\\new < D:\\temp')
    """
    if "<" in text or "&" in text:
        text = _without_markup(text)
    if "_x00" in text:
        text = _EXCEL_ESCAPE.sub(" ", text)
    if "\\" in text and _LINE_END.search(text):
        text = _CHUNK.sub(_with_line_ends, text)
    if is_latin(text):
        return text
    # What is not seen goes first: between a letter and its accent it would keep the two apart.
    return cut_runs(unicodedata.normalize("NFC", without_unseen(text)))


def _without_markup(text: str) -> str:
    """Return a text without HTML and entities, if it has such, also where a program has escaped it again.

    A text that spells a letter or a sign as an entity is escaped as a whole. One with nothing but &lt; &gt; &amp; stays
    as it is, but for placeholders: "&lt;#&gt;" says that somebody took a number out, and of "<#>" no word would be
    left (docs/LOG.md).

    >>> _without_markup("L&#39;&amp;eacute;cran &amp; co"), _without_markup("&lt;PRODUCT&gt; a &lt;#&gt; alertes")
    ("L'écran & co", '<PRODUCT> a &lt;#&gt; alertes')
    """
    seen, spells = text, False
    for _ in range(MAX_LEVELS):
        if "<" in seen and is_html(seen):
            seen = html_to_text(_without_false_tags(seen), max_characters=MAX_HTML_CHARACTERS, keeps_joiners=True)
            return _ENTITY.sub(_character, seen) if "&" in seen else seen
        spells = spells or any(_character(found) not in (found[0], "<", ">", "&") for found in _ENTITY.finditer(seen))
        if "&" not in seen or (unescaped := _ENTITY.sub(_character, seen)) == seen:
            break
        seen = unescaped
    return seen if spells else _HIDDEN.sub(r"<\1>", text)


def is_html(text: str) -> bool:
    """Return whether a text has the form of HTML, and does not just mention a tag.

    It has if it is a document; if it has line breaks; if it begins or ends with a tag and has a pair of them; or if
    words in it stand in a pair (<b>such</b>). It has not if most pairs are of another language (XML).

    >>> [is_html(one) for one in ("<p>Hello</p>", "Hello,<br>thanks", "the <p> tag", "a <b and c> d", "List<String> x")]
    [True, True, False, False, False]
    """
    if _DOCUMENT.match(text):
        return True
    if "<!--" in text:  # Word puts XML into comments
        text = shrink(text)
    opened: set[str] = set()  # names of tags, known ones in lower case
    num_pairs = num_tight = num_foreign = num_breaks = 0
    first = last = None
    for tag in _TAG.finditer(text):
        name = tag["name"].lower()
        if name == "xml":  # an island of it stands in what Outlook writes
            continue
        if not _KNOWN.fullmatch(name):
            num_foreign += bool(tag["closes"]) and name in opened
        else:
            first, last = first or tag, tag
            if name in ("br", "hr"):
                num_breaks += MIN_BREAKS if _is_tight(text, tag) else 1
            elif tag["closes"] and name in opened:
                num_pairs += 1
                num_tight += name in _INLINE and not text[tag.start() - 1].isspace()
        opened.add(name)
    if first is None or last is None or num_foreign * 4 > num_pairs:
        return False
    # XML and placeholders are out of the way: what is left is HTML, or words about HTML.
    is_edge = not text[: first.start()].strip() or not text[last.end() :].strip()
    return num_breaks >= MIN_BREAKS or num_tight > 0 or (num_pairs > 0 and is_edge)


def _is_tight(text: str, tag: re.Match[str]) -> bool:
    """Return whether a line break stands right after a word or its sign, or right before a word or a tag."""
    before, after = text[tag.start() - 1 : tag.start()], text[tag.end() : tag.end() + 1]
    return before.isalnum() or before in tuple(".,;:!?)>") or after.isalnum() or after == "<"


def _without_false_tags(text: str) -> str:
    """Return HTML in which what is no tag of HTML is text: <PRODUCT>, <jean@mail.fr>, "a < b"."""

    def kept(found: re.Match[str]) -> str:
        # <ADDRESS> is an element, and what a support team masks an address with. An element is closed somewhere.
        name = found[1].lower()
        is_element = _KNOWN.fullmatch(name) and (name in _NO_END or f"</{found[1]}" in text)
        return found[0] if is_element else f"&lt;{found[1]}&gt;"

    return _NO_TAG.sub("&lt;", _PLACEHOLDER.sub(kept, text))


def _character(entity: re.Match[str]) -> str:
    """Return what a whole entity stands for; one that HTML does not know stays."""
    # One at a time and with its semicolon: Python's own function also reads the "&copy" of "?a=1&copy=2".
    found = html.unescape(entity[0])
    return entity[0] if found.endswith(";") and len(found) > 1 else found


def _with_line_ends(chunk: re.Match[str]) -> str:
    r"""Return what stands between two blanks with a blank for each \n, \r and \t, unless it is a path."""
    if "\\" not in chunk[0] or _PATH.search(chunk[0]):
        return chunk[0]
    return _LINE_END.sub(" ", chunk[0])
