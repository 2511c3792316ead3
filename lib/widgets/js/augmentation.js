// Augmentation: a picture and its versions with what a model reads in them, and the
// accuracy of two networks that learn with and without augmentation.
import { bytes, element, floats, mount } from "./core.js";
import { Transport, View, button } from "./ui.js";
import { Frame, mark, polyline } from "./plot.js";

const WITH = { light: "#0072b2", dark: "#4da3e0", dash: [], mark: "square" };
const WITHOUT = { light: "#d55e00", dark: "#ff9a5c", dash: [6, 4], mark: "circle" };
const STRENGTHS = ["degrees", "shift", "scale", "flip", "noise", "erase"];

// The picture itself and its versions, row by row, with a line of text under each.
class VersionSheet extends Frame {
  constructor(hover) {
    super("The picture and its versions, with what the model reads in each", 400);
    this.at = null;
    this.count = 0;
    const tell = (k) => {
      this.at = k;
      hover();
    };
    this.canvas.addEventListener("pointermove", (event) => tell(this.which(event)));
    this.canvas.addEventListener("pointerleave", () => tell(null));
    this.canvas.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns,
        ArrowDown: this.columns }[event.key];
      if (way === undefined || !this.count) return;
      const next = this.at === null ? 0 : this.at + way;
      if (next >= 0 && next < this.count) tell(next);
      event.preventDefault();
    });
  }

  which(event) {
    const at = this.count ? this.under(event) : null;
    if (!at) return null;
    const k = Math.floor(at[1]) * this.columns + Math.floor(at[0]);
    return k >= 0 && k < this.count ? k : null;
  }

  beside(width) {
    this.columns = width > 560 ? 8 : 4;
    this.box = Math.min(132, (width - 4) / this.columns);
    return Math.round(Math.ceil(16 / this.columns) * (this.box + 20) + 4);
  }

  // bitmaps: canvases; words(k): text under version k; odd(k): whether it is marked.
  draw(theme, bitmaps, words, odd) {
    const pen = this.begin(theme);
    if (!pen) return;
    this.count = bitmaps.length;
    const rows = Math.ceil(this.count / this.columns);
    const left = (this.width - this.columns * this.box) / 2;
    this.pad = { left, right: left, top: 2, bottom: this.tall - 2 - rows
      * (this.box + 20) };
    this.range = [0, this.columns, rows, 0];
    pen.imageSmoothingEnabled = false;
    bitmaps.forEach((picture, k) => {
      const x = left + (k % this.columns) * this.box + 3;
      const y = 2 + Math.floor(k / this.columns) * (this.box + 20) + 3;
      const side = this.box - 6;
      pen.drawImage(picture, x, y, side, side);
      const marked = odd(k);
      const ink = theme.dark ? WITHOUT.dark : WITHOUT.light;
      pen.lineWidth = marked ? 3 : 1;
      pen.setLineDash(k === this.at && !marked ? [4, 3] : []);
      pen.strokeStyle = marked ? ink : k === this.at ? theme.ink : theme.soft;
      pen.strokeRect(x, y, side, side);
      pen.setLineDash([]);
      pen.fillStyle = marked ? ink : theme.ink;
      pen.font = marked || k === 0 ? `bold ${theme.font}` : theme.font;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(words(k), x + side / 2, y + side + 11, side);
    });
    pen.font = theme.font;
    pen.imageSmoothingEnabled = true;
  }
}

class AugmentationView extends View {
  constructor(root, link) {
    super(root, link);
    this.sheet = new VersionSheet(() => {
      this.tell();
      this.link.invalidate();
    });
    this.curves = { frame: new Frame("Accuracy against step, with and without "
      + "augmentation", 300) };
    this.transport = new Transport(this, [[0, "as fast as it can"],
      [100, "100 steps a second"], [20, "20 steps a second"]], "step");
    this.transport.speed.value = "100";
    const note = { class: "lm-readout", style: "padding-left: 0" };
    this.summary = element("div", note);
    this.settled = element("div", note);
    this.bar = element("progress", { max: "1", value: "0",
      "aria-label": "Progress of the training" });
    this.rows = [];
    this.position = 0;
    this.following = true; // the cursor stays at the newest measurement
    this.transport.scrub.step = "10";
  }

  get pictures() { return [this.sheet, this.curves.frame]; }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => this.addControl(spec.get(name));
    const half = (names) => element("div", {}, ...names.map(add));
    this.root.append(
      element("div", { class: "lm-row" }, add("picture"), add("honest")),
      element("div", { class: "lm-still" }, this.sheet.node), this.summary,
      this.errorBox,
      element("div", { class: "lm-pair" },
        element("div", {},
          element("fieldset", {}, element("legend", {}, "Augmentation"),
            half(STRENGTHS),
            element("span", { class: "lm-row" }, button("Nothing",
              "All of them to zero", () => this.nothing()))),
          element("fieldset", {}, element("legend", {}, "Draws and training set"),
            add("seed"), add("examples"), button("New seed", "Other draws with the same settings", () =>
              this.newSeed()))),
        element("fieldset", {}, element("legend", {},
          "What it does for learning: accuracy on 700 digits kept back"),
        element("div", { class: "lm-right" }, this.curves.frame.node),
        element("div", { class: "lm-progress" }, this.bar), this.settled,
        this.transport.node,
        element("div", { class: "lm-row lm-tight" }, add("device"),
          button("Save picture", "Save both pictures as one PNG", () =>
            this.save("augmentation", this.sheet.canvas, this.curves.frame.canvas),
          { class: "lm-save" })))),
      this.statusLine);
  }

  pictured() {
    return [{ label: "with augmentation", style: WITH },
      { label: "without", style: WITHOUT }];
  }

  // ---- data from the kernel --------------------------------------------------------

  snapshot(state) {
    if (!this.controls.size) this.build(state);
    this.steps = state.steps;
    this.take(state, floats(state.rows), state.versions, floats(state.shares));
  }

  message(content, buffers) {
    const part = (name) => buffers[content.parts.indexOf(name)];
    this.take(content, floats(part("rows")), part("versions"),
      part("shares") && floats(part("shares")));
  }

  take(content, rows, versions, shares) {
    this.showValues(content.values);
    const same = content.run === this.run;
    this.run = content.run;
    this.progress = content;
    if (!same || !content.rows) {
      this.rows = [];
      this.following = true;
    }
    for (let k = 0; k < rows.length; k += 5) {
      this.rows[content.from + k / 5] = rows.subarray(k, k + 5);
    }
    if (this.following) this.position = Math.max(0, this.rows.length - 1);
    this.position = Math.min(this.position, Math.max(0, this.rows.length - 1));
    if (versions) this.unpack(bytes(versions), shares);
    this.root.dataset.run = String(this.run);
    this.tell();
  }

  // 16 pictures, each n x n of one byte or of three.
  unpack(pixels, shares) {
    const one = pixels.length / 16;
    const deep = ["china", "flower"].includes(this.progress.values.picture) ? 3 : 1;
    const n = Math.round(Math.sqrt(one / deep));
    this.bitmaps = Array.from({ length: 16 }, (_, k) => {
      const canvas = element("canvas");
      canvas.width = n;
      canvas.height = n;
      const pen = canvas.getContext("2d");
      const image = pen.createImageData(n, n);
      for (let q = 0; q < n * n; q += 1) {
        for (let c = 0; c < 3; c += 1) {
          image.data[4 * q + c] = pixels[k * one + deep * q + (deep === 3 ? c : 0)];
        }
        image.data[4 * q + 3] = 255;
      }
      pen.putImageData(image, 0, 0);
      return canvas;
    });
    this.shares = shares && shares.length ? Array.from({ length: 16 }, (_, k) =>
      [...shares.subarray(10 * k, 10 * k + 10)]) : null;
    this.shown = this.progress.values.picture;
    this.root.dataset.versions = String(Number(this.root.dataset.versions || 0) + 1);
  }

  // ---- hands -----------------------------------------------------------------------

  nothing() {
    for (const name of STRENGTHS) this.hand(name, 0);
  }

  newSeed() { this.hand("seed", (this.values.seed + 1) % 100); }

  hand(name, value) {
    this.values[name] = value;
    this.controls.get(name).show(value);
    this.link.set(name, value);
  }

  get playing() { return Boolean(this.progress?.playing); }

  play() {
    this.following = true;
    this.link.command("play", this.transport.perSecond);
  }

  pause() { this.link.command("pause"); }

  step() {
    this.following = true;
    this.link.command("step");
  }

  reset() { this.link.command("reset"); }

  // The scrubber counts steps; there is a measurement after every tenth.
  seek(step) {
    if (this.playing) this.pause();
    this.following = false;
    this.position = Math.max(0, Math.min(this.rows.length - 1, Math.round(step / 10)));
    this.link.invalidate();
  }

  // ---- what the model reads ----------------------------------------------------------

  read(k) {
    const shares = this.shares[k];
    const best = shares.indexOf(Math.max(...shares));
    return [best, shares[best]];
  }

  odd(k) {
    return Boolean(this.shares) && this.values.honest && k > 0
      && this.read(k)[0] !== Number(this.shown);
  }

  words(k) {
    if (!this.shares) return k === 0 ? "the picture" : `version ${k}`;
    const [best, share] = this.read(k);
    return `${best}: ${share.toFixed(2)}`;
  }

  tell() {
    if (!this.progress || !this.bitmaps) return;
    let text = "No model was given, so nothing is read here: Augmentation(model=...).";
    if (["china", "flower"].includes(this.shown)) {
      text = "A photograph: the model reads digits only.";
    } else if (this.shares) {
      const kept = this.bitmaps.slice(1).filter((_, k) =>
        this.read(k + 1)[0] === Number(this.shown)).length;
      text = `Under each version: what the model reads, with its probability. ${kept} of `
        + `15 versions are read as ${this.shown}.`;
      if (this.sheet.at !== null) {
        const k = this.sheet.at;
        const [best, share] = this.read(k);
        text += ` ${k ? `Version ${k}` : "The picture"}: a ${best} with ${
          share.toFixed(3)}; as ${this.shown} ${
          this.shares[k][Number(this.shown)].toFixed(3)}.`;
      }
      this.root.dataset.kept = String(kept);
    }
    if (this.summary.textContent !== text) this.summary.textContent = text;
  }

  // ---- drawing -----------------------------------------------------------------------

  draw() {
    if (!this.bitmaps) return;
    const { theme, progress } = this;
    this.sheet.draw(theme, this.bitmaps, (k) => this.words(k), (k) => this.odd(k));
    this.drawCurves(theme);
    const row = this.rows[this.position];
    const at = row ? row[0] : 0;
    this.transport.show(at, this.steps, this.playing);
    this.bar.value = progress.step / this.steps;
    this.root.dataset.position = String(at);
    this.root.dataset.playing = String(this.playing);
    this.root.dataset.step = String(progress.step);
    const other = progress.trained && progress.trained[0] !== progress.current;
    const settled = !progress.trained ? `Play trains with: ${progress.current}.`
      : `Trains with: ${progress.trained[0]}.${other ? " Reset takes what the sliders "
        + "say now." : ""}`;
    if (this.settled.textContent !== settled) this.settled.textContent = settled;
    this.report(row);
  }

  // Said when it changes, not at every frame: other news keeps its place until then.
  report(row) {
    const part = (v) => `${(100 * v).toFixed(1)} %`;
    const text = row ? `Step ${row[0]}: with augmentation ${part(row[1])}, without ${
      part(row[2])} of the digits kept back; of the digits learnt from ${part(row[3])} `
      + `and ${part(row[4])}.`
      : "Press play to train two equal networks, with and without augmentation.";
    if (text === this.reported) return;
    this.status(text, !this.playing);
    if (this.statusLine.textContent === text) this.reported = text;
  }

  drawCurves(theme) {
    const { frame } = this.curves;
    frame.pad = { left: 52, right: 12, top: 26, bottom: 38 };
    const pen = frame.begin(theme);
    if (!pen) return;
    frame.range = [0, this.steps, 0, 100];
    frame.axes("step", "accuracy, %");
    const row = this.rows[this.position];
    frame.clip(() => {
      if (row) {
        pen.beginPath();
        pen.moveTo(frame.px(row[0]), frame.top);
        pen.lineTo(frame.px(row[0]), frame.bottom);
        pen.strokeStyle = theme.soft;
        pen.lineWidth = 1;
        pen.stroke();
      }
      for (const [style, column] of [[WITHOUT, 2], [WITH, 1]]) {
        const place = (r) => [frame.px(r[0]), frame.py(100 * r[column])];
        polyline(pen, style, theme, this.rows.length, (k) => place(this.rows[k]), 2.4);
        if (row) {
          const [x, y] = frame.hold(...place(row), 5);
          mark(pen, style, theme, x, y, 4.5);
        }
      }
    });
    if (!row) {
      pen.fillStyle = theme.soft;
      pen.textAlign = "center";
      pen.fillText("Play trains two equal networks, with and without augmentation.",
        (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2,
        frame.right - frame.left - 8);
    }
    let left = frame.left + 4;
    for (const [style, column, name] of [[WITH, 1, "with"], [WITHOUT, 2, "without"]]) {
      polyline(pen, style, theme, 2, (k) => [left + 26 * k, 13], 2.4);
      mark(pen, style, theme, left + 13, 13, 4.5);
      pen.fillStyle = theme.ink;
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.fillText(`${name}${row ? `: ${(100 * row[column]).toFixed(1)} %` : ""}`,
        left + 34, 13);
      left += 130;
    }
  }
}

export default { render: (context) => mount(context, AugmentationView) };
