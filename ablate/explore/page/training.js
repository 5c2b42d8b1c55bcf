// Play the training: show the networks as they were before training or after an epoch.

import { drawCurves } from "curves";
import { element, makeRow } from "elements";
import { showKernels } from "kernels";
import { ask } from "reading";
import { answers, arms, part, showError, state, study, titleOf } from "state";

const PAUSE = 700; // milliseconds that each epoch is shown
const REDUCED = window.matchMedia("(prefers-reduced-motion: reduce)");
const NARROW = window.matchMedia("(max-width: 64rem)"); // there, the accuracies are folded, so that the layers are nearer
const known = new Map(); // test accuracies, by arm and epoch
const COMPUTED = answers.offline ? "computed when the page was saved" : study.pictures ? "computed now" : "unknown without the test images";
let shown = null; // the parts of the player: { slider, button, label, table, curves }
let playing = false;

// The epochs that the page can show for the chosen networks, in order. Empty if it can only show the end of training.
function listEpochs() {
  return [...new Set(state.chosen.flatMap((arm) => answers.epochs(arms.get(arm))))].sort((a, b) => a - b);
}

// Build the player for the chosen networks. It starts at the end of training.
export function offerTraining() {
  stop();
  state.epoch = null;
  const epochs = listEpochs();
  for (const arm of state.chosen) for (const [epoch, accuracy] of answers.accuracies(arm)) known.set(`${arm} ${epoch}`, accuracy);
  part("at-end").hidden = true;
  part("training").hidden = epochs.length < 2;
  part("training").replaceChildren();
  shown = null;
  if (epochs.length < 2) return;
  const [button, slider, label, table, curves] = [element("button"), element("input"), element("p", "epoch"), element("table"), element("div", "curves")];
  button.type = "button";
  Object.assign(slider, { type: "range", min: 0, max: epochs.length - 1, step: 1, value: epochs.length - 1 });
  slider.setAttribute("aria-label", "Epoch");
  const line = element("div", "row");
  line.append(element("h2", "", "Through training"), button, slider, label);
  const below = element("div", "row accuracies");
  below.append(table, curves);
  const details = element("details");
  details.open = !NARROW.matches;
  details.append(element("summary", "", "Accuracies by epoch"), below);
  part("training").append(line, details);
  shown = { slider, button, label, table, curves, epochs };
  slider.addEventListener("input", () => {
    stop();
    goTo(Number(slider.value));
  });
  button.addEventListener("click", () => (REDUCED.matches ? goTo((Number(slider.value) + 1) % epochs.length) : playing ? stop() : play()));
  stop();
  showEpoch();
  for (const arm of state.chosen) askAccuracy(arm);
}

async function play() {
  const { slider, epochs } = shown;
  const player = shown;
  playing = true;
  nameButton();
  let at = Number(slider.value) === epochs.length - 1 ? -1 : Number(slider.value);
  while (playing && player === shown && at < epochs.length - 1) {
    at += 1;
    await goTo(at);
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  if (player === shown) stop();
}

function stop() {
  playing = false;
  if (shown) nameButton();
}

function nameButton() {
  shown.button.textContent = REDUCED.matches ? "Next epoch" : playing ? "Pause" : "Play";
}

// Show the networks after the epoch at this position of the slider.
async function goTo(at) {
  const { slider, epochs } = shown;
  slider.value = at;
  state.epoch = at === epochs.length - 1 ? null : epochs[at];
  const player = shown;
  showEpoch();
  await ask();
  await showKernels();
  // The accuracies come last, because the server computes them for a second, and answers nothing else meanwhile.
  for (const arm of state.chosen) if (player === shown && Number(slider.value) === at) await askAccuracy(arm);
}

// Say which epoch is shown, and the accuracies after it.
function showEpoch() {
  const { slider, label, epochs, curves, table } = shown;
  const epoch = state.epoch ?? epochs.at(-1);
  const words = epoch === 0 ? "before training" : `after epoch ${epoch} of ${epochs.at(-1)}`;
  label.textContent = words;
  part("at-end").hidden = state.epoch === null;
  const rows = state.chosen.map((arm) => describeArm(arm, epoch));
  slider.setAttribute("aria-valuetext", `${words}. ${rows.map(({ title, test }) => (test ? `${title}: test accuracy ${test}` : title)).join(". ")}`);
  table.replaceChildren(makeRow("th", ["seed 0", `test accuracy, ${COMPUTED}`, "validation accuracy, stored during training"]), ...rows.map(({ title, test, validation }, at) => makeArmRow([title, test, validation], at)));
  drawCurves(curves, state.chosen.map(listCurve), epoch, epochs.at(-1));
}

function describeArm(arm, epoch) {
  const found = findShown(arm, epoch);
  const note = found === undefined ? " (only the end of training is kept)" : found < epoch ? ` (epoch ${found})` : "";
  return { title: titleOf(arm) + note, test: percent(known.get(`${arm} ${found}`)), validation: percent(arms.get(arm).training?.validation[found]) };
}

// The epoch of this arm that the page shows: the last one that is not after `epoch`. undefined: only the end of training is kept.
function findShown(arm, epoch) {
  return answers.epochs(arms.get(arm)).findLast((one) => one <= epoch);
}

// Ask for the test accuracy of an arm at the shown epoch, unless it is known.
async function askAccuracy(arm) {
  const found = findShown(arm, state.epoch ?? Infinity);
  if (!study.pictures || found === undefined || known.has(`${arm} ${found}`)) return;
  known.set(`${arm} ${found}`, "…"); // the answer is on its way
  try {
    known.set(`${arm} ${found}`, await answers.accuracy(arm, found));
    if (shown && state.chosen.includes(arm)) showEpoch();
  } catch (error) {
    showError(error);
  }
}

// The accuracies of an arm: those on the test images if all of them are known, otherwise the stored ones on the validation images.
function listCurve(arm) {
  const { training } = arms.get(arm);
  const own = answers.epochs(arms.get(arm));
  const test = own.map((epoch) => known.get(`${arm} ${epoch}`));
  const kind = test.every((value) => typeof value === "number") ? "test" : "validation";
  const values = kind === "test" ? test : own.map((epoch) => training.validation[epoch]);
  return { kind, points: own.flatMap((epoch, at) => (typeof values[at] === "number" ? [[epoch, values[at]]] : [])) };
}

function percent(share) {
  return typeof share === "number" ? `${(100 * share).toFixed(2)}%` : (share ?? "–");
}

// The first cell shows the line of this arm in the curves.
function makeArmRow(texts, at) {
  const row = makeRow("td", texts, "th");
  row.firstChild.className = `line-${at}`;
  return row;
}
