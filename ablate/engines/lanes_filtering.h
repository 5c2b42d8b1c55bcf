// Computes a convolution layer by minimal filtering of its rows: forward pass and gradients.
#pragma once

#include "lanes_contraction.h"
#include "lanes_layer.h"
#include "lanes_row_filtering.h"

// The number of output values whose products are kept together between the multiplication and the transform
// back: two register tiles.
enum { CHUNK = 2 * COLUMNS };
// The number of output channels whose weight gradients are kept together.
enum { OUT_BLOCK = 4 };

// The two matrix products of minimal filtering. They are no templates of the kernel size, because each of
// them takes the compiler seconds.

// Computes products[m * CHUNK + n - columns.begin] = sum over i of factors[i * rows + m] * inputs[tap[i] +
// n].
static void multiply_taps(int rows, Span columns, int terms, const float *factors, const V *inputs,
                          const int32_t *tap, V *products) {
  contract<ROWS, COLUMNS>(
      {0, rows}, columns, terms,  //
      [&](int m, int i) { return factors[i * rows + m]; }, [&](int n, int i) { return inputs[tap[i] + n]; },
      [&](int m, int n, V sum) { products[m * CHUNK + n - columns.begin] = sum; });
}

// Computes products[(m * columns + n) * step] = sum over i of left[m * left_row + i] * right[start[n] + i].
template <int WIDTH>
static void multiply_rows(int rows, int columns, int terms, const V *left, int left_row, const V *right,
                          const int32_t *start, V *products, int step) {
  contract<ROWS, WIDTH>(
      {0, rows}, {0, columns}, terms,  //
      [&](int m, int i) { return left[m * left_row + i]; }, [&](int n, int i) { return right[start[n] + i]; },
      [&](int m, int n, V sum) { products[(m * columns + n) * step] = sum; });
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
  // Rows of zeros above and below the gradients, as in lanes_tables.py. With them, more rows of inputs have
  // gradients of all kernel rows.
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
          V *z = layer.z + o * layer.pixels + y * width + M * t;
          UNROLL_FOR(int j = 0; j < M; j++) {
            if (M * t + j < width) z[j] = outputs[j] + bias;
          }
          if (++t == segments) t = 0, y++;
        }
      }
    }
  }

  // Needs the gradients that add_weight_gradients has transformed.
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

  void add_weight_gradients() const {
    if (layer.input_step) transform_inputs();  // another group has used the memory since the forward pass
    transform_gradients();
    const int columns = K * channels;
    AdjacentLaneSums lane_sums;
    lane_sums.target = layer.weight_gradient;
    for (int begin = 0; begin < outs; begin += OUT_BLOCK) {
      const int end = begin + OUT_BLOCK < outs ? begin + OUT_BLOCK : outs;
      for (int f = 0; f < PRODUCTS; f++) {
        const int row = gradient_height * segments;
        const V *gradients = layer.row_gradients + f * gradient_plane() + begin * row + margin * segments;
        const V *inputs = layer.row_inputs + f * input_plane();
        auto multiply = columns % COLUMNS == 1 ? multiply_rows<COLUMNS - 1> : multiply_rows<COLUMNS>;
        multiply(end - begin, columns, height * segments, gradients, row, inputs, layer.row_start,
                 layer.row_products + f, PRODUCTS);
      }
      const V *products = layer.row_products;
      for (int r = 0; r < (end - begin) * columns; r++, products += PRODUCTS) {
        V g[K];
        Transforms::make_weight_gradients(products, g);
        for (int k = 0; k < K; k++) lane_sums.add(g[k]);
      }
    }
    lane_sums.flush();
  }

 private:
  int input_plane() const { return channels * input_height * segments; }
  int gradient_plane() const { return outs * gradient_height * segments; }

  // Reads COUNT vectors of a row, of which `rest` are left.
  template <int COUNT>
  static INLINE void load(const V *from, int rest, V *to) {
    UNROLL_FOR(int j = 0; j < COUNT; j++) to[j] = j < rest ? from[j] : V{};
  }

  // Layout: [product][channel, input row, segment].
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

  // Layout: [product][out, row, segment], with `margin` rows of zeros above and below.
  void transform_gradients() const {
    const int plane = gradient_plane();
    for (int o = 0; o < outs; o++) {
      V *target = layer.row_gradients + (o * gradient_height + margin) * segments;
      for (int y = 0; y < height; y++) {
        const V *gradients = layer.z + o * layer.pixels + y * width;
        for (int t = 0; t < segments; t++, target++) {
          V dz[M], w[PRODUCTS];
          load<M>(gradients + M * t, width - M * t, dz);
          Transforms::transform_gradients(dz, w);
          UNROLL_FOR(int f = 0; f < PRODUCTS; f++) target[f * plane] = w[f];
        }
      }
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
        UNROLL_FOR(int j = 0; j < PRODUCTS; j++) {
          if (M * t + j < input_width) gradients[j] = d[j];
        }
        if (++t == segments) t = 0, row++;
      }
    }
  }
};

// Calls a function with the Filtering of the layer. Returns false if minimal filtering does not compute it.
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
