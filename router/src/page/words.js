// How numbers, times and counts are said: the same everywhere on the page.

const NARROW = "\u202f";

/** A whole number with thin spaces between thousands. */
export function count(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, NARROW);
}

/** `3 slots`, `1 slot`. */
export function plural(value, noun, nouns = `${noun}s`) {
  return `${count(value)} ${value === 1 ? noun : nouns}`;
}

/** A share of 1 as per cent; what is above 0 never reads as 0. */
export function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 1) return "under 1 %";
  if (value < 100 && value > 99) return "over 99 %";
  return `${Math.round(value)} %`;
}

/** A duration in milliseconds, with as many digits as matter. */
export function duration(ms) {
  if (ms == null || !Number.isFinite(ms)) return "–";
  if (ms < 1) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

/** A rate or another small number: two digits that matter. */
export function figure(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 10) return String(Number(value.toFixed(1)));
  return count(value);
}

/** A wall-clock time from unix seconds. */
export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
}

/** Words joined as a sentence joins them. */
export function list(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** The name of a backend for people: host and port of its URL, else its id. */
export function backendName(backend) {
  if (backend.url?.startsWith("embedded:")) return "this process";
  return (backend.url || backend.id || "?").replace(/^https?:\/\//, "").replace(/\/$/, "");
}

/** What a refusal's code means, in a few words. */
export const REASONS = {
  capacity: "close to capacity",
  queue_full: "queue full",
  deadline: "would be too late",
  no_backend: "no backend",
  draining: "router draining",
  ledger_unavailable: "ledger away",
  unknown_pool: "unknown pool",
};

/** Priorities in the order of service. */
export const PRIORITIES = ["high", "normal", "low"];
