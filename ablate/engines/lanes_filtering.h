// Computes a convolution layer by minimal filtering of its rows: forward pass and gradients.
#pragma once

#include <type_traits>

#include "lanes_contraction.h"
#include "lanes_layer.h"
#include "lanes_row_filtering.h"

// The number of channels whose products fit into the registers together.
constexpr int choose_block(int products) { return PRODUCT_SUMS / products < 4 ? PRODUCT_SUMS / products : 4; }

// Divides `count` channels into blocks of BLOCK channels, then of half as many, and so on. Calls
// body(first, width) for each block: `first` is its first channel, and `width` is its number of channels. The
// data of a block are contiguous, and begin at `first` times the size of one channel.
template <int BLOCK, class Body>
static INLINE void in_blocks(int count, Body body, int first = 0) {
  for (; first + BLOCK <= count; first += BLOCK) body(first, std::integral_constant<int, BLOCK>());
  if constexpr (BLOCK > 1) {
    if (first < count) in_blocks<BLOCK / 2>(count, body, first);
  }
}

// A convolution with a K x K kernel.
template <int K>
struct Filtering {
  enum { PRODUCTS = Row<K>::PRODUCTS, BLOCK = choose_block(PRODUCTS) };
  const Layer &layer;
  const int channels = layer.taps / (K * K);
  const int width = layer.width, height = layer.pixels / layer.width;
  const int pairs = (width + 1) / 2;  // pairs of outputs in a row; for an odd width, the last pair has one
  const int input_width = width + K - 1, input_height = height + K - 1;

  // Transforms the weights, once per training step. Layout: [block of outs][channel, kernel row][product][out
  // in the block]. The backward pass has its own copy, in which channels and outs are exchanged.
  void transform_weights() const {
    in_blocks<BLOCK>(layer.outs, [&](int first, auto block) {
      enum { WIDTH = decltype(block)::value };
      float *u = layer.row_weights + first * channels * K * PRODUCTS;
      for (int r = 0; r < channels * K; r++, u += PRODUCTS * WIDTH) {
        for (int i = 0; i < WIDTH; i++) Row<K>::transform_weights(weights_at(first + i, r), u + i, WIDTH);
      }
    });
    if (!layer.input_gradient) return;
    in_blocks<BLOCK>(channels, [&](int first, auto block) {
      enum { WIDTH = decltype(block)::value };
      float *u = layer.row_weights_back + first * layer.outs * K * PRODUCTS;
      for (int o = 0; o < layer.outs; o++) {
        for (int ky = 0; ky < K; ky++, u += PRODUCTS * WIDTH) {
          for (int i = 0; i < WIDTH; i++)
            Row<K>::transform_weights(weights_at(o, (first + i) * K + ky), u + i, WIDTH);
        }
      }
    });
  }

  void compute_pre_activations() const {
    V *v = layer.row_inputs;  // [channel, input row, pair, product]
    for (int row = 0; row < channels * input_height; row++) {
      const V *d = layer.input + row * input_width;
      for (int t = 0; t < pairs; t++, d += 2, v += PRODUCTS) Row<K>::transform_inputs(d, v);
    }
    for (int y = 0; y < height; y++) {
      const Span kernel_rows = skip_padding(y, K);
      for (int t = 0; t < pairs; t++) {
        in_blocks<BLOCK>(layer.outs, [&](int first, auto block) {
          enum { WIDTH = decltype(block)::value };
          V sums[WIDTH][PRODUCTS] = {};
          for (int c = 0; c < channels; c++) {
            const float *factors = layer.row_weights + (first * channels + c * WIDTH) * K * PRODUCTS;
            const V *operands = layer.row_inputs + ((c * input_height + y) * pairs + t) * PRODUCTS;
            for (int ky = kernel_rows.begin; ky < kernel_rows.end; ky++) {
              const float *factor = factors + ky * PRODUCTS * WIDTH;
              const V *operand = operands + ky * pairs * PRODUCTS;
              UNROLL_FOR(int f = 0; f < PRODUCTS; f++) {
                UNROLL_FOR(int i = 0; i < WIDTH; i++) sums[i][f] += factor[f * WIDTH + i] * operand[f];
              }
            }
          }
          UNROLL_FOR(int i = 0; i < WIDTH; i++) {
            V *z = layer.z + (first + i) * layer.pixels + y * width + 2 * t, y1;
            Row<K>::make_outputs(sums[i], splat(layer.bias[first + i]), z, &y1);
            if (2 * t + 1 < width) z[1] = y1;
          }
        });
      }
    }
  }

  void compute_input_gradients() const {
    memset(layer.input_gradient, 0, sizeof(V) * layer.input_size);
    for (int row = layer.padding; row < input_height - layer.padding; row++) {
      const int ky_begin = row < height ? 0 : row - height + 1, ky_end = row < K ? row + 1 : K;
      for (int t = 0; t < pairs; t++) {
        in_blocks<BLOCK>(channels, [&](int first, auto block) {
          enum { WIDTH = decltype(block)::value };
          V sums[WIDTH][PRODUCTS] = {};
          for (int o = 0; o < layer.outs; o++) {
            const float *u = layer.row_weights_back + (first * layer.outs + o * WIDTH) * K * PRODUCTS;
            const V *dz = layer.z + o * layer.pixels + row * width + 2 * t;
            for (int ky = ky_begin; ky < ky_end; ky++) {
              const float *factor = u + ky * PRODUCTS * WIDTH;
              V dy0, dy1, gradient[PRODUCTS];
              load_pair(dz - ky * width, t, &dy0, &dy1);
              Row<K>::transform_gradients(dy0, dy1, gradient);
              UNROLL_FOR(int f = 0; f < PRODUCTS; f++) {
                UNROLL_FOR(int i = 0; i < WIDTH; i++) sums[i][f] += factor[f * WIDTH + i] * gradient[f];
              }
            }
          }
          UNROLL_FOR(int i = 0; i < WIDTH; i++) {
            Row<K>::add_input_gradients(
                sums[i], layer.input_gradient + ((first + i) * input_height + row) * input_width + 2 * t);
          }
        });
      }
    }
  }

  // The inputs are transformed again for every few output channels. So five weights are computed as three
  // weights and a pair here: this needs seven products instead of six, but its transform is much cheaper.
  void add_weight_gradients() const {
    using ThreeAndPairs = Row<K, 3>;
    enum { PRODUCTS = ThreeAndPairs::PRODUCTS };
    // The sums and the transformed inputs share the registers.
    enum { SUMS = (PRODUCT_SUMS + 4) / 2, OUTS = PRODUCTS > SUMS ? 1 : SUMS / PRODUCTS };
    in_blocks<OUTS>(layer.outs, [&](int first, auto block) {
      enum { WIDTH = decltype(block)::value };
      AdjacentLaneSums lane_sums[WIDTH];
      for (int i = 0; i < WIDTH; i++) lane_sums[i].target = layer.weight_gradient + (first + i) * layer.taps;
      for (int r = 0; r < channels * K; r++) {
        V sums[WIDTH][PRODUCTS] = {};
        const V *d = layer.input + (r / K * input_height + r % K) * input_width;
        const Span rows = skip_padding(r % K, height);
        for (int y = rows.begin; y < rows.end; y++) {
          const V *dz = layer.z + first * layer.pixels + y * width;
          for (int t = 0; t < pairs; t++) {
            V v[PRODUCTS];
            ThreeAndPairs::transform_inputs(d + y * input_width + 2 * t, v);
            UNROLL_FOR(int i = 0; i < WIDTH; i++) {
              V dy0, dy1;
              load_pair(dz + i * layer.pixels + 2 * t, t, &dy0, &dy1);
              // These are the products with the results of Row::transform_gradients. Each sum or difference
              // is computed just before its use. When all were computed first, the registers did not suffice,
              // and the whole training step took 3 % longer.
              sums[i][0] += v[0] * dy0;
              sums[i][3] += v[3] * dy1;
              UNROLL_FOR(int f = 4; f < PRODUCTS; f += 3) {
                sums[i][f] += v[f] * dy0;
                sums[i][f + 2] += v[f + 2] * dy1;
              }
              V sum = dy0 + dy1;
              sums[i][1] += v[1] * sum;
              UNROLL_FOR(int f = 4; f < PRODUCTS; f += 3) sums[i][f + 1] += v[f + 1] * sum;
              V difference = dy0 - dy1;
              sums[i][2] += v[2] * difference;
            }
          }
        }
        UNROLL_FOR(int i = 0; i < WIDTH; i++) {
          V g[K];
          ThreeAndPairs::make_weight_gradients(sums[i], g);
          for (int k = 0; k < K; k++) lane_sums[i].add(g[k]);
        }
      }
      for (int i = 0; i < WIDTH; i++) lane_sums[i].flush();
    });
  }

 private:
  const float *weights_at(int o, int row) const { return layer.weight + o * layer.taps + row * K; }

  // Of the `count` input rows from `first` on, finds those that are not padding. Counts them from `first`.
  Span skip_padding(int first, int count) const {
    int begin = layer.padding - first, end = input_height - layer.padding - first;
    return {begin > 0 ? begin : 0, end < count ? end : count};
  }

  // Loads the gradients of output pair t. In a row of odd width, the last pair has no second output.
  INLINE void load_pair(const V *dz, int t, V *dy0, V *dy1) const {
    *dy0 = dz[0];
    *dy1 = 2 * t + 1 < width ? dz[1] : V{};
  }
};
