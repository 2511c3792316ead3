// One threshold over the scores of a classifier: the page, the hands on it, and what
// comes from the kernel. The sorted scores come once; the rest is computed here.
import { element, mount } from "./core.js";
import { button, short } from "./ui.js";
import { Frame } from "./plot.js";
import { RATES, Scores, amount } from "./threshold_scores.js";
import { ThresholdCurves } from "./threshold_curves.js";
import { WRONG } from "./threshold_pictures.js";

const SWEEP = 8; // seconds for the whole axis

class ThresholdView extends ThresholdCurves {
  constructor(root, link) {
    super(root, link);
    this.hist = new Frame("Scores of both classes, with the threshold", 300);
    this.hist.marksY = (y0, y1) =>
      Frame.prototype.marksY.call(this.hist, y0, y1).filter(([y]) => y >= 0);
    this.roc = new Frame("ROC curve: recall against false positive rate");
    this.recall = new Frame("Precision against recall");
    this.reliable = new Frame("Reliability diagram: found against predicted share");
    this.price = new Frame("Cost of one example against the threshold");
    for (const frame of this.small) frame.square = true;
    this.intervals = {};
    this.cache = {};
    this.playing = false;
    this.hovered = null; // an example under the pointer
    this.listen();
  }

  get small() {
    return [this.roc, this.recall, this.reliable, this.price];
  }

  get pictures() {
    return [this.hist, ...this.small].filter((frame) => frame.node.offsetParent);
  }

  // ---- the page ----------------------------------------------------------------------

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name, change) => this.addControl(spec.get(name), change);
    const ask = (name) => (value) => {
      this.link.set(name, value);
      this.tell();
    };
    this.playButton = button("▶ Sweep", "Move the threshold over the axis (space)", () =>
      (this.playing ? this.pause() : this.play()), { class: "lm-play" });
    this.readout = element("div", { class: "lm-readout" });
    this.buildTables();
    const chart = (frame) => {
      frame.title = element("div", { class: "lm-thr-title" });
      return element("div", {}, frame.title, frame.node);
    };
    this.charts = this.small.map(chart);
    this.costNote = element("div", { class: "lm-thr-note" });
    const box = (legend, ...nodes) =>
      element("fieldset", {}, element("legend", {}, legend), ...nodes);
    this.root.append(
      element("div", { class: "lm-pair" },
        element("div", { class: "lm-right" }, this.legend, this.hist.node, this.readout,
          add("threshold", (value) => this.move(value, false)),
          element("div", { class: "lm-row" }, this.playButton,
            button("Next example", "To the next threshold that changes something (→)",
              () => this.hop(1)),
            button("Reset", "Back to the first threshold", () =>
              this.move(this.first)),
            add("stretch", ask("stretch")))),
        element("div", {}, this.matrix, this.rates)),
      this.statusLine, this.errorBox,
      element("div", { class: "lm-thr-charts" }, ...this.charts),
      element("div", { class: "lm-thr-knobs" },
        box("What mistakes cost", add("cost", ask("cost")), this.costNote,
          button("Go to the cheapest", "Move the threshold to the lowest cost", () =>
            this.move(this.scores.threshold(this.scores.cheapest(this.values.cost))))),
        box(`How many are ${state.names[1]}`, add("other_share", ask("other_share")),
          add("prevalence", (value) => {
            this.values.other_share = true;
            this.controls.get("other_share").show(true);
            ask("prevalence")(value);
          }), this.shareNote = element("div", { class: "lm-thr-note" })),
        box("Calibration", add("bins", ask("bins")),
          add("calibration_of", ask("calibration_of")),
          button("Save picture", "Save all pictures as one PNG", () =>
            this.save("threshold", ...this.pictures.map((f) => f.canvas)),
          { class: "lm-save" })),
        box("Mistakes with the highest certainty", this.wrong)));
    if (!state.probable) {
      this.charts[2].hidden = true;
      for (const name of ["stretch", "bins", "calibration_of"]) {
        this.controls.get(name).node.hidden = true;
      }
    }
  }

  buildTables() {
    const cell = (tag, ...text) => element(tag, {}, ...text);
    const [no, yes] = this.names;
    this.keys = [element("span", { class: "lm-thr-key" }),
      element("span", { class: "lm-thr-key" })];
    this.counts = [element("span"), element("span")];
    this.legend = element("div", { class: "lm-thr-legend" },
      cell("span", this.keys[0], this.counts[0]),
      cell("span", this.keys[1], this.counts[1]));
    const words = ["true negatives, TN", "false alarms, FP", "missed, FN",
      "found, TP"];
    this.cells = words.map((word) => {
      const [count, part] = [element("span", { class: "lm-thr-count" }), element("span")];
      return { node: element("td", {}, count, word, element("br"), part), count, part };
    });
    const [tn, fp, fn, tp] = this.cells.map(({ node }) => node);
    this.matrix = element("table", { class: "lm-thr-matrix" },
      element("thead", {}, element("tr", {}, cell("th"), cell("th", `said ${no}`),
        cell("th", `said ${yes}`))),
      element("tbody", {}, element("tr", {}, cell("th", `is ${no}`), tn, fp),
        element("tr", {}, cell("th", `is ${yes}`), fn, tp)));
    this.rows = new Map();
    const body = RATES.map(([name, label, formula]) => {
      const row = { numbers: element("span"), between: element("td"),
        value: element("td", { class: "lm-thr-value", "data-rate": name }) };
      this.rows.set(name, row);
      return element("tr", {}, cell("th", label), element("td", {},
        element("span", { class: "lm-thr-formula" }, formula), row.numbers), row.value,
      row.between);
    });
    this.rates = element("table", { class: "lm-thr-rates" },
      element("thead", {}, element("tr", {}, cell("th"), cell("th", "formula, numbers"),
        cell("th", "value"), cell("th", "95 % interval"))),
      element("tbody", {}, ...body));
    this.mistakes = [...Array(WRONG)].map(() => [cell("td"), cell("td"), cell("td")]);
    this.wrong = element("table", { class: "lm-thr-wrong" },
      element("thead", {}, element("tr", {}, cell("th", "example"), cell("th", "score"),
        cell("th", "mistake"))),
      element("tbody", {}, ...this.mistakes.map((cells, i) => element("tr", {
        onpointerenter: () => this.point(this.mistaken?.[i] ?? null),
        onpointerleave: () => this.point(null) }, ...cells))));
  }

  point(example) {
    this.hovered = example;
    this.link.invalidate();
  }

  // ---- data from the kernel ------------------------------------------------------------

  snapshot(state) {
    this.names = state.names;
    if (!this.scores) this.build(state);
    this.scores = new Scores(state);
    this.first = state.first;
    this.cache = {};
    this.message(state);
  }

  message({ values, intervals }) {
    this.showValues(values);
    const names = ["threshold", "other_share", "prevalence"];
    if (names.every((n) => values[n] === this.values[n])) this.intervals = intervals;
    this.tell();
  }

  value(name, value) {
    if (name === "threshold" && this.playing) return;
    super.value(name, value);
  }

  // ---- hands -----------------------------------------------------------------------------

  move(threshold, show = true) {
    this.pause();
    this.put(threshold, show);
    this.tell();
  }

  put(threshold, show = true) {
    const { low, high } = this.scores;
    const t = Math.min(high, Math.max(low, threshold));
    if (show && t === this.values.threshold) return;
    this.values.threshold = t;
    if (show) this.controls.get("threshold").show(t);
    this.intervals = { auc: this.intervals.auc,
      average_precision: this.intervals.average_precision };
    this.link.set("threshold", t);
    this.link.invalidate();
  }

  // To the next threshold, up or down, at which an example changes sides.
  hop(way) {
    const { scores } = this;
    const k = scores.above(this.values.threshold);
    const at = scores.ends.findIndex((end) => end >= k);
    const next = scores.ends[Math.min(scores.ends.length - 1, Math.max(0, at - way))];
    this.move(scores.threshold(next));
  }

  play() {
    this.playing = true;
    this.clock = null;
    const [left, right] = this.extent;
    const at = this.toAxis(this.values.threshold);
    if (at >= right - 0.01 * (right - left)) this.put(this.fromAxis(left));
    this.showPlaying();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.showPlaying();
    this.tell();
  }

  showPlaying() {
    this.playButton.textContent = this.playing ? "‖ Pause" : "▶ Sweep";
    this.playButton.setAttribute("aria-pressed", String(this.playing));
    this.link.invalidate();
  }

  advance(now) {
    if (!this.playing) return;
    const [left, right] = this.extent;
    const at = this.toAxis(this.values.threshold);
    if (this.clock !== null) {
      const to = at + ((now - this.clock) / 1000 / SWEEP) * (right - left);
      this.put(to >= right ? this.scores.high : this.fromAxis(to));
      if (to >= right) this.pause();
    }
    this.clock = now;
    this.tell(false);
    this.link.invalidate();
  }

  ended() {
    super.ended();
    this.playButton.disabled = true;
  }

  listen() {
    const grab = (frame, act) => {
      const { canvas } = frame;
      canvas.addEventListener("pointerdown", (event) => {
        const at = event.button === 0 && frame.under(event);
        if (!at) return;
        canvas.setPointerCapture(event.pointerId);
        act(at);
      });
      canvas.addEventListener("pointermove", (event) => {
        const held = event.buttons & 1 && canvas.hasPointerCapture(event.pointerId);
        if (held) act(frame.under(event, true));
        this.pointer = { frame, at: frame.under(event) };
        this.link.invalidate();
      });
      canvas.addEventListener("pointerleave", () => {
        this.pointer = null;
        this.link.invalidate();
      });
      canvas.addEventListener("keydown", (event) => {
        const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (!way) return;
        event.preventDefault();
        this.hop(way);
      });
    };
    grab(this.hist, ([x]) => this.move(this.fromAxis(x)));
    grab(this.price, ([x]) => this.move(this.fromAxis(x)));
    grab(this.roc, (at) => this.move(this.scores.threshold(this.nearest(at, 1, 2))));
    grab(this.recall, (at) => this.move(this.scores.threshold(this.nearest(at, 2, 3))));
    grab(this.reliable, () => {});
  }

  // The k whose point lies nearest, by two columns of the curves' points.
  nearest([x, y], column, row) {
    let [best, least] = [0, Infinity];
    for (const point of this.curves) {
      const far = (point[column] - x) ** 2 + (point[row] - y) ** 2;
      if (far < least && point[0] >= this.scores.ends[0]) {
        [best, least] = [point[0], far];
      }
    }
    return best;
  }

  tell(calm = true) {
    if (!this.scores) return;
    this.scores.weigh(this.weighting);
    const { scores, names, values } = this;
    const [, fp, fn, tp] = scores.cells(scores.above(values.threshold));
    const text = `Threshold ${short(values.threshold)}: ${amount(tp)} ${names[1]} found, `
      + `${amount(fn)} missed, ${amount(fp)} false alarms.`;
    if (text === this.told && calm) return; // what else stands there is newer
    this.told = text;
    this.status(text, calm);
  }
}

export default { render: (context) => mount(context, ThresholdView) };
