// The page: connect its controls with the functions that they call.

import { makeOption } from "elements";
import { showKernels } from "kernels";
import { hideMinorLayers, listLayers, showAllLayers } from "layers";
import { connectNumbers } from "numbers";
import { listKinds, listPictures, openOnTestImage } from "pictures";
import { createQuestions } from "questions";
import { ask, forget, pad, show } from "reading";
import { answers, part, state, study, tell } from "state";
import { offerTraining } from "training";
import { chooseUnit, closeUnit } from "unit";
import { createViews, stack } from "view";

const invitation = part("invited").textContent;

function connectArms() {
  part("arm-a").append(...study.arms.map(({ name, title }) => makeOption(name, title)));
  part("arm-b").append(makeOption("", "none"), ...study.arms.map(({ name, title }) => makeOption(name, title)));
  [part("arm-a").value, part("arm-b").value] = [study.chosen[0], study.chosen[1] ?? ""];
  part("beside").hidden = study.arms.length < 2;
  for (const id of ["arm-a", "arm-b"]) part(id).addEventListener("change", changeArms);
}

function changeArms() {
  const [one, other] = [part("arm-a").value, part("arm-b").value];
  if (one === other) part("arm-b").value = "";
  state.chosen = one === other || !other ? [one] : [one, other];
  const unit = state.unit;
  forget();
  if (unit && state.chosen.includes(unit.arm)) state.unit = { ...unit, answers: {} };
  if (one === other) tell("Choose another network to compare with this one.");
  offerDrawing();
  listLayers();
  listKinds();
  offerTraining();
  showKernels();
  ask();
}

function connectPad() {
  part("clear").addEventListener("click", () => {
    pad.clear();
    pad.onChange();
  });
  pad.centred = part("centre").checked = study.centred;
  part("centre").addEventListener("change", () => {
    pad.centred = part("centre").checked;
    if (state.image === "drawn") ask();
  });
  part("pad").addEventListener("pen", ({ detail: { hand, column, row } }) => tell(`Pen ${hand} at column ${column}, row ${row}.`));
}

function connectViews() {
  for (const [id, flat] of [["show-stack", false], ["show-flat", true]]) {
    part(id).addEventListener("click", () => {
      state.flat = flat;
      show();
    });
  }
  part("reset").addEventListener("click", () => stack.reset());
  part("closer").addEventListener("click", () => stack.zoom(0.8));
  part("farther").addEventListener("click", () => stack.zoom(1.25));
  part("all-layers").addEventListener("click", showAllLayers);
  part("main-layers").addEventListener("click", hideMinorLayers);
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && state.unit) closeUnit();
  });
}

// Let the user draw if the page can read drawings with the chosen networks. Otherwise say why it cannot.
function offerDrawing() {
  const reason = answers.whyNoDrawing(state.chosen);
  for (const id of ["how", "drawing"]) part(id).hidden = reason !== null;
  part("invited").textContent = reason === null ? invitation : "Shown image";
  part("pad").style.pointerEvents = reason === null ? "" : "none";
  part("pad").tabIndex = reason === null ? 0 : -1;
  part("about").hidden = !answers.offline;
  part("about").textContent = reason === null ? answers.describe(state.chosen) : `${reason} This page shows the test images below. To draw, run \`ablate explore\`.`;
}

createViews(chooseUnit);
connectArms();
connectPad();
connectViews();
createQuestions();
offerDrawing();
part("choose").hidden = !study.pictures;
part("pick").addEventListener("change", listPictures);
hideMinorLayers();
offerTraining();
showKernels();
connectNumbers();
openOnTestImage();
