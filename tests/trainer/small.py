"""Tickets, settings and networks so small that a test of the trainer takes a moment.

Importing this file needs no torch; only `network` does.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from artifacts.jobs.events import Phase
from artifacts.networks.manifest import Epoch
from artifacts.text.vocabulary import Encoded, Vocabulary, build_rows
from trainer.config import TrainConfig
from trainer.data.files import RawRow
from trainer.data.tickets import Rows, check_rows
from trainer.jobs.pace import Round

if TYPE_CHECKING:
    from trainer.gru.linear import Linear
    from trainer.gru.model import TicketClassifier

NAME = "tiny"  # of the model in the fixture `empty`
CONFIG = TrainConfig(
    embedding=8, hidden=8, ngram_buckets=64, epochs=3, batch=8, lr=0.02, min_count=1, validation=0.25, threads=1,
    folds=1, grus=1, pairs=100, refit=True, linear_c=1.0, processes=1,
    out_of_scope=False,
)  # fmt: skip
TEMPLATES = {
    "Problème de connexion": "connexion impossible {} expirer",
    "Accès utilisateur": "ajouter utilisateur {} droit",
    "Création de client": "créer nouveau client {}",
    "Facture": "facture {} payer montant double",
}
DETAILS = ("<PRODUCT>", "lundi", "mardi", "bonjour", "mot_de_passe", "merci", "urgent", "dossier", "<NAME>", "rappel")
VOCABULARY = Vocabulary(
    build_rows([["connexion", "mot de passe", "<PRODUCT>", "créer", "client", "facture", "été", "a"]], 1, 100), 64
)


def config(**changes: object) -> TrainConfig:
    """Return the small settings with some changed, checked as if they came from outside."""
    return msgspec.convert(msgspec.structs.asdict(CONFIG) | changes, TrainConfig)


def tickets(num_each: int = 8) -> dict[str, list[list[str]]]:
    """Return `num_each` distinct tickets (at most 10) of each of four categories, as tokens."""
    return {
        category: [template.format(detail).split() for detail in DETAILS[:num_each]]
        for category, template in TEMPLATES.items()
    }


def json_rows(of_category: Mapping[str, Sequence[Sequence[str]]]) -> list[dict[str, object]]:
    """Return the tickets as the rows of a body."""
    return [{"category": name, "tokens": list(tokens)} for name, group in of_category.items() for tokens in group]


def rows(of_category: Mapping[str, Sequence[Sequence[str]]]) -> Rows:
    """Return the tickets as checked rows, category by category."""
    return check_rows([RawRow(json.dumps(row).encode()) for row in json_rows(of_category)], "test")


PRETRAINED_VD = np.random.default_rng(5).normal(size=(len(VOCABULARY), 6)).astype(np.float32)
PRETRAINED_VD[:2] = 0.0  # the reserved rows
NUM_TAUGHT = len(VOCABULARY) - 3  # where vectors brought the last three words


def network(
    settings: TrainConfig, num_categories: int = 5, seed: int = 0, with_vectors: bool = False
) -> "TicketClassifier":
    """Return a network over VOCABULARY, in evaluation, with random weights as large as if it had learnt something."""
    import torch

    from trainer.gru.model import TicketClassifier

    torch.manual_seed(seed)
    vectors = (NUM_TAUGHT, PRETRAINED_VD) if with_vectors else ()
    made = TicketClassifier(list(VOCABULARY.rows), num_categories, settings, *vectors)
    with torch.no_grad():
        for weight in (*made.embedding.parameters(), made.head.weight):
            weight.mul_(5.0)
        if made.projection is not None:
            made.projection.weight.mul_(5.0)
    return made.eval()


def fitted(
    num_categories: int = 5, num_pairs: int = 40, seed: int = 0, num_taught: int = len(VOCABULARY), rank: int = 0
) -> "Linear":
    """Return a linear part over VOCABULARY, every row random; of low rank, if one is given."""
    from trainer.gru.linear import Linear  # needs scipy, which the server's environment lacks

    random = np.random.default_rng(seed)
    sizes = (len(VOCABULARY), VOCABULARY.num_buckets + 1, num_pairs)
    words_VS, grams_GS, pairs_PS = (
        random.normal(scale=0.5, size=(size, rank or num_categories)).astype(np.float32) for size in sizes
    )
    words_VS[:2] = grams_GS[0] = pairs_PS[:1] = 0.0  # the reserved rows
    bias_C = random.normal(size=num_categories).astype(np.float32)
    basis_RC = random.normal(scale=0.5, size=(rank, num_categories)).astype(np.float32) if rank else None
    return Linear(words_VS, grams_GS, pairs_PS, bias_C, num_taught, basis_RC)


def ragged(num_tickets: int, longest: int, seed: int = 0) -> list[Encoded]:
    """Return tickets of mixed lengths, the first of one token and the last of `longest`, a third of it unknown."""
    random = np.random.default_rng(seed)
    words = [*list(VOCABULARY.rows)[2:], "conntecter", "inconnu", "x", "l'"]
    lengths = [1, *random.integers(1, longest + 1, size=num_tickets - 2).tolist(), longest]
    return [VOCABULARY.encode([words[i] for i in random.integers(len(words), size=length)]) for length in lengths]


class Recorder:
    """Writes down what a training tells of its progress."""

    def __init__(self) -> None:
        self.plans: list[list[Round]] = []
        self.phases: list[Phase] = []
        self.fits: list[int] = []
        self.starts: list[tuple[int, int, bool]] = []
        self.steps: list[tuple[int, int, float]] = []
        self.epochs: list[Epoch] = []

    def plan(self, rounds: Sequence[Round]) -> None:
        """Write it down."""
        self.plans.append(list(rounds))

    def phase(self, phase: Phase) -> None:
        """Write it down."""
        self.phases.append(phase)

    def fitted(self, num_tickets: int) -> None:
        """Write it down."""
        self.fits.append(num_tickets)

    def start(self, num_tickets: int, num_epochs: int, is_refit: bool) -> None:
        """Write it down."""
        self.starts.append((num_tickets, num_epochs, is_refit))

    def step(self, epoch: int, num_tickets: int, loss: float) -> None:
        """Write it down."""
        self.steps.append((epoch, num_tickets, loss))

    def epoch(self, epoch: Epoch) -> None:
        """Write it down."""
        self.epochs.append(epoch)
