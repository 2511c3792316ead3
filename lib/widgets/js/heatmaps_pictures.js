// The pictures of the heatmaps: the input, the bars, the film of the training and the
// board of maps, drawn from bytes that have come; what the pointer reads in them.
import { bytes, element } from "./core.js";
import { View, short } from "./ui.js";
import { Frame, polyline } from "./plot.js";
import { bitmap, colour, drawBitmap } from "./heat.js";

export const HM_METHODS = [["saliency", "Saliency"], ["smooth_grad", "SmoothGrad"],
  ["integrated_gradients", "Integrated gradients"], ["occlusion", "Occlusion"],
  ["grad_cam", "Grad-CAM"]];
export const HM_CROSS = "#00e5ff"; // on no scale of the maps
export const HM_LINE = { light: "#0072b2", dark: "#4da3e0", dash: [] };
export const HM_SIDE = 270; // pixels of the picture that is asked about
export const HM_BESIDE = 334; // of what stands beside it and the examples
export const HM_CHOSEN = { light: "#d55e00", dark: "#ff9a5c" };

// A picture of C x H x W bytes as a canvas of W x H pixels, darkened by `light` below 1.
export function hmPicture(levels, [C, H, W], light = 1) {
  const canvas = element("canvas");
  canvas.width = W;
  canvas.height = H;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(W, H);
  for (let k = 0; k < H * W; k += 1) {
    for (let c = 0; c < 3; c += 1) {
      image.data[4 * k + c] = light * levels[(C === 3 ? c : 0) * H * W + k];
    }
    image.data[4 * k + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Lines through one cell of a picture that lies in the box [left, top, width, height].
export function hmCross(pen, [left, top, width, height], [H, W], [row, column]) {
  const [x, y] = [left + ((column + 0.5) / W) * width, top + ((row + 0.5) / H) * height];
  for (const [wide, paint] of [[3, "rgba(0,0,0,0.55)"], [1, HM_CROSS]]) {
    pen.beginPath();
    pen.moveTo(x, top);
    pen.lineTo(x, top + height);
    pen.moveTo(left, y);
    pen.lineTo(left + width, y);
    pen.lineWidth = wide;
    pen.strokeStyle = paint;
    pen.stroke();
  }
}

// The five maps on one canvas: five in a row, or three and two where it is narrow.
export class HmBoard extends Frame {
  constructor(label) {
    super(label);
    this.pad = { left: 0, right: 0, top: 0, bottom: 0 };
    this.shape = [1, 28, 28];
    this.node.classList.add("lm-hm-board");
  }

  beside(width) {
    const columns = width >= 720 ? 5 : 3;
    const gap = 12;
    const wide = Math.floor((width - gap * (columns - 1)) / columns);
    const tall = Math.round((wide * this.shape[1]) / this.shape[2]);
    const high = tall + 64; // title above; largest and value here below
    this.boxes = HM_METHODS.map((_, k) => [(k % columns) * (wide + gap),
      22 + Math.floor(k / columns) * (high + 8), wide, tall]);
    const five = columns === 5;
    this.bar = five ? [0, high + 10, width] : [2 * (wide + gap), high + 8 + tall / 2, wide];
    return five ? high + 44 : 2 * high + 8;
  }

  // [row, column] under a pointer, in whichever map it is; null between them.
  cellAt(event) {
    if (!this.boxes) return null;
    const box = this.canvas.getBoundingClientRect();
    const grow = box.width / this.width;
    const [x, y] = [(event.clientX - box.left) / grow, (event.clientY - box.top) / grow];
    const [, H, W] = this.shape;
    for (const [left, top, width, height] of this.boxes) {
      const [column, row] = [Math.floor(((x - left) / width) * W),
        Math.floor(((y - top) / height) * H)];
      if (row >= 0 && row < H && column >= 0 && column < W) return [row, column];
    }
    return null;
  }
}

export class HeatmapsPictures extends View {
  readAt() {
    if (!this.at) {
      return "Point at a cell of any map, or move there with the arrow keys, to read it "
        + "in all of them.";
    }
    const [i, j] = this.at;
    const values = HM_METHODS.map(([m, name]) => `${name} ${short(this.valueAt(m))}`);
    return `row ${i}, column ${j} · picture ${this.levelAt()} · ${values.join(" · ")}`;
  }

  levelAt() {
    const [C, H, W] = this.shape;
    const k = this.at[0] * W + this.at[1];
    const levels = Array.from({ length: C }, (_, c) => this.picture[c * H * W + k] / 255);
    return levels.map((v) => v.toFixed(2)).join(" ");
  }

  // What is on show of one method: {levels, scale, ...}, or null.
  shown(method) {
    const { maps, stages } = this.now;
    if (this.stage >= 0) {
      const levels = this.stages.get(`${this.stage}:${method}`);
      const scale = stages[this.stage].scales[method];
      return levels ? { ...maps[method], levels, scale, serial: `s${this.stage}` } : null;
    }
    const levels = this.maps.get(method);
    return levels && maps[method] ? { ...maps[method], levels } : null;
  }

  valueAt(method) {
    const map = this.shown(method);
    if (!map || !this.at) return NaN;
    const level = map.levels[this.at[0] * this.shape[2] + this.at[1]];
    const value = ((level - 128) / 127) * map.scale;
    return this.values.sign === "signed" ? value : Math.abs(value);
  }

  // ---- drawing -----------------------------------------------------------------------

  draw() {
    if (!this.built || !this.now || !this.picture) return;
    const { now, theme } = this;
    this.transport.show(now.step, now.last, now.playing);
    this.drawInput(theme);
    this.drawBars(theme);
    this.drawFilm(theme);
    this.drawBoard(theme);
    const text = this.readAt();
    if (this.readout.textContent !== text) this.readout.textContent = text;
    const [what, done, total] = now.progress || ["", 0, 1];
    this.bar.value = done / Math.max(1, total);
    this.doing.textContent = now.progress ? `${what}: ${done} of ${total}`
      : now.due.length && now.playing ? "The costly maps follow when you pause." : "";
    this.cancel.disabled = !now.progress;
    this.bar.style.opacity = now.progress ? "1" : "0.35";
    Object.assign(this.root.dataset, { position: String(now.step), last: String(now.last),
      playing: String(now.playing), target: String(now.target),
      predicted: String(now.predicted), complete: String(now.due.length === 0),
      subject: now.name, stage: String(this.stage), at: String(this.at || "") });
  }

  drawInput(theme) {
    if (this.drawable) {
      const pen = this.pad.draw(theme);
      const wide = this.pad.wide;
      if (pen && this.at) hmCross(pen, [0, 0, wide, wide], this.shape.slice(1), this.at);
      return;
    }
    const pen = this.photo.begin(theme);
    if (!pen) return;
    const [, H, W] = this.shape;
    const grow = Math.min(this.photo.width / W, this.photo.tall / H);
    const [width, height] = [W * grow, H * grow];
    this.photoBox = [(this.photo.width - width) / 2, (this.photo.tall - height) / 2,
      width, height];
    drawBitmap(pen, this.lit(1), ...this.photoBox);
    if (this.at) hmCross(pen, this.photoBox, [H, W], this.at);
  }

  // The picture at this brightness, made once.
  lit(light) {
    const key = `picture ${light}`;
    if (!this.cache.has(key)) {
      this.cache.set(key, hmPicture(this.picture, this.shape, light));
    }
    return this.cache.get(key);
  }

  drawBars(theme) {
    const { bars, now } = this;
    const { classes, chances, target, predicted } = now;
    bars.range = [0, 1, 0, classes.length];
    const pen = bars.begin(theme);
    if (!pen) return;
    const high = (bars.bottom - bars.top) / classes.length;
    pen.textBaseline = "middle";
    classes.forEach((name, k) => {
      const [top, middle] = [bars.top + k * high, bars.top + (k + 0.5) * high];
      const thick = Math.min(30, 0.72 * high);
      pen.fillStyle = k === target ? HM_CHOSEN[theme.dark ? "dark" : "light"]
        : theme.dark ? "#7d8b9a" : "#8a97a6";
      pen.fillRect(bars.left, top + (high - thick) / 2, Math.max(1,
        chances[k] * (bars.right - bars.left)), thick);
      pen.fillStyle = theme.ink;
      pen.textAlign = "right";
      pen.font = k === predicted ? `bold ${theme.font}` : theme.font;
      pen.fillText(name, bars.left - 7, middle, bars.left - 10);
      pen.textAlign = "left";
      pen.fillText(`${(100 * chances[k]).toFixed(1)} %`,
        Math.min(bars.left + chances[k] * (bars.right - bars.left) + 5, bars.right + 3),
        middle);
    });
    pen.font = theme.font;
    pen.strokeStyle = theme.soft;
    pen.beginPath();
    pen.moveTo(bars.left + 0.5, bars.top);
    pen.lineTo(bars.left + 0.5, bars.bottom);
    pen.stroke();
    pen.textAlign = "center";
    pen.fillText("probability; orange is explained, click another",
      (bars.left + bars.right) / 2 - 12, bars.bottom + 18, bars.width - 12);
  }

  drawFilm(theme) {
    const { film, moments, now } = this;
    film.range = [0, Math.max(20, now.last), 0, 1];
    const pen = film.begin(theme);
    if (!pen) return;
    film.clip(() => {
      polyline(pen, HM_LINE, theme, moments.length / 2, (k) =>
        [film.px(moments[2 * k]), film.py(moments[2 * k + 1])]);
      pen.beginPath();
      pen.moveTo(film.px(now.step), film.top);
      pen.lineTo(film.px(now.step), film.bottom);
      pen.lineWidth = 2;
      pen.strokeStyle = HM_CHOSEN[theme.dark ? "dark" : "light"];
      pen.stroke();
    });
    film.axes("step of training (click: look back)", "right on held-out");
  }

  drawBoard(theme) {
    const { board, now } = this;
    const pen = board.begin(theme);
    if (!pen) return;
    HM_METHODS.forEach(([method, name], k) =>
      this.drawMap(pen, theme, board.boxes[k], method, name));
    this.drawBar(pen, theme, board.bar);
    board.canvas.setAttribute("aria-label", `Five heatmaps over the picture, for `
      + `${now.classes[now.target]}. Arrow keys move the cross-hair, Escape takes it away.`
      + (this.at ? ` ${this.readAt()}` : ""));
  }

  drawMap(pen, theme, box, method, name) {
    const [left, top, width, height] = box;
    const map = this.shown(method);
    const { opacity } = this.values;
    drawBitmap(pen, this.lit(1 - 0.5 * opacity), ...box);
    if (map) drawBitmap(pen, this.coloured(method, map), ...box);
    pen.strokeStyle = theme.soft;
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    if (this.at) hmCross(pen, box, this.shape.slice(1), this.at);
    pen.fillStyle = theme.ink;
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.font = `bold ${theme.font.replace("12px", "13px")}`;
    pen.fillText(name, left, top - 7, width);
    pen.font = theme.font;
    pen.fillStyle = theme.soft;
    pen.fillText(this.remark(method, map), left, top + height + 16, width);
    pen.fillStyle = theme.ink;
    if (map && this.at) {
      pen.fillText(`here ${short(this.valueAt(method))}`, left, top + height + 33, width);
    }
  }

  // How large, how far, and of which moment.
  remark(method, map) {
    if (method === "grad_cam" && !this.now.layer) return "no convolution to ask";
    if (!map) return "not yet made";
    if (this.stage < 0 && map.done < map.total) return `${map.done} of ${map.total} passes`;
    const largest = map.scale ? `largest ${short(map.scale)}` : "empty: 0 everywhere";
    if (this.stage < 0 && map.step !== this.now.step) {
      return `of step ${map.step}`;
    }
    const more = { occlusion: `window ${this.now.window} px`, grad_cam: this.now.layer };
    const passes = `${map.total} ${map.total === 1 ? "pass" : "passes"}`;
    return `${largest} · ${more[method] || passes}`;
  }

  // Colours over the picture: clear where the map is near 0 or below the threshold.
  coloured(method, map) {
    const { opacity, threshold, sign } = this.values;
    const key = [method, map.serial, opacity, threshold, sign].join(" ");
    const kept = this.cache.get(method);
    if (kept && kept.key === key) return kept.picture;
    const { levels } = map;
    const signed = sign === "signed";
    const part = (k) => (levels[k] - 128) / 127;
    const share = (k) => (signed ? (part(k) + 1) / 2 : Math.abs(part(k)));
    const alpha = (k) => this.solid(Math.abs(part(k)));
    const [, H, W] = this.shape;
    const picture = bitmap(H, W, share, signed ? "signed" : "heat", true, alpha);
    this.cache.set(method, { key, picture });
    return picture;
  }

  solid(size) {
    const { opacity, threshold } = this.values;
    return size >= threshold - 1e-9 ? opacity * Math.min(1, 3 * size) : 0;
  }

  // The one scale of all five, over black as in the maps.
  drawBar(pen, theme, [left, top, width]) {
    const signed = this.values.sign === "signed";
    const wide = Math.min(width - 20, 420);
    const x0 = left + (width - wide) / 2;
    pen.fillStyle = "#000000";
    pen.fillRect(x0, top, wide, 12);
    for (let k = 0; k < wide; k += 1) {
      const share = k / (wide - 1);
      pen.globalAlpha = this.solid(signed ? Math.abs(2 * share - 1) : share);
      pen.fillStyle = colour(signed ? "signed" : "heat", true, share);
      pen.fillRect(x0 + k, top, 1, 12);
    }
    pen.globalAlpha = 1;
    pen.fillStyle = theme.ink;
    pen.textBaseline = "top";
    const words = signed ? ["against", "0", "for"] : ["0", "", "its largest"];
    ["left", "center", "right"].forEach((align, k) => {
      pen.textAlign = align;
      pen.fillText(words[k], x0 + (k * wide) / 2, top + 17);
    });
  }

  // Picture, bars and curve above, the maps below.
  saveAll() {
    const ratio = window.devicePixelRatio || 1;
    const gap = 16 * ratio;
    const above = [(this.drawable ? this.pad : this.photo).canvas, this.bars.canvas,
      this.film.canvas];
    const { canvas } = this.board;
    const all = element("canvas");
    all.width = Math.max(canvas.width, above.reduce((sum, c) => sum + c.width + gap, 0));
    all.height = canvas.height + gap + Math.max(...above.map((c) => c.height));
    const pen = all.getContext("2d");
    pen.fillStyle = this.theme.back;
    pen.fillRect(0, 0, all.width, all.height);
    let left = 0;
    for (const one of above) {
      pen.drawImage(one, left, 0);
      left += one.width + gap;
    }
    pen.drawImage(canvas, 0, all.height - canvas.height);
    this.save("heatmaps", all);
  }
}
