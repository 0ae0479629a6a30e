"""Every number between a ticket and its answer, by the network in NumPy, and by how much onnxruntime's differ.

In: a version's files and a ticket. Out: `Steps`, which `puppet-train steps` prints as a lesson and the page draws as
one. The weights are read out of `model.onnx`, so what is shown is what serves; temperature and shares are folded into
them there.
"""

# Axes: T tokens, E a vector's size, H hidden, D directions, C categories, S pairs (T + 1, or none).

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from artifacts.errors import ArtifactRefused
from artifacts.networks.engines.engine import EngineRefused
from artifacts.networks.engines.weights import with_outputs
from artifacts.networks.gru import GruModel, pad
from artifacts.networks.reference import Array, Pair, States, Walk, add_up, from_onnx, softmax, walk
from artifacts.networks.runtime import open_session
from artifacts.text.vocabulary import PAD, Encoded

replace = msgspec.structs.replace
Vector = list[float]
Matrix = list[list[float]]
BEGIN, END = "<begin>", "<end>"  # what stands before the first token of a ticket, and after the last


class TokenStep(msgspec.Struct, frozen=True):
    """A token, its id, and for an unknown one the rows of its n-grams."""

    token: str
    id: int
    known: bool
    grams: list[int]


class GateSteps(msgspec.Struct, frozen=True):
    """A GRU that reads one way: gates, proposal and state after each token, in the order of the ticket."""

    reset: Matrix
    update: Matrix
    proposal: Matrix
    state: Matrix

    def first(self, num: int) -> "GateSteps":
        """Return what it did at the first tokens."""
        return GateSteps(self.reset[:num], self.update[:num], self.proposal[:num], self.state[:num])


class NetworkSteps(msgspec.Struct, frozen=True):
    """One network's way through the ticket.

    Attributes:
        vectors: of each token.
        layers: of each layer: forward, then backward.
        largest: of each entry of the state over the ticket.
        mean: of the same.
        logits: its part of the answer's.
    """

    vectors: Matrix
    layers: list[list[GateSteps]]
    largest: Vector
    mean: Vector
    logits: Vector


class PairStep(msgspec.Struct, frozen=True):
    """Two neighbours, and their row of the table of pairs."""

    before: str
    after: str
    row: int
    scores: Vector


class LinearSteps(msgspec.Struct, frozen=True):
    """The linear part: (words + pairs) / sqrt(T) are its part of the logits; the bias is everybody's."""

    words: Matrix
    pairs: list[PairStep]
    logits: Vector
    bias: Vector


class Differences(msgspec.Struct, frozen=True):
    """The largest difference between NumPy (float64) and onnxruntime (float32), stage by stage."""

    vectors: float
    states: float
    logits: float
    probabilities: float


class Steps(msgspec.Struct, frozen=True):
    """Every step from a ticket to its answer; vectors over categories are in the order of `categories`.

    Attributes:
        num_tokens: of the ticket; of a long one only the first tokens may be listed (`first`).
        temperature, linear_share: of the calibration; both are folded into the weights.
    """

    name: str
    version: int
    num_tokens: int
    categories: list[str]
    temperature: float
    linear_share: float
    tokens: list[TokenStep]
    networks: list[NetworkSteps]
    linear: LinearSteps
    logits: Vector
    probabilities: Vector
    differences: Differences

    def first(self, num: int) -> "Steps":
        """Return the same with what belongs to the first tokens alone; the answer stays that to the whole ticket."""
        if self.num_tokens <= num:
            return self
        networks = [
            replace(one, vectors=one.vectors[:num], layers=[[way.first(num) for way in ways] for ways in one.layers])
            for one in self.networks
        ]
        linear = replace(self.linear, words=self.linear.words[:num], pairs=self.linear.pairs[:num])
        return replace(self, tokens=self.tokens[:num], networks=networks, linear=linear)


def steps(model: GruModel, files: Mapping[str, bytes], ticket: Encoded) -> Steps:
    """Return every step of a ticket through a loaded version.

    Args:
        model: the version.
        files: of the same version.
        ticket: from `model.encode`.
    Raises:
        ArtifactRefused: the graph is not built as this program builds it.
    """
    try:
        together = from_onnx(files["model.onnx"])
    except (KeyError, EngineRefused) as error:
        missing = error.args[0] if isinstance(error, KeyError) else "raw_data"  # the form that our weights have
        raise ArtifactRefused("graph-of-another-program", model=model.where, missing=missing) from error
    walks = [walk(member, ticket) for member in together.members]
    scores = add_up(together.fitted, ticket)
    factor = together.weight / len(together.members)
    of_networks = [way.logits_C * factor for way in walks]
    logits_C = np.sum(of_networks, axis=0) + scores.logits_C * together.fitted_weight
    bias_C = together.fitted.bias * together.fitted_weight

    words = model.vocabulary.words
    networks = [network_steps(way, logits) for way, logits in zip(walks, of_networks, strict=True)]
    pairs = [
        PairStep(*pair_words(pair, place, len(scores.pairs), words), pair.row, scores_C.tolist())
        for place, (pair, scores_C) in enumerate(zip(scores.pairs, scores.pairs_SC, strict=True))
    ]
    return Steps(
        name=model.name,
        version=model.version,
        num_tokens=len(ticket.ids),
        categories=model.labels,
        temperature=model.manifest.calibration.temperature,
        linear_share=model.manifest.calibration.linear_share,
        tokens=token_steps(ticket, words),
        networks=networks,
        linear=LinearSteps(
            scores.words_TC.tolist(),
            pairs,
            (scores.logits_C * together.fitted_weight - bias_C).tolist(),
            bias_C.tolist(),
        ),
        logits=logits_C.tolist(),
        probabilities=softmax(logits_C).tolist(),
        differences=differences(model, files["model.onnx"], ticket, walks, logits_C),
    )


def network_steps(way: Walk, logits_C: Array) -> NetworkSteps:
    """Return one network's way through a ticket as lists."""
    largest_H, mean_H = np.split(way.pooled_H, 2)
    layers = [[gate_steps(states) for states in ways] for ways in way.layers]
    return NetworkSteps(way.x_TE.tolist(), layers, largest_H.tolist(), mean_H.tolist(), logits_C.tolist())


def gate_steps(states: States) -> GateSteps:
    """Return what a GRU did at each token as lists."""
    return GateSteps(states.r_TH.tolist(), states.z_TH.tolist(), states.n_TH.tolist(), states.h_TH.tolist())


def token_steps(ticket: Encoded, words: Sequence[str]) -> list[TokenStep]:
    """Return the tokens of a ticket with their ids; `words` is the vocabulary by row."""
    found = []
    for number in ticket.ids:
        unknown = number - len(words)
        if unknown < 0:
            found.append(TokenStep(words[number], number, True, []))
        else:
            found.append(TokenStep(ticket.unknown[unknown], number, False, ticket.grams[unknown]))
    return found


def pair_words(pair: Pair, place: int, num_pairs: int, words: Sequence[str]) -> tuple[str, str]:
    """Return the two neighbours of a pair as words; PAD is the ticket's beginning or its end."""
    before = BEGIN if place == 0 and pair.before == PAD else words[pair.before]
    after = END if place == num_pairs - 1 and pair.after == PAD else words[pair.after]
    return before, after


def differences(model: GruModel, raw: bytes, ticket: Encoded, walks: Sequence[Walk], logits_C: Array) -> Differences:
    """Return how far NumPy and onnxruntime are apart, at the end and on the way there.

    The graph has one output; it is opened once more with the stages before as outputs too.
    """
    expected = {"logits_BC": logits_C[None], "probabilities": softmax(logits_C)[None]}
    for place, way in enumerate(walks):
        expected[f"x_{place}_TBE"] = way.x_TE[:, None]
        for layer, ways in enumerate(way.layers):
            expected[f"gru_{place}_{layer}_TDBH"] = np.stack([one.h_TH for one in ways], axis=1)[:, :, None]
    ids_BT, lengths_B, grams_UK = pad([ticket], len(model.vocabulary))
    session = open_session(with_outputs(raw, [name for name in expected if name != "probabilities"]))
    found = session.run(list(expected), {"ids": ids_BT, "lengths": lengths_B, "grams": grams_UK})
    largest = {name: float(np.abs(values - expected[name]).max()) for name, values in zip(expected, found, strict=True)}
    return Differences(
        max(value for name, value in largest.items() if name.startswith("x_")),
        max(value for name, value in largest.items() if name.startswith("gru_")),
        largest["logits_BC"],
        largest["probabilities"],
    )
