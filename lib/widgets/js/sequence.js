// Recurrent cells step by step, and how far back their gradient reaches. The kernel
// sends what the cells computed on the typed sequence, and a record every few training
// steps; playing through time and going back in the training happen here.
import { element, floats, mount } from "./core.js";
import { Transport, button } from "./ui.js";
import { Frame } from "./plot.js";
import { Strips, equations, unpack } from "./sequence_strips.js";
import { GradientCurves, LABELS, LOOKS } from "./sequence_curves.js";

const SIZES = [["hidden", "hidden"], ["length", "length"], ["radius", "radius"],
  ["keep", "keep"], ["learning_rate", "learning_rate"], ["device", "device"]];

class SequenceView extends GradientCurves {
  constructor(root, link) {
    super(root, link);
    this.strips = new Strips();
    this.reach = new Frame("Gradient of the loss at the end against distance", 300);
    this.score = new Frame("Accuracy of the cells against training step", 300);
    this.reach.pad = { ...this.reach.pad, top: 26 };
    this.score.pad = { ...this.score.pad, top: 26 };
    this.problem = element("div", { class: "lm-seq-problem", role: "alert" });
    this.hover = element("div", { class: "lm-readout lm-seq-hover" }, "\u00a0");
    this.numbers = element("div", { class: "lm-seq-equations" });
    this.reachLine = element("div", { class: "lm-readout" }, "\u00a0");
    this.transport = new Transport(this, [[1, "1 a second"], [3, "3"], [10, "10"]]);
    this.transport.speed.value = "3";
    this.transport.stepButton.after(button("Back", "One step back", () =>
      this.seek(this.position - 1)));
    this.training = new Transport(this.trainer(), [], "training step");
    this.training.speed.parentElement.remove(); // as fast as the kernel can
    this.training.node.classList.add("lm-seq-training");
    this.traces = [];
    this.records = [];
    this.shown = null; // record on show, or null: the newest
    this.listen();
  }

  get pictures() {
    return this.trains ? [this.strips.frame, this.reach, this.score]
      : [this.strips.frame, this.reach];
  }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => (spec.has(name) ? this.addControl(spec.get(name)) : null);
    const unit = { name: "unit", label: "Unit", kind: "range", low: 1, high: 2, step: 1,
      help: "Whose numbers stand in the equations" };
    const unitNode = this.addControl(unit, () => this.tell());
    this.values.unit = 1;
    this.controls.get("unit").show(1);
    this.trains = state.trains;
    this.root.append(
      element("div", { class: "lm-seq-top" }, add("source"), add("text")),
      this.problem,
      element("div", { class: "lm-row" }, add("cell"), add("weights"), unitNode,
        button("Save picture", "Save all pictures as one PNG", () => this.save("sequence",
          ...this.pictures.map((frame) => frame.canvas)), { class: "lm-save" })),
      element("div", { class: "lm-right" }, this.strips.frame.node), this.hover,
      this.transport.node, this.numbers,
      element("div", { class: "lm-seq-part" }, this.trains
        ? "How far back does the gradient reach? Task: remember the first letter."
        : "How far back does the gradient reach in this text?"),
      element("div", { class: "lm-row" }, add("of")),
      element("div", { class: this.trains ? "lm-pair" : "" },
        element("div", { class: "lm-still" }, this.reach.node, this.reachLine),
        this.trains ? element("div", { class: "lm-right" }, this.score.node) : null),
      // append() would write a null as text
      ...(this.trains ? [this.training.node, element("div", { class: "lm-columns" },
        element("fieldset", {}, element("legend", {}, "Task and weights: starts again"),
          ...SIZES.slice(0, 4).map(([name]) => add(name))),
        element("fieldset", {}, element("legend", {}, "Training"), add("steps"),
          ...SIZES.slice(4).map(([name]) => add(name))))] : []),
      this.statusLine, this.errorBox);
  }

  // ---- data from the kernel ------------------------------------------------------

  snapshot(state) {
    if (!this.built) {
      this.build(state);
      this.built = true;
    }
    this.kinds = state.kinds;
    const parts = { rows: state.rows, inputs: state.inputs };
    for (const kind of this.kinds) parts[kind] = state[kind];
    this.take(state, parts);
  }

  take(content, parts) {
    if (content.run !== this.run) {
      this.run = content.run;
      this.records = [];
      this.shown = null;
    }
    Object.assign(this, { busy: content.playing, taken: content.step });
    this.takeRows(content, floats(parts.rows));
    if (content.traces) {
      this.labels = content.labels;
      this.classes = content.classes;
      this.inputs = floats(parts.inputs);
      this.traces = content.traces.map((shape) => unpack(shape, parts[shape.kind]));
      this.position = Math.min(this.position, this.last);
      const units = this.traces[0].units;
      const { input } = this.controls.get("unit");
      input.max = String(units);
      this.values.unit = Math.min(this.values.unit, units);
      this.controls.get("unit").show(this.values.unit);
      this.listed = null;
      this.root.dataset.read = String(content.read);
    }
    const text = content.problem ? `${content.problem} The last sequence stays.` : "";
    if (this.problem.textContent !== text) this.problem.textContent = text;
    this.showValues(content.values);
    this.tell();
  }

  // step, losses, accuracies, then (kinds, 2, T) of the gradient's reach
  takeRows(content, rows) {
    const K = this.kinds.length;
    const T = content.reached;
    this.reached = T || this.reached;
    const width = 1 + 2 * K + 2 * K * T;
    this.records.length = Math.min(this.records.length, content.from);
    for (let at = 0; at + width <= rows.length && T; at += width) {
      const row = rows.subarray(at, at + width);
      this.records.push({ step: row[0], losses: row.subarray(1, 1 + K),
        accuracies: row.subarray(1 + K, 1 + 2 * K), reach: row.subarray(1 + 2 * K) });
    }
  }

  // ---- hands and playing -----------------------------------------------------------

  get last() { return this.labels ? this.labels.length - 1 : 0; }

  get chosen() {
    const cell = this.values.cell;
    return cell === "all" ? this.kind || "lstm" : cell;
  }

  // What the second transport bar asks for: the kernel trains, the page goes back.
  trainer() {
    const ask = (name) => {
      this.shown = null;
      this.link.command(name);
    };
    return { play: () => ask("play"), pause: () => this.link.command("pause"),
      step: () => ask("step"), reset: () => ask("reset"),
      seek: (step) => {
        const at = this.records.findLastIndex((r) => r.step <= step);
        this.shown = at < 0 || at === this.records.length - 1 ? null : at;
        this.link.invalidate();
      } };
  }

  choose(unit) {
    const units = this.traces[0].units;
    this.values.unit = Math.min(Math.max(1, unit), units);
    this.controls.get("unit").show(this.values.unit);
    this.tell();
    this.link.invalidate();
  }

  listen() {
    const { canvas } = this.strips.frame;
    const place = (event) => {
      const at = this.strips.under(event);
      if (!at) return;
      if (at.strip?.kind) {
        this.kind = at.strip.kind;
        if (at.strip.name !== "answers") this.choose(at.unit + 1);
      }
      this.seek(at.step);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      place(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) place(event);
      const at = this.strips.under(event);
      this.hover.textContent = at?.strip ? this.strips.words(at) : "\u00a0";
    });
    canvas.addEventListener("pointerleave", () => { this.hover.textContent = "\u00a0"; });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const unit = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (move) this.seek(this.position + move);
      else if (unit) this.choose(this.values.unit + unit);
      else if (event.key === "Home") this.seek(0);
      else if (event.key === "End") this.seek(this.last);
      else return;
      event.preventDefault();
    });
    this.reach.canvas.addEventListener("pointermove", (event) => {
      this.pointed = this.reach.under(event);
      this.link.invalidate();
    });
    this.reach.canvas.addEventListener("pointerleave", () => {
      this.pointed = null;
      this.link.invalidate();
    });
    this.score.canvas.addEventListener("pointerdown", (event) => {
      const at = event.button === 0 && this.score.under(event);
      if (at) this.training.owner.seek(at[0]);
    });
  }

  ended() {
    super.ended();
    for (const node of this.training.node.querySelectorAll("button")) node.disabled = true;
  }

  pictured() {
    return this.kinds.map((kind) => ({ label: LABELS[kind], style: LOOKS[kind] }));
  }

  // ---- words -----------------------------------------------------------------------

  tell() {
    const t = this.traces.find((one) => one.kind === this.chosen);
    if (!t) return;
    const unit = this.values.unit - 1;
    const when = this.values.weights === "first" ? "before training"
      : this.trains ? `after ${this.taken} training steps` : "after training";
    const lines = [`${LABELS[t.kind]} ${when}, unit ${unit + 1}, step ${this.position + 1} ` +
      `“${this.labels[this.position]}”`, ...equations(t, this.position, unit)];
    const text = lines.join("\n");
    if (text !== this.told) {
      this.told = text;
      this.numbers.replaceChildren(...lines.map((line) => element("div", {}, line)));
    }
    let status = `Step ${this.position + 1} of ${this.last + 1}, ` +
      `“${this.labels[this.position]}”.`;
    if (t.answers) {
      const K = t.classes;
      const row = [...t.answers.subarray(this.position * K, (this.position + 1) * K)];
      const best = row.indexOf(Math.max(...row));
      status += ` ${LABELS[t.kind]} would answer ${this.classes[best]} ` +
        `(${(100 * row[best]).toFixed(0)} %).`;
    }
    if (this.busy) {
      const record = this.records[this.records.length - 1];
      status = `Training, step ${this.taken}: accuracy ${this.kinds.map((kind, k) =>
        `${LABELS[kind]} ${(100 * record.accuracies[k]).toFixed(0)} %`).join(", ")}.`;
    }
    this.status(status, !this.playing && !this.busy);
  }

  // ---- drawing ---------------------------------------------------------------------

  draw(now) {
    if (!this.traces.length) return;
    this.advance(now);
    this.transport.show(this.position + 1, this.last + 1, this.playing);
    this.transport.scrub.min = "1";
    this.transport.scrub.value = String(this.position + 1);
    const cell = this.values.cell;
    if (this.listed !== cell) {
      this.listed = cell;
      this.strips.take(this.labels, this.inputs, this.traces.filter(({ kind }) =>
        cell === "all" || kind === cell), this.classes);
      this.tell();
    }
    this.strips.draw(this.theme, this.position, this.values.unit - 1);
    this.drawReach();
    const { dataset } = this.root;
    if (this.trains) {
      const step = this.record ? this.record.step : 0;
      this.training.show(step, Math.max(1, this.taken), this.busy);
      this.drawScore(step);
      dataset.trained = String(this.taken);
      dataset.shown = String(step);
    }
    dataset.position = String(this.position);
    dataset.playing = String(this.playing);
    dataset.training = String(this.busy);
    dataset.records = String(this.records.length);
    dataset.run = String(this.run);
  }
}

export default { render: (context) => mount(context, SequenceView) };
