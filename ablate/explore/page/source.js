// The source of the data: the server of this page, or a copy inside a saved page.

export class RequestError extends Error {}

class Server {
  offline = false;

  async pictures(pick, label, arms) {
    const query = new URLSearchParams({ pick, label });
    for (const arm of arms) query.append("arm", arm);
    return parse(await fetch(`/pictures?${query}`));
  }

  read(arms, image) {
    return this.#post("/read", { arms, image });
  }

  unit(arm, image, layer, place) {
    return this.#post("/unit", { arm, image, layer, place });
  }

  async #post(path, request) {
    const headers = { "content-type": "application/json" };
    return parse(await fetch(path, { method: "POST", headers, body: JSON.stringify(request) }));
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
    if (!readings) throw new RequestError("A saved page cannot read a drawing: run `ablate explore` to draw.");
    return Object.fromEntries(arms.map((arm) => [arm, readings[arm]]));
  }

  async unit(arm, image, layer, place) {
    const { rows, columns } = this.saved.fields[arm][layer];
    const [row, column] = place.length === 3 ? place.slice(1) : [0, 0];
    return { field: { rows: rows[row], columns: columns[column] } };
  }
}

async function parse(response) {
  const content = await response.json().catch(() => ({ error: `${response.status} ${response.statusText}` }));
  if (!response.ok) throw new RequestError(content.error ?? response.statusText);
  return content;
}

export function createSource(saved) {
  return saved ? new Saved(saved) : new Server();
}
