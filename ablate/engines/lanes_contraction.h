// Computes the contraction of most layers in register tiles. Also sums up the lanes of vectors.
#pragma once

#include <cstring>

#include "lanes_vectors.h"

struct Span {
  int begin, end;
};

// Calls store(m, n, sum over g < groups and i < terms of left(m, g, i) * right(n, g, i)) for all m and n.
//
// The sums are computed in tiles. All sums of a tile fit into the registers. At the lower edge, tiles have
// fewer rows. At the right edge, tiles have fewer columns and more rows. A tile has many sums, so that the
// processor does not wait for the end of an addition. Every sum adds its terms in the order of g and i. So
// equal inputs give exactly equal outputs at all positions, for example within a pooling window.
template <int HEIGHT, int WIDTH, class Left, class Right, class Store>
static INLINE void contract_groups(Span rows, Span columns, int groups, int terms, Left left, Right right,
                                   Store store) {
  int m_edge = rows.begin + (rows.end - rows.begin) / HEIGHT * HEIGHT;
  int n_edge = columns.begin + (columns.end - columns.begin) / WIDTH * WIDTH;
  for (int n = columns.begin; n < n_edge; n += WIDTH) {
    for (int m = rows.begin; m < m_edge; m += HEIGHT) {
      V sums[HEIGHT][WIDTH] = {};
      for (int g = 0; g < groups; g++) {
        UNROLL_FOUR_FOR(int i = 0; i < terms; i++) {
          V operand[WIDTH];
          UNROLL_FOR(int b = 0; b < WIDTH; b++) operand[b] = right(n + b, g, i);
          UNROLL_FOR(int a = 0; a < HEIGHT; a++) {
            auto factor = left(m + a, g, i);
            UNROLL_FOR(int b = 0; b < WIDTH; b++) sums[a][b] += factor * operand[b];
          }
        }
      }
      UNROLL_FOR(int a = 0; a < HEIGHT; a++) {
        UNROLL_FOR(int b = 0; b < WIDTH; b++) store(m + a, n + b, sums[a][b]);
      }
    }
  }
  if constexpr (HEIGHT > 1) {
    if (m_edge < rows.end && n_edge > columns.begin) {
      contract_groups<HEIGHT / 2, WIDTH>({m_edge, rows.end}, {columns.begin, n_edge}, groups, terms, left,
                                         right, store);
    }
  }
  if constexpr (WIDTH > 1) {
    if (n_edge < columns.end) {
      contract_groups<HEIGHT * WIDTH / (WIDTH / 2), WIDTH / 2>(rows, {n_edge, columns.end}, groups, terms,
                                                               left, right, store);
    }
  }
}

// Calls contract_groups for a single group.
template <int HEIGHT, int WIDTH, class Left, class Right, class Store>
static INLINE void contract(Span rows, Span columns, int terms, Left left, Right right, Store store) {
  contract_groups<HEIGHT, WIDTH>(
      rows, columns, 1, terms, [&](int m, int, int i) { return left(m, i); },
      [&](int n, int, int i) { return right(n, i); }, store);
}

// Adds the sum of a vector's lanes to a float. It collects LANES vectors and sums them together, which is
// faster.
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

// Does the same as LaneSums, but adds to floats that are adjacent in memory.
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
