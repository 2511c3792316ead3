// A view that plays through whole steps which the page already has. A subclass sets
// `transport`, has `last` and tell(), and calls advance(now) when it draws.
import { View } from "./ui.js";

export class SteppingView extends View {
  constructor(root, link) {
    super(root, link);
    this.position = 0;
    this.playing = false;
  }

  play() {
    if (this.position >= this.last) this.go(0);
    this.playing = true;
    this.clock = null;
    this.link.invalidate();
  }

  pause() {
    this.playing = false;
    this.tell();
    this.link.invalidate();
  }

  step() { this.seek(this.position + 1); }

  reset() { this.seek(0); }

  seek(position) {
    this.playing = false;
    this.go(position);
  }

  go(position) {
    this.position = Math.min(Math.max(0, position), this.last);
    this.tell();
    this.link.invalidate();
  }

  advance(now) {
    if (!this.playing) return;
    if (this.clock === null) this.clock = now;
    if (now - this.clock >= 1000 / this.transport.perSecond) {
      this.clock = now;
      this.go(this.position + 1);
      if (this.position >= this.last) this.playing = false;
    }
    this.link.invalidate();
  }
}
