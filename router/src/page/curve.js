// The rejection curve of each priority, and the point where the pool stands on it now.

import { byId, draw, fillTable, mark, say } from "./dom.js";
import { stand } from "./status.js";
import { PRIORITIES, count, list, percent, plural } from "./words.js";

const BOX = { width: 340, height: 190, left: 38, right: 12, top: 12, bottom: 30 };
const PLOT = { width: BOX.width - BOX.left - BOX.right, height: BOX.height - BOX.top - BOX.bottom };

export class Curve {
  #lines = {};
  #points = {};

  constructor() {
    this.svg = draw("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", class: "curve-plot" });
    this.grid = draw("g", { class: "grid-lines" });
    this.slots = draw("line", { y1: BOX.top, y2: BOX.top + PLOT.height, class: "slots-line" });
    this.slotsText = draw("text", { y: BOX.height - 16, class: "tick-text", "text-anchor": "middle" });
    this.endText = draw("text", { y: BOX.height - 16, class: "tick-text", "text-anchor": "end" });
    this.heldText = draw("text", { y: BOX.height - 16, class: "tick-text held", "text-anchor": "middle" });
    this.svg.append(this.grid, this.slots, this.slotsText, this.endText, this.heldText);
    for (const share of [0, 0.5, 1]) this.#gridLine(share);
    this.svg.append(draw("text", { x: BOX.left + PLOT.width / 2, y: BOX.height - 3, "text-anchor": "middle", class: "tick-text" }, "requests held: running, abandoned, and waiting ahead"));
    for (const priority of PRIORITIES.toReversed()) {
      this.#lines[priority] = draw("path", { class: `curve-line ${priority}`, fill: "none" });
      this.svg.append(this.#lines[priority]);
    }
    for (const priority of PRIORITIES.toReversed()) {
      const drop = draw("line", { class: `drop ${priority}` });
      const point = draw("g", { class: `point ${priority}`, "data-priority": priority }, shape(priority));
      this.#points[priority] = { drop, point };
      this.svg.append(drop, point);
    }
    byId("curve-view").append(this.svg);
  }

  /** Shows where a pool stands. */
  update(pool) {
    const stands = Object.fromEntries(PRIORITIES.map((priority) => [priority, stand(pool.curve, priority)]));
    const most = Math.max(...PRIORITIES.flatMap((priority) => [stands[priority].capacity, stands[priority].held]), 1);
    const x = scale(Math.min(...PRIORITIES.map((priority) => stands[priority].start)), most * 1.04);
    const y = (p) => BOX.top + PLOT.height * (1 - p);
    for (const priority of PRIORITIES) this.#priority(priority, stands[priority], x, y, most * 1.04);
    this.#axis(pool, stands, x, most);
    this.#words(pool, stands);
  }

  #priority(priority, { start, capacity, held, p }, x, y, end) {
    const flat = capacity <= start;
    const path = flat
      ? `M${x(0)} ${y(0)}L${x(capacity)} ${y(0)}`
      : `M${x(0)} ${y(0)}L${x(start).toFixed(1)} ${y(0)}L${x(capacity).toFixed(1)} ${y(1)}L${x(end).toFixed(1)} ${y(1)}`;
    mark(this.#lines[priority], "d", path);
    const { drop, point } = this.#points[priority];
    const [left, top] = [x(held).toFixed(1), y(p).toFixed(1)];
    point.style.transform = `translate(${left}px, ${top}px)`;
    mark(point, "data-held", held);
    mark(point, "data-p", p);
    for (const [name, value] of [["x1", left], ["x2", left], ["y1", top], ["y2", y(0)]]) mark(drop, name, value);
  }

  #axis(pool, stands, x, most) {
    const held = stands.low.held;
    for (const name of ["x1", "x2"]) mark(this.slots, name, x(pool.slots).toFixed(1));
    const clear = (place, text) => (Math.abs(x(held) - x(place)) < 44 ? "" : text);
    mark(this.slotsText, "x", x(pool.slots).toFixed(1));
    say(this.slotsText, clear(pool.slots, plural(pool.slots, "slot")));
    mark(this.endText, "x", x(most).toFixed(1));
    say(this.endText, clear(most, count(most)));
    mark(this.heldText, "x", Math.min(x(held), BOX.width - 20).toFixed(1));
    say(this.heldText, count(held));
  }

  #words(pool, stands) {
    const { start, capacity } = stands.normal;
    const refused = PRIORITIES.filter((priority) => stands[priority].p > 0).map((priority) => `${percent(stands[priority].p)} of ${priority}`);
    say(byId("curve-summary"), refused.length > 0 ? `refuses ${list(refused)}` : "refuses nothing");
    const each = PRIORITIES.map((priority) => `${priority} ${percent(stands[priority].p)} at ${count(stands[priority].held)} held`);
    mark(this.svg, "aria-label", `Rejection curve: for normal priority it begins at ${count(start)} held and ends at ${count(capacity)}. Now: ${each.join("; ")}.`);
    const rows = PRIORITIES.map((priority) => {
      const { held, start: from, capacity: to, p: share } = stands[priority];
      return [{ text: priority, className: `key ${priority}` }, percent(share), count(held), `${count(from)} – ${count(to)}`];
    });
    fillTable(byId("curve-table"), ["Priority", "Refused", "Held", "Curve"], rows);
  }

  #gridLine(share) {
    const y = BOX.top + PLOT.height * (1 - share);
    this.grid.append(
      draw("line", { x1: BOX.left, x2: BOX.width - BOX.right, y1: y, y2: y }),
      draw("text", { x: BOX.left - 6, y: y + 4, "text-anchor": "end", class: "tick-text" }, `${share * 100} %`),
    );
  }
}

/** Held requests to pixels. Where slots are many and the queue is short, all that happens would be squeezed into the right edge:
 * there the part before the curves begin is drawn closer, so that it takes two fifths of the width. */
function scale(begin, end) {
  const part = Math.min(begin / end, 0.4);
  const before = (held) => (begin > 0 ? (part * held) / begin : 0);
  const after = (held) => part + ((1 - part) * (held - begin)) / (end - begin);
  return (held) => BOX.left + PLOT.width * (held < begin ? before(held) : after(held));
}

/** Each priority has a shape of its own, for those who do not tell the colours apart. */
function shape(priority) {
  if (priority === "high") return draw("path", { d: "M0 -7L6.5 5H-6.5Z" });
  if (priority === "low") return draw("rect", { x: -5, y: -5, width: 10, height: 10 });
  return draw("circle", { r: 6 });
}
