// The next token: chips of the text, the likeliest next tokens before and after
// temperature, top-k and top-p, where the random number falls, and the small model's
// training. The kernel sends logits; what is cut and drawn is worked out here.
import { element, floats, mount } from "./core.js";
import { Transport, button } from "./ui.js";
import { Frame } from "./plot.js";
import { BARS, NextTokenPictures, WHOLE, nextProbabilities, pickPlace }
  from "./next_token_pictures.js";

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

class NextTokenView extends NextTokenPictures {
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
}

export default { render: (context) => mount(context, NextTokenView) };
