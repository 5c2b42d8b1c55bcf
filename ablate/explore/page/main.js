// The page: connect its controls with the functions that they call.

import { hideMinorLayers, listLayers, showAllLayers } from "layers";
import { listKinds, listPictures, makeOption, openOnTestImage } from "pictures";
import { ask, forget, pad, show } from "reading";
import { answers, part, state, study, tell } from "state";
import { chooseUnit, closeUnit } from "unit";
import { createViews, stack } from "view";

function connectArms() {
  part("arm-a").append(...study.arms.map(({ name }) => makeOption(name, name)));
  part("arm-b").append(makeOption("", "none"), ...study.arms.map(({ name }) => makeOption(name, name)));
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
  listLayers();
  listKinds();
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

// A saved page has no server, so it cannot read drawings.
function disableDrawing() {
  for (const id of ["how", "drawing"]) part(id).hidden = true;
  part("invited").textContent = "Shown image";
  Object.assign(part("pad").style, { pointerEvents: "none" });
  part("pad").removeAttribute("tabindex");
  tell("This is a saved page. It contains the test images below and the outputs of the networks for them. To draw, or to see the weights of a unit, run `ablate explore`.");
}

createViews(chooseUnit);
connectArms();
connectPad();
connectViews();
if (answers.offline) disableDrawing();
part("choose").hidden = !study.pictures;
part("pick").addEventListener("change", listPictures);
hideMinorLayers();
openOnTestImage();
