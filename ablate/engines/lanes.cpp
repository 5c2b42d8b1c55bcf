// One training step of a LeNet-family network on a CPU, a group of examples at a time.
//
// Every number of the network is a vector V with one lane an example, so that a group of LANES examples goes
// through the whole network together and its maps stay in the cache. Shapes are given at run time: compiled
// once, this trains every network that lanes_tables.py can describe.
//
// Convolution and dense layer are one contraction,
//
//     z[o, p] = bias[o] + sum over k of weight[o, k] * x[pixel[p] + tap[k]],
//
// whose two integer tables hold all that is particular to the geometry: pixel[p] is where in the padded input
// the kernel's corner lies for output pixel p (stride), tap[k] how far from that corner its k-th entry
// reaches (channel, row, column; dilation). A dense layer is a convolution of a single pixel, its taps the
// input's features. With dz for the loss's derivative by z, the way back is the same contraction twice more:
//   d weight[o, k] = sum over p of dz[o, p] * x[pixel[p] + tap[k]]     (and over the lanes)
//   dx[pixel[p] + tap[k]] += sum over o of weight[o, k] * dz[o, p].

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

// The structures below are laid out a second time in lanes.py: change both.

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
  int32_t activation;   // position in ACTIVATIONS of lanes_tables.py
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

struct Network {
  const Layer *layers;
  int32_t count, classes;
  int64_t image_size;
  const int32_t *image_place;  // where pixel i of an image goes in the first layer's padded input
  V *first_input;
  const V *logits;
  V *logits_gradient;
  float *parameters, *gradients, *first_moment, *second_moment;
  int64_t parameter_count;
};

enum Rule : int32_t { SGD, ADAM, ADAMW };

struct Optimizer {
  int32_t rule;
  int32_t steps;  // taken so far
  double learning_rate, momentum, weight_decay;
};

struct Examples {
  const float *images;    // [n, image_size]
  const int64_t *labels;  // [n]
  int64_t count;          // n
  const int64_t *batch;   // the indices of those to use
  int32_t batch_size;
};

// While it lives, numbers too small for a normal float count as zero: saturated units breed them and each
// costs a hundred cycles. Elsewhere in the process torch's arithmetic is as it was.
struct FlushDenormals {
  unsigned mode = _mm_getcsr();
  FlushDenormals() { _mm_setcsr(mode | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(mode); }
};

// ---------------------------------------------------------------------------------------------------------
// The contraction.

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
//     m0 = (d0 - d2) g0,  m1 = (d1 + d2) (g0 + g1 + g2) / 2,  m2 = (d2 - d1) (g0 - g1 + g2) / 2,  m3 = (d1 -
//     d3) g2, y0 = m0 + m1 + m2,  y1 = m1 - m2 - m3.
// Every further pair of weights h with its three inputs e takes three in place of four:
//     n0 = (e0 - e1) h0,  n1 = e1 (h0 + h1),  n2 = (e1 - e2) h1,      y0 += n0 + n1,  y1 += n1 - n2.
// A row of K weights so takes PRODUCTS in place of 2 K: 4 of 6, 7 of 10, 10 of 14. The sums over channels and
// kernel rows are taken of the products, each of them a contraction; what comes before and after are a few
// additions, on which a processor's multipliers do not wait. Where a row of inputs is uniform both outputs
// are m1 + n1: ties stay.

template <int K>
struct Row {
  enum { PRODUCTS = 4 + (K - 3) / 2 * 3, INPUTS = K + 1 };

  // What the weights are multiplied by.
  static INLINE void of_inputs(const V *d, V *v) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
    UNROLL_FOR(int j = 3, f = 4; j < K; j += 2, f += 3) {
      v[f] = d[j] - d[j + 1];
      v[f + 1] = d[j + 1];
      v[f + 2] = d[j + 1] - d[j + 2];
    }
  }
  // The way back: adds the inputs' gradients.
  static INLINE void to_inputs(const V *v, V *d) {
    d[0] += v[0];
    d[1] += v[1] - v[2] + v[3];
    d[2] += v[1] + v[2] - v[0];
    V behind = -v[3];
    UNROLL_FOR(int j = 3, f = 4; j < K; j += 2, f += 3) {
      d[j] += behind + v[f];
      d[j + 1] += v[f + 1] + v[f + 2] - v[f];
      behind = -v[f + 2];
    }
    d[K] += behind;
  }
  static INLINE void of_weights(const float *g, float *u, int step) {
    u[0] = g[0];
    u[step] = .5f * (g[0] + g[1] + g[2]);
    u[2 * step] = .5f * (g[0] - g[1] + g[2]);
    u[3 * step] = g[2];
    UNROLL_FOR(int j = 3, f = 4; j < K; j += 2, f += 3) {
      u[f * step] = g[j];
      u[(f + 1) * step] = g[j] + g[j + 1];
      u[(f + 2) * step] = g[j + 1];
    }
  }
  // The way back: the weights' gradients.
  static INLINE void to_weights(const V *u, V *g) {
    V half_sum = .5f * (u[1] + u[2]);
    g[0] = u[0] + half_sum;
    g[1] = .5f * (u[1] - u[2]);
    g[2] = u[3] + half_sum;
    UNROLL_FOR(int j = 3, f = 4; j < K; j += 2, f += 3) {
      g[j] = u[f] + u[f + 1];
      g[j + 1] = u[f + 1] + u[f + 2];
    }
  }
  static INLINE void outputs(const V *m, V bias, V *y0, V *y1) {
    V both = m[1] + bias, left = m[0] + m[2], right = m[2] + m[3];
    UNROLL_FOR(int j = 3, f = 4; j < K; j += 2, f += 3) {
      left += m[f];
      both += m[f + 1];
      right += m[f + 2];
    }
    *y0 = both + left;
    *y1 = both - right;
  }
};

// How many channels' products fit the registers at once.
template <int K>
constexpr int block_of(int registers) {
  return registers / Row<K>::PRODUCTS < 4 ? registers / Row<K>::PRODUCTS : 4;
}

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

template <int K>
struct Filtering {
  enum { PRODUCTS = Row<K>::PRODUCTS, BLOCK = block_of<K>(PRODUCT_SUMS) };
  const Layer &layer;
  const int channels = layer.taps / (K * K);
  const int width = layer.width, height = layer.pixels / layer.width;
  const int pairs =
      (width + 1) / 2;  // of outputs in a row; where the width is odd the last one's second is dropped
  const int input_width = width + K - 1, input_height = height + K - 1;

  // Products of the weights, once a step: [block of outs][channel, kernel row][product][out of the block],
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
              V dy0, dy1;
              pair_of(dz - ky * width, t, &dy0, &dy1);
              add_products<WIDTH, WIDTH>(factor, dy0, dy1, sums);
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

  void add_weight_gradients() const {
    enum { OUTS = 2 * PRODUCTS > PRODUCT_SUMS ? 1 : PRODUCT_SUMS / 2 / PRODUCTS };
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
            Row<K>::of_inputs(d + y * input_width + 2 * t, v);
            UNROLL_FOR(int i = 0; i < WIDTH; i++) {
              V dy0, dy1;
              pair_of(dz + i * layer.pixels + 2 * t, t, &dy0, &dy1);
              add_products<1, 1>(v, dy0, dy1, &sums[i]);
            }
          }
        }
        UNROLL_FOR(int i = 0; i < WIDTH; i++) {
          V g[K];
          Row<K>::to_weights(sums[i], g);
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

  // sums[i][f] += factor[f, i] * (gradient of the f-th product by a pair of outputs).
  template <int WIDTH, int STEP, class Factor>
  static INLINE void add_products(const Factor *factor, V dy0, V dy1, V (*sums)[PRODUCTS]) {
    UNROLL_FOR(int i = 0; i < WIDTH; i++) {
      sums[i][0] += factor[i] * dy0;
      sums[i][3] -= factor[3 * STEP + i] * dy1;
    }
    UNROLL_FOR(int f = 4; f < PRODUCTS; f += 3) {
      UNROLL_FOR(int i = 0; i < WIDTH; i++) {
        sums[i][f] += factor[f * STEP + i] * dy0;
        sums[i][f + 2] -= factor[(f + 2) * STEP + i] * dy1;
      }
    }
    V sum = dy0 + dy1;
    UNROLL_FOR(int i = 0; i < WIDTH; i++) sums[i][1] += factor[STEP + i] * sum;
    UNROLL_FOR(int f = 4; f < PRODUCTS; f += 3) {
      UNROLL_FOR(int i = 0; i < WIDTH; i++) sums[i][f + 1] += factor[(f + 1) * STEP + i] * sum;
    }
    V difference = dy0 - dy1;
    UNROLL_FOR(int i = 0; i < WIDTH; i++) sums[i][2] += factor[2 * STEP + i] * difference;
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

// Where the slope of the j-th pixel of window q of channel o is kept: in its pre-activation's own place,
// which is needed no more, unless windows overlap.
static INLINE V &slope_at(const Layer &layer, int o, int q, int j) {
  int at = q * layer.window_size + j;
  return layer.tiled ? layer.z[o * layer.pixels + layer.window[at]]
                     : layer.slope[o * layer.windows * layer.window_size + at];
}

template <class A, bool LEARN>
static void activate_as(const Layer &layer) {
  const int size = layer.window_size;
  for (int o = 0; o < layer.outs; o++) {
    const V *z = layer.z + o * layer.pixels;
    for (int q = 0; q < layer.windows; q++) {
      const int32_t *pixel = layer.window + q * size;
      V *target = layer.output + o * layer.plane + layer.place[q];
      if (layer.max_pooled) {
        V best = z[pixel[0]], highest = A::monotone ? best : A::at(best).value;
        I winner = {};
        for (int j = 1; j < size; j++) {
          V rival = z[pixel[j]], value = A::monotone ? rival : A::at(rival).value;
          I wins = (value > highest) | (value != value);  // as in torch: the first of equals, NaN above all
          best = wins ? rival : best;
          highest = wins ? value : highest;
          winner = wins ? j : winner;
        }
        Point point = A::at(best);
        *target = point.value;
        if constexpr (LEARN) {
          for (int j = 0; j < size; j++) slope_at(layer, o, q, j) = winner == j ? point.slope : 0.f;
        }
      } else {
        const float share = 1.f / size;
        V sum = {};
        for (int j = 0; j < size; j++) {
          Point point = A::at(z[pixel[j]]);
          sum += point.value;
          if constexpr (LEARN) slope_at(layer, o, q, j) = share * point.slope;
        }
        *target = sum * share;
      }
    }
  }
}

// In the order of ACTIVATIONS in lanes_tables.py.
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

// From the gradient by the output to the gradient by z, which takes the place of z and slope, and by the
// biases.
static void pre_activation_gradients(const Layer &layer) {
  NeighbouringLaneSums bias_gradients;
  bias_gradients.target = layer.bias_gradient;
  for (int o = 0; o < layer.outs; o++) {
    V *dz = layer.z + o * layer.pixels;
    V sum = {};
    // Windows that overlap add up, and pixels in none of them have no gradient.
    if (!layer.tiled) memset(dz, 0, sizeof(V) * layer.pixels);
    for (int q = 0; q < layer.windows; q++) {
      V gradient = layer.output_gradient[o * layer.plane + layer.place[q]];
      for (int j = 0; j < layer.window_size; j++) {
        V product = slope_at(layer, o, q, j) * gradient;
        V &target = dz[layer.window[q * layer.window_size + j]];
        target = layer.tiled ? product : target + product;
        sum += product;
      }
    }
    bias_gradients.add(sum);
  }
  bias_gradients.settle();
}

// ---------------------------------------------------------------------------------------------------------
// A group of examples through the network and back.

// Lanes past the end of the batch repeat its first example; the loss leaves them out.
static int64_t example(const Examples &examples, int group, int lane) {
  int e = group * LANES + lane;
  return examples.batch[e < examples.batch_size ? e : 0];
}

static void load_images(const Network &network, const Examples &examples, int group) {
  const int64_t size = network.image_size;
  const int64_t line = 64 / sizeof(float);
  // Shuffled examples are nowhere near each other: ask for the next group's now.
  for (int e = (group + 1) * LANES; e < (group + 2) * LANES && e < examples.batch_size; e++) {
    const float *image = examples.images + examples.batch[e] * size;
    for (int64_t i = 0; i < size; i += line) __builtin_prefetch(image + i);
  }
  const float *image[LANES];
  for (int lane = 0; lane < LANES; lane++)
    image[lane] = examples.images + example(examples, group, lane) * size;
  int64_t whole = size / LANES * LANES;
  for (int64_t start = 0; start < whole; start += LANES) {
    V pixels[LANES];
    for (int lane = 0; lane < LANES; lane++) memcpy(&pixels[lane], image[lane] + start, sizeof(V));
    transpose(pixels);
    for (int i = 0; i < LANES; i++) network.first_input[network.image_place[start + i]] = pixels[i];
  }
  for (int64_t i = whole; i < size; i++) {
    for (int lane = 0; lane < LANES; lane++)
      network.first_input[network.image_place[i]][lane] = image[lane][i];
  }
}

// Multiplies the outputs, and with them their slopes, by the masks of the group's examples.
static void drop_out(const Layer &layer, const Examples &examples, int group) {
  for (int o = 0; o < layer.outs; o++) {
    V mask;
    for (int lane = 0; lane < LANES; lane++) {
      int e = group * LANES + lane;
      mask[lane] = layer.dropout[(e < examples.batch_size ? e : 0) * layer.outs + o];
    }
    layer.output[o] *= mask;
    layer.z[o] *= mask;
  }
}

template <bool LEARN>
static void forward(const Network &network, const Examples &examples, int group) {
  load_images(network, examples, group);
  for (int i = 0; i < network.count; i++) {
    const Layer &layer = network.layers[i];
    pre_activations(layer);
    activate<LEARN>(layer);
    if (LEARN && layer.dropout) drop_out(layer, examples, group);
  }
}

struct Score {
  double loss;
  int64_t correct;
};

// The group's summed cross-entropy and right guesses; if LEARN, also the gradient of the batch's mean loss.
template <bool LEARN>
static Score score(const Network &network, const Examples &examples, int group) {
  const int classes = network.classes;
  const V *logits = network.logits;
  I label, present;
  for (int lane = 0; lane < LANES; lane++) {
    label[lane] = (int32_t)examples.labels[example(examples, group, lane)];
    present[lane] = group * LANES + lane < examples.batch_size ? -1 : 0;
  }
  V top = logits[0];
  I guess = {};
  for (int c = 1; c < classes; c++) {
    I higher = logits[c] > top;
    top = higher ? logits[c] : top;
    guess = higher ? c : guess;
  }
  Score result = {};
  I right = (guess == label) & present;
  for (int lane = 0; lane < LANES; lane++) result.correct -= right[lane];
  if constexpr (LEARN) {
    V *gradient = network.logits_gradient;
    V sum = {}, labelled = {};  // of e^(logit - top), and the label's own logit - top
    for (int c = 0; c < classes; c++) {
      V below = logits[c] - top;
      gradient[c] = exp(below);
      sum += gradient[c];
      labelled = label == c ? below : labelled;
    }
    for (int lane = 0; lane < LANES; lane++) {
      if (present[lane]) result.loss += std::log(sum[lane]) - labelled[lane];
    }
    const float share = 1.f / examples.batch_size;
    for (int c = 0; c < classes; c++) {
      V probability = gradient[c] / sum;
      gradient[c] = present ? share * (label == c ? probability - 1.f : probability) : 0.f;
    }
  }
  return result;
}

static void backward(const Network &network, int group, int groups) {
  for (int i = network.count - 1; i >= 0; i--) {
    const Layer &layer = network.layers[i];
    pre_activation_gradients(layer);
    if (layer.pixels == 1) {
      keep_for_the_batch(layer, group, groups);
    } else {
      add_weight_gradients(layer);
    }
    if (layer.input_gradient) input_gradients(layer);
  }
}

// ---------------------------------------------------------------------------------------------------------
// torch.optim's SGD, Adam and AdamW with their default constants.

static void update(const Network &network, Optimizer &optimizer) {
  float *__restrict parameter = network.parameters;
  float *__restrict first = network.first_moment;
  float *__restrict second = network.second_moment;
  const float *__restrict gradient = network.gradients;
  const double beta1 = .9, beta2 = .999;
  const float rate = optimizer.learning_rate, momentum = optimizer.momentum;
  optimizer.steps++;
  if (optimizer.rule == SGD) {
    const float decay = optimizer.weight_decay;
    for (int64_t i = 0; i < network.parameter_count; i++) {
      first[i] = momentum * first[i] + (gradient[i] + decay * parameter[i]);
      parameter[i] -= rate * first[i];
    }
    return;
  }
  // Adam adds the decay to the gradient, AdamW takes it off the parameter (Loshchilov & Hutter 2019).
  const float coupled = optimizer.rule == ADAM ? optimizer.weight_decay : 0;
  const float kept = optimizer.rule == ADAMW ? 1 - optimizer.learning_rate * optimizer.weight_decay : 1;
  const float step_size = optimizer.learning_rate / (1 - std::pow(beta1, optimizer.steps));
  const float root_correction = std::sqrt(1 - std::pow(beta2, optimizer.steps));
  const float blend1 = 1 - beta1, keep2 = beta2, blend2 = 1 - beta2, epsilon = 1e-8f;
  for (int64_t i = 0; i < network.parameter_count; i++) {
    float slope = gradient[i] + coupled * parameter[i];
    first[i] += blend1 * (slope - first[i]);
    second[i] = keep2 * second[i] + blend2 * slope * slope;
    float spread = std::sqrt(second[i]) / root_correction + epsilon;
    parameter[i] = kept * parameter[i] - step_size * first[i] / spread;
  }
}

static bool in_bounds(const Network &network, const Examples &examples) {
  for (int e = 0; e < examples.batch_size; e++) {
    int64_t index = examples.batch[e];
    if (index < 0 || index >= examples.count) return false;
    if (examples.labels[index] < 0 || examples.labels[index] >= network.classes) return false;
  }
  return true;
}

static int groups(const Examples &examples) { return (examples.batch_size + LANES - 1) / LANES; }

extern "C" int lanes() { return LANES; }

// One optimiser step; adds summed loss and right guesses to totals[0] and totals[1]. 0: an index or a label
// is out of bounds and nothing was done.
extern "C" int train_step(const Network *network, Optimizer *optimizer, const Examples *examples,
                          double *totals) {
  if (!in_bounds(*network, *examples)) return 0;
  FlushDenormals flush;
  for (int i = 0; i < network->count; i++) prepare(network->layers[i]);
  memset(network->gradients, 0, sizeof(float) * network->parameter_count);
  for (int group = 0; group < groups(*examples); group++) {
    forward<true>(*network, *examples, group);
    Score result = score<true>(*network, *examples, group);
    totals[0] += result.loss;
    totals[1] += result.correct;
    backward(*network, group, groups(*examples));
  }
  for (int i = 0; i < network->count; i++) {
    if (network->layers[i].pixels == 1) add_dense_gradients(network->layers[i], groups(*examples));
  }
  update(*network, *optimizer);
  return 1;
}

// Adds the number of right guesses to *correct; 0 as above.
extern "C" int count_correct(const Network *network, const Examples *examples, int64_t *correct) {
  if (!in_bounds(*network, *examples)) return 0;
  FlushDenormals flush;
  for (int i = 0; i < network->count; i++) prepare(network->layers[i]);
  for (int group = 0; group < groups(*examples); group++) {
    forward<false>(*network, *examples, group);
    *correct += score<false>(*network, *examples, group).correct;
  }
  return 1;
}
