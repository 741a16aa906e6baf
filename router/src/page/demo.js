// The burst of demo load that an embedded router offers: real requests of its own, so that a newcomer sees the curve work.

import { byId, say, show } from "./dom.js";

const SECONDS = 10;
const TIMES = 4;

export class Demo {
  #busyUntil = 0;

  constructor() {
    byId("demo-button").addEventListener("click", () => this.#send());
  }

  /** Shows the button where the router is embedded. */
  update(snapshot) {
    show(byId("demo"), snapshot.mode === "embedded");
    byId("demo-button").disabled = performance.now() < this.#busyUntil;
  }

  async #send() {
    this.#busyUntil = performance.now() + SECONDS * 1000;
    byId("demo-button").disabled = true;
    try {
      const response = await fetch("/demo-load", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ seconds: SECONDS, times: TIMES }),
      });
      const answer = await response.json().catch(() => ({}));
      if (response.ok) say(byId("demo-answer"), sent(answer));
      else this.#failed(answer.error?.message ?? `The router answered ${response.status}.`, response.status === 409);
    } catch (error) {
      this.#failed(`The burst could not be asked for: ${error.message}.`, false);
    }
  }

  #failed(text, busy) {
    if (!busy) this.#busyUntil = 0;
    say(byId("demo-answer"), text);
  }
}

function sent({ seconds = SECONDS, rate }) {
  const how = rate ? `${Math.round(rate)} requests a second` : "requests";
  return `On its way: ${how} for ${seconds} s. Watch the queue fill, and the points climb the curve.`;
}
