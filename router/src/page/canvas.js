// A canvas as wide as its place, sharp on any screen, in the page's colours, that tells what is under the pointer.
//
// Thousands of slots and tickets are drawn four times a second: as elements they would cost more than all else here.

import { make, mark } from "./dom.js";

/** Calls everybody who draws with colours when the scheme changes. */
const schemes = [matchMedia("(prefers-color-scheme: dark)"), matchMedia("(forced-colors: active)")];
const painters = new Set();
for (const scheme of schemes) scheme.addEventListener("change", () => painters.forEach((painter) => painter()));

/** Draws what `paint(context, width, colours)` draws and returns its height in CSS pixels. */
export class View {
  #height = 0;
  #width = 0;
  #ratio = 0;
  #colours = null;
  #again = null;
  /** What can be pointed at: `{x, y, width, height, text}` in the order of reading. */
  spots = [];
  #chosen = -1;

  /** `measure(width)` gives the height that is needed; `paint(context, width, colours)` draws. */
  constructor(host, { label, measure, paint, readout }) {
    this.measure = measure;
    this.paint = paint;
    this.readout = readout;
    this.canvas = make("canvas", { role: "img", tabindex: "0", "aria-label": label });
    this.context = this.canvas.getContext("2d", { alpha: true });
    host.append(this.canvas);
    this.host = host;
    new ResizeObserver(() => this.#redraw()).observe(host);
    painters.add(() => {
      this.#colours = null;
      this.#redraw();
    });
    this.canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.canvas.addEventListener("pointerleave", () => this.#tell(-1));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("blur", () => this.#tell(-1));
  }

  /** Draws now. */
  draw() {
    this.#again = null;
    const width = Math.floor(this.host.clientWidth);
    if (width <= 0) return;
    this.#colours ??= colours(this.host);
    this.#size(width, Math.ceil(this.measure(width)));
    this.context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    this.context.clearRect(0, 0, width, this.#height);
    this.spots = [];
    this.paint(this.context, width, this.#colours);
    if (this.#chosen >= 0) this.#tell(Math.min(this.#chosen, this.spots.length - 1));
  }

  /** The words for those who do not see it. */
  describe(text) {
    mark(this.canvas, "aria-label", text);
  }

  // Setting the size clears the canvas and allocates it anew: only where it has changed.
  #size(width, height) {
    const ratio = globalThis.devicePixelRatio || 1;
    if (width === this.#width && height === this.#height && ratio === this.#ratio) return;
    [this.#width, this.#height, this.#ratio] = [width, height, ratio];
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
  }

  #redraw() {
    this.#again ??= requestAnimationFrame(() => this.draw());
  }

  #point(event) {
    const { offsetX: x, offsetY: y } = event;
    this.#tell(this.spots.findIndex((spot) => x >= spot.x && x < spot.x + spot.width && y >= spot.y && y < spot.y + spot.height));
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") this.#tell(-1);
    else if (step) this.#tell(Math.max(0, Math.min(this.spots.length - 1, this.#chosen + step)));
    else return;
    event.preventDefault();
  }

  #tell(at) {
    this.#chosen = at;
    const text = this.spots[at]?.text;
    this.readout(typeof text === "function" ? text() : (text ?? ""));
  }
}

/** The page's colours by name, as the scheme has them now. */
function colours(element) {
  const style = getComputedStyle(element);
  const names = ["ink", "quiet", "line", "paper", "running", "free", "abandoned", "draining", "lost", "high", "normal", "low"];
  const all = [...names, "age0", "age1", "age2", "age3", "on-age0", "on-age1", "on-age2", "on-age3"];
  return Object.fromEntries(all.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
