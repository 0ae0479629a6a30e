"""Who is measured side by side: our server, the ceiling, and what a team might serve with in our place.

In: two stores, one with a trained version of ours and one with the seed's network (peers/seed_graph.py). Out: each
server, running and ready. Those of the peers' environment are left out by name, with the reason, where it is not there.
"""

import contextlib
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from artifacts.networks.engines import build
from artifacts.networks.engines.build import EngineName
from benchmarks.common.machine import ROOT
from benchmarks.load.server import Server, running_peer, running_server

PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
HOW_TO_INSTALL = "run: make peers"
SERVERS = "benchmarks.peers.servers"

ModelOf = Literal["nobody", "puppet", "seed"]


class Contender(msgspec.Struct, frozen=True):
    """A server.

    Attributes:
        title: for people.
        model: whose network it answers with: nobody's, our trained version's, or the seed's.
        module: in peers/servers; empty for our own server.
        needs: packages of the peers' environment.
        ready_path: where it says that it is ready.
        engine: of our own server.
    """

    title: str
    model: ModelOf
    module: str = ""
    needs: tuple[str, ...] = ()
    ready_path: str = "/readyz"
    engine: EngineName = "onnxruntime"


CEILING, PUPPET, PUPPET_FUSED, PUPPET_SEED, SEED_WAY = "nothing", "puppet", "puppet-fused", "puppet-seed", "seed"
CONTENDERS = {
    CEILING: Contender("Litestar, does nothing", "nobody", "nothing"),
    PUPPET: Contender("Puppet, its own model", "puppet"),
    PUPPET_FUSED: Contender("Puppet, its own model and kernel", "puppet", engine="fused"),
    PUPPET_SEED: Contender("Puppet, the seed's weights", "seed"),
    SEED_WAY: Contender("the seed's way: FastAPI + PyTorch", "seed", "seed_way", ("fastapi", "torch")),
    "fastapi-seed": Contender("FastAPI + onnxruntime, the seed's weights", "seed", "fastapi_ort", ("fastapi",)),
    "fastapi": Contender("FastAPI + onnxruntime, our model", "puppet", "fastapi_ort", ("fastapi",)),
    "bentoml": Contender("BentoML, our model", "puppet", "bento", ("bentoml",)),
    "litserve": Contender("LitServe, our model", "puppet", "lit", ("litserve",), "/health"),
}


class Model(msgspec.Struct, frozen=True):
    """Where a version is."""

    store: str
    name: str


class Stage(msgspec.Struct, frozen=True):
    """What the contenders are started with: the models, by whose they are, and the peers' Python."""

    models: dict[ModelOf, Model]
    peers_python: str


def missing(keys: Sequence[str], peers_python: Path) -> dict[str, str]:
    """Return why those of these contenders cannot be measured that cannot be."""
    left_out = {}
    if not build.objects():
        why = "the kernel is not compiled; run: python -m artifacts.networks.engines.build"
        left_out = {key: why for key in keys if CONTENDERS[key].engine == "fused"}
    wanted = sorted({package for key in keys for package in CONTENDERS[key].needs})
    if not wanted:
        return left_out
    if not peers_python.exists():
        absent, why = set(wanted), f"the peers' environment is not there; {HOW_TO_INSTALL}"
    else:
        code = "import importlib.util, sys; print(*(m for m in sys.argv[1:] if importlib.util.find_spec(m) is None))"
        done = subprocess.run([peers_python, "-c", code, *wanted], capture_output=True, text=True, check=False)
        absent = set(done.stdout.split()) if done.returncode == 0 else set(wanted)
        why = f"{', '.join(sorted(absent))} cannot be imported in the peers' environment; {HOW_TO_INSTALL}"
    return left_out | {key: why for key in keys if absent.intersection(CONTENDERS[key].needs)}


def peer_versions(keys: Sequence[str], peers_python: Path) -> dict[str, str]:
    """Return the versions of what these contenders need of the peers' environment, as far as it is there."""
    wanted = sorted({package for key in keys for package in CONTENDERS[key].needs})
    if not wanted or not peers_python.exists():
        return {}
    code = "import importlib.metadata as m, sys; print(*(d.name + '=' + d.version for d in m.distributions()))"
    done = subprocess.run([peers_python, "-c", code], capture_output=True, text=True, check=False)
    found = dict(one.split("=", 1) for one in done.stdout.split())
    return {name: found[name] for name in [*wanted, "onnxruntime", "starlette", "uvicorn"] if name in found}


def command_of(contender: Contender, stage: Stage) -> list[str]:
    """Return the command of a peer, to which its port is added."""
    model = stage.models.get(contender.model, Model("-", "-"))
    python = stage.peers_python if contender.needs else sys.executable
    return [python, "-m", f"{SERVERS}.{contender.module}", model.store, model.name]


@contextlib.contextmanager
def running(key: str, stage: Stage, cores: int | Collection[int] | None, *, workers: int = 1) -> Iterator[Server]:
    """Give a contender, ready.

    Args:
        key: of CONTENDERS.
        stage: where the models are.
        cores: it runs on these.
        workers: of our own server; a peer has one.
    Raises:
        click.ClickException: it does not start.
    """
    contender = CONTENDERS[key]
    if contender.module:
        with running_peer(command_of(contender, stage), contender.ready_path, cores) as server:
            yield server
    else:
        store = Path(stage.models[contender.model].store)
        with running_server(store, cores, workers=workers, engine=contender.engine) as server:
            yield server
