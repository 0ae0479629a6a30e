"""From a version that serves and new tickets to the next version, with what it may say of itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from artifacts.errors import InvalidInput, VersionNotFound
from artifacts.jobs.request import StartVersion
from artifacts.kinds import kind_named, load
from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest, GruReport, encoding
from artifacts.networks.learnt import seen
from artifacts.networks.manifest import StartedFrom
from artifacts.store import feedback
from artifacts.store.feedback import Correction
from artifacts.store.store import Store
from tests.trainer import small
from tests.trainer.job_bodies import body, claimed
from tests.trainer.small import NAME
from trainer.cli import main
from trainer.config import TrainConfig
from trainer.continuing import start as starting
from trainer.continuing import update as continuing
from trainer.data.tickets import Rows
from trainer.run import fit, run_job, start_of, with_feedback

pytestmark = pytest.mark.torch

OLD = small.tickets(6)
NEW = {category: tickets[6:] for category, tickets in small.tickets(10).items()}
VPN = {"VPN": [f"vpn {detail} coupé tunnel".split() for detail in small.DETAILS]}


@pytest.fixture
def trained(empty: Store) -> Store:
    """Give a store with a small GRU of four categories that serves."""
    fit(empty, NAME, small.rows(OLD), small.config(epochs=12))
    return empty


def learn_on(
    store: Store,
    of_category: Mapping[str, Sequence[Sequence[str]]] | Rows,
    asked: StartVersion = "serving",
    **changes: object,
) -> tuple[GruManifest, GruReport]:
    """Train on tickets on top of a version."""
    rows = of_category if isinstance(of_category, Rows) else small.rows(of_category)
    config = msgspec.structs.replace(TrainConfig(min_count=2, processes=1), **changes)
    start = start_of(store, NAME, kind_named("GRU"), rows, config, asked)
    manifest, report = fit(store, NAME, rows, config, start=start)
    assert isinstance(manifest, GruManifest)
    assert isinstance(report, GruReport)
    return manifest, report


def said(store: Store, version: int, tickets: Sequence[Sequence[str]]) -> list[str]:
    """Return the categories that a version gives."""
    model = load(*store.read_version(NAME, version))
    return [answer.said for answer in model.predict([model.encode(list(one)) for one in tickets])]


def test_new_category_is_answered_and_the_old_ones_stay(trained: Store) -> None:
    """Ten tickets of a category that the version lacks; the old tickets are not there and keep their answers."""
    old = [ticket for group in OLD.values() for ticket in group]

    manifest, report = learn_on(trained, {**VPN, **NEW})

    assert said(trained, 2, [["vpn", "coupé"], ["tunnel", "vpn", "mardi"]]) == ["VPN", "VPN"]
    assert said(trained, 2, old) == said(trained, 1, old)
    assert trained.current(NAME).version == 2
    assert manifest.parent == 1
    assert manifest.started_from == StartedFrom(
        version=1, full_version=1, steps=1, num_new=26, num_reminders=0, num_new_categories=1, num_new_words=7,
        calibrated_anew=False,
    )  # fmt: skip
    assert report.validation is not None
    assert report.validation.total_tests == 26


def test_version_knows_what_the_one_before_had_learnt(trained: Store) -> None:
    """Its list holds both, so clean figures stay clean however often versions are started from each other."""
    learn_on(trained, NEW)
    _, report = learn_on(trained, VPN)

    every = small.rows({**small.tickets(10), **VPN, "x": [["ganz", "anders"]]}).tickets
    assert seen(every, report.trained_on) == [True] * 50 + [False]


def test_known_tickets_remind_and_are_not_new(trained: Store) -> None:
    """The whole file may be given: what the version has learnt from is known again."""
    manifest, _ = learn_on(trained, small.tickets(10))

    assert manifest.started_from is not None
    assert (manifest.started_from.num_new, manifest.started_from.num_reminders) == (16, 24)
    with pytest.raises(InvalidInput, match="version 2 has learnt from all 40 tickets already"):
        learn_on(trained, small.tickets(10))


def test_correction_of_a_ticket_that_was_learnt_is_new(trained: Store) -> None:
    """Its content is known and its category is not: it is learnt, and once more until it is answered so."""
    ticket, right = OLD["Facture"][0], "Accès utilisateur"
    feedback.add(trained, NAME, Correction(id="1", category=right, tokens=ticket), 100)

    def corrections() -> Rows:
        rows = with_feedback(trained, NAME, kind_named("GRU"), None)
        assert isinstance(rows, Rows)
        return rows

    def probability(version: int) -> float:
        model = load(*trained.read_version(NAME, version))
        assert isinstance(model, GruModel)
        return float(model.probabilities([model.encode(ticket)])[0, model.labels.index(right)])

    assert said(trained, 1, [ticket]) == ["Facture"]
    for version in (2, 3):
        manifest, _ = learn_on(trained, corrections())
        assert manifest.started_from is not None
        assert (manifest.started_from.num_new, manifest.num_feedback) == (1, 1)
        assert probability(version) > 1.5 * probability(version - 1)
    feedback.add(trained, NAME, Correction(id="1", category="Facture", tokens=ticket), 100)
    with pytest.raises(InvalidInput, match="has learnt from the 1 ticket already"):
        learn_on(trained, corrections(), asked=1)


def test_temperature_and_threshold_are_kept_until_there_is_evidence(
    trained: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few new tickets decide nothing of it; from `ENOUGH` on they do, and the manifest says which it was."""
    before = trained.read_manifest(NAME, 1)
    assert isinstance(before, GruManifest)

    kept, _ = learn_on(trained, {**NEW, **VPN})
    monkeypatch.setattr(continuing, "ENOUGH", 26)
    anew, _ = learn_on(trained, {**NEW, **VPN}, asked=1)

    assert kept.calibration == before.calibration
    assert (kept.abstain, kept.profile) == (before.abstain, before.profile)
    assert kept.started_from is not None
    assert not kept.started_from.calibrated_anew
    assert anew.started_from is not None
    assert anew.started_from.calibrated_anew
    assert anew.calibration.temperature != before.calibration.temperature
    assert anew.profile is not None
    assert anew.profile.num_tickets == 26


def test_full_training_comes_due(trained: Store) -> None:
    """After two versions on top of a full one: new tickets alone are refused, and all of them train fully."""
    learn_on(trained, NEW, full_after=2)
    learn_on(trained, {"VPN": VPN["VPN"][:5]}, full_after=2)
    last = {"VPN": VPN["VPN"][5:]}

    with pytest.raises(InvalidInput, match="full_after is 2, and the rows that were given hold 0 %"):
        learn_on(trained, last, full_after=2)
    every = small.rows({**small.tickets(10), **VPN})
    config = small.config(epochs=1, full_after=2)
    assert start_of(trained, NAME, kind_named("GRU"), every, config, "serving") is None
    manifest, _ = fit(trained, NAME, every, config)
    assert manifest.started_from is None


@pytest.mark.parametrize(
    ("asked", "changes", "told"),
    [
        ("serving", {"hidden": 16, "lr": 0.5}, "hidden, lr differ from the settings of version 1"),
        ("serving", {"embedding": 8, "seed": 3}, ""),
    ],
)
def test_settings_are_those_of_the_version(
    trained: Store, asked: StartVersion, changes: dict[str, object], told: str
) -> None:
    """Others are refused, but those that it has itself, and those that say nothing of the network."""
    if told:
        with pytest.raises(InvalidInput, match=told):
            learn_on(trained, NEW, asked, **changes)
    else:
        manifest, _ = learn_on(trained, NEW, asked, **changes)
        assert (manifest.training["embedding"], manifest.training["epochs"]) == (8, 12)


def test_what_cannot_be_a_start_is_refused(trained: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model without a version, a version that is not there, other text rules, and too many new tickets."""
    trained.create_model("other", "GRU")
    with pytest.raises(InvalidInput, match="no version of other serves; train fully first"):
        starting.opened(trained, "other", "serving")
    with pytest.raises(VersionNotFound):
        starting.opened(trained, NAME, 7)
    monkeypatch.setattr(starting, "MAX_NEW", 3)
    with pytest.raises(InvalidInput, match="16 tickets are new to version 1, at most 3"):
        learn_on(trained, NEW)
    newest = encoding
    monkeypatch.setattr(starting, "encoding", lambda *sizes: msgspec.structs.replace(newest(*sizes), text_rules=99))
    with pytest.raises(InvalidInput, match="and new tickets are read by rules 99"):
        starting.opened(trained, NAME, "serving")


def test_job_goes_on_from_the_serving_version(trained: Store) -> None:
    """`"from": "serving"` in a request; the new version is compared with the one that it came from."""
    rows = small.json_rows({**NEW, **VPN})
    folder = claimed(trained, body(training_data=rows, config={}, promote="never") | {"from": "serving"})

    result = run_job(folder, 1)

    assert (result.outcome, result.version) == ("trained", 2), result.detail
    manifest = trained.read_manifest(NAME, 2)
    assert manifest.started_from is not None
    assert manifest.comparison is not None
    assert (manifest.comparison.against, manifest.comparison.num_rows) == (1, 26)


def test_job_of_another_kind_is_refused_before_it_is_queued(empty: Store) -> None:
    """A SimpleNN starts from nothing, and the fault names the field."""
    empty.create_model("numbers", "SimpleNN")
    asked = {"name": "numbers", "neural_network_type": "SimpleNN", "from": "serving"}
    folder = claimed(empty, {**asked, "training_data": [{"features": [1.0], "target": 2.0}] * 2})

    result = run_job(folder, 1)

    assert [fault.pointer for fault in result.faults] == ["/from"]
    assert json.loads(msgspec.json.encode(result))["outcome"] == "refused"


def test_command_says_where_it_starts(trained: Store, tmp_path: Path) -> None:
    """`fit --from`: of a model that serves, of one that does not, and of what is no version."""
    data = tmp_path / "new.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in small.json_rows({**NEW, **VPN})), "utf-8")

    def fit_from(name: str, word: str) -> Result:
        words = ["fit", str(data), "--name", name, "--store", str(trained.root), "--from", word]
        return CliRunner().invoke(main.main, words)

    good = fit_from(NAME, "1")
    assert good.exit_code == 0, good.output
    assert "starts from version 1, trained fully as version 1" in good.output
    assert "learnt 26 new tickets on top of version 1, 1 new categories and 7 new words" in good.output
    assert "temperature and threshold are those of version 1" in good.output
    missing = fit_from("nobody", "serving")
    assert (missing.exit_code, "no version of nobody serves; train fully first" in missing.output) == (1, True)
    assert fit_from(NAME, "the last one").exit_code == 2
    absent = fit_from(NAME, "12345678901")  # as it was asked for, to the last digit
    assert (absent.exit_code, "12345678901" in absent.output) == (1, True)


def test_words_of_one_ticket_get_no_row(trained: Store) -> None:
    """The vocabulary keeps what `min_count` tickets hold, and no more: a name in one of them is read by its pieces."""
    tickets = {**NEW, "VPN": [["vpn", "dupont"], ["vpn", "martin"], ["vpn", "coupé"]]}

    learn_on(trained, tickets)

    rows = msgspec.json.decode(trained.read_version(NAME, 2)[1]["vocab.json"], type=dict[str, int])
    assert "vpn" in rows
    assert not {"dupont", "martin"} & rows.keys()
    assert sorted(rows.values()) == list(np.arange(len(rows)))
