// The legend of a race, for all widgets in which optimizers run side by side.
import { element } from "./core.js";
import { swatch } from "./plot.js";

// The legend is also the table of values: one toggle a racer, its rate and its loss.
export class Legend {
  constructor(toggle, columns = ["Optimizer", "Rate", "Loss now"]) {
    this.toggle = toggle;
    this.rows = new Map();
    this.body = element("tbody");
    this.node = element("table", { class: "lm-legend" },
      element("thead", {}, element("tr", {},
        ...columns.map((name) =>
          element("th", { scope: "col" }, name)))),
      this.body);
  }

  build(racers) {
    if (this.rows.size) return;
    for (const { name, label, style } of racers) {
      const canvas = element("canvas", { class: "lm-swatch" });
      const chip = element("button", { type: "button", class: "lm-chip",
        "aria-pressed": "false", "data-racer": name,
        title: `Let ${label} race, or not`, onclick: () => this.toggle(name) },
      canvas, label);
      const rate = element("td", { class: "lm-number" });
      const loss = element("td", { class: "lm-number" });
      this.body.append(element("tr", {}, element("th", { scope: "row" }, chip), rate,
        loss));
      this.rows.set(name, { label, canvas, chip, rate, loss, style });
    }
  }

  paint(theme) {
    for (const { canvas, style } of this.rows.values()) {
      const ratio = window.devicePixelRatio || 1;
      canvas.width = 30 * ratio;
      canvas.height = 14 * ratio;
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      swatch(pen, style, theme, 0, 7);
    }
  }

  show(name, on, rate, text) {
    const row = this.rows.get(name);
    const pressed = String(on);
    if (row.chip.getAttribute("aria-pressed") !== pressed) {
      row.chip.setAttribute("aria-pressed", pressed);
    }
    if (row.rate.textContent !== rate) row.rate.textContent = rate;
    if (row.loss.textContent !== text) row.loss.textContent = text;
  }
}
