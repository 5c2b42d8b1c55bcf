// Draw the accuracies of the chosen networks by epoch, as lines. The table beside them has the numbers of the shown epoch.

import { makeNote } from "elements";

const [WIDTH, HEIGHT] = [320, 84];
const [LEFT, RIGHT, TOP, BOTTOM] = [34, 6, 6, 16];

// curves: for each network, { kind: "test" or "validation", points: [[epoch, accuracy]] }. epoch: the epoch that is shown.
export function drawCurves(holder, curves, epoch, last) {
  const points = curves.flatMap((curve) => curve.points);
  if (!points.length) return holder.replaceChildren();
  const top = Math.ceil(10 * Math.max(...points.map(([, value]) => value))) / 10;
  const x = (at) => LEFT + ((WIDTH - LEFT - RIGHT) * at) / last;
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / top;
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  for (const value of [0, top]) {
    svg.append(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "axis" }));
    svg.append(make("text", { x: LEFT - 4, y: y(value) + 4, "text-anchor": "end" }, `${Math.round(100 * value)}%`));
  }
  for (const at of [0, last]) svg.append(make("text", { x: x(at), y: HEIGHT - 3, "text-anchor": at ? "end" : "start" }, at ? `epoch ${at}` : "0"));
  svg.append(make("line", { x1: x(epoch), x2: x(epoch), y1: TOP, y2: HEIGHT - BOTTOM, class: "now" }));
  curves.forEach((curve, at) => {
    svg.append(make("polyline", { points: curve.points.map(([one, value]) => `${x(one)},${y(value)}`).join(" "), class: `line-${at}` }));
    const here = curve.points.find(([one]) => one === epoch);
    if (here) svg.append(make("circle", { cx: x(here[0]), cy: y(here[1]), r: 3.5, class: `line-${at}` }));
  });
  holder.replaceChildren(svg, makeNote(`${[...new Set(curves.map(({ kind }) => kind))].join(" and ")} accuracy by epoch`));
}

function make(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}
