"""The network: a few GRUs that read a ticket, and beside them a linear part that adds up what each token says.

In: ids, lengths and the n-grams of unknown tokens, exactly as the exported graph takes them. Out: one logit per
category. What it leaves to others: the batches and the loss (train.py), the ONNX graph (export.py).

How a ticket becomes a category, in six steps.

1. A token becomes a vector: the row of its word plus the mean of the rows of its character n-grams. A word that is not
   in the vocabulary has no row of its own; it takes the row of <UNK>, and its n-grams say the rest. Where a file of
   pretrained vectors was given (vectors.py), a learnt projection of the word's vector is added.
2. The GRU reads the vectors one by one and keeps a state h of H numbers. At each token it computes
       r = sigmoid(W_r x + b_r + U_r h + c_r)        reset: how much of the old state the proposal may use
       z = sigmoid(W_z x + b_z + U_z h + c_z)        update: how much of the old state stays
       n = tanh(W_n x + b_n + r * (U_n h + c_n))     the proposal
       h = (1 - z) * n + z * h
   A second GRU reads the ticket from its end, because what a sentence is about may come last.
3. Pooling: per entry of the state the largest and the mean value over the ticket's tokens. The last state alone would
   have to remember everything, and after padding it would not even be a state of the ticket.
4. A linear layer turns the pooled state into logits.
5. One such network errs by chance here and there, and another seed elsewhere. So a few small ones are trained and their
   logits averaged: two of E = H = 32 cost about as much as one of 64 and are right more often; one alone loses a fifth
   of a point (docs/LOG.md). Source: Hansen and Salamon 1990, "Neural Network Ensembles".
6. Beside them answers an expert of another kind, a linear part that was fitted by itself (linear.py): every token has
   one score per category, and so has every pair of neighbours; they are summed over the ticket and divided by
   sqrt(length), so that a long ticket is surer but not boundlessly so. The weighted sum of both experts is right more
   often than either; the weights come from validation tickets (calibrate.py). "Wide & Deep Learning" (Cheng et al.
   2016, arXiv 1606.07792) trains both together; apart they err more differently (docs/LOG.md).

GRU: Cho et al. 2014, arXiv 1406.1078, in the variant of cuDNN and PyTorch (reset after the product U_n h).
"""

# Axes: B tickets in the batch, T tokens (padded), E embedding, H hidden (both directions: 2H), C categories,
#       V known words, W of them taught by tickets, U unknown tokens of the batch, K n-grams of a token (padded with 0),
#       G n-gram rows, P rows of the table of pairs, D entries of a pretrained vector, S columns of the linear part's
#       tables: C, or R of tables of low rank; N distinct tokens of a padded batch. Of a ragged one: N tokens, U of them
#       distinct, R rows of the word table, S rows of the n-gram table.

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from artifacts.arrays import Floats
from artifacts.text.tokens import MAX_NGRAMS, ngrams
from artifacts.text.vocabulary import PAD, RESERVED, UNK
from trainer.config import TrainConfig
from trainer.gru.linear import PAIR_FACTOR, Linear
from trainer.kernels import cell
from trainer.stepping.ragged import Batch, left_out, summed

PROJECTION_STD = 0.1  # a pretrained vector has length 1, and its projection begins as large as a word's row


class TokenTable(nn.Module):
    """A vector per token: the row of its word plus the mean of the rows of its n-grams."""

    def __init__(self, num_rows: int, num_buckets: int, size: int) -> None:
        super().__init__()
        # Two tables, because a word that is new to the model still has n-grams that are not: "conntecter" shares most
        # of its own with "connecter". Source: Bojanowski et al. 2017, arXiv 1607.04606 (fastText).
        self.word = nn.Embedding(num_rows, size, padding_idx=PAD)
        # padding_idx keeps row 0 at zero and out of the mean.
        self.gram = nn.EmbeddingBag(num_buckets + 1, size, mode="mean", padding_idx=PAD)

    def forward(self, rows_BT: Tensor, grams_NK: Tensor, place_BT: Tensor) -> Tensor:
        """Return the vectors [B, T, size].

        Args:
            rows_BT: each token's row of the word table (UNK where it is unknown or left out by word dropout).
            grams_NK: the n-grams of the distinct tokens of the batch.
            place_BT: which of these N each token is.
        """
        # Each distinct token's n-grams are averaged once, however often the batch holds it, and then handed out.
        gram_N = self.gram(grams_NK)
        vectors_BT: Tensor = self.word(rows_BT) + gram_N[place_BT]
        return vectors_BT


class FittedLinear(nn.Module):
    """A linear part as `linear.fit` leaves it: rows that are added up. It is not trained here."""

    words_VS: Tensor
    grams_GS: Tensor
    pairs_PS: Tensor
    bias_C: Tensor
    basis_RC: Tensor | None

    def __init__(self, linear: Linear, weight: float) -> None:
        """Take the rows.

        Args:
            linear: fitted over the network's vocabulary.
            weight: that its scores are multiplied by before they are added to the network's logits.
        """
        super().__init__()
        self.weight = weight
        self.num_taught = linear.num_taught
        for name in ("words_VS", "grams_GS", "pairs_PS", "bias_C"):
            # Parameters, though nothing trains them: so `export.scaled_up` scales them along with all other weights.
            rows = torch.from_numpy(getattr(linear, name))
            self.register_parameter(name, nn.Parameter(rows.clone(), requires_grad=False))
        # A buffer and no parameter: scaled along with the tables, it would make the scores 16 times as large, not 4.
        self.register_buffer("basis_RC", torch.from_numpy(linear.basis_RC) if linear.basis_RC is not None else None)

    def forward(self, ids_BT: Tensor, lengths_B: Tensor, grams_UK: Tensor) -> Tensor:
        """Return the scores [B, C], weighted; see `linear.scores`."""
        # scores = (sum of the tokens' rows + sum of the pairs' rows) / sqrt(length) + bias. Padding adds rows of zeros,
        # so nothing has to be masked.
        num_words, num_pairs = len(self.words_VS), len(self.pairs_PS)
        known_BT = ids_BT < num_words
        rows_BT = torch.where(known_BT, ids_BT, PAD)
        of_unknown_US = nn.functional.pad(self.grams_GS[grams_UK].sum(dim=1), (0, 0, 1, 0))  # row 0: it is known
        place_BT = torch.where(known_BT, 0, ids_BT - num_words + 1)
        sum_BS = (self.words_VS[rows_BT] + of_unknown_US[place_BT]).sum(dim=1)
        if num_pairs:
            # PAD stands before the first token and after the last, so two of PAD stand after a ticket's end: row 0.
            of_pair_BT = torch.where(ids_BT < self.num_taught, ids_BT, UNK)
            first_BT, second_BT = nn.functional.pad(of_pair_BT, (1, 0)), nn.functional.pad(of_pair_BT, (0, 1))
            sum_BS = sum_BS + self.pairs_PS[(first_BT * PAIR_FACTOR + second_BT) % num_pairs].sum(dim=1)
        # Of low rank: the rows are added up first and turned into scores once, not for each token.
        sum_BC = sum_BS @ self.basis_RC if self.basis_RC is not None else sum_BS
        # By the ticket's own length, not by T: the padding must not make an answer less sure.
        scores_BC: Tensor = sum_BC / lengths_B.to(ids_BT.device).unsqueeze(1).sqrt() + self.bias_C
        return scores_BC * self.weight


class TicketClassifier(nn.Module):
    """One GRU over one vocabulary, with what it reads and the layer that answers."""

    grams_VK: Tensor
    pretrained_VD: Tensor

    @property
    def num_categories(self) -> int:
        """C."""
        return self.head.out_features

    def __init__(
        self,
        tokens: Sequence[str],
        num_categories: int,
        config: TrainConfig,
        num_taught: int | None = None,
        pretrained_VD: Floats | None = None,
    ) -> None:
        """Build the network with random weights (seed torch first).

        Args:
            tokens: the vocabulary in row order, the reserved rows first.
            num_categories: C.
            config: sizes, layers, directions and dropouts.
            num_taught: W; later tokens have no row of their own, only n-grams and a pretrained vector. All by default.
            pretrained_VD: a vector for each token, zeros where there is none; it is not trained.
        """
        super().__init__()
        self.config = config
        self.num_taught = len(tokens) if num_taught is None else num_taught
        # A word's n-grams never change, so they are computed once. <PAD> and <UNK> are no words and have none.
        grams_VK = torch.zeros(len(tokens), MAX_NGRAMS, dtype=torch.int64)
        for row, token in enumerate(tokens):
            if token not in RESERVED:
                found = ngrams(token, config.ngram_buckets)
                grams_VK[row, : len(found)] = torch.tensor(found)
        self.register_buffer("grams_VK", grams_VK, persistent=False)
        self.embedding = TokenTable(self.num_taught, config.ngram_buckets, config.embedding)
        self.gru = nn.GRU(
            config.embedding,
            config.hidden,
            num_layers=config.num_layers,
            bidirectional=config.bidirectional,
            batch_first=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        num_directions = 2 if config.bidirectional else 1
        # 2 x: the maximum and the mean stand side by side.
        self.head = nn.Linear(2 * num_directions * config.hidden, num_categories)
        # Small, so that at the start every category is equally likely and the loss is close to ln(C).
        for weight in (self.embedding.gram.weight, self.embedding.word.weight):
            nn.init.normal_(weight, std=0.1)
            with torch.no_grad():
                weight[PAD] = 0.0
        self.projection: nn.Linear | None = None
        if pretrained_VD is not None:
            # One row more, of zeros, for what is unknown.
            padded_VD = nn.functional.pad(torch.from_numpy(pretrained_VD), (0, 0, 0, 1))
            self.register_buffer("pretrained_VD", padded_VD, persistent=False)
            self.projection = nn.Linear(padded_VD.shape[1], config.embedding, bias=False)
            nn.init.normal_(self.projection.weight, std=PROJECTION_STD)

    def word_vectors(self) -> Tensor:
        """Return the vector [V, E] of each known word as the GRU reads it: what can be worked out before a search."""
        rows_V = torch.arange(len(self.grams_VK), device=self.grams_VK.device)
        # A word that only the file of vectors knows has no row that was trained: it takes the row of <UNK>.
        rows_V = torch.where(rows_V < self.num_taught, rows_V, UNK)
        vectors_VE: Tensor = self.embedding.word(rows_V) + self.embedding.gram(self.grams_VK)
        if self.projection is not None:
            vectors_VE = vectors_VE + self.projection(self.pretrained_VD[:-1])
        return vectors_VE

    def forward(self, ids_BT: Tensor, lengths_B: Tensor, grams_UK: Tensor) -> Tensor:
        """Return the logits [B, C] of a padded batch, as the exported graph takes it; nothing is left out.

        Args:
            ids_BT: int64; below V a row, V + u the u-th unknown token, PAD after a ticket's end.
            lengths_B: int64 on the CPU, 1..T.
            grams_UK: int64, U >= 1.
        """
        # A batch of 64 tickets repeats its common words; n-grams are looked up once for each distinct token.
        used_N, place_BT = torch.unique(ids_BT, return_inverse=True)
        padded_UK = nn.functional.pad(grams_UK, (0, MAX_NGRAMS - grams_UK.shape[1]))
        # Unknown token u has the id V + u, so its n-grams belong below those of the V known words.
        grams_NK = torch.cat((self.grams_VK, padded_UK))[used_N]
        rows_BT = torch.where(ids_BT < self.num_taught, ids_BT, UNK)
        vectors_BTE = self.embedding(rows_BT, grams_NK, place_BT)
        if self.projection is not None:
            projected_NE = self.projection(self.pretrained_VD[used_N.clamp(max=len(self.grams_VK))])
            vectors_BTE = vectors_BTE + projected_NE[place_BT]
        # Padding ends here: from now on the tokens stand one behind the other, ticket after ticket.
        return self.answer(vectors_BTE[cell.inside(lengths_B, ids_BT.device)], lengths_B)

    def read(
        self, batch: Batch, words_RE: Tensor, grams_SE: Tensor, random: np.random.Generator | None = None
    ) -> Tensor:
        """Return the logits [B, C] of a batch of a training.

        Args:
            batch: of `Ragged.batch`.
            words_RE: the rows of the word table that the batch names.
            grams_SE: those of the n-gram table.
            random: draws what the dropout leaves out; without it nothing is.
        """
        token_UE = summed(grams_SE, batch.token_US)
        if self.projection is not None:
            used_U = batch.used_U.to(words_RE.device).clamp(max=len(self.grams_VK))
            token_UE = token_UE + self.projection(self.pretrained_VD[used_U])
        # Each token: the row of its word plus the vector of its n-grams, which equal tokens of the batch share.
        return self.answer(summed(torch.cat((words_RE, token_UE)), batch.sum_NT), batch.lengths_B, random)

    def answer(self, vectors_NE: Tensor, lengths_B: Tensor, random: np.random.Generator | None = None) -> Tensor:
        """Return the logits [B, C] of tickets of which the tokens' vectors stand one behind the other."""
        # One dropout for both ends of the GRU. Inside it, from step to step, it would break the memory.
        share = self.config.dropout
        h_NH = cell.gru(left_out(vectors_NE, share, random), lengths_B, self.gru)
        # Pooling over the ticket's own tokens. The maximum finds a word wherever it stands; with the mean it beats the
        # last state by up to a point on 600 tickets (docs/LOG.md, "Without the joint linear part").
        logits_BC: Tensor = self.head(left_out(cell.pool(h_NH, lengths_B), share, random))
        return logits_BC


class Mixture(nn.Module):
    """All that answers together: the mean of the GRUs' logits and the fitted linear part's scores, each weighted."""

    def __init__(
        self, members: Sequence[TicketClassifier], linear: Linear, weight: float = 1.0, linear_weight: float = 1.0
    ) -> None:
        """Take the experts.

        Args:
            members: at least one, of one vocabulary and one shape.
            linear: fitted over the same vocabulary.
            weight: of the mean of the members' logits.
            linear_weight: of the linear part's scores.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weight = weight
        self.linear = FittedLinear(linear, linear_weight)

    def __iter__(self) -> Iterator[TicketClassifier]:
        """Give the GRUs."""
        for member in self.members:
            assert isinstance(member, TicketClassifier), "only these are members; our bug"
            yield member

    @property
    def first(self) -> TicketClassifier:
        """One of the GRUs, for what they have in common."""
        return next(iter(self))

    @property
    def num_words(self) -> int:
        """V."""
        return len(self.first.grams_VK)

    @property
    def num_categories(self) -> int:
        """C."""
        return self.first.num_categories

    def forward(self, ids_BT: Tensor, lengths_B: Tensor, grams_UK: Tensor) -> Tensor:
        """Return the logits [B, C]; see `TicketClassifier.forward`."""
        # logits = weight x mean over the members + scores (which FittedLinear has weighted already).
        of_each = [member(ids_BT, lengths_B, grams_UK) for member in self.members]
        scores_BC: Tensor = self.linear(ids_BT, lengths_B, grams_UK)
        return torch.stack(of_each).mean(dim=0) * self.weight + scores_BC
