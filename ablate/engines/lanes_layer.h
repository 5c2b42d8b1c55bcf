// The description of a layer for lanes.cpp: its shape, and the memory that it reads and writes.
#pragma once

#include "lanes_vectors.h"

// lanes_library.py repeats the structure Layer. Change both together.

// Sums and statistics of a channel over the batch, for batch normalisation. lanes_tables.py repeats its size.
struct Channel {
  double shift;         // a value near the mean
  double sum, squares;  // sums of x - shift and of its square
  double mean, inverse_deviation;
  double gradient_sum, gradient_products;  // sums of the gradient, and of the gradient times x - mean
};

struct Layer {
  int32_t taps;         // products per output value: in_channels * kernel_size^2, or input features
  int32_t outs;         // out_channels, or output features
  int32_t pixels;       // pixels in an output channel before pooling; 1 for a dense layer
  int32_t width;        // pixels in a row of an output channel before pooling
  int32_t kernel;       // kernel_size if minimal filtering computes the layer, else 0
  int32_t segment;      // minimal filtering: outputs that are computed from the same products
  int32_t kept_groups;  // minimal filtering: groups whose weight gradients are computed together, else 1
  int32_t padding;      // rows of zeros above and below the input
  int32_t windows;      // pooling windows in a channel; without pooling, each pixel is a window
  int32_t window_size;  // pixels in a window
  int32_t tiled;        // 1: every pixel is in exactly one window
  int32_t max_pooled;   // 1: max pooling; 0: average pooling or none
  int32_t activation;   // position in ACTIVATIONS of lanes_blocks.py
  int32_t input_size;   // vectors in the input, with its padding
  int32_t plane;        // vectors in a channel of the output, with its padding
  const int32_t *tap, *pixel;  // the tables of the contraction, see lanes.cpp
  const int32_t *window;       // window[q * window_size + j]: the j-th pixel of window q
  const int32_t *place;        // place[q]: position of window q's result in a channel of the output
  const float *weight, *bias;
  float *weight_gradient, *bias_gradient;
  const V *input;
  V *input_gradient;  // null in the first layer, which does not need it
  V *output;          // the next layer's input, or the logits
  const V *output_gradient;
  V *z;                // [o, p]: first pre-activations, then slopes (if tiled), then gradients by z
  V *slope;            // [o, q, j]: d output / d z, if not tiled
  V *batch_inputs;     // dense layers: the inputs of the whole batch, [vector of features, example]
  V *batch_gradients;  // dense layers: the gradients by z of the whole batch, [o, group]
  V *row_inputs, *row_gradients, *row_products;  // minimal filtering: transformed values, see Filtering
  const int32_t *row_tap, *row_tap_back,
      *row_start;                         // minimal filtering: distances of the terms, see Filtering
  float *row_weights, *row_weights_back;  // minimal filtering: the transformed weights, see Filtering
  const float *dropout;  // [example, o]: factors of the outputs, 0 or 1 / (1 - p); null without dropout
  // Batch normalisation between the contraction and the activation. Without it, these pointers are null.
  V *unnormed;        // [o, p]: the pre-activations before the normalisation
  Channel *channels;  // [o]
  const float *norm_weight, *norm_bias;
  float *norm_weight_gradient, *norm_bias_gradient;
  float *running_mean, *running_variance;
  int64_t *batches_tracked;
  double norm_epsilon, norm_momentum;
  // The distance from a group's memory to the memory of the next group, in vectors. In networks without batch
  // normalisation, all groups share their memory, and the distances are 0.
  int64_t input_step, output_step, z_step, slope_step;
  // The same distances for row_inputs and row_gradients, which have memory for kept_groups groups.
  int64_t row_input_step, row_gradient_step;
};

// Returns a copy of the layer in which the pointers point to the memory of one group.
static INLINE Layer select_group(const Layer &layer, int group) {
  Layer selected = layer;
  selected.input += group * layer.input_step;
  selected.output += group * layer.output_step;
  selected.z += group * layer.z_step;
  if (layer.slope) selected.slope += group * layer.slope_step;
  if (layer.unnormed) selected.unnormed += group * layer.z_step;
  selected.row_inputs += group % layer.kept_groups * layer.row_input_step;
  selected.row_gradients += group % layer.kept_groups * layer.row_gradient_step;
  return selected;
}
