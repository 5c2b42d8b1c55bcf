// Computes the activation and pooling of a layer, and the gradients with respect to the pre-activations.
#pragma once

#include <cstring>

#include "lanes_contraction.h"
#include "lanes_layer.h"

// The functions below have a template parameter SIZE. If SIZE is positive, every pixel of a channel is in
// exactly one window, and each window has SIZE pixels. If SIZE is 0, the fields of the layer describe the
// windows. With the constant SIZE 4, the compiler removes branches, and the forward and the backward pass
// take a seventh less time.

// Returns the slope (derivative of the output) of the j-th pixel of window q of channel o. The slope
// overwrites the pre-activation, which is no longer needed. If windows overlap, a pixel has several slopes,
// and these are stored in layer.slope.
template <int SIZE>
static INLINE V &slope_at(const Layer &layer, int o, int q, int j) {
  int at = q * (SIZE ? SIZE : layer.window_size) + j;
  return SIZE || layer.tiled ? layer.z[o * layer.pixels + layer.window[at]]
                             : layer.slope[o * layer.windows * layer.window_size + at];
}

template <class A, bool LEARN, int SIZE>
static void activate_windows(const Layer &layer) {
  const int size = SIZE ? SIZE : layer.window_size;
  for (int o = 0; o < layer.outs; o++) {
    const V *z = layer.z + o * layer.pixels;
    for (int q = 0; q < layer.windows; q++) {
      const int32_t *pixel = layer.window + q * size;
      V *target = layer.output + o * layer.plane + layer.place[q];
      if (layer.max_pooled) {
        V best = z[pixel[0]], highest = A::monotone ? best : A::at(best).value;
        I winner = {};
        UNROLL_FOR(int j = 1; j < size; j++) {
          V rival = z[pixel[j]], value = A::monotone ? rival : A::at(rival).value;
          I wins = (value > highest) | (value != value);  // as in torch: NaN wins, or the first maximum
          best = wins ? rival : best;
          highest = wins ? value : highest;
          winner = wins ? j : winner;
        }
        Point point = A::at(best);
        *target = point.value;
        if constexpr (LEARN) {
          UNROLL_FOR(int j = 0; j < size; j++)
            slope_at<SIZE>(layer, o, q, j) = winner == j ? point.slope : 0.f;
        }
      } else {
        const float share = 1.f / size;
        V sum = {};
        UNROLL_FOR(int j = 0; j < size; j++) {
          Point point = A::at(z[pixel[j]]);
          sum += point.value;
          if constexpr (LEARN) slope_at<SIZE>(layer, o, q, j) = share * point.slope;
        }
        *target = sum * share;
      }
    }
  }
}

template <class A, bool LEARN>
static void activate_as(const Layer &layer) {
  if (layer.tiled && layer.window_size == 4) return activate_windows<A, LEARN, 4>(layer);
  activate_windows<A, LEARN, 0>(layer);
}

// The numbers of the cases are positions in ACTIVATIONS of lanes_blocks.py.
template <bool LEARN>
static void activate(const Layer &layer) {
  switch (layer.activation) {
    case 0: return activate_as<Identity, LEARN>(layer);
    case 1: return activate_as<Sigmoid, LEARN>(layer);
    case 2: return activate_as<Tanh, LEARN>(layer);
    case 3: return activate_as<Relu, LEARN>(layer);
    case 4: return activate_as<LeakyRelu, LEARN>(layer);
    case 5: return activate_as<Elu, LEARN>(layer);
    case 6: return activate_as<Selu, LEARN>(layer);
    case 7: return activate_as<Softplus, LEARN>(layer);
    case 8: return activate_as<Gelu, LEARN>(layer);
    case 9: return activate_as<Silu, LEARN>(layer);
    case 10: return activate_as<Mish, LEARN>(layer);
    case 11: return activate_as<Hardswish, LEARN>(layer);
  }
}

template <int SIZE>
static void multiply_slopes(const Layer &layer) {
  const int size = SIZE ? SIZE : layer.window_size;
  AdjacentLaneSums bias_gradients;
  bias_gradients.target = layer.bias_gradient;
  for (int o = 0; o < layer.outs; o++) {
    V *dz = layer.z + o * layer.pixels;
    V sum = {};
    // The gradient of a pixel is the sum over its windows. If a pixel is in no window, its gradient is zero.
    if (!SIZE && !layer.tiled) memset(dz, 0, sizeof(V) * layer.pixels);
    for (int q = 0; q < layer.windows; q++) {
      V gradient = layer.output_gradient[o * layer.plane + layer.place[q]];
      V of_window = {};
      UNROLL_FOR(int j = 0; j < size; j++) {
        V product = slope_at<SIZE>(layer, o, q, j) * gradient;
        V &target = dz[layer.window[q * size + j]];
        target = SIZE || layer.tiled ? product : target + product;
        of_window += product;
      }
      sum += of_window;
    }
    bias_gradients.add(sum);
  }
  bias_gradients.flush();
}

// Computes the gradient with respect to z from the gradient with respect to the output. The result
// overwrites layer.z. The sums of the result are added to the gradients of the biases.
static void compute_pre_activation_gradients(const Layer &layer) {
  if (layer.tiled && layer.window_size == 4) return multiply_slopes<4>(layer);
  multiply_slopes<0>(layer);
}
