// A trained network inside a saved page: decode its weights, and run it on an image.

import { explainUnit } from "explain";
import { decodeBytes, decodeFloats } from "maps";
import { operate, softmax } from "operations";

const MOST_KERNELS = 64; // as on the server

export class Network {
  // operations: as `ablate.explore.operations` writes them. shape: the image of the network. resize: how to scale an image to it, or null.
  // tensors: the tensors of each operation for an earlier epoch, in place of those in `operations`.
  constructor({ operations, resize }, shape, tensors = []) {
    this.shape = shape;
    this.resize = resize && { rows: decodeFloats(resize.rows), columns: decodeFloats(resize.columns) };
    this.operations = operations.map((operation, at) =>
      Object.fromEntries(Object.entries({ ...operation, ...tensors[at] }).map(([name, option]) => [name, decodeTensor(option)])),
    );
  }

  // Scale an image [channels, height, width], which is in the size of the study's data, to the input of the network.
  scale(pixels) {
    const image = Float32Array.from(pixels.flat(2));
    return this.resize ? resizeImage(image, pixels.length, this.resize, this.shape) : image;
  }

  // input: the image as the network gets it, Float32Array. Units are explained for the image that was read last.
  read(input) {
    const { values, layers, probabilities } = this.run(input);
    this.values = values;
    return { input, layers, probabilities };
  }

  run(input) {
    const values = [{ shape: this.shape, data: input }];
    const layers = [];
    for (const operation of this.operations) {
      const found = operate(operation, operation.from.map((number) => values[number]));
      values.push(found);
      if (operation.layer !== null) layers[operation.layer] = found.data;
    }
    return { values, layers, probabilities: softmax(values.at(-1).data) };
  }

  // The weights of the first layer, with one kernel for each output. null if the layer does not read the image's pixels in their order.
  kernels(layers) {
    const first = this.operations.find(({ weight }) => weight);
    if (!first) return null;
    const { data, shape } = first.weight;
    const [channels, height, width] = this.shape;
    if (first.op === "dense" && shape[1] !== channels * height * width) return null;
    const kernel = first.op === "dense" ? this.shape : shape.slice(1);
    const shown = Math.min(shape[0], MOST_KERNELS);
    return { layer: layers[first.layer].name, outputs: shape[0], shape: [shown, ...kernel], weights: data.slice(0, shown * (data.length / shape[0])) };
  }

  // Explain the unit at index `place` of a layer, for the image that was read last.
  explain(layer, place) {
    const at = this.operations.findIndex((operation) => operation.layer === layer);
    const operation = this.operations[at];
    return explainUnit(operation, this.values[operation.from[0]], this.values[at + 1], place);
  }
}

function decodeTensor(option) {
  if (option?.float !== undefined) return { shape: option.shape, data: decodeFloats(option.float) };
  if (option?.half !== undefined) return { shape: option.shape, data: decodeHalves(option.half) };
  return option;
}

// Numbers of half precision (IEEE 754 binary16, little-endian) as float32.
function decodeHalves(base64) {
  return Float32Array.from(new Uint16Array(decodeBytes(base64).buffer), (bits) => {
    const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
}

// Multiply each channel by two matrices: rows [new height][height] and columns [new width][width].
function resizeImage(image, channels, { rows, columns }, [, high, wide]) {
  const [height, width] = [rows.length / high, columns.length / wide];
  const found = new Float32Array(channels * high * wide);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < high; y++) {
      for (let x = 0; x < wide; x++) {
        let sum = 0;
        for (let row = 0; row < height; row++) {
          if (rows[y * height + row] === 0) continue;
          for (let column = 0; column < width; column++) {
            sum += rows[y * height + row] * columns[x * width + column] * image[(channel * height + row) * width + column];
          }
        }
        found[(channel * high + y) * wide + x] = sum;
      }
    }
  }
  return found;
}
