// Makes a training step of a network like LeNet on a CPU, with one group of examples after the other.
//
// Every activation and gradient is a vector V with one lane for each example. So a group of LANES examples
// passes through the whole network together, and its maps stay in the cache. The shapes of the layers are
// given at run time. So one compiled library trains every network that lanes_tables.py can describe.
//
// Convolutions and dense layers are computed by one formula, called the contraction:
//
//     z[o, p] = bias[o] + sum over k of weight[o, k] * x[pixel[p] + tap[k]].
//
// Two integer tables describe the geometry. For output pixel p, the corner of the kernel is at position
// pixel[p] of the padded input. This table takes account of the stride. tap[k] is the distance from this
// corner to the kernel's k-th entry (channel, row, column). This table takes account of the dilation. A dense
// layer is a convolution with one output pixel, and its taps are the input features. Let dz be the gradient
// of the loss with respect to z. The backward pass then consists of two more contractions of this kind:
//   d weight[o, k] = sum over p and lanes of dz[o, p] * x[pixel[p] + tap[k]],
//   dx[pixel[p] + tap[k]] += sum over o of weight[o, k] * dz[o, p].

#include "lanes_images.h"
#include "lanes_norm.h"
#include "lanes_optimizer.h"
#include "lanes_pooling.h"
#include "lanes_products.h"
#include "lanes_stopwatch.h"

// ---------------------------------------------------------------------------------------------------------
// The forward and backward pass of one group of examples.

static int count_groups(const Examples &examples) { return (examples.batch_size + LANES - 1) / LANES; }

// Multiplies the outputs of a layer, and their slopes (derivatives), by the dropout masks of the group.
static void apply_dropout(const Layer &layer, const Examples &examples, int group) {
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

// Computes the layers from `begin` to `end` for one group. If `begin` is -1, the function starts with the
// images. Otherwise, the pre-activations of layer `begin` exist already, and the function starts with its
// activation. If there is a layer `end`, only the pre-activations of this layer are computed.
template <bool LEARN>
static void forward(const Network &network, const Examples &examples, int group, int begin, int end) {
  const int slot = LEARN ? group : 0;  // evaluation needs no memory of earlier groups
  int64_t *times = LEARN ? network.nanoseconds : nullptr;
  if (begin < 0) {
    Stopwatch running(times, 0, LOAD);
    load_images(network, examples, group, network.first_input + slot * network.layers[0].input_step);
  }
  for (int i = begin < 0 ? 0 : begin; i <= end && i < network.count; i++) {
    const Layer layer = select_group(network.layers[i], slot);
    if (i != begin) {
      Layer unnormed = layer;
      if (layer.unnormed) unnormed.z = layer.unnormed;
      measure(times, i, PRODUCTS, [&] { compute_pre_activations(unnormed); });
    }
    if (i == end) return;
    if (layer.channels) measure(times, i, NORMALIZE, [&] { normalize<LEARN>(layer); });
    measure(times, i, ACTIVATE, [&] { activate<LEARN>(layer); });
    if (LEARN && layer.dropout) apply_dropout(layer, examples, group);
  }
}

struct Score {
  I right;  // for each lane: -1 for a correct prediction, 0 for a wrong one
  double loss;
};

// Finds the group's correct predictions and computes the group's summed cross-entropy. Writes the gradient of
// the batch's mean loss to network.logits_gradient. Label smoothing changes only this gradient.
static Score compute_score(const Network &network, const Examples &examples, int group, float smoothing) {
  const int classes = network.classes;
  const V *logits = network.logits;
  I label, present;
  for (int lane = 0; lane < LANES; lane++) {
    label[lane] = (int32_t)examples.labels[find_example(examples, group, lane)];
    present[lane] = group * LANES + lane < examples.batch_size ? -1 : 0;
  }
  V top = logits[0];
  I guess = {};
  for (int c = 1; c < classes; c++) {
    I higher = logits[c] > top;
    top = higher ? logits[c] : top;
    guess = higher ? c : guess;
  }
  Score result = {(guess == label) & present, 0};
  V *gradient = network.logits_gradient;
  V sum = {}, labelled = {};  // sum of exp(logit - top), and logit - top of the true class
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
  const float other = smoothing / classes, own = 1.f - smoothing + other;  // the target probabilities
  for (int c = 0; c < classes; c++) {
    V probability = gradient[c] / sum;
    gradient[c] = present ? share * (probability - (label == c ? splat(own) : splat(other))) : 0.f;
  }
  return result;
}

// Computes the gradients of the layers for one group, backwards from layer `end` to layer `begin`. If there
// is a layer `end`, the gradients with respect to its normalised pre-activations exist already. If there is a
// layer `begin`, only the gradients with respect to its normalised pre-activations are computed.
static void backward(const Network &network, const Examples &examples, int group, int begin, int end) {
  const V present = find_present(examples.batch_size, group);
  int64_t *times = network.nanoseconds;
  for (int i = end < network.count ? end : network.count - 1; i >= begin && i >= 0; i--) {
    const Layer layer = select_group(network.layers[i], group);
    if (i != end) measure(times, i, SLOPES, [&] { compute_pre_activation_gradients(layer); });
    if (i == begin) return measure(times, i, NORMALIZE, [&] { add_to_gradient_sums(layer); });
    if (layer.channels) {
      measure(times, i, NORMALIZE, [&] { propagate_through_norm(layer, examples.batch_size, present); });
    }
    measure(times, i, WEIGHTS, [&] {
      if (layer.pixels == 1) {
        store_for_batch(layer, group, count_groups(examples));
      } else {
        add_weight_gradients(layer, group, count_groups(examples));
      }
    });
    if (layer.input_gradient) measure(times, i, INPUTS, [&] { compute_input_gradients(layer); });
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

// Returns the last layer before layer `end` that is normalised, or -1.
static int find_norm_before(const Network &network, int end) {
  int i = end - 1;
  while (i >= 0 && !network.layers[i].channels) i--;
  return i;
}

// Computes the pre-activations of all groups up to the last normalised layer, and the statistics of all
// normalised layers. Returns the position of the last normalised layer, or -1 if no layer is normalised.
static int compute_up_to_last_norm(const Network &network, const Examples &examples) {
  int begin = -1;
  for (int i = 0; i < network.count; i++) {
    if (!network.layers[i].channels) continue;
    for (int group = 0; group < count_groups(examples); group++) {
      forward<true>(network, examples, group, begin, i);
      Stopwatch running(network.nanoseconds, i, NORMALIZE);
      add_to_statistics(select_group(network.layers[i], group), group,
                        find_present(examples.batch_size, group));
    }
    finish_statistics(network.layers[i], examples.batch_size);
    begin = i;
  }
  return begin;
}

extern "C" int lanes() { return LANES; }

// Makes one training step. Adds the summed loss to totals[0] and the number of correct predictions to
// totals[1]. Returns 1. If an index or a label is out of bounds, the function does nothing and returns 0.
extern "C" int train_step(const Network *network, Optimizer *optimizer, const Examples *examples,
                          double *totals) {
  if (!in_bounds(*network, *examples)) return 0;
  FlushDenormals flush;
  int64_t *times = network->nanoseconds;
  for (int i = 0; i < network->count; i++) {
    measure(times, i, PREPARE, [&] { prepare_weights(network->layers[i]); });
  }
  memset(network->gradients, 0, sizeof(float) * network->parameter_count);
  const int groups = count_groups(*examples);
  // All groups pass through the layers up to a batch normalisation before any group passes through it.
  const int last = compute_up_to_last_norm(*network, *examples);
  for (int group = 0; group < groups; group++) {
    forward<true>(*network, *examples, group, last, network->count);
    Score result;
    measure(times, network->count - 1, SCORE,
            [&] { result = compute_score(*network, *examples, group, optimizer->label_smoothing); });
    totals[0] += result.loss;
    for (int lane = 0; lane < LANES; lane++) totals[1] -= result.right[lane];
    backward(*network, *examples, group, last, network->count);
  }
  for (int end = last; end >= 0;) {
    finish_gradient_sums(network->layers[end]);
    const int begin = find_norm_before(*network, end);
    for (int group = 0; group < groups; group++) backward(*network, *examples, group, begin, end);
    end = begin;
  }
  for (int i = 0; i < network->count; i++) {
    if (network->layers[i].pixels > 1) continue;
    measure(times, i, WEIGHTS, [&] { add_dense_gradients(network->layers[i], groups); });
  }
  measure(times, 0, UPDATE, [&] {
    update(*optimizer, network->parameters, network->gradients, network->first_moment, network->second_moment,
           network->parameter_count);
  });
  return 1;
}

// Writes the logits of the batch's examples to logits[batch_size, classes]. The function needs no labels. The
// caller must make sure that the indices are within bounds.
extern "C" void compute_logits(const Network *network, const Examples *examples, float *logits) {
  const int classes = network->classes;
  FlushDenormals flush;
  for (int i = 0; i < network->count; i++) prepare_weights(network->layers[i]);
  for (int group = 0; group < count_groups(*examples); group++) {
    forward<false>(*network, *examples, group, -1, network->count);
    for (int lane = 0; lane < LANES; lane++) {
      int64_t e = group * LANES + lane;
      if (e >= examples->batch_size) break;
      for (int c = 0; c < classes; c++) logits[e * classes + c] = network->logits[c][lane];
    }
  }
}
