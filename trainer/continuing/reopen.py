"""A published version as the experts that it was made of, so that they can learn on.

In: the verified files of a version. Out: its GRUs, its linear part and its vocabulary. What it leaves to others: what
they learn then (learn.py).

What is published is the graph, in which everything that does not change between two searches has been folded
(gru/export.py). Most of that needs no way back: as the weights stand there, they are those of the calibrated logits, so
the experts are simply added up. One thing has to be unfolded. A known word's row is
    row(word) = own(word) + mean of the rows of its n-grams
and the n-grams' rows stand in the graph too, because unknown words need them. So own(word) is what is left.
"""

# Axes: V known words, G n-gram rows, F = M E + S entries of a token's row, M GRUs, E entries of a vector, H hidden,
#       D directions, C categories, S columns of the linear part's tables: C, or R of tables of low rank.

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from artifacts.errors import ArtifactRefused
from artifacts.networks.engines.engine import EngineRefused
from artifacts.networks.engines.weights import initializers
from artifacts.networks.gru_records import GruManifest, rules_of
from artifacts.text.vocabulary import Vocabulary
from trainer.config import TrainConfig
from trainer.gru.linear import Linear
from trainer.gru.model import Mixture, TicketClassifier

Weights = Mapping[str, NDArray[Any]]


class Reopened(msgspec.Struct, frozen=True):
    """The experts of a published version; what they say is added up, not averaged.

    Attributes:
        vocabulary: the version's, placeholders that are read as others included.
        labels: its C categories, in the order of its answers.
        members: the GRUs, in evaluation.
        linear: the linear part; all biases stand with it.
        temperature: by which the version's logits were divided; folded into all of these weights.
    """

    vocabulary: Vocabulary
    labels: list[str]
    members: list[TicketClassifier]
    linear: Linear
    temperature: float

    def together(self) -> Mixture:
        """Return the network whose logits, divided by the temperature, are the version's calibrated ones."""
        # A mixture takes the mean of its GRUs, so the number of them gives the sum. The temperature comes back in, for
        # the export divides by it: so the weights that it proves the graph with are of the size that they had then.
        return Mixture(self.members, self.linear, self.temperature * len(self.members), self.temperature)


def reopen(manifest: GruManifest, files: Mapping[str, bytes]) -> Reopened:
    """Return the experts of a version.

    Args:
        manifest: of the version.
        files: its files, whose hashes were checked.
    Raises:
        ArtifactRefused: the files do not fit each other.
    """
    where = f"{manifest.name} version {manifest.version}"
    try:
        weights = initializers(memoryview(files["model.onnx"]))
        rows = msgspec.json.decode(files["vocab.json"], type=dict[str, int])
        labels = msgspec.json.decode(files["labels.json"], type=list[str])
        rules = rules_of(manifest.encoding, where)
        vocabulary = Vocabulary(rows, manifest.encoding.ngram_buckets, rules)
        members, linear = split(weights, vocabulary, len(labels))
    except (EngineRefused, msgspec.DecodeError, UnicodeDecodeError, KeyError, ValueError, RuntimeError) as error:
        raise ArtifactRefused("version-not-loadable", model=where, reason=error) from error
    return Reopened(vocabulary, labels, members, linear, manifest.calibration.temperature)


def split(weights: Weights, vocabulary: Vocabulary, num_categories: int) -> tuple[list[TicketClassifier], Linear]:
    """Return the GRUs and the linear part that the initialisers of a graph are made of (decision 0021 names them)."""
    basis_RC = weights.get("linear_basis")
    num_columns = num_categories if basis_RC is None else len(basis_RC)
    num_members = sum(name.endswith("_0_W") for name in weights)
    # A token's row: the vectors of each GRU side by side, then the linear part's columns; of an n-gram, then a 1 to
    # count it by.
    words_VE, words_VS = np.split(weights["word_embedding"], [-num_columns], axis=1)
    grams_GE, grams_GS, _ = np.split(weights["ngram_embedding"], [-num_columns - 1, -1], axis=1)
    num_directions, _, hidden = weights["gru_0_0_R"].shape
    # The head of all GRUs is ordered by direction, largest or mean, GRU, entry; a GRU's own by largest or mean first.
    heads = weights["head_weight"].reshape(num_categories, num_directions, 2, num_members, hidden)
    config = TrainConfig(
        embedding=words_VE.shape[1] // num_members,
        hidden=hidden,
        num_layers=sum(name.startswith("gru_0_") and name.endswith("_W") for name in weights),
        bidirectional=num_directions == 2,
        ngram_buckets=vocabulary.num_buckets,
    )
    members = []
    tables = zip(np.split(words_VE, num_members, axis=1), np.split(grams_GE, num_members, axis=1), strict=True)
    for place, (own_VE, own_GE) in enumerate(tables):
        head_CH = heads[:, :, :, place].transpose(0, 2, 1, 3).reshape(num_categories, -1)
        members.append(member(vocabulary, config, weights, place, own_VE, own_GE, head_CH))
    linear = Linear(
        words_VS=words_VS.copy(),
        grams_GS=grams_GS.copy(),
        pairs_PS=weights.get("bigram_weight", np.zeros((0, num_columns), dtype=np.float32)).copy(),
        bias_C=weights["head_bias"].copy(),
        num_taught=int(weights.get("num_trained_words", weights["vocab_size"])),
        basis_RC=None if basis_RC is None else basis_RC.copy(),
    )
    return members, linear


@torch.no_grad()
def member(
    vocabulary: Vocabulary,
    config: TrainConfig,
    weights: Weights,
    place: int,
    rows_VE: NDArray[Any],
    grams_GE: NDArray[Any],
    head_CH: NDArray[Any],
) -> TicketClassifier:
    """Return one GRU with its weights.

    Args:
        vocabulary: of the version.
        config: the GRU's sizes.
        weights: the initialisers.
        place: of the GRU among all, from 0.
        rows_VE: the folded rows of the known words.
        grams_GE: the rows of the n-grams.
        head_CH: its own head.
    """
    found = TicketClassifier(vocabulary.words, len(head_CH), config)
    found.embedding.gram.weight.copy_(torch.from_numpy(grams_GE.copy()))
    # <PAD> and <UNK> have no n-grams, and the mean of none is 0 here. What a projected vector gave stays in own(word).
    own_VE = torch.from_numpy(rows_VE.copy()) - found.embedding.gram(found.grams_VK)
    found.embedding.word.weight.copy_(own_VE)
    for layer in range(config.num_layers):
        w_DGI, r_DGH, b_DG = (weights[f"gru_{place}_{layer}_{kind}"] for kind in "WRB")
        for direction, suffix in enumerate(("", "_reverse")[: len(w_DGI)]):
            of_input_G, of_state_G = np.split(b_DG[direction], 2)
            parts = {
                "weight_ih": w_DGI[direction],
                "weight_hh": r_DGH[direction],
                "bias_ih": of_input_G,
                "bias_hh": of_state_G,
            }
            for name, weight in parts.items():
                getattr(found.gru, f"{name}_l{layer}{suffix}").copy_(gates(weight))
    found.head.weight.copy_(torch.from_numpy(head_CH.copy()))
    found.head.bias.zero_()
    return found.eval()


def gates(weight: NDArray[Any]) -> torch.Tensor:
    """Return a GRU weight or bias in PyTorch's order of its three blocks, r, z, n; ONNX stores z, r, h."""
    z, r, n = np.split(weight, 3)
    return torch.from_numpy(np.concatenate((r, z, n)))
