"""Tests of artifacts/networks/engines: the kernel answers as onnxruntime does, or does not serve."""

import copy
import ctypes
import logging
import os
import random
import shutil
import subprocess
import sys
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from artifacts.errors import NotFinite
from artifacts.kinds import load
from artifacts.networks.engines import build, fused, weights
from artifacts.networks.engines.engine import NUM_INVENTED, EngineRefused, invented, prove
from artifacts.networks.gru import GruModel, OnnxRuntime
from artifacts.networks.gru_records import GruManifest
from artifacts.networks.runtime import open_session
from artifacts.store.store import Store
from artifacts.text.tokens import NEWEST, RULES, Rules, ngrams
from artifacts.text.vocabulary import Encoded
from tests.artifacts.networks.kernels import best, compiled
from tests.conftest import FROZEN, frozen_store, gru_version

pytestmark = pytest.mark.one_python  # the kernel is C, and is the same for each

V, NUM_BUCKETS = 16, 64  # of the fixture
LEVELS = [level.name for level in build.levels()]
Version = tuple[GruManifest, dict[str, bytes]]


@pytest.fixture
def version(store: Store) -> Version:
    """Give the fixture's manifest and files, to be changed before they are loaded."""
    return gru_version(store)


@pytest.fixture
def has_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions be loaded with the kernel of this source."""
    monkeypatch.setattr(fused, "kernel", best)


@pytest.fixture
def onnxruntime(version: Version) -> OnnxRuntime:
    """Give the reference over the fixture's graph."""
    return OnnxRuntime(open_session(version[1]["model.onnx"]), V, NUM_BUCKETS + 1)


@pytest.fixture
def kernel(version: Version) -> fused.Fused:
    """Give the kernel with the fixture's weights."""
    return fused.Fused(version[1]["model.onnx"], best()[1])


def tickets(max_tokens: int = 512) -> list[Encoded]:
    """Return the invented tickets of the fixture's sizes."""
    return invented(V, NUM_BUCKETS, max_tokens, 24)


# Equal


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("max_products_bytes", [0, fused.MAX_PRODUCTS_BYTES])
def test_every_level_answers_as_onnxruntime(
    version: Version,
    onnxruntime: OnnxRuntime,
    level: str,
    max_products_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each object that this processor can run gives the same probabilities and categories, products kept or not."""
    if level not in compiled():
        pytest.skip("not of this processor")
    monkeypatch.setattr(fused, "MAX_PRODUCTS_BYTES", max_products_bytes)

    engine = fused.Fused(version[1]["model.onnx"], compiled()[level])

    assert prove(engine, onnxruntime, tickets()) < 5e-6
    assert ("products" in engine._kept) == bool(max_products_bytes)


def test_some_level_runs_here() -> None:
    """None of the tests above was left out for every level."""
    assert compiled()


def test_ticket_has_the_same_bits_alone_and_among_others(kernel: fused.Fused) -> None:
    """No ticket shares anything with another, so not a bit depends on what else is asked, or on which thread asks."""
    asked = tickets()
    together_NC = kernel.probabilities(asked)

    alone_NC = np.concatenate([kernel.probabilities([ticket]) for ticket in asked])
    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda _: kernel.probabilities(asked), range(12)))

    assert np.array_equal(together_NC, alone_NC)
    assert all(np.array_equal(other_NC, together_NC) for other_NC in others)
    assert together_NC.dtype == np.float32
    np.testing.assert_allclose(together_NC.sum(axis=1), 1, atol=1e-5)


def test_best_is_the_highest_probability(kernel: fused.Fused) -> None:
    """Label and probability are those of the row, and Python's own numbers."""
    asked = tickets()
    found_NC = kernel.probabilities(asked)

    best_N = kernel.best(asked)

    assert best_N == list(zip(found_NC.argmax(axis=1).tolist(), found_NC.max(axis=1).tolist(), strict=True))
    assert {(type(label), type(probability)) for label, probability in best_N} == {(int, float)}
    assert kernel.best([]) == []
    assert kernel.probabilities([]).shape == (0, 3)


@pytest.mark.parametrize("folder", FROZEN)
def test_frozen_versions_are_served_by_the_kernel(folder: str, tmp_path: Path, has_kernel: None) -> None:
    """Versions whose weights had other names prove equal too; the oldest graph has other tables, and is left alone."""
    store = frozen_store(folder, tmp_path)

    found = {
        (name, version): load(*store.read_version(name, version), "fused").engine_name
        for name in store.models()
        for version in store.versions(name)
    }

    assert found == {
        ("prices", 1): "onnxruntime",
        ("prices", 2): "onnxruntime",
        ("rules-1", 1): "onnxruntime",
        ("rules-2", 1): "fused",
        ("rules-2", 2): "fused",
    }


# Invented tickets


def test_invented_tickets_reach_the_ends_of_every_table() -> None:
    """Both ends of words and n-grams, the longest ticket, words that stand there twice, and no word that is missing."""
    asked = tickets(300)
    ids = [number for ticket in asked for number in ticket.ids]
    grams = [gram for ticket in asked for row in ticket.grams for gram in row]

    assert len(asked) == NUM_INVENTED
    assert asked == tickets(300)
    assert {1, V - 1, V} <= set(ids)
    assert min(ids) == 1
    assert {1, NUM_BUCKETS} <= set(grams)
    assert {len(row) for ticket in asked for row in ticket.grams} >= {1, 24}
    assert max(len(ticket.ids) for ticket in asked) == 300
    assert min(len(ticket.ids) for ticket in asked) < 5
    for ticket in asked:
        assert max(ticket.ids) < V + len(ticket.grams)
        assert set(ticket.ids) >= set(range(V, V + len(ticket.grams))), "an unknown word that the ticket lacks"
    assert any(ticket.ids.count(V) > 1 for ticket in asked)


# The choice


def test_onnxruntime_is_the_default(version: Version, has_kernel: None) -> None:
    """Nobody gets the kernel without asking for it."""
    assert GruModel(*version).engine_name == "onnxruntime"


@pytest.mark.parametrize("choice", ["fused", "auto"])
def test_kernel_serves_once_it_is_proven(
    version: Version, has_kernel: None, choice: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The model answers with it as with onnxruntime, says so, and holds no session any more."""
    caplog.set_level(logging.INFO, "puppet")
    model, reference = GruModel(*version, choice), GruModel(*version)
    asked = [model.encode(words) for words in (["connexion", "conntecter"], ["client"], ["zut"] * 40)]

    answers, expected = model.predict(asked), reference.predict(asked)

    assert model.engine_name == "fused"
    assert [one.category for one in answers] == [one.category for one in expected]
    np.testing.assert_allclose(
        [one.confidence for one in answers], [one.confidence for one in expected], rtol=0, atol=1e-5
    )
    assert [one.unknown_tokens for one in answers] == [["conntecter"], [], ["zut"]]
    assert model.probabilities([]).shape == (0, 3)
    assert not any(isinstance(value, OnnxRuntime) for value in vars(model).values())
    assert "answers 70 tickets as onnxruntime does" in caplog.text


def test_version_without_a_kernel_is_served_by_onnxruntime(
    version: Version, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing was compiled one line says so, and what to run."""
    monkeypatch.setattr(fused, "kernel", lambda: None)

    model = GruModel(*version, "auto")

    assert model.engine_name == "onnxruntime"
    (line,) = caplog.messages
    assert "not compiled; run python -m artifacts.networks.engines.build" in line


def wrong_gates(name: str, patch: pytest.MonkeyPatch) -> None:
    """Let the kernel be laid out wrongly, in one of the ways that are easy to get wrong."""
    real = fused._layout
    if name == "gate order":
        patch.setattr(fused, "by_gate", lambda weight: weight)
        return

    def layout(found: Any) -> Any:
        sizes, tables = real(found)
        if name == "no pairs":
            return sizes | {"pairs": 0}, tables | {"pair_rows": np.zeros((0, 0), np.float32)}
        if name == "one bias":
            return sizes, tables | {"head_bias": np.roll(tables["head_bias"], 1)}
        return sizes | {"unknown": 0}, tables

    patch.setattr(fused, "_layout", layout)


@pytest.mark.parametrize("fault", ["gate order", "no pairs", "one bias", "unknown words as padding"])
def test_kernel_that_answers_otherwise_does_not_serve(
    version: Version, has_kernel: None, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A kernel that is wrong for this version is found out at load: onnxruntime serves, with a line."""
    wrong_gates(fault, monkeypatch)

    model = GruModel(*version, "fused")

    assert model.engine_name == "onnxruntime"
    (line,) = caplog.messages
    assert line.startswith("puppet-o2 version 1: onnxruntime serves, and not the kernel: a probability differs by ")


def test_kernel_that_names_another_category_does_not_serve(onnxruntime: OnnxRuntime) -> None:
    """The label must be that of the highest probability."""

    class Other(OnnxRuntime):
        def best(self, tickets: Any) -> list[tuple[int, float]]:
            return [(2 - label, probability) for label, probability in super().best(tickets)]

    other = copy.copy(onnxruntime)
    other.__class__ = Other

    with pytest.raises(EngineRefused, match="categories"):
        prove(other, onnxruntime, tickets())


# The n-grams


@given(token=st.text(min_size=1, max_size=256), rules=st.sampled_from(list(RULES.values())))
@example(token="e\u0301" * 128, rules=NEWEST)
@example(token="\U0001f600" * 256, rules=NEWEST)
def test_kernel_hashes_as_python(token: str, rules: Rules) -> None:
    """Of any word the rows of its n-grams are those of `ngrams`, in their order."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return

    assert fused.hasher(best()[1], 20_000, rules)(token) == ngrams(token, 20_000, rules)


def test_kernel_that_hashes_otherwise_does_not_serve(
    version: Version, has_kernel: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The n-grams of golden rows must be theirs, and where they are not Python hashes on."""
    monkeypatch.setattr(fused, "hasher", lambda *_: lambda _: [1])

    model = GruModel(*version, "fused")

    assert model.engine_name == "onnxruntime"
    assert "hashes the n-grams of a golden row otherwise" in caplog.text
    assert model.encode(["conntecter"]).grams == [ngrams("conntecter", NUM_BUCKETS, model.vocabulary.rules)]


# The weights


def test_weights_are_views_of_the_file(version: Version) -> None:
    """Nothing is copied, and nothing can be written: the large tables stay where the file's bytes are."""
    found = weights.initializers(memoryview(version[1]["model.onnx"]))

    assert found["word_embedding"].shape[0] == V
    assert found["ngram_embedding"].shape[0] == NUM_BUCKETS + 1
    assert all(not values.flags.writeable for values in found.values())


def test_file_that_ends_too_early_is_refused(version: Version) -> None:
    """Cut off anywhere, the file is refused and not read past its end; or it lacks a weight."""
    raw = version[1]["model.onnx"]
    for end in range(0, len(raw), len(raw) // 200):
        with pytest.raises(EngineRefused):
            fused.layout(weights.initializers(memoryview(raw[:end])))


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Random bytes are no graph; they raise the error that a version is left to onnxruntime for."""
    try:
        found = weights.initializers(memoryview(raw))
    except EngineRefused:
        return
    assert isinstance(found, dict)


def changed_weights(version: Version, **changes: Any) -> dict[str, Any]:
    """Return the fixture's weights, some of them replaced; None leaves one out."""
    found = weights.initializers(memoryview(version[1]["model.onnx"])) | changes
    return {name: values for name, values in found.items() if values is not None}


def test_weight_that_is_not_finite_is_refused(version: Version) -> None:
    """The kernel is compiled for finite numbers: NaN or infinity anywhere leaves the version to onnxruntime."""
    good = changed_weights(version)
    for name, values in good.items():
        if values.dtype.kind != "f" or not values.size:
            continue
        for wrong in (np.nan, np.inf, -np.inf):
            bad = values.copy()
            bad.reshape(-1)[-1] = wrong
            with pytest.raises(EngineRefused, match=f"{name} holds a number that is not finite"):
                fused.layout(good | {name: bad})


@pytest.mark.parametrize(
    "changes",
    [
        {"word_embedding": None},
        {"head_bias": None},
        {"unk_id": None},
        {"gru_0_0_R": None},
        {"vocab_size": np.int32(V + 1)},
        {"gru_0_0_B": np.zeros((2, 7), np.float32)},
        {"bigram_hash_factor": np.int32(2**31 - 1)},
    ],
)
def test_weights_of_another_shape_are_refused(version: Version, changes: dict[str, Any]) -> None:
    """What is missing or does not fit is named."""
    with pytest.raises(EngineRefused, match="not those of a GRU that the kernel knows"):
        fused.layout(changed_weights(version, **changes))


def test_tables_of_another_size_never_reach_the_network(version: Version) -> None:
    """The kernel itself compares each table with the sizes: one number too few, and it does nothing."""
    engine = fused.Fused(version[1]["model.onnx"], best()[1])
    message = array("i", fused.message_of([Encoded([2], [], [], 0)])).tobytes()

    for name in fused.TABLES:
        network = fused.NetworkStruct.from_buffer_copy(engine._network)
        getattr(network, name).count -= 1
        status = engine._answer(ctypes.addressof(network), message, len(message) // 4, 1, None, None)
        assert status == 1, name


@pytest.mark.parametrize(
    "message",
    [
        [],
        [1],
        [0, 0],
        [1, 0],
        [1, 0, -1],
        [1, 0, V],
        [1, 1, V + 1, 1, 1],
        [1, 1, V],
        [1, 1, V, 0],
        [1, 1, V, 2, 1],
        [1, 1, V, 1, 0],
        [1, 1, V, 1, NUM_BUCKETS + 1],
        [1, 2, V, 1, 1, 1, 1],
        [1, -1, 2],
        [2**31 - 1, 0, 2],
        [1, 0, 2, 2],
    ],
)
def test_message_that_does_not_fit_is_refused(kernel: fused.Fused, message: list[int]) -> None:
    """A length, an id or an n-gram outside its range, and numbers too few or too many, are the status 2."""
    packed = array("i", message).tobytes()

    assert kernel._answer(kernel._address, packed, len(message), 1, None, None) == 2


# The sanitisers, and another processor


def compiled_program(name: str, folder: Path, command: Sequence[str], *flags: str) -> Path:
    """Return a program of these tests, compiled."""
    target = folder / name
    source = Path(__file__).with_name(f"{name}.c")
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", *flags]
    subprocess.run([*command, *options, "-o", str(target), str(source), "-lm"], check=True)
    return target


def test_sanitisers_find_nothing(tmp_path: Path) -> None:
    """Random networks and messages, half of them damaged, read and write nothing that is not theirs.

    PUPPET_TEST_KERNELS is how many networks (`make fuzz`); 40 take some ten seconds.
    """
    rounds, seed = os.environ.get("PUPPET_TEST_KERNELS", "40"), str(random.randrange(2**32))
    flags = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    fuzz = compiled_program("fuzz_gru", tmp_path, build.compiler(), *flags)

    done = subprocess.run([fuzz, seed, rounds], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr}"


ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")  # Debian: gcc-aarch64-linux-gnu, qemu-user


@pytest.mark.skipif(None in map(shutil.which, ARM), reason=f"needs {' and '.join(ARM)}, which .ci/run installs")
def test_arm_answers_as_onnxruntime(tmp_path: Path, onnxruntime: OnnxRuntime, kernel: fused.Fused) -> None:
    """Compiled for ARM64 and run on an emulated one, the kernel gives the same probabilities."""
    (arm,) = build.levels("aarch64")
    flags = [flag for flag in build.FLAGS if flag not in ("-shared", "-std=c11")]
    program = compiled_program("ask_gru", tmp_path, ARM[:1], *flags, *arm.flags, "-static")
    asked = tickets(60)
    tables = [np.ascontiguousarray(kernel._kept[name], np.float32) for name in fused.TABLES]
    message = array("i", fused.message_of(asked))
    parts = [
        bytes(kernel._network)[: fused.NetworkStruct.word_rows.offset],
        np.array([table.size for table in tables], np.int64).tobytes(),
        *(table.tobytes() for table in tables),
        np.array([len(message), len(asked)], np.int64).tobytes(),
        message.tobytes(),
    ]

    done = subprocess.run([ARM[1], program], input=b"".join(parts), capture_output=True, check=True)

    found_NC = np.frombuffer(done.stdout, np.float32).reshape(len(asked), -1)
    np.testing.assert_allclose(found_NC, onnxruntime.probabilities(asked), rtol=0, atol=1e-5)


# The objects


def test_object_of_another_source_is_not_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that was compiled before the source changed may expect other structs, so it is refused."""
    path = tmp_path / "gru.so"
    with monkeypatch.context() as patch:
        patch.setattr(build, "digest", lambda _: "0" * 16)
        build.compile_level(build.levels()[-1], path, build.compiler())

    with pytest.raises(EngineRefused, match="another source"):
        fused.opened(path)


def test_best_object_of_the_processor_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the objects that are there, those whose features the processor lists, best first."""
    source = tmp_path / "other.c"
    source.write_text("int x;")
    assert build.objects(source) == []
    for level in build.levels():
        (tmp_path / build.object_name(level, source)).write_bytes(b"of another source")
    assert build.objects(source) == []
    for level in build.levels():
        (tmp_path / build.object_name(level, source)).write_bytes(b"..." + build.digest(source).encode() + b"...")
    found = [name for name, _ in build.objects(source)]

    assert found == [name for name in LEVELS if name in compiled()]

    monkeypatch.setattr(build, "levels", lambda: [build.Level("of tomorrow", features=frozenset(["no such feature"]))])
    assert build.objects(source) == []


@pytest.mark.parametrize(
    ("machine", "compiler", "sentence"),
    [
        ("riscv64", "cc", "no kernel: none for riscv64 processors; onnxruntime serves and PyTorch trains"),
        ("x86_64", "none", "no kernel: there is no C compiler; onnxruntime serves and PyTorch trains"),
        ("x86_64", "false", "no kernel of every level: "),
    ],
)
def test_missing_compiler_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, compiler: str, sentence: str
) -> None:
    """Neither another processor nor a missing or failing compiler is an error: the kernel is optional."""
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setenv("CC", compiler)

    found, said = build.compile_all(tmp_path)

    assert found == []
    assert said.startswith(sentence)
    assert "\n" not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_build_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """An installation compiles before anything is installed."""
    code = f"import runpy; print(len(runpy.run_path({str(build.__file__)!r})['LEVELS']))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == f"{len(build.LEVELS)}\n"


def test_model_whose_answer_is_not_finite_says_so(version: Version, has_kernel: None) -> None:
    """Weights that are finite but overflow give no answer, on the kernel as on onnxruntime."""
    model = GruModel(*version, "fused")
    assert isinstance(model.engine, fused.Fused)
    model.engine._kept["head_bias"] = huge = np.full(3, 3e38, np.float32)
    model.engine._network.head_bias = fused.TableStruct(huge.ctypes.data, huge.size)
    model.engine._kept["head"][:] = 3e38

    with pytest.raises(NotFinite):
        model.predict([model.encode(["client"])])


def test_message_of_tickets_is_what_the_kernel_reads() -> None:
    """Numbers in a row: lengths, ids, and each unknown word's n-grams behind their number."""
    rows = [Encoded([2, 17, 16], ["a", "b"], [[3], [4, 5]], 0), Encoded([2], [], [], 0)]

    assert fused.message_of(rows) == [3, 2, 2, 17, 16, 1, 3, 2, 4, 5, 1, 0, 2]
    assert msgspec.json.decode(msgspec.json.encode(fused.message_of(rows)), type=list[int])
