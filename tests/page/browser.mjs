// A real Chromium without a window, and what must hold of every page that it shows: no error, and no word to another host.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

/** Where distributions put it; TIDEGATE_CHROMIUM names another one. */
const PLACES = [process.env.TIDEGATE_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Starts the browser. */
export async function launch() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  assert.ok(executablePath, "no Chromium is here: apt-get install chromium, or set TIDEGATE_CHROMIUM");
  return chromium.launch({ executablePath });
}

/** Opens `url` in a fresh profile; `{page, errors, close}`. `errors` grows with what goes wrong, other hosts included. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") errors.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => errors.push(`exception: ${error.stack}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) errors.push(`another host: ${request.url()}`);
  });
  await page.goto(url);
  return { page, errors, close: () => context.close() };
}

/** Waits until the page shows a snapshot. */
export async function live(page) {
  await page.locator("#connection[data-state=live]").waitFor();
  await page.locator("#pool").waitFor();
}

/** What axe finds: each violation with the elements at fault. */
export async function violations(page) {
  await page.evaluate(AXE);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run());
  return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

/** Whether a canvas under `host` shows a pixel of the page's colour `name`. */
export async function shows(page, host, name) {
  return (await page.evaluate(shown, [host, `--${name}`])) !== false;
}

/**
 * Milliseconds from the next answer to a call of `path` until that is so. The page itself looks: what drives it may be late on a
 * busy machine.
 */
export async function shownAfter(page, path, host, name) {
  const found = await page.waitForFunction(shown, [host, `--${name}`, path], { polling: 100, timeout: 20_000 });
  return Math.round(await found.jsonValue());
}

/** Runs in the page: the milliseconds since the last answer to a call of `path`, once there is one and the pixel is there. */
function shown([selector, variable, path]) {
  const answers = performance.getEntriesByType("resource").filter(({ name }) => path && name.endsWith(path));
  if (path && answers.length === 0) return false;
  const canvas = document.querySelector(`${selector} canvas`);
  const hex = getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
  const wanted = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  // From a copy: reading the canvas itself would change how the browser keeps it.
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] === wanted[0] && data[at + 1] === wanted[1] && data[at + 2] === wanted[2] && data[at + 3] === 255) return performance.now() - (answers.at(-1)?.responseStart ?? 0);
  }
  return false;
}

/** Waits until `check` gives true; gives the milliseconds that it took since `begun`. */
export async function until(what, check, { limit = 20_000, begun = Date.now() } = {}) {
  while (Date.now() - begun < limit) {
    if (await check()) return Date.now() - begun;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new assert.AssertionError({ message: `not within ${limit} ms: ${what}` });
}
