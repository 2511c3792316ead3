// Maps of numbers as tables of cells, windows on them, sums written out as tables, and
// the arithmetic behind: the same numbers as lib/convolution_lab.py.
import { Frame } from "./plot.js";
import { colour, colourBar } from "./heat.js";
import { short } from "./ui.js";

export const WINDOW_COLOUR = { light: "#d55e00", dark: "#ff9a5c" };
export const POOL_COLOUR = { light: "#00795a", dark: "#3fd0a5" };

// ---- arithmetic: square maps as {n, values}, row by row ------------------------------

// A frame of p cells round a map: zeros, or the map seen in a mirror.
export function convFrame({ n, values }, p, mode) {
  const m = n + 2 * p;
  const out = new Float64Array(m * m);
  const mirror = (r) => (r < 0 ? -r : r >= n ? 2 * (n - 1) - r : r);
  for (let i = 0; i < m; i += 1) {
    for (let j = 0; j < m; j += 1) {
      const [a, b] = [i - p, j - p];
      const inside = a >= 0 && b >= 0 && a < n && b < n;
      if (inside) out[i * m + j] = values[a * n + b];
      else if (mode === "reflect") out[i * m + j] = values[mirror(a) * n + mirror(b)];
    }
  }
  return { n: m, values: out };
}

// Rows of the output: floor((n + 2p - d(k - 1) - 1) / s) + 1; 0 where nothing fits.
export function convSize(n, k, stride, padding, dilation) {
  const rest = n + 2 * padding - dilation * (k - 1) - 1;
  return rest < 0 ? 0 : Math.floor(rest / stride) + 1;
}

// The numbers under the window at output cell (i, j), in the order of the kernel.
export function convTaps({ n, values }, k, stride, dilation, i, j) {
  const out = new Float64Array(k * k);
  for (let a = 0; a < k; a += 1) {
    const row = (i * stride + a * dilation) * n + j * stride;
    for (let b = 0; b < k; b += 1) out[a * k + b] = values[row + b * dilation];
  }
  return out;
}

export function convMap(framed, kernel, k, { stride, dilation, bias, relu }) {
  const m = convSize(framed.n, k, stride, 0, dilation);
  const out = new Float64Array(m * m);
  for (let i = 0; i < m; i += 1) {
    for (let j = 0; j < m; j += 1) {
      let sum = bias;
      for (let q = 0; q < k * k; q += 1) { // no array for each cell: this runs often
        const row = i * stride + Math.floor(q / k) * dilation;
        sum += framed.values[row * framed.n + j * stride + (q % k) * dilation] * kernel[q];
      }
      out[i * m + j] = relu ? Math.max(0, sum) : sum;
    }
  }
  return { n: m, values: out };
}

export function convPool(map, kind, size) {
  const m = Math.floor(map.n / size);
  const out = new Float64Array(m * m);
  for (let k = 0; k < m * m; k += 1) {
    const taps = convTaps(map, size, size, 1, Math.floor(k / m), k % m);
    out[k] = kind === "max" ? Math.max(...taps)
      : taps.reduce((sum, v) => sum + v, 0) / taps.length;
  }
  return { n: m, values: out };
}

// ---- numbers as text and colour ------------------------------------------------------

// At most `digits` after the point, without a needless sign: 0.25, −1.5, 0.
export function decimal(value, digits = 2) {
  const text = String(Number(value.toFixed(digits)));
  return (text === "-0" ? "0" : text).replace("-", "−");
}

// "grey" shows a picture as it is; "signed" puts 0 in the middle of [-limit, limit].
function cellColour(theme, scale, value, limit) {
  if (scale === "grey") {
    const v = Math.round(255 * Math.min(1, Math.max(0, value)));
    return `rgb(${v}, ${v}, ${v})`;
  }
  return colour("signed", theme.dark, 0.5 + (0.5 * value) / limit);
}

function inkOn(fill) {
  const [r, g, b] = fill.match(/\d+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#111111" : "#ffffff";
}

export function largest(values) {
  let top = 0;
  for (const value of values) top = Math.max(top, Math.abs(value));
  return top || 1;
}

// One square table of numbers, cell by cell.
export function drawCells(pen, theme, map, left, top, cell, look) {
  const { n, values } = map;
  const text = cell >= 21;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.font = theme.font.replace(/^\d+px/, `${Math.min(14, Math.floor(cell / 2.9))}px`);
  for (let k = 0; k < n * n; k += 1) {
    const [x, y] = [left + (k % n) * cell, top + Math.floor(k / n) * cell];
    if (look.until !== undefined && k > look.until) {
      pen.strokeStyle = theme.faint;
      pen.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
      continue;
    }
    const fill = cellColour(theme, look.scale, values[k], look.limit);
    pen.fillStyle = fill;
    pen.fillRect(x, y, cell, cell);
    if (cell > 9) {
      pen.strokeStyle = "rgba(128,128,128,0.35)";
      pen.lineWidth = 1;
      pen.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
    }
    if (text) {
      pen.fillStyle = inkOn(fill);
      const digits = Math.abs(values[k]) >= 10 ? 0 : cell >= 27 ? 2 : 1;
      pen.fillText(decimal(values[k], digits), x + cell / 2, y + cell / 2 + 0.5,
        cell - 2);
    }
  }
  pen.font = theme.font;
}

// ---- one map on a canvas, with a cursor that mouse and keys move ---------------------

export class CellMap extends Frame {
  // pick(i, j): a hand chose this cell. hover(cell or null): the pointer is over it.
  constructor(label, pick = null, hover = null) {
    super(label, 400);
    this.map = null;
    this.limitTall = 384;
    this.cursor = [0, 0];
    this.listenCells(pick, hover);
  }

  beside(width) { return Math.round(Math.min(width + 44, this.limitTall)); }

  listenCells(pick, hover) {
    const at = (event) => {
      const found = this.map && this.map.n ? this.under(event) : null;
      if (!found) return null;
      const hold = (v) => Math.max(0, Math.min(this.map.n - 1, Math.floor(v)));
      return [hold(found[1]), hold(found[0])];
    };
    this.canvas.addEventListener("pointermove", (event) => {
      const cell = at(event);
      hover?.(cell);
      if (cell) pick?.(...cell);
    });
    this.canvas.addEventListener("pointerleave", () => hover?.(null));
    this.canvas.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0],
        ArrowDown: [1, 0] };
      if (!(event.key in ways) || !this.map || !this.map.n || !(pick || hover)) return;
      const hold = (v) => Math.max(0, Math.min(this.map.n - 1, v));
      const [i, j] = this.cursor;
      const cell = [hold(i + ways[event.key][0]), hold(j + ways[event.key][1])];
      this.cursor = cell;
      hover?.(cell);
      pick?.(...cell);
      event.preventDefault();
    });
  }

  // look: {title, scale, limit, padding, until}; boxes: windows to show on the map, as
  // {i, j, size, step, colour, dash}; marks: single cells [i, j] to dot.
  draw(theme, map, look, boxes = [], marks = []) {
    this.map = map;
    const pen = this.begin(theme);
    if (!pen) return;
    const [top, bottom] = [24, 22];
    const n = Math.max(1, map.n);
    const cell = Math.max(1, Math.min((this.width - 8) / n,
      (this.tall - top - bottom) / n));
    const side = n * cell;
    const left = (this.width - side) / 2;
    this.pad = { left, right: this.width - left - side, top,
      bottom: this.tall - top - side };
    this.range = [0, n, n, 0];
    pen.fillStyle = theme.ink;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(look.title, this.width / 2, 11, this.width - 4);
    if (!map.n) {
      pen.fillStyle = theme.soft;
      pen.fillText("no position fits", this.width / 2, top + side / 2, this.width - 8);
      pen.strokeStyle = theme.soft;
      pen.strokeRect(left + 10, top + 10, side - 20, side - 20);
      return;
    }
    drawCells(pen, theme, map, left, top, cell, look);
    if (look.padding) this.drawPadding(pen, theme, look.padding, cell);
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, side - 1, side - 1);
    for (const [i, j] of marks) this.drawMark(pen, theme, i, j, cell);
    for (const box of boxes) this.drawBox(pen, theme, box, cell);
    this.drawScale(pen, theme, look, top + side + 7);
  }

  drawPadding(pen, theme, p, cell) {
    const inner = (this.map.n - 2 * p) * cell;
    pen.setLineDash([5, 4]);
    pen.lineWidth = 1.5;
    pen.strokeStyle = theme.dark ? "#ffd54f" : "#8a6d00";
    pen.strokeRect(this.left + p * cell, this.top + p * cell, inner, inner);
    pen.setLineDash([]);
  }

  drawMark(pen, theme, i, j, cell) {
    pen.beginPath();
    pen.rect(this.left + (j + 0.1) * cell, this.top + (i + 0.1) * cell, 0.8 * cell,
      0.8 * cell);
    pen.lineWidth = 2;
    pen.strokeStyle = theme.dark ? "#ffd54f" : "#8a6d00";
    pen.stroke();
  }

  drawBox(pen, theme, { i, j, size, step = 1, colour: paint, dash = [] }, cell) {
    const ink = theme.dark ? paint.dark : paint.light;
    const span = step * (size - 1) + 1;
    const place = (r, c, s) => [this.left + c * cell, this.top + r * cell, s * cell,
      s * cell];
    pen.lineWidth = 1.5;
    pen.strokeStyle = ink;
    if (step > 1) {
      for (let a = 0; a < size; a += 1) {
        for (let b = 0; b < size; b += 1) {
          pen.strokeRect(...place(i + a * step, j + b * step, 1));
        }
      }
    }
    for (const [width, style] of [[5, theme.back], [3, ink]]) {
      pen.setLineDash(width === 3 ? dash : []);
      pen.lineWidth = width;
      pen.strokeStyle = style;
      pen.strokeRect(...place(i, j, span));
    }
    pen.setLineDash([]);
  }

  drawScale(pen, theme, look, top) {
    const wide = Math.min(110, this.width * 0.4);
    const left = (this.width - wide) / 2;
    if (look.scale !== "grey") {
      const end = short(look.limit);
      colourBar(pen, theme, "signed", left, top, wide, 9, `−${end}`, end);
      return;
    }
    for (let k = 0; k < wide; k += 1) {
      pen.fillStyle = cellColour(theme, "grey", k / (wide - 1), 1);
      pen.fillRect(left + k, top, 1, 9);
    }
    pen.strokeStyle = theme.soft;
    pen.strokeRect(left + 0.5, top + 0.5, wide - 1, 8);
    pen.fillStyle = theme.ink;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillText("0", left - 5, top + 5);
    pen.textAlign = "left";
    pen.fillText("1", left + wide + 5, top + 5);
  }
}

// ---- a sum written out: tables with signs between them, and lines of text below ------

export class SumTables extends Frame {
  constructor(label) {
    super(label, 216);
    this.pad = { left: 4, right: 4, top: 2, bottom: 2 };
  }

  beside() { return this.height; }

  // tables: [{title, map, scale, limit}]; signs: what stands between; lines: below.
  draw(theme, tables, signs, lines) {
    const pen = this.begin(theme);
    if (!pen) return;
    const columns = tables.reduce((sum, { map }) => sum + map.n, 0);
    const n = Math.max(...tables.map(({ map }) => map.n));
    const foot = 46;
    const gap = 30;
    const wide = this.width - 12 - gap * signs.length;
    const cell = Math.min(44, wide / columns, (this.tall - foot - 26) / n);
    const widths = tables.map(({ map }) => Math.max(cell * map.n, 30));
    const all = widths.reduce((sum, w) => sum + w, 0) + gap * signs.length;
    const middle = 22 + (n * cell) / 2;
    let left = (this.width - all) / 2;
    tables.forEach(({ title, map, scale, limit }, k) => {
      pen.fillStyle = theme.soft;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(title, left + widths[k] / 2, 10, Math.max(widths[k], 60) + gap);
      const side = map.n * cell;
      drawCells(pen, theme, map, left + (widths[k] - side) / 2, middle - side / 2, cell,
        { scale, limit });
      left += widths[k] + gap;
      if (signs[k] === undefined) return;
      pen.fillStyle = theme.ink;
      pen.font = theme.font.replace(/^\d+px/, "20px");
      pen.textAlign = "center";
      pen.fillText(signs[k], left - gap / 2, middle);
      pen.font = theme.font;
    });
    pen.textAlign = "center";
    lines.forEach((line, k) => {
      pen.fillStyle = theme.ink;
      pen.font = theme.font.replace(/^\d+px/, k ? "12px" : "15px");
      pen.fillText(line, this.width / 2, 22 + n * cell + 16 + 20 * k, this.width - 8);
    });
    pen.font = theme.font;
  }
}

// "0.5·1 + 0.25·(−1) + ...": every product of a sum, for eyes and screen readers.
export function termsText(taps, weights) {
  const one = (v) => (v < 0 ? `(${decimal(v)})` : decimal(v));
  return [...taps].map((v, k) => `${decimal(v)}·${one(weights[k])}`).join(" + ");
}
