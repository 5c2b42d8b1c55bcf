// The layers of the chosen networks, in three dimensions or flat, and marks on them.

import { setText } from "elements";
import { Flat } from "flat";
import { hoverUnit } from "hover";
import { showScales } from "layers";
import { planRows } from "plan";
import { Stack } from "stack";
import { answers, arms, palette, part, showProblem, state, study } from "state";

let flat = null;
let rows = [];
export let stack = null; // null if this browser cannot draw in three dimensions

// `choose` is called with { key, unit } when the user clicks a square of a layer.
export function createViews(choose) {
  flat = new Flat(part("flat"), choose, hoverUnit);
  try {
    stack = new Stack(part("stack"), choose, hoverUnit);
  } catch (error) {
    state.flat = true;
    for (const id of ["show-stack", "turning"]) part(id).hidden = true;
    state.remark = `This browser cannot draw in three dimensions (${error.message}), so the layers are shown flat.`;
    showProblem(state.remark);
  }
}

export function showLayers() {
  rows = planRows(arms, state, study.mostMaps, palette);
  part("stack").hidden = state.flat;
  part("flat").hidden = !state.flat;
  part("turning").hidden = state.flat;
  setText(part("hint"), chooseHint());
  for (const [id, on] of [["show-stack", !state.flat], ["show-flat", state.flat]]) part(id).setAttribute("aria-pressed", on);
  if (state.flat) flat.show(rows);
  else stack.show(rows);
  showScales(rows);
}

function chooseHint() {
  if (rows.every(({ layers }) => !layers.length)) return "All layers are hidden: tick some below.";
  if (!state.readings) return `${answers.whyNoDrawing(state.chosen) ? "Pick" : "Draw, or pick"} a test image, to see the numbers of the layers.`;
  return state.flat
    ? "Click a square, or move with the arrow keys, to see how its number is computed."
    : "Drag to turn, wheel or pinch to zoom. Keyboard: arrows, + and −, 0. Click a square to see how its number is computed.";
}

// Frames around parts of layers. marks: [{ arm, layer, box: [x, y, width, height], colour }]; layer -1 is the image.
export function markLayers(marks) {
  const squares = marks.flatMap(({ arm, layer, box, colour }) => {
    const row = rows.findIndex((found) => found.arm === arm);
    const at = rows[row]?.layers.findIndex(({ key }) => key.layer === layer) ?? -1;
    return at < 0 ? [] : [{ row, at, layer, box, colour }];
  });
  flat.mark(squares);
  stack?.mark(squares);
}
