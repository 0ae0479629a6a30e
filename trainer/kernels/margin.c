/* The support vector machines of the linear part, fitted for many categories side by side, in one plain C file.

The idea. For each category one machine looks for a weight w_f for each feature f, so that the score w x of its own
tickets lies above 1 and that of all others below -1 (y = 1 and y = -1):

    minimise over w   |w|^2 / 2  +  c * (sum over tickets i of) max(0, 1 - y_i w x_i)^2

The search runs over its dual: one number a_i >= 0 for each ticket, 0 of a ticket that lies well on its side, with

    w = (sum over i of) y_i a_i x_i
    minimise over a   |w|^2 / 2  +  (sum over i of) a_i^2 / (4 c) - a_i

Take one ticket, hold all other a still: what is left is a parabola in a_i, whose lowest point can be written down.

    slope G = y_i w x_i - 1 + a_i / (2 c)        curvature Q = |x_i|^2 + 1 / (2 c)        a_i <- max(0, a_i - G / Q)

Then w follows at once: w <- w + (change of a_i) y_i x_i. Ticket by ticket, in random order, over and over: that is dual
coordinate descent (Hsieh, Chang, Lin, Keerthi, Sundararajan 2008, "A Dual Coordinate Descent Method for Large-scale
Linear SVM", algorithm 1), and LIBLINEAR, behind scikit-learn's LinearSVC, does the same, for one category after the other. As there, the bias is the
weight of one feature more, which every ticket has once.

The speed. A ticket has some hundred features that are not 0, scattered over a table of tens of thousands. All machines
see the same x_i in the same order, so here the weights of up to 64 categories of a feature lie side by side: a feature
is looked up once for all of them, and the innermost loop runs over neighbours in memory (k), where the compiler makes
vector instructions of it. No category shares a number with another: side by side they give what each would give alone.

Axes: N tickets, F features, C categories, K of them side by side (a block). A k runs over the categories of a block. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A function that is INLINE where K is a constant gets loops of a known length, whose sums stay in registers. */
#include "../../artifacts/networks/engines/functions.h"

enum { OK, BAD_PROBLEM, NO_MEMORY };
/* Of the tolerance: a ticket whose largest slope is below is left as it is. At 1 others would have to move in its place,
which took twice the passes (docs/LOG.md). */
#define SETTLED .1f
enum { MAX_BLOCK = 64, MAX_SIZE = 1 << 17, MAX_ROWS = 1 << 28 };

/* What is to be learnt: a matrix of tickets by features, of which only what is not 0 is held, and the categories. */
typedef struct {
  int64_t tickets, features, categories, entries; /* N F C, and how many numbers are not 0 */
  const int64_t *starts;                          /* [N + 1]: where in the next two the ticket's entries begin */
  const int32_t *columns;                         /* [entries]: the feature of each */
  const float *values;                            /* [entries]: x */
  const int32_t *targets;                         /* [N]: the category of each ticket */
  float c;                                        /* how much a ticket on the wrong side costs */
  float tolerance;                                /* the largest slope that may be left */
  int64_t max_passes;                             /* over the tickets, for each block */
  uint64_t seed;                                  /* of the order of the tickets */
  float *duals;                                   /* [N, C]: a, to begin with and as it ends; zeros if nothing is known */
  float *weights;                                 /* [F + 1, C]: takes w, the bias last */
} Problem;

/* What a block works in. */
typedef struct {
  float *weights; /* [F + 1, K]; the bias last */
  float *lengths; /* [N]: |x_i|^2, the bias's 1 included */
  int32_t *order; /* [N]: the tickets; those that are not settled stand in front */
} Scratch;

/* ---- One ticket -------------------------------------------------------------------------------------------------- */

/* Take one step for a ticket, for K categories; returns the largest slope among them. */
INLINE float visit(const Problem *p, const Scratch *s, int64_t i, int64_t first, int64_t count, int64_t K) {
  int64_t begin = p->starts[i], end = p->starts[i + 1], target = p->targets[i] - first;
  float score[MAX_BLOCK] ALIGNED, step[MAX_BLOCK] ALIGNED, dual[MAX_BLOCK] ALIGNED, y[MAX_BLOCK] ALIGNED;
  float *restrict bias = s->weights + p->features * K;
  for (int64_t k = 0; k < K; k++) score[k] = bias[k], dual[k] = 0.f, y[k] = k < count ? -1.f : 0.f; /* 0: no category */
  if (0 <= target && target < count) y[target] = 1.f;
  for (int64_t e = begin; e < end; e++) { /* w x */
    const float *row = s->weights + (int64_t)p->columns[e] * K;
    float x = p->values[e];
    for (int64_t k = 0; k < K; k++) score[k] += x * row[k];
  }
  float *kept = p->duals + i * p->categories + first, softness = .5f / p->c, curvature = s->lengths[i] + softness;
  float share = 1.f / curvature, largest = 0.f;
  memcpy(dual, kept, (size_t)count * sizeof(float));
  for (int64_t k = 0; k < K; k++) {
    float slope = y[k] * (score[k] - y[k]) + dual[k] * softness; /* y (w x - y) = y w x - 1 */
    float next = dual[k] - slope * share;
    next = next > 0.f ? next : 0.f;
    float change = next - dual[k];
    /* Change x curvature is the slope itself, or, where a would have become negative, what of it can be used. */
    float used = fabsf(change) * curvature;
    largest = used > largest ? used : largest;
    step[k] = change * y[k];
    dual[k] = next;
  }
  if (largest <= SETTLED * p->tolerance) return largest; /* half of the work is spared, and a and w still agree */
  memcpy(kept, dual, (size_t)count * sizeof(float));
  for (int64_t k = 0; k < K; k++) bias[k] += step[k];
  for (int64_t e = begin; e < end; e++) { /* w <- w + step x */
    float *restrict row = s->weights + (int64_t)p->columns[e] * K;
    float x = p->values[e];
    for (int64_t k = 0; k < K; k++) row[k] += x * step[k];
  }
  return largest;
}

/* ---- One block of categories ------------------------------------------------------------------------------------- */

/* xorshift64* (Vigna 2014): a random number of 32 bits. */
INLINE uint32_t draw(uint64_t *state) {
  *state ^= *state >> 12, *state ^= *state << 25, *state ^= *state >> 27;
  return (uint32_t)((*state * 0x2545F4914F6CDD1DULL) >> 32);
}

/* Fit the machines of `count` categories from `first` on, of which K have room; returns the passes that it took.

A ticket that is settled is left out of the next passes. Once no open one has a slope over the tolerance, a pass over every
ticket looks whether that is true of all, now that w has moved; if so, that is the end (LIBLINEAR's "shrinking"). */
INLINE int64_t fit_block(const Problem *p, const Scratch *s, int64_t first, int64_t count, int64_t K) {
  uint64_t state = p->seed * 2 + 1; /* each block sees the tickets in the same order; 0 would stay 0 */
  int64_t num_open = p->tickets, pass = 0;
  float *bias = s->weights + p->features * K;
  memset(s->weights, 0, (size_t)((p->features + 1) * K) * sizeof(float));
  for (int64_t i = 0; i < p->tickets; i++) { /* w of the a to begin with */
    const float *dual = p->duals + i * p->categories + first;
    float step[MAX_BLOCK];
    int is_zero = 1;
    s->order[i] = (int32_t)i;
    for (int64_t k = 0; k < count; k++) {
      step[k] = p->targets[i] == first + k ? dual[k] : -dual[k];
      is_zero &= step[k] == 0.f;
      bias[k] += step[k];
    }
    for (int64_t e = p->starts[i]; !is_zero && e < p->starts[i + 1]; e++)
      for (int64_t k = 0; k < count; k++) s->weights[p->columns[e] * K + k] += p->values[e] * step[k];
  }
  while (pass++ < p->max_passes) {
    int is_whole = num_open == p->tickets;
    float largest = 0.f;
    for (int64_t left = num_open; left > 1; left--) { /* shuffled: Fisher and Yates */
      int64_t other = (int64_t)(((uint64_t)draw(&state) * (uint64_t)left) >> 32);
      int32_t moved = s->order[left - 1];
      s->order[left - 1] = s->order[other], s->order[other] = moved;
    }
    for (int64_t at = 0; at < num_open;) {
      int32_t i = s->order[at];
      float slope = visit(p, s, i, first, count, K);
      largest = slope > largest ? slope : largest;
      if (slope > SETTLED * p->tolerance)
        at++;
      else /* changes places with the last open one, which has not been visited yet */
        num_open--, s->order[at] = s->order[num_open], s->order[num_open] = i;
    }
    if (largest <= p->tolerance) {
      if (is_whole) break;
      num_open = p->tickets;
    }
  }
  for (int64_t f = 0; f <= p->features; f++)
    memcpy(p->weights + f * p->categories + first, s->weights + f * K, (size_t)count * sizeof(float));
  return pass;
}

/* ---- The edge: nothing behind it looks at an index or a size again ----------------------------------------------- */

INLINE int is_within(int64_t value, int64_t least, int64_t most) { return least <= value && value <= most; }

static int is_sound(const Problem *p) {
  if (!(is_within(p->tickets, 1, MAX_ROWS) && is_within(p->features, 1, MAX_ROWS) &&
        is_within(p->categories, 1, MAX_SIZE) && p->entries >= 0 && p->c > 0.f && p->tolerance > 0.f &&
        p->max_passes >= 0 && p->starts[0] == 0 && p->starts[p->tickets] == p->entries))
    return 0;
  for (int64_t i = 0; i < p->tickets; i++)
    if (p->starts[i] > p->starts[i + 1] || !is_within(p->targets[i], 0, p->categories - 1)) return 0;
  for (int64_t e = 0; e < p->entries; e++)
    if (!is_within(p->columns[e], 0, p->features - 1)) return 0;
  return 1;
}

/* Which source this object was compiled of: margin.py calls none of another, whose struct may be another one. */
#ifndef SOURCE
#define SOURCE ""
#endif
const char *const margin_source = SOURCE;

/* Fit one machine for each category. Returns OK, or what is wrong, and has written nothing then.

num_passes: takes the passes of the block that took most. Safe to call from several threads, each with its own problem. */
int32_t margin_fit(const Problem *p, int64_t *num_passes) {
  if (!is_sound(p)) return BAD_PROBLEM;
  int64_t K = p->categories < MAX_BLOCK ? p->categories : MAX_BLOCK;
  K = K <= 8 ? 8 : K <= 16 ? 16 : K <= 32 ? 32 : 64;
  Scratch s = {.lengths = malloc((size_t)p->tickets * sizeof(float)), .order = malloc((size_t)p->tickets * sizeof(int32_t))};
  s.weights = aligned_alloc(64, (size_t)((p->features + 1) * K + 15) / 16 * 64); /* whole cache lines */
  int32_t status = s.lengths && s.order && s.weights ? OK : NO_MEMORY;
  *num_passes = 0;
  for (int64_t i = 0; status == OK && i < p->tickets; i++) {
    float length = 1.f;
    for (int64_t e = p->starts[i]; e < p->starts[i + 1]; e++) length += p->values[e] * p->values[e];
    s.lengths[i] = length;
  }
  for (int64_t first = 0; status == OK && first < p->categories; first += K) {
    int64_t left = p->categories - first, count = left < K ? left : K, passes;
    if (count <= 8) /* the last block may be a narrow one */
      passes = fit_block(p, &s, first, count, 8);
    else if (count <= 16)
      passes = fit_block(p, &s, first, count, 16);
    else if (count <= 32)
      passes = fit_block(p, &s, first, count, 32);
    else
      passes = fit_block(p, &s, first, count, 64);
    *num_passes = passes > *num_passes ? passes : *num_passes;
  }
  free(s.weights), free(s.order), free(s.lengths);
  return status;
}
