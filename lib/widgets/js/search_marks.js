// What the search widget knows of its trials at one moment, and how a trial is marked:
// the shape and the ring say who tried it, the filling how good it is.
import { short } from "./ui.js";
import { cross, mark } from "./plot.js";
import { colour } from "./heat.js";

export const SIDE_STYLES = {
  first: { light: "#c14f00", dark: "#ff9a5c", dash: [], mark: "circle" },
  second: { light: "#7b3294", dark: "#cf9fe8", dash: [7, 3], mark: "square" },
  hand: { light: "#00805c", dark: "#3fd6a5", dash: [2, 3], mark: "diamond" },
};
const WORDS = { waiting: "waits", running: "trains", stopped: "given up", done: "done",
  diverged: "diverged" };

// Every trial as it was at a time: {side, rate, other, state, epochs, curve, loss, ...}.
// rows are [side, rate, other, born], events as in lib/search_lab.py.
export function trialsAt(rows, events, time, keys, states) {
  const trials = rows.map(([side, rate, other, born], number) => ({ number, side: keys[side],
    rate, other, state: "waiting", epochs: 0, curve: [], loss: NaN, right: NaN,
    train: NaN, known: born <= time + 1e-3 }));
  const costs = {};
  const best = Object.fromEntries(keys.map((key) => [key, []])); // [[spent, loss], ...]
  let newest = null;
  for (const [number, state, epochs, train, loss, right, spent, at] of events) {
    if (at > time + 1e-3) break;
    const trial = trials[number];
    Object.assign(trial, { state: states[state], known: true });
    costs[trial.side] = spent;
    newest = trial;
    if (trial.state === "diverged") {
      Object.assign(trial, { loss: NaN, right: NaN });
    } else if (epochs > trial.epochs) {
      Object.assign(trial, { epochs, train, loss, right });
      trial.curve.push([epochs, loss]);
      const line = best[trial.side];
      const low = line.length ? line[line.length - 1][1] : Infinity;
      line.push([spent, Math.min(low, loss)]);
    }
  }
  for (const trial of trials) if (trial.state === "running") trial.state = "waiting";
  if (newest && newest.state === "waiting") newest.state = "running";
  return { trials, costs, best, winners: winnersOf(trials) };
}

// The best trial of each side: the lowest validation loss after its last epoch.
function winnersOf(trials) {
  const winners = {};
  for (const trial of trials) {
    if (!Number.isFinite(trial.loss)) continue;
    const rival = winners[trial.side];
    if (!rival || trial.loss < rival.loss) winners[trial.side] = trial;
  }
  return winners;
}

// 0 for guessing and worse, 1 for the best loss there is.
export function shareOf(loss, [low, high]) {
  if (!Number.isFinite(loss)) return 0;
  const part = Math.log(high / Math.max(loss, 1e-9)) / Math.log(high / low);
  return Math.min(1, Math.max(0, part));
}

// Draw one trial: a small hollow mark while it waits for its first epoch.
export function drawTrial(pen, theme, trial, x, y, ends, size = 6) {
  const style = SIDE_STYLES[trial.side];
  const ring = theme.dark ? style.dark : style.light;
  if (trial.state === "diverged") {
    cross(pen, ring, theme, x, y, 5);
    return;
  }
  const scored = Number.isFinite(trial.loss);
  const radius = scored ? size * (trial.state === "stopped" ? 0.75 : 1) : size * 0.5;
  const paint = scored ? colour("amount", theme.dark, shareOf(trial.loss, ends))
    : theme.back;
  mark(pen, { ...style, light: ring, dark: ring }, theme, x, y, radius + 1.8);
  mark(pen, { ...style, light: paint, dark: paint }, { ...theme, back: ring }, x, y,
    radius);
  if (trial.state !== "running") return;
  circle(pen, x, y, radius + 6, theme.ink, 1.5, [3, 3]);
}

export function circle(pen, x, y, radius, paint, width, dash = []) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.setLineDash(dash);
  pen.lineWidth = width;
  pen.strokeStyle = paint;
  pen.stroke();
  pen.setLineDash([]);
}

// One trial in a line of words.
export function tell(trial, name, label) {
  const what = `${name}: learning rate ${short(trial.rate)}, ${label} `
    + `${short(trial.other)}: ${WORDS[trial.state]}`;
  if (!Number.isFinite(trial.loss)) return `${what}, no score`;
  return `${what} after ${trial.epochs} ${trial.epochs === 1 ? "epoch" : "epochs"}, `
    + `validation loss ${short(trial.loss)}, ${(100 * trial.right).toFixed(1)} % right`;
}

// The spot within reach of a point, or null; spots are {x, y, trial}.
export function nearest(spots, x, y, reach = 14) {
  let found = null;
  let far = reach;
  for (const spot of spots) {
    const d = Math.hypot(spot.x - x, spot.y - y);
    if (d <= far) [found, far] = [spot, d];
  }
  return found;
}

// How many different values of one kind the trials have, to six digits.
export function different(trials, key) {
  return new Set(trials.map((trial) => trial[key].toPrecision(6))).size;
}
