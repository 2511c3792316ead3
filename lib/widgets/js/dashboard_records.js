// What the kernel sends the training dashboard, as the page uses it: validation examples
// as pictures or rows, and the details of a record. And all panels as one picture.
import { bytes, element, floats } from "./core.js";

// The validation examples; picture(k) is a canvas, row(k) the numbers of example k.
export function examplesOf(about, shown, isDark) {
  const [count, ...shape] = about.shape;
  const size = shape.reduce((product, n) => product * n, 1);
  const values = about.kind === "pictures" ? bytes(shown) : floats(shown);
  const made = new Map();
  const row = (k) => values.subarray(k * size, (k + 1) * size);
  const picture = (k) => {
    const dark = isDark();
    const key = `${k} ${dark}`;
    if (!made.has(key)) made.set(key, painted(row(k), shape, dark));
    return made.get(key);
  };
  return { ...about, count, row, picture };
}

function painted(values, [channels, rows, columns], dark) {
  const canvas = element("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(columns, rows);
  const size = rows * columns;
  // ink on paper: dark on light, and the other way round on a dark page
  const turned = channels < 3 && !dark;
  for (let k = 0; k < size; k += 1) {
    for (let c = 0; c < 3; c += 1) {
      const value = values[Math.min(c, channels - 1) * size + k];
      image.data[4 * k + c] = turned ? 255 - value : value;
    }
    image.data[4 * k + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

// Details as lib/widgets/dashboard_parts.py packs them: step, reaches and confusion as
// float32, then histograms and probabilities as bytes.
export function unpack(packed, count, about, V) {
  const L = about.layers.length;
  const each = count ? packed.length / count : 0;
  const head = 4 * (1 + L + V * V);
  const bars = head + L * about.bins;
  return [...Array(count).keys()].map((k) => {
    const block = packed.subarray(k * each, (k + 1) * each);
    const numbers = floats(block.subarray(0, head));
    return { step: numbers[0], reach: numbers.subarray(1, 1 + L),
      confusion: numbers.subarray(1 + L), bars: block.slice(head, bars),
      probabilities: block.slice(bars) };
  });
}

// All frames on one canvas, two in a row, with room for a line of names at `foot`.
export function sheetOf(frames, back, gap) {
  const rows = [];
  for (let k = 0; k < frames.length; k += 2) {
    rows.push(frames.slice(k, k + 2).map((frame) => frame.canvas));
  }
  const sheet = element("canvas");
  sheet.width = Math.max(...rows.map((row) => row.reduce((sum, c) => sum + c.width + gap,
    gap)));
  const tall = rows.map((row) => Math.max(...row.map((c) => c.height)) + gap);
  sheet.height = tall.reduce((sum, height) => sum + height, 3 * gap);
  const pen = sheet.getContext("2d");
  pen.fillStyle = back;
  pen.fillRect(0, 0, sheet.width, sheet.height);
  let foot = gap;
  rows.forEach((row, r) => {
    let left = gap;
    for (const canvas of row) {
      pen.drawImage(canvas, left, foot);
      left += canvas.width + gap;
    }
    foot += tall[r];
  });
  return { sheet, pen, foot };
}
