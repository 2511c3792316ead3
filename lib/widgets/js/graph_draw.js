// The drawing of a computation graph: boxes with value and gradient, and between them
// edges with the local derivatives. `lib/widgets/graph_still.py` has placed them.
import { short } from "./ui.js";
import { SteppingView } from "./stepping.js";

const GRADIENT = { light: "#b84a00", dark: "#ff9a5c" };
const LEAF = { light: "#0072b2", dark: "#4da3e0" };
export const ROW = 66; // pixels from one row to the next
export const NARROW = 70; // pixels from one column to the next, at least
const SIGNS = { "*": "×", "-": "−", "/": "÷" };

// What graph.js shows has frame, graph, data, local, ops, position, last; computed(k)
// and gradients() say what is known at this step.
export class GraphPicture extends SteppingView {
  drawGraph(phase, node) {
    const pen = this.frame.begin(this.theme);
    if (!pen) return;
    const { columns } = this.graph;
    // where there is no room the whole picture shrinks, so that nothing overlaps
    this.shrink = Math.min(1, (this.frame.width - 8) / (columns * NARROW));
    const width = this.frame.width / this.shrink;
    pen.scale(this.shrink, this.shrink);
    const pitch = Math.min(190, (width - 8) / columns);
    const left = (width - pitch * columns) / 2;
    const w = Math.min(104, Math.max(50, pitch - 38));
    this.boxes = this.graph.nodes.map(([c, r]) => ({ x: left + (c + 0.5) * pitch,
      y: 30 + r * ROW, w, h: 50 }));
    const place = ([c, r]) => [left + (c + 0.5) * pitch, 30 + r * ROW];
    const known = this.gradients();
    const labels = this.graph.edges.map((edge) =>
      this.drawEdge(pen, edge, place, w, phase, node));
    this.boxes.forEach((box, k) => this.drawNode(pen, box, k, known, k === node));
    labels.forEach((label) => this.drawLabel(pen, label));
    this.drawKey(pen);
  }

  colour(style) {
    return this.theme.dark ? style.dark : style.light;
  }

  drawEdge(pen, edge, place, w, phase, node) {
    const { from, to, slot } = edge;
    const above = this.graph.parents[to];
    const points = edge.way.map(place);
    points[0] = [points[0][0] + w / 2, points[0][1]];
    const end = points.length - 1;
    // operands enter from top to bottom as they lie
    const height = (s) => this.graph.nodes[above[s]][1] + s * 1e-3;
    const shift = above.length < 2 ? 0
      : height(slot) < height(1 - slot) ? -11 : 11;
    points[end] = [points[end][0] - w / 2, points[end][1] + shift];
    const hand = to === node && phase !== "seed";
    const passed = this.position > this.ops.length + 1 &&
      this.ops.indexOf(to) >= 2 * this.ops.length + 1 - this.position;
    pen.beginPath();
    pen.moveTo(...points[0]);
    for (let k = 1; k <= end; k += 1) {
      const [[x0, y0], [x1, y1]] = [points[k - 1], points[k]];
      const bend = (x1 - x0) / 2;
      pen.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
    }
    pen.strokeStyle = passed ? this.colour(GRADIENT) : this.theme.soft;
    pen.lineWidth = hand ? 3 : 1.3;
    pen.stroke();
    const [[x0, y0], [x1, y1]] = [points[end - 1], points[end]];
    // where the curve is at 0.6 of its last piece
    const t = 0.58;
    const s = 1 - t;
    return { x: s ** 3 * x0 + 3 * s * t * (x0 + x1) / 2 + t ** 3 * x1,
      y: y0 + (y1 - y0) * (3 * s * t * t + t ** 3), room: x1 - x0, hand, passed,
      text: this.computed(to) ? brief(this.local[to][slot], x1 - x0) : "" };
  }

  // The local derivative on its edge; where there is no room only for the node in hand.
  drawLabel(pen, { x, y, text, hand, passed, room }) {
    if (!text) return;
    const size = room < 34 ? "10px" : hand ? "12px" : "11px";
    pen.font = this.theme.font.replace("12px", hand ? `bold ${size}` : size);
    const wide = pen.measureText(text).width;
    if (!hand && wide > room + 4) return;
    pen.fillStyle = this.theme.back;
    pen.fillRect(x - wide / 2 - 2, y - 8, wide + 4, 15);
    pen.fillStyle = passed ? this.colour(GRADIENT) : this.theme.ink;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, x, y);
  }

  drawNode(pen, { x, y, w, h }, k, known, hand) {
    const { names, operations, parents, variables } = this.graph;
    const leaf = !parents[k].length;
    const constant = leaf && !variables[k];
    const tall = constant ? 26 : h;
    pen.beginPath();
    pen.roundRect(x - w / 2, y - tall / 2, w, tall, 7);
    pen.fillStyle = this.theme.back;
    pen.fill();
    pen.lineWidth = hand ? 3.5 : 1.4;
    const back = this.position > this.ops.length;
    pen.strokeStyle = hand ? this.colour(back ? GRADIENT : LEAF)
      : constant ? this.theme.faint : leaf ? this.colour(LEAF) : this.theme.soft;
    pen.stroke();
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const write = (text, top, colour, bold = false) => {
      pen.font = this.theme.font.replace("12px", bold ? "bold 12px" : "12px");
      if (pen.measureText(text).width > w - 4) pen.font = this.theme.font.replace("12px",
        bold ? "bold 10px" : "10px");
      pen.fillStyle = colour;
      pen.fillText(text, x, top, w - 4);
    };
    if (constant) {
      write(names[k], y, this.theme.soft);
      return;
    }
    const sign = SIGNS[operations[k]] || operations[k];
    write(leaf ? names[k] : `${names[k]}: ${sign}`, y - 15, this.theme.ink, true);
    write(this.computed(k) ? short(this.data[k]) : "?", y, this.theme.ink);
    if (known.parts[k].length) {
      write(`${known.done[k] ? "" : "…"}∂ ${short(known.sums[k])}`, y + 15,
        this.colour(GRADIENT));
    }
  }

  drawKey(pen) {
    const L = this.graph.names[this.graph.names.length - 1];
    pen.font = this.theme.font;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    let x = 8;
    const y = this.frame.tall / this.shrink - 10;
    for (const [text, colour] of [["value", this.theme.ink],
      [`∂ gradient of ${L}`, this.colour(GRADIENT)],
      ["on an edge: local derivative", this.theme.soft]]) {
      pen.fillStyle = colour;
      pen.fillText(text, x, y);
      x += pen.measureText(text).width + 22;
    }
  }
}

// Two digits where there is no room for three.
function brief(value, room) {
  return short(room < 34 ? Number(value.toPrecision(2)) : value);
}
