// The unit that the user has chosen: how its number is computed, and its frames on the layers.

import { element } from "elements";
import { listParts } from "hover";
import { describePlace, renderUnit } from "inspector";
import { makeSheet } from "maps";
import { haveSameShape } from "plan";
import { answers, arms, palette, part, showError, state, study } from "state";
import { markLayers } from "view";

const MARK = "#d55e00";
const FIELD = "#e69f00";
const COMBINES = /Conv|Linear|Pool|Flatten|Softmax|Response|LayerNorm|GroupNorm/; // kinds of layers in which a number depends on several inputs
let focusBefore = null;

// key: { arm (null for the difference of two networks), layer, name }; place: an index into the layer's output.
export function chooseUnit({ key, unit: place }) {
  if (key.layer < 0 || !state.readings) return;
  focusBefore = document.activeElement;
  state.unit = { arm: key.arm ?? state.chosen[0], layer: key.layer, name: key.name, place, answers: {} };
  askUnit();
}

export async function askUnit() {
  const unit = state.unit;
  const parts = listParts(unit);
  if (!parts.length) return;
  showUnit();
  try {
    const found = await Promise.all(parts.map(({ arm, at, place }) => answers.unit(arm, state.sent, at, place, state.epoch)));
    if (state.unit !== unit) return;
    parts.forEach(({ arm }, index) => (unit.answers[arm] = found[index]));
    showUnit();
  } catch (error) {
    showError(error);
  }
}

// Close the explanation of the unit, and return the keyboard focus to where it was.
export function closeUnit() {
  clearUnit();
  markUnit();
  focusBefore?.focus({ preventScroll: true });
}

export function clearUnit() {
  state.unit = null;
  part("unit").hidden = true;
  document.body.classList.remove("with-unit");
  part("unit").replaceChildren();
}

// Frames around the unit and, on the image, around its receptive field.
export function markUnit() {
  const unit = state.unit;
  const marks = [];
  for (const { arm, at, layer } of unit ? listParts(unit) : []) {
    const [x, y] = makeSheet(layer.shape, study.mostMaps).square(unit.place);
    marks.push({ arm, layer: at, box: [x, y, 1, 1], colour: MARK });
    const field = unit.answers[arm]?.field;
    if (!field) continue;
    const [[top, bottom], [left, right]] = [field.rows, field.columns];
    marks.push({ arm, layer: -1, box: [left, top, right - left + 1, bottom - top + 1], colour: FIELD });
  }
  markLayers(marks);
}

// What the following layers make of the unit, as long as they only change each number by itself: [{ name, kind, value }].
function listNext({ arm, at, place }) {
  const { layers } = arms.get(arm);
  const found = [];
  for (let next = at + 1; next < layers.length && haveSameShape(layers[next], layers[at]) && !COMBINES.test(layers[next].kind); next++) {
    const value = state.readings[arm].layers[next][makeSheet(layers[next].shape, study.mostMaps).index(place)];
    found.push({ name: layers[next].name, kind: layers[next].kind, value });
  }
  return found;
}

function showUnit() {
  const parts = listParts(state.unit).map((found) => ({ ...found, next: listNext(found), answer: state.unit.answers[found.arm] ?? null }));
  const close = element("button", "", "Close");
  close.type = "button";
  close.addEventListener("click", closeUnit);
  const [{ arm, layer }] = parts;
  const isOutput = layer === arms.get(arm).layers.at(-1) && layer.shape[0] === study.classes.length;
  part("unit").replaceChildren(close, renderUnit(parts, palette, isOutput ? study.classes : null));
  part("unit").hidden = false;
  document.body.classList.add("with-unit");
  part("unit").dataset.unit = `${state.unit.name} ${describePlace(layer, state.unit.place)}`;
  markUnit();
}
