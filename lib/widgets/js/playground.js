// The playground: the network on the left, what it answers on the right, and everything
// that can be turned below. The kernel trains (lib/playground.py) and tells one moment
// after the other; the page keeps them, so that going back and looking need no kernel.
import { bytes, element, floats, mount } from "./core.js";
import { button, short, uniqueId } from "./ui.js";
import { Curves, Frame } from "./plot.js";
import { Maps, Net, Wiring } from "./playground_net.js";
import { CURVE_STYLES, PlaygroundPictures, STEP, squared } from "./playground_draw.js";

const ROW = 6; // numbers in a record of the loss
const MOMENTS = 160; // kept by the page; of more, every other one goes

class PlaygroundView extends PlaygroundPictures {
  constructor(root, link) {
    super(root, link);
    root.classList.add("lm-playground");
    this.maps = new Maps();
    this.net = new Net(this.maps);
    this.net.frame.canvas.classList.add("lm-net");
    this.map = new Frame("What the network answers over the plane, with the points", 420);
    squared(this.map, 30, 400);
    this.net.frame.beside = (width) => (width > 380 ? 430 : 360);
    this.curves = new Curves("Loss against epoch, of training and test", "epoch", "loss");
    this.close = new Frame("The chosen neuron's response over the plane", 250);
    squared(this.close, 44, 210);
    this.curves.frame.beside = () => 260;
    this.readout = element("div", { class: "lm-readout" }, "\u00a0");
    this.frames = []; // moments: {step, theta, scales, neurons, output}
    this.rows = [];
    this.chosen = { kind: "neuron", layer: 1, k: 0 };
    this.chosenWeight = 0;
    this.listen();
  }

  get pictures() {
    return [this.net.frame, this.map, this.curves.frame, this.close];
  }

  // ---- building ----------------------------------------------------------------------

  build(state) {
    Object.assign(this, { fine: state.fine, coarse: state.coarse, finest: state.finest,
      all: state.features_all, most: state.most, inputScales: state.input_scales });
    this.inputMaps = bytes(state.inputs);
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => this.addControl(spec.get(name));
    const local = (name, label, choices, help) => this.addControl(choices
      ? { name, label, kind: "choice", help, choices }
      : { name, label, kind: "toggle", help }, () => {});
    this.layers = element("div", { class: "lm-layers" });
    this.clear = button("Remove", "Take away the points that you added", () =>
      this.link.command("clear"));
    this.root.append(
      element("div", { class: "lm-row" }, add("problem"), add("dataset"), add("target"),
        add("optimizer"), add("speed"), add("device")),
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-still" }, this.depthRow(), this.layers,
          this.net.frame.node),
        element("div", { class: "lm-left" }, this.map.node,
          element("div", { class: "lm-row" }, add("show_test"), add("discretise"),
            local("adding", "Add points", null,
              "Click on the map, or move with the arrow keys and press Enter"),
            local("label", "as", [["1", "blue"], ["0", "orange"]],
              "The class of the points that you add"), this.clear))),
      this.readout, this.transport.node,
      this.progress,
      this.statusLine, this.errorBox,
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-right" }, this.curves.frame.node,
          element("div", { class: "lm-row lm-tight" },
            local("curve", "Curve", [["loss", "loss"], ["log", "loss, logarithmic"],
              ["right", "share that is right"]], "What is drawn"),
            button("Save picture", "Save the pictures as one PNG", () =>
              this.save("playground", ...this.pictures.map((f) => f.canvas)),
            { class: "lm-save" }))),
        element("div", { class: "lm-still lm-closer" }, this.close.node,
          this.handRow())),
      element("div", { class: "lm-trio" },
        element("fieldset", {}, element("legend", {}, "Points"), add("points"),
          add("noise"), add("test_share"), add("data_seed"), this.newSeed("data_seed",
            "New points")),
        element("fieldset", {}, element("legend", {}, "Network"), this.featureRow(),
          add("hidden"), add("activation"), add("seed"), this.newSeed("seed",
            "New weights")),
        element("fieldset", {}, element("legend", {}, "Training"), add("learning_rate"),
          add("batch_size"), add("l1"), add("l2"), add("dropout"), add("epochs"),
          add("stop_loss"))));
    for (const [name, value] of [["adding", false], ["label", "1"], ["curve", "loss"]]) {
      this.controls.get(name).show(value);
      this.values[name] = value;
    }
  }

  newSeed(name, label) {
    return button(label, "Another seed, by chance", () => {
      const seed = (this.values[name] + 1 + Math.floor(98 * Math.random())) % 100;
      this.link.set(name, seed);
    });
  }

  depthRow() {
    this.depth = element("output", {});
    const change = (by) => () => {
      const sizes = this.hidden;
      if (by > 0) sizes.push(sizes.length ? Math.min(4, sizes[sizes.length - 1]) : 4);
      else sizes.pop();
      this.setHidden(sizes);
    };
    this.fewer = button("−", "One hidden layer less", change(-1),
      { "aria-label": "one hidden layer less" });
    this.more = button("+", "One hidden layer more", change(1),
      { "aria-label": "one hidden layer more" });
    return element("div", { class: "lm-depth" }, this.fewer, this.more, this.depth);
  }

  get hidden() {
    return this.wiring ? this.wiring.sizes.slice(1, -1) : [];
  }

  setHidden(sizes) {
    this.link.set("hidden", sizes.join(" "));
  }

  featureRow() {
    this.boxes = this.all.map((name) => {
      const input = element("input", { type: "checkbox", id: uniqueId("feature"),
        "data-feature": name });
      input.addEventListener("change", () => this.flip(name));
      return input;
    });
    return element("div", { class: "lm-features", role: "group",
      "aria-label": "Features" }, ...this.boxes.map((input, k) =>
      element("label", { for: input.id }, input, this.all[k])));
  }

  flip(name) {
    const on = new Set(this.values.features);
    if (!on.delete(name)) on.add(name);
    if (on.size) {
      this.values.features = this.all.filter((each) => on.has(each));
      this.link.set("features", this.values.features);
    } else this.status("The network needs one feature or more.");
    this.link.invalidate();
  }

  // Choose a neuron and a weight, and set the weight, by keyboard too.
  handRow() {
    const [a, b, c] = [uniqueId("neuron"), uniqueId("weight"), uniqueId("value")];
    this.neuronMenu = element("select", { id: a });
    this.weightMenu = element("select", { id: b });
    this.slide = element("input", { type: "range", min: "-5", max: "5", step: "0.05",
      "aria-label": "value of the weight, by slider" });
    this.field = element("input", { type: "number", id: c, step: "any" });
    this.neuronMenu.addEventListener("change", () => {
      const [layer, k] = this.neuronMenu.value.split(",").map(Number);
      this.chosen = { kind: "neuron", layer, k };
      this.link.invalidate();
    });
    this.weightMenu.addEventListener("change", () =>
      this.chooseWeight(Number(this.weightMenu.value)));
    for (const input of [this.slide, this.field]) {
      input.addEventListener("input", () => this.handMoved(input));
    }
    return element("div", { class: "lm-hand" },
      element("label", { for: a }, "Neuron shown large"), this.neuronMenu,
      element("label", { for: b }, "Weight to change by hand"), this.weightMenu,
      element("label", { for: c }, "Its value"), this.field, this.slide);
  }

  chooseWeight(index) {
    this.chosenWeight = index;
    this.weightMenu.value = String(index);
    this.link.invalidate();
  }

  // The newest value goes to the kernel, at most 20 times a second.
  handMoved(input) {
    const value = Number(input.value);
    if (input.value === "" || !Number.isFinite(value)) return;
    this.position = null;
    this.byHand = { index: this.chosenWeight, value };
    if (this.handTimer) return;
    this.handTimer = setTimeout(() => {
      this.handTimer = 0;
      this.link.command("weight", this.byHand.index, this.byHand.value);
    }, 50);
  }

  // ---- data from the kernel ----------------------------------------------------------

  snapshot(state) {
    if (!this.layers) this.build(state);
    this.run = null;
    this.rows = [];
    this.take(state, state);
    this.frames = [];
    const [thetas, scales, neurons, outputs] = [floats(state.thetas),
      floats(state.scales), bytes(state.neurons), whole(state.outputs)];
    const [P, N] = [this.wiring.list.length, this.neurons];
    const [small, large] = [this.coarse ** 2, this.fine ** 2];
    state.kept.forEach((step, m) => this.keep({ step,
      theta: thetas.slice(m * P, (m + 1) * P),
      scales: scales.slice(m * N, (m + 1) * N),
      neurons: neurons.slice(m * N * small, (m + 1) * N * small),
      output: outputs.slice(m * large, (m + 1) * large) }));
  }

  take(content, parts) {
    if (content.run !== this.run) {
      this.run = content.run;
      this.frames = [];
      this.rows = [];
      this.position = null;
      this.clock = null;
    }
    const { step, epoch, playing, ended } = content;
    Object.assign(this, { taken: step, epoch, playing, stopped: ended });
    this.rewire(content);
    this.showValues(content.values);
    this.boxes.forEach((box) => {
      box.checked = this.values.features.includes(box.dataset.feature);
    });
    if (parts.points) {
      this.points = floats(parts.points);
      Object.assign(this, { bounds: content.bounds, names: content.names,
        classes: content.classes, heights: content.heights });
      this.clear.disabled = !content.added;
    }
    const rows = floats(parts.rows);
    this.rows.length = Math.min(this.rows.length, content.from);
    for (let k = 0; k < rows.length; k += ROW) this.rows.push(rows.slice(k, k + ROW));
    if (parts.theta) {
      this.keep({ step, theta: floats(parts.theta), scales: floats(parts.scale),
        neurons: bytes(parts.neuron).slice(), output: whole(parts.output) });
    }
    const goal = this.values.epochs;
    const begun = Math.floor(this.epoch + 1e-6);
    this.pace(this.epoch, goal, `epoch ${begun} of ${goal}`);
    this.announce();
  }

  keep(frame) {
    const { frames } = this;
    if (frames.length && frames[frames.length - 1].step === frame.step) frames.pop();
    frames.push(frame);
    if (frames.length > MOMENTS) {
      this.frames = frames.filter((_, k) => k % 2 === 0 || k === frames.length - 1);
    }
  }

  // Menus and buttons that depend on the network's shape.
  rewire({ sizes, features }) {
    const key = `${sizes}|${features}`;
    if (key === this.shape) return;
    this.shape = key;
    this.wiring = new Wiring(sizes, features);
    this.neurons = this.hidden.reduce((sum, n) => sum + n, 0);
    if (this.chosenWeight >= this.wiring.list.length) this.chosenWeight = 0;
    this.weightMenu.replaceChildren(...this.wiring.list.map((_, k) =>
      element("option", { value: String(k) }, this.wiring.name(k))));
    this.weightMenu.value = String(this.chosenWeight);
    const units = sizes.slice(1).flatMap((n, c) => Array.from({ length: n }, (_, k) =>
      [c + 1, k]));
    this.neuronMenu.replaceChildren(...units.map(([layer, k]) =>
      element("option", { value: `${layer},${k}` }, this.wiring.unit(layer, k))));
    if (!units.some(([layer, k]) => layer === this.chosen.layer && k === this.chosen.k)) {
      this.chosen = { kind: "neuron", layer: 1, k: 0 };
    }
    this.hovered = null;
    this.layerButtons();
  }

  layerButtons() {
    const { hidden } = this;
    const focused = document.activeElement?.dataset?.size;
    const [layers, neurons] = this.most;
    this.fewer.disabled = !hidden.length;
    this.more.disabled = hidden.length >= layers;
    this.depth.textContent = `${hidden.length} hidden layer${hidden.length === 1 ? ""
      : "s"}`;
    this.layers.replaceChildren(...hidden.map((count, k) => {
      const title = `Neurons of layer ${k + 1}`;
      const change = (by) => button(by > 0 ? "+" : "−", title, () => {
        const sizes = this.hidden;
        sizes[k] += by;
        this.setHidden(sizes);
      }, { disabled: by > 0 ? count >= neurons : count <= 1, "data-size": `${k}${by}`,
        "aria-label": `one neuron ${by > 0 ? "more" : "less"} in layer ${k + 1}` });
      return element("span", {}, element("output", {}, String(count)), change(-1),
        change(1));
    }));
    if (focused) this.layers.querySelector(`[data-size="${focused}"]`)?.focus();
  }

  // ---- hands -------------------------------------------------------------------------

  listen() {
    const net = this.net.frame.canvas;
    net.addEventListener("pointermove", (event) => {
      this.hovered = this.net.under(event);
      this.link.invalidate();
    });
    net.addEventListener("click", (event) => {
      const at = this.net.under(event);
      if (!at) return;
      if (at.kind === "input") this.flip(this.all[at.index]);
      else if (at.kind === "weight") this.chooseWeight(at.index);
      else this.chosen = at;
      this.link.invalidate();
    });
    for (const frame of [this.map, this.curves.frame, this.close]) {
      frame.canvas.addEventListener("pointermove", (event) => {
        frame.pointer = frame.under(event);
        this.link.invalidate();
      });
    }
    for (const { canvas } of this.pictures) {
      canvas.addEventListener("pointerleave", () => {
        this.hovered = null;
        for (const frame of this.pictures) frame.pointer = null;
        this.link.invalidate();
      });
    }
    this.map.canvas.addEventListener("click", (event) => {
      const at = this.map.under(event);
      if (at) this.addPoint(at);
    });
    this.map.canvas.addEventListener("keydown", (event) => this.moveCursor(event));
    this.curves.frame.canvas.addEventListener("click", (event) => {
      const at = this.curves.frame.under(event);
      const row = at && this.rowAt(at[0]);
      if (row) this.seek(row[STEP]);
    });
  }

  addPoint([x1, x2]) {
    if (this.values.adding && this.link.alive) {
      this.link.command("point", x1, x2, Number(this.values.label));
    }
  }

  // Arrow keys move the point of the map that is read, and Enter adds a point there.
  moveCursor(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1],
      ArrowDown: [0, -1] }[event.key];
    const [a0, a1, b0, b1] = this.bounds;
    if (event.key === "Enter" && this.map.pointer) this.addPoint(this.map.pointer);
    if (!way) return;
    event.preventDefault();
    const [x, y] = this.map.pointer || [(a0 + a1) / 2, (b0 + b1) / 2];
    this.map.pointer = [Math.min(a1, Math.max(a0, x + way[0] * (a1 - a0) / 40)),
      Math.min(b1, Math.max(b0, y + way[1] * (b1 - b0) / 40))];
    this.link.invalidate();
  }

  ended() {
    super.ended();
    const asking = this.root.querySelectorAll(".lm-layers button, .lm-depth button");
    for (const node of [this.slide, this.field, this.clear, ...this.boxes, ...asking]) {
      node.disabled = true;
    }
  }

  pictured() {
    return CURVE_STYLES.map((style) => ({ label: style.label, style }));
  }
}

// Bytes as whole numbers of 16 bits; copied, since they may lie unaligned.
function whole(view) {
  return new Int16Array(bytes(view).slice().buffer);
}

export default { render: (context) => mount(context, PlaygroundView) };
