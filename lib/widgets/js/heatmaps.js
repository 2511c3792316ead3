// Five heatmaps of one answer over the same picture: draw or choose it, point at a place
// in one map and see it in all, play the training. Opacity, threshold, sign and the
// network on show (trained or random) are drawn here from bytes that have come.
import { bytes, element, floats, mount } from "./core.js";
import { Transport, button, control } from "./ui.js";
import { Frame } from "./plot.js";
import { Pad } from "./pad.js";
import { HM_BESIDE, HM_METHODS, HM_SIDE, HeatmapsPictures, HmBoard, hmPicture }
  from "./heatmaps_pictures.js";

class HeatmapsView extends HeatmapsPictures {
  constructor(root, link) {
    super(root, link);
    this.maps = new Map(); // method -> {levels, scale, done, total, step, serial}
    this.stages = new Map(); // "k:method" -> levels
    this.cache = new Map();
    this.stage = -1; // the network on show: -1 as it is, else so much of it random
    this.at = null; // [row, column] of the cross-hair
    this.drawn = 0; // drawings sent
    this.heard = 0; // the last of them that the kernel has answered
    this.photo = new Frame("The picture that is asked about", HM_SIDE);
    this.photo.pad = { left: 0, right: 0, top: 0, bottom: 0 };
    this.bars = new Frame("Probability of each class", HM_SIDE);
    this.bars.pad = { left: 76, right: 48, top: 6, bottom: 34 };
    this.film = new Frame("Share of held-out pictures that are right, against step",
      HM_SIDE);
    this.film.pad = { left: 46, right: 12, top: 10, bottom: 36 };
    this.board = new HmBoard("Five heatmaps over the picture. Arrow keys move the "
      + "cross-hair, Escape takes it away");
    this.photo.beside = () => HM_SIDE;
    this.bars.beside = () => HM_BESIDE;
    this.film.beside = (width) => (width > 400 ? 200 : HM_BESIDE);
    this.transport = new Transport(this, [["1", "1"]]);
    this.playing = false;
    this.listen();
  }

  get pictures() {
    return [this.drawable ? this.pad : this.photo, this.bars, this.film, this.board];
  }

  build(state) {
    this.built = true;
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => this.addControl(spec.get(name));
    const group = (title, ...nodes) => element("fieldset", {},
      element("legend", {}, title), ...nodes);
    const speed = control(spec.get("speed"), (value) => this.link.set("speed", value));
    this.transport.node.querySelector(".lm-speed").replaceWith(speed.node);
    this.controls.set("speed", speed);
    this.holder = element("div", {}, this.photo.node);
    this.thumbs = element("div", { class: "lm-hm-thumbs", role: "group",
      "aria-label": "Example pictures" });
    this.wipe = button("Clear", "Wipe the pad (key C on it)", () => this.pad.clear());
    this.note = element("div", { class: "lm-hm-note" });
    this.readout = element("div", { class: "lm-hm-readout" });
    this.sum = element("div", { class: "lm-hm-sum" });
    this.table = element("div", { class: "lm-hm-table" });
    this.bar = element("progress", { max: "1", value: "0", "aria-label": "work done" });
    this.doing = element("span", { class: "lm-hm-doing" });
    this.cancel = button("Cancel", "End this work; what is done stays", () =>
      this.link.command("cancel"));
    this.random = button("Randomise from the top", "Draw the weights anew, from the last "
      + "layer to the first, and compare each map with the one before", () =>
      this.link.command("randomise"), { class: "lm-hm-random" });
    this.root.append(
      element("div", { class: "lm-row" }, add("source"), add("target"), add("device"),
        button("Save picture", "Save what is drawn as one PNG", () => this.saveAll(),
          { class: "lm-save" })),
      this.note,
      element("div", { class: "lm-hm-top" },
        element("fieldset", { class: "lm-hm-input" }, this.holder, this.thumbs),
        element("div", {}, this.bars.node),
        element("div", { class: "lm-hm-film" }, this.film.node)),
      this.transport.node,
      element("div", { class: "lm-row lm-hm-look" }, add("sign"), add("opacity"),
        add("threshold")),
      this.board.node, this.readout,
      element("div", { class: "lm-progress lm-hm-progress" }, this.bar, this.doing,
        this.cancel),
      this.statusLine, this.errorBox,
      element("div", { class: "lm-hm-knobs" },
        group("SmoothGrad", add("samples"), add("noise")),
        group("Integrated gradients", add("steps"), add("baseline")),
        group("Occlusion and Grad-CAM", add("window"), add("layer"))),
      element("div", { class: "lm-hm-checks" },
        group("Is it complete? (integrated gradients)", this.sum),
        group("Does it depend on what was learnt?", this.random, this.table)));
  }

  // ---- data from the kernel ----------------------------------------------------------

  snapshot(state) {
    if (!this.built) this.build(state);
    this.stages.clear();
    this.take(state, state.buffers || {});
  }

  take(now, parts) {
    const other = !this.now || now.subject !== this.now.subject;
    const before = this.now;
    this.now = now;
    this.shape = now.shape;
    this.board.shape = now.shape;
    for (const [name, view] of Object.entries(parts)) {
      const [kind, ...rest] = name.split(":");
      if (kind === "map") this.maps.set(rest[0], bytes(view).slice());
      if (kind === "stage") this.stages.set(rest.join(":"), bytes(view).slice());
      if (kind === "film") this.moments = floats(view);
      if (kind === "examples") this.examples = bytes(view).slice();
    }
    if (now.drawing[0] === this.link.page) this.heard = now.drawing[1];
    if (other) this.changeSubject();
    if (parts.picture) this.takePicture(bytes(parts.picture).slice());
    if (this.stage >= now.stages.length) this.stage = -1;
    this.playing = now.playing;
    this.showValues(now.values);
    this.controls.get("speed").show(now.values.speed);
    if (other || now.predicted !== before.predicted) this.nameTargets();
    this.showThumbs();
    this.showSum();
    this.showTable();
    if (this.waiting && this.heard >= this.drawn) this.sendDrawing();
    this.tell();
  }

  // A drawing of our own comes back later than the hand that goes on drawing.
  takePicture(levels) {
    const ours = this.now.example === null && this.now.drawing[0] === this.link.page;
    this.picture = levels;
    this.cache.clear();
    if (this.drawable && !ours) this.pad.set(Float32Array.from(levels, (v) => v / 255));
    if (!ours) this.waiting = false;
  }

  changeSubject() {
    const [, H, W] = this.shape;
    this.drawable = this.now.drawable;
    if (this.drawable && (!this.pad || this.pad.size !== H)) this.makePad(H);
    this.holder.replaceChildren(this.drawable ? this.pad.node : this.photo.node);
    this.wipe.style.visibility = this.drawable ? "" : "hidden";
    this.note.textContent = this.now.note;
    this.at = null;
    this.maps.forEach((_, method) => {
      if (!this.now.maps[method]) this.maps.delete(method);
    });
    const layers = this.controls.get("layer").input;
    for (const option of layers.options) {
      option.hidden = option.disabled = option.value !== "last"
        && !this.now.layers.includes(option.value);
      if (option.value === "last") option.textContent = "the usual one";
    }
    const size = this.shape.reduce((a, b) => a * b);
    this.thumbs.replaceChildren(...this.now.answers.map((answer, k) => {
      const name = answer < 0 ? "two kinds" : this.now.classes[answer];
      const picture = hmPicture(this.examples.subarray(k * size), this.shape);
      return button("", `Example ${k + 1}: ${name}`, () =>
        this.link.command("example", k), { "aria-label": `Example ${k + 1}: ${name}`,
        class: "lm-hm-thumb" }).appendChild(picture).parentNode;
    }), this.wipe);
  }

  makePad(size) {
    this.pad = new Pad("Pad with the picture that is asked about", size, () => {
      this.waiting = true;
      if (this.heard >= this.drawn) this.sendDrawing();
    });
    this.pad.limit = HM_SIDE;
    const { canvas } = this.pad;
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = this.pad.cellsAt(event).map(Math.floor);
      const inside = x >= 0 && y >= 0 && x < size && y < size;
      this.point(inside ? [y, x] : null);
    });
    canvas.addEventListener("pointerleave", () => this.point(null));
  }

  // One drawing is under way at a time; the newest follows when it has been answered.
  sendDrawing() {
    this.waiting = false;
    this.drawn += 1;
    const levels = Uint8Array.from(this.pad.values, (v) => Math.round(255 * v));
    this.picture = levels;
    this.cache.clear();
    this.link.command("draw", btoa(String.fromCharCode(...levels)), this.link.page,
      this.drawn);
  }

  nameTargets() {
    const { classes, predicted } = this.now;
    for (const option of this.controls.get("target").input.options) {
      const k = Number(option.value);
      const known = option.value === "predicted" || k < classes.length;
      option.hidden = option.disabled = !known;
      if (option.value === "predicted") {
        option.textContent = `the predicted class (${classes[predicted]})`;
      } else option.textContent = known ? classes[k] : option.value;
    }
  }

  fail(text) {
    super.fail(text);
    this.drawn = this.heard; // a refused drawing gets no answer
  }

  // ---- hands -----------------------------------------------------------------------------

  play() { this.link.command("play"); }

  pause() { this.link.command("pause"); }

  step() { this.link.command("step"); }

  reset() { this.link.command("reset"); }

  seek(step) { this.link.command("seek", step); }

  point(at) {
    if (String(at) === String(this.at)) return;
    this.at = at;
    this.link.invalidate();
  }

  listen() {
    const { canvas } = this.board;
    canvas.addEventListener("pointermove", (event) => this.point(
      this.board.cellAt(event)));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0],
        ArrowDown: [1, 0] };
      if (event.key === "Escape") this.point(null);
      if (!(event.key in ways)) return;
      event.preventDefault();
      const [, H, W] = this.shape;
      const from = this.at || [Math.floor(H / 2), Math.floor(W / 2)];
      const [i, j] = [from[0] + ways[event.key][0], from[1] + ways[event.key][1]];
      this.point([Math.max(0, Math.min(H - 1, i)), Math.max(0, Math.min(W - 1, j))]);
      this.status(this.readAt());
    });
    this.photo.canvas.addEventListener("pointermove", (event) => {
      const at = this.photo.under(event);
      const [x, y] = at ? this.placeInPhoto(at) : [-1, -1];
      const [, H, W] = this.shape;
      this.point(x >= 0 && y >= 0 && x < W && y < H ? [y, x] : null);
    });
    this.photo.canvas.addEventListener("pointerleave", () => this.point(null));
    this.film.canvas.addEventListener("pointerdown", (event) => {
      const at = this.film.under(event);
      if (at && event.button === 0) this.seek(Math.round(at[0]));
    });
    this.bars.canvas.addEventListener("pointerdown", (event) => {
      const at = this.bars.under(event, true);
      if (!at || event.button !== 0) return;
      const { classes } = this.now;
      const k = Math.floor(classes.length - at[1]);
      if (k >= 0 && k < classes.length) this.link.set("target", String(k));
    });
    this.bars.canvas.style.cursor = this.film.canvas.style.cursor = "pointer";
  }

  placeInPhoto([u, v]) {
    const [left, top, width, height] = this.photoBox;
    const [, H, W] = this.shape;
    return [Math.floor(((u * this.photo.width - left) / width) * W),
      Math.floor((((1 - v) * this.photo.tall - top) / height) * H)];
  }

  // ---- words ---------------------------------------------------------------------------

  showThumbs() {
    this.thumbs.querySelectorAll(".lm-hm-thumb").forEach((node, k) =>
      node.setAttribute("aria-pressed", String(k === this.now.example)));
  }

  showSum() {
    const { complete, classes, target, values } = this.now;
    const line = (name, value, why) => element("div", {}, element("span", {}, name),
      element("b", {}, complete ? this.fixed(value) : "…"), element("span", {}, why));
    const [total, score, start] = complete || [0, 0, 0];
    this.sum.replaceChildren(
      line("score of the picture", score, `for ${classes[target]}`),
      line("− score of the baseline", start, `a ${values.baseline} picture`),
      line("= difference", score - start, ""),
      line("sum of the map", total, `${values.steps} steps`),
      line("gap", total - (score - start), "0 when it is complete"));
    this.root.dataset.gap = complete ? String(total - (score - start)) : "";
  }

  fixed(value) {
    return value.toFixed(3).replace("-", "−");
  }

  // Rank correlation of each map with the trained network's, and what is on show.
  showTable() {
    const { stages } = this.now;
    const key = JSON.stringify([stages, this.stage]);
    if (key === this.tableKey) return;
    this.tableKey = key;
    const focused = this.table.contains(document.activeElement) && this.stage;
    const row = (k, what, kept) => element("tr", {},
      element("th", { scope: "row" }, button(what, "Show these maps above", () => {
        this.stage = k;
        this.showTable();
        this.tell();
        this.link.invalidate();
      }, { "aria-pressed": String(k === this.stage), class: "lm-hm-stage" })),
      ...HM_METHODS.map(([m]) => element("td", {}, kept === null ? "1"
        : m in kept ? kept[m].toFixed(2).replace("-", "−") : "–")));
    const table = element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "random"),
        ...["Sal.", "Smooth", "Integr.", "Occl.", "CAM"].map((name, k) =>
          element("th", { scope: "col", title: HM_METHODS[k][1] }, name)))),
      element("tbody", {}, stages.length ? row(-1, "no layer", null) : null,
        ...stages.map((s, k) => row(k, s.what, s.kept))));
    this.table.replaceChildren(stages.length ? table : element("p", {},
      "A map that stays the same with random weights shows the picture, not what the "
      + "network has learnt. The numbers are rank correlations with the map before."));
    if (focused !== false) this.table.querySelector('[aria-pressed="true"]')?.focus();
    this.root.dataset.stages = String(stages.length);
  }

  tell() {
    const { classes, chances, predicted, target, step, playing, progress } = this.now;
    const says = `Step ${step}: the network says ${classes[predicted]} `
      + `(${Math.round(100 * chances[predicted])} %)`;
    const why = target === predicted ? "the maps explain that answer"
      : `the maps explain the score of ${classes[target]}`;
    const how = this.stage >= 0 ? ` Random weights: ${this.now.stages[this.stage].what}.`
      : "";
    this.status(`${says}; ${why}.${how}`, !playing && !progress);
  }

  ended() {
    super.ended();
    if (this.pad) this.pad.enabled = false;
    this.transport.node.inert = true;
    this.bars.canvas.style.pointerEvents = this.film.canvas.style.pointerEvents = "none";
    this.cancel.disabled = true;
    this.draw = () => {};
  }
}

export default { render: (context) => mount(context, HeatmapsView) };
