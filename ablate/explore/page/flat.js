// Draw layers as flat pictures, one below the other. Arrow keys move from unit to unit.

import { element, setText } from "elements";
import { draw, findNearestUnit } from "maps";
import { makeScale, setScale } from "scales";

const LARGEST_WIDTH = 520; // the largest width of a sheet, in CSS pixels

export class Flat {
  // `choose` and `hover` are called with the unit that the user clicks, and with the unit below the mouse (or null).
  constructor(holder, choose, hover) {
    this.holder = holder;
    this.choose = choose;
    this.hover = hover;
    this.figures = new Map();
    this.scales = new Map();
  }

  // rows: the same structure as for Stack. The sheets that different rows have for one layer are side by side.
  show(rows) {
    const plan = JSON.stringify(rows.map(({ title, layers }) => [title, layers.map(({ key, label, sheet }) => [key, label, sheet])]));
    if (plan !== this.plan) {
      this.plan = plan;
      this.#build(rows);
    }
    rows.forEach(({ layers }, row) =>
      layers.forEach(({ key, sheet, pixels, range, largest }) => {
        setScale(this.scales.get(key.name), largest ?? null);
        const { canvas, note } = this.figures.get(`${row} ${key.layer}`);
        draw(canvas, sheet.width, sheet.height, pixels);
        setText(note, range ?? "");
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
      const { frames, sheet } = found;
      const [x, y, width, height] = box;
      const frame = element("span");
      Object.assign(frame.style, {
        position: "absolute", pointerEvents: "none", outline: `2px solid ${colour}`, outlineOffset: "0",
        left: `${(100 * x) / sheet.width}%`, top: `${(100 * y) / sheet.height}%`,
        width: `${(100 * width) / sheet.width}%`, height: `${(100 * height) / sheet.height}%`,
      });
      frames.append(frame);
    }
  }

  #build(rows) {
    this.figures.clear();
    this.scales.clear();
    const layers = new Map();
    rows.forEach(({ title, layers: sheets }, row) =>
      sheets.forEach(({ key, label, sheet }) => {
        if (!layers.has(key.name)) layers.set(key.name, []);
        layers.get(key.name).push(this.#makeFigure(row, title, key, label, sheet));
      }),
    );
    this.holder.replaceChildren(
      ...[...layers].map(([name, figures]) => {
        const section = element("section", "layer");
        const heading = element("h3", "", [...new Set(figures.map(({ label }) => label))].join(" / "));
        const scale = makeScale(1);
        this.scales.set(name, scale);
        heading.append(" ", scale);
        const sheets = element("div", "sheets");
        sheets.style.setProperty("--columns", rows.length);
        sheets.append(...figures.map(({ figure }) => figure));
        section.append(heading, sheets);
        return section;
      }),
    );
  }

  #makeFigure(row, title, key, label, sheet) {
    const figure = element("figure", "sheet");
    figure.style.setProperty("--column", row + 1);
    const [canvas, frames, picture, caption, note] = ["canvas", "span", "div", "figcaption", "span"].map((tag) => element(tag));
    Object.assign(picture.style, { position: "relative", display: "inline-block", maxWidth: "100%" });
    picture.append(canvas, frames);
    const square = Math.max(2, Math.min(sheet.shape.length === 3 ? 8 : 22, Math.floor(LARGEST_WIDTH / sheet.width)));
    canvas.style.width = `${sheet.width * square}px`;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${title ? `${title}, ` : ""}${label}. Arrow keys move from unit to unit.`);
    caption.append(title ? `${title} ` : "", note);
    figure.append(picture, caption);
    let at = [sheet.shape.length === 3 ? 1 : 0, sheet.shape.length === 3 ? 1 : 0];
    const choose = () => {
      const unit = findNearestUnit(sheet, ...at);
      if (unit) this.choose({ key, unit });
    };
    const locate = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        Math.min(sheet.width - 1, Math.floor(((event.clientX - box.left) / box.width) * sheet.width)),
        Math.min(sheet.height - 1, Math.floor(((event.clientY - box.top) / box.height) * sheet.height)),
      ];
    };
    canvas.addEventListener("click", (event) => {
      at = locate(event);
      choose();
    });
    canvas.addEventListener("pointermove", (event) => {
      const unit = sheet.unit(...locate(event));
      this.hover(event, unit && { key, unit });
    });
    canvas.addEventListener("pointerleave", (event) => this.hover(event, null));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Enter: [0, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      let [x, y] = [at[0] + step[0], at[1] + step[1]];
      if (!sheet.unit(x, y)) [x, y] = [x + step[0], y + step[1]]; // (x, y) is in the gap between two maps: step once more
      if (sheet.unit(x, y)) at = [x, y];
      choose();
    });
    this.figures.set(`${row} ${key.layer}`, { canvas, note, frames, sheet });
    return { figure, label };
  }
}
