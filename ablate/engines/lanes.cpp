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

#include "lanes_vectors.h"

// Register tiles of the contraction: ROWS * COLUMNS sums, COLUMNS operands and a factor at a time fill the 32
// registers of AVX-512 or the 16 of AVX2. TALL is for one column, where more rows hide the latency of a sum;
// WIDEST is for spreading, where a row of sums is longer than its operands.
#ifdef __AVX512F__
enum { ROWS = 4, COLUMNS = 6, TALL = 24, WIDEST = 6 };
#else
enum { ROWS = 2, COLUMNS = 5, TALL = 10, WIDEST = 3 };
#endif

// The structures below are laid out a second time in lanes.py: change both.

struct Layer {
  int32_t taps;         // products in an output: in_channels * kernel_size^2, or input features
  int32_t outs;         // out_channels, or output features
  int32_t pixels;       // of a channel, before pooling; 1 makes it a dense layer
  int32_t width;        // pixels in a row, before pooling
  int32_t kernel;       // kernel_size where a kernel's row and a row of pixels lie without gaps, else 0
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

static void pre_activations(const Layer &layer) {
  contract_pixels(
      layer, layer.outs, layer.taps,  //
      [&](int o, int k) { return layer.weight[o * layer.taps + k]; },
      [&](int p, int k) { return layer.input[layer.pixel[p] + layer.tap[k]]; },
      [&](int o, int p, V sum) { layer.z[o * layer.pixels + p] = sum + layer.bias[o]; });
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
  if (layer.taps % COLUMNS == 1) {  // 25 of a 5x5 kernel: five times five leaves no narrow rest
    add_convolution_gradients<COLUMNS - 1>(layer);
  } else {
    add_convolution_gradients<COLUMNS>(layer);
  }
}

// Input gradients of WIDTH neighbouring pixels by HEIGHT neighbouring rows of the kernel: where a row of K
// taps lies without gaps, WIDTH * K products meet in WIDTH + K - 1 inputs, and meet in registers.
template <int K, int WIDTH, int HEIGHT>
static INLINE void spread(const Layer &layer, int first_pixel, int first_row) {
  enum { REACH = WIDTH + K - 1 };
  V sums[HEIGHT][REACH] = {};
  const V *dz = layer.z + first_pixel;
  const float *weight = layer.weight + first_row * K;
  for (int o = 0; o < layer.outs; o++, dz += layer.pixels, weight += layer.taps) {
    V operand[WIDTH];
    UNROLL_FOR(int x = 0; x < WIDTH; x++) operand[x] = dz[x];
    UNROLL_FOR(int k = 0; k < K; k++) {
      UNROLL_FOR(int r = 0; r < HEIGHT; r++) {
        UNROLL_FOR(int x = 0; x < WIDTH; x++) sums[r][x + k] += weight[r * K + k] * operand[x];
      }
    }
  }
  UNROLL_FOR(int r = 0; r < HEIGHT; r++) {
    V *target = layer.input_gradient + layer.pixel[first_pixel] + layer.tap[(first_row + r) * K];
    UNROLL_FOR(int x = 0; x < REACH; x++) target[x] += sums[r][x];
  }
}

template <int K, int WIDTH>
static void spread_all_rows(const Layer &layer, int first_pixel) {
  int rows = layer.taps / K, row = 0;
  for (; row + 2 <= rows; row += 2) spread<K, WIDTH, 2>(layer, first_pixel, row);
  if (row < rows) spread<K, WIDTH, 1>(layer, first_pixel, row);
}

template <int K>
static void spread_pixels(const Layer &layer) {
  const int widest = K > 5 ? WIDEST * 2 / 3 : WIDEST;
  for (int start = 0; start < layer.pixels; start += layer.width) {
    for (int x = 0, parts = (layer.width + widest - 1) / widest; parts; parts--) {
      int width = (layer.width - x + parts - 1) / parts;
      switch (width) {
        case 1: spread_all_rows<K, 1>(layer, start + x); break;
        case 2: spread_all_rows<K, 2>(layer, start + x); break;
        case 3: spread_all_rows<K, 3>(layer, start + x); break;
        case 4: spread_all_rows<K, 4>(layer, start + x); break;
        case 5:
          if constexpr (widest > 4) spread_all_rows<K, 5>(layer, start + x);
          break;
        case 6:
          if constexpr (widest > 4) spread_all_rows<K, 6>(layer, start + x);
          break;
      }
      x += width;
    }
  }
}

static void input_gradients(const Layer &layer) {
  memset(layer.input_gradient, 0, sizeof(V) * layer.input_size);
  switch (layer.kernel) {
    case 3: return spread_pixels<3>(layer);
    case 5: return spread_pixels<5>(layer);
    case 7: return spread_pixels<7>(layer);
  }
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
  LaneSums bias_gradients;
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
    bias_gradients.add(layer.bias_gradient + o, sum);
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
  for (int group = 0; group < groups(*examples); group++) {
    forward<false>(*network, *examples, group);
    *correct += score<false>(*network, *examples, group).correct;
  }
  return 1;
}
