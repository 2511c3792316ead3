// Attention of a Transformer: all heads at a glance, one head large, one pair explained,
// and what switching heads off does. The maps are here; the kernel looks and trains.
import { bytes, element, floats, mount } from "./core.js";
import { Transport, View, button, short, uniqueId } from "./ui.js";
import { HeadGrid, HeadMap, Sentence, word } from "./attention_head.js";
import { Learning, MovedBars, PairBars, StepTable, steps } from "./attention_panels.js";
import { dimensionLine, headLine, outcome, pairLine, statusWords, tokenLine } from "./attention_words.js";

const LONG = 48; // tokens; in longer texts most weights are too small for one scale

class AttentionPage extends View {
  constructor(root, link) {
    super(root, link);
    root.classList.add("lm-attention");
    this.grid = new HeadGrid();
    this.map = new HeadMap();
    this.sentence = new Sentence();
    this.bars = new PairBars();
    this.moved = new MovedBars();
    this.learning = new Learning();
    this.table = new StepTable();
    this.readout = element("div", { class: "lm-readout" });
    this.says = element("p", { class: "lm-says" });
    this.film = new Map(); // step -> {id, maps}
    this.curve = [];
    this.off = new Set();
    this.pinned = null; // [query, key]
    this.hover = null; // the pair under the pointer
    this.hoverHead = null;
    this.dimension = null;
    this.token = null; // under the pointer, in the bars of the output
    this.contrast = null; // of the reader's choice; else it fits the length of the text
    this.position = 0;
  }

  get pictures() {
    const all = [this.sentence, this.grid, this.map, this.bars, this.moved];
    return this.training ? [...all, this.learning] : all;
  }

  build(state) {
    this.training = state.training;
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (...names) => names.filter((name) => spec.has(name)).map((name) =>
      this.addControl(spec.get(name)));
    const heading = (text) => element("h4", {}, text);
    const top = this.training ? this.trainingTop(add)
      : element("div", { class: "lm-wide" }, ...add("example", "text"));
    this.pairTitle = heading("");
    this.mapTitle = heading("");
    const part = (order, ...nodes) => element("div", { class: `lm-part lm-order-${order}` },
      ...nodes);
    this.root.append(top, this.sentence.node, this.errorBox,
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-half" },
          part(1, heading("All heads: click to choose, Shift and click to switch off"),
            this.grid.node, this.headButtons()),
          part(4, this.lookAt(add), element("fieldset", {}, element("legend", {},
            "Change"), ...add("temperature", "mask", "padded"),
          element("span", { class: "lm-row" }, ...add("scaled", "positions")))),
          part(5, heading("What the changes do to the output"), this.says,
            this.moved.node)),
        element("div", { class: "lm-half" },
          part(2, this.mapTitle, this.map.node, this.readout),
          part(3, this.pairTitle, this.bars.node, this.table.node))),
      this.statusLine);
    this.listen();
  }

  trainingTop(add) {
    this.transport = new Transport(this, [["1", "1 step a frame"], ["5", "5 steps"],
      ["20", "20 steps"]]);
    this.transport.speed.addEventListener("change", () =>
      this.link.set("speed", this.transport.speed.value));
    return element("div", {},
      element("div", { class: "lm-columns" },
        element("fieldset", {}, element("legend", {}, "A model that learns"),
          ...add("task", "length", "learning_rate", "steps", "device"),
          button("Another sequence", "Look at another sequence of the same task", () =>
            this.link.command("another"))),
        element("div", {}, this.learning.node)),
      this.transport.node);
  }

  headButtons() {
    this.switchButton = button("Switch this head off", "Switch the chosen head off or on",
      () => this.link.command("switch", this.values.layer, this.values.head));
    this.originalButton = button("Undo all changes", "The model as it was made", () =>
      this.link.command("original"));
    this.tryButton = button("Try every head", "Switch off each head alone; a bar in the "
      + "grid shows what that does to the output", () =>
      this.link.command(this.trying ? "cancel" : "try_heads"));
    this.progress = element("progress", { max: 1, value: 0, "aria-label":
      "Heads tried" });
    this.progressText = element("span", {});
    this.progressRow = element("div", { class: "lm-progress" }, this.progress,
      this.progressText);
    return element("div", {}, element("div", { class: "lm-buttons" }, this.switchButton,
      this.originalButton, this.tryButton), this.progressRow);
  }

  lookAt(add) {
    return element("fieldset", {}, element("legend", {}, "Look at"),
      ...add("layer", "head"), this.contrastControl(),
      button("Save picture", "Save the pictures as one PNG", () =>
        this.save("attention", this.grid.canvas, this.map.canvas, this.bars.canvas,
          this.moved.canvas), { class: "lm-save" }));
  }

  contrastControl() {
    const id = uniqueId("contrast");
    const input = element("select", { id }, element("option", { value: "root" },
      "root of the weight: small ones show"), element("option", { value: "plain" },
      "the weight itself"), element("option", { value: "own" },
      "root, up to each map's largest"));
    this.contrastChoice = input;
    input.addEventListener("change", () => {
      this.contrast = input.value;
      this.link.invalidate();
    });
    return element("div", { class: "lm-control lm-choice" },
      element("label", { for: id }, "Colour"), input);
  }

  // ---- data from the kernel ------------------------------------------------------

  snapshot(state) {
    if (!this.readout.isConnected) this.build(state);
    this.film.clear();
    this.take(state, (name) => state[name]);
  }

  message(content, buffers) {
    this.take(content, (name) => {
      const at = content.parts.indexOf(name);
      return at < 0 ? undefined : buffers[at];
    });
  }

  take(content, part) {
    [this.L, this.H] = content.shape;
    this.D = content.size;
    const wasRun = this.run;
    for (const name of ["run", "playing", "trying", "tried", "id", "limit"]) {
      this[name] = content[name];
    }
    if (this.trying && !this.since) this.since = performance.now();
    if (!this.trying) this.since = null;
    this.showValues(content.values);
    if (this.transport) this.transport.speed.value = content.values.speed;
    this.off = new Set(content.off.map((pair) => pair.join()));
    if (content.look) this.info = content.look;
    this.takeMaps(content, part("maps"));
    if (content.exact) this.takeHead(content.exact, floats(part("head")));
    if (part("moved")) this.moves = floats(part("moved"));
    if (part("impact") !== undefined) {
      const impact = floats(part("impact"));
      this.impact = impact.length ? impact : null;
    }
    if (this.run !== wasRun) this.curve = [];
    if (content.from !== undefined) this.takeCurve(content.from, floats(part("curve")));
    this.last = content.step;
    if (!this.looksBack || !this.film.has(this.position)) {
      this.looksBack = false;
      this.position = this.last;
    }
    this.keepPair();
    this.tell();
  }

  takeMaps({ kept, fresh }, buffer) {
    const T = this.info.tokens.length;
    const size = this.L * this.H * T * T;
    const all = bytes(buffer);
    (fresh || []).forEach(([step, id], k) => {
      this.film.set(step, { id, maps: all.slice(k * size, (k + 1) * size) });
    });
    const keep = new Set(kept);
    for (const step of this.film.keys()) if (!keep.has(step)) this.film.delete(step);
  }

  // Keep the pinned pair while its tokens stay; the pointer's while there are so many.
  keepPair() {
    const T = this.info.tokens.length;
    const inside = (k) => Math.min(k, T - 1);
    const at = (tokens) => this.pinned && this.pinned.map((k) => tokens[k]).join();
    const same = this.tokensThen && at(this.tokensThen) === at(this.info.tokens);
    this.tokensThen = this.info.tokens;
    if (!same) this.pinned = this.firstPair();
    this.hover = this.hover && this.hover.map(inside);
    if (this.token !== null) this.token = Math.min(this.token, this.info.real - 1);
  }

  takeHead([id, layer, head], numbers) {
    const T = this.info.tokens.length;
    const { D } = this;
    this.exactNow = { id, layer, head, D, q: numbers.subarray(0, T * D),
      k: numbers.subarray(T * D, 2 * T * D), weights: numbers.subarray(2 * T * D) };
  }

  takeCurve(from, rows) {
    this.curve.length = from;
    for (let k = 0; k < rows.length; k += 3) this.curve.push([...rows.subarray(k, k + 3)]);
  }

  // A late word, and what it looks at most: something to see before any click.
  firstPair() {
    const { tokens } = this.info;
    const it = tokens.lastIndexOf("it");
    const i = it > 0 ? it : Math.floor(0.8 * (tokens.length - 1));
    const weight = (j) => this.look().weight(this.values.layer, this.values.head, i, j);
    const others = tokens.map((_, j) => j).filter((j) => j !== i);
    return [i, others.reduce((best, j) => (weight(j) > weight(best) ? j : best),
      others[0] ?? i)];
  }

  // What is on show, as the panels need it.
  look() {
    const shot = this.film.get(this.position) || this.film.get(this.last);
    const { info, L, H } = this;
    const T = info.tokens.length;
    if (this.lookNow && this.lookNow.id === shot.id && this.lookNow.info === info) {
      return this.lookNow;
    }
    const causal = info.mask === "causal" || info.mask === "both";
    const hides = info.mask === "padding" || info.mask === "both";
    this.lookNow = { ...info, id: shot.id, info, maps: shot.maps, L, H, T,
      moved: this.moves,
      allowed: (i, j) => (!causal || j <= i) && (!hides || j < info.real),
      weight: (l, h, i, j) => shot.maps[((l * H + h) * T + i) * T + j] / 255 };
    return this.lookNow;
  }

  // ---- hands -----------------------------------------------------------------------

  choose(layer, head) {
    const inside = (value, count) => Math.min(count - 1, Math.max(0, value));
    for (const [name, value] of [["layer", inside(layer, this.L)],
      ["head", inside(head, this.H)]]) {
      if (this.values[name] === value) continue;
      this.values[name] = value;
      this.controls.get(name).show(value);
      this.link.set(name, value);
    }
    this.tell();
    this.link.invalidate();
  }

  pin(i, j) {
    const T = this.info.tokens.length;
    const inside = (k) => Math.min(T - 1, Math.max(0, k));
    this.pinned = [inside(i), inside(j)];
    this.tell();
    this.link.invalidate();
  }

  get pair() { return this.hover || this.pinned; }

  listen() {
    this.point(this.grid, (at) => {
      this.hoverHead = at && [Math.floor(at[1]), Math.floor(at[0])].map((v, k) =>
        Math.min(v, (k ? this.H : this.L) - 1));
    }, (event) => {
      if (!this.hoverHead) return;
      const [layer, head] = this.hoverHead;
      if (event.shiftKey) this.link.command("switch", layer, head);
      else this.choose(layer, head);
    });
    this.point(this.map, (at) => {
      const T = this.info.tokens.length;
      this.hover = at && [at[1], at[0]].map((v) => Math.min(T - 1, Math.floor(v)));
    }, () => this.hover && this.pin(...this.hover));
    this.point(this.bars, (at) => { this.dimension = at && Math.floor(at[0]); });
    this.point(this.moved, (at) => {
      this.token = at ? Math.min(this.info.real - 1, Math.floor(at[0])) : null;
    });
    this.pointSentence();
    const { values } = this;
    const step = (canvas, move) => canvas.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0],
        ArrowDown: [1, 0] }[event.key];
      if (way) {
        event.preventDefault();
        move(...way);
      }
    });
    step(this.grid.canvas, (l, h) => this.choose(values.layer + l, values.head + h));
    this.grid.canvas.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "d" || event.ctrlKey || event.metaKey) return;
      this.link.command("switch", values.layer, values.head);
    });
    step(this.map.canvas, (i, j) => this.pin(this.pinned[0] + i, this.pinned[1] + j));
    step(this.sentence.canvas, (i, j) => this.pin(this.pinned[0] + i + j,
      this.pinned[1]));
  }

  point(panel, over, click = () => {}) {
    const { canvas } = panel;
    const see = (event) => {
      over(event && panel.under(event));
      this.link.invalidate();
    };
    canvas.addEventListener("pointermove", see);
    canvas.addEventListener("pointerleave", () => see(null));
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      see(event);
      click(event);
    });
  }

  pointSentence() {
    const { canvas } = this.sentence;
    const see = (event) => {
      const k = this.sentence.at(event);
      this.hover = k < 0 ? null : [k, this.pinned[1]];
      this.link.invalidate();
      return k;
    };
    canvas.addEventListener("pointermove", see);
    canvas.addEventListener("pointerleave", () => {
      this.hover = null;
      this.link.invalidate();
    });
    canvas.addEventListener("pointerdown", (event) => {
      const k = see(event);
      if (event.button === 0 && k >= 0) this.pin(k, this.pinned[1]);
    });
  }

  // ---- the training -----------------------------------------------------------------

  play() {
    if (!this.training) return;
    this.looksBack = false;
    this.link.command("play");
  }

  pause() {
    if (this.training) this.link.command("pause");
  }

  step() {
    this.looksBack = false;
    this.link.command("step");
  }

  reset() {
    this.looksBack = false;
    this.link.command("reset");
  }

  // Show the look that was kept nearest to a step: the map at once, numbers follow.
  seek(position) {
    const near = [...this.film.keys()].reduce((best, step) =>
      (Math.abs(step - position) < Math.abs(best - position) ? step : best));
    this.looksBack = near !== this.last;
    this.position = near;
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.link.command("show",
      this.looksBack ? near : null), 60);
    this.tell();
    this.link.invalidate();
  }

  // ---- drawing -----------------------------------------------------------------------

  draw() {
    if (!this.info) return;
    const look = this.look();
    const { layer, head } = this.values;
    const { theme, pair, impact, off, L, H } = this;
    const contrast = this.contrast || (look.T > LONG ? "own" : "root");
    this.contrastChoice.value = contrast;
    const now = this.exactNow;
    const exact = now && now.id === look.id && now.layer === layer && now.head === head
      ? now : null;
    const { T } = look;
    const at = (layer * H + head) * T * T;
    const all = { look, contrast, layer, head, pair, impact, id: look.id, exact,
      hover: this.hoverHead, dimension: this.dimension, token: this.token,
      values: look.maps.subarray(at, at + T * T) };
    this.sentence.draw(theme, all);
    this.grid.draw(theme, { ...all, off });
    this.map.draw(theme, { ...all, off: off.has(`${layer},${head}`) });
    this.bars.draw(theme, all);
    this.moved.draw(theme, all);
    if (this.training) {
      this.learning.draw(theme, { curve: this.curve, run: this.run,
        shown: this.position, goal: this.values.steps });
      this.transport.show(this.position, this.last, this.playing);
    }
    this.words(look, exact, L * H);
  }

  // Everything that is text: the pair in numbers, the outcome, buttons, data-*.
  words(look, exact, heads) {
    const { layer, head } = this.values;
    const [i, j] = this.pair;
    const put = (node, text) => {
      if (node.textContent !== text) node.textContent = text;
    };
    const row = exact ? exact.weights.subarray(i * look.T, (i + 1) * look.T)
      : Array.from({ length: look.T }, (_, k) => look.weight(layer, head, i, k));
    if (exact) this.table.show(steps(exact, look, [i, j]).rows);
    put(this.mapTitle, `The chosen head: layer ${layer}, head ${head}`);
    put(this.pairTitle, `Why ${word(look.tokens[i], 14)} → ${word(look.tokens[j], 14)}`);
    put(this.readout, this.under(look, row));
    put(this.says, outcome(look));
    const isOff = this.off.has(`${layer},${head}`);
    put(this.switchButton, isOff ? "Switch this head on" : "Switch this head off");
    this.switchButton.setAttribute("aria-pressed", String(isOff));
    put(this.tryButton, this.trying ? "Cancel" : "Try every head");
    this.progressRow.classList.toggle("lm-on", Boolean(this.trying));
    this.progress.value = this.tried / heads;
    const left = this.tried ? ((performance.now() - this.since) / 1000 / this.tried)
      * (heads - this.tried) : 0;
    put(this.progressText, this.trying ? `${this.tried} of ${heads} heads, ` +
      `${Math.ceil(left)} s left` : "");
    Object.assign(this.root.dataset, { position: String(this.training ? this.position
      : look.id), look: String(look.id), layer: String(layer), head: String(head),
    query: String(i), key: String(j), weight: String(row[j]), exact: String(Boolean(exact)),
    tokens: String(look.T), off: [...this.off].join(" "), trying: String(this.trying),
    playing: String(this.playing), step: String(this.last), run: String(this.run) });
  }

  // The line under the maps: what lies under the pointer, else the pinned pair.
  under(look, row) {
    if (this.hoverHead) {
      const [l, h] = this.hoverHead;
      return headLine(look, l, h, this.impact ? this.impact[l * this.H + h] : NaN);
    }
    if (this.dimension !== null && this.exactNow) {
      return dimensionLine(this.exactNow, this.pair, this.dimension);
    }
    return this.token === null ? pairLine(look, row, this.pair)
      : tokenLine(look, this.token);
  }

  tell() {
    const where = statusWords(this.values, this.info, this.L, this.H, this.limit);
    if (!this.training) this.status(where);
    else {
      const row = this.curve.findLast?.((r) => r[0] <= this.position);
      this.status(`Step ${this.position}: ${row ? `loss ${short(row[1])}, ` +
        `${Math.round(100 * row[2])} % right. ` : ""}${where}`, !this.playing);
    }
  }
}

export default { render: (context) => mount(context, AttentionPage) };
