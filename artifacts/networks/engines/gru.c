/* The answer to a ticket, from its ids to the probabilities of the categories, in one plain C file.

The idea. A runtime for any graph computes it node by node: each node has its price, and what one hands to the next goes
through memory. This file computes one network only, that of docs/en/04-gru.md, so a ticket goes through in one piece:

    ids -> vectors of the tokens -> every GRU reads them -> pooled states -> head + linear part -> softmax

A ticket shares no matrix with another, so nothing is padded and nothing has to be masked. The rest of the speed is the
order of the loops: in each product the innermost loop runs over neighbours in memory (k), where the compiler makes
vector instructions of it: 16 numbers at a time with AVX-512, 8 with AVX2, 4 on any other processor. There is no
assembler here, no intrinsic and no thread. The weights are those of `model.onnx`; fused.py turns each matrix once, at
load, so that k is its last axis.

The equations of the chapter, in its order and with its names:

    r = sigmoid(W_r x + b_r + U_r h + c_r)        how much of the old state the proposal may use
    z = sigmoid(W_z x + b_z + U_z h + c_z)        how much of the old state stays
    n = tanh(W_n x + b_n + r * (U_n h + c_n))     the proposal
    h = (1 - z) * n + z * h

Axes: T tokens of a ticket, M networks, L layers, D directions, E embedding, H hidden, I the input of a layer (E of the
first, else D H), C categories, R columns of the linear part's tables (C of full ones), V known words, G n-gram rows,
P rows of pairs, F = M E + R entries of a word's row. A k runs over neighbours, most often over the 3 H entries of the
gates r, z and n. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"

enum { OK, BAD_NETWORK, BAD_TICKETS, NO_MEMORY };
enum { MAX_HIDDEN = 1024, MAX_INPUT = 2 * MAX_HIDDEN, MAX_SIZE = 1 << 17, MAX_ROWS = 1 << 24, MAX_TOKENS = 1 << 16 }; /* no product leaves 63 bits */
enum { PAD = 0, MAX_CHARACTERS = 512 };

/* Rows of the tables may be read from where they stand in the file, which need not be a multiple of 4 bytes. */
typedef float loose __attribute__((aligned(1), may_alias));

/* Numbers, and how many there are, to be compared with how many the sizes of the network ask for. */
typedef struct {
  const void *values;
  int64_t count;
} Table;

typedef struct {
  int32_t members, layers, directions, embedding, hidden, categories, columns; /* M L D E H C R */
  int32_t words, trained, unknown, grams, pairs, factor;                       /* V; see look_up; G; P */
  int32_t is_low_rank;
  Table word_rows; /* [V, F] */
  Table gram_rows; /* [G, F + 1], whose last column is not read */
  Table pair_rows; /* [P, R] */
  Table basis;     /* [R, C], only of tables of low rank */
  Table ways;      /* of each member, layer and direction: W [I, 3H], U [H, 3H], b [3H], c [3H]; gates r, z, n */
  Table head;      /* [2 D M H, C], with zeros up to a multiple of 4 rows and of 16 columns; the rows are ordered by
                      direction, largest or mean, member, entry */
  Table head_bias; /* [C] */
  Table products;  /* [V, M D 3H], see gru_products; count 0: they are computed for each token */
} Network;

/* A ticket in the message of gru_answer. */
typedef struct {
  int64_t length, num_unknown;
  const int32_t *ids;    /* [length]; below V a known word, V + u the u-th unknown one */
  const int32_t **grams; /* of each unknown word: how many n-grams, then their rows */
} Ticket;

/* What a call works in, cut out of one piece of memory that is large enough for its longest ticket. */
typedef struct {
  float *tokens;                    /* [T, M E]: x of each token, of each member */
  float *inputs, *deep;             /* [T, M D 3H] and [T, D 3H]: W x + b, of the first layer and of a later one */
  float *states, *next;             /* [T, D H]: of the layer before, and of this one */
  float *columns, *logits, *pooled; /* [R] [C] [2 D M H] */
  const float **rows, **deep_rows;  /* [T]: where the W x + b of each token stand */
  const int32_t **grams;            /* [U] */
  void *memory;
} Scratch;

INLINE int64_t input_size(const Network *n, int64_t layer) {
  return layer ? (int64_t)n->directions * n->hidden : n->embedding;
}
INLINE int64_t rounded(int64_t size, int64_t step) { return (size + step - 1) / step * step; }
INLINE int64_t pooled_size(const Network *n) { return 2 * (int64_t)n->directions * n->members * n->hidden; }
INLINE int64_t way_size(int64_t I, int64_t H) { return 3 * H * (I + H + 2); }
INLINE int64_t gates_size(const Network *n) { return (int64_t)n->members * n->directions * 3 * n->hidden; }
INLINE int64_t layers_size(const Network *n) { /* of all layers of a member */
  int64_t size = 0;
  for (int64_t l = 0; l < n->layers; l++) size += n->directions * way_size(input_size(n, l), n->hidden);
  return size;
}

/* ---- The GRU ----------------------------------------------------------------------------------------------------- */

/* W x + b of one token, one way; and c of r and z, which is added to it anyway, while c of n waits for r. */
INLINE void multiply(int64_t I, int64_t H, const float *x, const float *way, float *restrict out) {
  const float *W = way, *b = way + 3 * H * (I + H), *c = b + 3 * H;
  float sum[3 * MAX_HIDDEN] ALIGNED, copied[MAX_INPUT] ALIGNED; /* nobody else's memory, so nothing can alias it */
  for (int64_t i = 0; i < I; i++) copied[i] = x[i];
  for (int64_t k = 0; k < 3 * H; k++) sum[k] = 0.f;
  /* Row by row of W, so that all 3 H sums grow side by side and none waits for its own last addition. */
  for (int64_t i = 0; i < I; i++)
    for (int64_t k = 0; k < 3 * H; k++) sum[k] += copied[i] * W[i * 3 * H + k];
  for (int64_t k = 0; k < 2 * H; k++) out[k] = sum[k] + b[k] + c[k];
  for (int64_t k = 2 * H; k < 3 * H; k++) out[k] = sum[k] + b[k];
}

/* One way through a ticket: forward, or backwards from its own end.

inputs: where the W x + b of each token stand, and `place` where in there those of this way.
states: of the layer, takes each h at its token; NULL of the last layer. largest, mean [H]: of each entry of h. */
INLINE void read_ticket(int64_t I, int64_t H, int64_t T, int is_backward, const float *way, const float *const *inputs,
                        int64_t place, float *states, int64_t width, float *restrict largest, float *restrict mean) {
  const float *U = way + 3 * H * I, *c_n = way + 3 * H * (I + H) + 5 * H;
  float h[MAX_HIDDEN] ALIGNED, a[3 * MAX_HIDDEN] ALIGNED; /* of a small H they stay in registers */
  for (int64_t k = 0; k < H; k++) h[k] = 0.f, largest[k] = -2.f, mean[k] = 0.f; /* -2 lies below every state */
  for (int64_t step = 0; step < T; step++) {
    int64_t t = is_backward ? T - 1 - step : step;
    const float *in = inputs[t] + place;
    for (int64_t k = 0; k < 2 * H; k++) a[k] = in[k]; /* of r and z: W x + b + c ... */
    for (int64_t k = 0; k < H; k++) a[2 * H + k] = c_n[k];
    for (int64_t j = 0; j < H; j++)
      for (int64_t k = 0; k < 3 * H; k++) a[k] += h[j] * U[j * 3 * H + k]; /* ... + U h; of n: U h + c */
    for (int64_t k = 0; k < H; k++) {
      float r = sigmoid(a[k]);
      float z = sigmoid(a[H + k]);
      float n = hyperbolic(in[2 * H + k] + r * a[2 * H + k]);
      h[k] = n + z * (h[k] - n); /* (1 - z) * n + z * h, with one product less */
      largest[k] = h[k] > largest[k] ? h[k] : largest[k];
      mean[k] += h[k];
    }
    if (states)
      for (int64_t k = 0; k < H; k++) states[t * width + k] = h[k];
  }
  for (int64_t k = 0; k < H; k++) mean[k] /= (float)T;
}

/* All networks read the ticket: W x + b of each token, then every way, layer by layer. */
INLINE void read_all(const Network *n, const Ticket *t, const Scratch *s, int64_t E, int64_t H) {
  int64_t M = n->members, D = n->directions, T = t->length, gates = M * D * 3 * H, of_member = layers_size(n);
  const float *ways = n->ways.values, *products = n->products.values;
  for (int64_t i = 0; i < T; i++) {
    /* A known word has the same x in every ticket, so W x + b may have been kept (gru_products). */
    if (n->products.count && t->ids[i] < n->words) {
      s->rows[i] = products + t->ids[i] * gates;
      continue;
    }
    for (int64_t m = 0; m < M; m++)
      for (int64_t d = 0; d < D; d++)
        multiply(E, H, s->tokens + (i * M + m) * E, ways + m * of_member + d * way_size(E, H),
                 s->inputs + i * gates + (m * D + d) * 3 * H);
    s->rows[i] = s->inputs + i * gates;
  }
  for (int64_t m = 0; m < M; m++) {
    const float *way = ways + m * of_member;
    float *states = s->states, *next = s->next;
    for (int64_t l = 0; l < n->layers; l++) {
      int64_t I = l ? D * H : E;
      for (int64_t i = 0; l && i < T; i++) { /* a later layer reads the states of both directions as one vector */
        for (int64_t d = 0; d < D; d++)
          multiply(I, H, states + i * I, way + d * way_size(I, H), s->deep + (i * D + d) * 3 * H);
        s->deep_rows[i] = s->deep + i * D * 3 * H;
      }
      for (int64_t d = 0; d < D; d++, way += way_size(I, H))
        read_ticket(I, H, T, (int)d, way, l ? s->deep_rows : s->rows, (l ? d : m * D + d) * 3 * H,
                    l + 1 < n->layers ? next + d * H : NULL, D * H, s->pooled + ((d * 2 + 0) * M + m) * H,
                    s->pooled + ((d * 2 + 1) * M + m) * H);
      float *read = states;
      states = next;
      next = read;
    }
  }
}

/* ---- The tables, the head and the linear part -------------------------------------------------------------------- */

/* The vector of each token, and the linear part's columns, summed over the tokens and the pairs of neighbours. */
static void look_up(const Network *n, const Ticket *t, const Scratch *s) {
  int64_t ME = (int64_t)n->members * n->embedding, R = n->columns, F = ME + R;
  const loose *words = n->word_rows.values, *grams = n->gram_rows.values, *pairs = n->pair_rows.values;
  float *restrict sum = s->columns;
  int64_t before = PAD; /* which stands before the first token, and after the last */
  for (int64_t k = 0; k < R; k++) sum[k] = 0.f;
  for (int64_t i = 0; i < t->length; i++) {
    int64_t id = t->ids[i], u = id - n->words;
    const loose *row = words + (u < 0 ? id : n->unknown) * F;
    float *restrict x = s->tokens + i * ME;
    for (int64_t k = 0; k < ME; k++) x[k] = row[k];
    for (int64_t k = 0; k < R; k++) sum[k] += row[ME + k];
    /* An unknown word adds the mean of its n-grams' vectors and, of the linear part, the sum of their columns. */
    for (int64_t g = 1; u >= 0 && g <= t->grams[u][0]; g++) {
      const loose *piece = grams + t->grams[u][g] * (F + 1);
      float share = 1.f / (float)t->grams[u][0];
      for (int64_t k = 0; k < ME; k++) x[k] += piece[k] * share;
      for (int64_t k = 0; k < R; k++) sum[k] += piece[ME + k];
    }
  }
  for (int64_t i = 0; n->pairs && i <= t->length; i++) {
    int64_t id = i < t->length ? t->ids[i] : PAD, after = id < n->trained ? id : n->unknown;
    const loose *row = pairs + (before * n->factor + after) % n->pairs * R;
    for (int64_t k = 0; k < R; k++) sum[k] += row[k];
    before = after;
  }
}

/* logits = head x pooled + sum of columns (x basis) / sqrt(T) + bias; then their softmax, in their place. */
static void head_and_softmax(const Network *n, const Scratch *s, int64_t T) {
  int64_t C = n->categories, K = pooled_size(n), width = rounded(C, 16);
  const float *head = n->head.values, *bias = n->head_bias.values, *basis = n->basis.values;
  float *restrict logits = s->logits, scale = 1.f / sqrtf((float)T); /* a long ticket is surer, but not without bound */
  for (int64_t k = 0; k < C; k++) logits[k] = n->is_low_rank ? 0.f : s->columns[k];
  for (int64_t j = 0; n->is_low_rank && j < n->columns; j++)
    for (int64_t k = 0; k < C; k++) logits[k] += s->columns[j] * basis[j * C + k];
  for (int64_t k = 0; k < C; k++) logits[k] = logits[k] * scale + bias[k];
  /* Four rows at a time, because then a logit is read and written a quarter as often; and in whole vectors, because the
  77 columns of a set are 4 vectors and 13 single numbers, which would take longer than these. Zeros fill both up. */
  for (int64_t k = C; k < width; k++) logits[k] = 0.f;
  for (int64_t j = K; j < rounded(K, 4); j++) s->pooled[j] = 0.f;
  for (int64_t j = 0; j < K; j += 4) {
    const float *p = s->pooled + j, *row = head + j * width;
    for (int64_t k = 0; k < width; k += 16)
      for (int64_t i = k; i < k + 16; i++)
        logits[i] += p[0] * row[i] + p[1] * row[width + i] + p[2] * row[2 * width + i] + p[3] * row[3 * width + i];
  }
  uint32_t largest = 0, bits;
  for (int64_t k = 0; k < C; k++) {
    memcpy(&bits, &logits[k], 4);
    bits &= 0x7fffffff; /* without the sign, floats are in the order of their bits, with infinity and NaN last */
    largest = bits > largest ? bits : largest;
  }
  if (largest >= 0x7f800000) { /* by bits, since the compiler was promised that no float is infinite */
    for (int64_t k = 0; k < C; k++) memcpy(&logits[k], &(uint32_t){0x7fc00000}, 4); /* NaN: the caller refuses it */
    return;
  }
  float top = logits[0], sum = 0.f;
  for (int64_t k = 0; k < C; k++) top = logits[k] > top ? logits[k] : top;
  for (int64_t k = 0; k < C; k++) logits[k] = exponential(logits[k] - top); /* the largest is 1: nothing overflows */
  for (int64_t k = 0; k < C; k++) sum += logits[k];
  for (int64_t k = 0; k < C; k++) logits[k] /= sum;
}

static void answer_ticket(const Network *n, const Ticket *t, const Scratch *s) {
  look_up(n, t, s);
  if (n->embedding == 32 && n->hidden == 32)
    read_all(n, t, s, 32, 32); /* the default sizes, as constants */
  else
    read_all(n, t, s, n->embedding, n->hidden);
  head_and_softmax(n, s, t->length);
}

/* ---- Unknown words ----------------------------------------------------------------------------------------------- */

/* CRC-32 as in zlib (ISO 3309), eight steps a byte: of a few letters a table would be slower to fetch than to do without. */
static uint32_t crc32(const uint8_t *bytes, int64_t size) {
  uint32_t crc = 0xffffffff;
  for (int64_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

/* The rows of the n-gram table that stand for a word, as `ngrams` of artifacts/text/tokens.py finds them.

word [size]: UTF-8, between its marks < and >. lengths: of the pieces, in characters, in their order. rows: takes `most`
rows at most. Returns how many there are, or -1 of a word that is longer than a token may be, or of lengths or buckets below 1. */
int32_t gru_ngrams(const uint8_t *word, int64_t size, const int32_t *lengths, int32_t num_lengths, int32_t most,
                   int32_t num_buckets, int32_t *rows) {
  int32_t starts[MAX_CHARACTERS + 1], num_characters = 0, num = 0; /* where each character begins, and where all end */
  for (int64_t i = 0; i < size; i++) {
    if ((word[i] & 0xc0) == 0x80) continue; /* of UTF-8, a byte that goes on with a character has the bits 10xxxxxx */
    if (num_characters == MAX_CHARACTERS) return -1;
    starts[num_characters++] = (int32_t)i;
  }
  starts[num_characters] = (int32_t)size;
  if (num_buckets < 1) return -1;
  for (int32_t l = 0; l < num_lengths; l++) {
    if (lengths[l] < 1) return -1;
    for (int32_t i = 0; i + lengths[l] <= num_characters && num < most; i++, num++)
      rows[num] = 1 + (int32_t)(crc32(word + starts[i], starts[i + lengths[l]] - starts[i]) % (uint32_t)num_buckets);
  }
  return num;
}

/* ---- The edge: nothing behind it looks at an index or a size again ----------------------------------------------- */

INLINE int is_within(int64_t value, int64_t least, int64_t most) { return least <= value && value <= most; }

/* Whether the sizes are possible, and every table holds as many numbers as they ask for. */
static int is_sound(const Network *n) {
  if (!(is_within(n->members, 1, 64) && is_within(n->layers, 1, 16) && is_within(n->directions, 1, 2) &&
        is_within(n->embedding, 1, MAX_HIDDEN) && is_within(n->hidden, 1, MAX_HIDDEN) &&
        is_within(n->categories, 1, MAX_SIZE) && is_within(n->columns, 1, MAX_SIZE) &&
        is_within(n->words, 2, MAX_ROWS) && is_within(n->trained, 2, n->words) && is_within(n->unknown, 0, n->trained - 1) &&
        is_within(n->grams, 1, MAX_ROWS) && is_within(n->pairs, 0, MAX_ROWS) && is_within(n->factor, 0, MAX_SIZE)))
    return 0;
  if (!n->is_low_rank && n->columns != n->categories) return 0;
  int64_t F = (int64_t)n->members * n->embedding + n->columns, C = n->categories;
  int64_t head = rounded(pooled_size(n), 4) * rounded(C, 16);
  return n->word_rows.count == n->words * F && n->gram_rows.count == n->grams * (F + 1) &&
         n->pair_rows.count == (int64_t)n->pairs * n->columns && n->head.count == head && n->head_bias.count == C &&
         n->basis.count == (n->is_low_rank ? n->columns * C : 0) &&
         n->ways.count == n->members * layers_size(n) &&
         (n->products.count == 0 || n->products.count == n->words * gates_size(n));
}

/* Read the next ticket of a message, which stands at `at`, and return where it ends; -1: it does not fit.

grams: takes where the n-grams of each unknown word stand; NULL: nothing is kept, it is only checked. */
static int64_t next_ticket(const Network *n, const int32_t *message, int64_t size, int64_t at, Ticket *t,
                           const int32_t **grams) {
  if (size - at < 2) return -1;
  t->length = message[at], t->num_unknown = message[at + 1], at += 2;
  if (!is_within(t->length, 1, MAX_TOKENS) || !is_within(t->num_unknown, 0, t->length) || size - at < t->length)
    return -1;
  t->ids = message + at, t->grams = grams, at += t->length;
  for (int64_t i = 0; i < t->length; i++)
    if (!is_within(t->ids[i], 0, n->words + t->num_unknown - 1)) return -1;
  for (int64_t u = 0; u < t->num_unknown; u++) {
    if (at >= size || message[at] < 1 || message[at] > size - at - 1) return -1;
    if (grams) grams[u] = message + at;
    for (int64_t g = 1; g <= message[at]; g++)
      if (!is_within(message[at + g], 1, n->grams - 1)) return -1; /* row 0 is padding, which nothing counts */
    at += 1 + message[at];
  }
  return at;
}

/* Cut up one piece of memory; its pointers come first, then rows of floats that each begin on a cache line. */
static int take_memory(const Network *n, int64_t T, int64_t U, Scratch *s) {
  int64_t D = n->directions, H = n->hidden, is_deep = n->layers > 1;
  struct {
    float **place;
    int64_t count;
  } parts[] = {
      {&s->tokens, T * n->members * n->embedding}, {&s->inputs, T * gates_size(n)},
      {&s->deep, is_deep * T * D * 3 * H},         {&s->states, is_deep * T * D * H},
      {&s->next, is_deep * T * D * H},             {&s->columns, n->columns},
      {&s->logits, rounded(n->categories, 16)},     {&s->pooled, rounded(pooled_size(n), 4)},
  };
  int64_t size = 64 + (2 * T + U) * (int64_t)sizeof(void *);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) size += rounded(parts[i].count * 4, 64);
  char *at = s->memory = malloc((size_t)size);
  if (!at) return 0;
  s->rows = (const float **)at, s->deep_rows = s->rows + T, s->grams = (const int32_t **)(s->deep_rows + T);
  at = (char *)(((uintptr_t)(s->grams + U) + 63) / 64 * 64);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    *parts[i].place = (float *)at;
    at += rounded(parts[i].count * 4, 64);
  }
  return 1;
}

/* Which source this object was compiled of: fused.py calls none of another, whose structs may be other ones. */
#ifndef SOURCE
#define SOURCE ""
#endif
const char *const gru_source = SOURCE;

/* Answer the tickets of a message.

message [size]: of each ticket its length, its number of unknown words and its ids; then, of each unknown word, how many
n-grams it has and their rows. probabilities: takes [N, C]; NULL: takes none. best: takes [N, 2], the label and the
probability of the most probable category; NULL: takes none. Returns OK, or what is wrong, and has written nothing then.
Safe to call from several threads: all that it writes is its own. */
int32_t gru_answer(const Network *n, const int32_t *message, int64_t size, int64_t num_tickets, float *probabilities,
                   double *best) {
  if (!is_sound(n)) return BAD_NETWORK;
  Ticket t;
  Scratch s;
  int64_t at = 0, longest = 0, most_unknown = 0, C = n->categories;
  for (int64_t i = 0; i < num_tickets; i++) {
    if ((at = next_ticket(n, message, size, at, &t, NULL)) < 0) return BAD_TICKETS;
    longest = t.length > longest ? t.length : longest;
    most_unknown = t.num_unknown > most_unknown ? t.num_unknown : most_unknown;
  }
  if (num_tickets < 1 || at != size) return BAD_TICKETS;
  if (!take_memory(n, longest, most_unknown, &s)) return NO_MEMORY;
  at = 0;
  for (int64_t i = 0; i < num_tickets; i++) {
    at = next_ticket(n, message, size, at, &t, s.grams);
    answer_ticket(n, &t, &s);
    int64_t label = 0;
    for (int64_t k = 1; k < C; k++) label = s.logits[k] > s.logits[label] ? k : label; /* the first of equal ones */
    if (best) best[2 * i] = (double)label, best[2 * i + 1] = s.logits[label];
    if (probabilities) memcpy(probabilities + i * C, s.logits, (size_t)C * sizeof(float));
  }
  free(s.memory);
  return OK;
}

/* W x + b of every known word and every way of the first layer, as [V, M D 3H]: what `products` may hold. */
int32_t gru_products(const Network *n, float *out) {
  if (!is_sound(n)) return BAD_NETWORK;
  int64_t M = n->members, D = n->directions, E = n->embedding, H = n->hidden, F = M * E + n->columns;
  float x[MAX_HIDDEN];
  for (int64_t row = 0; row < n->words; row++)
    for (int64_t m = 0; m < M; m++) {
      memcpy(x, (const char *)n->word_rows.values + (row * F + m * E) * 4, (size_t)E * 4);
      for (int64_t d = 0; d < D; d++, out += 3 * H)
        multiply(E, H, x, (const float *)n->ways.values + m * layers_size(n) + d * way_size(E, H), out);
    }
  return OK;
}
