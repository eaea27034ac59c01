// Pictures of the page in its states, themes and widths, for people to look at:
// `node tests/www/screenshots.mjs [NAME...]`.
import { mkdirSync } from "node:fs";
import { at, sleep } from "../../tools/lib.mjs";
import { TOKEN, start } from "../worker/service.mjs";
import { Client } from "../worker/client.mjs";
import { launch } from "./browser.mjs";

const OUT = at("build", "screenshots");
const SIZES = { wide: { width: 1440, height: 1000 }, phone: { width: 360, height: 780 } };

/**
 * What each picture shows; the page is open at the service `demo` when it begins.
 * @type {Record<string, (scene: any) => Promise<void>>}
 */
const SCENES = {
  async welcome({ page }) {
    await page.click("#token-button");
    await page.fill("#token", "wrong");
    await page.click("#token-form button");
    await page.waitForSelector("#token-trouble:not([hidden])");
  },
  async first({ page }) {
    await page.waitForSelector("#first-run:not([hidden])");
  },
  async demo({ page }) {
    await page.click("#run-demo");
    await sleep(Number(process.env.DEMO_MS ?? 9000));
  },
  async put({ page, sink }) {
    await page.click("#tab-put");
    await page.fill("#put-text", '{"prompt": "a lighthouse in the fog, oil on canvas", "steps": 30}');
    await page.check('input[name="put-as"][value="json"]', { force: true });
    await page.getByRole("button", { name: "Add a tag" }).click();
    await page.fill('.tag-row input[placeholder="name"]', "model");
    await page.fill('.tag-row input[placeholder="value"]', "sdxl-turbo");
    for (const priority of ["0", "1"]) {
      await page.fill("#put-priority", priority);
      await page.getByRole("button", { name: "Put", exact: true }).click();
      await sleep(400);
    }
    const id = await page.locator(".receipt .link").last().getAttribute("title");
    await sink.put('{"image": "s3://results/0001.png", "seconds": 0.31}', {
      requestId: id,
      "ts@source": String(Date.now() - 340),
    });
    await page.waitForSelector(".state.done");
  },
  async stuck({ page, input }) {
    await page.click("#tab-queue");
    await input.puts(12);
    await sleep(12_000);
    await page.getByRole("button", { name: "Show the oldest" }).click();
    await sleep(500);
  },
  async failing({ page, input, dead }) {
    await sleep(1500);
    await dead.put("photo-17.png", {
      lastCode: "OOM",
      lastReason: "CUDA out of memory: tried to allocate 2.1 GiB",
      requestId: "d1",
      job: "upscale",
    });
    await dead.put('{"prompt": "a very long request that never ends"}', {
      lastCode: "Timeout",
      lastReason: "no result within 60 s",
    });
    await dead.put("{broken", { lastCode: "BadRequest.Body", lastReason: "Unexpected end of JSON input" });
    await page.click("#tab-dead");
    await page.waitForSelector("#panel-dead .entry");
    await page.check("#dead-all");
    await sleep(1500);
  },
  async picture({ page }) {
    await page.click("#tab-worker");
    await page.selectOption("#worker-example", { label: "Draw a picture" });
    await page.fill("#traffic-seconds", "2");
    await page.click("#worker-toggle");
    await page.click("#traffic-toggle");
    await sleep(4000);
    if (await page.locator("#tab-live").isVisible()) await page.click("#tab-live");
    await page.locator("#panel-live .entry .fold").nth(1).click();
    await sleep(300);
  },
  async consume({ page, input }) {
    await input.puts(8, (n) => JSON.stringify({ prompt: `request ${n}` }));
    if (await page.locator("#tab-live").isVisible()) await page.click("#tab-live");
    await page.selectOption("#live-queue", "input");
    await page.check('input[name="live-mode"][value="consume"]', { force: true });
    await page.fill("#live-window", "5");
    await page.getByRole("button", { name: "Start consuming" }).click();
    await page.waitForSelector("#panel-live .entry");
    await page
      .locator("#panel-live")
      .getByRole("button", { name: /^Commit/ })
      .first()
      .click();
    await page
      .locator("#panel-live")
      .getByRole("button", { name: /^Reject/ })
      .last()
      .click();
    await sleep(1200);
  },
};

mkdirSync(OUT, { recursive: true });
const names = process.argv.slice(2).filter((name) => !name.startsWith("--"));
const browser = await launch();
for (const [name, scene] of Object.entries(SCENES)) {
  if (names.length > 0 && !names.includes(name)) continue;
  for (const [size, theme] of /** @type {["wide"|"phone", "light"|"dark"][]} */ ([
    ["wide", "light"],
    ["wide", "dark"],
    ["phone", "light"],
    ["phone", "dark"],
  ])) {
    if (process.argv.includes("--few") && (size === "phone") !== (theme === "dark")) continue;
    // A queue of its own for each picture.
    const service = await start();
    const context = await browser.newContext({
      viewport: SIZES[size],
      colorScheme: theme,
      deviceScaleFactor: size === "phone" ? 2 : 1,
    });
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(name, size, theme, error));
    page.on("console", (message) => {
      if (message.type() === "error") console.error(name, size, theme, message.text());
    });
    await page.addInitScript((token) => sessionStorage.setItem("edgequeue-token", token), TOKEN);
    await page.goto(`${service.url}/#service=demo`);
    await page.waitForSelector(name === "welcome" ? "#dashboard" : '#health:not([data-health="unknown"])');
    const queue = (path, options) => new Client(service, path, options);
    await scene({
      page,
      url: service.url,
      input: queue("demo"),
      sink: queue("demo/sink"),
      dead: queue("demo", { rear: true }),
    });
    const file = at("build", "screenshots", `${name}-${size}-${theme}.png`);
    await page.screenshot({ path: file, fullPage: true });
    console.log(file);
    await context.close();
    await service.stop();
  }
}
await browser.close();
process.exit(0);
