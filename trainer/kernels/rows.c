/* Rows of tables in a training: sums of them, and steps of AdamW for those that a batch touches, in plain C.

The idea. A batch reads some thousand rows of E numbers, which PyTorch gathers, steps and scatters one operation after
the other, each a pass over all of them. Here a row is read once, everything is done to it while it is in the registers,
and it is written once. The equations stand in trainer/stepping/rows.py; the factors that depend on nothing but the step
a row is of come from there, a number a row.

There is no assembler, no intrinsic and no thread, and every sum has one order: the same input gives the same bytes.

Axes: S rows that are touched, V rows of a table, E entries of a row, N sums of rows, M terms of all sums. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../../artifacts/networks/engines/functions.h"

enum { OK, BAD_SHAPE };

#ifndef SOURCE
#define SOURCE ""
#endif
const char *const rows_source = SOURCE;

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* What a row has missed, done at once. factors: owed, decayed, momentum, squares, 1 / bias (rows.py). */
INLINE void caught_up(int64_t E, const float *factors, float *restrict row, float *restrict mean,
                      float *restrict square, float epsilon) {
  float owed = factors[0], decayed = factors[1], momentum = factors[2], squares = factors[3], bias = factors[4];
  for (int64_t k = 0; k < E; k++) {
    float root = sqrtf(square[k]) * bias + epsilon;
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

/* Catch rows up, and copy them out. rows [S]: below V. factors [S, 5]. table, mean, square [V, E]: changed in place.
taken [S, E]: takes the rows; NULL: they are not wanted. */
int32_t rows_take(int64_t S, int64_t V, int64_t E, const int64_t *rows, const float *factors, float epsilon,
                  float *table, float *mean, float *square, float *taken) {
  for (int64_t s = 0; s < S; s++)
    if (rows[s] < 0 || rows[s] >= V) return BAD_SHAPE;
  for (int64_t s = 0; s < S; s++) {
    int64_t at = rows[s] * E;
    if (E == 32) /* the default size, as a constant */
      caught_up(32, factors + s * 5, table + at, mean + at, square + at, epsilon);
    else
      caught_up(E, factors + s * 5, table + at, mean + at, square + at, epsilon);
    if (taken) memcpy(taken + s * E, table + at, (size_t)E * sizeof(float));
  }
  return OK;
}

/* Step rows by their gradients [S, E]. numbers [7]; all else as above. */
int32_t rows_step(int64_t S, int64_t V, int64_t E, const int64_t *rows, const float *numbers, const float *gradients,
                  float *table, float *mean, float *square) {
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
static int is_sound(int64_t N, int64_t M, int64_t S, const int32_t *ends, const int32_t *columns) {
  if (N < 0 || M < 0 || ends[0] != 0 || ends[N] != M) return 0;
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
  if (!is_sound(N, M, S, ends, columns)) return BAD_SHAPE;
  if (E == 32)
    sum_rows(N, 32, ends, columns, weights, rows, sums);
  else
    sum_rows(N, E, ends, columns, weights, rows, sums);
  return OK;
}

/* The gradient of rows_sum: d_rows [S, E] takes the sum over its terms of weight x d_sums [N, E]. */
int32_t rows_sum_back(int64_t N, int64_t M, int64_t S, int64_t E, const int32_t *ends, const int32_t *columns,
                      const float *weights, const float *d_sums, float *d_rows) {
  if (!is_sound(N, M, S, ends, columns)) return BAD_SHAPE;
  memset(d_rows, 0, (size_t)(S * E) * sizeof(float));
  if (E == 32)
    hand_back(N, 32, ends, columns, weights, d_sums, d_rows);
  else
    hand_back(N, E, ends, columns, weights, d_sums, d_rows);
  return OK;
}
