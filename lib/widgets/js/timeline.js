// Published models on a line of years. All rows are here from the start: the page plays
// through the years, filters, fits the trend and shows the source of what is chosen.
import { element, mount } from "./core.js";
import { Transport, View, button, short } from "./ui.js";
import { Frame, mark, polyline } from "./plot.js";

const KINDS = ["language", "pictures", "sound"];
const UNITS = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];

// 175000000000 -> "175 billion"
function spoken(value) {
  const [size, word] = UNITS.find(([unit]) => value >= unit) || [1, ""];
  if (value >= 1e15) return short(value);
  const digits = String(Number((value / size).toPrecision(4)));
  return word ? `${digits} ${word}` : Math.round(value).toLocaleString("en");
}

class TimelineView extends View {
  constructor(root, link) {
    super(root, link);
    this.chart = new Frame("Published models: size against year; arrow keys choose one",
      420);
    this.chart.log = true;
    this.chart.tickX = String;
    this.chart.pad = { left: 58, right: 14, top: 12, bottom: 38 };
    this.transport = new Transport(this, [[2, "2 years a second"], [4, "4"], [8, "8"]],
      "year");
    this.details = element("div", { class: "lm-readout lm-wide lm-details" });
    this.year = null; // the last year shown; null: all
    this.playing = false;
    this.listen();
  }

  get pictures() {
    return [this.chart];
  }

  build(state) {
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => this.addControl(spec.get(name), (value) => {
      this.link.set(name, value);
      this.tell();
    });
    this.keys = KINDS.map((kind) => {
      const canvas = element("canvas", { class: "lm-swatch" });
      return [kind, canvas, element("span", { class: "lm-key" }, canvas, add(kind))];
    });
    this.root.append(
      element("div", { class: "lm-row" }, add("quantity"),
        ...this.keys.map(([, , node]) => node), add("trend"),
        button("Save picture", "Save the timeline as PNG", () =>
          this.save("timeline", this.chart.canvas))),
      this.chart.node, this.transport.node, this.details, this.statusLine,
      this.errorBox);
  }

  snapshot(state) {
    if (!this.rows) this.build(state);
    this.rows = state.rows;
    this.styles = state.styles;
    this.labels = state.labels;
    const years = this.rows.map((row) => row.year);
    [this.first, this.final] = [Math.min(...years), Math.max(...years)];
    this.showValues(state.values);
    this.tell();
  }

  message(content) {
    this.showValues(content.values);
    this.tell();
  }

  // ---- what is shown ---------------------------------------------------------------

  get shownYear() {
    return this.year === null ? this.final : Math.floor(this.year);
  }

  amount(row) {
    return { parameters: row.parameters, examples: row.tokens,
      compute: row.compute }[this.values.quantity];
  }

  get able() {
    return this.rows.filter((row) => this.values[row.kind] && this.amount(row) !== null);
  }

  get shown() {
    return this.able.filter((row) => row.year <= this.shownYear);
  }

  // The line of least squares through log10(amount): [rise a year, level at year 0].
  line() {
    const points = this.shown.map((row) => [row.year, Math.log10(this.amount(row))]);
    if (new Set(points.map(([x]) => x)).size < 3) return null;
    const mean = (k) => points.reduce((sum, p) => sum + p[k], 0) / points.length;
    const [mx, my] = [mean(0), mean(1)];
    let [top, bottom] = [0, 0];
    for (const [x, y] of points) {
      top += (x - mx) * (y - my);
      bottom += (x - mx) ** 2;
    }
    return [top / bottom, my - (top / bottom) * mx];
  }

  // ---- hands -------------------------------------------------------------------------

  play() {
    if (this.year === null || this.year >= this.final) this.year = this.first;
    this.playing = true;
    this.clock = null;
    this.link.invalidate();
  }

  pause() {
    this.playing = false;
    if (this.year !== null) this.year = Math.floor(this.year);
    this.tell();
    this.link.invalidate();
  }

  step() {
    this.seek(Math.min(this.final, (this.year === null ? this.first
      : this.shownYear + 1)) - this.first);
  }

  reset() {
    this.playing = false;
    this.year = null;
    this.tell();
    this.link.invalidate();
  }

  seek(position) {
    this.playing = false;
    this.year = this.first + position;
    this.tell();
    this.link.invalidate();
  }

  choose(row) {
    this.selected = row ? row.name : null;
    this.tell();
    this.link.invalidate();
  }

  listen() {
    const { canvas } = this.chart;
    canvas.addEventListener("pointermove", (event) => {
      const near = this.nearest(event);
      if (near && near.name !== this.selected) this.choose(near);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const rows = this.shown;
      if (!rows.length) return;
      const at = rows.findIndex((row) => row.name === this.selected);
      const next = at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step));
      this.choose(rows[next]);
    });
  }

  nearest(event) {
    const { chart } = this;
    if (!chart.width || !this.rows) return null;
    const box = chart.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    for (const row of this.shown) {
      const away = Math.hypot(chart.px(row.year) - x, chart.py(this.amount(row)) - y);
      if (away < 24 && (!best || away < best.away)) best = { row, away };
    }
    return best && best.row;
  }

  // ---- drawing -----------------------------------------------------------------------

  advance(now) {
    if (!this.playing) return;
    if (this.clock !== null) {
      this.year += ((now - this.clock) / 1000) * this.transport.perSecond;
    }
    this.clock = now;
    if (this.year >= this.final) {
      this.year = this.final;
      this.playing = false;
    }
    this.tell();
    this.link.invalidate();
  }

  draw(now) {
    if (!this.rows) return;
    this.advance(now);
    const last = this.final - this.first;
    const at = this.shownYear - this.first;
    this.transport.show(at, last, this.playing);
    this.transport.where.textContent = `up to ${this.shownYear}`;
    this.drawKeys();
    this.drawChart();
    this.root.dataset.position = String(at);
    this.root.dataset.playing = String(this.playing);
    this.root.dataset.shown = String(this.shown.length);
    this.root.dataset.selected = this.selected || "";
  }

  drawKeys() {
    if (this.painted === this.theme) return;
    this.painted = this.theme;
    const ratio = window.devicePixelRatio || 1;
    for (const [kind, canvas] of this.keys) {
      canvas.width = 30 * ratio;
      canvas.height = 14 * ratio;
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      mark(pen, this.styles[kind], this.theme, 15, 7, 4.6);
    }
  }

  drawChart() {
    const { chart, theme } = this;
    const amounts = this.able.map((row) => this.amount(row));
    const exponent = amounts.length ? amounts.map(Math.log10) : [0, 1];
    chart.range = [this.first - 1.5, this.final + 2.5,
      10 ** Math.floor(Math.min(...exponent) - 0.2),
      10 ** Math.ceil(Math.max(...exponent) + 0.2)];
    const pen = chart.begin(theme);
    if (!pen) return;
    const line = this.values.trend ? this.line() : null;
    chart.clip(() => {
      if (line) {
        const years = [this.first - 1, this.shownYear + 1];
        polyline(pen, { light: theme.soft, dark: theme.soft, dash: [6, 4] }, theme, 2,
          (k) => [chart.px(years[k]), chart.py(10 ** (line[1] + line[0] * years[k]))]);
      }
      for (const row of this.shown) {
        mark(pen, this.styles[row.kind], theme, chart.px(row.year),
          chart.py(this.amount(row)), row.name === this.selected ? 8 : 5);
      }
      this.drawNames(pen);
    });
    chart.axes("year", this.labels[this.values.quantity]);
    if (!this.able.length) {
      pen.fillStyle = theme.ink;
      pen.textAlign = "center";
      pen.fillText("No model of these kinds has a published number.",
        (chart.left + chart.right) / 2, (chart.top + chart.bottom) / 2);
    }
  }

  // Names beside their marks, the chosen one first, none on another name or mark.
  drawNames(pen) {
    const { chart, theme } = this;
    const places = new Map(this.shown.map((row) =>
      [row, [chart.px(row.year), chart.py(this.amount(row))]]));
    const around = ([x, y]) => [x - 6, y - 6, x + 6, y + 6];
    const meets = ([a, b, c, d], [e, f, g, h]) => a < g && c > e && b < h && d > f;
    const names = [];
    const rows = [...places.keys()].sort((a, b) => (b.name === this.selected)
      - (a.name === this.selected));
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (const row of rows) {
      const [x, y] = places.get(row);
      const wide = pen.measureText(row.name).width;
      const chosen = row.name === this.selected;
      const box = [x + 10, x - 10 - wide].map((left) => [left, y - 7, left + wide, y + 7])
        .find((at) => at[0] > chart.left && at[2] < chart.right
          && (chosen || (names.every((other) => !meets(at, other))
            && [...places].every(([other, spot]) => other === row
              || !meets(at, around(spot))))));
      if (!box) continue;
      names.push(box);
      pen.fillStyle = chosen ? theme.ink : theme.soft;
      pen.fillText(row.name, box[0], y);
    }
  }

  // ---- words -------------------------------------------------------------------------

  tell() {
    if (!this.rows) return;
    this.describeChosen();
    const line = this.values.trend ? this.line() : null;
    const count = this.shown.length;
    let text = `${count} ${count === 1 ? "model" : "models"} up to ${this.shownYear}.`;
    if (line) {
      const months = (12 * Math.log10(2)) / line[0];
      this.root.dataset.doubling = String(months);
      text += line[0] > 0 ? ` Doubled every ${short(months)} months.` : " It did not grow.";
    } else delete this.root.dataset.doubling;
    this.status(text, !this.playing);
  }

  describeChosen() {
    const row = this.rows.find(({ name }) => name === this.selected);
    const key = row ? row.name : "";
    if (this.described === key) return;
    this.described = key;
    if (!row) {
      this.details.replaceChildren("Point at a model, or choose one with the arrow keys:"
        + " its numbers and their source stand here.");
      return;
    }
    const parts = [`${spoken(row.parameters)} parameters`];
    if (row.active && row.active < row.parameters) {
      parts.push(`${spoken(row.active)} of them active for each token`);
    }
    if (row.examples) parts.push(`trained on ${spoken(row.examples)} ${row.unit}`);
    if (row.compute) {
      parts.push(`${short(row.compute)} FLOP${row.estimated ? ", estimated" : ""}`);
    }
    const source = element("a", { href: row.url, target: "_blank", rel: "noopener" },
      row.title);
    this.details.replaceChildren(element("b", {}, row.name),
      ` (${row.who}, ${row.year}): ${parts.join("; ")}. `, source, `, ${row.where}.`);
  }
}

export default { render: (context) => mount(context, TimelineView) };
