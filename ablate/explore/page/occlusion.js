// Occlusion: how much the probability of a class falls when a part of the image is covered. `ablate/explore/attribution.py` computes the same on the server, and names the source.

const PATCHES = 7;

// probabilities: a function from an image (Float32Array) to the class probabilities. shape: [channels, height, width]. The answer has one number for each pixel.
export function occlude(probabilities, image, [channels, height, width], label) {
  const size = height * width;
  const means = Array.from({ length: channels }, (_, channel) => image.subarray(channel * size, (channel + 1) * size).reduce((sum, value) => sum + value, 0) / size);
  const before = probabilities(image)[label];
  const [total, count] = [new Float32Array(size), new Float32Array(size)];
  for (const [top, tall] of listPatches(height)) {
    for (const [left, wide] of listPatches(width)) {
      const covered = image.slice();
      for (let channel = 0; channel < channels; channel++) {
        for (let y = top; y < top + tall; y++) covered.fill(means[channel], channel * size + y * width + left, channel * size + y * width + left + wide);
      }
      const fall = before - probabilities(covered)[label];
      for (let y = top; y < top + tall; y++) {
        for (let x = left; x < left + wide; x++) {
          total[y * width + x] += fall;
          count[y * width + x] += 1;
        }
      }
    }
  }
  return total.map((sum, at) => sum / count[at]);
}

// For each patch, its first row (or column) and its side. The last patch ends at the image's edge.
function listPatches(length) {
  const side = Math.max(1, roundHalfToEven(length / PATCHES));
  const step = Math.max(1, Math.floor(side / 2));
  const found = [];
  for (let start = 0; start < length - side; start += step) found.push([start, side]);
  return [...found, [length - side, side]];
}

// Python's `round` rounds a half to the even number.
function roundHalfToEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}
