// Puts the page together: each snapshot of the feed is drawn once, in the next frame, by the parts that show it.

import { byId, make, mark, say, sayList, show } from "./dom.js";
import { Curve } from "./curve.js";
import { Demo } from "./demo.js";
import { Feed } from "./feed.js";
import { FleetView } from "./fleet.js";
import { History } from "./history.js";
import { Lost } from "./lost.js";
import { Pools } from "./pools.js";
import { Queue } from "./queue.js";
import { Slots } from "./slots.js";
import { describe, stand } from "./status.js";
import { Trends } from "./trends.js";
import { TryIt } from "./tryit.js";
import { count, duration, figure, percent } from "./words.js";

/** Seconds that the sentence at the top looks back. */
const RECENT = 10;
/** Screen readers hear of a change of state at most this often. */
const ANNOUNCE_MS = 5000;

const history = new History();
const lost = new Lost();
const fleet = new FleetView();
const slots = new Slots();
const queue = new Queue();
const curve = new Curve();
const trends = new Trends();
const tryIt = new TryIt();
const demo = new Demo();
const pools = new Pools({ onChoose: () => schedule() });

let snapshot = null;
let router = null;
let frame = null;
let announced = { level: "unknown", at: -Infinity };

new Feed({
  url: "/live",
  onSnapshot: (next) => {
    if (next.router !== router) {
      router = next.router;
      history.clear();
      lost.clear();
    }
    history.add(next.history?.points);
    snapshot = next;
    schedule();
  },
  onState: (state, age) => {
    mark(byId("connection"), "data-state", state);
    const words = { live: "live", silent: "silent", lost: "reconnecting", connecting: "connecting" }[state];
    say(byId("connection-text"), words);
    mark(document.body, "data-connection", state);
    fleet.connection(state, age);
  },
});

function schedule() {
  if (snapshot) frame ??= requestAnimationFrame(drawAll);
}

function drawAll() {
  frame = null;
  const begun = performance.now();
  const now = Date.now();
  const seen = new Map(snapshot.pools.map((pool) => [pool.model, look(pool, now)]));
  pools.update(snapshot.pools, seen);
  status(seen);
  fleet.update(snapshot);
  demo.update(snapshot);
  tryIt.update(snapshot.pools);
  const pool = snapshot.pools.find(({ model }) => model === pools.chosen);
  show(byId("pool"), Boolean(pool));
  if (pool) {
    const { backends } = seen.get(pool.model);
    slots.update(pool, backends);
    queue.update(pool);
    curve.update(pool);
    trends.update(history, pool.model, snapshot.router);
    figures(pool);
  }
  // For whoever measures the page: the tests, and the profiler of a browser.
  performance.measure("tidegate:draw", { start: begun });
  performance.clearMeasures("tidegate:draw");
}

function look(pool, now) {
  const backends = lost.backends(pool, now);
  return { backends, ...describe(pool, history.sums(pool.model, RECENT), backends) };
}

/** The sentence at the top is the worst pool's. */
function status(seen) {
  const [model, worst] = [...seen].reduce((most, each) => (rank(each) > rank(most) ? each : most), [null, null]);
  const { level, sentence, advice } = worst ?? {
    level: "critical", sentence: "No backend has registered yet, so no model can be served.", advice: ["Start a backend that this router can reach."],
  };
  mark(byId("status"), "data-level", level);
  const text = seen.size > 1 ? `${model}: ${sentence}` : sentence;
  say(byId("status-sentence"), text);
  sayList(byId("status-advice"), advice);
  document.title = `${TITLES[level] ?? ""}Tidegate`;
  announce(level, text);
}

const TITLES = { refusing: "▲ refusing · ", critical: "✖ critical · ", busy: "● busy · " };

function rank([, described]) {
  return described === null ? -1 : described.weight;
}

/** Tells screen readers when the state changes, not when a number does. */
function announce(level, text) {
  const now = performance.now();
  if (level === announced.level || now - announced.at < ANNOUNCE_MS) return;
  announced = { level, at: now };
  say(byId("announcement"), text);
}

function figures(pool) {
  const recent = history.sums(pool.model, RECENT);
  const perSecond = (value) => (recent.seconds > 0 ? figure(value / recent.seconds) : "–");
  const rows = [
    ["running / slots", `${count(pool.running)} / ${count(pool.slots)}`],
    ["waiting", count(pool.queued)],
    ["oldest", pool.queued > 0 ? duration(pool.oldest_wait_ms) : "–"],
    ["refused (normal)", percent(stand(pool.curve, "normal").p)],
    ["accepted /s", perSecond(recent.accepted)],
    ["refused /s", perSecond(recent.rejected)],
    ["tokens /s", perSecond(recent.tokens)],
    ["service time", duration(pool.service_ms?.mean || null)],
  ];
  const host = byId("figures");
  if (host.children.length !== rows.length) host.replaceChildren(...rows.map(() => make("div", {}, make("dt"), make("dd"))));
  rows.forEach(([name, value], at) => {
    say(host.children[at].firstChild, name);
    say(host.children[at].lastChild, value);
  });
}

// A tab that comes back from the background shows the present at once.
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && schedule());
