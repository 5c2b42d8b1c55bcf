// The lists of test images that the user can pick: images of a class, or images that networks classify wrongly or differently.

import { element, makeNote, makeOption } from "elements";
import { decodeBytes, draw, paintImage } from "maps";
import { ask, pad } from "reading";
import { answers, part, showError, state, study, tell, titleOf } from "state";

let lastRequest = 0;

// Offer the kinds of test images that the chosen networks have. If the kind `wanted` is one of these, select it.
export function listKinds(wanted = part("pick").value) {
  const [one, other] = state.chosen;
  part("pick").replaceChildren(
    ...study.classes.map((name, label) => makeOption(`class ${label}`, `of class ${name}`)),
    makeOption("confused 0", `most confident mistakes of ${titleOf(one)}`),
    ...(other ? [makeOption("disagree 0", `${titleOf(one)} and ${titleOf(other)} disagree`)] : []),
  );
  if ([...part("pick").options].some(({ value }) => value === wanted)) part("pick").value = wanted;
  return study.pictures ? listPictures() : null;
}

export async function listPictures() {
  const [pick, label] = part("pick").value.split(" ");
  const request = ++lastRequest;
  try {
    const found = await answers.pictures(pick, Number(label), state.chosen);
    if (request !== lastRequest) return;
    const none = pick === "confused" ? `${titleOf(state.chosen[0])} makes no mistake on the test images.` : answers.offline ? "This page has no such test image." : "There is no such test image.";
    part("pictures").replaceChildren(...(found.length ? found.map(renderThumbnail) : [makeNote(none)]));
  } catch (error) {
    showError(error);
  }
}

// When the page opens, show a test image, unless the user has already drawn or picked an image.
export async function openOnTestImage() {
  await listKinds(study.opening);
  if (state.image === null) part("pictures").querySelector("button")?.click();
}

export function renderThumbnail({ index, label, guesses, pixels }) {
  const [, height, width] = study.shape;
  const canvas = element("canvas");
  draw(canvas, width, height, paintImage(study.shape, Float32Array.from(decodeBytes(pixels), (byte) => byte / 255)));
  const button = element("button");
  button.type = "button";
  button.dataset.index = index;
  const words = describeGuesses(label, guesses);
  button.append(canvas, words);
  button.setAttribute("aria-label", `Test image ${index}: ${words}`);
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[data-index]")) other.setAttribute("aria-pressed", other === button);
    pad.show(canvas);
    state.image = index;
    state.label = label;
    tell(`Shown: test image ${index}, ${words}.${answers.whyNoDrawing(state.chosen) ? "" : " You may draw over it."}`);
    ask();
  });
  return button;
}

// A test image's true class, and the wrong predictions of the chosen networks for it.
function describeGuesses(label, guesses) {
  const wrong = state.chosen.filter((arm) => guesses[arm] !== label);
  if (!wrong.length) return study.classes[label];
  const predicted = new Set(wrong.map((arm) => study.classes[guesses[arm]]));
  const isShared = wrong.length === state.chosen.length && predicted.size === 1;
  const mistakes = isShared ? `predicted ${[...predicted][0]}` : wrong.map((arm) => `${arm}: ${study.classes[guesses[arm]]}`).join(", ");
  return `${study.classes[label]}; ${mistakes}`;
}
