// Where the number of one unit comes from, in words, as pictures and as a table.

import { drawn, largest, painted, sheet, told, unpacked } from "maps";

const LISTED = 8;
const MOST_CHANNELS = 64;

// parts: [{ arm, layer, place, value, found }], one for each network; found is null while it is asked for.
export function inspected(parts, palette, offline, classes) {
  const whole = document.createDocumentFragment();
  const [first] = parts;
  const kinds = [...new Set(parts.map(({ layer }) => layer.kind))].join(" / ");
  const heading = element("h2", `${first.layer.name} (${kinds}), ${spoken(first.layer, first.place)}${classes ? `: ${classes[first.place[0]]}` : ""}`);
  heading.title = "counted from 0";
  const both = element("div");
  both.className = "both";
  both.append(...parts.map((part) => one(part, palette, offline, parts.length > 1)));
  whole.append(heading, both);
  if (parts.length > 1) {
    whole.append(element("p", `Difference, ${parts[0].arm} less ${parts[1].arm}: ${told(parts[0].value - parts[1].value)}`));
  }
  return whole;
}

export function spoken(layer, place) {
  return layer.shape.length === 3 ? `map ${place[0]}, row ${place[1]}, column ${place[2]}` : `unit ${place.join(", ")}`;
}

function one({ arm, value, found }, palette, offline, named) {
  const block = element("div");
  const line = element("p", named ? `${arm}: ` : "value ");
  const number = element("span", told(value));
  number.className = "value";
  number.dataset.value = value;
  line.append(number);
  block.append(line);
  if (!found) return block;
  block.dataset.found = "";
  const { field } = found;
  const { rows, columns } = field;
  const sees =
    rows[1] < rows[0]
      ? "It depends on no pixel of the image."
      : `Receptive field: rows ${rows[0]} to ${rows[1]}, columns ${columns[0]} to ${columns[1]} of the image (${rows[1] - rows[0] + 1}×${columns[1] - columns[0] + 1} pixels, framed).`;
  const receptive = element("p", sees);
  receptive.className = "soft";
  block.append(receptive);
  if (offline) {
    block.append(soft("The weights and inputs that feed it are told by the server: `ablate explore` starts it."));
    return block;
  }
  const [inputs, weights] = [unpacked(found.inputs), unpacked(found.weights)];
  const products = inputs.map((input, at) => input * weights[at]);
  const inputsTold = `${found.count.toLocaleString("en")} input${found.count === 1 ? "" : "s"}`;
  const weighted = `= ${told(found.sum)} from ${inputsTold}, each times its weight, and a bias of ${told(found.rest)}`;
  const sloped = `Made of ${inputsTold}, without weights of its own: in their place stands how much the unit grows with each, here.`;
  block.append(element("p", found.weighted ? weighted : sloped));
  const shown = element("div");
  shown.className = "row";
  shown.append(pictures(found, inputs, weights, products, palette), table(found, inputs, weights, products));
  block.append(shown);
  return block;
}

function pictures(found, inputs, weights, products, palette) {
  const row = element("div");
  row.className = "row";
  if (found.count > inputs.length) return row;
  const shape = found.shape.length === 3 ? [Math.min(found.shape[0], MOST_CHANNELS), ...found.shape.slice(1)] : found.shape;
  for (const [name, values] of [["inputs", inputs], [found.weighted ? "weights" : "slopes", weights], ["products", products]].slice(0, found.weighted ? 3 : 2)) {
    const laid = sheet(shape, MOST_CHANNELS);
    const figure = element("figure");
    figure.className = "sheet";
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name);
    drawn(canvas, laid.width, laid.height, painted(laid, values, largest(values), palette));
    canvas.style.width = `${laid.width * Math.max(2, Math.min(12, Math.floor(150 / laid.width)))}px`;
    figure.append(canvas, element("figcaption", `${name}, to ±${told(largest(values))}`));
    row.append(figure);
  }
  return row;
}

function table(found, inputs, weights, products) {
  const matter = found.weighted ? products : weights;
  const order = [...matter.keys()]
    .filter((at) => matter[at] !== 0 || found.count <= LISTED)
    .sort((a, b) => Math.abs(matter[b]) - Math.abs(matter[a]))
    .slice(0, LISTED);
  if (!order.length) return soft("None of them matters here: all products are 0.");
  const made = element("table");
  const head = element("tr");
  for (const name of found.weighted ? ["input", "holds", "× weight", "= product"] : ["input", "holds", "slope"]) head.append(element("th", name));
  made.append(head);
  for (const at of order) {
    const line = element("tr");
    for (const text of [whence(found, at), told(inputs[at]), told(weights[at]), ...(found.weighted ? [told(products[at])] : [])]) line.append(element("td", text));
    made.append(line);
  }
  const details = element("details");
  details.open = true;
  details.append(element("summary", order.length < found.count ? `the ${order.length} that matter most` : "all of them"), made);
  return details;
}

function whence(found, at) {
  if (!found.rows) return `${found.channels[at]}`;
  const [, height, width] = found.shape;
  const [channel, row, column] = [Math.floor(at / (height * width)), Math.floor(at / width) % height, at % width];
  return `map ${found.channels[channel]}, row ${found.rows[0] + row}, column ${found.columns[0] + column}`;
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function soft(text) {
  const made = element("p", text);
  made.className = "soft";
  return made;
}
