// The panels of the training dashboard that show answers: validation examples with what
// each run says they are, and which classes are taken for which.
import { colour } from "./heat.js";
import { Boxes, RUNS, fit, inked, percent } from "./dashboard_panels.js";

const WRONG = { light: "#b3261e", dark: "#ff8a80" };

// Which class a run answers to one example, and how surely.
export function answer(detail, classes, example) {
  let best = 0;
  const at = example * classes;
  for (let k = 1; k < classes; k += 1) {
    if (detail.probabilities[at + k] > detail.probabilities[at + best]) best = k;
  }
  return { said: best, sure: detail.probabilities[at + best] / 255 };
}

// Validation examples with what each run says they are.
export class Answers extends Boxes {
  // runs: [{name, detail}]; shows those of `order`, page by page
  draw(theme, data, runs, order, page) {
    const { frame } = this;
    const pen = frame.begin(theme);
    if (!pen) return;
    Object.assign(frame.pad, { left: 4, right: 4, top: 4, bottom: 4 });
    this.boxes = [];
    const text = data.kind === "tokens";
    const tall = (text ? 8 : 52) + 15 * (1 + runs.length);
    const columns = text ? 1 : Math.max(1, Math.floor((frame.right - frame.left) / 84));
    const rows = Math.max(1, Math.floor((frame.bottom - frame.top) / tall));
    const wide = (frame.right - frame.left) / columns;
    this.pages = Math.max(1, Math.ceil(order.length / (rows * columns)));
    const first = (page % this.pages) * rows * columns;
    this.shown = order.slice(first, first + rows * columns);
    if (!order.length) {
      pen.fillStyle = theme.ink;
      pen.textAlign = "center";
      pen.fillText("No example of this kind at this step.", frame.width / 2,
        frame.tall / 2);
    }
    this.shown.forEach((example, k) => {
      const left = frame.left + (k % columns) * wide;
      const top = frame.top + Math.floor(k / columns) * tall;
      const said = runs.map(({ name, detail }) => ({ name,
        ...answer(detail, data.targets.length, example) }));
      const wrong = said.some((each) => each.said !== data.truth[example]);
      if (wrong) {
        pen.strokeStyle = inked(theme, WRONG);
        pen.lineWidth = 1.5;
        pen.setLineDash([]);
        pen.strokeRect(left + 1, top + 1, wide - 4, tall - 5);
      }
      if (text) this.line(pen, theme, data, example, said, left + 6, top, wide - 12);
      else this.cell(pen, theme, data, example, said, left, top, wide);
      this.add(left, top, wide, tall, () => this.tell(data, runs, example));
    });
  }

  cell(pen, theme, data, example, said, left, top, wide) {
    const side = 44;
    const x = left + (wide - side) / 2 - 1;
    if (data.kind === "pictures") {
      pen.imageSmoothingEnabled = false;
      pen.drawImage(data.picture(example), x, top + 5, side, side);
    } else this.profile(pen, theme, data.row(example), x, top + 5, side);
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.fillStyle = theme.ink;
    const middle = left + wide / 2 - 1;
    const name = data.targets[data.truth[example]];
    pen.fillText(fit(pen, `is ${name}`, wide - 8), middle, top + 52);
    said.forEach((each, k) => {
      this.said(pen, theme, data, example, each, middle, top + 67 + 15 * k, wide - 8);
    });
  }

  said(pen, theme, data, example, { name, said, sure }, x, y, wide) {
    const right = said === data.truth[example];
    pen.fillStyle = right ? inked(theme, RUNS[name]) : inked(theme, WRONG);
    const text = `${name} ${right ? "✓" : "✗"} ${percent(sure)}`;
    const long = `${name} ${right ? "✓" : "✗"} ${data.targets[said]} ${percent(sure)}`;
    pen.fillText(pen.measureText(long).width <= wide ? long : fit(pen, text, wide), x, y);
  }

  // The numbers of one example: two as a point of the plane, more as bars from 0.
  profile(pen, theme, values, left, top, side) {
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, side, side);
    pen.fillStyle = theme.ink;
    const scale = (v) => (side / 2) * Math.max(-1, Math.min(1, v / 3));
    if (values.length === 2) {
      pen.beginPath();
      const [x, y] = [values[0] / 0.8, values[1] / 0.8];
      pen.arc(left + side / 2 + scale(x), top + side / 2 - scale(y), 4, 0, 7);
      pen.fill();
      return;
    }
    const wide = side / values.length;
    values.forEach((value, k) => {
      const tall = scale(value);
      pen.fillRect(left + k * wide, top + side / 2 - Math.max(0, tall),
        Math.max(1, wide - 1), Math.max(1, Math.abs(tall)));
    });
  }

  line(pen, theme, data, example, said, left, top, wide) {
    const aside = 136;
    const lines = 1 + said.length;
    pen.textAlign = "left";
    pen.textBaseline = "top";
    pen.fillStyle = theme.ink;
    let rest = data.texts[example].split(/\s+/);
    for (let row = 0; row < lines && rest.length; row += 1) {
      let count = 1;
      while (count < rest.length && pen.measureText(rest.slice(0, count + 1).join(" "))
        .width < wide - aside - 10) count += 1;
      const last = row === lines - 1 && count < rest.length;
      pen.fillText(rest.slice(0, count).join(" ") + (last ? " …" : ""), left,
        top + 5 + 15 * row);
      rest = rest.slice(count);
    }
    const x = left + wide - aside;
    pen.fillStyle = theme.ink;
    pen.fillText(fit(pen, `is ${data.targets[data.truth[example]]}`, aside), x, top + 5);
    said.forEach((each, k) => this.said(pen, theme, data, example, each, x,
      top + 20 + 15 * k, aside));
  }

  tell(data, runs, example) {
    const V = data.targets.length;
    const parts = runs.map(({ name, detail }) => {
      const shares = data.targets.map((target, k) =>
        [detail.probabilities[example * V + k] / 255, target]);
      shares.sort((one, other) => other[0] - one[0]);
      return `${name}: ${shares.slice(0, 3).map(([share, target]) =>
        `${target} ${percent(share)}`).join(", ")}`;
    });
    const text = data.texts.length ? ` “${data.texts[example]}”` : "";
    return `Example ${example + 1} is ${data.targets[data.truth[example]]}. `
      + `${parts.join(" · ")}.${text}`;
  }
}

// Which classes are taken for which: a table of counts for each run.
export class Confusion extends Boxes {
  draw(theme, data, runs) {
    const { frame } = this;
    const pen = frame.begin(theme);
    if (!pen) return;
    const V = data.targets.length;
    const longest = Math.max(...data.targets.map((t) => pen.measureText(t).width));
    const aside = Math.min(70, longest) + 34;
    Object.assign(frame.pad, { left: aside, right: 8, top: 20, bottom: 40 });
    this.boxes = [];
    const wide = (frame.width - 8 - aside * runs.length) / runs.length;
    const cell = Math.min(wide, frame.bottom - frame.top, 80 * V) / V;
    runs.forEach(({ name, detail }, k) => {
      const left = aside + k * (wide + aside);
      pen.fillStyle = inked(theme, RUNS[name]);
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      const right = data.targets.reduce((sum, _, c) => sum + detail.confusion[c * V + c],
        0);
      const all = detail.confusion.reduce((sum, count) => sum + count, 0);
      pen.fillText(`${name}: ${right} of ${all} right`, left, 10);
      this.table(pen, theme, data, name, detail.confusion, left, frame.top, cell);
    });
  }

  table(pen, theme, data, name, counts, left, top, cell) {
    const V = data.targets.length;
    const side = V * cell;
    pen.textBaseline = "middle";
    for (let truth = 0; truth < V; truth += 1) {
      const row = counts.subarray(truth * V, (truth + 1) * V);
      const all = row.reduce((sum, count) => sum + count, 0) || 1;
      for (let said = 0; said < V; said += 1) {
        const [x, y] = [left + said * cell, top + truth * cell];
        const share = row[said] / all;
        pen.fillStyle = colour("amount", theme.dark, share);
        pen.fillRect(x, y, cell + 0.5, cell + 0.5);
        if (row[said] && cell > 15) {
          pen.fillStyle = share > 0.5 ? theme.back : theme.ink;
          pen.textAlign = "center";
          pen.fillText(String(row[said]), x + cell / 2, y + cell / 2);
        }
        this.add(x, y, cell, cell, () => `${name}: of ${all} that are `
          + `${data.targets[truth]}, ${row[said]} are taken for ${data.targets[said]} `
          + `(${percent(share)})`);
      }
    }
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, side, side);
    pen.fillStyle = theme.ink;
    if (cell > 11) {
      data.targets.forEach((target, k) => {
        pen.textAlign = "right";
        pen.fillText(fit(pen, target, 70), left - 5, top + (k + 0.5) * cell);
        pen.textAlign = "center";
        const room = Math.max(10, cell - 3);
        pen.fillText(fit(pen, target, room), left + (k + 0.5) * cell, top + side + 9);
      });
    }
    pen.textAlign = "center";
    pen.fillText("answer", left + side / 2, top + side + 26);
    pen.save();
    pen.translate(left - Math.min(70, Math.max(...data.targets.map((t) =>
      pen.measureText(t).width))) - 17, top + side / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText("truth", 0, 0);
    pen.restore();
  }
}
