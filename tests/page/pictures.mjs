// Takes the pictures of docs/live-page.md from real processes: RAYON_NUM_THREADS=1 node pictures.mjs FOLDER (a core for the browser). With pngquant they are a third as large.

import { spawnSync } from "node:child_process";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { launch, live, open, until } from "./browser.mjs";
import { embedded, redisFleet } from "./processes.mjs";

const folder = process.argv[2];
/** Seconds of history before the picture is taken, so that its charts have something to show. */
const PAST_MS = 25_000;
const RETRY_MS = 300;

const files = [];

function shoot(page, name, options = {}) {
  files.push(path.join(folder, name));
  return page.screenshot({ path: files.at(-1), animations: "disabled", ...options });
}

/** Chats without end, `clients` at once, as impatient clients send them. */
function load(url, clients, stop) {
  const one = async (at) => {
    while (!stop.done) {
      const answer = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-tidegate-priority": ["high", "normal", "normal", "low", "low"][at % 5] },
        body: JSON.stringify({ model: "tidegate-demo", messages: [{ role: "user", content: "What is Tidegate?" }], stream: true }),
      }).catch(() => null);
      if (answer?.ok) await answer.text().catch(() => "");
      else await pause(RETRY_MS);
    }
  };
  return Promise.all(Array.from({ length: clients }, (_, at) => one(at)));
}

async function burst(browser) {
  const router = await embedded();
  const narrow = await open(browser, router.url, { viewport: { width: 360, height: 780 } });
  const { page } = await open(browser, router.url, { viewport: { width: 1320, height: 860 } });
  await live(page);
  await page.locator("#try-send").click();
  await until("an answer", async () => /answered/.test(await page.locator("#try-timeline").textContent()));
  await page.locator("#demo-button").click();
  const point = page.locator(".point[data-priority=normal]");
  await until("the curve", async () => Number(await point.getAttribute("data-p")) > 0.1);
  await shoot(page, "live-page-light.png", { fullPage: true });
  await shoot(narrow.page, "live-page-narrow.png");
  await router.fleet.end();
}

async function lostBackend(browser) {
  const fleet = await redisFleet(4);
  const { page } = await open(browser, fleet.url, { viewport: { width: 1320, height: 700 }, colorScheme: "dark" });
  await live(page);
  const stop = { done: false };
  const loaded = load(fleet.client, 24, stop);
  await pause(PAST_MS);
  await fleet.fleet.kill("backend3");
  await until("lost", async () => /1 lost/.test(await page.locator("#slots-summary").textContent()));
  await pause(4000);
  await shoot(page, "live-page-dark.png");
  stop.done = true;
  await loaded;
  await fleet.fleet.end();
}

const browser = await launch();
await burst(browser);
await lostBackend(browser);
await browser.close();
// After all are taken: it takes longer than a burst.
for (const file of files) spawnSync("pngquant", ["--ext", ".png", "--force", "--speed", "1", "48", file]);
