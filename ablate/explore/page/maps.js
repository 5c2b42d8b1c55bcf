// Turn a layer's numbers into one picture, which is called a sheet. Each map is a tile, and each number is a square of one colour.

const FRAME = packPixel(120, 128, 138);

// A pixel (red, green, blue, opacity) as one integer, with the byte order of this machine.
export function packPixel(red, green, blue) {
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
}

export function decodeBytes(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

export function decodeFloats(base64) {
  return new Float32Array(decodeBytes(base64).buffer);
}

// The layout of a sheet, for a layer of shape [channels, height, width] or [features]. A feature is a map of one number.
export function makeSheet(shape, mostMaps) {
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
    // The position [x, y] of a unit on the sheet, in squares. If the place is a whole map, the position of the map's first number.
    at([map, row = 0, column = 0]) {
      const border = flat ? 0 : 1;
      return [(map % columns) * wide + border + column, Math.floor(map / columns) * tall + border + row];
    },
    // The unit at a square, as an index into the layer's output. Null if the square is between two maps.
    unit(x, y) {
      const border = flat ? 0 : 1;
      const [column, row] = [Math.floor((x - border) / wide), Math.floor((y - border) / tall)];
      const [inX, inY] = [x - border - column * wide, y - border - row * tall];
      const map = row * columns + column;
      const inside = column >= 0 && column < columns && row >= 0 && map < shown && inX < width && inY < height;
      if (!inside || inX < 0 || inY < 0) return null;
      return flat ? findPlace(map, shape) : [map, inY, inX];
    },
    index(unit) {
      return unit.reduce((sum, at, axis) => sum * shape[axis] + at, 0);
    },
    // The position [x, y] of a unit, for layers with any number of axes.
    square(unit) {
      return this.at(flat ? [this.index(unit)] : unit);
    },
  };
}

// The unit at a square. If the square is between two maps, a unit next to the square.
export function findNearestUnit(sheet, x, y) {
  for (const [right, down] of [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1], [-1, -1], [1, 1]]) {
    const unit = sheet.unit(x + right, y + down);
    if (unit) return unit;
  }
  return null;
}

// Convert an index into a layer's flattened values to an index into the layer, which has this shape.
export function findPlace(index, shape) {
  const found = [];
  for (const size of [...shape].reverse()) {
    found.unshift(index % size);
    index = Math.floor(index / size);
  }
  return found;
}

export function findLargest(...layers) {
  let found = 0;
  for (const values of layers) {
    for (let at = 0; at < (values?.length ?? 0); at++) found = Math.max(found, Math.abs(values[at]));
  }
  return found || 1;
}

// The pixels of a sheet as red, green, blue and opacity. Zero gets the middle colour of the palette, −scale the first colour, and +scale the last.
export function paintMaps(sheet, values, scale, palette) {
  const pixels = new Uint32Array(sheet.width * sheet.height).fill(FRAME);
  const middle = (palette.length - 1) / 2;
  const flat = sheet.shape.length !== 3;
  const [height, width] = flat ? [1, 1] : sheet.shape.slice(1);
  for (let map = 0, read = 0; map < sheet.shown; map++) {
    const [left, top] = sheet.at([map]);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++, read++) {
        const share = Math.max(-1, Math.min(1, values[read] / scale));
        pixels[(top + row) * sheet.width + left + column] = palette[Math.round(middle * (1 + share))];
      }
    }
  }
  const last = sheet.rows * sheet.columns;
  for (let map = sheet.shown; map < last; map++) {
    // Tiles without a map are transparent.
    const [left, top] = sheet.at([map]);
    for (let y = top; y < Math.min(top + height + 1, sheet.height); y++) {
      for (let x = left; x < Math.min(left + width + 1, sheet.width); x++) pixels[y * sheet.width + x] = 0;
    }
  }
  return new Uint8ClampedArray(pixels.buffer);
}

// The pixels of an image [channels, height, width] with values from 0 to 1, grey or in colour.
export function paintImage([channels, height, width], values) {
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

export function draw(canvas, width, height, pixels) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

export function formatNumber(value) {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 10000) ? value.toExponential(2) : value.toFixed(size < 0.1 ? 4 : 3);
  return text.replace("-", "−");
}
