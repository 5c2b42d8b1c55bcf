// Computes a convolution layer by minimal filtering of its rows: forward pass and gradients.
#pragma once

#include "lanes_contraction.h"
#include "lanes_layer.h"
#include "lanes_row_filtering.h"

// The products of this many output values are computed, kept, and then transformed back together. The number
// is the width of two register tiles.
enum { CHUNK = 2 * COLUMNS };
// The weight gradients of this many output channels are computed together.
enum { OUT_BLOCK = 4 };
// In the first layer, the gradients of about this many segments of an output channel are transformed
// together.
enum { SEGMENT_BLOCK = 32 };

// The two matrix products of minimal filtering. They are not templates of the kernel size, because the
// compiler would need seconds for each kernel size.

// Computes products[m * CHUNK + n - columns.begin] = sum over i of factors[i * rows + m] * inputs[tap[i] +
// n].
static void multiply_taps(int rows, Span columns, int terms, const float *factors, const V *inputs,
                          const int32_t *tap, V *products) {
  contract<ROWS, COLUMNS>(
      {0, rows}, columns, terms,  //
      [&](int m, int i) { return factors[i * rows + m]; }, [&](int n, int i) { return inputs[tap[i] + n]; },
      [&](int m, int n, V sum) { products[m * CHUNK + n - columns.begin] = sum; });
}

// Transformed inputs or gradients of several groups of examples.
struct Factors {
  const V *begin;
  int64_t step;  // the distance from one group to the next, in vectors
};

// Computes products[(m * columns + n) * step] = sum over groups g and terms i of
// left[m * left_row + i] * right[start[n] + i]. If ADD, adds the sums to the products.
template <bool ADD, int WIDTH>
static void multiply_rows(int rows, int columns, int groups, int terms, Factors left, int left_row,
                          Factors right, const int32_t *start, V *products, int step) {
  contract_groups<ROWS, WIDTH>(
      {0, rows}, {0, columns}, groups, terms,
      [&](int m, int g, int i) { return left.begin[g * left.step + m * left_row + i]; },
      [&](int n, int g, int i) { return right.begin[g * right.step + start[n] + i]; },
      [&](int m, int n, V sum) {
        V &product = products[(m * columns + n) * step];
        product = ADD ? product + sum : sum;
      });
}

// A convolution with a K x K kernel, whose rows of outputs are split into segments of M outputs.
//
// Each of the products of Row<M, K> is one matrix product over channels and kernel rows. So the transformed
// inputs, gradients and weights are stored by product, and the contraction in register tiles computes one
// product for many channels and segments. All rows of a channel are adjacent in memory, so segment n of the
// rows from `row` on lies n vectors after the first segment of `row`. The last segment of a row can reach
// past the row's end. There, inputs and gradients count as zeros, and results are not stored.
template <int M, int K>
struct Filtering {
  using Transforms = Row<M, K>;
  enum { PRODUCTS = Transforms::PRODUCTS };
  const Layer &layer;
  const int channels = layer.taps / (K * K), outs = layer.outs;
  const int width = layer.width, height = layer.pixels / layer.width;
  const int segments = (width + M - 1) / M;  // in a row
  const int input_width = width + K - 1, input_height = height + K - 1;
  // The number of rows of zeros above and below the gradients, as in lanes_tables.py. With these zeros, more
  // rows of inputs have gradients of all kernel rows.
  const int margin = layer.padding > 0 && layer.padding < K - 1 ? K - 1 - layer.padding : 0;
  const int gradient_height = height + 2 * margin;

  // Transforms the weights, once per training step. Layout: [product][kernel row, channel][out]. The backward
  // pass has its own copy, in which channels and outs are exchanged.
  void transform_weights() const {
    const int size = K * channels * outs;
    for (int ky = 0; ky < K; ky++) {
      for (int c = 0; c < channels; c++) {
        for (int o = 0; o < outs; o++) {
          const float *weights = layer.weight + o * layer.taps + (c * K + ky) * K;
          Transforms::transform_weights(weights, layer.row_weights + (ky * channels + c) * outs + o, size);
          if (!layer.input_gradient) continue;
          Transforms::transform_weights(weights, layer.row_weights_back + (ky * outs + o) * channels + c,
                                        size);
        }
      }
    }
  }

  void compute_pre_activations() const {
    transform_inputs();
    const int terms = K * channels, count = height * segments;
    V *products = layer.row_products;
    for (int begin = 0; begin < count; begin += CHUNK) {
      const int end = begin + CHUNK < count ? begin + CHUNK : count;
      for (int f = 0; f < PRODUCTS; f++) {
        multiply_taps(outs, {begin, end}, terms, layer.row_weights + f * terms * outs,
                      layer.row_inputs + f * input_plane(), layer.row_tap, products + f * outs * CHUNK);
      }
      for (int o = 0; o < outs; o++) {
        const V bias = splat(layer.bias[o]);
        for (int n = begin, y = begin / segments, t = begin % segments; n < end; n++) {
          V m[PRODUCTS], outputs[M];
          UNROLL_FOR(int f = 0; f < PRODUCTS; f++) m[f] = products[(f * outs + o) * CHUNK + n - begin];
          Transforms::make_outputs(m, outputs);
          UNROLL_FOR(int j = 0; j < M; j++) outputs[j] += bias;
          store<M>(outputs, width - M * t, layer.z + o * layer.pixels + y * width + M * t);
          if (++t == segments) t = 0, y++;
        }
      }
    }
  }

  // Call add_weight_gradients first, because it transforms the gradients.
  void compute_input_gradients() const {
    memset(layer.input_gradient, 0, sizeof(V) * layer.input_size);
    const int end = input_height - layer.padding;
    for (int first = layer.padding, last; first < end; first = last) {
      const Span kernel_rows = find_kernel_rows(first);
      for (last = first + 1; last < end; last++) {
        const Span others = find_kernel_rows(last);
        if (others.begin != kernel_rows.begin || others.end != kernel_rows.end) break;
      }
      for (int begin = first * segments; begin < last * segments; begin += CHUNK) {
        add_input_gradients({begin, begin + CHUNK < last * segments ? begin + CHUNK : last * segments},
                            kernel_rows);
      }
    }
  }

  // Adds the weight gradients of one group. The batch has `groups` groups. The products of several groups are
  // summed before they are transformed back. So most calls only store the transformed gradients.
  void add_weight_gradients(int group, int groups) const {
    if (layer.input_step) transform_inputs();  // another group has used the memory since the forward pass
    const int columns = K * channels;
    AdjacentLaneSums lane_sums;
    lane_sums.target = layer.weight_gradient;
    if (!layer.input_gradient) {
      multiply_first_gradients();
      add_transformed_weight_gradients(outs * columns, lane_sums);
      return lane_sums.flush();
    }
    const int row = gradient_height * segments;
    transform_gradients({0, outs}, {0, height}, layer.row_gradients + margin * segments, row,
                        gradient_plane());
    const int earlier = group % layer.kept_groups;
    if (earlier + 1 < layer.kept_groups && group + 1 < groups) return;
    const V *gradients = layer.row_gradients - earlier * layer.row_gradient_step + margin * segments;
    const Factors inputs = {layer.row_inputs - earlier * layer.row_input_step, layer.row_input_step};
    for (int begin = 0; begin < outs; begin += OUT_BLOCK) {
      const int count = begin + OUT_BLOCK < outs ? OUT_BLOCK : outs - begin;
      multiply_gradients<false>(earlier + 1, {gradients + begin * row, layer.row_gradient_step}, count, row,
                                height * segments, gradient_plane(), inputs, layer.row_products);
      add_transformed_weight_gradients(count * columns, lane_sums);
    }
    lane_sums.flush();
  }

 private:
  int input_plane() const { return channels * input_height * segments; }
  int gradient_plane() const { return outs * gradient_height * segments; }

  // Reads COUNT vectors of a row. The row has only `rest` more vectors. Zeros replace the missing ones.
  template <int COUNT>
  static INLINE void load(const V *from, int rest, V *to) {
    if (rest >= COUNT) {
      UNROLL_FOR(int j = 0; j < COUNT; j++) to[j] = from[j];
    } else {
      UNROLL_FOR(int j = 0; j < COUNT; j++) to[j] = j < rest ? from[j] : V{};
    }
  }
  // Writes COUNT vectors to a row. The row has only `rest` more vectors. The others are not written.
  template <int COUNT>
  static INLINE void store(const V *from, int rest, V *to) {
    if (rest >= COUNT) {
      UNROLL_FOR(int j = 0; j < COUNT; j++) to[j] = from[j];
    } else {
      UNROLL_FOR(int j = 0; j < COUNT; j++) {
        if (j < rest) to[j] = from[j];
      }
    }
  }

  // Transforms the inputs. Layout of the result: [product][channel, input row, segment].
  void transform_inputs() const {
    const int plane = input_plane();
    V *target = layer.row_inputs;
    for (int row = 0; row < channels * input_height; row++) {
      const V *inputs = layer.input + row * input_width;
      for (int t = 0; t < segments; t++, target++) {
        V d[PRODUCTS], v[PRODUCTS];
        load<PRODUCTS>(inputs + M * t, input_width - M * t, d);
        Transforms::transform_inputs(d, v);
        UNROLL_FOR(int f = 0; f < PRODUCTS; f++) target[f * plane] = v[f];
      }
    }
  }

  // Writes the transformed gradients of some output channels and rows to target[product * plane + out * row +
  // segment], where `row` is the distance of two channels.
  void transform_gradients(Span channels, Span rows, V *target, int row, int plane) const {
    for (int o = channels.begin; o < channels.end; o++, target += row) {
      V *place = target;
      for (int y = rows.begin; y < rows.end; y++) {
        const V *gradients = layer.z + o * layer.pixels + y * width;
        for (int t = 0; t < segments; t++, place++) {
          V dz[M], w[PRODUCTS];
          load<M>(gradients + M * t, width - M * t, dz);
          Transforms::transform_gradients(dz, w);
          UNROLL_FOR(int f = 0; f < PRODUCTS; f++) place[f * plane] = w[f];
        }
      }
    }
  }

  // Multiplies the transformed gradients of `count` output channels by the transformed inputs. Layout of
  // the products: [out, input channel, kernel row][product].
  template <bool ADD>
  void multiply_gradients(int groups, Factors gradients, int count, int row, int terms, int plane,
                          Factors inputs, V *products) const {
    const int columns = K * channels;
    const bool narrow = columns % COLUMNS && columns % (COLUMNS - 1) == 0;
    auto multiply = narrow ? multiply_rows<ADD, COLUMNS - 1> : multiply_rows<ADD, COLUMNS>;
    for (int f = 0; f < PRODUCTS; f++) {
      multiply(count, columns, groups, terms, {gradients.begin + f * plane, gradients.step}, row,
               {inputs.begin + f * input_plane(), inputs.step}, layer.row_start, products + f, PRODUCTS);
    }
  }

  // Multiplies the gradients of all output channels of the first layer. Nothing else needs its transformed
  // gradients. So they are made for a few rows of a few channels at a time, and stay in the nearest cache.
  void multiply_first_gradients() const {
    const int block = segments < SEGMENT_BLOCK ? SEGMENT_BLOCK / segments : 1;
    memset(layer.row_products, 0, sizeof(V) * outs * K * channels * PRODUCTS);
    for (int y = 0; y < height; y += block) {
      const Span rows = {y, y + block < height ? y + block : height};
      const int terms = (rows.end - rows.begin) * segments;
      for (int o = 0; o < outs; o += ROWS) {
        const Span some = {o, o + ROWS < outs ? o + ROWS : outs};
        const int count = some.end - some.begin;
        transform_gradients(some, rows, layer.row_gradients, terms, count * terms);
        multiply_gradients<true>(1, {layer.row_gradients, 0}, count, terms, terms, count * terms,
                                 {layer.row_inputs + y * segments, 0},
                                 layer.row_products + o * K * channels * PRODUCTS);
      }
    }
  }

  void add_transformed_weight_gradients(int rows, AdjacentLaneSums &lane_sums) const {
    for (int r = 0; r < rows; r++) {
      V g[K];
      Transforms::make_weight_gradients(layer.row_products + r * PRODUCTS, g);
      for (int k = 0; k < K; k++) lane_sums.add(g[k]);
    }
  }

  // Finds the kernel rows that contribute to the gradient of an input row.
  Span find_kernel_rows(int row) const {
    const int begin = row - (height + margin) + 1, end = row + margin + 1;
    return {begin > 0 ? begin : 0, end < K ? end : K};
  }

  // Adds the gradients of the inputs of some segments, counted from the first input row on.
  void add_input_gradients(Span span, Span kernel_rows) const {
    V *products = layer.row_products;
    const int skipped = kernel_rows.begin * outs;
    const int terms = kernel_rows.end * outs - skipped;
    for (int f = 0; f < PRODUCTS; f++) {
      multiply_taps(channels, span, terms, layer.row_weights_back + (f * K * outs + skipped) * channels,
                    layer.row_gradients + f * gradient_plane() + margin * segments,
                    layer.row_tap_back + skipped, products + f * channels * CHUNK);
    }
    for (int c = 0; c < channels; c++) {
      for (int n = span.begin, row = n / segments, t = n % segments; n < span.end; n++) {
        V m[PRODUCTS], d[PRODUCTS];
        UNROLL_FOR(int f = 0; f < PRODUCTS; f++) m[f] = products[(f * channels + c) * CHUNK + n - span.begin];
        V *gradients = layer.input_gradient + (c * input_height + row) * input_width + M * t;
        load<PRODUCTS>(gradients, input_width - M * t, d);
        Transforms::add_input_gradients(m, d);
        store<PRODUCTS>(d, input_width - M * t, gradients);
        if (++t == segments) t = 0, row++;
      }
    }
  }
};

// Calls a function with the layer's Filtering. Returns false if the layer does not use minimal filtering.
template <class Function>
static INLINE bool with_filtering(const Layer &layer, Function function) {
  switch (10 * layer.segment + layer.kernel) {
    case 43: return function(Filtering<4, 3>{layer}), true;
    case 53: return function(Filtering<5, 3>{layer}), true;
    case 45: return function(Filtering<4, 5>{layer}), true;
    case 55: return function(Filtering<5, 5>{layer}), true;
    case 27: return function(Filtering<2, 7>{layer}), true;
  }
  return false;
}
