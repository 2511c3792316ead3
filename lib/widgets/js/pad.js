// A pad to draw a digit on: white ink on black in size x size cells, by mouse, touch, pen
// or keys. It keeps the cells; whoever owns it is told of them while they change.
import { element } from "./core.js";

// Put ink (or take it away) round a point, in cells: full in the middle, soft at the edge.
export function padBrush(values, size, x, y, erase = false) {
  const radius = size / 12;
  const edge = 1.25 * radius;
  for (let i = Math.max(0, Math.floor(y - edge)); i <= Math.min(size - 1, y + edge);
    i += 1) {
    for (let j = Math.max(0, Math.floor(x - edge)); j <= Math.min(size - 1, x + edge);
      j += 1) {
      const far = Math.hypot(j + 0.5 - x, i + 0.5 - y);
      const ink = Math.max(0, Math.min(1, (edge - far) / (edge - radius / 2)));
      const k = i * size + j;
      values[k] = erase ? Math.min(values[k], 1 - ink) : Math.max(values[k], ink);
    }
  }
}

// node: what to put into the page. values: Float32Array, row 0 on top, 0 to 1. change:
// called with them at most every 60 ms while they change, and once at the end. limit: the
// greatest side in pixels. enabled = false shows the cells and takes no ink.
export class Pad {
  constructor(label, size, change) {
    this.size = size;
    this.change = change;
    this.values = new Float32Array(size * size);
    this.limit = 300;
    this.enabled = true;
    this.cursor = [Math.floor(size / 2), Math.floor(size / 2)]; // column, row
    this.last = null; // where the pen was, in cells, while it is down
    this.timer = 0;
    this.told = 0;
    this.canvas = element("canvas", { class: "lm-canvas lm-pad", tabindex: "0",
      role: "application", "aria-label": `${label}. Arrow keys move, space puts ink, `
        + "Delete takes it away, C clears.", title: "Draw with the mouse, a finger or a "
        + "pen; shift or the right button erases. Keys: arrows, space, Delete, C" });
    this.canvas.style.touchAction = "none";
    this.canvas.style.cursor = "crosshair";
    this.node = element("div", { class: "lm-frame" }, this.canvas);
    this.listen();
  }

  // Other cells from now on; change() is not called, since no hand made them.
  set(values) {
    for (let k = 0; k < this.values.length; k += 1) {
      this.values[k] = Math.min(1, Math.max(0, values[k] || 0));
    }
    this.redraw();
  }

  get empty() {
    return this.values.every((v) => v === 0);
  }

  // Wipe the pad, as the key C does; change() is called.
  clear() {
    this.values.fill(0);
    this.tell(true);
  }

  // ---- hands -----------------------------------------------------------------------

  listen() {
    const { canvas } = this;
    canvas.addEventListener("contextmenu", (event) => { // the right button rubs out
      event.preventDefault();
      event.stopPropagation(); // else JupyterLab opens its own menu
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.enabled || !this.wide || event.button === 1) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.erase = event.button === 2 || event.shiftKey || event.button === 5;
      this.last = this.cellsAt(event);
      this.stroke(this.last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      const passed = event.getCoalescedEvents?.() || [];
      for (const one of passed.length ? passed : [event]) this.stroke(this.cellsAt(one));
    });
    const up = () => {
      if (!this.last) return;
      this.last = null;
      this.tell(true);
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.redraw());
    canvas.addEventListener("blur", () => this.redraw());
  }

  // Column and row under a pointer, with fractions; it may lie outside the pad.
  cellsAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.size,
      ((event.clientY - box.top) / box.height) * this.size];
  }

  // Ink along the way from where the pen was.
  stroke([x, y]) {
    const [x0, y0] = this.last;
    const count = Math.max(1, Math.ceil((4 * 12 * Math.hypot(x - x0, y - y0)) / this.size));
    for (let k = 1; k <= count; k += 1) {
      const part = k / count;
      padBrush(this.values, this.size, x0 + part * (x - x0), y0 + part * (y - y0),
        this.erase);
    }
    this.last = [x, y];
    const hold = (v) => Math.max(0, Math.min(this.size - 1, Math.floor(v)));
    this.cursor = [hold(x), hold(y)];
    this.tell(false);
  }

  key(event) {
    if (!this.enabled || event.ctrlKey || event.metaKey || event.altKey) return;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
      ArrowDown: [0, 1] };
    const [x, y] = this.cursor;
    if (event.key in ways) {
      const hold = (v) => Math.max(0, Math.min(this.size - 1, v));
      this.cursor = [hold(x + ways[event.key][0]), hold(y + ways[event.key][1])];
      this.redraw();
    } else if ([" ", "Delete", "Backspace"].includes(event.key)) {
      padBrush(this.values, this.size, x + 0.5, y + 0.5, event.key !== " ");
      this.tell(true);
    } else if (event.key.toLowerCase() === "c" && !event.shiftKey) {
      this.clear();
    } else return;
    event.preventDefault(); // and not to the widget, where space plays and pauses
    event.stopPropagation();
  }

  // Draw at once; tell the owner now at the end, else at most every 60 ms.
  tell(end) {
    this.redraw();
    const now = performance.now();
    clearTimeout(this.timer);
    this.timer = 0;
    if (end || now - this.told >= 60) {
      this.told = now;
      this.change(this.values);
    } else {
      this.timer = setTimeout(() => this.tell(true), 60 - (now - this.told));
    }
  }

  redraw() {
    if (this.theme && this.canvas.isConnected) this.draw(this.theme);
  }

  // ---- drawing ---------------------------------------------------------------------

  get left() { return 0; }
  get right() { return this.wide; }
  get top() { return 0; }
  get bottom() { return this.wide; }
  get width() { return this.wide; }
  get tall() { return this.wide; }

  // Fit the canvas to its place; a pen in CSS pixels, or null while hidden.
  begin(theme) {
    const side = Math.floor(Math.min(this.node.clientWidth, this.limit));
    if (side < 40) return null;
    const ratio = window.devicePixelRatio || 1;
    const pixels = Math.round(side * ratio);
    if (this.canvas.width !== pixels || this.canvas.height !== pixels) {
      this.canvas.width = pixels;
      this.canvas.height = pixels;
      this.canvas.style.width = `${side}px`;
      this.canvas.style.height = `${side}px`;
    }
    this.wide = side;
    this.theme = theme;
    this.pen = this.canvas.getContext("2d");
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.font = theme.font;
    return this.pen;
  }

  draw(theme) {
    const pen = this.begin(theme);
    if (!pen) return null;
    const { size, wide, values } = this;
    const edge = (k) => Math.round((k * wide) / size);
    pen.fillStyle = "#000000";
    pen.fillRect(0, 0, wide, wide);
    for (let k = 0; k < values.length; k += 1) {
      const shade = Math.round(255 * values[k]);
      if (!shade) continue;
      const [i, j] = [Math.floor(k / size), k % size];
      pen.fillStyle = `rgb(${shade}, ${shade}, ${shade})`;
      pen.fillRect(edge(j), edge(i), edge(j + 1) - edge(j), edge(i + 1) - edge(i));
    }
    this.canvas.dataset.empty = this.empty;
    if (this.enabled && this.empty) {
      pen.fillStyle = "#a0a0a0";
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText("empty: draw here", wide / 2, wide / 2, wide - 8);
    }
    if (this.enabled && document.activeElement === this.canvas) this.drawCursor(pen, edge);
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(0.5, 0.5, wide - 1, wide - 1);
    return pen;
  }

  drawCursor(pen, edge) {
    const [j, i] = this.cursor;
    const box = [edge(j), edge(i), edge(j + 1) - edge(j), edge(i + 1) - edge(i)];
    pen.lineWidth = 3;
    pen.strokeStyle = "#000000";
    pen.strokeRect(...box);
    pen.lineWidth = 1.5;
    pen.strokeStyle = "#ffb000";
    pen.strokeRect(...box);
  }
}
