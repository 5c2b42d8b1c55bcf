// How a layer's numbers become one picture: its maps as tiles of a sheet, each number a square of one colour.

const FRAME = packed(120, 128, 138);

// A pixel as one number, in the order of this machine's bytes.
export function packed(red, green, blue) {
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
}

export function bytesOf(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

export function unpacked(base64) {
  return new Float32Array(bytesOf(base64).buffer);
}

// The sheet of a layer of shape [channels, height, width] or [features]: of features, each is a map of one number.
export function sheet(shape, mostMaps) {
  const flat = shape.length !== 3;
  const [maps, height, width] = flat ? [shape.reduce((a, b) => a * b, 1), 1, 1] : shape;
  const shown = flat ? maps : Math.min(maps, mostMaps);
  const columns = flat && maps <= 16 ? maps : Math.ceil(Math.sqrt((shown * height) / width));
  const rows = Math.ceil(shown / columns);
  const [tall, wide] = flat ? [1, 1] : [height + 1, width + 1];
  return {
    shape, maps, shown, rows, columns,
    height: rows * tall + (flat ? 0 : 1),
    width: columns * wide + (flat ? 0 : 1),
    // Where a unit lies on the sheet, as [x, y, width, height] in squares; of a map, all of it.
    at([map, row = 0, column = 0]) {
      const border = flat ? 0 : 1;
      return [(map % columns) * wide + border + column, Math.floor(map / columns) * tall + border + row];
    },
    // The unit that covers a square, as an index into the layer's output; null between maps.
    unit(x, y) {
      const border = flat ? 0 : 1;
      const [column, row] = [Math.floor((x - border) / wide), Math.floor((y - border) / tall)];
      const [inX, inY] = [x - border - column * wide, y - border - row * tall];
      const map = row * columns + column;
      const inside = column >= 0 && column < columns && row >= 0 && map < shown && inX < width && inY < height;
      if (!inside || inX < 0 || inY < 0) return null;
      return flat ? place(map, shape) : [map, inY, inX];
    },
    index(unit) {
      return unit.reduce((sum, at, axis) => sum * shape[axis] + at, 0);
    },
    // Where a unit lies, however many axes the layer has.
    square(unit) {
      return this.at(flat ? [this.index(unit)] : unit);
    },
  };
}

// The unit under a square or, where that lies between two maps, beside it.
export function near(laid, x, y) {
  for (const [right, down] of [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1], [-1, -1], [1, 1]]) {
    const unit = laid.unit(x + right, y + down);
    if (unit) return unit;
  }
  return null;
}

function place(index, shape) {
  const found = [];
  for (const size of [...shape].reverse()) {
    found.unshift(index % size);
    index = Math.floor(index / size);
  }
  return found;
}

export function largest(...layers) {
  let found = 0;
  for (const values of layers) {
    for (let at = 0; at < (values?.length ?? 0); at++) found = Math.max(found, Math.abs(values[at]));
  }
  return found || 1;
}

// Pixels [red, green, blue, opacity] of a sheet: zero is the palette's middle, ±scale its ends.
export function painted(laid, values, scale, palette) {
  const pixels = new Uint32Array(laid.width * laid.height).fill(FRAME);
  const middle = (palette.length - 1) / 2;
  const flat = laid.shape.length !== 3;
  const [height, width] = flat ? [1, 1] : laid.shape.slice(1);
  for (let map = 0, read = 0; map < laid.shown; map++) {
    const [left, top] = laid.at([map]);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++, read++) {
        const share = Math.max(-1, Math.min(1, values[read] / scale));
        pixels[(top + row) * laid.width + left + column] = palette[Math.round(middle * (1 + share))];
      }
    }
  }
  const last = laid.rows * laid.columns;
  for (let map = laid.shown; map < last; map++) {
    // Tiles that no map fills are not there.
    const [left, top] = laid.at([map]);
    for (let y = top; y < Math.min(top + height + 1, laid.height); y++) {
      for (let x = left; x < Math.min(left + width + 1, laid.width); x++) pixels[y * laid.width + x] = 0;
    }
  }
  return new Uint8ClampedArray(pixels.buffer);
}

// An image [channels, height, width] from 0 to 1 as grey or coloured pixels.
export function photographed([channels, height, width], values) {
  const pixels = new Uint8ClampedArray(height * width * 4);
  const size = height * width;
  for (let at = 0; at < size; at++) {
    for (let channel = 0; channel < 3; channel++) {
      pixels[at * 4 + channel] = 255 * values[at + (channels >= 3 ? channel * size : 0)];
    }
    pixels[at * 4 + 3] = 255;
  }
  return pixels;
}

export function drawn(canvas, width, height, pixels) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

export function told(value) {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 10000) ? value.toExponential(2) : value.toFixed(size < 0.1 ? 4 : 3);
  return text.replace("-", "−");
}
