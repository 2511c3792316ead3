// The curves of the threshold widget: ROC, precision and recall, calibration and cost,
// with the threshold's place on each, and the line of text under the pointer.
import { element } from "./core.js";
import { short } from "./ui.js";
import { mark, polyline } from "./plot.js";
import { amount, rounded } from "./threshold_scores.js";
import { NEGATIVE, POSITIVE, THERE, ThresholdPictures } from "./threshold_pictures.js";

const CHEAPEST = { light: "#007a55", dark: "#3fd3a3", dash: [], mark: "up" };
const QUIET = { light: "#8a8a8a", dark: "#9a9a9a", dash: [4, 4], mark: "circle" };

export class ThresholdCurves extends ThresholdPictures {
  grid(frame, nameX, nameY, draw) {
    frame.range = [0, 1, 0, 1];
    const pen = frame.begin(this.theme);
    if (!pen) return;
    frame.clip(() => draw(pen));
    frame.axes(nameX, nameY);
  }

  title(frame, name, text) {
    const key = `${name}|${text}`;
    if (frame.told === key) return;
    frame.told = key;
    frame.title.replaceChildren(element("b", {}, name), text);
  }

  drawCurves(k) {
    const { roc, recall, theme, curves, scores, numbers } = this;
    const [auc, average] = this.keep("areas", [this.weighting], () =>
      scores.areas(curves));
    Object.assign(numbers, { auc, average_precision: average });
    const best = scores.cheapest(this.values.cost);
    const place = scores.rates(best);
    this.grid(roc, "false positive rate", "recall", (pen) => {
      polyline(pen, QUIET, theme, 2, (i) => [roc.px(i), roc.py(i)], 1);
      polyline(pen, NEGATIVE, theme, curves.length, (i) =>
        [roc.px(curves[i][1]), roc.py(curves[i][2])]);
      mark(pen, CHEAPEST, theme, ...roc.hold(roc.px(place.false_positive_rate),
        roc.py(place.recall)).slice(0, 2), 5);
      mark(pen, THERE, theme, ...roc.hold(roc.px(numbers.false_positive_rate),
        roc.py(numbers.recall)).slice(0, 2), 6);
    });
    const spread = (name) => (this.intervals[name]
      ? ` (${this.between(this.intervals[name])})` : "");
    this.title(roc, "ROC", `area ${auc.toFixed(3)}${spread("auc")}`);
    this.grid(recall, "recall", "precision", (pen) => {
      polyline(pen, QUIET, theme, 2, (i) => [recall.px(i), recall.py(scores.share)], 1);
      const steps = curves.length - 1; // precision is that of the right end of each step
      polyline(pen, NEGATIVE, theme, 2 * steps, (i) => {
        const step = 1 + (i >> 1);
        return [recall.px(curves[step - 1 + (i % 2)][2]), recall.py(curves[step][3])];
      });
      mark(pen, CHEAPEST, theme, ...recall.hold(recall.px(place.recall),
        recall.py(place.precision)).slice(0, 2), 5);
      mark(pen, THERE, theme, ...recall.hold(recall.px(numbers.recall),
        recall.py(numbers.precision)).slice(0, 2), 6);
    });
    this.title(recall, "Precision and recall",
      `average ${average.toFixed(3)}${spread("average_precision")}`);
    this.drawn = { k, best };
  }

  drawReliable() {
    const { reliable, theme, scores } = this;
    if (!scores.probable) return;
    const { bins, calibration_of: of } = this.values;
    const found = this.keep("reliability", [this.weighting, bins, of], () =>
      scores.reliability(bins, of));
    Object.assign(this.numbers, { brier: found.brier, calibration_error: found.error });
    const full = found.rows.filter(([, , count]) => count);
    const names = of === "answer" ? ["predicted probability", "share that is right"]
      : ["predicted probability", `share of ${this.names[1]}`];
    this.grid(reliable, ...names, (pen) => {
      const most = Math.max(...full.map(([, , count]) => count));
      pen.fillStyle = theme.faint;
      found.rows.forEach(([, , count], bin) => {
        const high = 0.25 * (count / most) * (reliable.bottom - reliable.top);
        pen.fillRect(reliable.px(bin / bins) + 1, reliable.bottom - high,
          reliable.px(1 / bins) - reliable.px(0) - 2, high);
      });
      polyline(pen, QUIET, theme, 2, (i) => [reliable.px(i), reliable.py(i)], 1);
      polyline(pen, NEGATIVE, theme, full.length, (i) =>
        [reliable.px(full[i][0]), reliable.py(full[i][1])]);
      for (const [sure, right] of full) {
        mark(pen, NEGATIVE, theme, ...reliable.hold(reliable.px(sure),
          reliable.py(right), 5).slice(0, 2), 4);
      }
    });
    this.title(reliable, "Calibration",
      `Brier ${found.brier.toFixed(3)}, expected error ${found.error.toFixed(3)}`);
  }

  drawPrice(k) {
    const { price, theme, scores } = this;
    const { cost } = this.values;
    const points = this.keep("costs", [this.weighting, cost], () =>
      scores.ends.map((end) => [scores.threshold(end), scores.cost(end, cost)]));
    const [left, right] = this.extent;
    const top = points.reduce((most, [, c]) => Math.max(most, c), 0);
    price.range = [left, right, 0, 1.08 * top || 1];
    const pen = price.begin(theme);
    if (!pen) return;
    const [best, here] = [scores.cheapest(cost), scores.cost(k, cost)];
    const least = scores.cost(best, cost);
    this.numbers.cost = here;
    price.clip(() => {
      polyline(pen, NEGATIVE, theme, scores.ends.length, (i) =>
        [price.px(this.toAxis(points[i][0])), price.py(points[i][1])]);
      const at = price.px(this.toAxis(this.values.threshold));
      polyline(pen, { ...THERE, dash: [3, 3] }, theme, 2, (i) =>
        [at, i ? price.top : price.bottom], 1);
      mark(pen, CHEAPEST, theme, ...price.hold(price.px(this.toAxis(
        scores.threshold(best))), price.py(least)).slice(0, 2), 5);
      mark(pen, THERE, theme, ...price.hold(at, price.py(here)).slice(0, 2), 6);
    });
    price.axes("threshold", "cost of one example");
    this.title(price, "Cost", `${short(here)} here; ▲ lowest ${short(least)} at `
      + `${short(scores.threshold(best))}`);
    const note = `${amount(scores.cells(k)[2])} missed × ${short(cost)} + `
      + `${amount(scores.cells(k)[1])} false alarms × 1 = ${short(here * scores.N)}`;
    if (this.costNote.textContent !== note) this.costNote.textContent = note;
    const share = `${(100 * scores.share).toFixed(1)} % ${this.names[1]}: precision `
      + `${rounded(this.numbers.precision)}, recall ${this.numbers.recall.toFixed(3)}.`;
    if (this.shareNote.textContent !== share) this.shareNote.textContent = share;
  }

  drawReadout(k) {
    const { scores, pointer } = this;
    let text = "Drag on any picture. The strong lines under the bars are mistakes.";
    const i = this.shown;
    if (i !== null) {
      const label = scores.truth[i];
      const said = i < k ? 1 : 0;
      const verdict = said === label ? "right" : said ? "a false alarm" : "missed";
      text = `Example #${scores.order[i]}: is ${this.names[label]}, score `
        + `${short(scores.score[i])}: ${verdict}`;
    } else if (pointer?.at) text = this.under(pointer.frame, pointer.at);
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  under(frame, [x, y]) {
    const { scores } = this;
    const at = (k) => {
      const { recall, precision, false_positive_rate: alarms } = scores.rates(k);
      return `Threshold ${short(scores.threshold(k))}: recall ${recall.toFixed(3)}, `
        + `precision ${rounded(precision)}, false positive rate ${alarms.toFixed(3)}`;
    };
    if (frame === this.roc) return at(this.nearest([x, y], 1, 2));
    if (frame === this.recall) return at(this.nearest([x, y], 2, 3));
    if (frame === this.reliable) {
      const { bins } = this.values;
      const bin = Math.min(bins - 1, Math.floor(x * bins));
      const [sure, right, count] = this.cache.reliability.value.rows[bin];
      return `${short(bin / bins)} to ${short((bin + 1) / bins)}: ${count} examples, `
        + (count ? `predicted ${sure.toFixed(3)}, found ${right.toFixed(3)}` : "none");
    }
    const t = this.fromAxis(x);
    const k = scores.above(t);
    if (frame === this.price) {
      return `Threshold ${short(t)}: cost of one example `
        + `${short(scores.cost(k, this.values.cost))}`;
    }
    return `Score ${short(t)}: ${k} examples at or above it, ${scores.N - k} below`;
  }

  pictured() {
    return [{ label: this.names[0], style: NEGATIVE },
      { label: this.names[1], style: POSITIVE }, { label: "threshold", style: THERE },
      { label: "lowest cost", style: CHEAPEST }];
  }
}
