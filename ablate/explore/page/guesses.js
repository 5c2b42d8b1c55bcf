// The predictions of each network: its first and second guess, and the probabilities of the classes.

const MOST_CLASSES = 10;

export function renderGuesses(chosen, readings, classes) {
  return chosen.map((arm) => {
    const { probabilities } = readings[arm];
    const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
    const block = element("div");
    block.dataset.arm = arm;
    const guess = element("p", "guess");
    const best = element("b", "", classes[order[0]]);
    best.dataset.guess = order[0];
    const second = order.length > 1 ? `, second guess ${classes[order[1]]} ${percent(probabilities[order[1]])}` : "";
    guess.append(best, ` ${percent(probabilities[order[0]])}${second}`);
    const bars = element("dl", "bars");
    for (const at of order.slice(0, MOST_CLASSES).sort((a, b) => a - b)) {
      const weight = ["first", "second"][order.indexOf(at)] ?? "";
      const bar = element("dd", "bar");
      const filled = element("i");
      filled.style.width = `${100 * probabilities[at]}%`;
      bar.append(filled);
      bars.append(element("dt", weight, classes[at]), bar, element("dd", weight, percent(probabilities[at])));
    }
    block.append(element("h2", "", arm), guess, bars);
    return block;
  });
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  [made.className, made.textContent] = [name, text];
  return made;
}
