// One training step of a LeNet-family network on a CPU, a group of examples at a time.
//
// Every number of the network is a vector V with one lane an example, so that a group of LANES examples goes
// through the whole network together and its maps stay in the cache. Shapes are given at run time: compiled
// once, this trains every network that lanes.py can describe.
//
// Convolution and dense layer are one contraction,
//
//     z[o, p] = bias[o] + sum over k of weight[o, k] * x[pixel[p] + tap[k]],
//
// whose two integer tables hold all that is particular to the geometry:
//   - convolution: pixel[p] is where in the padded input the kernel's corner lies for output pixel p (stride),
//     tap[k] how far from that corner its k-th entry reaches (channel, row, column; dilation);
//   - dense layer: "pixel" p is group p of the batch, pixel[p] where that group's features begin, tap[k] = k.
// With dz for the loss's derivative by z, the way back is the same contraction twice more:
//   d weight[o, k] = sum over p of dz[o, p] * x[pixel[p] + tap[k]]     (and over the lanes)
//   dx[pixel[p] + tap[k]] += sum over o of weight[o, k] * dz[o, p].
//
// Compiled without -ffast-math: a NaN or an infinity must reach the loss, where the run is called diverged.

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

// Register tiles of the contraction: ROWS * COLUMNS sums, COLUMNS operands and a factor at a time fill the 32
// registers of AVX-512 or the 16 of AVX2. TALL is for one column, where more rows hide the latency of a sum.
#ifdef __AVX512F__
enum { LANES = 16, ROWS = 4, COLUMNS = 6, TALL = 24 };
#else
enum { LANES = 8, ROWS = 2, COLUMNS = 5, TALL = 10 };
#endif

typedef float V __attribute__((vector_size(4 * LANES)));
typedef int32_t I __attribute__((vector_size(4 * LANES)));  // also what comparing two V gives: 0 or -1 a lane

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

// The structures below are laid out a second time in lanes.py: change both.

struct Layer {
  int32_t dense;        // 1: buffers hold all groups of the batch; 0: a convolution's hold the one in flight
  int32_t taps;         // products in an output: in_channels * kernel_size^2, or input features
  int32_t outs;         // out_channels, or output features
  int32_t pixels;       // pixels of a channel before pooling; groups of the batch if dense
  int32_t windows;      // pooling windows of a channel; as many as pixels where nothing is pooled
  int32_t window_size;  // pixels in a window
  int32_t tiled;        // 1: every pixel lies in exactly one window
  int32_t max_pooled;   // 1: a window gives its largest activation; 0: their mean
  int32_t activation;   // an Activation
  int32_t input_size;   // of one group, padding included
  int32_t plane;        // distance between two channels in the output, its padding included
  int32_t group_stride;  // distance between two groups in the output, if not in `place` already
  const int32_t *tap, *pixel;
  const int32_t *window;  // window[q * window_size + j]: the j-th pixel of window q
  const int32_t *place;   // place[q]: where window q goes in a channel of the output
  const float *weight, *bias;
  float *weight_gradient, *bias_gradient;
  const V *input;
  V *input_gradient;  // null in the first layer, where nobody asks for it
  V *output;          // the next layer's input, or the logits
  const V *output_gradient;
  V *z;      // pre-activations [o, p]; on the way back their gradient
  V *slope;  // d output / d z [o, q, j]: the way back through any activation and pooling is one product
};

struct Network {
  const Layer *layers;
  int32_t count, classes;
  int64_t image_size;
  const int32_t *image_place;  // where pixel i of an image goes in the first layer's padded input
  V *first_input;
  const V *logits;     // [group, class]
  V *logits_gradient;  // [group, class]
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

static INLINE V splat(float value) { return V{} + value; }

static INLINE float sum_of_lanes(V v) {
  float sum = 0;
  for (int lane = 0; lane < LANES; lane++) sum += v[lane];
  return sum;
}

// Lane j of the result is the sum of the lanes of v[j]: LANES sums at the price of about three.
static INLINE V sums_of_lanes(V *v) {
  I even, odd;
  for (int lane = 0; lane < LANES; lane++) {
    even[lane] = 2 * lane;
    odd[lane] = 2 * lane + 1;
  }
  UNROLL for (int n = LANES / 2; n; n /= 2) {
    UNROLL for (int i = 0; i < n; i++) {
      v[i] = __builtin_shuffle(v[2 * i], v[2 * i + 1], even) + __builtin_shuffle(v[2 * i], v[2 * i + 1], odd);
    }
  }
  return v[0];
}

// ---------------------------------------------------------------------------------------------------------
// Elementary functions, a few units in the last place from the truth; NaN in, NaN out.

// e^x = power * (1 + rest), with power = 2^n and rest = e^r - 1 for |r| <= ln(2) / 2.
struct Exponential {
  V power, rest;
};

// Cephes' expf (Moshier 1989). Beyond [-87, 88] the result stays at the ends of the normal floats.
static INLINE Exponential exponential(V x) {
  x = x > 88.f ? 88.f : x;
  x = x < -87.f ? -87.f : x;
  I n = __builtin_convertvector(x * 1.44269504f + (x > 0.f ? splat(.5f) : splat(-.5f)), I);
  V whole = __builtin_convertvector(n, V);
  V r = x - whole * .693359375f + whole * 2.12194440e-4f;  // ln(2) in two parts, so that r keeps its digits
  V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {(V)((n + 127) << 23), p * r * r + r};
}

static INLINE V exp(V x) {
  Exponential e = exponential(x);
  return e.power + e.power * e.rest;
}

static INLINE V expm1(V x) {
  Exponential e = exponential(x);
  return e.power * e.rest + (e.power - 1.f);
}

static INLINE V logistic(V x) { return 1.f / (1.f + exp(-x)); }

// log(1 + u) for u in [0, 1]: the series of 2 artanh(s), s = u / (2 + u) <= 1/3.
static INLINE V log1p_of_share(V u) {
  V s = u / (2.f + u), y = s * s;
  V p = y * (1.f / 13) + 1.f / 11;
  p = p * y + 1.f / 9;
  p = p * y + 1.f / 7;
  p = p * y + 1.f / 5;
  p = p * y + 1.f / 3;
  return 2.f * (s + s * y * p);
}

// Rational approximation used by XLA and Eigen; absolute error below 4e-7. Beyond the clamp erf is 1.
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
// Activations: value and slope at z, PyTorch's definitions and default constants. Written so that NaN stays
// NaN. `monotone` ones are max-pooled before they are computed; whichever is not used is not computed.

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
    return {a, a * (1.f - a)};
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
    // tanh(softplus(z)) = (n^2 + 2n) / (n^2 + 2n + 2) with n = e^z; 1 in float from z = 20 on.
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
        UNROLL for (int b = 0; b < WIDTH; b++) operand[b] = right(n + b, i);
        UNROLL for (int a = 0; a < HEIGHT; a++) {
          auto factor = left(m + a, i);
          UNROLL for (int b = 0; b < WIDTH; b++) sums[a][b] += factor * operand[b];
        }
      }
      UNROLL for (int a = 0; a < HEIGHT; a++) {
        UNROLL for (int b = 0; b < WIDTH; b++) store(m + a, n + b, sums[a][b]);
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

// A dense layer's single group is one column: a tall tile.
template <class Left, class Right, class Store>
static INLINE void contract_pixels(const Layer &layer, int rows, Span pixels, int terms, Left left,
                                   Right right, Store store) {
  if (layer.dense) {
    contract<TALL, 1>({0, rows}, pixels, terms, left, right, store);
  } else {
    contract<ROWS, COLUMNS>({0, rows}, pixels, terms, left, right, store);
  }
}

static void pre_activations(const Layer &layer, Span pixels) {
  contract_pixels(
      layer, layer.outs, pixels, layer.taps,  //
      [&](int o, int k) { return layer.weight[o * layer.taps + k]; },
      [&](int p, int k) { return layer.input[layer.pixel[p] + layer.tap[k]]; },
      [&](int o, int p, V sum) { layer.z[o * layer.pixels + p] = sum + layer.bias[o]; });
}

static void add_parameter_gradients(const Layer &layer, Span pixels) {
  for (int o = 0; o < layer.outs; o++) {
    V sum = {};
    for (int p = pixels.begin; p < pixels.end; p++) sum += layer.z[o * layer.pixels + p];
    layer.bias_gradient[o] += sum_of_lanes(sum);
  }
  // Sums wait until there are LANES of them, which are then summed over their lanes together.
  V waiting[LANES] = {};
  float *target[LANES];
  int count = 0;
  auto settle = [&]() {
    V sums = sums_of_lanes(waiting);
    for (int i = 0; i < count; i++) *target[i] += sums[i];
    count = 0;
  };
  contract<ROWS, COLUMNS>(
      {0, layer.outs}, {0, layer.taps}, pixels.end - pixels.begin,
      [&](int o, int p) { return layer.z[o * layer.pixels + pixels.begin + p]; },
      [&](int k, int p) { return layer.input[layer.pixel[pixels.begin + p] + layer.tap[k]]; },
      [&](int o, int k, V sum) {
        waiting[count] = sum;
        target[count++] = layer.weight_gradient + o * layer.taps + k;
        if (count == LANES) settle();
      });
  settle();
}

static void input_gradients(const Layer &layer, Span pixels) {
  V *first = layer.input_gradient + (layer.dense ? layer.pixel[pixels.begin] : 0);
  memset(first, 0, sizeof(V) * layer.input_size);
  contract_pixels(
      layer, layer.taps, pixels, layer.outs,  //
      [&](int k, int o) { return layer.weight[o * layer.taps + k]; },
      [&](int p, int o) { return layer.z[o * layer.pixels + p]; },
      [&](int k, int p, V sum) { layer.input_gradient[layer.pixel[p] + layer.tap[k]] += sum; });
}

// ---------------------------------------------------------------------------------------------------------
// Activation and pooling.

template <class A, bool LEARN>
static void activate_as(const Layer &layer, Span windows, V *output) {
  const int size = layer.window_size;
  for (int o = 0; o < layer.outs; o++) {
    const V *z = layer.z + o * layer.pixels;
    for (int q = windows.begin; q < windows.end; q++) {
      const int32_t *pixel = layer.window + q * size;
      V *slope = layer.slope + (o * layer.windows + q) * size;
      V *target = output + o * layer.plane + layer.place[q];
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
          for (int j = 0; j < size; j++) slope[j] = winner == j ? point.slope : 0.f;
        }
      } else {
        const float share = 1.f / size;
        V sum = {};
        for (int j = 0; j < size; j++) {
          Point point = A::at(z[pixel[j]]);
          sum += point.value;
          if constexpr (LEARN) slope[j] = share * point.slope;
        }
        *target = sum * share;
      }
    }
  }
}

// In the order of ACTIVATIONS in lanes.py.
template <bool LEARN>
static void activate(const Layer &layer, Span windows, V *output) {
  switch (layer.activation) {
    case 0: return activate_as<Identity, LEARN>(layer, windows, output);
    case 1: return activate_as<Sigmoid, LEARN>(layer, windows, output);
    case 2: return activate_as<Tanh, LEARN>(layer, windows, output);
    case 3: return activate_as<Relu, LEARN>(layer, windows, output);
    case 4: return activate_as<LeakyRelu, LEARN>(layer, windows, output);
    case 5: return activate_as<Elu, LEARN>(layer, windows, output);
    case 6: return activate_as<Selu, LEARN>(layer, windows, output);
    case 7: return activate_as<Softplus, LEARN>(layer, windows, output);
    case 8: return activate_as<Gelu, LEARN>(layer, windows, output);
    case 9: return activate_as<Silu, LEARN>(layer, windows, output);
    case 10: return activate_as<Mish, LEARN>(layer, windows, output);
    case 11: return activate_as<Hardswish, LEARN>(layer, windows, output);
  }
}

// From the gradient by the output to the gradient by z, which replaces z.
static void pre_activation_gradients(const Layer &layer, Span windows, const V *output_gradient) {
  const int size = layer.window_size;
  for (int o = 0; o < layer.outs; o++) {
    V *dz = layer.z + o * layer.pixels;
    // Windows that overlap add up, and pixels in none of them have no gradient.
    if (!layer.tiled) memset(dz, 0, sizeof(V) * layer.pixels);
    for (int q = windows.begin; q < windows.end; q++) {
      const int32_t *pixel = layer.window + q * size;
      const V *slope = layer.slope + (o * layer.windows + q) * size;
      V gradient = output_gradient[o * layer.plane + layer.place[q]];
      for (int j = 0; j < size; j++) {
        V &target = dz[pixel[j]];
        target = layer.tiled ? slope[j] * gradient : target + slope[j] * gradient;
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------
// A group of examples through the network and back.

static Span pixels_of(const Layer &layer, int group) {
  return layer.dense ? Span{group, group + 1} : Span{0, layer.pixels};
}
static Span windows_of(const Layer &layer, int group) {
  return layer.dense ? Span{group, group + 1} : Span{0, layer.windows};
}

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
  for (int64_t start = 0; start < size; start += line) {
    int64_t end = start + line < size ? start + line : size;
    for (int lane = 0; lane < LANES; lane++) {
      const float *image = examples.images + example(examples, group, lane) * size;
      for (int64_t i = start; i < end; i++) network.first_input[network.image_place[i]][lane] = image[i];
    }
  }
}

template <bool LEARN>
static void forward(const Network &network, const Examples &examples, int group) {
  load_images(network, examples, group);
  for (int i = 0; i < network.count; i++) {
    const Layer &layer = network.layers[i];
    pre_activations(layer, pixels_of(layer, group));
    activate<LEARN>(layer, windows_of(layer, group), layer.output + (int64_t)group * layer.group_stride);
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
  const V *logits = network.logits + (int64_t)group * classes;
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
    V *gradient = network.logits_gradient + (int64_t)group * classes;
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

static void backward(const Network &network, int group) {
  for (int i = network.count - 1; i >= 0; i--) {
    const Layer &layer = network.layers[i];
    pre_activation_gradients(layer, windows_of(layer, group),
                             layer.output_gradient + (int64_t)group * layer.group_stride);
    // A dense layer's weights wait for all groups: then the contraction's sum is long enough to pay.
    if (!layer.dense) add_parameter_gradients(layer, {0, layer.pixels});
    if (layer.input_gradient) input_gradients(layer, pixels_of(layer, group));
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
  memset(network->gradients, 0, sizeof(float) * network->parameter_count);
  for (int group = 0; group < groups(*examples); group++) {
    forward<true>(*network, *examples, group);
    Score result = score<true>(*network, *examples, group);
    totals[0] += result.loss;
    totals[1] += result.correct;
    backward(*network, group);
  }
  for (int i = 0; i < network->count; i++) {
    const Layer &layer = network->layers[i];
    if (layer.dense) add_parameter_gradients(layer, {0, groups(*examples)});
  }
  update(*network, *optimizer);
  return 1;
}

// Adds the number of right guesses to *correct; 0 as above.
extern "C" int count_correct(const Network *network, const Examples *examples, int64_t *correct) {
  if (!in_bounds(*network, *examples)) return 0;
  FlushDenormals flush;
  for (int group = 0; group < groups(*examples); group++) {
    forward<false>(*network, *examples, group);
    *correct += score<false>(*network, *examples, group).correct;
  }
  return 1;
}
