"""The page of a type: whole, in its language, and safe whatever stands in the sentences."""

import re
from html.parser import HTMLParser

import pytest

from artifacts.problems.page import page_of
from artifacts.problems.sentences import LANGUAGES, Language, Sentence, parameters_of, sentences


class Text(HTMLParser):
    """Reads the text and the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and its attributes."""
        self.tags += [tag, *(name for name, _ in attrs)]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


def read(page: bytes) -> Text:
    """Return what a browser reads in a page."""
    text = Text()
    text.feed(page.decode())
    return text


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_of_each_type_is_whole(language: Language) -> None:
    """Every type has a page with its address, its title, its members, its statuses and no place left to fill."""
    assert len(sentences(language)) > 100
    for type_, sentence in sentences(language).items():
        found = read(page_of(type_, [404, 409], language))

        assert {f"/problems/{type_}", "404, 409"} <= set(found.text.split("\n"))
        assert sentence.title in found.text
        assert sentence.seed in found.text
        members = re.search(r"type, title, status, detail(.*)", found.text)
        assert members is not None
        assert sorted(members[1].removeprefix(", ").split(", ")) == sorted(parameters_of(sentence) or {""})
        assert "$" not in found.text
        assert "{" not in re.sub(r"/jobs/\{job\}|\{\"category\".*?\}", "", found.text)
        assert not {"script", "style", "img", "a", "href", "src", "link"} & set(found.tags)


def test_page_names_parameters_and_languages_differ() -> None:
    """The sentence has the name of a parameter where an answer has its value."""
    english, french = (read(page_of("server-full", [503], language)).text for language in LANGUAGES)

    assert "num_tokens tokens would wait, the limit is limit_tokens" in english
    assert "avec cette requête, num_tokens tokens attendraient" in french
    assert "retry in 1 s" in english
    assert "réessayez dans 1 s" in french


def test_page_escapes_what_stands_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence is text: what looks like a tag is shown, and runs nothing."""
    words = {"odd": Sentence(title="<b>&", fact="<script>{n!r}</script>", remedy='"$type"')}
    monkeypatch.setattr("artifacts.problems.page.sentences", lambda _: words)

    page = page_of("odd", [], "en").decode()

    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;<var>n</var>&lt;/script&gt;" in page
    assert "\u2014" in page  # no status
