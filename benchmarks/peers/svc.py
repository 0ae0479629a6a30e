"""scikit-learn's LinearSVC on TF-IDF of words 1-2 and characters 2-5: what a team would try first.

Two settings are chosen by cross-validation on the training rows, because a rival that was left at its defaults proves
little: whether n-grams of characters may cross the gap between two words (`char`) or not (`char_wb`), and C. Each fold
builds its own vocabulary, as the final fit does. The choice is NUM_FOLDS x 2 x 3 fits on two thirds of the rows, so it
takes about twelve times as long as the final fit, whatever the set.
"""

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.peers.peer import FittedPeer, best_setting, plain
from trainer.data.tickets import Rows

ANALYZERS = ("char", "char_wb")
STRENGTHS = (1.0, 0.3, 3.0)  # C; the default stands first, because the first of equals is taken


def fit(rows: Rows, seed: int) -> FittedPeer:
    """Return the pipeline with the analyzer and C that answer the most training tickets correctly out of fold."""
    from sklearn.pipeline import make_pipeline  # a second to import; only this process needs it

    texts = [plain(ticket.content) for ticket in rows.tickets]
    expected = [ticket.expected for ticket in rows.tickets]

    def answers(taught: Sequence[int], asked: Sequence[int]) -> Iterator[tuple[tuple[str, float], Sequence[str]]]:
        for analyzer in ANALYZERS:
            features = features_of(analyzer)  # shared by every C: the same n-grams, the same weights
            taught_features = features.fit_transform([texts[row] for row in taught])
            asked_features = features.transform([texts[row] for row in asked])
            for strength in STRENGTHS:
                machine = machine_of(strength, seed).fit(taught_features, [expected[row] for row in taught])
                yield (analyzer, strength), machine.predict(asked_features)

    analyzer, strength = best_setting(rows, seed, answers) or (ANALYZERS[0], STRENGTHS[0])
    pipeline = make_pipeline(features_of(analyzer), machine_of(strength, seed)).fit(texts, expected)
    size = len(pickle.dumps(pipeline))
    return FittedPeer(
        lambda texts: [str(name) for name in pipeline.predict(texts)], size, f"{analyzer}, C {strength:g}"
    )


def features_of(analyzer: str) -> Any:
    """Return what turns texts into TF-IDF weights, not fitted yet."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"),
        TfidfVectorizer(analyzer=analyzer, ngram_range=(2, 5), sublinear_tf=True),
    )


def machine_of(strength: float, seed: int) -> Any:
    """Return a support vector machine, not fitted yet."""
    from sklearn.svm import LinearSVC

    return LinearSVC(C=strength, random_state=seed)
