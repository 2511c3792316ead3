// Attention maps on canvas: the grid of all heads, one head large, the shaded sentence.
// Each panel draws only when something in it has changed; maps are bitmaps made once.
import { element } from "./core.js";
import { Frame } from "./plot.js";
import { bitmap, colour, colourBar, colours, drawBitmap } from "./heat.js";

export const QUERY = { light: "#c44f00", dark: "#ff9a5c" }; // the token that asks
export const KEY = { light: "#007a5a", dark: "#4cd0a4" }; // the token that is asked
export const ink = (pair, theme) => (theme.dark ? pair.dark : pair.light);

// A token as a reader sees it, in at most `most` characters.
export function word(token, most = 40) {
  const text = token.replace(/ /g, "␣").replace(/\n/g, "⏎") || "∅";
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// The share of the colour scale for a weight. Its root shows small weights too; "own"
// makes the largest weight of each map the darkest, which long texts need.
export const shade = (weight, contrast, most) => {
  if (contrast === "own") return Math.sqrt(weight / Math.max(most, 1e-9));
  return contrast === "root" ? Math.sqrt(weight) : weight;
};

// The largest value of one map among many, each of `size` values.
export function largest(maps, from, size) {
  let most = 0;
  for (let k = from; k < from + size; k += 1) if (maps[k] > most) most = maps[k];
  return most;
}

// A frame as tall as its own rule says, which skips drawing what stands there already.
export class Panel extends Frame {
  constructor(label, tallness, pad) {
    super(label);
    this.tallness = tallness;
    Object.assign(this.pad, pad);
  }

  beside(width) {
    return Math.round(this.tallness(width));
  }

  show(theme, key, draw) {
    const full = [key, theme.dark, theme.back, this.node.clientWidth,
      window.devicePixelRatio].join("|");
    if (full === this.key) return;
    const pen = this.begin(theme);
    if (!pen) return;
    this.key = full;
    draw(pen);
  }

  outline(pen, pair, left, top, width, height, dash = []) {
    for (const [line, paint] of [[4, this.theme.back], [2, ink(pair, this.theme)]]) {
      pen.lineWidth = line;
      pen.strokeStyle = paint;
      pen.setLineDash(line === 2 ? dash : []);
      pen.strokeRect(left, top, width, height);
    }
    pen.setLineDash([]);
  }
}

// All maps of a look side by side in one bitmap: a pixel for each weight.
export function atlas({ maps, L, H, T }, contrast, dark) {
  const canvas = element("canvas");
  canvas.width = H * T;
  canvas.height = L * T;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(H * T, L * T);
  const pixels = new Uint32Array(image.data.buffer);
  const table = colours("amount", dark);
  const paint = new Uint32Array(256);
  const mix = (most) => {
    for (let v = 0; v < 256; v += 1) {
      const k = 3 * Math.round(255 * Math.min(1, shade(v, contrast, most) / (
        contrast === "own" ? 1 : shade(255, contrast))));
      paint[v] = (255 << 24) | (table[k + 2] << 16) | (table[k + 1] << 8) | table[k];
    }
  };
  mix(255);
  let from = 0;
  for (let l = 0; l < L; l += 1) {
    for (let h = 0; h < H; h += 1) {
      if (contrast === "own") mix(largest(maps, from, T * T));
      for (let i = 0; i < T; i += 1) {
        const to = ((l * T + i) * H + h) * T;
        for (let j = 0; j < T; j += 1, from += 1) pixels[to + j] = paint[maps[from]];
      }
    }
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Every layer (row) and head (column) as a small map.
export class HeadGrid extends Panel {
  constructor() {
    super("All layers and heads. Arrow keys choose one, D switches it off or on.",
      (width) => this.side(width) * this.L + this.pad.top + this.pad.bottom,
      { left: 46, right: 6, top: 38, bottom: 46 });
    this.L = 1;
    this.H = 1;
    this.sheet = element("canvas");
  }

  side(width) {
    return Math.min((width - 52) / this.H, 150, Math.max(44, 560 / this.L));
  }

  // state: {look, contrast, layer, head, off, impact, hover, id}
  draw(theme, state) {
    const { look, contrast, layer, head, off, impact, hover, id } = state;
    [this.L, this.H] = [look.L, look.H];
    const tried = impact ? Array.from(impact).join() : "";
    this.show(theme, [id, contrast, layer, head, [...off].join(), tried, hover].join("|"),
      (pen) => {
        const side = this.side(this.width);
        this.pad.right = this.width - this.left - side * this.H;
        this.range = [0, this.H, this.L, 0];
        this.maps(pen, look, contrast, id, side);
        this.names(pen, theme, side, layer, head);
        for (const name of off) this.crossed(pen, ...name.split(",").map(Number), side);
        if (impact) this.bars(pen, impact, side);
        const box = (l, h) => [this.left + h * side + 1, this.top + l * side + 1,
          side - 2, side - 2];
        if (hover) this.outline(pen, KEY, ...box(...hover), [4, 3]);
        this.outline(pen, QUERY, ...box(layer, head));
        this.scale(pen, theme, contrast);
      });
  }

  // The maps, scaled once for this size of the page, then only copied.
  maps(pen, look, contrast, id, side) {
    const ratio = window.devicePixelRatio || 1;
    const key = [id, contrast, this.theme.dark, side, ratio].join("|");
    const { sheet } = this;
    if (key !== this.sheetKey) {
      this.sheetKey = key;
      const all = atlas(look, contrast, this.theme.dark);
      sheet.width = Math.ceil(side * this.H * ratio);
      sheet.height = Math.ceil(side * this.L * ratio);
      const on = sheet.getContext("2d");
      on.fillStyle = this.theme.back;
      on.fillRect(0, 0, sheet.width, sheet.height);
      const { T } = look;
      const air = Math.max(1, Math.round(2 * ratio));
      on.imageSmoothingEnabled = T > side * ratio;
      on.imageSmoothingQuality = "high";
      for (let l = 0; l < this.L; l += 1) {
        for (let h = 0; h < this.H; h += 1) {
          on.drawImage(all, h * T, l * T, T, T, h * side * ratio + air,
            l * side * ratio + air, side * ratio - 2 * air, side * ratio - 2 * air);
        }
      }
    }
    pen.drawImage(sheet, this.left, this.top, side * this.H, side * this.L);
    pen.strokeStyle = this.theme.faint;
    pen.lineWidth = 1;
    for (let l = 0; l < this.L; l += 1) {
      for (let h = 0; h < this.H; h += 1) {
        pen.strokeRect(this.left + h * side + 1.5, this.top + l * side + 1.5, side - 3,
          side - 3);
      }
    }
  }

  names(pen, theme, side, layer, head) {
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const name = (chosen, text, x, y) => {
      pen.fillStyle = chosen ? ink(QUERY, theme) : theme.ink;
      pen.font = chosen ? `bold ${theme.font}` : theme.font;
      pen.fillText(text, x, y);
    };
    for (let h = 0; h < this.H; h += 1) {
      name(h === head, String(h), this.left + (h + 0.5) * side, this.top - 9);
    }
    for (let l = 0; l < this.L; l += 1) {
      name(l === layer, String(l), this.left - 12, this.top + (l + 0.5) * side);
    }
    name(false, "head", this.left + (this.H * side) / 2, this.top - 27);
    pen.save();
    pen.translate(this.left - 34, this.top + (this.L * side) / 2);
    pen.rotate(-Math.PI / 2);
    name(false, "layer", 0, 0);
    pen.restore();
  }

  // A head that is off: paler, and crossed out.
  crossed(pen, l, h, side) {
    const [x, y] = [this.left + h * side + 3, this.top + l * side + 3];
    const size = side - 6;
    pen.globalAlpha = 0.6;
    pen.fillStyle = this.theme.back;
    pen.fillRect(x, y, size, size);
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + size, y + size);
    pen.moveTo(x + size, y);
    pen.lineTo(x, y + size);
    pen.lineWidth = 2.5;
    pen.strokeStyle = this.theme.ink;
    pen.stroke();
  }

  // What each head does to the output: a bar at the foot of its map.
  bars(pen, impact, side) {
    let most = 1e-12;
    for (const size of impact) if (size > most) most = size;
    impact.forEach((size, k) => {
      if (Number.isNaN(size)) return;
      const [l, h] = [Math.floor(k / this.H), k % this.H];
      const [x, y] = [this.left + h * side + 3, this.top + (l + 1) * side - 10];
      pen.fillStyle = this.theme.back;
      pen.fillRect(x, y, side - 6, 7);
      pen.fillStyle = ink(QUERY, this.theme);
      pen.fillRect(x, y + 1, Math.max(1, (side - 6) * Math.max(0, size / most)), 5);
    });
  }

  scale(pen, theme, contrast) {
    const y = this.bottom + 12;
    const width = Math.max(60, Math.min(200, this.right - this.left - 180));
    const x = this.left + 56;
    pen.font = theme.font;
    const own = contrast === "own";
    colourBar(pen, theme, "amount", x, y, width, 10, "0", own ? "largest of its map"
      : "1");
    pen.textAlign = "left";
    pen.fillText("weight", this.left - 8, y + 5);
    pen.textAlign = "center";
    if (own) return;
    for (const weight of contrast === "root" ? [0.01, 0.1, 0.25, 0.5] : [0.25, 0.5, 0.75]) {
      const at = x + width * shade(weight, contrast);
      pen.fillRect(at, y + 10, 1, 4);
      pen.fillText(String(weight), at, y + 21);
    }
  }
}

// One head: a row for each token that asks, a column for each that is asked.
export class HeadMap extends Panel {
  constructor() {
    super("The chosen head. Arrow keys choose a pair of tokens.",
      (width) => Math.min(width - 112, 500) + 100,
      { left: 100, right: 12, top: 92, bottom: 8 });
  }

  draw(theme, { look, contrast, layer, head, pair, id, values, off, exact }) {
    const key = [id, contrast, layer, head, pair, off, Boolean(exact)];
    this.show(theme, key.join("|"), (pen) => {
      const { T, tokens } = look;
      const side = this.tall - this.pad.top - this.pad.bottom;
      this.pad.right = this.width - this.left - side;
      this.range = [0, T, T, 0];
      const made = [id, contrast, layer, head, theme.dark, Boolean(exact)].join("|");
      if (made !== this.made) { // exact weights as soon as they are there
        this.made = made;
        const weights = exact ? exact.weights : Float32Array.from(values, (v) => v / 255);
        const most = largest(weights, 0, T * T);
        this.picture = bitmap(T, T, (k) => shade(weights[k], contrast, most), "amount",
          theme.dark);
      }
      pen.globalAlpha = off ? 0.45 : 1;
      drawBitmap(pen, this.picture, this.left, this.top, side, side);
      pen.globalAlpha = 1;
      pen.strokeStyle = theme.soft;
      pen.lineWidth = 1;
      pen.strokeRect(this.left + 0.5, this.top + 0.5, side - 1, side - 1);
      const cell = side / T;
      const [i, j] = pair;
      this.outline(pen, QUERY, this.left, this.top + i * cell, side, cell, [5, 3]);
      this.outline(pen, KEY, this.left + j * cell, this.top, cell, side, [5, 3]);
      this.names(pen, theme, tokens, cell, pair);
    });
  }

  names(pen, theme, tokens, cell, [row, column]) {
    const every = Math.ceil(13 / cell);
    const shown = (k, chosen) => k === chosen
      || (k % every === 0 && Math.abs(k - chosen) * cell >= 12);
    const name = (k, chosen, pair) => {
      pen.fillStyle = k === chosen ? ink(pair, theme) : theme.ink;
      pen.font = k === chosen ? `bold ${theme.font}` : theme.font;
      pen.fillText(word(tokens[k], 12), 0, 0);
    };
    pen.textBaseline = "middle";
    tokens.forEach((token, k) => {
      if (shown(k, row)) {
        pen.save();
        pen.translate(this.left - 6, this.top + (k + 0.5) * cell);
        pen.textAlign = "right";
        name(k, row, QUERY);
        pen.restore();
      }
      if (!shown(k, column)) return;
      pen.save();
      pen.translate(this.left + (k + 0.5) * cell, this.top - 6);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      name(k, column, KEY);
      pen.restore();
    });
    pen.font = theme.font;
    pen.textAlign = "left";
    pen.fillStyle = ink(KEY, theme);
    pen.fillText("to (key) →", 4, this.top - 34);
    pen.fillStyle = ink(QUERY, theme);
    pen.fillText("from (query) ↓", 4, this.top - 14);
  }
}

// The sentence, each token as dark as the chosen one looks at it.
export class Sentence extends Panel {
  constructor() {
    super("The sentence, shaded by attention. Left and right choose the token that asks.",
      (width) => this.rows(width) * 27 + 4, { left: 2, right: 2, top: 2, bottom: 2 });
    this.boxes = [];
    this.tokens = [];
  }

  // Lines in steps of 2, so that a word more does not move all that stands below.
  rows(width) {
    if (!this.pen) this.pen = this.canvas.getContext("2d");
    this.flow(width);
    const lines = this.boxes.length ? this.boxes[this.boxes.length - 1].line + 1 : 1;
    return 2 * Math.ceil(lines / 2);
  }

  flow(width) {
    this.pen.font = `14px ${this.family || "system-ui, sans-serif"}`;
    let [x, line] = [2, 0];
    this.boxes = this.tokens.map((token) => {
      const wide = Math.min(width - 4, this.pen.measureText(word(token)).width + 10);
      if (x + wide > width - 2 && x > 2) [x, line] = [2, line + 1];
      const box = { x, line, y: line * 27 + 3, wide };
      x += wide + 3;
      return box;
    });
  }

  draw(theme, { look, contrast, layer, head, pair, id, values, exact }) {
    this.tokens = look.tokens;
    this.family = theme.font.replace(/^\S+ /, "");
    const key = [id, contrast, layer, head, pair, Boolean(exact)];
    this.show(theme, key.join("|"), (pen) => {
      const most = contrast === "own" ? largest(values, 0, values.length) / 255 : 1;
      const { T } = look;
      this.range = [0, this.width, this.tall, 0];
      pen.font = `14px ${this.family}`;
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      const [i, j] = pair;
      this.boxes.forEach(({ x, y, wide }, k) => {
        const weight = exact ? exact.weights[i * T + k] : look.weight(layer, head, i, k);
        const part = shade(weight, contrast, most);
        pen.fillStyle = colour("amount", theme.dark, part);
        pen.fillRect(x, y, wide, 22);
        pen.fillStyle = part > 0.55 ? theme.back : theme.ink;
        pen.fillText(word(look.tokens[k]), x + 5, y + 11.5, wide - 8);
      });
      const edge = (k, inkOf, dash) => {
        const { x, y, wide } = this.boxes[k];
        this.outline(pen, inkOf, x + 1, y + 1, wide - 2, 20, dash);
      };
      if (j !== i) edge(j, KEY, [4, 3]);
      edge(i, QUERY, []);
    });
  }

  // The number of the token under a pointer event, or -1.
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const grow = box.width / this.width;
    const [px, py] = [(event.clientX - box.left) / grow, (event.clientY - box.top) / grow];
    return this.boxes.findIndex(({ x, y, wide }) =>
      px >= x && px <= x + wide && py >= y && py <= y + 23);
  }
}
