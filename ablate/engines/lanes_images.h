// Describes the network and the examples of a batch. Loads the images of a group into the network's input.
#pragma once

#include <cstring>

#include "lanes_layer.h"

// lanes_library.py repeats these structures. Change both together.

struct Network {
  const Layer *layers;
  int32_t count, classes;
  int64_t image_size;
  int32_t image_height, image_width;
  const int32_t *image_place;  // image_place[i]: position of an image's pixel i in first_input
  float *changed_images;       // [LANES, image_size]: the group's images after augmentation
  V *first_input;              // the first layer's padded input
  const V *logits;
  V *logits_gradient;
  float *parameters, *gradients, *first_moment, *second_moment;
  int64_t parameter_count;
  int64_t *nanoseconds;  // [layer, part]: the time of each part of a step; null: nothing is timed
};

struct Examples {
  const float *images;    // [n, image_size]
  const int64_t *labels;  // [n]
  int64_t count;          // n
  const int64_t *batch;   // indices of the batch's examples
  int32_t batch_size;
  // The random changes of each image in the batch. If one of the pointers is null, this change is not made.
  const bool *flipped;      // whether to mirror the image
  const int64_t *corners;   // [2, batch_size]: row and column of the image at which the result begins
  const float *brightness;  // factors of the pixels
};

// Finds which example of the batch is in a lane. Returns its position in the batch. Lanes past the end of the
// batch repeat the batch's first example. The loss leaves such lanes out.
static int find_position(const Examples &examples, int group, int lane) {
  int e = group * LANES + lane;
  return e < examples.batch_size ? e : 0;
}

static int64_t find_example(const Examples &examples, int group, int lane) {
  return examples.batch[find_position(examples, group, lane)];
}

// Mirrors, shifts and brightens an image as apply_draws of augmentation.py does. Pixels from outside the
// image are zero.
static void change_image(const Network &network, const Examples &examples, int e, const float *image,
                         float *changed) {
  const int height = network.image_height, width = network.image_width;
  const bool flipped = examples.flipped && examples.flipped[e];
  const int down = examples.corners ? examples.corners[e] : 0;
  const int right = examples.corners ? examples.corners[examples.batch_size + e] : 0;
  const int begin = right < 0 ? -right : 0, end = right > 0 ? width - right : width;
  memset(changed, 0, sizeof(float) * network.image_size);
  for (int64_t plane = 0; plane < network.image_size; plane += height * width) {
    for (int y = 0; y < height; y++) {
      if (y + down < 0 || y + down >= height) continue;
      const float *row = image + plane + (y + down) * width;
      float *target = changed + plane + y * width;
      for (int x = begin; x < end; x++) target[x] = flipped ? row[width - 1 - right - x] : row[x + right];
    }
  }
  if (!examples.brightness) return;
  for (int64_t i = 0; i < network.image_size; i++) {
    float pixel = changed[i] * examples.brightness[e];
    changed[i] = pixel > 1.f ? 1.f : pixel;
  }
}

// Loads the images of one group into `input`, the padded input of the first layer.
static void load_images(const Network &network, const Examples &examples, int group, V *input) {
  const int64_t size = network.image_size;
  const int64_t line = 64 / sizeof(float);
  // Shuffled examples are far apart in memory. So the examples of the next group are prefetched.
  for (int e = (group + 1) * LANES; e < (group + 2) * LANES && e < examples.batch_size; e++) {
    const float *image = examples.images + examples.batch[e] * size;
    for (int64_t i = 0; i < size; i += line) __builtin_prefetch(image + i);
  }
  const bool changes = examples.flipped || examples.corners || examples.brightness;
  const float *image[LANES];
  for (int lane = 0; lane < LANES; lane++) {
    image[lane] = examples.images + find_example(examples, group, lane) * size;
    if (!changes) continue;
    float *changed = network.changed_images + lane * size;
    change_image(network, examples, find_position(examples, group, lane), image[lane], changed);
    image[lane] = changed;
  }
  int64_t whole = size / LANES * LANES;
  for (int64_t start = 0; start < whole; start += LANES) {
    V pixels[LANES];
    for (int lane = 0; lane < LANES; lane++) memcpy(&pixels[lane], image[lane] + start, sizeof(V));
    transpose(pixels);
    for (int i = 0; i < LANES; i++) input[network.image_place[start + i]] = pixels[i];
  }
  for (int64_t i = whole; i < size; i++) {
    for (int lane = 0; lane < LANES; lane++) input[network.image_place[i]][lane] = image[lane][i];
  }
}
