// The two curves of the sequence widget: how much of the gradient arrives how many steps
// before the end, and the accuracy while the cells train.
import { short } from "./ui.js";
import { SteppingView } from "./stepping.js";
import { mark, polyline } from "./plot.js";

export const LOOKS = {
  rnn: { light: "#d55e00", dark: "#ff9a5c", dash: [], mark: "square" },
  gru: { light: "#009e73", dark: "#2ccba0", dash: [], mark: "up" },
  lstm: { light: "#0072b2", dark: "#4da3e0", dash: [], mark: "circle" },
};
export const LABELS = { rnn: "RNN", gru: "GRU", lstm: "LSTM" };
const FLOOR = 1e-12; // of the logarithmic axis: what is smaller has vanished

// What sequence.js shows has reach and score (frames), kinds, records, shown, reached,
// taken, pointed and values.
export class GradientCurves extends SteppingView {
  get record() {
    return this.records[this.shown === null ? this.records.length - 1 : this.shown];
  }

  // Share of the gradient at the end that arrives d steps before it.
  share(record, k) {
    const T = this.reached;
    const which = this.values.of === "input" ? 0 : 1;
    const row = record.reach.subarray((2 * k + which) * T, (2 * k + which + 1) * T);
    return Array.from({ length: T }, (_, d) => row[T - 1 - d] / row[T - 1]);
  }

  curves() {
    const out = [];
    if (!this.records.length) return out;
    this.kinds.forEach((kind, k) => {
      const style = LOOKS[kind];
      out.push({ kind, style: { ...style, dash: [3, 4] }, width: 1.5, when: "before",
        values: this.share(this.records[0], k) });
      if (this.record !== this.records[0]) {
        out.push({ kind, style, width: 2.5, when: "now",
          values: this.share(this.record, k) });
      }
    });
    return out;
  }

  drawReach() {
    const { reach, theme } = this;
    const curves = this.curves();
    let [low, high] = [1, 1];
    for (const { values } of curves) {
      for (const value of values) {
        if (value > FLOOR) low = Math.min(low, value);
        else low = FLOOR;
        if (Number.isFinite(value)) high = Math.max(high, value);
      }
    }
    reach.log = true;
    reach.range = [0, Math.max(1, (this.reached || 2) - 1),
      10 ** Math.floor(Math.log10(low) - 0.01), 10 ** Math.ceil(Math.log10(high) + 0.01)];
    const pen = reach.begin(theme);
    if (!pen) return;
    reach.axes("distance from the end, steps", "gradient / gradient at the end");
    const [, , bottom] = reach.range;
    reach.clip(() => {
      for (const { style, values, width } of curves) {
        const at = (d) => [reach.px(d), reach.py(Math.max(bottom, values[d] || 0))];
        polyline(pen, style, theme, values.length, at, width);
        const every = Math.max(1, Math.round(values.length / 8));
        for (let d = 0; width > 2 && d < values.length; d += every) {
          mark(pen, style, theme, ...at(d), 3.4);
        }
      }
    });
    this.drawKey(pen);
    this.tellReach(curves);
  }

  drawKey(pen) {
    const { reach, theme } = this;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    let x = reach.left + 10;
    const y = 12;
    for (const kind of this.kinds) {
      mark(pen, LOOKS[kind], theme, x + 5, y, 4.2);
      pen.fillStyle = theme.ink;
      pen.fillText(LABELS[kind], x + 14, y);
      x += 62;
    }
    pen.fillStyle = theme.soft;
    pen.fillText("dotted: before training", x, y);
  }

  tellReach(curves) {
    const d = this.pointed ? Math.round(this.pointed[0]) : (this.reached || 1) - 1;
    const text = curves.length ? `${d} steps before the end: ${curves.map(({ kind, when,
      values }) => `${LABELS[kind]} ${when} ${short(values[d])}`).join(" · ")}` : "\u00a0";
    if (this.reachLine.textContent !== text) this.reachLine.textContent = text;
  }

  drawScore(step) {
    const { score, theme, records } = this;
    score.range = [0, Math.max(this.values.steps, this.taken), 0, 1.04];
    const pen = score.begin(theme);
    if (!pen) return;
    score.axes("training step", "accuracy on 200 sequences");
    score.clip(() => {
      for (const [paint, x0, y0, x1, y1, dash] of [[theme.faint, 0, 0.25,
        score.range[1], 0.25, [4, 4]], [theme.soft, step, 0, step, 1.04, []]]) {
        polyline(pen, { light: paint, dark: paint, dash }, theme, 2, (k) =>
          (k ? [score.px(x1), score.py(y1)] : [score.px(x0), score.py(y0)]), 1);
      }
      this.kinds.forEach((kind, k) => {
        const at = (r) => [score.px(records[r].step), score.py(records[r].accuracies[k])];
        polyline(pen, LOOKS[kind], theme, records.length, at);
        for (let r = 0; r < records.length; r += Math.ceil(records.length / 10)) {
          mark(pen, LOOKS[kind], theme, ...at(r), 4);
        }
      });
    });
    pen.textAlign = "right";
    pen.textBaseline = "bottom";
    pen.fillStyle = theme.soft;
    pen.fillText("guessing: 0.25", score.right - 6, score.py(0.25) - 2);
  }
}
