// The next token: chips of the text, the likeliest next tokens before and after
// temperature, top-k and top-p, where the random number falls, and the small model's
// training. The kernel sends logits; what is cut and drawn is worked out here.
import { element, floats, mount } from "./core.js";
import { Transport, View, button, short } from "./ui.js";
import { Frame, mark, polyline } from "./plot.js";
import { colour, colourBar } from "./heat.js";

const BARS = 20; // tokens in the list
const SURPRISE = 7; // nats at the dark end of the scale
const BEFORE = { light: "#8a8a8a", dark: "#9a9a9a" };
const AFTER = { light: "#0072b2", dark: "#4da3e0" };
const LOSS = { light: "#8a9bb0", dark: "#7d90a8", dash: [] };
const TESTED = { light: "#d55e00", dark: "#ff9a5c", dash: [], mark: "circle" };
const WHOLE = { temperature: false, top_k: true, seed_of_draws: true, steps: true };

// As `next_probabilities` in lib/models/generation.py: the tokens from the likeliest
// down, each with its probability by the model (before) and after the cuts.
function nextProbabilities(logits, temperature, topK, topP) {
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
function pickPlace({ after, left }, u) {
  let sum = 0;
  for (let k = 0; k < left; k += 1) {
    sum += after[k];
    if (sum > u) return k;
  }
  return left - 1;
}

// A transport whose play button says what it does.
class NamedTransport extends Transport {
  constructor(owner, speeds, unit, verb) {
    super(owner, speeds, unit);
    this.verb = verb;
    this.playButton.title = `${verb} or pause`;
  }

  show(position, last, playing, where = null) {
    super.show(position, last, playing);
    if (where !== null) this.where.textContent = where;
    const text = playing ? "‖ Pause" : `▶ ${this.verb}`;
    if (this.playButton.textContent !== text) this.playButton.textContent = text;
  }
}

class NextTokenView extends View {
  constructor(root, link) {
    super(root, link);
    this.bars = new Frame("The likeliest next tokens and their probabilities", 460);
    this.bars.pad = { left: 112, right: 62, top: 4, bottom: 38 };
    this.bars.beside = () => 466;
    this.bars.marksY = () => [];
    this.sum = new Frame("Probabilities laid end to end, and the random number", 92);
    this.sum.pad = { left: 18, right: 18, top: 18, bottom: 38 };
    this.sum.beside = () => 92;
    this.sum.marksY = () => [];
    this.curve = new Frame("Loss of the training against step", 240);
    this.curve.beside = () => 236;
    this.curve.pad.right = 22;
    this.scale = element("canvas", { "aria-hidden": "true" });
    this.tokens = element("div", { class: "lm-nt-tokens", role: "group", tabindex: "0",
      "aria-label": "Tokens of the text, coloured by surprise" });
    this.facts = element("span");
    this.readout = element("div", { class: "lm-readout" }, "\u00a0");
    this.cost = element("div", { class: "lm-nt-cost" });
    this.beamList = element("div", { class: "lm-nt-beams" });
    this.sample = element("div", { class: "lm-nt-sample", role: "note" });
    this.sampleHead = element("div", { class: "lm-nt-heading" });
    this.logits = new Float32Array(0);
    this.losses = [];
    this.moments = [];
    this.playing = false;
    this.built = false;
    this.over20 = null;
  }

  get pictures() {
    return this.trains ? [this.bars, this.sum, this.curve] : [this.bars, this.sum];
  }

  // ---- building --------------------------------------------------------------------

  build(state) {
    this.built = true;
    this.trains = state.trains;
    this.vocabulary = state.vocabulary;
    this.longest = state.longest;
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => this.addControl(spec.get(name), (value) => {
      this.values[name] = WHOLE[name] ? Math.round(value) : value;
      if (name === "seed_of_draws" || name === "prompt") this.pause();
      this.link.set(name, value);
      this.work();
    });
    this.transport = new NamedTransport(this, [[1, "1 a second"], [4, "4"], [15, "15"]],
      "token", "Generate");
    this.transport.speed.value = "4";
    this.likely = button("Take the most likely", "The first of the list",
      () => this.choose("likely"));
    this.draw1 = button("Draw one", "The token on which the random number falls",
      () => this.choose("draw"));
    this.undo = button("Undo", "Back by one token", () => {
      this.pause();
      this.link.command("undo");
    });
    this.search = button("Search with 3 beams", "The most probable eight tokens that a "
      + "search keeping three beginnings finds", () => {
      this.pause();
      this.link.command("beams");
    });
    this.root.append(
      element("div", { class: "lm-nt-text" }, add("prompt")), this.tokens,
      element("div", { class: "lm-nt-facts" }, element("span", {}, "surprise, nats"),
        this.scale, this.facts),
      element("div", { class: "lm-nt-main" },
        element("div", { class: "lm-still" }, this.bars.node, this.sum.node,
          this.readout),
        element("div", {},
          element("fieldset", {}, element("legend", {}, "What stays to choose from"),
            add("temperature"), add("top_k"), add("top_p")),
          element("fieldset", {}, element("legend", {}, "Choose"),
            element("div", { class: "lm-row" }, this.likely, this.draw1, this.undo),
            add("seed_of_draws")),
          element("fieldset", {}, element("legend", {}, "Beam search"), this.search,
            this.beamList),
          element("fieldset", {}, element("legend", {}, "What one more token costs"),
            add("cache"), this.cost),
          button("Save picture", "Save the pictures as one PNG", () =>
            this.save("next-token", ...this.pictures.map((f) => f.canvas)),
          { class: "lm-save" }))),
      this.transport.node, this.statusLine, this.errorBox);
    if (this.trains) this.buildTraining(add);
    this.listen();
  }

  buildTraining(add) {
    const tell = (name, ...args) => this.link.command(name, ...args);
    this.lesson = new NamedTransport({
      play: () => tell("train"),
      pause: () => tell("pause"),
      step: () => tell("train_step"),
      reset: () => tell("train_reset"),
      seek: (k) => tell("moment", k),
    }, [], "moment", "Train");
    this.lesson.speed.parentElement.remove();
    this.lesson.stepButton.textContent = "One step";
    this.lesson.resetButton.textContent = "Reset training";
    this.root.append(element("fieldset", { class: "lm-nt-training" },
      element("legend", {}, "Train it on the course's prose"),
      element("div", { class: "lm-columns" },
        element("div", {}, this.curve.node),
        element("div", {}, add("learning_rate"), add("steps"), add("device"),
          this.sampleHead, this.sample)),
      this.lesson.node));
  }

  // ---- data from the kernel ----------------------------------------------------------

  snapshot(state) {
    if (!this.built) this.build(state);
    const { log_p, logits, draws, losses } = state;
    this.moments = [];
    this.losses = [];
    this.take(state, { log_p, logits, draws, losses });
  }

  take(content, parts) {
    const { ids, typed, at, beams, training, moment, run, step, kept } = content;
    Object.assign(this, { ids, typed, at, beams, training, moment, taught: step });
    this.showValues(content.values);
    if (parts.draws) this.draws = floats(parts.draws);
    if (parts.logits) {
      this.logits = floats(parts.logits);
      this.logP = floats(parts.log_p);
      const { cost, cached, ms, perplexity } = content;
      Object.assign(this, { costs: cost, cached, ms, perplexity });
      this.waits = false;
    }
    if (parts.losses) {
      if (run !== this.run) this.moments = [];
      this.run = run;
      this.losses.length = content.losses_from;
      this.losses.push(...floats(parts.losses));
      this.moments.length = kept - content.moments.length;
      this.moments.push(...content.moments);
    }
    this.work();
    this.showTokens();
    this.showBeams();
    this.showCost();
    this.showSample();
    this.announce();
  }

  // What follows from the logits and the sliders, at once and here.
  work() {
    this.next = null;
    if (this.logits.length) {
      const { temperature, top_k, top_p } = this.values;
      this.next = nextProbabilities(this.logits, temperature, top_k, top_p);
      this.u = this.draws[Math.min(this.at, this.draws.length - 1)];
      this.falls = pickPlace(this.next, this.u);
    }
    this.announce();
    this.link.invalidate();
  }

  // ---- choosing ----------------------------------------------------------------------

  get full() {
    return this.at >= this.longest;
  }

  choose(how) {
    if (!this.next || this.waits || this.full || !this.link.alive) return;
    this.takeToken(this.next.order[how === "likely" ? 0 : this.falls]);
  }

  takeToken(token) {
    this.waits = true; // until the kernel has read it
    this.link.command("take", token);
  }

  play() {
    if (!this.next || this.full || !this.link.alive) return;
    this.playing = true;
    this.due = 0;
    this.link.invalidate();
  }

  pause() {
    this.playing = false;
    if (this.built) this.announce();
    this.link.invalidate();
  }

  step() {
    this.pause();
    this.choose("draw");
  }

  reset() {
    this.pause();
    this.link.command("reset");
  }

  seek(count) {
    this.pause();
    this.link.command("seek", count);
  }

  advance(now) {
    if (!this.playing) return;
    if (this.full || !this.next) this.playing = false;
    else if (now >= this.due && !this.waits) {
      this.due = now + 1000 / this.transport.perSecond;
      this.choose("draw");
    }
    this.link.invalidate();
  }

  listen() {
    const { canvas } = this.bars;
    const row = (event) => {
      const at = this.bars.under(event, true);
      const y = event.clientY - canvas.getBoundingClientRect().top;
      if (!at || !this.next || y > this.bars.bottom || y < this.bars.top) return null;
      const k = Math.floor(BARS - at[1]);
      return k < Math.min(BARS, this.next.order.length) ? k : null;
    };
    canvas.addEventListener("pointermove", (event) => {
      this.over20 = row(event);
      this.link.invalidate();
    });
    canvas.addEventListener("pointerleave", () => {
      this.over20 = null;
      this.link.invalidate();
    });
    canvas.addEventListener("click", (event) => {
      const k = row(event);
      if (k === null || this.waits || this.full || !this.link.alive) return;
      this.pause();
      this.takeToken(this.next.order[k]);
    });
    canvas.addEventListener("keydown", (event) => {
      if (!this.next) return;
      const last = Math.min(BARS, this.next.order.length) - 1;
      const at = this.over20 === null ? -1 : this.over20;
      if (event.key === "ArrowDown") this.over20 = Math.min(last, at + 1);
      else if (event.key === "ArrowUp") this.over20 = Math.max(0, at - 1);
      else if (event.key === "Enter" && this.over20 !== null && !this.waits) {
        this.takeToken(this.next.order[this.over20]);
      } else return;
      event.preventDefault();
      this.link.invalidate();
    });
    canvas.setAttribute("aria-keyshortcuts", "ArrowDown ArrowUp Enter");
    this.sum.canvas.addEventListener("click", () => this.choose("draw"));
  }

  ended() {
    super.ended();
    const asking = this.root.querySelectorAll(".lm-transport button, .lm-scrub input");
    for (const node of asking) node.disabled = true;
  }

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

export default { render: (context) => mount(context, NextTokenView) };
