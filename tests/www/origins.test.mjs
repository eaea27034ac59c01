// The browser client on a page of another origin, in a real Chromium, whose rules these are.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "../worker/client.mjs";
import { start } from "../worker/service.mjs";
import { freshName, launch, openPage, within } from "./browser.mjs";

let open;
let closed;
let browser;
before(async () => {
  [closed, browser] = await Promise.all([start(), launch()]);
  open = await start({ vars: { EDGEQUEUE_ALLOWED_ORIGINS: closed.url } });
});
after(async () => {
  await browser?.close();
  await Promise.all([open?.stop(), closed?.stop()]);
});

/** Puts, watches with a refusal, an oversize body and a wrong token: what the page sees of each. */
const use = (page, name) =>
  within(
    20_000,
    page.evaluate(async (name) => {
      const code = async (act) => {
        try {
          return await act();
        } catch (error) {
          return [error.code, error.status];
        }
      };
      const first = async (options) => {
        for await (const frame of queueOf(name, options).watch()) {
          await frame.commit();
          return frame.text();
        }
        return null;
      };
      return {
        put: await code(async () =>
          Boolean((await queueOf(name).put("hello", { tags: { a: "b" }, priority: 1 })).requestId),
        ),
        watch: await code(() => first({})),
        again: await code(() =>
          queueOf(name)
            .put("again")
            .then(() => true),
        ),
        plain: await code(() => first({ protocol: "eas" })),
        token: await code(() => queueOf(name, { token: "no" }).count()),
        large: await code(() => queueOf(name).put("x".repeat(1_100_000))),
      };
    }, name),
  );

test("an origin on the list can do everything, and sees why something was refused", async () => {
  const page = await openPage(browser, open, { origin: closed.url });
  assert.deepEqual(await use(page, freshName()), {
    put: true,
    watch: "hello",
    again: true,
    plain: "again",
    token: ["unauthorized", 401],
    large: ["too_large", 413],
  });
  assert.deepEqual(page.errors, []);
});

test("others can import the client, and nothing else", async () => {
  const page = await openPage(browser, closed, { origin: open.url });
  const name = freshName();
  const unreachable = ["unreachable", 0];
  assert.deepEqual(await use(page, name), {
    put: unreachable,
    watch: unreachable,
    again: unreachable,
    plain: unreachable,
    token: unreachable,
    large: unreachable,
  });
  assert.equal(await new Client(closed, name).length(), 0);
  // A WebSocket is opened without asking first: here the service itself refuses.
  const socket = await page.evaluate(
    ({ url, token }) =>
      new Promise((resolve) => {
        const bearer = `edgequeue.bearer.${btoa(token).replace(/=+$/, "")}`;
        const socket = new WebSocket(url, ["edgequeue.v1", bearer]);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
      }),
    { url: `${closed.url.replace("http", "ws")}/api/predict/${name}?_watch_=true&_window_=0`, token: closed.token },
  );
  assert.equal(socket, "refused");
});
