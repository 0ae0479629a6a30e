/* The functions of a GRU's equations, for every kernel that computes them. */

#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <stdint.h>
#include <string.h>

/* A function that is inlined where E and H are constants gets loops of a known length: the compiler unrolls them and
keeps the sums in registers, which is a third of the time. */
#define INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64))) /* a cache line, and a vector of AVX-512 */

/* e^x to a relative error of 2e-7. That of the library is right to the last digit, and a call for each number.

With x = (m + f) ln 2, m a whole number and f in -1/2..1/2, e^x is 2^m 2^f. A polynomial gives 2^f (Taylor: the
coefficient of f^i is ln(2)^i / i!), and m is added to the exponent that the float of 2^f has in its bits 23 to 30. */
INLINE float exponential(float x) {
  x = x < -87.f ? -87.f : x > 87.f ? 87.f : x; /* beyond, a float has no such exponent, and a sigmoid is 0 or 1 anyway */
  float t = x * 1.44269504f;                   /* 1 / ln 2 */
  float m = t + 12582912.f;                    /* 1.5 * 2^23: a float of this size has no digits behind the point, ... */
  m -= 12582912.f;                             /* ... so what is left after taking it off again is t, rounded */
  float f = t - m, p = 1.5403530e-4f;
  p = p * f + 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.f;
  uint32_t bits; /* without a sign, because C does not say what a negative number shifted left is */
  memcpy(&bits, &p, 4);
  bits += (uint32_t)(int32_t)m << 23; /* modulo 2^32, so a negative m is taken off */
  memcpy(&p, &bits, 4);
  return p;
}

INLINE float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }
INLINE float hyperbolic(float x) { return 2.f / (1.f + exponential(-2.f * x)) - 1.f; } /* tanh */

#endif
