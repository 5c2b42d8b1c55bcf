// The question how the networks of the other seeds classify the test image: a dot for each seed of each arm.

import { element, makeNote } from "elements";
import { answers, showError, state, study, titleOf } from "state";

export function createSeeds(holder) {
  const words = makeNote("");
  const table = element("div");
  holder.append(words, table);
  let last = 0;
  return async function refresh() {
    const request = ++last;
    table.replaceChildren();
    if (typeof state.sent !== "number" || !state.readings) {
      words.textContent = "Pick a test image. The predictions of the other seeds are kept for test images only.";
      return;
    }
    try {
      const found = await answers.asking.seeds(state.sent);
      if (request !== last) return;
      const known = Object.entries(found.arms);
      const missing = found.missing ? ` The predictions of ${found.missing} runs are not in the folder.` : "";
      words.textContent = known.length
        ? `Each dot is one seed. A filled dot is right: it predicts “${study.classes[found.label]}”.${missing}`
        : "The folder has no predictions of its runs. `ablate run` keeps them in the folder predictions; published folders leave them out.";
      if (known.length) table.replaceChildren(renderTable(known, found.label));
    } catch (error) {
      showError(error);
    }
  };
}

function renderTable(known, label) {
  const table = element("table", "seeds");
  for (const [arm, bySeed] of known) {
    const guesses = Object.entries(bySeed);
    const right = guesses.filter(([, guess]) => guess === label).length;
    const row = element("tr");
    const dots = element("td", "dots");
    for (const [seed, guess] of guesses) {
      const dot = element("i", guess === label ? "right" : "");
      dot.title = `seed ${seed}: ${study.classes[guess]}`;
      dots.append(dot);
    }
    const counts = new Map();
    for (const [, guess] of guesses) counts.set(guess, (counts.get(guess) ?? 0) + 1);
    const told = [...counts].sort((a, b) => b[1] - a[1]).map(([guess, count]) => `${study.classes[guess]} ${count}×`);
    row.append(Object.assign(element("th", "name", titleOf(arm)), { scope: "row" }), dots, element("td", "", `${right} of ${guesses.length} right`), element("td", "", told.join(", ")));
    table.append(row);
  }
  return table;
}
