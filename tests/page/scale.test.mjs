// How long a frame takes with 500 backends and 5,000 tickets, all of which change with every snapshot.

import assert from "node:assert/strict";
import { test } from "node:test";
import { launch, live, open, until } from "./browser.mjs";
import { around, pool, random, serve, waves } from "./synthetic.mjs";

const BAR_MS = 50;
const FRAMES = 40;
const SEED = 5;

function share(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

test("500 backends and 5,000 tickets are drawn in under 50 ms a frame", async (t) => {
  const draw = random(SEED);
  const make = () => around([pool({ backends: 500, slots: 8, waiting: 5000, most: 6000, draw })]);
  const past = waves("example-70b", draw, 4000, 6000);
  const server = await serve(make, { points: (_, all) => (all ? past : []) });
  const browser = await launch();
  try {
    const { page, errors } = await open(browser, server.url);
    await live(page);
    await page.evaluate(() => {
      globalThis.drawn = [];
      globalThis.frames = [];
      new PerformanceObserver((list) => globalThis.drawn.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "measure" });
      // From the first work of a frame to its pixels, where that is over 50 ms.
      new PerformanceObserver((list) => globalThis.frames.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "long-animation-frame" });
    });
    // In the page's own CPU time, which no neighbour on this machine changes.
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
    const busy = async () => (await devtools.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value * 1000;
    const [before, first] = [await busy(), await page.evaluate(() => globalThis.drawn.length)];
    await until(`${FRAMES} frames`, () => page.evaluate((wanted) => globalThis.drawn.length >= wanted, FRAMES), { limit: 120_000 });
    const drawn = (await page.evaluate(() => globalThis.drawn)).sort((a, b) => a - b);
    const cpu = ((await busy()) - before) / (drawn.length - first);
    const long = await page.evaluate(() => globalThis.frames);
    const [median, most] = [share(drawn, 0.5), share(drawn, 0.95)].map((ms) => ms.toFixed(1));
    t.diagnostic(`500 backends, 5,000 tickets: ${cpu.toFixed(1)} ms of CPU for each snapshot, reading, layout and paint included (wanted: ${BAR_MS}); ` +
      `drawing takes ${median} ms in the median and ${most} ms in 95 %; ` +
      `${long.length} of ${drawn.length} frames took over 50 ms with layout and paint${long.length ? `, the longest ${Math.max(...long).toFixed(0)} ms` : ""}; seed ${SEED}`);
    assert.ok(cpu > 0 && cpu < BAR_MS, `${cpu} ms of CPU`);
    // The median: a neighbour may delay a frame, not half of them.
    assert.ok(median < BAR_MS, `${median} ms`);
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await server.close();
  }
});
