"""What the benchmarks that compare servers share: the seed's network, who is there, the tickets, wrk's output."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from artifacts.networks.gru import GruModel
from artifacts.networks.gru_records import GruManifest
from artifacts.store.store import Store
from benchmarks.load import contenders, wrk
from benchmarks.load.client import Address
from benchmarks.load.contenders import (
    CONTENDERS,
    PUPPET,
    SEED_WAY,
    Model,
    Stage,
    command_of,
    missing,
    peer_versions,
    running,
)
from benchmarks.load.searches import search_body
from benchmarks.load.workload import (
    Common,
    Said,
    ask_each,
    at_least,
    at_most,
    make_tickets,
    prepared,
    read_common,
    read_lengths,
    share_agreeing,
    shown,
    source_of,
    why_void,
)
from benchmarks.load.wrk import read_answered, saturate
from benchmarks.peers.seed_graph import NAME, publish_seed_weights
from benchmarks.peers.weights import Weights, encode, make_weights
from benchmarks.serving.throughput import Settings, throughput_command
from tests.benchmarks.fake import fake_server, http

WRK = b'Running 1s test\n{"num_answered":1000,"seconds":2.0,"num_errors":1,"num_not_200":200,"p50_us":40,"p99_us":90}\n'


def common(**changes: Any) -> Common:
    """Return the options of a small run."""
    values: dict[str, Any] = {
        **{"store": None, "name": "puppet-o2", "data": None, "tokens": "3-5", "seed": 0, "rounds": 5},
        **{"seconds": 1.0, "warmup": 0.0, "peers_python": "/nowhere/python", "server_core": 0, "generator_core": 1},
    }
    return Common(**(values | changes))


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


def by_hand(weights: Weights, ids: list[int]) -> NDArray[np.float64]:
    """Return the probabilities of one ticket by the equations of the GRU, in float64."""
    ends = []
    for direction, read in enumerate((ids, ids[::-1])):
        w_i, w_h = weights.input_DGE[direction].astype(float), weights.recurrent_DGH[direction].astype(float)
        b_i, b_h = weights.input_bias_DG[direction], weights.recurrent_bias_DG[direction]
        h = np.zeros(w_h.shape[1])
        for row in read:
            i_r, i_z, i_n = np.split(w_i @ weights.embedding_VE[row] + b_i, 3)
            h_r, h_z, h_n = np.split(w_h @ h + b_h, 3)
            z, n = sigmoid(i_z + h_z), np.tanh(i_n + sigmoid(i_r + h_r) * h_n)
            h = (1 - z) * n + z * h
        ends.append(h)
    logits = weights.head_CF @ np.concatenate(ends) + weights.head_bias_C
    found: NDArray[np.float64] = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    return found


def test_seed_weights_are_served_as_the_seed_computes_them(store: Store, tmp_path: Path) -> None:
    """The version with the seed's weights answers what a NumPy GRU of the same weights does, alone and in a batch."""
    made = publish_seed_weights(store, "puppet-o2", tmp_path / "seed")

    manifest, files = made.read_version(NAME, 1)
    assert isinstance(manifest, GruManifest)
    model = GruModel(manifest, files)
    tickets = [["client"], ["connexion", "nobody-wrote-this", "client", "ticket"]]
    found_BC = model.probabilities([model.encode(ticket) for ticket in tickets])

    weights = make_weights(len(model.vocabulary), len(model.labels))
    for row_C, ticket in zip(found_BC, tickets, strict=True):
        ids = encode(model.vocabulary.rows, ticket)
        np.testing.assert_allclose(row_C, by_hand(weights, ids), atol=1e-6)  # float32 against float64
    assert encode(model.vocabulary.rows, tickets[1])[1] == 1


def test_weights_are_the_same_for_a_seed() -> None:
    """Two programs that draw the weights have the same ones, in float32; another seed gives others."""
    one, other = make_weights(10, 3), make_weights(10, 3)

    assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one.head_CF, make_weights(10, 3, seed=1).head_CF)


def test_peer_that_is_not_installed_is_named_with_the_remedy(tmp_path: Path) -> None:
    """Without the peers' environment, or without a package in it, a peer is left out with the reason; ours is not."""
    nowhere = missing([PUPPET, SEED_WAY, "bentoml"], tmp_path / "python")
    no_package = missing(list(CONTENDERS), Path(sys.executable))  # our own environment has no BentoML

    assert set(nowhere) == {SEED_WAY, "bentoml"}
    assert "make peers" in nowhere["bentoml"]
    assert "bentoml" in no_package["bentoml"]
    assert PUPPET not in no_package
    assert missing([PUPPET], tmp_path / "python") == {}


def test_versions_of_the_peers_are_read_from_their_environment(tmp_path: Path) -> None:
    """They are part of the result; an environment that is not there has none."""
    found = peer_versions([SEED_WAY], Path(sys.executable))

    assert found["uvicorn"]
    assert found["torch"]
    assert peer_versions([SEED_WAY], tmp_path / "python") == {}


def test_peer_is_started_with_the_model_that_it_answers_with() -> None:
    """The seed's way gets the seed's store and the peers' Python, the handler that does nothing neither."""
    stage = Stage({"puppet": Model("/a", "ours"), "seed": Model("/b", "seeds")}, "/peers/python")

    assert command_of(CONTENDERS[SEED_WAY], stage) == [
        *("/peers/python", "-m", "benchmarks.peers.servers.seed_way", "/b", "seeds")
    ]
    assert command_of(CONTENDERS["litserve"], stage)[3:] == ["/a", "ours"]
    assert command_of(CONTENDERS["nothing"], stage)[0] == sys.executable


@pytest.mark.system
def test_ceiling_answers_a_search(store: Store) -> None:
    """The handler that does nothing starts, answers 200, and is gone afterwards; what cannot start is quoted."""
    stage = Stage({"puppet": Model(str(store.root), "puppet-o2")}, sys.executable)

    with running("nothing", stage, None) as server:
        said = ask_each(Address.of(server.url), [search_body("puppet-o2", ["client"])])
        assert server.ready_s > 0

    assert said == [Said("nothing", 1.0)]
    assert server.process.poll() is not None
    broken = pytest.raises(click.ClickException, match="fastapi")
    with broken, running(SEED_WAY, stage, None):  # our own environment has no FastAPI
        pass


def test_tickets_have_the_lengths_that_were_asked(tmp_path: Path) -> None:
    """From 3 to 5 tokens, the same for the same seed; or as they stand in the test file."""
    tickets = make_tickets(common())

    assert {len(ticket) for ticket in tickets} == {3, 4, 5}
    assert tickets == make_tickets(common())
    (tmp_path / "test.tokens.jsonl").write_text('{"category": "a", "tokens": ["un", "deux"]}')
    assert make_tickets(common(data=str(tmp_path), tokens="as-is")) == [["un", "deux"]]
    assert make_tickets(common(data=str(tmp_path), tokens="3"))[0] == ["un", "deux", "un"]


@pytest.mark.parametrize("tokens", ["0", "5-3", "513", "few", "1-"])
def test_wrong_lengths_are_refused(tokens: str) -> None:
    """A length outside 1 to 512, or in another form, is a usage error."""
    with pytest.raises(click.BadParameter, match="LEAST-MOST"):
        read_lengths(tokens)


def test_data_without_its_files_is_refused(tmp_path: Path) -> None:
    """`--data` is a folder of one set."""
    with pytest.raises(click.BadParameter, match=r"train\.tokens\.jsonl"):
        read_common(msgspec.structs.asdict(common()) | {"data": tmp_path})


def test_model_that_is_there_is_not_trained_again(store: Store) -> None:
    """With `--store` the serving version is asked; the seed's network lies in a store of its own."""
    with prepared(common(store=str(store.root)), [PUPPET, SEED_WAY]) as work:
        seed_store = Path(work.stage.models["seed"].store)
        assert work.stage.models["puppet"].store == str(store.root)
        assert Store(seed_store).current(NAME).version == 1
        assert set(work.left_out) == {SEED_WAY}
        assert msgspec.json.decode(work.bodies(SEED_WAY)[0])["name"] == NAME
        assert msgspec.json.decode(work.bodies("nothing")[0])["vector"] == work.tickets[0]

    assert not seed_store.exists()


def test_agreement_is_within_a_network() -> None:
    """Two contenders with our model differ on one ticket of four; the seed's network is compared with itself only."""
    ours = [Said(name, 1.0) for name in "abcd"]
    theirs = [Said(name, 1.0) for name in "abcx"]
    said = {PUPPET: ours, "fastapi": theirs, SEED_WAY: [Said("z", 1.0)] * 4}

    assert share_agreeing(said) == 0.75
    assert share_agreeing({PUPPET: ours}) == 1.0
    assert len(why_void(common(), 0.75)) == 1
    assert len(why_void(common(rounds=1, server_core=None))) == 2


def test_criteria_say_what_was_found_and_wanted() -> None:
    """Met at the limit; what was not measured is no criterion."""
    (met,) = at_least("speed", 12.0, 12.0, "x")
    (missed,) = at_most("wait", 3.5, 3.0, " ms")

    assert met.sentence == "met: speed: 12x, wanted at least 12x."
    assert missed.sentence == "NOT MET: wait: 3.5 ms, wanted at most 3 ms."
    assert at_least("speed", None, 1.0) == at_most("wait", None, 1.0) == []


def test_rate_of_wrk_counts_good_answers() -> None:
    """1000 answers of which 200 were none of ours, in 2 s: 400 a second."""
    found = read_answered(WRK)

    assert found.rate == 400.0
    assert (found.num_errors, found.p99_us) == (1, 90)
    with pytest.raises(click.ClickException, match="unable to connect"):
        read_answered(b"", b"unable to connect")


def test_missing_wrk_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is trained or started."""
    monkeypatch.setenv("PATH", "/nowhere")

    done = CliRunner().invoke(throughput_command, ["--store", "nowhere"])

    assert done.exit_code == 1
    assert "apt-get install wrk" in done.output


def test_wrk_is_told_bodies_and_connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program in its place sees the connections, whole seconds, and one body a line."""
    fake = tmp_path / "wrk"
    fake.write_text(
        '#!/bin/sh\nprintf \'{"num_answered":%d,"seconds":1,"num_errors":0,"num_not_200":0,"p50_us":%d,"p99_us":0}\' '
        '"$(wc -l < "$WRK_BODIES")" "${2#-c}"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(wrk, "find_wrk", lambda: str(fake))

    found = saturate(Address("127.0.0.1", 1), [b"{}", b"{}"], 64, 0.5, None)

    assert (found.num_answered, found.p50_us) == (2, 64)


def test_answer_that_is_no_search_is_refused() -> None:
    """An error, or another program's answer, ends the comparison before anything is timed."""
    for raw, said in ((http(404, b"Model not found"), "404.*Model not found"), (http(200), "no search")):
        with fake_server(lambda _, raw=raw: raw) as fake, pytest.raises(click.ClickException, match=said):  # type: ignore[misc]
            ask_each(fake.address, [b"{}"])


def test_every_peer_has_its_module() -> None:
    """What a contender is started as exists."""
    folder = Path(contenders.__file__).parents[1] / "peers" / "servers"

    assert all((folder / f"{one.module}.py").is_file() for one in CONTENDERS.values() if one.module)


def test_kept_settings_name_no_folder_of_a_machine() -> None:
    """Of a path its last part is kept, of what was not given nothing."""
    settings = Settings(common(data="/home/somebody/banking77_fr"), [1], [])

    kept = shown(settings).common

    assert (kept.data, kept.store, kept.peers_python) == ("banking77_fr", None, "python")
    assert source_of(settings.common) == "banking77_fr"
    assert source_of(common()) == "the synthetic tickets"
