"""The files of the page: what is served, under which policy, and what is vendored."""

import hashlib
import json
import re
import string
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference.page.files import POLICY, TYPES, page_files
from tests.inference.helpers import check_problem

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[3] / "inference" / "page"
VENDOR = PAGE / "vendor"
OWN = sorted(path for path in PAGE.rglob("*") if path.suffix in (".js", ".css", ".html") and VENDOR not in path.parents)
BUDGET_LINES = 1650  # of code: neither blank nor a comment
WORDS: dict[str, dict[str, Any]] = {
    language: json.loads((PAGE / "words" / f"{language}.json").read_text("utf-8")) for language in ("en", "fr")
}


@pytest.mark.parametrize("name", sorted(page_files()))
async def test_each_file_is_served_under_the_policy(client: httpx.AsyncClient, name: str) -> None:
    """A file comes as it is, of its type, under the policy of the page; HEAD tells the same without it."""
    address = "/ui/" if name == "index.html" else f"/ui/{name}"
    answer, head = await client.get(address), await client.head(address)

    assert answer.status_code == head.status_code == 200
    assert answer.content == (PAGE / name).read_bytes()
    assert head.content == b""
    assert answer.headers["content-type"].partition(";")[0] == TYPES[name.rpartition(".")[2]]
    for headers in (answer.headers, head.headers):
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cache-control"] == "no-cache"
        assert "set-cookie" not in headers


async def test_file_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """With the ETag of its copy a browser is answered 304, under the same policy; with another one it gets the file."""
    etag = (await client.get("/ui/main.js")).headers["etag"]

    same = await client.get("/ui/main.js", headers={"If-None-Match": f'"other", {etag}'})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["content-security-policy"] == POLICY
    assert (await client.get("/ui/main.js", headers={"If-None-Match": '"other"'})).status_code == 200


@pytest.mark.parametrize("address", ["/", "/ui"])
async def test_server_itself_leads_to_the_page(client: httpx.AsyncClient, address: str) -> None:
    """Who asks for the server, or for /ui without its slash, is led to /ui/; relatively, so that a prefix stays."""
    answer = await client.get(address)

    assert (answer.status_code, answer.headers["location"]) == (307, "ui/")


@pytest.mark.parametrize(
    "name", ["other.js", "vendor/vendor.toml", "vendor/htm.LICENSE", "../app.py", "words", "%2e%2e/app.py"]
)
async def test_no_other_file_is_served(client: httpx.AsyncClient, name: str) -> None:
    """A path that is none of the page's files is no route, whatever lies on the disk."""
    check_problem(await client.get(f"/ui/{name}"), 404)


async def test_page_is_open_and_takes_no_body(client: httpx.AsyncClient) -> None:
    """The page needs no token, and nothing can be sent to it."""
    assert (await client.get("/ui/", headers={"Authorization": "Bearer wrong"})).status_code == 200
    check_problem(await client.post("/ui/", content=b"x"), 405)


def test_vendored_files_are_what_the_list_says() -> None:
    """Each file of others has the SHA-256 of the list, its licence lies beside it, and there is no further one."""
    packages = tomllib.loads((VENDOR / "vendor.toml").read_text("utf-8"))["package"]
    files = {file["name"]: file["sha256"] for package in packages for file in package["files"]}

    assert set(files) | {"vendor.toml"} == {path.name for path in VENDOR.iterdir()}
    for name, digest in files.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, f"{name}: run `make vendor`"
    for package in packages:
        assert package["licence"] in ("Apache-2.0", "MIT")
        assert any(file["name"].endswith(".LICENSE") for file in package["files"])
        assert package["version"] in package["url"]


def test_words_are_the_same_in_both_languages() -> None:
    """A key stands in both files, with the same parameters, and a plural has its forms; no word is empty."""
    assert WORDS["en"].keys() == WORDS["fr"].keys()
    for key, english in WORDS["en"].items():
        french = WORDS["fr"][key]
        assert isinstance(english, dict) == isinstance(french, dict), key
        assert named(english) == named(french), key
        for text in (english, french):
            forms = list(text.values()) if isinstance(text, dict) else [text]
            assert all(form.strip() for form in forms), key
            assert not isinstance(text, dict) or text.keys() == {"one", "other"}, key


def named(text: str | dict[str, str]) -> set[str]:
    """Return the parameters of a word; "one" may leave out the number that it says in words."""
    told = text["other"] if isinstance(text, dict) else text
    return {name for _, name, _, _ in string.Formatter().parse(told) if name}


def test_every_word_that_the_page_asks_for_is_there() -> None:
    """Each key that stands in the code is in the files of words, and each word's beginning stands in the code."""
    code = "\n".join(path.read_text("utf-8") for path in OWN if path.suffix == ".js")
    # words("a.b") and, for a key that is put together, words(`a.${b}`): its beginning.
    whole = set(re.findall(r'"([a-z]+(?:\.[\w.-]+)?)"', code))
    begun = set(re.findall(r"`([a-z]+(?:\.[\w-]+)*\.)\$\{", code)) | {
        f"{path.stem}." for path in (PAGE / "screens").iterdir()
    }
    asked = set(re.findall(r'words\("([^"]+)"', code))

    assert asked <= WORDS["en"].keys()
    unused = {key for key in WORDS["en"] if key not in whole and not any(key.startswith(one) for one in begun)}
    assert unused == set()


class Markup(HTMLParser):
    """Collects what a policy forbids in a document: styles and scripts within it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note inline styles, inline handlers and what is loaded from elsewhere."""
        names = dict(attrs)
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [
            address for name in ("src", "href") if (address := names.get(name) or "").startswith(("http", "//"))
        ]


def test_page_holds_nothing_that_could_run_or_load() -> None:
    """The document has no inline script or style, and no module makes markup of a string or names another host."""
    markup = Markup()
    markup.feed((PAGE / "index.html").read_text("utf-8"))
    assert markup.found == []
    markup_of_text = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    forbidden = rf"{markup_of_text}|localStorage|sessionStorage|document\.cookie"
    for path in OWN:
        text = path.read_text("utf-8")
        assert not re.findall(forbidden, text), path
        assert not re.findall(r"https?://(?!\$)", text), path


def code_lines(path: Path) -> int:
    """Return the lines of a file that are neither blank nor a comment."""
    text = re.sub(r"/\*.*?\*/|<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
    lines = (line.strip() for line in text.splitlines())
    return sum(bool(line) and not line.startswith("//") for line in lines)


def test_page_stays_small_enough_to_be_read() -> None:
    """The page's own code keeps to its budget, a module a screen, and each module begins with what it is for."""
    assert sum(map(code_lines, OWN)) <= BUDGET_LINES
    assert max(len(line) for path in OWN for line in path.read_text("utf-8").splitlines()) <= 200
    for path in OWN:
        assert path.read_text("utf-8").removeprefix("<!doctype html>\n").startswith(("//", "/*", "<!--")), path


def test_comments_are_not_counted(tmp_path: Path) -> None:
    """A blank line and each form of comment count nothing, a line of code counts one."""
    (tmp_path / "a.js").write_text("// one\n\nconst a = 1; // two\n/* three\nfour */\n<!-- five -->\nlast();\n")

    assert code_lines(tmp_path / "a.js") == 2
