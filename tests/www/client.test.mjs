// The browser client in a real Chromium against the real service: the verbs, errors and aborts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { at } from "../../tools/lib.mjs";
import { start } from "../worker/service.mjs";
import { freshName, launch, openPage, within } from "./browser.mjs";

let service;
let browser;
let page;
before(async () => {
  [service, browser] = await Promise.all([start(), launch()]);
  page = await openPage(browser, service);
  // What is thrown comes back as a value.
  await page.evaluate(() => {
    globalThis.thrown = async (act) => {
      try {
        await act();
        return null;
      } catch (error) {
        const { code, status, name, message } = error;
        return {
          code,
          status,
          name,
          message,
          isQueueError: error instanceof client.QueueError,
          isError: error instanceof Error,
        };
      }
    };
  });
});
after(async () => {
  await browser?.close();
  await service?.stop();
});

/** Runs `act(name)` in the page, with the name of a fresh queue. */
const inPage = (act) =>
  within(
    20_000,
    page.evaluate(({ act, name }) => (0, eval)(`(${act})`)(name), { act: String(act), name: freshName() }),
  );

describe("putting and getting", () => {
  test("text, bytes, blobs and buffers arrive as they were", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name);
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const receipts = [
        await queue.put("h\u00e9llo \u{1f980}"),
        await queue.put(all),
        await queue.put(all.buffer),
        await queue.put(new DataView(all.buffer, 1, 2)),
        await queue.put(new Blob(["blob"], { type: "text/x-blob" })),
        await queue.put(""),
        await queue.put('{"a": [1]}', { contentType: "application/json" }),
      ];
      const frames = await queue.get({ count: 10 });
      return {
        receipts,
        indexes: frames.map((frame) => frame.index),
        texts: [frames[0].text(), frames[4].text(), frames[5].text()],
        bytes: frames.slice(1, 4).map((frame) => [...frame.data]),
        isBytes: frames.every((frame) => frame.data instanceof Uint8Array),
        types: [4, 5, 6].map((at) => frames[at].tags["Header:Content-Type"]),
        json: frames[6].json(),
        ids: frames.map((frame) => frame.requestId),
        ages: frames.map((frame) => Date.now() - frame.putAt),
        left: await queue.count(),
      };
    });
    const all = Array.from({ length: 256 }, (_, i) => i);
    assert.deepEqual(seen.texts, ["h\u00e9llo \u{1f980}", "blob", ""]);
    assert.deepEqual(seen.bytes, [all, all, [1, 2]]);
    assert.ok(seen.isBytes);
    assert.deepEqual(seen.indexes, [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(
      seen.receipts.map((receipt) => receipt.index),
      seen.indexes,
    );
    assert.deepEqual(
      seen.receipts.map((receipt) => receipt.requestId),
      seen.ids,
    );
    assert.deepEqual(seen.types, ["text/x-blob", undefined, "application/json"]);
    assert.deepEqual(seen.json, { a: [1] });
    assert.ok(
      seen.ages.every((age) => age >= -1000 && age < 60_000),
      String(seen.ages),
    );
    assert.equal(seen.left, 7, "reading removes nothing unless it is asked to");
  });

  test("tags, priority, request id and path; unicode in all of them", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name);
      await queue.put("low");
      const receipt = await queue.put("high", {
        tags: { "k k": "v&=\u00e9 +%", "\u540d": "\u524d" },
        priority: 7,
        requestId: "\u8981\u6c42 1",
        path: "/a/b",
      });
      await queue.put("lowest", { priority: -3 });
      const order = [];
      for await (const frame of queue.watch({ window: 1 })) {
        order.push(frame.text());
        frame.commit();
        if (order.length === 3) break;
      }
      const sink = queue.sink();
      await sink.put("result", { requestId: "r 1" });
      const [result] = await sink.get({ requestId: "r 1" });
      await queue.put("x", { tags: { a: "1" } });
      await queue.put("y", { priority: 2 });
      return {
        receipt,
        order,
        result: result.text(),
        none: await sink.get({ requestId: "other" }),
        url: sink.url,
        counts: [await queue.count(), await queue.count({ tags: { a: "1" } }), await queue.count({ priority: 2 })],
      };
    });
    assert.equal(seen.receipt.requestId, "\u8981\u6c42 1");
    assert.deepEqual(seen.order, ["high", "low", "lowest"]);
    assert.equal(seen.result, "result");
    assert.deepEqual(seen.none, []);
    assert.match(seen.url, /\/sink$/);
    assert.deepEqual(seen.counts, [2, 1, 1]);
    const tags = await inPage(async (name) => {
      await queueOf(name).put("x", { tags: { "k k": "v&=\u00e9 +%", "\u540d": "\u524d" }, path: "/a/b" });
      return (await queueOf(name).get())[0].tags;
    });
    assert.equal(tags["k k"], "v&=\u00e9 +%");
    assert.equal(tags["\u540d"], "\u524d");
    assert.equal(tags.Path, "/a/b");
  });

  test("many at once, all or none", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name);
      await queue.configure({ max_length: 5 });
      const receipts = await queue.putMany(
        ["a", new Uint8Array([1, 2]), { data: new Blob(["c"]), tags: { own: "1" }, priority: 4, requestId: "mine" }],
        { tags: { all: "1" } },
      );
      const refused = await thrown(() => queue.putMany(["d", "e", "f"]));
      const frames = await queue.get({ count: 10 });
      return {
        receipts,
        refused,
        tags: frames.map(({ tags }) => [tags.all, tags.own]),
        last: frames[2].text(),
        none: await queue.putMany([]),
        high: await queue.count({ priority: 4 }),
      };
    });
    assert.deepEqual(
      seen.receipts.map((receipt) => receipt.index),
      [1, 2, 3],
    );
    assert.equal(seen.receipts[2].requestId, "mine");
    assert.equal(seen.refused.code, "full");
    assert.deepEqual(seen.tags, [
      ["1", undefined],
      ["1", undefined],
      ["1", "1"],
    ]);
    assert.equal(seen.last, "c");
    assert.deepEqual(seen.none, []);
    assert.equal(seen.high, 1);
  });

  test("attributes, search, delete, truncate, commit, negative, settings, the rear queue, the end", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name, { group: "g", user: "u" });
      await queue.putMany(Array.from({ length: 10 }, (_, i) => `entry ${i}`));
      const out = {
        length: (await queue.attributes())["stream.length"],
        position: await queue.search(4),
        unknown: await queue.search(99),
      };
      await queue.delete(2);
      await queue.delete([3, 4n]);
      await queue.truncate(6);
      out.left = (await queue.get({ count: 10 })).map((frame) => frame.index);
      out.newest = (await queue.get({ start: "newest" })).map((frame) => frame.index);
      out.removed = (await queue.get({ start: 10, remove: true })).map((frame) => frame.index);
      await queue.configure({ max_delivery: 1 });
      out.settings = (await queue.settings()).max_delivery;
      const watch = queue.watch({ window: 2 });
      const frames = watch[Symbol.asyncIterator]();
      const [first, second] = [(await frames.next()).value, (await frames.next()).value];
      await queue.commit(first.index);
      await queue.negative([second.index], "OOM", "no room");
      await watch.close();
      out.rear = (await queue.rear().get()).map((frame) => [frame.text(), frame.tags.lastCode, frame.tags.lastReason]);
      out.after = (await queue.get({ count: 10 })).map((frame) => frame.index);
      await queue.end({ force: true });
      out.ended = await thrown(() => queue.put("x"));
      return out;
    });
    assert.equal(seen.length, "10");
    assert.deepEqual(seen.position, { consumerId: "g.u", isPending: false, waitCount: 3 });
    assert.equal(seen.unknown, null);
    assert.deepEqual(seen.left, [6, 7, 8, 9, 10]);
    assert.deepEqual(seen.newest, [10]);
    assert.deepEqual(seen.removed, [10]);
    assert.equal(seen.settings, 1);
    assert.deepEqual(seen.rear, [["entry 6", "OOM", "no room"]]);
    assert.deepEqual(seen.after, [8, 9]);
    assert.deepEqual([seen.ended.code, seen.ended.status], ["ended", 410]);
  });
});

describe("errors", () => {
  test("have a class, a code and a status", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name);
      await queue.configure({ max_payload_size_kb: 1 });
      return {
        token: await thrown(() => queueOf(name, { token: "wrong" }).put("x")),
        large: await thrown(() => queue.put("x".repeat(2000))),
        bad: await thrown(() => queue.configure({ max_length: "many" })),
        code: await thrown(() => queue.negative(1, "not a code")),
        stranger: await thrown(() => new client.QueueClient({ url: "/pkg/edgequeue.d.ts" }).attributes()),
        nobody: await thrown(() => new client.QueueClient({ url: "http://127.0.0.1:9/api/predict/x" }).put("x")),
        slow: await thrown(() => queueOf(name, { timeout: 1 }).attributes()),
      };
    });
    for (const [what, error] of Object.entries(seen))
      assert.ok(
        error?.isQueueError && error.isError && error.name === "QueueError",
        `${what}: ${JSON.stringify(error)}`,
      );
    const told = (what) => [seen[what].code, seen[what].status];
    assert.deepEqual(told("token"), ["unauthorized", 401]);
    assert.deepEqual(told("large"), ["too_large", 413]);
    assert.deepEqual(told("bad"), ["bad_request", 400]);
    assert.match(seen.bad.message, /max_length/);
    assert.deepEqual(told("code"), ["invalid_argument", 0]);
    assert.deepEqual(told("stranger"), ["unexpected_answer", 0]);
    assert.deepEqual(told("nobody"), ["unreachable", 0]);
    assert.match(seen.nobody.message, /EDGEQUEUE_ALLOWED_ORIGINS/);
    assert.deepEqual(told("slow"), ["timeout", 0]);
  });

  test("arguments that make no sense are refused before anything is sent", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name);
      const wrong = {
        index: () => queue.search(2 ** 53),
        negative: () => queue.search(-1),
        fraction: () => queue.delete([1, 1.5]),
        // @ts-expect-error not a number
        text: () => queue.commit("1"),
        nothing: () => queue.commit(undefined),
        wide: () => queue.search(2n ** 64n),
        reserved: () => queue.put("x", { tags: { _priority_: "9" } }),
        // @ts-expect-error not a text
        tag: () => queue.put("x", { tags: { a: 1 } }),
        // @ts-expect-error neither text nor bytes
        data: () => queue.put({ a: 1 }),
        priority: () => queue.put("x", { priority: 1.5 }),
        count: () => queue.get({ count: -1 }),
        window: () => queue.watch({ window: 1.5 }),
        group: () => queueOf(name, { group: "gr\u00fcn" }),
        url: () => new client.QueueClient({ url: "ftp://a/b" }),
        query: () => new client.QueueClient({ url: "/a?b=c" }),
        user: () => new client.QueueClient({ url: "http://u:p@a/b" }),
        protocol: () => queueOf(name, { protocol: "mqtt" }),
      };
      const out = {};
      for (const [what, act] of Object.entries(wrong)) out[what] = (await thrown(act))?.code;
      return out;
    });
    for (const [what, code] of Object.entries(seen)) assert.equal(code, "invalid_argument", what);
  });

  test("before init there is a sentence, and a failed init can be repeated", async () => {
    const other = await (await browser.newContext()).newPage();
    await other.goto(`${service.url}/api/`);
    const seen = await other.evaluate(async () => {
      const path = "/pkg/edgequeue.js";
      const client = await import(path);
      const told = [];
      const note = (error) => told.push(error.message);
      try {
        new client.QueueClient({ url: "/api/predict/x" });
      } catch (error) {
        note(error);
      }
      await client.default("/pkg/nothing.wasm").catch(() => told.push("failed"));
      await Promise.all([client.default(), client.default()]);
      told.push(new client.QueueClient({ url: "/api/predict/x" }).url);
      return told;
    });
    assert.match(seen[0], /init\(\)/);
    assert.deepEqual(seen.slice(1), ["failed", `${service.url}/api/predict/x`]);
    await other.context().close();
  });
});

describe("aborting", () => {
  test("a get that waits gives up at once, with the signal's reason, and the next one is not disturbed", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name);
      const control = new AbortController();
      const began = performance.now();
      setTimeout(() => control.abort(), 200);
      const aborted = await thrown(() => queue.get({ wait: 30_000, signal: control.signal }));
      const took = performance.now() - began;
      const before = await thrown(() => queue.put("x", { signal: AbortSignal.abort(new RangeError("mine")) }));
      const waited = queue.get({ wait: 30_000 });
      await queue.put("after");
      return { aborted, took, before, after: (await waited)[0].text(), count: await queue.count() };
    });
    assert.deepEqual([seen.aborted.name, seen.aborted.isQueueError], ["AbortError", false]);
    assert.ok(seen.took < 2_000, `${seen.took} ms`);
    assert.deepEqual([seen.before.name, seen.before.message], ["RangeError", "mine"]);
    assert.equal(seen.after, "after");
    assert.equal(seen.count, 1);
  });

  test("a watch ends with the reason, and what it held goes to the next consumer without counting", async () => {
    const seen = await inPage(async (name) => {
      const queue = queueOf(name);
      await queue.configure({ max_delivery: 1 });
      await queue.putMany(["a", "b"]);
      const control = new AbortController();
      const states = [];
      const watch = queue.watch({ window: 5, signal: control.signal, onState: (state) => states.push(state.name) });
      const error = await thrown(async () => {
        for await (const frame of watch) {
          if (frame.text() === "a") frame.commit();
          else control.abort();
        }
      });
      const again = [];
      for await (const frame of queueOf(name).watch({ window: 5 })) {
        again.push(frame.text());
        frame.commit();
        break;
      }
      return {
        error,
        again,
        states,
        late: await thrown(() => queue.watch({ signal: control.signal })),
        rear: await queue.rear().count(),
      };
    });
    assert.equal(seen.error.name, "AbortError");
    assert.deepEqual(seen.again, ["b"]);
    assert.deepEqual(seen.states.slice(-1), ["closed"]);
    assert.equal(seen.late.name, "AbortError");
    assert.equal(seen.rear, 0);
  });
});

test("the declarations name what there is, and nothing else", async () => {
  const declared = (name) => {
    const [, body] = readFileSync(at("src", "browser", "edgequeue.d.ts"), "utf8").match(
      new RegExp(`export (?:class|interface) ${name}\\b[^{]*\\{\n(.*?)\n\\}`, "s"),
    );
    return [...body.matchAll(/^ {2}(?:readonly )?(\w+)(?=[(:])/gm)]
      .map(([, member]) => member)
      .filter((member) => member !== "constructor")
      .sort();
  };
  const seen = await inPage(async (name) => {
    const members = (...prototypes) =>
      prototypes
        .flatMap((prototype) => Object.getOwnPropertyNames(prototype))
        .filter((member) => member !== "constructor");
    const queue = queueOf(name);
    await queue.put("x");
    const [frame] = await queue.get();
    const watch = queue.watch();
    const watched = (await watch[Symbol.asyncIterator]().next()).value;
    await watch.close();
    const over = (prototype) => Object.getPrototypeOf(Object.getPrototypeOf(prototype));
    return {
      QueueClient: members(client.QueueClient.prototype),
      Watch: members(client.Watch.prototype),
      Frame: members(frame, Object.getPrototypeOf(frame)),
      WatchedFrame: members(Object.getPrototypeOf(watched)),
      isFrame: over(watched) === Object.getPrototypeOf(frame),
      exported: Object.keys(client),
    };
  });
  for (const name of ["QueueClient", "Watch", "Frame", "WatchedFrame"])
    assert.deepEqual(seen[name].sort(), declared(name), name);
  assert.ok(seen.isFrame);
  assert.deepEqual(seen.exported.sort(), ["QueueClient", "QueueError", "Watch", "default", "panicForTests"]);
});

test("a fault of the module reaches everybody who waits as an error, and the page lives on", async () => {
  const other = await openPage(browser, service);
  const seen = await other.evaluate(async (name) => {
    const code = (promise) =>
      promise.then(
        () => "done",
        (error) => error.code,
      );
    const queue = queueOf(name);
    const waiting = code(queue.get({ wait: 20_000 }));
    const watch = queue.watch();
    const watching = code(watch[Symbol.asyncIterator]().next());
    await new Promise((resolve) => setTimeout(resolve, 500));
    let thrown;
    try {
      /** @type {any} */ (client).panicForTests();
    } catch (error) {
      thrown = error;
    }
    return {
      thrown: [thrown.code, thrown.message],
      waiting: await waiting,
      watching: await watching,
      later: await code(queue.put("x")),
      state: watch.state.name,
      totals: watch.totals.shown,
      made: await code(Promise.resolve().then(() => queueOf(name))),
      alive: 1 + 1,
    };
  }, freshName());
  assert.equal(seen.thrown[0], "internal");
  assert.match(seen.thrown[1], /a test asked for a panic/);
  assert.deepEqual(
    [seen.waiting, seen.watching, seen.later, seen.made],
    ["internal", "internal", "internal", "internal"],
  );
  assert.equal(seen.state, "closed");
  assert.equal(seen.alive, 2);
  assert.deepEqual(other.errors, []);
  await other.context().close();
});

test("indexes beyond 2^53 keep every digit, both ways", async () => {
  // Our own service never gets there; others may. So the answers of this queue are made here, in the browser's network.
  const [low, high] = [2n ** 53n - 1n, 2n ** 53n + 1n];
  const varint = (value) => {
    const bytes = [];
    for (; value >= 0x80n; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
    return Buffer.from([...bytes, Number(value)]);
  };
  const frame = (index) => Buffer.concat([Buffer.from([8]), varint(index)]);
  const list = (indexes) =>
    Buffer.concat(indexes.map((index) => Buffer.concat([Buffer.from([10, frame(index).length]), frame(index)])));
  const asked = [];
  await page.route("**/api/predict/beyond**", (route) => {
    const request = route.request();
    asked.push(`${request.method()} ${new URL(request.url()).search}`);
    const body = request.method() === "POST" ? String(high) : request.method() === "GET" ? list([low, high]) : "OK";
    return route.fulfill({ status: 200, body });
  });
  const seen = await page.evaluate(async () => {
    const queue = queueOf("beyond");
    const { index } = await queue.put("x");
    const frames = await queue.get({ start: index, count: 2 });
    await queue.commit([...frames.map((frame) => frame.index)]);
    await queue.delete(2n ** 64n - 1n);
    return {
      kinds: frames.map((frame) => typeof frame.index),
      texts: frames.map((frame) => String(frame.index)),
      same: frames[1].index === index,
    };
  });
  assert.deepEqual(seen, { kinds: ["number", "bigint"], texts: [String(low), String(high)], same: true });
  assert.match(asked[1], /_index_=9007199254740993&/);
  assert.equal(asked[2], "PUT ?_indexes_=9007199254740991%2C9007199254740993");
  assert.equal(asked[3], "DELETE ?_indexes_=18446744073709551615");
  // And the real service understands them.
  const real = await inPage(async (name) => {
    const queue = queueOf(name);
    await queue.put("x");
    await queue.commit([2n ** 60n]);
    return [await queue.search(2n ** 60n), await queue.get({ start: 2n ** 60n }), (await queue.get())[0].index];
  });
  assert.deepEqual(real, [null, [], 1]);
});

test("nothing went wrong unnoticed", () => assert.deepEqual(page.errors, []));
