/* Feed the kernel with networks of random shapes and with messages that are random, right or damaged.

    cc -fsanitize=address,undefined -o fuzz fuzz_gru.c -lm && ./fuzz SEED ROUNDS

Each table and each message has memory of its own, of just the size that is named, so that the sanitisers see every read
and write beyond it. A right message must be answered, and its probabilities must sum to 1; a wrong one must be refused
or, if the damage leaves it right, answered. Ends with status 1 and a line at the first fault. */

#include <stdio.h>

#include "../../../artifacts/networks/engines/gru.c"

static uint64_t state;
static uint32_t chance(uint32_t most) { /* 0..most, xorshift64* (Vigna 2014) */
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (uint32_t)((state * 0x2545F4914F6CDD1DULL) >> 32) % (most + 1);
}

static float *numbers(int64_t count, float size) {
  float *made = malloc((size_t)(count ? count : 1) * sizeof(float));
  for (int64_t i = 0; i < count; i++) made[i] = ((float)chance(20000) / 10000.f - 1.f) * size;
  return made;
}

static Table table(int64_t count, float size) { return (Table){numbers(count, size), count}; }

static Network random_network(void) {
  int is_default = chance(3) == 0;
  Network n = {.members = 1 + (int)chance(2), .layers = 1 + (int)chance(2), .directions = 1 + (int)chance(1)};
  n.embedding = is_default ? 32 : 1 + (int)chance(40), n.hidden = is_default ? 32 : 1 + (int)chance(40);
  n.categories = 1 + (int)chance(30), n.is_low_rank = (int)chance(1);
  n.columns = n.is_low_rank ? 1 + (int)chance(20) : n.categories;
  n.words = 2 + (int)chance(30), n.trained = 2 + (int)chance((uint32_t)n.words - 2), n.unknown = 1;
  n.grams = 2 + (int)chance(20), n.pairs = (int)chance(1) * (1 + (int)chance(50)), n.factor = (int)chance(2000);
  int64_t F = n.members * n.embedding + n.columns, head = rounded(pooled_size(&n), 4) * rounded(n.categories, 16);
  n.word_rows = table(n.words * F, 1.f), n.gram_rows = table(n.grams * (F + 1), 1.f);
  n.pair_rows = table((int64_t)n.pairs * n.columns, 1.f);
  n.basis = table(n.is_low_rank ? (int64_t)n.columns * n.categories : 0, 1.f);
  n.ways = table(n.members * layers_size(&n), chance(9) ? .5f : 1e4f); /* large ones drive every gate to its end */
  n.head = table(head, 1.f), n.head_bias = table(n.categories, 1.f);
  if (chance(1)) { /* the products of known words, kept */
    float *out = numbers(n.words * gates_size(&n), 0.f);
    if (gru_products(&n, out) != OK) printf("products refused\n"), exit(1);
    n.products = (Table){out, n.words * gates_size(&n)};
  }
  return n;
}

static void forget(Network *n) {
  Table *tables[] = {&n->word_rows, &n->gram_rows, &n->pair_rows, &n->basis,
                     &n->ways,      &n->head,      &n->head_bias, &n->products};
  for (size_t i = 0; i < 8; i++) free((void *)tables[i]->values);
}

/* A right message of some tickets; returns its size. */
static int64_t random_message(const Network *n, int64_t num_tickets, int32_t *message) {
  int64_t at = 0;
  for (int64_t i = 0; i < num_tickets; i++) {
    int32_t length = 1 + (int32_t)chance(chance(5) ? 8 : 60), unknown = (int32_t)chance((uint32_t)(length > 3 ? 3 : length));
    message[at++] = length, message[at++] = unknown;
    for (int32_t t = 0; t < length; t++) message[at++] = (int32_t)chance((uint32_t)(n->words + unknown - 1));
    for (int32_t u = 0; u < unknown; u++) {
      int32_t num = message[at++] = 1 + (int32_t)chance(23);
      for (int32_t g = 0; g < num; g++) message[at++] = 1 + (int32_t)chance((uint32_t)n->grams - 2);
    }
  }
  return at;
}

static void check_answers(const Network *n, int64_t num_tickets, const float *probabilities, const double *best) {
  for (int64_t i = 0; i < num_tickets; i++) {
    double sum = 0, highest = 0;
    for (int64_t k = 0; k < n->categories; k++) {
      double p = probabilities[i * n->categories + k];
      sum += p, highest = p > highest ? p : highest;
    }
    int label = (int)best[2 * i];
    if (!(sum > .9999 && sum < 1.0001) || label < 0 || label >= n->categories || best[2 * i + 1] != highest ||
        (double)probabilities[i * n->categories + label] != highest)
      printf("ticket %d: sum %g, label %d\n", (int)i, sum, label), exit(1);
  }
}

static void damage(int32_t *message, int64_t size) {
  static const int32_t ends[] = {0, -1, 1, 2, INT32_MAX, INT32_MIN, 65536, 65537, 1 << 24};
  for (uint32_t i = 0; i <= chance(2); i++) {
    int32_t *one = message + chance((uint32_t)size - 1);
    *one = chance(1) ? ends[chance(8)] : (int32_t)((uint32_t)*one + chance(4) - 2u);
  }
}

/* A network of which one size, or one count, is another than its tables have. */
static void ask_wrong_network(Network n, const int32_t *message, int64_t size, int64_t num_tickets) {
  static const int32_t wrong[] = {0, -1, INT32_MAX, INT32_MIN};
  int32_t *sizes[] = {&n.members, &n.layers, &n.directions, &n.embedding, &n.hidden, &n.categories, &n.columns, &n.words,
                      &n.grams,   &n.trained, &n.unknown};
  Table *tables[] = {&n.word_rows, &n.gram_rows, &n.head, &n.head_bias, &n.ways};
  uint32_t which = chance(15);
  if (which < 11)
    *sizes[which] = which == 10 ? -1 - (int32_t)chance(9) : which == 9 ? n.words + 1 : wrong[chance(3)];
  else
    tables[which - 11]->count += (int64_t)chance(1) * 2 - 1;
  if (gru_answer(&n, message, size, num_tickets, NULL, NULL) != BAD_NETWORK) printf("wrong network %u\n", which), exit(1);
}

/* Any bytes are hashed within their own memory, or refused. */
static void ask_ngrams(const Network *n) {
  int32_t lengths[3] = {3, 4, 5}, most = (int32_t)chance(24), *rows = malloc(sizeof(int32_t) * (size_t)(most + 1));
  int64_t size = chance(chance(9) ? 40 : 1200);
  uint8_t *word = malloc((size_t)(size ? size : 1));
  for (int64_t i = 0; i < size; i++) word[i] = (uint8_t)chance(255);
  if (chance(9) == 0) lengths[chance(2)] = (int32_t)chance(600) - 3;
  int32_t num = gru_ngrams(word, size, lengths, 3, most, n->grams - 1, rows);
  for (int32_t i = 0; i < num; i++)
    if (rows[i] < 1 || rows[i] >= n->grams) printf("a row outside the table\n"), exit(1);
  if (num > most) printf("too many rows\n"), exit(1);
  free(word), free(rows);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  long rounds = atol(argv[2]), num_answered = 0, num_refused = 0;
  state = strtoull(argv[1], NULL, 10) * 2654435769u + 1;
  int32_t *room = malloc(sizeof(int32_t) * 4096);
  for (long round = 0; round < rounds; round++) {
    Network n = random_network();
    for (int ask = 0; ask < 20; ask++) {
      int64_t num_tickets = 1 + chance(4), size = random_message(&n, num_tickets, room);
      int is_damaged = chance(1);
      if (is_damaged) damage(room, size);
      if (is_damaged && chance(3) == 0) size = chance((uint32_t)size);
      int32_t *message = malloc((size_t)(size ? size : 1) * sizeof(int32_t));
      memcpy(message, room, (size_t)size * sizeof(int32_t));
      float *probabilities = numbers(num_tickets * n.categories, 0.f);
      double *best = malloc((size_t)num_tickets * 2 * sizeof(double));
      int status = gru_answer(&n, message, size, num_tickets, chance(3) ? probabilities : NULL, best);
      if (status == OK && gru_answer(&n, message, size, num_tickets, probabilities, NULL) == OK)
        check_answers(&n, num_tickets, probabilities, best), num_answered++;
      else if (status == BAD_TICKETS && is_damaged)
        num_refused++;
      else
        printf("status %d of a message that is %s\n", status, is_damaged ? "damaged" : "right"), exit(1);
      ask_wrong_network(n, message, size, num_tickets);
      ask_ngrams(&n);
      free(message), free(probabilities), free(best);
    }
    forget(&n);
  }
  free(room);
  printf("%ld answered, %ld refused\n", num_answered, num_refused);
  return num_answered && num_refused ? 0 : 1;
}
