// What a person asks next: questions below the layers. Each is answered when the user opens it.

import { createConfusion } from "confusion";
import { createExciting } from "exciting";
import { element } from "elements";
import { createHeat } from "heat";
import { createSeeds } from "seeds";
import { part } from "state";

const WAIT = 400; // milliseconds without a new stroke, before a question about the image is answered again
const QUESTIONS = [
  ["heat", "Which part of the image matters?", createHeat],
  ["confusion", "Which classes does a network confuse?", createConfusion],
  ["exciting", "Which images excite a map most?", createExciting],
  ["seeds", "What do the other seeds predict?", createSeeds],
];

const opened = new Map();

export function createQuestions() {
  for (const [name, asked, create] of QUESTIONS) {
    const details = element("details", "question");
    details.id = `ask-${name}`;
    const body = element("div", "answer");
    details.append(element("summary", "", asked), body);
    details.addEventListener("toggle", () => {
      if (!details.open) return;
      if (!opened.has(details)) opened.set(details, create(body));
      opened.get(details)();
    });
    part("questions").append(details);
  }
  let waiting = null;
  document.addEventListener("reading", () => {
    clearTimeout(waiting);
    waiting = setTimeout(answerAgain, WAIT);
  });
}

function answerAgain() {
  for (const [details, refresh] of opened) if (details.open) refresh();
}
