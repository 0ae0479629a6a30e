"""The course in seven steps: a learner who starts from the skeletons and puts in each solution in turn.

Each check is run in both languages on what the learner has before a step (nothing is written yet), on its solution,
and on typical mistakes. These are spelt here in other words than in docs/mini/mistakes.toml: a mistake is to be
known by what it computes.
"""

import functools
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.system.server import ROOT
from tests.system.test_docs import SPACE, blocks, prose
from tests.system.test_exercises import what_runs

pytestmark = pytest.mark.torch

MINI = ROOT / "docs" / "mini"
STEPS = range(1, 8)
LANGUAGES = ("en", "fr")
# Of each step three typical mistakes or more: a function as a learner may have written it, instead of the right one.
MISTAKES: dict[int, dict[str, str]] = {
    1: {
        "counts-words-not-tickets": """
def build_vocabulary(tickets):
    found = {}
    for tokens in tickets:
        for token in tokens:
            found[token] = found.get(token, 0) + 1
    return dict([("<pad>", 0), ("<unk>", 1)] + [(t, i + 2) for i, t in enumerate(sorted(
        t for t in found if found[t] > 1))])
""",
        "softmax-overflow": """
def softmax(logits):
    return np.stack([np.exp(row) / np.exp(row).sum() for row in logits])
""",
        "softmax-axis": """
def softmax(logits):
    odds = np.exp(logits - logits.max(1)[:, None])
    return odds / odds.sum(0)
""",
        "gradient-not-a-mean": """
def gradient(counts, targets, weight, bias):
    wrong = softmax(counts @ weight + bias) - np.eye(len(bias))[targets]
    return counts.T @ wrong, wrong.sum(0)
""",
        "gradient-sign": """
def gradient(counts, targets, weight, bias):
    wrong = (np.eye(len(bias))[targets] - softmax(counts @ weight + bias)) / len(counts)
    return counts.T @ wrong, wrong.sum(0)
""",
    },
    2: {
        "smallest-first": """
def contributions(tokens, vocabulary, weight, label):
    found = {t: tokens.count(t) * weight[vocabulary[t], label] for t in tokens if t in vocabulary}
    return sorted(found.items(), key=lambda one: one[1])
""",
        "counted-once": """
def contributions(tokens, vocabulary, weight, label):
    found = {t: weight[vocabulary[t], label] for t in tokens if t in vocabulary}
    return sorted(found.items(), key=lambda one: one[1], reverse=True)
""",
        "pairs-sorted": """
def add_pairs(tokens):
    return tokens + [min(a, b) + " " + max(a, b) for a, b in zip(tokens, tokens[1:])]
""",
        "words-dropped": """
def add_pairs(tokens):
    return [tokens[i] + " " + tokens[i + 1] for i in range(len(tokens) - 1)]
""",
    },
    3: {
        "own-factor": """
def times(self, other):
    return Value(self.data * other.data, ((other, other.data), (self, self.data)))
Value.__mul__ = times
""",
        "overwritten": """
def backward(self):
    order = []
    def visit(value):
        for parent, _ in value.parents:
            if parent not in order:
                visit(parent)
        order.append(value)
    visit(self)
    self.grad = 1
    while order:
        value = order.pop()
        for parent, slope in value.parents:
            parent.grad = value.grad * slope
Value.backward = backward
""",
        "order": """
def backward(self):
    self.grad, seen = 1.0, set()
    def walk(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        for parent, slope in value.parents:
            parent.grad += value.grad * slope
        for parent, _ in value.parents:
            walk(parent)
    walk(self)
Value.backward = backward
""",
        "log-slope": """
Value.log = lambda self: Value(math.log(self.data), [(self, math.log(self.data))])
""",
    },
    4: {
        "width-of-the-batch": """
def mean_of(table, ids, lengths):
    rows = table[ids].copy()
    for row, length in zip(rows, lengths):
        row[length:] = 0
    return rows.mean(1)
""",
        "padding-added": """
def mean_of(table, ids, lengths):
    return np.stack([sum(table[i] for i in row) / length for row, length in zip(ids, lengths)])
""",
        "repeated-word-lost": """
def gradient_of_table(slope, ids, lengths, num_words):
    found = np.zeros((num_words, slope.shape[1]))
    for b, length in enumerate(lengths):
        found[ids[b, :length]] += slope[b] / length
    return found
""",
        "length-forgotten": """
def gradient_of_table(slope, ids, lengths, num_words):
    found = np.zeros((num_words, slope.shape[1]))
    for b, length in enumerate(lengths):
        for i in ids[b, :length]:
            found[i] += slope[b]
    return found
""",
    },
    5: {
        "reset-before-product": """
def gru_step(gru, x, h):
    w, u = np.split(gru.w, 3), np.split(gru.u, 3)
    b, c = np.split(gru.b, 3), np.split(gru.c, 3)
    r, z = (sigmoid(x @ w[i].T + b[i] + h @ u[i].T + c[i]) for i in (0, 1))
    n = np.tanh(x @ w[2].T + b[2] + (r * h) @ u[2].T + c[2])
    return r, z, n, n + z * (h - n)
""",
        "update-swapped": """
old = gru_step
def gru_step(gru, x, h):
    r, z, n, _ = old(gru, x, h)
    return r, z, n, h + z * (n - h)
""",
        "reads-padding": """
def read(gru, x, lengths):
    found = np.zeros((len(x), x.shape[1] + 1, gru.u.shape[1]))
    for t in range(x.shape[1]):
        found[:, t + 1] = gru_step(gru, x[:, t], found[:, t])[-1]
    return found
""",
    },
    6: {
        "no-correction": """
def adamw_step(weight, slope, mean, square, num_steps, rate, decay):
    mean, square = mean + (slope - mean) / 10, square + (slope * slope - square) / 1000
    return weight * (1 - rate * decay) - rate * mean / (np.sqrt(square) + 1e-8), mean, square
""",
        "decay-in-the-slope": """
def adamw_step(weight, slope, mean, square, num_steps, rate, decay):
    slope = slope + weight * decay
    mean, square = mean + (slope - mean) / 10, square + (slope * slope - square) / 1000
    usual = np.sqrt(square / (1 - 0.999**num_steps)) + 1e-8
    return weight - rate * mean / (1 - 0.9**num_steps) / usual, mean, square
""",
        "first-setback": """
def best_epoch(losses, patience):
    return int(np.argmin(losses)), losses[-1] > min(losses)
""",
        "last-epoch": """
def best_epoch(losses, patience):
    return len(losses) - 1, min(losses) not in losses[-patience:]
""",
        "temperature-inverse": """
right = fit_temperature
def fit_temperature(logits, targets):
    return 1.0 / right(logits, targets)
""",
    },
    7: {
        "gates-of-pytorch": """
def gates(weight):
    return weight.detach().numpy().copy()
""",
        "reset-before-product": """
def gru_node():
    return helper.make_node("GRU", ["x_TBE", "W", "R", "B", "lengths"], ["", "h_1BH"], hidden_size=HIDDEN,
                            linear_before_reset=0)
""",
        "lengths-forgotten": """
def gru_node():
    return helper.make_node("GRU", ["x_TBE", "W", "R", "B"], ["", "h_1BH"], linear_before_reset=1, hidden_size=HIDDEN)
""",
        "created": """
def create_app(answer):
    @post("/search", sync_to_thread=False)
    def look_up(data: JSONBody[Search]) -> Answer:
        category, confidence = answer(data.text)
        return Answer(category=category, confidence=confidence)
    return Litestar(route_handlers=[look_up])
""",
    },
}


def words(language: str) -> dict[str, Any]:
    """Return the sentences of a language."""
    return tomllib.loads((MINI / "words" / f"{language}.toml").read_text("utf-8"))


def run(*options: str) -> Result:
    """Run `python -m docs.mini`."""
    from docs.mini.__main__ import main

    return CliRunner().invoke(main, options, catch_exceptions=False)


def checked(step: int, folder: Path, language: str) -> Result:
    """Run a check."""
    return run("check", str(step), "--folder", str(folder), "--lang", language)


@pytest.fixture(scope="module")
def _one_training_each() -> Iterator[None]:
    """Measure each step once for both languages."""
    from docs.mini import check

    with pytest.MonkeyPatch.context() as patch:
        measure = check.measure
        kept = functools.cache(lambda number, folder: tuple(measure(number, folder, folder)))
        patch.setattr(check, "measure", lambda number, folder, _data: kept(number, folder))
        yield


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a learner's folder as `start` makes it."""
    folder = tmp_path_factory.mktemp("learner") / "mine"
    done = run("start", "--folder", str(folder))
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == {f"step{n}.py" for n in STEPS} | {"tickets.jsonl", "order.jsonl"}
    return folder


@pytest.mark.usefixtures("_one_training_each")
def test_a_learner_builds_it(learner: Path) -> None:
    """Step by step: before, each function is still to be written; with the solution, all is right and as accurate."""
    accuracies = tomllib.loads((MINI / "accuracies.toml").read_text("utf-8"))
    for step in STEPS:
        for language in LANGUAGES:
            before = checked(step, learner, language)
            to_do = words(language)["kinds"]["unwritten"].partition("{")[0]

            assert before.exit_code == 1
            assert before.output.count(f"\n{to_do}") + before.output.startswith(to_do) >= 2, before.output
            assert words(language)["look"] in before.output

        shutil.copy(MINI / "solutions" / f"step{step}.py", learner)
        found = {}
        for language in LANGUAGES:
            after = checked(step, learner, language)
            said = words(language)

            assert after.exit_code == 0, after.output
            names = "|".join(said["sets"].values())
            lines = re.findall(rf"^({names}){SPACE}?\s?: .*?(\d\.\d{{3}})(.*)$", after.output, re.MULTILINE)
            assert [name for name, _, _ in lines] == list(said["sets"].values()), after.output
            found[language] = [float(accuracy) for _, accuracy, _ in lines]
        assert found["fr"] == found["en"]
        for name, accuracy in zip(("tickets", "order"), found["en"], strict=True):
            lowest, highest = accuracies[f"step{step}"][name]
            assert lowest - 0.02 <= accuracy <= highest + 0.02, (step, name)


@pytest.mark.parametrize(("step", "slug"), [(step, slug) for step, found in MISTAKES.items() for slug in found])
def test_mistake_is_named(tmp_path: Path, step: int, slug: str) -> None:
    """The check names the mistake, in both languages, and no other; nothing is trained."""
    for number in range(1, step + 1):
        shutil.copy(MINI / "solutions" / f"step{number}.py", tmp_path)
    path = tmp_path / f"step{step}.py"
    head, guard, tail = path.read_text("utf-8").partition('if __name__ == "__main__":')
    path.write_text(head + MISTAKES[step][slug] + guard + tail, "utf-8")

    for language in LANGUAGES:
        done = checked(step, tmp_path, language)
        of_step = words(language)["mistakes"][f"step{step}"]

        assert done.exit_code == 1
        assert [one for one, said in of_step.items() if said["says"] in done.output] == [slug], done.output
        assert of_step[slug]["look"] in done.output


@pytest.mark.parametrize("step", STEPS)
def test_skeleton_is_its_solution_without_the_bodies(step: int) -> None:
    """The skeletons are what `python -m docs.mini.make_skeletons` makes; at least two functions are to be written."""
    from docs.mini.make_skeletons import skeleton_of

    skeleton = (MINI / "skeletons" / f"step{step}.py").read_text("utf-8")

    assert skeleton == skeleton_of((MINI / "solutions" / f"step{step}.py").read_text("utf-8"))
    assert skeleton.count("raise NotImplementedError") >= 2


@pytest.mark.parametrize("step", STEPS)
def test_french_skeleton_is_the_same_program(tmp_path: Path, step: int) -> None:
    """`start --lang fr` gives skeletons whose words are French, all of them, and whose code is the English one's."""
    from docs.mini.make_skeletons import french_of

    skeleton = (MINI / "skeletons" / f"step{step}.py").read_text("utf-8")
    translated, missing = french_of(skeleton)

    assert missing == []
    assert (MINI / "skeletons" / "fr" / f"step{step}.py").read_text("utf-8") == translated
    assert what_runs(translated) == what_runs(skeleton)
    done = run("start", "--lang", "fr", "--folder", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert (tmp_path / f"step{step}.py").read_text("utf-8") == translated


def test_an_unknown_mistake_is_shown(tmp_path: Path) -> None:
    """A wrong answer that is no typical mistake is shown next to the right one; an exception with its line."""
    source = (MINI / "solutions" / "step1.py").read_text("utf-8")
    more = "\ndef softmax(x):\n    return x\n\ndef gradient(a, b, c, d):\n    return 1 / 0\n"
    (tmp_path / "step1.py").write_text(source.replace("# From here on", f"{more}\n# From here on"), "utf-8")

    done = checked(1, tmp_path, "en")

    assert done.exit_code == 1
    assert "wrong   softmax: the answer is ([[0., 1., 2.]," in done.output
    assert re.search(r"wrong   gradient: ZeroDivisionError: division by zero \(step1\.py:\d+\)", done.output)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A check without the learner's file says how to get it."""
    done = checked(2, tmp_path, "fr")

    assert done.exit_code == 1
    assert "step1.py n’est pas dans" in done.output


def test_start_overwrites_nothing(tmp_path: Path) -> None:
    """What the learner wrote stays when `start` is run again, and the course's own folder is refused."""
    (tmp_path / "step1.py").write_text("mine", "utf-8")

    assert run("start", "--folder", str(tmp_path)).exit_code == 0
    assert (tmp_path / "step1.py").read_text("utf-8") == "mine"
    assert run("start", "--folder", str(MINI / "solutions")).exit_code == 2


def test_tables_of_the_chapter_are_what_was_measured() -> None:
    """Both READMEs hold the table that `python -m docs.mini measure` writes."""
    from docs.mini.__main__ import READMES, table_of

    for language, name in READMES.items():
        assert f"\n{table_of(language)}\n" in (MINI / name).read_text("utf-8")


def test_chapter_says_the_same_in_both_languages() -> None:
    """The same sections, lines and, to the byte, the same blocks; French is set as French; each step has its check."""
    english, french = MINI / "README.md", MINI / "README.fr.md"

    assert blocks(french) == blocks(english)
    shapes = [[re.match(r"#+|- |\||\[|\*", line) for line in prose(path)] for path in (english, french)]
    assert [match and match[0] for match in shapes[1]] == [match and match[0] for match in shapes[0]]
    french_lines = [line for line in prose(french) if not line.startswith("<!--")]
    assert [line for line in french_lines if re.search(rf"(?<!{SPACE})[;:!?»]|«(?!{SPACE})|['\"]", line)] == []
    commands = [line for block in blocks(english) if block.language == "sh" for line in block.text.splitlines()]
    assert commands[2:] == [f"python -m docs.mini check {step}" for step in STEPS]


def keys(table: dict[str, Any], path: str = "") -> set[str]:
    """Return the dotted keys of a table."""
    return {
        one
        for key, value in table.items()
        for one in (keys(value, f"{path}{key}.") if isinstance(value, dict) else {path + key})
    }


def test_both_languages_say_everything() -> None:
    """Each probe and each mistake has its sentences, in both languages; each step has three typical mistakes."""
    from docs.mini.check import mistakes_of
    from docs.mini.probes import PROBES

    said = words("en")

    assert keys(words("fr")) == keys(said)
    for step in STEPS:
        assert list(said["probes"][f"step{step}"]) == [probe.name for probe in PROBES[step]]
        assert set(said["mistakes"][f"step{step}"]) == set(mistakes_of(step))
        assert set(MISTAKES[step]) <= set(mistakes_of(step))
        assert len(MISTAKES[step]) >= 3


def test_french_sentences_are_set_as_french() -> None:
    """Signs of two parts have their unbreakable space, apostrophes are curved; code is left alone."""
    text = (MINI / "words" / "fr.toml").read_text("utf-8")
    sentences = re.findall(r'= "(.*)"$', text, re.MULTILINE)

    assert [
        one for one in sentences if re.search(rf"(?<!{SPACE})[;!?»]|\w:(\s|$)|(?<!{SPACE}): |«(?!{SPACE})|'", one)
    ] == []


def test_no_word_tells_the_category_of_the_order_set() -> None:
    """The subject that is asked for and the other one are drawn alike, so counting words is right on half at best."""
    from docs.mini.tickets import LINKS, SUBJECTS, order_tickets

    subject_of = {word: name for name, named in SUBJECTS.items() for word in named}
    for row in order_tickets():
        tokens = row["tokens"]
        assert isinstance(tokens, list)
        named = [subject_of[token] for token in tokens if token in subject_of]
        (link,) = [place for place, token in enumerate(tokens) if token in LINKS]
        first, second = (place for place, token in enumerate(tokens) if token in subject_of)

        assert named[0] == row["category"] != named[1]
        assert first + 1 < link < second - 1  # no pair of neighbours holds a subject and the link
