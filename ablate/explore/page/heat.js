// The question which part of the image matters: an image for each network, coloured by occlusion or by gradient saliency.

import { draw, findLargest, formatNumber } from "maps";
import { answers, arms, palette, showError, state, study, titleOf } from "state";
import { element, makeChoice, makeNote } from "elements";

const METHODS = [["occlusion", "occlusion"], ["saliency", "gradient saliency"]];
const WORDS = {
  occlusion: "A grey patch covers one part of the image after the other. Orange: covering this part lowers the probability of the class, so the part speaks for it. Violet: covering raises the probability. Source: Zeiler and Fergus (2014).",
  saliency: "Orange: a small change of this pixel changes the score of the class much (absolute derivative). Source: Simonyan, Vedaldi and Zisserman (2014).",
};

export function createHeat(holder) {
  const method = makeChoice("method", METHODS, () => refresh());
  const label = makeChoice("for the class", [["", "that each network predicts"], ...study.classes.map((name, at) => [at, name])], () => refresh());
  const words = makeNote("");
  const figures = element("div", "sheets");
  holder.append(method.block, label.block, words, figures);
  let last = 0;

  async function refresh() {
    const request = ++last;
    const whyNot = answers.asking.whyNot(method.value) ?? (state.readings ? null : "Draw or pick an image first.") ?? answers.whyNoDrawing(state.chosen);
    words.textContent = whyNot ?? WORDS[method.value];
    if (whyNot) return figures.replaceChildren();
    const { chosen, sent, readings } = state;
    holder.setAttribute("aria-busy", "true");
    try {
      const found = await answers.asking.attribution(chosen, sent, method.value, label.value === "" ? null : Number(label.value), state.epoch);
      if (request !== last || state.readings !== readings) return;
      const scale = findLargest(...Object.values(found).map(({ heat }) => heat));
      figures.replaceChildren(...chosen.map((arm) => renderHeat(arm, found[arm], readings[arm].input, scale)));
    } catch (error) {
      showError(error);
    } finally {
      if (request === last) holder.removeAttribute("aria-busy");
    }
  }
  return refresh;
}

// scale: the largest absolute number of all networks, so that equal colours mean equal numbers.
function renderHeat(arm, { label, probability, heat }, input, scale) {
  const { shape } = arms.get(arm);
  const [, height, width] = shape;
  const canvas = element("canvas");
  const size = Math.max(1, Math.floor(220 / width));
  canvas.style.width = `${width * size}px`;
  canvas.setAttribute("role", "img");
  draw(canvas, width, height, paintHeat(shape, input, heat, scale));
  const most = heat.reduce((best, value, at) => (value > heat[best] ? at : best), 0);
  const told = `${titleOf(arm)}, ${study.classes[label]} (${(100 * probability).toFixed(1)}%): the largest value is ${formatNumber(heat[most])}, at row ${Math.floor(most / width)}, column ${most % width}`;
  canvas.setAttribute("aria-label", told);
  const figure = element("figure", "sheet");
  figure.dataset.largest = heat[most];
  figure.append(canvas, element("figcaption", "", told));
  return figure;
}

// The image in grey, and over it the colour of each number. The colour is the stronger, the larger the number is.
function paintHeat([channels, height, width], image, heat, scale) {
  const pixels = new Uint8ClampedArray(height * width * 4);
  const middle = (palette.length - 1) / 2;
  for (let at = 0; at < height * width; at++) {
    let grey = 0;
    for (let channel = 0; channel < channels; channel++) grey += image[channel * height * width + at] / channels;
    const share = Math.max(-1, Math.min(1, heat[at] / scale));
    const colour = new Uint8Array(Uint32Array.of(palette[Math.round(middle * (1 + Math.sign(share) * (0.3 + 0.7 * Math.abs(share))))]).buffer);
    const weight = 0.85 * Math.sqrt(Math.abs(share));
    for (let part = 0; part < 3; part++) pixels[at * 4 + part] = weight * colour[part] + (1 - weight) * (40 + 190 * grey);
    pixels[at * 4 + 3] = 255;
  }
  return pixels;
}
