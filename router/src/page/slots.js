// The pool's slots, one by one: which are free, which run, which are held by work that was given up, on which backend.

import { byId, fillTable, say } from "./dom.js";
import { View } from "./canvas.js";
import { backendName, count, duration, plural } from "./words.js";

/** Backends up to which each one may have its name beside its slots, where these are not too small then. */
const NAMED = 48;
/** Sides of a cell, the largest first; the first one is taken with which all fits. */
const SIDES = [20, 16, 14, 12, 10, 8, 6, 5, 4, 3];
const TALLEST = 380;
/** More slots than this are drawn as one bar for each backend. */
const CELLS = 40_000;
const NAME_HEIGHT = 16;

export class Slots {
  #backends = [];
  #view;

  constructor() {
    this.#view = new View(byId("slots-view"), {
      label: "Slots",
      measure: (width) => this.#plan(width).height,
      paint: (context, width, colours) => this.#paint(context, colours),
      readout: (text) => say(byId("slots-readout"), text),
    });
    byId("slots-details").addEventListener("toggle", () => this.#table());
  }

  /** Shows a pool whose backends carry `look`. */
  update(pool, backends) {
    this.#backends = backends;
    const lost = backends.filter((backend) => backend.look === "lost").length;
    const draining = backends.filter((backend) => backend.look === "draining").length;
    const ejected = backends.filter((backend) => ["ejected", "trial"].includes(backend.look)).length;
    const words = [`${count(pool.running)} running`, `${count(Math.max(0, pool.slots - pool.running - pool.abandoned))} free`];
    if (pool.abandoned) words.push(`${count(pool.abandoned)} abandoned`);
    const on = [plural(backends.length - lost, "backend")];
    if (draining) on.push(`${count(draining)} draining`);
    if (ejected) on.push(`${count(ejected)} ejected`);
    if (lost) on.push(`${count(lost)} lost`);
    const text = `${words.join(" · ")} of ${count(pool.slots)} on ${on.join(", ")}`;
    say(byId("slots-summary"), text);
    this.#view.describe(`${plural(pool.slots, "slot")}: ${text}. Arrow keys go from backend to backend.`);
    this.#view.draw();
    this.#table();
  }

  /** Where everything stands for a width. */
  #plan(width) {
    const backends = this.#backends;
    const most = backends.reduce((largest, backend) => Math.max(largest, cellsOf(backend)), 1);
    const named = backends.length <= NAMED && most <= 256 ? planNamed(backends, width, most) : null;
    const total = backends.reduce((sum, backend) => sum + cellsOf(backend), 0);
    this.plan = named && named.side >= 8 ? named : planDense(backends, width, total);
    return this.plan;
  }

  #paint(context, colours) {
    const layers = { running: [], abandoned: [], free: [], draining: [], lost: [] };
    const { side, pitch, blocks, named } = this.plan;
    blocks.forEach((block) => {
      const { backend } = block;
      sort(block, pitch, layers);
      if (named) name(context, block, colours);
      this.#view.spots.push({ x: block.x, y: block.y, width: block.width, height: block.height, text: () => tell(backend) });
    });
    fill(context, layers.running, side, colours.running);
    fill(context, layers.draining, side, colours.draining);
    hatch(context, layers.abandoned, side, colours.abandoned);
    outline(context, layers.free, side, colours.free);
    cross(context, layers.lost, side, colours.lost);
  }

  #table() {
    if (!byId("slots-details").open) return;
    const rows = this.#backends.slice(0, 200).map((backend) => [
      backendName(backend), look(backend), count(backend.slots), count(backend.running), count(backend.abandoned),
    ]);
    if (this.#backends.length > 200) rows.push([`and ${count(this.#backends.length - 200)} more`, "", "", "", ""]);
    fillTable(byId("slots-table"), ["Backend", "State", "Slots", "Running", "Abandoned"], rows);
  }
}

/** Cells of a backend: its slots, or what is on it where that is more (a router that lost Redis may have more than its share). */
function cellsOf(backend) {
  return Math.max(backend.slots, backend.running + backend.abandoned, 1);
}

/** Each backend is a small block under its name. */
function planNamed(backends, width, most) {
  const columnsWanted = Math.max(1, Math.floor((width + 14) / 154));
  const columns = Math.min(columnsWanted, Math.max(1, backends.length));
  const blockWidth = Math.floor((width - (columns - 1) * 14) / columns);
  const rows = Math.ceil(backends.length / columns);
  const heightOf = (side) => rows * (NAME_HEIGHT + Math.ceil(most / perLine(blockWidth, side)) * (side + gap(side)) + 10);
  const fits = SIDES.filter((each) => heightOf(each) <= TALLEST);
  // A backend's slots read best on one line; small ones only where there are many.
  const side = fits.find((each) => each >= 10 && most <= perLine(blockWidth, each)) ?? fits[0] ?? 3;
  const pitch = side + gap(side);
  const across = perLine(blockWidth, side);
  const rowHeight = NAME_HEIGHT + Math.ceil(most / across) * pitch + 10;
  const blocks = backends.map((backend, at) => ({
    backend, across,
    x: (at % columns) * (blockWidth + 14), y: Math.floor(at / columns) * rowHeight,
    width: blockWidth, height: rowHeight, top: NAME_HEIGHT,
  }));
  return { named: true, side, pitch, blocks, height: Math.max(rowHeight, rows * rowHeight - 6) };
}

/** Backends follow each other like words in a text, each in one run of cells. */
function planDense(backends, width, total) {
  const bars = total > CELLS;
  const sizes = backends.map((backend) => (bars ? 1 : cellsOf(backend)));
  const layout = (side) => flow(backends, sizes, width, side);
  const side = SIDES.find((each) => layout(each).height <= TALLEST) ?? 3;
  return { named: false, side, ...layout(side), bars };
}

function flow(backends, sizes, width, side) {
  const pitch = side + gap(side);
  const space = Math.max(2, Math.round(pitch / 2));
  let [x, y] = [0, 0];
  const blocks = backends.map((backend, at) => {
    const across = Math.min(sizes[at], Math.max(1, Math.floor(width / pitch)));
    const lines = Math.ceil(sizes[at] / across);
    if (x > 0 && (x + across * pitch > width || lines > 1)) [x, y] = [0, y + pitch + 2];
    const block = { backend, across, x, y, width: across * pitch, height: lines * pitch, top: 0, cells: sizes[at] };
    x += across * pitch + space;
    if (lines > 1) [x, y] = [0, y + (lines - 1) * pitch];
    return block;
  });
  return { pitch, blocks, height: y + pitch + 2 };
}

function perLine(width, side) {
  return Math.max(1, Math.floor((width + gap(side)) / (side + gap(side))));
}

function gap(side) {
  return side >= 10 ? 3 : side >= 6 ? 2 : 1;
}

/** Puts a block's cells into the layers that are drawn in one go each. */
function sort({ backend, across, x, y, top, cells = cellsOf(backend) }, pitch, layers) {
  const { running, abandoned, look: state } = backend;
  for (let at = 0; at < cells; at += 1) {
    const cell = [x + (at % across) * pitch, y + top + Math.floor(at / across) * pitch];
    if (state === "lost") layers.lost.push(cell);
    else if (at < running) layers.running.push(cell);
    else if (at < running + abandoned) layers.abandoned.push(cell);
    else layers[state === "draining" || state === "ejected" ? "draining" : "free"].push(cell);
  }
}

function name(context, { backend, x, y, width }, colours) {
  context.font = "11px ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace";
  context.textBaseline = "top";
  const state = backend.look === "live" ? "" : ` ${look(backend)}`;
  context.fillStyle = ["lost", "ejected"].includes(backend.look) ? colours.lost : colours.quiet;
  let text = backendName(backend);
  while (text.length > 3 && context.measureText(text + state).width > width) text = `…${text.slice(2)}`;
  context.fillText(text + state, x, y);
}

function fill(context, cells, side, color) {
  context.fillStyle = color;
  for (const [x, y] of cells) context.fillRect(x, y, side, side);
}

function outline(context, cells, side, color) {
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.beginPath();
  for (const [x, y] of cells) context.rect(x + 0.5, y + 0.5, side - 1, side - 1);
  context.stroke();
}

function hatch(context, cells, side, color) {
  outline(context, cells, side, color);
  context.lineWidth = Math.max(1, side / 6);
  context.beginPath();
  for (const [x, y] of cells) {
    context.moveTo(x, y + side);
    context.lineTo(x + side, y);
    context.moveTo(x, y + side / 2);
    context.lineTo(x + side / 2, y);
    context.moveTo(x + side / 2, y + side);
    context.lineTo(x + side, y + side / 2);
  }
  context.stroke();
}

function cross(context, cells, side, color) {
  outline(context, cells, side, color);
  context.lineWidth = Math.max(1, side / 8);
  context.beginPath();
  for (const [x, y] of cells) {
    context.moveTo(x + 2, y + 2);
    context.lineTo(x + side - 2, y + side - 2);
    context.moveTo(x + side - 2, y + 2);
    context.lineTo(x + 2, y + side - 2);
  }
  context.stroke();
}

function look(backend) {
  if (backend.look === "trial") return "on trial";
  return backend.look === "lost" && backend.lost_ms ? `lost ${duration(backend.lost_ms)} ago` : backend.look;
}

function tell(backend) {
  const free = Math.max(0, backend.slots - backend.running - backend.abandoned);
  const abandoned = backend.abandoned ? `, ${count(backend.abandoned)} abandoned` : "";
  return `${backendName(backend)}: ${look(backend)}; ${count(backend.running)} running${abandoned}, ${count(free)} free of ${plural(backend.slots, "slot")}`;
}
