// The words and pictures of the next token: the text with its surprises, the bars, their
// running sum and the curve of the training.
import { element } from "./core.js";
import { View, button, short } from "./ui.js";
import { mark, polyline } from "./plot.js";
import { colour, colourBar } from "./heat.js";

export const BARS = 20; // tokens in the list
export const SURPRISE = 7; // nats at the dark end of the scale
export const BEFORE = { light: "#8a8a8a", dark: "#9a9a9a" };
export const AFTER = { light: "#0072b2", dark: "#4da3e0" };
export const LOSS = { light: "#8a9bb0", dark: "#7d90a8", dash: [] };
export const TESTED = { light: "#d55e00", dark: "#ff9a5c", dash: [], mark: "circle" };
export const WHOLE = { temperature: false, top_k: true, seed_of_draws: true, steps: true };

// As `next_probabilities` in lib/models/generation.py: the tokens from the likeliest
// down, each with its probability by the model (before) and after the cuts.
export function nextProbabilities(logits, temperature, topK, topP) {
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const best = logits[order[0]];
  const softmax = (scale, count) => {
    const e = order.map((t, k) => (k < count ? Math.exp((logits[t] - best) / scale) : 0));
    const sum = e.reduce((s, x) => s + x, 0);
    return e.map((x) => x / sum);
  };
  const before = softmax(1, order.length);
  let after = softmax(temperature, topK);
  if (topP < 1) {
    let [reached, kept] = [0, 0];
    after = after.map((p) => {
      const stays = reached < topP;
      reached += p;
      if (stays) kept += p;
      return stays ? p : 0;
    });
    after = after.map((p) => p / kept);
  }
  return { order, before, after, left: after.filter((p) => p > 0).length };
}

// As `pick` in lib/next_token_lab.py: the place on which a random number falls.
export function pickPlace({ after, left }, u) {
  let sum = 0;
  for (let k = 0; k < left; k += 1) {
    sum += after[k];
    if (sum > u) return k;
  }
  return left - 1;
}

export class NextTokenPictures extends View {
  // ---- what stands in words ----------------------------------------------------------

  name(token) {
    const text = this.vocabulary[token];
    return text === " " ? "·" : text;
  }

  showTokens() {
    const shown = this.typed + this.at;
    const { dark } = this.theme;
    const chips = this.ids.map((id, k) => {
      const known = k < shown && Number.isFinite(this.logP[k]);
      const nats = known ? -this.logP[k] : 0;
      const words = known ? `probability ${short(Math.exp(-nats))}, surprise `
        + `${short(nats)} nats` : k < shown ? "the first token is not guessed" : "later";
      const bar = element("i");
      if (known) bar.style.background = colour("amount", dark, 0.08 + nats / SURPRISE);
      const kind = `lm-nt-token${k >= this.typed ? " lm-nt-new" : ""}`
        + `${k >= shown ? " lm-nt-later" : ""}`;
      return element("span", { class: kind, title: `token ${id}: ${words}` },
        element("b", {}, this.name(id)), bar, element("small", {}, String(id)));
    });
    this.tokens.replaceChildren(...chips);
    const now = chips[shown - 1];
    if (now) {
      const bottom = now.offsetTop + now.offsetHeight - this.tokens.offsetTop;
      this.tokens.scrollTop = Math.max(0, bottom - this.tokens.clientHeight + 6);
    }
    const perplexity = this.perplexity === null ? "–" : short(this.perplexity);
    this.facts.replaceChildren("perplexity of the text ",
      element("strong", {}, perplexity), ` (guessing among all: ${this.vocabulary.length})`
      + ` · ${shown} tokens, ${this.at} of them written here`);
  }

  // After an error the kernel's answer does not come: the hand is free again.
  fail(text) {
    super.fail(text);
    if (!text) return;
    this.waits = false;
    this.playing = false;
  }

  showBeams() {
    const now = JSON.stringify(this.beams); // a button in use is not made anew
    if (now === this.listed) return;
    this.listed = now;
    const rows = this.beams.map((beam, k) => {
      const text = beam.tokens.map((t) => this.name(t)).join("");
      return button(`p = ${short(Math.exp(beam.log)).padEnd(7)} ${text}`,
        `Write this: log probability ${short(beam.log)}`, () =>
          this.link.command("adopt", k));
    });
    if (!rows.length) {
      rows.push(element("div", { class: "lm-nt-heading" }, "Keeps three beginnings and "
        + "shows the best eight tokens with their probability together. Press one to "
        + "write it."));
    }
    this.beamList.replaceChildren(...rows);
  }

  showCost() {
    const lines = [];
    if (this.costs) {
      const [less, all] = this.costs.map((n) => n.toLocaleString("en"));
      const on = this.values.cache;
      lines.push([on, `with the cache ${less} multiplications`],
        [!on, `without ${all}, ${short(this.costs[1] / this.costs[0])} times as many`]);
      lines.push([false, `last reading: ${this.ms.toFixed(1)} ms`
        + `${this.cached ? ", one token" : ", the whole text"}`]);
      if (this.costs[0] === this.costs[1]) {
        lines.push([false, "longer than the context: no cache any more"]);
      }
    }
    this.cost.replaceChildren(...lines.map(([bold, text]) => element("div", {}, bold
      ? element("strong", {}, text) : text)));
  }

  showSample() {
    if (!this.trains || !this.moments.length) return;
    const k = this.moment === null ? this.moments.length - 1 : this.moment;
    const [step, validation, text] = this.moments[k];
    const head = `What it writes after step ${step}, test loss ${short(validation)} nats:`;
    if (this.sampleHead.textContent !== head) {
      this.sampleHead.textContent = head;
      this.sample.textContent = text;
    }
  }

  announce() {
    if (!this.next) {
      this.status("Type some text: the model needs at least one token to go on from.");
      return;
    }
    if (this.training) {
      this.status(`Training: step ${this.taught} of ${this.values.steps}, loss `
        + `${short(this.losses[this.losses.length - 1])} nats a token.`, false);
      return;
    }
    const { order, after, left } = this.next;
    const untrained = this.trains && (this.moment === 0 || this.taught === 0);
    const lead = untrained ? "The model has not learned anything yet: press Train. " : "";
    this.status(`${lead}Most likely next: “${this.name(order[0])}”, `
      + `${(100 * after[0]).toFixed(1)} %. ${left} of ${order.length} tokens stay to `
      + "choose from.", !this.playing);
  }

  // ---- drawing -----------------------------------------------------------------------

  draw(now) {
    if (!this.built) return;
    this.advance(now);
    const count = this.ids.length - this.typed;
    this.transport.show(this.at, count, this.playing);
    const stuck = !this.next || this.full || !this.link.alive;
    for (const node of [this.likely, this.draw1, this.transport.stepButton,
      this.search]) node.disabled = stuck;
    this.undo.disabled = !this.at || !this.link.alive;
    if (this.painted !== this.theme) {
      this.painted = this.theme;
      this.drawScale();
      this.showTokens();
    }
    this.drawBars();
    this.drawSum();
    if (this.trains) this.drawTraining();
    this.drawReadout();
    Object.assign(this.root.dataset, { position: String(this.at),
      tokens: String(this.typed + this.at), playing: String(this.playing),
      training: String(this.training), step: String(this.taught),
      kept: String(this.moments.length), left: String(this.next ? this.next.left : 0) });
  }

  drawScale() {
    const ratio = window.devicePixelRatio || 1;
    [this.scale.width, this.scale.height] = [190 * ratio, 18 * ratio];
    const pen = this.scale.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = this.theme.font;
    colourBar(pen, this.theme, "amount", 16, 3, 140, 12, "0", `${SURPRISE}`);
  }

  drawBars() {
    const { bars, theme, next } = this;
    const rows = next ? Math.min(BARS, next.order.length) : 0;
    let top = 1e-4;
    for (let k = 0; k < rows; k += 1) top = Math.max(top, next.before[k], next.after[k]);
    bars.range = [0, Math.min(1, top * 1.04), 0, BARS];
    const pen = bars.begin(theme);
    if (!pen) return;
    bars.axes("probability of the next token: grey by the model, blue after the cuts",
      "");
    const high = (bars.bottom - bars.top) / BARS;
    for (let k = 0; k < rows; k += 1) {
      const y = bars.top + k * high;
      const [before, after] = [next.before[k], next.after[k]];
      const over = k === this.over20;
      if (over) {
        pen.fillStyle = theme.faint;
        pen.fillRect(0, y, bars.width, high);
      }
      pen.globalAlpha = after ? 1 : 0.4;
      const tone = (style) => (theme.dark ? style.dark : style.light);
      pen.fillStyle = tone(BEFORE);
      pen.fillRect(bars.left, y + 3, bars.px(before) - bars.left, high * 0.3);
      pen.fillStyle = tone(AFTER);
      pen.fillRect(bars.left, y + 3 + high * 0.34, bars.px(after) - bars.left,
        high * 0.4);
      pen.font = `${k === this.falls ? "bold " : ""}13px monospace`;
      pen.fillStyle = theme.ink;
      pen.textBaseline = "middle";
      pen.textAlign = "right";
      pen.fillText(this.name(next.order[k]).slice(0, 11), bars.left - 8, y + high / 2);
      pen.textAlign = "left";
      pen.font = theme.font;
      pen.fillText(after ? `${(100 * after).toFixed(after < 0.0995 ? 2 : 1)} %` : "cut",
        bars.right + 6, y + high / 2);
      pen.globalAlpha = 1;
      if (k === this.falls) {
        pen.fillStyle = tone(TESTED);
        pen.fillText("▸", 2, y + high / 2);
      }
    }
  }

  drawSum() {
    const { sum, theme, next } = this;
    sum.range = [0, 1, 0, 1];
    const pen = sum.begin(theme);
    if (!pen) return;
    if (next) {
      let at = 0;
      sum.clip(() => {
        for (let k = 0; k < next.left; k += 1) {
          const [x0, x1] = [sum.px(at), sum.px(at + next.after[k])];
          at += next.after[k];
          const fallen = k === this.falls;
          const style = fallen ? TESTED : AFTER;
          pen.globalAlpha = fallen ? 0.85 : k % 2 ? 0.28 : 0.5;
          pen.fillStyle = theme.dark ? style.dark : style.light;
          pen.fillRect(x0, sum.top, Math.max(x1 - x0, fallen ? 1.5 : 0),
            sum.bottom - sum.top);
          pen.globalAlpha = 1;
          const name = this.name(next.order[k]);
          pen.font = "12px monospace";
          if (pen.measureText(name).width + 4 > x1 - x0) continue;
          pen.fillStyle = fallen && !theme.dark ? "#ffffff" : fallen ? "#111418"
            : theme.ink;
          pen.textAlign = "center";
          pen.textBaseline = "middle";
          pen.fillText(name, (x0 + x1) / 2, (sum.top + sum.bottom) / 2);
        }
      });
      const x = sum.px(this.u);
      pen.fillStyle = theme.dark ? TESTED.dark : TESTED.light;
      pen.beginPath();
      pen.moveTo(x, sum.top + 2);
      pen.lineTo(x - 6, sum.top - 9);
      pen.lineTo(x + 6, sum.top - 9);
      pen.fill();
      polyline(pen, TESTED, theme, 2, (k) => [x, k ? sum.bottom : sum.top], 1.5);
      pen.font = theme.font;
      pen.textBaseline = "bottom";
      pen.textAlign = this.u > 0.6 ? "right" : "left";
      pen.fillStyle = theme.ink;
      pen.fillText(`random number ${this.u.toFixed(3)} draws “${
        this.name(next.order[this.falls])}”`, x + (this.u > 0.6 ? -10 : 10), sum.top - 2);
    }
    sum.axes("probabilities of all that stay, laid end to end", "");
  }

  drawReadout() {
    let text = "Point at a bar for its numbers; click it to take that token.";
    if (this.next && this.over20 !== null) {
      const { order, before, after } = this.next;
      const t = order[this.over20];
      text = `“${this.name(t)}” (token ${t}): logit ${short(this.logits[t])}, by the model `
        + `${(100 * before[this.over20]).toFixed(2)} %, after the cuts `
        + `${(100 * after[this.over20]).toFixed(2)} %`;
    }
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  drawTraining() {
    const { curve, theme, losses, moments } = this;
    const last = this.moments.length - 1;
    const k = this.moment === null ? last : this.moment;
    this.lesson.show(k, last, this.training, `moment ${k} of ${last}, step `
      + `${moments[k] ? moments[k][0] : 0}`);
    const chance = Math.log(this.vocabulary.length);
    curve.range = [0, Math.max(this.values.steps, this.taught), 0, chance * 1.12];
    const pen = curve.begin(theme);
    if (!pen) return;
    curve.axes("step", "loss, nats a token");
    const top = curve.range[3];
    const put = (step, loss) => [curve.px(step), curve.py(Math.min(top, loss))];
    curve.clip(() => {
      const soft = { light: theme.soft, dark: theme.soft, dash: [4, 4] };
      polyline(pen, soft, theme, 2, (i) => put(i * curve.range[1], chance), 1);
      const smooth = [];
      losses.forEach((loss, i) => {
        smooth.push(i ? 0.95 * smooth[i - 1] + 0.05 * loss : loss);
      });
      polyline(pen, LOSS, theme, smooth.length, (i) => put(i + 1, smooth[i]), 1.5);
      polyline(pen, TESTED, theme, moments.length, (i) => put(...moments[i]), 2);
      moments.forEach((m) => mark(pen, TESTED, theme, ...put(...m), 3));
      if (moments[k]) mark(pen, TESTED, theme, ...put(...moments[k]), 6);
    });
    pen.fillStyle = theme.ink;
    pen.textBaseline = "top";
    pen.textAlign = "right";
    pen.fillText(`dashed: guessing, ln ${this.vocabulary.length}`, curve.right - 6,
      curve.py(chance) + 4);
    pen.fillText("orange: test part · grey: training, smoothed", curve.right - 6,
      curve.py(chance) + 20);
  }
}
