"""The page and the card of a version: every number is evaluate's, nothing is loaded, nothing typed is trusted."""

import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from artifacts.evaluation.abstain import Abstention, CategoryCoverage, OutOfScope
from artifacts.evaluation.metrics import measure
from artifacts.networks.manifest import StartedFrom
from artifacts.store.store import Store
from benchmarks.common.options import how_to_install
from tests.conftest import gru_version
from trainer.cli import main
from trainer.report import page
from trainer.report.phrases import WORDS

pytestmark = pytest.mark.torch

HOSTILE = "<script>alert('a')</script> $\\frac | `b` *c* {{ d }} _e_"
ROWS = [
    {"category": "Problème de connexion", "tokens": ["avoir", "problème", "connexion", "<PRODUCT>"]},
    {"category": "Accès utilisateur", "tokens": ["ajouter", "utilisateur", "coffre"]},
    {"category": "Création de client", "text": "création d’un client"},
    {"category": "Accès utilisateur", "tokens": ["création", "client", "<b>gras</b>"], "id": "<i>t-3</i>"},
    {"category": HOSTILE, "text": "facture </td> client"},
]
VOID = {"meta", "wbr", "br"}


class Page(HTMLParser):
    """Reads a page, and fails where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element and its attributes."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element that is closed at once, as those of an SVG are."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last, which must be this one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is read."""
        self.text += data


def puppet_train(*arguments: object, status: int = 0) -> Result:
    """Run `puppet-train` within this process; its exit status must be `status`."""
    result = CliRunner().invoke(main.main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


def page_of(store: Store, folder: Path, *more: object) -> str:
    """Return the page on the fixture's model."""
    out = folder / "page.html"
    puppet_train("report", "--name", "puppet-o2", "--store", store.root, "--out", out, *more)
    return out.read_text("utf-8")


@pytest.fixture
def test_file(tmp_path: Path) -> Path:
    """Give a file of five labelled tickets, two of which are answered wrongly."""
    path = tmp_path / "tickets & more.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def version_with(store: Store, rule: Abstention | None, **records: object) -> int:
    """Return a further version of the fixture's model that has a rule of abstention, and these records of it."""
    manifest, files = gru_version(store)
    records = json.loads(files["report.json"]) | records
    manifest = msgspec.structs.replace(manifest, abstain=rule)
    return store.publish(manifest, files | {"report.json": msgspec.json.encode(records)}).version


def found_at(line: Any, field: str) -> Any:
    """Return what a path such as `coverage.3.accuracy` leads to."""
    for step in field.split("."):
        line = line[int(step)] if isinstance(line, list) else line[step]
    return line


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_number_is_that_of_evaluate(store: Store, tmp_path: Path, test_file: Path, language: str) -> None:
    """To the last digit in the page's data, and rounded in what is read."""
    evaluated = puppet_train("evaluate", test_file, "--name", "puppet-o2", "--store", store.root, "--json")
    line = json.loads(evaluated.stdout.splitlines()[-1])

    page = Page(page_of(store, tmp_path, "--test", test_file, "--lang", language))

    shown = {str(given["data-field"]): float(str(given["value"])) for tag, given in page.elements if tag == "data"}
    assert shown == {field: found_at(line, field) for field in shown}
    steps = {re.sub(r"\.\d+\.", ".", field) for field in shown}
    assert steps >= {
        *(
            "accuracy",
            "accuracy_interval.low",
            "accuracy_interval.high",
            "top_k_accuracy.3",
            "macro_f1",
            "ece",
            "brier",
        ),
        *("aurc", "coverage_at.coverage", "coverage.coverage", "coverage.threshold", "coverage.accuracy"),
        *("reliability.count", "reliability.confidence", "reliability.accuracy", "confusions.count"),
        "mistakes.confidence",
    }
    for field in ("coverage", "reliability", "confusions", "mistakes"):
        assert sum(key.startswith(f"{field}.0.") for key in shown) > 0
        assert {int(key.split(".")[1]) for key in shown if key.startswith(f"{field}.")} == set(range(len(line[field])))
    assert f"{line['accuracy'] * 100:.1f}".replace(".", "," if language == "fr" else ".") in page.text


def test_page_loads_nothing(store: Store, tmp_path: Path, test_file: Path) -> None:
    """No script, no picture, no style of elsewhere; references stay in the page, and each id is there once."""
    text = page_of(store, tmp_path, "--test", test_file)
    page = Page(text)

    tags = {tag for tag, _ in page.elements}
    assert tags >= {"html", "svg", "table", "main", "h1", "h2"}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "image", "base", "form", "a"}
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids)) > 10
    for tag, given in page.elements:
        assert not given.keys() & {"src", "srcset", "data", "action"} - ({"data"} if tag == "data" else set())
        for name, value in given.items():
            if name in ("href", "xlink:href", "aria-labelledby", "aria-describedby"):
                assert str(value).removeprefix("#") in ids
    assert re.findall(r"url\((?!#)|@import", text) == []
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, "the names of namespaces only"


def test_page_can_be_read_without_seeing_it(store: Store, tmp_path: Path, test_file: Path) -> None:
    """It has a language, a title, one h1; each column has a scope, each picture its words."""
    page = Page(page_of(store, tmp_path, "--test", test_file, "--lang", "fr"))
    of_tag: dict[str, list[dict[str, str | None]]] = {}
    for tag, given in page.elements:
        of_tag.setdefault(tag, []).append(given)

    assert of_tag["html"] == [{"lang": "fr"}]
    assert (len(of_tag["title"]), len(of_tag["h1"])) == (1, 1)
    assert all(given.get("scope") in ("col", "row") for given in of_tag["th"])
    assert len(of_tag["figure"]) == len(of_tag["svg"]) == 3
    assert all(given["role"] == "img" and given["aria-label"] for given in of_tag["figure"])


def test_what_somebody_typed_is_shown_as_it_is(store: Store, tmp_path: Path, test_file: Path) -> None:
    """A category, an id, a ticket and a file name are text, whatever they look like; Markdown signs are escaped."""
    card = tmp_path / "card.md"
    page = Page(page_of(store, tmp_path, "--test", test_file, "--card", card))

    assert HOSTILE in page.text
    assert "facture </td> client" in page.text
    assert "création client <b>gras</b>" in page.text
    assert "<i>t-3</i>" in page.text
    assert "tickets & more.jsonl" in page.text
    assert "\\<script\\>alert('a')\\</script\\> \\$\\\\frac \\| \\`b\\` \\*c\\* {{ d }} \\_e\\_" in card.read_text()


def test_without_a_test_file_the_validation_counts(store: Store, tmp_path: Path) -> None:
    """Also of a version of before confidence was measured, whose page leaves out what nobody measured."""
    manifest, files = gru_version(store)
    older = json.loads(files["report.json"])
    for name in ("validation", "linear_validation", "gru_validation"):
        kept = ("total_tests", "correct_predictions", "total_error", "accuracy", "macro_f1", "per_category")
        older[name] = {field: older[name][field] for field in (*kept, "confusions", "mistakes", "unknown_categories")}
    version = store.publish(manifest, files | {"report.json": json.dumps(older).encode()}).version

    page = Page(page_of(store, tmp_path, "--version", version))

    shown = {given["data-field"] for tag, given in page.elements if tag == "data"}
    assert {"accuracy", "macro_f1"} <= shown
    assert not {"ece", "aurc"} & shown
    assert f"{older['validation']['accuracy'] * 100:.1f}%" in page.text
    assert f"Measured on the {older['validation']['total_tests']} validation tickets" in page.text
    assert "pass it only to those who may read them" not in page.text


@pytest.mark.parametrize("language", ["en", "fr"])
def test_rule_of_abstention_is_shown(store: Store, tmp_path: Path, language: str) -> None:
    """What the training found: the rule, what it routes, the categories that it routes least, and the AUROC."""
    rule = Abstention(0.9, 0.7654, tie_margin=0.123, max_unknown=0.55, num_tickets=612, coverage=0.834, accuracy=0.917)
    coverage = {f"c{i:02}": CategoryCoverage(40, i / 20, 0.9) for i in range(1, 13)}
    coverage |= {HOSTILE: CategoryCoverage(31, 0.0, None), "all": CategoryCoverage(50, 1.0, 0.875)}
    scope = OutOfScope(0.8283, 629, 1581, ["x", "y", "z"], "a quick training")
    version = version_with(store, rule, coverage=coverage, out_of_scope=scope)
    card = tmp_path / "card.md"

    text = page_of(store, tmp_path, "--version", version, "--lang", language, "--card", card)

    page = Page(text)
    comma = (lambda number: number.replace(".", ",").replace("%", "\u00a0%")) if language == "fr" else str
    section = page.text[page.text.index(WORDS["abstention"][language == "fr"]) :]
    section = section[: section.index(WORDS["confusions"][language == "fr"])]
    for number in ("90.0%", "76.5%", "12.3%", "55.0%", "612", "83.4%", "91.7%", "AUROC 0.828", "629", "1581"):
        assert comma(number) in section
    assert WORDS["if_asked"][language == "fr"] in section
    # 10 of the 13 that are not routed whole, the least routed first.
    assert [name for name in coverage if name in section] == [*(f"c{i:02}" for i in range(1, 10)), HOSTILE]
    assert section.index(HOSTILE) < section.index("c01") < section.index("c09")
    written = card.read_text("utf-8")
    for line in (
        *("| target, right among the routed | 90.0% |", "| confidence at least | 0.7654 |"),
        *("| measure | 612 tickets kept out of training |", "| routed by itself (coverage) | 83.4% |"),
        *("| right among the routed | 91.7% |", "| c01 | 5.0% | 90.0% | 40 |", "if a search asks for it"),
        *("AUROC 0.828", "to which it answers all the same"),
    ):
        assert line in written
    assert re.search(r"\n\n\n", written) is None


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_the_rule_does_on_the_test_file_stands_beside_its_promise(
    store: Store, tmp_path: Path, test_file: Path, language: str
) -> None:
    """The numbers of evaluate, to the last digit; a rule that routes some and not others, for two reasons."""
    mixed = {"category": "Accès utilisateur", "tokens": ["client", "connexion", "utilisateur"]}
    test_file.write_text(test_file.read_text() + json.dumps(mixed) + "\n")
    before = puppet_train("evaluate", test_file, "--name", "puppet-o2", "--store", store.root, "--json")
    threshold = json.loads(before.stdout.splitlines()[-1])["coverage"][0]["threshold"]  # that the surest have
    rule = Abstention(0.9, threshold, 0.1, max_unknown=0.6, num_tickets=612, coverage=0.834, accuracy=0.917)
    version = version_with(store, rule, coverage={"promised": CategoryCoverage(40, 0.25, 0.9)})
    arguments = ("--name", "puppet-o2", "--store", store.root, "--version", version)
    evaluated = puppet_train("evaluate", test_file, *arguments, "--json")
    found = json.loads(evaluated.stdout.splitlines()[-1])
    card = tmp_path / "card.md"

    text = page_of(store, tmp_path, "--test", test_file, "--version", version, "--lang", language, "--card", card)

    page = Page(text)
    shown = {str(given["data-field"]): float(str(given["value"])) for tag, given in page.elements if tag == "data"}
    told = {field: value for field, value in shown.items() if field.startswith("abstention.")}
    assert told == {field: found_at(found, field) for field in told}
    reasons = {f"abstention.reasons.{reason}" for reason in found["abstention"]["reasons"]}
    assert len(reasons) == 2
    assert told.keys() == reasons | {
        f"abstention.{field}"
        for field in ("target", "coverage", "accuracy", "accuracy_interval.low", "accuracy_interval.high")
    }
    column = ("en", "fr").index(language)
    of_test = page.text[page.text.index(WORDS["least_routed_test"][column]) :]
    of_test = of_test[: of_test.index(WORDS["confusions"][column])]
    for category, one in found["abstention"]["per_category"].items():
        assert (category in of_test) == (one["coverage"] < 1.0)
    assert "promised" in page.text[: page.text.index(WORDS["least_routed_test"][column])]
    measured = f"{found['total_tests']} tickets of tickets \\& more.jsonl"
    assert f"| 612 tickets kept out of training | {measured} |\n|---|---|---|\n" in card.read_text("utf-8")
    assert f"| 83.4% | {found['abstention']['coverage']:.1%} |\n" in card.read_text("utf-8")
    assert re.search(r"\n\n\n", card.read_text("utf-8")) is None


def test_rule_that_routes_nothing_is_told(store: Store, tmp_path: Path, test_file: Path) -> None:
    """The target was out of reach, and the model abstains by default: both are said, and nothing else is claimed."""
    rule = Abstention(0.99, None, 0.1, 0.5, num_tickets=80, coverage=0.0, accuracy=None, by_default=True, detail="why")
    card = tmp_path / "card.md"

    version = version_with(store, rule)
    page = Page(page_of(store, tmp_path, "--version", version, "--test", test_file, "--card", card))

    shown = {given["data-field"]: given["value"] for tag, given in page.elements if tag == "data"}
    assert shown["abstention.coverage"] == "0.0"
    assert "abstention.accuracy" not in shown
    assert WORDS["never_sure"][0] in page.text
    assert "why" in page.text.split()
    assert "\nwhy\n" in card.read_text("utf-8")
    assert WORDS["by_default"][0] in page.text
    assert "AUROC" not in page.text
    assert WORDS["least_routed"][0] not in page.text
    assert "| confidence at least | – |" in card.read_text("utf-8")
    assert "to some of which it answers all the same" in card.read_text("utf-8")


def test_version_without_a_rule_shows_none(store: Store, tmp_path: Path) -> None:
    """Older versions and those of few tickets have none: no section, and nothing in the card."""
    card = tmp_path / "card.md"

    page = Page(page_of(store, tmp_path, "--card", card))

    assert "abstention" not in {given.get("id") for _, given in page.elements}
    assert "Abstention" not in card.read_text("utf-8")


@pytest.mark.parametrize("is_anew", [False, True])
def test_version_that_learnt_on_top_of_another_says_so(store: Store, tmp_path: Path, is_anew: bool) -> None:
    """Page and card say on top of which one, from how many tickets, and whose the temperature and the threshold are."""
    started = StartedFrom(
        version=1, full_version=1, steps=1, num_new=26, num_reminders=0, num_new_categories=1, num_new_words=2,
        calibrated_anew=is_anew,
    )  # fmt: skip
    manifest, files = gru_version(store)
    version = store.publish(msgspec.structs.replace(manifest, started_from=started), files).version

    shown = page_of(store, tmp_path, "--version", version, "--card", tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text("utf-8")

    assert "It learnt 26 new tickets on top of version 1; the validation tickets are of these alone." in shown
    assert "It learnt 26 new tickets on top of version 1, number 1 since the full training of version 1" in card
    assert ("too few to calibrate by" in shown, "too few to calibrate by" in card) == (not is_anew, not is_anew)
    assert "on top of version" not in page_of(store, tmp_path, "--version", 1)


def test_card_has_the_standard_headings(store: Store, tmp_path: Path, test_file: Path) -> None:
    """Those of Mitchell et al. 2019, in their order, and the numbers of evaluate."""
    card = tmp_path / "card.md"
    page_of(store, tmp_path, "--test", test_file, "--card", card)
    evaluated = puppet_train("evaluate", test_file, "--name", "puppet-o2", "--store", store.root, "--json")
    line = json.loads(evaluated.stdout.splitlines()[-1])

    text = card.read_text("utf-8")

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        *("Model Details", "Intended Use", "Factors", "Metrics", "Evaluation Data", "Training Data"),
        *("Quantitative Analyses", "Ethical Considerations", "Caveats and Recommendations"),
    ]
    assert f"| accuracy | {line['accuracy']:.4f} (" in text
    assert f"| ECE | {line['ece']:.4f} |" in text
    assert re.search(r"\n\n\n", text) is None


def test_matrix_holds_the_largest_confusions_and_every_ticket() -> None:
    """Of 40 categories 12 are shown, partners side by side; the rest is summed, and no ticket is lost."""
    labels = [f"c{number:02}" for number in range(40)]
    random = np.random.default_rng(2)
    targets = random.integers(0, 40, 4000)
    said = np.where(random.random(4000) < 0.7, targets, random.integers(0, 40, 4000))
    said[(targets == 5) & (random.random(4000) < 0.5)] = 30
    metrics = measure(labels, [labels[one] for one in targets], [np.eye(40, dtype=np.float32)[said]])

    matrix = page.largest_confusions(metrics)

    assert matrix is not None
    assert 11 <= len(matrix.categories) <= 12
    assert matrix.categories.index("c30") - matrix.categories.index("c05") == 1
    assert sum(map(sum, matrix.counts)) == 4000
    for row, category in enumerate(matrix.categories):
        number = labels.index(category)
        assert sum(matrix.counts[row]) == np.sum(targets == number)
        assert sum(counts[row] for counts in matrix.counts) == np.sum(said == number)
        assert matrix.counts[row][row] == np.sum((targets == number) & (said == number))


def test_nothing_confused_needs_no_matrix() -> None:
    """The page then says that no ticket was answered wrongly."""
    assert page.largest_confusions(measure(["a", "b"], ["a"], [np.array([[1, 0]], dtype=np.float32)])) is None


def test_both_languages_fill_in_the_same() -> None:
    """Each text has the same fields in both; French has its unbreakable spaces and curved apostrophes."""
    for english, french in WORDS.values():
        fields = [[name for _, name, _, _ in string.Formatter().parse(text) if name] for text in (english, french)]
        assert sorted(fields[0]) == sorted(fields[1])
        assert re.search(r" [;:?!%]|'", french) is None, french


def test_missing_library_is_named_with_the_remedy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "matplotlib" else name)

    result = puppet_train("report", "--name", "puppet-o2", "--store", store.root, status=1)

    assert f"report needs matplotlib; {how_to_install('report')}" in result.stderr


def test_what_has_no_report_is_refused(store: Store, tmp_path: Path) -> None:
    """A kind without categories, a version that is not there, one that was never measured, a folder that is not."""
    manifest, files = gru_version(store)
    unmeasured = json.loads(files["report.json"]) | {"validation": None}
    version = store.publish(manifest, files | {"report.json": msgspec.json.encode(unmeasured)}).version

    def refusal(*arguments: object) -> str:
        return puppet_train("report", "--store", store.root, *arguments, status=1).stderr

    assert "prices is a SimpleNN, a report is made of a GRU only" in refusal("--name", "prices")
    assert "has no version 9" in refusal("--name", "puppet-o2", "--version", 9)
    assert "give --test FILE" in refusal("--name", "puppet-o2", "--version", version)
    out = tmp_path / "nowhere" / "page.html"
    assert "cannot write" in refusal("--name", "puppet-o2", "--version", 1, "--out", out)
