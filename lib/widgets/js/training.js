// What every view of a training has: the kernel trains and keeps the speed, the page
// keeps what has come and goes back through it without disturbing the training.
import { element } from "./core.js";
import { Transport, View, short } from "./ui.js";

// A subclass sets `playing` and `taken` (units done), calls pace(), and has announce()
// and `newest` (the last step that can be shown).
export class TrainingView extends View {
  constructor(root, link) {
    super(root, link);
    this.transport = new Transport(this, []);
    this.transport.speed.parentElement.remove(); // here the kernel keeps the speed
    this.position = null; // step shown, or null: the newest
    this.bar = element("progress", { max: "1", value: "0",
      "aria-label": "share of the training done" });
    this.left = element("span", { class: "lm-where" });
    this.progress = element("div", { class: "lm-progress" }, this.bar, this.left);
  }

  get newest() {
    return this.taken || 0;
  }

  get shownStep() {
    return this.position === null ? this.newest : this.position;
  }

  // The bar, and the time left by the pace since play was pressed.
  pace(done, goal, text = `${done} of ${goal} steps`) {
    const now = performance.now();
    if (!this.playing) this.clock = null;
    else if (!this.clock || done < this.clock.done) this.clock = { now, done };
    this.bar.value = Math.min(1, done / goal);
    const passed = this.clock ? (now - this.clock.now) / 1000 : 0;
    let rest = "";
    if (passed > 0.5 && done > this.clock.done) {
      const rate = (done - this.clock.done) / passed;
      rest = `, ${short(rate < 10 ? rate : Math.round(rate))} a second, `
        + `${Math.ceil(Math.max(0, goal - done) / rate)} s left`;
    }
    this.left.textContent = text + rest;
  }

  // Whoever asks the kernel for more wants to see it: back to the newest step.
  command(name) {
    this.position = null;
    this.link.command(name);
  }

  play() { this.command("play"); }

  step() { this.command("step"); }

  reset() { this.command("reset"); }

  pause() {
    if (this.link.alive) this.link.command("pause");
    this.playing = false;
  }

  seek(step) {
    // the end is what the scrubber shows: the training may be a step further by now
    const end = Math.min(this.newest, Number(this.transport.scrub.max));
    this.position = step >= end ? null : Math.max(0, step);
    this.announce();
    this.link.invalidate();
  }

  // Here every step is the kernel's: without it there is only the way back to look at.
  ended() {
    super.ended();
    const { playButton, stepButton, resetButton } = this.transport;
    for (const node of [playButton, stepButton, resetButton]) node.disabled = true;
  }
}
