"""Make `tests/fixtures/store`, the small published model that the tests of artifacts and inference read without torch.

Run it after a change of the format: `python -m tests.make_fixture`. It needs the training extra.
"""

import shutil
from pathlib import Path

from artifacts.store import Store
from trainer.config import TrainConfig
from trainer.data import RawRow, check_rows
from trainer.run import fit

FIXTURE = Path(__file__).parent / "fixtures" / "store"
NAME = "puppet-o2"
TICKETS = {
    "Problème de connexion": ["avoir problème connexion <PRODUCT>", "connexion expirer mot_de_passe", "plus connecter"],
    "Accès utilisateur": ["ajouter utilisateur coffre", "droit utilisateur <PRODUCT>", "modifier utilisateur accès"],
    "Création de client": ["création client <COMPANY>", "créer client", "nouveau client dossier"],
}


def main() -> None:
    """Train the smallest network that tells the three categories apart, and publish it."""
    shutil.rmtree(FIXTURE, ignore_errors=True)
    rows = [
        RawRow(f'{{"category": "{category}", "text": "{text}"}}'.encode())
        for category, texts in TICKETS.items()
        for text in texts * 4
    ]
    config = TrainConfig(
        embedding=8, hidden=8, epochs=60, batch=8, lr=0.02, ngram_buckets=64, dropout=0.0, min_count=1, patience=60,
        label_smoothing=0.0, threads=1,
    )  # fmt: skip
    store = Store(FIXTURE)
    store.create_model(NAME, "GRU")
    manifest, report = fit(store, NAME, "GRU", check_rows(rows, "fixture"), config)
    store.create_model("untrained", "GRU")
    for folder in (".jobs", ".tmp"):
        (FIXTURE / folder).rmdir()
    print(manifest.version, report.epochs[-1])


if __name__ == "__main__":
    main()
