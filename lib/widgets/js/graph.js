// A computation graph from left to right: values forward, gradients backward, one node
// at a time. The kernel computes (lib/models/autograd.py); the page only steps through
// what came, adding up local derivative times gradient as the chain rule does.
import { element, mount } from "./core.js";
import { Transport, button, short, uniqueId } from "./ui.js";
import { Frame } from "./plot.js";
import { GraphPicture, NARROW, ROW } from "./graph_draw.js";


// A number within a product: negative ones in parentheses.
const factor = (value) => (value < 0 ? `(${short(value)})` : short(value));

// What one operation computes, and its local derivative by operand `slot`, in symbols.
function written(operation, names, out) {
  const [p, q] = names;
  if (operation.startsWith("** ")) {
    const n = Number(operation.slice(3));
    return { body: `${p}${{ 2: "²", 3: "³" }[n] || `^${short(n)}`}`,
      local: [`${short(n)} · ${p}${n === 2 ? "" : `^${short(n - 1)}`}`] };
  }
  return {
    "+": { body: `${p} + ${q}`, local: ["1", "1"] },
    "-": { body: `${p} − ${q}`, local: ["1", "−1"] },
    "*": { body: `${p} · ${q}`, local: [q, p] },
    "/": { body: `${p} / ${q}`, local: [`1 / ${q}`, `−${p} / ${q}²`] },
    exp: { body: `exp(${p})`, local: [out] },
    log: { body: `log(${p})`, local: [`1 / ${p}`] },
    tanh: { body: `tanh(${p})`, local: [`1 − ${out}²`] },
    relu: { body: `relu(${p})`, local: [`1 if ${p} > 0, else 0`] },
  }[operation];
}

class GraphView extends GraphPicture {
  constructor(root, link) {
    super(root, link);
    this.frame = new Frame("The computation graph", 300);
    this.frame.pad = { left: 4, right: 4, top: 4, bottom: 4 };
    this.frame.beside = (width) => Math.round(this.tallness * Math.min(1,
      (width - 8) / (this.graph.columns * NARROW)));
    this.transport = new Transport(this, [[0.5, "slow"], [1, "1 a second"], [3, "3"],
      [8, "8"]]);
    this.transport.speed.value = "1";
    this.transport.resetButton.title = "Back to the start: only the variables are known";
    this.transport.stepButton.after(button("Back", "One step back", () =>
      this.seek(this.position - 1)));
    this.problem = element("div", { class: "lm-graph-problem", role: "alert" });
    this.lines = element("div", { class: "lm-readout lm-graph-lines" });
    this.hover = element("div", { class: "lm-readout lm-graph-hover" }, "\u00a0");
    this.rows = new Map(); // variable -> parts of its row in the table
    this.listen();
  }

  get pictures() { return [this.frame]; }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => this.addControl(spec.get(name));
    this.body = element("tbody");
    this.leaves = element("fieldset", {}, element("legend", {}, "Variables"),
      element("table", { class: "lm-graph-leaves" },
        element("thead", {}, element("tr", {}, ...["name", "", "value", "gradient",
          "numerical", "hold"].map((text, k) => element("th", { scope: "col",
          title: ["", "Move it: everything follows", "", "∂L/∂ of the variable, by " +
            "backpropagation", "(L(v + h) − L(v − h)) / 2h, with h = 0.00001",
          "Gradient descent leaves it alone"][k] }, text)))), this.body));
    this.controls.set("leaves", { input: this.leaves, show: () => this.showLeaves() });
    this.controls.set("held", { input: this.leaves, show: () => this.showLeaves() });
    this.story = element("div", { class: "lm-graph-story" });
    const descent = element("fieldset", {},
      element("legend", {}, "Gradient descent on the variables"), add("rate"),
      element("span", { class: "lm-row" },
        button("One step of descent", "Each variable that is not held moves against " +
          "its gradient", () => this.link.command("descend")),
        button("Start values", "The variables back to where they began", () =>
          this.link.command("start_values")),
        button("Save picture", "Save the graph as PNG", () =>
          this.save("graph", this.frame.canvas), { class: "lm-save" })), this.story);
    this.root.append(
      element("div", { class: "lm-graph-text" }, add("example"), add("expression")),
      this.problem, this.frame.node, this.lines, this.hover, this.transport.node,
      element("div", { class: "lm-columns lm-graph-below" }, this.leaves, descent),
      this.statusLine, this.errorBox);
  }

  // ---- data from the kernel ------------------------------------------------------

  snapshot(state) {
    if (!this.body) this.build(state);
    this.message(state);
  }

  message(content) {
    const { version, data, grads, local, checks, problem, descents } = content;
    Object.assign(this, { data, grads, local, checks, descents });
    if (content.graph && version !== this.version) this.take(content.graph);
    this.version = version;
    this.root.dataset.version = String(version);
    const text = problem ? `${problem.text}${problem.place === null ? ""
      : ` The last good graph stays: ${this.graph.text}`}` : "";
    if (this.problem.textContent !== text) this.problem.textContent = text;
    this.showValues(content.values);
    this.tell();
  }

  take(graph) {
    const kept = this.graph ? this.position : Infinity;
    const atEnd = kept >= this.last;
    this.graph = graph;
    this.ops = graph.parents.map((above, k) => (above.length ? k : -1))
      .filter((k) => k >= 0);
    this.position = atEnd ? this.last : Math.min(kept, this.last);
    this.playing = false;
    this.frame.canvas.setAttribute("aria-label",
      `Computation graph of ${graph.text}: ${graph.names.length} nodes`);
    this.body.replaceChildren();
    this.rows.clear();
    graph.variables.forEach((name, k) => { if (name) this.addLeaf(name, k); });
    const labels = Math.max(...[...this.rows.values()].map(({ index }) =>
      graph.names[index].length), 0);
    this.body.dataset.longest = String(labels);
  }

  addLeaf(name, index) {
    const id = uniqueId("leaf");
    const far = this.graph.limits[name];
    const input = element("input", { type: "range", id, min: String(-far),
      max: String(far), step: String(far / 500), "data-leaf": name,
      "aria-label": `value of ${name}` });
    input.addEventListener("input", () => this.move(name, Number(input.value)));
    const hold = element("input", { type: "checkbox", "data-hold": name,
      "aria-label": `hold ${name} in gradient descent` });
    hold.addEventListener("change", () => {
      const held = new Set(this.values.held);
      if (hold.checked) held.add(name);
      else held.delete(name);
      this.values.held = [...held];
      this.link.set("held", this.values.held);
    });
    const cells = ["value", "gradient", "check"].map((part) =>
      element("td", { "data-part": part }));
    this.body.append(element("tr", {}, element("th", { scope: "row" },
      element("label", { for: id, title: name }, name)), element("td", {}, input),
    ...cells, element("td", {}, hold)));
    this.rows.set(name, { index, input, hold, cells });
  }

  move(name, value) {
    this.values.leaves = { ...this.values.leaves, [name]: value };
    this.rows.get(name).cells[0].textContent = short(value);
    this.link.set("leaves", this.values.leaves);
  }

  showLeaves() {
    const moving = this.link.asked.has("leaves");
    const known = this.gradients();
    for (const [name, { index, input, hold, cells }] of this.rows) {
      if (!moving) {
        input.value = String(this.data[index]);
        cells[0].textContent = short(this.data[index]);
        input.setAttribute("aria-valuetext", short(this.data[index]));
      }
      cells[1].textContent = known.done[index] ? fixed(this.grads[index]) : "…";
      cells[2].textContent = known.done[index] ? fixed(this.checks[name]) : "…";
      if (!this.link.asked.has("held")) {
        hold.checked = (this.values.held || []).includes(name);
      }
    }
    const L = this.graph.names[this.graph.names.length - 1];
    const steps = this.descents.length - 1;
    this.story.textContent = steps < 1 ? `${L} = ${short(this.data[this.data.length - 1])}`
      : `${L} after ${steps} ${steps === 1 ? "step" : "steps"}: ` +
        `${steps > 3 ? "… → " : ""}${this.descents.slice(-4).map(short).join(" → ")}`;
  }

  // ---- steps: operations forward, the seed, operations backward --------------------

  get tallness() { return Math.max(2.5, this.graph.rows) * ROW + 22; }

  get last() {
    return this.ops ? 2 * this.ops.length + 1 : 0;
  }

  // {phase, node} of a position: 0 is the start, F operations, the seed, F again.
  at(position) {
    const F = this.ops.length;
    if (position === 0) return { phase: "start", node: -1 };
    if (position <= F) return { phase: "forward", node: this.ops[position - 1] };
    if (position === F + 1) return { phase: "seed", node: this.data.length - 1 };
    return { phase: "backward", node: this.ops[2 * F + 1 - position] };
  }

  // The gradients as far as they are known at this position: parts, sums, whether done.
  gradients(position = this.position) {
    const n = this.data.length;
    const parts = Array.from({ length: n }, () => []);
    const waits = new Array(n).fill(0);
    this.graph.parents.forEach((above) => above.forEach((p) => { waits[p] += 1; }));
    const F = this.ops.length;
    if (position > F) parts[n - 1].push(1);
    for (let p = F + 2; p <= position; p += 1) {
      const { node } = this.at(p);
      this.graph.parents[node].forEach((parent, slot) => {
        parts[parent].push(this.local[node][slot] * this.grads[node]);
        waits[parent] -= 1;
      });
    }
    const sums = parts.map((list) => list.reduce((sum, x) => sum + x, 0));
    const done = parts.map((list, k) => list.length > 0 && waits[k] === 0);
    return { parts, sums, done };
  }

  computed(k) {
    return !this.graph.parents[k].length || this.ops.indexOf(k) < this.position;
  }

  listen() {
    const { canvas } = this.frame;
    const under = (event) => {
      const box = canvas.getBoundingClientRect();
      const grow = this.shrink * (box.width / (this.frame.width || box.width));
      const [x, y] = [(event.clientX - box.left) / grow, (event.clientY - box.top) / grow];
      return (this.boxes || []).findIndex((b) => Math.abs(x - b.x) <= b.w / 2 &&
        Math.abs(y - b.y) <= b.h / 2);
    };
    canvas.addEventListener("pointermove", (event) => {
      this.pointed = under(event);
      canvas.style.cursor = this.graph?.parents[this.pointed]?.length ? "pointer" : "";
      this.tellHover();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointed = -1;
      this.tellHover();
    });
    canvas.addEventListener("click", (event) => {
      const order = this.ops.indexOf(under(event));
      if (order < 0) return;
      const F = this.ops.length;
      this.seek(this.position > F ? 2 * F + 1 - order : order + 1);
    });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (move) this.seek(this.position + move);
      else if (event.key === "Home") this.seek(0);
      else if (event.key === "End") this.seek(this.last);
      else return;
      event.preventDefault();
    });
  }

  // ---- words -----------------------------------------------------------------------

  forwardLines(k) {
    const { names, operations, parents } = this.graph;
    const out = names[k];
    const form = written(operations[k], parents[k].map((p) => names[p]), out);
    const put = written(operations[k], parents[k].map((p) => factor(this.data[p])), out);
    const lines = [`Forward: ${out} = ${form.body} = ${put.body} = ${short(this.data[k])}`];
    const seen = parents[k].map((p, slot) => `∂${out}/∂${names[p]} = ` +
      `${same(form.local[slot], this.local[k][slot])}`);
    return [...lines, `Local derivatives: ${seen.join(",   ")}`];
  }

  backwardLines(k) {
    const { names, operations, parents } = this.graph;
    const L = names[names.length - 1];
    const out = names[k];
    const form = written(operations[k], parents[k].map((p) => names[p]), out);
    const after = this.gradients();
    const lines = [`Backward through ${out} = ${form.body}, where ∂${L}/∂${out} = ` +
      short(this.grads[k])];
    parents[k].forEach((p, slot) => {
      if (!this.graph.variables[p] && !parents[p].length) return; // a constant
      const part = this.local[k][slot] * this.grads[k];
      const parts = after.parts[p];
      const first = parts.length === 1;
      let text = `∂${L}/∂${names[p]} ${first ? "=" : "gets +"} ∂${L}/∂${out} · ` +
        `∂${out}/∂${names[p]} = ${symbolic(this.grads[k], form.local[slot])}` +
        `${factor(this.grads[k])} · ${factor(this.local[k][slot])} = ${short(part)}`;
      const final = slot === parents[k].lastIndexOf(p);
      if (!first && final) {
        text += `;  sum: ${parts.map(factor).join(" + ")} = ${short(after.sums[p])}`;
      }
      if (!after.done[p] && final) text += "  (more to come)";
      lines.push(text);
    });
    return lines;
  }

  tell() {
    this.showLeaves();
    const { phase, node } = this.at(this.position);
    const { names } = this.graph;
    const L = names[names.length - 1];
    let lines;
    if (phase === "start") {
      lines = ["The variables have their values. Step: forward through the operations, " +
        "then backward."];
    } else if (phase === "seed") {
      lines = [`${L} = ${short(this.data[node])}. Backward begins here: ∂${L}/∂${L} = 1`];
    } else lines = phase === "forward" ? this.forwardLines(node) : this.backwardLines(node);
    const text = lines.join("\n");
    if (this.told !== text) {
      this.told = text;
      this.lines.replaceChildren(...lines.map((line) => element("div", {}, line)));
    }
    this.status(`Step ${this.position} of ${this.last}. ${lines[0]}`, !this.playing);
    this.tellHover();
  }

  tellHover() {
    const k = this.pointed ?? -1;
    let text = "Click on a node to go to its step.";
    if (k >= 0 && k < this.data.length) {
      const { names, parents, variables } = this.graph;
      const known = this.gradients();
      const kind = parents[k].length ? "node" : variables[k] ? "variable" : "constant";
      text = `${kind} ${names[k]}: value ${this.computed(k) ? this.data[k].toPrecision(7)
        : "not yet computed"}, gradient ${known.parts[k].length
        ? known.sums[k].toPrecision(7) : "not yet known"}`;
    }
    if (this.hover.textContent !== text) this.hover.textContent = text;
  }

  // ---- drawing ---------------------------------------------------------------------

  draw(now) {
    if (!this.graph) return;
    this.advance(now);
    this.transport.show(this.position, this.last, this.playing);
    const { phase, node } = this.at(this.position);
    const { dataset } = this.root;
    dataset.position = String(this.position);
    dataset.playing = String(this.playing);
    dataset.phase = phase;
    dataset.node = String(node);
    dataset.result = String(this.data[this.data.length - 1]);
    this.drawGraph(phase, node);
  }
}

// Six digits, so that two gradients can be compared.
function fixed(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size && (size < 1e-4 || size >= 1e6)) return short(value);
  return value.toFixed(size < 10 ? 5 : size < 1000 ? 3 : 0).replace("-", "−");
}

// "2 · b = ", or nothing where the local derivative is a plain number.
function symbolic(gradient, local) {
  return /^−?[0-9.]+$/.test(local) ? "" : `${factor(gradient)} · ` +
    `${/ [-−+/i] /.test(local) ? `(${local})` : local} = `;
}

// "b = −1", but not "1 = 1".
function same(symbols, value) {
  const number = short(value);
  return symbols === number ? number : `${symbols} = ${number}`;
}

export default { render: (context) => mount(context, GraphView) };
