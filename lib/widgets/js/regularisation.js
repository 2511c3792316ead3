// Knobs against overfitting: two networks train in the kernel, with the knobs and
// without. Each record comes once; the page keeps them all and can go back.
import { bytes, element, floats, mount } from "./core.js";
import { button, short } from "./ui.js";
import { FREE, HELD, RegularisationPictures } from "./regularisation_pictures.js";

const COLUMNS = [["train_loss", "training loss"], ["validation_loss", "validation loss"],
  ["train_accuracy", "training right"], ["validation_accuracy", "validation right"],
  ["norm", "length of all weights"], ["tiny", "weights below 0.001"],
  ["exact", "exactly 0"]];
const SHARES = new Set(["train_accuracy", "validation_accuracy", "tiny", "exact"]);

class RegularisationView extends RegularisationPictures {
  constructor(root, link) {
    super(root, link);
    this.transport.stepButton.title = "One record, 5 steps, forward";
    this.runs = [[], []];
    this.best = [];
    this.points = [];
    this.listen();
  }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (...names) => names.map((name) => this.addControl(spec.get(name),
      (value) => {
        this.showOff(name);
        this.link.set(name, value);
      }));
    const own = (name, label, rest) => this.addControl({ name, label, help: label,
      ...rest }, () => {});
    const box = (legend, ...nodes) =>
      element("fieldset", {}, element("legend", {}, legend), ...nodes);
    this.readout = element("div", { class: "lm-readout" });
    this.root.append(
      element("div", { class: "lm-row" }, ...add("speed", "steps", "device")),
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-left" }, this.map.node, this.readout),
        element("div", { class: "lm-right" }, this.curves.frame.node,
          element("div", { class: "lm-row lm-tight" },
            own("curve", "Curve", { kind: "choice",
              choices: [["loss", "loss"], ["accuracy", "accuracy"]] }),
            own("judges", "Validation points", { kind: "toggle" }),
            button("Save picture", "Save all pictures as one PNG", () =>
              this.save("regularisation", ...this.pictures.map((f) => f.canvas)),
            { class: "lm-save" })))),
      this.transport.node,
      this.progress,
      this.statusLine, this.errorBox, this.buildNumbers(),
      element("div", { class: "lm-pair" }, element("div", { class: "lm-still" },
        this.bars.node), element("div", { class: "lm-still" }, this.sizes.node)),
      element("div", { class: "lm-reg-knobs" },
        box("Penalties on the weights", ...add("l1", "l1_way", "l2", "l2_way")),
        box("Noise and targets", ...add("dropout", "rescale", "smoothing",
          "early_stopping", "patience")),
        box("Data (for both networks)", ...add("examples", "label_noise", "continues"))));
    this.controls.get("curve").show("loss");
    Object.assign(this.values, { curve: "loss", judges: false });
  }

  buildNumbers() {
    this.numbers = [["with your knobs", HELD], ["without", FREE]].map(([name, style]) => {
      const key = element("span", { class: "lm-reg-key" });
      const cells = COLUMNS.map(([column]) => element("td", { "data-number": column }));
      return { key, style, cells, node: element("tr", {}, element("th", {}, key, name),
        ...cells) };
    });
    return element("table", { class: "lm-reg-numbers" },
      element("thead", {}, element("tr", {}, element("th", {}, "solid: training, dashed: "
        + "validation, ▼ its best"), ...COLUMNS.map(([, label]) => element("th", {}, label)))),
      element("tbody", {}, ...this.numbers.map(({ node }) => node)));
  }

  // A logarithmic slider has no 0: its lower end is "off".
  showOff(name) {
    if (!["l1", "l2"].includes(name) || this.values[name] > this.off) return;
    const { input, node } = this.controls.get(name);
    node.querySelector("output").textContent = "off";
    input.setAttribute("aria-valuetext", "off");
  }

  value(name, value) {
    super.value(name, value);
    this.showOff(name);
  }

  // ---- data from the kernel ------------------------------------------------------------

  snapshot(state) {
    Object.assign(this, { grid: state.grid, bounds: state.bounds, off: state.off,
      widest: state.widest, bins: state.bins, counted: state.sizes, names: state.names });
    if (!this.built) this.build(state);
    this.built = true;
    this.judges = table(floats(state.judges), 3);
    this.run = null;
    this.take(state, state);
  }

  take(content, parts) {
    if (content.run !== this.run) {
      this.run = content.run;
      this.runs = [[], []];
      this.position = null;
      this.clock = null;
    }
    this.taken = content.step;
    this.playing = content.playing;
    this.stopped = content.stopped;
    this.showValues(content.values);
    if (parts.points) this.points = table(floats(parts.points), 4);
    this.takeRecords(content, floats(parts.rows), bytes(parts.maps));
    this.pace(this.taken, this.values.steps);
    this.announce();
  }

  takeRecords(content, rows, maps) {
    const [wide, cells] = [this.names.length + this.bins + this.counted, this.grid ** 2];
    let at = 0;
    this.runs.forEach((records, which) => {
      records.length = content.from[which];
      for (let r = 0; r < content.counts[which]; r += 1, at += 1) {
        const row = rows.subarray(at * wide, (at + 1) * wide);
        const record = Object.fromEntries(this.names.map((name, k) => [name, row[k]]));
        const middle = this.names.length + this.bins;
        record.histogram = row.subarray(this.names.length, middle);
        record.sizes = row.subarray(middle);
        record.map = maps.slice(at * cells, (at + 1) * cells);
        records.push(record);
      }
    });
  }

  // ---- hands -----------------------------------------------------------------------------

  listen() {
    for (const frame of this.pictures) {
      frame.canvas.addEventListener("pointermove", (event) => {
        this.pointer = { frame, at: frame.under(event) };
        this.link.invalidate();
      });
      frame.canvas.addEventListener("pointerleave", () => {
        this.pointer = null;
        this.link.invalidate();
      });
    }
    const chart = this.curves.frame;
    chart.canvas.addEventListener("pointerdown", (event) => {
      const at = event.button === 0 && chart.under(event);
      if (at) this.seek(Math.round(at[0]));
    });
  }

  pictured() {
    return [{ label: "with regularisation", style: HELD },
      { label: "without", style: FREE }];
  }

  // ---- drawing ---------------------------------------------------------------------------

  draw() {
    if (!this.built || !this.runs[0].length) return;
    this.transport.show(this.shownStep, this.newest, Boolean(this.playing));
    this.drawMap();
    this.drawCurves();
    this.drawWeights();
    this.drawNumbers();
    this.drawReadout();
    this.root.dataset.position = String(this.shownStep);
    this.root.dataset.step = String(this.newest);
    this.root.dataset.run = String(this.run);
    this.root.dataset.playing = String(Boolean(this.playing));
    this.root.dataset.records = this.runs.map((r) => r.length).join(" ");
  }

  drawNumbers() {
    this.shown.forEach((record, which) => {
      const { key, style, cells } = this.numbers[which];
      key.style.borderColor = this.paint(style);
      COLUMNS.forEach(([name], k) => {
        const value = record[name];
        cells[k].textContent = SHARES.has(name) ? `${(100 * value).toFixed(1)} %`
          : short(value);
      });
    });
  }

  drawReadout() {
    let text = "Colours and thick line: with your knobs. Grey line: without. Ringed: "
      + "wrong label.";
    const { pointer } = this;
    if (pointer?.at) text = this.under(pointer.frame, pointer.at);
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  under(frame, [x, y]) {
    const [held, free] = this.shown;
    if (frame === this.map) {
      const [x0, x1, y0, y1] = this.bounds;
      const n = this.grid - 1;
      const cell = Math.round(((y - y0) / (y1 - y0)) * n) * this.grid
        + Math.round(((x - x0) / (x1 - x0)) * n);
      const chance = (record) => `${((100 * record.map[cell]) / 255).toFixed(0)} %`;
      return `${short(x)}, ${short(y)}: class 1 with ${chance(held)}; without knobs `
        + chance(free);
    }
    if (frame === this.curves.frame) {
      const near = this.runs.map((records) => records.reduce((a, b) =>
        (Math.abs(b.step - x) < Math.abs(a.step - x) ? b : a)));
      return `Step ${near[0].step}: validation loss `
        + `${short(near[0].validation_loss)}, without knobs ${short(near[1].validation_loss)}`;
    }
    if (frame === this.sizes) {
      const k = Math.round((x / 100) * (held.sizes.length - 1));
      return `${short(Math.round(x))} % of the weights are at most ${short(held.sizes[k])}`
        + ` in size; without knobs ${short(free.sizes[k])}`;
    }
    const bin = Math.min(this.bins - 1, Math.floor(((x + this.widest)
      / (2 * this.widest)) * this.bins));
    return `Weights near ${short(x)}: ${held.histogram[bin]}, without knobs `
      + `${free.histogram[bin]}`;
  }

  announce() {
    if (!this.runs[0].length) return;
    const [held, free] = this.shown;
    const text = `Step ${this.shownStep}. Validation loss ${short(held.validation_loss)}`
      + ` with your knobs, ${short(free.validation_loss)} without.`
      + `${this.stopped[0] && this.position === null ? " Stopped early." : ""}`;
    if (text === this.said) return; // what else stands there is newer
    if (!this.playing) this.said = text;
    this.status(text, !this.playing);
  }
}

// Rows of so many numbers each.
function table(values, wide) {
  return [...Array(values.length / wide)].map((_, k) =>
    values.subarray(k * wide, (k + 1) * wide));
}

export default { render: (context) => mount(context, RegularisationView) };
