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
    return entity[0] if found.endswith(";") and len(found) > 1 else found


def _with_line_ends(chunk: re.Match[str]) -> str:
    r"""Return what stands between two blanks with a blank for each \n, \r and \t, unless it is a path."""
    if "\\" not in chunk[0] or _PATH.search(chunk[0]):
        return chunk[0]
    return _LINE_END.sub(" ", chunk[0])
