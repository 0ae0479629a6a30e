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

/* A step of AdamW. numbers: 1 - momentum, 1 - squares, bias, epsilon, 1 - rate x decay, size (rows.py). */
INLINE void stepped(int64_t E, const float *numbers, const float *restrict gradient, float *restrict row,
                    float *restrict mean, float *restrict square) {
  float towards = numbers[0], new = numbers[1], bias = 1.f / numbers[2], epsilon = numbers[3], kept = numbers[4],
        size = numbers[5];
  for (int64_t k = 0; k < E; k++) {
    float g = gradient[k];
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

/* Step rows by their gradients [S, E]. numbers [6]; all else as above. */
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
