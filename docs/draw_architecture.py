"""Draw the house from its imports: docs/architecture.svg, and docs/architecture.fr.svg in French.

    python docs/draw_architecture.py

In: the sources of the three packages, which are parsed and never run. Out: one picture for each language, the same to
the byte for the same sources (tests/system/test_architecture.py). A box is a folder with its modules; below them stand
the folders and modules that they import. Within a package a box stands above those that it builds on, unless the two
import each other.

Only the standard library is needed, so that `make docs` works before anything is installed.
"""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainer", "artifacts", "inference")  # from left to right: both sides import the middle one
# What carries the idea; docs/architecture.md has the order to read it in.
CORE = (
    "artifacts/text/tokens.py", "artifacts/text/vocabulary.py", "trainer/gru/model.py", "trainer/gru/train.py",
    "trainer/gru/linear.py", "trainer/gru/fit.py", "trainer/gru/export.py", "artifacts/networks/gru.py",
    "inference/search/batcher.py", "inference/search/search.py",
)  # fmt: skip

COLUMN, GAP, PAD, LINE = 400, 60, 14, 17  # pixels; LINE is the height of a line of 12 pixels
CHARACTERS = 51  # of a line of imports: 6.6 pixels each at 11 pixels, in 344
STYLE = """
  .page { fill: #ffffff } .panel { fill: #f4f6f8 } .room { fill: #ffffff; stroke: #aab4c0 }
  text { font: 12px ui-monospace, monospace; fill: #1c2630 } .head { font-weight: bold; font-size: 15px }
  .folder { font-weight: bold } .core { font-weight: bold; fill: #0b57b0 } .uses { font-size: 11px; fill: #566472 }
  .arrow { stroke: #566472; stroke-width: 2; fill: none } .tip { fill: #566472 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .panel { fill: #161b22 } .room { fill: #0d1117; stroke: #4a5562 }
    text { fill: #e6edf3 } .core { fill: #79b8ff } .uses { fill: #a4b0bc }
    .arrow { stroke: #a4b0bc } .tip { fill: #a4b0bc }
  }
"""
WORDS = {
    "en": {
        "title": "The house of Puppet: trainer and inference import artifacts, and nothing imports the other way",
        "trainer": "OFFLINE", "artifacts": "WHAT BOTH SHARE", "inference": "ONLINE", "holds": "holds",
        "legend": "blue: the core, in the order of docs/architecture.md; → imports", "imports": "imports",
    },
    "fr": {
        "title": "La maison de Puppet : trainer et inference importent artifacts, et rien n’importe en sens inverse",
        "trainer": "HORS LIGNE", "artifacts": "CE QUE LES DEUX PARTAGENT", "inference": "EN LIGNE",
        "holds": "contient", "legend": "bleu : le cœur, dans l’ordre de docs/architecture.fr.md ; → importe",
        "imports": "importe",
    },
}  # fmt: skip


class Room(NamedTuple):
    """A folder: its path, the stems of its modules, and the folders and root modules that these import."""

    path: str
    modules: list[str]
    uses: list[str]


def modules(root: Path) -> dict[str, Path]:
    """Return the modules of the three packages by dotted name; `__init__` and `__main__` are left out."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        if not path.stem.startswith("__")
    }


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports, wherever in it, as dotted names; of a name imported from a module both readings."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(name: str) -> str:
    """Return where a module is found: its folder, or itself at a package's root."""
    package, *rest = name.split(".")
    return f"{package}/{rest[0]}"


def rooms(package: str, root: Path) -> list[Room]:
    """Return the folders of a package, the package's own root first, then those that reach most others."""
    known = modules(root)
    inside: dict[str, list[str]] = {}
    uses: dict[str, set[str]] = {}
    for name, path in known.items():
        if name.split(".")[0] == package:
            folder = package if name.count(".") == 1 else place(name)
            inside.setdefault(folder, []).append(path.stem)
            targets = {place(target) for target in imports(path) if target in known}
            uses.setdefault(folder, set()).update(targets - {folder})
    # The root's modules are in its own box: it does not import itself.
    uses[package] -= {f"{package}/{stem}" for stem in inside[package]}

    def reach(folder: str) -> int:
        found, waiting = {folder}, [folder]
        while waiting:
            new = {target for target in uses.get(waiting.pop(), ()) if target in inside} - found
            found |= new
            waiting += sorted(new)
        return len(found)

    order = sorted(inside, key=lambda folder: (folder != package, -reach(folder), folder))
    return [Room(folder, sorted(inside[folder]), sorted(uses[folder])) for folder in order]


def short(target: str, package: str) -> str:
    """Return an imported place as a box shows it: without its package if that is the box's own."""
    return target.removeprefix(f"{package}/")


def lines_of(room: Room) -> list[str]:
    """Return the lines of imports below a room's modules."""
    package = room.path.partition("/")[0]
    own = [short(target, package) for target in room.uses if target.startswith(f"{package}/")]
    shared = [short(target, "artifacts") for target in room.uses if not target.startswith(f"{package}/")]
    found = textwrap.wrap(f"→ {', '.join(own)}", CHARACTERS, subsequent_indent="  ") if own else []
    if shared:
        found += textwrap.wrap(f"→ artifacts: {', '.join(shared)}", CHARACTERS, subsequent_indent="  ")
    return found


def draw_room(room: Room, x: int, y: int) -> tuple[list[str], int]:
    """Return a room's elements and its height."""
    rows = -(-len(room.modules) // 2)
    uses = lines_of(room)
    height = PAD + LINE * (1 + rows + len(uses)) + 6
    found = [f'<rect class="room" x="{x}" y="{y}" width="{COLUMN - 2 * PAD}" height="{height}" rx="5"/>']

    def text(style: str, left: int, line: int, said: str) -> None:
        at = f'x="{x + PAD + left}" y="{y + PAD + LINE * line + 4}"'
        found.append(f'<text class="{style}" xml:space="preserve" {at}>{escape(said)}</text>')

    text("folder", 0, 0, f"{room.path}/")
    for number, stem in enumerate(room.modules):
        style = "core" if f"{room.path}/{stem}.py" in CORE else "module"
        text(style, 175 * (number // rows), 1 + number % rows, stem)
    for number, line in enumerate(uses):
        text("uses", 0, 1 + rows + number, line)
    return found, height


def described(house: dict[str, list[Room]], words: dict[str, str]) -> str:
    """Return the picture in words, for who does not see it."""
    return " ".join(
        f"{room.path} {words['holds']} {', '.join(room.modules)}"
        + (f"; {words['imports']} {', '.join(room.uses)}." if room.uses else ".")
        for package in PACKAGES
        for room in house[package]
    )


def draw(language: str, root: Path = ROOT) -> str:
    """Return the picture as SVG, with words of a language: `en` or `fr`."""
    words = WORDS[language]
    house = {package: rooms(package, root) for package in PACKAGES}
    body: list[str] = []
    bottom = 0
    for number, package in enumerate(PACKAGES):
        left, y = GAP // 2 + number * (COLUMN + GAP), 70
        boxes: list[str] = []
        for room in house[package]:
            elements, height = draw_room(room, left + PAD, y)
            boxes += elements
            y += height + 10
        panel = f'<rect class="panel" x="{left}" y="20" width="{COLUMN}" height="{y - 20}" rx="8"/>'
        head = f'<text class="head" x="{left + PAD}" y="48">{package}/  {escape(words[package])}</text>'
        body += [panel, head, *boxes]
        bottom = max(bottom, y)
    middle = GAP // 2 + COLUMN + GAP  # where the panel of artifacts begins
    for start, tip in ((middle - GAP, middle), (middle + COLUMN + GAP, middle + COLUMN)):
        back = tip + (8 if tip < start else -8)
        body.append(f'<path class="arrow" d="M{start},44 H{back}"/>')
        body.append(f'<polygon class="tip" points="{tip},44 {back},38 {back},50"/>')
    width, height = len(PACKAGES) * (COLUMN + GAP), bottom + 40
    body.append(f'<text class="uses" x="{GAP // 2 + PAD}" y="{bottom + 24}">{escape(words["legend"])}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
            f' aria-labelledby="title desc" lang="{language}">',
            f'<title id="title">{escape(words["title"])}</title>',
            f'<desc id="desc">{escape(described(house, words))}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *body,
            "</svg>\n",
        ]
    )


def target(language: str) -> Path:
    """Return where the picture of a language is kept."""
    return ROOT / "docs" / ("architecture.svg" if language == "en" else f"architecture.{language}.svg")


if __name__ == "__main__":
    for language in WORDS:
        target(language).write_text(draw(language), "utf-8")
