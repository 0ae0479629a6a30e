/* The GRU of a training: the states of a batch of tickets, and the gradient of what they led to, in plain C.

The idea. PyTorch pads a batch to one length and calls a dozen functions a step, each of which works on a few thousand
numbers: most of the time goes into calling. Here the tokens of all tickets stand one behind the other, nothing is
padded, and one call does every step of every ticket in both directions. What has no order is left to the large matrix
products of PyTorch, which run at the speed of the processor: W x + b of all tokens before the first step, and the
gradients of the weights after the last one. So this file holds only what must go step by step.

Forward, with the names of docs/en/04-gru.md; h' is the state before the token:

    r = sigmoid(a_r)      a_r = W_r x + b_r + U_r h' + c_r
    z = sigmoid(a_z)      a_z = W_z x + b_z + U_z h' + c_z
    u = U_n h' + c_n
    n = tanh(a_n)         a_n = W_n x + b_n + r * u
    h = (1 - z) * n + z * h'

Backward. Let d_v be the derivative of the loss by v. Each line is the chain rule on a line above, from the last up, and
d_h is what the layer above says of this token's state plus what the next token says of it:

    d_n   = d_h * (1 - z)              d_z   = d_h * (h' - n)
    d_a_n = d_n * (1 - n * n)          d_a_z = d_z * z * (1 - z)
    d_r   = d_a_n * u                  d_a_r = d_r * r * (1 - r)
    d_u   = d_a_n * r
    d_h'  = d_h * z + U_r^T d_a_r + U_z^T d_a_z + U_n^T d_u

The rest is one product over all tokens for each weight, in cell.py. W x + b is told d_a = (d_a_r, d_a_z, d_a_n), and
U h' + c is told d_v = (d_a_r, d_a_z, d_u), since r stands between it and n:

    d_W = sum of d_a x^T      d_b = sum of d_a      d_U = sum of d_v h'^T      d_c = sum of d_v

The order of the loops. A row of U is read once for a whole group of tickets, which take the same step side by side; so
a product is bound by the arithmetic and not by fetching U. The groups are of tickets of like length. A ticket that has
ended is computed on and nobody looks; that is cheaper than another loop. There is no assembler, no intrinsic and no
thread, and every sum has one order: the same input gives the same bytes.

Axes: N tokens of all tickets, B tickets, D directions, H hidden, G tickets of a group, K entries of a state, D H. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../artifacts/networks/engines/functions.h"

enum { OK, BAD_SHAPE, NO_MEMORY };
enum { MAX_HIDDEN = 1024, MAX_TOKENS = 1 << 30 }; /* no product leaves 63 bits, and a token's number fits in 32 */

/* So many sums grow in registers: TILE neighbours of each of GROUP tickets. With 16 in place of 32, gcc 12 takes the
inner loop apart before it makes vectors, and everything takes five times as long (docs/LOG.md). */
enum { GROUP = 4, TILE = 32 };

typedef struct {
  int64_t start, length; /* its first token, and how many */
} Ticket;

/* What a call works in, cut out of one piece of memory; W is H rounded up to a whole number of tiles. */
typedef struct {
  Ticket *tickets; /* [B, and up to a whole group], the longest first */
  float *matrix;   /* [3 H W]: U of a direction, once as its rows stand and once turned */
  float *c;        /* [3 W] */
  float *wide;     /* [G, 3 W]: U h' + c of a group; on the way back zeros */
  float *narrow;   /* [G, W]: its states, or d_h */
  void *memory;
} Scratch;

INLINE int64_t rounded(int64_t size, int64_t step) { return (size + step - 1) / step * step; }
/* The token that a ticket reads in a step: in the second direction it begins with its own last one. */
INLINE int64_t token(Ticket t, int64_t step, int64_t direction) {
  return t.start + (direction ? t.length - 1 - step : step);
}

/* out [G, width] += v [G] [J] times M [J, width], width a multiple of TILE. */
INLINE void add_products(int64_t J, int64_t width, const float *M, const float *const *v, float *restrict out) {
  for (int64_t at = 0; at < width; at += TILE) {
    float sum[GROUP][TILE] ALIGNED;
    for (int64_t g = 0; g < GROUP; g++)
      for (int64_t k = 0; k < TILE; k++) sum[g][k] = out[g * width + at + k];
    for (int64_t j = 0; j < J; j++) {
      const float *row = M + j * width + at;
      for (int64_t g = 0; g < GROUP; g++)
        for (int64_t k = 0; k < TILE; k++) sum[g][k] += v[g][j] * row[k];
    }
    for (int64_t g = 0; g < GROUP; g++)
      for (int64_t k = 0; k < TILE; k++) out[g * width + at + k] = sum[g][k];
  }
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* The state after a token. gates [3H]: holds W x + b, takes r, z, n. a [3H]: U h' + c. h [H]: the state, in place. */
INLINE void step(int64_t H, const float *restrict a, float *restrict gates, float *restrict us, float *restrict before,
                 float *restrict h, float *restrict states) {
  for (int64_t k = 0; k < H; k++) {
    float r = sigmoid(gates[k] + a[k]);
    float z = sigmoid(gates[H + k] + a[H + k]);
    float u = a[2 * H + k];
    float n = hyperbolic(gates[2 * H + k] + r * u);
    gates[k] = r, gates[H + k] = z, gates[2 * H + k] = n; /* what the way back asks for */
    us[k] = u, before[k] = h[k];
    h[k] = n + z * (h[k] - n); /* (1 - z) * n + z * h', with one product less */
    states[k] = h[k];
  }
}

/* One group reads its tickets in one direction. turned [H, width]: U, with neighbours k. c [width]. a, h: room. */
INLINE void read_group(int64_t D, int64_t H, const Ticket *group, int64_t d, const float *turned, const float *c,
                       float *a, float *h, float *gates, float *us, float *before, float *states) {
  int64_t width = rounded(3 * H, TILE);
  const float *of_group[GROUP];
  for (int64_t g = 0; g < GROUP; g++) of_group[g] = h + g * H;
  for (int64_t k = 0; k < GROUP * H; k++) h[k] = 0.f;
  for (int64_t s = 0; s < group->length; s++) { /* the first ticket is the longest */
    for (int64_t g = 0; g < GROUP; g++) memcpy(a + g * width, c, (size_t)width * sizeof(float));
    add_products(H, width, turned, of_group, a); /* a = U h' + c */
    for (int64_t g = 0; g < GROUP && s < group[g].length; g++) {
      int64_t at = token(group[g], s, d) * D + d;
      step(H, a + g * width, gates + at * 3 * H, us + at * H, before + at * H, h + g * H, states + at * H);
    }
  }
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* What a token's gates are told. d_h [H]: what the next token says of this state; takes d_h * z. d_a, d_v [3H]: take
theirs. */
INLINE void step_back(int64_t H, const float *restrict gates, const float *restrict us, const float *restrict before,
                      const float *restrict d_states, float *restrict d_h, float *restrict d_a, float *restrict d_v) {
  for (int64_t k = 0; k < H; k++) {
    float r = gates[k], z = gates[H + k], n = gates[2 * H + k];
    float d = d_h[k] + d_states[k];
    float d_a_n = d * (1.f - z) * (1.f - n * n);
    float d_a_z = d * (before[k] - n) * z * (1.f - z);
    float d_a_r = d_a_n * us[k] * r * (1.f - r);
    d_a[k] = d_a_r, d_a[H + k] = d_a_z, d_a[2 * H + k] = d_a_n;
    d_v[k] = d_a_r, d_v[H + k] = d_a_z, d_v[2 * H + k] = d_a_n * r; /* the last is d_u */
    d_h[k] = d * z; /* the product adds the rest of d_h' */
  }
}

/* One group goes back through its tickets, from the last step. U [3H, width], with neighbours k. d_h: room. */
INLINE void return_group(int64_t D, int64_t H, const Ticket *group, int64_t d, const float *U, const float *zeros,
                         float *d_h, const float *gates, const float *us, const float *before, const float *d_states,
                         float *d_a, float *d_vs) {
  int64_t width = rounded(H, TILE);
  const float *d_v[GROUP];
  for (int64_t k = 0; k < GROUP * width; k++) d_h[k] = 0.f; /* nothing comes after the last token, ... */
  for (int64_t g = 0; g < GROUP; g++) d_v[g] = zeros; /* ... and a shorter ticket joins when its last step has come */
  for (int64_t s = group->length - 1; s >= 0; s--) {
    for (int64_t g = 0; g < GROUP && s < group[g].length; g++) {
      int64_t at = token(group[g], s, d) * D + d;
      d_v[g] = d_vs + at * 3 * H;
      step_back(H, gates + at * 3 * H, us + at * H, before + at * H, d_states + at * H, d_h + g * width,
                d_a + at * 3 * H, d_vs + at * 3 * H);
    }
    add_products(3 * H, width, U, d_v, d_h); /* d_h' = d_h * z + U^T d_v */
  }
}

/* ---- The edge: nothing behind it looks at a size again ----------------------------------------------------------- */

INLINE int is_within(int64_t value, int64_t least, int64_t most) { return least <= value && value <= most; }

/* Whether the lengths are those of so many tokens. */
static int is_sound(int64_t num_tokens, int64_t num_tickets, const int64_t *lengths) {
  int64_t sum = 0;
  if (!is_within(num_tokens, 1, MAX_TOKENS) || !is_within(num_tickets, 1, num_tokens)) return 0;
  for (int64_t i = 0; i < num_tickets; i++) {
    if (!is_within(lengths[i], 1, num_tokens)) return 0;
    sum += lengths[i];
  }
  return sum == num_tokens;
}

static int longer_first(const void *one, const void *other) {
  const Ticket *a = one, *b = other;
  if (a->length != b->length) return a->length > b->length ? -1 : 1;
  return a->start < b->start ? -1 : a->start > b->start; /* of one length in their order: the same groups each time */
}

/* Check the sizes, order the tickets and take memory. */
static int begin(int64_t N, int64_t B, int64_t D, int64_t H, const int64_t *lengths, Scratch *s) {
  if (!is_within(D, 1, 2) || !is_within(H, 1, MAX_HIDDEN) || !is_sound(N, B, lengths)) return BAD_SHAPE;
  int64_t W = rounded(H, TILE), all = rounded(B, GROUP), start = 0;
  int64_t num_floats = 3 * H * W + 3 * W + GROUP * 3 * W + GROUP * W;
  char *at = s->memory = calloc(1, (size_t)num_floats * sizeof(float) + (size_t)all * sizeof(Ticket) + 64);
  if (!at) return NO_MEMORY;
  s->matrix = (float *)(((uintptr_t)at + 63) / 64 * 64); /* each part is a whole number of cache lines */
  s->c = s->matrix + 3 * H * W, s->wide = s->c + 3 * W, s->narrow = s->wide + GROUP * 3 * W;
  s->tickets = (Ticket *)(s->narrow + GROUP * W);
  for (int64_t i = 0; i < B; start += lengths[i], i++) s->tickets[i] = (Ticket){start, lengths[i]};
  qsort(s->tickets, (size_t)B, sizeof(Ticket), longer_first); /* behind them stay those of length 0 */
  return OK;
}

/* Which source this object was compiled of: native.py opens none of another. */
#ifndef SOURCE
#define SOURCE ""
#endif
const char *const cell_source = SOURCE;

/* Read every ticket in every direction.

lengths [B]: of the tickets, N in all. U [D, 3H, H], c [D, 3H]: as PyTorch has them, gates r, z, n. gates [N, D, 3H]:
holds W x + b, takes r, z, n. us, before, states [N, D, H]: take u, h' and h. Returns OK, or what is wrong, and has written
nothing then. Safe to call from several threads: all else that it writes is its own. */
int32_t cell_forward(int64_t N, int64_t B, int64_t D, int64_t H, const int64_t *lengths, const float *U, const float *c,
                     float *gates, float *us, float *before, float *states) {
  Scratch s;
  int status = begin(N, B, D, H, lengths, &s);
  if (status != OK) return status;
  int64_t width = rounded(3 * H, TILE);
  for (int64_t d = 0; d < D; d++, U += 3 * H * H, c += 3 * H) {
    for (int64_t k = 0; k < 3 * H; k++) {
      s.c[k] = c[k];
      for (int64_t j = 0; j < H; j++) s.matrix[j * width + k] = U[k * H + j];
    }
    for (const Ticket *group = s.tickets; group < s.tickets + B; group += GROUP)
      read_group(D, H, group, d, s.matrix, s.c, s.wide, s.narrow, gates, us, before, states);
  }
  free(s.memory);
  return OK;
}

/* Go back through every ticket.

gates, us, before: as cell_forward left them. d_states [N, D, H]: the derivatives by h, without what later tokens say of
it. d_a, d_v [N, D, 3H]: take the derivatives by W x + b and by U h' + c. All else as there. */
int32_t cell_backward(int64_t N, int64_t B, int64_t D, int64_t H, const int64_t *lengths, const float *U,
                      const float *gates, const float *us, const float *before, const float *d_states, float *d_a,
                      float *d_v) {
  Scratch s;
  int status = begin(N, B, D, H, lengths, &s);
  if (status != OK) return status;
  int64_t width = rounded(H, TILE);
  for (int64_t d = 0; d < D; d++, U += 3 * H * H) {
    for (int64_t k = 0; k < 3 * H; k++) memcpy(s.matrix + k * width, U + k * H, (size_t)H * sizeof(float));
    for (const Ticket *group = s.tickets; group < s.tickets + B; group += GROUP)
      return_group(D, H, group, d, s.matrix, s.wide, s.narrow, gates, us, before, d_states, d_a, d_v);
  }
  free(s.memory);
  return OK;
}

/* ---- Pooling ----------------------------------------------------------------------------------------------------- */

/* Of each entry the largest and the mean value over a ticket's tokens.

h [N, K]. pooled [B, 2, K]: takes the largest, then the means. places [B, K]: takes which token of all had the largest,
the first of equal ones. Returns as cell_forward does. */
int32_t pool_forward(int64_t N, int64_t B, int64_t K, const int64_t *lengths, const float *h, float *pooled,
                     int32_t *places) {
  if (!is_within(K, 1, 2 * MAX_HIDDEN) || !is_sound(N, B, lengths)) return BAD_SHAPE;
  int64_t t = 0;
  for (int64_t i = 0; i < B; i++) {
    float *restrict largest = pooled + i * 2 * K, *restrict mean = largest + K;
    int32_t *restrict place = places + i * K;
    for (int64_t k = 0; k < K; k++) largest[k] = mean[k] = h[t * K + k], place[k] = (int32_t)t;
    for (int64_t end = t++ + lengths[i]; t < end; t++)
      for (int64_t k = 0; k < K; k++) {
        float value = h[t * K + k];
        place[k] = value > largest[k] ? (int32_t)t : place[k];
        largest[k] = value > largest[k] ? value : largest[k];
        mean[k] += value;
      }
    for (int64_t k = 0; k < K; k++) mean[k] /= (float)lengths[i];
  }
  return OK;
}

/* d_h = d_mean / T of each token, plus d_largest where the token had it. d_pooled [B, 2, K]; d_h [N, K]: taken. */
int32_t pool_backward(int64_t N, int64_t B, int64_t K, const int64_t *lengths, const float *d_pooled,
                      const int32_t *places, float *d_h) {
  if (!is_within(K, 1, 2 * MAX_HIDDEN) || !is_sound(N, B, lengths)) return BAD_SHAPE;
  int64_t t = 0;
  for (int64_t i = 0; i < B; i++) {
    const float *d_largest = d_pooled + i * 2 * K, *d_mean = d_largest + K;
    const int32_t *place = places + i * K;
    float share = 1.f / (float)lengths[i];
    for (int64_t end = t + lengths[i]; t < end; t++)
      for (int64_t k = 0; k < K; k++) d_h[t * K + k] = d_mean[k] * share + (place[k] == t ? d_largest[k] : 0.f);
  }
  return OK;
}
