// Where an answer's time went: one bar for each of the last tries, on one scale.

import { byId, make } from "./dom.js";
import { duration, figure } from "./words.js";

const KEPT = 5;
const PARTS = ["queued", "prefill", "decode"];

/** Draws the last tries; the newest is on top and may still grow. */
export class Timeline {
  #tries = [];

  /** Begins a try: an object whose `queued`, `prefill`, `decode` (milliseconds), `tokens` and `ids` may change until `draw`. */
  begin(attempt) {
    this.#tries = [attempt, ...this.#tries].slice(0, KEPT);
    this.draw();
    return attempt;
  }

  /** Draws all of them anew: a handful of nodes. */
  draw() {
    const longest = Math.max(...this.#tries.map(total), 1);
    byId("try-timeline").replaceChildren(...this.#tries.map((attempt) => row(attempt, longest)));
  }
}

function total(attempt) {
  return PARTS.reduce((sum, part) => sum + (attempt[part] ?? 0), 0);
}

function row(attempt, longest) {
  const bar = make("div", { class: "timeline-bar", "aria-hidden": "true" });
  for (const part of PARTS) {
    const piece = make("span", { class: `piece ${part}` });
    piece.style.width = `${((100 * (attempt[part] ?? 0)) / longest).toFixed(2)}%`;
    bar.append(piece);
  }
  const ids = attempt.ids.map(([name, value]) => make("span", { class: "id" }, `${name} `, make("code", {}, value)));
  return make("div", { class: "timeline-row" }, make("p", { class: "timeline-words" }, words(attempt)), bar, make("p", { class: "quiet ids" }, ...ids));
}

function words(attempt) {
  const parts = PARTS.filter((part) => attempt[part] !== null && attempt[part] !== undefined).map((part) => `${part} ${duration(attempt[part])}`);
  const rate = attempt.tokens > 1 && attempt.decode > 0 ? `${attempt.tokens} tokens, ${figure((1000 * (attempt.tokens - 1)) / attempt.decode)} per second` : null;
  const size = rate ?? (attempt.tokens ? `${attempt.tokens} tokens` : null);
  return [attempt.state, ...parts, size].filter(Boolean).join(" · ");
}
