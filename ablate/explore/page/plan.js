// Plan the sheets on the page: one row of layers for each network, and between two networks a row of differences.

import { findLargest, paintMaps, paintImage, makeSheet, formatNumber } from "maps";

// The number of the network's layer that has the same name as `layer`. -1 if the network has no such layer.
export function findTwin(facts, layer) {
  return facts.layers.findIndex(({ name }) => name === layer?.name);
}

export function haveSameShape(one, other) {
  return Boolean(one && other) && String(one.shape) === String(other.shape);
}

// Rows [{ title, arm, layers: [{ key: { arm, layer, name }, label, largest (the largest absolute value of its scale), range, sheet, pixels }] }]. For the row of differences, arm is null.
export function planRows(arms, { chosen, readings, hidden }, mostMaps, palette) {
  const shown = chosen.map((arm) => ({ arm, facts: arms.get(arm), values: readings?.[arm]?.layers, input: readings?.[arm]?.input }));
  const layer = (arm, at, facts, values, ...compared) => {
    const sheet = makeSheet(facts.shape, mostMaps);
    const largest = findLargest(...compared);
    const some = facts.shape.length === 3 && sheet.shown < sheet.maps ? `, ${sheet.shown} of ${sheet.maps} maps` : "";
    return {
      key: { arm, layer: at, name: facts.name },
      label: `${facts.name} ${facts.shape.join("×")}${some}`,
      largest: values ? largest : null,
      range: values ? describeRange(values) : "",
      sheet,
      pixels: values ? paintMaps(sheet, values, largest, palette) : paintBlank(sheet),
    };
  };
  const rows = shown.map(({ arm, facts, values, input }) => ({
    title: shown.length > 1 ? facts.title : "",
    arm,
    layers: [
      planImage(arm, facts, input),
      // Both networks share one scale, so that equal colours mean equal numbers.
      ...facts.layers.map((made, at) =>
        layer(arm, at, made, values?.[at], ...shown.map((other) => other.values?.[other.arm === arm ? at : findTwin(other.facts, made)])),
      ),
    ],
  }));
  if (shown.length > 1) {
    const [one, other] = shown;
    const differences = one.facts.layers.flatMap((made, at) => {
      const theirs = findTwin(other.facts, made);
      if (!haveSameShape(made, other.facts.layers[theirs])) return [];
      const [a, b] = [one.values?.[at], other.values?.[theirs]];
      return [layer(null, at, made, a && b && a.map((value, i) => value - b[i]), a, b)];
    });
    rows.splice(1, 0, { title: "difference", arm: null, layers: differences });
  }
  for (const row of rows) row.layers = row.layers.filter(({ key }) => !hidden.has(key.name));
  return rows;
}

function planImage(arm, { shape }, input) {
  const [, height, width] = shape;
  const sheet = { ...makeSheet([1, height, width], 1), height, width, at: ([, row = 0, column = 0]) => [column, row], unit: () => null };
  return {
    key: { arm, layer: -1, name: "image" },
    label: `image ${shape.join("×")}`,
    sheet,
    pixels: input ? paintImage(shape, input) : paintBlank(sheet),
  };
}

function describeRange(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let at = 0; at < values.length; at++) {
    low = Math.min(low, values[at]);
    high = Math.max(high, values[at]);
  }
  return `${formatNumber(low)} to ${formatNumber(high)}`;
}

function paintBlank({ width, height }) {
  return new Uint8ClampedArray(width * height * 4).fill(235);
}
