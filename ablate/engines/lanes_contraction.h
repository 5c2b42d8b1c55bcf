// The contraction that most layers are made of, in register tiles, and sums over the lanes of vectors.
#pragma once

#include <cstring>

#include "lanes_vectors.h"

// The size of register tiles. ROWS * COLUMNS sums, COLUMNS operands and one factor fill the 32 registers of
// AVX-512 or the 16 of AVX2. TALL is the number of rows for a single column: many rows hide the latency of an
// addition. PRODUCT_SUMS is the number of sums in minimal filtering, which needs one operand at a time.
#ifdef __AVX512F__
enum { ROWS = 4, COLUMNS = 6, TALL = 24, PRODUCT_SUMS = 28 };
#else
enum { ROWS = 2, COLUMNS = 5, TALL = 10, PRODUCT_SUMS = 12 };
#endif

struct Span {
  int begin, end;
};

// Calls store(m, n, sum over i < terms of left(m, i) * right(n, i)) for all m and n, in register tiles. The
// remainders at the lower and the right edge use smaller tiles. Every sum adds its terms in the order of i.
// So equal inputs give equal outputs at any position, and ties in a pooling window remain ties.
template <int HEIGHT, int WIDTH, class Left, class Right, class Store>
static INLINE void contract(Span rows, Span columns, int terms, Left left, Right right, Store store) {
  int m_edge = rows.begin + (rows.end - rows.begin) / HEIGHT * HEIGHT;
  int n_edge = columns.begin + (columns.end - columns.begin) / WIDTH * WIDTH;
  for (int n = columns.begin; n < n_edge; n += WIDTH) {
    for (int m = rows.begin; m < m_edge; m += HEIGHT) {
      V sums[HEIGHT][WIDTH] = {};
      for (int i = 0; i < terms; i++) {
        V operand[WIDTH];
        UNROLL_FOR(int b = 0; b < WIDTH; b++) operand[b] = right(n + b, i);
        UNROLL_FOR(int a = 0; a < HEIGHT; a++) {
          auto factor = left(m + a, i);
          UNROLL_FOR(int b = 0; b < WIDTH; b++) sums[a][b] += factor * operand[b];
        }
      }
      UNROLL_FOR(int a = 0; a < HEIGHT; a++) {
        UNROLL_FOR(int b = 0; b < WIDTH; b++) store(m + a, n + b, sums[a][b]);
      }
    }
  }
  if constexpr (HEIGHT > 1) {
    if (m_edge < rows.end && n_edge > columns.begin) {
      contract<HEIGHT / 2, WIDTH>({m_edge, rows.end}, {columns.begin, n_edge}, terms, left, right, store);
    }
  }
  if constexpr (WIDTH > 1) {
    if (n_edge < columns.end) {
      contract<HEIGHT, WIDTH / 2>(rows, {n_edge, columns.end}, terms, left, right, store);
    }
  }
}

// Adds the sum over the lanes of a vector to a float. Does so for LANES vectors at a time, which is faster.
class LaneSums {
  V waiting[LANES] = {};
  float *target[LANES];
  int count = 0;

 public:
  INLINE void add(float *to, V sum) {
    waiting[count] = sum;
    target[count++] = to;
    if (count == LANES) flush();
  }
  INLINE void flush() {
    V sums = sums_of_lanes(waiting);
    for (int i = 0; i < count; i++) *target[i] += sums[i];
    count = 0;
  }
};

// Like LaneSums, for floats that are adjacent in memory.
struct AdjacentLaneSums {
  float *target;
  V waiting[LANES];
  int count = 0;

  INLINE void add(V sum) {
    waiting[count++] = sum;
    if (count < LANES) return;
    V before;
    memcpy(&before, target, sizeof(V));
    before += sums_of_lanes(waiting);
    memcpy(target, &before, sizeof(V));
    target += LANES;
    count = 0;
  }
  INLINE void flush() {
    for (int i = 0; i < count; i++) target[i] += sum_of_lanes(waiting[i]);
  }
};
