// Watches of the browser client in a real Chromium against the real service.
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

describe("a watch", () => {
  test("gets at most its window, then one more for each commit; the undecided go back when it leaves", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name, { group: "g" });
      await queue.putMany(Array.from({ length: 6 }, (_, i) => `entry ${i + 1}`));
      const states = [];
      const watch = queue.watch({ window: 2, onState: (state) => states.push(state) });
      const frames = watch[Symbol.asyncIterator]();
      const next = async () => (await frames.next()).value;
      const quiet = async () => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        return watch.waiting;
      };
      const [one, two] = [await next(), await next()];
      const out = { first: [one.index, two.index], waiting: await quiet() };
      await one.commit();
      await one.commit();
      out.gone = await queue.search(1);
      const three = await next();
      out.third = three.index;
      out.nonsense = await two.negative("not a code").catch((error) => error.code);
      await two.negative("OOM", "no room");
      const again = await next();
      out.again = [again.index, again.tags.lastCode, again.tags.lastReason];
      await watch.window(4);
      out.wider = [(await next()).index, (await next()).index];
      await watch.window(0);
      await three.commit();
      out.paused = await quiet();
      out.state = watch.state;
      const { consumerId, isPending } = await queue.search(2);
      out.held = [consumerId === `g.${queue.user}`, isPending];
      await watch.close();
      out.totals = watch.totals;
      out.states = states.map((state) => state.name);
      out.end = await frames.next();
      out.left = (await queue.get({ count: 10 })).map((frame) => frame.index);
      out.user = queue.user;
      return out;
    });
    assert.deepEqual(seen.first, [1, 2]);
    assert.equal(seen.waiting, 0);
    assert.equal(seen.gone, null);
    assert.equal(seen.third, 3);
    assert.equal(seen.nonsense, "invalid_argument");
    assert.deepEqual(seen.again, [2, "OOM", "no room"]);
    assert.deepEqual(seen.wider, [4, 5]);
    assert.equal(seen.paused, 0);
    assert.deepEqual(seen.state, { name: "open", transport: "session" });
    assert.deepEqual(seen.held, [true, true]);
    assert.deepEqual(seen.totals, {
      shown: 6,
      bytes: 42,
      committed: 2,
      rejected: 1,
      returned: 3,
      repeated: 0,
      reconnects: 0,
    });
    assert.deepEqual(seen.states, ["connecting", "open", "closing", "closed"]);
    assert.equal(seen.end.done, true);
    assert.deepEqual(seen.left, [2, 4, 5, 6]);
    assert.match(seen.user, /^web-/);
  });

  test("is taken over by another with the same group and user", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name, { user: "same" });
      await queue.put("x");
      const first = queue.watch();
      const frame = (await first[Symbol.asyncIterator]().next()).value;
      const ended = (async () => {
        try {
          for await (const other of first) void other;
        } catch (error) {
          return error.code;
        }
        return "done";
      })();
      const second = queue.watch();
      const again = (await second[Symbol.asyncIterator]().next()).value;
      const out = {
        code: await ended,
        state: first.state.name,
        cause: /** @type {any} */ (first.state).error.code,
        again: again.index === frame.index,
      };
      await again.commit();
      await second.close();
      out.left = await queue.count();
      return out;
    });
    assert.deepEqual(seen, { code: "taken_over", state: "closed", cause: "taken_over", again: true, left: 0 });
  });

  test("is refused with the reason a browser does not give by itself", async () => {
    const seen = await inPage(async (name) => {
      const code = async (act) => {
        try {
          for await (const frame of act()) return frame.index;
          return "done";
        } catch (error) {
          return [error.code, error.status, error.message];
        }
      };
      const queue = queueOf(name);
      const watch = queue.watch({ tags: { a: "1" } });
      while (watch.state.name !== "open") await new Promise((resolve) => setTimeout(resolve, 20));
      const out = {
        other: await code(() => queueOf(name).watch({ tags: { a: "2" } })),
        token: await code(() => queueOf(name, { token: "no" }).watch()),
      };
      await watch.close();
      await queue.end();
      out.ended = await code(() => queueOf(name).watch({ tags: { a: "1" } }));
      out.nobody = await code(() => new client.QueueClient({ url: "http://127.0.0.1:9/api/predict/x" }).watch());
      return out;
    });
    assert.deepEqual(seen.other.slice(0, 2), ["bad_request", 400]);
    assert.match(seen.other[2], /tags/);
    assert.deepEqual(seen.token.slice(0, 2), ["unauthorized", 401]);
    assert.equal(seen.ended, "done");
    assert.equal(seen.nobody[0], "unreachable");
  });

  test("under auto commit goes on as fast as the page takes what comes, and stops where it takes nothing", async () => {
    const name = freshName();
    const put = (first) =>
      inPage(
        (name, first) => queueOf(name).putMany(Array.from({ length: 5_000 }, (_, i) => `entry ${first + i}`)),
        name,
        first,
      );
    await put(0);
    const waiting = await inPage(async (name) => {
      globalThis.watch = queueOf(name).watch({ autoCommit: true });
      while (watch.waiting < 2_001) await new Promise((resolve) => setTimeout(resolve, 20));
      // What was under way when the page had enough still comes, on a busy machine for a while.
      for (let before = 0; before < watch.waiting;) {
        before = watch.waiting;
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
      return watch.waiting;
    }, name);
    assert.ok(waiting <= 5_000, `${waiting} wait`);
    await put(5_000);
    await put(10_000);
    const seen = await inPage(async (name) => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const waiting = watch.waiting;
      const indexes = [];
      for await (const frame of watch) {
        indexes.push(frame.index);
        if (indexes.length === 15_000) break;
      }
      return { waiting, whole: indexes.every((index, at) => index === at + 1), left: await queueOf(name).count() };
    }, name);
    assert.equal(seen.waiting, waiting, "nothing came while the page took nothing");
    assert.ok(seen.whole);
    assert.equal(seen.left, 0);
  });

  test("of indexes alone, of tags, from an index and from the newest", async () => {
    const seen = await inPage(async (name) => {
      const take = async (watch, count) => {
        const frames = [];
        if (count > 0) {
          for await (const frame of watch) {
            frames.push(frame);
            frame.commit();
            if (frames.length === count) break;
          }
        }
        return frames;
      };
      const entries = [
        "one",
        { data: "two", tags: { kind: "even" } },
        "three",
        { data: "four", tags: { kind: "even" } },
      ];
      const queue = (part) => queueOf(`${name}${part}`);
      for (const part of ["a", "b", "c"]) await queue(part).putMany(entries);
      const out = {};
      out.bare = (await take(queue("a").watch({ indexOnly: true, window: 2 }), 2)).map((frame) => [
        frame.index,
        frame.data.length,
      ]);
      out.even = (await take(queue("b").watch({ tags: { kind: "even" } }), 2)).map((frame) => frame.text());
      out.later = (await take(queue("c").watch({ start: 3 }), 2)).map((frame) => frame.text());
      const newest = queue("a").watch({ start: "newest" });
      while (newest.state.name !== "open") await new Promise((resolve) => setTimeout(resolve, 20));
      await queue("a").put("five");
      out.newest = (await take(newest, 1)).map((frame) => frame.text());
      return out;
    });
    assert.deepEqual(seen, {
      bare: [
        [1, 0],
        [2, 0],
      ],
      even: ["two", "four"],
      later: ["three", "four"],
      newest: ["five"],
    });
  });
});

describe("a broken connection", () => {
  test("is made again; nothing is handed out twice, and what was decided meanwhile is committed", async () => {
    const name = freshName();
    await outside(name).puts(4);
    await inPage(async (name) => {
      const [states, seen] = [(globalThis.states = []), (globalThis.seen = [])];
      const watch = (globalThis.watch = queueOf(name, { group: "g" }).watch({
        window: 4,
        onState: (state) => {
          states.push(state);
          // Without a connection: the decision waits, or goes by HTTP.
          if (state.name === "reconnecting") globalThis.settled ??= seen[1].commit();
        },
      }));
      globalThis.settled = undefined;
      globalThis.running = (async () => {
        for await (const frame of watch) seen.push(frame);
      })();
      while (seen.length < 4) await new Promise((resolve) => setTimeout(resolve, 20));
      await seen[0].commit();
    }, name);
    assert.ok(wire.cut() > 0);
    await outside(name).put("entry 4");
    const out = await inPage(async () => {
      const { states, seen, watch } = globalThis;
      while (seen.length < 5) await new Promise((resolve) => setTimeout(resolve, 20));
      await globalThis.settled;
      await Promise.all(seen.slice(2).map((frame) => frame.commit()));
      await watch.close();
      return {
        indexes: seen.map((frame) => frame.index),
        totals: watch.totals,
        states: states.map(({ name }) => name),
        broken: states.find(({ name }) => name === "reconnecting"),
      };
    });
    assert.deepEqual(out.indexes, [1, 2, 3, 4, 5]);
    assert.equal(out.totals.reconnects, 1);
    assert.ok(out.totals.repeated >= 2, `${out.totals.repeated} came again`);
    assert.equal(out.totals.committed, 5);
    assert.deepEqual(
      out.states.filter((name, at) => name !== out.states[at - 1] && name !== "closing"),
      ["connecting", "open", "reconnecting", "open", "closed"],
    );
    assert.ok(
      out.broken.reason && out.broken.attempt === 1 && out.broken.nextTryAt > 1.7e12,
      JSON.stringify(out.broken),
    );
    await eventually("an empty queue", async () => (await outside(name).length()) === 0);
  });

  test("while the token changed ends the watch with that reason", async () => {
    const name = freshName();
    await inPage(async (name) => {
      globalThis.code = null;
      const watch = queueOf(name).watch();
      const run = async () => {
        for await (const frame of watch) void frame;
      };
      globalThis.watch = watch;
      run().catch((error) => {
        globalThis.code = error.code;
      });
      while (watch.state.name !== "open") await new Promise((resolve) => setTimeout(resolve, 20));
    }, name);
    // The service restarts with another token: the socket is lost, and the new one refused without a reason a page
    // could see.
    await page.route("**/api/predict/**", (route) =>
      route.continue({ headers: { ...route.request().headers(), authorization: "changed" } }),
    );
    await page.evaluate(() => {
      globalThis.OldSocket = WebSocket;
      class Changed extends OldSocket {
        constructor(url, [protocol]) {
          super(url, [protocol, "edgequeue.bearer.Y2hhbmdlZA"]);
        }
      }
      Object.assign(globalThis, { WebSocket: Changed });
    });
    wire.cut();
    await eventually(
      "the end of the watch",
      async () => (await page.evaluate(() => globalThis.code)) === "unauthorized",
    );
    await page.evaluate(() => {
      globalThis.WebSocket = OldSocket;
    });
    await page.unroute("**/api/predict/**");
  });
});

test("a tail reads along without consuming, over breaks, and ends when it is left", async () => {
  const name = freshName();
  await outside(name).puts(2);
  await inPage(async (name) => {
    const [seen, states] = [(globalThis.seen = []), (globalThis.states = [])];
    globalThis.tail = queueOf(name).tail({ onState: (state) => states.push(state.name) });
    globalThis.running = (async () => {
      for await (const frame of globalThis.tail) {
        seen.push(frame.text());
        if (seen.length === 1_202) break;
      }
    })();
    while (states.at(-1) !== "open") await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 300));
  }, name);
  await outside(name).put("one");
  await eventually("one", async () => (await page.evaluate(() => globalThis.seen.length)) === 1);
  wire.cut();
  await outside(name).put("two");
  await inPage((name) => queueOf(name).putMany(Array.from({ length: 1_200 }, (_, i) => `more ${i}`)), name);
  const out = await inPage(async () => {
    await globalThis.running;
    return { seen: globalThis.seen, states: globalThis.states };
  });
  assert.deepEqual(out.seen, ["one", "two", ...Array.from({ length: 1_200 }, (_, i) => `more ${i}`)]);
  assert.deepEqual([out.states[0], out.states.at(-1)], ["connecting", "closed"]);
  assert.equal(await outside(name).length(), 1_204);
});

test("an idle connection is asked for a heartbeat every ten seconds, and stays", async () => {
  const said = [];
  page.once("websocket", (socket) => {
    for (const event of ["framesent", "framereceived"])
      socket.on(event, ({ payload }) => typeof payload === "string" && said.push(payload));
  });
  await inPage(async (name) => {
    globalThis.watch = queueOf(name).watch();
    while (watch.state.name !== "open") await new Promise((resolve) => setTimeout(resolve, 20));
  });
  await eventually("ping and pong", () => said.join() === "ping,pong" || said);
  assert.equal(await inPage(() => watch.state.name), "open");
  await inPage(() => watch.close());
});

test("a page whose timers were held back does not mistake its own pause for a broken connection", async () => {
  const hidden = await openPage(browser, wire, { clock: true });
  await hidden.evaluate(async (name) => {
    globalThis.watch = queueOf(name).watch();
  }, freshName());
  const state = () => hidden.evaluate(() => watch.state.name);
  await eventually("an open watch", async () => (await state()) === "open" || state());
  // A minute goes by in which no timer fires; then those that are due do, once.
  for (let minute = 0; minute < 3; minute += 1) {
    await hidden.clock.fastForward(60_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert.equal(await state(), "open");
  assert.equal(await hidden.evaluate(() => watch.totals.reconnects), 0);
  await hidden.context().close();
});

test("a connection that answers no more is given up and made again", async () => {
  const other = await openPage(browser, wire, { clock: true });
  await other.evaluate((name) => {
    globalThis.watch = queueOf(name).watch();
  }, freshName());
  const state = () => other.evaluate(() => `${watch.state.name} ${watch.totals.reconnects}`);
  await eventually("an open watch", async () => (await state()) === "open 0" || state());
  wire.stall();
  // The request for a heartbeat, and the time it may take.
  await other.clock.fastForward(11_000);
  await other.clock.fastForward(31_000);
  await other.clock.fastForward(1_000);
  await eventually("another connection", async () => (await state()) === "open 1" || state());
  await other.context().close();
});

test("nothing went wrong unnoticed", () => assert.deepEqual(page.errors, []));
