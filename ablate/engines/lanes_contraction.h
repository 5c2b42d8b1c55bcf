// What every layer's arithmetic is made of: the contraction in register tiles, sums over lanes, minimal
// filtering.
#pragma once

#include <cstring>
#include <type_traits>

#include "lanes_vectors.h"

// Register tiles of the contraction: ROWS * COLUMNS sums, COLUMNS operands and a factor at a time fill the 32
// registers of AVX-512 or the 16 of AVX2. TALL is for one column, where more rows hide the latency of a sum;
// PRODUCT_SUMS is for minimal filtering, whose sums have one operand at a time.
#ifdef __AVX512F__
enum { ROWS = 4, COLUMNS = 6, TALL = 24, PRODUCT_SUMS = 28 };
#else
enum { ROWS = 2, COLUMNS = 5, TALL = 10, PRODUCT_SUMS = 12 };
#endif

struct Span {
  int begin, end;
};

// store(m, n, sum over i < terms of left(m, i) * right(n, i)) for all m and n, in register tiles. What is
// left over at the lower and the right edge goes through smaller tiles. Every sum is taken in the order of i,
// so equal inputs give equal outputs wherever they stand: ties in a pooling window stay ties.
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

// Adds sums over lanes to single floats, LANES of them at a time.
class LaneSums {
  V waiting[LANES] = {};
  float *target[LANES];
  int count = 0;

 public:
  INLINE void add(float *to, V sum) {
    waiting[count] = sum;
    target[count++] = to;
    if (count == LANES) settle();
  }
  INLINE void settle() {
    V sums = sums_of_lanes(waiting);
    for (int i = 0; i < count; i++) *target[i] += sums[i];
    count = 0;
  }
};

// The same where each float follows the one before.
struct NeighbouringLaneSums {
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
  INLINE void settle() {
    for (int i = 0; i < count; i++) target[i] += sum_of_lanes(waiting[i]);
  }
};

// ---------------------------------------------------------------------------------------------------------
// Minimal filtering (Winograd 1980; Lavin & Gray 2016) along the rows of a convolution without stride or
// dilation.
//
// Two neighbouring outputs of a row of three weights g and four inputs d take six products; these take four:
//     m0 = (d0 - d2) g0,  m1 = (d1 + d2) (g0 + g1 + g2) / 2,  m2 = (d2 - d1) (g0 - g1 + g2) / 2,
//     m3 = (d3 - d1) g2,      y0 = m0 + m1 + m2,  y1 = m1 - m2 + m3.
// Five weights take six in place of ten, the least there are: the values at 0, 1, -1, 2, -1/2 and infinity of
// the polynomials whose product the outputs are coefficients of (Toom & Cook; such points err least: Barabasz
// et al. 2020). Every further pair of weights h with its three inputs e takes three in place of four:
//     n0 = (e0 - e1) h0,  n1 = e1 (h0 + h1),  n2 = (e2 - e1) h1,      y0 += n0 + n1,  y1 += n1 + n2.
//
// Each way back is the same products with the outputs' gradients for one of the two factors. The sums over
// channels and kernel rows are taken of the products, each of them a contraction; what comes before and after
// are a few additions, on which a processor's multipliers do not wait. Where a row of inputs is uniform both
// outputs are m1 + n1: ties stay. Simulated with 16 channels of five rows in fp32, the rounding of five
// weights' six products is 1.0 to 1.4 times that of plain sums on the way forward, twice on the way back.

// What a row begins with, three weights or five; further pairs follow.
template <int K>
struct Beginning;

template <>
struct Beginning<3> {
  enum { PRODUCTS = 4 };

  static INLINE void of_inputs(const V *d, V *v) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  static INLINE void of_weights(const float *g, float *u, int step) {
    u[0] = g[0];
    u[step] = .5f * (g[0] + g[1] + g[2]);
    u[2 * step] = .5f * (g[0] - g[1] + g[2]);
    u[3 * step] = g[2];
  }
  static INLINE void of_gradients(V dy0, V dy1, V *w) {
    w[0] = dy0;
    w[1] = dy0 + dy1;
    w[2] = dy0 - dy1;
    w[3] = dy1;
  }
  static INLINE void outputs(const V *m, V *y0, V *y1) {
    *y0 += m[0] + m[2];
    *y1 += m[3] - m[2];
  }
  static INLINE void to_inputs(const V *m, V *d) {
    d[0] += m[0];
    d[1] += m[1] - m[2] - m[3];
    d[2] += m[1] + m[2] - m[0];
    d[3] += m[3];
  }
  static INLINE void to_weights(const V *m, V *g) {
    V half_sum = .5f * (m[1] + m[2]);
    g[0] = m[0] + half_sum;
    g[1] = .5f * (m[1] - m[2]);
    g[2] = m[3] + half_sum;
  }
};

template <>
struct Beginning<5> {
  enum { PRODUCTS = 6 };

  static INLINE void of_inputs(const V *d, V *v) {
    V p = d[1] - d[3], q = d[4] - d[2];
    v[0] = d[0] - d[2] + q + 1.5f * p;
    v[1] = d[4] - d[1] - 2.5f * d[2] - .5f * d[3];
    v[2] = p + (d[4] - d[3]) + .5f * (d[2] - d[3]);
    v[3] = q - .5f * p;
    v[4] = q + 2.f * p;
    v[5] = p + (d[5] - d[3]) - 1.5f * q;
  }
  static INLINE void of_weights(const float *g, float *u, int step) {
    u[0] = g[0];
    u[step] = (g[0] + g[1] + g[2] + g[3] + g[4]) * (-1 / 3.f);
    u[2 * step] = (g[0] - g[1] + g[2] - g[3] + g[4]) * (1 / 3.f);
    u[3 * step] = (g[0] + 2 * g[1] + 4 * g[2] + 8 * g[3] + 16 * g[4]) * (1 / 15.f);
    u[4 * step] = (16 * g[0] - 8 * g[1] + 4 * g[2] - 2 * g[3] + g[4]) * (-1 / 30.f);
    u[5 * step] = g[4];
  }
  static INLINE void of_gradients(V dy0, V dy1, V *w) {
    w[0] = dy0;
    w[1] = dy0 + dy1;
    w[2] = dy0 - dy1;
    w[3] = w[1] + dy1;
    w[4] = w[2] + dy0;
    w[5] = dy1;
  }
  static INLINE void outputs(const V *m, V *y0, V *y1) {
    *y0 += m[0] + m[2] + (m[3] + 2.f * m[4]);
    *y1 += m[5] - m[2] + (2.f * m[3] - m[4]);
  }
  static INLINE void to_inputs(const V *m, V *d) {
    d[0] += m[0];
    d[1] += 1.5f * m[0] - m[1] + m[2] - .5f * m[3] + 2.f * m[4] + m[5];
    d[2] += .5f * m[2] - 2.f * m[0] - 2.5f * m[1] - m[3] - m[4] + 1.5f * m[5];
    d[3] += .5f * m[3] - 1.5f * m[0] - .5f * m[1] - 2.5f * m[2] - 2.f * m[4] - 2.f * m[5];
    d[4] += m[0] + m[1] + m[2] + m[3] + m[4] - 1.5f * m[5];
    d[5] += m[5];
  }
};

template <int K, int FIRST = K < 5 ? K : 5>
struct Row {
  enum { FIRST_PRODUCTS = Beginning<FIRST>::PRODUCTS };
  enum { PRODUCTS = FIRST_PRODUCTS + (K - FIRST) / 2 * 3 };

  // What the weights are multiplied by.
  static INLINE void of_inputs(const V *d, V *v) {
    Beginning<FIRST>::of_inputs(d, v);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      v[f] = d[j] - d[j + 1];
      v[f + 1] = d[j + 1];
      v[f + 2] = d[j + 2] - d[j + 1];
    }
  }
  static INLINE void of_weights(const float *g, float *u, int step) {
    Beginning<FIRST>::of_weights(g, u, step);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      u[f * step] = g[j];
      u[(f + 1) * step] = g[j] + g[j + 1];
      u[(f + 2) * step] = g[j + 1];
    }
  }
  // The products' gradients.
  static INLINE void of_gradients(V dy0, V dy1, V *w) {
    Beginning<FIRST>::of_gradients(dy0, dy1, w);
    UNROLL_FOR(int f = FIRST_PRODUCTS; f < PRODUCTS; f += 3) {
      w[f] = dy0;
      w[f + 1] = w[1];
      w[f + 2] = dy1;
    }
  }
  static INLINE void outputs(const V *m, V bias, V *y0, V *y1) {
    V both = m[1] + bias;
    UNROLL_FOR(int f = FIRST_PRODUCTS; f < PRODUCTS; f += 3) both += m[f + 1];
    V left = both, right = both;
    Beginning<FIRST>::outputs(m, &left, &right);
    UNROLL_FOR(int f = FIRST_PRODUCTS; f < PRODUCTS; f += 3) {
      left += m[f];
      right += m[f + 2];
    }
    *y0 = left;
    *y1 = right;
  }
  // Adds the inputs' gradients.
  static INLINE void to_inputs(const V *m, V *d) {
    Beginning<FIRST>::to_inputs(m, d);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      d[j] += m[f];
      d[j + 1] += m[f + 1] - m[f] - m[f + 2];
      d[j + 2] += m[f + 2];
    }
  }
  // The weights' gradients.
  static INLINE void to_weights(const V *m, V *g) {
    Beginning<FIRST>::to_weights(m, g);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      g[j] = m[f] + m[f + 1];
      g[j + 1] = m[f + 1] + m[f + 2];
    }
  }
};

// How many channels' products fit the registers at once.
constexpr int block_of(int products) { return PRODUCT_SUMS / products < 4 ? PRODUCT_SUMS / products : 4; }

// Calls body(first, width) for blocks of BLOCK, then of half as many, until all `count` are had. What belongs
// to a block lies together, so that a block beginning at `first` begins `first` times as far as the first
// channel's.
template <int BLOCK, class Body>
static INLINE void in_blocks(int count, Body body, int first = 0) {
  for (; first + BLOCK <= count; first += BLOCK) body(first, std::integral_constant<int, BLOCK>());
  if constexpr (BLOCK > 1) {
    if (first < count) in_blocks<BLOCK / 2>(count, body, first);
  }
}
