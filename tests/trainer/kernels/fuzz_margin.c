/* Give the kernel margin.c problems of random shapes, right ones and damaged ones.

    cc -fsanitize=address,undefined -o fuzz fuzz_margin.c -lm && ./fuzz SEED ROUNDS

Each array has memory of its own, of just the size that is named, so that the sanitisers see every read and write beyond
it. Of a right problem the weights must be those that belong to the duals, and no ticket may be left with a slope over the
tolerance; a damaged one must be refused. Ends with status 1 and a line at the first fault. */

#include <stdio.h>

#include "../../../trainer/kernels/margin.c"

static uint64_t state;
static uint32_t chance(uint32_t most) { return (uint32_t)(((uint64_t)draw(&state) * ((uint64_t)most + 1)) >> 32); } /* 0..most */

static Problem random_problem(void) {
  Problem p = {.tickets = 1 + chance(40), .features = 1 + chance(30), .categories = 1 + chance(chance(1) ? 150 : 9)};
  int64_t *starts = malloc((size_t)(p.tickets + 1) * sizeof(int64_t));
  int32_t *columns = malloc((size_t)(p.tickets * p.features + 1) * sizeof(int32_t));
  float *values = malloc((size_t)(p.tickets * p.features + 1) * sizeof(float));
  int32_t *targets = malloc((size_t)p.tickets * sizeof(int32_t));
  starts[0] = 0;
  uint32_t share = chance(3); /* a ticket may hold nothing at all */
  for (int64_t i = 0; i < p.tickets; i++) {
    for (int32_t f = 0; f < p.features; f++)
      if (chance(3) < share) columns[p.entries] = f, values[p.entries++] = ((float)chance(2000) - 1000.f) / 1000.f;
    starts[i + 1] = p.entries;
    targets[i] = (int32_t)chance((uint32_t)p.categories - 1);
  }
  p.columns = realloc(columns, (size_t)(p.entries ? p.entries : 1) * sizeof(int32_t));
  p.values = realloc(values, (size_t)(p.entries ? p.entries : 1) * sizeof(float));
  p.starts = starts, p.targets = targets;
  p.c = .03f * (float)(1 << chance(7)), p.tolerance = .01f, p.max_passes = 3000, p.seed = chance(UINT32_MAX - 1);
  p.duals = malloc((size_t)(p.tickets * p.categories) * sizeof(float));
  p.weights = malloc((size_t)((p.features + 1) * p.categories) * sizeof(float));
  int is_warm = (int)chance(1);
  for (int64_t i = 0; i < p.tickets * p.categories; i++) p.duals[i] = is_warm && chance(1) ? (float)chance(100) / 50.f : 0.f;
  return p;
}

static void forget(const Problem *p) {
  free((void *)p->starts), free((void *)p->columns), free((void *)p->values), free((void *)p->targets);
  free(p->duals), free(p->weights);
}

/* In double, and one category after the other. */
static void check_solution(const Problem *p) {
  double *w = malloc((size_t)(p->features + 1) * sizeof(double));
  for (int64_t k = 0; k < p->categories; k++) {
    for (int64_t f = 0; f <= p->features; f++) w[f] = 0;
    for (int64_t i = 0; i < p->tickets; i++) {
      double a = p->duals[i * p->categories + k], y = p->targets[i] == k ? 1 : -1;
      if (!(a >= 0)) printf("a dual of %g\n", a), exit(1);
      for (int64_t e = p->starts[i]; e < p->starts[i + 1]; e++) w[p->columns[e]] += y * a * p->values[e];
      w[p->features] += y * a;
    }
    for (int64_t f = 0; f <= p->features; f++)
      if (!(fabs(w[f] - p->weights[f * p->categories + k]) < 1e-3 * (1 + fabs(w[f]))))
        printf("weight %g of %g\n", p->weights[f * p->categories + k], w[f]), exit(1);
    for (int64_t i = 0; i < p->tickets; i++) {
      double a = p->duals[i * p->categories + k], y = p->targets[i] == k ? 1 : -1, length = 1, score = w[p->features];
      for (int64_t e = p->starts[i]; e < p->starts[i + 1]; e++)
        score += w[p->columns[e]] * p->values[e], length += (double)p->values[e] * p->values[e];
      double softness = .5 / p->c, slope = y * score - 1 + a * softness, curvature = length + softness;
      double next = a - slope / curvature > 0 ? a - slope / curvature : 0;
      if (!(fabs(next - a) * curvature < 2 * p->tolerance + 1e-3)) printf("a slope of %g is left\n", slope), exit(1);
    }
  }
  free(w);
}

/* One size, start, column or target that is none. */
static void ask_wrong_problem(Problem p) {
  int64_t *start = (int64_t *)p.starts + chance((uint32_t)p.tickets), kept_start = *start;
  int32_t *target = (int32_t *)p.targets + chance((uint32_t)p.tickets - 1), kept_target = *target;
  int32_t none = -1, *column = p.entries ? (int32_t *)p.columns + chance((uint32_t)p.entries - 1) : &none, kept_column = *column;
  int64_t passes;
  switch (chance(p.entries ? 9 : 8)) {
    case 0: p.tickets = 0; break;
    case 1: p.features = -1; break;
    case 2: p.categories = 1 << 20; break;
    case 3: p.entries++; break;
    case 4: p.c = 0.f; break;
    case 5: p.tolerance = -1.f; break;
    case 6: *start = chance(1) ? -1 : INT64_MAX; break;
    case 7: *target = chance(1) ? -1 : (int32_t)p.categories; break;
    case 8: p.max_passes = -1; break;
    default: *column = chance(1) ? -1 : (int32_t)p.features;
  }
  if (margin_fit(&p, &passes) != BAD_PROBLEM) printf("a wrong problem was solved\n"), exit(1);
  *start = kept_start, *target = kept_target, *column = kept_column;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  long rounds = atol(argv[2]);
  state = strtoull(argv[1], NULL, 10) * 2654435769u + 1;
  for (long round = 0; round < rounds; round++) {
    Problem p = random_problem();
    int64_t passes;
    int32_t status = margin_fit(&p, &passes);
    if (status != OK) printf("status %d of a right problem\n", status), exit(1);
    if (passes <= p.max_passes) check_solution(&p);
    for (int ask = 0; ask < 10; ask++) ask_wrong_problem(p);
    forget(&p);
  }
  printf("%ld solved\n", rounds);
  return 0;
}
