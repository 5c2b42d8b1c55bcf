// The list of layers, in which the user ticks the layers to show.

import { element } from "elements";
import { show } from "reading";
import { makeScale, setScale } from "scales";
import { arms, part, state } from "state";

const MINOR = /Flatten|Identity|BatchNorm/; // kinds of layers that only rearrange or rescale numbers

export function listLayers() {
  part("layers").replaceChildren(...[...collectLayers()].map(([name, facts]) => renderItem(name, facts)));
}

export function showAllLayers() {
  state.hidden.clear();
  listLayers();
  show();
}

export function hideMinorLayers() {
  const minor = [...collectLayers()].filter(([, facts]) => facts.every(({ kind }) => MINOR.test(kind)));
  state.hidden = new Set(minor.map(([name]) => name));
  listLayers();
  show();
}

// The layers of the chosen networks, in their order. Each layer has a name, and a kind and shape for every network.
function collectLayers() {
  const layers = new Map([["image", state.chosen.map((arm) => ({ kind: "", shape: arms.get(arm).shape }))]]);
  for (const arm of state.chosen) {
    for (const layer of arms.get(arm).layers) layers.set(layer.name, [...(layers.get(layer.name) ?? []), layer]);
  }
  return layers;
}

// Write the numbers of each layer's scale beside the layer.
export function showScales(rows) {
  const largest = new Map(rows.flatMap(({ layers }) => layers.map((layer) => [layer.key.name, layer.largest ?? null])));
  for (const scale of part("layers").querySelectorAll(".scale")) setScale(scale, largest.get(scale.dataset.of) ?? null);
}

function renderItem(name, facts) {
  const [item, label, box, text, small] = ["li", "label", "input", "span", "small"].map((tag) => element(tag));
  box.type = "checkbox";
  box.checked = !state.hidden.has(name);
  box.dataset.layer = name;
  box.addEventListener("change", () => {
    state.hidden[box.checked ? "delete" : "add"](name);
    show();
  });
  small.textContent = ` ${[...new Set(facts.map(({ kind, shape }) => `${kind} ${shape.join("×")}`))].join(" / ")}`;
  const scale = makeScale(1);
  scale.dataset.of = name;
  text.append(name, small, element("br"), scale);
  label.append(box, text);
  item.append(label);
  return item;
}
