// What the attention widget says in words: under the pointer, about a head, the status.
import { short } from "./ui.js";
import { word } from "./attention_head.js";

export const named = (look, k) => `“${word(look.tokens[k], 16)}” (${k})`;

// From one token to another, and what the first looks at most. `row` are its weights.
export function pairLine(look, row, [i, j]) {
  const best = Array.from(row, (weight, k) => [weight, k]).sort((a, b) => b[0] - a[0]);
  const list = best.slice(0, 4).map(([weight, k]) =>
    `${word(look.tokens[k], 14)} (${k}) ${weight.toFixed(3)}`).join(", ");
  return `From ${named(look, i)} to ${named(look, j)}: weight ${row[j].toFixed(4)}. ` +
    `${word(look.tokens[i], 16)} looks most at: ${list}.`;
}

// One dimension of the query and the key of a pair.
export function dimensionLine({ q, k, D }, [i, j], d) {
  const [a, b] = [q[i * D + d], k[j * D + d]];
  return `Dimension ${d}: query ${short(a)} × key ${short(b)} = ${short(a * b)}`;
}

// What became of the output of one token.
export function tokenLine(look, t) {
  const moved = `${named(look, t)}: its output moved by ${short(look.moved[t])} of its ` +
    "length.";
  if (look.kind !== "next") return moved;
  const says = (side) => `${word(look.answers[side][t][0])} ` +
    `(${look.answers[side][t][1].toFixed(3)})`;
  return `${moved} The model expects ${says(0)} next; with the changes ${says(1)}.`;
}

// Where a head looks, on average over the real tokens. `size` is what the output loses
// without it, NaN where that is not known.
export function headLine(look, l, h, size) {
  const share = { itself: 0, "the token before": 0, "the first token": 0,
    "the last token": 0 };
  const N = look.real;
  for (let i = 0; i < N; i += 1) {
    const add = (name, j) => { share[name] += look.weight(l, h, i, j) / N; };
    add("itself", i);
    if (i > 0) add("the token before", i - 1);
    add("the first token", 0);
    add("the last token", N - 1);
  }
  const list = Object.entries(share).map(([name, part]) =>
    `${name} ${Math.round(100 * part)} %`).join(", ");
  const what = look.losses ? "raises the loss by" : "changes the output by";
  const effect = Number.isNaN(size) ? "" : ` Switched off alone, it ${what} ` +
    `${short(size)}.`;
  return `Layer ${l}, head ${h} looks, on average, at ${list}.${effect}`;
}

// What a change did to the output, in one or two sentences.
export function outcome(change) {
  if (!change.changed) {
    return "Nothing is changed: this is the model as it was made. Switch a head off, or "
      + "change the temperature, the mask, the positions.";
  }
  const below = "Below: how far each token's output moved, in lengths of the original.";
  if (change.cosine !== null) {
    return `Vector of the text: cosine ${change.cosine.toFixed(4)} with the original. ` +
      below;
  }
  if (change.losses) {
    const [before, after] = change.losses;
    return `Loss on this text: ${short(before)} before, ${short(after)} with the ` +
      `changes. ${below}`;
  }
  if (!change.answers.length) return below;
  const kind = change.kind === "class" ? "class " : "";
  const name = ([k, p]) => `${kind}${word(k)} (${p.toFixed(3)})`;
  return `The answer: ${name(change.answers[0].at(-1))} before, ` +
    `${name(change.answers[1].at(-1))} with the changes. ${below}`;
}

// The status line: the step of a training, and what is on show.
export function statusWords({ layer, head }, { tokens, real }, L, H, limit) {
  const cut = real >= limit ? ` Only the first ${limit} tokens are read.` : "";
  return `Layer ${layer}, head ${head}: ${tokens.length} tokens, ${L} × ${H} maps.${cut}`;
}
