// The panels beside the attention maps: one pair explained step by step, what a change
// does to the output, and the curve of a training.
import { element } from "./core.js";
import { short } from "./ui.js";
import { polyline } from "./plot.js";
import { KEY, Panel, QUERY, ink, word } from "./attention_head.js";

const PLUS = { light: "#0072b2", dark: "#4da3e0", dash: [] };
const MINUS = { light: "#d55e00", dark: "#ff9a5c", dash: [6, 3] };

// Query, key and their products, number by number.
export class PairBars extends Panel {
  constructor() {
    super("Query, key and their products, dimension by dimension", () => 236,
      { left: 58, right: 10, top: 6, bottom: 34 });
  }

  draw(theme, { exact, pair, id, layer, head, dimension }) {
    this.show(theme, [id, layer, head, pair, Boolean(exact), dimension].join("|"),
      (pen) => {
        if (!exact) return;
        const { D } = exact;
        this.range = [0, D, 0, 1];
        const q = exact.q.subarray(pair[0] * D, (pair[0] + 1) * D);
        const k = exact.k.subarray(pair[1] * D, (pair[1] + 1) * D);
        const tall = (this.bottom - this.top) / 3;
        if (dimension !== null) {
          pen.fillStyle = theme.faint;
          pen.fillRect(this.px(dimension), this.top, this.px(1) - this.px(0),
            this.bottom - this.top);
        }
        this.stripe(pen, theme, "query", ink(QUERY, theme), q, 0, tall);
        this.stripe(pen, theme, "key", ink(KEY, theme), k, tall, tall);
        this.stripe(pen, theme, "q × k", theme.ink, q.map((v, d) => v * k[d]), 2 * tall,
          tall);
        pen.fillStyle = theme.ink;
        pen.textAlign = "center";
        pen.textBaseline = "top";
        for (let d = 0; d < D; d += Math.max(1, Math.ceil(D / 16))) {
          pen.fillText(String(d), this.px(d + 0.5), this.bottom + 4);
        }
        pen.fillText("dimension of query and key", (this.left + this.right) / 2,
          this.bottom + 19);
      });
  }

  stripe(pen, theme, name, paint, values, from, tall) {
    const most = Math.max(1e-9, ...values.map(Math.abs));
    const zero = this.top + from + tall / 2;
    const half = tall / 2 - 5;
    pen.fillStyle = paint;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.fillText(name, this.left - 6, zero - 8);
    pen.fillStyle = theme.soft;
    pen.fillText(`±${short(most)}`, this.left - 6, zero + 8);
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(this.left + 0.5, this.top + from + 1.5, this.right - this.left - 1,
      tall - 3);
    pen.fillRect(this.left, zero - 0.5, this.right - this.left, 1);
    const wide = (this.right - this.left) / values.length;
    values.forEach((value, d) => {
      const high = (half * value) / most;
      pen.fillStyle = ink(value < 0 ? MINUS : PLUS, theme);
      pen.fillRect(this.left + d * wide + 1, zero - Math.max(0, high),
        Math.max(1, wide - 2), Math.abs(high));
    });
  }
}

// The five steps from a query and a key to a weight, as numbers.
export function steps(exact, look, [i, j]) {
  const { q, k, D } = exact;
  const { T } = look;
  const dot = (key) => {
    let sum = 0;
    for (let d = 0; d < D; d += 1) sum += q[i * D + d] * k[key * D + d];
    return sum;
  };
  const root = look.scaled ? Math.sqrt(D) : 1;
  const scores = Array.from({ length: T }, (_, key) =>
    (look.allowed(i, key) ? dot(key) / root / look.temperature : -Infinity));
  const top = Math.max(...scores);
  const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
  const raw = dot(j);
  const weight = Number.isFinite(top) ? Math.exp(scores[j] - top) / sum : 0;
  const open = scores.filter(Number.isFinite).length;
  const fixed = (value) => (Number.isFinite(value) ? value.toFixed(3) : "−∞")
    .replace("-", "−");
  return { weight, rows: [
    ["q · k", `sum of ${D} products`, fixed(raw)],
    [`÷ √${D}`, look.scaled ? `${fixed(raw)} ÷ ${fixed(root)}` : "scaling is off",
      fixed(raw / root)],
    ["÷ temperature", `${fixed(raw / root)} ÷ ${short(look.temperature)}`,
      fixed(raw / root / look.temperature)],
    ["mask", look.allowed(i, j) ? "may look" : "may not look",
      fixed(scores[j])],
    ["softmax", `share of ${open} ${open === 1 ? "key" : "keys"}`,
      weight.toFixed(4)],
  ] };
}

// The same five steps as a table that keeps its size.
export class StepTable {
  constructor() {
    this.cells = Array.from({ length: 5 }, () => [element("th", { scope: "row" }),
      element("td"), element("td", { class: "lm-number" })]);
    this.node = element("table", { class: "lm-steps", "aria-label":
      "From query and key to the weight" },
    element("tbody", {}, ...this.cells.map((row) => element("tr", {}, ...row))));
  }

  show(rows) {
    rows.forEach((row, r) => row.forEach((text, c) => {
      const cell = this.cells[r][c];
      if (cell.textContent !== text) cell.textContent = text;
    }));
  }
}

// How far the output of each token moved, as bars.
export class MovedBars extends Panel {
  constructor() {
    super("How far the output of each token moved", () => 236,
      { left: 58, right: 10, top: 10, bottom: 84 });
  }

  draw(theme, { look, id, token }) {
    this.show(theme, [id, token, look.moved.join()].join("|"), (pen) => {
      const { moved, tokens } = look;
      const N = moved.length;
      const most = Math.max(0.01, ...moved);
      this.range = [0, N, 0, most * 1.08];
      pen.font = theme.font;
      pen.fillStyle = theme.ink;
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      for (const [y, text] of this.marksY(0, most * 1.08)) {
        pen.fillText(text, this.left - 6, this.py(y));
        pen.fillRect(this.left - 3, this.py(y), 3, 1);
      }
      const wide = this.px(1) - this.px(0);
      for (let t = 0; t < N; t += 1) {
        pen.fillStyle = t === token ? ink(QUERY, theme) : ink(PLUS, theme);
        const y = this.py(moved[t]);
        pen.fillRect(this.px(t) + Math.min(2, wide / 5), Math.min(y, this.bottom - 1),
          Math.max(1, wide - Math.min(4, wide / 2.5)), Math.max(1, this.bottom - y));
      }
      pen.strokeStyle = theme.soft;
      pen.strokeRect(this.left + 0.5, this.top + 0.5, this.right - this.left,
        this.bottom - this.top);
      if (!look.changed) {
        pen.fillStyle = theme.soft;
        pen.textAlign = "center";
        pen.fillText("Nothing is changed: no output moved.", (this.left + this.right) / 2,
          (this.top + this.bottom) / 2);
      }
      this.names(pen, theme, tokens, wide, token);
      pen.save();
      pen.translate(10, (this.top + this.bottom) / 2);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "center";
      pen.fillStyle = theme.ink;
      pen.fillText("moved", 0, 0);
      pen.restore();
    });
  }

  names(pen, theme, tokens, wide, token) {
    const every = Math.ceil(13 / wide);
    for (let t = 0; t < this.range[1]; t += 1) {
      const near = Math.abs(t - token) * wide < 12;
      const shown = t === token || (t % every === 0 && (token === null || !near));
      if (!shown) continue;
      pen.save();
      pen.translate(this.px(t + 0.5), this.bottom + 6);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "right";
      pen.fillStyle = t === token ? ink(QUERY, theme) : theme.ink;
      pen.fillText(word(tokens[t], 12), 0, 0);
      pen.restore();
    }
  }
}

// Loss and share of right answers while the model trains.
export class Learning extends Panel {
  constructor() {
    super("Loss and accuracy while the model learns", () => 180,
      { left: 58, right: 48, top: 10, bottom: 38 });
  }

  draw(theme, { curve, run, shown, goal }) {
    this.show(theme, [run, curve.length, shown, goal].join("|"), (pen) => {
      const last = Math.max(goal, curve.length ? curve[curve.length - 1][0] : 1);
      const high = Math.max(...curve.map((row) => row[1]).filter(Number.isFinite), 0.1);
      this.range = [0, last, 0, 1.05 * high];
      this.axes("step", "loss");
      pen.fillStyle = ink(MINUS, theme);
      pen.textAlign = "left";
      for (const part of [0, 0.5, 1]) {
        pen.fillText(`${100 * part} %`, this.right + 5, this.py(part * high));
      }
      this.clip(() => {
        const line = (style, pick) => polyline(pen, style, theme, curve.length, (k) =>
          [this.px(curve[k][0]), this.py(pick(curve[k]))]);
        line(PLUS, (row) => row[1]);
        line(MINUS, (row) => row[2] * high);
        pen.fillStyle = theme.soft;
        pen.fillRect(this.px(shown), this.top, 1, this.bottom - this.top);
        pen.textAlign = "right";
        pen.fillStyle = ink(PLUS, theme);
        pen.fillText("loss —", this.right - 80, this.top + 12);
        pen.fillStyle = ink(MINUS, theme);
        pen.fillText("accuracy - -", this.right - 6, this.top + 12);
      });
    });
  }
}
