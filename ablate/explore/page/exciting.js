// The question which images excite a map most: images of a class, the one with the largest value first.

import { element, makeChoice, makeNote } from "elements";
import { formatNumber } from "maps";
import { renderThumbnail } from "pictures";
import { answers, arms, showError, state, study, titleOf } from "state";

const MOST_MAPS = 256; // a longer list of maps would be hard to use

export function createExciting(holder) {
  const arm = makeChoice("network", [], () => offerLayers());
  const layer = makeChoice("layer", [], () => offerMaps());
  const map = makeChoice("map", [], () => list());
  const label = makeChoice("images of class", study.classes.map((name, at) => [at, name]), () => list());
  label.block.hidden = answers.offline;
  const words = makeNote("");
  const pictures = element("div", "thumbnails");
  holder.append(arm.block, layer.block, map.block, label.block, words, pictures);

  function offerLayers() {
    layer.set(arms.get(arm.value).layers.map(({ name, kind, shape }, at) => [at, `${name} (${kind}, ${shape.join("×")})`]));
    offerMaps();
  }

  function offerMaps() {
    const { shape } = arms.get(arm.value).layers[layer.value];
    const count = shape.length === 3 ? shape[0] : shape.reduce((a, b) => a * b, 1);
    map.set(Array.from({ length: Math.min(count, MOST_MAPS) }, (_, at) => [at, at]));
    list();
  }

  let last = 0;
  async function list() {
    const request = ++last;
    const { shape } = arms.get(arm.value).layers[layer.value];
    try {
      const found = await answers.asking.exciting(arm.value, Number(layer.value), Number(map.value), Number(label.value), state.chosen, shape);
      if (request !== last) return;
      const among = answers.offline ? `among the ${found.searched} test images of this page. \`ablate explore\` searches all images of a class` : `among ${found.searched.toLocaleString("en")} test images of class “${study.classes[label.value]}”`;
      words.textContent = found.searched ? `The images with the largest values of this map after training, ${among}. The frame is the part of the image on which the largest value depends.` : "There is no test image of this class.";
      pictures.replaceChildren(...found.pictures.map((picture) => renderExcited(picture, arms.get(arm.value).shape)));
    } catch (error) {
      showError(error);
    }
  }

  return function refresh() {
    if (!study.pictures) return words.replaceChildren("The test images are not on this machine.");
    if (state.unit && state.unit !== refresh.unit && arms.has(state.unit.arm)) {
      refresh.unit = state.unit;
      arm.set(state.chosen.map((name) => [name, titleOf(name)]));
      arm.value = state.unit.arm;
      offerLayers();
      layer.value = state.unit.layer;
      offerMaps();
      map.value = Math.min(state.unit.place[0], MOST_MAPS - 1);
      return list();
    }
    if (refresh.shown === String(state.chosen)) return;
    refresh.shown = String(state.chosen);
    arm.set(state.chosen.map((name) => [name, titleOf(name)]));
    offerLayers();
  };
}

// shape: the shape of the network's image, in whose pixels the frame is measured.
function renderExcited(picture, shape) {
  const button = renderThumbnail(picture);
  const [, height, width] = study.shape;
  const canvas = button.querySelector("canvas");
  const holder = element("span", "framed");
  canvas.replaceWith(holder);
  holder.append(canvas);
  const [[top, bottom], [left, right]] = [picture.field.rows, picture.field.columns];
  if (bottom >= top) {
    const frame = element("i");
    Object.assign(frame.style, {
      left: `${(100 * left) / shape[2]}%`, top: `${(100 * top) / shape[1]}%`,
      width: `${(100 * (right - left + 1)) / shape[2]}%`, height: `${(100 * (bottom - top + 1)) / shape[1]}%`,
    });
    holder.append(frame);
  }
  holder.style.aspectRatio = `${width} / ${height}`;
  button.prepend(element("b", "", formatNumber(picture.value)));
  return button;
}
