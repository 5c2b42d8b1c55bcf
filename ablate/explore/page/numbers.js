// The numbers of a layer as a table, for readers who do not see the pictures.

import { element, makeOption, makeRow, makeTable } from "elements";
import { describePlace } from "inspector";
import { findPlace, formatNumber } from "maps";
import { findTwin, haveSameShape } from "plan";
import { arms, part, state, study, titleOf } from "state";

const MOST_ROWS = 256;
let chosen = { layer: null, map: 0 };

export function connectNumbers() {
  part("numbers").addEventListener("toggle", showNumbers);
}

// Write the tables of the chosen layer and map. Nothing is written while the tables are folded.
export function showNumbers() {
  const holder = part("numbers").querySelector("div");
  if (!part("numbers").open || !state.readings) return holder.replaceChildren();
  const { layers } = arms.get(state.chosen[0]);
  const layer = layers.find(({ name }) => name === chosen.layer) ?? layers[0];
  const maps = layer.shape.length === 3 ? Math.min(layer.shape[0], study.mostMaps) : 0;
  chosen = { layer: layer.name, map: Math.min(chosen.map, Math.max(0, maps - 1)) };
  const row = element("div", "row");
  row.append(makeSelect("layer", layers.map(({ name, shape }) => [name, `${name} ${shape.join("×")}`]), layer.name));
  if (maps) row.append(makeSelect("map", Array.from({ length: maps }, (_, map) => [map, `map ${map}`]), chosen.map));
  holder.replaceChildren(row, ...(maps ? renderMaps(layer) : [renderFeatures(layer)]));
}

function makeSelect(what, options, value) {
  const select = element("select");
  select.setAttribute("aria-label", what === "layer" ? "Layer of the table" : "Map of the table");
  select.append(...options.map(([name, text]) => makeOption(name, text)));
  select.value = value;
  select.addEventListener("change", () => {
    chosen[what] = what === "map" ? Number(select.value) : select.value;
    showNumbers();
    part("numbers").querySelector(`[aria-label^="${what === "layer" ? "Layer" : "Map"}"]`).focus();
  });
  return select;
}

// The networks that have this layer in this shape, and the layer's numbers: [{ arm, values }].
function listValues(layer) {
  return state.chosen.flatMap((arm) => {
    const at = findTwin(arms.get(arm), layer);
    return haveSameShape(layer, arms.get(arm).layers[at]) ? [{ arm, values: state.readings[arm].layers[at] }] : [];
  });
}

function renderMaps(layer) {
  const [, height, width] = layer.shape;
  return listValues(layer).map(({ arm, values }) => {
    const from = chosen.map * height * width;
    const lines = Array.from({ length: height }, (_, row) => [row, ...Array.from(values.slice(from + row * width, from + (row + 1) * width), formatNumber)]);
    return renderTable(`${titleOf(arm)}: ${layer.name}, map ${chosen.map}`, ["row", ...Array.from({ length: width }, (_, column) => `column ${column}`)], lines);
  });
}

function renderFeatures(layer) {
  const found = listValues(layer);
  const count = layer.shape.reduce((a, b) => a * b, 1);
  const isOutput = layer === arms.get(state.chosen[0]).layers.at(-1) && count === study.classes.length;
  const lines = Array.from({ length: Math.min(count, MOST_ROWS) }, (_, at) => [
    isOutput ? study.classes[at] : describePlace(layer, findPlace(at, layer.shape)),
    ...found.map(({ values }) => formatNumber(values[at])),
    ...(found.length > 1 ? [formatNumber(found[0].values[at] - found[1].values[at])] : []),
  ]);
  const title = `${layer.name}${count > MOST_ROWS ? `, the first ${MOST_ROWS} of ${count} units` : ""}`;
  return renderTable(title, [isOutput ? "class" : "unit", ...found.map(({ arm }) => titleOf(arm)), ...(found.length > 1 ? ["difference"] : [])], lines);
}

function renderTable(title, heads, lines) {
  return makeTable(title, [makeRow("th", heads), ...lines.map((line) => makeRow("td", line, "th"))]);
}
