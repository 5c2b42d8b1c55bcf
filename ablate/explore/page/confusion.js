// The question which classes a network confuses: a matrix of counts, in which a click on a cell lists its images.

import { element, makeNote } from "elements";
import { renderThumbnail } from "pictures";
import { answers, palette, showError, state, study, titleOf } from "state";

export function createConfusion(holder) {
  const tables = element("div", "both");
  const words = makeNote("Click a number, to see the test images.");
  const told = element("p");
  told.setAttribute("aria-live", "polite");
  const pictures = element("div", "thumbnails");
  holder.append(words, tables, told, pictures);

  async function open(arm, label, guess, count) {
    try {
      const found = await answers.asking.cell(arm, label, guess, state.chosen);
      const shown = found.length < count ? (answers.offline ? `This page has ${found.length} of them. \`ablate explore\` shows more.` : `Here are the ${found.length} of which the network is most certain.`) : "";
      told.textContent = `${arm} predicts “${study.classes[guess]}” for ${count} image${count === 1 ? "" : "s"} of class “${study.classes[label]}”. ${shown}`;
      pictures.replaceChildren(...found.map(renderThumbnail));
    } catch (error) {
      showError(error);
    }
  }

  let shown = "";
  return async function refresh() {
    if (shown === String(state.chosen)) return;
    shown = String(state.chosen);
    if (!study.pictures) return words.replaceChildren("The test images are not on this machine, so nothing is counted.");
    try {
      const found = await Promise.all(state.chosen.map((arm) => answers.asking.confusion(arm)));
      if (shown !== String(state.chosen)) return;
      told.textContent = "";
      pictures.replaceChildren();
      tables.replaceChildren(...state.chosen.map((arm, at) => renderConfusion(arm, found[at], open)));
    } catch (error) {
      shown = "";
      showError(error);
    }
  };
}

function renderConfusion(arm, { images, right, cells, mistakes }, open) {
  const block = element("div");
  block.append(element("h3", "", titleOf(arm)), makeNote(`${right.toLocaleString("en")} of ${images.toLocaleString("en")} test images are right after training.`));
  if (!cells) {
    const list = element("ul", "mistakes");
    for (const [label, guess, count] of mistakes) {
      const item = element("li");
      item.append(makeCell(`${study.classes[label]} → ${study.classes[guess]}: ${count}`, () => open(arm, label, guess, count)));
      list.append(item);
    }
    block.append(list);
    return block;
  }
  const counts = new Map(cells.map(([label, guess, count]) => [`${label} ${guess}`, count]));
  const totals = study.classes.map((_, label) => cells.reduce((sum, [row, , count]) => sum + (row === label ? count : 0), 0));
  const table = element("table", "matrix");
  const head = element("tr");
  head.append(element("th", "", "true \\ predicted"), ...study.classes.map((name, at) => Object.assign(element("th", "", String(at)), { title: name, scope: "col" })));
  table.append(head);
  study.classes.forEach((name, label) => {
    const row = element("tr");
    row.append(Object.assign(element("th", "name", `${label} ${name}`), { scope: "row" }));
    study.classes.forEach((guessed, guess) => {
      const cell = element("td");
      const count = counts.get(`${label} ${guess}`);
      if (count) {
        const button = makeCell(String(count), () => open(arm, label, guess, count));
        button.setAttribute("aria-label", `${count} of class ${name}, predicted ${guessed}`);
        colour(cell, label === guess ? -1 : 1, count / totals[label]);
        cell.append(button);
      }
      row.append(cell);
    });
    table.append(row);
  });
  const scroll = element("div", "scroll");
  scroll.append(table);
  block.append(scroll);
  return block;
}

function makeCell(text, onClick) {
  const button = element("button", "", text);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

// Right predictions are violet and mistakes orange. The square root makes rare mistakes visible.
function colour(cell, sign, share) {
  const middle = (palette.length - 1) / 2;
  const [red, green, blue] = new Uint8Array(Uint32Array.of(palette[Math.round(middle * (1 + sign * 0.5 * Math.sqrt(share)))]).buffer);
  cell.style.backgroundColor = `rgb(${red}, ${green}, ${blue})`;
}
