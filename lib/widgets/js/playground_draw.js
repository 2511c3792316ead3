// The pictures of the playground: map, curves, one neuron large, and what the pointer
// reads there. A moment is {step, theta, scales, neurons, output}.
import { short } from "./ui.js";
import { TrainingView } from "./training.js";
import { polyline } from "./plot.js";
import { colour, drawBitmap } from "./heat.js";
import { zeroLine } from "./playground_net.js";

// columns of a record: step, epoch, losses of training and test, shares right of both
export const [STEP, EPOCH, TRAIN, TEST, TRAIN_RIGHT, TEST_RIGHT] = [0, 1, 2, 3, 4, 5];
const [SOFT, STRONG] = [0.44, 0.68]; // of the colour scale: maps under points, neurons
export const CURVE_STYLES = [
  { label: "training", light: "#d55e00", dark: "#ff9a5c", dash: [], mark: "circle" },
  { label: "test", light: "#0072b2", dark: "#4da3e0", dash: [6, 3], mark: "square" },
];

// Make a frame's plot area a square, at most so wide, in the middle of its place.
export function squared(frame, top, most) {
  frame.pad.top = top;
  frame.beside = (width) => {
    const side = Math.min(width - 58, most);
    const extra = (width - 58 - side) / 2;
    frame.pad.left = 46 + extra;
    frame.pad.right = 12 + extra;
    return Math.round(side + top + 38);
  };
}

export class PlaygroundPictures extends TrainingView {
  // The last of what was kept at or before the step shown.
  get shown() {
    if (this.position === null) return this.frames[this.frames.length - 1];
    return this.frames.findLast((f) => f.step <= this.position) || this.frames[0];
  }

  get row() {
    const step = this.shown.step;
    return this.rows.findLast((row) => row[STEP] <= step) || this.rows[0];
  }

  draw() {
    if (!this.points || !this.frames.length) return;
    const { shown } = this;
    const step = this.position === null ? this.taken : this.position;
    this.transport.show(step, this.taken, Boolean(this.playing));
    this.controls.get("dataset").node.hidden = this.values.problem !== "classification";
    this.controls.get("target").node.hidden = this.values.problem === "classification";
    this.drawNet(shown);
    this.drawMap(shown);
    this.drawCurves();
    this.drawClose(shown);
    this.drawHand(shown);
    this.drawReadout(shown);
    Object.assign(this.root.dataset, { position: String(step), step: String(this.taken),
      shown: String(shown.step), playing: String(Boolean(this.playing)),
      frames: String(this.frames.length), loss: String(this.row[TRAIN]),
      testLoss: String(this.row[TEST]), sizes: this.wiring.sizes.join(" "),
      points: String(this.points.length / 4), run: String(this.run) });
  }

  // 0 to 1 for the colour of an output: the probability of class 1, or a height.
  share(z) {
    if (this.values.discretise) return z > 0 ? 0.9 : 0.1;
    return this.classes ? 1 / (1 + Math.exp(-z)) : (z + 1) / 2;
  }

  outputMap({ output }, name) {
    return this.maps.paint(name, this.fine, (k) => this.share(output[k] * this.finest),
      this.theme.dark, SOFT);
  }

  // The picture of one unit; column 0 counts all features, used or not.
  unitMap(frame, layer, k) {
    if (layer > this.wiring.hidden) return this.outputMap(frame, "output");
    const data = layer ? frame.neurons : this.inputMaps;
    const first = (layer ? this.wiring.neuron(layer, k) : k) * this.coarse ** 2;
    return this.maps.paint(`${layer}-${k}`, this.coarse, (cell) =>
      (data[first + cell] - 1) / 254, this.theme.dark, STRONG);
  }

  drawNet(shown) {
    const hovered = this.hovered;
    const chosen = { kind: "weight", index: this.chosenWeight };
    this.net.draw(this.theme, this.wiring, this.all, shown.theta, (layer, k) =>
      this.unitMap(shown, layer, k), this.editing ? chosen : this.chosen, hovered);
    const columns = this.net.columns;
    if (!columns) return;
    [...this.layers.children].forEach((node, k) => {
      const left = `${columns[k + 1].toFixed(1)}px`;
      if (node.style.left !== left) node.style.left = left;
    });
  }

  get editing() {
    return [this.weightMenu, this.slide, this.field].includes(document.activeElement);
  }

  drawMap(shown) {
    const { map, theme, points } = this;
    map.range = this.bounds;
    const pen = map.begin(theme);
    if (!pen) return;
    const [w, h] = [map.right - map.left, map.bottom - map.top];
    map.clip(() => {
      drawBitmap(pen, this.outputMap(shown, "output"), map.left, map.top, w, h,
        !this.values.discretise);
      this.drawBoundary(pen, shown, w, h);
      for (let k = 0; k < points.length; k += 4) {
        const test = points[k + 3] > 0;
        if (test && !this.values.show_test) continue;
        const place = [map.px(points[k]), map.py(points[k + 1])];
        this.drawPoint(pen, ...place, points[k + 2], test);
      }
      if (map.pointer) this.drawCross(pen, ...map.pointer);
    });
    map.axes(...this.names);
    const [low, high] = this.classes ? ["class 0", "class 1"] : this.heights.map(short);
    const wide = Math.min(150, w / 3);
    this.scaleBar(map, SOFT, map.left + (w - wide) / 2, 9, wide, low, high);
  }

  // A colour bar of a part of the scale, with its ends written beside it.
  scaleBar({ pen }, part, left, top, wide, low, high) {
    const { theme } = this;
    for (let k = 0; k < wide; k += 1) {
      pen.fillStyle = colour("signed", theme.dark, 0.5 + part * (k / (wide - 1) - 0.5));
      pen.fillRect(left + k, top, 1, 12);
    }
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, wide - 1, 11);
    pen.fillStyle = theme.ink;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillText(low, left - 5, top + 6);
    pen.textAlign = "left";
    pen.fillText(high, left + wide + 5, top + 6);
  }

  // Where the answer changes sides: p = 0.5, or the height 0.
  drawBoundary(pen, { output }, w, h) {
    const lines = zeroLine(output, this.fine);
    const [sx, sy] = [w / this.fine, h / this.fine];
    const { left, bottom } = this.map;
    pen.beginPath();
    for (let m = 0; m < lines.length; m += 4) {
      pen.moveTo(left + (lines[m] + 0.5) * sx, bottom - (lines[m + 1] + 0.5) * sy);
      pen.lineTo(left + (lines[m + 2] + 0.5) * sx, bottom - (lines[m + 3] + 0.5) * sy);
    }
    pen.strokeStyle = this.theme.ink;
    pen.lineWidth = 1.5;
    pen.stroke();
  }

  drawPoint(pen, x, y, value, test) {
    const { theme } = this;
    const share = this.classes ? value : (Math.max(-1, Math.min(1, value)) + 1) / 2;
    pen.beginPath();
    if (test) pen.rect(x - 3.2, y - 3.2, 6.4, 6.4);
    else pen.arc(x, y, 4, 0, 7);
    pen.fillStyle = colour("signed", theme.dark, 0.14 + 0.72 * share);
    pen.fill();
    pen.lineWidth = test ? 1.4 : 1.6;
    // points of a height in the middle are as pale as the map: their rim shows them
    pen.strokeStyle = test ? theme.ink : this.classes ? theme.back : theme.soft;
    pen.stroke();
  }

  drawCross(pen, x, y) {
    const [px, py] = [this.map.px(x), this.map.py(y)];
    pen.strokeStyle = this.theme.ink;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(px - 9, py);
    pen.lineTo(px + 9, py);
    pen.moveTo(px, py - 9);
    pen.lineTo(px, py + 9);
    pen.stroke();
  }

  drawCurves() {
    const { theme, rows } = this;
    const { frame } = this.curves;
    const right = this.values.curve === "right" && this.classes;
    this.curves.nameY = right ? "share that is right" : "loss";
    const columns = right ? [TRAIN_RIGHT, TEST_RIGHT] : [TRAIN, TEST];
    const pen = frame.begin(theme);
    if (!pen) return;
    frame.log = this.values.curve === "log";
    frame.range = [0, Math.max(10, this.epoch),
      ...(right ? [0, 1.02] : this.curves.extent(columns.map((c) =>
        ({ values: rows.map((row) => row[c]) })), frame.log))];
    frame.axes("epoch", this.curves.nameY);
    const [, , low, high] = frame.range;
    const at = this.row[EPOCH];
    const hold = (value) => frame.py(Math.min(high, Math.max(low, value)));
    frame.clip(() => {
      polyline(pen, { light: theme.soft, dark: theme.soft, dash: [] }, theme, 2,
        (k) => [frame.px(at), k ? frame.top : frame.bottom], 1);
      columns.forEach((c, k) => {
        polyline(pen, CURVE_STYLES[k], theme, rows.length, (i) =>
          Number.isNaN(rows[i][c]) ? null : [frame.px(rows[i][EPOCH]), hold(rows[i][c])]);
        if (!Number.isNaN(this.row[c])) {
          this.curves.tip(pen, CURVE_STYLES[k], theme, at, this.row[c]);
        }
      });
    });
    CURVE_STYLES.forEach((style, k) => {
      const [x, y] = [frame.right - 150, frame.top + 14 + 17 * k];
      polyline(pen, style, theme, 2, (i) => [x + 30 * i, y]);
      pen.fillStyle = theme.ink;
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.fillText(`${style.label} ${short(this.row[columns[k]])}`, x + 36, y);
    });
  }

  // The record nearest to an epoch.
  rowAt(epoch) {
    let best = this.rows[0];
    for (const row of this.rows) {
      if (Math.abs(row[EPOCH] - epoch) < Math.abs(best[EPOCH] - epoch)) best = row;
    }
    return best;
  }

  // What the pointer is on, else what was chosen.
  get looked() {
    const { hovered } = this;
    if (hovered && hovered.kind === "neuron") return hovered;
    if (hovered && hovered.kind === "input") return { layer: 0, k: hovered.index };
    return this.chosen;
  }

  // The largest response of a unit over the plane: what the ends of the colours mean.
  scaleOf(shown, { layer, k }) {
    if (layer === 0) return this.inputScales[k];
    if (layer > this.wiring.hidden) return 1;
    return shown.scales[this.wiring.neuron(layer, k)];
  }

  drawClose(shown) {
    const { close, theme, looked } = this;
    close.range = this.bounds;
    const pen = close.begin(theme);
    if (!pen) return;
    const output = looked.layer > this.wiring.hidden;
    drawBitmap(pen, this.unitMap(shown, looked.layer, looked.k), close.left, close.top,
      close.right - close.left, close.bottom - close.top, true);
    close.axes(...this.names);
    const most = this.scaleOf(shown, looked);
    const ends = !output ? [short(-most), short(most)] : this.classes ? ["0", "1"]
      : this.heights.map(short);
    const name = looked.layer ? this.wiring.unit(looked.layer, looked.k)
      : this.all[looked.k];
    const wide = close.right - close.left;
    this.scaleBar(close, output ? SOFT : STRONG, close.left + wide / 2 - 50, 26, 100,
      ...ends);
    pen.textAlign = "center";
    pen.font = `600 ${theme.font}`;
    pen.fillText(name, close.left + wide / 2, 10);
    pen.font = theme.font;
  }

  drawHand(shown) {
    const value = shown.theta[this.chosenWeight];
    const focus = document.activeElement;
    if (focus !== this.slide) this.slide.value = String(value);
    if (focus !== this.field) this.field.value = Number(value.toPrecision(4));
    const menu = `${this.chosen.layer},${this.chosen.k}`;
    if (this.neuronMenu.value !== menu) this.neuronMenu.value = menu;
  }

  // A grid's value at a place of the map, between its cells' centres.
  read(grid, n, [x, y], first = 0) {
    const [a0, a1, b0, b1] = this.bounds;
    const place = (part) => Math.min(n - 1.001, Math.max(0, part * n - 0.5));
    const [u, v] = [place((x - a0) / (a1 - a0)), place((y - b0) / (b1 - b0))];
    const [i, j] = [Math.floor(u), Math.floor(v)];
    const [s, t] = [u - i, v - j];
    const at = (a, b) => grid[first + (j + b) * n + i + a];
    return (1 - t) * ((1 - s) * at(0, 0) + s * at(1, 0)) +
      t * ((1 - s) * at(0, 1) + s * at(1, 1));
  }

  where([x, y]) {
    return `${this.names[0]} = ${short(x)}, ${this.names[1]} = ${short(y)}`;
  }

  // The output at a place, and the loss that a point there would have.
  answer(shown, at) {
    const z = this.read(shown.output, this.fine, at) * this.finest;
    const where = this.where(at);
    if (!this.classes) {
      const [low, high] = this.heights;
      return `${where}: output ${short(low + (z + 1) / 2 * (high - low))}; loss of a `
        + `point of ${short(high)}: ${short((z - 1) ** 2)}, of ${short(low)}: `
        + `${short((z + 1) ** 2)}`;
    }
    const loss = (sign) => Math.log1p(Math.exp(-Math.abs(z))) + Math.max(0, -sign * z);
    return `${where}: output ${short(z)}, probability of class 1: ` +
      `${short(1 / (1 + Math.exp(-z)))}; loss of a point of class 1: ` +
      `${short(loss(1))}, of class 0: ${short(loss(-1))}`;
  }

  response(shown, { layer, k }, at) {
    if (layer > this.wiring.hidden) return this.answer(shown, at);
    const data = layer ? shown.neurons : this.inputMaps;
    const first = (layer ? this.wiring.neuron(layer, k) : k) * this.coarse ** 2;
    const share = (this.read(data, this.coarse, at, first) - 128) / 127;
    const response = short(share * this.scaleOf(shown, { layer, k }));
    return `${this.where(at)}: response ${response}`;
  }

  drawReadout(shown) {
    const { hovered, map, close } = this;
    const chart = this.curves.frame;
    let text = "Point at a neuron, a line, a curve or the map to read its numbers; click "
      + "a line to change its weight, a feature to switch it.";
    if (map.pointer) text = this.answer(shown, map.pointer);
    else if (close.pointer) text = this.response(shown, this.chosen, close.pointer);
    else if (chart.pointer) {
      const row = this.rowAt(chart.pointer[0]);
      text = `Step ${row[STEP]}, epoch ${short(row[EPOCH])}: training loss ` +
        `${short(row[TRAIN])}, test loss ${short(row[TEST])}. Click to go there.`;
    } else if (hovered && hovered.kind === "weight") {
      text = `${this.wiring.name(hovered.index)}: ${short(shown.theta[hovered.index])}. `
        + "Click to change it.";
    } else if (hovered && hovered.kind === "input") {
      text = `Feature ${this.all[hovered.index]}. Click to switch it on or off.`;
    } else if (hovered) {
      text = `${this.wiring.unit(hovered.layer, hovered.k)}: its response is shown large `
        + "below. Click to keep it there.";
    }
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  announce() {
    if (!this.frames.length || !this.rows.length) return;
    const row = this.row;
    let text = `Epoch ${Math.floor(row[EPOCH] + 1e-6)}: training loss ` +
      `${short(row[TRAIN])}, test loss ${short(row[TEST])}.`;
    if (!Number.isNaN(row[TEST_RIGHT])) {
      text += ` ${(100 * row[TEST_RIGHT]).toFixed(1)} % of the test points are right.`;
    }
    const why = { diverged: "Diverged: the rate is too large.",
      loss: "Stopped: the test loss is low enough.",
      epochs: "Stopped: all epochs are done." }[this.stopped];
    if (why && this.position === null) text += ` ${why}`;
    if (!this.points.length) {
      text = "No points yet: switch on “Add points” and click on the map.";
    }
    this.status(text, !this.playing);
  }
}
