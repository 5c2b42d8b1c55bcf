// Send the image to the networks, and show their predictions and layers.

import { setText } from "elements";
import { describeGuesses, renderGuesses } from "guesses";
import { showNumbers } from "numbers";
import { Pad } from "pad";
import { answers, part, showError, showProblem, state, study, tell } from "state";
import { askUnit, clearUnit, markUnit } from "unit";
import { showLayers } from "view";

export const pad = new Pad(part("pad"), study.shape, () => {
  state.image = pad.empty ? null : "drawn";
  state.label = null;
  tell(pad.empty ? "Nothing is shown yet." : "Shown: your drawing.");
  if (pad.empty) forget();
  else ask();
});

let asking = false;
let askAgain = false;

// There is at most one request at a time. If the user chooses several images during a request, only the last of them is sent.
export async function ask() {
  if (state.image === null) return;
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  const start = performance.now();
  try {
    await new Promise((done) => setTimeout(done)); // wait, so that the browser shows the stroke first
    askAgain = false; // this request has the other events of this moment
    if (state.image === null) return;
    const image = state.image === "drawn" ? pad.pixels() : state.image;
    const readings = await answers.read(state.chosen, image, state.epoch);
    if (state.image === null) return; // the user cleared the pad in the meantime
    state.readings = readings;
    state.sent = image;
    showProblem(state.remark);
    show();
    document.dispatchEvent(new Event("reading"));
    document.body.dataset.answered = Number(document.body.dataset.answered ?? 0) + 1;
    document.body.dataset.milliseconds = (performance.now() - start).toFixed(1);
    if (state.unit) askUnit();
  } catch (error) {
    showError(error);
  } finally {
    asking = false;
    if (askAgain) {
      askAgain = false;
      ask();
    }
  }
}

export function forget() {
  state.readings = null;
  clearUnit();
  show();
  document.dispatchEvent(new Event("reading"));
}

// Show the layers, marks and predictions of the present state.
export function show() {
  showLayers();
  showNumbers();
  markUnit();
  part("seen").hidden = !state.readings;
  setText(part("seen"), state.readings ? describeGuesses(state.chosen, state.readings, study.classes, state.label) : "");
  part("answers").replaceChildren(...(state.readings ? renderGuesses(state.chosen, state.readings, study.classes) : []));
}
