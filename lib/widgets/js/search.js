// Choosing hyperparameters: two searches train their trials in the kernel, and a click on
// the plane trains one more. Every event comes once; the page can go back through them.
import { element, floats, mount } from "./core.js";
import { button, short } from "./ui.js";
import { mark } from "./plot.js";
import { SearchPictures } from "./search_pictures.js";
import { SIDE_STYLES, different, nearest, tell, trialsAt } from "./search_marks.js";

const COLUMNS = [["trials", "trials"], ["rates", "different rates"],
  ["others", "different values"], ["spent", "epochs spent"], ["loss", "loss of the best"],
  ["right", "right"], ["settings", "its settings"], ["test", "test right"]];
const HINT = "Filling: validation loss. Shape: who tried it. Ticks at the edges: the values "
  + "tried. Click, or Enter at the cross: train a trial there yourself.";

class SearchView extends SearchPictures {
  constructor(root, link) {
    super(root, link);
    Object.assign(this, { rows: [], events: [], sweeps: [], sides: {}, looked: -1 });
    const { transport } = this;
    transport.unit = "epoch";
    transport.stepButton.title = "One epoch forward";
    transport.scrub.setAttribute("aria-label", "epoch shown");
    this.bar.setAttribute("aria-label", "share of the budgets spent");
    this.statusLine.classList.add("lm-search-status");
    this.listen();
  }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (...names) => names.map((name) => this.addControl(spec.get(name)));
    const box = (legend, ...nodes) =>
      element("fieldset", {}, element("legend", {}, legend), ...nodes);
    this.readout = element("div", { class: "lm-readout lm-search-readout" });
    this.testButton = button("Test the winners", "Look at the test part: once, at the end",
      () => this.link.command("test"));
    this.root.append(
      element("div", { class: "lm-row" }, ...add("first", "second", "other", "data")),
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-left" }, this.map.node),
        element("div", { class: "lm-still" }, this.chart.node)),
      this.readout,
      this.transport.node, this.progress, this.statusLine, this.errorBox,
      this.buildNumbers(),
      element("div", { class: "lm-row lm-tight" },
        element("div", { class: "lm-row" }, ...add("speed", "device")),
        element("div", { class: "lm-row" }, this.testButton,
          button("Save picture", "Save all pictures as one PNG", () =>
            this.save("search", ...this.pictures.map((f) => f.canvas)),
          { class: "lm-save" }))),
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-still" }, this.profile.node),
        element("div", { class: "lm-still" }, this.race.node)),
      element("div", { class: "lm-search-knobs" },
        box("Budget", ...add("budget", "epochs", "seed")),
        box("Halving", ...add("candidates", "eta")),
        box("Where to search", ...add("rate_low", "rate_high", "part"))));
  }

  buildNumbers() {
    this.numbers = new Map(["first", "second", "hand"].map((key) => {
      const swatch = element("canvas", { class: "lm-search-key" });
      const name = element("span");
      const cells = COLUMNS.map(([column]) => element("td", { "data-number": column }));
      const node = element("tr", { "data-side": key }, element("th", { scope: "row" },
        swatch, name), ...cells);
      return [key, { swatch, name, cells, node }];
    }));
    this.heads = COLUMNS.map(([, label]) => element("th", { scope: "col" }, label));
    return element("table", { class: "lm-search-numbers" },
      element("thead", {}, element("tr", {}, element("th", {}, "scores: validation part"),
        ...this.heads)),
      element("tbody", {}, ...[...this.numbers.values()].map(({ node }) => node)));
  }

  // ---- data from the kernel ------------------------------------------------------------

  snapshot(state) {
    Object.assign(this, { states: state.states, names: state.names, keys: state.keys });
    if (!this.built) this.build(state);
    this.built = true;
    this.run = null;
    this.take(state, state);
  }

  take(content, parts) {
    if (content.run !== this.run) {
      this.run = content.run;
      Object.assign(this, { position: null, clock: null, looked: -1 });
    }
    if (content.plane) this.plane = content.plane;
    const [trials, events, sweeps] = content.from;
    append(this.rows, trials, floats(parts.trials), 4);
    append(this.events, events, floats(parts.events), 8);
    append(this.sweeps, sweeps, floats(parts.sweeps), 5);
    this.taken = Math.ceil(content.time - 1e-3);
    Object.assign(this, { playing: content.playing, busy: content.busy,
      sides: content.sides, looks: content.looks });
    this.showValues(content.values);
    const goal = Object.values(this.sides).reduce((sum, side) => sum + side.goal, 0);
    const whole = Math.max(1, Math.ceil(goal - 1e-3));
    this.pace(this.taken, whole, `${this.taken} of ${whole} epochs`);
    this.announce();
  }

  // What there is at the moment on show.
  think() {
    this.moment = trialsAt(this.rows, this.events, this.shownStep, this.keys, this.states);
    if (this.position === null) { // those that a hand has just asked for, too
      for (const trial of this.moment.trials) trial.known = true;
    }
    this.measure();
  }

  // ---- hands ---------------------------------------------------------------------------

  listen() {
    for (const frame of this.pictures) {
      frame.canvas.addEventListener("pointermove", (event) => this.look(frame, event));
      frame.canvas.addEventListener("pointerleave", () => {
        Object.assign(this, { looked: -1, pointed: null });
        this.link.invalidate();
      });
    }
    const { canvas } = this.map;
    canvas.addEventListener("pointerdown", (event) => {
      const at = event.button === 0 && this.map.under(event);
      if (!at || !this.link.alive) return;
      this.cursor = this.placeOf(10 ** at[0], at[1]);
      this.tryAt(...this.valuesOf(at));
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["focus", "blur"]) {
      canvas.addEventListener(name, () => this.link.invalidate());
    }
  }

  valuesOf([x, y]) {
    return this.valuesAt(...this.placeOf(10 ** x, y));
  }

  look(frame, event) {
    const box = frame.canvas.getBoundingClientRect();
    const grow = box.width / (frame.width || box.width);
    const spot = nearest(this.spots.get(frame) || [], (event.clientX - box.left) / grow,
      (event.clientY - box.top) / grow);
    this.looked = spot ? spot.trial.number : -1;
    const at = frame === this.map && this.plane ? frame.under(event) : null;
    this.pointed = at ? this.valuesOf(at) : null;
    this.link.invalidate();
  }

  tryAt(rate, other) {
    this.position = null;
    this.link.command("try", rate, other);
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1],
      ArrowUp: [0, 1] };
    if (event.ctrlKey || event.metaKey || event.altKey || !this.plane) return;
    if (event.key in ways) {
      const size = event.shiftKey ? 0.125 : 0.025;
      this.cursor = this.cursor.map((part, k) =>
        Math.min(1, Math.max(0, part + size * ways[event.key][k])));
      this.looked = -1;
      const near = nearest(this.spots.get(this.map) || [], ...this.cursorPixels(), 8);
      if (near) this.looked = near.trial.number;
    } else if (event.key === "PageDown" || event.key === "PageUp") {
      this.lookOn(event.key === "PageDown" ? 1 : -1);
    } else if (event.key === "Enter" && !event.shiftKey) {
      if (this.link.alive) this.tryAt(...this.valuesAt(...this.cursor));
    } else return;
    this.pointed = this.valuesAt(...this.cursor);
    event.preventDefault();
    this.link.invalidate();
    this.status(this.underPointer());
  }

  // The next trial, and the cross on it.
  lookOn(by) {
    const known = this.moment.trials.filter((trial) => trial.known);
    if (!known.length) return;
    const at = known.findIndex((trial) => trial.number === this.looked);
    const next = at < 0 && by < 0 ? known.length - 1
      : (at + by + known.length) % known.length;
    this.looked = known[next].number;
    this.cursor = this.placeOf(known[next].rate, known[next].other);
  }

  pictured() {
    return Object.entries(this.sides).map(([key, { method }]) =>
      ({ label: this.names[method], style: SIDE_STYLES[key] }));
  }

  // ---- drawing -------------------------------------------------------------------------

  draw() {
    if (!this.built || !this.plane) return;
    this.think();
    this.transport.show(this.shownStep, this.newest, Boolean(this.playing));
    this.drawPlane(this.moment);
    this.drawChart(this.moment);
    this.drawProfile(this.moment);
    this.drawRace(this.moment);
    this.drawNumbers();
    const text = this.underPointer();
    if (this.readout.textContent !== text) this.readout.textContent = text;
    const { dataset } = this.root;
    dataset.position = String(this.shownStep);
    dataset.time = String(this.newest);
    dataset.run = String(this.run);
    dataset.playing = String(Boolean(this.playing));
    dataset.busy = String(Boolean(this.busy));
    dataset.trials = this.keys.map((key) => this.moment.trials.filter((trial) =>
      trial.side === key && trial.known).length).join(" ");
    dataset.looked = String(this.looked);
  }

  drawNumbers() {
    this.heads[2].textContent = `different ${this.label}s`;
    this.heads[6].textContent = `rate; ${this.label}`;
    for (const [key, row] of this.numbers) {
      const side = this.sides[key];
      row.node.style.visibility = side ? "" : "hidden"; // the place stays
      if (!side) continue;
      this.drawKey(row.swatch, SIDE_STYLES[key]);
      row.name.textContent = this.names[side.method];
      const values = this.numbersOf(key, side);
      row.cells.forEach((cell, k) => {
        const text = values[COLUMNS[k][0]];
        if (cell.textContent !== text) cell.textContent = text;
      });
    }
  }

  numbersOf(key, side) {
    const { moment } = this;
    const trials = moment.trials.filter((trial) => trial.side === key && trial.known);
    const best = moment.winners[key];
    const now = this.position === null;
    return { trials: String(trials.length), rates: String(different(trials, "rate")),
      others: String(different(trials, "other")),
      spent: short(Math.round(10 * (moment.costs[key] || 0)) / 10),
      loss: best ? short(best.loss) : "–",
      right: best ? `${(100 * best.right).toFixed(1)} %` : "–",
      settings: best ? `${short(best.rate)}; ${short(best.other)}` : "–",
      test: now && side.test !== null ? `${(100 * side.test).toFixed(1)} %`
        : "not yet" };
  }

  drawKey(canvas, style) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = 16 * ratio;
    canvas.height = 16 * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    mark(pen, style, this.theme, 8, 8, 5);
  }

  underPointer() {
    const trial = this.moment.trials[this.looked];
    if (trial) return tell(trial, this.names[this.sides[trial.side].method], this.label);
    if (!this.pointed) return HINT;
    const [rate, other] = this.pointed.map(short);
    return `Learning rate ${rate}, ${this.label} ${other}: click, or Enter, trains a trial `
      + `of ${this.plane.epochs} epochs here.`;
  }

  get label() {
    return this.plane.label.split(" (")[0];
  }

  announce() {
    this.think();
    const parts = Object.entries(this.moment.winners).map(([key, best]) =>
      `${this.names[this.sides[key].method]}: best validation loss ${short(best.loss)}`);
    const looks = this.looks ? ` The test part was looked at ${this.looks} `
      + `${this.looks === 1 ? "time" : "times"}.` : "";
    const text = `Epoch ${this.shownStep}. ${parts.join("; ") || "No trial has a score "
      + "yet"}.${looks}`;
    if (text === this.said) return; // what else stands there is newer
    if (!this.playing) this.said = text;
    this.status(text, !this.playing);
  }
}

// Put rows of so many numbers behind the first `from` of a list.
function append(list, from, values, wide) {
  list.length = from;
  for (let k = 0; k + wide <= values.length; k += wide) {
    list.push([...values.subarray(k, k + wide)]);
  }
}

export default { render: (context) => mount(context, SearchView) };
