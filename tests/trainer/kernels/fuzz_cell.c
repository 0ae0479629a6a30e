/* Feed cell.c with batches of random shapes, and hold what it finds against the equations one number at a time.

    cc -fsanitize=address,undefined -o fuzz fuzz_cell.c -lm && ./fuzz SEED ROUNDS

Each array has memory of its own, of just its size, so that the sanitisers see every read and write beyond it. Sums are
double here and no ticket is read next to another, so nothing of the kernel's order of loops is repeated. Lengths that do
not fit must be refused. Ends with status 1 and a line at the first fault. */

#include <math.h>
#include <stdio.h>

#include "../../../trainer/kernels/cell.c"

static uint64_t state;
static int64_t chance(int64_t most) { /* 0..most, xorshift64* (Vigna 2014) */
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (int64_t)((state * 0x2545F4914F6CDD1DULL) >> 32) % (most + 1);
}

static float *numbers(int64_t count, float size) {
  float *made = malloc((size_t)count * sizeof(float));
  for (int64_t i = 0; i < count; i++) made[i] = ((float)chance(20000) / 10000.f - 1.f) * size;
  return made;
}

static void compare(const char *name, const float *found, const double *expected, int64_t count) {
  double largest = .1; /* the loss asks for numbers of size 1; where every gate is at its end, only rounding is left */
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(expected[i]));
  for (int64_t i = 0; i < count; i++)
    if (!(fabs(found[i] - expected[i]) <= 1e-5 * largest))
      printf("%s %d: %.9g and not %.9g\n", name, (int)i, found[i], expected[i]), exit(1);
}

static double plain_sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One ticket in one direction, by the equations; arrays as those of the kernel, but of double. */
static void read_plainly(int64_t D, int64_t H, int64_t start, int64_t T, int64_t d, const float *U, const float *c,
                         const float *inputs, const float *d_states, double *states, double *d_a, double *d_v) {
  double *h = calloc((size_t)((T + 1) * H), sizeof(double)), *gates = calloc((size_t)(T * 4 * H), sizeof(double));
  double *d_h = calloc((size_t)((T + 1) * H), sizeof(double));
  U += d * 3 * H * H, c += d * 3 * H;
  for (int64_t s = 0; s < T; s++) {
    int64_t t = (d ? start + T - 1 - s : start + s) * D + d;
    for (int64_t k = 0; k < H; k++) {
      double a[3];
      for (int64_t i = 0; i < 3; i++) {
        a[i] = c[i * H + k];
        for (int64_t j = 0; j < H; j++) a[i] += U[(i * H + k) * H + j] * h[s * H + j];
      }
      double r = plain_sigmoid(inputs[t * 3 * H + k] + a[0]), z = plain_sigmoid(inputs[t * 3 * H + H + k] + a[1]);
      double n = tanh(inputs[t * 3 * H + 2 * H + k] + r * a[2]);
      double *gate = gates + (s * H + k) * 4;
      gate[0] = r, gate[1] = z, gate[2] = n, gate[3] = a[2];
      states[t * H + k] = h[(s + 1) * H + k] = (1 - z) * n + z * h[s * H + k];
    }
  }
  for (int64_t s = T - 1; s >= 0; s--) {
    int64_t t = (d ? start + T - 1 - s : start + s) * D + d;
    for (int64_t k = 0; k < H; k++) {
      double *gate = gates + (s * H + k) * 4, r = gate[0], z = gate[1], n = gate[2], u = gate[3];
      double d_k = d_h[(s + 1) * H + k] + d_states[t * H + k];
      double d_a_n = d_k * (1 - z) * (1 - n * n), d_a_z = d_k * (h[s * H + k] - n) * z * (1 - z);
      double d_a_r = d_a_n * u * r * (1 - r), d_u = d_a_n * r;
      d_a[t * 3 * H + k] = d_a_r, d_a[t * 3 * H + H + k] = d_a_z, d_a[t * 3 * H + 2 * H + k] = d_a_n;
      d_v[t * 3 * H + k] = d_a_r, d_v[t * 3 * H + H + k] = d_a_z, d_v[t * 3 * H + 2 * H + k] = d_u;
      d_h[s * H + k] += d_k * z;
      for (int64_t j = 0; j < H; j++)
        d_h[s * H + j] += U[k * H + j] * d_a_r + U[(H + k) * H + j] * d_a_z + U[(2 * H + k) * H + j] * d_u;
    }
  }
  free(h), free(gates), free(d_h);
}

static void try_cell(int64_t N, int64_t B, const int64_t *lengths) {
  int64_t D = 1 + chance(1), H = chance(2) ? 1 + chance(40) : 32;
  float scale = 1.f / sqrtf((float)H), *U = numbers(D * 3 * H * H, scale), *c = numbers(D * 3 * H, scale);
  float *gates = numbers(N * D * 3 * H, chance(4) ? 1.f : 30.f), *d_states = numbers(N * D * H, 1.f);
  float *us = numbers(N * D * H, 0.f), *before = numbers(N * D * H, 0.f), *states = numbers(N * D * H, 0.f);
  float *d_a = numbers(N * D * 3 * H, 0.f), *d_v = numbers(N * D * 3 * H, 0.f);
  double *plain[3];
  for (int64_t i = 0; i < 3; i++) plain[i] = calloc((size_t)(N * D * 3 * H), sizeof(double));
  for (int64_t i = 0, start = 0; i < B; start += lengths[i], i++)
    for (int64_t d = 0; d < D; d++)
      read_plainly(D, H, start, lengths[i], d, U, c, gates, d_states, plain[0], plain[1], plain[2]);
  if (cell_forward(N, B, D, H, lengths, U, c, gates, us, before, states) != OK) printf("forward refused\n"), exit(1);
  if (cell_backward(N, B, D, H, lengths, U, gates, us, before, d_states, d_a, d_v) != OK)
    printf("backward refused\n"), exit(1);
  compare("h", states, plain[0], N * D * H);
  compare("d_a", d_a, plain[1], N * D * 3 * H);
  compare("d_v", d_v, plain[2], N * D * 3 * H);
  for (int64_t i = 0; i < 3; i++) free(plain[i]);
  free(U), free(c), free(gates), free(d_states), free(us), free(before), free(states), free(d_a), free(d_v);
}

static void try_pool(int64_t N, int64_t B, const int64_t *lengths) {
  int64_t K = 1 + chance(70);
  float *h = numbers(N * K, 1.f), *pooled = numbers(B * 2 * K, 0.f), *d_pooled = numbers(B * 2 * K, 1.f);
  float *d_h = numbers(N * K, 0.f);
  int32_t *places = malloc((size_t)(B * K) * sizeof(int32_t));
  double *means = calloc((size_t)(B * 2 * K), sizeof(double)), *d_plain = calloc((size_t)(N * K), sizeof(double));
  for (int64_t i = 0, start = 0; i < B; start += lengths[i], i++)
    for (int64_t k = 0; k < K; k++) {
      int64_t best = start;
      for (int64_t t = start; t < start + lengths[i]; t++) {
        best = h[t * K + k] > h[best * K + k] ? t : best;
        means[(i * 2 + 1) * K + k] += (double)h[t * K + k] / (double)lengths[i];
        d_plain[t * K + k] += (double)d_pooled[(i * 2 + 1) * K + k] / (double)lengths[i];
      }
      means[i * 2 * K + k] = h[best * K + k];
      d_plain[best * K + k] += d_pooled[i * 2 * K + k];
    }
  if (pool_forward(N, B, K, lengths, h, pooled, places) != OK) printf("pool refused\n"), exit(1);
  if (pool_backward(N, B, K, lengths, d_pooled, places, d_h) != OK) printf("pool refused its way back\n"), exit(1);
  compare("pooled", pooled, means, B * 2 * K);
  compare("d_h", d_h, d_plain, N * K);
  free(h), free(pooled), free(d_pooled), free(d_h), free(places), free(means), free(d_plain);
}

/* One length, or one size, is another than the arrays have: nothing may be read or written. */
static void try_wrong(int64_t N, int64_t B, const int64_t *lengths) {
  static const int64_t ends[] = {0, -1, INT64_MIN, INT64_MAX, MAX_TOKENS + 1LL, (int64_t)1 << 33};
  int64_t *wrong = malloc((size_t)B * sizeof(int64_t)), sizes[] = {N, B, 1, 4};
  memcpy(wrong, lengths, (size_t)B * sizeof(int64_t));
  if (chance(1))
    wrong[chance(B - 1)] = ends[chance(5)];
  else if (chance(1))
    wrong[chance(B - 1)] += 2 * chance(1) - 1;
  else
    sizes[chance(3)] = ends[chance(5)];
  int status = cell_forward(sizes[0], sizes[1], sizes[2], sizes[3], wrong, NULL, NULL, NULL, NULL, NULL, NULL);
  int back = cell_backward(sizes[0], sizes[1], sizes[2], sizes[3], wrong, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
  if (status != BAD_SHAPE || back != BAD_SHAPE) printf("wrong sizes are taken\n"), exit(1);
  if (sizes[2] == 1) {
    status = pool_forward(sizes[0], sizes[1], sizes[3], wrong, NULL, NULL, NULL);
    back = pool_backward(sizes[0], sizes[1], sizes[3], wrong, NULL, NULL, NULL);
    if (status != BAD_SHAPE || back != BAD_SHAPE) printf("wrong sizes are pooled\n"), exit(1);
  }
  free(wrong);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  long rounds = atol(argv[2]);
  state = strtoull(argv[1], NULL, 10) * 2654435769u + 1;
  for (long round = 0; round < rounds; round++) {
    int64_t B = 1 + chance(12), N = 0, *lengths = malloc((size_t)B * sizeof(int64_t));
    for (int64_t i = 0; i < B; i++) N += lengths[i] = 1 + chance(chance(3) ? 5 : 40);
    try_cell(N, B, lengths);
    try_pool(N, B, lengths);
    try_wrong(N, B, lengths);
    free(lengths);
  }
  printf("%ld batches\n", rounds);
  return 0;
}
