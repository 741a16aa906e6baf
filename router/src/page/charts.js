// Small charts over time, as SVG: stacked bars or lines, one axis of seconds, a line under the pointer that all charts share.

import { draw, make, mark, say, show } from "./dom.js";
import { clock } from "./words.js";

const SIZE = { width: 300, height: 96, left: 0, top: 6, bottom: 4 };

/** One chart. `series` are `{key, label, value(at)}` where `at` is a second's figures; `kind` is `stack` or `lines`; `format`
 * says a value; `now(points)` says what stands behind the title when nobody points at a second. */
export class Chart {
  #points = [];
  #pointed = null;
  /** Which series had anything to show; `quiet` ones are named in the legend only then. */
  #seen = [];

  constructor(host, { id, title, series, kind, format, onPoint }) {
    Object.assign(this, { title, series, kind, format, onPoint });
    this.value = make("span", { class: "chart-value" });
    this.svg = draw("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, preserveAspectRatio: "none", role: "img", tabindex: "0", "aria-labelledby": `${id}-words` });
    this.words = make("span", { id: `${id}-words`, class: "unseen" });
    this.top = make("span", { class: "chart-top", "aria-hidden": "true" });
    this.grid = draw("path", { d: gridPath(), class: "chart-grid" });
    this.paths = series.map(({ key }) => draw("path", { class: `series ${kind} ${key}` }));
    this.cursor = draw("line", { y1: 0, y2: SIZE.height, class: "chart-cursor", visibility: "hidden" });
    this.svg.append(this.grid, ...(kind === "stack" ? this.paths.toReversed() : this.paths), this.cursor);
    const legend = make("ul", { class: "legend" }, ...series.map(({ key, label }) => make("li", {}, make("i", { class: `cell series-key ${key}` }), label)));
    this.figure = make("figure", { class: "chart", id },
      make("figcaption", {}, make("b", {}, title), this.value), make("div", { class: "chart-plot" }, this.top, this.svg, this.words), legend);
    this.legend = legend;
    host.append(this.figure);
    this.svg.addEventListener("pointermove", (event) => this.#move(event.offsetX / this.svg.clientWidth));
    this.svg.addEventListener("pointerleave", () => this.onPoint(null));
    this.svg.addEventListener("blur", () => this.onPoint(null));
    this.svg.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Shows these seconds, oldest first; `{t, at}` with `at` null where nothing is known. */
  update(points) {
    this.#points = points;
    const largest = this.kind === "stack" ? sumOf(this.series) : maxOf(this.series);
    const top = nice(points.reduce((most, { at }) => (at ? Math.max(most, largest(at)) : most), 0));
    say(this.top, this.format(top));
    this.#seen = this.series.map(({ value }) => points.some(({ at }) => at && value(at) > 0));
    if (this.kind === "stack") this.#stack(points, top);
    else this.series.forEach(({ value }, at) => mark(this.paths[at], "d", linePath(points, value, top)));
    this.#tell();
  }

  /** Shows the cursor at a second that some chart was pointed at. */
  point(t) {
    this.#pointed = t;
    const first = this.#points[0]?.t ?? 0;
    const at = t === null ? -1 : t - first;
    mark(this.cursor, "visibility", at >= 0 ? "visible" : "hidden");
    if (at >= 0) for (const name of ["x1", "x2"]) mark(this.cursor, name, xOf(at + 0.5, this.#points.length).toFixed(1));
    this.#tell();
  }

  #stack(points, top) {
    const floor = points.map(() => 0);
    this.series.forEach(({ value }, at) => {
      points.forEach(({ at: figures }, index) => (floor[index] += figures ? (value(figures) ?? 0) : 0));
      mark(this.paths[at], "d", barPath(floor, top));
    });
  }

  #tell() {
    const { at, t } = this.#points.find((point) => point.t === this.#pointed) ?? lastKnown(this.#points) ?? {};
    const parts = this.series.map(({ label, value, quiet }) => {
      const number = at ? value(at) : null;
      return quiet && !number ? null : `${label} ${this.format(number)}`;
    });
    const words = parts.filter(Boolean).join(", ");
    const short = this.series.length === 1 ? this.format(at ? this.series[0].value(at) : null) : "";
    say(this.value, this.#pointed === null ? short : `${clock(t)}${short ? `: ${short}` : ""}`);
    [...this.legend.children].forEach((item, index) => {
      const number = at ? this.series[index].value(at) : null;
      show(item, !this.series[index].quiet || this.#seen[index]);
      say(item.lastChild, `${this.series[index].label} ${this.format(number)}`);
    });
    say(this.words, `${this.title}, ${this.#pointed === null ? "now" : clock(t)}: ${words}. Left and right arrows go through the seconds.`);
  }

  #move(share) {
    const at = Math.floor(share * this.#points.length);
    this.onPoint(this.#points[Math.max(0, Math.min(this.#points.length - 1, at))]?.t ?? null);
  }

  #key(event) {
    const last = this.#points.at(-1)?.t ?? 0;
    const first = this.#points[0]?.t ?? 0;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key];
    if (step) this.onPoint(Math.max(first, Math.min(last, (this.#pointed ?? last) + step)));
    else if (event.key === "Escape") this.onPoint(null);
    else return;
    event.preventDefault();
  }
}

function lastKnown(points) {
  return points.findLast((point) => point.at);
}

function sumOf(series) {
  return (at) => series.reduce((sum, { value }) => sum + (value(at) ?? 0), 0);
}

function maxOf(series) {
  return (at) => series.reduce((most, { value }) => Math.max(most, value(at) ?? 0), 0);
}

/** The next number that reads well: 1, 2, 5 times a power of ten; at least 1. */
export function nice(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

function xOf(index, length) {
  return SIZE.left + (index * (SIZE.width - SIZE.left)) / Math.max(1, length);
}

function yOf(value, top) {
  const height = SIZE.height - SIZE.top - SIZE.bottom;
  return SIZE.top + height * (1 - Math.min(1, value / top));
}

function gridPath() {
  const lines = [0, 0.5, 1].map((share) => `M0 ${yOf(share, 1)}H${SIZE.width}`);
  const minutes = [1, 2, 3, 4].map((minute) => `M${(SIZE.width * minute) / 5} ${SIZE.top}V${SIZE.height - SIZE.bottom}`);
  return [...lines, ...minutes].join("");
}

/** A line through what is known, broken where nothing is. */
function linePath(points, value, top) {
  let path = "";
  let pen = "M";
  points.forEach(({ at }, index) => {
    const number = at ? value(at) : null;
    if (number === null || number === undefined) {
      pen = "M";
      return;
    }
    const y = yOf(number, top).toFixed(1);
    path += `${pen}${xOf(index, points.length).toFixed(1)} ${y}H${xOf(index + 1, points.length).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

/** Bars from the floor up to `heights`, as one outline. */
function barPath(heights, top) {
  const floor = yOf(0, 1).toFixed(1);
  let path = "";
  let open = false;
  heights.forEach((height, index) => {
    const x = xOf(index, heights.length).toFixed(1);
    if (height <= 0) {
      if (open) path += `H${x}V${floor}Z`;
      open = false;
      return;
    }
    path += open ? `H${x}V${yOf(height, top).toFixed(1)}` : `M${x} ${floor}V${yOf(height, top).toFixed(1)}`;
    open = true;
  });
  return open ? `${path}H${SIZE.width}V${floor}Z` : path;
}
