// 10,000 frames through the browser client in a real Chromium, while the service is killed and started again.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, eventually } from "../worker/client.mjs";
import { start } from "../worker/service.mjs";
import { freshName, launch, openPage, within } from "./browser.mjs";

const ENTRIES = 10_000;
const ENTRY_BYTES = 1_000;
const MIB = 1024 * 1024;

let service;
let browser;
before(async () => {
  [service, browser] = await Promise.all([start(), launch()]);
});
after(async () => {
  await browser?.close();
  await service?.stop();
});

test("none of 10,000 frames is lost or doubled by two kills, and memory stays where it was", async () => {
  const queue = new Client(service, freshName(), { group: "g" });
  const name = queue.path.split("/").at(-1);
  const lines = Array.from({ length: 2_500 }, (_, i) => `${i} `.padEnd(ENTRY_BYTES, "x")).join("\n");
  for (let at = 0; at < ENTRIES; at += 2_500) {
    assert.equal(
      (await queue.ask("POST", { _batch_: "true" }, { body: lines, headers: { "Content-Type": "text/plain" } })).status,
      200,
    );
  }

  const page = await openPage(browser, service);
  const messages = { sent: 0, puts: 0 };
  page.on("websocket", (socket) =>
    socket.on("framesent", () => {
      messages.sent += 1;
    }),
  );
  page.on("request", (request) => {
    messages.puts += request.method() === "PUT" ? 1 : 0;
  });
  const devtools = await page.context().newCDPSession(page);
  /** What lives in the page, and what of it is the module's memory, in bytes. */
  const memory = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await devtools.send("Runtime.getHeapUsage");
    return {
      page: usedSize + embedderHeapUsedSize + backingStorageSize,
      module: await page.evaluate(() => wasmBytes()),
    };
  };
  const seen = () => page.evaluate(() => globalThis.seen);
  const passed = (count) =>
    eventually(
      `${count} frames`,
      async () => {
        const now = await seen();
        return now >= count || now;
      },
      60_000,
    );

  await page.evaluate(
    ({ name, entries }) => {
      // One place for each index, made now, so that the test itself needs no more memory later.
      globalThis.times = new Uint8Array(entries + 1);
      globalThis.seen = 0;
      const watch = (globalThis.watch = queueOf(name, { group: "g" }).watch({ window: 100 }));
      globalThis.running = (async () => {
        for await (const frame of watch) {
          if (frame.data.length !== 1_000) throw new Error(`${frame.data.length} bytes`);
          globalThis.times[Number(frame.index)] += 1;
          globalThis.seen += 1;
          frame.commit();
          // A pace at which the kills fall into the middle.
          if (globalThis.seen % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
        }
      })();
    },
    { name, entries: ENTRIES },
  );

  await passed(2_000);
  const early = await memory();
  await service.kill9();
  await service.restart();
  await passed(6_000);
  await service.kill9();
  await service.restart();
  await passed(ENTRIES);
  await eventually("an empty queue", async () => (await queue.length()) === 0);
  const late = await memory();

  const out = await within(
    20_000,
    page.evaluate(async () => {
      const { times, watch } = globalThis;
      await watch.close();
      await globalThis.running;
      return {
        lost: times.subarray(1).filter((count) => count === 0).length,
        doubled: times.filter((count) => count > 1).length,
        totals: watch.totals,
      };
    }),
  );
  assert.deepEqual([out.lost, out.doubled], [0, 0]);
  assert.ok(out.totals.reconnects >= 2, JSON.stringify(out.totals));
  assert.equal(out.totals.committed, ENTRIES);
  // Commits travel on the socket, many in one message; by HTTP only what is decided while there is none.
  assert.ok(messages.sent > 0 && messages.sent < ENTRIES / 5 && messages.puts < 100, JSON.stringify(messages));
  assert.deepEqual(page.errors, []);

  // 8 MB of bodies went by in between. What remains of an entry is its index and fingerprint, for the last 65,536 that
  // were decided: so that one which comes again after a break is known.
  const grown = `page ${early.page} -> ${late.page}, module ${early.module} -> ${late.module} bytes`;
  const said = `${grown}; ${JSON.stringify(out.totals)}`;
  assert.ok(late.page - early.page < 2 * MIB, said);
  assert.ok(late.module < 4 * MIB, said);
});
