// The time that each part of a training step takes, by layer. `ablate bench --layers` reads it.
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

// Adds the time of its own life to a part of a layer. Without a place for the times, it does nothing.
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
