// A layer of a network forward and back, for one group of examples.
#pragma once

#include "lanes_contraction.h"

// This structure and those of lanes.cpp are laid out a second time in lanes_library.py: change both.

struct Layer {
  int32_t taps;         // products in an output: in_channels * kernel_size^2, or input features
  int32_t outs;         // out_channels, or output features
  int32_t pixels;       // of a channel, before pooling; 1 makes it a dense layer
  int32_t width;        // pixels in a row, before pooling
  int32_t kernel;       // kernel_size if minimal filtering does the layer, else 0
  int32_t padding;      // rows of zeros above the input's first and below its last
  int32_t windows;      // pooling windows of a channel; as many as pixels where nothing is pooled
  int32_t window_size;  // pixels in a window
  int32_t tiled;        // 1: every pixel lies in exactly one window
  int32_t max_pooled;   // 1: a window gives its largest activation; 0: their mean
  int32_t activation;   // position in ACTIVATIONS of lanes_blocks.py
  int32_t input_size;   // padding included
  int32_t plane;        // distance between two channels in the output, its padding included
  const int32_t *tap, *pixel;
  const int32_t *window;  // window[q * window_size + j]: the j-th pixel of window q
  const int32_t *place;   // place[q]: where window q goes in a channel of the output
  const float *weight, *bias;
  float *weight_gradient, *bias_gradient;
  const V *input;
  V *input_gradient;  // null in the first layer, where nobody asks for it
  V *output;          // the next layer's input, or the logits
  const V *output_gradient;
  V *z;               // [o, p]: pre-activations, then their slopes if tiled, on the way back their gradients
  V *slope;           // d output / d z [o, q, j], if not tiled
  V *by_example;      // if dense, the whole batch's input once more, [vector of features, example]
  V *gradients_kept;  // if dense, the whole batch's gradients by z, [o, group]
  V *row_inputs;      // for minimal filtering, as Filtering lays them out
  float *row_weights, *row_weights_back;
  const float *dropout;  // [example, o]: 0 or 1 / (1 - p), which multiplies the output; null: none
};

// A dense layer's single pixel is one column: a tall tile.
template <class Left, class Right, class Store>
static INLINE void contract_pixels(const Layer &layer, int rows, int terms, Left left, Right right,
                                   Store store) {
  if (layer.pixels == 1) {
    contract<TALL, 1>({0, rows}, {0, 1}, terms, left, right, store);
  } else {
    contract<ROWS, COLUMNS>({0, rows}, {0, layer.pixels}, terms, left, right, store);
  }
}

template <int K>
struct Filtering {
  enum { PRODUCTS = Row<K>::PRODUCTS, BLOCK = block_of(PRODUCTS) };
  const Layer &layer;
  const int channels = layer.taps / (K * K);
  const int width = layer.width, height = layer.pixels / layer.width;
  const int pairs =
      (width + 1) / 2;  // of outputs in a row; where the width is odd the last one's second is dropped
  const int input_width = width + K - 1, input_height = height + K - 1;

  // Factors of the weights, once a step: [block of outs][channel, kernel row][product][out of the block],
  // and with channels and outs exchanged for the way back.
  void prepare() const {
    in_blocks<BLOCK>(layer.outs, [&](int first, auto block) {
      enum { WIDTH = decltype(block)::value };
      float *u = layer.row_weights + first * channels * K * PRODUCTS;
      for (int r = 0; r < channels * K; r++, u += PRODUCTS * WIDTH) {
        for (int i = 0; i < WIDTH; i++) Row<K>::of_weights(weights(first + i, r), u + i, WIDTH);
      }
    });
    if (!layer.input_gradient) return;
    in_blocks<BLOCK>(channels, [&](int first, auto block) {
      enum { WIDTH = decltype(block)::value };
      float *u = layer.row_weights_back + first * layer.outs * K * PRODUCTS;
      for (int o = 0; o < layer.outs; o++) {
        for (int ky = 0; ky < K; ky++, u += PRODUCTS * WIDTH) {
          for (int i = 0; i < WIDTH; i++) Row<K>::of_weights(weights(o, (first + i) * K + ky), u + i, WIDTH);
        }
      }
    });
  }

  void pre_activations() const {
    V *v = layer.row_inputs;  // [channel, input row, pair, product]
    for (int row = 0; row < channels * input_height; row++) {
      const V *d = layer.input + row * input_width;
      for (int t = 0; t < pairs; t++, d += 2, v += PRODUCTS) Row<K>::of_inputs(d, v);
    }
    for (int y = 0; y < height; y++) {
      const Span kernel_rows = beyond_padding(y, K);
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
            Row<K>::outputs(sums[i], splat(layer.bias[first + i]), z, &y1);
            if (2 * t + 1 < width) z[1] = y1;
          }
        });
      }
    }
  }

  void input_gradients() const {
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
              pair_of(dz - ky * width, t, &dy0, &dy1);
              Row<K>::of_gradients(dy0, dy1, gradient);
              UNROLL_FOR(int f = 0; f < PRODUCTS; f++) {
                UNROLL_FOR(int i = 0; i < WIDTH; i++) sums[i][f] += factor[f * WIDTH + i] * gradient[f];
              }
            }
          }
          UNROLL_FOR(int i = 0; i < WIDTH; i++) {
            Row<K>::to_inputs(
                sums[i], layer.input_gradient + ((first + i) * input_height + row) * input_width + 2 * t);
          }
        });
      }
    }
  }

  // The inputs' factors are made anew for every few outputs: those of five weights' six products cost more
  // than the seventh product of three weights and a pair does.
  void add_weight_gradients() const {
    using ThreeAndPairs = Row<K, 3>;
    enum { PRODUCTS = ThreeAndPairs::PRODUCTS };
    // Sums and factors of the inputs share the registers.
    enum { SUMS = (PRODUCT_SUMS + 4) / 2, OUTS = PRODUCTS > SUMS ? 1 : SUMS / PRODUCTS };
    in_blocks<OUTS>(layer.outs, [&](int first, auto block) {
      enum { WIDTH = decltype(block)::value };
      NeighbouringLaneSums lane_sums[WIDTH];
      for (int i = 0; i < WIDTH; i++) lane_sums[i].target = layer.weight_gradient + (first + i) * layer.taps;
      for (int r = 0; r < channels * K; r++) {
        V sums[WIDTH][PRODUCTS] = {};
        const V *d = layer.input + (r / K * input_height + r % K) * input_width;
        const Span rows = beyond_padding(r % K, height);
        for (int y = rows.begin; y < rows.end; y++) {
          const V *dz = layer.z + first * layer.pixels + y * width;
          for (int t = 0; t < pairs; t++) {
            V v[PRODUCTS];
            ThreeAndPairs::of_inputs(d + y * input_width + 2 * t, v);
            UNROLL_FOR(int i = 0; i < WIDTH; i++) {
              V dy0, dy1;
              pair_of(dz + i * layer.pixels + 2 * t, t, &dy0, &dy1);
              // Product by product as Row::of_gradients has them, but those that are made of others last:
              // with all made beforehand the registers do not suffice, and the whole step takes 3 % longer.
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
          ThreeAndPairs::to_weights(sums[i], g);
          for (int k = 0; k < K; k++) lane_sums[i].add(g[k]);
        }
      }
      for (int i = 0; i < WIDTH; i++) lane_sums[i].settle();
    });
  }

 private:
  const float *weights(int o, int row) const { return layer.weight + o * layer.taps + row * K; }

  // Of `count` rows from `first` on, those in which the input is more than padding, counted from `first`.
  Span beyond_padding(int first, int count) const {
    int begin = layer.padding - first, end = input_height - layer.padding - first;
    return {begin > 0 ? begin : 0, end < count ? end : count};
  }

  // Gradients of a pair of outputs; there is no second one behind an odd row.
  INLINE void pair_of(const V *dz, int t, V *dy0, V *dy1) const {
    *dy0 = dz[0];
    *dy1 = 2 * t + 1 < width ? dz[1] : V{};
  }
};

// ---------------------------------------------------------------------------------------------------------
// A layer's three contractions.

static void prepare(const Layer &layer) {
  switch (layer.kernel) {
    case 3: return Filtering<3>{layer}.prepare();
    case 5: return Filtering<5>{layer}.prepare();
    case 7: return Filtering<7>{layer}.prepare();
  }
}

static void pre_activations(const Layer &layer) {
  switch (layer.kernel) {
    case 3: return Filtering<3>{layer}.pre_activations();
    case 5: return Filtering<5>{layer}.pre_activations();
    case 7: return Filtering<7>{layer}.pre_activations();
  }
  contract_pixels(
      layer, layer.outs, layer.taps,  //
      [&](int o, int k) { return layer.weight[o * layer.taps + k]; },
      [&](int p, int k) { return layer.input[layer.pixel[p] + layer.tap[k]]; },
      [&](int o, int p, V sum) { layer.z[o * layer.pixels + p] = sum + layer.bias[o]; });
}

template <int WIDTH>
static void add_convolution_gradients(const Layer &layer) {
  LaneSums sums;
  contract<ROWS, WIDTH>(
      {0, layer.outs}, {0, layer.taps}, layer.pixels,
      [&](int o, int p) { return layer.z[o * layer.pixels + p]; },
      [&](int k, int p) { return layer.input[layer.pixel[p] + layer.tap[k]]; },
      [&](int o, int k, V sum) { sums.add(layer.weight_gradient + o * layer.taps + k, sum); });
  sums.settle();
}

// A dense layer's sums have one term a group: summing each over its lanes would cost as much again. Instead
// its inputs are kept with features as lanes, and when the whole batch has passed, its examples are the
// terms.
static void keep_for_the_batch(const Layer &layer, int group, int groups) {
  const int blocks = (layer.taps + LANES - 1) / LANES;
  for (int k = 0; k < blocks; k++) {
    V block[LANES] = {};
    for (int i = 0; i < LANES && k * LANES + i < layer.taps; i++) {
      block[i] = layer.input[layer.pixel[0] + layer.tap[k * LANES + i]];
    }
    transpose(block);
    for (int lane = 0; lane < LANES; lane++) {
      layer.by_example[(k * groups + group) * LANES + lane] = block[lane];
    }
  }
  for (int o = 0; o < layer.outs; o++) layer.gradients_kept[o * groups + group] = layer.z[o];
}

static void add_dense_gradients(const Layer &layer, int groups) {
  const int blocks = (layer.taps + LANES - 1) / LANES;
  const int terms = groups * LANES;
  const float *dz = (const float *)layer.gradients_kept;
  contract<ROWS, COLUMNS>(
      {0, layer.outs}, {0, blocks}, terms,  //
      [&](int o, int e) { return dz[o * terms + e]; },
      [&](int k, int e) { return layer.by_example[k * terms + e]; },
      [&](int o, int k, V sum) {
        int rest = layer.taps - k * LANES;
        memcpy(layer.weight_gradient + o * layer.taps + k * LANES, &sum,
               sizeof(float) * (rest < LANES ? rest : LANES));
      });
}

static void add_weight_gradients(const Layer &layer) {
  switch (layer.kernel) {
    case 3: return Filtering<3>{layer}.add_weight_gradients();
    case 5: return Filtering<5>{layer}.add_weight_gradients();
    case 7: return Filtering<7>{layer}.add_weight_gradients();
  }
  if (layer.taps % COLUMNS == 1) {  // 25 of a 5x5 kernel: five times five leaves no narrow rest
    add_convolution_gradients<COLUMNS - 1>(layer);
  } else {
    add_convolution_gradients<COLUMNS>(layer);
  }
}

static void input_gradients(const Layer &layer) {
  switch (layer.kernel) {
    case 3: return Filtering<3>{layer}.input_gradients();
    case 5: return Filtering<5>{layer}.input_gradients();
    case 7: return Filtering<7>{layer}.input_gradients();
  }
  memset(layer.input_gradient, 0, sizeof(V) * layer.input_size);
  contract_pixels(
      layer, layer.taps, layer.outs,  //
      [&](int k, int o) { return layer.weight[o * layer.taps + k]; },
      [&](int p, int o) { return layer.z[o * layer.pixels + p]; },
      [&](int k, int p, V sum) { layer.input_gradient[layer.pixel[p] + layer.tap[k]] += sum; });
}

// ---------------------------------------------------------------------------------------------------------
// Activation and pooling.

// SIZE, here and below: windows tile the channel and each has so many pixels; 0 where the layer tells that.
// Known when this is compiled, four pixels are one block without a branch: a seventh off both passes.

// Where the slope of the j-th pixel of window q of channel o is kept: in its pre-activation's own place,
// which is needed no more, unless windows overlap.
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
          I wins = (value > highest) | (value != value);  // as in torch: the first of equals, NaN above all
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

// In the order of ACTIVATIONS in lanes_blocks.py.
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
static void pass_slopes(const Layer &layer) {
  const int size = SIZE ? SIZE : layer.window_size;
  NeighbouringLaneSums bias_gradients;
  bias_gradients.target = layer.bias_gradient;
  for (int o = 0; o < layer.outs; o++) {
    V *dz = layer.z + o * layer.pixels;
    V sum = {};
    // Windows that overlap add up, and pixels in none of them have no gradient.
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
  bias_gradients.settle();
}

// From the gradient by the output to the gradient by z, which takes the place of z and slope, and by the
// biases.
static void pre_activation_gradients(const Layer &layer) {
  if (layer.tiled && layer.window_size == 4) return pass_slopes<4>(layer);
  pass_slopes<0>(layer);
}
