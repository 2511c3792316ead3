// The page side of lib/widgets/base.py: hello, snapshot, messages, acknowledgements,
// one animation frame for all drawing, the theme, errors and the status line.

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// Bytes of a message or a snapshot as float32; copied, since they may lie unaligned.
export function floats(view) {
  if (!view) return new Float32Array(0);
  const bytes = view.buffer
    ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)
    : view.slice(0);
  return new Float32Array(bytes);
}

// Bytes of a message or a snapshot as numbers from 0 to 255.
export function bytes(view) {
  if (!view) return new Uint8Array(0);
  return view.buffer ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    : new Uint8Array(view);
}

// What the link to the kernel needs for one view. `view` has snapshot(state),
// message(content, buffers), draw(), and may have destroy().
export class Link {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.page = Math.random().toString(36).slice(2) + Date.now().toString(36);
    this.asked = new Map(); // control -> value that waits for the kernel's answer
    this.waiting = new Map(); // control -> newest value, sent after that answer
    this.seq = 0;
    this.acknowledged = 0;
    this.frame = 0;
    this.alive = true;
  }

  send(content) {
    if (this.alive) this.model.send({ ...content, page: this.page });
  }

  command(name, ...args) {
    this.send({ kind: "do", name, args });
  }

  // One question per control is under way; while it is, only the newest value is kept.
  set(name, value) {
    if (this.asked.has(name)) {
      this.waiting.set(name, value);
      return;
    }
    this.asked.set(name, value);
    this.send({ kind: "set", name, value });
  }

  answered(name) {
    this.asked.delete(name);
    if (this.waiting.has(name)) {
      const value = this.waiting.get(name);
      this.waiting.delete(name);
      this.set(name, value);
      return false; // a newer value is on its way: do not move the control back
    }
    return true;
  }

  invalidate() {
    if (!this.frame) this.frame = requestAnimationFrame((now) => this.paint(now));
  }

  paint(now) {
    this.frame = 0;
    if (!this.root.isConnected) return;
    try {
      this.view.draw(now);
    } catch (error) {
      this.view.fail(`This page could not draw: ${error.message}`);
      console.error(error);
    }
    if (this.seq > this.acknowledged) {
      this.acknowledged = this.seq;
      this.send({ kind: "ack", seq: this.seq });
    }
    this.root.dataset.drawn = this.seq;
  }

  connect(view) {
    this.view = view;
    const { model } = this;
    this.onMessage = (content, buffers) => this.receive(content, buffers);
    this.onSnapshot = () => this.restore();
    this.onDead = () => this.dead();
    model.on("msg:custom", this.onMessage);
    model.on("change:snapshot", this.onSnapshot);
    model.on("comm_live_update", this.onDead);
    this.restore();
    this.send({ kind: "hello" });
  }

  restore() {
    const state = this.model.get("snapshot");
    if (!state || !state.controls) return;
    this.view.snapshot(state);
    this.view.fail(state.error);
    this.invalidate();
  }

  receive(content, buffers) {
    if (content.kind === "welcome") {
      if (content.page !== this.page) return;
      this.root.dataset.state = "live";
    } else if (this.root.dataset.state !== "live") {
      return; // news for another view: this one has yet to get the snapshot
    } else if (content.kind === "value") {
      if (this.answered(content.name)) this.view.value(content.name, content.value);
    } else if (content.kind === "error") {
      this.view.fail(content.text);
    } else {
      this.view.message(content, buffers || []);
    }
    if (content.seq) this.seq = Math.max(this.seq, content.seq);
    this.invalidate();
  }

  dead() {
    this.alive = false;
    this.root.dataset.state = "ended";
    this.view.ended();
  }

  disconnect() {
    if (this.alive) this.send({ kind: "bye" });
    this.alive = false;
    cancelAnimationFrame(this.frame);
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:snapshot", this.onSnapshot);
    this.model.off("comm_live_update", this.onDead);
  }
}

// The colours of the page's theme, read where the widget stands.
export function readTheme(root) {
  const style = getComputedStyle(root);
  const get = (name, other) => style.getPropertyValue(name).trim() || other;
  const back = get("--jp-layout-color0", "#ffffff");
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = back;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  const dark = 0.299 * r + 0.587 * g + 0.114 * b < 128;
  return {
    dark,
    back,
    ink: get("--jp-ui-font-color1", dark ? "#e0e0e0" : "#212121"),
    faint: dark ? "rgba(255,255,255,0.16)" : "rgba(0,0,0,0.12)",
    soft: dark ? "rgba(255,255,255,0.62)" : "rgba(0,0,0,0.60)",
    font: "12px " + get("--jp-ui-font-family", "system-ui, sans-serif"),
  };
}

// Build one view in `el` and keep it in step with the kernel until it is removed.
export function mount({ model, el }, View) {
  const root = element("div", { class: "lm-live" });
  root.dataset.state = "waiting";
  el.append(root);
  const link = new Link(model, root);
  const view = new View(root, link);
  root.live = view; // for tests and for the curious: document.querySelector(...).live
  const repaint = () => {
    view.theme = readTheme(root);
    link.invalidate();
  };
  // JupyterLab's one-letter commands (x cuts the cell) must not hear what is meant here
  root.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey || event.altKey;
    const runs = event.key === "Enter" && event.shiftKey;
    if (!command && !runs && event.key !== "Escape") event.stopPropagation();
    if (event.key !== " " || !["CANVAS", "DIV"].includes(event.target.tagName)) return;
    event.preventDefault();
    if (view.playing) view.pause();
    else view.play();
  });
  const watcher = new MutationObserver(repaint);
  watcher.observe(document.body, { attributes: true });
  const sizer = new ResizeObserver(repaint);
  sizer.observe(root);
  repaint();
  link.connect(view);
  return () => {
    watcher.disconnect();
    sizer.disconnect();
    view.destroy();
    link.disconnect();
    root.remove();
  };
}
