// The stock SDK, pointed at the router under test. Its addresses come from the environment; without them all fails.

import OpenAI from "openai";

/** A variable that tests/sdk/cluster.py sets. */
export function setting(name) {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: run tests/run, or tests/sdk/cluster.py with node --test as its command`);
  }
  return value;
}

/** Without retries, so that each test sees the first answer. */
export const client = new OpenAI({
  baseURL: setting("TIDEGATE_TEST_BASE_URL"),
  apiKey: "any",
  maxRetries: 0,
  timeout: 60_000,
});

/** The one model that is served. */
export const model = (await client.models.list()).data[0].id;

/** One question, greedy unless said otherwise. */
export function ask(content, parameters = {}) {
  return client.chat.completions.create({
    model,
    messages: [{ role: "user", content }],
    temperature: 0,
    ...parameters,
  });
}

/** What the ledger says is running, given up or waiting. */
export async function taken() {
  const answer = await fetch(`${setting("TIDEGATE_TEST_ADMIN_URL")}/fleet`);
  const [pool] = (await answer.json()).pools;
  return pool.running + pool.abandoned + pool.queued;
}

/** Waits until nothing is taken any more; fails after `limit` milliseconds. */
export async function untilIdle(limit) {
  const end = Date.now() + limit;
  let left;
  while ((left = await taken()) !== 0) {
    if (Date.now() > end) throw new Error(`${left} still taken after ${limit} ms`);
    await new Promise((done) => setTimeout(done, 10));
  }
}
