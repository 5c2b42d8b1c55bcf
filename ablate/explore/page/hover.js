// A small box beside the mouse, with the number of the square below the mouse.

import { describePlace } from "inspector";
import { formatNumber, makeSheet } from "maps";
import { findTwin, haveSameShape } from "plan";
import { arms, part, state, study, titleOf } from "state";

const AWAY = 14; // pixels between the mouse and the box

export function showTip({ clientX, clientY }, text) {
  const tip = part("tip");
  tip.hidden = false;
  tip.textContent = text;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(0, Math.min(clientX + AWAY, window.innerWidth - width - 4))}px`;
  tip.style.top = `${clientY + AWAY + height > window.innerHeight ? clientY - AWAY - height : clientY + AWAY}px`;
}

export function hideTip() {
  part("tip").hidden = true;
}

// Show the numbers of a unit in all chosen networks. found: { key, unit }, or null if there is no unit below the mouse.
export function hoverUnit(event, found) {
  if (!found || found.key.layer < 0 || !state.readings || event.buttons) return hideTip();
  const parts = listParts({ arm: found.key.arm ?? state.chosen[0], layer: found.key.layer, place: found.unit });
  if (!parts.length) return hideTip();
  const lines = parts.map(({ arm, value }) => (parts.length > 1 ? `${titleOf(arm)}: ` : "") + formatNumber(value));
  if (parts.length > 1) lines.push(`difference: ${formatNumber(parts[0].value - parts[1].value)}`);
  showTip(event, [`${parts[0].layer.name}, ${describePlace(parts[0].layer, found.unit)}`, ...lines].join("\n"));
}

// The same unit in each network that has it: [{ arm, at (the layer's number), layer, place, value }].
export function listParts(unit) {
  const wanted = arms.get(unit.arm)?.layers[unit.layer];
  return state.chosen.flatMap((arm) => {
    const at = arm === unit.arm ? unit.layer : findTwin(arms.get(arm), wanted);
    const layer = arms.get(arm).layers[at];
    if (!haveSameShape(layer, wanted)) return [];
    const value = state.readings?.[arm]?.layers[at]?.[makeSheet(layer.shape, study.mostMaps).index(unit.place)];
    return value === undefined ? [] : [{ arm, at, layer, place: unit.place, value }];
  });
}
