// What the search widget draws of one moment: the plane of two hyperparameters, the loss
// against the rate under it, the curves of all trials, and the best so far by its cost.
import { short } from "./ui.js";
import { TrainingView } from "./training.js";
import { Frame, cross, polyline } from "./plot.js";
import { colourBar } from "./heat.js";
import { SIDE_STYLES, circle, drawTrial } from "./search_marks.js";

export class SearchPictures extends TrainingView {
  constructor(root, link) {
    super(root, link);
    this.map = new Frame("Plane of hyperparameters. Arrow keys move the cross, Enter "
      + "trains a trial there, Page Up and Page Down go through the trials", 400);
    this.map.square = true;
    this.map.pad = { ...this.map.pad, bottom: 62 };
    this.chart = new Frame("Validation loss of every trial against its epochs", 400);
    this.chart.neighbour = this.map;
    this.profile = new Frame("Validation loss against learning rate", 250);
    this.race = new Frame("Lowest validation loss of any epoch so far against epochs spent", 250);
    for (const frame of [this.map, this.profile]) {
      frame.tickX = (x) => {
        if (!Number.isInteger(x)) return "";
        return Math.abs(x) > 3 ? `1e${x}`.replace("-", "−") : short(10 ** x);
      };
    }
    for (const frame of this.pictures) { // 10 and 1 beside 5 and 2, not 10¹ and 10⁰
      frame.marksY = (low, high) => Frame.prototype.marksY.call(frame, low, high)
        .filter(([y]) => !this.plane.whole || frame !== this.map || Number.isInteger(y))
        .map(([y, text]) => [y, y >= 1e-3 && y < 1e4 ? short(y) : text]);
    }
    this.chart.tickX = (x) => (Number.isInteger(x) ? short(x) : "");
    for (const frame of [this.chart, this.profile, this.race]) frame.log = true;
    this.spots = new Map(); // frame -> [{x, y, trial}]
    this.cursor = [0.5, 0.5]; // of the keyboard on the plane, from 0 to 1
  }

  get pictures() {
    return [this.map, this.chart, this.profile, this.race];
  }

  paint({ light, dark }) {
    return this.theme.dark ? dark : light;
  }

  // The losses that the colours and the upright axes reach: [best, guessing].
  ends() {
    const { chance } = this.plane;
    let low = chance / 8;
    for (const event of this.events) if (event[4] > 0) low = Math.min(low, event[4]);
    return [Math.max(low, 1e-4), chance];
  }

  measure() {
    const { rates, other, log } = this.plane;
    const [a, b] = rates.map(Math.log10);
    const air = 0.04 * (b - a);
    this.across = [a - air, b + air];
    const [c, d] = log ? other.map(Math.log10) : other;
    const room = 0.07 * (d - c);
    this.upright = [c - room, d + room].map((v) => (log ? 10 ** v : v));
    this.limits = this.ends();
    const [low, high] = this.limits;
    this.heights = [low * 0.8, high * 1.7];
  }

  drawPlane(moment) {
    const { map, theme } = this;
    map.log = this.plane.log;
    map.range = [...this.across, ...this.upright];
    const pen = map.begin(theme);
    if (!pen) return;
    const spots = moment.trials.filter((trial) => trial.known).map((trial) => ({ trial,
      x: map.px(Math.log10(trial.rate)), y: map.py(trial.other) }));
    this.spots.set(map, spots);
    map.clip(() => {
      this.drawSuggested(map);
      this.drawRug(pen, spots);
      this.drawCursor(pen);
      for (const { trial, x, y } of spots) {
        drawTrial(pen, theme, trial, x, y, this.limits);
      }
      this.drawRings(pen, map, moment, 11);
    });
    map.axes("learning rate", this.plane.label);
    const wide = Math.min(150, map.width - map.left - 190);
    colourBar(pen, theme, "amount", map.left + 118, map.tall - 15, wide, 10,
      `guessing, loss ${short(this.limits[1])}`, short(this.limits[0]));
  }

  // The values that were tried, as ticks at the edges: one row for each side.
  drawRug(pen, spots) {
    const { map } = this;
    const rows = ["first", "second", "hand"];
    pen.lineWidth = 2;
    for (const { trial, x, y } of spots) {
      const at = 9 * rows.indexOf(trial.side);
      pen.strokeStyle = this.paint(SIDE_STYLES[trial.side]);
      pen.beginPath();
      pen.moveTo(x, map.bottom - at - 1);
      pen.lineTo(x, map.bottom - at - 8);
      pen.moveTo(map.left + at + 1, y);
      pen.lineTo(map.left + at + 8, y);
      pen.stroke();
    }
  }

  drawCursor(pen) {
    const { map, theme } = this;
    if (document.activeElement !== map.canvas) return;
    const [x, y] = this.cursorPixels();
    pen.beginPath();
    pen.moveTo(x, map.top);
    pen.lineTo(x, map.bottom);
    pen.moveTo(map.left, y);
    pen.lineTo(map.right, y);
    pen.lineWidth = 1;
    pen.strokeStyle = theme.soft;
    pen.stroke();
  }

  cursorPixels() {
    const [rate, other] = this.valuesAt(...this.cursor);
    return [this.map.px(Math.log10(rate)), this.map.py(other)];
  }

  // A point of the plane, each from 0 to 1, as values of the two hyperparameters.
  valuesAt(u, v) {
    const { rates: [a, b], other: [c, d], log, whole } = this.plane;
    const hold = (part) => Math.min(1, Math.max(0, part));
    const between = (low, high, part, byRatio) => (byRatio
      ? low * (high / low) ** hold(part) : low + (high - low) * hold(part));
    const value = between(c, d, v, log);
    const fit = (x) => Number(x.toPrecision(4));
    return [Math.min(b, Math.max(a, fit(between(a, b, u, true)))),
      Math.min(d, Math.max(c, whole ? Math.round(value) : fit(value)))];
  }

  placeOf(rate, other) {
    const { rates: [a, b], other: [c, d], log } = this.plane;
    return [Math.log(rate / a) / Math.log(b / a),
      log ? Math.log(other / c) / Math.log(d / c) : (other - c) / (d - c)];
  }

  // A dashed line where a range test says that the rate should be.
  drawSuggested(frame) {
    const { pen } = frame;
    for (const [key, { rate }] of Object.entries(this.sides)) {
      const begun = this.moment.trials.some((t) => t.side === key && t.known);
      if (!rate || !begun) continue;
      const x = frame.px(Math.log10(rate));
      pen.beginPath();
      pen.moveTo(x, frame.top);
      pen.lineTo(x, frame.bottom);
      pen.setLineDash([5, 4]);
      pen.lineWidth = 1.5;
      pen.strokeStyle = this.paint(SIDE_STYLES[key]);
      pen.stroke();
      pen.setLineDash([]);
    }
  }

  // A ring round the best of each side, and round the trial that is looked at.
  drawRings(pen, frame, moment, radius) {
    const spots = this.spots.get(frame);
    const last = [...spots].reverse(); // of a curve its end
    for (const winner of Object.values(moment.winners)) {
      const spot = last.find(({ trial }) => trial === winner);
      if (spot) circle(pen, spot.x, spot.y, radius, this.theme.ink, 2);
    }
    const spot = last.find(({ trial }) => trial.number === this.looked);
    if (spot) circle(pen, spot.x, spot.y, radius + 3, this.paint(SIDE_STYLES.hand), 2.5);
  }

  drawChart(moment) {
    const { chart, theme } = this;
    const longest = Math.max(this.plane.epochs, ...this.events.map((event) => event[2]));
    chart.range = [0, longest * 1.04, ...this.heights];
    const pen = chart.begin(theme);
    if (!pen) return;
    const spots = [];
    this.spots.set(chart, spots);
    const best = new Set(Object.values(moment.winners));
    const order = moment.trials.filter((trial) => trial.known)
      .sort((a, b) => best.has(a) - best.has(b));
    chart.clip(() => {
      this.drawGuessing(chart);
      for (const trial of order) this.drawCurve(trial, best.has(trial), spots);
    });
    this.drawRings(pen, chart, moment, 8);
    chart.axes("epochs of the trial", "validation loss");
  }

  drawCurve(trial, best, spots) {
    const { chart, theme } = this;
    const { pen } = chart;
    const style = SIDE_STYLES[trial.side];
    const points = trial.curve.map(([epoch, loss]) => [chart.px(epoch),
      this.atHeight(chart, loss)]);
    const looked = trial.number === this.looked;
    const weak = trial.state === "stopped" && !looked;
    pen.globalAlpha = best || looked ? 1 : weak ? 0.45 : 0.7;
    polyline(pen, style, theme, points.length, (k) => points[k],
      best || looked ? 3 : 1.4);
    pen.globalAlpha = 1;
    for (const [x, y] of points) spots.push({ x, y, trial });
    const last = points[points.length - 1];
    if (trial.state === "diverged") {
      const [x, y] = [chart.px(trial.epochs + 0.5), chart.top + 8];
      cross(pen, this.paint(style), theme, x, y, 4);
      spots.push({ x, y, trial });
    } else if (last && trial.state === "stopped") {
      pen.fillStyle = this.paint(style);
      pen.fillRect(last[0] - 1, last[1] - 5, 2.5, 10);
    } else if (last) {
      drawTrial(pen, theme, trial, ...last, this.limits, 3.2);
    }
  }

  // The loss of a network that gives every class the same probability.
  drawGuessing(frame) {
    const { pen, theme } = frame;
    const y = Math.round(frame.py(this.plane.chance)) + 0.5;
    pen.beginPath();
    pen.moveTo(frame.left, y);
    pen.lineTo(frame.right, y);
    pen.setLineDash([2, 4]);
    pen.lineWidth = 1;
    pen.strokeStyle = theme.soft;
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = theme.soft;
    pen.textAlign = "right";
    pen.textBaseline = "bottom";
    pen.fillText("guessing", frame.right - 12, y - 1);
  }

  // Losses above the axis stand at its upper edge: they are all bad.
  atHeight(frame, loss) {
    return Math.max(frame.top + 3, frame.py(Math.max(loss, this.heights[0])));
  }

  drawProfile(moment) {
    const { profile, theme } = this;
    profile.range = [...this.across, ...this.heights];
    const pen = profile.begin(theme);
    if (!pen) return;
    const scored = moment.trials.filter((trial) => Number.isFinite(trial.loss)
      || trial.state === "diverged");
    const spots = scored.map((trial) => ({ trial,
      x: profile.px(Math.log10(trial.rate)), y: trial.state === "diverged"
        ? profile.top + 8 : this.atHeight(profile, trial.loss) }));
    this.spots.set(profile, spots);
    profile.clip(() => {
      this.drawGuessing(profile);
      this.drawSuggested(profile);
      this.drawSweeps(pen);
      for (const { trial, x, y } of spots) {
        drawTrial(pen, theme, trial, x, y, this.limits, 4);
      }
      this.drawRings(pen, profile, moment, 9);
    });
    profile.axes("learning rate", "validation loss");
  }

  // The range test: the smooth training loss while the rate rises.
  drawSweeps(pen) {
    const { profile } = this;
    ["first", "second"].forEach((key, number) => {
      const rows = this.sweeps.filter((row) => row[0] === number
        && row[4] <= this.shownStep + 1e-3);
      polyline(pen, { ...SIDE_STYLES[key], dash: [] }, this.theme, rows.length,
        (k) => [profile.px(Math.log10(rows[k][1])), this.atHeight(profile, rows[k][3])],
        2.2);
      if (!rows.length) return;
      const lines = ["line: training loss in the range test", "dashed: rate it suggests"];
      pen.textAlign = "left";
      pen.textBaseline = "alphabetic";
      lines.forEach((text, k) => {
        const y = profile.bottom - 26 + 16 * k - 40 * number;
        pen.fillStyle = this.theme.back; // legible on the lines
        pen.fillRect(profile.left + 6, y - 11, pen.measureText(text).width + 4, 15);
        pen.fillStyle = this.paint(SIDE_STYLES[key]);
        pen.fillText(text, profile.left + 8, y);
      });
    });
  }

  drawRace(moment) {
    const { race, theme } = this;
    const most = Math.max(this.plane.budget, ...Object.values(moment.costs));
    race.range = [0, most * 1.03, ...this.heights];
    const pen = race.begin(theme);
    if (!pen) return;
    race.clip(() => {
      this.drawGuessing(race);
      pen.fillStyle = theme.faint;
      pen.fillRect(race.px(this.plane.budget), race.top, 1.5, race.bottom - race.top);
      for (const key of Object.keys(this.sides)) {
        const line = moment.best[key].map(([cost, loss]) => [race.px(cost),
          this.atHeight(race, loss)]);
        const steps = line.flatMap(([x, y], k) => (k ? [[x, line[k - 1][1]], [x, y]]
          : [[x, y]]));
        const cost = moment.costs[key];
        if (line.length) steps.push([race.px(cost), line[line.length - 1][1]]);
        polyline(pen, SIDE_STYLES[key], theme, steps.length, (k) => steps[k], 2.4);
        const winner = moment.winners[key];
        if (winner && steps.length) {
          drawTrial(pen, theme, { ...winner, state: "done" }, ...steps[steps.length - 1],
            this.limits, 4);
        }
      }
    });
    race.axes("epochs spent by each", "lowest loss, any epoch");
  }
}
