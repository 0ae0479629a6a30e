"""Draw the figures of the chapters from the numbers of real runs: docs/figures/NAME.LANGUAGE.svg.

    python docs/figures/draw.py

In: runs.json, which run.py wrote, and the words of words/en.toml and words/fr.toml. Out: each figure in both languages,
the same to the byte for the same numbers (tests/system/test_figures.py). A figure follows the reader's choice of light
or dark, and says in its description what it shows, for readers who listen. Only the standard library is needed.
"""

import json
import math
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
LANGUAGES = ("en", "fr")
STYLE = """
  .page { fill: #ffffff } .cell { fill: #f4f6f8; stroke: #aab4c0 } .empty { fill: #ffffff; stroke: #aab4c0 }
  .heat { fill: #0b57b0 } .frame { fill: none; stroke: #aab4c0 } .line { fill: none; stroke-width: 2.5 }
  text { font: 13px system-ui, sans-serif; fill: #1c2630 } .small { font-size: 11px; fill: #566472 }
  .id { font-family: ui-monospace, monospace } .strong { font-weight: bold } .rule { stroke: #d5dbe1 }
  .arrow { stroke: #566472; stroke-width: 1.5; fill: none } .tip { fill: #566472 }
  .a { stroke: #0b57b0 } .b { stroke: #b3400f; stroke-dasharray: 7 4 } .floor { stroke: #566472; stroke-dasharray: 2 4 }
  .text-a { fill: #0b57b0; font-weight: bold } .text-b { fill: #b3400f; font-weight: bold }
  .dot-a { fill: #0b57b0 } .dot-b { fill: #b3400f }
  @media (prefers-color-scheme: dark) {
    .page, .empty { fill: #0d1117 } .cell { fill: #21262d } .cell, .empty, .frame { stroke: #4a5562 }
    .heat { fill: #79b8ff } text { fill: #e6edf3 } .small { fill: #a4b0bc } .rule { stroke: #30363d }
    .arrow { stroke: #a4b0bc } .tip { fill: #a4b0bc } .floor { stroke: #a4b0bc }
    .a { stroke: #79b8ff } .b { stroke: #ffa657 } .text-a { fill: #79b8ff } .text-b { fill: #ffa657 }
    .dot-a { fill: #79b8ff } .dot-b { fill: #ffa657 }
  }
"""
Words = dict[str, Any]
Drawing = tuple[int, int, list[str], dict[str, Any]]  # width, height, elements, what the description names


def text(x: float, y: float, said: object, style: str = "", anchor: str = "start") -> str:
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(str(said))}</text>'


def box(x: float, y: float, width: float, height: float, style: str, opacity: float | None = None) -> str:
    """Return a rectangle."""
    shade = "" if opacity is None else f' fill-opacity="{opacity:.3f}"'
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="{style}"{shade}/>'


def arrow(x: float, y: float, to_x: float, to_y: float) -> list[str]:
    """Return an arrow, straight down or straight to the right."""
    if x == to_x:
        tip = f"{to_x:g},{to_y:g} {to_x - 4:g},{to_y - 7:g} {to_x + 4:g},{to_y - 7:g}"
    else:
        tip = f"{to_x:g},{to_y:g} {to_x - 7:g},{to_y - 4:g} {to_x - 7:g},{to_y + 4:g}"
    return [f'<path class="arrow" d="M{x:g},{y:g} L{to_x:g},{to_y:g}"/>', f'<polygon class="tip" points="{tip}"/>']


def listed(pairs: Sequence[tuple[object, object]], language: str) -> str:
    """Return pairs as the language lists them: name, colon, value."""
    space = "\u00a0" if language == "fr" else ""
    return f"{space}; ".join(f"{name}{space}: {value}" for name, value in pairs)


def number(value: float, language: str, digits: int = 2) -> str:
    """Return a number as the language writes it."""
    said = f"{value:.{digits}f}"
    return said.replace(".", ",") if language == "fr" else said


def ids(runs: Any, words: Words, _language: str) -> Drawing:
    """Draw a ticket: its text, its tokens, their ids."""
    ticket = runs["ticket"]
    widths = [max(44, 9 * len(token) + 16) for token in ticket["tokens"]]
    left, body = 110, []
    for y, row in ((54, "text"), (112, "tokens"), (184, "ids")):
        body.append(text(16, y, words[row], "strong"))
    body.append(text(left, 54, " ".join(ticket["tokens"])))
    x = left
    for token, width, one in zip(ticket["tokens"], widths, ticket["ids"], strict=True):
        style = "empty" if one == 1 else "cell"
        body += [box(x, 90, width, 34, "cell"), text(x + width / 2, 112, token, "", "middle")]
        body += arrow(x + width / 2, 126, x + width / 2, 160)
        body += [box(x, 162, width, 34, style), text(x + width / 2, 184, one, "id", "middle")]
        if one == 1:
            body.append(text(x + width / 2, 214, "<unk>", "small", "middle"))
        x += width + 8
    named = ", ".join(f"{token} {one}" for token, one in zip(ticket["tokens"], ticket["ids"], strict=True))
    return x + 16, 234, body, {"pairs": named}


def unrolled(runs: Any, words: Words, _language: str) -> Drawing:
    """Draw the GRU once for each token of the ticket, those in the middle left out: the same weights, another state."""
    tokens = runs["ticket"]["tokens"]
    step, left = 118, 70
    body = [text(16, 100, "h = 0", "id")]
    shown = [*range(4), len(tokens) - 1]
    for column, place in enumerate(shown):
        token = tokens[place]
        x = left + column * step
        if place == len(tokens) - 1:
            body.append(text(x + 8, 101, "\u2026", "strong", "middle"))
            x += 16
        body += arrow(x, 96, x + 22, 96)
        body += [box(x + 24, 70, 66, 52, "cell"), text(x + 57, 101, "GRU", "strong", "middle")]
        body += [text(x + 57, 200, token, "", "middle"), text(x + 57, 48, f"h{place + 1}", "id", "middle")]
        body += [box(x + 32, 150, 50, 22, "empty"), text(x + 57, 166, f"x{place + 1}", "id", "middle")]
        body.append(f'<path class="arrow" d="M{x + 57},150 V124"/>')
        body.append(f'<path class="arrow" d="M{x + 90},96 H{x + step}"/>')
    end = left + len(shown) * step + 16
    body += arrow(end, 96, end + 22, 96)
    body += [text(end + 28, 92, words["last"]), text(end + 28, 109, words["logits"], "small")]
    body.append(text(16, 230, words["same"], "small"))
    return end + 190, 246, body, {"tokens": ", ".join(tokens), "count": len(tokens)}


def heat(runs: Any, words: Words, language: str) -> Drawing:
    """Draw the update gate z of a ticket: one row a token, one column a number of the state."""
    ticket = runs["ticket"]
    size, left, top, shown = 14, 150, 64, 40
    body = [text(left, 34, words["columns"], "strong"), text(left, 52, words["shown"].format(shown=shown), "small")]
    means = [sum(row) / len(row) for row in ticket["z"]]
    for place, (token, row) in enumerate(zip(ticket["tokens"], ticket["z"], strict=True)):
        y = top + place * 24
        body.append(text(left - 10, y + 15, token, "", "end"))
        body += [box(left + column * size, y, size - 1, 20, "heat", value) for column, value in enumerate(row[:shown])]
        body.append(text(left + shown * size + 12, y + 15, number(means[place], language), "id"))
    right = left + shown * size + 12
    body.append(text(right, 52, words["mean"], "small"))
    y = top + len(means) * 24 + 20
    for place in range(11):
        body.append(box(left + place * 24, y, 24, 12, "heat", place / 10))
    body += [box(left, y, 264, 12, "frame"), text(left, y + 28, words["none"], "small")]
    body.append(text(left + 264, y + 28, words["all"], "small", "end"))
    named = ", ".join(f"{t} {number(m, language)}" for t, m in zip(ticket["tokens"], means, strict=True))
    return right + 120, y + 44, body, {"means": named}


def padded(runs: Any, words: Words, _language: str) -> Drawing:
    """Draw five tickets as the rectangle that a network reads."""
    rows = runs["batch"]
    width, left, top = max(map(len, rows)), 30, 50
    body = [text(left, 32, "ids_BT", "id strong"), text(left + width * 48 + 24, 32, "lengths_B", "id strong")]
    for place, row in enumerate(rows):
        y = top + place * 36
        for column in range(width):
            style, said = ("cell", row[column]) if column < len(row) else ("empty", 0)
            body += [box(left + column * 48, y, 44, 30, style)]
            body.append(text(left + column * 48 + 22, y + 20, said, "id" if style == "cell" else "id small", "middle"))
        body.append(text(left + width * 48 + 48, y + 20, len(row), "id", "middle"))
    y = top + len(rows) * 36
    zeros = sum(width - len(row) for row in rows)
    body.append(text(left, y + 20, words["note"].format(zeros=zeros, cells=width * len(rows)), "small"))
    given = {"lengths": ", ".join(str(len(row)) for row in rows), "width": width, "zeros": zeros}
    return left + width * 48 + 130, y + 38, body, given


def axes(
    frame: tuple[int, int, int, int], x_ticks: Sequence[str], y_ticks: Sequence[str], x_name: str, y_name: str
) -> list[str]:
    """Return a chart's rules and labels; ticks are spread evenly over `frame` (left, top, width, height)."""
    left, top, width, height = frame
    body = [text(left, top - 14, y_name, "small"), text(left + width, top + height + 38, x_name, "small", "end")]
    for place, tick in enumerate(y_ticks):
        y = top + height - height * place / (len(y_ticks) - 1)
        body.append(f'<path class="rule" d="M{left},{y:g} H{left + width}"/>')
        body.append(text(left - 8, y + 4, tick, "small", "end"))
    for place, tick in enumerate(x_ticks):
        body.append(text(left + width * place / (len(x_ticks) - 1), top + height + 20, tick, "small", "middle"))
    return body


def line(frame: tuple[int, int, int, int], points: Sequence[tuple[float, float]], style: str) -> str:
    """Return a line through points whose coordinates are shares of the frame."""
    left, top, width, height = frame
    path = " ".join(f"{left + width * x:.1f},{top + height * (1 - y):.1f}" for x, y in points)
    return f'<polyline class="line {style}" points="{path}"/>'


def curves(bug: str, measure: str) -> Callable[[Any, Words, str], Drawing]:
    """Return what draws the curves of the correct network and of the one with a bug."""

    def draw(runs: Any, words: Words, language: str) -> Drawing:
        found = runs["curves"]
        frame = (60, 60, 420, 240)
        correct, wrong = (found["runs"][name][measure] for name in ("correct", bug))
        top = 1.8 if measure == "loss" else 1.0
        parts = 6 if measure == "loss" else 5
        y_ticks = [number(top * place / parts, language, 1) for place in range(parts + 1)]
        epochs = len(correct)
        x_ticks = [str(epoch) for epoch in range(1, epochs + 1)]
        body = axes(frame, x_ticks, y_ticks, words["epoch"], words[measure])
        for style, values in (("a", correct), ("b", wrong)):
            points = [(place / (epochs - 1), min(value / top, 1)) for place, value in enumerate(values)]
            body.append(line(frame, points, style))
            y = frame[1] + frame[3] * (1 - points[-1][1])
            body.append(text(490, y + 4, words["correct" if style == "a" else bug], f"text-{style}"))
        if bug == "softmax":
            y = found["floor"] / top
            body.append(line(frame, [(0, y), (1, y)], "floor"))
            said = words["floor"].format(floor=number(found["floor"], language, 4))
            # On the right, where no curve passes below the floor's line.
            body.append(text(frame[0] + frame[2] - 4, frame[1] + frame[3] * (1 - y) + 16, said, "small", "end"))
        ends = {"first": number(correct[-1], language), "second": number(wrong[-1], language), "epochs": epochs}
        return 700, 350, body, {**ends, "floor": number(found["floor"], language, 4)}

    return draw


def coverage(runs: Any, words: Words, language: str) -> Drawing:
    """Draw how often answers are right, if only the surest are given."""
    found = runs["coverage"]["right"]
    frame = (60, 60, 480, 240)
    shares = [sum(found[: count + 1]) / (count + 1) for count in range(len(found))]
    points = [((count + 1) / len(found), (share - 0.7) / 0.3) for count, share in enumerate(shares) if count >= 19]
    percent = [f"{value} %" if language == "en" else f"{value}\u00a0%" for value in (0, 20, 40, 60, 80, 100)]
    body = axes(frame, percent, [number(0.7 + 0.05 * p, language) for p in range(7)], words["given"], words["right"])
    body.append(line(frame, points, "a"))
    given = {}
    for name, part in (("half", 0.5), ("most", 0.8), ("all", 1.0)):
        share = shares[round(part * len(found)) - 1]
        given[name] = number(share, language)
        x, y = frame[0] + frame[2] * part, frame[1] + frame[3] * (1 - (share - 0.7) / 0.3)
        body += [f'<circle class="heat" cx="{x:g}" cy="{y:.1f}" r="4"/>', text(x + 6, y - 8, given[name], "text-a")]
    return 620, 350, body, {**given, "count": len(found)}


def legend(x: float, y: float, entries: Sequence[tuple[str, str]]) -> list[str]:
    """Return a short piece of each line with its name, one below the other."""
    body = []
    for place, (style, said) in enumerate(entries):
        body.append(f'<path class="line {style}" d="M{x:g},{y + 24 * place - 4:g} h28"/>')
        body.append(text(x + 36, y + 24 * place, said, f"text-{style}" if style != "floor" else "small"))
    return body


def dot(x: float, y: float, style: str, radius: float = 4) -> str:
    """Return a point."""
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def reliability(runs: Any, words: Words, language: str) -> Drawing:
    """Draw how often answers are right against how sure they are, before and after the temperature."""
    found = runs["reliability"]
    frame = (60, 60, 320, 320)
    ticks = [number(place / 5, language, 1) for place in range(6)]
    body = [*axes(frame, ticks, ticks, words["sure"], words["right"]), line(frame, [(0, 0), (1, 1)], "floor")]
    for style, name in (("b", "before"), ("a", "after")):
        points = [(sure, right) for sure, right, _ in found[name]["bins"]]
        body.append(line(frame, points, style))
        body += [dot(frame[0] + frame[2] * x, frame[1] + frame[3] * (1 - y), f"dot-{style}") for x, y in points]
    body += legend(410, 110, [("b", words["before"]), ("a", words["after"]), ("floor", words["honest"])])
    given = {"temperature": number(found["temperature"], language)}
    given |= {name: number(100 * found[name]["gap"], language, 1) for name in ("before", "after")}
    given |= {f"loss_{name}": number(found[name]["loss"], language, 3) for name in ("before", "after")}
    body.append(text(410, 200, words["gap_before"].format(**given), "small"))
    body.append(text(410, 218, words["gap_after"].format(**given), "small"))
    return 700, 430, body, given


def turns(runs: Any, words: Words, _language: str) -> Drawing:
    """Draw when tickets come and which of them run together."""
    comes, batches = runs["turns"]["comes"], runs["turns"]["runs"]
    left, width = 120, 680
    end = 10 * (int(max(comes[-1], batches[-1]["to"])) // 10 + 1)

    def at(moment: float) -> float:
        return left + width * moment / end

    body = [text(16, 74, words["comes"]), text(16, 122, words["runs"])]
    for moment in range(0, end + 1, 10):
        body.append(f'<path class="rule" d="M{at(moment):.1f},52 V146"/>')
        body.append(text(at(moment), 164, moment, "small", "middle"))
    body.append(text(left + width, 184, words["time"], "small", "end"))
    for place, one in enumerate(batches):
        style = "ab"[place % 2]
        body += [dot(at(comes[ticket]), 70, f"dot-{style}") for ticket in one["tickets"]]
        body.append(box(at(one["from"]), 100, at(one["to"]) - at(one["from"]), 32, "cell"))
        middle = (at(one["from"]) + at(one["to"])) / 2
        body.append(text(middle, 121, len(one["tickets"]), f"text-{style}", "middle"))
    sizes = [len(one["tickets"]) for one in batches]
    body.append(text(left, 32, words["note"], "small"))
    return left + width + 30, 200, body, {"count": len(comes), "sizes": ", ".join(map(str, sizes)), "end": end}


def life(runs: Any, words: Words, language: str) -> Drawing:
    """Draw a store after each of some commands: which versions are in it, and which one serves."""
    states = runs["store"]
    left, top, step, height = 110, 76, 108, 36
    highest = max(max(state["versions"]) for state in states)
    body = [text(16, 44, words["after"], "small")]
    told = []
    for row in range(1, highest + 1):
        body.append(text(16, top + (row - 1) * height + 20, words["version"].format(version=row), "strong"))
    ever = 0
    for column, state in enumerate(states):
        x = left + column * step
        command, _, option = words[state["command"]].partition(" ")
        body += [text(x + 48, 44, command, "id", "middle"), text(x + 48, 60, option, "id small", "middle")]
        ever = max(ever, *state["versions"])
        for version in range(1, ever + 1):
            y = top + (version - 1) * height
            if version == state["serves"]:
                body += [box(x, y, 96, 30, "heat", 0.25), box(x, y, 96, 30, "frame")]
                body.append(text(x + 48, y + 20, words["serves"], "strong", "middle"))
            elif version in state["versions"]:
                body += [box(x, y, 96, 30, "cell"), text(x + 48, y + 20, words["waits"], "", "middle")]
            else:
                body.append(text(x + 48, y + 20, words["gone"], "small", "middle"))
        told.append((words[state["command"]], state["serves"]))
    return left + len(states) * step + 6, top + highest * height + 14, body, {"told": listed(told, language)}


def frontier(runs: Any, words: Words, language: str) -> Drawing:
    """Draw the accuracy of each shape of the network against what a ticket costs."""
    found = runs["frontier"]
    frame = (60, 60, 480, 240)
    low, high, longest = 0.85, 0.89, 100

    def place(one: Any) -> tuple[float, float]:
        return one["batch_us"] / longest, (one["accuracy"] - low) / (high - low)

    x_ticks = [str(tick) for tick in range(0, longest + 1, 20)]
    y_ticks = [number(low + 0.01 * part, language) for part in range(5)]
    body = axes(frame, x_ticks, y_ticks, words["cost"], words["accuracy"])
    y = (found["linear"] - low) / (high - low)
    body.append(line(frame, [(0, y), (1, y)], "floor"))
    said = words["linear"].format(linear=number(found["linear"], language, 3))
    body.append(text(frame[0] + frame[2] - 4, frame[1] + frame[3] * (1 - y) + 16, said, "small", "end"))
    shapes = sorted(found["shapes"], key=lambda one: one["batch_us"])
    body.append(line(frame, [place(one) for one in shapes if one["is_on_frontier"]], "a"))
    for position, one in enumerate(shapes):
        x, y = place(one)
        x, y = frame[0] + frame[2] * x, frame[1] + frame[3] * (1 - y)
        body.append(dot(x, y, "dot-a" if one["is_on_frontier"] else "dot-b"))
        # Of two neighbours one is named below and one above, so that the names do not meet.
        said = one["shape"].replace("x", "\u00d7")
        body.append(text(x, y + (20 if position % 2 == 0 else -10), said, "", "middle"))
    told = [
        (one["shape"], f"{number(one['accuracy'], language, 3)} / {number(one['batch_us'], language, 1)}")
        for one in shapes
    ]
    return 620, 350, body, {"told": listed(told, language), "linear": number(found["linear"], language, 3)}


def power(exponent: int) -> str:
    """Return a power of ten as it is printed."""
    return f"1e{exponent}"


def differences(runs: Any, words: Words, _language: str) -> Drawing:
    """Draw the error of numerical differences against the step, both by powers of ten."""
    found = runs["differences"]
    frame = (70, 60, 440, 260)
    exponents = found["exponents"]
    y_low, y_high = -12, 2
    x_ticks = [power(exponent) for exponent in exponents]
    y_ticks = [power(exponent) for exponent in range(y_low, y_high + 1, 2)]
    body = axes(frame, x_ticks, y_ticks, words["step"], words["error"])
    best = {}
    for style, bits in (("a", "64"), ("b", "32")):
        points = [
            (place / (len(exponents) - 1), (math.log10(error) - y_low) / (y_high - y_low))
            for place, error in enumerate(found[bits])
        ]
        body.append(line(frame, points, style))
        place = min(range(len(exponents)), key=lambda place, bits=bits: found[bits][place])
        x, y = points[place]
        body.append(dot(frame[0] + frame[2] * x, frame[1] + frame[3] * (1 - y), f"dot-{style}"))
        best[f"step{bits}"], best[f"error{bits}"] = power(exponents[place]), f"{found[bits][place]:.0e}"
    body += legend(530, 100, [("a", words["bits64"]), ("b", words["bits32"])])
    return 690, 370, body, best


def attention(runs: Any, words: Words, _language: str) -> Drawing:
    """Draw the multiplications of a ticket against its length, both by powers."""
    found = runs["attention"]
    frame = (70, 60, 440, 260)
    y_low, y_high = 4, 11
    y_ticks = [power(exponent) for exponent in range(y_low, y_high + 1)]
    body = axes(frame, [str(tokens) for tokens in found["tokens"]], y_ticks, words["tokens"], words["products"])
    for style, name in (("a", "gru"), ("b", "minilm")):
        points = [
            (place / (len(found["tokens"]) - 1), (math.log10(count) - y_low) / (y_high - y_low))
            for place, count in enumerate(found[name])
        ]
        body.append(line(frame, points, style))
        body.append(text(520, frame[1] + frame[3] * (1 - points[-1][1]) + 4, words[name], f"text-{style}"))
    ratios = [round(one / other) for one, other in zip(found["minilm"], found["gru"], strict=True)]
    return 700, 370, body, {"shortest": ratios[0], "longest": ratios[-1], "tokens": found["tokens"][-1]}


FIGURES: dict[str, Callable[[Any, Words, str], Drawing]] = {
    "ids": ids,
    "unrolled": unrolled,
    "gates": heat,
    "padded": padded,
    "softmax": curves("softmax", "loss"),
    "padding": curves("padding", "accuracy"),
    "padding-loss": curves("padding", "loss"),
    "coverage": coverage,
    "reliability": reliability,
    "turns": turns,
    "life": life,
    "frontier": frontier,
    "differences": differences,
    "attention": attention,
}


def draw(name: str, language: str) -> str:
    """Return a figure as SVG."""
    runs = json.loads((HERE / "runs.json").read_text("utf-8"))
    words = tomllib.loads((HERE / "words" / f"{language}.toml").read_text("utf-8"))[name]
    width, height, body, given = FIGURES[name](runs, words, language)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
            f' aria-labelledby="{name}-title {name}-desc" lang="{language}">',
            f'<title id="{name}-title">{escape(words["title"])}</title>',
            f'<desc id="{name}-desc">{escape(words["desc"].format(**given))}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *body,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Write every figure."""
    for name in FIGURES:
        for language in LANGUAGES:
            (HERE / f"{name}.{language}.svg").write_text(draw(name, language), "utf-8")


if __name__ == "__main__":
    main()
