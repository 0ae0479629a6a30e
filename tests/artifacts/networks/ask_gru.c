/* Ask the kernel from a file: for a processor that is emulated, where no Python runs.

stdin: the sizes of Network as int32, the count of each table as int64, the numbers of each table as float, then two int64,
the size of a message and its number of tickets, and the message. stdout: the probabilities. */

#include <stddef.h>
#include <stdio.h>

#include "../../../artifacts/networks/engines/gru.c"

static void take(void *target, size_t bytes) {
  if (fread(target, 1, bytes, stdin) != bytes) exit(2);
}

int main(void) {
  Network n;
  int64_t counts[8], asked[2];
  Table *tables[] = {&n.word_rows, &n.gram_rows, &n.pair_rows, &n.basis, &n.ways, &n.head, &n.head_bias, &n.products};
  take(&n, offsetof(Network, word_rows));
  take(counts, sizeof counts);
  for (int i = 0; i < 8; i++) {
    float *values = malloc((size_t)counts[i] * 4 + 1);
    take(values, (size_t)counts[i] * 4);
    *tables[i] = (Table){values, counts[i]};
  }
  take(asked, sizeof asked);
  int32_t *message = malloc((size_t)asked[0] * 4);
  take(message, (size_t)asked[0] * 4);
  size_t num = (size_t)asked[1] * (size_t)n.categories;
  float *probabilities = malloc(num * 4);
  int status = gru_answer(&n, message, asked[0], asked[1], probabilities, NULL);
  if (status == OK && fwrite(probabilities, 4, num, stdout) != num) return 2;
  return status;
}
