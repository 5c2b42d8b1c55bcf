// Layers in three dimensions: sheets one behind the other, from the image to the output, one row for each network.

import { findNearestUnit } from "maps";
import { OrbitControls, THREE } from "three";

const SMALLEST = 4.2;
const LARGEST = 9;
const APART = 1.5;
const BETWEEN_ROWS = 4.4;
const DIRECTION = new THREE.Vector3(-0.62, 0.3, 1).normalize();
const WIDEST = 2.6; // the largest width of a row, divided by its height; the layers of a longer row are pushed together
const MOST_SPREAD = 1.8; // the largest factor by which the layers of a row are put farther apart

export class Stack {
  // `choose` and `hover` are called with the unit that the user clicks, and with the unit below the mouse (or null).
  constructor(holder, choose, hover) {
    this.holder = holder;
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(16, 1, 0.1, 2000);
    this.renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true }); // throws an error without WebGL
    holder.append(this.renderer.domElement);
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    this.controls.addEventListener("change", () => this.draw());
    let from = null;
    this.controls.addEventListener("start", () => (from = this.camera.position.clone()));
    this.controls.addEventListener("end", () => (this.turned ||= !from.equals(this.camera.position)));
    this.sheets = new THREE.Group();
    this.marks = new THREE.Group();
    this.scene.add(this.sheets, this.marks);
    new ResizeObserver(() => this.#resize()).observe(holder);
    let pressed = null;
    const canvas = this.renderer.domElement;
    canvas.addEventListener("pointerdown", (event) => (pressed = [event.clientX, event.clientY]));
    canvas.addEventListener("click", (event) => {
      const moved = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]);
      const unit = moved < 5 ? this.#findUnit(event) : null;
      if (unit) choose(unit);
    });
    canvas.addEventListener("pointermove", (event) => hover(event, event.buttons ? null : this.#findUnit(event)));
    canvas.addEventListener("pointerleave", (event) => hover(event, null));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour());
    holder.addEventListener("keydown", (event) => this.#handleKey(event));
  }

  // rows: [{ title, layers: [{ key, label, sheet, pixels }] }]. If the layout is the same, only the pixels change.
  show(rows) {
    this.rows = rows;
    const plan = JSON.stringify(rows.map(({ title, layers }) => [title, layers.map(({ key, label, sheet }) => [key, label, sheet])]));
    if (plan !== this.plan) {
      this.plan = plan;
      this.#arrange(rows);
    }
    rows.forEach(({ layers }, row) =>
      layers.forEach(({ pixels }, at) => {
        const { texture } = this.built[row][at];
        texture.image.data.set(pixels);
        texture.needsUpdate = true;
      }),
    );
    this.draw();
  }

  // Draw frames around parts of sheets. squares: [{ row, at, box: [x, y, width, height], colour }].
  mark(squares) {
    this.marks.clear();
    for (const { row, at, box, colour } of squares) {
      const found = this.built?.[row]?.[at];
      if (!found) continue;
      const [x, y, width, height] = box;
      const corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]];
      const points = corners.map(([column, line]) => found.world(column, line));
      const line = new THREE.Line(new THREE.BufferGeometry().setFromPoints(points), new THREE.LineBasicMaterial({ color: colour, depthTest: false }));
      line.renderOrder = 1;
      this.marks.add(line);
    }
    this.draw();
  }

  // Look at the middle of all sheets, from the smallest distance at which every corner of a sheet is visible.
  reset() {
    const half = this.#turnToMiddle();
    if (!half) return;
    const { camera, controls } = this;
    const tall = Math.tan((camera.fov * Math.PI) / 360);
    const away = half.z + Math.max(half.y / tall, half.x / (tall * camera.aspect));
    camera.position.copy(controls.target).addScaledVector(DIRECTION, away);
    [controls.minDistance, controls.maxDistance] = [away / 8, away * 2];
    controls.update();
    this.turned = false;
    this.draw();
  }

  // Turn the camera to the middle of all sheets. Returns half the size of what it sees. null without sheets.
  #turnToMiddle() {
    const corners = this.sheets.children.flatMap((part) => this.#findCorners(part));
    if (!corners.length) return null;
    const { camera, controls } = this;
    controls.target.copy(new THREE.Box3().setFromPoints(corners).getCenter(new THREE.Vector3()));
    camera.position.copy(controls.target).addScaledVector(DIRECTION, 10);
    camera.lookAt(controls.target);
    camera.updateMatrixWorld();
    const seen = new THREE.Box3().setFromPoints(corners.map((corner) => corner.clone().applyMatrix4(camera.matrixWorldInverse)));
    const middle = seen.getCenter(new THREE.Vector3());
    controls.target.copy(middle.clone().applyMatrix4(camera.matrixWorld));
    return seen.getSize(new THREE.Vector3()).multiplyScalar(0.5);
  }

  zoom(factor) {
    this.turned = true;
    this.camera.position.lerp(this.controls.target, 1 - factor);
    this.controls.update();
    this.draw();
  }

  draw() {
    if (this.holder.hidden) return;
    this.renderer.render(this.scene, this.camera);
  }

  // Build the sheets. If there is more room at the sides than above, put the layers of a row farther apart.
  #arrange(rows) {
    this.spread = 1;
    this.#build(rows);
    const half = this.#turnToMiddle();
    const room = half ? (this.camera.aspect * half.y) / half.x : 1;
    if (room > 1.05) {
      this.spread = Math.min(MOST_SPREAD, room);
      this.#build(rows);
    }
    this.reset();
  }

  #build(rows) {
    this.sheets.traverse((part) => {
      part.geometry?.dispose();
      part.material?.map?.dispose();
      part.material?.dispose();
    });
    this.sheets.clear();
    this.marks.clear();
    const sheets = rows.flatMap(({ layers }) => layers.map(({ sheet }) => sheet));
    const most = Math.max(...sheets.map(({ width, height }) => Math.max(width, height)));
    const scaleOf = ({ width, height }) => {
      const longest = Math.max(width, height);
      return (SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(longest / most)) / longest;
    };
    const heights = rows.map(({ layers }) => Math.max(0, ...layers.map(({ sheet }) => sheet.height * scaleOf(sheet))));
    const places = this.#placeLayers(rows, scaleOf, heights.reduce((sum, height) => sum + height + BETWEEN_ROWS, 0));
    let above = 0;
    this.built = rows.map(({ title, layers }, row) => {
      const middle = above - heights[row] / 2;
      above -= heights[row] + BETWEEN_ROWS;
      if (title && layers.length) {
        const name = makeLabel([title], 1.3, readColour("--ink"));
        name.center.set(0, 0);
        name.position.set(-LARGEST / 4, middle + heights[row] / 2 + 1.7, 0);
        this.sheets.add(name);
      }
      return layers.map(({ key, label, sheet }) => this.#makeSheet(key, label, sheet, scaleOf(sheet), places.get(key.name), middle));
    });
  }

  // The position of each layer along a row, which is the same in all rows. Layers are so far apart that no sheet hides the next.
  #placeLayers(rows, scaleOf, height) {
    const widths = new Map();
    for (const { layers } of rows) {
      for (const { key, sheet } of layers) widths.set(key.name, Math.max(widths.get(key.name) ?? 0, sheet.width * scaleOf(sheet)));
    }
    const turned = -DIRECTION.x / DIRECTION.z;
    const places = new Map();
    let [end, before] = [0, null];
    for (const [name, width] of widths) {
      end += before === null ? 0 : ((before + width) / 2) * turned + APART;
      places.set(name, end);
      before = width;
    }
    const together = Math.min(1, Math.max(0.75, (WIDEST * height) / (end || 1)));
    return new Map([...places].map(([name, at]) => [name, at * together * this.spread]));
  }

  #makeSheet(key, label, sheet, scale, x, middle) {
    const [wide, high] = [sheet.width * scale, sheet.height * scale];
    const texture = new THREE.DataTexture(new Uint8Array(sheet.width * sheet.height * 4), sheet.width, sheet.height);
    texture.colorSpace = THREE.SRGBColorSpace;
    texture.magFilter = THREE.NearestFilter;
    texture.minFilter = THREE.LinearFilter;
    texture.flipY = true;
    const material = new THREE.MeshBasicMaterial({ map: texture, side: THREE.DoubleSide, alphaTest: 0.5 });
    const mesh = new THREE.Mesh(new THREE.PlaneGeometry(wide, high), material);
    mesh.rotation.y = -Math.PI / 2; // turn the sheet's front towards the camera, which stands at the input image's end of the row
    mesh.position.set(x, middle, 0);
    mesh.userData = { key, sheet };
    mesh.updateMatrixWorld();
    const name = makeLabel(label.split(/ (.*)/s, 2), 0.75, readColour("--soft"));
    name.center.set(0.5, 1);
    name.position.set(x, middle - high / 2 - 0.3, 0);
    this.sheets.add(mesh, name);
    return {
      texture,
      world: (column, row) => mesh.localToWorld(new THREE.Vector3(column * scale - wide / 2, high / 2 - row * scale, 0.02)),
    };
  }

  #findCorners(part) {
    const { x, y } = part.isSprite ? part.scale : { x: part.geometry.parameters.width, y: part.geometry.parameters.height };
    const [left, low] = part.isSprite ? [part.center.x, part.center.y] : [0.5, 0.5];
    const across = part.isSprite ? new THREE.Vector3(DIRECTION.z, 0, -DIRECTION.x).normalize() : new THREE.Vector3(0, 0, 1);
    return [[0, 0], [1, 0], [0, 1], [1, 1]].map(([right, up]) =>
      part.position.clone().addScaledVector(across, (right - left) * x).add(new THREE.Vector3(0, (up - low) * y, 0)),
    );
  }

  #findUnit(event) {
    const box = this.renderer.domElement.getBoundingClientRect();
    const at = new THREE.Vector2(((event.clientX - box.left) / box.width) * 2 - 1, 1 - ((event.clientY - box.top) / box.height) * 2);
    const ray = new THREE.Raycaster();
    ray.setFromCamera(at, this.camera);
    for (const { object, uv } of ray.intersectObjects(this.sheets.children)) {
      if (!object.userData.sheet || !uv) continue;
      const { key, sheet } = object.userData;
      const unit = findNearestUnit(sheet, Math.floor(uv.x * sheet.width), Math.floor((1 - uv.y) * sheet.height));
      if (unit) return { key, unit };
    }
    return null;
  }

  #resize() {
    const { clientWidth, clientHeight } = this.holder;
    const size = `${clientWidth} ${clientHeight}`;
    if (!clientWidth || !clientHeight || size === this.size) return;
    this.size = size;
    this.renderer.setPixelRatio(window.devicePixelRatio);
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
    if (!this.rows || this.turned) return this.draw();
    this.plan = null;
    this.show(this.rows);
  }

  // Draw the labels again, in the colours of the other theme.
  #recolour() {
    if (!this.rows) return;
    this.plan = null;
    this.show(this.rows);
  }

  #handleKey(event) {
    const turns = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] };
    if (event.key in turns) {
      const [around, over] = turns[event.key];
      const away = this.camera.position.clone().sub(this.controls.target);
      const round = new THREE.Spherical().setFromVector3(away);
      round.theta += around;
      round.phi = Math.max(0.05, Math.min(Math.PI - 0.05, round.phi + over));
      this.turned = true;
      this.camera.position.copy(this.controls.target).add(away.setFromSpherical(round));
      this.controls.update();
      this.draw();
    } else if (event.key === "+" || event.key === "=") this.zoom(0.85);
    else if (event.key === "-") this.zoom(1 / 0.85);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }
}

function readColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Lines of text that always face the camera.
function makeLabel(lines, height, colour) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const font = "600 44px system-ui, 'DejaVu Sans', sans-serif";
  context.font = font;
  [canvas.width, canvas.height] = [Math.ceil(Math.max(...lines.map((line) => context.measureText(line).width))) + 8, 54 * lines.length];
  context.font = font;
  context.fillStyle = colour;
  context.textBaseline = "middle";
  context.textAlign = lines.length > 1 ? "center" : "left";
  lines.forEach((line, at) => context.fillText(line, lines.length > 1 ? canvas.width / 2 : 4, 54 * at + 28));
  const texture = new THREE.CanvasTexture(canvas);
  texture.colorSpace = THREE.SRGBColorSpace;
  const sprite = new THREE.Sprite(new THREE.SpriteMaterial({ map: texture, depthTest: false }));
  sprite.scale.set((height * canvas.width) / 54, height * lines.length, 1);
  return sprite;
}
