// The fleet around the pools: routers and their age, flags that differ, and the warnings that stand above everything else.

import { byId, fillTable, make, say, show } from "./dom.js";
import { differing, flagsOf } from "./status.js";
import { clock, duration, list, plural } from "./words.js";

/** The warnings from the gravest down, as they stand above each other. */
const WARNINGS = [["connection", "bad"], ["degraded", "bad"], ["draining", "warn"], ["flags", "warn"]];

/** A router that has not renewed for this long is about to lose its lease (5 s). */
const LATE_MS = 2500;

export class FleetView {
  #degradedSince = null;
  #banners = new Map();

  constructor() {
    for (const [key, className] of WARNINGS) {
      const banner = make("p", { class: `banner ${className}`, id: `banner-${key}`, hidden: true });
      this.#banners.set(key, banner);
      byId("banners").append(banner);
    }
  }

  /** Shows routers and warnings. */
  update(snapshot) {
    const routers = snapshot.routers ?? [];
    say(byId("identity"), `${snapshot.router} · ${snapshot.mode} · ledger: ${snapshot.ledger} · ${snapshot.version}`);
    this.#degraded(snapshot);
    this.#banner("draining", snapshot.draining ? "This router is draining: it takes no new work, and what runs may finish." : null);
    this.#differing(snapshot, routers);
    this.#routers(snapshot, routers);
  }

  /** What the page says while no snapshots come. */
  connection(state, age) {
    const words = { silent: "The feed is silent", lost: "The router is out of reach; trying again" }[state];
    const since = age === null ? "Nothing has been heard yet." : `What you see is ${duration(age)} old.`;
    this.#banner("connection", words ? `${words}. ${since}` : null);
  }

  #degraded({ ledger, at_ms: now }) {
    if (ledger !== "degraded") {
      this.#degradedSince = null;
      this.#banner("degraded", null);
      return;
    }
    this.#degradedSince ??= now;
    const since = `since ${clock(this.#degradedSince / 1000)} (${duration(now - this.#degradedSince)})`;
    const what = "This router goes on alone, as --on-redis-loss says: by default with its share of slots and queue. What stands below is its own view. Bring Redis back; routers rejoin by themselves.";
    this.#banner("degraded", `Degraded: Redis is out of reach ${since}. ${what}`);
  }

  #differing(snapshot, routers) {
    if (!snapshot.flags_differ) {
      this.#banner("flags", null);
      return;
    }
    const what = differing(routers).map(({ name, values }) => {
      const each = [...values].map(([value, ids]) => `${value} on ${ids.length > 2 ? plural(ids.length, "router") : list(ids)}`);
      return `--${name.replaceAll("_", "-")}: ${each.join(", ")}`;
    });
    this.#banner("flags", `The routers decide by different flags, each by its own. ${what.join("; ")}.`);
  }

  #routers(snapshot, routers) {
    const odd = new Set(differing(routers).map(({ name }) => name));
    say(byId("routers-summary"), plural(routers.length, "router"));
    const rows = routers.map((router) => [
      router.id === snapshot.router ? `${router.id} (this one)` : router.id,
      { text: `${duration(router.age_ms)} ago`, className: router.age_ms > LATE_MS ? "bad" : "" },
      { text: router.age_ms > LATE_MS ? "late: its lease ends after 5 s" : "renews", className: router.age_ms > LATE_MS ? "bad" : "" },
    ]);
    fillTable(byId("routers-table"), ["Router", "Heard", "Lease"], rows);
    const names = [...new Set(routers.flatMap((router) => flagsOf(router).map(([name]) => name)))];
    const flags = names.map((name) => [
      { text: name, className: odd.has(name) ? "bad" : "" },
      ...routers.map((router) => ({ text: new Map(flagsOf(router)).get(name) ?? "–", className: odd.has(name) ? "bad" : "", head: false })),
    ]);
    fillTable(byId("flags-table"), ["Flag", ...routers.map((router) => router.id)], flags);
  }

  #banner(key, text) {
    const banner = this.#banners.get(key);
    show(banner, text !== null);
    if (text !== null) say(banner, text);
  }
}
