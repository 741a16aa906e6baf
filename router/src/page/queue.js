// The queue: every ticket with its priority and age, in the order of service, and how near the limits are.

import { byId, draw, fillTable, mark, say } from "./dom.js";
import { View } from "./canvas.js";
import { stand } from "./status.js";
import { PRIORITIES, count, duration, plural } from "./words.js";

/** Tickets up to which each one is large enough to have its age written on it. */
const WRITTEN = 90;
const SIDES = [10, 8, 6, 5, 4, 3];
const TALLEST = 340;
const LANE_HEAD = 18;
const TICKET = { width: 44, height: 20, gap: 4 };
/** Ages in seconds from which a ticket has the next colour. */
const AGES = [1, 3, 10];

export class Queue {
  #lanes = [];
  #pool = null;
  #view;
  #limits = new Limits(byId("queue-limits"));

  constructor() {
    this.#view = new View(byId("queue-view"), {
      label: "Queue",
      measure: (width) => this.#plan(width),
      paint: (context, width, colours) => this.#paint(context, width, colours),
      readout: (text) => say(byId("queue-readout"), text),
    });
    byId("queue-details").addEventListener("toggle", () => this.#table());
  }

  /** Shows a pool's tickets. */
  update(pool) {
    this.#pool = pool;
    this.#lanes = PRIORITIES.map((priority) => ({ priority, tickets: [] }));
    for (const ticket of pool.tickets) this.#lanes[PRIORITIES.indexOf(ticket.priority)]?.tickets.push(ticket);
    const oldest = pool.queued > 0 ? `, the oldest ${duration(pool.oldest_wait_ms)}` : "";
    say(byId("queue-summary"), pool.queued > 0 ? `${count(pool.queued)} of ${count(pool.max_queue_size)} wait${oldest}` : "nobody waits");
    const lanes = this.#lanes.map((lane) => `${count(lane.tickets.length)} ${lane.priority}`).join(", ");
    this.#view.describe(`${plural(pool.queued, "ticket")}: ${lanes}${oldest}. Arrow keys go from ticket to ticket.`);
    this.#limits.update(pool);
    this.#view.draw();
    this.#table();
  }

  #plan(width) {
    const shown = this.#pool?.tickets.length ?? 0;
    this.written = shown <= WRITTEN;
    if (this.written) {
      this.across = Math.max(1, Math.floor((width + TICKET.gap) / (TICKET.width + TICKET.gap)));
      [this.pitchX, this.pitchY, this.side] = [TICKET.width + TICKET.gap, TICKET.height + TICKET.gap, TICKET.height];
      return this.#stack();
    }
    for (const side of SIDES) {
      [this.side, this.pitchX, this.pitchY] = [side, side + 1, side + 1];
      this.across = Math.max(1, Math.floor(width / this.pitchX));
      if (this.#stack() <= TALLEST) break;
    }
    return this.#stack();
  }

  /** Puts the lanes under each other; gives the height of all. */
  #stack() {
    let y = 0;
    for (const lane of this.#lanes) {
      lane.y = y;
      y += LANE_HEAD + Math.ceil(lane.tickets.length / this.across) * this.pitchY + 6;
    }
    return y;
  }

  #paint(context, width, colours) {
    const layers = [[], [], [], []];
    let place = 0;
    for (const { priority, tickets, y } of this.#lanes) {
      head(context, { priority, tickets, y }, width, colours);
      tickets.forEach((ticket, at) => {
        place += 1;
        const x = (at % this.across) * this.pitchX;
        const cell = { x, y: y + LANE_HEAD + Math.floor(at / this.across) * this.pitchY, ticket };
        layers[ageClass(ticket.age_ms)].push(cell);
        const spot = { x: cell.x, y: cell.y, width: this.pitchX, height: this.pitchY };
        const text = `${priority}: waits ${duration(ticket.age_ms)}`;
        const at_ = place;
        this.#view.spots.push({ ...spot, text: () => `Number ${count(at_)} in the queue, ${text}, held by router ${ticket.router}` });
      });
    }
    layers.forEach((cells, age) => this.#tickets(context, cells, colours[`age${age}`], colours[`on-age${age}`]));
  }

  #tickets(context, cells, color, ink) {
    const width = this.written ? TICKET.width : this.side;
    context.fillStyle = color;
    for (const { x, y } of cells) context.fillRect(x, y, width, this.side);
    if (!this.written) return;
    context.fillStyle = ink;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "center";
    for (const { x, y, ticket } of cells) context.fillText(duration(ticket.age_ms), x + width / 2, y + this.side / 2 + 1);
    context.textAlign = "start";
  }

  #table() {
    if (!byId("queue-details").open || !this.#pool) return;
    const rows = this.#pool.tickets.slice(0, 100).map((ticket, at) => [String(at + 1), ticket.priority, duration(ticket.age_ms), ticket.router]);
    if (this.#pool.queued > 100) rows.push([`and ${count(this.#pool.queued - 100)} more`, "", "", ""]);
    fillTable(byId("queue-table"), ["Place", "Priority", "Waits", "Router"], rows);
  }
}

function ageClass(ms) {
  const at = AGES.findIndex((age) => ms < age * 1000);
  return at < 0 ? AGES.length : at;
}

function head(context, { priority, tickets, y }, width, colours) {
  const oldest = tickets.reduce((most, ticket) => Math.max(most, ticket.age_ms), 0);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "top";
  context.fillStyle = colours[priority];
  context.fillRect(0, y + 2, 4, 11);
  context.fillStyle = colours.ink;
  context.fillText(priority, 10, y + 1);
  context.fillStyle = colours.quiet;
  const text = tickets.length ? `${count(tickets.length)} · oldest ${duration(oldest)}` : "none";
  context.fillText(text, 62, y + 1);
}

/** A bar as long as the queue may be, with the places where each priority is no longer let in. */
class Limits {
  constructor(host) {
    this.svg = draw("svg", { viewBox: "0 0 400 34", preserveAspectRatio: "none", role: "img", class: "limit-bar" });
    this.back = draw("rect", { x: 0, y: 4, width: 400, height: 10, rx: 3, class: "bar-back" });
    this.fill = draw("rect", { x: 0, y: 4, width: 0, height: 10, rx: 3, class: "bar-fill" });
    this.ticks = PRIORITIES.map((priority) => draw("rect", { y: 0, width: 2, height: 18, class: `tick ${priority}` }));
    this.svg.append(this.back, this.fill, ...this.ticks);
    this.words = document.createElement("p");
    this.words.className = "quiet";
    host.append(this.svg, this.words);
  }

  update(pool) {
    const limits = PRIORITIES.map((priority) => stand(pool.curve, priority).limit);
    const longest = Math.max(pool.max_queue_size, pool.queued, 1);
    mark(this.fill, "width", ((400 * pool.queued) / longest).toFixed(1));
    PRIORITIES.forEach((_, at) => mark(this.ticks[at], "x", Math.max(0, (400 * limits[at]) / longest - 2).toFixed(1)));
    const text = `full for low at ${count(limits[2])}, for normal at ${count(limits[1])}, for high at ${count(limits[0])}`;
    say(this.words, text);
    mark(this.svg, "aria-label", `${count(pool.queued)} wait; the queue is ${text}`);
  }
}
