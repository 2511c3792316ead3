// Five heatmaps of one answer over the same picture: draw or choose it, point at a place
// in one map and see it in all, play the training. Opacity, threshold, sign and the
// network on show (trained or random) are drawn here from bytes that have come.
import { bytes, element, floats, mount } from "./core.js";
import { Transport, View, button, control, short } from "./ui.js";
import { Frame, polyline } from "./plot.js";
import { bitmap, colour, drawBitmap } from "./heat.js";
import { Pad } from "./pad.js";

const HM_METHODS = [["saliency", "Saliency"], ["smooth_grad", "SmoothGrad"],
  ["integrated_gradients", "Integrated gradients"], ["occlusion", "Occlusion"],
  ["grad_cam", "Grad-CAM"]];
const HM_CROSS = "#00e5ff"; // on no scale of the maps
const HM_LINE = { light: "#0072b2", dark: "#4da3e0", dash: [] };
const HM_SIDE = 270; // pixels of the picture that is asked about
const HM_BESIDE = 334; // of what stands beside it and the examples
const HM_CHOSEN = { light: "#d55e00", dark: "#ff9a5c" };

// A picture of C x H x W bytes as a canvas of W x H pixels, darkened by `light` below 1.
function hmPicture(levels, [C, H, W], light = 1) {
  const canvas = element("canvas");
  canvas.width = W;
  canvas.height = H;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(W, H);
  for (let k = 0; k < H * W; k += 1) {
    for (let c = 0; c < 3; c += 1) {
      image.data[4 * k + c] = light * levels[(C === 3 ? c : 0) * H * W + k];
    }
    image.data[4 * k + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Lines through one cell of a picture that lies in the box [left, top, width, height].
function hmCross(pen, [left, top, width, height], [H, W], [row, column]) {
  const [x, y] = [left + ((column + 0.5) / W) * width, top + ((row + 0.5) / H) * height];
  for (const [wide, paint] of [[3, "rgba(0,0,0,0.55)"], [1, HM_CROSS]]) {
    pen.beginPath();
    pen.moveTo(x, top);
    pen.lineTo(x, top + height);
    pen.moveTo(left, y);
    pen.lineTo(left + width, y);
    pen.lineWidth = wide;
    pen.strokeStyle = paint;
    pen.stroke();
  }
}

// The five maps on one canvas: five in a row, or three and two where it is narrow.
class HmBoard extends Frame {
  constructor(label) {
    super(label);
    this.pad = { left: 0, right: 0, top: 0, bottom: 0 };
    this.shape = [1, 28, 28];
    this.node.classList.add("lm-hm-board");
  }

  beside(width) {
    const columns = width >= 720 ? 5 : 3;
    const gap = 12;
    const wide = Math.floor((width - gap * (columns - 1)) / columns);
    const tall = Math.round((wide * this.shape[1]) / this.shape[2]);
    const high = tall + 64; // title above; largest and value here below
    this.boxes = HM_METHODS.map((_, k) => [(k % columns) * (wide + gap),
      22 + Math.floor(k / columns) * (high + 8), wide, tall]);
    const five = columns === 5;
    this.bar = five ? [0, high + 10, width] : [2 * (wide + gap), high + 8 + tall / 2, wide];
    return five ? high + 44 : 2 * high + 8;
  }

  // [row, column] under a pointer, in whichever map it is; null between them.
  cellAt(event) {
    if (!this.boxes) return null;
    const box = this.canvas.getBoundingClientRect();
    const grow = box.width / this.width;
    const [x, y] = [(event.clientX - box.left) / grow, (event.clientY - box.top) / grow];
    const [, H, W] = this.shape;
    for (const [left, top, width, height] of this.boxes) {
      const [column, row] = [Math.floor(((x - left) / width) * W),
        Math.floor(((y - top) / height) * H)];
      if (row >= 0 && row < H && column >= 0 && column < W) return [row, column];
    }
    return null;
  }
}

class HeatmapsView extends View {
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

  readAt() {
    if (!this.at) {
      return "Point at a cell of any map, or move there with the arrow keys, to read it "
        + "in all of them.";
    }
    const [i, j] = this.at;
    const values = HM_METHODS.map(([m, name]) => `${name} ${short(this.valueAt(m))}`);
    return `row ${i}, column ${j} · picture ${this.levelAt()} · ${values.join(" · ")}`;
  }

  levelAt() {
    const [C, H, W] = this.shape;
    const k = this.at[0] * W + this.at[1];
    const levels = Array.from({ length: C }, (_, c) => this.picture[c * H * W + k] / 255);
    return levels.map((v) => v.toFixed(2)).join(" ");
  }

  // What is on show of one method: {levels, scale, ...}, or null.
  shown(method) {
    const { maps, stages } = this.now;
    if (this.stage >= 0) {
      const levels = this.stages.get(`${this.stage}:${method}`);
      const scale = stages[this.stage].scales[method];
      return levels ? { ...maps[method], levels, scale, serial: `s${this.stage}` } : null;
    }
    const levels = this.maps.get(method);
    return levels && maps[method] ? { ...maps[method], levels } : null;
  }

  valueAt(method) {
    const map = this.shown(method);
    if (!map || !this.at) return NaN;
    const level = map.levels[this.at[0] * this.shape[2] + this.at[1]];
    const value = ((level - 128) / 127) * map.scale;
    return this.values.sign === "signed" ? value : Math.abs(value);
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

  // ---- drawing -----------------------------------------------------------------------

  draw() {
    if (!this.built || !this.now || !this.picture) return;
    const { now, theme } = this;
    this.transport.show(now.step, now.last, now.playing);
    this.drawInput(theme);
    this.drawBars(theme);
    this.drawFilm(theme);
    this.drawBoard(theme);
    const text = this.readAt();
    if (this.readout.textContent !== text) this.readout.textContent = text;
    const [what, done, total] = now.progress || ["", 0, 1];
    this.bar.value = done / Math.max(1, total);
    this.doing.textContent = now.progress ? `${what}: ${done} of ${total}`
      : now.due.length && now.playing ? "The costly maps follow when you pause." : "";
    this.cancel.disabled = !now.progress;
    this.bar.style.opacity = now.progress ? "1" : "0.35";
    Object.assign(this.root.dataset, { position: String(now.step), last: String(now.last),
      playing: String(now.playing), target: String(now.target),
      predicted: String(now.predicted), complete: String(now.due.length === 0),
      subject: now.name, stage: String(this.stage), at: String(this.at || "") });
  }

  drawInput(theme) {
    if (this.drawable) {
      const pen = this.pad.draw(theme);
      const wide = this.pad.wide;
      if (pen && this.at) hmCross(pen, [0, 0, wide, wide], this.shape.slice(1), this.at);
      return;
    }
    const pen = this.photo.begin(theme);
    if (!pen) return;
    const [, H, W] = this.shape;
    const grow = Math.min(this.photo.width / W, this.photo.tall / H);
    const [width, height] = [W * grow, H * grow];
    this.photoBox = [(this.photo.width - width) / 2, (this.photo.tall - height) / 2,
      width, height];
    drawBitmap(pen, this.lit(1), ...this.photoBox);
    if (this.at) hmCross(pen, this.photoBox, [H, W], this.at);
  }

  // The picture at this brightness, made once.
  lit(light) {
    const key = `picture ${light}`;
    if (!this.cache.has(key)) {
      this.cache.set(key, hmPicture(this.picture, this.shape, light));
    }
    return this.cache.get(key);
  }

  drawBars(theme) {
    const { bars, now } = this;
    const { classes, chances, target, predicted } = now;
    bars.range = [0, 1, 0, classes.length];
    const pen = bars.begin(theme);
    if (!pen) return;
    const high = (bars.bottom - bars.top) / classes.length;
    pen.textBaseline = "middle";
    classes.forEach((name, k) => {
      const [top, middle] = [bars.top + k * high, bars.top + (k + 0.5) * high];
      const thick = Math.min(30, 0.72 * high);
      pen.fillStyle = k === target ? HM_CHOSEN[theme.dark ? "dark" : "light"]
        : theme.dark ? "#7d8b9a" : "#8a97a6";
      pen.fillRect(bars.left, top + (high - thick) / 2, Math.max(1,
        chances[k] * (bars.right - bars.left)), thick);
      pen.fillStyle = theme.ink;
      pen.textAlign = "right";
      pen.font = k === predicted ? `bold ${theme.font}` : theme.font;
      pen.fillText(name, bars.left - 7, middle, bars.left - 10);
      pen.textAlign = "left";
      pen.fillText(`${(100 * chances[k]).toFixed(1)} %`,
        Math.min(bars.left + chances[k] * (bars.right - bars.left) + 5, bars.right + 3),
        middle);
    });
    pen.font = theme.font;
    pen.strokeStyle = theme.soft;
    pen.beginPath();
    pen.moveTo(bars.left + 0.5, bars.top);
    pen.lineTo(bars.left + 0.5, bars.bottom);
    pen.stroke();
    pen.textAlign = "center";
    pen.fillText("probability; orange is explained, click another",
      (bars.left + bars.right) / 2 - 12, bars.bottom + 18, bars.width - 12);
  }

  drawFilm(theme) {
    const { film, moments, now } = this;
    film.range = [0, Math.max(20, now.last), 0, 1];
    const pen = film.begin(theme);
    if (!pen) return;
    film.clip(() => {
      polyline(pen, HM_LINE, theme, moments.length / 2, (k) =>
        [film.px(moments[2 * k]), film.py(moments[2 * k + 1])]);
      pen.beginPath();
      pen.moveTo(film.px(now.step), film.top);
      pen.lineTo(film.px(now.step), film.bottom);
      pen.lineWidth = 2;
      pen.strokeStyle = HM_CHOSEN[theme.dark ? "dark" : "light"];
      pen.stroke();
    });
    film.axes("step of training (click: look back)", "right on held-out");
  }

  drawBoard(theme) {
    const { board, now } = this;
    const pen = board.begin(theme);
    if (!pen) return;
    HM_METHODS.forEach(([method, name], k) =>
      this.drawMap(pen, theme, board.boxes[k], method, name));
    this.drawBar(pen, theme, board.bar);
    board.canvas.setAttribute("aria-label", `Five heatmaps over the picture, for `
      + `${now.classes[now.target]}. Arrow keys move the cross-hair, Escape takes it away.`
      + (this.at ? ` ${this.readAt()}` : ""));
  }

  drawMap(pen, theme, box, method, name) {
    const [left, top, width, height] = box;
    const map = this.shown(method);
    const { opacity } = this.values;
    drawBitmap(pen, this.lit(1 - 0.5 * opacity), ...box);
    if (map) drawBitmap(pen, this.coloured(method, map), ...box);
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    if (this.at) hmCross(pen, box, this.shape.slice(1), this.at);
    pen.fillStyle = theme.ink;
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.font = `bold ${theme.font.replace("12px", "13px")}`;
    pen.fillText(name, left, top - 7, width);
    pen.font = theme.font;
    pen.fillStyle = theme.soft;
    pen.fillText(this.remark(method, map), left, top + height + 16, width);
    pen.fillStyle = theme.ink;
    if (map && this.at) {
      pen.fillText(`here ${short(this.valueAt(method))}`, left, top + height + 33, width);
    }
  }

  // How large, how far, and of which moment.
  remark(method, map) {
    if (method === "grad_cam" && !this.now.layer) return "no convolution to ask";
    if (!map) return "not yet made";
    if (this.stage < 0 && map.done < map.total) return `${map.done} of ${map.total} passes`;
    const largest = map.scale ? `largest ${short(map.scale)}` : "empty: 0 everywhere";
    if (this.stage < 0 && map.step !== this.now.step) {
      return `of step ${map.step}`;
    }
    const more = { occlusion: `window ${this.now.window} px`, grad_cam: this.now.layer };
    const passes = `${map.total} ${map.total === 1 ? "pass" : "passes"}`;
    return `${largest} · ${more[method] || passes}`;
  }

  // Colours over the picture: clear where the map is near 0 or below the threshold.
  coloured(method, map) {
    const { opacity, threshold, sign } = this.values;
    const key = [method, map.serial, opacity, threshold, sign].join(" ");
    const kept = this.cache.get(method);
    if (kept && kept.key === key) return kept.picture;
    const { levels } = map;
    const signed = sign === "signed";
    const part = (k) => (levels[k] - 128) / 127;
    const share = (k) => (signed ? (part(k) + 1) / 2 : Math.abs(part(k)));
    const alpha = (k) => this.solid(Math.abs(part(k)));
    const [, H, W] = this.shape;
    const picture = bitmap(H, W, share, signed ? "signed" : "heat", true, alpha);
    this.cache.set(method, { key, picture });
    return picture;
  }

  solid(size) {
    const { opacity, threshold } = this.values;
    return size >= threshold - 1e-9 ? opacity * Math.min(1, 3 * size) : 0;
  }

  // The one scale of all five, over black as in the maps.
  drawBar(pen, theme, [left, top, width]) {
    const signed = this.values.sign === "signed";
    const wide = Math.min(width - 20, 420);
    const x0 = left + (width - wide) / 2;
    pen.fillStyle = "#000000";
    pen.fillRect(x0, top, wide, 12);
    for (let k = 0; k < wide; k += 1) {
      const share = k / (wide - 1);
      pen.globalAlpha = this.solid(signed ? Math.abs(2 * share - 1) : share);
      pen.fillStyle = colour(signed ? "signed" : "heat", true, share);
      pen.fillRect(x0 + k, top, 1, 12);
    }
    pen.globalAlpha = 1;
    pen.fillStyle = theme.ink;
    pen.textBaseline = "top";
    const words = signed ? ["against", "0", "for"] : ["0", "", "its largest"];
    ["left", "center", "right"].forEach((align, k) => {
      pen.textAlign = align;
      pen.fillText(words[k], x0 + (k * wide) / 2, top + 17);
    });
  }

  // Picture, bars and curve above, the maps below.
  saveAll() {
    const ratio = window.devicePixelRatio || 1;
    const gap = 16 * ratio;
    const above = [(this.drawable ? this.pad : this.photo).canvas, this.bars.canvas,
      this.film.canvas];
    const { canvas } = this.board;
    const all = element("canvas");
    all.width = Math.max(canvas.width, above.reduce((sum, c) => sum + c.width + gap, 0));
    all.height = canvas.height + gap + Math.max(...above.map((c) => c.height));
    const pen = all.getContext("2d");
    pen.fillStyle = this.theme.back;
    pen.fillRect(0, 0, all.width, all.height);
    let left = 0;
    for (const one of above) {
      pen.drawImage(one, left, 0);
      left += one.width + gap;
    }
    pen.drawImage(canvas, 0, all.height - canvas.height);
    this.save("heatmaps", all);
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
