// Strips of units against time, one for each gate and state of a cell, and beside them
// the units at the step in hand as bars. One canvas, so that the steps stand in line.
import { floats } from "./core.js";
import { short } from "./ui.js";
import { Frame } from "./plot.js";
import { bitmap, colour, colourBar, drawBitmap } from "./heat.js";

const NAMES = { rnn: "RNN", gru: "GRU", lstm: "LSTM" };
const TITLES = { input: "input x", input_gate: "input gate i", forget_gate: "forget gate f",
  output_gate: "output gate o", reset_gate: "reset gate r", update_gate: "update gate z",
  candidate: "candidate", cell: "cell state c", hidden: "hidden state h",
  answers: "answer so far" };
const ORDER = ["reset_gate", "update_gate", "forget_gate", "input_gate", "candidate",
  "output_gate", "cell", "hidden"];
const POSITIVE = { light: "#0072b2", dark: "#4da3e0" };
const NEGATIVE = { light: "#d55e00", dark: "#ff9a5c" };

// The numbers of one cell as the kernel packs them: (T, C) for each name, both parts
// of what goes into the gates, and the answers.
export function unpack(shape, view) {
  const all = floats(view);
  const { steps, units, gates, classes, names } = shape;
  let at = 0;
  const take = (count) => all.subarray(at, at += count);
  const values = {};
  for (const name of names) values[name] = take(steps * units);
  const fromInput = take(steps * units * gates);
  const fromState = take(steps * units * gates);
  return { ...shape, values, fromInput, fromState,
    answers: classes ? take(steps * classes) : null };
}

// One strip: {kind, name, rows, data (T, rows), low, high, scale}.
function strip(kind, name, rows, data) {
  const gate = name.endsWith("gate") || name === "answers";
  let top = 1;
  for (const value of data) top = Math.max(top, Math.abs(value));
  return { kind, name, rows, data, low: gate ? 0 : -top, high: gate ? 1 : top,
    scale: gate ? "amount" : "signed" };
}

export class Strips {
  constructor() {
    this.frame = new Frame("Gates and states of the cells, units against time", 400);
    this.frame.beside = () => this.tall;
    this.tall = 300;
    this.list = [];
    this.labels = [];
  }

  // What is to be seen: the input and the strips of these cells.
  take(labels, inputs, traces, classes) {
    this.labels = labels;
    this.classes = classes;
    const T = labels.length;
    this.list = [strip("", "input", inputs.length / T, inputs)];
    for (const t of traces) {
      for (const name of ORDER) {
        if (t.values[name]) this.list.push(strip(t.kind, name, t.units, t.values[name]));
      }
      if (t.answers) this.list.push(strip(t.kind, "answers", t.classes, t.answers));
    }
    this.pictures = null;
  }

  // Where each strip lies; a strip is as tall as its rows need.
  arrange(width) {
    const T = this.labels.length;
    const wide = this.list.length > 8;
    const { pad } = this.frame;
    pad.left = width < 520 ? 82 : 118;
    this.bars = width < 520 ? 70 : Math.min(230, Math.round(width * 0.22));
    pad.right = this.bars + 22;
    this.column = (width - pad.left - pad.right) / T;
    const longest = Math.max(...this.labels.map((label) => label.length));
    this.slanted = longest * 7.4 > this.column;
    pad.top = this.slanted ? Math.min(72, 16 + longest * 5.2) : 20;
    let top = pad.top;
    let kind = "";
    for (const s of this.list) {
      if (s.kind !== kind) top += 16;
      kind = s.kind;
      s.top = top;
      const few = s.rows <= 4;
      s.tall = few ? 8 * s.rows + 4 : Math.max(wide ? 32 : 44, Math.min(2.6 * s.rows + 14,
        wide ? 46 : 70));
      top += s.tall + 6;
    }
    pad.bottom = 30;
    this.tall = Math.round(top + 26);
  }

  draw(theme, position, unit) {
    const { frame } = this;
    const width = Math.floor(frame.node.clientWidth);
    if (width < 60 || !this.list.length) return;
    this.arrange(width);
    const pen = frame.begin(theme);
    if (!pen) return;
    if (!this.pictures || this.pictures.dark !== theme.dark) this.paint(theme);
    this.drawLabels(pen, theme, position);
    let kind = "";
    for (const [k, s] of this.list.entries()) {
      pen.textBaseline = "middle";
      if (s.kind !== kind) {
        pen.font = theme.font.replace("12px", "bold 12px");
        pen.textAlign = "left";
        pen.fillStyle = theme.ink;
        pen.fillText(NAMES[s.kind], 2, s.top - 7);
        pen.font = theme.font;
        kind = s.kind;
      }
      this.drawStrip(pen, theme, s, this.pictures.list[k], unit);
      this.drawBars(pen, theme, s, position, unit);
    }
    this.drawCursor(pen, theme, position);
    const y = frame.tall - 18;
    const wide = Math.min(110, (frame.width - 250) / 2);
    if (wide < 30) return;
    colourBar(pen, theme, "amount", frame.left, y, wide, 10, "gates 0", "1");
    colourBar(pen, theme, "signed", frame.left + wide + 120, y, wide, 10, "states −", "+");
  }

  paint(theme) {
    const T = this.labels.length;
    this.pictures = { dark: theme.dark, list: this.list.map((s) =>
      bitmap(s.rows, T, (k) => {
        const value = s.data[(k % T) * s.rows + Math.floor(k / T)];
        return (value - s.low) / (s.high - s.low);
      }, s.scale, theme.dark)) };
  }

  drawLabels(pen, theme, position) {
    const { frame, labels, column, slanted } = this;
    const every = Math.max(1, Math.ceil((slanted ? 11 : 9) / column));
    pen.textBaseline = "middle";
    labels.forEach((label, t) => {
      if (t % every && t !== position) return;
      const near = t !== position && every > 1 && Math.abs(t - position) < every;
      if (near) return;
      pen.fillStyle = t === position ? theme.ink : theme.soft;
      pen.font = t === position ? theme.font.replace("12px", "bold 12px") : theme.font;
      pen.save();
      pen.translate(frame.left + (t + 0.5) * column, frame.top - 9);
      if (slanted) pen.rotate(-Math.PI / 4);
      pen.textAlign = slanted ? "left" : "center";
      pen.fillText(label.slice(0, 12), 0, 0);
      pen.restore();
    });
    pen.font = theme.font;
    pen.textAlign = "left";
    pen.fillStyle = theme.soft;
    pen.fillText(this.bars > 100 ? `all units at step ${position + 1}` : `step ${position
      + 1}`, frame.right + 14, frame.top - 9);
  }

  drawStrip(pen, theme, s, picture, unit) {
    const { frame } = this;
    const width = frame.right - frame.left;
    drawBitmap(pen, picture, frame.left, s.top, width, s.tall);
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(frame.left + 0.5, s.top + 0.5, width - 1, s.tall - 1);
    pen.fillStyle = theme.ink;
    pen.textAlign = "right";
    const title = frame.left < 100 ? TITLES[s.name].replace(/ (gate|state)/, "")
      : TITLES[s.name];
    pen.fillText(title, frame.left - 16, s.top + s.tall / 2);
    if (s.name === "answers" || s.name === "input") return;
    const y = s.top + ((unit + 0.5) / s.rows) * s.tall; // the unit in hand
    pen.beginPath();
    pen.moveTo(frame.left - 11, y - 4);
    pen.lineTo(frame.left - 3, y);
    pen.lineTo(frame.left - 11, y + 4);
    pen.fill();
  }

  drawBars(pen, theme, s, position, unit) {
    const left = this.frame.right + 14;
    const step = (this.bars - 2) / s.rows;
    const zero = s.top + s.tall * (s.low < 0 ? 0.5 : 1);
    const scale = (s.tall - 2) / (s.high - s.low);
    pen.strokeStyle = theme.faint;
    pen.lineWidth = 1;
    pen.strokeRect(left - 0.5, s.top + 0.5, this.bars, s.tall - 1);
    for (let k = 0; k < s.rows; k += 1) {
      const value = s.data[position * s.rows + k];
      const style = value < 0 ? NEGATIVE : POSITIVE;
      pen.fillStyle = theme.dark ? style.dark : style.light;
      const tall = Math.abs(value) * scale;
      pen.fillRect(left + k * step + 0.5, value < 0 ? zero : zero - tall,
        Math.max(1, step - 1.5), Math.max(tall, 0.7));
    }
    if (s.name === "answers") {
      pen.textAlign = "center";
      pen.fillStyle = theme.ink;
      if (step < 34) return;
      pen.strokeStyle = theme.back;
      pen.lineWidth = 3;
      this.classes.forEach((name, k) => {
        const spot = [name.slice(0, Math.floor(step / 7)), left + (k + 0.5) * step,
          s.top + s.tall / 2, step - 2];
        pen.strokeText(...spot); // a rim: the bar may lie behind it
        pen.fillText(...spot);
      });
    } else if (s.name !== "input") {
      pen.strokeStyle = theme.ink;
      pen.strokeRect(left + unit * step, s.top + 1.5, Math.max(2, step - 0.5), s.tall - 3);
    }
  }

  drawCursor(pen, theme, position) {
    const { frame, column } = this;
    const last = this.list[this.list.length - 1];
    const left = frame.left + position * column;
    const wide = Math.max(column, 3);
    for (const [width, paint] of [[4, theme.back], [2, theme.ink]]) {
      pen.lineWidth = width;
      pen.strokeStyle = paint;
      pen.strokeRect(left, frame.top - 1, wide, last.top + last.tall - frame.top + 2);
    }
  }

  // {strip, step, unit, value} under a mouse event, or null.
  under(event) {
    const { frame } = this;
    if (!frame.width || !this.list.length) return null;
    const box = frame.canvas.getBoundingClientRect();
    const grow = box.width / frame.width;
    const [x, y] = [(event.clientX - box.left) / grow, (event.clientY - box.top) / grow];
    const step = Math.floor((x - frame.left) / this.column);
    if (step < 0 || step >= this.labels.length) return null;
    const s = this.list.find(({ top, tall }) => y >= top && y < top + tall);
    if (!s) return { step, strip: null };
    const unit = Math.min(s.rows - 1, Math.floor(((y - s.top) / s.tall) * s.rows));
    return { strip: s, step, unit, value: s.data[step * s.rows + unit] };
  }

  // What stands there, in words.
  words(at) {
    const s = at.strip;
    const what = s.name === "answers" ? `probability of ${this.classes[at.unit]}`
      : `${TITLES[s.name]}, ${s.name === "input" ? "number" : "unit"} ${at.unit + 1}`;
    return `${s.kind ? `${NAMES[s.kind]} ` : ""}${what}, step ${at.step + 1} ` +
      `“${this.labels[at.step]}”: ${short(at.value)}`;
  }
}

// The equations of one step with the numbers of one unit put in.
export function equations(t, step, unit) {
  const C = t.units;
  const v = (name, at = step) => (at < 0 ? 0 : t.values[name][at * C + unit]);
  const part = (gate) => [t.fromInput, t.fromState].map((all) =>
    all[step * C * t.gates + gate * C + unit]);
  const sum = (gate) => {
    const [x, h] = part(gate);
    return `${short(x)} ${h < 0 ? "−" : "+"} ${short(Math.abs(h))}`;
  };
  const put = (value) => (value < 0 ? `(${short(value)})` : short(value));
  const gated = (sign, name, gate) => `${sign} = σ(W${sign}·x + U${sign}·h + b${sign}) = ` +
    `σ(${sum(gate)}) = ${short(v(name))}`;
  if (t.kind === "rnn") {
    return [`h = tanh(W·x + U·h + b) = tanh(${sum(0)}) = ${short(v("hidden"))}`];
  }
  if (t.kind === "lstm") {
    return [gated("f", "forget_gate", 1), gated("i", "input_gate", 0),
      `g = tanh(Wg·x + Ug·h + bg) = tanh(${sum(2)}) = ${short(v("candidate"))}`,
      gated("o", "output_gate", 3),
      `c = f·c + i·g = ${short(v("forget_gate"))} · ${put(v("cell", step - 1))} + ` +
        `${short(v("input_gate"))} · ${put(v("candidate"))} = ${short(v("cell"))}`,
      `h = o·tanh(c) = ${short(v("output_gate"))} · tanh(${short(v("cell"))}) = ` +
        short(v("hidden"))];
  }
  const [x, h] = part(2);
  const z = v("update_gate");
  return [gated("r", "reset_gate", 0), gated("z", "update_gate", 1),
    `n = tanh(Wn·x + bn + r·(Un·h + dn)) = tanh(${short(x)} + ` +
      `${short(v("reset_gate"))} · ${put(h)}) = ${short(v("candidate"))}`,
    `h = (1 − z)·n + z·h = ${short(1 - z)} · ${put(v("candidate"))} + ${short(z)} · ` +
      `${put(v("hidden", step - 1))} = ${short(v("hidden"))}`];
}
