// Computes the steps of torch.optim's SGD, Adam, AdamW and RMSprop, and clips the gradient. The constants of
// the optimisers are torch's defaults.
#pragma once

#include <cstring>

#include "lanes_vectors.h"

enum Rule : int32_t { SGD, ADAM, ADAMW, RMSPROP };

// lanes_library.py repeats this structure. Change both together.
struct Optimizer {
  int32_t rule;
  int32_t steps;     // number of steps so far
  int32_t nesterov;  // 1: SGD uses Nesterov's momentum
  double learning_rate, momentum, weight_decay;
  double gradient_clip;  // the largest norm of the gradient; 0: no limit
  double label_smoothing;
};

// Computes the square root of the sum of squares. Four sums are computed at the same time, because an
// addition has to wait until the previous addition to the same sum is done.
static double compute_norm(const float *values, int64_t count) {
  V sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES) {
    UNROLL_FOR(int j = 0; j < 4; j++) {
      V part;
      memcpy(&part, values + i + j * LANES, sizeof(V));
      sums[j] += part * part;
    }
  }
  double sum = sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < count; i++) sum += (double)values[i] * values[i];
  return std::sqrt(sum);
}

// Clips the gradient as torch's clip_grad_norm_ does. If the norm is NaN, all gradients become NaN.
static void clip(float *gradient, int64_t count, double limit) {
  const double kept = limit / (compute_norm(gradient, count) + 1e-6);
  if (kept >= 1) return;
  const float scale = kept;
  for (int64_t i = 0; i < count; i++) gradient[i] *= scale;
}

// Makes one step of the optimiser. `first` and `second` have the moments from the previous steps.
static void update(Optimizer &optimizer, float *__restrict parameter, float *__restrict gradient,
                   float *__restrict first, float *__restrict second, int64_t count) {
  const double beta1 = .9, beta2 = .999, alpha = .99;
  const float rate = optimizer.learning_rate, momentum = optimizer.momentum, epsilon = 1e-8f;
  const float decay = optimizer.weight_decay;
  optimizer.steps++;
  if (optimizer.gradient_clip > 0) clip(gradient, count, optimizer.gradient_clip);
  if (optimizer.rule == SGD && optimizer.nesterov) {
    for (int64_t i = 0; i < count; i++) {
      float slope = gradient[i] + decay * parameter[i];
      first[i] = momentum * first[i] + slope;
      parameter[i] -= rate * (slope + momentum * first[i]);
    }
    return;
  }
  if (optimizer.rule == SGD) {
    for (int64_t i = 0; i < count; i++) {
      first[i] = momentum * first[i] + (gradient[i] + decay * parameter[i]);
      parameter[i] -= rate * first[i];
    }
    return;
  }
  if (optimizer.rule == RMSPROP) {
    const float keep = alpha, blend = 1 - alpha;
    for (int64_t i = 0; i < count; i++) {
      float slope = gradient[i] + decay * parameter[i];
      second[i] = keep * second[i] + blend * slope * slope;
      first[i] = momentum * first[i] + slope / (std::sqrt(second[i]) + epsilon);
      parameter[i] -= rate * first[i];
    }
    return;
  }
  // Adam adds the decay to the gradient; AdamW subtracts it from the parameter (Loshchilov & Hutter 2019).
  const float coupled = optimizer.rule == ADAM ? decay : 0;
  const float kept = optimizer.rule == ADAMW ? 1 - optimizer.learning_rate * optimizer.weight_decay : 1;
  const float step_size = optimizer.learning_rate / (1 - std::pow(beta1, optimizer.steps));
  const float root_correction = std::sqrt(1 - std::pow(beta2, optimizer.steps));
  const float blend1 = 1 - beta1, keep2 = beta2, blend2 = 1 - beta2;
  for (int64_t i = 0; i < count; i++) {
    float slope = gradient[i] + coupled * parameter[i];
    first[i] += blend1 * (slope - first[i]);
    second[i] = keep2 * second[i] + blend2 * slope * slope;
    float spread = std::sqrt(second[i]) / root_correction + epsilon;
    parameter[i] = kept * parameter[i] - step_size * first[i] / spread;
  }
}
