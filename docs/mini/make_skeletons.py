"""Make the seven skeletons from the solutions: what the learner writes is taken out.

    python -m docs.mini.make_skeletons

In: solutions/stepN.py. In a function, a comment that begins with `# WRITE:` says what to do; it and the comment lines
below it, then the function's body, become one line that raises NotImplementedError. Out: skeletons/stepN.py, and the
same with French words in skeletons/fr. So a solution and its skeletons never differ in anything else
(tests/system/test_mini_steps.py).
"""

import re
import tomllib
from pathlib import Path

from docs.exercises.translate import in_french

HERE = Path(__file__).parent
# A definition, everything up to the hint, the hint, and the body: all lines that are empty or indented as far.
HINT = re.compile(
    r"^(?P<indent> +)# WRITE: (?P<hint>.*\n(?:(?P=indent)# .*\n)*)(?:(?:(?P=indent).*)?\n)*", re.MULTILINE
)


def skeleton_of(solution: str) -> str:
    """Return a solution without its bodies."""

    def blank(found: re.Match[str]) -> str:
        before = solution[: found.start()]
        name = re.findall(r"^ *def (\w+)\(", before, re.MULTILINE)[-1]
        hint = found["hint"].rstrip().split("\n")
        lines = [f"{found['indent']}# {line.strip().removeprefix('# ')}\n" for line in hint]
        # The blank lines that end the body separate it from what follows.
        gap = found[0][len(found[0].rstrip("\n")) + 1 :]
        return "".join(lines) + f'{found["indent"]}raise NotImplementedError("write {name}")\n{gap}'

    return HINT.sub(blank, solution)


def french_of(skeleton: str) -> tuple[str, list[str]]:
    """Return a skeleton with French words, and the lines that words/skeletons.fr.toml does not translate."""
    words = tomllib.loads((HERE / "words" / "skeletons.fr.toml").read_text("utf-8"))
    to_write = re.findall(r'NotImplementedError\("write (\w+)"\)', skeleton)
    return in_french(skeleton, words | {f"write {name}": f"écrivez {name}" for name in to_write})


def main() -> None:
    """Write the skeletons in both languages."""
    for path in sorted((HERE / "solutions").glob("step*.py")):
        skeleton = skeleton_of(path.read_text("utf-8"))
        french, missing = french_of(skeleton)
        if missing:
            raise SystemExit("no French line in words/skeletons.fr.toml:\n" + "\n".join(missing))
        (HERE / "skeletons" / path.name).write_text(skeleton, "utf-8")
        (HERE / "skeletons" / "fr" / path.name).write_text(french, "utf-8")


if __name__ == "__main__":
    main()
