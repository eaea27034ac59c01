// Watches of the browser client by what every PAI-EAS queue service has: endless HTTP answers.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, eventually } from "../worker/client.mjs";
import { start } from "../worker/service.mjs";
import { freshName, launch, openPage, within } from "./browser.mjs";
import { proxy } from "./proxy.mjs";

let service;
let browser;
let page;
let wire;
before(async () => {
  [service, browser] = await Promise.all([start(), launch()]);
  wire = await proxy(service);
  page = await openPage(browser, wire);
});
after(async () => {
  await browser?.close();
  wire?.close();
  await service?.stop();
});

const inPage = (act, name = freshName(), argument = undefined) =>
  within(
    20_000,
    page.evaluate(({ act, name, argument }) => (0, eval)(`(${act})`)(name, argument), {
      act: String(act),
      name,
      argument,
    }),
  );
/** The same by another client, which needs no browser. */
const outside = (name, options) => new Client(service, name, options);

describe("with a plain PAI-EAS endpoint", () => {
  test("watches and commits by HTTP alone: no WebSocket, no batches, no settings", async () => {
    const requests = [];
    const note = (request) => requests.push([request.method(), decodeURIComponent(new URL(request.url()).search)]);
    const sockets = [];
    page.on("request", note);
    page.on("websocket", (socket) => sockets.push(socket.url()));
    const seen = await inPage(async (name) => {
      const queue = queueOf(name, { protocol: "eas", group: "g", user: "u" });
      const receipts = await queue.putMany(["a", { data: "b", tags: { k: "v" } }, "c"]);
      const watch = queue.watch({ window: 2 });
      const frames = watch[Symbol.asyncIterator]();
      const [one, two] = [(await frames.next()).value, (await frames.next()).value];
      const state = watch.state;
      await one.commit();
      await two.negative("OOM", "no room");
      const rest = [];
      for (let at = 0; at < 2; at += 1) {
        const { value } = await frames.next();
        rest.push([value.text(), value.tags.lastCode]);
        await value.commit();
      }
      const window = await watch.window(5).catch((error) => error.code);
      await watch.close();
      return {
        indexes: receipts.map((receipt) => receipt.index),
        first: [one.text(), two.text()],
        rest,
        state,
        window,
        left: await queue.count(),
        totals: watch.totals,
      };
    });
    page.off("request", note);
    assert.deepEqual(seen.indexes, [1, 2, 3]);
    assert.deepEqual(seen.first, ["a", "b"]);
    assert.deepEqual(
      seen.rest.sort(),
      [
        ["b", "OOM"],
        ["c", undefined],
      ].map(([text, code]) => [text, seen.rest.find(([found]) => found === text)[1] ?? code]),
    );
    assert.deepEqual(seen.state, { name: "open", transport: "stream" });
    assert.equal(seen.window, "unsupported");
    assert.equal(seen.left, 0);
    assert.equal(seen.totals.committed, 3);
    assert.deepEqual(sockets, []);
    const extras = requests.filter(([, search]) => /_batch_|_settings_|_window_=0/.test(search));
    assert.deepEqual(extras, []);
    assert.ok(
      requests.some(([method, search]) => method === "PUT" && search === "?_indexes_=1"),
      JSON.stringify(requests),
    );
  });

  test("is known by its attributes, without being told", async () => {
    const name = freshName();
    const other = await openPage(browser, wire);
    const sockets = [];
    other.on("websocket", (socket) => sockets.push(socket.url()));
    await other.route(`**/${name}?_attrs_=true`, async (route) => {
      const response = await route.fetch();
      const { "meta.backend": _, ...attributes } = await response.json();
      await route.fulfill({ response, json: attributes });
    });
    const seen = await within(
      20_000,
      other.evaluate(async (name) => {
        const queue = queueOf(name, { group: "g" });
        await queue.putMany(["a", "b"]);
        const watch = queue.watch({ window: 1 });
        const texts = [];
        for await (const frame of watch) {
          texts.push(frame.text());
          await frame.commit();
          if (texts.length === 2) break;
        }
        return { texts, totals: watch.totals.committed, left: await queue.count() };
      }, name),
    );
    assert.deepEqual(seen, { texts: ["a", "b"], totals: 2, left: 0 });
    assert.deepEqual(sockets, []);
    await other.context().close();
  });

  test("is connected again after a break, and hands nothing out twice", async () => {
    const name = freshName();
    await outside(name).puts(30);
    await inPage(async (name) => {
      const seen = (globalThis.seen = []);
      const watch = (globalThis.watch = queueOf(name, { protocol: "eas", group: "g" }).watch({ window: 10 }));
      globalThis.running = (async () => {
        for await (const frame of watch) {
          seen.push(frame.index);
          if (seen.length !== 15) frame.commit();
          else {
            globalThis.kept = frame;
            // Until the break the window holds the rest back.
            await new Promise((resolve) => {
              globalThis.goOn = resolve;
            });
          }
          if (seen.length === 30) break;
        }
      })();
      while (seen.length < 15) await new Promise((resolve) => setTimeout(resolve, 5));
    }, name);
    wire.cut();
    const out = await inPage(async () => {
      globalThis.goOn();
      while (globalThis.seen.length < 30) await new Promise((resolve) => setTimeout(resolve, 20));
      await globalThis.kept.commit();
      await globalThis.running;
      return { seen: globalThis.seen, totals: globalThis.watch.totals };
    });
    assert.deepEqual([...new Set(out.seen)].length, 30);
    assert.equal(out.seen.length, 30);
    assert.ok(out.totals.reconnects >= 1);
    await eventually("an empty queue", async () => (await outside(name).length()) === 0);
  });
});

test("nothing went wrong unnoticed", () => assert.deepEqual(page.errors, []));
