// Measures the time that each part of a training step takes in each layer, for `ablate bench --layers`.
#pragma once

#include <chrono>
#include <cstdint>

// The parts of a step, in the order of PARTS in lanes_library.py.
enum Part {
  PREPARE,
  LOAD,
  PRODUCTS,
  NORMALIZE,
  ACTIVATE,
  SCORE,
  SLOPES,
  WEIGHTS,
  INPUTS,
  UPDATE,
  PART_COUNT
};

// Measures the time from its construction to its destruction. Adds this time to the time of one part of a
// layer. If `nanoseconds` is null, it does nothing.
class Stopwatch {
  using Clock = std::chrono::steady_clock;
  int64_t *sum;
  Clock::time_point begin;

 public:
  // nanoseconds: [layer, part], or null.
  Stopwatch(int64_t *nanoseconds, int layer, Part part)
      : sum(nanoseconds ? nanoseconds + layer * PART_COUNT + part : nullptr) {
    if (sum) begin = Clock::now();
  }
  ~Stopwatch() {
    if (sum) *sum += std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
  }
};

template <class Body>
static inline void measure(int64_t *nanoseconds, int layer, Part part, Body body) {
  Stopwatch running(nanoseconds, layer, part);
  body();
}
