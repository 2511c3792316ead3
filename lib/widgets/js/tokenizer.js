// Byte-pair encoding as a film: the text with the pair that is merged next, the counts,
// the tokens that are left, and a sentence encoded with the vocabulary of the moment.
// The kernel sends the merges once; what they do to a text is worked out here.
import { element, floats, mount } from "./core.js";
import { Transport, View, button, short } from "./ui.js";
import { Frame, mark, polyline, ticks } from "./plot.js";

const [LEFT, RIGHT, COUNT, TOTAL, WIDE] = [0, 1, 2, 3, 4]; // columns of a merge
const PAIR = { light: "#d55e00", dark: "#ff9a5c", dash: [], mark: "circle" };
const OTHERS = { light: "#0072b2", dark: "#4da3e0", dash: [] };
const SAYS_MORE = 60; // newest tokens of the vocabulary on show

// Put `token` in the place of each such pair, from left to right.
function mergePair(tokens, left, right, token) {
  const out = [];
  for (let i = 0; i < tokens.length; i += 1) {
    if (tokens[i] === left && tokens[i + 1] === right) {
      out.push(token);
      i += 1;
    } else out.push(tokens[i]);
  }
  return out;
}

class TokenizerPage extends View {
  constructor(root, link) {
    super(root, link);
    this.pairs = new Frame("The most frequent pairs and how often they occur", 300);
    this.pairs.pad = { left: 150, right: 58, top: 4, bottom: 38 };
    this.pairs.beside = () => 300;
    this.pairs.marksY = () => [];
    this.fall = new Frame("Tokens in the training text against merges", 240);
    this.fall.beside = () => 236;
    Object.assign(this.fall.pad, { left: 62, right: 22 });
    this.fall.marksY = (low, high) => ticks(low, high, 4).map((y) =>
      [y, y.toLocaleString("en")]);
    this.transport = new Transport(this, [[1, "1 a second"], [4, "4"], [20, "20"]],
      "merge");
    this.transport.speed.value = "4";
    this.back = button("Back", "One merge back", () => this.seek(this.shown - 1));
    this.transport.stepButton.before(this.back);
    this.text = element("div", { class: "lm-tk-text", tabindex: "0", role: "group",
      "aria-label": "The beginning of the training text, in tokens" });
    this.textHead = element("div", { class: "lm-tk-heading" });
    this.pairHead = element("div", { class: "lm-tk-heading" });
    this.newHead = element("div", { class: "lm-tk-heading" });
    this.newest = element("div", { class: "lm-tk-new", tabindex: "0", role: "group",
      "aria-label": "The newest tokens of the vocabulary" });
    this.chips = element("div", { class: "lm-tk-chips", tabindex: "0", role: "group",
      "aria-label": "Tokens of the sentence" });
    this.chipHead = element("div", { class: "lm-tk-heading" });
    this.table = element("tbody");
    this.readout = element("div", { class: "lm-readout" }, "\u00a0");
    this.merges = new Float32Array(0);
    this.moments = new Float32Array(0);
    this.names = [];
    this.position = 0;
    this.playing = false;
    this.built = false;
    this.under = null;
  }

  get pictures() {
    return [this.pairs, this.fall];
  }

  build(state) {
    this.built = true;
    const spec = new Map(state.controls.map((c) => [c.name, c]));
    const add = (name) => this.addControl(spec.get(name));
    const heads = ["Tokenizer", "Size", "Tokens", "Chars a token", "Unknown",
      "The sentence in tokens"];
    const head = element("tr", {}, ...heads.map((text, k) => element("th",
      { scope: "col", class: k > 0 && k < 5 ? "lm-tk-number" : null }, text)));
    this.root.append(
      element("div", { class: "lm-tk-row" }, add("source"), add("merges"), add("text"),
        add("min_count")),
      element("div", { class: "lm-tk-row" },
        element("div", {}, this.textHead, this.text),
        element("div", {}, this.pairHead, this.pairs.node)),
      this.transport.node, this.statusLine, this.errorBox,
      element("div", { class: "lm-tk-row" },
        element("div", { class: "lm-right" }, this.fall.node, this.readout),
        element("div", {}, this.newHead, this.newest,
          element("div", { class: "lm-row" },
            element("span", { class: "lm-tk-key" },
              element("span", { class: "lm-tk-token lm-tk-next" }, "merged next"),
              element("span", { class: "lm-tk-token lm-tk-made" }, "just made"),
              element("span", { class: "lm-tk-token lm-tk-long" }, "merged before")),
            button("Save picture", "Save both pictures as one PNG", () =>
              this.save("tokenizer", this.pairs.canvas, this.fall.canvas),
            { class: "lm-save" })))),
      element("fieldset", { class: "lm-tk-encode" },
        element("legend", {}, "Encode another text"), add("sentence"), this.chipHead,
        this.chips,
        element("table", { class: "lm-tk-table" }, element("thead", {}, head),
          this.table)));
    this.listen();
  }

  listen() {
    const { canvas } = this.fall;
    canvas.addEventListener("pointerdown", (event) => {
      const at = event.button === 0 && this.fall.under(event);
      if (at) this.seek(Math.round(at[0]));
    });
    canvas.addEventListener("pointermove", (event) => {
      this.under = this.fall.under(event);
      this.link.invalidate();
    });
    canvas.addEventListener("pointerleave", () => {
      this.under = null;
      this.link.invalidate();
    });
  }

  // ---- data from the kernel ----------------------------------------------------------

  snapshot(state) {
    if (!this.built) this.build(state);
    this.take(state, { merges: state.merges, pairs: state.pairs });
  }

  take(content, parts) {
    const fresh = content.film !== this.film;
    const { film, learned, complete, candidates } = content;
    Object.assign(this, { film, learned, complete, wide: candidates });
    this.showValues(content.values);
    if (content.pieces) {
      this.pieces = content.pieces;
      this.length = content.length;
      this.compared = content.compared;
    }
    if (fresh) {
      this.excerpt = content.excerpt;
      this.firstTotal = content.first_total;
      this.names = [];
      this.playing = false;
      this.position = 0;
    }
    const first = content.from;
    this.names.length = first ? 256 + first : 0;
    this.names.push(...content.names);
    const grown = (old, more, size) => {
      const all = new Float32Array(size + more.length);
      all.set(old.subarray(0, size));
      all.set(more, size);
      return all;
    };
    this.merges = grown(this.merges, floats(parts.merges), first * WIDE);
    this.moments = grown(this.moments, floats(parts.pairs),
      fresh ? 0 : (first + 1) * 3 * this.wide);
    this.position = Math.min(this.position, this.learned);
    this.rewrite();
    this.link.invalidate();
  }

  merge(k) {
    return this.merges.subarray(k * WIDE, (k + 1) * WIDE);
  }

  // The tokens of one piece after so many merges, in the order in which they were learned.
  encode(bytes, count) {
    let tokens = bytes;
    for (let k = 0; k < count && tokens.length > 1; k += 1) {
      const at = k * WIDE;
      const left = this.merges[at];
      if (!tokens.includes(left)) continue;
      tokens = mergePair(tokens, left, this.merges[at + RIGHT], 256 + k);
    }
    return tokens;
  }

  // ---- playing -----------------------------------------------------------------------

  get shown() {
    return Math.floor(this.position);
  }

  play() {
    if (!this.learned) return;
    if (this.shown >= this.learned) this.position = 0;
    this.playing = true;
    this.clock = null;
    this.link.invalidate();
  }

  pause() {
    this.playing = false;
    if (this.built) this.announce(this.shown);
    this.link.invalidate();
  }

  step() {
    this.seek(this.shown + 1);
  }

  reset() {
    this.seek(0);
  }

  seek(position) {
    this.playing = false;
    this.position = Math.min(Math.max(0, position), this.learned);
    this.rewrite();
    this.link.invalidate();
  }

  advance(now) {
    if (!this.playing) return;
    const before = this.shown;
    if (this.clock !== null) {
      this.position += ((now - this.clock) / 1000) * this.transport.perSecond;
    }
    this.clock = now;
    if (this.position >= this.learned) {
      this.position = this.learned;
      this.playing = false;
    }
    if (this.shown !== before) this.rewrite();
    this.link.invalidate();
  }

  ended() {
    this.pause();
    super.ended();
  }

  // ---- what stands in words ----------------------------------------------------------

  // The pairs before merge k + 1: [left, right, count], the next one first.
  candidatesAt(k) {
    const out = [];
    for (let row = 0; row < this.wide; row += 1) {
      const at = (k * this.wide + row) * 3;
      if (this.moments[at + 2]) out.push(this.moments.subarray(at, at + 3));
    }
    return out;
  }

  name(token) {
    return this.names[token] ?? "?";
  }

  rewrite() {
    const k = this.shown;
    this.next = k < this.learned ? this.merge(k) : null;
    this.writeText(k);
    this.writeNewest(k);
    this.writeSentence(k);
    this.announce(k);
  }

  token(id, kind) {
    return element("span", { class: `lm-tk-token${kind ? ` lm-tk-${kind}` : ""}`,
      title: `token ${id}` }, this.name(id));
  }

  writeText(k) {
    const nodes = [];
    let pairs = 0;
    for (const bytes of this.excerpt) {
      if (!bytes.length) nodes.push(element("br"));
      const tokens = this.encode(bytes, k);
      for (let i = 0; i < tokens.length; i += 1) {
        const pair = this.next && tokens[i] === this.next[LEFT]
          && tokens[i + 1] === this.next[RIGHT];
        if (pair) {
          nodes.push(this.token(tokens[i], "next"), this.token(tokens[i + 1], "next"));
          pairs += 1;
          i += 1;
        } else {
          nodes.push(this.token(tokens[i], tokens[i] === 255 + k && k ? "made"
            : tokens[i] > 255 ? "long" : ""));
        }
        if (this.name(tokens[i]).endsWith("\\n")) nodes.push(element("br"));
      }
    }
    this.text.replaceChildren(...nodes);
    this.marked = pairs;
    this.textHead.textContent = `The training text after ${k} merges (its beginning)`;
  }

  writeNewest(k) {
    const chips = [];
    for (let t = 255 + k; t > 255 && chips.length < SAYS_MORE; t -= 1) {
      const [left, right, count] = this.merge(t - 256);
      chips.push(element("span", { class: "lm-tk-chip", title: `${this.name(left)} + `
        + `${this.name(right)}, ${count} times` }, element("b", {}, this.name(t)),
      element("small", {}, String(t))));
    }
    this.newest.replaceChildren(...chips);
    this.newHead.textContent = `Vocabulary: 256 bytes and ${k} merged tokens`
      + `${k > SAYS_MORE ? `, the newest ${SAYS_MORE}:` : k ? ", the newest first:" : ""}`;
  }

  writeSentence(k) {
    const ids = this.pieces.flatMap((bytes) => this.encode(bytes, k));
    this.ids = ids;
    this.chips.replaceChildren(...ids.map((id) => {
      const part = /^(\\x[0-9a-f]{2})+$/.test(this.name(id));
      return element("span", { class: `lm-tk-chip${part ? " lm-tk-byte" : ""}`,
        title: part ? "a part of a character: its bytes" : `token ${id}` },
      element("b", {}, this.name(id)), element("small", {}, String(id)));
    }));
    const bytes = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    const each = ids.length ? short(this.length / ids.length) : "–";
    this.chipHead.textContent = `${this.length} characters, ${bytes} bytes, `
      + `${ids.length} tokens: ${each} characters a token. Pink: bytes of a rare character`;
    const [characters, words, pieces] = this.compared;
    const here = { name: "byte pairs, here", size: 256 + k, ids, unknown: 0,
      tokens: ids.map((id) => this.name(id)), note: `after ${k} merges` };
    const rows = [characters, words, here, pieces];
    const most = Math.max(1, ...rows.map((row) => row.tokens.length));
    this.table.replaceChildren(...rows.map((row) => this.tableRow(row, most)));
  }

  tableRow({ name, size, tokens, unknown, note }, most) {
    const number = (text) => element("td", { class: "lm-tk-number" }, String(text));
    const cell = element("div", { class: "lm-tk-cell", tabindex: "0",
      "aria-label": `tokens by ${name}` }, ...tokens.map((text) =>
      element("span", { class: `lm-tk-token${["<unk>", "[UNK]"].includes(text)
        ? " lm-tk-unknown" : " lm-tk-long"}` }, text)));
    const bar = element("div", { class: "lm-tk-share", "aria-hidden": "true" });
    bar.style.width = `${(100 * tokens.length) / most}%`;
    return element("tr", { "data-tokenizer": name },
      element("th", { scope: "row" }, element("strong", {}, name),
        element("small", {}, note)),
      number(size ? size.toLocaleString("en") : "–"),
      element("td", { class: "lm-tk-number" }, size ? String(tokens.length) : "–", bar),
      number(tokens.length ? short(this.length / tokens.length) : "–"),
      number(size ? unknown : "–"), element("td", {}, cell));
  }

  announce(k) {
    const left = this.complete ? "" : ` Learning: ${this.learned} of `
      + `${this.values.merges} merges.`;
    const total = this.total(k).toLocaleString("en");
    if (this.next) {
      const [a, b, count] = this.next;
      this.status(`Merge ${k + 1}: “${this.name(a)}” and “${this.name(b)}”, side by side `
        + `${count} times, become “${this.name(256 + k)}”. Now ${total} tokens.${left}`,
      !this.playing && this.complete);
    } else {
      const why = this.learned < this.values.merges ? "No pair is frequent enough any "
        + "more." : "That was the last merge asked for.";
      this.status(this.complete ? `${why} ${total} tokens are left.` : left.trim());
    }
  }

  total(k) {
    return k ? this.merge(k - 1)[TOTAL] : this.firstTotal;
  }

  // ---- drawing -----------------------------------------------------------------------

  draw(now) {
    if (!this.built) return;
    this.advance(now);
    const k = this.shown;
    this.transport.show(k, this.learned, this.playing);
    this.back.disabled = k === 0;
    this.transport.stepButton.disabled = k >= this.learned;
    this.drawPairs(k);
    this.drawFall(k);
    Object.assign(this.root.dataset, { position: String(k),
      learned: String(this.learned), playing: String(this.playing),
      complete: String(this.complete), film: String(this.film),
      tokens: String(this.ids.length), total: String(this.total(k)) });
  }

  drawPairs(k) {
    const { pairs, theme } = this;
    const rows = this.candidatesAt(k);
    const top = rows.length ? rows[0][COUNT] : 1;
    pairs.range = [0, top * 1.04, 0, this.wide];
    const pen = pairs.begin(theme);
    if (!pen) return;
    pairs.axes("how often the two stand side by side", "");
    const head = `The most frequent pairs${this.next ? "; the first is merged next"
      : " that are left"}`;
    if (this.pairHead.textContent !== head) this.pairHead.textContent = head;
    const high = (pairs.bottom - pairs.top) / this.wide;
    rows.forEach(([left, right, count], row) => {
      const y = pairs.top + row * high;
      const first = row === 0 && this.next;
      const style = first ? PAIR : OTHERS;
      pen.fillStyle = theme.dark ? style.dark : style.light;
      pen.fillRect(pairs.left, y + 3, pairs.px(count) - pairs.left, high - 6);
      pen.fillStyle = theme.ink;
      pen.textBaseline = "middle";
      pen.textAlign = "right";
      pen.font = `${first ? "bold " : ""}13px monospace`;
      pen.fillText(`${this.name(left).slice(0, 9)} + ${this.name(right).slice(0, 9)}`,
        pairs.left - 8, y + high / 2);
      pen.textAlign = "left";
      pen.font = theme.font;
      pen.fillText(count.toLocaleString("en"), pairs.right + 6, y + high / 2);
    });
  }

  drawFall(k) {
    const { fall, theme } = this;
    const last = Math.max(1, this.learned);
    fall.range = [0, last, 0, Math.max(1, this.firstTotal) * 1.06];
    const pen = fall.begin(theme);
    if (!pen) return;
    fall.axes("merges", "tokens in the training text");
    const put = (i) => [fall.px(i), fall.py(this.total(i))];
    fall.clip(() => {
      const soft = { light: theme.soft, dark: theme.soft, dash: [] };
      polyline(pen, soft, theme, 2, (i) => [fall.px(k), i ? fall.top : fall.bottom], 1);
      const faint = { light: theme.faint, dark: theme.faint, dash: [] };
      polyline(pen, faint, theme, this.learned + 1, put, 3);
      polyline(pen, PAIR, theme, k + 1, put, 2.5);
      const [x, y] = fall.hold(...put(k), 5);
      mark(pen, PAIR, theme, x, y, 5);
    });
    const at = this.under ? Math.min(this.learned, Math.round(this.under[0])) : k;
    const total = this.total(at);
    const text = `after ${at} merges: ${total.toLocaleString("en")} tokens, `
      + `${short(this.firstTotal / Math.max(1, total))} bytes a token`;
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }
}

export default { render: (context) => mount(context, TokenizerPage) };
