// The second part: every layer of a small CNN for the digit on the pad. The kernel (of
// the notebook) computes the maps; this draws them and says where each number came from.
import { element } from "./core.js";
import { Transport, button } from "./ui.js";
import { Frame } from "./plot.js";
import { bitmap, drawBitmap } from "./heat.js";
import { CellMap, POOL_COLOUR, SumTables, WINDOW_COLOUR } from "./convolution_maps.js";
import { convTaps, decimal, largest, termsText } from "./convolution_maps.js";

const LAYERS = ["kernel", "convolution", "ReLU", "max pool", "dense"];
const SHOWN = 8; // channels side by side

// Layers from top to bottom, channels from left to right; one map is chosen.
export class LayerStrip extends Frame {
  constructor(choose) {
    super("Feature maps: a row for each layer, a column for each channel; arrow keys "
      + "choose one", 400);
    this.choose = choose;
    this.canvas.addEventListener("pointerdown", (event) => {
      const at = this.columns ? this.under(event) : null;
      if (at) choose(Math.min(LAYERS.length - 1, Math.floor(at[1])),
        this.first + Math.min(this.columns - 1, Math.floor(at[0])));
    });
  }

  beside(width) {
    this.side = Math.max(20, Math.min(62, (width - 102) / SHOWN - 6));
    return Math.round(24 + LAYERS.length * (this.side + 6) + 4);
  }

  // rows: [{name, note, maps: [{n, values}], limit}] in the order of LAYERS.
  draw(theme, rows, first, [row, channel]) {
    const pen = this.begin(theme);
    if (!pen) return;
    this.first = first;
    this.columns = Math.min(SHOWN, rows[0].maps.length - first);
    const box = this.side + 6;
    this.pad = { left: 98, top: 22, right: this.width - 98 - this.columns * box,
      bottom: this.tall - 22 - LAYERS.length * box };
    this.range = [0, this.columns, LAYERS.length, 0];
    pen.textBaseline = "middle";
    for (let c = 0; c < this.columns; c += 1) {
      pen.fillStyle = theme.soft;
      pen.textAlign = "center";
      pen.fillText(String(first + c + 1), this.left + (c + 0.5) * box, 12);
    }
    pen.textAlign = "right";
    pen.fillText("channel", this.left - 8, 12);
    rows.forEach(({ name, note, maps, limit }, r) => {
      const top = this.top + r * box;
      pen.textAlign = "right";
      pen.fillStyle = theme.ink;
      pen.fillText(name, this.left - 8, top + box / 2 - 8, 88);
      pen.fillStyle = theme.soft;
      pen.fillText(note, this.left - 8, top + box / 2 + 8, 88);
      for (let c = 0; c < this.columns; c += 1) {
        const { n, values } = maps[first + c];
        const left = this.left + c * box;
        const picture = bitmap(n, n, (k) => 0.5 + (0.5 * values[k]) / limit, "signed",
          theme.dark);
        drawBitmap(pen, picture, left + 3, top + 3, this.side, this.side);
        pen.lineWidth = 1;
        pen.strokeStyle = theme.soft;
        pen.strokeRect(left + 3.5, top + 3.5, this.side - 1, this.side - 1);
      }
    });
    const ink = theme.dark ? WINDOW_COLOUR.dark : WINDOW_COLOUR.light;
    const at = channel - first;
    if (at < 0 || at >= this.columns) return;
    pen.lineWidth = 3;
    pen.strokeStyle = ink;
    pen.strokeRect(this.left + at * box + 1.5, this.top + row * box + 1.5, box - 3,
      box - 3);
  }
}

// Probability and logit of each class; one class is chosen for the dense layer.
export class ClassBars extends Frame {
  constructor(choose) {
    super("Probability of each class; arrow keys choose the class of the dense layer",
      300);
    this.choose = choose;
    this.canvas.addEventListener("pointermove", (event) => {
      const at = this.count ? this.under(event) : null;
      if (at) choose(Math.min(this.count - 1, Math.floor(at[1])));
    });
    this.canvas.addEventListener("keydown", (event) => {
      const way = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!way || !this.count) return;
      choose(Math.max(0, Math.min(this.count - 1, this.chosen + way)));
      event.preventDefault();
    });
  }

  beside() { return 300; }

  draw(theme, shares, logits, chosen) {
    const pen = this.begin(theme);
    if (!pen) return;
    this.count = shares.length;
    this.chosen = chosen;
    this.pad = { left: 24, right: 104, top: 24, bottom: 8 };
    this.range = [0, 1, this.count, 0];
    const tall = (this.bottom - this.top) / this.count;
    const best = shares.indexOf(Math.max(...shares));
    pen.textBaseline = "middle";
    pen.fillStyle = theme.soft;
    pen.textAlign = "left";
    pen.fillText("class", 0, 12);
    pen.textAlign = "right";
    pen.fillText("probability", this.width - 48, 12);
    pen.fillText("logit", this.width - 4, 12);
    for (let k = 0; k < this.count; k += 1) {
      const y = this.top + (k + 0.5) * tall;
      if (k === chosen) {
        pen.fillStyle = theme.faint;
        pen.fillRect(0, y - tall / 2, this.width, tall);
      }
      pen.fillStyle = theme.faint;
      pen.fillRect(this.left, y - 0.3 * tall, this.right - this.left, 0.6 * tall);
      pen.fillStyle = theme.dark ? "#4da3e0" : "#0072b2";
      pen.fillRect(this.left, y - 0.3 * tall, shares[k] * (this.right - this.left),
        0.6 * tall);
      pen.fillStyle = theme.ink;
      pen.font = k === best ? `bold ${theme.font}` : theme.font;
      pen.textAlign = "left";
      pen.fillText(String(k), 6, y);
      pen.textAlign = "right";
      pen.fillText(shares[k].toFixed(3), this.width - 48, y);
      pen.fillText(logits[k].toFixed(1).replace("-", "−"), this.width - 4, y);
      pen.font = theme.font;
    }
  }
}

export class NetworkPart {
  constructor(view) {
    this.view = view;
    this.chosen = [1, 0]; // layer, channel
    this.first = 0;
    this.classChosen = null; // null follows the most probable one
    this.cell = [5, 5];
    this.strip = new LayerStrip((row, channel) => this.choose(row, channel));
    this.bars = new ClassBars((k) => {
      this.classChosen = k;
      this.view.link.invalidate();
    });
    this.source = new CellMap("What the chosen map is made from");
    this.target = new CellMap("The chosen map, large; arrow keys move over it",
      (i, j) => {
        this.cell = [i, j];
        this.view.link.invalidate();
      });
    this.sum = new SumTables("Where the number under the pointer came from");
    this.terms = element("div", { class: "lm-conv-terms" });
    this.words = element("div", { class: "lm-conv-pointer" });
    this.bar = element("progress", { max: "1", value: "0",
      "aria-label": "Progress of the training" });
    this.transport = new Transport(this, [[0, "as fast as it can"],
      [4, "4 epochs a second"], [1, "1 epoch a second"]], "epoch");
    this.transport.speed.value = "4";
    this.strip.canvas.addEventListener("keydown", (event) => this.keys(event));
  }

  get pictures() {
    return this.maps ? [this.strip, this.bars, this.source, this.target, this.sum] : [];
  }

  get playing() { return Boolean(this.progress?.playing); }

  build(add, save) {
    const { link } = this.view;
    this.padPlace = element("div", { class: "lm-conv-pad" });
    this.more = element("div", { class: "lm-row" },
      button("◀", "Channels before these", () => this.turn(-SHOWN)),
      button("▶", "Channels after these", () => this.turn(SHOWN)));
    this.training = element("fieldset", {}, element("legend", {}, "Training"),
      element("div", { class: "lm-progress" }, this.bar), this.words,
      this.transport.node, element("div", { class: "lm-row" }, add("device")));
    this.node = element("div", {},
      element("div", { class: "lm-conv-network" },
        element("div", { class: "lm-conv-draw" }, this.padPlace, add("fit"),
          button("A digit of the set", "One that the network was not trained on", () =>
            link.command("another"))),
        element("div", { class: "lm-conv-strip" }, this.strip.node, this.more),
        element("div", { class: "lm-conv-bars" }, this.bars.node)),
      element("div", { class: "lm-conv-detail" }, this.source.node, this.sum.node,
        this.target.node),
      this.terms, this.errorPlace = element("div"), this.training, element("div", { class: "lm-row lm-tight" }, save));
  }

  // ---- data from the kernel ------------------------------------------------------------

  // parts: arrays by name, those that are new; content: how far the training is.
  take(content, parts) {
    if (content.epoch !== undefined) this.progress = content;
    if (!this.progress) return;
    this.parts = { ...this.parts, ...parts };
    if (!parts.conv) return;
    const { channels, classes } = this.progress;
    const { conv, pooled, output, input } = this.parts;
    const cut = (all, count) => {
      const size = all.length / count;
      const n = Math.round(Math.sqrt(size));
      return Array.from({ length: count }, (_, c) => ({ n,
        values: all.subarray(c * size, (c + 1) * size) }));
    };
    const top = Math.max(...output);
    const powers = [...output].map((z) => Math.exp(z - top));
    const all = powers.reduce((sum, p) => sum + p, 0);
    this.shares = powers.map((p) => p / all);
    this.maps = { input: cut(input, 1)[0], conv: cut(conv, channels),
      pooled: cut(pooled, channels), kernel: cut(this.parts["conv.weight"], channels) };
    this.maps.hidden = this.maps.conv.map(({ n, values }) => ({ n,
      values: values.map((v) => Math.max(0, v)) }));
    this.dense = cut(this.parts["dense.weight"], classes).map(({ values }) =>
      cut(values, channels));
    this.view.root.dataset.seen = String(Number(this.view.root.dataset.seen || 0) + 1);
  }

  get classShown() {
    return this.classChosen ?? this.shares.indexOf(Math.max(...this.shares));
  }

  // Weight times pooled number: what each place says for the chosen class.
  contributions() {
    const weights = this.dense[this.classShown];
    return this.maps.pooled.map(({ n, values }, c) => ({ n,
      values: values.map((v, k) => v * weights[c].values[k]) }));
  }

  rows() {
    const { kernel, conv, hidden, pooled } = this.maps;
    const dense = this.contributions();
    const limits = [kernel, conv, hidden, pooled, dense].map((maps) =>
      Math.max(...maps.map(({ values }) => largest(values))));
    const row = (k, name, maps) => ({ name, maps, limit: limits[k],
      note: `${maps[0].n} × ${maps[0].n}, ±${decimal(limits[k], 1)}` });
    return [row(0, "kernel", kernel), row(1, "convolution", conv), row(2, "ReLU", hidden),
      row(3, "max pool", pooled), row(4, `× weights of ${this.classShown}`, dense)];
  }

  // ---- hands ----------------------------------------------------------------------------

  choose(row, channel) {
    if (!this.maps) return;
    const count = this.maps.conv.length;
    this.chosen = [Math.max(0, Math.min(LAYERS.length - 1, row)),
      Math.max(0, Math.min(count - 1, channel))];
    this.first = SHOWN * Math.floor(this.chosen[1] / SHOWN);
    this.view.link.invalidate();
  }

  turn(by) { this.choose(this.chosen[0], this.first + by); }

  keys(event) {
    const ways = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0],
      ArrowDown: [1, 0] };
    if (!(event.key in ways)) return;
    const [a, b] = ways[event.key];
    this.choose(this.chosen[0] + a, this.chosen[1] + b);
    event.preventDefault();
  }

  play() { this.view.link.command("play", this.transport.perSecond); }

  pause() { this.view.link.command("pause"); }

  step() { this.view.link.command("step"); }

  reset() { this.view.link.command("reset"); }

  seek(epoch) { this.view.link.command("seek", epoch); }

  // ---- drawing --------------------------------------------------------------------------

  draw() {
    const { root, theme } = this.view;
    this.drawTraining();
    if (!this.maps) return;
    this.more.hidden = this.maps.conv.length <= SHOWN;
    const rows = this.rows();
    this.strip.draw(theme, rows, this.first, this.chosen);
    this.bars.draw(theme, this.shares, this.parts.output, this.classShown);
    this.drawDetail(theme, rows);
    root.dataset.best = String(this.shares.indexOf(Math.max(...this.shares)));
    root.dataset.share = String(Math.max(...this.shares));
  }

  drawTraining() {
    const { root, values } = this.view;
    const p = this.progress;
    this.training.hidden = this.view.given;
    root.dataset.playing = String(this.playing);
    root.dataset.position = String(p ? p.shown : 0);
    if (!p) return;
    root.dataset.epoch = String(p.epoch);
    this.bar.value = p.steps ? p.step / p.steps : 1;
    this.transport.show(p.shown, p.epochs, p.playing);
    const right = p.accuracies[p.shown];
    const now = performance.now();
    if (p.playing && this.began?.run !== p.run) this.began = { run: p.run, step: p.step,
      now };
    if (!p.playing) this.began = null;
    let left = "";
    const done = this.began ? p.step - this.began.step : 0;
    if (done > 20) {
      const seconds = ((now - this.began.now) / 1000 / done) * (p.steps - p.step);
      left = ` About ${Math.ceil(seconds)} s left.`;
    }
    const loss = p.loss === null ? "" : ` loss on the last batch ${decimal(p.loss, 3)};`;
    const text = `Step ${p.step} of ${p.steps};${loss} of the digits kept back, ${
      (100 * (right || 0)).toFixed(1)} % are read after epoch ${p.shown}.${left}`;
    if (this.words.textContent !== text) this.words.textContent = text;
    if (!this.shares) return;
    const best = this.shares.indexOf(Math.max(...this.shares));
    const said = `The network reads a ${best}, with probability ${
      this.shares[best].toFixed(2)}.${values.fit ? "" : " The drawing goes in as it is."}`;
    if (said === this.said) return; // other news keeps its place until then
    this.view.status(said, !this.playing);
    if (this.view.statusLine.textContent === said) this.said = said;
  }

  // The map that was chosen, what it is made from, and the sum behind one of its cells.
  drawDetail(theme, rows) {
    const [row, c] = this.chosen;
    const layer = Math.max(1, row); // a kernel is shown with the map that it makes
    const target = rows[layer].maps[c];
    const hold = (v) => Math.max(0, Math.min(target.n - 1, v));
    const [i, j] = this.cell.map(hold);
    this.target.cursor = [i, j];
    this.root = this.view.root;
    this.root.dataset.layer = LAYERS[layer];
    this.root.dataset.channel = String(c);
    const made = this[["", "ofConvolution", "ofReLU", "ofPool", "ofDense"][layer]](c, i, j,
      rows);
    const box = { i, j, size: 1, colour: WINDOW_COLOUR };
    this.source.draw(theme, made.source, made.look, [made.box]);
    this.target.draw(theme, target, { title: `${rows[layer].name}, channel ${c + 1}: ${
      target.n} × ${target.n}`, scale: "signed", limit: rows[layer].limit }, [box]);
    this.sum.draw(theme, made.tables, made.signs, made.lines);
    if (this.terms.textContent !== made.text) this.terms.textContent = made.text;
  }

  ofConvolution(c, i, j, rows) {
    const { input, kernel } = this.maps;
    const weights = kernel[c].values;
    const taps = convTaps(input, 3, 1, 1, i, j);
    const products = taps.map((v, k) => v * weights[k]);
    const sum = products.reduce((all, p) => all + p, 0);
    const bias = this.parts["conv.bias"][c];
    const value = rows[1].maps[c].values[i * rows[1].maps[c].n + j];
    const table = (title, values, scale, limit) => ({ title, scale, limit,
      map: { n: 3, values } });
    return { source: input, look: { title: `What goes in: ${input.n} × ${input.n}`,
      scale: "grey" }, box: { i, j, size: 3, colour: WINDOW_COLOUR },
    tables: [table("input", taps, "grey", 1),
      table("learnt kernel", weights, "signed", rows[0].limit),
      table("products", products, "signed", largest(products))], signs: ["×", "="],
    lines: [`sum ${decimal(sum, 3)}  + bias ${decimal(bias, 3)}  =  ${decimal(value, 3)}`],
    text: `${termsText(taps, weights)} + ${decimal(bias)} = ${decimal(value, 3)}` };
  }

  ofReLU(c, i, j, rows) {
    const from = this.maps.conv[c];
    const value = from.values[i * from.n + j];
    return { source: from, look: { title: "convolution", scale: "signed",
      limit: rows[1].limit }, box: { i, j, size: 1, colour: WINDOW_COLOUR },
    tables: [{ title: "convolution", map: { n: 1, values: [value] }, scale: "signed",
      limit: rows[1].limit }, { title: "ReLU", map: { n: 1, values: [Math.max(0, value)] },
      scale: "signed", limit: rows[2].limit }], signs: ["→"],
    lines: [value < 0 ? "negative: becomes 0" : "not negative: stays"],
    text: `max(0, ${decimal(value, 3)}) = ${decimal(Math.max(0, value), 3)}` };
  }

  ofPool(c, i, j, rows) {
    const from = this.maps.hidden[c];
    const taps = convTaps(from, 2, 2, 1, i, j);
    const value = Math.max(...taps);
    return { source: from, look: { title: "ReLU", scale: "signed",
      limit: rows[2].limit }, box: { i: 2 * i, j: 2 * j, size: 2, colour: POOL_COLOUR,
      dash: [6, 3] },
    tables: [{ title: "2 × 2 window", map: { n: 2, values: taps }, scale: "signed",
      limit: rows[2].limit }, { title: "largest", map: { n: 1, values: [value] },
      scale: "signed", limit: rows[3].limit }], signs: ["→"],
    lines: [`the largest is ${decimal(value, 3)}`],
    text: `max(${[...taps].map((v) => decimal(v)).join(", ")}) = ${decimal(value, 3)}` };
  }

  ofDense(c, i, j, rows) {
    const from = this.maps.pooled[c];
    const k = this.classShown;
    const at = i * from.n + j;
    const [value, weight] = [from.values[at], this.dense[k][c].values[at]];
    const bias = this.parts["dense.bias"][k];
    const all = rows[4].maps.map(({ values }) => values.reduce((s, v) => s + v, 0));
    const sum = all.reduce((s, v) => s + v, 0);
    const one = (title, v, limit) => ({ title, map: { n: 1, values: [v] }, limit,
      scale: "signed" });
    return { source: from, look: { title: "max pool", scale: "signed",
      limit: rows[3].limit }, box: { i, j, size: 1, colour: POOL_COLOUR, dash: [6, 3] },
    tables: [one("pooled", value, rows[3].limit), one(`weight of ${k}`, weight,
      largest(this.parts["dense.weight"])), one("product", value * weight,
      rows[4].limit)], signs: ["×", "="],
    lines: [`all ${rows[4].maps.length * from.n ** 2} products of class ${k}: ${
      decimal(sum, 2)}  + bias ${decimal(bias, 2)}  =  logit ${decimal(sum + bias, 2)}`,
    `softmax over the ${this.shares.length} logits: probability ${
      this.shares[k].toFixed(3)}`],
    text: `Channels 1 to ${all.length} add up to ${all.map((v) => decimal(v, 1)).join(", ")
    } for class ${k}.` };
  }
}
