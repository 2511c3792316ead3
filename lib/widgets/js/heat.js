// Maps of numbers as colours: one scale for amounts, one for signed numbers, and tables
// of them drawn cell by cell. Both scales stay readable for the colour-blind.
import { element } from "./core.js";

// Anchors from 0 to 1. `amount` runs from the background of the page to its opposite,
// through blue: more is always more contrast, in the light theme and in the dark one.
const SCALES = {
  amount: {
    light: ["#ffffff", "#d7e3f0", "#9dbfdc", "#5a93c4", "#2563a6", "#0b2f6b"],
    dark: ["#111418", "#16324f", "#1f5a8c", "#3f8cc4", "#8cc4e8", "#f2fbff"],
  },
  signed: { // negative is orange, positive is blue
    light: ["#8f3b00", "#d55e00", "#f2b98a", "#ffffff", "#9cc7e6", "#0072b2", "#003a63"],
    dark: ["#ffd2ad", "#ff9a5c", "#8a4310", "#111418", "#134b74", "#4da3e0", "#c9e8ff"],
  },
  heat: { // over a picture: dark violet, red, yellow
    light: ["#000004", "#420a68", "#932667", "#dd513a", "#fca50a", "#fcffa4"],
    dark: ["#000004", "#420a68", "#932667", "#dd513a", "#fca50a", "#fcffa4"],
  },
};

const tables = new Map();

// 256 colours of one scale as a Uint8 table [r, g, b, r, g, b, ...].
export function colours(scale, dark) {
  const key = `${scale}-${dark}`;
  if (tables.has(key)) return tables.get(key);
  const anchors = SCALES[scale][dark ? "dark" : "light"].map((hex) =>
    [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  const table = new Uint8Array(3 * 256);
  for (let k = 0; k < 256; k += 1) {
    const at = (k / 255) * (anchors.length - 1);
    const low = Math.min(anchors.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c += 1) {
      table[3 * k + c] = anchors[low][c] + (at - low) * (anchors[low + 1][c]
        - anchors[low][c]);
    }
  }
  tables.set(key, table);
  return table;
}

// "rgb(...)" of a share from 0 to 1.
export function colour(scale, dark, share) {
  const table = colours(scale, dark);
  const k = 3 * Math.max(0, Math.min(255, Math.round(255 * (share || 0))));
  return `rgb(${table[k]}, ${table[k + 1]}, ${table[k + 2]})`;
}

// One picture of rows x columns cells, made once and drawn at any size. `share(k)` gives
// 0 to 1 for cell k, row 0 on top; `alpha(k)`, if given, how solid the cell is, 0 to 1.
export function bitmap(rows, columns, share, scale, dark, alpha = null) {
  const canvas = element("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(columns, rows);
  const table = colours(scale, dark);
  for (let k = 0; k < rows * columns; k += 1) {
    const at = 3 * Math.max(0, Math.min(255, Math.round(255 * (share(k) || 0))));
    image.data[4 * k] = table[at];
    image.data[4 * k + 1] = table[at + 1];
    image.data[4 * k + 2] = table[at + 2];
    image.data[4 * k + 3] = alpha ? 255 * alpha(k) : 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Draw such a picture into a box of the page; with hard cell edges unless `smooth`.
export function drawBitmap(pen, picture, left, top, width, height, smooth = false) {
  pen.imageSmoothingEnabled = smooth;
  pen.drawImage(picture, left, top, width, height);
  pen.imageSmoothingEnabled = true;
}

// A colour bar from `low` to `high`, with both written beside it.
export function colourBar(pen, theme, scale, left, top, width, height, low, high) {
  for (let k = 0; k < width; k += 1) {
    pen.fillStyle = colour(scale, theme.dark, k / Math.max(1, width - 1));
    pen.fillRect(left + k, top, 1, height);
  }
  pen.strokeStyle = theme.soft;
  pen.lineWidth = 1;
  pen.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
  pen.fillStyle = theme.ink;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  pen.fillText(low, left - 5, top + height / 2);
  pen.textAlign = "left";
  pen.fillText(high, left + width + 5, top + height / 2);
}
