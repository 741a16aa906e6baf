// "Try it": one real chat through admission, its answer as it streams, and where its time went.

import { byId, make, say, show } from "./dom.js";
import { events } from "./sse.js";
import { Timeline } from "./timeline.js";
import { REASONS, duration } from "./words.js";

const PATH = "/try/v1/chat/completions";
const EXAMPLES = ["What is 17 + 25?", "What is Tidegate?", "Sort these words: pear, fig, apple.", "What happens when the fleet is full?"];

export class TryIt {
  #timeline = new Timeline();
  #abort = null;
  #models = "";

  constructor() {
    byId("try-examples").append(...EXAMPLES.map((text) => {
      const button = make("button", { type: "button", class: "example" }, text);
      button.addEventListener("click", () => (byId("try-message").value = text));
      return button;
    }));
    byId("try-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("try-message").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("try-form").requestSubmit();
    });
    byId("try-stop").addEventListener("click", () => this.#abort?.abort());
  }

  /** Offers the pools' models. */
  update(pools) {
    const models = pools.map((pool) => pool.model);
    if (models.join("\n") === this.#models) return;
    this.#models = models.join("\n");
    const select = byId("try-model");
    const chosen = select.value;
    select.replaceChildren(...models.map((model) => make("option", {}, model)));
    if (models.includes(chosen)) select.value = chosen;
  }

  async #send() {
    if (this.#abort) return;
    this.#abort = new AbortController();
    this.#busy(true);
    say(byId("try-state"), "Sent. Waiting for a slot, then for the prompt to be read.");
    say(byId("try-answer"), "");
    show(byId("try-answer"), false);
    const traceId = hex(16);
    const attempt = this.#timeline.begin({ state: "", queued: 0, prefill: null, decode: null, tokens: 0, ids: [["trace", traceId]] });
    const clock = new Stopwatch(attempt, this.#timeline);
    try {
      await this.#stream(attempt, clock, traceId);
    } catch (error) {
      attempt.state = error.name === "AbortError" ? "stopped" : "broken off";
      say(byId("try-state"), error.name === "AbortError" ? "Stopped: its slot is free again." : `The answer broke off: ${error.message}`);
    } finally {
      clock.stop();
      this.#abort = null;
      this.#busy(false);
    }
  }

  async #stream(attempt, clock, traceId) {
    const response = await fetch(PATH, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${traceId}-${hex(8)}-01`,
        "x-tidegate-priority": byId("try-priority").value,
      },
      body: JSON.stringify({
        model: byId("try-model").value,
        messages: [{ role: "user", content: byId("try-message").value }],
        stream: true,
        stream_options: { include_usage: true },
      }),
      signal: this.#abort.signal,
    });
    attempt.ids.unshift(["request", response.headers.get("x-request-id") ?? "–"]);
    if (!response.ok) return this.#refused(attempt, response);
    const queued = queuedOf(response);
    if (queued !== null) clock.granted(queued);
    else say(byId("try-state"), "Still waiting for a slot; the stream is open, and comments keep it alive.");
    for await (const data of events(response.body)) {
      if (data === null) continue;
      if (queued === null) clock.granted(null);
      if (data !== "[DONE]") this.#take(attempt, clock, JSON.parse(data));
    }
    if (attempt.state === "") this.#ended(attempt);
  }

  #take(attempt, clock, chunk) {
    if (chunk.error) {
      attempt.state = chunk.error.code ?? "failed";
      say(byId("try-state"), `The stream ended with an error: ${chunk.error.message}`);
      return;
    }
    const text = chunk.choices?.[0]?.delta?.content ?? "";
    if (text !== "") {
      clock.token();
      show(byId("try-answer"), true);
      byId("try-answer").append(text);
      say(byId("try-state"), "Answering.");
    }
    if (chunk.usage) attempt.tokens = chunk.usage.completion_tokens;
  }

  #ended(attempt) {
    attempt.state = "answered";
    say(byId("try-state"), `Answered: ${byId("try-answer").textContent}`);
  }

  async #refused(attempt, response) {
    const { error } = await response.json().catch(() => ({ error: {} }));
    const after = Number(response.headers.get("retry-after-ms"));
    const again = after > 0 ? ` A retry makes sense in ${duration(after)}.` : "";
    attempt.state = `${response.status} ${error?.code ?? ""}`;
    const why = REASONS[error?.code] ? ` (${REASONS[error.code]})` : "";
    say(byId("try-state"), `Refused with ${response.status} ${error?.code ?? ""}${why}: ${error?.message ?? "no reason given"}.${again}`);
    show(byId("try-answer"), false);
  }

  #busy(busy) {
    byId("try-send").disabled = busy;
    show(byId("try-stop"), busy);
  }
}

/** Measures the parts of one try, and lets the bar grow meanwhile. */
class Stopwatch {
  #begun = performance.now();
  #granted = null;
  #first = null;
  #last = null;
  #tokens = 0;

  constructor(attempt, timeline) {
    this.attempt = attempt;
    this.timeline = timeline;
    this.ticker = setInterval(() => this.#show(), 100);
  }

  /** The headers have come; the router says how long the request waited, the rest until now was the way and the prompt. */
  granted(queued) {
    this.#granted ??= queued === null ? performance.now() : Math.min(this.#begun + queued, performance.now());
  }

  /** A piece of the answer has come. */
  token() {
    this.#last = performance.now();
    this.#first ??= this.#last;
    this.#tokens += 1;
  }

  stop() {
    clearInterval(this.ticker);
    this.attempt.tokens ||= this.#tokens;
    this.#show(this.#last ?? performance.now());
  }

  #show(now = performance.now()) {
    this.attempt.queued = (this.#granted ?? now) - this.#begun;
    this.attempt.prefill = this.#granted === null ? null : (this.#first ?? now) - this.#granted;
    this.attempt.decode = this.#first === null ? null : now - this.#first;
    this.timeline.draw();
  }
}

/** Milliseconds in the queue, from `server-timing: queue;dur=12.5`; null where the router cannot tell. */
function queuedOf(response) {
  const found = /(?:^|,)\s*queue;dur=([\d.]+)/.exec(response.headers.get("server-timing") ?? "");
  return found ? Number(found[1]) : null;
}

/** Random bytes as hexadecimal digits, for W3C trace context. */
function hex(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
