// Convolution with the hands. Part 1 slides one kernel over one picture and computes here;
// part 2 shows every layer of a network, whose numbers the notebook's kernel sends.
import { bytes, element, floats, mount } from "./core.js";
import { View, button } from "./ui.js";
import { Pad } from "./pad.js";
import { KernelEditor, KernelPart } from "./convolution_kernel.js";
import { NetworkPart } from "./convolution_layers.js";

class ConvolutionView extends View {
  constructor(root, link) {
    super(root, link);
    this.one = new KernelPart(this);
    this.two = new NetworkPart(this);
  }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    Object.assign(this, { examples: bytes(state.examples), patch: state.patch,
      patches: floats(state.patches), given: state.given });
    this.pad = new Pad("Your digit", state.side, (values) => this.drawn(values));
    this.pad.limit = 230;
    this.padBox = element("div", { class: "lm-conv-padbox" }, this.pad.node,
      button("Clear", "Wipe the pad", () => this.pad.clear()));
    this.controls.set("drawing", { input: element("input"),
      show: (rows) => this.pad.set(rows.flat()) });
    const own = (name) => this.addControl(spec.get(name), (value) => {
      this.values[name] = value;
      this.one.stale = true;
      this.link.set(name, value);
    });
    this.editor = new KernelEditor(state.kernels, (rows) => {
      this.values.kernel = rows;
      this.one.stale = true;
      this.link.set("kernel", rows);
      this.link.invalidate();
    }, (size) => this.link.command("random", size));
    this.controls.set("kernel", this.editor);
    const part = this.addControl(spec.get("part"), (value) => {
      this.pause();
      this.link.set("part", value);
      this.arrange();
    });
    const save = () => button("Save picture", "Save what is shown as one PNG", () =>
      this.save("convolution", ...this.root.querySelectorAll("canvas.lm-canvas")),
    { class: "lm-save" });
    this.one.build(own, this.editor, this.pad, save());
    this.two.build((name) => this.addControl(spec.get(name)), save());
    this.place = element("div");
    this.root.append(element("div", { class: "lm-row" }, part), this.place,
      this.statusLine);
  }

  get part() { return this.values.part; }

  get now() { return this.part === "network" ? this.two : this.one; }

  get pictures() { return this.now.pictures; }

  get playing() { return this.now.playing; }

  play() { this.now.play(); }

  pause() { if (this.playing) this.now.pause(); }

  // One part stands in the page at a time, with the pad and the errors in it.
  arrange() {
    const { now } = this;
    this.two.said = null;
    this.root.dataset.part = this.part;
    if (this.place.firstChild !== now.node) this.place.replaceChildren(now.node);
    if (!now.errorPlace.firstChild) now.errorPlace.append(this.errorBox);
    if (now === this.two) now.padPlace.replaceChildren(this.padBox);
    else this.one.stale = true;
  }

  drawn(values) {
    const n = this.pad.size;
    const rows = Array.from({ length: n }, (_, i) =>
      Array.from(values.subarray(i * n, (i + 1) * n), (v) => Number(v.toFixed(3))));
    this.values.drawing = rows;
    this.one.stale = true;
    this.link.set("drawing", rows);
    this.link.invalidate();
  }

  // ---- data from the kernel --------------------------------------------------------------

  snapshot(state) {
    if (!this.place) this.build(state);
    this.showValues(state.values);
    const names = ["conv", "pooled", "output", "input", "conv.weight", "conv.bias",
      "dense.weight", "dense.bias"];
    const parts = names.filter((name) => state[name]).map((name) =>
      [name, floats(state[name])]);
    this.two.take(state, Object.fromEntries(parts));
    this.arrange();
  }

  message(content, buffers) {
    this.showValues(content.values);
    if (content.values.part !== undefined) this.arrange();
    this.two.take(content, Object.fromEntries(content.parts.map((name, k) =>
      [name, floats(buffers[k])])));
  }

  value(name, value) {
    super.value(name, value);
    this.one.stale = true;
    if (name === "part" && this.place) this.arrange();
  }

  draw(now) {
    if (!this.place) return;
    this.now.draw(now);
    if (this.padBox.isConnected) this.pad.draw(this.theme);
  }

  ended() {
    super.ended();
    this.pad.enabled = false;
  }
}

export default { render: (context) => mount(context, ConvolutionView) };
