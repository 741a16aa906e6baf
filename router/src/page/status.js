// What a person who was woken at night reads first: why requests are refused, where they wait, what to do. Pure: a pool's
// snapshot and its last seconds in, words out.

import { PRIORITIES, REASONS, backendName, count, duration, figure, list, percent, plural } from "./words.js";

/** Levels from the best to the worst. */
export const LEVELS = ["idle", "calm", "busy", "refusing", "critical"];

/** The curve of one priority: where it begins and ends, where the pool stands, the share that is refused there. */
export function stand(curve, priority) {
  const of = (values) => (typeof values === "object" && values !== null ? values[priority] : values) ?? 0;
  return {
    start: of(curve?.start), capacity: of(curve?.capacity), held: of(curve?.held), p: of(curve?.p), limit: of(curve?.queue_limit),
  };
}

/** A pool in words: `{level, weight, sentence, advice}`; the heavier, the worse. `recent` are the sums of the last ten seconds, `backends` those with `look`. */
export function describe(pool, recent, backends) {
  const facts = gather(pool, recent, backends);
  const { level, sentence } = headline(facts);
  const weight = LEVELS.indexOf(level) + 0.6 * facts.p.normal + 0.3 * facts.p.low;
  return { level, weight, sentence, advice: advise(facts, level) };
}

function gather(pool, recent, backends) {
  const p = Object.fromEntries(PRIORITIES.map((priority) => [priority, stand(pool.curve, priority).p]));
  const live = backends.filter((backend) => backend.look === "live");
  const lost = backends.filter((backend) => backend.look === "lost");
  const worst = Object.entries(recent.reasons).sort((a, b) => b[1] - a[1])[0]?.[0];
  // What ends on a draining backend takes no slot that could be given.
  const used = live.reduce((sum, { slots, running, abandoned }) => sum + Math.min(slots, running + abandoned), 0);
  return { pool, recent, p, live, lost, worst, used };
}

function headline(facts) {
  const { pool, recent, p } = facts;
  if (pool.slots === 0) return { level: "critical", sentence: withoutSlots(facts) };
  const refused = recent.rejected > 0;
  if (p.high >= 1 || pool.queued >= pool.max_queue_size && pool.queued > 0) {
    return { level: "critical", sentence: `Refusing every request: ${where(facts)}.` };
  }
  if (refused && facts.worst !== "capacity") return { level: "refusing", sentence: refusing(facts) };
  if (p.normal > 0) return { level: "refusing", sentence: `Refusing ${percent(p.normal)} of normal requests: ${where(facts)}.` };
  if (p.low > 0) return { level: "refusing", sentence: `Refusing ${percent(p.low)} of low priority, nothing else: ${where(facts)}.` };
  if (refused) return { level: "refusing", sentence: refusing(facts) };
  if (pool.queued > 0) return { level: "busy", sentence: `Nothing is refused, but requests wait: ${where(facts)}.` };
  if (facts.used >= pool.slots) return { level: "busy", sentence: `All ${plural(pool.slots, "slot")} busy; nobody waits, nothing is refused.` };
  if (facts.used === 0 && recent.accepted === 0) return { level: "idle", sentence: `Idle: ${plural(pool.slots, "slot")} free, nobody waits.` };
  return { level: "calm", sentence: `All is well: ${count(facts.used)} of ${plural(pool.slots, "slot")} busy, nobody waits.` };
}

function withoutSlots({ pool, recent, lost }) {
  const what = lost.length > 0 ? `no backend is left (${list(lost.slice(0, 3).map(backendName))} lost)` : "no backend is live";
  if (pool.queued > 0) return `Nothing runs: ${what}. ${plural(pool.queued, "request")} wait for one, the oldest ${duration(pool.oldest_wait_ms)}.`;
  return recent.rejected > 0 ? `Refusing every request: ${what}.` : `Nothing can run: ${what}.`;
}

function refusing(facts) {
  const { recent, worst } = facts;
  const share = recent.rejected / (recent.accepted + recent.rejected);
  const why = { deadline: "they could not finish in time", queue_full: "the queue was full" }[worst] ?? REASONS[worst] ?? worst;
  return `Refused ${percent(share)} of the last ten seconds' requests, ${share < 1 ? "most because " : ""}${why}: ${where(facts)}.`;
}

/** `12 of 12 slots busy, 31 wait, the oldest 8 s` */
function where({ pool, used }) {
  const busy = `${count(used)} of ${plural(pool.slots, "slot")} busy`;
  if (pool.queued === 0) return `${busy}, nobody waits`;
  return `${busy}, ${count(pool.queued)} ${pool.queued === 1 ? "waits" : "wait"}, the oldest ${duration(pool.oldest_wait_ms)}`;
}

function advise(facts, level) {
  const { pool, recent, p, live, lost, worst } = facts;
  const advice = [];
  const wanted = pool.desired_backends ?? 0;
  if (lost.length > 0) advice.push(gone(lost, pool));
  if (wanted > live.length && (level === "refusing" || level === "critical") && pool.slots > 0) {
    advice.push(`More backends would help: ${plural(wanted, "is", "are")} wanted, ${plural(live.length, "is", "are")} live.`);
  }
  if (worst === "deadline") {
    advice.push("Who would wait longer than --wait-share of the request's time is refused at once. More slots, or a longer --request-timeout, lets them in.");
  }
  if (worst === "queue_full") {
    advice.push(`The queue holds ${count(pool.max_queue_size)} at most (--max-queue-size), for normal priority ${count(stand(pool.curve, "normal").limit)}. A longer one helps against bursts only.`);
  }
  if (p.low > p.high && p.high === 0 && level === "refusing") advice.push("High priority is let in without exception: lower ones go first, as they should.");
  if (pool.abandoned > 0) {
    advice.push(`${plural(pool.abandoned, "slot is", "slots are")} held by work that was given up and has not been confirmed to have stopped.`);
  }
  const waits = waiting(recent);
  if (waits) advice.push(waits);
  if (level === "critical" && pool.slots === 0 && lost.length === 0) advice.push("Start a backend for this model, or look at why the last one went.");
  return advice;
}

function gone(lost, pool) {
  const first = lost[0];
  const names = lost.length > 3 ? `${plural(lost.length, "backend")}` : list(lost.map(backendName));
  const since = first.lost_ms ? `, not heard for ${duration(first.lost_ms)}` : "";
  const left = pool.slots > 0 ? "" : " Nothing else serves this model.";
  return `Lost: ${names}${since}. Look at its log, and start it again.${left}`;
}

function waiting({ waited, firstToken, accepted, tokens, seconds }) {
  if (!accepted || firstToken === null) return null;
  const wait = waited === null ? "" : `, of which ${duration(waited)} waiting for a slot`;
  const rate = tokens > 0 && seconds > 0 ? `; ${figure(tokens / seconds)} tokens per second` : "";
  return `The first token comes after ${duration(firstToken)}${wait} (p90 of the last ten seconds)${rate}.`;
}

/** The flags in which the routers differ: `[{name, values: Map(value -> [router ids])}]`. */
export function differing(routers) {
  const names = new Map();
  const told = routers.filter((router) => router.flags);
  for (const router of told) {
    for (const [name, value] of flagsOf(router)) {
      if (!names.has(name)) names.set(name, new Map());
      const values = names.get(name);
      values.set(value, [...(values.get(value) ?? []), router.id]);
    }
  }
  return [...names].map(([name, values]) => ({ name, values })).filter(({ values }) => values.size > 1);
}

/** A router's flags as pairs of name and value. */
export function flagsOf(router) {
  const words = (router.flags ?? "").split(/\s+/).filter(Boolean);
  return words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]);
}
