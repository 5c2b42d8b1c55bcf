// Which sheets are shown: each network's layers in a row and, between two networks, the difference of their layers.

import { largest, painted, photographed, sheet, told } from "maps";

// The layer of another network that has this one's name; -1 where there is none.
export function twin(facts, layer) {
  return facts.layers.findIndex(({ name }) => name === layer?.name);
}

export function alike(one, other) {
  return Boolean(one && other) && String(one.shape) === String(other.shape);
}

// Rows [{ title, arm, layers: [{ key: { arm, layer, name }, label, range, laid, pixels }] }]; arm is null for the difference.
export function planned(arms, { chosen, readings, hidden }, mostMaps, palette) {
  const shown = chosen.map((arm) => ({ arm, facts: arms.get(arm), values: readings?.[arm]?.layers, input: readings?.[arm]?.input }));
  const layer = (arm, at, facts, values, ...compared) => {
    const laid = sheet(facts.shape, mostMaps);
    const some = facts.shape.length === 3 && laid.shown < laid.maps ? `, ${laid.shown} of ${laid.maps} maps` : "";
    return {
      key: { arm, layer: at, name: facts.name },
      label: `${facts.name} ${facts.shape.join("×")}${some}`,
      range: values ? ranged(values) : "",
      laid,
      pixels: values ? painted(laid, values, largest(...compared), palette) : blank(laid),
    };
  };
  const rows = shown.map(({ arm, facts, values, input }) => ({
    title: shown.length > 1 ? arm : "",
    arm,
    layers: [
      image(arm, facts, input),
      // One scale for both networks, or a paler map would not be a smaller number.
      ...facts.layers.map((made, at) =>
        layer(arm, at, made, values?.[at], ...shown.map((other) => other.values?.[other.arm === arm ? at : twin(other.facts, made)])),
      ),
    ],
  }));
  if (shown.length > 1) {
    const [one, other] = shown;
    const differences = one.facts.layers.flatMap((made, at) => {
      const theirs = twin(other.facts, made);
      if (!alike(made, other.facts.layers[theirs])) return [];
      const [a, b] = [one.values?.[at], other.values?.[theirs]];
      return [layer(null, at, made, a && b && a.map((value, i) => value - b[i]), a, b)];
    });
    rows.splice(1, 0, { title: "difference", arm: null, layers: differences });
  }
  for (const row of rows) row.layers = row.layers.filter(({ key }) => !hidden.has(key.name));
  return rows;
}

function image(arm, { shape }, input) {
  const [, height, width] = shape;
  const laid = { ...sheet([1, height, width], 1), height, width, at: ([, row = 0, column = 0]) => [column, row], unit: () => null };
  return {
    key: { arm, layer: -1, name: "image" },
    label: `image ${shape.join("×")}`,
    laid,
    pixels: input ? photographed(shape, input) : blank(laid),
  };
}

function ranged(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return `${told(low)} to ${told(high)}`;
}

function blank({ width, height }) {
  return new Uint8ClampedArray(width * height * 4).fill(235);
}
