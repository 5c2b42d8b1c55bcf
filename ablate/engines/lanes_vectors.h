// Vectors with one lane for each example, and elementary functions and activations of vectors.
//
// The compiler flag -ffast-math must not be used. If a run diverges, NaN or infinity must reach the loss.
#pragma once

#include <cmath>

#include "lanes_processor.h"

static INLINE float sum_of_lanes(V v) {
  float sum = 0;
  for (int lane = 0; lane < LANES; lane++) sum += v[lane];
  return sum;
}

// Exchanges lanes and vectors: lane j of v[i] becomes lane i of v[j]. In each round, the first half of the
// vectors is interleaved with the second half.
static INLINE void transpose(V *v) {
  I low, high;
  for (int lane = 0; lane < LANES; lane++) {
    low[lane] = lane / 2 + lane % 2 * LANES;
    high[lane] = low[lane] + LANES / 2;
  }
  UNROLL_FOR(int round = 1; round < LANES; round *= 2) {
    V mixed[LANES];
    UNROLL_FOR(int i = 0; i < LANES / 2; i++) {
      mixed[2 * i] = shuffle(v[i], v[i + LANES / 2], low);
      mixed[2 * i + 1] = shuffle(v[i], v[i + LANES / 2], high);
    }
    UNROLL_FOR(int i = 0; i < LANES; i++) v[i] = mixed[i];
  }
}

// Lane j of the result is the sum of the lanes of v[j]. Computing all LANES sums takes as long as computing
// about three single sums.
static INLINE V sums_of_lanes(V *v) {
  I even, odd;
  for (int lane = 0; lane < LANES; lane++) {
    even[lane] = 2 * lane;
    odd[lane] = 2 * lane + 1;
  }
  UNROLL_FOR(int n = LANES / 2; n; n /= 2) {
    UNROLL_FOR(int i = 0; i < n; i++) {
      v[i] = shuffle(v[2 * i], v[2 * i + 1], even) + shuffle(v[2 * i], v[2 * i + 1], odd);
    }
  }
  return v[0];
}

// ---------------------------------------------------------------------------------------------------------
// Elementary functions. Their error is a few units in the last place. For NaN, they return NaN.

// Splits x / ln(2) into whole + part with |part| <= 1/2. x is clamped to [-86, 88], where exp(x) is a normal
// float.
struct Exponent {
  I shifted;  // `whole`, shifted left to the exponent bits of a float
  V part;
};

static INLINE Exponent exponent(V x) {
  x = at_most(x, 88.f);
  x = at_least(x, -86.f);
  const float log2e = 1.44269504f, rest_of_log2e = 1.92596299e-8f;
  const float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  V rounded = x * log2e + magic;
  V whole = rounded - magic;
  return {(I)rounded << 23, x * rest_of_log2e + (x * log2e - whole)};
}

// Computes 2^part - 1 for |part| <= 1/2 by the Taylor series. The last coefficients of the series are changed
// to minimise the relative error.
static INLINE V exp2m1(V part) {
  V p = part * 1.545316294e-4f + 1.339086336e-3f;
  p = p * part + 9.618082557e-3f;
  p = p * part + 5.550357114e-2f;
  p = p * part + 2.402265076e-1f;
  p = p * part + 6.931471880e-1f;
  return p * part;
}

static INLINE V exp(V x) {
  Exponent e = exponent(x);
  return (V)((I)(exp2m1(e.part) + 1.f) + e.shifted);
}

static INLINE V expm1(V x) {
  Exponent e = exponent(x);
  V power = (V)((I)splat(1.f) + e.shifted);
  return power * exp2m1(e.part) + (power - 1.f);
}

static INLINE V logistic(V x) { return reciprocal(1.f + exp(-x)); }

// Computes log(1 + u) for u in [0, 1] by the series of 2 artanh(s) with s = u / (2 + u) <= 1/3.
static INLINE V log1p_of_share(V u) {
  V s = u / (2.f + u), y = s * s;
  V p = y * (1.f / 13) + 1.f / 11;
  p = p * y + 1.f / 9;
  p = p * y + 1.f / 7;
  p = p * y + 1.f / 5;
  p = p * y + 1.f / 3;
  return 2.f * (s + s * y * p);
}

// Computes erf by the rational approximation of XLA and Eigen, with an absolute error below 4e-7. x is
// clamped to a range. Outside of this range, erf is 1 or -1 as a float.
static INLINE V erf(V x) {
  const float end = 3.7439211627767994f;
  x = x > end ? end : x;
  x = x < -end ? -end : x;
  V y = x * x;
  V p = y * 2.2905065861350646e-4f + 3.4082910107109506e-3f;
  p = p * y + 5.0955695062380861e-2f;
  p = p * y + 1.8520832239976145e-1f;
  p = p * y + 1.128379143519084f;
  V q = y * -1.1791602954361697e-7f + 2.3547966471313185e-5f;
  q = q * y + 1.0179625278914885e-3f;
  q = q * y + 1.4070470171167667e-2f;
  q = q * y + 1.1098505178285362e-1f;
  q = q * y + 4.9746925110067538e-1f;
  q = q * y + 1.f;
  return x * p / q;
}

// ---------------------------------------------------------------------------------------------------------
// Activations: value and slope at z, with PyTorch's definitions and default constants. For NaN, they return
// NaN.
//
// A `monotone` activation is computed after max pooling, only for the largest input. If a caller does not use
// the value or the slope, the compiler removes the code that computes it.

struct Point {
  V value, slope;
};

struct Identity {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) { return {z, splat(1.f)}; }
};
struct Sigmoid {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) {
    V a = logistic(z);
    return {a, a - a * a};
  }
};
struct Tanh {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) {
    V e = expm1(-2.f * z);
    V a = -e / (e + 2.f);
    return {a, 1.f - a * a};
  }
};
struct Relu {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) { return {z < 0.f ? 0.f : z, z <= 0.f ? splat(0.f) : splat(1.f)}; }
};
struct LeakyRelu {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) { return {z > 0.f ? z : .01f * z, z > 0.f ? splat(1.f) : splat(.01f)}; }
};
struct Elu {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) {
    V e = expm1(z);
    return {z > 0.f ? z : e, z > 0.f ? 1.f : e + 1.f};
  }
};
struct Selu {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) {
    const float scale = 1.0507009873554804934f, scaled_alpha = scale * 1.6732632423543772848f;
    V e = scaled_alpha * expm1(z);
    return {z > 0.f ? scale * z : e, z > 0.f ? scale : e + scaled_alpha};
  }
};
struct Softplus {
  static constexpr bool monotone = true;
  static INLINE Point at(V z) {
    V magnitude = z < 0.f ? -z : z;
    return {(z < 0.f ? 0.f : z) + log1p_of_share(exp(-magnitude)), logistic(z)};
  }
};
struct Gelu {
  static constexpr bool monotone = false;
  static INLINE Point at(V z) {
    V cdf = .5f + .5f * erf(z * .70710678f);
    return {z * cdf, cdf + z * .39894228f * exp(-.5f * z * z)};
  }
};
struct Silu {
  static constexpr bool monotone = false;
  static INLINE Point at(V z) {
    V s = logistic(z);
    return {z * s, s + z * s * (1.f - s)};
  }
};
struct Mish {
  static constexpr bool monotone = false;
  static INLINE Point at(V z) {
    // tanh(softplus(z)) = (n^2 + 2n) / (n^2 + 2n + 2) with n = e^z. If z >= 20, the float is 1.
    V n = exp(z > 20.f ? 20.f : z);
    V m = n * (n + 2.f);
    V t = m / (m + 2.f);
    V cosh_squared_inverse = 4.f * (m + 1.f) / ((m + 2.f) * (m + 2.f));
    return {z * t, t + z * cosh_squared_inverse * n / (1.f + n)};
  }
};
struct Hardswish {
  static constexpr bool monotone = false;
  static INLINE Point at(V z) {
    V gate = z < -3.f ? 0.f : (z > 3.f ? 6.f : z + 3.f);
    V slope = z < -3.f ? 0.f : (z > 3.f ? 1.f : z * (1.f / 3) + .5f);
    return {z * gate * (1.f / 6), slope};
  }
};
