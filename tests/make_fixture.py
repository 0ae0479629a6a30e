"""Make `tests/fixtures/store`, the small published models that the tests of artifacts and inference read without torch.

Run it after a change of the format: `python -m tests.make_fixture`. It needs the training extra.
"""

import shutil
from pathlib import Path

from artifacts.store.store import Store
from trainer import simple_nn
from trainer.config import TrainConfig
from trainer.data.files import RawRow
from trainer.data.tickets import check_rows
from trainer.run import fit

FIXTURE = Path(__file__).parent / "fixtures" / "store"
NAME = "puppet-o2"
PRICES = "prices"
TICKETS = {
    "Problème de connexion": ["avoir problème connexion <PRODUCT>", "connexion expirer mot_de_passe", "plus connecter"],
    "Accès utilisateur": ["ajouter utilisateur coffre", "droit utilisateur <PRODUCT>", "modifier utilisateur accès"],
    "Création de client": ["création client <COMPANY>", "créer client", "nouveau client dossier"],
}


def main() -> None:
    """Train the smallest networks that tell three categories apart and estimate a price, and publish them."""
    shutil.rmtree(FIXTURE, ignore_errors=True)
    rows = [
        RawRow(f'{{"category": "{category}", "text": "{text}"}}'.encode())
        for category, texts in TICKETS.items()
        for text in texts * 4
    ]
    config = TrainConfig(
        embedding=8, hidden=8, epochs=60, batch=8, lr=0.02, ngram_buckets=64, dropout=0.0, min_count=1, patience=60,
        label_smoothing=0.0, threads=1, pairs=64, grus=1, folds=1, refit=False,
    )  # fmt: skip
    store = Store(FIXTURE)
    store.create_model(NAME, "GRU")
    manifest, report = fit(store, NAME, check_rows(rows, "fixture"), config)
    store.create_model("untrained", "GRU")
    # A flat's price: 3000 a square metre, 5000 a floor.
    flats = [
        RawRow(f'{{"features": [{size}, {floor}], "target": {3000 * size + 5000 * floor}}}'.encode())
        for size in range(20, 100, 8)
        for floor in range(4)
    ]
    store.create_model(PRICES, "SimpleNN")
    fit(
        store,
        PRICES,
        simple_nn.check_rows(flats, "fixture"),
        simple_nn.Config(hidden=16, dropout=0.0, lr=0.01, patience=50),
    )
    for folder in (".jobs", ".tmp"):
        (FIXTURE / folder).rmdir()
    print(manifest.version, report.epochs[-1])


if __name__ == "__main__":
    main()
