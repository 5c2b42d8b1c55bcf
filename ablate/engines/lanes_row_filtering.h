// Minimal filtering of one row of a convolution: two outputs from fewer products.
#pragma once

#include "lanes_vectors.h"

// Minimal filtering needs convolutions without stride and dilation (Winograd 1980; Lavin & Gray 2016). Two
// adjacent outputs y of three weights g and four inputs d take six products if they are computed directly.
// The following formulas take only four:
//     m0 = (d0 - d2) g0,  m1 = (d1 + d2) (g0 + g1 + g2) / 2,  m2 = (d2 - d1) (g0 - g1 + g2) / 2,
//     m3 = (d3 - d1) g2,      y0 = m0 + m1 + m2,  y1 = m1 - m2 + m3.
// Five weights take six products instead of ten. Six is the minimum. The outputs are coefficients of a
// product of polynomials. This product is evaluated at 0, 1, -1, 2, -1/2 and infinity (Toom & Cook). These
// points give small errors (Barabasz et al. 2020). Every further pair of weights h, with its three inputs e,
// takes three products instead of four:
//     n0 = (e0 - e1) h0,  n1 = e1 (h0 + h1),  n2 = (e2 - e1) h1,      y0 += n0 + n1,  y1 += n1 + n2.
//
// The names follow the literature. Inputs, weights and output gradients are transformed, the transformed
// values are multiplied, and the products m are transformed back. The products m are summed over channels and
// kernel rows before they are transformed back. In the backward pass, one factor of each product is a
// transformed output gradient. For a row of equal inputs, both outputs are m1 + n1, so they are equal.
//
// Measured in networks with 6 to 32 channels, batches of 128: the gradients of the weights have relative
// errors of 2e-7 to 4e-7 to float64. Those of torch in float32 have 9e-7 to 4e-6.

// The first three or five weights of a kernel row. Row adds the further pairs of weights.
template <int K>
struct FirstWeights;

template <>
struct FirstWeights<3> {
  enum { PRODUCTS = 4 };

  static INLINE void transform_inputs(const V *d, V *v) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  static INLINE void transform_weights(const float *g, float *u, int step) {
    u[0] = g[0];
    u[step] = .5f * (g[0] + g[1] + g[2]);
    u[2 * step] = .5f * (g[0] - g[1] + g[2]);
    u[3 * step] = g[2];
  }
  static INLINE void transform_gradients(V dy0, V dy1, V *w) {
    w[0] = dy0;
    w[1] = dy0 + dy1;
    w[2] = dy0 - dy1;
    w[3] = dy1;
  }
  static INLINE void make_outputs(const V *m, V *y0, V *y1) {
    *y0 += m[0] + m[2];
    *y1 += m[3] - m[2];
  }
  static INLINE void add_input_gradients(const V *m, V *d) {
    d[0] += m[0];
    d[1] += m[1] - m[2] - m[3];
    d[2] += m[1] + m[2] - m[0];
    d[3] += m[3];
  }
  static INLINE void make_weight_gradients(const V *m, V *g) {
    V half_sum = .5f * (m[1] + m[2]);
    g[0] = m[0] + half_sum;
    g[1] = .5f * (m[1] - m[2]);
    g[2] = m[3] + half_sum;
  }
};

template <>
struct FirstWeights<5> {
  enum { PRODUCTS = 6 };

  static INLINE void transform_inputs(const V *d, V *v) {
    V p = d[1] - d[3], q = d[4] - d[2];
    v[0] = d[0] - d[2] + q + 1.5f * p;
    v[1] = d[4] - d[1] - 2.5f * d[2] - .5f * d[3];
    v[2] = p + (d[4] - d[3]) + .5f * (d[2] - d[3]);
    v[3] = q - .5f * p;
    v[4] = q + 2.f * p;
    v[5] = p + (d[5] - d[3]) - 1.5f * q;
  }
  static INLINE void transform_weights(const float *g, float *u, int step) {
    u[0] = g[0];
    u[step] = (g[0] + g[1] + g[2] + g[3] + g[4]) * (-1 / 3.f);
    u[2 * step] = (g[0] - g[1] + g[2] - g[3] + g[4]) * (1 / 3.f);
    u[3 * step] = (g[0] + 2 * g[1] + 4 * g[2] + 8 * g[3] + 16 * g[4]) * (1 / 15.f);
    u[4 * step] = (16 * g[0] - 8 * g[1] + 4 * g[2] - 2 * g[3] + g[4]) * (-1 / 30.f);
    u[5 * step] = g[4];
  }
  static INLINE void transform_gradients(V dy0, V dy1, V *w) {
    w[0] = dy0;
    w[1] = dy0 + dy1;
    w[2] = dy0 - dy1;
    w[3] = w[1] + dy1;
    w[4] = w[2] + dy0;
    w[5] = dy1;
  }
  static INLINE void make_outputs(const V *m, V *y0, V *y1) {
    *y0 += m[0] + m[2] + (m[3] + 2.f * m[4]);
    *y1 += m[5] - m[2] + (2.f * m[3] - m[4]);
  }
  static INLINE void add_input_gradients(const V *m, V *d) {
    d[0] += m[0];
    d[1] += 1.5f * m[0] - m[1] + m[2] - .5f * m[3] + 2.f * m[4] + m[5];
    d[2] += .5f * m[2] - 2.f * m[0] - 2.5f * m[1] - m[3] - m[4] + 1.5f * m[5];
    d[3] += .5f * m[3] - 1.5f * m[0] - .5f * m[1] - 2.5f * m[2] - 2.f * m[4] - 2.f * m[5];
    d[4] += m[0] + m[1] + m[2] + m[3] + m[4] - 1.5f * m[5];
    d[5] += m[5];
  }
  static INLINE void make_weight_gradients(const V *m, V *g) {
    V odd = (m[1] + m[2]) * (-1 / 3.f), even = (m[2] - m[1]) * (1 / 3.f);
    V p = m[3] * (1 / 15.f), q = m[4] * (1 / 30.f);
    g[0] = m[0] + even + (p - 16.f * q);
    g[1] = odd + (2.f * p + 8.f * q);
    g[2] = even + (4.f * p - 4.f * q);
    g[3] = odd + (8.f * p + 2.f * q);
    g[4] = m[5] + even + (16.f * p - q);
  }
};

// All K weights of a kernel row.
template <int K>
struct Row {
  enum { FIRST = K < 5 ? K : 5 };
  enum { FIRST_PRODUCTS = FirstWeights<FIRST>::PRODUCTS };
  enum { PRODUCTS = FIRST_PRODUCTS + (K - FIRST) / 2 * 3 };

  // The functions transform_... write PRODUCTS factors. The other functions read PRODUCTS products.
  static INLINE void transform_inputs(const V *d, V *v) {
    FirstWeights<FIRST>::transform_inputs(d, v);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      v[f] = d[j] - d[j + 1];
      v[f + 1] = d[j + 1];
      v[f + 2] = d[j + 2] - d[j + 1];
    }
  }
  static INLINE void transform_weights(const float *g, float *u, int step) {
    FirstWeights<FIRST>::transform_weights(g, u, step);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      u[f * step] = g[j];
      u[(f + 1) * step] = g[j] + g[j + 1];
      u[(f + 2) * step] = g[j + 1];
    }
  }
  static INLINE void transform_gradients(V dy0, V dy1, V *w) {
    FirstWeights<FIRST>::transform_gradients(dy0, dy1, w);
    UNROLL_FOR(int f = FIRST_PRODUCTS; f < PRODUCTS; f += 3) {
      w[f] = dy0;
      w[f + 1] = w[1];
      w[f + 2] = dy1;
    }
  }
  static INLINE void make_outputs(const V *m, V bias, V *y0, V *y1) {
    V both = m[1] + bias;
    UNROLL_FOR(int f = FIRST_PRODUCTS; f < PRODUCTS; f += 3) both += m[f + 1];
    V left = both, right = both;
    FirstWeights<FIRST>::make_outputs(m, &left, &right);
    UNROLL_FOR(int f = FIRST_PRODUCTS; f < PRODUCTS; f += 3) {
      left += m[f];
      right += m[f + 2];
    }
    *y0 = left;
    *y1 = right;
  }
  static INLINE void add_input_gradients(const V *m, V *d) {
    FirstWeights<FIRST>::add_input_gradients(m, d);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      d[j] += m[f];
      d[j + 1] += m[f + 1] - m[f] - m[f + 2];
      d[j + 2] += m[f + 2];
    }
  }
  static INLINE void make_weight_gradients(const V *m, V *g) {
    FirstWeights<FIRST>::make_weight_gradients(m, g);
    UNROLL_FOR(int j = FIRST, f = FIRST_PRODUCTS; j < K; j += 2, f += 3) {
      g[j] = m[f] + m[f + 1];
      g[j + 1] = m[f + 1] + m[f + 2];
    }
  }
};
