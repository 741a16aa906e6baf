// Which pool is looked at: with several, a row of buttons that each say how their pool is.

import { byId, make, mark, say, show } from "./dom.js";
import { count, plural } from "./words.js";

export class Pools {
  /** The model whose pool is shown. */
  chosen = null;
  #buttons = new Map();

  constructor({ onChoose }) {
    this.onChoose = onChoose;
  }

  /** Shows the pools with what `described` (model to `{level, weight}`) says of them. At the start the worst one is chosen; from then
   * on only people choose. */
  update(pools, described) {
    const models = pools.map((pool) => pool.model);
    if (!models.includes(this.chosen)) this.chosen = worst(models, described);
    show(byId("pools"), pools.length > 1);
    if (pools.length < 2) return;
    for (const [model, { button }] of this.#buttons) {
      if (models.includes(model)) continue;
      button.remove();
      this.#buttons.delete(model);
    }
    for (const pool of pools) this.#button(pool, described.get(pool.model));
  }

  #button(pool, { level }) {
    let made = this.#buttons.get(pool.model);
    if (!made) {
      const state = make("span", { class: "pool-state" });
      const button = make("button", { type: "button" }, make("b", {}, pool.model), state);
      button.addEventListener("click", () => {
        this.chosen = pool.model;
        this.onChoose();
      });
      this.#buttons.set(pool.model, (made = { button, state }));
      byId("pools").append(button);
    }
    mark(made.button, "aria-pressed", pool.model === this.chosen);
    mark(made.button, "data-level", level);
    const waits = pool.queued > 0 ? `, ${count(pool.queued)} wait` : "";
    say(made.state, `${level}: ${count(pool.running + pool.abandoned)} of ${plural(pool.slots, "slot")}${waits}`);
  }
}

function worst(models, described) {
  const rank = (model) => described.get(model)?.weight ?? -1;
  return models.reduce((most, model) => (most === null || rank(model) > rank(most) ? model : most), null);
}
