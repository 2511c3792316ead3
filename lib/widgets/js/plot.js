// Pictures on a canvas: a frame with axes, a loss field with contour lines, paths,
// curves. Everything is drawn from data that the page already has.
import { element } from "./core.js";
import { short } from "./ui.js";

// Round numbers that divide [low, high] into about `count` parts.
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].find((m) => m * power >= rough) * power;
  const out = [];
  for (let k = Math.ceil(low / unit - 1e-9); k * unit <= high + 1e-9 * unit; k += 1) {
    out.push(Number((k * unit).toPrecision(12)));
  }
  return out;
}

const raised = "⁰¹²³⁴⁵⁶⁷⁸⁹";
function powerOfTen(exponent) {
  const digits = [...String(Math.abs(exponent))].map((d) => raised[Number(d)]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

// A canvas with a plot area: pixels from data and back, axes, names, clipping.
export class Frame {
  constructor(label, height = 300) {
    this.canvas = element("canvas", { class: "lm-canvas", tabindex: "0", role: "img",
      "aria-label": label });
    this.node = element("div", { class: "lm-frame" }, this.canvas);
    this.height = height;
    this.pad = { left: 52, right: 12, top: 10, bottom: 38 };
    this.log = false;
    this.range = [0, 1, 0, 1];
    this.tickX = short; // the text of a number on the axis below
  }

  // Fit the canvas to its place; returns a pen in CSS pixels, or null while hidden.
  begin(theme) {
    const width = Math.floor(this.node.clientWidth);
    if (width < 60) return null;
    const ratio = window.devicePixelRatio || 1;
    const height = this.square ? Math.round(Math.min(width * 0.86, 440))
      : this.beside(width);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      this.canvas.width = w;
      this.canvas.height = h;
      this.canvas.style.height = `${height}px`;
    }
    this.width = width;
    this.tall = height;
    this.theme = theme;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = theme.back;
    pen.fillRect(0, 0, width, height);
    pen.font = theme.font;
    pen.lineJoin = "round";
    this.pen = pen;
    return pen;
  }

  // As tall as the picture it stands beside, less its row of buttons.
  beside(width) {
    const { neighbour } = this;
    const wide = neighbour && neighbour.tall && neighbour.node.offsetLeft
      !== this.node.offsetLeft;
    return wide ? Math.max(220, neighbour.tall - 20) : Math.round(Math.min(width * 0.6,
      this.height));
  }

  get left() { return this.pad.left; }
  get right() { return this.width - this.pad.right; }
  get top() { return this.pad.top; }
  get bottom() { return this.tall - this.pad.bottom; }

  px(x) {
    const [x0, x1] = this.range;
    return this.left + ((x - x0) / (x1 - x0)) * (this.right - this.left);
  }

  py(y) {
    const [, , y0, y1] = this.range;
    const part = this.log
      ? (Math.log10(y) - Math.log10(y0)) / (Math.log10(y1) - Math.log10(y0))
      : (y - y0) / (y1 - y0);
    return this.bottom - part * (this.bottom - this.top);
  }

  // Data coordinates under a mouse event; null outside the plot area.
  under(event, clamp = false) {
    if (!this.width) return null;
    const box = this.canvas.getBoundingClientRect();
    const grow = box.width / this.width; // 1, but for a zoomed presenter's page
    let px = (event.clientX - box.left) / grow;
    let py = (event.clientY - box.top) / grow;
    const inside = px >= this.left && px <= this.right && py >= this.top &&
      py <= this.bottom;
    if (!inside && !clamp) return null;
    px = Math.min(this.right, Math.max(this.left, px));
    py = Math.min(this.bottom, Math.max(this.top, py));
    const [x0, x1, y0, y1] = this.range;
    const [u, v] = [(px - this.left) / (this.right - this.left),
      (this.bottom - py) / (this.bottom - this.top)];
    return [x0 + u * (x1 - x0), this.log ? y0 * (y1 / y0) ** v : y0 + v * (y1 - y0)];
  }

  axes(nameX, nameY) {
    const { pen, theme } = this;
    const [x0, x1, y0, y1] = this.range;
    pen.lineWidth = 1;
    pen.strokeStyle = theme.soft;
    pen.strokeRect(this.left + 0.5, this.top + 0.5, this.right - this.left,
      this.bottom - this.top);
    pen.fillStyle = theme.ink;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const x of ticks(x0, x1, (this.right - this.left) / 70)) {
      pen.fillText(this.tickX(x), this.px(x), this.bottom + 5);
    }
    pen.fillText(nameX, (this.left + this.right) / 2, this.bottom + 21);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const [y, text] of this.marksY(y0, y1)) {
      pen.fillText(text, this.left - 6, this.py(y));
    }
    pen.save();
    pen.translate(9, (this.top + this.bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(nameY, 0, 0);
    pen.restore();
  }

  marksY(y0, y1) {
    if (!this.log) {
      const rows = (this.bottom - this.top) / 45;
      return ticks(y0, y1, rows).map((y) => [y, short(y)]);
    }
    const [low, high] = [Math.ceil(Math.log10(y0) - 1e-9),
      Math.floor(Math.log10(y1) + 1e-9)];
    const every = Math.max(1, Math.ceil((high - low) / ((this.bottom - this.top) / 34)));
    const out = [];
    for (let k = high; k >= low; k -= every) out.push([10 ** k, powerOfTen(k)]);
    if (high - low > 1) return out;
    for (let k = low - 1; k <= high; k += 1) { // within a decade or so: 2 and 5 too
      for (const value of [2 * 10 ** k, 5 * 10 ** k]) {
        if (value > y0 && value < y1) out.push([value, short(value)]);
      }
    }
    return out;
  }

  clip(draw) {
    const { pen } = this;
    pen.save();
    pen.beginPath();
    pen.rect(this.left, this.top, this.right - this.left, this.bottom - this.top);
    pen.clip();
    draw(pen);
    pen.restore();
  }

  // Keep a pixel position inside the plot area, so that a mark there can be seen.
  hold(px, py, edge = 7) {
    const x = Math.min(this.right - edge, Math.max(this.left + edge, px));
    const y = Math.min(this.bottom - edge, Math.max(this.top + edge, py));
    return [x, y, Math.abs(x - px) + Math.abs(y - py) > 0.5];
  }
}

// Loss values on a grid -> a picture and contour lines, both made once per surface.
export class Field {
  constructor(grid, n, bounds, lowest, log) {
    Object.assign(this, { grid, n, bounds, lowest, log });
    this.level = this.levels();
    this.lines = this.contours(13);
    this.bitmaps = new Map();
  }

  // 0 at the lowest loss, 1 at the highest; logarithmic where valleys would vanish.
  levels() {
    const above = Float32Array.from(this.grid, (z) => Math.max(0, z - this.lowest));
    if (this.log) {
      const sorted = Float32Array.from(above).sort();
      const unit = Math.max(sorted[Math.floor(sorted.length * 0.02)], 1e-6);
      for (let i = 0; i < above.length; i += 1) above[i] = Math.log1p(above[i] / unit);
    }
    let top = 1e-12;
    for (const value of above) if (Number.isFinite(value)) top = Math.max(top, value);
    return above.map((value) => Math.min(1, value / top));
  }

  // Marching squares: line pieces in grid units, flat as x0, y0, x1, y1.
  contours(count) {
    const { level, n } = this;
    const pieces = [];
    for (let k = 1; k < count; k += 1) {
      const at = k / count;
      for (let j = 0; j + 1 < n; j += 1) {
        for (let i = 0; i + 1 < n; i += 1) {
          const q = j * n + i;
          const [a, b, c, d] = [level[q], level[q + 1], level[q + n + 1], level[q + n]];
          const code = (a > at) | ((b > at) << 1) | ((c > at) << 2) | ((d > at) << 3);
          if (code === 0 || code === 15) continue;
          const cut = [];
          if ((a > at) !== (b > at)) cut.push(i + (at - a) / (b - a), j);
          if ((b > at) !== (c > at)) cut.push(i + 1, j + (at - b) / (c - b));
          if ((d > at) !== (c > at)) cut.push(i + (at - d) / (c - d), j + 1);
          if ((a > at) !== (d > at)) cut.push(i, j + (at - a) / (d - a));
          for (let m = 0; m + 3 < cut.length; m += 4) pieces.push(...cut.slice(m, m + 4));
        }
      }
    }
    return pieces;
  }

  bitmap(theme) {
    const key = theme.dark ? "dark" : "light";
    if (this.bitmaps.has(key)) return this.bitmaps.get(key);
    const [low, high] = theme.dark
      ? [[16, 22, 30], [70, 90, 112]] : [[255, 255, 255], [172, 190, 210]];
    const { n, level } = this;
    const canvas = element("canvas");
    canvas.width = n;
    canvas.height = n;
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(n, n);
    for (let j = 0; j < n; j += 1) {
      for (let i = 0; i < n; i += 1) {
        const part = level[j * n + i];
        const to = 4 * ((n - 1 - j) * n + i); // the first row of the grid lies below
        for (let c = 0; c < 3; c += 1) {
          image.data[to + c] = low[c] + (high[c] - low[c]) * part;
        }
        image.data[to + 3] = 255;
      }
    }
    pen.putImageData(image, 0, 0);
    this.bitmaps.set(key, canvas);
    return canvas;
  }

  // Painted anew only for another size or theme: many frames show the same field.
  draw(frame) {
    const { pen, theme } = frame;
    const [w, h] = [frame.right - frame.left, frame.bottom - frame.top];
    const key = [theme.dark, w, h, pen.getTransform().a].join();
    if (this.key !== key) {
      this.key = key;
      this.picture = this.paint(theme, w, h, pen.getTransform().a);
    }
    pen.drawImage(this.picture, frame.left, frame.top, w, h);
  }

  // The bitmap and the contour lines, w x h CSS pixels large.
  paint(theme, w, h, ratio) {
    const canvas = element("canvas");
    canvas.width = Math.max(1, Math.round(w * ratio));
    canvas.height = Math.max(1, Math.round(h * ratio));
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.lineJoin = "round";
    const [sx, sy] = [w / (this.n - 1), h / (this.n - 1)];
    pen.imageSmoothingEnabled = true;
    // grid points are the centres of the bitmap's pixels: half a pixel hangs over
    pen.drawImage(this.bitmap(theme), -sx / 2, -sy / 2, w + sx, h + sy);
    pen.beginPath();
    for (let m = 0; m < this.lines.length; m += 4) {
      pen.moveTo(this.lines[m] * sx, h - this.lines[m + 1] * sy);
      pen.lineTo(this.lines[m + 2] * sx, h - this.lines[m + 3] * sy);
    }
    pen.lineWidth = 1;
    pen.strokeStyle = theme.dark ? "rgba(200,220,240,0.30)" : "rgba(40,60,90,0.28)";
    pen.stroke();
    return canvas;
  }

  // The loss between grid points, by bilinear interpolation.
  at(x, y) {
    const [x0, x1, y0, y1] = this.bounds;
    const n = this.n;
    const u = Math.min(n - 1.001, Math.max(0, ((x - x0) / (x1 - x0)) * (n - 1)));
    const v = Math.min(n - 1.001, Math.max(0, ((y - y0) / (y1 - y0)) * (n - 1)));
    const [i, j] = [Math.floor(u), Math.floor(v)];
    const [s, t] = [u - i, v - j];
    const g = (a, b) => this.grid[(j + b) * n + i + a];
    return (1 - t) * ((1 - s) * g(0, 0) + s * g(1, 0)) +
      t * ((1 - s) * g(0, 1) + s * g(1, 1));
  }
}

// Marks that differ in shape, for those who cannot tell the colours apart.
const outlines = {
  circle: (p, x, y, r) => p.arc(x, y, r, 0, 7),
  square: (p, x, y, r) => p.rect(x - r, y - r, 2 * r, 2 * r),
  diamond: (p, x, y, r) => polygon(p, x, y, 1.35 * r, 4, 0),
  up: (p, x, y, r) => polygon(p, x, y, 1.35 * r, 3, 0),
  down: (p, x, y, r) => polygon(p, x, y, 1.35 * r, 3, Math.PI),
  left: (p, x, y, r) => polygon(p, x, y, 1.35 * r, 3, -Math.PI / 2),
  right: (p, x, y, r) => polygon(p, x, y, 1.35 * r, 3, Math.PI / 2),
  hexagon: (p, x, y, r) => polygon(p, x, y, 1.2 * r, 6, 0),
};

function polygon(pen, x, y, r, corners, turn) {
  for (let k = 0; k < corners; k += 1) {
    const a = turn + (2 * Math.PI * k) / corners;
    pen.lineTo(x + r * Math.sin(a), y - r * Math.cos(a));
  }
  pen.closePath();
}

export function mark(pen, style, theme, x, y, radius = 5) {
  pen.beginPath();
  outlines[style.mark](pen, x, y, radius);
  pen.fillStyle = theme.dark ? style.dark : style.light;
  pen.fill();
  pen.lineWidth = 1.5;
  pen.strokeStyle = theme.back;
  pen.setLineDash([]);
  pen.stroke();
}

// Line and mark of one racer, 30 pixels wide, as legends show them.
export function swatch(pen, style, theme, x, y) {
  polyline(pen, style, theme, 2, (k) => [x + 30 * k, y]);
  mark(pen, style, theme, x + 15, y, 4.2);
}

export function cross(pen, colour, theme, x, y, radius = 6) {
  for (const [width, paint] of [[5, theme.back], [2.4, colour]]) {
    pen.beginPath();
    pen.moveTo(x - radius, y - radius);
    pen.lineTo(x + radius, y + radius);
    pen.moveTo(x - radius, y + radius);
    pen.lineTo(x + radius, y - radius);
    pen.setLineDash([]);
    pen.lineWidth = width;
    pen.strokeStyle = paint;
    pen.stroke();
  }
}

// The part of the line from a to b inside the box (x0, y0, x1, y1), or null: Liang and
// Barsky, "A new concept and method for line clipping", 1984.
export function clipped([ax, ay], [bx, by], [x0, y0, x1, y1]) {
  const [dx, dy] = [bx - ax, by - ay];
  let [from, to] = [0, 1];
  for (const [step, room] of [[-dx, ax - x0], [dx, x1 - ax], [-dy, ay - y0],
    [dy, y1 - ay]]) {
    if (step === 0 && room < 0) return null;
    if (step < 0) from = Math.max(from, room / step);
    if (step > 0) to = Math.min(to, room / step);
  }
  if (!(from <= to)) return null;
  const at = (t) => (t === 0 ? [ax, ay] : t === 1 ? [bx, by]
    : [ax + t * dx, ay + t * dy]);
  return [at(from), at(to)];
}

// A polyline through count points; pick(k) gives [px, py] or null for a gap. Lines that
// lead far off the canvas end a little outside it: the dashes of one that is a million
// pixels long would take a second to draw.
export function polyline(pen, style, theme, count, pick, width = 2) {
  const { width: w, height: h } = pen.canvas;
  const box = [-w, -h, 2 * w, 2 * h];
  pen.beginPath();
  let [last, end] = [null, null]; // the last point, and where the pen is
  for (let k = 0; k < count; k += 1) {
    const at = pick(k);
    const part = last && at ? clipped(last, at, box) : null;
    if (part) {
      if (!end || end[0] !== part[0][0] || end[1] !== part[0][1]) pen.moveTo(...part[0]);
      pen.lineTo(...part[1]);
      end = part[1];
    }
    last = at;
  }
  pen.setLineDash(style.dash);
  pen.lineWidth = width;
  pen.strokeStyle = theme.dark ? style.dark : style.light;
  pen.stroke();
  pen.setLineDash([]);
}

// Loss against step for several racers, with a cursor line at the step shown.
export class Curves {
  constructor(label, nameX, nameY) {
    this.frame = new Frame(label, 300);
    this.nameX = nameX;
    this.nameY = nameY;
  }

  // series: [{style, values, count}]; values are what is plotted, NaN where none.
  draw(theme, series, last, cursor, log) {
    const { frame } = this;
    const pen = frame.begin(theme);
    if (!pen) return;
    frame.log = log;
    frame.range = [0, Math.max(1, last), ...this.extent(series, log)];
    frame.axes(this.nameX, this.nameY);
    const [, , low, high] = frame.range;
    frame.clip(() => {
      pen.beginPath();
      pen.moveTo(frame.px(cursor), frame.top);
      pen.lineTo(frame.px(cursor), frame.bottom);
      pen.strokeStyle = theme.soft;
      pen.lineWidth = 1;
      pen.stroke();
      for (const { style, values, count } of series) {
        polyline(pen, style, theme, count, (k) => Number.isNaN(values[k]) ? null
          : [frame.px(k), frame.py(Math.min(high, Math.max(low, values[k])))]);
        const k = count - 1;
        if (k < 0 || Number.isNaN(values[k])) continue;
        this.tip(pen, style, theme, k, values[k]);
      }
    });
  }

  // The newest point of a curve: it is all there is to see after no step.
  tip(pen, style, theme, x, value) {
    const { frame } = this;
    const [, , low, high] = frame.range;
    const at = frame.hold(frame.px(x), frame.py(Math.min(high, Math.max(low, value))), 4);
    mark(pen, style, theme, at[0], at[1], 3.6);
  }

  // The start sets the top: what explodes leaves through it instead of flattening all.
  extent(series, log) {
    let [low, high, first] = [Infinity, -Infinity, 0];
    for (const { values } of series) {
      first = Math.max(first, values[0] || 0);
      for (const value of values) {
        if (!Number.isFinite(value) || (log && value <= 0)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (!Number.isFinite(low)) return log ? [0.1, 10] : [0, 1];
    high = Math.min(high, Math.max(first, low) * (log ? 30 : 3) || high);
    if (!log) return [Math.min(0, low), high > low ? high * 1.04 : low + 1];
    low = Math.max(low, high * 1e-14);
    return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.01))];
  }
}
