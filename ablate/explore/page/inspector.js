// Explain one unit: its value, its receptive field, and its inputs and weights as pictures and as a table.

import { element, makeNote, makeRow } from "elements";
import { draw, findLargest, paintMaps, makeSheet, formatNumber } from "maps";
import { titleOf } from "state";

const MOST_ROWS = 8;
const MOST_CHANNELS = 64;

// parts: [{ arm, layer, place, value, answer }], one for each network. An answer is null until the server sends the answer.
export function renderUnit(parts, palette, classes) {
  const whole = document.createDocumentFragment();
  const [first] = parts;
  const kinds = [...new Set(parts.map(({ layer }) => layer.kind))].join(" / ");
  const heading = element("h2", "", `${first.layer.name} (${kinds}), ${describePlace(first.layer, first.place)}${classes ? `: ${classes[first.place[0]]}` : ""}`);
  heading.title = "counted from 0";
  const both = element("div", "both");
  both.append(...parts.map((part) => renderPart(part, palette, parts.length > 1)));
  whole.append(heading, both);
  if (parts.length > 1) {
    whole.append(element("p", "", `Difference, ${titleOf(parts[0].arm)} minus ${titleOf(parts[1].arm)}: ${formatNumber(parts[0].value - parts[1].value)}`));
  }
  return whole;
}

export function describePlace(layer, place) {
  return layer.shape.length === 3 ? `map ${place[0]}, row ${place[1]}, column ${place[2]}` : `unit ${place.join(", ")}`;
}

function renderPart({ arm, value, answer, next }, palette, named) {
  const block = element("div");
  const line = element("p", "", named ? `${titleOf(arm)}: ` : "value ");
  const number = element("span", "value", formatNumber(value));
  number.dataset.value = value;
  line.append(number);
  block.append(line);
  if (!answer) return block;
  block.dataset.found = "";
  const { field } = answer;
  const { rows, columns } = field;
  const sees =
    rows[1] < rows[0]
      ? "It depends on no pixel of the image."
      : `Receptive field: rows ${rows[0]} to ${rows[1]}, columns ${columns[0]} to ${columns[1]} of the image (${rows[1] - rows[0] + 1}×${columns[1] - columns[0] + 1} pixels, framed).`;
  block.append(makeNote(sees));
  if (!answer.inputs) {
    block.append(makeNote("This page does not contain the inputs and weights of this network: run `ablate explore` to see them."));
    return block;
  }
  const { inputs, weights } = answer;
  const products = inputs.map((input, at) => input * weights[at]);
  const inputsText = `${answer.count.toLocaleString("en")} input${answer.count === 1 ? "" : "s"}`;
  const weighted = `= ${formatNumber(answer.sum)} (${inputsText}, each times its weight) + ${formatNumber(answer.rest)} (bias)`;
  const sloped = `Depends on ${inputsText}. This layer has no weights; the slopes are the derivatives of the unit by its inputs.`;
  block.append(element("p", "", answer.weighted ? weighted : sloped));
  for (const { name, kind, value: made } of next) {
    const then = element("p", "", `→ ${name} (${kind}) makes it ${formatNumber(made)}`);
    then.dataset.next = made;
    block.append(then);
  }
  const shown = element("div", "row");
  shown.append(renderPictures(answer, inputs, weights, products, palette), renderTable(answer, inputs, weights, products));
  block.append(shown);
  return block;
}

function renderPictures(answer, inputs, weights, products, palette) {
  const row = element("div", "row");
  if (answer.count > inputs.length) return row;
  const shape = answer.shape.length === 3 ? [Math.min(answer.shape[0], MOST_CHANNELS), ...answer.shape.slice(1)] : answer.shape;
  for (const [name, values] of [["inputs", inputs], [answer.weighted ? "weights" : "slopes", weights], ["products", products]].slice(0, answer.weighted ? 3 : 2)) {
    const sheet = makeSheet(shape, MOST_CHANNELS);
    const figure = element("figure", "sheet");
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name);
    draw(canvas, sheet.width, sheet.height, paintMaps(sheet, values, findLargest(values), palette));
    canvas.style.width = `${sheet.width * Math.max(2, Math.min(12, Math.floor(150 / sheet.width)))}px`;
    figure.append(canvas, element("figcaption", "", `${name}, to ±${formatNumber(findLargest(values))}`));
    row.append(figure);
  }
  return row;
}

function renderTable(answer, inputs, weights, products) {
  const sizes = answer.weighted ? products : weights;
  const order = [...sizes.keys()]
    .filter((at) => sizes[at] !== 0 || answer.count <= MOST_ROWS)
    .sort((a, b) => Math.abs(sizes[b]) - Math.abs(sizes[a]))
    .slice(0, MOST_ROWS);
  if (!order.length) return makeNote(answer.weighted ? "All products are 0." : "All slopes are 0.");
  const rows = [makeRow("th", answer.weighted ? ["input", "value", "× weight", "= product", "sum so far"] : ["input", "value", "slope"])];
  let sum = 0;
  for (const at of order) {
    sum += products[at];
    rows.push(makeRow("td", [describeInput(answer, at), formatNumber(inputs[at]), formatNumber(weights[at]), ...(answer.weighted ? [formatNumber(products[at]), formatNumber(sum)] : [])]));
  }
  if (answer.weighted) {
    const others = answer.count - order.length;
    if (others) rows.push(makeRow("td", [`${others.toLocaleString("en")} other input${others === 1 ? "" : "s"}`, "", "", formatNumber(answer.sum - sum), formatNumber(answer.sum)]));
    rows.push(makeRow("td", ["bias", "", "", formatNumber(answer.rest), formatNumber(answer.sum + answer.rest)]));
  }
  const table = element("table");
  table.append(...rows);
  const details = element("details");
  details.open = true;
  details.append(element("summary", "", order.length < answer.count ? `the ${order.length} largest contributions` : "all inputs"), table);
  return details;
}

function describeInput(answer, at) {
  if (!answer.rows) return `${answer.channels[at]}`;
  const [, height, width] = answer.shape;
  const [channel, row, column] = [Math.floor(at / (height * width)), Math.floor(at / width) % height, at % width];
  return `map ${answer.channels[channel]}, row ${answer.rows[0] + row}, column ${answer.columns[0] + column}`;
}
