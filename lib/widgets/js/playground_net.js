// The playground's network on a canvas: features, neurons with their responses as small
// maps, weights as lines. It draws one moment, and says what lies under the pointer.
import { element } from "./core.js";
import { short } from "./ui.js";
import { Frame } from "./plot.js";
import { colour, colours } from "./heat.js";

const REACH = 6; // pixels beside a line at which the pointer still means it

// Signed maps as small pictures, painted into canvases that are used again and again.
export class Maps {
  constructor() {
    this.pool = new Map();
  }

  // share(k) is 0 to 1 for cell k of n x n; the first row of the data lies below. Only
  // the middle `part` of the colour scale is used.
  paint(name, n, share, dark, part) {
    if (!this.pool.has(name)) this.pool.set(name, element("canvas"));
    const canvas = this.pool.get(name);
    if (canvas.width !== n) {
      canvas.width = n;
      canvas.height = n;
    }
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const image = pen.createImageData(n, n);
    const table = colours("signed", dark);
    for (let k = 0; k < n * n; k += 1) {
      const at = 3 * Math.max(0, Math.min(255, Math.round(255 * (0.5 + part
        * (share(k) - 0.5)))));
      const to = 4 * ((n - 1 - Math.floor(k / n)) * n + (k % n));
      image.data[to] = table[at];
      image.data[to + 1] = table[at + 1];
      image.data[to + 2] = table[at + 2];
      image.data[to + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
    return canvas;
  }
}

// Line pieces of the height 0 of an n x n grid, in grid units: x0, y0, x1, y1, ...
export function zeroLine(grid, n) {
  const pieces = [];
  for (let j = 0; j + 1 < n; j += 1) {
    for (let i = 0; i + 1 < n; i += 1) {
      const q = j * n + i;
      const [a, b, c, d] = [grid[q], grid[q + 1], grid[q + n + 1], grid[q + n]];
      const cut = [];
      if ((a > 0) !== (b > 0)) cut.push(i - a / (b - a), j);
      if ((b > 0) !== (c > 0)) cut.push(i + 1, j - b / (c - b));
      if ((d > 0) !== (c > 0)) cut.push(i - d / (c - d), j + 1);
      if ((a > 0) !== (d > 0)) cut.push(i, j - a / (d - a));
      for (let m = 0; m + 3 < cut.length; m += 4) pieces.push(...cut.slice(m, m + 4));
    }
  }
  return pieces;
}

// Which number of theta is which: W and b of layer after layer, W row by row.
export class Wiring {
  constructor(sizes, features) {
    Object.assign(this, { sizes, features });
    this.list = []; // {layer, to, from} of each number; from is -1 for a bias
    for (let layer = 0; layer + 1 < sizes.length; layer += 1) {
      for (let to = 0; to < sizes[layer + 1]; to += 1) {
        for (let from = 0; from < sizes[layer]; from += 1) {
          this.list.push({ layer, to, from });
        }
      }
      for (let to = 0; to < sizes[layer + 1]; to += 1) {
        this.list.push({ layer, to, from: -1 });
      }
    }
  }

  get hidden() { return this.sizes.length - 2; }

  unit(layer, k) {
    if (layer === 0) return this.features[k];
    return layer > this.hidden ? "output" : `layer ${layer} neuron ${k + 1}`;
  }

  name(index) {
    const { layer, to, from } = this.list[index];
    const goal = this.unit(layer + 1, to);
    return from < 0 ? `bias of ${goal}` : `${this.unit(layer, from)} → ${goal}`;
  }

  // The place of a neuron among all hidden ones.
  neuron(layer, k) {
    return this.sizes.slice(1, layer).reduce((sum, n) => sum + n, 0) + k;
  }
}

// How far a point lies from a straight piece of a line.
function toPiece(px, py, x0, y0, x1, y1) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const t = ((px - x0) * dx + (py - y0) * dy) / (dx * dx + dy * dy || 1);
  const part = Math.min(1, Math.max(0, t));
  return Math.hypot(x0 + part * dx - px, y0 + part * dy - py);
}

export class Net {
  constructor(maps) {
    this.maps = maps;
    this.frame = new Frame("The network: each neuron with its response over the plane, "
      + "and the weights between them", 420);
    this.frame.pad = { left: 46, right: 8, top: 4, bottom: 4 };
  }

  // Where each unit stands: this.places[column][k] = {x, y, used, k}, middle and size.
  lay(wiring, all) {
    const { frame } = this;
    const rows = Math.max(all.length, 8);
    const tall = frame.bottom - frame.top;
    const columns = wiring.sizes.length;
    this.size = Math.max(18, Math.min(44, tall / rows - 9,
      (frame.right - frame.left) / columns - 14));
    const half = this.size / 2;
    const step = tall / rows;
    const x = (c) => frame.left + half + 2 + (c / (columns - 1)) *
      (frame.right - frame.left - this.size - 4);
    const column = (c, count) => Array.from({ length: count }, (_, k) => ({ x: x(c),
      y: frame.top + tall / 2 + (k - (count - 1) / 2) * step }));
    this.places = wiring.sizes.map((count, c) => column(c, count));
    this.inputs = column(0, all.length).map((place, k) =>
      ({ ...place, name: all[k], used: wiring.features.includes(all[k]) }));
    this.places[0] = this.inputs.filter((place) => place.used);
    this.columns = wiring.sizes.map((_, c) => x(c));
  }

  ends(index, wiring) {
    const { layer, to, from } = wiring.list[index];
    const [a, b] = [this.places[layer][from], this.places[layer + 1][to]];
    const half = this.size / 2;
    return [a.x + half, a.y, b.x - half, b.y];
  }

  // theta, shares(layer, k) of the maps; chosen and hovered: {kind, index | layer, k}.
  draw(theme, wiring, all, theta, look, chosen, hovered) {
    const { frame } = this;
    const pen = frame.begin(theme);
    if (!pen) return;
    this.lay(wiring, all);
    this.wiring = wiring;
    const same = (at, kind, index) => at && at.kind === kind && at.index === index;
    for (let i = 0; i < wiring.list.length; i += 1) {
      if (wiring.list[i].from < 0) continue;
      this.line(pen, theme, i, theta[i], same(hovered, "weight", i)
        || same(chosen, "weight", i));
    }
    this.inputs.forEach((place, k) => {
      pen.globalAlpha = place.used ? 1 : 0.3;
      this.box(pen, theme, place, look(0, k), false, same(hovered, "input", k));
      pen.globalAlpha = place.used ? 1 : 0.6;
      pen.fillStyle = theme.ink;
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      pen.fillText(place.name, place.x - this.size / 2 - 5, place.y);
      pen.globalAlpha = 1;
    });
    for (let c = 1; c < this.places.length; c += 1) {
      this.places[c].forEach((place, k) => {
        const here = (at) => at && at.kind === "neuron" && at.layer === c && at.k === k;
        this.box(pen, theme, place, look(c, k), here(chosen), here(hovered));
      });
    }
    wiring.list.forEach(({ layer, to, from }, i) => {
      if (from >= 0) return;
      const on = same(hovered, "weight", i) || same(chosen, "weight", i);
      this.bias(pen, theme, this.places[layer + 1][to], theta[i], on);
    });
    if (hovered && hovered.kind === "weight") this.tag(pen, theme, hovered, theta);
  }

  strength(w) {
    return Number.isFinite(w) ? Math.abs(w) / (Math.abs(w) + 1.5) : 1;
  }

  line(pen, theme, index, w, on) {
    const [x0, y0, x1, y1] = this.ends(index, this.wiring);
    const part = this.strength(w);
    const bend = (x1 - x0) / 2;
    const path = () => {
      pen.beginPath();
      pen.moveTo(x0, y0);
      pen.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
      pen.stroke();
    };
    if (on) {
      pen.strokeStyle = theme.ink;
      pen.lineWidth = 4 + 9 * part;
      path();
    }
    pen.strokeStyle = colour("signed", theme.dark, w < 0 ? 0.17 : 0.83);
    pen.globalAlpha = on ? 1 : 0.2 + 0.7 * part;
    pen.lineWidth = 0.6 + 9 * part;
    path();
    pen.globalAlpha = 1;
  }

  box(pen, theme, place, picture, chosen, hovered) {
    const [left, top] = [place.x - this.size / 2, place.y - this.size / 2];
    pen.fillStyle = theme.back;
    pen.fillRect(left - 1.5, top - 1.5, this.size + 3, this.size + 3);
    pen.drawImage(picture, left, top, this.size, this.size);
    pen.strokeStyle = chosen || hovered ? theme.ink : theme.soft;
    pen.lineWidth = chosen ? 3 : hovered ? 2 : 1;
    pen.strokeRect(left, top, this.size, this.size);
  }

  bias(pen, theme, place, b, on) {
    const { x, y } = this.corner(place);
    pen.fillStyle = colour("signed", theme.dark, 0.5 + 0.4 * Math.sign(b) *
      this.strength(b));
    pen.fillRect(x - 4, y - 4, 8, 8);
    pen.strokeStyle = theme.ink;
    pen.lineWidth = on ? 2.5 : 1;
    pen.strokeRect(x - 4, y - 4, 8, 8);
  }

  corner(place) {
    return { x: place.x - this.size / 2, y: place.y + this.size / 2 };
  }

  // The value of the weight under the pointer, beside the pointer.
  tag(pen, theme, { index, px, py }, theta) {
    const text = short(theta[index]);
    pen.font = `600 16px ${theme.font.split("px ")[1]}`;
    const wide = pen.measureText(text).width + 14;
    const x = Math.min(this.frame.right - wide, Math.max(4, px - wide / 2));
    const y = py > 44 ? py - 40 : py + 16;
    pen.fillStyle = theme.back;
    pen.strokeStyle = theme.ink;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.rect(x, y, wide, 26);
    pen.fill();
    pen.stroke();
    pen.fillStyle = theme.ink;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(text, x + 7, y + 14);
    pen.font = theme.font;
  }

  // What lies under a mouse event: a bias, a unit, a weight, or null.
  under(event) {
    const { frame, wiring } = this;
    if (!frame.width || !this.places) return null;
    const area = frame.canvas.getBoundingClientRect();
    const grow = area.width / frame.width;
    const px = (event.clientX - area.left) / grow;
    const py = (event.clientY - area.top) / grow;
    const near = (place, reach) => Math.abs(place.x - px) <= reach
      && Math.abs(place.y - py) <= reach;
    for (let i = 0; i < wiring.list.length; i += 1) {
      const { layer, to, from } = wiring.list[i];
      if (from < 0 && near(this.corner(this.places[layer + 1][to]), 6)) {
        return { kind: "weight", index: i, px, py };
      }
    }
    const input = this.inputs.findIndex((place) => near(place, this.size / 2 + 1));
    if (input >= 0) return { kind: "input", index: input };
    for (let layer = 1; layer < this.places.length; layer += 1) {
      const k = this.places[layer].findIndex((place) => near(place, this.size / 2 + 1));
      if (k >= 0) return { kind: "neuron", layer, k };
    }
    return this.lineUnder(px, py);
  }

  lineUnder(px, py) {
    let best = null;
    let nearest = REACH;
    this.wiring.list.forEach(({ from }, index) => {
      if (from < 0) return;
      const [x0, y0, x1, y1] = this.ends(index, this.wiring);
      if (px < x0 || px > x1) return;
      const [low, high] = [Math.min(y0, y1), Math.max(y0, y1)];
      if (py < low - REACH || py > high + REACH) return;
      let [x, y] = [x0, y0];
      for (let k = 1; k <= 16; k += 1) { // straight pieces are near enough
        const t = k / 16;
        const bend = t * t * (3 - 2 * t);
        const u = x0 + (1.5 * t * (1 - t) + t ** 3) * (x1 - x0);
        const v = y0 + bend * (y1 - y0);
        const far = toPiece(px, py, x, y, u, v);
        if (far < nearest) {
          nearest = far;
          best = { kind: "weight", index, px, py };
        }
        [x, y] = [u, v];
      }
    });
    return best;
  }
}
