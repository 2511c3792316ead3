// The descent race: paths on the loss surface and loss against step. The kernel runs the
// race (lib/descent.py) and sends the paths once; playing and scrubbing need no kernel.
import { element, floats, mount } from "./core.js";
import { Transport, View, button, short } from "./ui.js";
import { Curves, Field, Frame, cross, mark, polyline } from "./plot.js";
import { Legend } from "./legend.js";

// One run of the race as the page holds it: it may still be arriving.
class Run {
  constructor(head) {
    Object.assign(this, head); // id, names, steps
    const [R, N] = [this.names.length, this.steps + 1];
    this.x = new Float32Array(R * N).fill(NaN);
    this.y = new Float32Array(R * N).fill(NaN);
    this.loss = new Float32Array(R * N).fill(NaN);
    this.done = -1;
    this.diverged = {};
  }

  // rows x (to - from) x 3 values: x, y, loss
  add(from, to, values, diverged) {
    const width = to - from;
    for (let row = 0; row < this.names.length; row += 1) {
      for (let k = 0; k < width; k += 1) {
        const source = 3 * (row * width + k);
        const target = row * (this.steps + 1) + from + k;
        this.x[target] = values[source];
        this.y[target] = values[source + 1];
        this.loss[target] = values[source + 2];
      }
    }
    this.done = to - 1;
    this.diverged = diverged;
  }

  // The last step up to t at which the racer still has a place.
  last(row, t) {
    const stop = this.diverged[this.names[row]] ?? Infinity;
    return Math.max(0, Math.min(t, this.done, stop - 1));
  }

  at(row, k) {
    return row * (this.steps + 1) + k;
  }
}

class RaceView extends View {
  constructor(root, link) {
    super(root, link);
    this.map = new Frame("Map of the loss with the path of each optimizer", 400);
    this.map.square = true;
    this.curves = new Curves("Loss against step for each optimizer", "step",
      "loss above the lowest");
    this.curves.frame.neighbour = this.map;
    this.transport = new Transport(this,
      [[5, "5 a second"], [15, "15"], [40, "40"], [100, "100"], [250, "250"]]);
    this.transport.speed.value = "40";
    this.legend = new Legend((name) => this.flip(name));
    this.readout = element("div", { class: "lm-readout" }, "\u00a0");
    this.position = 0;
    this.playing = false;
    this.pointer = null;
    this.dragging = false;
    this.built = false;
    this.listen();
  }

  build(state) {
    this.built = true;
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name, change) => this.addControl(spec.get(name), change);
    const log = { name: "log", label: "Logarithmic", kind: "toggle", default: true,
      help: "Loss on a logarithmic axis" };
    const top = element("div", { class: "lm-row" }, add("surface"), add("view"),
      add("steps"));
    const pictures = element("div", { class: "lm-pair" },
      element("div", { class: "lm-left" }, this.map.node, this.readout),
      element("div", { class: "lm-right" }, this.curves.frame.node,
        element("div", { class: "lm-row lm-tight" }, this.addControl(log, () => {}),
          button("Save picture", "Save both pictures as one PNG", () =>
            this.save(`descent-${this.surface.key}`, this.map.canvas,
              this.curves.frame.canvas)))));
    const rates = element("fieldset", {}, element("legend", {}, "Learning rate"),
      add("rate_of"), add("learning_rate"),
      button("Best rate for each", "Try a grid of rates for each optimizer and keep "
        + "the one that ends lowest", () => this.link.command("tune")));
    const knobs = element("fieldset", {}, element("legend", {}, "Settings"),
      add("momentum"), add("beta1"), add("beta2"), add("decay"));
    const noise = element("fieldset", {}, element("legend", {}, "Mini-batch noise"),
      add("noise"), button("New noise", "Another seed for the noise", () =>
        this.link.command("new_seed")));
    this.legend.build(state.racers);
    this.root.append(top, pictures, this.transport.node, this.statusLine, this.errorBox,
      element("div", { class: "lm-columns" }, this.legend.node,
        element("div", { class: "lm-knobs" }, rates, knobs, noise)));
    this.controls.get("log").show(true);
    this.values.log = true;
  }

  // ---- data from the kernel ----------------------------------------------------

  snapshot(state) {
    if (!this.built) this.build(state);
    this.showValues(state.values);
    this.take(state, { grid: state.grid, cut: state.cut, paths: state.paths });
  }

  take(content, parts) {
    if (content.values) this.showValues(content.values);
    if (content.rates) this.showRates(content.rates);
    if (content.start) this.start = content.start;
    if (content.surface) {
      this.surface = content.surface;
      const { bounds, lowest, log_scale: log, size } = this.surface;
      this.field = new Field(floats(parts.grid), size, bounds, lowest, log);
    }
    if (parts.cut) this.cut = floats(parts.cut);
    if (content.run) this.takeRun(content, floats(parts.paths));
  }

  showRates(rates) {
    this.rates = rates;
    const mixed = new Set(Object.values(rates)).size > 1;
    if (this.values.rate_of === "all" && mixed && !this.link.asked.has("learning_rate")) {
      this.controls.get("learning_rate").show("own rates");
    }
  }

  // A new run replaces the old one once it covers the step on show: no flicker.
  takeRun({ run, from, to, diverged, along_x: alongX }, values) {
    if (!this.coming || this.coming.id !== run.id) this.coming = new Run(run);
    const { coming } = this;
    coming.alongX = alongX;
    coming.add(from, to, values, diverged);
    const atEnd = !this.run || this.position >= this.run.steps;
    const complete = coming.done >= coming.steps;
    if (complete || (!atEnd && coming.done >= this.position)) {
      this.run = coming;
      if (atEnd && !this.playing) this.position = coming.steps;
      this.position = Math.min(this.position, coming.steps);
      this.root.dataset.run = coming.id;
      this.root.dataset.complete = String(complete);
      this.announce();
    }
  }

  // ---- playing -------------------------------------------------------------------

  play() {
    if (!this.run) return;
    if (this.position >= this.run.steps) this.position = 0;
    this.playing = true;
    this.clock = null;
    this.link.invalidate();
  }

  pause() {
    this.playing = false;
    this.announce();
    this.link.invalidate();
  }

  step() {
    this.seek(Math.floor(this.position) + 1);
  }

  reset() {
    this.seek(0);
  }

  seek(position) {
    this.playing = false;
    this.position = Math.min(Math.max(0, position), this.run ? this.run.steps : 0);
    this.announce();
    this.link.invalidate();
  }

  advance(now) {
    if (!this.playing || !this.run) return;
    if (this.clock !== null) {
      this.position += ((now - this.clock) / 1000) * this.transport.perSecond;
    }
    this.clock = now;
    const end = this.run.steps;
    if (this.position >= end) {
      this.position = end;
      this.pause();
    } else if (this.position > this.run.done) {
      this.position = Math.max(0, this.run.done); // the kernel is not that far yet
    } else this.announce();
    this.link.invalidate();
  }

  // ---- hands ---------------------------------------------------------------------

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
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.map.under(event)) return;
      this.dragging = true;
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      this.place(event);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.dragging) this.place(event);
      this.pointer = this.map.under(event, this.dragging);
      this.link.invalidate();
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, () => { this.dragging = false; });
    }
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.link.invalidate();
    });
    canvas.addEventListener("keydown", (event) => this.nudge(event));
    const chart = this.curves.frame;
    const seek = (event) => {
      const at = chart.under(event, true);
      if (at) this.seek(Math.round(at[0]));
    };
    chart.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !chart.under(event)) return;
      chart.canvas.setPointerCapture(event.pointerId);
      seek(event);
    });
    chart.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1 && chart.canvas.hasPointerCapture(event.pointerId)) {
        seek(event);
      }
    });
  }

  place(event) {
    const at = this.map.under(event, true);
    if (at) this.moveStart(this.cutShown ? [at[0], this.start[1]] : at);
  }

  moveStart(point) {
    if (!this.link.alive) return;
    this.start = point;
    this.link.set("start", point);
    this.link.invalidate();
  }

  nudge(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1],
      ArrowDown: [0, -1] }[event.key];
    if (!way || !this.surface) return;
    event.preventDefault();
    event.stopPropagation();
    const [x0, x1, y0, y1] = this.surface.bounds;
    const part = event.shiftKey ? 0.1 : 0.02;
    // whole multiples of the stride, so that 0 can be met exactly
    const [dx, dy] = [part * (x1 - x0), part * (y1 - y0)];
    const x = way[0] ? (Math.round(this.start[0] / dx) + way[0]) * dx : this.start[0];
    const y = way[1] ? (Math.round(this.start[1] / dy) + way[1]) * dy : this.start[1];
    this.moveStart([Math.min(x1, Math.max(x0, x)), Math.min(y1, Math.max(y0, y))]);
    this.status(`Start at x ${short(this.start[0])}, y ${short(this.start[1])}`);
  }

  get cutShown() {
    return this.run ? this.run.alongX : this.values.view === "cut";
  }

  // What the legend of a saved picture tells.
  pictured() {
    return [...this.legend.rows].filter(([name]) =>
      this.values.optimizers.includes(name)).map(([, row]) => row);
  }

  // ---- drawing -------------------------------------------------------------------

  draw(now) {
    if (!this.built || !this.run) return;
    this.advance(now);
    const t = Math.floor(this.position);
    this.transport.show(t, this.run.steps, this.playing);
    this.drawLegend(t);
    if (this.cutShown) this.drawCut(t);
    else this.drawMap(t);
    this.drawCurves(t);
    this.drawReadout();
    this.root.dataset.position = String(t);
    this.root.dataset.playing = String(this.playing);
  }

  get styles() {
    if (!this.styleOf) {
      this.styleOf = new Map([...this.legend.rows].map(([k, row]) => [k, row.style]));
    }
    return this.styleOf;
  }

  drawLegend(t) {
    if (this.painted !== this.theme) {
      this.legend.paint(this.theme);
      this.painted = this.theme;
    }
    const on = new Set(this.values.optimizers);
    for (const name of this.legend.rows.keys()) {
      const row = this.run.names.indexOf(name);
      let text = "";
      if (on.has(name) && row >= 0) {
        const stop = this.run.diverged[name];
        const gone = stop !== undefined && t >= stop;
        text = gone ? `diverged at step ${stop}`
          : short(this.run.loss[this.run.at(row, this.run.last(row, t))]);
      }
      this.legend.show(name, on.has(name), short((this.rates || {})[name]), text);
    }
  }

  drawMap(t) {
    const { map, theme, run } = this;
    map.range = this.surface.bounds;
    map.log = false;
    const pen = map.begin(theme);
    if (!pen) return;
    map.clip(() => {
      this.field.draw(map);
      for (const [x, y] of this.surface.minima) this.star(pen, map.px(x), map.py(y));
      run.names.forEach((name, row) => {
        const style = this.styles.get(name);
        polyline(pen, style, theme, run.last(row, t) + 1, (k) => {
          const q = run.at(row, k);
          return [map.px(run.x[q]), map.py(run.y[q])];
        });
      });
      run.names.forEach((name, row) => this.head(pen, name, row, t, (q) =>
        [map.px(run.x[q]), map.py(run.y[q])]));
      this.ring(pen, map.px(this.start[0]), map.py(this.start[1]));
    });
    map.axes("x", "y");
  }

  // Where a racer is now; off the map it stands at the edge, diverged it is a cross.
  head(pen, name, row, t, place) {
    const { run, theme, map } = this;
    const style = this.styles.get(name);
    const [x, y, out] = map.hold(...place(run.at(row, run.last(row, t))));
    const stop = run.diverged[name];
    if (stop !== undefined && t >= stop) {
      cross(pen, theme.dark ? style.dark : style.light, theme, x, y);
    } else mark(pen, style, theme, x, y, out ? 3.5 : 5.5);
  }

  star(pen, x, y) {
    pen.strokeStyle = this.theme.ink;
    pen.lineWidth = 1.6;
    pen.beginPath();
    for (let k = 0; k < 4; k += 1) {
      const a = (k * Math.PI) / 4;
      pen.moveTo(x - 6 * Math.cos(a), y - 6 * Math.sin(a));
      pen.lineTo(x + 6 * Math.cos(a), y + 6 * Math.sin(a));
    }
    pen.stroke();
  }

  ring(pen, x, y) {
    for (const [width, colour] of [[5, this.theme.back], [2, this.theme.ink]]) {
      pen.beginPath();
      pen.arc(x, y, 9, 0, 7);
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.stroke();
    }
  }

  // The surface along the line y = start: the curve, the racers and their tangents.
  drawCut(t) {
    const { map, theme, run, cut } = this;
    const [x0, x1] = this.surface.bounds;
    const low = Math.min(...cut);
    const high = Math.max(...cut);
    const air = 0.06 * (high - low || 1);
    map.range = [x0, x1, low - air, high + air];
    map.log = false;
    const pen = map.begin(theme);
    if (!pen) return;
    const last = cut.length - 1;
    const ink = { light: theme.soft, dark: theme.soft, dash: [] };
    map.clip(() => {
      polyline(pen, ink, theme, cut.length, (k) =>
        [map.px(x0 + ((x1 - x0) * k) / last), map.py(cut[k])], 2.5);
      run.names.forEach((name, row) => this.tangent(pen, name, row, t));
      run.names.forEach((name, row) => this.head(pen, name, row, t, (q) =>
        [map.px(run.x[q]), map.py(run.loss[q])]));
      this.ring(pen, map.px(this.start[0]), map.py(run.loss[0]));
    });
    map.axes("x", "loss");
  }

  tangent(pen, name, row, t) {
    const { map, run, surface, cut } = this;
    const [x0, x1] = surface.bounds;
    const q = run.at(row, run.last(row, t));
    const place = ((run.x[q] - x0) / (x1 - x0)) * (cut.length - 1);
    const k = Math.round(place);
    if (!(k > 0 && k < cut.length - 1)) return;
    const wide = (x1 - x0) / (cut.length - 1);
    const slope = (cut[k + 1] - cut[k - 1]) / (2 * wide);
    // equal length on the screen, whatever the slope
    const [ux, uy] = [map.px(1) - map.px(0), map.py(slope) - map.py(0)];
    const size = 38 / Math.hypot(ux, uy);
    const [cx, cy] = [map.px(run.x[q]), map.py(run.loss[q])];
    polyline(pen, { ...this.styles.get(name), dash: [] }, this.theme, 2, (end) => {
      const way = end ? size : -size;
      return [cx + way * ux, cy + way * uy];
    }, 1.5);
  }

  drawCurves(t) {
    const { run } = this;
    let { lowest } = this.surface;
    if (run.alongX) {
      lowest = Math.min(...this.cut); // of this line; a racer may stand between samples
      for (const z of run.loss) if (z < lowest) lowest = z;
    }
    // stand a little off zero, so that a racer that hits the minimum stays drawn, and
    // show no difference that is finer than the digits of float32
    const floor = Math.max(1e-16, 1.2e-7 * Math.abs(lowest));
    const series = run.names.map((name, row) => {
      const from = run.at(row, 0);
      const values = Array.from(run.loss.subarray(from, from + run.steps + 1),
        (z) => (Number.isNaN(z) ? NaN : Math.max(z - lowest, floor)));
      return { style: this.styles.get(name), values, count: run.last(row, t) + 1 };
    });
    this.curves.draw(this.theme, series, run.steps, t, this.values.log);
  }

  drawReadout() {
    let text = "Click or drag on the map to choose the start; arrow keys move it.";
    if (this.pointer && this.cutShown) {
      text = `x = ${short(this.pointer[0])}, loss = ${short(this.pointer[1])}`;
    } else if (this.pointer) {
      const [x, y] = this.pointer;
      text = `x = ${short(x)}, y = ${short(y)}, loss ≈ ${short(this.field.at(x, y))}`;
    }
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  announce() {
    if (!this.run) return;
    const t = Math.floor(this.position);
    let best = null;
    this.run.names.forEach((name, row) => {
      const loss = this.run.loss[this.run.at(row, this.run.last(row, t))];
      const alive = !(this.run.diverged[name] <= t);
      if (alive && (!best || loss < best.loss)) best = { name, loss };
    });
    const gone = Object.keys(this.run.diverged).filter((n) => this.run.diverged[n] <= t);
    const label = (name) => this.legend.rows.get(name).label;
    const lead = best ? `Lowest: ${label(best.name)}, loss ${short(best.loss)}.`
      : this.run.names.length ? "All have diverged." : "No optimizer is switched on.";
    const lost = gone.length ? ` Diverged: ${gone.map(label).join(", ")}.` : "";
    this.status(`Step ${t} of ${this.run.steps}. ${lead}${lost}`, !this.dragging && !this.playing);
  }
}

export default { render: (context) => mount(context, RaceView) };
