// The last five minutes of one pool: who came in and who was refused why, where they waited, what came out.

import { byId, fillTable, say } from "./dom.js";
import { Chart } from "./charts.js";
import { SPAN } from "./history.js";
import { REASONS, clock, duration, figure } from "./words.js";

const KNOWN = ["capacity", "queue_full", "deadline", "no_backend"];
/** Seconds that one row of the table sums up. */
const ROW = 10;

function reason(key) {
  return { key, label: REASONS[key], value: (at) => at.rejected?.[key] ?? 0, quiet: true };
}

function others(at) {
  return Object.entries(at.rejected ?? {}).reduce((sum, [key, n]) => (KNOWN.includes(key) ? sum : sum + n), 0);
}

function percentile(of, name, key = name) {
  return { key, label: name, value: (at) => at[of]?.[name] };
}

const CHARTS = [
  {
    id: "chart-verdicts", title: "Verdicts per second", kind: "stack", format: figure,
    series: [{ key: "accepted", label: "accepted", value: (at) => at.accepted ?? 0 }, ...KNOWN.map(reason), { key: "other", label: "other", value: others, quiet: true }],
  },
  {
    id: "chart-load", title: "Running and waiting (fleet)", kind: "lines", format: figure,
    series: [
      { key: "slots-series", label: "slots", value: (at) => at.slots },
      { key: "queued", label: "waiting", value: (at) => at.queued },
      { key: "running-series", label: "running", value: (at) => at.running },
    ],
  },
  { id: "chart-waits", title: "Wait for a slot", kind: "lines", format: duration, series: [percentile("waited_ms", "max"), percentile("waited_ms", "p90"), percentile("waited_ms", "p50")] },
  { id: "chart-first", title: "Time to the first token", kind: "lines", format: duration, series: [percentile("first_token_ms", "p90"), percentile("first_token_ms", "p50")] },
  { id: "chart-tokens", title: "Tokens per second", kind: "stack", format: figure, series: [{ key: "tokens", label: "tokens", value: (at) => at.tokens ?? 0 }] },
];

export class Trends {
  #charts;
  #shown = "";
  #history = null;
  #model = "";

  constructor() {
    const onPoint = (t) => this.#charts.forEach((chart) => chart.point(t));
    this.#charts = CHARTS.map((chart) => new Chart(byId("trends-view"), { ...chart, onPoint }));
    byId("trends-details").addEventListener("toggle", () => this.#table());
  }

  /** Shows a pool's history; draws only where a second was added or another pool was chosen. */
  update(history, model, router) {
    const shown = `${history.version} ${model}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    [this.#history, this.#model] = [history, model];
    say(byId("trends-scope"), `verdicts, waits and tokens: this router's (${router})`);
    const points = history.of(model, history.window);
    say(byId("trends-title"), { 60: "The last minute", 120: "The last two minutes" }[history.window] ?? "The last five minutes");
    for (const chart of this.#charts) chart.update(points);
    this.#table();
  }

  #table() {
    if (!byId("trends-details").open || !this.#history) return;
    const points = this.#history.of(this.#model, SPAN);
    const rows = [];
    for (let end = points.length; end >= ROW; end -= ROW) {
      const known = points.slice(end - ROW, end).filter((point) => point.at);
      if (known.length > 0) rows.push(row(known));
    }
    fillTable(byId("trends-table"), ["From", "Accepted", "Refused", "Reasons", "Wait p90", "First token p90", "Tokens/s", "Waiting"], rows);
  }
}

/** One row of the table: ten seconds. */
function row(points) {
  const sum = (value) => points.reduce((total, { at }) => total + (value(at) ?? 0), 0);
  const worst = (value) => points.reduce((most, { at }) => (value(at) == null ? most : Math.max(most ?? 0, value(at))), null);
  const reasons = {};
  for (const { at } of points) for (const [key, n] of Object.entries(at.rejected ?? {})) reasons[key] = (reasons[key] ?? 0) + n;
  const refused = Object.values(reasons).reduce((total, n) => total + n, 0);
  const words = Object.entries(reasons).filter(([, n]) => n > 0).map(([key, n]) => `${REASONS[key] ?? key} ${n}`);
  return [
    clock(points[0].t), figure(sum((at) => at.accepted)), figure(refused), words.join(", ") || "–",
    duration(worst((at) => at.waited_ms?.p90)), duration(worst((at) => at.first_token_ms?.p90)),
    figure(sum((at) => at.tokens) / points.length), figure(worst((at) => at.queued)),
  ];
}
