// Everything that can be counted from the sorted scores of two classes: the confusion
// matrix of a threshold, its rates and cost, the curves and the calibration.
import { bytes, floats } from "./core.js";
import { short } from "./ui.js";

const Z = 1.959963984540054; // of 95 %

// name, label, formula, its divisor and dividend, as indices into [tn, fp, fn, tp]
export const RATES = [
  ["accuracy", "Accuracy", "(TP + TN) / all", [3, 0], [0, 1, 2, 3]],
  ["precision", "Precision", "TP / (TP + FP)", [3], [3, 1]],
  ["recall", "Recall", "TP / (TP + FN)", [3], [3, 2]],
  ["specificity", "Specificity", "TN / (TN + FP)", [0], [0, 1]],
  ["false_positive_rate", "False positive rate", "FP / (FP + TN)", [1], [1, 0]],
  ["f1", "F1", "2 TP / (2 TP + FP + FN)", [3, 3], [3, 3, 1, 2]],
];

export function wilson(hits, trials) {
  if (!trials) return null;
  const [n, p] = [trials, hits / trials];
  const middle = p + (Z * Z) / (2 * n);
  const half = Z * Math.sqrt((p * (1 - p)) / n + (Z * Z) / (4 * n * n));
  const [low, high] = [-1, 1].map((sign) => (middle + sign * half) / (1 + (Z * Z) / n));
  return [hits ? Math.max(0, low) : 0, hits < n ? Math.min(1, high) : 1]; // no 1e-18
}

export function amount(value) {
  if (Number.isInteger(value)) return String(value);
  return value < 1 ? short(Number(value.toPrecision(2)))
    : value.toFixed(value < 1000 ? 1 : 0);
}

// A rate with three decimals, or two digits where those would be zeros.
export function rounded(rate) {
  return rate > 0 && rate < 0.01 ? short(Number(rate.toPrecision(2))) : rate.toFixed(3);
}

// The scores, falling, with everything that can be counted from them.
export class Scores {
  constructor(state) {
    this.score = floats(state.score);
    this.truth = bytes(state.truth);
    const raw = bytes(state.order);
    this.order = new Int32Array(raw.buffer.slice(raw.byteOffset,
      raw.byteOffset + raw.byteLength));
    Object.assign(this, { low: state.low, high: state.high, probable: state.probable });
    const N = this.score.length;
    this.N = N;
    this.hits = new Int32Array(N + 1); // of the first k, how many are of class 1
    for (let k = 0; k < N; k += 1) this.hits[k + 1] = this.hits[k] + this.truth[k];
    this.P = this.hits[N];
    this.ends = []; // numbers of examples above that some threshold gives
    for (let k = 0; k <= N; k += 1) {
      const [above, below] = [k ? this.score[k - 1] : this.high,
        k < N ? this.score[k] : this.low];
      if (above > below || k === N) this.ends.push(k);
    }
    this.weigh(null);
  }

  // Count each example so often that class 1 has this share; null: as in the data.
  weigh(share) {
    const own = this.P / this.N;
    this.wP = share === null ? 1 : share / own;
    this.wN = share === null ? 1 : (1 - share) / (1 - own);
    this.share = share === null ? own : share;
  }

  // How many scores are at or above t.
  above(t) {
    let [low, high] = [0, this.N];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.score[middle] >= t) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // [tn, fp, fn, tp] when the first k are said to be of class 1.
  cells(k, plain = false) {
    const tp = this.hits[k];
    const [wP, wN] = plain ? [1, 1] : [this.wP, this.wN];
    return [wN * (this.N - this.P - k + tp), wN * (k - tp), wP * (this.P - tp), wP * tp];
  }

  // A threshold that has k examples at or above it.
  threshold(k) {
    if (k === 0) return this.high;
    if (k === this.N) return this.low;
    return (this.score[k - 1] + this.score[k]) / 2;
  }

  rates(k) {
    const cells = this.cells(k);
    const sum = (which) => which.reduce((s, c) => s + cells[c], 0);
    return Object.fromEntries(RATES.map(([name, , , up, down]) =>
      [name, sum(down) ? sum(up) / sum(down) : 0]));
  }

  // Points of the curves: [k, false positive rate, recall, precision].
  points() {
    const ks = this.ends[0] === 0 ? this.ends : [0, ...this.ends];
    return ks.map((k) => {
      const [tn, fp, fn, tp] = this.cells(k);
      return [k, fp / (fp + tn), tp / (tp + fn), k ? tp / (tp + fp) : 1];
    });
  }

  areas(points) {
    let [auc, average] = [0, 0];
    for (let i = 1; i < points.length; i += 1) {
      const [, x0, y0] = points[i - 1];
      const [, x1, y1, precision] = points[i];
      auc += ((x1 - x0) * (y0 + y1)) / 2;
      average += (y1 - y0) * precision;
    }
    return [auc, average];
  }

  // Brier score, calibration error, and of each bin [predicted, found, count].
  reliability(bins, of) {
    const total = new Float64Array(bins);
    const [sure, right, count] = [total.slice(), total.slice(), total.slice()];
    let brier = 0;
    for (let k = 0; k < this.N; k += 1) {
      let [p, hit] = [this.score[k], this.truth[k]];
      const w = hit ? this.wP : this.wN;
      brier += w * (p - hit) ** 2;
      if (of === "answer") {
        const answer = p > 0.5;
        hit = Number(answer === Boolean(hit));
        p = answer ? p : 1 - p;
      }
      let bin = Math.max(0, Math.min(bins - 1, Math.floor(p * bins) - 1));
      while (bin < bins - 1 && (bin + 1) * (1 / bins) < p) bin += 1;
      total[bin] += w;
      sure[bin] += w * p;
      right[bin] += w * hit;
      count[bin] += 1;
    }
    let gap = 0;
    const rows = [...total].map((w, bin) => {
      if (w) gap += Math.abs(right[bin] - sure[bin]);
      return [sure[bin] / w, right[bin] / w, count[bin]];
    });
    return { brier: brier / this.N, error: gap / this.N, rows };
  }

  cost(k, price) {
    const [, fp, fn] = this.cells(k);
    return (price * fn + fp) / this.N;
  }

  // The k with the lowest cost; of several the smallest.
  cheapest(price) {
    const costs = this.ends.map((k) => this.cost(k, price));
    const least = costs.reduce((low, c) => Math.min(low, c), Infinity);
    return this.ends[costs.findIndex((c) => c <= least + 1e-9)];
  }
}
