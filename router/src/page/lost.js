// Backends that have gone. The account forgets them once nothing is left that ran there; a person who was woken wants to see
// which one it was.

/** How long a backend that vanished is shown. */
const KEPT_MS = 300_000;
/** A backend that has not been heard for this long is drawn as lost, before its lease runs out. */
const SILENT_MS = 2000;

export class Lost {
  /** model -> id -> {backend, seen}. */
  #known = new Map();

  /** The pool's backends, those that have gone included; each has `look`: live, trial, ejected, draining, lost; lost ones `lost_ms`. */
  backends(pool, now) {
    let known = this.#known.get(pool.model);
    if (!known) this.#known.set(pool.model, (known = new Map()));
    const looks = pool.backends.map((backend) => ({ ...backend, ...look(backend) }));
    const present = new Set(pool.backends.map((backend) => backend.id));
    for (const backend of looks) known.set(backend.id, { backend, seen: now });
    for (const [id, { backend, seen }] of known) {
      if (present.has(id)) continue;
      // One that drained has left as it should.
      if (backend.look === "draining" || now - seen > KEPT_MS) {
        known.delete(id);
        continue;
      }
      looks.push({ ...backend, running: 0, abandoned: 0, look: "lost", lost_ms: (backend.lost_ms ?? 0) + now - seen });
    }
    return looks.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  }

  /** Forgets everything. */
  clear() {
    this.#known.clear();
  }
}

function look(backend) {
  const silent = backend.silent_ms ?? 0;
  if (backend.state === "gone" || backend.state === "lost" || silent > SILENT_MS) return { look: "lost", lost_ms: silent };
  if (["draining", "ejected", "trial"].includes(backend.state)) return { look: backend.state };
  return { look: "live" };
}
