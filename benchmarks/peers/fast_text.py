"""fastText (Joulin et al., Bag of Tricks for Efficient Text Classification, 2016), the best of three settings.

The setting is chosen on a tenth of the training tickets and then fitted to all of them. One thread and a fixed seed,
because several threads write into the same weights and no two runs are then alike.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Answer, FittedPeer, plain, share_right, words
from trainer.data.tickets import Rows, split

SETTINGS: tuple[dict[str, int], ...] = (
    {"epoch": 25, "minn": 0, "maxn": 0},
    {"epoch": 25, "minn": 2, "maxn": 5},
    {"epoch": 50, "minn": 2, "maxn": 5},
)
PREFIX = "__label__"


def fit(rows: Rows, seed: int) -> FittedPeer:
    """Return the best of three settings."""
    names = sorted(rows.categories)
    texts = [words(plain(ticket.content)) for ticket in rows.tickets]
    expected = [ticket.expected for ticket in rows.tickets]
    train, validation = split(rows, 0.1, seed)
    best, best_share = SETTINGS[0], -1.0
    with tempfile.TemporaryDirectory(prefix="puppet-fasttext-") as folder:
        for settings in SETTINGS:
            model = learn(Path(folder), [texts[i] for i in train], [names.index(expected[i]) for i in train], settings)
            answer = answer_of(model, names)
            found = answer([texts[i] for i in validation]) if validation else []
            share = share_right(found, [expected[i] for i in validation])
            if share > best_share:
                best, best_share = settings, share
        model = learn(Path(folder), texts, [names.index(name) for name in expected], best)
        path = Path(folder) / "model.bin"
        model.save_model(str(path))
        model_bytes = path.stat().st_size
    return FittedPeer(answer_of(model, names), model_bytes, ", ".join(f"{name} {n}" for name, n in best.items()))


def learn(folder: Path, texts: Sequence[str], labels: Sequence[int], settings: dict[str, int]) -> Any:
    """Return a model that learnt these texts, which fastText reads from a file."""
    import fasttext

    path = folder / "train.txt"
    lines = (f"{PREFIX}{label} {text}\n" for text, label in zip(texts, labels, strict=True))
    path.write_text("".join(lines), "utf-8")
    # 200,000 rows for n-grams are ample for files of this size; the default of 2 million is 800 MB.
    fixed = {"lr": 0.5, "wordNgrams": 2, "bucket": 200_000, "thread": 1, "verbose": 0, "seed": 0}
    return fasttext.train_supervised(str(path), **fixed, **settings)


def answer_of(model: Any, names: Sequence[str]) -> Answer:
    """Return what answers texts with their categories."""

    def answer(texts: Sequence[str]) -> list[str]:
        found, _ = model.predict([words(text) for text in texts])
        # A text without any known word gets no label; the first category stands for "no answer".
        return [names[int(labels[0].removeprefix(PREFIX))] if len(labels) else names[0] for labels in found]

    return answer
