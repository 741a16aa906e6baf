// The page of a fleet: Redis, two backends and routers, some of which die.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, live, open, shows, until } from "./browser.mjs";
import { freePorts, redisFleet } from "./processes.mjs";

let browser;
let fleet;

before(async () => {
  browser = await launch();
  fleet = await redisFleet(2);
});

after(async () => {
  await browser?.close();
  await fleet?.fleet.end();
});

function text(page, selector) {
  return page.locator(selector).textContent();
}

test("a backend that is killed turns red within three seconds, and stays named", async (t) => {
  const { page, errors, close } = await open(browser, fleet.url);
  await live(page);
  await until("both backends are there", async () => /of 4 on 2 backends$/.test(await text(page, "#slots-summary")));
  assert.ok(await page.locator("#demo").isHidden(), "demo load is for embedded routers");
  assert.ok(!(await shows(page, "#slots-view", "lost")));
  await fleet.fleet.kill("backend1");
  const took = await until("red", () => shows(page, "#slots-view", "lost"), { limit: 10_000 });
  t.diagnostic(`a killed backend is red after ${took} ms; wanted: within 3,000`);
  assert.ok(took < 3000, `red after ${took} ms`);
  const named = new RegExp(`Lost: 127\\.0\\.0\\.1:${fleet.backends[1]}`);
  await until("it is named", async () => named.test(await text(page, "#status-advice")));
  await until("its slots have left", async () => /of 2 on 1 backend, 1 lost$/.test(await text(page, "#slots-summary")));
  assert.ok(await shows(page, "#slots-view", "lost"), "it is still shown when the account has forgotten it");
  assert.deepEqual(errors, []);
  await close();
});

test("routers that decide by different flags are named with the flag", async () => {
  const [client, admin] = await freePorts(2);
  const flags = ["--redis-url", fleet.redis, "--port", client, "--admin-port", admin, "--max-queue-size", "7"];
  fleet.fleet.start("other", "tidegate-router", ...flags);
  const { page, errors, close } = await open(browser, fleet.url);
  await live(page);
  await until("the warning", async () => /--max-queue-size: .*50 on .*7 on |--max-queue-size: .*7 on .*50 on /.test(await text(page, "#banners")));
  assert.match(await text(page, "#routers-summary"), /^2 routers$/);
  assert.deepEqual(errors, []);
  await close();
  await fleet.fleet.kill("other", "SIGTERM");
});

test("while Redis is away the page says so above all else", async () => {
  const { page, errors, close } = await open(browser, fleet.url);
  await live(page);
  await fleet.fleet.kill("redis");
  await until("degraded", async () => /^Degraded: Redis is out of reach since /.test(await text(page, "#banners").catch(() => "")));
  assert.ok(await page.locator("#banner-degraded").isVisible());
  assert.deepEqual(errors, []);
  await close();
});
