// The operations of networks, in plain JavaScript. A value is { shape, data }: [channels, height, width] or [features], and a Float32Array.
// The folder's README.md compares this code with libraries.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 }; // Klambauer et al. (2017)

// The error function, to 1.5e-7: Abramowitz and Stegun (1964), formula 7.1.26.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

// Functions of one number, for the options of an operation and the channel of the number.
const FUNCTIONS = {
  identity: () => (x) => x,
  sigmoid: () => sigmoid,
  tanh: () => Math.tanh,
  relu: () => (x) => Math.max(0, x),
  selu: () => (x) => SELU.scale * (x > 0 ? x : SELU.alpha * Math.expm1(x)),
  silu: () => (x) => x * sigmoid(x),
  mish: () => (x) => x * Math.tanh(softplus(x)),
  hardswish: () => (x) => (x * clamp(x + 3, 0, 6)) / 6,
  leaky_relu: ({ negative_slope }) => (x) => (x > 0 ? x : negative_slope * x),
  elu: ({ alpha }) => (x) => (x > 0 ? x : alpha * Math.expm1(x)),
  softplus: ({ beta, threshold }) => (x) => (beta * x > threshold ? x : softplus(beta * x) / beta),
  hardtanh: ({ min_val, max_val }) => (x) => clamp(x, min_val, max_val),
  scale: ({ scale, shift }, channel) => (x) => x * scale.data[channel] + shift.data[channel],
  prelu: ({ slope: { data } }, channel) => (x) => (x > 0 ? x : data[data.length > 1 ? channel : 0] * x),
  gelu: ({ approximate }) =>
    approximate === "tanh"
      ? (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
      : (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

const OPERATIONS = {
  convolution: convolve,
  dense: ({ weight, bias }, { data }) => {
    const [outputs, inputs] = weight.shape;
    const found = new Float32Array(outputs);
    multiply(weight.data, 0, outputs, inputs, data, 1, bias.data, found, 0, 1);
    return { shape: [outputs], data: found };
  },
  average: (options, x) => pool(options, x, findAverage),
  max: (options, x) => pool(options, x, findMaximum),
  "adaptive average": (options, x) => pool(options, x, findAverage),
  "adaptive max": (options, x) => pool(options, x, findMaximum),
  flatten: (_, { data }) => ({ shape: [data.length], data }),
  concatenate: (_, ...values) => {
    const data = new Float32Array(values.reduce((sum, value) => sum + value.data.length, 0));
    let at = 0;
    for (const value of values) {
      data.set(value.data, at);
      at += value.data.length;
    }
    const [first] = values;
    return { shape: [values.reduce((sum, { shape }) => sum + shape[0], 0), ...first.shape.slice(1)], data };
  },
  add: (_, one, other) => ({ shape: one.shape, data: one.data.map((value, at) => value + other.data[at]) }),
  multiply: (_, one, other) => ({ shape: one.shape, data: one.data.map((value, at) => value * other.data[at]) }),
};

// Run one operation on its inputs.
export function operate(operation, inputs) {
  return operation.op in FUNCTIONS ? applyFunction(operation, ...inputs) : OPERATIONS[operation.op](operation, ...inputs);
}

// The function that an operation applies to each number of a channel.
export function getFunction(operation, channel) {
  return FUNCTIONS[operation.op](operation, channel);
}

// The windows of pooling, one for each output row, and one for each output column: { inside: rows or columns on the map, size: with padding }.
export function planWindows({ op, kernel, stride, padding, ceil, size, dilation = [1, 1] }, [, height, width]) {
  return [height, width].map((length, axis) =>
    op.startsWith("adaptive")
      ? planAdaptive(length, size[axis])
      : planPooling(length, kernel[axis], stride[axis], padding[axis], dilation[axis], ceil),
  );
}

export function softmax(values) {
  const largest = Math.max(...values);
  const powers = [...values].map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function applyFunction(operation, { shape, data }) {
  const size = data.length / shape[0];
  const found = new Float32Array(data.length);
  for (let channel = 0; channel < shape[0]; channel++) {
    const compute = getFunction(operation, channel);
    for (let at = channel * size; at < (channel + 1) * size; at++) found[at] = compute(data[at]);
  }
  return { shape, data: found };
}

// The inputs of one row of outputs are copied side by side, one line for each output. Then each output is a product of two lines.
function convolve({ weight, bias, stride, dilation, groups, padding: [top, bottom, left, right] }, { shape: [channels, height, width], data }) {
  const [outputs, depth, tall, wide] = weight.shape;
  const rows = Math.floor((height + top + bottom - dilation[0] * (tall - 1) - 1) / stride[0]) + 1;
  const columns = Math.floor((width + left + right - dilation[1] * (wide - 1) - 1) / stride[1]) + 1;
  const found = new Float32Array(outputs * rows * columns);
  const length = depth * tall * wide;
  const lines = new Float32Array(columns * length);
  const outputsOfGroup = outputs / groups;
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0, to = 0; column < columns; column++) {
        const first = column * stride[1] - left;
        for (let channel = group * depth; channel < (group + 1) * depth; channel++) {
          for (let y = 0; y < tall; y++) {
            const line = row * stride[0] - top + y * dilation[0];
            const inside = line >= 0 && line < height;
            const from = (channel * height + line) * width;
            for (let x = 0, at = first; x < wide; x++, at += dilation[1]) lines[to++] = inside && at >= 0 && at < width ? data[from + at] : 0;
          }
        }
      }
      const start = group * outputsOfGroup;
      multiply(weight.data, start, start + outputsOfGroup, length, lines, columns, bias.data, found, row * columns, rows * columns);
    }
  }
  return { shape: [outputs, rows, columns], data: found };
}

// found[offset + output * step + column] = bias[output] + the sum of weights[output][i] * lines[column][i], for the outputs from `first` to `last` - 1.
// Four outputs are computed at a time, so that each number of `lines` is read once for four products.
function multiply(weights, first, last, length, lines, columns, bias, found, offset, step) {
  let output = first;
  for (; output + 4 <= last; output += 4) {
    const [w0, w1, w2, w3] = [0, 1, 2, 3].map((more) => (output + more) * length);
    const to = offset + output * step;
    for (let column = 0; column < columns; column++) {
      const line = column * length;
      let [a, b, c, d] = [0, 0, 0, 0];
      for (let i = 0; i < length; i++) {
        const value = lines[line + i];
        a += weights[w0 + i] * value;
        b += weights[w1 + i] * value;
        c += weights[w2 + i] * value;
        d += weights[w3 + i] * value;
      }
      found[to + column] = a + bias[output];
      found[to + step + column] = b + bias[output + 1];
      found[to + 2 * step + column] = c + bias[output + 2];
      found[to + 3 * step + column] = d + bias[output + 3];
    }
  }
  for (; output < last; output++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let i = 0; i < length; i++) sum += weights[output * length + i] * lines[column * length + i];
      found[offset + output * step + column] = sum + bias[output];
    }
  }
}

// The length of pooled rows or columns, as torch computes it. With `ceil`, a window can reach beyond the map, but it must begin on the map or its left padding.
function countWindows(length, kernel, stride, padding, dilation, ceil) {
  const room = length + 2 * padding - dilation * (kernel - 1) - 1;
  const count = (ceil ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
  return ceil && (count - 1) * stride >= length + padding ? count - 1 : count;
}

function planPooling(length, kernel, stride, padding, dilation, ceil) {
  return Array.from({ length: countWindows(length, kernel, stride, padding, dilation, ceil) }, (_, at) => {
    const first = at * stride - padding;
    const places = Array.from({ length: kernel }, (_, i) => first + i * dilation);
    return { inside: places.filter((place) => place >= 0 && place < length), size: Math.min(first + kernel, length + padding) - first };
  });
}

// Windows of adaptive pooling as in torch: from floor(at * length / count) to ceil((at + 1) * length / count) - 1.
function planAdaptive(length, count) {
  return Array.from({ length: count }, (_, at) => {
    const [first, last] = [Math.floor((at * length) / count), Math.ceil(((at + 1) * length) / count)];
    return { inside: Array.from({ length: last - first }, (_, i) => first + i), size: last - first };
  });
}

function pool(operation, { shape, data }, summarise) {
  const [channels, height, width] = shape;
  const [rows, columns] = planWindows(operation, shape);
  const found = new Float32Array(channels * rows.length * columns.length);
  let to = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (const row of rows) {
      for (const column of columns) {
        const count = operation.padded ? row.size * column.size : row.inside.length * column.inside.length;
        found[to++] = summarise(data, channel * height * width, width, row.inside, column.inside, count);
      }
    }
  }
  return { shape: [channels, rows.length, columns.length], data: found };
}

function findAverage(data, start, width, rows, columns, count) {
  let sum = 0;
  for (const row of rows) for (const column of columns) sum += data[start + row * width + column];
  return sum / count;
}

function findMaximum(data, start, width, rows, columns) {
  let largest = -Infinity;
  for (const row of rows) for (const column of columns) largest = Math.max(largest, data[start + row * width + column]);
  return largest;
}
