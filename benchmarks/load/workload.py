"""What the benchmarks that compare servers share: their options, the models, the tickets, and what is wanted.

In: the options. Out: a `Workload`: a trained version of ours, the seed's network beside it, the same tickets for all.
With `--store` the version is trained once and stays there; with `--data` it learns a set's training file, and the
tickets are made of the tokens of its test file.
"""

import itertools
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
import numpy as np

from artifacts.errors import PuppetError
from artifacts.store.store import Store
from benchmarks.accuracy.sets import read_test
from benchmarks.common import options
from benchmarks.common.options import PATH
from benchmarks.common.rounds import too_few
from benchmarks.load.client import Address, post
from benchmarks.load.contenders import CONTENDERS, PEERS_PYTHON, Model, ModelOf, Stage, missing, peer_versions
from benchmarks.load.searches import NUM_SYNTHETIC, NUM_TICKETS, first_answers, search_body, trained_store
from benchmarks.load.server import two_cores
from benchmarks.peers.seed_graph import NAME as SEED_NAME
from benchmarks.peers.seed_graph import publish_seed_weights
from trainer.samples.synthetic import generate

C = TypeVar("C", bound=Callable[..., Any])
S = TypeVar("S", bound=msgspec.Struct)

TRAIN, TEST = "train.tokens.jsonl", "test.tokens.jsonl"
AS_IS = "as-is"
MIN_AGREEING = 0.99  # of the tickets, on which two programs with one network may differ where two categories are equal


class Common(msgspec.Struct, frozen=True):
    """What was asked for; see the options of the same names. The cores are None where there are not two."""

    store: str | None
    name: str
    data: str | None
    tokens: str
    seed: int
    rounds: int
    seconds: float
    warmup: float
    peers_python: str
    server_core: int | None
    generator_core: int | None


class Workload(msgspec.Struct, frozen=True):
    """What is served and asked, the same for every contender.

    Attributes:
        common: the options.
        stage: what the contenders are started with.
        tickets: tokens of each.
        left_out: contender -> why it is not measured.
        peers: package -> version, of those that the other contenders run on.
    """

    common: Common
    stage: Stage
    tickets: list[list[str]]
    left_out: dict[str, str]
    peers: dict[str, str]

    def bodies(self, key: str) -> list[bytes]:
        """Return the body of a search for each ticket, as a contender is asked."""
        model = self.stage.models.get(CONTENDERS[key].model) or self.stage.models["puppet"]
        return [search_body(model.name, ticket) for ticket in self.tickets]


class Said(msgspec.Struct, frozen=True):
    """The part of an answer that every contender gives."""

    category: str
    confidence: float


class Criterion(msgspec.Struct, frozen=True):
    """Something that is wanted, and what was found."""

    what: str
    wanted: str
    found: str
    is_met: bool

    @property
    def sentence(self) -> str:
        """The criterion for people."""
        return f"{'met' if self.is_met else 'NOT MET'}: {self.what}: {self.found}, wanted {self.wanted}."


def at_least(what: str, found: float | None, limit: float, unit: str = "") -> list[Criterion]:
    """Return the criterion that a number is no less than a limit; nothing if it was not measured."""
    if found is None:
        return []
    return [Criterion(what, f"at least {limit:g}{unit}", f"{found:.3g}{unit}", found >= limit)]


def at_most(what: str, found: float | None, limit: float, unit: str = "") -> list[Criterion]:
    """Return the criterion that a number is no more than a limit; nothing if it was not measured."""
    if found is None:
        return []
    return [Criterion(what, f"at most {limit:g}{unit}", f"{found:.3g}{unit}", found <= limit)]


def common_options(seconds: float) -> Callable[[C], C]:
    """Return a decorator that adds the options of `Common`.

    Args:
        seconds: by default, of each measurement.
    """
    return options.together(
        click.option("--store", type=PATH, help="Folder of models; one that is not there is trained and stays."),
        options.name("Model to ask, of kind GRU."),
        click.option(
            "--data", type=PATH, help=f"Folder with {TRAIN} and {TEST}, to train and to ask.  [synthetic tickets]"
        ),
        click.option("--tokens", default="8-50", show_default=True, help=f"Of a ticket: N, LEAST-MOST or {AS_IS}."),
        options.seed,
        options.rounds,
        options.seconds(seconds, "Of a measurement."),
        options.warmup("Seconds before it."),
        click.option(
            "--peers-python", type=PATH, default=PEERS_PYTHON, help="Of the peers' environment.  [.venv-peers]"
        ),
        options.save,
    )


def read_common(given: dict[str, Any]) -> Common:
    """Return the options of `common_options`, and the cores.

    Raises:
        click.BadParameter: `--tokens` is of another form, or `--data` lacks a file.
    """
    server_core, generator_core = two_cores()
    read_lengths(given["tokens"])
    data: Path | None = given["data"]
    if data is not None and not ((data / TRAIN).is_file() and (data / TEST).is_file()):
        raise click.BadParameter(f"{data} has no {TRAIN} and {TEST}", param_hint="--data")
    return options.read(Common, given, server_core=server_core, generator_core=generator_core)


def read_lengths(tokens: str) -> tuple[int, int] | None:
    """Return the least and the greatest length of a ticket; None for tickets as they are.

    >>> read_lengths("8-50"), read_lengths("30"), read_lengths("as-is")
    ((8, 50), (30, 30), None)
    """
    if tokens == AS_IS:
        return None
    found = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", tokens)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most <= 512:
        raise click.BadParameter(
            f"{tokens!r} is neither N nor LEAST-MOST within 1 and 512, nor {AS_IS}", param_hint="--tokens"
        )
    return least, most


@contextmanager
def prepared(common: Common, contenders: Sequence[str]) -> Iterator[Workload]:
    """Give what the contenders are asked and started with; what was made for the occasion is gone at the end.

    Raises:
        click.ClickException: no model could be trained.
    """
    with ExitStack() as stack:
        store = stack.enter_context(model_store(common))
        models: dict[ModelOf, Model] = {"puppet": Model(str(store.root.absolute()), common.name)}
        if any(CONTENDERS[key].model == "seed" for key in contenders):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="puppet-seed-")))
            seeds = publish_seed_weights(store, common.name, folder / "store")
            models["seed"] = Model(str(seeds.root.absolute()), SEED_NAME)
        yield Workload(
            common,
            Stage(models, common.peers_python),
            make_tickets(common),
            missing(contenders, Path(common.peers_python)),
            peer_versions(contenders, Path(common.peers_python)),
        )


@contextmanager
def model_store(common: Common) -> Iterator[Store]:
    """Give a store in which the model serves; it is trained, with the default settings, if it is not there."""
    data = Path(common.data) / TRAIN if common.data else None
    folder = Path(common.store) if common.store else None
    if folder is not None and folder.is_dir():
        store = Store(folder)
        try:
            store.current(common.name)
        except PuppetError:  # no such model, or none trained
            pass
        else:
            yield store
            return
    with trained_store(common.name, data, folder) as root:
        yield Store(root)


def make_tickets(common: Common) -> list[list[str]]:
    """Return the tickets that are asked, the same for the same options.

    Those of a length are cut out of the row of all tokens, so that the mixture of words stays what it is.

    Raises:
        InvalidInput: the file does not fit.
    """
    random = np.random.default_rng(common.seed)
    if common.data:
        words = read_test(Path(common.data) / TEST).tokens
        words = [words[row] for row in random.permutation(len(words)).tolist()]
    else:
        words = [tokens for _, tokens in generate(NUM_SYNTHETIC, common.seed)]
    lengths = read_lengths(common.tokens)
    if lengths is None:
        return [list(row) for row in words[:NUM_TICKETS]]
    endless = itertools.chain.from_iterable(itertools.cycle(words))
    return [
        list(itertools.islice(endless, length))
        for length in random.integers(lengths[0], lengths[1] + 1, size=NUM_TICKETS).tolist()
    ]


def ask_each(address: Address, bodies: Sequence[bytes]) -> list[Said]:
    """Return the answer to each body, asked once; what is timed later is known to be a search.

    Raises:
        click.ClickException: one is no answer of a search.
    """
    return first_answers(address, [post(address, "/search", body) for body in bodies], Said)


def share_agreeing(said: dict[str, list[Said]]) -> float:
    """Return on which share of the tickets all contenders with one network name one category; the lower of both."""
    shares = [1.0]
    for model in ("puppet", "seed"):
        answers = [found for key, found in said.items() if CONTENDERS[key].model == model]
        same = [len({one.category for one in row}) == 1 for row in zip(*answers, strict=True)]
        shares += [sum(same) / len(same)] if same else []
    return min(shares)


def shown(settings: S) -> S:
    """Return settings as they are kept: of each path in their `Common` only its name, for paths tell of a machine."""
    common: Common = settings.common  # type: ignore[attr-defined]  # which each of these Structs has
    names = {
        field: Path(value).name
        for field in ("store", "data", "peers_python")
        if (value := getattr(common, field)) is not None
    }
    return msgspec.structs.replace(settings, common=msgspec.structs.replace(common, **names))


def source_of(common: Common) -> str:
    """Return where the tickets come from, for people."""
    return Path(common.data).name if common.data else "the synthetic tickets"


def versions(peers: dict[str, str]) -> list[str]:
    """Return the sentence of the peers' versions; none without peers."""
    named = ", ".join(f"{name} {number}" for name, number in peers.items())
    return [f"The peers run on {named}."] if named else []


def why_void(common: Common, agreeing: float = 1.0) -> list[str]:
    """Return why a comparison is no result; nothing if it is one."""
    reasons = too_few(common.rounds)
    if common.server_core is None:
        reasons.append("there are not two cores, so the load took the server's")
    if agreeing < MIN_AGREEING:
        reasons.append(f"contenders with the same network agree on {agreeing:.1%} of the tickets only")
    return reasons
