// Where the answers to the page's further questions come from: the server, or the networks inside a saved page.

import { decodeFloats } from "maps";
import { occlude } from "occlusion";

// post: a function that sends a request to the server, and returns its answer.
export class ServerAsking {
  constructor(post) {
    this.post = post;
  }

  // The reason why the page cannot answer a question of this kind. Null if it can.
  whyNot() {
    return null;
  }

  // For each arm: { label, probability, heat: a number for each pixel }. label: a class, or null for the predicted class.
  async attribution(arms, image, method, label, epoch = null) {
    const found = await this.post("attribution", { arms, image, method, label, epoch });
    for (const answer of Object.values(found)) answer.heat = decodeFloats(answer.heat);
    return found;
  }

  // { pictures: [{ index, label, guesses, pixels, value, field }], searched: the number of searched images }.
  async exciting(arm, layer, map, label, arms) {
    return this.post("exciting", { arm, layer, map, label, arms });
  }

  async confusion(arm) {
    return this.post("confusion", { arm });
  }

  async cell(arm, label, guess, arms) {
    return this.post("cell", { arm, label, guess, arms });
  }

  async seeds(image) {
    return this.post("seeds", { image });
  }
}

export class SavedAsking {
  // saved: the saved data. read: a function that returns an arm's reading of an image after an epoch (null: after training). open: a function that returns an arm's Network after an epoch, or throws.
  constructor(saved, read, open) {
    Object.assign(this, { saved, read, open });
  }

  whyNot(method) {
    return method === "saliency" ? "Gradient saliency needs a backward pass, which this page cannot compute. `ablate explore` shows it." : null;
  }

  async attribution(arms, image, method, label, epoch = null) {
    await new Promise((done) => setTimeout(done, 20)); // show that the page is busy before the networks run
    return Object.fromEntries(
      arms.map((arm) => {
        const { input, probabilities } = this.read(arm, image, epoch);
        const network = this.open(arm, epoch);
        const chosen = label ?? probabilities.indexOf(Math.max(...probabilities));
        const heat = occlude((covered) => network.run(covered).probabilities, input, network.shape, chosen);
        return [arm, { label: chosen, probability: probabilities[chosen], heat }];
      }),
    );
  }

  // Only the images of this page are searched, whatever their class.
  async exciting(arm, layer, map, label, arms, shape) {
    const found = this.saved.pictures.map((picture) => {
      const values = this.read(arm, picture.index, null).layers[layer];
      const size = shape.length === 3 ? shape[1] * shape[2] : 1;
      const of = values.subarray(map * size, (map + 1) * size);
      const value = of.reduce((most, one) => Math.max(most, one), -Infinity);
      const at = of.indexOf(value);
      const { rows, columns } = this.saved.fields[arm][layer];
      const [row, column] = shape.length === 3 ? [Math.floor(at / shape[2]), at % shape[2]] : [0, 0];
      return { ...picture, value, field: { rows: rows[row], columns: columns[column] } };
    });
    return { searched: found.length, pictures: found.sort((a, b) => b.value - a.value).slice(0, 12) };
  }

  async confusion(arm) {
    return this.saved.confusions[arm];
  }

  async cell(arm, label, guess) {
    return this.saved.pictures.filter((picture) => picture.label === label && picture.guesses[arm] === guess);
  }

  async seeds(image) {
    return this.saved.seeds[image];
  }
}
