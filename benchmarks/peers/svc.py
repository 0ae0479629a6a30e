"""scikit-learn's LinearSVC on TF-IDF of words 1-2 and characters 2-5: what a team would try first.

Its settings are chosen by cross-validation on the training rows, because a rival that was left at its defaults proves
little: first what its features read, at C = 1, then C for the best of them. Features are a text as it stands or its
words alone (no punctuation), with n-grams of characters that cross the gap between two words (`char`) or do not
(`char_wb`). Each fold builds its own vocabulary, as the final fit does. That makes 7 fits for each of NUM_FOLDS folds,
on two thirds of the rows: the choice takes about fourteen times as long as the final fit, whatever the set.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from benchmarks.peers.peer import FittedPeer, best_setting, plain, words
from trainer.data.tickets import Rows

# Of equally good settings the first is taken, so the plainer ones stand first.
READINGS: dict[str, Callable[[str], str]] = {"text": str, "words": words}
ANALYZERS = ("char", "char_wb")
STRENGTHS = (1.0, 0.3, 3.0)  # C; the first, scikit-learn's default, is that of the choice between features


def fit(rows: Rows, seed: int) -> FittedPeer:
    """Return the pipeline with the settings that answer the most training tickets correctly out of fold."""
    texts = [plain(ticket.content) for ticket in rows.tickets]
    expected = [ticket.expected for ticket in rows.tickets]
    candidates = list(product(READINGS, ANALYZERS))

    def answers_of_features(taught: Sequence[int], asked: Sequence[int]) -> Iterator[tuple[tuple[str, str], list[str]]]:
        for features in candidates:
            pipeline = learn(taught, features, STRENGTHS[0])
            yield features, predict(pipeline, asked)

    def answers_of_strengths(taught: Sequence[int], asked: Sequence[int]) -> Iterator[tuple[float, list[str]]]:
        for strength in STRENGTHS:
            yield strength, predict(learn(taught, features, strength), asked)

    def learn(taught: Sequence[int], features: tuple[str, str], strength: float) -> Any:
        pipeline = make_machine(*features, strength, seed)
        return pipeline.fit([texts[row] for row in taught], [expected[row] for row in taught])

    def predict(pipeline: Any, asked: Sequence[int]) -> list[str]:
        return list(pipeline.predict([texts[row] for row in asked]))

    features = best_setting(rows, seed, answers_of_features) or candidates[0]
    strength = best_setting(rows, seed, answers_of_strengths) or STRENGTHS[0]
    pipeline = learn(range(len(texts)), features, strength)
    return FittedPeer(
        answer=lambda texts: [str(name) for name in pipeline.predict(texts)],
        model_bytes=len(pickle.dumps(pipeline)),
        detail=f"{features[0]}, {features[1]}, C {strength:g}",
    )


def make_machine(reading: str, analyzer: str, strength: float, seed: int) -> Any:
    """Return the pipeline, from texts to categories, not fitted yet."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import; only this process needs it
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import LinearSVC

    read = FunctionTransformer(read_all, kw_args={"reading": reading})
    word_weights = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    character_weights = TfidfVectorizer(analyzer=analyzer, ngram_range=(2, 5), sublinear_tf=True)
    return make_pipeline(read, make_union(word_weights, character_weights), LinearSVC(C=strength, random_state=seed))


def read_all(texts: Sequence[str], reading: str) -> list[str]:
    """Return the texts as the features read them; a function of a module, so that the pipeline can be pickled."""
    return [READINGS[reading](text) for text in texts]
