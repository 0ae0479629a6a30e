"""Build the chapters and what they link to as a site, in English and French, that needs no server and no network.

    python docs/site/build.py site      # site/index.html, site/en/, site/fr/; needs the extra `docs`

    docs/README.md ──► documents, figures and files that are linked ──► Sphinx, a language each ──► links checked

A document stands in the site of its language, under the path that it has below docs/. What is linked of the code
becomes a page as well, with the file as it is: there is no public address that a link could lead to. A link from one
language into the other (decisions and logs are in English) becomes plain HTML, which Sphinx leaves alone; so at the end
every link of every page is followed, to its anchor. Anything that is amiss is an error.
"""

import functools
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
START = "docs/README.md"  # a half for each language
LANGUAGES = ("en", "fr")
# Of the code, what is shown as a page: ending -> how it is coloured. Anything else stays words without a link.
SHOWN = {
    ".py": "python", ".c": "c", ".toml": "toml", ".js": "javascript", ".css": "css", ".html": "html", ".http": "http",
    ".yml": "yaml", "": "text",
}  # fmt: skip
PICTURES = (".svg", ".png", ".webp")
# A link, or code between backticks, in which nothing is a link.
LINK = re.compile(r"`[^`\n]*`|(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^ *(```+|~~~+)")
CAPTIONS = {"en": ("Chapters", "Reference", "More"), "fr": ("Chapitres", "Référence", "Et aussi")}


class Page(NamedTuple):
    """Where a file stands in the site: whose language, and under which name, without an ending."""

    language: str
    name: str


def place(path: str, own: str = "en") -> Page:
    """Return where a file or a folder of the repository stands; what both languages have stands in `own`.

    >>> place("docs/mini/README.fr.md"), place("docs/en/04-gru.md").name, place("artifacts/kinds.py").name
    (Page(language='fr', name='mini/README'), '04-gru', 'source/artifacts/kinds.py')
    """
    if path == START:
        return Page(own, "index")
    if path.endswith(".md"):
        stem = path.removesuffix(".md")
        language = "fr" if stem.endswith(".fr") or stem.startswith("docs/fr/") else "en"
        stem = stem.removesuffix(".fr")
        for prefix in (f"docs/{language}/", "docs/"):
            if stem.startswith(prefix):
                return Page(language, stem.removeprefix(prefix))
        return Page(language, f"project/{stem}")
    return Page("en", f"source/{path}/index" if (ROOT / path).is_dir() else f"source/{path}")


def text_of(path: str, language: str) -> str:
    """Return a document, a source file or the list of a folder as Markdown."""
    file = ROOT / path
    if path == START:
        english, _, french = file.read_text("utf-8").partition("\n# Documentation (")
        return english if language == "en" else "# Documentation\n" + french.partition("\n")[2]
    if path.endswith(".md"):
        return file.read_text("utf-8")
    title = f"# {path}\n\n"
    if file.is_dir():
        return title + "".join(f"- [{one}]({one})\n" for one in listed(path))
    text = file.read_text("utf-8")
    # Longer than any row of backticks in the file, so that nothing in it ends the block.
    fence = "`" * max([3, *(len(found) + 1 for found in re.findall(r"`+", text))])
    return f"{title}{fence}{SHOWN[file.suffix]}\n{text.rstrip()}\n{fence}\n"


@functools.cache
def tracked() -> frozenset[str]:
    """Return the files of the repository: what lies about beside them is not of the site."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    return frozenset(done.stdout.decode().splitlines())


def listed(folder: str) -> list[str]:
    """Return the names in a folder that have a page."""
    names = (path.removeprefix(f"{folder}/") for path in tracked() if path.startswith(f"{folder}/"))
    return sorted(name for name in names if "/" not in name and is_shown(f"{folder}/{name}"))


def is_shown(path: str) -> bool:
    """Return whether a file or folder becomes a page."""
    if (ROOT / path).is_dir():
        return bool(listed(path))
    return path in tracked() and (path.endswith(".md") or Path(path).suffix in SHOWN)


class Site:
    """All pages that can be reached from the start, each by its place, with the links between them rewritten."""

    def __init__(self) -> None:
        self.pages: dict[Page, str] = {}  # what stands on it, in Markdown
        self.pictures: dict[tuple[str, str], str] = {}  # language and name in the site -> path in the repository
        self.order: dict[str, list[str]] = {language: [] for language in LANGUAGES}  # as they were met
        waiting = [(START, language) for language in LANGUAGES]
        while waiting:
            path, language = waiting.pop(0)
            page = place(path, language)
            if page not in self.pages:
                self.order[page.language].append(page.name)
                self.pages[page], found = self.rewritten(path, page)
                waiting += [(one, page.language) for one in found]

    def rewritten(self, path: str, page: Page) -> tuple[str, list[str]]:
        """Return the Markdown of a page with its links as they are in the site, and the paths that it links to."""
        found: list[str] = []
        is_listing = not path.endswith(".md") and not (ROOT / path).is_dir()
        folder = path if (ROOT / path).is_dir() else posixpath.dirname(path)

        def link(match: re.Match[str]) -> str:
            if match["target"] is None or urlsplit(match["target"]).scheme:
                return match[0]
            target, hash_, anchor = match["target"].partition("#")
            if not target:
                return match[0]
            to = posixpath.normpath(posixpath.join(folder, unquote(target)))
            if Path(to).suffix in PICTURES and match["image"]:
                self.pictures[page.language, to] = to
                return f"![{match['text']}]({relative(to, page.name)})"
            if to.startswith("..") or not is_shown(to):
                return match["text"]
            found.append(to)
            other = place(to, page.language)
            if other.language == page.language:
                return f"[{match['text']}]({relative(other.name, page.name)}.md{hash_}{anchor})"
            address = relative(f"../{other.language}/{other.name}", page.name)
            return f'<a href="{address}.html{hash_}{anchor}">{match["text"]}</a>'

        lines, fence = [], ""
        for line in text_of(path, page.language).splitlines():
            mark = FENCE.match(line)
            if mark and (not fence or line.strip() == fence):
                fence = "" if fence else mark[1]
            lines.append(line if fence or mark or is_listing else LINK.sub(link, line))
        return "\n".join(lines) + "\n", found

    def write(self, language: str, folder: Path) -> None:
        """Write what Sphinx reads for a language."""
        folder.mkdir(parents=True)
        for name in ("conf.py", "style.css"):
            shutil.copy(HERE / name, folder)
        shutil.copytree(HERE / "templates", folder / "templates")
        (folder / "pairs.json").write_text(json.dumps(self.pairs(language)))
        names = self.order[language]
        chapters = [name for name in names if re.match(r"\d\d-", name)]
        reference = [name for name in names if name in ("reference", "problems")]
        # What the start links to itself; all else is met on the way, and would only make the list long.
        first = [place(path, language).name for path in self.rewritten(START, Page(language, "index"))[1]]
        more = [name for name in dict.fromkeys(first) if name in names and name not in (*chapters, *reference)]
        trees = "".join(
            f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(group) + "\n```\n"
            for caption, group in zip(CAPTIONS[language], (chapters, reference, more), strict=True)
        )
        for name in names:
            text = self.pages[Page(language, name)]
            is_in_tree = name == "index" or name in (*chapters, *reference, *more)
            file = folder / f"{name}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            head = "" if is_in_tree else "---\norphan: true\n---\n\n"
            file.write_text(f"{head}{text}{trees if name == 'index' else ''}")
        for (whose, name), path in self.pictures.items():
            if whose == language:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, folder / name)

    def pairs(self, language: str) -> dict[str, str]:
        """Return name of a page -> name of the same page in the other language; chapters go by their number."""
        other = LANGUAGES[1 - LANGUAGES.index(language)]
        numbered = {name[:3]: name for name in self.order[other] if re.match(r"\d\d-", name)}
        same = {name: name for name in self.order[language] if Page(other, name) in self.pages}
        return same | {name: numbered[name[:3]] for name in self.order[language] if name[:3] in numbered}


def relative(name: str, page: str) -> str:
    """Return the way from a page to another name of the site.

    >>> relative("figures/ids.svg", "mini/README"), relative("../en/04-gru", "01-texte")
    ('../figures/ids.svg', '../en/04-gru')
    """
    return posixpath.relpath(f"/site/{name}", posixpath.dirname(f"/site/{page}"))


class Read(HTMLParser):
    """What a page of the site has: its anchors, what it links to or loads, and pictures without a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []  # what the browser fetches by itself
        self.silent: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        found = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := found.get(key))}
        links = [value for key in ("href", "src") if (value := found.get(key))]
        self.links += links
        self.loaded += links if tag != "a" else []
        if tag == "img" and not found.get("alt"):
            self.silent.append(found.get("src") or "")


def faults(folder: Path) -> list[str]:
    """Return what is amiss in a built site: links that lead nowhere, what other hosts give, pictures without words."""
    pages = {path: Read(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(folder)
        found += [f"{where}: the picture {one} has no text" for one in page.silent]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:  # a document may name its source, but nothing may be loaded from there
                found += [f"{where}: {link} is loaded from another host"] if link in page.loaded else []
                continue
            to = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
            to = to / "index.html" if to.is_dir() else to
            if not to.is_file():
                found.append(f"{where}: {link} leads nowhere")
            elif parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].anchors:
                found.append(f"{where}: {link} has no such anchor")
    return found


def sphinx(sources: Path, language: str, out: Path) -> "subprocess.Popen[str]":
    """Start the build of a language; a warning fails it."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-D", f"language={language}"]
    command += ["-d", str(sources.parent / f"cache-{language}"), str(sources), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def build(out: Path) -> list[str]:
    """Build the site in a folder, which is made anew, and return what is amiss."""
    site = Site()
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        started = []
        for language in LANGUAGES:
            site.write(language, Path(name) / language)
            started.append(sphinx(Path(name) / language, language, out / language))
        said = [(process.communicate()[0], process.returncode) for process in started]
    found = [line for text, status in said if status for line in text.splitlines()]
    shutil.copy(HERE / "start.html", out / "index.html")
    for language in LANGUAGES:  # what only Sphinx needs the next time
        for file in (".buildinfo", "objects.inv"):
            (out / language / file).unlink(missing_ok=True)
    return found + faults(out)


def main(arguments: Sequence[str]) -> int:
    """Build the site; return 1 if anything is amiss."""
    (folder,) = arguments
    found: Iterable[str] = build(Path(folder).absolute())
    for fault in found:
        print(fault, file=sys.stderr)
    pages = len(list(Path(folder).rglob("*.html")))
    print(f"{pages} pages in {folder}: open {folder}/index.html")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
