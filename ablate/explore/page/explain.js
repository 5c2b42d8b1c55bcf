// Explain one unit of a layer: the inputs on which it depends, and its derivative by each of them. For convolutions and dense layers, these are the weights.

import { findPlace } from "maps";
import { getFunction, planWindows } from "operations";

const MOST_INPUTS = 4096; // as on the server
const STEP = 1e-5;

// operation: the layer. input and output: its values { shape, data }. place: the index of the unit. The answer has the form of the server's answers.
export function explainUnit(operation, input, output, place) {
  const inputs = findInputs(operation, input, output, place);
  const axes = inputs.axes ?? place.map((at) => [at]);
  const values = select(input, axes);
  const weights = inputs.weigh(values);
  const sum = values.reduce((total, value, at) => total + value * weights[at], 0);
  const value = output.data[ravel(output.shape, place)];
  const [channels, rows, columns] = axes;
  return {
    channels,
    rows: rows ? [rows[0], rows.at(-1)] : null,
    columns: columns ? [columns[0], columns.at(-1)] : null,
    shape: axes.map(({ length }) => length),
    count: values.length,
    inputs: values.slice(0, MOST_INPUTS),
    weights: weights.slice(0, MOST_INPUTS),
    sum,
    rest: inputs.bias ?? value - sum,
    weighted: inputs.bias !== undefined,
  };
}

// { axes: for each axis of the input, the indices on which the unit depends; weigh: from their values to the derivatives; bias }.
// Without `axes`, the unit depends on the input at its own place.
function findInputs(operation, input, output, place) {
  const { op, weight, bias } = operation;
  const [channel] = place;
  switch (op) {
    case "dense": {
      const weights = weight.data.subarray(channel * weight.shape[1], (channel + 1) * weight.shape[1]);
      return { axes: [range(weight.shape[1])], weigh: () => weights, bias: bias.data[channel] };
    }
    case "convolution":
      return findConvolved(operation, input, place);
    case "average":
    case "max":
    case "adaptive average":
    case "adaptive max": {
      const [row, column] = planWindows(operation, input.shape).map((windows, axis) => windows[place[axis + 1]]);
      const count = operation.padded ? row.size * column.size : row.inside.length * column.inside.length;
      const weigh = (values) =>
        op.endsWith("average") ? values.map(() => 1 / count) : values.map((_, at) => Number(at === values.indexOf(Math.max(...values))));
      return { axes: [[channel], row.inside, column.inside], weigh };
    }
    case "flatten":
      return { axes: findPlace(channel, input.shape).map((at) => [at]), weigh: () => Float32Array.of(1) };
    default: {
      const compute = getFunction(operation, channel);
      return { weigh: (values) => values.map((value) => findSlope(compute, value)) };
    }
  }
}

function findConvolved({ weight, bias, stride, dilation, groups, padding: [top, , left] }, { shape: [, height, width] }, [channel, y, x]) {
  const [outputs, depth, tall, wide] = weight.shape;
  const inside = (size, first, step, length) =>
    range(size).flatMap((at) => (first + at * step >= 0 && first + at * step < length ? [[at, first + at * step]] : []));
  const rows = inside(tall, y * stride[0] - top, dilation[0], height);
  const columns = inside(wide, x * stride[1] - left, dilation[1], width);
  const first = Math.floor(channel / (outputs / groups)) * depth;
  const kernel = select(weight, [[channel], range(depth), rows.map(([at]) => at), columns.map(([at]) => at)]);
  const axes = [range(depth).map((at) => first + at), rows.map(([, at]) => at), columns.map(([, at]) => at)];
  return { axes, weigh: () => kernel, bias: bias.data[channel] };
}

// The derivative of a function of one number. Where it has a kink at 0, torch takes the derivative from the left.
function findSlope(compute, value) {
  return value === 0 ? (compute(0) - compute(-STEP)) / STEP : (compute(value + STEP) - compute(value - STEP)) / (2 * STEP);
}

function range(length) {
  return Array.from({ length }, (_, at) => at);
}

function select({ shape, data }, axes) {
  let places = [0];
  axes.forEach((indices, axis) => (places = places.flatMap((before) => indices.map((at) => before * shape[axis] + at))));
  return Float32Array.from(places, (at) => data[at]);
}

function ravel(shape, place) {
  return place.reduce((sum, at, axis) => sum * shape[axis] + at, 0);
}
