"""The GRU's door from torch to disk: the trained network as one ONNX graph, proven equal before it may leave.

The graph is written node by node with `onnx.helper`. torch's own exporters freeze the time axis of a bidirectional GRU
and ignore packed lengths (docs/decisions/), and a graph that one can read is a lesson too.

What is folded at export, so that a search does not pay for it:
- a known word's vector (word + mean of its n-grams) becomes one row of a table, and its row of the linear part stands
  beside it in the same row, so that one lookup gives both;
- the temperature divides the head and the linear part's tables; the experts' weights multiply them.

A single ticket's run is mostly the price of its nodes, about 1 us each: the graph has as few as it can (docs/LOG.md).
The networks of a mixture stand side by side: one lookup gives all of their vectors, each has its own GRU, and from the
pooling on they are one network with a wide state.

The names in the graph are frozen (docs/decisions/0021-names-in-the-graph.md): who reads the weights finds them by name.
"""

# Axes: B tickets, T tokens, E embedding and H hidden (of all networks), D directions, C categories, V known words,
#       G n-gram rows, U unknown tokens, K n-grams of a token, P rows of pairs, F = E + S entries of a token's row,
#       S of them the linear part's: C, or R of tables of low rank.
#       The graph works time first ([T, B, ...]), as ONNX's GRU does.

import copy
from collections.abc import Sequence

import numpy as np
import torch
from onnx import TensorProto

from artifacts.arrays import Floats
from artifacts.errors import ArtifactRefused
from artifacts.networks.gru import pad, run
from artifacts.networks.gru_records import TENSORS, GoldenRow
from artifacts.networks.manifest import Parity
from artifacts.networks.runtime import open_session
from artifacts.text.vocabulary import PAD, RESERVED, UNK, Encoded, Vocabulary
from trainer.graph import Graph
from trainer.gru.linear import PAIR_FACTOR
from trainer.gru.model import Mixture
from trainer.gru.train import tensors
from trainer.kernels.cell import LOWEST

TOLERANCE = 1e-5
WEIGHT_SCALE = 4.0  # at trained size a real bug moves probabilities by as little as 3e-4; scaled up it cannot hide
MAX_ROUNDING = TOLERANCE / 10  # of PyTorch against float64; onnxruntime's was up to 6 times as much (docs/LOG.md)
BATCH_SIZES = (1, 3, 32)


def gates(weight: torch.Tensor) -> Floats:
    """Return a GRU weight or bias with its three blocks in ONNX's order.

    PyTorch stores the gates as r, z, n and ONNX as z, r, h: without this every label is silently wrong.
    """
    r, z, n = weight.detach().cpu().numpy().astype(np.float32).reshape(3, -1, *weight.shape[1:])
    return np.concatenate((z, r, n))


@torch.no_grad()
def build(model: Mixture, temperature: float) -> bytes:
    """Return `model.onnx`: ids int32 [B,T], lengths int32 [B], grams int32 [U,K] -> probabilities float32 [B,C].

    Past a ticket's length its ids are PAD, as `gru.pad` leaves them.
    """
    # A node is called as its output is, and a suffix names the axes: "token_TBF" is [T, B, F]. The nodes stand in the
    # order of a search.
    graph = Graph()

    def number(name: str, value: object, dtype: type[np.generic]) -> str:
        return graph.constant(name, np.array(value, dtype=dtype))

    def array(name: str, value: torch.Tensor) -> str:
        return graph.constant(name, value.cpu().numpy().astype(np.float32))

    members, fitted = list(model), model.linear
    config, num_categories = model.first.config, model.num_categories
    # softmax((w mean(gru) + v linear) / T): the divisions are done here once, in the weights, and not in each search.
    scale, fitted_scale = model.weight / temperature / len(members), fitted.weight / temperature
    # Tables of low rank are scaled in their basis, which all of their sums go through; full ones have none.
    basis_RC = fitted.basis_RC
    table_scale = fitted_scale if basis_RC is None else 1.0
    num_columns, columns = fitted.words_VS.shape[1], "C" if basis_RC is None else "R"  # as node names call them
    sizes = [config.embedding] * len(members) + [num_columns]
    first, second = number("axis_0", [0], np.int64), number("axis_1", [1], np.int64)
    zero = number("zero", 0, np.int32)

    # An id below V is a row of the table, V + u the u-th unknown token, which reads the row of <UNK> first. int32 all
    # the way, so that no node has to cast.
    ids_TB = graph.node("Transpose", ["ids"], "ids_TB", perm=[1, 0])
    known_TB = graph.node("Less", [ids_TB, number("vocab_size", model.num_words, np.int32)], "known_TB")
    row_TB = graph.node("Where", [known_TB, ids_TB, number("unk_id", UNK, np.int32)], "row_TB")
    # Vectors and scores in one row: a Gather costs its call, hardly its width.
    rows_VF = torch.cat([member.word_vectors() for member in members], dim=1)
    rows_VF = torch.cat((rows_VF, fitted.words_VS * table_scale), dim=1)
    word_TBF = graph.node("Gather", [array("word_embedding", rows_VF), row_TB], "word_TBF")

    # To it is added: the mean of the networks' n-gram rows, and the sum of the linear part's. A last column of ones
    # counts the n-grams; row 0, the padding, is all zeros. Row 0 of the result is for tokens that are known.
    rows_GF = torch.cat([member.embedding.gram.weight for member in members], dim=1)
    rows_GF = torch.cat((rows_GF, fitted.grams_GS * table_scale, torch.ones(len(rows_GF), 1)), dim=1)
    rows_GF[PAD] = 0.0
    ngram_UKF = graph.node("Gather", [array("ngram_embedding", rows_GF), "grams"], "ngram_UKF")
    total_UF = graph.node("ReduceSum", [ngram_UKF, second], "ngram_sum_UF", keepdims=0)
    parts = ["ngram_vector_sum_UE", f"ngram_score_sum_U{columns}", "num_ngrams_U1"]
    graph.split(total_UF, parts, [sum(sizes[:-1]), num_columns, 1], axis=1)
    # Where nothing is unknown, the one row of `grams` is padding and its mean 0 / 0; nobody reads it.
    mean_UE = graph.node("Div", [parts[0], parts[2]], "ngram_vector_mean_UE")
    unknown_UF = graph.node("Concat", [mean_UE, parts[1]], "unknown_UF", axis=1)
    nothing_1F = number("known_token_row", np.zeros((1, sum(sizes))), np.float32)
    unknown_UF = graph.node("Concat", [nothing_1F, unknown_UF], "known_or_unknown_UF", axis=0)
    # Row max(0, id - (V - 1)): 0 for every known token, u + 1 for the u-th unknown one. No If, no mask.
    before_first = number("vocab_size_minus_1", model.num_words - 1, np.int32)
    place_TB = graph.node("Sub", [ids_TB, before_first], "unknown_index_or_less_TB")
    place_TB = graph.node("Max", [place_TB, zero], "unknown_index_TB")
    unknown_TBF = graph.node("Gather", [unknown_UF, place_TB], "unknown_TBF")
    token_TBF = graph.node("Add", [word_TBF, unknown_TBF], "token_TBF")
    # Each network gets its own vectors, x of the equations in model.py; the last S columns go round the GRUs.
    *inputs, scores_TBS = [f"x_{place}_TBE" for place in range(len(members))] + [f"word_scores_TB{columns}"]
    graph.split(token_TBF, [*inputs, scores_TBS], sizes, axis=2)

    # The GRUs: equations in model.py. linear_before_reset=1 is PyTorch's variant, r * (U_n h + c_n).
    directions = ("", "_reverse") if config.bidirectional else ("",)
    states = []
    for place, (member, x) in enumerate(zip(members, inputs, strict=True)):
        for layer in range(config.num_layers):
            # W, R and B are ONNX's names: weights of the input, weights of the state, and both biases one after the
            # other, each for all directions, of which the second reads backwards.
            name = f"gru_{place}_{layer}"

            def stacked(kind: str, gru: torch.nn.GRU = member.gru, layer: int = layer) -> Floats:
                return np.stack([gates(getattr(gru, f"{kind}_l{layer}{direction}")) for direction in directions])

            weights = [
                graph.constant(f"{name}_W", stacked("weight_ih")),
                graph.constant(f"{name}_R", stacked("weight_hh")),
                graph.constant(f"{name}_B", np.concatenate((stacked("bias_ih"), stacked("bias_hh")), axis=1)),
            ]
            h = graph.node(
                "GRU",
                [x, *weights, "lengths"],  # without the lengths, the backward GRU would begin in the padding
                f"{name}_TDBH",
                hidden_size=config.hidden,
                direction="bidirectional" if config.bidirectional else "forward",
                linear_before_reset=1,
            )
            if layer < config.num_layers - 1:  # the next one reads both directions as one vector
                turned = graph.node("Transpose", [h], f"{name}_TBDH", perm=[0, 2, 1, 3])
                flat = graph.constant(f"{name}_shape", np.array([0, 0, -1], dtype=np.int64))
                x = graph.node("Reshape", [turned, flat], f"{name}_TBH")
        states.append(h)
    # From here on the networks are one: their states stand side by side, H is that of all.
    h_TDBH = states[0] if len(states) == 1 else graph.node("Concat", states, "gru_TDBH", axis=3)

    # Pooling. -2 lies below every state of a GRU; an infinity would turn 0 x inf into NaN further on. Padding has the
    # id 0, as no token has: one comparison in place of ten nodes that counted up to `lengths` (decision 0012).
    inside_TB = graph.node("Less", [zero, ids_TB], "inside_TB")
    inside_T1B1 = graph.node("Unsqueeze", [inside_TB, number("axes_1_3", [1, 3], np.int64)], "inside_T1B1")
    h_or_lowest = graph.node(
        "Where", [inside_T1B1, h_TDBH, number("max_pool_padding", LOWEST, np.float32)], "h_or_lowest_TDBH"
    )
    max_DBH = graph.node("ReduceMax", [h_or_lowest, first], "max_DBH", keepdims=0)
    h_or_zero = graph.node(
        "Where", [inside_T1B1, h_TDBH, number("mean_pool_padding", 0.0, np.float32)], "h_or_zero_TDBH"
    )
    sum_DBH = graph.node("ReduceSum", [h_or_zero, first], "sum_DBH", keepdims=0)
    length_B = graph.node("Cast", ["lengths"], "length_B", to=TensorProto.FLOAT)
    length_B1 = graph.node("Unsqueeze", [length_B, second], "length_B1")
    mean_DBH = graph.node("Div", [sum_DBH, length_B1], "mean_DBH")
    pooled_DBH = graph.node("Concat", [max_DBH, mean_DBH], "pooled_DBH", axis=2)
    pooled_BDH = graph.node("Transpose", [pooled_DBH], "pooled_BDH", perm=[1, 0, 2])
    pooled_BH = graph.node("Reshape", [pooled_BDH, number("pooled_shape", [0, -1], np.int64)], "pooled_BH")

    # The head. The pooled state is ordered by direction, largest or mean, network, entry; a network's own head by
    # largest or mean, direction, entry.
    heads = [member.head.weight.reshape(num_categories, 2, len(directions), config.hidden) for member in members]
    head_CH = torch.stack(heads, dim=3).transpose(1, 2).flatten(start_dim=1) * scale
    # The linear part's bias is added here too: it is not divided by sqrt(length), and it saves a node.
    bias_C = torch.stack([member.head.bias for member in members]).sum(dim=0) * scale + fitted.bias_C * fitted_scale
    head = [array("head_weight", head_CH), array("head_bias", bias_C)]
    gru_BC = graph.node("Gemm", [pooled_BH, *head], "gru_logits_BC", transB=1)

    # The linear part: the sum of the tokens' scores, and of the pairs', over sqrt(length).
    sum_BS = graph.node("ReduceSum", [scores_TBS, first], f"word_score_sum_B{columns}", keepdims=0)
    if len(fitted.pairs_PS):
        # Pair t is (token before t, token t), with PAD before the first and after the last; see linear.pair_rows.
        of_pair_TB = row_TB
        if fitted.num_taught < model.num_words:
            # A word that only the file of vectors knows stands in a pair as <UNK>, as it did in training.
            taught_TB = graph.node(
                "Less", [ids_TB, number("num_trained_words", fitted.num_taught, np.int32)], "trained_TB"
            )
            of_pair_TB = graph.node("Where", [taught_TB, ids_TB, "unk_id"], "bigram_id_TB")
        before = graph.node("Pad", [of_pair_TB, number("pad_front", [1, 0, 0, 0], np.int64)], "bigram_first_TB")
        after = graph.node("Pad", [of_pair_TB, number("pad_back", [0, 0, 1, 0], np.int64)], "bigram_second_TB")
        # row = (first x factor + second) mod P. Pairs that share a row are no loss while P is 20,000 (docs/LOG.md).
        factor = number("bigram_hash_factor", PAIR_FACTOR, np.int32)
        spread = graph.node("Mul", [before, factor], "bigram_first_hash_TB")
        spread = graph.node("Add", [spread, after], "bigram_hash_TB")
        pair = graph.node("Mod", [spread, number("num_bigram_rows", len(fitted.pairs_PS), np.int32)], "bigram_row_TB")
        pairs = array("bigram_weight", fitted.pairs_PS * table_scale)
        pairs_TBS = graph.node("Gather", [pairs, pair], f"bigram_scores_TB{columns}")
        pairs_BS = graph.node("ReduceSum", [pairs_TBS, first], f"bigram_score_sum_B{columns}", keepdims=0)
        sum_BS = graph.node("Add", [sum_BS, pairs_BS], f"linear_score_sum_B{columns}")
    if basis_RC is not None:
        # After the sums: R x C multiplications for a ticket, and not for each of its tokens.
        sum_BS = graph.node("Gemm", [sum_BS, array("linear_basis", basis_RC * fitted_scale)], "linear_score_sum_BC")
    linear_BC = graph.node("Div", [sum_BS, graph.node("Sqrt", [length_B1], "sqrt_length_B1")], "linear_logits_BC")

    graph.node("Softmax", [graph.node("Add", [gru_BC, linear_BC], "logits_BC")], "probabilities", axis=1)

    return graph.serialise(TENSORS)


def invented_tickets(vocabulary: Vocabulary, num_tickets: int, longest: int, seed: int) -> list[list[str]]:
    """Return made-up tickets: words drawn from the vocabulary, every other ticket with invented unknown words.

    Nobody's ticket is in them, so they may be stored. The first ticket has one token, the second `longest`.
    """
    random = np.random.default_rng(seed)
    # Without a word that two tickets hold a vocabulary has only the reserved rows; even then there are tickets to try.
    words = [token for token in vocabulary.rows if token not in RESERVED] or list(RESERVED)
    tickets = []
    for number in range(num_tickets):
        length = (1, longest)[number] if number < 2 else int(random.integers(1, longest + 1))
        tokens = [words[i] for i in random.integers(len(words), size=length)]
        if number % 2:  # unknown words too, in the same batch as tickets without one
            for place in random.integers(length, size=1 + length // 4):
                letters = random.integers(ord("a"), ord("z") + 1, size=random.integers(1, 40))
                tokens[place] = "".join(map(chr, letters))
        tickets.append(tokens)
    return tickets


def export(model: Mixture, vocabulary: Vocabulary, temperature: float) -> tuple[bytes, Parity]:
    """Return `model.onnx` and the record that onnxruntime answers with it as PyTorch does, on random ragged batches.

    Compared twice: the graph that will be published, and one whose weights are up to 4 times as large.

    Raises:
        ArtifactRefused: a probability differs by more than 1e-5.
    """
    batches = [
        [vocabulary.encode(tokens) for tokens in invented_tickets(vocabulary, size, longest, size)]
        for size in BATCH_SIZES
        for longest in (2, 30)
    ]
    # One set of invented tickets for both comparisons: batches of 1, 3 and 32, short ones and long ones. A graph that
    # froze its time axis or ignored lengths would pass with tickets of one length.
    scaled, scale = scaled_up(model, batches)
    # Divided by the temperature `scale`, the larger logits come back to where the softmax still tells them apart.
    raw, scaled_raw = build(model, temperature), build(scaled, scale)
    worst, num_batches, num_tickets = 0.0, 0, 0
    for network, graph, t in ((model, raw, temperature), (scaled, scaled_raw, scale)):
        session = open_session(graph)
        for tickets in batches:
            found_BC = run(session, pad(tickets, len(vocabulary)), len(vocabulary), vocabulary.num_buckets + 1)
            difference = float(np.abs(found_BC - torch_probabilities(network, tickets, t)).max())
            if not difference <= TOLERANCE:  # written so that NaN is refused too
                raise ArtifactRefused("export-differs", difference=difference, limit=TOLERANCE)
            worst, num_batches, num_tickets = max(worst, difference), num_batches + 1, num_tickets + len(tickets)
    return raw, Parity(worst, TOLERANCE, num_batches, num_tickets, scale)


@torch.no_grad()
def scaled_up(model: Mixture, batches: Sequence[Sequence[Encoded]]) -> tuple[Mixture, float]:
    """Return a copy of the network with larger weights, and how many times larger: 4, or what rounding leaves of it.

    Large weights make a recurrent network chaotic: a difference in the last digit grows with every token and layer,
    until two right programs disagree (3 layers trained at lr 0.02: by 1.3e-5). PyTorch against itself in float64 shows
    where that begins.
    """
    scale = WEIGHT_SCALE
    while True:
        scaled = copy.deepcopy(model)
        for weight in scaled.parameters():
            weight.mul_(scale)
        exact = copy.deepcopy(scaled).double()
        rounding = max(
            float(np.abs(torch_probabilities(scaled, batch, scale) - torch_probabilities(exact, batch, scale)).max())
            for batch in batches
        )
        if rounding <= MAX_ROUNDING or scale <= 1.0:
            return scaled, scale
        scale /= 2


@torch.no_grad()
def torch_probabilities(model: Mixture, tickets: Sequence[Encoded], temperature: float) -> Floats:
    """Return probabilities_BC of the network itself for one batch."""
    model.eval()  # the graph has no dropout, so neither may this
    logits_BC = model(*tensors(tickets, model.num_words, torch.device("cpu")))
    probabilities_BC: Floats = torch.softmax(logits_BC / temperature, dim=1).cpu().numpy()
    return probabilities_BC


def golden_rows(raw: bytes, vocabulary: Vocabulary, seed: int) -> list[GoldenRow]:
    """Return a few made-up tickets with the ids and probabilities that the graph gives them."""
    # The graph's own answers, not PyTorch's: a reader who replays them learns whether he runs the same graph alike.
    session = open_session(raw)
    rows = []
    for tokens in invented_tickets(vocabulary, 6, 40, seed):
        ticket = vocabulary.encode(tokens)
        (found_C,) = run(session, pad([ticket], len(vocabulary)), len(vocabulary), vocabulary.num_buckets + 1)
        rows.append(GoldenRow(tokens, ticket.ids, ticket.grams, found_C.tolist()))
    return rows
