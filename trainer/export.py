"""The GRU's door from torch to disk: the trained network as one ONNX graph, proven equal before it may leave.

The graph is written node by node with `onnx.helper`. torch's own exporters freeze the time axis of a bidirectional GRU
and ignore packed lengths (docs/decisions/), and a graph that one can read is a lesson too.

What is folded at export, so that a search does not pay for it:
- a known word's vector (word + mean of its n-grams) becomes one row of a table, and so does its row of logits;
- the row of <UNK> is added to every n-gram row: the mean of (g + unk) is the mean of g, plus unk;
- the temperature divides the head and all tables of logits; the experts' weights multiply them;
- all linear parts have one row per known word, so they share a table.

The networks of a mixture stand side by side: one lookup gives all of their vectors, each has its own GRU, and from the
pooling on they are one network with a wide state.
"""

# Axes: B tickets, T tokens, E embedding, H hidden, D directions, C categories, V known words, G n-gram rows,
#       U unknown tokens, K n-grams of a token. The graph works time first ([T, B, ...]), as ONNX's GRU does.

import copy
from collections.abc import Sequence

import numpy as np
import torch
from onnx import TensorProto

from artifacts.errors import ArtifactRefused
from artifacts.gru import TENSORS, Floats, GoldenRow, pad, run
from artifacts.manifest import Parity
from artifacts.runtime import open_session
from artifacts.vocabulary import RESERVED, UNK, Encoded, Vocabulary
from trainer.graph import Graph
from trainer.linear import PAIR_FACTOR
from trainer.model import LOWEST, Mixture, TicketClassifier, TokenTable
from trainer.train import tensors

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
    """Return `model.onnx`: ids int32 [B,T], lengths int32 [B], grams int32 [U,K] -> probabilities float32 [B,C]."""
    graph = Graph()

    def number(name: str, value: object, dtype: type[np.generic]) -> str:
        return graph.constant(name, np.array(value, dtype=dtype))

    num_words = model.num_words
    members = [member for member in model.members if isinstance(member, TicketClassifier)]
    config = model.first.config
    zero, words = number("zero", 0, np.int32), number("num_words", num_words, np.int32)
    first, second, last = (number(f"axis_{i}", [i], np.int64) for i in (0, 1, 2))
    zero_float = number("zero_float", 0.0, np.float32)

    # Which positions hold a token: position < length.
    ids_TB = graph.node("Transpose", ["ids"], "ids_TB", perm=[1, 0])
    shape = graph.node("Shape", [ids_TB], "shape")
    num_tokens = graph.node("Gather", [shape, number("index_0", 0, np.int64)], "num_tokens")
    num_tokens = graph.node("Cast", [num_tokens], "num_tokens_int32", to=TensorProto.INT32)
    position_T = graph.node("Range", [zero, num_tokens, number("one", 1, np.int32)], "position_T")
    position_T1 = graph.node("Unsqueeze", [position_T, second], "position_T1")
    inside_TB = graph.node("Less", [position_T1, "lengths"], "inside_TB")
    inside_TB1 = graph.node("Unsqueeze", [inside_TB, last], "inside_TB1")
    length_B = graph.node("Cast", ["lengths"], "length_B", to=TensorProto.FLOAT)
    length_B1 = graph.node("Unsqueeze", [length_B, second], "length_B1")

    # An id below V is a row of the table, V + u the u-th unknown token; each side reads row 0 where it is not meant.
    known_TB = graph.node("Less", [ids_TB, words], "known_TB")
    known_TB1 = graph.node("Unsqueeze", [known_TB, last], "known_TB1")
    row_TB = graph.node("Where", [known_TB, ids_TB, zero], "row_TB")
    unknown_TB = graph.node("Sub", [ids_TB, words], "unknown_from_V_TB")
    unknown_TB = graph.node("Where", [known_TB, zero, unknown_TB], "unknown_TB")
    padding_UK = graph.node("Equal", ["grams", zero], "padding_UK")
    gram_UK = graph.node("Cast", [graph.node("Not", [padding_UK], "present_UK")], "gram_UK", to=TensorProto.FLOAT)
    gram_count_U1 = graph.node("ReduceSum", [gram_UK, second], "gram_count_U1", keepdims=1)
    gram_count_U1 = graph.node("Max", [gram_count_U1, number("one_float", 1.0, np.float32)], "gram_divisor_U1")

    def array(name: str, value: torch.Tensor) -> str:
        return graph.constant(name, value.cpu().numpy().astype(np.float32))

    def time_first(states_TDBH: str, name: str) -> str:
        """Add what makes [T, D, B, H] the vectors [T, B, D x H]."""
        turned = graph.node("Transpose", [states_TDBH], f"{name}_TBDH", perm=[0, 2, 1, 3])
        flat = graph.constant(f"{name}_shape", np.array([0, 0, -1], dtype=np.int64))
        return graph.node("Reshape", [turned, flat], f"{name}_TBH")

    def per_token(name: str, known_VE: torch.Tensor, unknown_GE: torch.Tensor, fitted_GE: torch.Tensor | None) -> str:
        """Add the lookup of a vector for every token, [T, B, size].

        Args:
            name: of what is looked up.
            known_VE: rows of the known words.
            unknown_GE: rows of n-grams, whose mean is an unknown word's vector.
            fitted_GE: rows of n-grams whose sum is added to that.
        """
        word_table, gram_table = array(f"{name}_words", known_VE), array(f"{name}_ngrams", unknown_GE)
        gathered = graph.node("Gather", [gram_table, "grams"], f"{name}_grams_UKE")
        total = graph.node("ReduceSum", [gathered, second], f"{name}_gram_sum_UE", keepdims=0)
        unknown = graph.node("Div", [total, gram_count_U1], f"{name}_unknown_UE")
        if fitted_GE is not None:
            fitted_table = array(f"{name}_fitted_ngrams", fitted_GE)
            gathered = graph.node("Gather", [fitted_table, "grams"], f"{name}_fitted_grams_UKE")
            total = graph.node("ReduceSum", [gathered, second], f"{name}_fitted_gram_sum_UE", keepdims=0)
            unknown = graph.node("Add", [unknown, total], f"{name}_both_unknown_UE")
        of_word = graph.node("Gather", [word_table, row_TB], f"{name}_of_word_TBE")
        of_unknown = graph.node("Gather", [unknown, unknown_TB], f"{name}_of_unknown_TBE")
        return graph.node("Where", [known_TB1, of_word, of_unknown], f"{name}_TBE")

    def folded(table: TokenTable) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a table's rows of known words and of n-grams."""
        word_VE, gram_GE = table.word.weight, table.gram.weight
        unknown_GE = gram_GE + word_VE[UNK]
        unknown_GE[0] = 0.0  # padding adds nothing to the sum
        return word_VE + table.gram(model.first.grams_VK), unknown_GE

    # The GRUs: equations in model.py. linear_before_reset=1 is PyTorch's variant, r * (U_n h + c_n).
    tables = [folded(member.embedding) for member in members]
    known_VE, unknown_GE = (torch.cat(parts, dim=1) for parts in zip(*tables, strict=True))
    x = per_token("embedding", known_VE, unknown_GE, None)
    inputs = [x]
    if len(members) > 1:
        inputs = [f"embedding_{place}_TBE" for place in range(len(members))]
        graph.split(x, inputs, axis=2)
    directions = ("", "_reverse") if config.bidirectional else ("",)
    states = []
    for place, (member, h) in enumerate(zip(members, inputs, strict=True)):
        for layer in range(config.num_layers):
            name = f"gru_{place}_{layer}"

            def stacked(kind: str, gru: torch.nn.GRU = member.gru, layer: int = layer) -> Floats:
                return np.stack([gates(getattr(gru, f"{kind}_l{layer}{direction}")) for direction in directions])

            weights = [
                graph.constant(f"{name}_W", stacked("weight_ih")),
                graph.constant(f"{name}_R", stacked("weight_hh")),
                graph.constant(f"{name}_B", np.concatenate((stacked("bias_ih"), stacked("bias_hh")), axis=1)),
            ]
            out = graph.node(
                "GRU",
                [h, *weights, "lengths"],
                f"{name}_TDBH",
                hidden_size=config.hidden,
                direction="bidirectional" if config.bidirectional else "forward",
                linear_before_reset=1,
            )
            if layer < config.num_layers - 1:  # the next one reads both directions as one vector
                h = time_first(out, name)
        states.append(out)
    together = states[0] if len(states) == 1 else graph.node("Concat", states, "gru_TDBH", axis=3)
    h = time_first(together, "state")

    # Pooling. -2 lies below every state of a GRU; an infinity would turn 0 x inf into NaN further on.
    h_or_lowest = graph.node("Where", [inside_TB1, h, number("lowest", LOWEST, np.float32)], "h_or_lowest_TBH")
    max_BH = graph.node("ReduceMax", [h_or_lowest, first], "max_BH", keepdims=0)
    h_or_zero = graph.node("Where", [inside_TB1, h, zero_float], "h_or_zero_TBH")
    sum_BH = graph.node("ReduceSum", [h_or_zero, first], "sum_BH", keepdims=0)
    mean_BH = graph.node("Div", [sum_BH, length_B1], "mean_BH")
    pooled_BH = graph.node("Concat", [max_BH, mean_BH], "pooled_BH", axis=1)
    fitted, scale = model.fitted, model.weight / temperature / len(members)
    fitted_scale = fitted.weight / temperature if fitted is not None else 0.0
    bias_C = torch.stack([member.head.bias for member in members]).sum(dim=0) * scale
    # The pooled state is ordered by: largest or mean, direction, member, entry.
    sides = (2, len(directions), config.hidden)
    heads = torch.stack([member.head.weight.reshape(-1, *sides) for member in members], dim=3)
    rows = [folded(member.linear) for member in members]
    known_VC, unknown_GC = (torch.stack(parts).sum(dim=0) * scale for parts in zip(*rows, strict=True))
    fitted_GC = None
    if fitted is not None:
        bias_C = bias_C + fitted.bias_C * fitted_scale
        known_VC = known_VC + fitted.words_VC * fitted_scale
        fitted_GC = fitted.grams_GC * fitted_scale
    head = [array("head_weight", heads.flatten(start_dim=1) * scale), array("head_bias", bias_C)]
    deep_BC = graph.node("Gemm", [pooled_BH, *head], "deep_BC", transB=1)

    # The linear parts: the sum of the tokens' own logits, and of the pairs', over sqrt(length).
    logits_TBC = per_token("linear", known_VC, unknown_GC, fitted_GC)
    logits_TBC = graph.node("Where", [inside_TB1, logits_TBC, zero_float], "linear_or_zero_TBC")
    linear_BC = graph.node("ReduceSum", [logits_TBC, first], "linear_sum_BC", keepdims=0)
    if fitted is not None and len(fitted.pairs_PC) > 1:
        # Pair t is (token before t, token t), with PAD before the first and after the last; see linear.pair_rows.
        before = graph.node("Pad", [ids_TB, number("pad_front", [1, 0, 0, 0], np.int64)], "before_TB")
        after = graph.node("Pad", [ids_TB, number("pad_back", [0, 0, 1, 0], np.int64)], "after_TB")
        larger = graph.node("Max", [before, after], "larger_TB")  # PAD is 0, and an unknown token is V or more
        some = graph.node("Less", [zero, larger], "some_TB")
        known = graph.node("Less", [larger, words], "both_known_TB")
        is_pair = graph.node("And", [some, known], "is_pair_TB")
        before, after = (graph.node("Cast", [side], f"{side}_64", to=TensorProto.INT64) for side in (before, after))
        spread = graph.node("Mul", [before, number("pair_factor", PAIR_FACTOR, np.int64)], "spread_TB")
        spread = graph.node("Add", [spread, after], "spread_both_TB")
        bucket = graph.node("Mod", [spread, number("num_pairs", len(fitted.pairs_PC) - 1, np.int64)], "bucket_TB")
        row = graph.node("Add", [bucket, number("one_64", 1, np.int64)], "pair_TB")
        row = graph.node("Where", [is_pair, row, number("zero_64", 0, np.int64)], "pair_row_TB")
        pairs_TBC = graph.node("Gather", [array("pairs", fitted.pairs_PC * fitted_scale), row], "pairs_TBC")
        pairs_BC = graph.node("ReduceSum", [pairs_TBC, first], "pairs_BC", keepdims=0)
        linear_BC = graph.node("Add", [linear_BC, pairs_BC], "linear_and_pairs_BC")
    wide_BC = graph.node("Div", [linear_BC, graph.node("Sqrt", [length_B1], "sqrt_length_B1")], "wide_BC")

    graph.node("Softmax", [graph.node("Add", [deep_BC, wide_BC], "logits_BC")], "probabilities", axis=1)

    return graph.serialise(TENSORS)


def invented_tickets(vocabulary: Vocabulary, num_tickets: int, longest: int, seed: int) -> list[list[str]]:
    """Return made-up tickets: words drawn from the vocabulary, every other ticket with invented unknown words.

    Nobody's ticket is in them, so they may be stored. The first ticket has one token, the second `longest`.
    """
    random = np.random.default_rng(seed)
    words = [token for token in vocabulary.rows if token not in RESERVED] or list(RESERVED)
    tickets = []
    for number in range(num_tickets):
        length = (1, longest)[number] if number < 2 else int(random.integers(1, longest + 1))
        tokens = [words[i] for i in random.integers(len(words), size=length)]
        if number % 2:
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
    scaled, scale = scaled_up(model, batches)
    raw, scaled_raw = build(model, temperature), build(scaled, scale)
    worst, num_batches, num_tickets = 0.0, 0, 0
    for network, graph, t in ((model, raw, temperature), (scaled, scaled_raw, scale)):
        session = open_session(graph)
        for tickets in batches:
            found_BC = run(session, pad(tickets, len(vocabulary)), len(vocabulary), vocabulary.num_buckets + 1)
            difference = float(np.abs(found_BC - torch_probabilities(network, tickets, t)).max())
            if not difference <= TOLERANCE:  # written so that NaN is refused too
                raise ArtifactRefused(
                    f"export refused: ONNX differs from PyTorch by {difference:.2g}, limit is {TOLERANCE:g}"
                )
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
    model.eval()
    logits_BC = model(*tensors(tickets, model.num_words, model.device))
    probabilities_BC: Floats = torch.softmax(logits_BC / temperature, dim=1).cpu().numpy()
    return probabilities_BC


def golden_rows(raw: bytes, vocabulary: Vocabulary, seed: int) -> list[GoldenRow]:
    """Return a few made-up tickets with the ids and probabilities that the graph gives them."""
    session = open_session(raw)
    rows = []
    for tokens in invented_tickets(vocabulary, 6, 40, seed):
        ticket = vocabulary.encode(tokens)
        (found_C,) = run(session, pad([ticket], len(vocabulary)), len(vocabulary), vocabulary.num_buckets + 1)
        rows.append(GoldenRow(tokens, ticket.ids, ticket.grams, found_C.tolist()))
    return rows
