// Fit a line by hand: data with a line on the left, the loss over slope and intercept on
// the right. Moving a slider draws at once, here; the kernel runs the descent.
import { element, floats, mount } from "./core.js";
import { Transport, View, button, short } from "./ui.js";
import { Field, Frame, cross, mark, polyline } from "./plot.js";

const HAND = { light: "#d55e00", dark: "#ff9a5c", dash: [2, 4], mark: "circle" };
const DESCENT = { light: "#0072b2", dark: "#4da3e0", dash: [], mark: "square" };

class LineFitView extends View {
  constructor(root, link) {
    super(root, link);
    this.data = new Frame("The data and the line", 400);
    this.map = new Frame("Map of the loss over slope and intercept", 400);
    this.data.square = true;
    this.map.square = true;
    this.transport = new Transport(this, [[5, "5 a second"], [15, "15"], [60, "60"]]);
    this.transport.speed.value = "15";
    this.numbers = element("div", { class: "lm-readout lm-wide" });
    this.trace = []; // where the hand has been: [w, b] pairs
    this.bestByHand = Infinity;
    this.path = new Float32Array(0);
    this.position = 0;
    this.playing = false;
    this.listen();
  }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const hand = (name) => this.addControl(spec.get(name), (value) => {
      this.values[name] = value;
      this.moved();
      this.link.set(name, value);
    });
    this.root.append(
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-still" }, this.data.node),
        element("div", { class: "lm-left" }, this.map.node)),
      this.numbers,
      element("div", { class: "lm-columns" },
        element("fieldset", {}, element("legend", {}, "1. By hand"), hand("w"),
          hand("b"), button("Clear the trace", "Forget where the hand has been", () => {
            this.trace = [];
            this.bestByHand = Infinity;
            this.moved();
          })),
        element("fieldset", {}, element("legend", {}, "2. By gradient descent"),
          this.addControl(spec.get("learning_rate")), this.addControl(spec.get("steps")),
          element("span", { class: "lm-row" },
            button("Descend from here", "Gradient descent from where the sliders stand",
              () => {
                this.wantsPlay = true;
                this.link.command("descend");
              }, { class: "lm-play" }),
            button("Save picture", "Save both pictures as one PNG", () =>
              this.save("line-fit", this.data.canvas, this.map.canvas),
            { class: "lm-save" })))),
      this.transport.node, this.statusLine, this.errorBox);
  }

  // ---- data from the kernel ------------------------------------------------------

  snapshot(state) {
    if (!this.points) this.build(state);
    const points = floats(state.points);
    const N = points.length / 2;
    this.points = [points.subarray(0, N), points.subarray(N)];
    this.names = state.names;
    this.bounds = state.bounds;
    this.best = state.best;
    this.field = new Field(floats(state.grid), state.size, state.bounds, state.lowest,
      false);
    this.showValues(state.values);
    this.takePath(state, floats(state.path));
  }

  message(content, buffers) {
    this.showValues(content.values);
    this.takePath(content, floats(buffers[0]));
  }

  takePath({ run, diverged }, path) {
    const fresh = run !== null && run !== this.run;
    this.run = run;
    this.diverged = diverged;
    this.path = path;
    if (run === null) this.position = 0;
    else if (fresh && this.wantsPlay) {
      this.position = 0;
      this.play();
    } else if (fresh) this.position = this.last;
    this.wantsPlay = false;
    this.root.dataset.run = String(run);
    this.tell();
  }

  // The last step that there is, counting the one at which it left for infinity.
  get last() {
    return Math.max(0, this.path.length / 3 - (this.diverged === null ? 1 : 0));
  }

  // ---- hands and playing -----------------------------------------------------------

  moved() {
    this.pause();
    this.path = new Float32Array(0);
    this.position = 0;
    const [w, b] = [this.values.w, this.values.b];
    this.trace.push([w, b]);
    if (this.trace.length > 400) this.trace.shift();
    this.bestByHand = Math.min(this.bestByHand, this.loss(w, b));
    this.tell();
    this.link.invalidate();
  }

  loss(w, b) {
    const [x, y] = this.points;
    let sum = 0;
    for (let i = 0; i < x.length; i += 1) sum += (w * x[i] + b - y[i]) ** 2;
    return sum / x.length;
  }

  play() {
    if (!this.path.length) return;
    if (this.position >= this.last) this.position = 0;
    this.playing = true;
    this.clock = null;
    this.link.invalidate();
  }

  pause() {
    this.playing = false;
    this.tell();
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
    this.position = Math.min(Math.max(0, position), this.last);
    this.tell();
    this.link.invalidate();
  }

  advance(now) {
    if (!this.playing) return;
    if (this.clock !== null) {
      this.position += ((now - this.clock) / 1000) * this.transport.perSecond;
    }
    this.clock = now;
    if (this.position >= this.last) {
      this.position = this.last;
      this.playing = false;
    }
    this.tell();
    this.link.invalidate();
  }

  listen() {
    const { canvas } = this.map;
    const place = (event) => {
      const at = this.map.under(event, true);
      if (!at) return;
      for (const [name, value] of [["w", at[0]], ["b", at[1]]]) {
        const { input } = this.controls.get(name);
        input.value = String(value); // the slider rounds it to its step
        this.values[name] = Number(input.value);
        this.controls.get(name).show(this.values[name]);
        this.link.set(name, this.values[name]);
      }
      this.moved();
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.map.under(event)) return;
      canvas.setPointerCapture(event.pointerId);
      place(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1 && canvas.hasPointerCapture(event.pointerId)) place(event);
      this.pointer = this.map.under(event);
      this.link.invalidate();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.link.invalidate();
    });
  }

  // ---- drawing ---------------------------------------------------------------------

  // Slope and intercept on show: of the hand, or of the descent at this step.
  get line() {
    const t = Math.min(Math.floor(this.position), this.path.length / 3 - 1);
    if (t < 0) return [this.values.w, this.values.b];
    return [this.path[3 * t], this.path[3 * t + 1]];
  }

  draw(now) {
    if (!this.points) return;
    this.advance(now);
    this.transport.show(Math.floor(this.position), this.last, this.playing);
    this.transport.node.inert = !this.path.length;
    this.transport.node.style.opacity = this.path.length ? "1" : "0.45";
    const [w, b] = this.line;
    this.drawData(w, b);
    this.drawMap(w, b);
    const best = Number.isFinite(this.bestByHand) ? short(this.bestByHand) : "–";
    let text = `w = ${short(w)}, b = ${short(b)}, loss = ${short(this.loss(w, b))}` +
      ` · best by hand so far: ${best}`;
    if (this.pointer) {
      const [u, v] = this.pointer;
      text += ` · under the pointer: w = ${short(u)}, b = ${short(v)}, ` +
        `loss = ${short(this.loss(u, v))}`;
    }
    if (this.numbers.textContent !== text) this.numbers.textContent = text;
    this.root.dataset.position = String(Math.floor(this.position));
    this.root.dataset.playing = String(this.playing);
    this.root.dataset.loss = String(this.loss(w, b));
  }

  drawData(w, b) {
    const { data, theme } = this;
    const [x, y] = this.points;
    if (!this.extent) {
      const around = (v) => {
        const [low, high] = [Math.min(...v), Math.max(...v)];
        const air = 0.06 * (high - low);
        return [low - air, high + air];
      };
      // with 0 in sight, where the line of the first w and b lies
      this.extent = [...around(x), ...around([0, ...y])];
    }
    data.range = this.extent;
    const pen = data.begin(theme);
    if (!pen) return;
    data.clip(() => {
      pen.beginPath();
      for (let i = 0; i < x.length; i += 1) {
        pen.moveTo(data.px(x[i]), data.py(y[i]));
        pen.lineTo(data.px(x[i]), data.py(w * x[i] + b));
      }
      pen.strokeStyle = theme.dark ? "rgba(255,154,92,0.28)" : "rgba(213,94,0,0.22)";
      pen.lineWidth = 1;
      pen.stroke();
      pen.fillStyle = theme.dark ? "#9fb4c8" : "#44566b";
      for (let i = 0; i < x.length; i += 1) {
        pen.beginPath();
        pen.arc(data.px(x[i]), data.py(y[i]), 2.2, 0, 7);
        pen.fill();
      }
      const [x0, x1] = data.range;
      polyline(pen, this.path.length ? DESCENT : { ...HAND, dash: [] }, theme, 2, (k) => {
        const at = k ? x1 : x0;
        return [data.px(at), data.py(w * at + b)];
      }, 3);
    });
    data.axes(...this.names);
  }

  drawMap(w, b) {
    const { map, theme, path } = this;
    map.range = this.bounds;
    const pen = map.begin(theme);
    if (!pen) return;
    map.clip(() => {
      this.field.draw(map);
      polyline(pen, HAND, theme, this.trace.length, (k) =>
        [map.px(this.trace[k][0]), map.py(this.trace[k][1])], 1.5);
      const count = Math.min(Math.floor(this.position) + 1, path.length / 3);
      polyline(pen, DESCENT, theme, count, (k) =>
        [map.px(path[3 * k]), map.py(path[3 * k + 1])]);
      for (let k = 0; k < count && count < 80; k += 1) {
        pen.beginPath();
        pen.arc(map.px(path[3 * k]), map.py(path[3 * k + 1]), 2.4, 0, 7);
        pen.fillStyle = theme.dark ? DESCENT.dark : DESCENT.light;
        pen.fill();
      }
      const [x, y] = map.hold(map.px(w), map.py(b));
      const gone = this.diverged !== null && path.length &&
        Math.floor(this.position) >= this.diverged;
      if (gone) cross(pen, theme.dark ? DESCENT.dark : DESCENT.light, theme, x, y);
      else mark(pen, path.length ? DESCENT : HAND, theme, x, y);
    });
    map.axes("slope w", "intercept b");
  }

  tell() {
    const t = Math.floor(this.position);
    const [w, b] = this.line;
    if (!this.path.length) {
      this.status("Move w and b, or drag on the map, until the loss is as low as you "
        + "can get it.");
    } else if (this.diverged !== null && t >= this.diverged) {
      this.status(`Diverged at step ${this.diverged}: the rate is too large.`);
    } else {
      this.status(`Step ${t} of ${this.last}: loss ${short(this.loss(w, b))}.`,
        !this.playing);
    }
  }
}

export default { render: (context) => mount(context, LineFitView) };
