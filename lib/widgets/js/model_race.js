// A real network trained by several optimizers: their ways over its loss surface, and
// the loss while it trains. The kernel trains (lib/model_race.py) and sends each record
// once; the page keeps them all, so that scrubbing back never disturbs the training.
import { element, floats, mount } from "./core.js";
import { button, short } from "./ui.js";
import { TrainingView } from "./training.js";
import { Curves, Field, Frame, cross, mark, polyline } from "./plot.js";
import { Legend } from "./legend.js";

const WIDTH = 7; // step, a, b, training loss, validation loss, accuracy, off the plane
const [STEP, A, B, TRAIN, VALIDATION, ACCURACY, OFF] = [0, 1, 2, 3, 4, 5, 6];

class ModelRaceView extends TrainingView {
  constructor(root, link) {
    super(root, link);
    this.map = new Frame("Map of the network's loss with the way of each optimizer", 400);
    this.map.square = true;
    this.curves = new Curves("Loss against step for each optimizer", "step",
      "training loss");
    this.curves.frame.neighbour = this.map;
    this.legend = new Legend((name) => this.flip(name),
      ["Optimizer", "Rate", "Training loss now"]);
    this.readout = element("div", { class: "lm-readout" }, "\u00a0");
    this.rows = new Map(); // racer -> array of records
    this.built = false;
    this.listen();
  }

  build(state) {
    this.built = true;
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name, change) => this.addControl(spec.get(name), change);
    const shown = { name: "curve", label: "Curve", kind: "choice", help: "What is drawn",
      choices: [["train", "training loss"], ["validation", "validation loss"],
        ["accuracy", "validation accuracy"]] };
    const top = element("div", { class: "lm-row" }, add("speed"), add("steps"),
      add("follow"), add("device"));
    const pictures = element("div", { class: "lm-pair" },
      element("div", { class: "lm-left" }, this.map.node, this.readout),
      element("div", { class: "lm-right" }, this.curves.frame.node,
        element("div", { class: "lm-row lm-tight" }, this.addControl(shown, () => {}),
          button("Save picture", "Save both pictures as one PNG", () =>
            this.save("network-descent", this.map.canvas, this.curves.frame.canvas)))));
    const rates = element("fieldset", {},
      element("legend", {}, "Change while it trains"), add("rate_of"),
      add("learning_rate"));
    const knobs = element("fieldset", {}, element("legend", {}, "Starts again"),
      add("batch_size"));
    this.legend.build(state.racers);
    this.root.append(top, pictures, this.transport.node,
      this.progress,
      this.statusLine, this.errorBox,
      element("div", { class: "lm-columns" }, this.legend.node,
        element("div", { class: "lm-knobs" }, rates, knobs)));
    this.controls.get("curve").show("train");
    this.values.curve = "train";
  }

  // ---- data from the kernel ------------------------------------------------------

  snapshot(state) {
    if (!this.built) this.build(state);
    this.rows.clear();
    this.take(state, { rows: state.rows, map: state.map });
  }

  take(content, parts) {
    if (content.run !== this.run) {
      this.run = content.run;
      this.rows.clear();
      this.position = null;
      this.clock = null;
    }
    const { names, bounds, playing, leader, through, diverged, rates } = content;
    Object.assign(this, { names, bounds, playing, leader, through, diverged, rates });
    this.taken = content.step; // steps taken; `step()` takes one more
    this.showValues(content.values);
    const mixed = new Set(Object.values(rates)).size > 1;
    if (this.values.rate_of === "all" && mixed && !this.link.asked.has("learning_rate")) {
      this.controls.get("learning_rate").show("own rates");
    }
    this.takeRows(content, floats(parts.rows));
    if (parts.map) this.takeMap(floats(parts.map), content.size);
    this.pace(this.taken, this.values.steps);
    this.announce();
  }

  takeRows(content, values) {
    let at = 0;
    content.names.forEach((name, k) => {
      if (!this.rows.has(name)) this.rows.set(name, []);
      const rows = this.rows.get(name);
      rows.length = content.from[k]; // a message told again never doubles a record
      for (let r = 0; r < content.counts[k]; r += 1, at += WIDTH) {
        rows.push(values.subarray(at, at + WIDTH));
      }
    });
  }

  takeMap(grid, size) {
    let [lowest, highest] = [Infinity, -Infinity];
    for (const value of grid) {
      if (!Number.isFinite(value)) continue;
      lowest = Math.min(lowest, value);
      highest = Math.max(highest, value);
    }
    this.lowest = lowest;
    this.field = new Field(grid, size, this.bounds, lowest, true);
  }

  // ---- hands -----------------------------------------------------------------------

  flip(name) {
    const on = new Set(this.values.optimizers);
    if (on.has(name)) on.delete(name);
    else on.add(name);
    this.values.optimizers = [...on];
    this.link.set("optimizers", this.values.optimizers);
    this.link.invalidate();
  }

  listen() {
    const { canvas } = this.map;
    canvas.addEventListener("pointermove", (event) => {
      this.pointer = this.map.under(event);
      this.link.invalidate();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.link.invalidate();
    });
    const chart = this.curves.frame;
    chart.canvas.addEventListener("pointerdown", (event) => {
      const at = event.button === 0 && chart.under(event);
      if (at) this.seek(Math.round(at[0]));
    });
  }

  // What the legend of a saved picture tells.
  pictured() {
    return [...this.legend.rows].filter(([name]) =>
      this.values.optimizers.includes(name)).map(([, row]) => row);
  }

  // ---- drawing ---------------------------------------------------------------------

  // How many records of a racer lie at or before the step shown.
  count(rows) {
    if (this.position === null) return rows.length;
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle][STEP] <= this.position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  draw() {
    if (!this.built || !this.field) return;
    const step = this.shownStep;
    this.transport.show(step, this.newest, Boolean(this.playing));
    this.drawLegend();
    this.drawMap();
    this.drawCurves(step);
    this.drawReadout();
    this.root.dataset.step = String(this.newest);
    this.root.dataset.position = String(step);
    this.root.dataset.playing = String(Boolean(this.playing));
    this.root.dataset.records = String([...this.rows.values()].reduce((s, r) =>
      s + r.length, 0));
  }

  label(name) {
    return this.legend.rows.get(name).label;
  }

  style(name) {
    return this.legend.rows.get(name).style;
  }

  gone(name, count) {
    return this.diverged.includes(name) && count === this.rows.get(name).length;
  }

  drawLegend() {
    if (this.painted !== this.theme) {
      this.legend.paint(this.theme);
      this.painted = this.theme;
    }
    const on = new Set(this.values.optimizers);
    for (const name of this.legend.rows.keys()) {
      let text = "";
      const rows = this.rows.get(name);
      if (on.has(name) && rows && rows.length) {
        const count = Math.max(1, this.count(rows));
        const last = rows[count - 1];
        text = this.gone(name, count) ? `diverged at step ${last[STEP] + 1}`
          : short(last[TRAIN]);
      }
      this.legend.show(name, on.has(name), short(this.rates[name]), text);
    }
  }

  drawMap() {
    const { map, theme } = this;
    map.range = this.bounds;
    const pen = map.begin(theme);
    if (!pen) return;
    const place = (row) => [map.px(row[A]), map.py(row[B])];
    map.clip(() => {
      this.field.draw(map);
      for (const [name, rows] of this.rows) {
        polyline(pen, this.style(name), theme, this.count(rows), (k) => place(rows[k]));
      }
      for (const [name, rows] of this.rows) {
        if (!rows.length) continue;
        const count = Math.max(1, this.count(rows));
        const [x, y, out] = map.hold(...place(rows[count - 1]));
        const { light, dark } = this.style(name);
        if (this.gone(name, count)) cross(pen, theme.dark ? dark : light, theme, x, y);
        else mark(pen, this.style(name), theme, x, y, out ? 3.5 : 5.5);
      }
    });
    map.axes("first direction of the weights", "second direction");
  }

  drawCurves(step) {
    const column = { train: TRAIN, validation: VALIDATION,
      accuracy: ACCURACY }[this.values.curve];
    const { frame } = this.curves;
    this.curves.nameY = { train: "training loss", validation: "validation loss",
      accuracy: "validation accuracy" }[this.values.curve];
    const series = [...this.rows].map(([name, rows]) => ({ style: this.style(name),
      rows: rows.slice(0, this.count(rows)), all: rows }));
    const pen = frame.begin(this.theme);
    if (!pen) return;
    frame.log = column !== ACCURACY;
    frame.range = [0, Math.max(this.values.steps, this.newest),
      ...(frame.log ? this.curves.extent(series.map(({ all }) =>
        ({ values: all.map((row) => row[column]) })), true) : [0, 1])];
    frame.axes("step", this.curves.nameY);
    const [, , low, high] = frame.range;
    frame.clip(() => {
      polyline(pen, { light: this.theme.soft, dark: this.theme.soft, dash: [] },
        this.theme, 2, (k) => [frame.px(step), k ? frame.top : frame.bottom], 1);
      for (const { style, rows } of series) {
        polyline(pen, style, this.theme, rows.length, (k) => [frame.px(rows[k][STEP]),
          frame.py(Math.min(high, Math.max(low, rows[k][column])))]);
        const newest = rows[rows.length - 1];
        if (newest) {
          this.curves.tip(pen, style, this.theme, newest[STEP], newest[column]);
        }
      }
    });
  }

  drawReadout() {
    let text = `Map through ${this.through ? `${this.label(this.through)}'s weights`
      : "the pilot's last weights"}`;
    if (this.pointer) {
      const [a, b] = this.pointer;
      text = `${short(a)}, ${short(b)}: loss ≈ ${short(this.field.at(a, b))}`;
    } else if (this.leader && this.rows.get(this.leader)?.length) {
      const rows = this.rows.get(this.leader);
      const last = rows[Math.max(1, this.count(rows)) - 1];
      text += `; ${this.label(this.leader)} is ${short(last[OFF])} off the pilot's plane`;
    }
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  announce() {
    let best = null;
    for (const [name, rows] of this.rows) {
      const count = this.count(rows);
      if (!count || this.gone(name, count)) continue;
      const row = rows[count - 1];
      if (!best || row[TRAIN] < best.row[TRAIN]) best = { name, row };
    }
    const lead = best ? `Lowest: ${this.label(best.name)}, loss ${short(best.row[TRAIN])}, ` +
      `${(100 * best.row[ACCURACY]).toFixed(1)} % of the validation digits right.`
      : this.names.length ? "All have diverged." : "No optimizer is switched on.";
    this.status(`Step ${this.shownStep}. ${lead}`, !this.playing);
  }
}

export default { render: (context) => mount(context, ModelRaceView) };
