// The predictions of each network: its first and second guess, and the probabilities of the classes.
import { element } from "elements";
import { titleOf } from "state";

const MOST_CLASSES = 10;

// A sentence that says what the networks predict, and one that says what to try. label: the true class of the image, or null.
export function describeGuesses(chosen, readings, classes, label) {
  const guesses = chosen.map((arm) => readings[arm].probabilities.indexOf(Math.max(...readings[arm].probabilities)));
  const agree = guesses.every((guess) => guess === guesses[0]);
  const who = chosen.length > 1 ? "Both networks predict" : "The network predicts";
  const seen = agree ? `${who} “${classes[guesses[0]]}”` : `The networks disagree: ${chosen.map((arm, at) => `${titleOf(arm)} predicts “${classes[guesses[at]]}”`).join(", and ")}`;
  const truth = label === null ? "." : agree && guesses[0] === label ? ", which is right." : `. The true class is “${classes[label]}”.`;
  const next = chosen.length < 2 ? "Add a stroke, and see which layers change." : agree ? "Add strokes until the networks disagree." : "Compare the rows, to see in which layer the networks begin to differ.";
  return `${seen}${truth} ${next}`;
}

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
    block.append(element("h2", "", titleOf(arm)), guess, bars);
    return block;
  });
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}
