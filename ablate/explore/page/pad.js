// The drawing pad: white strokes on black, or on a test image.

import { packPixel } from "maps";

const SIDE = 280;
const RADIUS = SIDE / 28; // half the width of a line
const BOX = 20 / 28; // In MNIST, digits are scaled to 20 of an image's 28 pixels. Their centre of mass is in the middle.
const INK = 24;
const BLACK = packPixel(0, 0, 0);

export class Pad {
  constructor(canvas, [channels, height, width], onChange) {
    this.canvas = canvas;
    this.shape = [channels, height, width];
    this.onChange = onChange;
    this.centred = false;
    canvas.width = canvas.height = SIDE;
    this.context = canvas.getContext("2d", { alpha: false });
    // The pad computes its pixels itself. To read them from the canvas, the page would wait for the graphics processor, up to 20 ms for each stroke.
    this.image = new ImageData(SIDE, SIDE);
    this.pen = { x: SIDE / 2, y: SIDE / 2, down: false };
    this.clear();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = this.#locate(event);
      this.#drawLine(this.last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length ? parts : [event]) this.#drawLine(this.#locate(part));
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.last = null));
    canvas.addEventListener("keydown", (event) => this.#handleKey(event));
    canvas.addEventListener("blur", () => this.#liftPen());
  }

  clear() {
    new Uint32Array(this.image.data.buffer).fill(BLACK);
    this.context.putImageData(this.image, 0, 0);
    this.base = false;
    this.empty = true;
  }

  // Show a test image, on which the user can draw. image: a canvas with the image in its own size.
  show(image) {
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(image, 0, 0, SIDE, SIDE);
    this.image = this.context.getImageData(0, 0, SIDE, SIDE);
    this.base = true;
    this.empty = false;
  }

  // The drawing as nested lists [channels][height][width] of values from 0 to 1.
  pixels() {
    const [channels, height, width] = this.shape;
    const { data } = this.image;
    const [x, y, side] = this.centred && !this.base ? findBox(data) : [0, 0, SIDE];
    const [rows, columns] = [spread(y, side, height), spread(x, side, width)];
    const grey = shrink(data, 0, rows, columns);
    return Array.from({ length: channels }, (_, channel) =>
      channels < 3 || channel === 0 ? grey : shrink(data, Math.min(channel, 2), rows, columns),
    );
  }

  #locate(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  // Draw a line with round ends from the last position of the pen.
  #drawLine(to) {
    const from = this.last ?? to;
    const [left, right] = findSpan(from.x, to.x);
    const [top, bottom] = findSpan(from.y, to.y);
    const { data } = this.image;
    const [wide, tall] = [to.x - from.x, to.y - from.y];
    const squared = wide * wide + tall * tall || 1;
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const [x, y] = [column + 0.5 - from.x, row + 0.5 - from.y];
        const along = Math.max(0, Math.min(1, (x * wide + y * tall) / squared));
        const ink = Math.min(1, RADIUS + 0.5 - Math.hypot(x - along * wide, y - along * tall)); // the share of this pixel that the line covers
        if (ink <= 0) continue;
        const at = (row * SIDE + column) * 4;
        for (let colour = at; colour < at + 3; colour++) data[colour] += ink * (255 - data[colour]);
      }
    }
    this.context.putImageData(this.image, 0, 0, left, top, right - left, bottom - top);
    this.last = to;
    this.empty = false;
    this.onChange();
  }

  #handleKey(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in steps) {
      const [right, down] = steps[event.key].map((step) => (step * SIDE) / 28);
      const inside = (at) => Math.max(0, Math.min(SIDE, at));
      [this.pen.x, this.pen.y] = [inside(this.pen.x + right), inside(this.pen.y + down)];
      if (this.pen.down) this.#drawLine({ x: this.pen.x, y: this.pen.y });
    } else if (event.key === " ") {
      this.pen.down = !this.pen.down;
      this.last = null;
      if (this.pen.down) this.#drawLine({ x: this.pen.x, y: this.pen.y });
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      this.onChange();
    } else return;
    event.preventDefault();
    const hand = this.pen.down ? "down" : "up";
    const ring = this.canvas.nextElementSibling;
    [ring.style.left, ring.style.top] = [this.pen.x, this.pen.y].map((at) => `${(100 * at) / SIDE}%`);
    ring.classList.toggle("down", this.pen.down);
    const [column, row] = [this.pen.x, this.pen.y].map((at) => Math.round((at / SIDE) * 28));
    this.canvas.setAttribute("aria-valuetext", `pen ${hand} at column ${column}, row ${row}`);
    this.canvas.dispatchEvent(new CustomEvent("pen", { detail: { hand, column, row } }));
  }

  #liftPen() {
    this.pen.down = false;
    this.canvas.nextElementSibling.classList.remove("down");
    this.last = null;
  }
}

// The pixels from one end of a line to the other, in one direction: [first, last + 1].
function findSpan(one, other) {
  const inside = (at) => Math.max(0, Math.min(SIDE, at));
  return [inside(Math.floor(Math.min(one, other) - RADIUS - 1)), inside(Math.ceil(Math.max(one, other) + RADIUS + 1))];
}

// The part of the pad that becomes the image. With this part, the drawing has the size and position of MNIST's digits.
function findBox(data) {
  let [left, right, top, bottom, mass, x, y] = [SIDE, -1, SIDE, -1, 0, 0, 0];
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const ink = data[(row * SIDE + column) * 4];
      if (ink < INK) continue;
      [left, right] = [Math.min(left, column), Math.max(right, column)];
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
      mass += ink;
      x += ink * column;
      y += ink * row;
    }
  }
  if (!mass) return [0, 0, SIDE];
  const side = Math.max(right - left + 1, bottom - top + 1, SIDE / 10) / BOX;
  return [x / mass - side / 2, y / mass - side / 2, side];
}

// Divide a part of the pad, from `first` and with this `length`, into `count` cells. A cell has `start`, its first pixel inside the pad, and `shares`: for each pixel from there on, the share of the cell that it fills.
function spread(first, length, count) {
  const size = length / count;
  return Array.from({ length: count }, (_, at) => {
    const [low, high] = [first + at * size, first + (at + 1) * size];
    const start = Math.max(0, Math.floor(low));
    const end = Math.max(start, Math.min(SIDE, Math.ceil(high)));
    return { start, shares: Array.from({ length: end - start }, (_, i) => (Math.min(high, start + i + 1) - Math.max(low, start + i)) / size) };
  });
}

// The mean of one colour of the pad in each cell, as lists [row][column] of values from 0 to 1, to four decimals.
function shrink(data, colour, rows, columns) {
  const narrow = new Float32Array(SIDE * columns.length);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < columns.length; x++) {
      narrow[y * columns.length + x] = weigh(columns[x], data, y * SIDE * 4 + colour, 4);
    }
  }
  return rows.map((cell) => columns.map((_, x) => Math.round(Math.min(1, weigh(cell, narrow, x, columns.length) / 255) * 1e4) / 1e4));
}

// The sum of a cell's values, times their shares. Pixel 0 is at `from` in `values`, and each next one `step` later.
function weigh({ start, shares }, values, from, step) {
  let sum = 0;
  for (let i = 0; i < shares.length; i++) sum += shares[i] * values[from + (start + i) * step];
  return sum;
}
