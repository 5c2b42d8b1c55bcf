// Minimal filtering of one row of a convolution: M outputs from K weights take M + K - 1 products.
#pragma once

#include "lanes_vectors.h"

// M adjacent outputs y depend on K weights g and M + K - 1 inputs d. To compute them directly takes M * K
// products. Minimal filtering takes only M + K - 1 products, but it needs a convolution without stride and
// dilation (Winograd 1980; Lavin & Gray 2016). The outputs are coefficients of a product of two polynomials.
// This product is evaluated at M + K - 1 points (Toom & Cook). The points are pairs p and -p, infinity, and
// also 0 if M + K - 1 is even. Pairs share terms, because the polynomials below have only even powers.
//
// The names follow the literature. Inputs, weights and output gradients are transformed, and the transformed
// values are multiplied. The products m are summed over channels and kernel rows. Then the sums are
// transformed back. In the backward pass, one factor of each product is a transformed output gradient. For a
// row of equal inputs, all products are exactly zero, except the product at point 1. So all outputs are
// equal, for example within a pooling window.
//
// The points decide how large the rounding errors are. In a simulation of about 100 sets of four pairs, the
// set below had the smallest errors. Five outputs of five weights then have 1.8 times the error of a direct
// computation. The errors of the convolutions' weight gradients were measured in seven networks with
// batches of 128, relative to float64. These errors are 3e-7 to 2e-6 here, and 1e-6 to 1e-5 for torch in
// float32. In each convolution, the error of torch is at least as large as the error here.

// The points, and numbers computed from them. PAIRS is the number of pairs. ZERO is 1 if 0 is a point, else
// 0.
template <int PAIRS, int ZERO>
struct Points {
  static_assert(PAIRS >= 2 && PAIRS <= 4);

  float power[PAIRS][8] = {};  // power[i][k] = point i ^ k
  // weight_scale[i]: one over the product of p - q over all other finite points q, for the points p and -p of
  // pair i. If 0 is a point, it is the last one.
  float weight_scale[PAIRS + 1] = {};
  // factor[i][k]: the coefficient of x^2k in the product of x^2 - q^2 over all pairs q, but without pair 0,
  // whose point is 1, and without pair i. The highest coefficient is 1.
  float factor[PAIRS][PAIRS] = {};

  constexpr Points() {
    const double point[] = {1, 2, PAIRS == 4 ? .625 : .5, .1875};
    double scale_of_zero = 1;
    for (int i = 0; i < PAIRS; i++) {
      double scale = 2 * point[i] * (ZERO ? point[i] : 1), so_far = 1;
      factor[i][0] = 1;
      int degree = 0;
      for (int other = 0; other < PAIRS; other++) {
        const double square = point[other] * point[other];
        if (other != i) scale *= point[i] * point[i] - square;
        if (other == 0 || other == i) continue;
        degree++;
        for (int k = degree; k >= 0; k--) {
          factor[i][k] = (k ? factor[i][k - 1] : 0) - (k < degree ? square * factor[i][k] : 0);
        }
      }
      for (int k = 0; k < 8; k++, so_far *= point[i]) power[i][k] = so_far;
      weight_scale[i] = 1 / scale;
      scale_of_zero *= -point[i] * point[i];
    }
    weight_scale[PAIRS] = 1 / scale_of_zero;
  }
};

// The order of the products is that of their points: each pair p and -p, then 0 if it is a point, then
// infinity.
template <int M, int K>
struct Row {
  enum { PRODUCTS = M + K - 1 };
  enum { PAIRS = (PRODUCTS - 1) / 2, ZERO = (PRODUCTS - 1) % 2, INFINITE = PRODUCTS - 1 };
  static constexpr Points<PAIRS, ZERO> POINTS = {};

  // The sum of factor[i][k] * x[2 * k].
  static INLINE V apply_factor(int i, const V *x) {
    const int degree = i ? PAIRS - 2 : PAIRS - 1;
    V sum = x[2 * degree];
    UNROLL_FOR(int k = 0; k < degree; k++) sum += POINTS.factor[i][k] * x[2 * k];
    return sum;
  }
  // Adds factor[i][k] * y to x[2 * k].
  static INLINE void apply_factor_transposed(int i, V y, V *x) {
    const int degree = i ? PAIRS - 2 : PAIRS - 1;
    x[2 * degree] += y;
    UNROLL_FOR(int k = 0; k < degree; k++) x[2 * k] += POINTS.factor[i][k] * y;
  }

  static INLINE void transform_inputs(const V *d, V *v) {
    V e[PRODUCTS - 2];  // zero where inputs are equal
    UNROLL_FOR(int k = 0; k < PRODUCTS - 2; k++) e[k] = d[k + 2] - d[k];
    UNROLL_FOR(int i = 0; i < PAIRS; i++) {
      const V *x = (i ? e : d) + ZERO;
      const V high = apply_factor(i, x + 1), low = apply_factor(i, x);
      v[2 * i] = high + POINTS.power[i][1] * low;
      v[2 * i + 1] = ZERO ? high - POINTS.power[i][1] * low : POINTS.power[i][1] * low - high;
    }
    if (ZERO) v[2 * PAIRS] = apply_factor(0, e);
    v[INFINITE] = apply_factor(0, e + ZERO);
  }
  // Adds the gradients of the inputs to d.
  static INLINE void add_input_gradients(const V *m, V *d) {
    V e[PRODUCTS - 2] = {};
    UNROLL_FOR(int i = 0; i < PAIRS; i++) {
      const V own = ZERO ? m[2 * i] + m[2 * i + 1] : m[2 * i] - m[2 * i + 1];
      const V other = ZERO ? m[2 * i] - m[2 * i + 1] : m[2 * i] + m[2 * i + 1];
      V *x = (i ? e : d) + ZERO;
      apply_factor_transposed(i, own, x + 1);
      apply_factor_transposed(i, POINTS.power[i][1] * other, x);
    }
    if (ZERO) apply_factor_transposed(0, m[2 * PAIRS], e);
    apply_factor_transposed(0, m[INFINITE], e + ZERO);
    UNROLL_FOR(int k = 0; k < PRODUCTS - 2; k++) {
      d[k] -= e[k];
      d[k + 2] += e[k];
    }
  }

  // Evaluates the polynomial with COUNT coefficients x at the points.
  template <int COUNT, class Value>
  static INLINE void evaluate(const Value *x, Value *at) {
    UNROLL_FOR(int i = 0; i < PAIRS; i++) {
      Value even = x[0], odd = POINTS.power[i][1] * x[1];
      UNROLL_FOR(int k = 2; k < COUNT; k += 2) even += POINTS.power[i][k] * x[k];
      UNROLL_FOR(int k = 3; k < COUNT; k += 2) odd += POINTS.power[i][k] * x[k];
      at[2 * i] = even + odd;
      at[2 * i + 1] = even - odd;
    }
    if (ZERO) at[2 * PAIRS] = x[0];
    at[INFINITE] = x[COUNT - 1];
  }
  // The transpose of evaluate.
  template <int COUNT>
  static INLINE void collect(const V *m, V *x) {
    UNROLL_FOR(int i = 0; i < PAIRS; i++) {
      const V sum = m[2 * i] + m[2 * i + 1], difference = m[2 * i] - m[2 * i + 1];
      UNROLL_FOR(int k = 0; k < COUNT; k++) {
        const V term = k % 2 ? difference : sum;
        x[k] = i ? x[k] + POINTS.power[i][k] * term : term;
      }
    }
    if (ZERO) x[0] += m[2 * PAIRS];
    x[COUNT - 1] += m[INFINITE];
  }

  static INLINE void transform_gradients(const V *dy, V *w) { evaluate<M>(dy, w); }
  static INLINE void make_outputs(const V *m, V *y) { collect<M>(m, y); }

  // Transforms the weights g. Writes each transformed weight to u, `step` floats after the one before.
  static INLINE void transform_weights(const float *g, float *u, int step) {
    float at[PRODUCTS];
    evaluate<K>(g, at);
    UNROLL_FOR(int i = 0; i < 2 * PAIRS; i++) u[i * step] = at[i] * POINTS.weight_scale[i / 2];
    if (ZERO) u[2 * PAIRS * step] = at[2 * PAIRS] * POINTS.weight_scale[PAIRS];
    u[INFINITE * step] = at[INFINITE];
  }
  static INLINE void make_weight_gradients(const V *m, V *g) {
    V scaled[PRODUCTS];
    UNROLL_FOR(int i = 0; i < 2 * PAIRS; i++) scaled[i] = m[i] * POINTS.weight_scale[i / 2];
    if (ZERO) scaled[2 * PAIRS] = m[2 * PAIRS] * POINTS.weight_scale[PAIRS];
    scaled[INFINITE] = m[INFINITE];
    collect<K>(scaled, g);
  }
};
