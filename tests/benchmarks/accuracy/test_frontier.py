"""`python -m benchmarks frontier`: what is held out, trained and compared; and where the names stand in its picture."""

import json
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInput
from artifacts.networks.gru import GruModel
from artifacts.store.store import Store
from benchmarks.accuracy import accuracy
from benchmarks.accuracy.frontier import DEFAULT_SHAPES, Shape, frontier_command, hold_out, known, plan, read_shape
from benchmarks.accuracy.frontier_costs import Cost, Costs, timer
from benchmarks.accuracy.frontier_summary import LIMIT_US, SVC, Key, Settings, frontier, summarise
from benchmarks.accuracy.frontier_tables import mean_sheet, panels, set_sheet, verdict
from benchmarks.accuracy.learners import Run, Work
from benchmarks.accuracy.sets import DataSet, Part, read_train
from benchmarks.common.labels import AIR, DOT, Box, place
from benchmarks.common.plots import plot_frontier
from benchmarks.common.rounds import Spread
from tests.conftest import gru_version
from tests.trainer.small import json_rows, tickets
from trainer.config import TrainConfig


def settings(rounds: int = 5) -> Settings:
    """Return two shapes on two sets, with two seeds."""
    shapes = {"2 x 32": ["grus=2", "hidden=32"], "1 x 64": ["grus=1", "hidden=64"]}
    return Settings({"a": "", "b": ""}, TrainConfig(), shapes, [0, 1], rounds, 1)


def a_run(key: Key, correct: str) -> Run:
    """Return a run that got these held-out tickets right."""
    share = correct.count("1") / len(correct)
    return Run(key.label, key.learner, Part(), key.seed, 90, share, share, 1000.0, 10.0, 7, correct=correct)


def a_cost(batch_us: float) -> Cost:
    """Return a cost whose rounds were all alike."""
    return Cost(Spread(batch_us, batch_us, batch_us), Spread(100.0, 90.0, 120.0), batch_us / 10, 7)


ANSWERS = {
    **{("a", "2 x 32", 0): "1110", ("a", "2 x 32", 1): "1111", ("a", "1 x 64", 0): "1100", ("a", "1 x 64", 1): "1100"},
    **{("b", "2 x 32", 0): "1000", ("b", "2 x 32", 1): "1000", ("b", "1 x 64", 0): "1111", ("b", "1 x 64", 1): "1100"},
    **{(label, SVC, seed): "1100" for label in "ab" for seed in (0, 1)},
}
RUNS = {Key(*key): a_run(Key(*key), correct) for key, correct in ANSWERS.items()}
COSTS = {"a": Costs(100.0, [a_cost(40.0), a_cost(50.0)]), "b": Costs(80.0, [a_cost(60.0), a_cost(50.0)])}


def write(path: Path, rows: list[dict[str, object]]) -> DataSet:
    """Write a training file, and return a set that has no test file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return DataSet("a (tokens)", path, path.with_name("no_test"))


def test_tenth_is_held_out_and_the_test_file_not_read(tmp_path: Path) -> None:
    """Of four categories with 10 tickets each one is held out, with its copy; together both parts are the file."""
    rows = json_rows(tickets(10))
    one = write(tmp_path / "train.jsonl", [*rows, *rows])

    data, seed, num_train = hold_out(one, 3, tmp_path / "kept")

    learnt, held_out = (read_train(path) for path in (data.train, data.test))
    assert (data.label, seed, num_train) == ("a (tokens)", 3, 72)
    assert set(held_out.categories.values()) == {2}
    assert len(held_out.categories) == 4
    parts = [{tuple(tokens) for tokens in part.tokens} for part in (learnt, held_out)]
    assert parts[0] & parts[1] == set()
    assert len(learnt.tickets) + len(held_out.tickets) == 80


def test_same_seed_holds_out_the_same_and_another_does_not(tmp_path: Path) -> None:
    """What is kept for `--resume` is found again, because path and content are those of the first time."""
    one = write(tmp_path / "train.jsonl", json_rows(tickets(10)))

    first = hold_out(one, 0, tmp_path / "kept")
    content = first.data.test.read_bytes()

    assert hold_out(one, 0, tmp_path / "kept") == first
    assert first.data.test.read_bytes() == content
    assert hold_out(one, 1, tmp_path / "kept").data.test.read_bytes() != content


def test_file_with_nothing_to_spare_is_refused(tmp_path: Path) -> None:
    """Two tickets of a category are both for learning."""
    one = write(tmp_path / "train.jsonl", json_rows(tickets(2)))

    with pytest.raises(InvalidInput, match="no category with 3 distinct tickets to hold one out"):
        hold_out(one, 0, tmp_path)


def test_every_shape_and_the_svc_are_trained_with_each_seed(tmp_path: Path) -> None:
    """Settings of all, then the shape's own, which win; the SVC last, because it is the shortest."""
    one = write(tmp_path / "train.jsonl", json_rows(tickets(10)))
    parts = [hold_out(one, seed, tmp_path) for seed in (0, 1)]
    shapes = [Shape(("hidden=8",)), Shape(("hidden=16", "epochs=2"))]

    works = plan(parts, shapes, ("epochs=1",))

    assert set(works.values()) == {
        Key("a (tokens)", name, seed) for name in ("hidden=8", "hidden=16, epochs=2", SVC) for seed in (0, 1)
    }
    assert [work.learner for work in works] == ["gru"] * 4 + ["svc"] * 2
    for work, key in works.items():
        assert (work.seed, work.data) == (key.seed, parts[key.seed].data)
        if key.learner == "hidden=16, epochs=2":
            assert work.overrides[:3] == ("epochs=1", "hidden=16", "epochs=2")


def test_default_shapes_are_settings_that_the_trainer_has() -> None:
    """Each reads without a fault and has a name of its own; the first is the default."""
    shapes = [read_shape(words, ()) for words in DEFAULT_SHAPES]

    assert len({shape.label for shape in shapes}) == len(shapes) == 12
    assert shapes[0].label == "2 x 32"
    assert shapes[-1].label == "4 x 32, one way"


def test_faulty_shape_is_refused_before_anything_is_trained() -> None:
    """A word without a value, a field that is not there, a value out of range."""
    with pytest.raises(click.UsageError, match="found 'grus'"):
        read_shape("hidden=8,grus", ())
    with pytest.raises(InvalidInput):
        read_shape("heads=8", ())
    with pytest.raises(InvalidInput):
        read_shape("hidden=0", ())


def test_settings_that_the_trainer_lacks_are_left_out() -> None:
    """A setting that is only for speed is dropped where there is none."""
    assert known("epochs=1", "no_such_field=1") == ("epochs=1",)


def test_numbers_of_a_set() -> None:
    """Set a: 7 of 8 against the SVC's 4 of 8, and 4 of 8 of the other shape, which costs more: one on the frontier.

    On b the second shape is better and cheaper. Means: (7/8 + 2/8) / 2 and (4/8 + 6/8) / 2, at 50 us both.
    """
    numbers = summarise(settings(), RUNS, COSTS)

    a, b = numbers.sets
    assert (a.num_train, a.num_held_out, a.svc_accuracies, a.svc_ticket_us) == (90, 8, [0.5, 0.5], 1000.0)
    assert a.lines[0].accuracies == [0.75, 1.0]
    assert a.lines[0].over_svc.mean == 3 / 8
    assert a.lines[0].over_first is None
    assert a.lines[1].over_first is not None
    assert a.lines[1].over_first.mean == -3 / 8
    assert [line.is_on_frontier for line in a.lines] == [True, False]
    assert [line.is_on_frontier for line in b.lines] == [False, True]
    assert [(mean.shape, mean.accuracy, mean.batch_us) for mean in numbers.means] == [
        ("2 x 32", 0.5625, 50.0),
        ("1 x 64", 0.625, 50.0),
    ]
    assert [mean.is_on_frontier for mean in numbers.means] == [False, True]
    assert (numbers.svc_accuracy, numbers.peak_gflops, numbers.void_because) == (0.5, 90.0, [])


def test_few_rounds_void_the_result() -> None:
    """Four rounds are no result."""
    assert summarise(settings(rounds=4), RUNS, COSTS).void_because == ["4 rounds, a result has at least 5"]


def test_tables_say_what_is_within_the_limit() -> None:
    """The cheapest first, the SVC last; the intervals set by set; on b no shape costs 45 us or less."""
    numbers = summarise(settings(), RUNS, COSTS)

    mean = mean_sheet(settings(), numbers)
    a, b = (set_sheet(settings(), one) for one in numbers.sets)

    assert [row[0] for row in mean.rows] == ["2 x 32", "1 x 64", SVC]
    assert mean.rows[1][1:7] == ["0.6250", "+12.50", "50.0", "100.0", "5.00", "10.0"]
    assert {len(row) for row in mean.rows} == {len(mean.columns)}
    assert (a.title, [row[0] for row in a.rows]) == ("a", ["2 x 32", "1 x 64"])
    assert (b.title, [row[0] for row in b.rows]) == ("b", ["1 x 64", "2 x 32"])
    assert a.rows[0][1:4] == ["0.8750", "0.7500 to 1.0000", "+37.50"]
    assert a.rows[0][5:7] == ["-", "-"]
    assert {len(row) for row in (*a.rows, *b.rows)} == {len(a.columns)}
    assert "a: within 45 us 2 x 32 is the best, 0.8750 at 40.0 us; frontier: 2 x 32." in mean.notes
    assert "b: no shape is within 45 us; frontier: 1 x 64." in mean.notes


def test_verdict_prefers_the_cheaper_of_equals() -> None:
    """Equally accurate: the one that costs less; what is over the limit can be on the frontier, but is not the best."""
    shapes = [("dear", 44.0, 0.9), ("cheap", 30.0, 0.9), ("over", LIMIT_US + 1, 0.95)]

    assert verdict("x", shapes) == "x: within 45 us cheap is the best, 0.9000 at 30.0 us; frontier: cheap; over."


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_frontier_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    """Whatever is off it is beaten by a point on it; along it accuracy rises with the cost."""
    best = frontier(points)

    for place_, (us, height) in enumerate(points):
        beaten_by = [i for i in best if points[i] != (us, height) and points[i][0] <= us and points[i][1] >= height]
        assert bool(beaten_by) == (place_ not in best)
    along = sorted({points[i] for i in best})
    assert [height for _, height in along] == sorted({height for _, height in along})


def test_network_is_timed_in_processor_time(store: Store) -> None:
    """The small model of the fixture: a ticket among 8 costs something, and less than one alone."""
    manifest, files = gru_version(store)

    among, alone = timer(GruModel(manifest, files), files["model.onnx"], [["connexion", "inconnu"] * 15] * 16)()

    assert 0 < among < alone


def test_names_stand_clear_of_each_other_and_of_the_points() -> None:
    """Twelve points in three heaps, names of 90 x 12 pixels in 700 x 500: no two names meet, none hides a point."""
    points = [(150.0 + 200 * heap + 7 * i, 120.0 + 120 * heap + 5 * (i % 2)) for heap in range(3) for i in range(4)]
    inside = Box(0, 0, 700, 500)

    corners = place(points, [(90.0, 12.0)] * 12, inside)

    boxes = [Box(x, y, x + 90, y + 12) for x, y in corners]
    dots = [Box(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points]
    for number, box in enumerate(boxes):
        assert not any(box.hits(other) for other in (*boxes[:number], *dots))
        assert inside.left <= box.left
        assert box.right <= inside.right


def test_name_keeps_off_a_line_if_it_can() -> None:
    """A point alone has its name on its right; a line there, and it is moved."""
    inside, line = Box(0, 0, 200, 200), [(110.0 + step, 100.0) for step in range(50)]

    free = place([(100.0, 100.0)], [(40.0, 10.0)], inside)[0]
    moved = place([(100.0, 100.0)], [(40.0, 10.0)], inside, line)[0]

    assert free == (100.0 + DOT + AIR, 95.0)
    assert not any(Box(*moved, moved[0] + 40, moved[1] + 10).holds(spot) for spot in line)


def test_picture_has_a_panel_for_each_set_after_their_mean(tmp_path: Path) -> None:
    """Three panels, drawn without a fault where the SVC lies among the shapes and where it lies far away."""
    pytest.importorskip("matplotlib")
    found = panels(summarise(settings(), RUNS, COSTS))

    assert [panel.title for panel in found] == ["mean of the sets", "a", "b"]
    assert [mark.title for mark in found[1].marks if mark.is_on_frontier] == ["2 x 32"]
    far = msgspec.structs.replace(found[1], beaten_accuracy=0.1)
    plot_frontier(tmp_path / "one.png", [found[1], far], LIMIT_US, "us")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_command_saves_tables_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One shape on one set, processes replaced: each learner is trained on 36 tickets and asked 4; all is kept."""
    pytest.importorskip("matplotlib")
    seen: list[Work] = []

    def in_child(sent: bytes) -> Run:
        work = msgspec.json.decode(sent, type=Work, dec_hook=lambda _, path: Path(path))
        seen.append(work)
        assert [len(read_train(path).tickets) for path in (work.data.train, work.data.test)] == [36, 4]
        return a_run(Key(work.data.label, work.learner, work.seed), "1101" if work.learner == "gru" else "1000")

    monkeypatch.setattr(accuracy, "in_child", in_child)
    monkeypatch.setattr("benchmarks.accuracy.frontier.measure_costs", lambda *_: Costs(100.0, [a_cost(40.0)]))
    folder = tmp_path / "sets" / "small"
    folder.mkdir(parents=True)
    write(folder / "train.tokens.jsonl", json_rows(tickets(10)))
    (folder / "test.tokens.jsonl").write_text("nobody reads this")
    options = ["--shape", "grus=1,hidden=8,embedding=8", "--seeds", "2", "--jobs", "1", "--save"]

    arguments = ["--data", str(tmp_path / "sets"), *options, "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(frontier_command, arguments)

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["numbers"]["sets"][0]["lines"][0]["accuracies"] == [0.75, 0.75]
    assert found["settings"]["shapes"] == {"1 x 8": ["grus=1", "hidden=8", "embedding=8"]}
    assert [(work.learner, work.seed) for work in seen] == [("gru", 0), ("gru", 1), ("svc", 0), ("svc", 1)]
    (text,) = (tmp_path / "results").glob("*_frontier.md")
    assert "## small (tokens)" in text.read_text("utf-8")
    assert f"({text.stem}.png)" in text.read_text("utf-8")
    assert text.with_suffix(".png").exists()
    assert str(tmp_path) not in text.with_suffix(".json").read_text("utf-8")


def test_numbers_are_json() -> None:
    """The last line of stdout holds them all."""
    numbers = summarise(settings(), RUNS, COSTS)

    assert msgspec.json.decode(msgspec.json.encode(numbers), type=type(numbers)) == numbers
