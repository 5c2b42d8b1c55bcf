// The kernels of the first layer of each network, as pictures and as tables.

import { element, makeRow, makeTable } from "elements";
import { hideTip, showTip } from "hover";
import { draw, findLargest, formatNumber, makeSheet, paintMaps } from "maps";
import { makeScale } from "scales";
import { answers, palette, part, showError, state, titleOf } from "state";

let request = 0;
let open = false; // whether the tables are shown

// Show the kernels of the chosen networks, at the epoch that is shown.
export async function showKernels() {
  const asked = ++request;
  try {
    const found = await answers.kernels(state.chosen, state.epoch);
    if (asked === request) render(state.chosen.filter((arm) => found[arm]).map((arm) => ({ arm, ...found[arm] })));
  } catch (error) {
    showError(error);
  }
}

function render(kernels) {
  part("kernels").hidden = !kernels.length;
  if (!kernels.length) return;
  const largest = findLargest(...kernels.map(({ weights }) => weights));
  const line = element("div", "row");
  line.append(element("h2", "", `Kernels of ${[...new Set(kernels.map(({ layer }) => layer))].join(" and ")}`), makeScale(largest));
  const row = element("div", "kernels");
  row.append(...kernels.map((one, at) => renderArm(one, at, largest)));
  const details = element("details");
  const summary = element("summary", "", "The same weights as tables");
  details.append(summary);
  details.open = open;
  const fill = () => details.replaceChildren(summary, ...(details.open ? kernels.map(renderTable) : []));
  details.addEventListener("toggle", () => {
    open = details.open;
    fill();
  });
  fill();
  part("kernels").replaceChildren(line, row, details);
}

// A grid of kernels. If the image has several channels, each kernel has one tile for each channel.
function renderArm(kernels, at, largest) {
  const { arm, shape, outputs, weights } = kernels;
  const [shown, channels, height, width] = shape;
  const sheet = makeSheet([shown * channels, height, width], shown * channels);
  const canvas = element("canvas");
  draw(canvas, sheet.width, sheet.height, paintMaps(sheet, weights, largest, palette));
  canvas.style.width = `${sheet.width * Math.max(2, Math.min(14, Math.floor(300 / sheet.width)))}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${shown} kernels of ${titleOf(arm)}. The tables below have their weights.`);
  canvas.dataset.kernels = arm;
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const unit = sheet.unit(...[[event.clientX - box.left, box.width, sheet.width], [event.clientY - box.top, box.height, sheet.height]].map(([from, size, count]) => Math.floor((from / size) * count)));
    if (unit) showTip(event, `${describeKernel(unit[0], channels)}, row ${unit[1]}, column ${unit[2]}: ${formatNumber(weights[sheet.index(unit)])}`);
    else hideTip();
  });
  canvas.addEventListener("pointerleave", hideTip);
  const figure = element("figure", "sheet");
  figure.append(canvas, element("figcaption", "", `${titleOf(arm)}${shown < outputs ? `, ${shown} of ${outputs} kernels` : ""}`));
  return figure;
}

function describeKernel(map, channels) {
  return channels > 1 ? `kernel ${Math.floor(map / channels)}, channel ${map % channels}` : `kernel ${map}`;
}

function renderTable({ arm, shape: [shown, channels, height, width], weights }) {
  const rows = [makeRow("th", ["kernel", "row", ...Array.from({ length: width }, (_, column) => `column ${column}`)])];
  for (let line = 0; line < shown * channels * height; line++) {
    const numbers = weights.slice(line * width, (line + 1) * width);
    rows.push(makeRow("td", [describeKernel(Math.floor(line / height), channels), line % height, ...Array.from(numbers, formatNumber)]));
  }
  return makeTable(titleOf(arm), rows);
}
