"""Tests of artifacts/networks/simple_nn.py: a value is the case's own, and a wrong artifact or answer never serves."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifacts.errors import ArtifactRefused, InvalidContent, InvalidFeatures, NotFinite
from artifacts.evaluation.metrics import LargeError, ValueMetrics
from artifacts.networks import simple_nn
from artifacts.networks.simple_nn import (
    LARGEST,
    MAX_FEATURES,
    RUN_CASES,
    Example,
    GoldenRow,
    SimpleNNManifest,
    SimpleNNModel,
    Value,
    ValueSearch,
)
from artifacts.store.store import Store

Version = tuple[SimpleNNManifest, dict[str, bytes]]
NUMBERS = st.floats(-LARGEST, LARGEST)


@pytest.fixture
def version(store: Store) -> Version:
    """Give the fixture's manifest and files, to be changed before they are loaded."""
    manifest, files = store.read_version("prices", 1)
    assert isinstance(manifest, SimpleNNManifest)
    return manifest, files


def flats(num_cases: int, seed: int) -> list[NDArray[np.float64]]:
    """Return so many flats of 20 to 100 square metres on floors 0 to 3, from a seeded generator."""
    rng = np.random.default_rng(seed)
    return [np.array([rng.uniform(20, 100), rng.integers(0, 4)]) for _ in range(num_cases)]


def golden_rows(files: Mapping[str, bytes]) -> list[GoldenRow]:
    """Return the golden rows in the files."""
    return msgspec.json.decode(files["golden.json"], type=list[GoldenRow])


class Stub:
    """A session that answers each case with `answer` of its features, and notes how many came in each run."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.runs: list[tuple[int, ...]] = []

    def run(self, _: None, feed: Mapping[str, NDArray[np.float64]]) -> list[Any]:
        """Answer from what was fed."""
        features_BF = feed["features"]
        assert features_BF.dtype == np.float64
        self.runs.append(features_BF.shape)
        return [np.array([self.answer(row_F) for row_F in features_BF.tolist()], dtype=np.float64)]


# Rows and questions


@given(st.builds(Example, st.lists(NUMBERS, min_size=1, max_size=9), NUMBERS, id=st.none() | st.text("ab")))
def test_example_survives_the_wire(row: Example) -> None:
    """Encoding a case and decoding it gives the same numbers to the last bit, and its id."""
    again = msgspec.json.decode(msgspec.json.encode(row), type=Example)

    assert again == row
    assert (again.expected, again.content, again.content_field) == (row.target, row.features, "features")


def test_whole_numbers_are_numbers() -> None:
    """A feature without a decimal point is read as the float that it is; a field more is left alone."""
    row = msgspec.json.decode(b'{"features":[3,-0,1e2],"target":7,"street":"x"}', type=Example)

    assert row == Example([3.0, 0.0, 100.0], 7.0)
    assert [type(number) for number in (*row.features, row.target)] == [float] * 4


NO_NUMBERS = ["1e300", "-1e300", "1.1e100", "1e999", '"1"', "null", "true", "[1]", "NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize("number", NO_NUMBERS)
@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        (Example, '{"features":[1,?],"target":1}'),
        (Example, '{"features":[1],"target":?}'),
        (ValueSearch, '{"name":"m","neural_network_type":"K","vector":[1,?]}'),
        (ValueSearch, '{"name":"m","neural_network_type":"K","vectors":[[1],[?]]}'),
    ],
)
def test_what_is_no_number_of_ours_is_refused(type_: type[msgspec.Struct], raw: str, number: str) -> None:
    """Numbers past 1e100, text, null, booleans and the literals that JSON lacks are refused wherever they stand."""
    msgspec.json.decode(raw.replace("?", "1e100"), type=type_)
    msgspec.json.decode(raw.replace("?", "-1e100"), type=type_)

    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(raw.replace("?", number), type=type_)


@pytest.mark.parametrize(("num_features", "fits"), [(0, False), (1, True), (4096, True), (4097, False)])
def test_number_of_features_has_limits(num_features: int, fits: bool) -> None:
    """A case has at least one feature and at most 4096, in a row, in a question and in each of several."""
    assert MAX_FEATURES == 4096
    numbers = [1.5] * num_features
    question = {"name": "m", "neural_network_type": "K"}
    bodies: list[tuple[type[msgspec.Struct], dict[str, Any]]] = [
        (Example, {"features": numbers, "target": 1.0}),
        (ValueSearch, question | {"vector": numbers}),
        (ValueSearch, question | {"vectors": [[1.0], numbers]}),
    ]

    for type_, body in bodies:
        if fits:
            assert msgspec.json.decode(msgspec.json.encode(body), type=type_)
        else:
            with pytest.raises(msgspec.ValidationError, match="of length"):
                msgspec.json.decode(msgspec.json.encode(body), type=type_)


@pytest.mark.parametrize("raw", ['{"features":[1]}', '{"target":1}', '{"features":1,"target":1}', "[[1],1]"])
def test_example_needs_features_and_a_target(raw: str) -> None:
    """A case without one of the two teaches nothing."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=Example)


# Answers


def test_fixture_estimates_a_price(prices: SimpleNNModel) -> None:
    """The small model answers about 3000 * size + 5000 * floor, which is how its flats were priced."""
    cases = [[28.0, 0.0], [52.0, 3.0], [60.0, 1.0], [44.0, 2.0]]

    answers = prices.predict([prices.encode(case) for case in cases])

    assert [type(answer) for answer in answers] == [Value] * 4
    assert [answer.value for answer in answers] == pytest.approx([84e3, 171e3, 185e3, 142e3], rel=0.03)


@pytest.mark.torch
def test_ten_lines_of_numpy_answer_the_same(version: Version, prices: SimpleNNModel) -> None:
    """The network once more, from the graph's weights: standardise, three linear layers with ReLU between, scale back.

    Everything is float64, so the last digits alone may differ: 1e-12 of a value.
    """
    import onnx.numpy_helper

    constants = onnx.load_model_from_string(version[1]["model.onnx"]).graph.initializer
    weights = {constant.name: onnx.numpy_helper.to_array(constant) for constant in constants}
    cases_NF = np.stack([*flats(300, seed=1), np.array([-1e6, 1e6])])

    hidden_NH = (cases_NF - weights["mean"]) / weights["std"]
    for layer in ("fc1", "fc2"):
        hidden_NH = np.maximum(0, hidden_NH @ weights[f"{layer}_weight"].T + weights[f"{layer}_bias"])
    scaled_N = (hidden_NH @ weights["fc3_weight"].T + weights["fc3_bias"])[:, 0]
    expected_N = scaled_N * weights["target_std"] + weights["target_mean"]

    found_N = prices.values(list(cases_NF))
    assert found_N.shape == (301,)
    assert found_N.dtype == np.float64
    np.testing.assert_allclose(found_N, expected_N, rtol=1e-12)
    assert np.ptp(found_N) > 1e5, "the cases are too alike to show a mix-up"


def test_golden_rows_come_out_as_they_were_written(version: Version, prices: SimpleNNModel) -> None:
    """What PyTorch's export recorded comes out of onnxruntime, float64 for float64."""
    rows = golden_rows(version[1])

    found_N = prices.values([prices.encode(row.features) for row in rows])

    assert len(rows) >= 3
    np.testing.assert_allclose(found_N, [row.value for row in rows], rtol=1e-9)


@pytest.mark.parametrize(
    ("num_cases", "runs"), [(1, [1]), (1024, [1024]), (1025, [1024, 1]), (2500, [1024, 1024, 452])]
)
def test_order_is_kept_over_several_runs(prices: SimpleNNModel, num_cases: int, runs: list[int]) -> None:
    """At most 1024 cases are in one run, and the answers come in the order of the cases."""
    assert RUN_CASES == 1024
    stub = Stub(lambda row_F: 10 * row_F[0] + row_F[1])
    prices._session = stub
    cases = [prices.encode([float(number), number % 7]) for number in range(num_cases)]

    answers = prices.predict(cases)

    assert [answer.value for answer in answers] == [10 * number + number % 7 for number in range(num_cases)]
    assert stub.runs == [(length, 2) for length in runs]


def test_alone_equals_batched(prices: SimpleNNModel) -> None:
    """A case's value does not depend on what else is in its run (float64: 1e-12 of it)."""
    cases = flats(1500, seed=2)

    together_N = prices.values(cases)

    np.testing.assert_allclose([prices.values([case])[0] for case in cases], together_N, rtol=1e-12)
    assert len(set(together_N.round(3).tolist())) > 1000, "the cases are too alike to show a mix-up"


def test_no_cases_give_no_values(prices: SimpleNNModel) -> None:
    """Nothing asked is nothing answered, and no run of 0 cases reaches the runtime."""
    stub = Stub(lambda row_F: row_F[0])
    prices._session = stub

    assert prices.values([]).shape == (0,)
    assert prices.predict([]) == []
    assert stub.runs == []


def test_threads_share_a_model(prices: SimpleNNModel) -> None:
    """Four threads at once get what one thread gets."""
    cases = flats(200, seed=3)
    expected_N = prices.values(cases)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: prices.values(cases), range(12)))

    assert all(np.array_equal(answer_N, expected_N) for answer_N in answers)


@pytest.mark.parametrize("features", [[], [1.0], [1.0, 2.0, 3.0], [1.0] * 4096])
def test_another_number_of_features_is_refused(prices: SimpleNNModel, features: list[float]) -> None:
    """A case of another length than the training's says how many it has, how many there were, and what to do."""
    with pytest.raises(InvalidFeatures) as refused:
        prices.encode(features)

    assert isinstance(refused.value, InvalidContent)
    assert str(refused.value) == (
        f"has {len(features)} features, the model was trained on 2; send as many, in the same order"
    )


def test_features_keep_their_numbers(prices: SimpleNNModel) -> None:
    """A case goes to the graph as float64: a float32 would lose the 8th digit."""
    encoded = prices.encode([123456789.125, 1e-300])

    assert encoded.dtype == np.float64
    assert encoded.tolist() == [123456789.125, 1e-300]
    assert prices.cost(encoded) == 1


@pytest.mark.parametrize("features", [[LARGEST, LARGEST], [-LARGEST, LARGEST], [LARGEST, -LARGEST]])
def test_largest_numbers_are_answered(prices: SimpleNNModel, features: list[float]) -> None:
    """What decodes can be answered: the limit of 1e100 leaves room for every weight."""
    (answer,) = prices.predict([prices.encode(features)])

    assert np.isfinite(answer.value)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_answer_that_is_no_number_is_no_answer(prices: SimpleNNModel, wrong: float) -> None:
    """One value of a run that is not finite is an error that names the version: JSON would have written null."""
    prices._session = Stub(lambda row_F: wrong if row_F[0] == 7 else row_F[0])

    assert [answer.value for answer in prices.predict([prices.encode([6.0, 0.0])])] == [6.0]
    with pytest.raises(NotFinite, match="prices version 1 answers with a number that is not finite"):
        prices.predict([prices.encode([number, 0.0]) for number in range(9)])
    with pytest.raises(NotFinite):
        prices.evaluate([Example([7.0, 0.0], 1.0)], [prices.encode([7.0, 0.0])])


def test_evaluation_names_the_version(prices: SimpleNNModel) -> None:
    """Three flats worked by hand, against a session that answers 10 * size.

    Answers 100, 200, 300; targets 100, 210, 270: errors 0, -10, 30. MAE 40/3; MSE (100 + 900)/3, so RMSE sqrt(1000/3).
    The targets' mean is 580/3 and their variance (100^2 + 210^2 + 270^2)/3 - (580/3)^2 = 44600/9, so R2 is
    1 - (1000/3)/(44600/9) = 1 - 3000/44600.
    """
    prices._session = Stub(lambda row_F: 10 * row_F[0])
    rows = [
        Example([10.0, 0.0], 100.0, id="right"),
        Example([20.0, 0.0], 210.0, id=0),
        Example([30.0, 0.0], 270.0),
    ]
    encoded = [prices.encode(row.content) for row in rows]

    found = prices.evaluate(rows, encoded)

    assert isinstance(found, ValueMetrics)
    assert (found.model_name, found.version, found.total_tests) == ("prices", 1, 3)
    assert found.mae == pytest.approx(40 / 3)
    assert found.rmse == pytest.approx((1000 / 3) ** 0.5)
    assert found.r2 == pytest.approx(1 - 3000 / 44600)
    assert found.largest_errors == [LargeError(2, 270.0, 300.0), LargeError(1, 210.0, 200.0, 0)]
    measured = prices.measure(rows, encoded)
    assert (measured.model_name, measured.version) == (None, None)
    assert measured == msgspec.structs.replace(found, model_name=None, version=None)


def test_published_again_it_answers_the_same(store: Store, prices: SimpleNNModel, version: Version) -> None:
    """A version that was written and read back gives bit for bit the same values."""
    store.publish(*version)
    manifest, files = store.read_version("prices", 2)
    assert isinstance(manifest, SimpleNNManifest)

    again = SimpleNNModel(manifest, files)

    assert (again.name, again.version) == ("prices", 2)
    assert np.array_equal(again.values(flats(50, seed=4)), prices.values(flats(50, seed=4)))


# What must not load


def refused(version: Version, **files: bytes) -> str:
    """Return why a version with some files changed (`golden`, `model`) is refused."""
    manifest, good = version
    names = {"golden": "golden.json", "model": "model.onnx"}
    with pytest.raises(ArtifactRefused, match="prices version 1") as error:
        SimpleNNModel(manifest, good | {names[name]: raw for name, raw in files.items()})
    return str(error.value)


@pytest.mark.parametrize(("share", "loads"), [(0.0, True), (5e-7, True), (-5e-7, True), (2e-6, False), (-2e-6, False)])
def test_golden_values_may_differ_by_rounding_alone(version: Version, share: float, loads: bool) -> None:
    """1e-6 of a value is allowed for another processor."""
    rows = golden_rows(version[1])
    rows[-1] = msgspec.structs.replace(rows[-1], value=rows[-1].value * (1 + share))
    golden = msgspec.json.encode(rows)

    if loads:
        assert SimpleNNModel(version[0], version[1] | {"golden.json": golden}).version == 1
    else:
        assert "golden rows differ by 2e-06, limit is 1e-06" in refused(version, golden=golden)


@pytest.mark.parametrize(("answer", "loads"), [(0.5 + 9e-7, True), (0.5 + 2e-6, False), (1e300, False)])
def test_small_golden_values_are_compared_as_they_are(
    version: Version, monkeypatch: pytest.MonkeyPatch, answer: float, loads: bool
) -> None:
    """Below 1 the difference itself counts, or a value of 0 could never be met."""
    stub = Stub(lambda _: answer)
    stub.get_inputs = lambda: [type("Input", (), {"shape": ["B", 2]})]  # type: ignore[attr-defined]
    monkeypatch.setattr(simple_nn, "open_session", lambda _: stub)
    golden = msgspec.json.encode([GoldenRow([1.0, 2.0], 0.5)])

    if loads:
        assert SimpleNNModel(version[0], version[1] | {"golden.json": golden}).version == 1
    else:
        assert "golden rows differ" in refused(version, golden=golden)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_graph_that_answers_no_number_is_refused(version: Version, wrong: float) -> None:
    """A weight that is no number loads and runs without a word from onnxruntime; NaN equals no golden value."""
    graph = version[1]["model.onnx"]
    start = graph.index(b"target_meanJ\x08") + len(b"target_meanJ\x08")  # name, tag of raw_data, 8 bytes: a double
    broken = graph[:start] + np.array([wrong]).tobytes() + graph[start + 8 :]

    assert f"golden rows differ by {wrong}" in refused(version, model=broken)


def test_graph_with_other_weights_is_refused(version: Version) -> None:
    """Changed weights load just as well; the golden rows notice."""
    graph = version[1]["model.onnx"]
    start = graph.index(b"target_meanJ\x08") + len(b"target_meanJ\x08")
    broken = graph[:start] + np.array([175501.0]).tobytes() + graph[start + 8 :]

    assert "golden rows differ" in refused(version, model=broken)


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("change", [{"features": [1.0]}, {"features": []}, {"features": [1.0, 2.0, 3.0]}])
def test_golden_row_of_another_model_is_refused(version: Version, number: int, change: dict[str, Any]) -> None:
    """A golden row with another number of features than the manifest's, wherever it stands."""
    rows = golden_rows(version[1])
    rows[number] = msgspec.structs.replace(rows[number], **change)

    assert "the model was trained on 2" in refused(version, golden=msgspec.json.encode(rows))


def test_version_without_golden_rows_is_refused(version: Version) -> None:
    """Without a golden row nothing proves what the model answers."""
    assert "golden.json is empty" in refused(version, golden=b"[]")


@pytest.mark.parametrize(
    "golden",
    [
        b"", b"{}", b"[{}]", b"[" * 100_000, b"\xff", b'[{"features":[1,2],"value":NaN}]',
        b'[{"features":[1,2],"value":null}]', b'[{"features":[1,2],"value":1,"more":2}]',
    ],
)  # fmt: skip
def test_golden_file_that_cannot_be_read_is_refused(version: Version, golden: bytes) -> None:
    """Bytes that are no list of golden rows are refused."""
    refused(version, golden=golden)


@pytest.mark.parametrize("num_features", [1, 3, 4096])
def test_manifest_with_another_number_of_features_is_refused(version: Version, num_features: int) -> None:
    """The manifest tells callers how many features to send, so it must say what the graph takes."""
    manifest = msgspec.structs.replace(version[0], num_features=num_features)

    assert f"the manifest has {num_features} features, the graph takes ['B', 2]" in refused((manifest, version[1]))


@pytest.mark.parametrize("keep", [0, 1, 100, 600, 1000])
def test_cut_graph_is_refused(version: Version, keep: int) -> None:
    """A graph that is cut off is the artifact's fault, whichever error onnxruntime has for it."""
    refused(version, model=version[1]["model.onnx"][:keep])


def test_garbage_for_a_graph_is_refused(version: Version) -> None:
    """Bytes that are no ONNX graph are refused."""
    for garbage in (b"garbage", bytes(1000), np.random.default_rng(6).bytes(5000)):
        assert "onnxruntime" in refused(version, model=garbage)


def test_graph_with_another_input_is_refused(version: Version) -> None:
    """A sound graph whose input has another name is refused when the golden rows are replayed."""
    refused(version, model=version[1]["model.onnx"].replace(b"features", b"feetures"))


def test_graph_of_another_kind_is_refused(store: Store, version: Version) -> None:
    """The GRU's graph under a SimpleNN's manifest is refused before it is run."""
    refused(version, model=store.read_version("puppet-o2", 1)[1]["model.onnx"])


def test_fixture_is_the_one_that_was_made(version: Version) -> None:
    """The tests above rest on the committed model: two features, and the axes that the manifest tells."""
    assert version[0].num_features == 2
    assert version[0].tensors == simple_nn.TENSORS
    assert version[0].neural_network_type == "SimpleNN"
