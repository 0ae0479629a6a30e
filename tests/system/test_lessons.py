"""The lessons under docs/lessons: they run as the documents say, and their bugs are really there."""

# Axes: B e-mails in the batch, T words (padded), C categories.

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.trainer.small import json_rows, tickets

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "lessons" / "seed_bugs.py"
NEITHER, SOFTMAX, PADDING, BOTH = "neither bug", "softmax before loss", "state after padding", "both bugs"
SMALL = ("--epochs", "1", "--num-seeds", "1")
ROW = re.compile(r"^(\w[\w ]+?) +(\d+) +(\d+\.\d) +(\d+\.\d) +(-?\d+\.\d)? +(\d+\.\d{4}) +(\d+\.\d{4}) +\d+\.\d$")

pytestmark = pytest.mark.torch


def run_script(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the lesson as a reader does."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options], env=environment, capture_output=True, text=True, timeout=300
    )


def run_here(lesson: ModuleType, *options: str) -> Result:
    """Run the lesson in this process, which has loaded PyTorch already."""
    result = CliRunner().invoke(lesson.main, options)
    assert result.exit_code == 0, result.output
    return result


def trainings(done: subprocess.CompletedProcess[str] | Result) -> list[tuple[str, str]]:
    """Return the name and the seed of each training that a run printed, in order."""
    return [(found[1], found[2]) for line in done.stdout.splitlines() if (found := ROW.match(line))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a small set; one test row has a category that no training row has."""
    made = tmp_path_factory.mktemp("set")
    rows = json_rows(tickets(8))
    stranger = {"label": "Inconnue", "email_text": "tout autre chose"}
    for name, content in (("train", rows), ("test", [*rows[::4], stranger])):
        (made / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), "utf-8")
    return made


@pytest.fixture(scope="module")
def lesson() -> ModuleType:
    """Give the script as a module; it lies in no package."""
    spec = importlib.util.spec_from_file_location("seed_bugs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(lesson: ModuleType, softmax: bool, padding: bool) -> Any:
    """Return an untrained network of 10 words and 5 categories, the same weights whatever its bugs."""
    import torch

    torch.manual_seed(0)
    return lesson.EmailClassifier(10, 5, lesson.Bugs(softmax, padding)).eval()


def test_sample_runs_all_four() -> None:
    """Without options the four networks are trained on invented e-mails, and both bugs are explained."""
    done = run_script(*SMALL, "--num-tickets", "150", "--seed", "3")

    assert done.returncode == 0, done.stderr
    assert trainings(done) == [(name, "3") for name in (NEITHER, SOFTMAX, PADDING, BOTH)]
    assert "invented e-mails, seed 3" in done.stdout
    assert f"\n{SOFTMAX}: " in done.stdout
    assert f"\n{PADDING}: " in done.stdout


def test_folder_runs_all_four_for_each_seed(lesson: ModuleType, folder: Path) -> None:
    """A set of one's own is read from its two files; each seed trains all four; the cost is the difference."""
    done = run_here(lesson, "--data", str(folder), "--epochs", "1", "--num-seeds", "2")

    assert trainings(done) == [(name, seed) for seed in "01" for name in (NEITHER, SOFTMAX, PADDING, BOTH)]
    assert f"{folder}: 32 to learn from, 9 to measure on" in done.stdout
    cells = [found.groups() for line in done.stdout.splitlines() if (found := ROW.match(line))]
    for of_seed in (cells[:4], cells[4:]):
        right = float(of_seed[0][2])
        assert of_seed[0][4] is None
        costs = [right - float(one[2]) for one in of_seed[1:]]
        assert [float(one[4]) for one in of_seed[1:]] == pytest.approx(costs, abs=0.11)  # all three are rounded


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--softmax-before-loss"], [NEITHER, SOFTMAX]),
        (["--last-state-after-padding"], [NEITHER, PADDING]),
        (["--softmax-before-loss", "--no-last-state-after-padding"], [NEITHER, SOFTMAX]),
        (["--softmax-before-loss", "--last-state-after-padding"], [NEITHER, BOTH]),
        (["--no-softmax-before-loss", "--no-last-state-after-padding"], [NEITHER]),
    ],
)
def test_switch_runs_its_pair(lesson: ModuleType, folder: Path, options: list[str], names: list[str]) -> None:
    """A switch trains its own combination beside the correct network, no other, and explains its own bug only."""
    done = run_here(lesson, "--data", str(folder), *SMALL, *options)

    assert [name for name, _ in trainings(done)] == names
    assert (f"\n{SOFTMAX}: " in done.stdout) == (names[-1] in (SOFTMAX, BOTH))
    assert (f"\n{PADDING}: " in done.stdout) == (names[-1] in (PADDING, BOTH))


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong path is a wrong option: one message with the path, status 2, nothing trained."""
    done = run_script("--data", str(tmp_path / "nowhere"))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("Error: ") == 1
    assert "nowhere' does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    """A folder that lacks a file gets one line that names the file, and status 1."""
    done = run_script("--data", str(tmp_path))

    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: cannot read {tmp_path / 'train.jsonl'}")


def test_first_bug_gives_the_loss_probabilities(lesson: ModuleType) -> None:
    """With bug 1 the rows sum to 1 before the loss and are the softmax of the correct network's logits."""
    import torch

    ids_BT, lengths_B = torch.tensor([[2, 3, 4], [5, 6, 0]]), torch.tensor([3, 2])

    logits_BC = network(lesson, softmax=False, padding=False)(ids_BT, lengths_B)
    outputs_BC = network(lesson, softmax=True, padding=False)(ids_BT, lengths_B)

    torch.testing.assert_close(outputs_BC.sum(dim=1), torch.ones(2))
    assert not torch.allclose(logits_BC.sum(dim=1), torch.ones(2), atol=0.01)
    torch.testing.assert_close(outputs_BC, logits_BC.softmax(dim=1))


def test_second_bug_reads_the_padding(lesson: ModuleType) -> None:
    """Padding appended to an e-mail changes the answer with bug 2, and not a bit of it without."""
    import torch

    ids_BT, lengths_B = torch.tensor([[2, 3, 4], [5, 6, 0]]), torch.tensor([3, 2])
    longer_BT = torch.nn.functional.pad(ids_BT, (0, 20))
    correct, wrong = (network(lesson, softmax=False, padding=padding) for padding in (False, True))

    assert torch.equal(correct(longer_BT, lengths_B), correct(ids_BT, lengths_B))
    assert (wrong(longer_BT, lengths_B) - wrong(ids_BT, lengths_B)).abs().max() > 0.01
    # Without padding there is no difference: bug 2 is the padding and nothing else.
    torch.testing.assert_close(wrong(ids_BT[:1], lengths_B[:1]), correct(ids_BT[:1], lengths_B[:1]))


def test_padding_goes_to_the_longest_of_the_set(lesson: ModuleType) -> None:
    """E-mails are filled up with 0 to the longest of all; unknown words are 1, an unknown category is -1."""
    texts = lesson.Texts([["a", "b", "a"], ["x"]], ["spam", "other"])

    emails = lesson.encode(texts, {"a": 2, "b": 3}, {"spam": 0})

    assert emails.ids.tolist() == [[2, 3, 2], [1, 0, 0]]
    assert emails.lengths.tolist() == [3, 1]
    assert emails.labels.tolist() == [0, -1]


@pytest.mark.parametrize("num_categories", [2, 5, 77])
def test_floor_of_the_loss_is_where_it_stops(lesson: ModuleType, num_categories: int) -> None:
    """The printed lowest loss is what `CrossEntropyLoss` asks of a probability of 1, and 0 without the bug."""
    import torch

    sure = torch.nn.functional.one_hot(torch.tensor([0]), num_categories).double()

    found = torch.nn.CrossEntropyLoss()(sure, torch.tensor([0])).item()

    assert lesson.lowest_loss(lesson.Bugs(True, False), num_categories) == pytest.approx(found, abs=1e-9)
    assert lesson.lowest_loss(lesson.Bugs(False, True), num_categories) == 0


def test_variants_start_from_the_same_weights(lesson: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One seed gives all four networks the same first weights and the same batches: only the bugs differ."""
    import torch

    emails = lesson.Emails(
        torch.randint(2, 10, (40, 6), generator=torch.Generator().manual_seed(1)),  # all of one length: no padding
        torch.full((40,), 6),
        torch.arange(40) % 5,
    )

    runs = [lesson.run(lesson.Bugs(False, padding), (emails, emails), 10, 5, 2, seed=7) for padding in (False, True)]

    assert runs[0].loss == pytest.approx(runs[1].loss, abs=1e-5)
    assert runs[0].accuracy == runs[1].accuracy == runs[0].alone


ATTENTION = ROOT / "docs" / "lessons" / "attention.py"


@pytest.fixture(scope="module")
def other_lesson() -> ModuleType:
    """Give the script on attention as a module."""
    spec = importlib.util.spec_from_file_location("attention", ATTENTION)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(lesson: ModuleType, kind: str, rows: list[list[int]]) -> Any:
    """Return the logits of an untrained network for tickets of a batch."""
    import torch

    torch.manual_seed(0)
    network = lesson.Classifier(kind, 10, 3).eval()
    with torch.no_grad():
        return network(*lesson.padded(rows))


def test_attention_trains_all_four(other_lesson: ModuleType) -> None:
    """A line for each network, and at the end the numbers."""
    done = run_here(other_lesson, "--num-seeds", "1", "--epochs", "1", "--num-tickets", "60")

    lines = done.stdout.splitlines()
    assert [line[:22].strip() for line in lines[1:5]] == list(other_lesson.KINDS)
    found = json.loads(lines[5])
    assert {name: {one: len(runs) for one, runs in sets.items()} for name, sets in found.items()} == {
        name: {"tickets": 1, "order": 1} for name in other_lesson.KINDS
    }


def test_no_network_of_the_lesson_reads_the_padding(other_lesson: ModuleType) -> None:
    """A ticket gets the same logits alone and next to a longer one."""
    import torch

    for kind in other_lesson.KINDS:
        together_BC = answers(other_lesson, kind, [[2, 3, 4], [5, 6, 7, 8, 9]])
        torch.testing.assert_close(together_BC[:1], answers(other_lesson, kind, [[2, 3, 4]]))


def test_only_two_of_the_lesson_see_order(other_lesson: ModuleType) -> None:
    """Turned round, a ticket is the same to a mean and to attention, and another to a GRU and to places."""
    import torch

    seen = [
        kind
        for kind in other_lesson.KINDS
        if not torch.allclose(
            answers(other_lesson, kind, [[2, 3, 4]]), answers(other_lesson, kind, [[4, 3, 2]]), atol=1e-5
        )
    ]

    assert seen == ["GRU", "attention and places"]
