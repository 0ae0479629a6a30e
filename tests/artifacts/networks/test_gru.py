"""Tests of artifacts/networks: a ticket answers alone as in a batch, and a wrong artifact never serves."""

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import ArtifactRefused
from artifacts.evaluation.metrics import Metrics
from artifacts.networks import gru
from artifacts.networks.gru import CHUNK_TICKETS, MAX_RUN_TOKENS, GruModel, OnnxRuntime, pad, run
from artifacts.networks.gru_records import TENSORS, GoldenRow, GruManifest, encoding, rules_of
from artifacts.networks.ranking.ranker import Ranker
from artifacts.networks.runtime import open_session
from artifacts.store.store import Store
from artifacts.text.tickets import Ticket
from artifacts.text.tokens import MAX_TOKENS, RULES
from artifacts.text.vocabulary import Encoded
from tests.conftest import FIXTURE_STORE, gru_version

ROOT = Path(__file__).parents[3]
NAME = "puppet-o2"
LABELS = ["Accès utilisateur", "Création de client", "Problème de connexion"]
V, NUM_ROWS = 16, 65  # of the fixture: words, and n-gram rows with the padding row


@pytest.fixture
def version(store: Store) -> tuple[GruManifest, dict[str, bytes]]:
    """Give the fixture's manifest and files, to be changed before they are loaded."""
    return gru_version(store)


def random_tickets(model: GruModel, num_tickets: int, seed: int) -> list[Encoded]:
    """Return tickets of 1 to 40 tokens, known and unknown ones, from a seeded generator."""
    rng = np.random.default_rng(seed)
    words = [*model.vocabulary.rows, "conntecter", "identifiant", "é", "x" * 256, "panne", "<NAME>"]
    return [model.encode(list(rng.choice(words, rng.integers(1, 41)))) for _ in range(num_tickets)]


@st.composite
def encoded(draw: st.DrawFn, num_words: int = 10) -> Encoded:
    """Draw a ticket as `Vocabulary.encode` gives them, with V = `num_words`."""
    num_unknown = draw(st.integers(0, 4))
    ids = draw(st.lists(st.integers(0, num_words + num_unknown - 1), min_size=1, max_size=12))
    grams = draw(
        st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=24), min_size=num_unknown, max_size=num_unknown)
    )
    return Encoded(ids, [f"u{number}" for number in range(num_unknown)], grams, 0)


# pad


def test_pad_of_a_hand_worked_batch() -> None:
    """Three tickets with V = 10: the second's unknown 10 becomes 12, because the first brought two.

    The last ticket has no unknown token, so its id stays.
    """
    first = Encoded([3, 10, 11, 10], ["a", "b"], [[5, 6], [7]], 0)
    second = Encoded([10], ["c"], [[8, 9, 1]], 0)
    third = Encoded([4, 9], [], [], 0)

    ids_BT, lengths_B, grams_UK = pad([first, second, third], 10)

    assert ids_BT.tolist() == [[3, 10, 11, 10], [12, 0, 0, 0], [4, 9, 0, 0]]
    assert lengths_B.tolist() == [4, 1, 2]
    assert grams_UK.tolist() == [[5, 6, 0], [7, 0, 0], [8, 9, 1]]
    assert ids_BT.dtype == lengths_B.dtype == grams_UK.dtype == np.int32


def test_pad_without_unknown_tokens_has_one_empty_row() -> None:
    """The graph needs U >= 1 and K >= 1, so a batch of known tokens brings a row of zeros."""
    ids_BT, lengths_B, grams_UK = pad([Encoded([3], [], [], 0)], 10)

    assert (ids_BT.tolist(), lengths_B.tolist(), grams_UK.tolist()) == ([[3]], [1], [[0]])
    assert grams_UK.dtype == np.int32


@given(st.lists(encoded(), min_size=1, max_size=8))
def test_pad_loses_nothing(tickets: list[Encoded]) -> None:
    """Each ticket, with its own n-grams, can be read back from the batch; the rest is padding."""
    ids_BT, lengths_B, grams_UK = pad(tickets, 10)

    assert ids_BT.shape == (len(tickets), max(len(ticket.ids) for ticket in tickets))
    assert lengths_B.shape == (len(tickets),)
    assert grams_UK.shape[0] == max(1, sum(len(ticket.grams) for ticket in tickets))
    assert ids_BT.dtype == lengths_B.dtype == grams_UK.dtype == np.int32
    for row_T, length, ticket in zip(ids_BT.tolist(), lengths_B.tolist(), tickets, strict=True):
        assert length == len(ticket.ids)
        assert set(row_T[length:]) <= {0}
        for found, given_id in zip(row_T[:length], ticket.ids, strict=True):
            if given_id < 10:
                assert found == given_id
            else:
                row_K = grams_UK[found - 10].tolist()
                grams = ticket.grams[given_id - 10]
                assert row_K == grams + [0] * (len(row_K) - len(grams))


# run


class NeverRun:
    """A session that no batch may reach."""

    def run(self, *_: object) -> None:
        """Fail."""
        raise AssertionError("the batch reached the runtime")


def batch(b: int = 2, t: int = 3, u: int = 1, k: int = 4) -> tuple[Any, Any, Any]:
    """Return a batch of ones that is within every limit."""
    return np.ones((b, t), np.int32), np.full(b, t, np.int32), np.ones((u, k), np.int32)


def changed(position: int, value: int) -> tuple[Any, Any, Any]:
    """Return a good batch with one number of one of its three arrays changed."""
    arrays = batch()
    arrays[position].flat[-1] = value
    return arrays


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(batch(b=0), id="no ticket ends the process"),
        pytest.param(batch(t=0), id="no token"),
        pytest.param(batch(b=CHUNK_TICKETS + 1, t=MAX_TOKENS), id="too many tokens"),
        pytest.param(batch(b=1, t=MAX_RUN_TOKENS + 1), id="too long a ticket"),
        pytest.param(changed(1, 0), id="a length of 0 gives NaN"),
        pytest.param(changed(1, -1), id="a negative length"),
        pytest.param(changed(1, 4), id="a length past the row"),
        pytest.param(changed(0, -1), id="an id of -1 reads the last row"),
        pytest.param(changed(0, V + 1), id="an id past the unknown tokens"),
        pytest.param(changed(2, -1), id="a negative n-gram"),
        pytest.param(changed(2, NUM_ROWS), id="an n-gram past the table"),
        pytest.param(batch(u=0), id="no row of n-grams"),
        pytest.param(batch(k=0), id="no n-gram"),
        pytest.param(batch(k=25), id="too many n-grams"),
    ],
)
def test_batch_outside_the_limits_is_our_bug(wrong: tuple[Any, Any, Any]) -> None:
    """What the runtime would answer wrongly, or die of, never reaches it."""
    with pytest.raises(AssertionError, match="our bug"):
        run(NeverRun(), wrong, V, NUM_ROWS)


@pytest.mark.parametrize(
    "good", [batch(), batch(b=CHUNK_TICKETS, t=MAX_TOKENS), batch(k=24), changed(0, V), changed(2, NUM_ROWS - 1)]
)
def test_batch_at_the_limits_is_run(version: tuple[GruManifest, dict[str, bytes]], good: tuple[Any, Any, Any]) -> None:
    """The largest batch, the last unknown token and the last row of n-grams are within the limits."""
    probabilities_BC = run(open_session(version[1]["model.onnx"]), good, V, NUM_ROWS)

    assert probabilities_BC.shape == (len(good[0]), 3)
    assert probabilities_BC.dtype == np.float32
    assert np.isfinite(probabilities_BC).all()


# GruModel


def test_fixture_knows_its_categories(model: GruModel) -> None:
    """The small model answers as it was taught, from tokens and from raw text, with a word it never saw."""
    contents = [
        ["connexion", "expirer"],
        "Ajouter un utilisateur au coffre",
        ["CRÉER", "clients"],
        "conexion <PRODUCT>",
    ]

    answers = model.predict([model.encode(content) for content in contents])

    assert [answer.category for answer in answers] == [LABELS[2], LABELS[0], LABELS[1], LABELS[2]]
    assert [answer.unknown_tokens for answer in answers] == [[], ["un", "au"], ["clients"], ["conexion"]]
    assert all(0.5 < answer.confidence <= 1 for answer in answers)


def test_alone_equals_batched(model: GruModel) -> None:
    """A ticket's probabilities do not depend on what else is in its batch: padding and others' unknowns do nothing."""
    tickets = random_tickets(model, 60, seed=1)

    together_NC = model.probabilities(tickets)

    alone_NC = np.concatenate([model.probabilities([ticket]) for ticket in tickets])
    assert together_NC.shape == (60, 3)
    assert together_NC.dtype == np.float32
    np.testing.assert_allclose(together_NC, alone_NC, rtol=0, atol=1e-6)
    assert np.abs(np.diff(together_NC, axis=0)).max() > 0.5, "the tickets are too alike to show a mix-up"


def test_probabilities_of_a_ticket_sum_to_one(model: GruModel) -> None:
    """Each row is a distribution, for tickets of one token and of 512 too."""
    tickets = [*random_tickets(model, 20, seed=2), model.encode(["client"]), model.encode(["zut"] * 600)]

    found_NC = model.probabilities(tickets)

    assert (found_NC >= 0).all()
    np.testing.assert_allclose(found_NC.sum(axis=1), 1, atol=1e-5)


def test_no_tickets_give_no_rows(model: GruModel) -> None:
    """Nothing asked is nothing answered, and no batch of 0 reaches the runtime."""
    assert model.probabilities([]).shape == (0, 3)
    assert model.predict([]) == []


class Echo:
    """A session whose answer names its ticket: the length, the first id, the sum of the ids."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def run(self, _: None, feed: Mapping[str, Any]) -> list[Any]:
        """Answer from what was fed."""
        ids_BT, lengths_B = feed["ids"], feed["lengths"]
        self.shapes.append(ids_BT.shape)
        return [np.stack([lengths_B, ids_BT[:, 0], ids_BT.sum(axis=1)], axis=1).astype(np.float32)]


def test_order_is_kept_for_mixed_lengths(model: GruModel) -> None:
    """Tickets are run by length, eight at most together, and answered in the order in which they came."""
    echo = Echo()
    model.engine = OnnxRuntime(echo, V, NUM_ROWS)
    rng = np.random.default_rng(3)
    rows = [rng.integers(2, V, rng.integers(1, 60)).tolist() for _ in range(50)]

    found_NC = model.probabilities([Encoded(row, [], [], 0) for row in rows])

    assert found_NC.tolist() == [[len(row), row[0], sum(row)] for row in rows]
    assert [b for b, _ in echo.shapes] == [8] * 6 + [2]
    assert [t for _, t in echo.shapes] == sorted(t for _, t in echo.shapes)


@pytest.mark.parametrize(
    ("lengths", "runs"),
    [
        ([512] * 3, [2, 1]),
        ([128] * 9, [8, 1]),
        ([129] * 9, [7, 2]),
        ([10] * 7 + [512], [7, 1]),
        ([512], [1]),
        ([], []),
    ],
)
def test_run_is_bounded_in_tokens(model: GruModel, lengths: list[int], runs: list[int]) -> None:
    """Long tickets run with fewer others, 1,024 tokens together with the padding, so that memory does not grow."""
    echo = Echo()
    model.engine = OnnxRuntime(echo, V, NUM_ROWS)

    found_NC = model.probabilities([Encoded([2] * length, [], [], 0) for length in lengths])

    assert [b for b, _ in echo.shapes] == runs
    assert found_NC[:, 0].tolist() == lengths


@pytest.mark.parametrize(("num_unknown", "runs"), [(1, [4]), (128, [4]), (129, [3, 1]), (256, [2, 2]), (257, [1] * 4)])
def test_run_is_bounded_in_unknown_tokens(model: GruModel, num_unknown: int, runs: list[int]) -> None:
    """Tickets of unknown tokens run with fewer others, 512 such tokens together, because each brings 24 vectors."""
    echo = Echo()
    model.engine = OnnxRuntime(echo, V, NUM_ROWS)
    unknown = Encoded([*range(V, V + num_unknown)][:200], [], [[1] * 24] * num_unknown, 0)

    model.probabilities([unknown] * 4)

    assert [b for b, _ in echo.shapes] == runs


def test_largest_shapes_are_run_at_load(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """A model that has been loaded has run as many tokens, and as many unknown ones, as a run ever has."""
    shapes = []
    real = gru.run

    def watched(session: Any, batch: Any, *sizes: int) -> Any:
        shapes.append((batch[0].size, batch[2].size))
        return real(session, batch, *sizes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gru, "run", watched)
        GruModel(*version)

    assert max(tokens for tokens, _ in shapes) == gru.RUN_TOKENS
    assert max(grams for _, grams in shapes) == gru.RUN_UNKNOWN * 24


def test_session_does_not_keep_the_file(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """The bytes of model.onnx are free once the session is open."""
    raw = version[1]["model.onnx"]
    before = sys.getrefcount(raw)

    session = open_session(raw)

    assert sys.getrefcount(raw) == before
    assert session.get_inputs()


def test_threads_share_a_model(model: GruModel) -> None:
    """Four threads at once get what one thread gets."""
    tickets = random_tickets(model, 40, seed=4)
    expected_NC = model.probabilities(tickets)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: model.probabilities(tickets), range(12)))

    assert all(np.array_equal(answer_NC, expected_NC) for answer_NC in answers)


def test_published_again_it_answers_the_same(store: Store, model: GruModel) -> None:
    """A version that was written and read back gives bit for bit the same probabilities."""
    store.publish(*store.read_version(NAME, 1))
    tickets = random_tickets(model, 20, seed=5)

    again = GruModel(*store.read_version(NAME, 2))

    assert (again.name, again.version, again.labels) == (NAME, 2, LABELS)
    assert np.array_equal(again.probabilities(tickets), model.probabilities(tickets))


def test_answer_tells_what_was_not_read(model: GruModel) -> None:
    """Unknown tokens are listed once, cut and surplus tokens are counted."""
    (answer,) = model.predict([model.encode(["panne", "client", "panne", "x" * 300, *["client"] * 600])])

    assert answer.unknown_tokens == ["panne", "x" * 256]
    assert answer.num_truncated_tokens == 604 - 512 + 1


def test_evaluation_names_the_version(model: GruModel) -> None:
    """The metrics are those of `measure`, with the model's name and version."""
    rows = [
        Ticket(LABELS[2], ["connexion"], id="t1"),
        Ticket(LABELS[0], ["client"], id="t2"),
        Ticket(label="Autre", text="client"),
    ]

    found = model.evaluate(rows, [model.encode(row.content) for row in rows])

    assert isinstance(found, Metrics)
    assert (found.model_name, found.version) == (NAME, 1)
    assert (found.total_tests, found.correct_predictions, found.total_error) == (3, 1, 2)
    assert found.unknown_categories == {"Autre": 1}
    assert sorted((mistake.row, str(mistake.id)) for mistake in found.mistakes) == [(1, "t2"), (2, "None")]


# What must not load


def golden_rows(files: Mapping[str, bytes]) -> list[GoldenRow]:
    """Return the golden rows in the files."""
    return msgspec.json.decode(files["golden.json"], type=list[GoldenRow])


def refused(version: tuple[GruManifest, dict[str, bytes]], **files: bytes) -> str:
    """Return why a version with some files changed (`vocab`, `model`, ...) is refused."""
    manifest, good = version
    endings = {"model": "model.onnx"}
    with pytest.raises(ArtifactRefused) as error:
        GruModel(manifest, good | {endings.get(name, f"{name}.json"): raw for name, raw in files.items()})
    assert "puppet-o2 version 1" in str(error.value) or "vocab.json" in str(error.value)
    return str(error.value)


def test_golden_rows_of_a_tampered_version_are_refused(store: Store) -> None:
    """A version that was tampered with and sealed again passes the hashes, and fails at the golden rows."""
    manifest, files = store.read_version(NAME, 1)
    rows = golden_rows(files)
    rows[0] = msgspec.structs.replace(rows[0], probabilities=[0.2, 0.3, 0.5])
    store.publish(manifest, files | {"golden.json": msgspec.json.encode(rows)})

    with pytest.raises(ArtifactRefused, match=r"golden rows differ by 0\.5, limit is 0\.0001"):
        GruModel(*store.read_version(NAME, 2))


@pytest.mark.parametrize(("change", "loads"), [(5e-5, True), (2e-4, False), (-2e-4, False), (1e300, False)])
def test_golden_probabilities_may_differ_by_rounding_alone(
    version: tuple[GruManifest, dict[str, bytes]], change: float, loads: bool
) -> None:
    """1e-4 is allowed for another processor; real bugs move probabilities by 3e-4 and more."""
    manifest, files = version
    rows = golden_rows(files)
    first, *others = rows[-1].probabilities
    rows[-1] = msgspec.structs.replace(rows[-1], probabilities=[first + change, *others])
    files["golden.json"] = msgspec.json.encode(rows)

    if loads:
        assert GruModel(manifest, files).version == 1
    else:
        with np.errstate(over="ignore"):
            assert "golden rows differ" in refused((manifest, files))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("ids", [3], "golden row 0 is read as other ids"),
        ("grams", [[1]], "golden row 0 is read as other ids"),
        ("tokens", ["client"], "golden row 0 is read as other ids"),
        ("tokens", [], "empty"),
        ("tokens", [" "], "empty"),
        ("tokens", ["\0"], "NUL"),
        ("probabilities", [0.5, 0.5], "cannot be loaded"),
        ("probabilities", [], "cannot be loaded"),
    ],
)
def test_golden_row_that_does_not_fit_is_refused(
    version: tuple[GruManifest, dict[str, bytes]], field: str, value: Any, reason: str
) -> None:
    """Other ids than at export (a change of the text rules), another width, or a ticket without a token."""
    rows = golden_rows(version[1])
    rows[0] = msgspec.structs.replace(rows[0], **{field: value})

    assert reason in refused(version, golden=msgspec.json.encode(rows))


def test_version_without_golden_rows_is_refused(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """Without a golden row nothing proves what the model answers."""
    assert "golden.json is empty" in refused(version, golden=b"[]")


@pytest.mark.parametrize("golden", [b"", b"{}", b"[{}]", b"[" * 100_000, b"\xff"])
def test_golden_file_that_cannot_be_read_is_refused(
    version: tuple[GruManifest, dict[str, bytes]], golden: bytes
) -> None:
    """Bytes that are no list of golden rows are refused."""
    refused(version, golden=golden)


def test_model_that_answers_nan_is_refused(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """A graph with a weight that is no number loads and runs; its golden rows are NaN, which equals nothing."""
    graph = version[1]["model.onnx"]
    start = graph.index(b"head_biasJ\x0c") + len(b"head_biasJ\x0c")  # name, tag of raw_data, 12 bytes: 3 floats
    broken = graph[:start] + np.full(3, np.nan, np.float32).tobytes() + graph[start + 12 :]

    assert "golden rows differ by nan" in refused(version, model=broken)


def test_graph_with_other_weights_is_refused(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """Changed weights load without a word from onnxruntime; the golden rows notice."""
    graph = version[1]["model.onnx"]
    start = graph.index(b"head_biasJ\x0c") + len(b"head_biasJ\x0c")
    broken = graph[:start] + np.array([9, 0, 0], np.float32).tobytes() + graph[start + 12 :]

    assert "golden rows differ" in refused(version, model=broken)


@pytest.mark.parametrize("keep", [0, 1, 100, 5000])
def test_cut_graph_is_refused(version: tuple[GruManifest, dict[str, bytes]], keep: int) -> None:
    """A graph that is cut off is the artifact's fault, whichever error onnxruntime has for it."""
    refused(version, model=version[1]["model.onnx"][:keep])


def test_garbage_for_a_graph_is_refused(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """Bytes that are no ONNX graph are refused."""
    for garbage in (b"garbage", bytes(1000), np.random.default_rng(6).bytes(5000)):
        assert "onnxruntime" in refused(version, model=garbage)


def test_graph_with_other_inputs_is_refused(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """A sound graph that lacks one of our inputs is refused when the golden rows are replayed."""
    refused(version, model=version[1]["model.onnx"].replace(b"lengths", b"longths"))


@pytest.mark.parametrize("labels", [LABELS[:2], [*LABELS, "Autre"], []])
def test_labels_of_another_model_are_refused(version: tuple[GruManifest, dict[str, bytes]], labels: list[str]) -> None:
    """As many categories as the graph answers, or nothing could be said of the others."""
    reason = refused(version, labels=json.dumps(labels).encode())

    assert f"labels.json has {len(labels)} categories" in reason


@pytest.mark.parametrize("labels", [b"", b"{}", b"[1,2,3]", b'["a","b"', b"\xff"])
def test_labels_that_cannot_be_read_are_refused(version: tuple[GruManifest, dict[str, bytes]], labels: bytes) -> None:
    """A file of categories that is no list of strings is refused."""
    refused(version, labels=labels)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"}", b',"autre":16}'),
        (b',"probl\xc3\xa8me":15', b""),
        (b'"expirer"', b'"expiree"'),
        (b'"client":3', b'"client":30'),
        (b'"<PAD>":0', b'"<BAD>":0'),
        (b'"client":3', b'"client":"3"'),
        (b"{", b"["),
    ],
)
def test_vocabulary_of_another_model_is_refused(
    version: tuple[GruManifest, dict[str, bytes]], old: bytes, new: bytes
) -> None:
    """A word more, a word less, another word, a gap, no reserved row, or no vocabulary at all."""
    words = version[1]["vocab.json"]
    assert old in words

    refused(version, vocab=words.replace(old, new))


def with_encoding(manifest: GruManifest, **change: Any) -> GruManifest:
    """Return the manifest with other rules of text -> ids."""
    return msgspec.structs.replace(manifest, encoding=msgspec.structs.replace(manifest.encoding, **change))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text_rules": 4}, "reads text by rules 4, this program knows rules 1, 2, 3; use the program that trained it"),
        ({"text_rules": 0}, "reads text by rules 0"),
        ({"max_tokens": 513}, "max_tokens is 513, this program reads 1 to 512"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_ngrams": 25}, "max_ngrams is 25, this program reads 1 to 24"),
        ({"max_token_characters": 257}, "max_token_characters is 257, this program reads 1 to 256"),
        ({"ngram_sizes": []}, "ngram_sizes are [], this program reads sizes of which the smallest is 1 to 3"),
        ({"ngram_sizes": [4, 5]}, "ngram_sizes are [4, 5]"),
        ({"ngram_sizes": [3, 0]}, "ngram_sizes are [3, 0]"),
    ],
)
def test_rules_that_this_program_lacks_are_refused_by_name(store: Store, change: dict[str, Any], reason: str) -> None:
    """The message says which rule, what was found, what this program reads, and the remedy."""
    manifest, files = gru_version(store)

    found = refused((with_encoding(manifest, **change), files))

    assert reason in found
    assert "train it again" in found


def test_a_version_is_read_by_its_own_rules(store: Store) -> None:
    """Rules, sizes and limits are the version's, also where this program's newest are others."""
    manifest, files = gru_version(store)
    limits = {"max_tokens": 100, "max_token_characters": 50}  # that the golden rows keep within

    model = GruModel(with_encoding(manifest, text_rules=1, **limits), files)

    assert model.encode("payé 12,50").unknown == ["payé", "<NUM>"]
    assert GruModel(manifest, files).encode("payé 12,50").unknown == ["payé", "<99,99>"]
    assert (len(model.encode(["client"] * 102).ids), model.encode(["client"] * 102).num_truncated) == (100, 2)
    assert model.encode(["z" * 55]).unknown == ["z" * 50]


def test_ngrams_are_cut_by_the_rules_of_the_version(store: Store) -> None:
    """Other sizes give other rows; and where they are not those of the training, the golden rows notice."""
    manifest, files = gru_version(store)
    changed = with_encoding(manifest, ngram_sizes=[2, 3], max_ngrams=5)

    rules = rules_of(changed.encoding, "x")

    assert (rules.ngram_sizes, rules.max_ngrams) == ((2, 3), 5)
    assert "is read as other ids than at export" in refused((changed, files))


@pytest.mark.parametrize("change", [{"num_words": 15}, {"num_words": 17}, {"ngram_buckets": 63}, {"ngram_buckets": 1}])
def test_other_table_sizes_are_refused(version: tuple[GruManifest, dict[str, bytes]], change: dict[str, int]) -> None:
    """A manifest that gives another number of words or of n-gram rows than the export's is refused."""
    manifest, files = version
    changed_encoding = msgspec.structs.replace(manifest.encoding, **change)

    refused((msgspec.structs.replace(manifest, encoding=changed_encoding), files))


def test_ranker_answers_as_its_model_does(model: GruModel) -> None:
    """Category and confidence are those of `predict`; beside them every category, by falling probability."""
    texts = ["avoir problème connexion", "ajouter utilisateur zzzz", "x", "création client <COMPANY>"]
    tickets = [model.encode(text) for text in texts]
    probabilities_NC = model.probabilities(tickets)

    for plain, ranked, row_C in zip(
        model.predict(tickets), Ranker(model).predict(tickets), probabilities_NC, strict=True
    ):
        assert (ranked.category, ranked.confidence) == (plain.category, plain.confidence)
        assert (ranked.unknown_tokens, ranked.num_truncated_tokens) == (plain.unknown_tokens, 0)
        assert ranked.reason is None  # the fixture has no rule
        assert ranked.best is not None
        assert [one.confidence for one in ranked.best] == sorted(row_C.tolist(), reverse=True)
        assert {one.category: one.confidence for one in ranked.best} == dict(
            zip(model.labels, row_C.tolist(), strict=True)
        )


def test_model_that_nobody_holds_is_gone(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """A replaced version leaves the memory at once: its ranker does not keep it, nor wait for the collector."""
    model = GruModel(*version)
    watched = weakref.ref(model)

    del model

    assert watched() is None


def test_fixture_was_encoded_by_these_rules(version: tuple[GruManifest, dict[str, bytes]]) -> None:
    """The rules in the committed manifest are the ones of this program; a change of them needs a new format.

    Only its text rules may be older than those of a new version: a version is read by the rules that it names.
    """
    found = version[0].encoding
    assert found.text_rules in RULES
    assert found == msgspec.structs.replace(encoding(V, NUM_ROWS - 1), text_rules=found.text_rules)
    assert version[0].tensors == TENSORS


def test_error_that_is_not_the_runtimes_is_not_hidden(
    version: tuple[GruManifest, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the files are to blame for is called a refused artifact; a bug of ours stays a bug."""

    def bug(_: bytes) -> SimpleNamespace:
        raise ZeroDivisionError

    monkeypatch.setattr(gru, "open_session", bug)

    with pytest.raises(ZeroDivisionError):
        GruModel(*version)


# The process


def in_a_new_process(code: str) -> Any:
    """Return what a fresh interpreter prints as JSON."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", f"import json, os, sys\n{code}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_importing_artifacts_imports_no_trainer() -> None:
    """The server must start without torch, so nothing of artifacts may lead to it, to onnx or to either side."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "artifacts").rglob("[a-z]*.py")
    )
    assert len(modules) > 25
    imports = "; ".join(f"import {name}" for name in modules)

    loaded = in_a_new_process(f"{imports}; print(json.dumps(sorted(sys.modules)))")

    packages = {name.partition(".")[0] for name in loaded}
    assert not packages & {"torch", "onnx", "sklearn", "trainer", "inference", "litestar", "uvicorn", "resiliparse"}


def test_telemetry_is_off_before_the_runtime_is_imported() -> None:
    """The variable is read when onnxruntime is imported: without it, it would write into the user's cache."""
    code = (
        "import builtins; real, seen = builtins.__import__, []\n"
        "def watch(name, *rest):\n"
        "    if name == 'onnxruntime' and not seen: seen.append(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = watch; import artifacts.networks.runtime; print(json.dumps(seen))"
    )

    assert in_a_new_process(code) == ["1"]


def test_fixture_is_the_one_that_was_made() -> None:
    """The tests above rest on the committed model: its categories and table sizes."""
    folder = FIXTURE_STORE / NAME / "1"

    assert json.loads((folder / "labels.json").read_bytes()) == LABELS
    assert len(json.loads((folder / "vocab.json").read_bytes())) == V
