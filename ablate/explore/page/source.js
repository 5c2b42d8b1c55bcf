// Where answers come from: the server of this page, or what was saved inside it.

export class Refusal extends Error {}

class Server {
  offline = false;

  async pictures(pick, label, arms) {
    const query = new URLSearchParams({ pick, label });
    for (const arm of arms) query.append("arm", arm);
    return answered(await fetch(`/pictures?${query}`));
  }

  read(arms, image) {
    return this.#posted("/read", { arms, image });
  }

  unit(arm, image, layer, place) {
    return this.#posted("/unit", { arm, image, layer, place });
  }

  async #posted(path, wish) {
    const headers = { "content-type": "application/json" };
    return answered(await fetch(path, { method: "POST", headers, body: JSON.stringify(wish) }));
  }
}

class Saved {
  offline = true;

  constructor(saved) {
    this.saved = saved;
  }

  async pictures(pick, label, arms) {
    return this.saved.pictures.filter(({ kinds }) => kinds.includes(`${pick} ${label}`));
  }

  async read(arms, image) {
    const readings = this.saved.readings[image];
    if (!readings) throw new Refusal("What is drawn is read by the server alone: `ablate explore` starts it.");
    return Object.fromEntries(arms.map((arm) => [arm, readings[arm]]));
  }

  async unit(arm, image, layer, place) {
    const { rows, columns } = this.saved.fields[arm][layer];
    const [row, column] = place.length === 3 ? place.slice(1) : [0, 0];
    return { field: { rows: rows[row], columns: columns[column] } };
  }
}

async function answered(response) {
  const told = await response.json().catch(() => ({ error: `${response.status} ${response.statusText}` }));
  if (!response.ok) throw new Refusal(told.error ?? response.statusText);
  return told;
}

export function source(saved) {
  return saved ? new Saved(saved) : new Server();
}
