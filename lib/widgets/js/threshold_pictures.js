// The left and the upper part of the threshold widget: the scores of both classes with
// the rug of examples, the confusion matrix, the rates and the worst mistakes.
import { element } from "./core.js";
import { View, short } from "./ui.js";
import { Frame, mark, polyline } from "./plot.js";
import { colour } from "./heat.js";
import { RATES, amount, rounded, wilson } from "./threshold_scores.js";

export const NEGATIVE = { light: "#0072b2", dark: "#4da3e0", dash: [], mark: "square" };
export const POSITIVE = { light: "#d55e00", dark: "#ff9a5c", dash: [], mark: "diamond" };
export const THERE = { light: "#111111", dark: "#ffffff", dash: [], mark: "circle" };
const COLUMNS = 40; // of the histogram
export const WRONG = 5; // rows of the list of mistakes

// Black or white, whichever is easier to read on a colour "rgb(...)".
function inkOn(paint) {
  const light = (text) => {
    const v = Number(text) / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  };
  const [r, g, b] = paint.match(/\d+/g).slice(0, 3).map(light);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

export class ThresholdPictures extends View {
  // ---- axes and what is kept between two pictures --------------------------------------

  get stretched() {
    return this.values.stretch && this.scores.probable;
  }

  toAxis(t) {
    if (!this.stretched) return t;
    const p = Math.min(1 - 1e-6, Math.max(1e-6, t));
    const [left, right] = this.extent;
    return Math.min(right, Math.max(left, Math.log(p / (1 - p))));
  }

  fromAxis(x) {
    if (!this.stretched) return x;
    const [left, right] = this.extent;
    if (x <= left) return 0;
    return x >= right ? 1 : 1 / (1 + Math.exp(-x));
  }

  get extent() {
    const { scores } = this;
    if (!this.stretched) return [scores.low, scores.high];
    return this.keep("extent", [], () => {
      const odds = (p) => Math.log(p / (1 - p));
      const hold = (p) => odds(Math.min(1 - 1e-6, Math.max(1e-6, p)));
      return [hold(scores.score[scores.N - 1]) - 0.5, hold(scores.score[0]) + 0.5];
    });
  }

  // Compute something again only when what it depends on has changed.
  keep(name, on, make) {
    const key = JSON.stringify(on);
    if (this.cache[name]?.key !== key) this.cache[name] = { key, value: make() };
    return this.cache[name].value;
  }

  get weighting() {
    return this.values.other_share ? this.values.prevalence : null;
  }

  get curves() {
    return this.keep("curves", [this.weighting], () => this.scores.points());
  }

  // ---- drawing ---------------------------------------------------------------------------

  draw(now) {
    if (!this.scores) return;
    this.scores.weigh(this.weighting);
    this.advance(now);
    const k = this.scores.above(this.values.threshold);
    this.k = k;
    this.numbers = this.scores.rates(k);
    this.drawHist(k);
    this.drawTables(k);
    this.drawCurves(k);
    this.drawReliable();
    this.drawPrice(k);
    this.drawReadout(k);
    this.root.dataset.position = String(this.values.threshold);
    this.root.dataset.above = String(k);
    this.root.dataset.playing = String(this.playing);
  }

  paint({ light, dark }) {
    return this.theme.dark ? dark : light;
  }

  bars() {
    const [left, right] = this.extent;
    return this.keep("bars", [this.weighting, this.stretched], () => {
      const { scores } = this;
      const out = [new Float64Array(COLUMNS), new Float64Array(COLUMNS)];
      for (let i = 0; i < scores.N; i += 1) {
        const at = ((this.toAxis(scores.score[i]) - left) / (right - left)) * COLUMNS;
        const bin = Math.min(COLUMNS - 1, Math.max(0, Math.floor(at)));
        out[scores.truth[i]][bin] += scores.truth[i] ? scores.wP : scores.wN;
      }
      return out;
    });
  }

  drawHist(k) {
    const { hist, theme, scores } = this;
    const [left, right] = this.extent;
    const bars = this.bars();
    const top = 1.12 * Math.max(...bars[0], ...bars[1]);
    hist.range = [left, right, -0.2 * top, top];
    const pen = hist.begin(theme);
    if (!pen) return;
    const at = hist.px(this.toAxis(this.values.threshold));
    hist.clip(() => {
      pen.fillStyle = theme.dark ? "rgba(255,154,92,0.10)" : "rgba(213,94,0,0.07)";
      pen.fillRect(at, hist.top, hist.right - at, hist.bottom - hist.top);
      bars.forEach((heights, label) => this.drawBars(heights, label));
      this.drawRug(k);
      pen.strokeStyle = theme.ink;
      pen.lineWidth = 1;
      pen.strokeRect(hist.left, hist.py(0), hist.right - hist.left, 0);
      polyline(pen, THERE, theme, 2, (i) => [at, i ? hist.top : hist.bottom], 2.5);
      pen.fillStyle = theme.ink;
      pen.textBaseline = "top";
      const [no, yes] = [`← said ${this.names[0]}`, `said ${this.names[1]} →`];
      pen.textAlign = "right";
      if (pen.measureText(no).width + 12 < at - hist.left) {
        pen.fillText(no, at - 8, hist.top + 5);
      }
      pen.textAlign = "left";
      if (pen.measureText(yes).width + 12 < hist.right - at) {
        pen.fillText(yes, at + 8, hist.top + 5);
      }
    });
    const name = `score for ${this.names[1]}`;
    hist.axes(this.stretched ? `${name}, as log-odds ln(p / (1 − p))` : name, "examples");
    const count = scores.N - scores.P;
    [count, scores.P].forEach((n, label) => {
      const style = label ? POSITIVE : NEGATIVE;
      this.keys[label].style.borderColor = this.paint(style);
      this.keys[label].style.background = label
        ? `repeating-linear-gradient(135deg, ${this.paint(style)} 0 1.5px, transparent 0 5px)`
        : `${this.paint(style)}66`;
      const text = `${this.names[label]}: ${n} examples`;
      if (this.counts[label].textContent !== text) this.counts[label].textContent = text;
    });
  }

  // Class 0 filled, class 1 hatched, both outlined: told apart without colour.
  drawBars(heights, label) {
    const { hist } = this;
    const { pen } = hist;
    const wide = (hist.right - hist.left) / COLUMNS;
    const [base, paint] = [hist.py(0), this.paint(label ? POSITIVE : NEGATIVE)];
    const outline = () => {
      pen.beginPath();
      heights.forEach((height, i) => {
        if (height) pen.rect(hist.left + i * wide, hist.py(height), wide,
          base - hist.py(height));
      });
    };
    outline();
    pen.strokeStyle = paint;
    pen.fillStyle = paint;
    pen.lineWidth = 1.4;
    pen.save();
    pen.globalAlpha = label ? 0.12 : 0.35;
    pen.fill();
    pen.restore();
    pen.stroke();
    if (!label) return;
    pen.save();
    pen.clip();
    pen.beginPath();
    for (let x = hist.left - hist.tall; x < hist.right; x += 7) {
      pen.moveTo(x, base);
      pen.lineTo(x + hist.tall, base - hist.tall);
    }
    pen.lineWidth = 1;
    pen.stroke();
    pen.restore();
  }

  // A line for each example under the bars; those on the wrong side stand out.
  drawRug(k) {
    const { hist, scores, theme } = this;
    const { pen } = hist;
    const [base, band] = [hist.py(0), hist.bottom - hist.py(0)];
    for (const wrong of [false, true]) {
      for (const label of [0, 1]) {
        pen.beginPath();
        for (let i = 0; i < scores.N; i += 1) {
          if (scores.truth[i] !== label || wrong !== ((i < k) !== Boolean(label))) continue;
          const x = hist.px(this.toAxis(scores.score[i]));
          const y = base + band * (label ? 0.06 : 0.53);
          pen.moveTo(x, y);
          pen.lineTo(x, y + band * 0.4);
        }
        pen.strokeStyle = wrong ? theme.ink : this.paint(label ? POSITIVE : NEGATIVE);
        pen.lineWidth = wrong ? 1.6 : 1;
        pen.globalAlpha = wrong ? 0.9 : 0.5;
        pen.stroke();
        pen.globalAlpha = 1;
      }
    }
    if (this.shown === null || this.shown === undefined) return;
    const x = hist.px(this.toAxis(scores.score[this.shown]));
    const style = scores.truth[this.shown] ? POSITIVE : NEGATIVE;
    mark(pen, style, theme, x, base + band * (scores.truth[this.shown] ? 0.26 : 0.73), 6);
  }

  // The example under the pointer: the nearest of the class whose band it is in.
  get shown() {
    if (this.hovered !== null) return this.hovered;
    const { pointer, hist, scores } = this;
    if (!pointer?.at || pointer.frame !== hist) return null;
    const [x, y] = pointer.at;
    if (y > 0) return null;
    const label = y > hist.range[2] / 2 ? 1 : 0;
    const near = scores.above(this.fromAxis(x));
    for (let step = 0; step <= scores.N; step += 1) {
      const both = [near - 1 - step, near + step].filter((i) =>
        scores.truth[i] === label);
      if (!both.length) continue;
      const far = (i) => Math.abs(this.toAxis(scores.score[i]) - x);
      const best = both.sort((a, b) => far(a) - far(b))[0];
      const pixels = (far(best) / (hist.range[1] - hist.range[0]))
        * (hist.right - hist.left);
      return pixels < 12 ? best : null;
    }
    return null;
  }

  drawTables(k) {
    const { scores, theme } = this;
    const cells = scores.cells(k);
    const plain = scores.cells(k, true);
    this.cells.forEach(({ node, count, part }, i) => {
      const share = cells[i] / (i < 2 ? cells[0] + cells[1] : cells[2] + cells[3]);
      const right = i === 0 || i === 3;
      node.style.background = colour("signed", theme.dark, 0.5 + (right ? 0.36 : -0.36)
        * share);
      node.style.color = inkOn(node.style.background);
      count.textContent = amount(cells[i]);
      part.textContent = `${(100 * share).toFixed(1)} % of ${this.names[i < 2 ? 0 : 1]}`;
    });
    for (const [name, , , up, down] of RATES) {
      const row = this.rows.get(name);
      const text = (which) => (which.length === 4 && name === "accuracy"
        ? amount(scores.N) : this.sum(which, cells));
      const divisor = down.length > 1 && name !== "accuracy" ? `(${text(down)})`
        : text(down);
      row.numbers.textContent = `${up.length > 1 && name !== "f1" ? `(${text(up)})`
        : text(up)} / ${divisor}`;
      row.value.textContent = rounded(this.numbers[name]);
      const total = (which) => which.reduce((s, c) => s + plain[c], 0);
      const weighted = this.weighting !== null && ["accuracy", "precision"].includes(name);
      const found = name === "f1" || weighted ? this.intervals[name]
        : wilson(total(up), total(down));
      row.between.textContent = this.between(found);
    }
    this.drawMistakes(k);
  }

  between(found) {
    return found ? `${rounded(found[0])} – ${rounded(found[1])}` : "–";
  }

  // "12 + 3", with a cell that counts twice as "2 · 12".
  sum(which, cells) {
    const parts = [];
    for (const c of new Set(which)) {
      const times = which.filter((other) => other === c).length;
      parts.push(`${times > 1 ? `${times} · ` : ""}${amount(cells[c])}`);
    }
    return parts.join(" + ");
  }

  drawMistakes(k) {
    const { scores } = this;
    this.mistaken = this.keep("mistakes", [k, this.values.threshold], () => {
      const found = []; // from both ends: the furthest from the threshold first
      const far = (i) => Math.abs(this.toAxis(scores.score[i])
        - this.toAxis(this.values.threshold));
      for (let i = 0, n = 0; i < k && n < WRONG; i += 1) {
        if (!scores.truth[i]) { found.push(i); n += 1; }
      }
      for (let i = scores.N - 1, n = 0; i >= k && n < WRONG; i -= 1) {
        if (scores.truth[i]) { found.push(i); n += 1; }
      }
      return found.sort((a, b) => far(b) - far(a)).slice(0, WRONG);
    });
    this.mistakes.forEach(([number, score, what], row) => {
      const i = this.mistaken[row];
      const none = i === undefined;
      number.textContent = none ? "–" : `#${scores.order[i]}`;
      score.textContent = none ? "" : short(scores.score[i]);
      what.textContent = none ? "" : i < k ? "false alarm" : "missed";
    });
  }
}
