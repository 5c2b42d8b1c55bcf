// Batch normalisation of a layer's pre-activations (Ioffe & Szegedy 2015), as in torch.nn.BatchNorm1d and 2d.
//
// In training, a channel is normalised with its mean and variance over the batch's examples and the pixels.
// So lanes.cpp computes the pre-activations of all groups before it goes on. Sums over a group are vectors of
// floats. Sums over groups are doubles. All sums leave out lanes past the end of the batch.
#pragma once

#include "lanes_contraction.h"
#include "lanes_layer.h"

// Returns 1 in the lanes of a group that have an example of the batch, and 0 in the other lanes.
static V find_present(int batch_size, int group) {
  V present;
  for (int lane = 0; lane < LANES; lane++) present[lane] = group * LANES + lane < batch_size ? 1.f : 0.f;
  return present;
}

static double sum_present(V v, V present) { return sum_of_lanes(present != 0.f ? v : V{}); }

// Adds one group's pre-activations to the sums of their channels. First subtracts a value close to the
// channel's mean. Without the subtraction, rounding would make the variance inexact (cancellation).
static void add_to_statistics(const Layer &layer, int group, V present) {
  for (int o = 0; o < layer.outs; o++) {
    const V *x = layer.unnormed + o * layer.pixels;
    Channel &channel = layer.channels[o];
    if (group == 0) {
      V sum = {};
      for (int p = 0; p < layer.pixels; p++) sum += x[p];
      channel = Channel{};
      channel.shift = float(sum_present(sum, present) / (layer.pixels * sum_of_lanes(present)));
    }
    const float shift = channel.shift;
    V sum = {}, squares = {};
    for (int p = 0; p < layer.pixels; p++) {
      V difference = x[p] - shift;
      sum += difference;
      squares += difference * difference;
    }
    channel.sum += sum_present(sum, present);
    channel.squares += sum_present(squares, present);
  }
}

// Computes mean and variance of each channel from the sums over the whole batch, and updates the running mean
// and variance.
static void finish_statistics(const Layer &layer, int batch_size) {
  const double count = double(batch_size) * layer.pixels, momentum = layer.norm_momentum;
  for (int o = 0; o < layer.outs; o++) {
    Channel &channel = layer.channels[o];
    const double offset = channel.sum / count;
    double spread = channel.squares - channel.sum * offset;
    spread = spread < 0 ? 0 : spread;
    channel.mean = channel.shift + offset;
    channel.inverse_deviation = 1 / std::sqrt(spread / count + layer.norm_epsilon);
    layer.running_mean[o] = (1 - momentum) * layer.running_mean[o] + momentum * channel.mean;
    layer.running_variance[o] = (1 - momentum) * layer.running_variance[o] + momentum * spread / (count - 1);
  }
  ++*layer.batches_tracked;
}

// Writes the normalised pre-activations of one group to layer.z. If LEARN is true, the batch's statistics are
// used, otherwise the running statistics.
template <bool LEARN>
static void normalize(const Layer &layer) {
  for (int o = 0; o < layer.outs; o++) {
    const Channel &channel = layer.channels[o];
    const double mean = LEARN ? channel.mean : layer.running_mean[o];
    const double inverse_deviation =
        LEARN ? channel.inverse_deviation : 1 / std::sqrt(layer.running_variance[o] + layer.norm_epsilon);
    const float scale = layer.norm_weight[o] * inverse_deviation;
    const float offset = layer.norm_bias[o] - mean * scale;
    const V *x = layer.unnormed + o * layer.pixels;
    V *z = layer.z + o * layer.pixels;
    for (int p = 0; p < layer.pixels; p++) z[p] = x[p] * scale + offset;
  }
}

// Reads one group's gradients with respect to the normalised pre-activations from layer.z. Adds these
// gradients to the sums of their channels. In lanes past the end of the batch, these gradients are zero.
static void add_to_gradient_sums(const Layer &layer) {
  for (int o = 0; o < layer.outs; o++) {
    const V *x = layer.unnormed + o * layer.pixels, *dz = layer.z + o * layer.pixels;
    Channel &channel = layer.channels[o];
    const float mean = channel.mean;
    V sum = {}, products = {};
    for (int p = 0; p < layer.pixels; p++) {
      sum += dz[p];
      products += dz[p] * (x[p] - mean);
    }
    channel.gradient_sum += sum_of_lanes(sum);
    channel.gradient_products += sum_of_lanes(products);
  }
}

// Writes the gradients of the normalisation's weights and biases, after all groups are in the sums.
static void finish_gradient_sums(const Layer &layer) {
  for (int o = 0; o < layer.outs; o++) {
    const Channel &channel = layer.channels[o];
    layer.norm_bias_gradient[o] = channel.gradient_sum;
    layer.norm_weight_gradient[o] = channel.gradient_products * channel.inverse_deviation;
  }
}

// Changes one group's gradients in layer.z. Before the call, they are gradients with respect to the
// normalised pre-activations. After the call, they are gradients with respect to the pre-activations.
static void propagate_through_norm(const Layer &layer, int batch_size, V present) {
  const double count = double(batch_size) * layer.pixels;
  for (int o = 0; o < layer.outs; o++) {
    const Channel &channel = layer.channels[o];
    const double inverse = channel.inverse_deviation;
    const float mean = channel.mean, gradient_mean = channel.gradient_sum / count;
    const float slope = channel.gradient_products / count * inverse * inverse;
    const V scale = present * float(layer.norm_weight[o] * inverse);
    const V *x = layer.unnormed + o * layer.pixels;
    V *dz = layer.z + o * layer.pixels;
    for (int p = 0; p < layer.pixels; p++) dz[p] = scale * (dz[p] - gradient_mean - (x[p] - mean) * slope);
  }
}
