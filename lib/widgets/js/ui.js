// Native, labelled controls built from the kernel's declarations (lib/widgets/controls.py),
// the transport bar, and the view that all widgets extend.
import { element, readTheme } from "./core.js";
import { swatch } from "./plot.js";

let counter = 0;
export function uniqueId(word) {
  counter += 1;
  return `lm-${word}-${counter}-${Math.random().toString(36).slice(2, 7)}`;
}

// A number in few characters: 0.001, 0.25, 1.2e-5, 3400.
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size < 1e-30) return "0"; // float32 has lost its digits by then
  if (size < 1e-3 || size >= 1e5) {
    return value.toExponential(1).replace("-", "−").replace("e+", "e");
  }
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

const builders = { range: rangeControl, log: rangeControl, choice: choiceControl,
  toggle: toggleControl, text: textControl };

// An element for one declared control, with show(value); calls change(value) by hand.
export function control(spec, change) {
  return builders[spec.kind](spec, change);
}

function rangeControl(spec, change) {
  const id = uniqueId(spec.name);
  const log = spec.kind === "log";
  const to = (value) => (log ? Math.log10(value) : value);
  const from = (place) => {
    if (!log) return place;
    // keep three digits, so that 1e-3 is 0.001 and not 0.00100000000002
    return Number((10 ** place).toPrecision(3));
  };
  const input = element("input", {
    type: "range", id, min: String(to(spec.low)), max: String(to(spec.high)),
    step: String(spec.step), title: spec.help, "aria-label": spec.label,
  });
  const output = element("output", { for: id });
  const show = (value) => {
    const number = typeof value === "number";
    if (number) input.value = String(to(value));
    output.textContent = number ? short(value) : value;
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => {
    const value = Math.min(spec.high, Math.max(spec.low, from(Number(input.value))));
    output.textContent = short(value);
    input.setAttribute("aria-valuetext", output.textContent);
    change(value);
  });
  const node = element("div", { class: "lm-control", "data-control": spec.name },
    element("label", { for: id, title: spec.help }, spec.label), input, output);
  return { node, input, show };
}

function choiceControl(spec, change) {
  const id = uniqueId(spec.name);
  const input = element("select", { id, title: spec.help },
    ...spec.choices.map(([value, label]) => element("option", { value }, label)));
  input.addEventListener("change", () => change(input.value));
  const show = (value) => { input.value = value; };
  const node = element("div", { class: "lm-control lm-choice", "data-control": spec.name },
    element("label", { for: id, title: spec.help }, spec.label), input);
  return { node, input, show };
}

function toggleControl(spec, change) {
  const id = uniqueId(spec.name);
  const input = element("input", { type: "checkbox", id, title: spec.help });
  input.addEventListener("change", () => change(input.checked));
  const show = (value) => { input.checked = value; };
  const node = element("div", { class: "lm-control lm-toggle", "data-control": spec.name },
    input, element("label", { for: id, title: spec.help }, spec.label));
  return { node, input, show };
}

// What is typed is told after a rest of 150 ms, or at once on Enter; the newest wins.
function textControl(spec, change) {
  const id = uniqueId(spec.name);
  const input = element("input", { type: "text", id, title: spec.help,
    maxlength: String(spec.high), spellcheck: "false", autocomplete: "off" });
  let timer = 0;
  const tell = () => {
    clearTimeout(timer);
    timer = 0;
    change(input.value);
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(tell, 150);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && timer) tell();
  });
  const show = (value) => { // never over what is being typed
    if (!timer && input.value !== value) input.value = value;
  };
  const node = element("div", { class: "lm-control lm-text", "data-control": spec.name },
    element("label", { for: id, title: spec.help }, spec.label), input);
  return { node, input, show };
}

export function button(label, title, action, extra = {}) {
  return element("button", { type: "button", title, onclick: action, ...extra }, label);
}

// Play, pause, step, reset, speed and a scrubber. `owner` has play(), pause(), step(),
// reset(), seek(position), and the speed is the owner's to use.
export class Transport {
  constructor(owner, speeds, unit = "step") {
    this.owner = owner;
    this.unit = unit;
    this.playing = null;
    const scrub = uniqueId("scrub");
    const speed = uniqueId("speed");
    this.playButton = button("▶ Play", "Play or pause (space)", () =>
      this.playing ? owner.pause() : owner.play(), { class: "lm-play" });
    this.stepButton = button("Step", `One ${unit} forward`, () => owner.step());
    this.resetButton = button("Reset", "Back to the start, with the same seed", () =>
      owner.reset());
    this.scrub = element("input", { type: "range", id: scrub, min: "0", max: "1",
      step: "1", value: "0", "aria-label": `${unit} shown` });
    this.scrub.addEventListener("input", () => owner.seek(Number(this.scrub.value)));
    this.where = element("output", { for: scrub, class: "lm-where" });
    this.speed = element("select", { id: speed },
      ...speeds.map(([value, label]) => element("option", { value: String(value) },
        label)));
    this.node = element("div", { class: "lm-transport" },
      this.playButton, this.stepButton, this.resetButton,
      element("span", { class: "lm-speed" },
        element("label", { for: speed }, "Speed"), this.speed),
      element("span", { class: "lm-scrub" }, this.scrub, this.where));
  }

  get perSecond() {
    return Number(this.speed.value);
  }

  show(position, last, playing) {
    if (this.scrub.max !== String(last)) this.scrub.max = String(last);
    this.scrub.value = String(position);
    this.where.textContent = `${this.unit} ${position} of ${last}`;
    if (playing === this.playing) return;
    this.playing = playing;
    this.playButton.textContent = playing ? "‖ Pause" : "▶ Play";
    this.playButton.setAttribute("aria-pressed", String(playing));
  }
}

// What every view has: controls that mirror the kernel's, a status line that screen
// readers hear, the red error box, the note after the kernel has gone, the picture.
export class View {
  constructor(root, link) {
    this.root = root;
    this.link = link;
    this.theme = readTheme(root);
    this.controls = new Map();
    this.values = {};
    this.statusLine = element("div", { class: "lm-status", role: "status",
      "aria-live": "polite" });
    this.errorBox = element("div", { class: "lm-error", role: "alert", hidden: true });
    this.spoken = 0;
  }

  addControl(spec, change = (value) => this.link.set(spec.name, value)) {
    const made = control(spec, (value) => {
      this.values[spec.name] = value;
      change(value);
      this.link.invalidate();
    });
    this.controls.set(spec.name, made);
    return made.node;
  }

  // News that left the kernel before our question got there holds the old value: until
  // the answer comes, the control stays as the hand on it left it.
  value(name, value) {
    if (this.link.asked.has(name)) return;
    this.values[name] = value;
    this.controls.get(name)?.show(value);
  }

  showValues(values) {
    for (const [name, value] of Object.entries(values)) this.value(name, value);
  }

  // A message goes on to take(content, parts), its buffers by the names of its parts.
  message(content, buffers) {
    const parts = {};
    (content.parts || []).forEach((name, k) => { parts[name] = buffers[k]; });
    this.take(content, parts);
  }

  // Screen readers hear this line: at most once a second while something runs.
  status(text, calm = true) {
    const now = performance.now();
    if (this.over || text === this.statusLine.textContent) return;
    if (!calm && now - this.spoken < 1000) return;
    this.spoken = now;
    this.statusLine.textContent = text;
  }

  fail(text) {
    this.errorBox.hidden = !text;
    this.errorBox.textContent = text || "";
  }

  ended() {
    this.pause?.();
    this.root.classList.add("lm-ended");
    const inputs = "[data-control] input, [data-control] select";
    for (const input of this.root.querySelectorAll(inputs)) input.disabled = true;
    // what has come can still be played and saved; what asks the kernel cannot
    const asking = this.root.querySelectorAll(".lm-chip, fieldset button:not(.lm-save)");
    for (const node of asking) node.disabled = true;
    this.status("The kernel has gone. Run this cell again to bring the widget back.");
    this.over = true;
  }

  // Save what the canvases show, side by side, as one PNG.
  save(name, ...canvases) {
    const ratio = window.devicePixelRatio || 1;
    const gap = 16 * ratio;
    const names = this.pictured?.() || []; // [{label, style}] to explain the lines
    const all = element("canvas");
    all.width = canvases.reduce((sum, c) => sum + c.width + gap, gap);
    const foot = Math.max(...canvases.map((c) => c.height)) + gap;
    all.height = foot + gap + (names.length ? 1.5 * gap : 0);
    const pen = all.getContext("2d");
    pen.fillStyle = this.theme.back;
    pen.fillRect(0, 0, all.width, all.height);
    let left = gap;
    for (const canvas of canvases) {
      pen.drawImage(canvas, left, gap);
      left += canvas.width + gap;
    }
    this.explain(pen, names, gap, foot / ratio + 8, ratio);
    all.toBlob((blob) => {
      const url = URL.createObjectURL(blob);
      element("a", { href: url, download: `${name}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    });
    this.status(`Saved ${name}.png`);
  }

  // One row under the saved pictures: line, mark and name of each racer.
  explain(pen, names, gap, top, ratio) {
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = this.theme.font;
    pen.textBaseline = "middle";
    let left = gap / ratio;
    for (const { label, style } of names) {
      swatch(pen, style, this.theme, left, top + 8);
      pen.fillStyle = this.theme.ink;
      pen.fillText(label, left + 36, top + 8);
      left += 52 + pen.measureText(label).width;
    }
  }

  destroy() {}
}
