// The state that all parts of the page share: the study, the present choices and readings, and messages to the user.

import { setText } from "elements";
import { packPixel } from "maps";
import { createSource, RequestError } from "source";

const NARROW = "(max-width: 44rem)";
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

export const part = (id) => document.getElementById(id);
export const study = JSON.parse(part("overview").textContent);
// Keep the direction of a name inside the name, so that it does not reorder the words and numbers beside it.
study.classes = study.classes.map((name) => (RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name));
export const answers = createSource(study.saved, study.arms);
export const palette = study.palette.map((text) => packPixel(...[1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16))));
export const arms = new Map(study.arms.map((arm) => [arm.name, arm]));

export const titleOf = (arm) => arms.get(arm)?.title ?? arm; // the name of an arm with its values; a saved page lacks the values of arms that it does not show

export const state = {
  chosen: study.chosen, // names of the arms on the page: one, or two to compare
  epoch: null, // the number of epochs after which the networks are shown; null: the end of training
  image: null, // the index of a test image, "drawn", or null
  label: null, // the true class of the test image. Null for a drawing, also for a drawing over a test image.
  sent: null, // the image of the present readings: an index, or the pixels of a drawing
  readings: null, // { arm: { input, layers: [Float32Array], probabilities } }
  hidden: new Set(), // names of hidden layers
  remark: null, // says what this browser cannot do; null if it can do everything. Problems are shown instead of this remark.
  unit: null, // the explained unit: { arm, layer, name, place, answers: { arm: answer } }
  flat: window.matchMedia(NARROW).matches,
};

export function showProblem(text) {
  part("problem").hidden = !text;
  setText(part("problem"), text ?? "");
}

export function showError(error) {
  const other = answers.offline ? `This browser cannot run the networks (${error.message}).` : `The server does not answer (${error.message}): is \`ablate explore\` still running?`;
  showProblem(error instanceof RequestError ? error.message : other);
}

export function tell(text) {
  setText(part("shown"), text);
}
