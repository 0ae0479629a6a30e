"""From HTML to text: what a reader sees, line by line.

In: the HTML of a mail, or of any field that holds HTML. Out: its text (`html_to_text`), or that text with a mark on a
line of its own wherever a quote or a signature begins and ends (`read_marked`; lines.py reads the marks).

The idea: a kept library (resiliparse) parses and lays out; this file says to it what is not shown, and writes the marks
into the tree as elements before the text is taken out, once. So an answer between two quotes stays where it stands, and
the words of a quoted header still reach those who know such headers. What is hidden is found by what hides it: an
attribute, a style of its own or of a class, no size, the colour of its ground.

Pictures that are pasted as `data:` addresses, styles and comments go before any limit: they are most of such a page.
The calls of the library hold the GIL, so parts.py bounds what they get.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from artifacts.mail import lines
from artifacts.mail.decoding import CLEAN, TIDY

if TYPE_CHECKING:
    from resiliparse.parse.html import HTMLTree

MAX_MARKED = 100  # elements of one kind that get marks; the outermost come first, and hold the others
MAX_STYLES = 2000  # elements whose style is looked at, and rules of a style sheet
MAX_ANCESTORS = 30  # that are asked for the colour of the ground
MAX_CSS_CHARACTERS = 64 * 1024

# CSS selectors of what mail programs write. Of a container in which blockquotes stand side by side with something else
# (Gmail's, Proton's, Yahoo's), the blockquotes are the quotes and the rest is the author's answers.
CONTAINERS = (
    "div.gmail_quote", "div.gmail_quote_container", "div.yahoo_quoted", 'div[id*="yahoo_quoted"]',
    "div.protonmail_quote", "div.tutanota_quote", "div.zmail_extra", "div.moz-forward-container",
)  # fmt: skip
# Gmail's indentation is a blockquote without a border; of other blockquotes a reply's header must say whose they are.
_INDENTED = ':not([style*="border:none" i]):not([style*="border: none" i])'
QUOTES = tuple(
    f"blockquote{mark}" for mark in ("[type]", "[cite]", '[class*="mail" i]', '[class*="cite" i]', ".tutanota_quote")
)
INTROS = (".gmail_attr", ".moz-cite-prefix", "#reply-intro")
# All that follows is the quoted mail. The style is the border that Outlook draws above a quoted header.
RESTS = (
    "#divRplyFwdMsg", "#appendonsend", "#x_divRplyFwdMsg", "#OLK_SRC_BODY_SECTION", "hr#zwchr",
    '[data-marker="__QUOTED_TEXT__"]', '[data-marker="__HEADERS__"]', "#mail-editor-reference-message-container",
    ".ms-outlook-mobile-reference-message", 'div[style*="border:none;border-top:solid #"][style*="padding:3.0pt 0"]',
)  # fmt: skip
SIGNATURES = (
    ".gmail_signature", '[data-smartmail="gmail_signature"]', ".moz-signature", "#Signature", "#signature",
    "#ms-outlook-mobile-signature", ".protonmail_signature_block", "#AppleMailSignature", "[data-signatureblock]",
    '[data-marker="__SIG_POST__"]', '[data-marker="__SIG_PRE__"]', "#ymail_android_signature", ".tutanota_signature",
    '[id*="yahoo_signature"]',
)  # fmt: skip
_CONTAINERS, _QUOTES, _INTROS = ", ".join(CONTAINERS), ", ".join(QUOTES), ", ".join(INTROS)
_ANY_QUOTE = ", ".join((f"blockquote{_INDENTED}", *CONTAINERS, *INTROS, *RESTS))
# What must be in the page for one of these to match: looking for it costs less than asking the tree.
_HINTS = ("quot", "_attr", "moz-", "reply-intro", "rplyfwd", "appendonsend", "olk_src", "zwchr", "data-marker",
          "zmail", "reference-message", "border-top:solid")  # fmt: skip
_SIGNATURE_HINTS = ("signature", "__sig_")
_HIDDEN_MARK, _OPEN_MARK = "data-puppet-hidden", "data-puppet-open"  # attributes of our own
HIDDEN = ("title", "[hidden]", f"[{_HIDDEN_MARK}]")

_DATA_URI = re.compile(r"(?<=[\"'=( ])data:[\w/.+;=-]{0,100}+,[^\"'<>)]*+")
_STYLE, _STYLE_END = re.compile(r"<style\b", re.IGNORECASE), re.compile(r"</style\s*+>?", re.IGNORECASE)
_HIDES = re.compile(
    r"(?:display\s*+:\s*+none|visibility\s*+:\s*+(?:hidden|collapse)|mso-hide\s*+:\s*+all"
    r"|(?<![\w-])opacity\s*+:\s*+0(?:\.0++)?\s*+(?:;|!|$)|text-indent\s*+:\s*+-\d{3,}|left\s*+:\s*+-\d{3,}"
    r"|(?<![\w-])color\s*+:\s*+transparent|(?<![\w-])clip\s*+:\s*+rect\(\s*+0)",
    re.IGNORECASE,
)
# A table with letters of no size is a trick of layout: its cells have their own. So this hides only if none has.
_NO_SIZE = re.compile(r"font-size\s*+:\s*+(?:0*+(?:\.0++)?(?:px|pt|em|rem|%)?|1px)\s*+(?:;|!|$)", re.IGNORECASE)
_NO_HEIGHT = re.compile(r"(?<![\w-])(?:max-)?(?:height|width)\s*+:\s*+0(?:px|pt|em)?\s*+(?:;|!|$)", re.IGNORECASE)
_CLIPS = re.compile(r"overflow\s*+:\s*+hidden", re.IGNORECASE)
_COLOUR = re.compile(r"(?<![\w-])color\s*+:\s*+([#\w(),. %]{1,40})", re.IGNORECASE)
_GROUND = re.compile(r"background(?:-color)?\s*+:\s*+([#\w(),. %]{1,40})", re.IGNORECASE)
_WHITE = frozenset(("#fff", "#ffffff", "white", "rgb(255,255,255)", "#fefefe", "#fffffe"))
_MAY_HIDE = re.compile(
    r"font-size\s*+:\s*+(?:0|1px|\.0)|(?:height|width)\s*+:\s*+0|(?<![\w-])color\s*+:\s*+(?:#f|white|rgb\(255)|background",
    re.IGNORECASE,
)
_SHEET = re.compile(r"<style>([^<]*+)</style>")  # what `shrink` leaves of the style sheets, at the beginning
# What hides, as it is written without blanks: most pages have none of it, and are asked no more.
_HIDE_HINTS = (
    "display:none", "visibility:", "mso-hide", "opacity:0", "transparent", "indent:-", "left:-", "rect(0",
    "font-size:0", "font-size:.0", "font-size:1px", "height:0", "width:0", "color:#f", "color:white", "color:rgb(255",
    "background",
)  # fmt: skip
_JOINERS: dict[int, str | None] = {0x200C: "\u200c", 0x200D: "\u200d"}  # that decoding.py leaves out of a mail
_SELECTOR = re.compile(r"\s*+[\w*]*+([.#])([\w-]{1,100})\s*+")


def html_to_text(html: str, max_characters: int | None = None, keeps_joiners: bool = False) -> str:
    """Return what a reader sees of HTML: a line a paragraph, no markup, nothing that is hidden.

    For any text that may hold HTML, such as a field of a ticket; the caller bounds its size (128 KiB take 10 ms, or
    0.15 s if they are made to be slow).

    Args:
        html: the page.
        max_characters: of it are read, once styles, comments and pasted pictures are out; None: all.
        keeps_joiners: whether the two zero-width joiners stay, which Persian and Hindi write words with.

    >>> html_to_text("<style>p {color: red}</style><p>The V<b>P</b>N&nbsp;is down.</p><p hidden>Buy!</p>")
    'The VPN is down.'
    """
    kept = _JOINERS if keeps_joiners else {}
    tree = _parsed(shrink(html).translate(CLEAN | kept)[:max_characters])
    return _text(tree, TIDY | kept).strip("\n") if tree is not None else ""


def read_marked(html: str) -> str:
    """Return the text of a mail's HTML, with the marks of lines.py round quotes, their introductions and signatures.

    Args:
        html: what `shrink` left of it.
    """
    tree = _parsed(html)
    if tree is None:
        return ""
    folded = html.lower()
    if any(hint in folded for hint in _HINTS):
        _mark_quotes(tree)
    if any(hint in folded for hint in _SIGNATURE_HINTS):
        _mark(tree, SIGNATURES, lines.SIGNATURE_OPEN, lines.SIGNATURE_CLOSE)
    return _text(tree)


def _parsed(html: str) -> "HTMLTree | None":
    """Return the tree of what `shrink` left, its hidden elements marked; None if it shows nothing."""
    from resiliparse.parse.html import HTMLTree  # here, because a server that gets no mail need not load it

    sheet = _SHEET.match(html)
    tree = HTMLTree.parse(html[sheet.end() :] if sheet else html)
    if tree.body is None:
        return None
    _mark_hidden(tree.body, sheet[1] if sheet else "", _may_hide(html))
    return tree


def _may_hide(text: str) -> bool:
    """Return whether a page or a style sheet has something that may hide."""
    folded = text.lower().replace(" ", "")
    return any(hint in folded for hint in _HIDE_HINTS)


def shrink(html: str) -> str:
    """Return HTML without its pasted pictures, comments and styles; what they hide gets the attribute `hidden`.

    Linear in the page: what has no end is left to the parser.
    """
    if "data:" in html:
        html = _DATA_URI.sub("", html)
    css: list[str] = []
    if "<st" in html or "<ST" in html or "<St" in html:
        html = _without_styles(html, css)
    if "<!--" in html:
        html = _without_comments(html)
    sheet = "\n".join(css)[:MAX_CSS_CHARACTERS]
    hidden = _hidden_by_rules(sheet) if _may_hide(sheet) else []
    # The page is still text: what its style sheet hides travels on as a tiny sheet of its own.
    return f"<style>{','.join(hidden)}</style>{html}" if hidden else html


def _without_styles(html: str, css: list[str]) -> str:
    kept: list[str] = []
    place = 0
    while match := _STYLE.search(html, place):
        end = _STYLE_END.search(html, match.end())
        if end is None:
            break
        kept.append(html[place : match.start()])
        css.append(html[match.end() : end.start()].partition(">")[2])
        place = end.end()
    return "".join(kept) + html[place:]


def _without_comments(html: str) -> str:
    kept: list[str] = []
    place = 0
    while (start := html.find("<!--", place)) >= 0:
        end = html.find("-->", start + 2)
        if end < 0:
            break
        kept.append(html[place:start])
        place = end + 3
    return "".join(kept) + html[place:]


def _hidden_by_rules(css: str) -> list[str]:
    """Return the classes and ids, as selectors, that a style sheet hides on every screen."""
    found: list[str] = []
    depth, start, selectors = 0, 0, ""
    for number, brace in enumerate(re.finditer("[{}]", css)):
        if number > 2 * MAX_STYLES:
            break
        if brace[0] == "{":
            if depth == 0:
                selectors, start = css[start : brace.start()], brace.end()
            depth += 1
            continue
        depth = max(0, depth - 1)
        if depth:
            continue
        rule, start = css[start : brace.start()], brace.end()
        if "@" not in selectors and "{" not in rule and (_HIDES.search(rule) or _NO_SIZE.search(rule)):
            found += [f"{match[1]}{match[2]}" for match in map(_SELECTOR.fullmatch, selectors.split(",")) if match]
    return found[:MAX_MARKED]


def _mark_hidden(body: Any, selectors: str, may_hide: bool) -> None:
    """Give what cannot be seen an attribute by which it is skipped.

    Args:
        body: the element that is shown.
        selectors: what its style sheet hides.
        may_hide: a style of an element may hide too.
    """
    # The list is taken whole before anything changes: an element that is taken away would leave holes in it.
    found = body.query_selector_all(selectors).values()[:MAX_STYLES] if selectors else []
    num_asked = 0
    for node in body.query_selector_all("[style]").values()[:MAX_STYLES] if may_hide else ():
        style = node.getattr("style") or ""
        if _HIDES.search(style):
            found.append(node)
        elif num_asked < MAX_MARKED and _MAY_HIDE.search(style):  # this one asks the elements in it and round it
            num_asked += 1
            if _is_invisible(node, style):
                found.append(node)
    for node in found:
        node[_HIDDEN_MARK] = ""


def _is_invisible(node: Any, style: str) -> bool:
    """Return whether an element has no size, or the colour of its ground."""
    if _NO_SIZE.search(style):
        return node.query_selector('[style*="font-size" i]') is None
    if _NO_HEIGHT.search(style) and _CLIPS.search(style):
        return True
    colour = _COLOUR.search(style)
    if colour is None:
        return False
    ink, ground = _folded(colour[1]), _GROUND.search(style)
    if ground is not None:
        return ink == _folded(ground[1])
    return ink in _WHITE and node.query_selector('[style*="color" i]') is None and _is_on_white(node)


def _is_on_white(node: Any) -> bool:
    """Return whether no element round this one has a ground of another colour than white."""
    for _ in range(MAX_ANCESTORS):
        node = node.parent
        if node is None or node.tag in (None, "html", "#document"):
            return True
        attributes = {name.lower(): node.getattr(name, "") or "" for name in node.attrs}
        ground = _GROUND.search(attributes.get("style", ""))
        colour = ground[1] if ground else attributes.get("bgcolor", "")
        if "background" in attributes or (colour and _folded(colour) not in _WHITE):
            return False
    return False


def _folded(colour: str) -> str:
    return "".join(colour.lower().split()).removesuffix("!important")


def _mark_quotes(tree: "HTMLTree") -> None:
    """Put marks round what is quoted, what introduces it, and where all the rest is quoted."""
    body: Any = tree.body
    # One search of the tree for all kinds, since it costs more than to ask the few elements that it finds.
    # `values`: iterating over the list itself costs a search per element.
    found = body.query_selector_all(_ANY_QUOTE).values()[: 3 * MAX_MARKED]
    blockquotes = [node for node in found if node.tag == "blockquote"]
    for node in blockquotes:
        if node.parent.matches(_CONTAINERS):
            node.parent[_OPEN_MARK] = ""
    has_rest = False
    for node in found:
        if node.tag == "blockquote":
            is_known = node.matches(_QUOTES)
            marks = (lines.QUOTE_OPEN, lines.QUOTE_CLOSE) if is_known else (lines.BARE_OPEN, lines.BARE_CLOSE)
        elif node.matches(_INTROS):
            marks = (lines.INTRO_OPEN, lines.INTRO_CLOSE)
        elif node.matches(_CONTAINERS):
            if node.hasattr(_OPEN_MARK):
                continue
            marks = (lines.QUOTE_OPEN, lines.QUOTE_CLOSE)
        else:
            if not has_rest:
                node.before(_element(tree, lines.REST))
            has_rest = True
            continue
        node.before(_element(tree, marks[0]))
        node.after(_element(tree, marks[1]))


def _mark(tree: "HTMLTree", selectors: Sequence[str], start: str, end: str) -> None:
    body: Any = tree.body
    # `values`: iterating over the list itself costs a search per element.
    for node in body.query_selector_all(", ".join(selectors)).values()[:MAX_MARKED]:
        node.before(_element(tree, start))
        node.after(_element(tree, end))


def _element(tree: "HTMLTree", mark: str) -> Any:
    element: Any = tree.create_element("div")
    element.text = mark
    return element


def _text(tree: "HTMLTree", tidy: Mapping[int, str | None] = TIDY) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    found = extract_plain_text(
        tree, main_content=False, list_bullets=False, alt_texts=False, links=False, noscript=True,
        skip_elements=[*HIDDEN],
    )  # fmt: skip
    return found.translate(tidy)
