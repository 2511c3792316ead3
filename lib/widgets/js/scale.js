// What a Transformer costs, from its shape. The formulas are those of lib/scale.py; here
// they answer while a slider moves, and the kernel is only told the new value.
import { element, mount } from "./core.js";
import { View, button, short, uniqueId } from "./ui.js";
import { Frame } from "./plot.js";

const PARTS = [["#0072b2", "#4da3e0"], ["#e69f00", "#f0b43c"], ["#007e5d", "#3fc79c"],
  ["#d55e00", "#ff9a5c"], ["#cc79a7", "#e3a0c4"], ["#56b4e9", "#9ad3f5"]];
const TITLES = { tokens: "token table", positions: "positions", attention: "attention",
  feed_forward: "feed-forward", norms: "norms", output: "output", weights: "weights",
  gradients: "gradients", optimizer: "Adam's moments", activations: "activations" };
const PLAIN = ["num_layers", "channels", "num_heads", "hidden", "vocab_size", "context",
  "batch", "tokens"];

const SHAPE = ["kind", "num_layers", "channels", "num_heads", "hidden", "vocab_size",
  "context", "tied"];

const sum = (parts) => Object.values(parts).reduce((a, b) => a + b, 0);

function parametersOf(v, extra) {
  const { channels: C, hidden: F, num_layers: L } = v;
  const encoder = v.kind === "encoder";
  let output = encoder && extra.pooler ? C * C + C : 0;
  if (!encoder && !v.tied) output = v.vocab_size * C;
  return { tokens: v.vocab_size * C,
    positions: (v.context + (encoder ? extra.segments : 0)) * C,
    attention: L * (4 * C * C + 4 * C), feed_forward: L * (2 * C * F + F + C),
    norms: 2 * C * (2 * L + 1), output };
}

function operationsOf(v) {
  const { channels: C, hidden: F, num_layers: L, context: T } = v;
  return { weights: 2 * L * (4 * C * C + 2 * C * F), attention: 4 * L * T * C,
    output: v.kind === "decoder" ? 2 * v.vocab_size * C : 0 };
}

function memoryOf(v, N, bytes, states) {
  const { channels: C, hidden: F, num_layers: L, context: T } = v;
  const [weights, gradients, optimizer] = states[v.precision].map((b) => N * b);
  const kept = 8 * C + 2 * F + v.num_heads * T;
  const logits = v.kind === "decoder" ? v.vocab_size : 0;
  return { weights, gradients, optimizer,
    activations: v.batch * T * (L * kept + logits) * bytes[v.precision] };
}

// 117000000 -> "117 million", beyond that powers of ten
function amount(value) {
  if (value >= 1e15) return short(value);
  const units = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];
  const [size, word] = units.find(([unit]) => value >= unit) || [1, ""];
  if (!word) return value >= 100 ? Math.round(value).toLocaleString("en") : short(value);
  return `${Number((value / size).toPrecision(3))} ${word}`;
}

function size(value) {
  const units = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];
  const [unit, name] = units.find(([u]) => value >= u) || [1, "bytes"];
  return `${Number((value / unit).toPrecision(3))} ${name}`;
}

function time(hours) {
  if (hours < 1 / 60) return `${short(hours * 3600)} seconds`;
  if (hours < 2) return `${short(hours * 60)} minutes`;
  if (hours < 72) return `${short(hours)} hours`;
  if (hours < 24 * 730) return `${short(hours / 24)} days`;
  return `${amount(hours / 24 / 365.25)} years`;
}

class ScaleView extends View {
  constructor(root, link) {
    super(root, link);
    this.bars = new Frame("Parameters, operations and memory, part by part", 360);
    this.bars.beside = () => 340;
    this.results = element("div", {});
  }

  get pictures() {
    return [this.bars];
  }

  // A slider for the hand and a field for the exact number, of one control.
  addNumber(spec) {
    const id = uniqueId(spec.name);
    const slider = element("input", { type: "range", "aria-label": `${spec.label}, slider`,
      min: String(Math.log10(spec.low)), max: String(Math.log10(spec.high)),
      step: String(spec.step), title: spec.help });
    const field = element("input", { type: "number", id, min: String(spec.low),
      max: String(spec.high), title: spec.help, step: spec.whole ? "1" : "any" });
    const write = (value) => spec.whole ? String(value)
      : value.toExponential().replace("e+", "e");
    const take = (value, from) => {
      this.values[spec.name] = value;
      if (from !== field) field.value = write(value);
      if (from !== slider) slider.value = String(Math.log10(value));
      this.turned(spec.name);
      this.link.set(spec.name, value);
    };
    slider.addEventListener("input", () => {
      const value = 10 ** Number(slider.value);
      take(Math.min(spec.high, Math.max(spec.low, spec.whole ? Math.round(value)
        : Number(value.toPrecision(3)))), slider);
    });
    field.addEventListener("input", () => {
      const value = Number(field.value);
      const whole = !spec.whole || Number.isInteger(value);
      const good = field.value !== "" && whole && value >= spec.low && value <= spec.high;
      field.setCustomValidity(good ? "" : `${spec.label}: ${spec.low} to ${spec.high}`);
      if (good) take(value, field);
    });
    field.addEventListener("change", () => {
      field.value = write(this.values[spec.name]); // what is not allowed goes back
      field.setCustomValidity("");
    });
    const show = (value) => {
      if (document.activeElement !== field) field.value = write(value);
      slider.value = String(Math.log10(value));
    };
    const node = element("div", { class: "lm-number-pair", "data-control": spec.name },
      element("label", { for: id, title: spec.help }, spec.label), slider, field);
    this.controls.set(spec.name, { node, input: field, show });
    return node;
  }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => PLAIN.includes(name) ? this.addNumber(spec.get(name))
      : this.addControl(spec.get(name), (value) => {
        this.turned(name);
        this.link.set(name, value);
      });
    const group = (title, ...names) => element("fieldset", {},
      element("legend", {}, title), ...names.map(add));
    this.root.append(
      element("div", { class: "lm-row" }, add("preset"),
        button("Save picture", "Save the bars as PNG", () =>
          this.save("scale", this.bars.canvas))),
      element("div", { class: "lm-scale" },
        element("div", {},
          group("Shape", "kind", "num_layers", "channels", "num_heads", "hidden",
            "vocab_size", "context", "tied"),
          group("Training", "tokens", "batch", "precision", "gpu", "utilisation")),
        element("div", {}, this.bars.node, this.results)),
      this.statusLine, this.errorBox);
  }

  // A hand on the shape makes it the reader's own.
  turned(name) {
    if (SHAPE.includes(name)) {
      this.values.preset = "own";
      this.controls.get("preset").show("own");
    }
    this.tell();
    this.link.invalidate();
  }

  snapshot(state) {
    if (!this.names) this.build(state);
    Object.assign(this, { names: state.names, gpus: state.gpus, bytes: state.bytes,
      states: state.states, extra: state.extra });
    this.showValues(state.values);
    this.tell();
  }

  message(content) {
    this.extra = content.extra;
    this.showValues(content.values);
    this.tell();
  }

  // ---- numbers -----------------------------------------------------------------------

  compute() {
    const v = this.values;
    const parameters = parametersOf(v, this.extra);
    const operations = operationsOf(v);
    const memory = memoryOf(v, sum(parameters), this.bytes, this.states);
    const [peak32, peak16, room] = this.gpus[v.gpu];
    const peak = v.precision === "fp32" ? peak32 : peak16;
    const total = 3 * sum(operations) * v.tokens;
    return { parameters, operations, memory, room, total,
      hours: total / (peak * v.utilisation) / 3600 };
  }

  tell() {
    if (!this.names) return;
    const r = this.compute();
    this.now = r;
    const [N, bytes] = [sum(r.parameters), sum(r.memory)];
    const cards = Math.ceil(bytes / r.room);
    const line = (title, value, formula) => element("div", { class: "lm-result" },
      `${title}: `, element("b", {}, value), element("span", { class: "lm-formula" },
        ` ${formula}`));
    this.results.replaceChildren(
      line("Parameters", Math.round(N).toLocaleString("en"), ""),
      line("Training", `${short(r.total)} operations`, "= 3 × forward × tokens"),
      line("A quick estimate", `${short(6 * N * this.values.tokens)} operations`,
        "= 6 × parameters × tokens"),
      line("Tokens for each parameter", short(this.values.tokens / N),
        "(Chinchilla: about 20)"),
      line("Time on one GPU", time(r.hours), `= ${amount(r.hours)} GPU hours`),
      line("Time on 1,000 GPUs", time(r.hours / 1000), "if they lost nothing"),
      line("Memory", size(bytes), cards > 1 ? `needs ${cards.toLocaleString("en")} such `
        + "GPUs, or tricks" : "fits on one such GPU"));
    Object.assign(this.root.dataset, { position: "0", parameters: String(N),
      operations: String(sum(r.operations)), memory: String(bytes),
      hours: String(r.hours) });
    this.status(`${amount(N)} parameters, ${time(r.hours)} on one GPU, ${size(bytes)}.`);
  }

  // ---- drawing -------------------------------------------------------------------------

  draw() {
    if (!this.names || !this.now) return;
    const { bars, theme } = this;
    bars.pad = { left: 8, right: 8, top: 6, bottom: 6 };
    const pen = bars.begin(theme);
    if (!pen) return;
    const rows = [["parameters", amount], ["operations", amount], ["memory", size]];
    rows.forEach(([key, write], k) => this.drawRow(pen, key, write, 8 + k * 112));
  }

  drawRow(pen, key, write, top) {
    const { bars, theme } = this;
    const parts = Object.entries(this.now[key]).filter(([, value]) => value > 0);
    const total = parts.reduce((all, [, value]) => all + value, 0);
    const order = Object.keys(this.now[key]);
    const wide = bars.right - bars.left;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillStyle = theme.ink;
    pen.font = `600 ${theme.font}`;
    const name = key === "memory" ? "Memory for training" : this.names[key];
    pen.fillText(`${name}: ${write(total)}`, bars.left, top + 8);
    pen.font = theme.font;
    let left = bars.left;
    for (const [part, value] of parts) {
      const width = (value / total) * wide;
      pen.fillStyle = this.paint(order.indexOf(part));
      pen.fillRect(left, top + 20, Math.max(1, width - 1), 22);
      left += width;
    }
    let [x, y] = [bars.left, top + 56];
    for (const [part, value] of parts) {
      const text = `${TITLES[part]} ${write(value)} (${short((100 * value) / total)} %)`;
      const needs = 18 + pen.measureText(text).width + 14;
      if (x + needs > bars.right && x > bars.left) [x, y] = [bars.left, y + 18];
      pen.fillStyle = this.paint(order.indexOf(part));
      pen.fillRect(x, y - 6, 12, 12);
      pen.fillStyle = theme.ink;
      pen.fillText(text, x + 18, y);
      x += needs;
    }
  }

  paint(k) {
    return PARTS[k][this.theme.dark ? 1 : 0];
  }
}

export default { render: (context) => mount(context, ScaleView) };
