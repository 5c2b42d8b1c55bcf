// What differs between processors and compilers: the number of lanes, the register tiles, and a few
// operations that need a special instruction.
#pragma once

#include <cstdint>

#ifdef __x86_64__
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif

// The sizes of register tiles. ROWS * COLUMNS sums, COLUMNS operands and one factor fill the 16 registers of
// AVX2, or the 32 registers of AVX-512 and of NEON. A tile with a single column has TALL rows, so that the
// processor does not wait for the end of an addition.
#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 4, COLUMNS = 6, TALL = 24 };
#elif defined(__x86_64__)
enum { LANES = 8, ROWS = 2, COLUMNS = 5, TALL = 10 };
#else
enum { LANES = 4, ROWS = 4, COLUMNS = 6, TALL = 24 };
#endif

typedef float V __attribute__((vector_size(4 * LANES)));
typedef int32_t I
    __attribute__((vector_size(4 * LANES)));  // also the result of comparing two V: 0 or -1 in each lane

#define INLINE inline __attribute__((always_inline))

// Loops that the compiler unrolls: all iterations, or four at a time.
#ifdef __clang__
#define UNROLL_FOR _Pragma("unroll") for
#define UNROLL_FOUR_FOR _Pragma("unroll 4") for
#else
#define UNROLL_FOR _Pragma("GCC unroll 32") for
#define UNROLL_FOUR_FOR _Pragma("GCC unroll 4") for
#endif

static INLINE V splat(float value) { return V{} + value; }

// at_most is the minimum of x and bound, and at_least is the maximum. If x is NaN, the result is NaN. For
// this, x must be the second operand of the instruction on x86-64.
static INLINE V at_most(V x, float bound) {
#if defined(__AVX512F__)
  return _mm512_min_ps(splat(bound), x);
#elif defined(__x86_64__)
  return _mm256_min_ps(splat(bound), x);
#else
  return vminq_f32(splat(bound), x);
#endif
}
static INLINE V at_least(V x, float bound) {
#if defined(__AVX512F__)
  return _mm512_max_ps(splat(bound), x);
#elif defined(__x86_64__)
  return _mm256_max_ps(splat(bound), x);
#else
  return vmaxq_f32(splat(bound), x);
#endif
}

// Computes 1 / x for normal x >= 1. On x86-64, the result is the processor's estimate, improved by one Newton
// step. This takes a third of the time of a division. NEON's estimate would need two Newton steps.
static INLINE V reciprocal(V x) {
#if defined(__AVX512F__)
  V guess = _mm512_rcp14_ps(x);
#elif defined(__x86_64__)
  V guess = _mm256_rcp_ps(x);
#else
  return 1.f / x;
#endif
#ifdef __x86_64__
  return guess + guess * (1.f - x * guess);
#endif
}

// Lane i of the result is lane places[i] of a, or lane places[i] - LANES of b. The places must be constants.
static INLINE V shuffle(V a, V b, I places) {
#ifdef __clang__
  V result;
  UNROLL_FOR(int i = 0; i < LANES; i++) {
    result[i] = places[i] < LANES ? a[places[i] % LANES] : b[places[i] % LANES];
  }
  return result;
#else
  return __builtin_shuffle(a, b, places);
#endif
}

// While an object of this type exists, the CPU treats subnormal floats as zero. Saturated units produce many
// subnormal floats, and each of them costs a hundred cycles. The destructor restores the mode for
// torch's own arithmetic.
class FlushDenormals {
#ifdef __x86_64__
  using Mode = unsigned;
  static constexpr Mode FLUSH = 0x8040;
  static Mode read() { return _mm_getcsr(); }
  static void write(Mode mode) { _mm_setcsr(mode); }
#else
  using Mode = uint64_t;
  static constexpr Mode FLUSH = 1 << 24;
  static Mode read() {
    Mode mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void write(Mode mode) { asm volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
#endif
  Mode mode = read();

 public:
  FlushDenormals() { write(mode | FLUSH); }
  ~FlushDenormals() { write(mode); }
};
