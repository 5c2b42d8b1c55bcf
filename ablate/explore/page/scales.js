// Colour bars with their numbers.

import { element, setText } from "elements";
import { formatNumber } from "maps";

// A bar from minus to plus the largest absolute value of what it belongs to.
export function makeScale(largest) {
  const scale = element("span", "scale");
  scale.append(element("span"), element("i"), element("span"));
  setScale(scale, largest);
  return scale;
}

// Write other numbers at the ends of a bar. null: there are no numbers yet.
export function setScale(scale, largest) {
  scale.hidden = largest === null;
  if (largest === null) return;
  setText(scale.firstChild, formatNumber(-largest));
  setText(scale.lastChild, `+${formatNumber(largest)}`);
  scale.title = "0 is the middle colour";
}
