// The page: what is shown to which networks, and where their answers go.

import { Flat } from "flat";
import { guesses } from "guesses";
import { inspected, spoken } from "inspector";
import { bytesOf, drawn, packed, photographed, sheet, unpacked } from "maps";
import { Pad } from "pad";
import { alike, planned, twin } from "plan";
import { Refusal, source } from "source";
import { Stack } from "stack";

const NARROW = "(max-width: 44rem)";
const MARK = "#d55e00";
const FIELD = "#e69f00";
const study = JSON.parse(document.getElementById("overview").textContent);
const answers = source(study.saved);
const part = (id) => document.getElementById(id);
const palette = study.palette.map((text) => packed(...[1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16))));
const arms = new Map(study.arms.map((arm) => [arm.name, arm]));

const state = {
  chosen: study.chosen, // one arm, or two beside each other
  image: null, // the index of a test image, what was drawn, or null
  readings: null, // { arm: { input, layers: [Float32Array], probabilities } }
  hidden: new Set(), // names of layers
  remark: null, // what this browser lacks, shown while there is no other problem
  unit: null, // { arm, layer, place, found: { arm: answer } }
  flat: window.matchMedia(NARROW).matches,
};

const pad = new Pad(part("pad"), study.shape, () => {
  state.image = pad.empty ? null : "drawn";
  tell(pad.empty ? "Nothing is shown yet." : "Shown: your drawing.");
  if (pad.empty) forget();
  else ask();
});
const flat = new Flat(part("flat"), choose);
let stack = null;
try {
  stack = new Stack(part("stack"), choose);
} catch (error) {
  state.flat = true;
  for (const id of ["show-stack", "turning"]) part(id).hidden = true;
  state.remark = `No three dimensions here (${error.message}): layers are shown flat.`;
  problem(state.remark);
}

// ---- what is asked ----

let asking = false;
let again = false;

// At most one question is under way; of what changes meanwhile the last is asked next.
async function ask() {
  if (state.image === null) return;
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  const from = performance.now();
  try {
    const image = state.image === "drawn" ? pad.pixels() : state.image;
    const found = await answers.read(state.chosen, image);
    state.asked = image;
    state.readings = Object.fromEntries(
      Object.entries(found).map(([arm, { input, probabilities, layers }]) => [
        arm, { input: unpacked(input), probabilities, layers: layers.map(unpacked) },
      ]),
    );
    problem(state.remark);
    show();
    document.body.dataset.answered = Number(document.body.dataset.answered ?? 0) + 1;
    document.body.dataset.milliseconds = (performance.now() - from).toFixed(1);
    if (state.unit) askUnit();
  } catch (error) {
    refused(error);
  } finally {
    asking = false;
    if (again) {
      again = false;
      ask();
    }
  }
}

function forget() {
  state.readings = null;
  noUnit();
  show();
}

// Closed, the keyboard goes on where it was.
function leaveUnit() {
  const from = state.from;
  noUnit();
  mark();
  from?.focus({ preventScroll: true });
}

function noUnit() {
  state.unit = null;
  part("unit").hidden = true;
  document.body.classList.remove("with-unit");
  part("unit").replaceChildren();
}

// The squares that a person may click: { arm (null for the difference), layer, name } and a place in it.
function choose({ key, unit: place }) {
  if (key.layer < 0 || !state.readings) return;
  const from = key.arm ?? state.chosen[0];
  state.from = document.activeElement;
  state.unit = { arm: from, layer: key.layer, name: key.name, place, found: {} };
  askUnit();
}

async function askUnit() {
  const unit = state.unit;
  const parts = unitParts(unit);
  if (!parts.length) return;
  showUnit();
  try {
    const found = await Promise.all(parts.map(({ arm, layer, place }) => answers.unit(arm, state.asked, layer, place)));
    if (state.unit !== unit) return;
    parts.forEach(({ arm }, at) => (unit.found[arm] = found[at]));
    showUnit();
  } catch (error) {
    refused(error);
  }
}

// The same unit in each network that has it.
function unitParts(unit) {
  const wanted = arms.get(unit.arm)?.layers[unit.layer];
  return state.chosen.flatMap((arm) => {
    const at = arm === unit.arm ? unit.layer : twin(arms.get(arm), wanted);
    const layer = arms.get(arm).layers[at];
    if (!alike(layer, wanted)) return [];
    const value = state.readings?.[arm]?.layers[at]?.[sheet(layer.shape, study.mostMaps).index(unit.place)];
    return value === undefined ? [] : [{ arm, layer: at, place: unit.place, value, facts: layer }];
  });
}

// ---- what is shown ----

function show() {
  const rows = (state.rows = planned(arms, state, study.mostMaps, palette));
  part("stack").hidden = state.flat;
  part("flat").hidden = !state.flat;
  part("turning").hidden = state.flat;
  const nothing = rows.every(({ layers }) => !layers.length) ? "All layers are hidden: tick some at the right. " : "";
  const empty = state.readings ? "" : `${answers.offline ? "Pick" : "Draw, or pick"} a test image, to see the layers' numbers. `;
  const how = state.flat
    ? "Click a square, or walk with the arrow keys, to see where its number comes from."
    : "Drag to turn, wheel or pinch to zoom; by keyboard: arrows, + and −, 0. Click a square to see where its number comes from.";
  part("hint").textContent = nothing || empty || how;
  for (const [id, on] of [["show-stack", !state.flat], ["show-flat", state.flat]]) part(id).setAttribute("aria-pressed", on);
  if (state.flat) flat.show(rows);
  else stack.show(rows);
  mark();
  part("answers").replaceChildren(...(state.readings ? guesses(state.chosen, state.readings, study.classes) : []));
}

function showUnit() {
  const parts = unitParts(state.unit).map((made) => ({ ...made, layer: made.facts, found: state.unit.found[made.arm] ?? null }));
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", leaveUnit);
  const { layers } = arms.get(parts[0].arm);
  const last = parts[0].facts === layers.at(-1) && parts[0].facts.shape[0] === study.classes.length;
  part("unit").replaceChildren(close, inspected(parts, palette, answers.offline, last ? study.classes : null));
  part("unit").hidden = false;
  document.body.classList.add("with-unit");
  part("unit").dataset.unit = `${state.unit.name} ${spoken(parts[0].layer, state.unit.place)}`;
  mark();
}

// Frames around the chosen unit and, in the image, around what it sees.
function mark() {
  const { rows } = state;
  const squares = [];
  const unit = state.unit;
  for (const { arm, layer, facts } of unit ? unitParts(unit) : []) {
    const row = rows.findIndex((made) => made.arm === arm);
    const at = rows[row].layers.findIndex(({ key }) => key.layer === layer);
    const [x, y] = sheet(facts.shape, study.mostMaps).square(unit.place);
    if (at >= 0) squares.push({ row, at, layer, box: [x, y, 1, 1], colour: MARK });
    const field = unit.found[arm]?.field;
    const image = rows[row].layers.findIndex(({ key }) => key.layer === -1);
    if (field && image >= 0) {
      const [[top, bottom], [left, right]] = [field.rows, field.columns];
      squares.push({ row, at: image, layer: -1, box: [left, top, right - left + 1, bottom - top + 1], colour: FIELD });
    }
  }
  flat.mark(squares);
  stack?.mark(squares);
}

function problem(text) {
  part("problem").hidden = !text;
  part("problem").textContent = text ?? "";
}

function refused(error) {
  problem(error instanceof Refusal ? error.message : `The server does not answer (${error.message}): is \`ablate explore\` still running?`);
}

function tell(text) {
  part("shown").textContent = text;
}

function paragraph(text) {
  const made = document.createElement("p");
  made.className = "soft";
  made.textContent = text;
  return made;
}

// ---- what a person sets ----

function option(value, text) {
  const made = document.createElement("option");
  [made.value, made.textContent] = [value, text];
  return made;
}

function wire() {
  part("arm-a").append(...study.arms.map(({ name }) => option(name, name)));
  part("arm-b").append(option("", "none"), ...study.arms.map(({ name }) => option(name, name)));
  [part("arm-a").value, part("arm-b").value] = [study.chosen[0], study.chosen[1] ?? ""];
  part("beside").hidden = study.arms.length < 2;
  for (const id of ["arm-a", "arm-b"]) {
    part(id).addEventListener("change", () => {
      const [one, other] = [part("arm-a").value, part("arm-b").value];
      if (one === other) part("arm-b").value = "";
      state.chosen = one === other || !other ? [one] : [one, other];
      const unit = state.unit;
      forget();
      if (unit && state.chosen.includes(unit.arm)) state.unit = { ...unit, found: {} };
      if (one === other) tell("Choose another network to see beside this one.");
      listLayers();
      listPicks();
      ask();
    });
  }
  part("clear").addEventListener("click", () => {
    pad.clear();
    pad.changed();
  });
  pad.centred = part("centre").checked = study.centred;
  part("centre").addEventListener("change", () => {
    pad.centred = part("centre").checked;
    if (state.image === "drawn") ask();
  });
  part("pad").addEventListener("pen", ({ detail: { hand, column, row } }) => tell(`Pen ${hand} at column ${column}, row ${row}.`));
  part("show-stack").addEventListener("click", () => {
    state.flat = false;
    show();
  });
  part("show-flat").addEventListener("click", () => {
    state.flat = true;
    show();
  });
  part("reset").addEventListener("click", () => stack.reset());
  part("closer").addEventListener("click", () => stack.zoom(0.8));
  part("farther").addEventListener("click", () => stack.zoom(1.25));
  part("all-layers").addEventListener("click", () => hideNone());
  part("main-layers").addEventListener("click", () => hideMinor());
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && state.unit) leaveUnit();
  });
  if (answers.offline) {
    for (const id of ["how", "drawing"]) part(id).hidden = true;
    part("invited").textContent = "Shown";
    Object.assign(part("pad").style, { pointerEvents: "none" });
    part("pad").removeAttribute("tabindex");
    tell("A saved page: it holds the test images below and what the networks make of them. To draw, and for the weights of a unit, run `ablate explore`.");
  }
  part("choose").hidden = !study.pictures;
  part("pick").addEventListener("change", listPictures);
}

// Names of the layers of the networks shown, in their order, with the kinds and shapes that they have there.
function layersShown() {
  const found = new Map([["image", state.chosen.map((arm) => ({ kind: "", shape: arms.get(arm).shape }))]]);
  for (const arm of state.chosen) {
    for (const layer of arms.get(arm).layers) found.set(layer.name, [...(found.get(layer.name) ?? []), layer]);
  }
  return found;
}

function listLayers() {
  part("layers").replaceChildren(
    ...[...layersShown()].map(([name, facts]) => {
      const [item, label, box, small] = ["li", "label", "input", "small"].map((tag) => document.createElement(tag));
      box.type = "checkbox";
      box.checked = !state.hidden.has(name);
      box.dataset.layer = name;
      box.addEventListener("change", () => {
        state.hidden[box.checked ? "delete" : "add"](name);
        show();
      });
      const text = document.createElement("span");
      small.textContent = ` ${[...new Set(facts.map(({ kind, shape }) => `${kind} ${shape.join("×")}`))].join(" / ")}`;
      text.append(name, small);
      label.append(box, text);
      item.append(label);
      return item;
    }),
  );
}

function hideNone() {
  state.hidden.clear();
  listLayers();
  show();
}

// What only rearranges numbers or hands them on says little: the layers that compute stay.
function hideMinor() {
  state.hidden = new Set([...layersShown()].filter(([, facts]) => facts.every(({ kind }) => /Flatten|Identity|BatchNorm/.test(kind))).map(([name]) => name));
  listLayers();
  show();
}

function listPicks(wanted = part("pick").value) {
  const [one, other] = state.chosen;
  part("pick").replaceChildren(
    ...study.classes.map((name, label) => option(`class ${label}`, `of class ${name}`)),
    option("confused 0", `most confused: surest mistakes of ${one}`),
    ...(other ? [option("disagree 0", `${one} and ${other} disagree`)] : []),
  );
  if ([...part("pick").options].some(({ value }) => value === wanted)) part("pick").value = wanted;
  return study.pictures ? listPictures() : null;
}

let listed = 0;

async function listPictures() {
  const [pick, label] = part("pick").value.split(" ");
  const turn = ++listed;
  try {
    const found = await answers.pictures(pick, Number(label), state.chosen);
    if (turn !== listed) return;
    const none = pick === "confused" ? "It takes no test image for another class." : "There is none.";
    part("pictures").replaceChildren(...(found.length ? found.map(thumbnail) : [paragraph(none)]));
  } catch (error) {
    refused(error);
  }
}

function thumbnail({ index, label, guesses, pixels }) {
  const [, height, width] = study.shape;
  const canvas = document.createElement("canvas");
  drawn(canvas, width, height, photographed(study.shape, Float32Array.from(bytesOf(pixels), (byte) => byte / 255)));
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.index = index;
  const wrong = state.chosen.filter((arm) => guesses[arm] !== label);
  const taken = new Set(wrong.map((arm) => study.classes[guesses[arm]]));
  const alike = wrong.length === state.chosen.length && taken.size === 1;
  const mistakes = alike ? `taken for ${[...taken][0]}` : wrong.map((arm) => `${arm}: ${study.classes[guesses[arm]]}`).join(", ");
  const words = wrong.length ? `${study.classes[label]}; ${mistakes}` : study.classes[label];
  made.append(canvas, words);
  made.setAttribute("aria-label", `Test image ${index}: ${words}`);
  made.addEventListener("click", () => {
    for (const other of part("pictures").children) other.setAttribute("aria-pressed", other === made);
    pad.show(canvas);
    state.image = index;
    tell(`Shown: test image ${index}, ${words}.${answers.offline ? "" : " You may draw over it."}`);
    ask();
  });
  return made;
}

// Show a test image at once, unless the person has already drawn or picked one.
async function openOnTestImage() {
  await listPicks(study.opening);
  if (state.image === null) part("pictures").querySelector("button")?.click();
}

wire();
hideMinor();
openOnTestImage();
