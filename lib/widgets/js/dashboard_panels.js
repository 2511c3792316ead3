// The panels of the training dashboard that show time: curves, and the spread of the
// weights. Each draws one Frame; those with answers are in dashboard_answers.js.
import { bitmap, colourBar } from "./heat.js";
import { Frame, mark, polyline } from "./plot.js";
import { short } from "./ui.js";

export const RUNS = {
  A: { light: "#0072b2", dark: "#4da3e0", dash: [], mark: "circle" },
  B: { light: "#d55e00", dark: "#ff9a5c", dash: [], mark: "square" },
};
export const DASHED = [6, 4];
const MOST = 500; // points of a curve, columns of a strip

export function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)} %`;
}

export function fit(pen, text, width) {
  let cut = text;
  while (cut.length > 1 && pen.measureText(cut).width > width) {
    cut = `${cut.slice(0, -2)}…`;
  }
  return cut;
}

function rounded(value) {
  return short(Number(value.toPrecision(2)));
}

export function inked(theme, look) {
  return theme.dark ? look.dark : look.light;
}

// Boxes of a picture that say something about themselves under the pointer.
export class Boxes {
  constructor(label, height) {
    this.frame = new Frame(label, height);
    this.boxes = [];
  }

  add(left, top, width, height, tell) {
    this.boxes.push({ left, top, width, height, tell });
  }

  under(x, y) {
    const found = this.boxes.find((b) => x >= b.left && x <= b.left + b.width
      && y >= b.top && y <= b.top + b.height);
    return found ? found.tell(x, y) : null;
  }
}

// Lines over steps or epochs. A line is {style, points: [[x, y], ...], width, note}.
export class Chart {
  constructor(label, nameY, height = 250) {
    this.frame = new Frame(label, height);
    this.frame.canvas.classList.add("lm-dash-chart");
    this.nameY = nameY;
  }

  draw(theme, { lines, span, nameX, cursor, log, fixed, at }) {
    const { frame } = this;
    const pen = frame.begin(theme);
    if (!pen) return;
    frame.log = log;
    const [low, high] = fixed || this.extent(lines, log);
    frame.range = [0, span, low, high];
    frame.axes(nameX, this.nameY);
    const place = ([x, y]) => Number.isFinite(y)
      ? [frame.px(x), frame.py(Math.min(high, Math.max(low, y)))] : null;
    frame.clip(() => {
      const upright = { light: theme.soft, dark: theme.soft, dash: [] };
      for (const x of [cursor, at]) {
        if (x === null) continue;
        polyline(pen, upright, theme, 2, (k) => [frame.px(x), k ? frame.top
          : frame.bottom], 1);
      }
      for (const { style, points, width } of lines) {
        const every = Math.ceil(points.length / MOST);
        const count = Math.ceil(points.length / every) + 1;
        pen.globalAlpha = width ? 0.45 : 1;
        polyline(pen, style, theme, points.length ? count : 0, (k) =>
          place(points[Math.min(k * every, points.length - 1)]), width || 2);
        pen.globalAlpha = 1;
      }
    });
    const notes = [];
    let empty = true;
    for (const { style, points, width, note } of lines) {
      const tip = points.length && place(points[points.length - 1]);
      if (!tip) continue;
      empty = false;
      if (width) continue;
      const [x, y] = frame.hold(...tip, 5);
      mark(pen, style, theme, x, y, 4);
      if (note) notes.push({ style, note, x, y });
    }
    this.tell(pen, theme, notes, empty);
  }

  // Names at the ends of the lines, one above the other where the ends are close.
  tell(pen, theme, notes, empty) {
    const { frame } = this;
    pen.textBaseline = "middle";
    if (empty) {
      pen.fillStyle = theme.soft;
      pen.textAlign = "center";
      pen.fillText("Nothing yet: take a step", (frame.left + frame.right) / 2,
        (frame.top + frame.bottom) / 2);
    }
    notes.sort((one, other) => other.y - one.y);
    let free = frame.bottom - 7;
    for (const { style, note, x, y } of notes) {
      const at = Math.min(y, free);
      free = at - 12;
      const beside = x + 24 < frame.right;
      pen.textAlign = beside ? "left" : "right";
      pen.fillStyle = inked(theme, style);
      pen.fillText(note, beside ? x + 8 : x - 8, at);
    }
  }

  // The start sets the top: what explodes leaves through it instead of flattening all.
  extent(lines, log) {
    let [low, high, first] = [Infinity, -Infinity, 0];
    for (const { points } of lines) {
      let begun = false;
      for (const [, y] of points) {
        if (!Number.isFinite(y) || (log && y <= 0)) continue;
        if (!begun) first = Math.max(first, y);
        begun = true;
        low = Math.min(low, y);
        high = Math.max(high, y);
      }
    }
    if (!Number.isFinite(low)) return log ? [0.1, 10] : [0, 1];
    high = Math.min(high, (first || high) * (log ? 30 : 3));
    if (!log) return [0, high > 0 ? 1.06 * high : 1];
    low = Math.max(low, high * 1e-6);
    return [low / 1.3, Math.max(high, 1.5 * low) * 1.3];
  }
}

// How the weights of each layer are spread, over time: a strip a layer, a column a run.
export class Strips extends Boxes {
  // runs: [{name, layers, bins, details}], of which the details have x, reach and bars
  draw(theme, runs, span, nameX) {
    const { frame } = this;
    const pen = frame.begin(theme);
    if (!pen) return;
    Object.assign(frame.pad, { left: 52, right: 10, top: 20, bottom: 34 });
    this.boxes = [];
    const bar = Math.min(90, frame.width / 6);
    colourBar(pen, theme, "amount", frame.width - bar - 62, 5, bar, 9, "no weights",
      "most");
    const gap = 56;
    const wide = (frame.right - frame.left - gap * (runs.length - 1)) / runs.length;
    runs.forEach((run, k) => {
      const left = frame.left + k * (wide + gap);
      const chosen = chosenLayers(run.layers.length);
      const tall = (frame.bottom - frame.top) / chosen.length;
      chosen.forEach((layer, row) => {
        const box = { left, top: frame.top + row * tall + 14, width: wide,
          height: tall - 20 };
        this.strip(pen, theme, run, layer, span, box);
      });
      pen.fillStyle = theme.ink;
      pen.textAlign = "center";
      pen.textBaseline = "top";
      pen.fillText("0", left, frame.bottom);
      pen.fillText(short(span), left + wide - 8, frame.bottom);
      pen.fillText(nameX, left + wide / 2, frame.bottom + 14);
    });
  }

  strip(pen, theme, run, layer, span, { left, top, width, height }) {
    pen.fillStyle = inked(theme, RUNS[run.name]);
    pen.textAlign = "left";
    pen.textBaseline = "bottom";
    pen.fillText(fit(pen, `${run.name}, ${run.layers[layer].replaceAll(" x ", " × ")}`,
      width), left, top - 1);
    pen.fillStyle = theme.ink;
    const every = Math.ceil(run.details.length / MOST) || 1;
    const shown = run.details.filter((_, k) => k % every === 0);
    const reach = shown.reduce((most, d) => Math.max(most, d.reach[layer]), 1e-9);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.fillText(rounded(reach), left - 4, top + 6);
    if (height > 34) pen.fillText("0", left - 4, top + height / 2);
    pen.fillText(rounded(-reach), left - 4, top + height - 6);
    if (shown.length) {
      const { bins } = run;
      const picture = bitmap(bins, shown.length, (cell) => {
        const [row, k] = [Math.floor(cell / shown.length), cell % shown.length];
        return Math.sqrt(shown[k].bars[layer * bins + bins - 1 - row] / 255);
      }, "amount", theme.dark);
      pen.save();
      pen.beginPath();
      pen.rect(left, top, width, height);
      pen.clip();
      pen.imageSmoothingEnabled = false;
      shown.forEach((detail, k) => {
        const x = left + (width * detail.x) / span;
        const next = k + 1 < shown.length ? left + (width * shown[k + 1].x) / span
          : x + Math.max(3, width / 120);
        const part = (height / 2) * (detail.reach[layer] / reach);
        pen.drawImage(picture, k, 0, 1, bins, x, top + height / 2 - part, next - x + 0.6,
          2 * part);
      });
      pen.restore();
    }
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    this.add(left, top, width, height, (x, y) => {
      const at = (span * (x - left)) / width;
      const before = run.details.filter((d) => d.x <= at);
      const detail = before[before.length - 1];
      if (!detail) return null;
      const value = reach * (1 - (2 * (y - top)) / height);
      const bin = Math.floor((run.bins * (value / detail.reach[layer] + 1)) / 2);
      const full = bin >= 0 && bin < run.bins ? detail.bars[layer * run.bins + bin] : 0;
      return `${run.name}, ${run.layers[layer].replaceAll(" x ", " × ")}, step `
        + `${detail.step}: about ${short(value)} has ${percent(full / 255)} of the `
        + `weights of the fullest bin; all lie within ±${short(detail.reach[layer])}`;
    });
  }
}

// At most four layers: the first, the last, and some between.
function chosenLayers(count) {
  if (count <= 4) return [...Array(count).keys()];
  return [0, Math.round((count - 1) / 3), Math.round((2 * (count - 1)) / 3), count - 1];
}
