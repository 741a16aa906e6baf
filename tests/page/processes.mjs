// Tidegate's processes for a test: each is this process's own child, on ports that were free, and ends with the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { existsSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = process.env.TIDEGATE_ROOT ?? path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const BIN = process.env.TIDEGATE_BIN_DIR ?? path.join(ROOT, "target/release");
const START_MS = 60_000;
const NICE = 15;
/** Nothing of this machine configures what is tested. */
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TIDEGATE_|OTEL_|RUST_LOG)/.test(name)));

/**
 * Gives a process and its session a low priority: models that compute on all cores would leave Chromium none. Where the system
 * shares cores between sessions first (autogroups, sched(7)), the priority of a process counts within its session only.
 */
function stepBack(pid) {
  os.setPriority(pid, NICE);
  const group = `/proc/${pid}/autogroup`;
  if (existsSync(group)) writeFileSync(group, String(NICE));
}

// Signals would end this process without its children.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/** Processes that end together. */
export class Fleet {
  #children = new Map();
  #logs = mkdtempSync(path.join(os.tmpdir(), "tidegate-page-"));

  /** Starts a process; `name` is for its log, and for `kill`. */
  start(name, program, ...flags) {
    const file = path.join(this.#logs, `${name}.log`);
    const log = openSync(file, "a");
    const command = program.startsWith("tidegate-") ? path.join(BIN, program) : program;
    // In a session of its own, as Chromium is: see `stepBack`.
    const child = spawn(command, flags, { stdio: ["ignore", log, log], env: ENVIRONMENT, detached: true });
    child.on("error", (error) => (child.failed = error));
    process.once("exit", () => child.kill("SIGKILL"));
    if (child.pid) stepBack(child.pid);
    this.#children.set(name, { child, file });
    return child;
  }

  /** Waits for a 200 from `url`, as long as the process lives. */
  async ready(name, url) {
    const { child, file } = this.#children.get(name);
    const deadline = Date.now() + START_MS;
    while (Date.now() < deadline) {
      if (child.exitCode !== null || child.failed) throw new Error(`${name} ended: ${child.failed ?? ""}\n${readFileSync(file, "utf8")}`);
      const answer = await fetch(url).catch(() => null);
      if (answer?.ok) return;
      await pause(50);
    }
    throw new Error(`${name} is not ready after ${START_MS} ms\n${readFileSync(file, "utf8")}`);
  }

  /** Ends a process with a signal and waits for its end. */
  async kill(name, signal = "SIGKILL") {
    const { child } = this.#children.get(name);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** Ends all of them. */
  async end() {
    for (const name of this.#children.keys()) await this.kill(name);
  }
}

/** Ports that nobody listens on, taken all at once so that they differ. */
export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  }));
  const ports = servers.map((server) => String(server.address().port));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A router that embeds its backend; `{fleet, url, restart}`. */
export async function embedded(...flags) {
  const fleet = new Fleet();
  const [client, admin] = await freePorts(2);
  const url = `http://127.0.0.1:${admin}`;
  const restart = async () => {
    fleet.start("router", "tidegate-router", "--port", client, "--admin-port", admin, ...flags);
    await fleet.ready("router", `${url}/readyz`);
  };
  await restart();
  return { fleet, url, client: `http://127.0.0.1:${client}`, restart };
}

/** Redis, `backends` backends and a router; `{fleet, url, redis, backends}`. */
export async function redisFleet(backends) {
  const fleet = new Fleet();
  const [redisPort, client, admin, ...ports] = await freePorts(3 + backends);
  const redis = `redis://127.0.0.1:${redisPort}`;
  fleet.start("redis", "redis-server", "--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no");
  for (const [at, port] of ports.entries()) {
    fleet.start(`backend${at}`, "tidegate-backend", "--redis-url", redis, "--port", port, "--max-concurrent-requests", "2");
    await fleet.ready(`backend${at}`, `http://127.0.0.1:${port}/readyz`);
  }
  fleet.start("router", "tidegate-router", "--redis-url", redis, "--port", client, "--admin-port", admin);
  const url = `http://127.0.0.1:${admin}`;
  await fleet.ready("router", `${url}/readyz`);
  return { fleet, url, client: `http://127.0.0.1:${client}`, redis, backends: ports };
}
