// The source of the data: the server of this page, or a copy inside a saved page.

import { SavedAsking, ServerAsking } from "asking";
import { decodeFloats } from "maps";
import { Network } from "network";

export class RequestError extends Error {}

class Server {
  offline = false;
  asking = new ServerAsking((path, request) => this.#post(path, request));

  async pictures(pick, label, arms) {
    const query = new URLSearchParams({ pick, label });
    for (const arm of arms) query.append("arm", arm);
    return parse(await fetch(`pictures?${query}`));
  }

  // The readings of an image (an index or the pixels of a drawing): { arm: { input, layers: [Float32Array], probabilities } }.
  async read(arms, image) {
    return mapValues(await this.#post("read", { arms, image }), decodeReading);
  }

  whyNoDrawing() {
    return null;
  }

  describe() {
    return "";
  }

  // The explanation of a unit: its receptive field, and its inputs and weights if the page has them.
  async unit(arm, image, layer, place) {
    const { inputs, weights, ...rest } = await this.#post("unit", { arm, image, layer, place });
    return { ...rest, inputs: decodeFloats(inputs), weights: decodeFloats(weights) };
  }

  async #post(path, request) {
    const headers = { "content-type": "application/json" };
    return parse(await fetch(path, { method: "POST", headers, body: JSON.stringify(request) }));
  }
}

class Saved {
  offline = true;

  constructor(saved, shapes) {
    this.saved = saved;
    this.shapes = shapes;
    this.opened = {};
    this.asking = new SavedAsking(saved, (arm, image) => this.#read(arm, image, false), (arm) => this.#open(arm));
  }

  // The reason why the page cannot read drawings with these networks. Null if it can.
  whyNoDrawing(arms) {
    const without = arms.filter((arm) => this.saved.networks[arm].uncovered);
    return without.map((arm) => `${arm} is not in this page: ${this.saved.networks[arm].uncovered}.`).join(" ") || null;
  }

  // Say what computes the numbers on the page.
  describe(arms) {
    const rounded = arms.filter((arm) => this.saved.networks[arm].half);
    const half = rounded.length ? ` The weights of ${rounded.join(" and ")} are rounded to half precision. The guesses for all ${this.saved.tested} test images stay the same.` : "";
    return `This page contains the networks and runs them in your browser. It needs no connection.${half}`;
  }

  async pictures(pick, label, arms) {
    return this.saved.pictures.filter(({ kinds }) => kinds.includes(`${pick} ${label}`));
  }

  async read(arms, image) {
    await new Promise((done) => setTimeout(done)); // show the stroke before the networks run
    return Object.fromEntries(arms.map((arm) => [arm, this.#read(arm, image)]));
  }

  // With `keep`, the network keeps the values of this image, to explain its units.
  #read(arm, image, keep = true) {
    const stored = this.saved.readings[image]?.[arm];
    if (stored?.layers) return decodeReading(stored);
    const network = this.#open(arm);
    const input = stored ? decodeFloats(stored.input) : network.scale(image);
    return keep ? network.read(input) : { input, ...network.run(input) };
  }

  #open(arm) {
    if (this.saved.networks[arm].uncovered) throw new RequestError(this.whyNoDrawing([arm]));
    this.opened[arm] ??= new Network(this.saved.networks[arm], this.shapes[arm]);
    return this.opened[arm];
  }

  async unit(arm, image, layer, place) {
    const { rows, columns } = this.saved.fields[arm][layer];
    const [row, column] = place.length === 3 ? place.slice(1) : [0, 0];
    return { ...this.opened[arm]?.explain(layer, place), field: { rows: rows[row], columns: columns[column] } };
  }
}

async function parse(response) {
  const content = await response.json().catch(() => ({ error: `${response.status} ${response.statusText}` }));
  if (!response.ok) throw new RequestError(content.error ?? response.statusText);
  return content;
}

function decodeReading({ input, layers, probabilities }) {
  return { input: decodeFloats(input), layers: layers.map(decodeFloats), probabilities };
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

// shapes: the shape of each network's image.
export function createSource(saved, shapes) {
  return saved ? new Saved(saved, shapes) : new Server();
}
