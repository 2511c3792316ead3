// The training dashboard: curves, gradients, weights, answers and confusions of one or
// two runs. The kernel trains (lib/dashboard.py) and sends each record once; the page
// keeps them, so that scrubbing back never disturbs the training.
import { bytes, element, floats, mount } from "./core.js";
import { button, short } from "./ui.js";
import { TrainingView } from "./training.js";
import { swatch } from "./plot.js";
import { Chart, DASHED, RUNS, Strips, percent } from "./dashboard_panels.js";
import { Answers, Confusion, answer } from "./dashboard_answers.js";
import { examplesOf, sheetOf, unpack } from "./dashboard_records.js";

const [STEP, EPOCH, BATCH, TRAIN, VALIDATION, TRAIN_RIGHT, RIGHT, RATE, GRADIENT, LAYERS]
  = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const KEPT = 600; // details that the page keeps of a run
const COLUMNS = [["Training loss", TRAIN, short], ["Validation loss", VALIDATION, short],
  ["Training accuracy", TRAIN_RIGHT, (v) => percent(v, 1)],
  ["Validation accuracy", RIGHT, (v) => percent(v, 1)], ["Gradient", GRADIENT, short],
  ["Rate", RATE, short]];
// Choices of the page alone: what the panels show.
const SHOWN = [
  { name: "axis", label: "Axis", kind: "choice", first: "step",
    choices: [["step", "steps"], ["epoch", "epochs"]] },
  { name: "log", label: "Logarithmic", kind: "toggle", first: true },
  { name: "noisy", label: "Mini-batches too", kind: "toggle", first: false },
  { name: "gradient", label: "Show", kind: "choice", first: "all",
    choices: [["all", "the whole gradient"], ["layers", "each layer"]] },
  { name: "filter", label: "Show", kind: "choice", first: "all",
    choices: [["all", "all"], ["wrong", "wrong only"], ["unsure", "least certain"]] },
];

class DashboardView extends TrainingView {
  constructor(root, link) {
    super(root, link);
    this.loss = new Chart("Loss of training and validation over time", "loss");
    this.right = new Chart("Accuracy of training and validation over time", "accuracy");
    this.gradient = new Chart("Length of the gradient over time", "length", 290);
    this.weights = new Strips("Spread of the weights of each layer over time", 290);
    this.answers = new Answers("Validation examples with the answers", 310);
    this.confusion = new Confusion("Which classes are taken for which", 310);
    this.panels = [this.loss, this.right, this.gradient, this.weights, this.answers,
      this.confusion];
    this.records = {}; // run -> {about, rows, details}
    this.turned = 0; // pages turned in the examples
    this.built = false;
    for (const panel of this.panels) this.listen(panel);
  }

  get pictures() {
    return this.panels.map(({ frame }) => frame);
  }

  // ---- the page ----------------------------------------------------------------------

  build(state) {
    this.built = true;
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (...names) => names.map((name) => this.addControl(spec.get(name)));
    const local = new Map(SHOWN.map((each) => [each.name, this.addControl(
      { help: "", ...each }, () => {})]));
    for (const { name, first } of SHOWN) this.value(name, first);
    const more = button("More", "The next examples", () => {
      this.turned += 1;
      this.link.invalidate();
    });
    const { stepButton } = this.transport;
    stepButton.title = "One mini-batch forward";
    stepButton.after(button("Epoch", "One pass over the training data", () =>
      this.command("epoch")), button("Stop", "End this training here; play then starts a "
      + "new one", () => this.command("stop")));
    this.transport.node.append(button("Save picture", "Save all panels as one PNG", () =>
      this.saveAll(), { class: "lm-save" }));
    this.left.classList.add("lm-dash-left");
    this.root.append(
      element("div", { class: "lm-row" }, ...add("data", "epochs", "device", "speed"),
        local.get("axis")),
      element("div", { class: "lm-pair lm-dash-pair" },
        this.panel(this.loss, "Loss", local.get("log"), local.get("noisy")),
        this.panel(this.right, "Accuracy")),
      this.transport.node, this.progress,
      this.statusLine, this.errorBox, this.table(), this.settings(add),
      element("div", { class: "lm-pair lm-dash-pair" },
        this.panel(this.gradient, "Length of the gradient", local.get("gradient")),
        this.panel(this.weights, "Weights of each layer")),
      element("div", { class: "lm-pair lm-dash-pair" },
        this.panel(this.answers, "Validation examples", local.get("filter"), more),
        this.panel(this.confusion, "Which classes are taken for which")));
  }

  panel(panel, title, ...extras) {
    const tall = panel === this.answers ? " lm-dash-tall" : "";
    panel.readout = element("div", { class: `lm-readout lm-dash-readout${tall}` },
      "\u00a0");
    return element("div", { class: "lm-dash-panel" },
      element("div", { class: "lm-dash-head" }, element("span", { class: "lm-dash-title" },
        title), ...extras), panel.frame.node, panel.readout);
  }

  settings(add) {
    const names = ["model", "optimizer", "batch_size", "learning_rate", "schedule",
      "weight_decay", "dropout"];
    const half = (end) => element("div", { class: "lm-dash-half" }, ...add(
      ...names.map((name) => name + end)));
    this.halfB = half("_b");
    return element("div", { class: "lm-columns" },
      element("fieldset", {}, element("legend", {}, "Run A"), half("")),
      element("fieldset", {}, element("legend", {}, "Run B"), this.halfB));
  }

  table() {
    this.cells = {};
    const line = (name) => {
      const swatches = element("canvas", { class: "lm-dash-swatch" });
      const label = element("span", { class: "lm-dash-label" });
      const numbers = COLUMNS.map(([title]) => element("td",
        { class: "lm-number", "data-label": title }));
      this.cells[name] = { swatches, label, numbers };
      return element("tr", { "data-run": name }, element("th", { scope: "row" }, swatches,
        label), ...numbers);
    };
    const [toggle] = [this.addControl({ ...this.spec("compare") })];
    return element("div", {},
      element("div", { class: "lm-row" }, toggle, element("span", { class: "lm-dash-key" },
        "solid line: training, dashed line: validation")),
      element("table", { class: "lm-legend lm-dash-table" },
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Run"),
          ...COLUMNS.map(([name]) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, line("A"), line("B"))));
  }

  spec(name) {
    return this.link.model.get("snapshot").controls.find((c) => c.name === name);
  }

  // ---- data from the kernel ------------------------------------------------------------

  snapshot(state) {
    if (!this.built) this.build(state);
    this.records = {};
    this.take(state, state);
  }

  take(content, parts) {
    if (content.run !== this.run) {
      this.run = content.run;
      this.records = {};
      this.position = null;
      this.clock = null;
    }
    Object.assign(this, { total: content.total, playing: content.playing,
      taken: content.step, finished: content.over });
    if (content.data) this.takeData(content.data, parts.shown);
    for (const about of content.runs) {
      this.takeRun(about, content, floats(parts[`rows_${about.name}`]),
        bytes(parts[`details_${about.name}`]));
    }
    this.showValues(content.values);
    this.halfB.inert = !this.values.compare;
    for (const [name, end] of [["A", ""], ["B", "_b"]]) {
      const drops = this.records[name]?.about.drops;
      this.controls.get(`dropout${end}`).input.disabled = !drops;
    }
    this.pace(this.taken, this.total);
    this.announce();
  }

  takeData(about, shown) {
    this.data = examplesOf(about, shown, () => this.theme.dark);
    const labels = new Map(about.models);
    for (const name of ["model", "model_b"]) {
      for (const option of this.controls.get(name).input.options) {
        option.disabled = !labels.has(option.value);
        option.hidden = option.disabled;
        option.textContent = labels.get(option.value) || option.value;
      }
    }
    this.turned = 0;
  }

  takeRun(about, content, values, packed) {
    const { name } = about;
    if (!this.records[name]) this.records[name] = { rows: [], details: [] };
    const run = this.records[name];
    run.about = about;
    const width = LAYERS + about.layers.length;
    run.rows.length = content.from[name]; // a message told again doubles no record
    for (let at = 0; at + width <= values.length; at += width) {
      run.rows.push(values.subarray(at, at + width));
    }
    for (const detail of unpack(packed, content.details[name], about,
      this.data.targets.length)) {
      const last = run.details.at(-1);
      if (!last || last.step < detail.step) run.details.push(detail);
    }
    if (run.details.length > KEPT) run.details = run.details.filter((_, k) => k % 2 === 0);
  }

  // ---- hands ---------------------------------------------------------------------------

  listen(panel) {
    const { canvas } = panel.frame;
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const grow = box.width / panel.frame.width;
      this.pointer = { panel, x: (event.clientX - box.left) / grow,
        y: (event.clientY - box.top) / grow, at: panel.frame.under(event) };
      this.link.invalidate();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.link.invalidate();
    });
    if (!(panel instanceof Chart)) return;
    canvas.addEventListener("pointerdown", (event) => {
      const at = event.button === 0 && panel.frame.under(event);
      if (at) this.seek(this.nearest(this.longest, at[0])[STEP]);
    });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move || !this.longest) return;
      event.preventDefault();
      const { rows } = this.longest;
      const now = Math.max(0, this.count(rows) - 1);
      this.seek(rows[Math.min(rows.length - 1, Math.max(0, now + move))][STEP]);
    });
  }

  ended() {
    super.ended();
    for (const node of this.transport.node.querySelectorAll("button:not(.lm-save)")) {
      node.disabled = true; // every step is the kernel's
    }
  }

  // All panels, two in a row, with the names of the runs under them, as one PNG.
  saveAll() {
    const ratio = window.devicePixelRatio || 1;
    const gap = 16 * ratio;
    const { sheet, pen, foot } = sheetOf(this.pictures, this.theme.back, gap);
    const names = this.runs.map(({ about }) => ({ style: RUNS[about.name],
      label: this.title(about) }));
    this.explain(pen, names, gap, foot / ratio, ratio);
    sheet.toBlob((blob) => {
      const url = URL.createObjectURL(blob);
      element("a", { href: url, download: "training.png" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    });
    this.status("Saved training.png");
  }

  // ---- what is shown ---------------------------------------------------------------------

  get runs() {
    return Object.values(this.records);
  }

  get longest() {
    return this.runs.reduce((best, run) => !best || run.rows.length > best.rows.length
      ? run : best, null);
  }

  get newest() {
    return Math.max(0, ...this.runs.map(({ rows }) => rows.at(-1)?.[STEP] || 0));
  }

  // How many of these, which are in the order of their steps, lie at or before the one
  // shown.
  count(list, step = (row) => row[STEP]) {
    if (this.position === null) return list.length;
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (step(list[middle]) <= this.position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  get column() {
    return this.values.axis === "epoch" ? EPOCH : STEP;
  }

  nearest(run, x) {
    return run.rows.reduce((best, row) => Math.abs(row[this.column] - x)
      < Math.abs(best[this.column] - x) ? row : best);
  }

  title(about) {
    return `${about.name}: ${about.label}, ${about.optimizer}`;
  }

  // The axis doubles when it is full, and ends with the training.
  get span() {
    const full = this.column === EPOCH ? this.values.epochs : this.total;
    const now = Math.max(1, ...this.runs.map(({ rows }) => rows.at(-1)?.[this.column]
      || 0));
    let span = this.column === EPOCH ? 1 : 25;
    while (span <= now) span *= 2;
    return Math.max(Math.min(span, full), now);
  }

  draw() {
    if (!this.built || !this.data) return;
    this.transport.show(this.shownStep, this.newest, Boolean(this.playing));
    this.shown = this.runs.map((run) => ({ ...run, name: run.about.name,
      rows: run.rows.slice(0, this.count(run.rows)),
      details: run.details.slice(0, Math.max(1, this.count(run.details, (d) => d.step))) }));
    this.drawTable();
    this.drawCharts();
    this.drawDetails();
    this.drawReadouts();
    const { dataset } = this.root;
    dataset.step = String(this.taken);
    dataset.position = String(this.shownStep);
    dataset.playing = String(Boolean(this.playing));
    dataset.records = String(this.runs.reduce((sum, { rows }) => sum + rows.length, 0));
    dataset.run = String(this.run);
    dataset.examples = (this.answers.shown || []).join(" ");
  }

  drawTable() {
    for (const [name, { swatches, label, numbers }] of Object.entries(this.cells)) {
      const run = this.shown.find((each) => each.name === name);
      const ratio = window.devicePixelRatio || 1;
      swatches.width = 30 * ratio;
      swatches.height = 14 * ratio;
      const pen = swatches.getContext("2d");
      pen.scale(ratio, ratio);
      if (run) swatch(pen, RUNS[name], this.theme, 0, 7);
      const title = run ? `${this.title(run.about)} (${run.about.weights.toLocaleString(
        "en")} weights)` : `${name}: off`;
      if (label.textContent !== title) label.textContent = title;
      const row = run?.rows.at(-1);
      COLUMNS.forEach(([, column, show], k) => {
        const text = row ? show(row[column]) : "–";
        if (numbers[k].textContent !== text) numbers[k].textContent = text;
      });
    }
  }

  curve(run, column, style, extra = {}) {
    return { style, points: run.rows.map((row) => [row[this.column], row[column]]),
      ...extra };
  }

  drawCharts() {
    const { theme, span } = this;
    const nameX = this.column === EPOCH ? "epoch" : "step";
    const both = (run, train, validation) => {
      const style = RUNS[run.name];
      return [this.curve(run, train, style), this.curve(run, validation,
        { ...style, dash: DASHED })];
    };
    const gradients = (run) => this.values.gradient === "all"
      ? [this.curve(run, GRADIENT, RUNS[run.name])]
      : run.about.layers.map((_, k) => this.curve(run, LAYERS + k, { ...RUNS[run.name],
        dash: [[], [8, 3], [3, 3], [8, 3, 2, 3]][k % 4] }, { note: `${run.name}${k + 1}` }));
    const batches = (run) => this.values.noisy
      ? [this.curve(run, BATCH, RUNS[run.name], { width: 1 })] : [];
    const draw = (chart, make, options) => {
      const hovered = this.pointer && this.pointer.panel instanceof Chart
        && this.pointer.at;
      chart.draw(theme, { lines: this.shown.flatMap(make), span, nameX, log: false,
        cursor: this.cursor, at: hovered ? hovered[0] : null, ...options });
    };
    draw(this.loss, (run) => [...batches(run), ...both(run, TRAIN, VALIDATION)],
      { log: this.values.log });
    draw(this.right, (run) => both(run, TRAIN_RIGHT, RIGHT), { fixed: [0, 1.02] });
    draw(this.gradient, gradients, { log: true });
  }

  get cursor() {
    if (this.position === null) return null;
    const rows = this.shown.map((run) => run.rows.at(-1)).filter(Boolean);
    return Math.max(0, ...rows.map((row) => row[this.column]));
  }

  drawDetails() {
    const { theme, data } = this;
    const ready = this.shown.filter(({ details }) => details.length);
    this.weights.draw(theme, ready.map((run) => ({ name: run.name,
      layers: run.about.layers, bins: run.about.bins,
      details: run.details.map((detail) => ({ ...detail, x: this.column === STEP
        ? detail.step : (detail.step * this.values.epochs) / run.about.total })) })),
    this.span, this.column === EPOCH ? "epoch" : "step");
    const now = ready.map(({ name, details }) => ({ name, detail: details.at(-1) }));
    if (!now.length) return;
    this.answers.draw(theme, data, now, this.order(now), this.turned);
    this.confusion.draw(theme, data, now);
  }

  // The examples to show, by number.
  order(now) {
    const { data } = this;
    const all = [...Array(data.count).keys()];
    if (this.values.filter === "all") return all;
    const V = data.targets.length;
    const said = (k) => now.map(({ detail }) => answer(detail, V, k));
    if (this.values.filter === "wrong") {
      return all.filter((k) => said(k).some((each) => each.said !== data.truth[k]));
    }
    const sure = all.map((k) => said(k).reduce((sum, each) => sum + each.sure, 0));
    return all.sort((one, other) => sure[one] - sure[other]);
  }

  drawReadouts() {
    for (const panel of this.panels) {
      let text = "";
      if (this.pointer?.panel === panel) {
        const { x, y, at } = this.pointer;
        if (panel instanceof Chart) text = at ? this.tellCurves(panel, at[0]) : "";
        else text = panel.under(x, y) || "";
      }
      text = text || "\u00a0";
      if (panel.readout.textContent !== text) panel.readout.textContent = text;
    }
  }

  tellCurves(panel, x) {
    const parts = this.shown.filter(({ rows }) => rows.length).map((run) => {
      const row = this.nearest(run, x);
      const where = `${run.name} at step ${row[STEP]} (epoch ${row[EPOCH].toFixed(1)}): `;
      if (panel === this.loss) {
        return `${where}training ${short(row[TRAIN])}, validation `
          + `${short(row[VALIDATION])}, mini-batch ${short(row[BATCH])}`;
      }
      if (panel === this.right) {
        return `${where}training ${percent(row[TRAIN_RIGHT], 1)}, validation `
          + `${percent(row[RIGHT], 1)}`;
      }
      const layers = run.about.layers.map((_, k) => `${k + 1}: ${short(row[LAYERS + k])}`);
      return `${where}all ${short(row[GRADIENT])}; layers ${layers.join(", ")}`;
    });
    return parts.join(" · ");
  }

  announce() {
    const parts = this.runs.map(({ about, rows }) => {
      const row = rows[Math.max(1, this.count(rows)) - 1];
      if (!about.alive && this.position === null) {
        return `${about.name} diverged by step ${about.step}: its loss is no number any `
          + "more";
      }
      return row ? `${about.name}: ${percent(row[RIGHT], 1)} of the validation examples `
        + "right" : `${about.name}: being measured`;
    });
    const end = this.finished && this.position === null && !this.playing
      ? " The training is over." : "";
    this.status(`Step ${this.shownStep} of ${this.total}. ${parts.join("; ")}.${end}`,
      !this.playing);
  }
}

export default { render: (context) => mount(context, DashboardView) };
