/* Rows of tables in a training: sums of them, and steps of AdamW for those that a batch touches, in plain C.

The idea. A batch reads some thousand rows of E numbers, which PyTorch gathers, steps and scatters one operation after
the other, each a pass over all of them. Here a row is read once, everything is done to it while it is in the registers,
and it is written once. The equations stand in trainer/stepping/rows.py; what depends on nothing but the step
comes from there, as a table.

There is no assembler, no intrinsic and no thread, and every sum has one order: the same input gives the same bytes.

Axes: S rows that are touched, V rows of a table, E entries of a row, N sums of rows, M terms of all sums. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../../artifacts/networks/engines/functions.h"

enum { OK, BAD_SHAPE };
enum { MAX_SIZE = 1 << 30 }; /* no product of two, in bytes, leaves 63 bits */

#define LOG_SQUARES -1.00050033e-3f /* ln .999, AdamW's second beta */
#define EPSILON 1e-8f

#ifndef SOURCE
#define SOURCE ""
#endif
const char *const rows_source = SOURCE;

/* Whether so many rows of E entries can be: there may be none, as of n-grams that no word of a batch has. */
static int is_table(int64_t rows, int64_t E) { return rows >= 0 && rows <= MAX_SIZE && E >= 1 && E <= MAX_SIZE; }

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* What a row has missed, done at once. plan: [J, 5] doubles, of each step: owed, log of shrink, of momentum, of decay, and
bias, the logs added up from the first step (rows.py). seen: the step that the row is of; now: that it is brought to. */
INLINE void caught_up(int64_t E, const double *plan, int64_t seen, int64_t now, float *restrict row,
                      float *restrict mean, float *restrict square) {
  const double *then = plan + 5 * seen, *at = plan + 5 * now;
  float shrink = exponential((float)(at[1] - then[1])), momentum = exponential((float)(at[2] - then[2]));
  float decayed = exponential((float)(at[3] - then[3])), squares = exponential((float)(now - seen) * LOG_SQUARES);
  float bias = 1.f / (float)then[4], owed = (float)((then[0] - (double)shrink * at[0]) / then[4]);
  for (int64_t k = 0; k < E; k++) {
    float root = sqrtf(square[k]) * bias + EPSILON;
    row[k] = (row[k] - owed * mean[k] / root) * decayed;
    mean[k] *= momentum, square[k] *= squares;
  }
}

/* A step of AdamW. numbers: 1 - momentum, 1 - squares, bias, epsilon, 1 - rate x decay, size, and the gradient's factor
(rows.py). */
INLINE void stepped(int64_t E, const float *numbers, const float *restrict gradient, float *restrict row,
                    float *restrict mean, float *restrict square) {
  float towards = numbers[0], new = numbers[1], bias = 1.f / numbers[2], epsilon = numbers[3], kept = numbers[4],
        size = numbers[5], factor = numbers[6];
  for (int64_t k = 0; k < E; k++) {
    float g = gradient[k] * factor;
    mean[k] += towards * (g - mean[k]);
    square[k] += new * (g * g - square[k]);
    row[k] = row[k] * kept - size * mean[k] / (sqrtf(square[k]) * bias + epsilon);
  }
}

/* Catch rows up, and copy them out. rows [S]: below V. J: steps of the plan and one. now: below J. seen [V]: the step that
each row is of, at most now; takes now for these. table, mean, square [V, E]: changed in place. taken [S, E]: takes the
rows. */
int32_t rows_take(int64_t S, int64_t V, int64_t E, int64_t J, int64_t now, const int64_t *rows, const double *plan,
                  int64_t *seen, float *table, float *mean, float *square, float *taken) {
  if (!is_table(S, E) || !is_table(V, E) || now < 0 || now >= J) return BAD_SHAPE;
  for (int64_t s = 0; s < S; s++)
    if (rows[s] < 0 || rows[s] >= V || seen[rows[s]] < 0 || seen[rows[s]] > now) return BAD_SHAPE;
  for (int64_t s = 0; s < S; s++) {
    int64_t row = rows[s], at = row * E;
    if (seen[row] < now) {
      if (E == 32) /* the default size, as a constant */
        caught_up(32, plan, seen[row], now, table + at, mean + at, square + at);
      else
        caught_up(E, plan, seen[row], now, table + at, mean + at, square + at);
    }
    seen[row] = now;
    memcpy(taken + s * E, table + at, (size_t)E * sizeof(float));
  }
  return OK;
}

/* Step rows by their gradients [S, E]. numbers [7]; all else as above. */
int32_t rows_step(int64_t S, int64_t V, int64_t E, const int64_t *rows, const float *numbers, const float *gradients,
                  float *table, float *mean, float *square) {
  if (!is_table(S, E) || !is_table(V, E)) return BAD_SHAPE;
  for (int64_t s = 0; s < S; s++)
    if (rows[s] < 0 || rows[s] >= V) return BAD_SHAPE;
  for (int64_t s = 0; s < S; s++) {
    int64_t at = rows[s] * E;
    if (E == 32)
      stepped(32, numbers, gradients + s * 32, table + at, mean + at, square + at);
    else
      stepped(E, numbers, gradients + s * E, table + at, mean + at, square + at);
  }
  return OK;
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* Whether N sums end within their M terms, and each term is one of S rows. */
static int is_sound(int64_t N, int64_t M, int64_t S, int64_t E, const int32_t *ends, const int32_t *columns) {
  if (!is_table(N, E) || !is_table(S, E) || ends[0] != 0 || ends[N] != M) return 0;
  for (int64_t n = 0; n < N; n++)
    if (ends[n] > ends[n + 1]) return 0;
  for (int64_t m = 0; m < M; m++)
    if (columns[m] < 0 || columns[m] >= S) return 0;
  return 1;
}

INLINE void sum_rows(int64_t N, int64_t E, const int32_t *ends, const int32_t *columns, const float *weights,
                     const float *restrict rows, float *restrict sums) {
  for (int64_t n = 0; n < N; n++) {
    float *sum = sums + n * E;
    for (int64_t k = 0; k < E; k++) sum[k] = 0.f;
    for (int64_t m = ends[n]; m < ends[n + 1]; m++) {
      const float *row = rows + columns[m] * E;
      float weight = weights[m];
      for (int64_t k = 0; k < E; k++) sum[k] += weight * row[k];
    }
  }
}

INLINE void hand_back(int64_t N, int64_t E, const int32_t *ends, const int32_t *columns, const float *weights,
                      const float *restrict d_sums, float *restrict d_rows) {
  for (int64_t n = 0; n < N; n++)
    for (int64_t m = ends[n]; m < ends[n + 1]; m++) {
      float *d_row = d_rows + columns[m] * E;
      float weight = weights[m];
      for (int64_t k = 0; k < E; k++) d_row[k] += weight * d_sums[n * E + k];
    }
}

/* Each sum: of weight x row over its terms, which stand one behind the other. ends [N + 1]: 0 and where each sum's terms
end. columns, weights [M]: of the terms. rows [S, E]. sums [N, E]: taken. */
int32_t rows_sum(int64_t N, int64_t M, int64_t S, int64_t E, const int32_t *ends, const int32_t *columns,
                 const float *weights, const float *rows, float *sums) {
  if (!is_sound(N, M, S, E, ends, columns)) return BAD_SHAPE;
  if (E == 32)
    sum_rows(N, 32, ends, columns, weights, rows, sums);
  else
    sum_rows(N, E, ends, columns, weights, rows, sums);
  return OK;
}

/* The gradient of rows_sum: d_rows [S, E] takes the sum over its terms of weight x d_sums [N, E]. */
int32_t rows_sum_back(int64_t N, int64_t M, int64_t S, int64_t E, const int32_t *ends, const int32_t *columns,
                      const float *weights, const float *d_sums, float *d_rows) {
  if (!is_sound(N, M, S, E, ends, columns)) return BAD_SHAPE;
  if (S) memset(d_rows, 0, (size_t)(S * E) * sizeof(float)); /* an empty one of PyTorch has no address */
  if (E == 32)
    hand_back(N, 32, ends, columns, weights, d_sums, d_rows);
  else
    hand_back(N, E, ends, columns, weights, d_sums, d_rows);
  return OK;
}
