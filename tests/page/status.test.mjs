// The words at the top of the page, made from snapshots: the same module that the page runs, in the browser.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";
import { around, pool, random, serve } from "./synthetic.mjs";

let browser;
let server;
let page;

before(async () => {
  browser = await launch();
  server = await serve(() => around([made({})]));
  ({ page } = await open(browser, server.url));
});

after(async () => {
  await browser?.close();
  await server?.close();
});

function made(more) {
  return pool({ backends: 3, slots: 4, waiting: 0, most: 50, draw: random(1), abandoned: 0, ...more });
}

/** The level and all words for a pool that did this in the last ten seconds. */
async function said(of, recent = {}) {
  const sums = { accepted: 10, rejected: 0, reasons: {}, tokens: 100, seconds: 10, waited: null, firstToken: null, ...recent };
  const { level, sentence, advice } = await page.evaluate(async ([shown, lately]) => {
    const { describe } = await import("/page/status.js");
    const { Lost } = await import("/page/lost.js");
    return describe(shown, lately, new Lost().backends(shown, 0));
  }, [of, sums]);
  return `${level}: ${sentence} ${advice.join(" ")}`;
}

const CASES = [
  ["idle", made({ busy: 0 }), { accepted: 0 }, /^idle: Idle: 12 slots free, nobody waits\./],
  ["calm", made({ busy: 0.5 }), {}, /^calm: All is well: 6 of 12 slots busy, nobody waits\./],
  ["full", made({}), {}, /^busy: All 12 slots busy; nobody waits/],
  ["waiting", made({ waiting: 1 }), {}, /^busy: Nothing is refused, but requests wait: 12 of 12 slots busy, 1 waits, the oldest /],
  ["normal refused", made({ waiting: 45 }), {}, /^refusing: Refusing \d+ % of normal requests: 12 of 12 slots busy, 45 wait, the oldest .*More backends would help: 15 are wanted, 3 are live\./],
  ["low refused", made({ waiting: 24 }), {}, /^refusing: Refusing \d+ % of low priority: 12 of 12 .*Lower priorities go first/],
  ["too late", made({ waiting: 8 }), { rejected: 30, reasons: { deadline: 30 } }, /^refusing: Refused 75 % of the last ten seconds' requests, most because they could not finish in time: .*--wait-share/],
  ["full queue", made({ waiting: 50 }), { rejected: 5, reasons: { queue_full: 5 } }, /^critical: Refusing every request: 12 of 12 slots busy, 50 wait.*--max-queue-size/],
  ["lost", made({ lost: 1 }), {}, /8 slots.*Lost: 10\.0\.0\.0:8100, not heard for 4\.2 s\. Look at its log/],
  ["all lost", made({ lost: 3 }), { rejected: 9, reasons: { no_backend: 9 } }, /^critical: Refusing every request: no backend is left \(10\.0\.0\.0:8100, .* lost\)/],
  ["all lost, some wait", made({ lost: 3, waiting: 2 }), {}, /^critical: Nothing runs: no backend is left .* 2 requests wait for one, the oldest /],
  ["abandoned", made({ abandoned: 1, busy: 0.5 }), {}, /3 slots are held by work that was given up/],
  ["where they wait", made({ waiting: 1 }), { waited: 3100, firstToken: 3500 }, /The first token comes after 3\.5 s, of which 3\.1 s waiting for a slot \(p90 of the last ten seconds\); 10 tokens per second\./],
];

for (const [name, of, recent, wanted] of CASES) {
  test(`the sentence of a pool: ${name}`, async () => assert.match(await said(of, recent), wanted));
}

test("flags that differ are told by their values", async () => {
  const routers = [{ id: "a", flags: "x=1 y=2" }, { id: "b", flags: "x=1 y=3" }, { id: "new", flags: "" }];
  const found = await page.evaluate(async (list) => {
    const { differing } = await import("/page/status.js");
    return differing(list).map(({ name, values }) => [name, ...values.keys()]);
  }, routers);
  assert.deepEqual(found, [["y", "2", "3"]]);
});

test("what is above nothing never reads as nothing", async () => {
  const words = await page.evaluate(async () => {
    const { percent, duration, count } = await import("/page/words.js");
    return [percent(0), percent(0.001), percent(0.999), percent(1), duration(950), duration(9940), duration(9951), duration(61_000), count(12_345)];
  });
  assert.deepEqual(words, ["0 %", "under 1 %", "over 99 %", "100 %", "950 ms", "9.9 s", "10 s", "61 s", "12\u202f345"]);
});
