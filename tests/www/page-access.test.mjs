// Everybody can use the page: no serious fault that axe finds, in both themes and widths; nothing scrolls sideways at
// 360 px; the keyboard reaches everything; and it is light enough for a slow line.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { at } from "../../tools/lib.mjs";
import { stage } from "./page.mjs";

const WEIGHT_BYTES_MAX = 150 * 1024;
const CLIENT_BYTES_MAX = 60 * 1024;
const PANELS = ["put", "live", "worker", "queue", "dead"];
const AXE = readFileSync(at("node_modules", "axe-core", "axe.min.js"), "utf8");

let scene;
before(async () => {
  scene = await stage();
});
after(() => scene.stop());

/** Faults that keep somebody out. */
async function faults(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 120)} ${failureSummary}`).join(" | ")}`,
    );
}

/** What is wider than the page, or than its own place, so that it lies upon its neighbour. */
const sideways = (page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const name = (element) => `${element.tagName}#${element.id}.${element.className}`;
    const spilt = [
      ...document.querySelectorAll(":is(.fields, .actions, .loop, .facts, .receipt-head, .tabs, header) > *"),
    ].filter(
      (element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX === "visible",
    );
    if (document.documentElement.scrollWidth <= width) return spilt.map(name);
    return [...document.querySelectorAll("body *")]
      .filter((element) => element.getBoundingClientRect().right > width + 1)
      .map(name)
      .slice(0, 8);
  });

/** Something of everything: entries that wait, a consumer's group, results, dead letters, long words. */
async function fill(one) {
  const long = "unbreakable".repeat(40);
  for (let n = 0; n < 5; n++) await one.input.put(`${long} ${n}`, { job: long });
  await one.sink.put(JSON.stringify({ label: "positive", text: long }), {
    requestId: long.slice(0, 200),
    "ts@source": String(Date.now() - 300),
  });
  await one.sink.put("short");
  await one.dead.put(long, { lastCode: "OOM", lastReason: `${long} and more` });
}

for (const theme of ["light", "dark"]) {
  for (const [size, width, height] of [
    ["wide", 1440, 1000],
    ["phone", 360, 780],
  ]) {
    test(`every panel, ${theme}, ${size}: no serious fault, nothing sideways`, async () => {
      const one = await scene.open({ theme, width, height, hash: "&mode=consume" });
      const found = [];
      const look = async (where) => {
        found.push(
          ...(await faults(one.page)).map((fault) => `${where}: ${fault}`),
          ...(await sideways(one.page)).map((element) => `${where}: sideways ${element}`),
        );
      };
      await look("empty");
      await fill(one);
      await one.says("#dead-badge", /^1$/);
      if (size === "wide") await one.choose("How to read", "Read along");
      for (const panel of PANELS) {
        if (panel === "live" && size === "wide") continue;
        await one.page.click(`#tab-${panel}`);
        if (panel === "live") await one.choose("How to read", "Read along");
        if (panel === "queue") await one.page.getByRole("button", { name: "Show the oldest" }).click();
        const shown =
          panel === "live" || panel === "queue" || panel === "dead" ? `#panel-${panel} .entry .fold` : "#panel-live";
        await one.page.waitForSelector(shown, { state: "attached" });
        if (shown.endsWith(".fold")) await one.page.locator(shown).first().click();
        if (panel === "queue")
          for (const summary of await one.page.locator("#panel-queue summary").all()) await summary.click();
        await look(panel);
      }
      await one.page.click("#tab-queue");
      await one.page.getByRole("button", { name: "Delete entry 1" }).click();
      for (const summary of await one.page.locator(".chart summary").all()) await summary.click();
      await look("tables");
      await one.page.getByRole("button", { name: "End the stream" }).click();
      await look("question");
      await one.page.getByRole("button", { name: "Keep" }).click();
      await one.page.click("#token-button");
      await look("welcome");
      assert.deepEqual(found, []);
      await one.close();
    });
  }
}

test("the keyboard alone: from the top to a put, along the tabs, into an entry", async () => {
  const one = await scene.open();
  const focused = () =>
    one.page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim());
  await one.page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the panels");
  await one.page.keyboard.press("Enter");
  await one.page.keyboard.press("Tab");
  assert.equal(await focused(), "tab-put");
  await one.page.keyboard.press("ArrowRight");
  assert.equal(await focused(), "tab-worker");
  await one.page.waitForSelector("#panel-worker:not([hidden])");
  await one.page.keyboard.press("ArrowLeft");
  await one.page.focus("#put-text");
  await one.page.keyboard.type("by keyboard");
  await one.page.keyboard.press("Control+Enter");
  await one.says(".receipt-head strong", /^#1$/);
  await one.sink.put("result");
  await one.page.waitForSelector("#panel-live .fold");
  await one.page.focus("#panel-live .fold");
  await one.page.keyboard.press("Enter");
  await one.says("#panel-live .view", /^result$/);
  const outline = await one.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, "none", "the focus is visible");
  await one.close();
});

test("charts have words, and do not move when motion is not wanted", async () => {
  const one = await scene.open();
  await one.input.put("x");
  await one.says("#chart-depth .legend", /priority 0 1/);
  assert.match(await one.page.locator("#chart-depth canvas").getAttribute("aria-label"), /^Now: priority 0 1/);
  await one.page.locator("#chart-depth summary").click();
  await one.says("#chart-depth table", /Timepriority 0/);
  await one.page.emulateMedia({ reducedMotion: "reduce" });
  assert.equal(
    await one.page.evaluate(() => getComputedStyle(document.querySelector(".flow .icon")).animationName),
    "none",
  );
  await one.close();
});

test("a new state is told to screen readers once, in words", async () => {
  const one = await scene.open();
  await one.says("#health-news", /^Idle: nothing waits/);
  await one.input.put("x");
  await one.says("#health-news", /^Filling: 1 waiting, no consumer for \d+ s$/);
  await one.close();
});

test("the theme follows the system, and the switch wins and is remembered", async () => {
  const one = await scene.open({ theme: "dark" });
  const background = () => one.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await one.page.click("#theme-button");
  await one.says("#theme-name", /Light/);
  assert.notEqual(await background(), dark);
  await one.page.reload();
  await one.says("#theme-name", /Light/);
  assert.notEqual(await background(), dark);
  await one.page.click("#theme-button");
  assert.equal(await background(), dark);
  await one.close();
});

test("all of it weighs at most 150 KB, the client 60 of them, and nothing comes from elsewhere", async () => {
  const hosts = new Set();
  const loaded = new Set();
  const one = await scene.open({ init: "" });
  one.page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol === "blob:") return;
    hosts.add(url.host);
    if (!url.pathname.startsWith("/api")) loaded.add(url.pathname);
  });
  await one.page.reload();
  await one.says("#health-name", /Idle/);
  await one.page.click("#run-demo");
  await one.page.waitForSelector("#panel-live .entry");
  assert.deepEqual([...hosts], [new URL(scene.service.url).host]);
  const weight = (file) => gzipSync(readFileSync(file), { level: 6 }).length;
  const files = [...loaded]
    .map((name) => at("www", name === "/" ? "index.html" : name))
    .filter((file) => existsSync(file));
  const all = files.reduce((sum, file) => sum + weight(file), 0);
  assert.ok(
    files.some((file) => file.endsWith(".wasm")),
    "the client was loaded",
  );
  assert.ok(all <= WEIGHT_BYTES_MAX, `the page weighs ${all} bytes`);
  const client = files.filter((file) => file.includes("/pkg/")).reduce((sum, file) => sum + weight(file), 0);
  assert.ok(client <= CLIENT_BYTES_MAX, `the client weighs ${client} bytes`);
  await one.close();
});
