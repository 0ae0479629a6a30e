/* Feed rows.c with tables and sums of random shapes, right ones and damaged ones, and hold what it finds against plain
loops.

    cc -fsanitize=address,undefined -o fuzz fuzz_rows.c -lm && ./fuzz SEED ROUNDS

Each array has memory of its own, of just its size, so that the sanitisers see every read and write beyond it; an empty
one is NULL, as PyTorch has it. The loops count in double, and make each step that a row has missed in its turn, which
the kernel does at once. Damaged input must be refused before anything is read of the tables, or written. Ends with
status 1 and a line at the first fault. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../../trainer/kernels/rows.c"

static uint64_t state;
static int64_t chance(int64_t most) { /* 0..most, xorshift64* (Vigna 2014) */
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (int64_t)((state * 0x2545F4914F6CDD1DULL) >> 32) % (most + 1);
}
static double between(double low, double high) { return low + (high - low) * (double)chance(1 << 20) / (1 << 20); }

static void *array(int64_t count, size_t size) { return count ? calloc((size_t)count, size) : NULL; }

static float *numbers(int64_t count, double low, double high) {
  float *made = array(count, sizeof(float));
  for (int64_t i = 0; i < count; i++) made[i] = (float)between(low, high);
  return made;
}

static double *widened(int64_t count, const float *values) {
  double *made = array(count, sizeof(double));
  for (int64_t i = 0; i < count; i++) made[i] = values[i];
  return made;
}

/* And free what was expected. */
static void compare(const char *name, const float *found, double *expected, int64_t count) {
  double largest = .1;
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(expected[i]));
  for (int64_t i = 0; i < count; i++) /* two that are no numbers are equal: a training that diverges has to show */
    if (!(isnan(expected[i]) ? isnan(found[i]) : fabs(found[i] - expected[i]) <= 1e-5 * largest))
      printf("%s %d: %.9g and not %.9g\n", name, (int)i, found[i], expected[i]), exit(1);
  free(expected);
}

static void demand(int is_so, const char *fault) {
  if (!is_so) printf("%s\n", fault), exit(1);
}

/* What no array can have. */
static int64_t no_size(void) {
  return (int64_t[]){-1, INT64_MIN, INT64_MAX, (int64_t)1 << 62, (int64_t)1 << 33}[chance(4)];
}
static int64_t random_entries(void) { return chance(2) ? 1 + chance(40) : 32; }

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* What a step does, of each: the rate, momentum, what is left after a decay, and AdamW's two corrections. */
typedef struct {
  double rate, momentum, kept, bias, size;
} Step;

/* A schedule, and its table as trainer/stepping/rows.py has it. */
static void random_plan(int64_t J, Step *steps, double *plan) {
  double decay = chance(1) ? between(0, .1) : 0;
  for (int64_t j = 0; j < J; j++) {
    Step *one = steps + j;
    double number = j ? (double)j : 1;
    one->rate = between(.001, .02), one->momentum = between(.85, .95), one->kept = 1 - one->rate * decay;
    one->bias = sqrt(1 - pow(.999, number)), one->size = one->rate / (1 - pow(one->momentum, number));
    for (int64_t i = 1; i < 4; i++) plan[5 * j + i] = j ? plan[5 * (j - 1) + i] : 0;
    plan[5 * j + 1] += log(one->momentum / sqrt(.999)), plan[5 * j + 2] += log(one->momentum);
    plan[5 * j + 3] += log(one->kept), plan[5 * j + 4] = one->bias;
  }
  plan[5 * (J - 1)] = 0;
  for (int64_t j = J - 2; j >= 0; j--) {
    const Step *next = steps + j + 1;
    plan[5 * j] = next->momentum / sqrt(.999) * (next->size * next->bias + plan[5 * (j + 1)]);
  }
}

/* Missed steps, one after the other; the weights decay when all are made, as rows.py says. */
static void miss_plainly(const Step *steps, int64_t seen, int64_t now, double *row, double *mean, double *square) {
  double kept = 1;
  for (int64_t j = seen + 1; j <= now; j++) {
    *mean *= steps[j].momentum, *square *= .999, kept *= steps[j].kept;
    *row -= steps[j].size * *mean / (sqrt(*square) / steps[j].bias + 1e-8);
  }
  *row *= kept;
}

/* Tables of which rows are taken and stepped. */
static void try_steps(void) {
  int64_t V = chance(12), S = V ? chance(V) : 0, E = random_entries();
  int64_t J = 1 + chance(chance(9) ? 60 : 3000), now = chance(J - 1);
  Step *steps = array(J, sizeof(Step));
  double *plan = array(5 * J, sizeof(double));
  random_plan(J, steps, plan);
  float *table = numbers(V * E, -1, 1), *mean = numbers(V * E, -1, 1), *square = numbers(V * E, .5, 2);
  int64_t *seen = array(V, sizeof(int64_t)), *kept = array(V, sizeof(int64_t)), *order = array(V, sizeof(int64_t));
  int64_t *rows = array(S, sizeof(int64_t));
  for (int64_t v = 0; v < V; v++) {
    seen[v] = chance(2) ? chance(now) : now, order[v] = v;
    if (!chance(3)) /* a row that no step has touched */
      for (int64_t k = 0; k < E; k++) mean[v * E + k] = square[v * E + k] = 0;
  }
  for (int64_t s = 0; s < S; s++) { /* each row once */
    int64_t other = s + chance(V - 1 - s);
    rows[s] = order[other], order[other] = order[s];
  }
  if (V) memcpy(kept, seen, (size_t)V * sizeof(int64_t));

  /* Damaged: one number is another, and there are no tables. */
  for (int64_t ask = 0; ask < 10; ask++) {
    int64_t sizes[] = {S, V, E, J, now}, which = chance(S ? 7 : 4), *bad = S ? rows + chance(S - 1) : NULL;
    int64_t was = S ? *bad : 0, *of = S ? seen + was : NULL, is_step = chance(1);
    if (which < 3)
      sizes[which] = which == 2 && chance(1) ? 0 : no_size();
    else if (which == 3)
      sizes[3] = chance(1) ? now : -chance(9), is_step = 0;
    else if (which == 4)
      sizes[4] = chance(1) ? J : no_size() | INT64_MIN, is_step = 0;
    else if (which == 5)
      *bad = chance(1) ? V : no_size();
    else if (which == 6)
      *of = chance(1) ? now + 1 : INT64_MAX, is_step = 0;
    else
      *of = chance(1) ? -1 : INT64_MIN, is_step = 0;
    int32_t status = is_step ? rows_step(sizes[0], sizes[1], sizes[2], rows, NULL, NULL, NULL, NULL, NULL)
                             : rows_take(sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], rows, NULL, seen, NULL, NULL,
                                         NULL, NULL);
    demand(status == BAD_SHAPE, "damaged rows are taken");
    if (S) *bad = was, *of = kept[was];
    demand(!V || !memcmp(seen, kept, (size_t)V * sizeof(int64_t)), "refused, and yet written");
  }

  /* Taken. */
  float *taken = numbers(S * E, 0, 0);
  double *plain = widened(V * E, table), *means = widened(V * E, mean), *squares = widened(V * E, square);
  double *copies = array(S * E, sizeof(double));
  for (int64_t s = 0; s < S; s++) {
    for (int64_t k = 0, at = rows[s] * E; k < E; k++, at++) {
      miss_plainly(steps, kept[rows[s]], now, plain + at, means + at, squares + at);
      copies[s * E + k] = plain[at];
    }
    kept[rows[s]] = now;
  }
  demand(rows_take(S, V, E, J, now, rows, plan, seen, table, mean, square, taken) == OK, "right rows are refused");
  demand(!V || !memcmp(seen, kept, (size_t)V * sizeof(int64_t)), "a row is of another step");
  compare("row", table, plain, V * E), compare("mean", mean, means, V * E), compare("square", square, squares, V * E);
  compare("taken", taken, copies, S * E);

  /* Stepped. */
  const Step *step = steps + now;
  float given[] = {1 - (float)step->momentum, .001f, (float)step->bias, 1e-8f, (float)step->kept, (float)step->size,
                   (float)between(0, 1)};
  double size = chance(3) ? 1 : 0; /* of 0 and an untouched row only epsilon keeps NaN away */
  float *of_step = array(7, sizeof(float)), *gradients = numbers(S * E, -size, size);
  memcpy(of_step, given, sizeof given);
  if (S && !chance(3)) gradients[chance(S * E - 1)] = NAN;
  plain = widened(V * E, table), means = widened(V * E, mean), squares = widened(V * E, square);
  for (int64_t i = 0; i < S * E; i++) {
    int64_t at = rows[i / E] * E + i % E;
    double g = (double)gradients[i] * given[6];
    means[at] = (1 - (double)given[0]) * means[at] + given[0] * g;
    squares[at] = (1 - (double)given[1]) * squares[at] + given[1] * g * g;
    plain[at] = given[4] * plain[at] - given[5] * means[at] / (sqrt(squares[at]) / given[2] + given[3]);
  }
  demand(rows_step(S, V, E, rows, of_step, gradients, table, mean, square) == OK, "a right step is refused");
  compare("row", table, plain, V * E), compare("mean", mean, means, V * E), compare("square", square, squares, V * E);
  free(steps), free(plan), free(table), free(mean), free(square), free(seen), free(kept), free(order), free(rows);
  free(taken), free(of_step), free(gradients);
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static void try_sums(void) {
  int64_t N = chance(12), S = chance(12), E = random_entries(), M = 0;
  int32_t *ends = array(N + 1, sizeof(int32_t)); /* a sum may have no term, and a row be a term of several */
  for (int64_t n = 0; n < N; n++) ends[n + 1] = (int32_t)(M += S ? chance(chance(3) ? 3 : 20) : 0);
  int32_t *columns = array(M, sizeof(int32_t));
  for (int64_t m = 0; m < M; m++) columns[m] = (int32_t)chance(S - 1);
  float *weights = numbers(M, -1, 1), *rows = numbers(S * E, -1, 1), *sums = numbers(N * E, 9, 9);
  float *d_sums = numbers(N * E, -1, 1), *d_rows = numbers(S * E, 9, 9);

  /* Damaged: one number is another, and there are no rows. */
  for (int64_t ask = 0; ask < 10; ask++) {
    int64_t sizes[] = {N, M, S, E}, which = chance(M ? 5 : 4);
    int32_t none = 0, *end = ends + chance(N), *column = M ? columns + chance(M - 1) : &none;
    int32_t was_end = *end, was_column = *column;
    if (which == 1)
      sizes[1] = chance(1) ? M + 1 : M - 1;
    else if (which < 4)
      sizes[which] = which == 3 && chance(1) ? 0 : no_size();
    else if (which == 4)
      *end = chance(1) ? -1 : chance(1) ? (int32_t)M + 1 : INT32_MAX;
    else
      *column = chance(1) ? (int32_t)S : chance(1) ? -1 : INT32_MIN;
    int32_t status = rows_sum(sizes[0], sizes[1], sizes[2], sizes[3], ends, columns, NULL, NULL, NULL);
    int32_t back = rows_sum_back(sizes[0], sizes[1], sizes[2], sizes[3], ends, columns, NULL, NULL, NULL);
    demand(status == BAD_SHAPE && back == BAD_SHAPE, "damaged sums are taken");
    *end = was_end, *column = was_column;
  }

  double *plain = array(N * E, sizeof(double)), *d_plain = array(S * E, sizeof(double));
  for (int64_t n = 0; n < N; n++)
    for (int64_t m = ends[n]; m < ends[n + 1]; m++)
      for (int64_t k = 0; k < E; k++) {
        plain[n * E + k] += (double)weights[m] * rows[columns[m] * E + k];
        d_plain[columns[m] * E + k] += (double)weights[m] * d_sums[n * E + k];
      }
  demand(rows_sum(N, M, S, E, ends, columns, weights, rows, sums) == OK, "right sums are refused");
  demand(rows_sum_back(N, M, S, E, ends, columns, weights, d_sums, d_rows) == OK, "the way back is refused");
  compare("sum", sums, plain, N * E), compare("d_row", d_rows, d_plain, S * E);
  free(ends), free(columns), free(weights), free(rows), free(sums), free(d_sums), free(d_rows);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  long rounds = atol(argv[2]);
  state = strtoull(argv[1], NULL, 10) * 2654435769u + 1;
  for (long round = 0; round < rounds; round++) {
    try_steps();
    try_sums();
  }
  printf("%ld tables\n", rounds);
  return 0;
}
