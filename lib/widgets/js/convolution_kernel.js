// The first part: one kernel on one picture. All of it is computed here, at once.
import { element } from "./core.js";
import { Transport, button, uniqueId } from "./ui.js";
import { CellMap, POOL_COLOUR, SumTables, WINDOW_COLOUR } from "./convolution_maps.js";
import { convFrame, convMap, convPool, convSize } from "./convolution_maps.js";
import { convTaps, decimal, largest, termsText } from "./convolution_maps.js";

// Number fields for a kernel, kernels by name, its size, and a random one. It stands in
// for a declared control: node, input (what is disabled at the end), show(rows).
export class KernelEditor {
  constructor(kernels, change, random) {
    this.kernels = kernels;
    this.change = change;
    this.rows = [];
    const [preset, size] = [uniqueId("preset"), uniqueId("size")];
    this.preset = element("select", { id: preset });
    for (const name of ["your own", ...Object.keys(kernels["3"])]) {
      this.preset.append(element("option", { value: name }, name));
    }
    this.preset.addEventListener("change", () => this.choose(this.preset.value));
    this.size = element("select", { id: size }, ...["3", "5"].map((n) =>
      element("option", { value: n }, `${n} × ${n}`)));
    this.size.addEventListener("change", () => this.resize(Number(this.size.value)));
    this.table = element("div", { class: "lm-conv-fields" });
    this.input = element("fieldset", { class: "lm-conv-editor" },
      element("legend", {}, "Kernel"),
      element("div", { class: "lm-conv-line" }, element("label", { for: preset }, "Take"),
        this.preset),
      element("div", { class: "lm-conv-line" }, element("label", { for: size }, "Size"),
        this.size, button("Random", "Normal numbers, from a seed", () =>
          random(this.rows.length))),
      this.table);
    this.node = this.input;
  }

  choose(name) {
    const known = this.kernels[this.size.value][name];
    if (known) this.take(known.map((row) => [...row]));
  }

  // The same kernel by name in the other size, or your own with zeros round it.
  resize(n) {
    const name = this.named();
    if (name) {
      this.take(this.kernels[String(n)][name].map((row) => [...row]));
      return;
    }
    const d = (n - this.rows.length) / 2;
    this.take(Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_x, j) =>
      this.rows[i - d]?.[j - d] ?? 0)));
  }

  take(rows) {
    this.show(rows);
    this.change(rows);
  }

  named() {
    const same = (a) => a.length === this.rows.length && a.every((row, i) =>
      row.every((v, j) => Math.abs(v - this.rows[i][j]) < 1e-6));
    const all = this.kernels[String(this.rows.length)] || {};
    return Object.keys(all).find((name) => same(all[name])) || null;
  }

  show(rows) {
    if (rows.length !== this.rows.length) this.build(rows.length);
    this.rows = rows.map((row) => [...row]);
    this.fields.forEach((field, k) => {
      const value = rows[Math.floor(k / rows.length)][k % rows.length];
      if (field.value === "" || Number(field.value) !== value) {
        field.value = String(Number(value.toPrecision(4)));
      }
      field.removeAttribute("aria-invalid");
    });
    this.size.value = String(rows.length);
    this.preset.value = this.named() || "your own";
  }

  build(n) {
    this.fields = Array.from({ length: n * n }, (_, k) => {
      const field = element("input", { type: "number", step: "0.1", min: "-100",
        max: "100", "aria-label": `Kernel row ${Math.floor(k / n) + 1}, column ${
          (k % n) + 1}` });
      field.addEventListener("input", () => this.typed(field, k, n));
      field.addEventListener("blur", () => this.show(this.rows));
      return field;
    });
    this.table.style.gridTemplateColumns = `repeat(${n}, minmax(0, 1fr))`;
    this.table.replaceChildren(...this.fields);
  }

  typed(field, k, n) {
    const value = Number(field.value);
    if (field.value === "" || !Number.isFinite(value) || Math.abs(value) > 100) {
      field.setAttribute("aria-invalid", "true"); // not yet a number: the old one holds
      return;
    }
    field.removeAttribute("aria-invalid");
    this.rows[Math.floor(k / n)][k % n] = value;
    this.preset.value = this.named() || "your own";
    this.change(this.rows.map((row) => [...row]));
  }
}

export class KernelPart {
  constructor(view) {
    this.view = view;
    this.pick = (i, j) => this.seek(i * this.map.n + j, true);
    this.input = new CellMap("Input picture with its padding", null, (cell) => {
      this.under = cell;
      this.view.link.invalidate();
    });
    this.output = new CellMap("Output map; arrow keys move over it", this.pick);
    this.small = new CellMap("Pooled map", (i, j) => {
      this.poolCell = [i, j];
      this.view.link.invalidate();
    });
    this.sum = new SumTables("The sum of products at this position, as tables");
    this.transport = new Transport(this, [[2, "2 a second"], [8, "8"], [30, "30"],
      [120, "120"]], "position");
    this.transport.speed.value = "8";
    this.formula = element("div", { class: "lm-conv-formula" });
    this.terms = element("div", { class: "lm-conv-terms" });
    this.pointer = element("div", { class: "lm-conv-pointer" });
    this.position = 0;
    this.playing = false;
    this.filling = false; // the output is filled up to the window only
    this.under = null;
    this.poolCell = null;
    this.stale = true;
  }

  get pictures() {
    const small = this.small.node.isConnected ? [this.small] : [];
    return [this.input, this.output, ...small, this.sum];
  }

  build(add, editor, pad, save) {
    this.pad = pad;
    this.maps = element("div", { class: "lm-conv-maps" }, this.input.node, editor.node,
      this.output.node);
    this.padPlace = element("div", { class: "lm-conv-pad" });
    this.node = element("div", {}, this.maps, this.formula, this.sum.node, this.terms,
      this.transport.node, this.errorPlace = element("div"),
      element("div", { class: "lm-columns lm-conv-columns" },
        element("fieldset", {}, element("legend", {}, "Picture"), add("picture"),
          add("example"), this.padPlace),
        element("fieldset", {}, element("legend", {}, "How the kernel slides"),
          add("stride"), add("padding"), add("padding_mode"), add("dilation")),
        element("fieldset", {}, element("legend", {}, "What follows"), add("bias"),
          add("relu"), add("pooling"), add("pool_size"))),
      element("div", { class: "lm-row lm-tight" }, this.pointer, save));
  }

  // ---- numbers -----------------------------------------------------------------------

  picture() {
    const { values, examples, patches, pad } = this.view;
    if (values.picture === "drawn") return { n: pad.size, values: pad.values };
    if (values.picture === "digit") {
      const all = examples.subarray(64 * values.example, 64 * values.example + 64);
      return { n: 8, values: Float64Array.from(all, (v) => v / 16) };
    }
    const n = this.view.patch;
    const first = values.picture === "china" ? 0 : n * n;
    return { n, values: patches.subarray(first, first + n * n) };
  }

  compute() {
    const v = this.view.values;
    const began = performance.now();
    this.source = this.picture();
    this.kernel = v.kernel.flat();
    this.k = v.kernel.length;
    this.framed = convFrame(this.source, v.padding, v.padding_mode);
    this.map = convMap(this.framed, this.kernel, this.k, v);
    this.pooled = v.pooling === "none" ? null : convPool(this.map, v.pooling,
      v.pool_size);
    this.took = performance.now() - began;
    this.stale = false;
    this.position = Math.max(0, Math.min(this.position, this.last));
    this.poolCell = null;
    this.arrange();
    this.tell();
  }

  // The pooled map and the pad stand in the page only while they are used.
  arrange() {
    const v = this.view.values;
    if (this.pooled && !this.small.node.isConnected) this.maps.append(this.small.node);
    if (!this.pooled) this.small.node.remove();
    this.maps.classList.toggle("lm-conv-pooled", Boolean(this.pooled));
    const drawn = v.picture === "drawn";
    if (drawn && this.view.part === "kernel") {
      this.padPlace.replaceChildren(this.view.padBox);
    }
    this.padPlace.hidden = !drawn;
    this.view.controls.get("example").node.hidden = v.picture !== "digit";
    const [n, m] = [this.source.n, this.map.n];
    this.formula.textContent = `Output rows = ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1 = ⌊(${n
    } + 2·${v.padding} − ${v.dilation}·(${this.k} − 1) − 1) / ${v.stride}⌋ + 1 = ${
      m || "none: the window is wider than the padded picture"}`;
  }

  get last() { return this.map ? this.map.n ** 2 - 1 : 0; }

  get cell() {
    const m = Math.max(1, this.map.n);
    return [Math.floor(this.at / m), this.at % m];
  }

  get at() { return Math.floor(this.position); }

  // ---- hands and playing -------------------------------------------------------------

  play() {
    if (!this.map || !this.map.n) return;
    if (this.position >= this.last) this.position = 0;
    Object.assign(this, { playing: true, filling: true, clock: null, poolCell: null });
    this.view.link.invalidate();
  }

  pause() {
    this.playing = false;
    this.tell();
    this.view.link.invalidate();
  }

  step() { this.seek(this.at + 1, false, true); }

  reset() { this.seek(0, false); }

  seek(position, byHand = false, filling = false) {
    if (byHand) this.filling = false;
    else this.filling = filling || (position > 0 && this.filling);
    this.playing = false;
    this.poolCell = null;
    this.position = Math.max(0, Math.min(this.last, position));
    this.tell();
    this.view.link.invalidate();
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
      this.filling = false;
    }
    this.tell();
    this.view.link.invalidate();
  }

  tell() {
    if (!this.map) return;
    if (!this.map.n) {
      this.view.status("The kernel does not fit into the picture. Take more padding, " +
        "less dilation or a smaller kernel.");
      return;
    }
    const [i, j] = this.cell;
    this.view.status(`Output row ${i + 1}, column ${j + 1}: ${
      decimal(this.map.values[this.at], 3)}.`, !this.playing);
  }

  // ---- drawing -----------------------------------------------------------------------

  draw(now) {
    const { theme, root } = this.view;
    const v = this.view.values;
    if (this.stale) this.compute();
    this.advance(now);
    this.transport.show(this.at, this.last, this.playing);
    this.transport.node.inert = !this.map.n;
    const [i, j] = this.cell;
    this.output.cursor = [i, j];
    this.drawInput(theme, v, i, j);
    this.drawOutput(theme, v, i, j);
    this.drawSum(theme, v, i, j);
    root.dataset.position = String(this.at);
    root.dataset.playing = String(this.playing);
    root.dataset.rows = String(this.map.n);
  }

  drawInput(theme, v, i, j) {
    const boxes = this.map.n ? [{ i: i * v.stride, j: j * v.stride, size: this.k,
      step: v.dilation, colour: WINDOW_COLOUR }] : [];
    const n = this.source.n;
    const title = v.padding ? `Input ${n} × ${n}, with padding ${this.framed.n} × ${
      this.framed.n}` : `Input ${n} × ${n}`;
    this.input.draw(theme, this.framed, { title, scale: "grey", padding: v.padding },
      boxes, this.under ? [this.under] : []);
    let text = "Point at a cell of the input to see which outputs it goes into.";
    if (this.under && this.under[0] < this.framed.n && this.under[1] < this.framed.n) {
      const [a, b] = this.under;
      const outside = Math.min(a, b) < v.padding || Math.max(a, b) >= n + v.padding;
      text = `Input row ${a - v.padding + 1}, column ${b - v.padding + 1}${
        outside ? " (padding)" : ""}: ${decimal(this.framed.values[a * this.framed.n + b],
        3)}; goes into ${this.users().length} outputs.`;
    }
    if (this.pointer.textContent !== text) this.pointer.textContent = text;
  }

  // The output cells whose window holds the input cell under the pointer.
  users() {
    const { stride, dilation } = this.view.values;
    const lines = (at) => Array.from({ length: this.map.n }, (_, i) => i).filter((i) => {
      const d = at - i * stride;
      return d >= 0 && d % dilation === 0 && d / dilation < this.k;
    });
    if (!this.under) return [];
    const columns = lines(this.under[1]);
    return lines(this.under[0]).flatMap((i) => columns.map((j) => [i, j]));
  }

  drawOutput(theme, v, i, j) {
    const { map, pooled } = this;
    const limit = largest(map.values);
    const boxes = map.n ? [{ i, j, size: 1, colour: WINDOW_COLOUR }] : [];
    if (pooled && pooled.n) {
      const [a, b] = this.poolCell || [Math.floor(i / v.pool_size),
        Math.floor(j / v.pool_size)];
      if (a < pooled.n && b < pooled.n) {
        const box = { colour: POOL_COLOUR, dash: [6, 3] };
        boxes.unshift({ ...box, i: a * v.pool_size, j: b * v.pool_size,
          size: v.pool_size });
        this.small.cursor = [a, b];
        this.smallBoxes = [{ ...box, i: a, j: b, size: 1 }];
      } else this.smallBoxes = [];
    }
    this.output.draw(theme, map, { title: `Output ${map.n} × ${map.n}${
      v.relu ? ", after ReLU" : ""}`, scale: "signed", limit,
    until: this.filling ? this.at : undefined }, boxes, this.users());
    if (!pooled) return;
    const name = v.pooling === "max" ? "Largest" : "Mean";
    this.small.draw(theme, pooled, { title: `${name} of ${v.pool_size} × ${
      v.pool_size}: ${pooled.n} × ${pooled.n}`, scale: "signed", limit },
    pooled.n ? this.smallBoxes : []);
  }

  drawSum(theme, v, i, j) {
    if (!this.map.n) {
      this.sum.draw(theme, [{ title: "kernel", map: { n: this.k, values: this.kernel },
        scale: "signed", limit: largest(this.kernel) }], [],
      ["The window has no place on the picture."]);
      this.setTerms("–");
      return;
    }
    const taps = convTaps(this.framed, this.k, v.stride, v.dilation, i, j);
    const products = taps.map((value, q) => value * this.kernel[q]);
    const sum = products.reduce((all, p) => all + p, 0);
    const plain = sum + v.bias;
    let line = `sum ${decimal(sum, 3)}  + bias ${decimal(v.bias)}  =  ${
      decimal(plain, 3)}`;
    if (v.relu) line += `   → ReLU →  ${decimal(Math.max(0, plain), 3)}`;
    const lines = [line];
    const at = this.poolCell || [Math.floor(i / v.pool_size), Math.floor(j / v.pool_size)];
    if (this.pooled && at[0] < this.pooled.n && at[1] < this.pooled.n) {
      const window = convTaps(this.map, v.pool_size, v.pool_size, 1, ...at);
      lines.push(`pooling: ${v.pooling === "max" ? "the largest" : "the mean"} of ${
        [...window].map((x) => decimal(x)).join(",  ")}  is  ${
        decimal(this.pooled.values[at[0] * this.pooled.n + at[1]], 3)}`);
    } else lines.push(" ");
    const table = (title, values, scale, limit) => ({ title, scale, limit,
      map: { n: this.k, values } });
    this.sum.draw(theme, [
      table("input under the window", taps, "grey", 1),
      table("kernel", this.kernel, "signed", largest(this.kernel)),
      table("products", products, "signed", largest(products))], ["×", "="], lines);
    this.setTerms(`${termsText(taps, this.kernel)} = ${decimal(sum, 3)}`);
  }

  setTerms(text) {
    this.terms.classList.toggle("lm-conv-long", this.k === 5);
    if (this.terms.textContent !== text) this.terms.textContent = text;
  }
}
