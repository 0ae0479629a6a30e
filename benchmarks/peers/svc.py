"""scikit-learn's LinearSVC on TF-IDF of words 1-2 and characters 2-5: what a team would try first."""

import pickle

from benchmarks.peers.peer import FittedPeer, plain
from trainer.data.tickets import Rows


def fit(rows: Rows, seed: int) -> FittedPeer:
    """Return the pipeline, fitted; C is not tuned, because 1 is what a team begins with."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import; only this process needs it
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    characters = TfidfVectorizer(analyzer="char", ngram_range=(2, 5), sublinear_tf=True)
    pipeline = make_pipeline(make_union(words, characters), LinearSVC(C=1.0, random_state=seed))
    pipeline.fit([plain(t.content) for t in rows.tickets], [t.expected for t in rows.tickets])
    return FittedPeer(lambda texts: [str(name) for name in pipeline.predict(texts)], len(pickle.dumps(pipeline)))
