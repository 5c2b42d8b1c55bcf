// Computes the matrix products of a layer: pre-activations, weight gradients, input gradients.
#pragma once

#include "lanes_contraction.h"
#include "lanes_filtering.h"
#include "lanes_layer.h"

// Computes the contraction of `rows` rows with all pixels. A dense layer has one pixel, so its register tile
// has one column and many rows.
template <class Left, class Right, class Store>
static INLINE void contract_pixels(const Layer &layer, int rows, int terms, Left left, Right right,
                                   Store store) {
  if (layer.pixels == 1) {
    contract<TALL, 1>({0, rows}, {0, 1}, terms, left, right, store);
  } else {
    contract<ROWS, COLUMNS>({0, rows}, {0, layer.pixels}, terms, left, right, store);
  }
}

// Transforms the weights for minimal filtering, once per training step.
static void prepare_weights(const Layer &layer) {
  with_filtering(layer, [](auto filtering) { filtering.transform_weights(); });
}

static void compute_pre_activations(const Layer &layer) {
  if (with_filtering(layer, [](auto filtering) { filtering.compute_pre_activations(); })) return;
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
  sums.flush();
}

// Stores a dense layer's inputs and gradients of one group, for add_dense_gradients.
//
// For one group, a weight gradient would be one vector product and the sum of its lanes. The sum would take
// as long as the product. So the inputs are stored in vectors with one lane for each feature. After the whole
// batch, add_dense_gradients adds up the products of all examples, and no sum over lanes is needed.
static void store_for_batch(const Layer &layer, int group, int groups) {
  const int blocks = (layer.taps + LANES - 1) / LANES;
  for (int k = 0; k < blocks; k++) {
    V block[LANES] = {};
    for (int i = 0; i < LANES && k * LANES + i < layer.taps; i++) {
      block[i] = layer.input[layer.pixel[0] + layer.tap[k * LANES + i]];
    }
    transpose(block);
    for (int lane = 0; lane < LANES; lane++) {
      layer.batch_inputs[(k * groups + group) * LANES + lane] = block[lane];
    }
  }
  for (int o = 0; o < layer.outs; o++) layer.batch_gradients[o * groups + group] = layer.z[o];
}

// Computes a dense layer's weight gradients after the whole batch.
static void add_dense_gradients(const Layer &layer, int groups) {
  const int blocks = (layer.taps + LANES - 1) / LANES;
  const int terms = groups * LANES;
  const float *dz = (const float *)layer.batch_gradients;
  contract<ROWS, COLUMNS>(
      {0, layer.outs}, {0, blocks}, terms,  //
      [&](int o, int e) { return dz[o * terms + e]; },
      [&](int k, int e) { return layer.batch_inputs[k * terms + e]; },
      [&](int o, int k, V sum) {
        int rest = layer.taps - k * LANES;
        memcpy(layer.weight_gradient + o * layer.taps + k * LANES, &sum,
               sizeof(float) * (rest < LANES ? rest : LANES));
      });
}

// Adds the weight gradients of a convolution for one group. The batch has `groups` groups.
static void add_weight_gradients(const Layer &layer, int group, int groups) {
  if (with_filtering(layer, [&](auto filtering) { filtering.add_weight_gradients(group, groups); })) return;
  if (layer.taps % COLUMNS == 1) {  // for example, 25 taps are exactly five tiles of five columns
    add_convolution_gradients<COLUMNS - 1>(layer);
  } else {
    add_convolution_gradients<COLUMNS>(layer);
  }
}

static void compute_input_gradients(const Layer &layer) {
  if (with_filtering(layer, [](auto filtering) { filtering.compute_input_gradients(); })) return;
  memset(layer.input_gradient, 0, sizeof(V) * layer.input_size);
  contract_pixels(
      layer, layer.taps, layer.outs,  //
      [&](int k, int o) { return layer.weight[o * layer.taps + k]; },
      [&](int p, int o) { return layer.z[o * layer.pixels + p]; },
      [&](int k, int p, V sum) { layer.input_gradient[layer.pixel[p] + layer.tap[k]] += sum; });
}
