// Layers as plain pictures below each other; on each one can walk from unit to unit with the keyboard.

import { drawn, near } from "maps";

const CELLS = 520; // CSS pixels that a sheet takes at most

export class Flat {
  constructor(holder, chosen) {
    this.holder = holder;
    this.chosen = chosen;
    this.figures = new Map();
  }

  // rows: as in the stack; here each layer's sheets stand beside each other.
  show(rows) {
    const plan = JSON.stringify(rows.map(({ title, layers }) => [title, layers.map(({ key, label, laid }) => [key, label, laid])]));
    if (plan !== this.plan) {
      this.plan = plan;
      this.#build(rows);
    }
    rows.forEach(({ layers }, row) =>
      layers.forEach(({ key, laid, pixels, range }) => {
        const { canvas, note } = this.figures.get(`${row} ${key.layer}`);
        drawn(canvas, laid.width, laid.height, pixels);
        note.textContent = range ?? "";
      }),
    );
    this.mark(this.squares ?? []);
  }

  mark(squares) {
    this.squares = squares;
    for (const { frames } of this.figures.values()) frames.replaceChildren();
    for (const { row, layer, box, colour } of squares) {
      const found = this.figures.get(`${row} ${layer}`);
      if (!found) continue;
      const { frames, laid } = found;
      const [x, y, width, height] = box;
      const frame = document.createElement("span");
      Object.assign(frame.style, {
        position: "absolute", pointerEvents: "none", outline: `2px solid ${colour}`, outlineOffset: "0",
        left: `${(100 * x) / laid.width}%`, top: `${(100 * y) / laid.height}%`,
        width: `${(100 * width) / laid.width}%`, height: `${(100 * height) / laid.height}%`,
      });
      frames.append(frame);
    }
  }

  #build(rows) {
    this.figures.clear();
    const layers = new Map();
    rows.forEach(({ title, layers: sheets }, row) =>
      sheets.forEach(({ key, label, laid }) => {
        if (!layers.has(key.name)) layers.set(key.name, []);
        layers.get(key.name).push(this.#figure(row, title, key, label, laid));
      }),
    );
    this.holder.replaceChildren(
      ...[...layers].map(([name, figures]) => {
        const section = document.createElement("section");
        section.className = "layer";
        const heading = document.createElement("h3");
        heading.textContent = [...new Set(figures.map(({ label }) => label))].join(" / ");
        const sheets = document.createElement("div");
        sheets.className = "sheets";
        sheets.style.setProperty("--columns", rows.length);
        sheets.append(...figures.map(({ figure }) => figure));
        section.append(heading, sheets);
        return section;
      }),
    );
  }

  #figure(row, title, key, label, laid) {
    const figure = document.createElement("figure");
    figure.className = "sheet";
    figure.style.setProperty("--column", row + 1);
    const canvas = document.createElement("canvas");
    const frames = document.createElement("span");
    const picture = document.createElement("div");
    Object.assign(picture.style, { position: "relative", display: "inline-block", maxWidth: "100%" });
    picture.append(canvas, frames);
    const square = Math.max(2, Math.min(laid.shape.length === 3 ? 8 : 22, Math.floor(CELLS / laid.width)));
    canvas.style.width = `${laid.width * square}px`;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${title ? `${title}, ` : ""}${label}. Arrow keys walk from unit to unit.`);
    const caption = document.createElement("figcaption");
    const note = document.createElement("span");
    caption.append(title ? `${title} ` : "", note);
    figure.append(picture, caption);
    let at = [laid.shape.length === 3 ? 1 : 0, laid.shape.length === 3 ? 1 : 0];
    const choose = () => {
      const unit = near(laid, ...at);
      if (unit) this.chosen({ key, unit });
    };
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      at = [
        Math.min(laid.width - 1, Math.floor(((event.clientX - box.left) / box.width) * laid.width)),
        Math.min(laid.height - 1, Math.floor(((event.clientY - box.top) / box.height) * laid.height)),
      ];
      choose();
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Enter: [0, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      let [x, y] = [at[0] + step[0], at[1] + step[1]];
      if (!laid.unit(x, y)) [x, y] = [x + step[0], y + step[1]]; // over the gap between two maps
      if (laid.unit(x, y)) at = [x, y];
      choose();
    });
    this.figures.set(`${row} ${key.layer}`, { canvas, note, frames, laid });
    return { figure, label };
  }
}
