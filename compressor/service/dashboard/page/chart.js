// Small SVG charts: stacked areas, stacked bars, lines. Each is a figure that can be read with the keyboard.

import { h, s, say } from "./dom.js";

const HEIGHT = 168;
const ROUND = [300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800, 432000, 604800]; // seconds
const PAD = { top: 10, right: 8, bottom: 20, left: 46 };

/** A chart. kind: "area" or "bars" (both stacked), or "lines"; names: [{key, label, tone}]; format: turns a value into text. */
export class Chart {
  constructor(title, kind, names, format, empty) {
    Object.assign(this, { title, kind, names, format, empty });
    this.points = [];
    this.index = -1;
    this.svg = s("svg", { height: HEIGHT, role: "img", "aria-hidden": "true" });
    this.values = names.map((name) => h("b", {}, "–"));
    this.legend = h(
      "div",
      { class: "legend" },
      names.map((name, i) => h("span", {}, h("i", { class: `tone ${name.tone}` }), `${name.label} `, this.values[i])),
    );
    this.time = h("span", { class: "when" });
    this.plot = h("div", { class: "plot", tabindex: 0, role: "group", "aria-roledescription": "chart" }, this.svg);
    this.spoken = h("span", { class: "hidden", "aria-live": "polite" });
    this.figure = h(
      "figure",
      { class: "card chart" },
      h("figcaption", {}, h("h2", {}, title), this.time, this.legend),
      this.plot,
      this.spoken,
    );
    this.plot.addEventListener("pointermove", (event) => this.point(this.nearest(event)));
    this.plot.addEventListener("pointerleave", () => this.point(-1));
    this.plot.addEventListener("blur", () => this.point(-1));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  /** points: [{time, <key>: number or null}]; total: the values of the legend when no point is selected. */
  show(points, step, total) {
    Object.assign(this, { points, step, total });
    this.draw();
  }

  get inner() {
    return { w: Math.max(10, this.width - PAD.left - PAD.right), h: HEIGHT - PAD.top - PAD.bottom };
  }

  x(i) {
    const { w } = this.inner;
    if (this.kind === "bars") return PAD.left + ((i + 0.5) * w) / this.points.length;
    return PAD.left + (i * w) / Math.max(1, this.points.length - 1);
  }

  y(value) {
    return PAD.top + (this.inner.h * (this.top - value)) / (this.top - this.low);
  }

  draw() {
    this.width = this.plot.clientWidth;
    if (!this.width || !this.points.length) return;
    const stacked = this.kind !== "lines";
    const sums = this.points.map((p) =>
      stacked
        ? this.names.reduce((sum, name) => sum + Math.max(0, p[name.key] ?? 0), 0)
        : Math.max(0, ...this.names.map((name) => p[name.key] ?? 0)),
    );
    const highest = Math.max(0, ...sums);
    // Only a chart with one kind of bars can go below zero: for losses.
    const lowest = this.kind === "bars" && this.names.length === 1 ? Math.min(0, ...this.points.map((p) => p[this.names[0].key] ?? 0)) : 0;
    this.top = nice(highest) || (lowest < 0 ? 0 : 1);
    this.low = -nice(-lowest);
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    const some = highest > 0 || lowest < 0;
    const ticks = this.low < 0 ? [this.low, 0, this.top] : [0, this.top / 2, this.top];
    const lines = new Map(ticks.map((value) => [this.format(value), value])); // one line for values that read the same
    const marks = [...lines.values()].map((value) => this.grid(value, some || !value));
    const shapes = this.kind === "bars" ? this.bars() : this.kind === "area" ? this.areas() : this.lines();
    this.cursor = s("line", { class: "cursor", y1: PAD.top, y2: HEIGHT - PAD.bottom, visibility: "hidden" });
    const nothing = some ? [] : [s("text", { class: "none", x: PAD.left + this.inner.w / 2, y: HEIGHT / 2 }, this.empty)];
    this.svg.replaceChildren(...marks, ...shapes, ...this.times(), ...nothing, this.cursor);
    this.point(this.index < this.points.length ? this.index : -1);
    this.plot.setAttribute("aria-label", `${this.title}: ${this.summary()}. Arrow keys move through time.`);
  }

  summary() {
    return this.names.map((name) => `${name.label} ${this.format(this.total?.[name.key] ?? null)}`).join(", ");
  }

  grid(value, labelled) {
    const y = this.y(value);
    const line = s("line", { class: "grid", x1: PAD.left, x2: this.width - PAD.right, y1: y, y2: y });
    if (!labelled) return line;
    const label = s("text", { class: "tick", x: PAD.left - 6, y: y + 4, "text-anchor": "end" }, this.format(value));
    return s("g", {}, line, label);
  }

  times() {
    const span = this.points.length * this.step;
    const maxLabels = Math.max(2, Math.floor(this.inner.w / 80));
    const every = ROUND.find((seconds) => seconds >= this.step && span / seconds <= maxLabels) ?? ROUND.at(-1);
    return this.points.flatMap((p, i) => {
      const local = p.time - new Date(p.time * 1000).getTimezoneOffset() * 60;
      const x = this.x(i);
      if (local % every >= this.step || x < PAD.left + 12 || x > this.width - PAD.right - 16) return [];
      return [s("text", { class: "tick", x, y: HEIGHT - 5, "text-anchor": "middle" }, clock(p.time, this.step))];
    });
  }

  bars() {
    const wide = Math.max(1, this.inner.w / this.points.length - 1.5);
    const out = [];
    this.points.forEach((p, i) => {
      let base = 0;
      for (const name of this.names) {
        const value = Math.max(this.low, p[name.key] ?? 0);
        if (!value) continue;
        if (value < 0) {
          out.push(s("rect", { class: "fill red", x: this.x(i) - wide / 2, y: this.y(0), width: wide, height: this.y(value) - this.y(0) }));
          continue;
        }
        const top = this.y(base + value);
        const height = Math.max(0.5, this.y(base) - top);
        out.push(s("rect", { class: `fill ${name.tone}`, x: this.x(i) - wide / 2, y: top, width: wide, height }));
        base += value;
      }
    });
    return out;
  }

  areas() {
    const base = this.points.map(() => 0);
    return this.names.flatMap((name) => {
      const low = [...base];
      this.points.forEach((p, i) => (base[i] += Math.max(0, p[name.key] ?? 0)));
      const upper = base.map((v, i) => `${this.x(i)},${this.y(v)}`);
      const lower = low.map((v, i) => `${this.x(i)},${this.y(v)}`).reverse();
      return [
        s("path", { class: `area ${name.tone}`, d: `M${upper.join("L")}L${lower.join("L")}Z` }),
        s("path", { class: `line ${name.tone}`, d: `M${upper.join("L")}` }),
      ];
    });
  }

  lines() {
    return this.names.flatMap((name) => {
      const out = [];
      let run = [];
      const end = () => {
        if (run.length > 1) out.push(s("path", { class: `line ${name.tone}`, d: `M${run.join("L")}` }));
        else if (run.length) out.push(s("circle", { class: `dot ${name.tone}`, cx: run[0].split(",")[0], cy: run[0].split(",")[1], r: 2.2 }));
        run = [];
      };
      this.points.forEach((p, i) => {
        const value = p[name.key];
        if (value === null || value === undefined) end();
        else run.push(`${this.x(i)},${this.y(value)}`);
      });
      end();
      return out;
    });
  }

  nearest(event) {
    const left = event.clientX - this.plot.getBoundingClientRect().left;
    const fraction = (left - PAD.left) / this.inner.w;
    const n = this.points.length;
    const i = this.kind === "bars" ? Math.floor(fraction * n) : Math.round(fraction * (n - 1));
    return Math.min(n - 1, Math.max(0, i));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.points.length) return;
    event.preventDefault();
    const from = this.index < 0 ? (step > 0 ? -1 : this.points.length) : this.index;
    this.point(Math.min(this.points.length - 1, Math.max(0, from + step)));
    say(this.spoken, `${this.time.textContent}: ${this.legend.textContent}`);
  }

  point(i) {
    this.index = i;
    const p = i < 0 ? this.total : this.points[i];
    say(this.time, i < 0 ? "" : moment(this.points[i].time, this.step));
    this.names.forEach((name, k) => say(this.values[k], this.format(p?.[name.key] ?? null)));
    if (!this.cursor) return;
    this.cursor.setAttribute("visibility", i < 0 ? "hidden" : "visible");
    if (i >= 0) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x(i));
  }
}

function nice(value) {
  if (value <= 0) return 0;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((n) => n * unit >= value - 1e-12) * unit;
}

const two = (n) => String(n).padStart(2, "0");

function clock(time, step) {
  const date = new Date(time * 1000);
  if (step >= 3600) return date.toLocaleDateString("en-US", { month: "short", day: "numeric" });
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

function moment(time, step) {
  const date = new Date(time * 1000);
  const day = step >= 600 ? `${date.toLocaleDateString("en-US", { month: "short", day: "numeric" })} ` : "";
  return `${day}${two(date.getHours())}:${two(date.getMinutes())}`;
}
