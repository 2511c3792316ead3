// What the regularisation widget draws of one moment: the boundaries over the points,
// the curves so far, and the weights as a histogram and sorted by size.
import { element } from "./core.js";
import { short } from "./ui.js";
import { TrainingView } from "./training.js";
import { Curves, Frame, mark, polyline } from "./plot.js";
import { bitmap, colourBar, drawBitmap } from "./heat.js";

export const HELD = { light: "#0072b2", dark: "#4da3e0", dash: [], mark: "circle" };
export const FREE = { light: "#7a7a7a", dark: "#a8a8a8", dash: [], mark: "square" };
const ONE = { light: "#8f3b00", dark: "#ffb07a", dash: [], mark: "circle" };
const ZERO = { light: "#003a63", dark: "#9fd0f5", dash: [], mark: "square" };
const LEAST = 1e-6; // below it the axis of the sizes ends

export class RegularisationPictures extends TrainingView {
  constructor(root, link) {
    super(root, link);
    this.map = new Frame("Decision boundary with regularisation, and without in grey", 400);
    this.map.square = true;
    this.map.pad = { ...this.map.pad, bottom: 62 };
    this.curves = new Curves("Training and validation loss against step", "step", "loss");
    this.curves.frame.neighbour = this.map;
    this.bars = new Frame("Histogram of the weights", 230);
    this.sizes = new Frame("Sizes of the weights, sorted", 230);
    this.sizes.log = true;
  }

  get pictures() {
    return [this.map, this.curves.frame, this.bars, this.sizes];
  }

  // The records on show: [with, without], each the newest at or before the position.
  get shown() {
    return this.runs.map((records) => records[Math.max(1, this.count(records)) - 1]);
  }

  count(records) {
    if (this.position === null) return records.length;
    let count = 0;
    while (count < records.length && records[count].step <= this.position) count += 1;
    return count;
  }

  drawMap() {
    const { map, theme, points } = this;
    map.range = this.bounds;
    const pen = map.begin(theme);
    if (!pen) return;
    const [held, free] = this.shown;
    map.clip(() => {
      const n = this.grid;
      const [w, h] = [map.right - map.left, map.bottom - map.top];
      const [sx, sy] = [w / (n - 1), h / (n - 1)];
      if (held.theme !== theme.dark) {
        // row 0 of a record lies below, that of a bitmap on top; orange is class 1
        held.bitmap = bitmap(n, n, (k) => {
          const row = n - 1 - Math.floor(k / n);
          return 0.5 - 0.36 * (held.map[row * n + (k % n)] / 127.5 - 1);
        }, "signed", theme.dark);
        held.theme = theme.dark;
      }
      drawBitmap(pen, held.bitmap, map.left - sx / 2, map.top - sy / 2, w + sx, h + sy,
        true);
      this.drawJudges(pen);
      for (const [record, style, width] of [[free, FREE, 2], [held, HELD, 3]]) {
        record.line ||= boundary(record.map, n);
        pen.beginPath();
        for (let m = 0; m < record.line.length; m += 4) {
          const [a, b, c, d] = record.line.slice(m, m + 4);
          pen.moveTo(map.left + a * sx, map.bottom - b * sy);
          pen.lineTo(map.left + c * sx, map.bottom - d * sy);
        }
        pen.strokeStyle = style === FREE ? this.paint(FREE) : theme.ink;
        pen.lineWidth = width;
        pen.stroke();
      }
      for (const [x, y, label, wrong] of points) {
        const [px, py] = [map.px(x), map.py(y)];
        mark(pen, label ? ONE : ZERO, theme, px, py, 4.5);
        if (!wrong) continue;
        pen.beginPath();
        pen.arc(px, py, 8, 0, 7);
        pen.strokeStyle = theme.ink;
        pen.lineWidth = 1.3;
        pen.stroke();
      }
    });
    map.axes("x1", "x2");
    const wide = Math.min(120, map.width - map.left - 170);
    colourBar(pen, theme, "signed", map.left + 66, map.tall - 15, wide, 10,
      "● class 1", "■ class 0");
  }

  drawJudges(pen) {
    if (!this.values.judges) return;
    const { map, theme } = this;
    for (const [x, y, label] of this.judges) {
      pen.beginPath();
      pen.arc(map.px(x), map.py(y), 1.7, 0, 7);
      pen.fillStyle = this.paint(label ? ONE : ZERO);
      pen.globalAlpha = theme.dark ? 0.8 : 0.6;
      pen.fill();
      pen.globalAlpha = 1;
    }
  }

  paint({ light, dark }) {
    return this.theme.dark ? dark : light;
  }

  drawCurves() {
    const { theme, runs } = this;
    const { frame } = this.curves;
    const loss = this.values.curve === "loss";
    const keys = loss ? ["train_loss", "validation_loss"]
      : ["train_accuracy", "validation_accuracy"];
    const pen = frame.begin(theme);
    if (!pen) return;
    frame.log = loss;
    const series = runs.flatMap((records) => keys.map((key) => ({
      values: records.map((r) => r[key]) })));
    const last = Math.max(this.values.steps, this.newest);
    let range = [0.4, 1.01];
    if (loss) {
      const [low, high] = this.curves.extent(series, true);
      range = [Math.max(low, 1e-4), high];
    }
    frame.range = [0, last, ...range];
    frame.axes("step", loss ? "loss, without penalties" : "share that is right");
    const [, , low, high] = frame.range;
    const at = (record, key) => [frame.px(record.step),
      frame.py(Math.min(high, Math.max(low, record[key])))];
    frame.clip(() => {
      const x = frame.px(this.shownStep);
      polyline(pen, { ...FREE, dash: [] }, theme, 2, (k) =>
        [x, k ? frame.top : frame.bottom], 1);
      [[runs[1], FREE], [runs[0], HELD]].forEach(([records, style]) => {
        const count = Math.max(1, this.count(records));
        keys.forEach((key, part) => {
          polyline(pen, { ...style, dash: part ? [7, 4] : [] }, theme, count, (k) =>
            at(records[k], key), part ? 2.6 : 1.6);
        });
      });
      this.drawStops(pen, at, keys[1]);
    });
  }

  // ▼ at the lowest validation loss so far; a cross where early stopping ended a run.
  drawStops(pen, at, key) {
    const { frame } = this.curves;
    [[1, FREE], [0, HELD]].forEach(([which, style]) => {
      const records = this.runs[which].slice(0, Math.max(1, this.count(this.runs[which])));
      let best = records[0];
      for (const record of records) {
        if (record.validation_loss < best.validation_loss) best = record;
      }
      this.best[which] = best;
      const [x, y] = at(best, key);
      mark(pen, { ...style, mark: "down" }, this.theme, ...frame.hold(x, y - 9)
        .slice(0, 2), 5);
      const end = this.runs[which][this.runs[which].length - 1];
      if (!this.stopped[which] || !records.includes(end)) return;
      polyline(pen, { ...style, dash: [2, 3] }, this.theme, 2, (k) =>
        [frame.px(end.step), k ? frame.top : frame.bottom], 2);
      pen.fillStyle = this.theme.ink;
      pen.textAlign = "left";
      pen.textBaseline = "top";
      pen.fillText(`stopped at ${end.step}`, frame.px(end.step) + 5, frame.top + 5);
      pen.fillText(`took back step ${best.step}`, frame.px(end.step) + 5, frame.top + 20);
    });
  }

  drawWeights() {
    const { bars, sizes, theme, widest } = this;
    const [held, free] = this.shown;
    const top = Math.max(...held.histogram, ...free.histogram);
    bars.range = [-widest, widest, 0, Math.log10(top + 1) * 1.08];
    bars.marksY = () => [0, 1, 10, 100, 1000].filter((c) => c <= top)
      .map((c) => [Math.log10(c + 1), String(c)]);
    let pen = bars.begin(theme);
    if (!pen) return;
    const n = held.histogram.length;
    const wide = (bars.right - bars.left) / n;
    bars.clip(() => {
      pen.fillStyle = this.paint(HELD);
      held.histogram.forEach((count, k) => {
        const y = bars.py(Math.log10(count + 1));
        pen.fillRect(bars.left + k * wide + 0.5, y, wide - 1, bars.bottom - y);
      });
      polyline(pen, FREE, theme, 2 * n, (i) => [bars.left + ((i + 1) >> 1) * wide,
        bars.py(Math.log10(free.histogram[i >> 1] + 1))], 2);
    });
    bars.axes("weight (wider ones are in the last bars)", "how many, log");
    sizes.range = [0, 100, LEAST, 10];
    pen = sizes.begin(theme);
    if (!pen) return;
    sizes.clip(() => {
      polyline(pen, { light: theme.soft, dark: theme.soft, dash: [3, 3] }, theme, 2, (k) =>
        [k ? sizes.right : sizes.left, sizes.py(1e-3)], 1);
      for (const [record, style] of [[free, FREE], [held, HELD]]) {
        polyline(pen, style, theme, record.sizes.length, (k) =>
          [sizes.px((100 * k) / (record.sizes.length - 1)),
            sizes.py(Math.min(10, Math.max(LEAST * 1.2, record.sizes[k])))], 2.4);
      }
      pen.fillStyle = theme.ink;
      pen.textAlign = "right";
      pen.textBaseline = "bottom";
      pen.fillText("0.001", sizes.right - 4, sizes.py(1e-3) - 2);
    });
    sizes.axes("weights, sorted by size, %", "size");
  }
}

// Where the probability crosses one half: line pieces in grid units.
function boundary(map, n) {
  const pieces = [];
  const at = 127.5;
  for (let j = 0; j + 1 < n; j += 1) {
    for (let i = 0; i + 1 < n; i += 1) {
      const q = j * n + i;
      const [a, b, c, d] = [map[q], map[q + 1], map[q + n + 1], map[q + n]];
      const cut = [];
      if ((a > at) !== (b > at)) cut.push(i + (at - a) / (b - a), j);
      if ((b > at) !== (c > at)) cut.push(i + 1, j + (at - b) / (c - b));
      if ((d > at) !== (c > at)) cut.push(i + (at - d) / (c - d), j + 1);
      if ((a > at) !== (d > at)) cut.push(i, j + (at - a) / (d - a));
      for (let m = 0; m + 3 < cut.length; m += 4) pieces.push(...cut.slice(m, m + 4));
    }
  }
  return pieces;
}
