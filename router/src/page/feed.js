// The live feed: snapshots from `GET /live`, and the truth about whether they still come.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5000;
/** Snapshots come four times a second; after this silence the page says that it is showing the past. */
const SILENCE = 3000;

/** Calls `onSnapshot(snapshot)` for each snapshot, and `onState(state, sinceMs)` when the connection's state changes or ages:
 * `connecting`, `live`, `silent` (open, but nothing comes), `lost` (closed; it is tried again). */
export class Feed {
  #source = null;
  #pause = FIRST_PAUSE;
  #last = null;
  #state = "connecting";
  #retry = null;

  constructor({ url, onSnapshot, onState }) {
    this.url = url;
    this.onSnapshot = onSnapshot;
    this.onState = onState;
    this.#open();
    setInterval(() => this.#watch(), 1000);
  }

  /** Milliseconds since the last snapshot; null before the first. */
  get age() {
    return this.#last === null ? null : performance.now() - this.#last;
  }

  #open() {
    this.#retry = null;
    this.#source = new EventSource(this.url);
    this.#source.onmessage = (event) => this.#take(event.data);
    this.#source.onerror = () => this.#lose();
  }

  #take(text) {
    let snapshot;
    try {
      snapshot = JSON.parse(text);
    } catch {
      return; // A snapshot that was cut off; the next one is whole.
    }
    this.#last = performance.now();
    this.#pause = FIRST_PAUSE;
    this.#become("live");
    this.onSnapshot(snapshot);
  }

  // EventSource gives up for good on some errors and waits for a time of its own after others: the pause is ours.
  #lose() {
    this.#source.close();
    if (this.#retry !== null) return;
    this.#become("lost");
    this.#retry = setTimeout(() => this.#open(), this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #watch() {
    if (this.#state === "live" && this.age > SILENCE) this.#become("silent");
    // A connection whose other end has vanished says nothing and is never closed.
    else if (this.#state === "silent" && this.age > 3 * SILENCE) this.#lose();
    else if (this.#state !== "live") this.onState(this.#state, this.age);
  }

  #become(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.onState(state, this.age);
  }
}
