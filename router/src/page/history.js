// The last five minutes, second by second, as the feed tells them: all points first, then only what is new.

/** Seconds that are kept. */
export const SPAN = 300;

/** A pool's second in which nothing is known. */
const NOTHING = Object.freeze({ accepted: 0, rejected: {}, tokens: 0 });

export class History {
  #points = new Map();
  #newest = 0;
  /** Grows with each new point, so that charts know whether to draw. */
  version = 0;

  /** Takes in what a snapshot brings. */
  add(points) {
    for (const point of points ?? []) {
      this.#points.set(point.t, point.pools ?? {});
      this.#newest = Math.max(this.#newest, point.t);
      this.version += 1;
    }
    for (const t of this.#points.keys()) if (t <= this.#newest - SPAN) this.#points.delete(t);
  }

  /** Forgets everything: another process tells another story. */
  clear() {
    this.#points.clear();
    this.#newest = 0;
    this.version += 1;
  }

  /** The newest whole second; 0 before the first. */
  get newest() {
    return this.#newest;
  }

  /** A pool's points of the last `seconds`, oldest first; seconds that nobody told of are `null`. */
  of(model, seconds = SPAN) {
    const points = [];
    for (let t = this.#newest - seconds + 1; t <= this.#newest; t += 1) {
      const pools = this.#points.get(t);
      points.push({ t, at: pools ? (pools[model] ?? NOTHING) : null });
    }
    return points;
  }

  /** What a pool did in the last `seconds`: accepted, rejected in all and by reason, tokens, seconds that are known, and the
   * worst 90th percentiles of waiting and of the first token. */
  sums(model, seconds) {
    const sums = { accepted: 0, rejected: 0, reasons: {}, tokens: 0, seconds: 0, waited: null, firstToken: null };
    for (const { at } of this.of(model, seconds)) {
      if (!at) continue;
      sums.seconds += 1;
      sums.accepted += at.accepted ?? 0;
      sums.tokens += at.tokens ?? 0;
      for (const [reason, n] of Object.entries(at.rejected ?? {})) {
        sums.rejected += n;
        sums.reasons[reason] = (sums.reasons[reason] ?? 0) + n;
      }
      sums.waited = larger(sums.waited, at.waited_ms?.p90);
      sums.firstToken = larger(sums.firstToken, at.first_token_ms?.p90);
    }
    return sums;
  }
}

function larger(a, b) {
  if (b === null || b === undefined) return a;
  return a === null ? b : Math.max(a, b);
}
