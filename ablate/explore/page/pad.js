// The drawing pad: white strokes on black, or on a test image.

const SIDE = 280;
const PEN = 1 / 14;
const BOX = 20 / 28; // In MNIST, digits are scaled to 20 of an image's 28 pixels. Their centre of mass is in the middle.
const INK = 24;

export class Pad {
  constructor(canvas, [channels, height, width], onChange) {
    this.canvas = canvas;
    this.shape = [channels, height, width];
    this.onChange = onChange;
    this.centred = false;
    canvas.width = canvas.height = SIDE;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.pen = { x: SIDE / 2, y: SIDE / 2, down: false };
    this.clear();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = this.#locate(event);
      this.#drawLine(this.last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.#drawLine(this.#locate(part));
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.last = null));
    canvas.addEventListener("keydown", (event) => this.#handleKey(event));
    canvas.addEventListener("blur", () => this.#liftPen());
  }

  clear() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, SIDE, SIDE);
    this.base = false;
    this.empty = true;
  }

  // Show a test image, on which the user can draw.
  show(image) {
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(image, 0, 0, SIDE, SIDE);
    this.base = true;
    this.empty = false;
  }

  // The drawing as nested lists [channels][height][width] of values from 0 to 1.
  pixels() {
    const [channels, height, width] = this.shape;
    const { data } = this.context.getImageData(0, 0, SIDE, SIDE); // slow, so it is called once
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

  #drawLine(to) {
    const { context } = this;
    const from = this.last ?? to;
    context.strokeStyle = "#fff";
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = SIDE * PEN;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
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

// Divide a part of the pad, from `first` and with this `length`, into `count` cells. For each cell: [pixel, its share of the cell] of the pixels inside the pad.
function spread(first, length, count) {
  const size = length / count;
  return Array.from({ length: count }, (_, at) => {
    const [start, end] = [first + at * size, first + (at + 1) * size];
    const cells = [];
    for (let pixel = Math.max(0, Math.floor(start)); pixel < Math.min(SIDE, end); pixel++) {
      cells.push([pixel, (Math.min(end, pixel + 1) - Math.max(start, pixel)) / size]);
    }
    return cells;
  });
}

// The mean of one colour of the pad in each cell, as lists [row][column] of values from 0 to 1, to four decimals.
function shrink(data, colour, rows, columns) {
  const narrow = new Float32Array(SIDE * columns.length);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < columns.length; x++) {
      for (const [pixel, share] of columns[x]) narrow[y * columns.length + x] += share * data[(y * SIDE + pixel) * 4 + colour];
    }
  }
  return rows.map((cells) =>
    columns.map((_, x) => {
      const sum = cells.reduce((total, [pixel, share]) => total + share * narrow[pixel * columns.length + x], 0);
      return Math.round(Math.min(1, sum / 255) * 1e4) / 1e4;
    }),
  );
}
