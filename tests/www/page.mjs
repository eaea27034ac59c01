// The page in a browser, for tests: one service and one browser for a test file, a queue of its own for each page.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../worker/client.mjs";
import { TOKEN, start } from "../worker/service.mjs";
import { launch } from "./browser.mjs";

/** Nothing in these tests may take longer, except where it says so. */
const PATIENCE_MS = 20_000;
let named = 0;

/** A service with a browser beside it. @param {Parameters<typeof start>[0]} [options] */
export async function stage(options) {
  const [service, browser] = await Promise.all([start(options), launch()]);
  return {
    service,
    browser,
    /**
     * Opens the page at an unused queue, with the token unless told otherwise.
     * @param {{queue?: string, hash?: string, token?: string, width?: number, height?: number, theme?: "light"|"dark",
     *   errors?: RegExp[], init?: () => void}} [options]
     */
    async open({
      queue = `page-${(named += 1)}`,
      hash = "",
      token = TOKEN,
      width = 1440,
      height = 1000,
      theme = "light",
      errors = [],
      init,
    } = {}) {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: theme,
        permissions: ["clipboard-read", "clipboard-write"],
      });
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      const problems = [];
      page.on("pageerror", (error) => problems.push(String(error.stack)));
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) problems.push(message.text());
      });
      // Blank pages have no storage.
      if (token)
        await page.addInitScript((text) => {
          if (location.protocol === "http:") sessionStorage.setItem("edgequeue-token", text);
        }, token);
      if (init) await page.addInitScript(init);
      await page.goto(`${service.url}/#service=${queue}${hash}`);
      await page.waitForSelector(token ? '#health:not([data-health="unknown"])' : "#welcome:not([hidden])");
      const client = (path, who) => new Client(service, path, who);
      return {
        page,
        problems,
        queue,
        input: client(queue),
        sink: client(`${queue}/sink`),
        dead: client(queue, { rear: true }),
        text: (selector) => page.locator(selector).innerText(),
        /** Waits until an element's text matches. */
        says: (selector, pattern, patience_ms = PATIENCE_MS) =>
          page
            .waitForFunction(
              ([where, source, flags]) =>
                new RegExp(source, flags).test(document.querySelector(where)?.textContent ?? ""),
              [selector, pattern.source, pattern.flags],
              { timeout: patience_ms, polling: 50 },
            )
            .catch(async () => assert.match(await page.locator(selector).innerText(), pattern)),
        /**
         * Waits until an attribute of a queue matches: the figures on the page may be a second old, and a commit may be
         * on its way.
         */
        async holds(client, name, pattern, patience_ms = PATIENCE_MS) {
          const until = Date.now() + patience_ms;
          let value;
          do value = (await client.attributes())[name] ?? "nothing";
          while (!pattern.test(value) && Date.now() < until && (await sleep(50, true)));
          assert.match(value, pattern, name);
        },
        /** Chooses one of a row of choices, which are radio buttons under their labels. */
        choose: (group, label) =>
          page.getByRole("radiogroup", { name: group, exact: true }).getByText(label, { exact: true }).click(),
        async close() {
          await context.close();
          const unexpected = problems.filter((problem) => !errors.some((pattern) => pattern.test(problem)));
          assert.deepEqual(unexpected, [], "the console of the page");
        },
      };
    },
    async stop() {
      await browser.close();
      await service.stop();
    },
  };
}
