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
  // epoch: the number of epochs that the networks have trained. null: all epochs.
  async read(arms, image, epoch = null) {
    return mapValues(await this.#post("read", { arms, image, epoch }), decodeReading);
  }

  // The epochs after which an arm's network can be shown. Empty if only the end of training is kept.
  epochs({ training }) {
    return training ? Array.from({ length: training.last + 1 }, (_, epoch) => epoch) : [];
  }

  // The test accuracies that need no request: [[epoch, accuracy]].
  accuracies() {
    return [];
  }

  async accuracy(arm, epoch) {
    return (await this.#post("accuracy", { arm, epoch })).accuracy;
  }

  // The kernels of the first layer: { arm: { layer, outputs, shape, weights } or null }.
  async kernels(arms, epoch) {
    return mapValues(await this.#post("kernels", { arms, epoch }), (found) => found && { ...found, weights: decodeFloats(found.weights) });
  }

  whyNoDrawing() {
    return null;
  }

  describe() {
    return "";
  }

  // The explanation of a unit: its receptive field, and its inputs and weights if the page has them.
  async unit(arm, image, layer, place, epoch = null) {
    const { inputs, weights, ...rest } = await this.#post("unit", { arm, image, layer, place, epoch });
    return { ...rest, inputs: decodeFloats(inputs), weights: decodeFloats(weights) };
  }

  async #post(path, request) {
    const headers = { "content-type": "application/json" };
    return parse(await fetch(path, { method: "POST", headers, body: JSON.stringify(request) }));
  }
}

class Saved {
  offline = true;

  constructor(saved, arms) {
    this.saved = saved;
    this.titles = Object.fromEntries(arms.map(({ name, title }) => [name, title]));
    this.shapes = Object.fromEntries(arms.map(({ name, shape }) => [name, shape]));
    this.layers = Object.fromEntries(arms.map(({ name, layers }) => [name, layers]));
    this.opened = {};
    this.asking = new SavedAsking(saved, (arm, image, epoch) => this.#read(arm, image, epoch, false), (arm, epoch) => this.#open(arm, epoch));
  }

  // The reason why the page cannot read drawings with these networks. Null if it can.
  whyNoDrawing(arms) {
    const without = arms.filter((arm) => this.saved.networks[arm].uncovered);
    return without.map((arm) => `${this.titles[arm]} is not in this page: ${this.saved.networks[arm].uncovered}.`).join(" ") || null;
  }

  // Say what computes the numbers on the page.
  describe(arms) {
    const rounded = arms.filter((arm) => this.saved.networks[arm].half);
    const half = rounded.length ? ` The weights of ${rounded.map((arm) => this.titles[arm]).join(" and ")} are rounded to half precision. The guesses for all ${this.saved.tested} test images stay the same.` : "";
    return `This page contains the networks and runs them in your browser. It needs no connection.${half}`;
  }

  async pictures(pick, label, arms) {
    return this.saved.pictures.filter(({ kinds }) => kinds.includes(`${pick} ${label}`));
  }

  async read(arms, image, epoch = null) {
    return Object.fromEntries(arms.map((arm) => [arm, this.#read(arm, image, epoch)]));
  }

  epochs({ name }) {
    return this.saved.training[name]?.epochs ?? [];
  }

  accuracies(arm) {
    const { epochs, accuracies } = this.saved.training[arm] ?? { epochs: [] };
    return epochs.map((epoch, at) => [epoch, accuracies[at]]);
  }

  async kernels(arms, epoch) {
    return Object.fromEntries(arms.map((arm) => [arm, this.saved.networks[arm].uncovered ? null : this.#open(arm, epoch).kernels(this.layers[arm])]));
  }

  // With `keep`, the network keeps the values of this image, to explain its units.
  #read(arm, image, epoch = null, keep = true) {
    const stored = this.saved.readings[image]?.[arm];
    if (stored?.layers) return decodeReading(stored);
    const network = this.#open(arm, epoch);
    const input = stored ? decodeFloats(stored.input) : network.scale(image);
    return keep ? network.read(input) : { input, ...network.run(input) };
  }

  // The arm's network after a number of epochs. null: after all epochs.
  #open(arm, epoch = null) {
    if (this.saved.networks[arm].uncovered) throw new RequestError(this.whyNoDrawing([arm]));
    const shown = epoch === null ? undefined : this.epochs({ name: arm }).findLast((one) => one <= epoch);
    const tensors = this.saved.training[arm]?.tensors[shown];
    return (this.opened[`${arm} ${tensors ? shown : "end"}`] ??= new Network(this.saved.networks[arm], this.shapes[arm], tensors));
  }

  async unit(arm, image, layer, place, epoch = null) {
    const { rows, columns } = this.saved.fields[arm][layer];
    const [row, column] = place.length === 3 ? place.slice(1) : [0, 0];
    const found = this.saved.networks[arm].uncovered ? {} : this.#open(arm, epoch).explain(layer, place);
    return { ...found, field: { rows: rows[row], columns: columns[column] } };
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

// arms: each network's name, image shape and layers.
export function createSource(saved, arms) {
  return saved ? new Saved(saved, arms) : new Server();
}
