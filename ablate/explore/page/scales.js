// Colour bars with their numbers.

import { formatNumber } from "maps";

// A bar from minus to plus the largest absolute value of what it belongs to.
export function makeScale(largest) {
  const [scale, bar, high] = ["span", "i", "span"].map((tag) => document.createElement(tag));
  scale.className = "scale";
  const low = document.createElement("span");
  scale.append(low, bar, high);
  setScale(scale, largest);
  return scale;
}

// Write other numbers at the ends of a bar. null: there are no numbers yet.
export function setScale(scale, largest) {
  scale.hidden = largest === null;
  if (largest === null) return;
  [scale.firstChild.textContent, scale.lastChild.textContent] = [formatNumber(-largest), `+${formatNumber(largest)}`];
  scale.title = "0 is the middle colour";
}
