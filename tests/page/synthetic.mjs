// A feed of a fleet that does not exist, of any size, beside the page's own files: to measure drawing, and to show states that
// are hard to bring about.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { ROOT } from "./processes.mjs";

const PAGE = path.join(ROOT, "router/src/page");
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const PRIORITIES = ["high", "normal", "low"];
const SNAPSHOT_MS = 250;

/** Numbers of [0, 1) that follow from the seed. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Serves the page with `snapshot(step)` as its feed, on a free port of loopback; `{url, close, step}`. */
export async function serve(snapshot, { port = 0, points = () => [] } = {}) {
  let step = 0;
  const listeners = new Set();
  const event = (all) => `data: ${JSON.stringify({ ...snapshot(step), history: { step_ms: 1000, points: points(step, all) } })}\n\n`;
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    if (pathname === "/live") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write(event(true));
      listeners.add(response);
      request.on("close", () => listeners.delete(response));
      return;
    }
    const file = pathname === "/" ? "index.html" : pathname.replace(/^\/page\//, "");
    try {
      const content = await readFile(path.join(PAGE, path.basename(file)));
      response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "text/plain" }).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  const ticker = setInterval(() => {
    step += 1;
    const text = event(false);
    for (const listener of listeners) if (!listener.writableNeedDrain) listener.write(text);
  }, SNAPSHOT_MS);
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = () => {
    clearInterval(ticker);
    for (const listener of listeners) listener.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

/** A pool of `backends` with `slots` each, `waiting` tickets, all drawn anew each step. */
export function pool({ model = "example-70b", backends, slots, waiting, most, draw, busy = 1, lost = 0, draining = 0, abandoned = 0.02 }) {
  const nodes = Array.from({ length: backends }, (_, at) => {
    const state = at < lost ? "gone" : at < lost + draining ? "draining" : "live";
    const given = draw() < abandoned ? 1 : 0;
    const running = state === "gone" ? 0 : Math.min(slots - given, Math.round(slots * busy * (state === "draining" ? draw() : 1)));
    const url = `http://10.0.${at >> 8}.${at & 255}:8100`;
    return { id: url, url, slots, running, abandoned: given, state, silent_ms: state === "gone" ? 4200 : Math.round(draw() * 1400) };
  });
  const tickets = Array.from({ length: Math.min(waiting, 5000) }, (_, at) => {
    const priority = PRIORITIES[at < waiting * 0.1 ? 0 : at < waiting * 0.7 ? 1 : 2];
    return { id: `r1-${at}`, router: `r${at % 3}`, priority, age_ms: Math.round(Math.min(14_000, 16_000 * draw() ** 2)) };
  });
  const live = nodes.filter((node) => node.state === "live");
  const total = live.length * slots;
  const running = nodes.reduce((sum, node) => sum + node.running, 0);
  const given = nodes.reduce((sum, node) => sum + node.abandoned, 0);
  return {
    model, slots: total, running, abandoned: given, queued: waiting, max_queue_size: most, capacity: total + most,
    drain_per_s: 12, oldest_wait_ms: tickets.reduce((oldest, { age_ms: age }) => Math.max(oldest, age), 0),
    desired_backends: Math.ceil((running + given + waiting) / slots), service_ms: { mean: 1240, p90: 2900 },
    curve: curve(total, running + given, tickets, most), backends: nodes, tickets,
  };
}

/** The curve as the router tells it; the real one is tested in Rust. */
function curve(slots, used, tickets, most) {
  const limits = { high: most, normal: Math.floor(most * 0.8), low: Math.floor(most * 0.4) };
  const told = { start: {}, capacity: {}, held: {}, p: {}, queue_limit: limits };
  PRIORITIES.forEach((priority, rank) => {
    const capacity = slots + limits[priority];
    const start = Math.max(0.7 * capacity, slots);
    const held = used + tickets.filter((ticket) => PRIORITIES.indexOf(ticket.priority) <= rank).length;
    told.capacity[priority] = capacity;
    told.start[priority] = start;
    told.held[priority] = held;
    told.p[priority] = capacity > start ? Math.min(1, Math.max(0, (held - start) / (capacity - start))) : 0;
  });
  return told;
}

/** Five minutes of a pool whose load comes in waves. */
export function waves(model, draw, slots, most) {
  const now = Math.floor(Date.now() / 1000);
  return Array.from({ length: 300 }, (_, at) => {
    const load = Math.max(0, Math.sin(at / 38) + 0.3 * Math.sin(at / 7));
    const noise = 0.8 + 0.4 * draw();
    const rejected = load > 0.6 ? { capacity: Math.round(12 * (load - 0.6) * noise), deadline: load > 1 ? Math.round(8 * (load - 1)) : 0 } : {};
    const queued = Math.round(most * Math.max(0, load - 0.4) * 0.7);
    const wait = 9000 * Math.max(0, load - 0.4);
    return {
      t: now - 299 + at,
      pools: {
        [model]: {
          accepted: Math.round(12 * Math.min(load, 0.9) * noise), rejected,
          waited_ms: { p50: 0.4 * wait, p90: 0.8 * wait * noise, max: wait * 1.1 },
          first_token_ms: { p50: 180 + 0.4 * wait, p90: 320 + 0.8 * wait * noise, max: 400 + wait },
          tokens: Math.round(900 * Math.min(load, 0.9) * noise), running: Math.round(slots * Math.min(1, load)), queued, slots,
        },
      },
    };
  });
}

/** Everything of a snapshot but the pools. */
export function around(pools, more = {}) {
  const flags = "max_queue_size=50 queue_rejection_threshold=0.8 vllm_rejection_threshold=0.7 wait_share=0.15 pool_memory=60 reset_interval=300";
  return {
    at_ms: Date.now(), router: "r0", version: "0.1.0", mode: "fleet", draining: false, ledger: "redis", pools, flags_differ: false,
    routers: ["r0", "r1", "r2"].map((id, at) => ({ id, age_ms: 300 + 150 * at, flags })), ...more,
  };
}
