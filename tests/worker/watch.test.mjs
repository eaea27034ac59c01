// Watching: sockets, endless bodies, groups, leases, redelivery, dead letters.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Client, decodeFrame, eventually, fresh, raw, within } from "./client.mjs";
import { start } from "./service.mjs";
import { sleep } from "../../tools/lib.mjs";

let service;
before(async () => {
  service = await start({ faults: true });
});
after(() => service?.stop());

const name = (queue) => queue.path.slice("/api/predict/".length);
/** The same queue as another consumer. */
const as = (queue, group, user, options = {}) => new Client(service, name(queue), { group, user, ...options });
const queueOf = (group = "g", user = "u") => fresh(service, { group, user });
const lines = async (queue, list) =>
  Object.entries(await queue.attributes())
    .filter(([key]) => key.startsWith(`${list}.list.`))
    .map(([, line]) => line);

describe("a socket", () => {
  test("gets the handshake that strict clients want, and each entry as one unfragmented binary frame", async () => {
    const queue = queueOf();
    await queue.put(Buffer.alloc(1_048_576, 9));
    await queue.put("small");
    const key = crypto.randomBytes(16).toString("base64");
    const head = (text) => text.subarray(0, text.indexOf("\r\n\r\n") + 4);
    const { socket, answer } = await raw(
      service.port,
      `GET ${queue.path}?_watch_=true&_window_=5 HTTP/1.1\r\nHost: x\r\nAuthorization: ${service.token}\r\n` +
        "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nOrigin: http://localhost:3030/sink\r\n\r\n`,
      (seen) => seen.includes("\r\n\r\n") && seen.length > head(seen).length + 1_048_576 + 170,
    );
    const seen = await answer;
    const headers = String(head(seen)).toLowerCase();
    assert.match(headers, /^http\/1\.1 101 /);
    assert.match(headers, /\r\nconnection: upgrade\r\n/);
    assert.match(headers, /\r\nupgrade: websocket\r\n/);
    const accept = crypto.createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    assert.ok(String(head(seen)).includes(accept));
    assert.ok(!headers.includes("sec-websocket-extensions") && !headers.includes("sec-websocket-protocol"));
    let rest = seen.subarray(head(seen).length);
    assert.deepEqual([rest[0], rest[1]], [0x82, 127], "final, binary, 64-bit length");
    const length = Number(rest.readBigUInt64BE(2));
    const frame = decodeFrame(rest.subarray(10, 10 + length));
    assert.deepEqual([frame.index, frame.data.length], [1, 1_048_576]);
    rest = rest.subarray(10 + length);
    assert.equal(rest[0], 0x82);
    assert.equal(decodeFrame(rest.subarray(2 + (rest[1] === 126 ? 2 : 0))).data.toString(), "small");
    socket.destroy();
  });

  test("holds as many entries as its window, and each commit brings the next", async () => {
    const queue = queueOf();
    await queue.puts(8);
    const watcher = await queue.watch({ _window_: "3" });
    assert.deepEqual(await watcher.indexes(3), [1, 2, 3]);
    await watcher.quiet();
    await queue.commit(2);
    assert.equal((await watcher.frame()).index, 4);
    await queue.commit(1, 3);
    assert.deepEqual(await watcher.indexes(2), [5, 6]);
    await watcher.quiet();
    await queue.commit(2, 1, 0, 999);
    await watcher.quiet();
    await queue.commit(4, 5, 6);
    assert.deepEqual(await watcher.indexes(2), [7, 8]);
    assert.equal(await queue.length(), 2);
    await queue.commit(7, 8);
    assert.equal(await queue.length(), 0, "applied before the commit was answered");
    await watcher.close();
  });

  test("ten is the window of who names none", async () => {
    const queue = queueOf();
    await queue.puts(12);
    const watcher = await queue.watch();
    await watcher.frames(10);
    await watcher.quiet();
    await watcher.close();
  });

  test("with auto commit everything comes and nothing stays", async () => {
    const queue = queueOf();
    await queue.puts(30);
    const watcher = await queue.watch({ _auto_commit_: "true", _window_: "2" });
    assert.deepEqual(
      await watcher.indexes(30),
      Array.from({ length: 30 }, (_, i) => i + 1),
    );
    await queue.put("live");
    assert.equal((await watcher.frame()).data.toString(), "live");
    assert.equal(await queue.length(), 0);
    await watcher.close();
    await eventually("the consumer is gone", async () =>
      / Status: Leaving,/.test((await lines(queue, "consumers"))[0]),
    );
    const again = await queue.watch({ _auto_commit_: "true" });
    await again.quiet();
    await again.close();
  });

  test("index only: no data", async () => {
    const queue = queueOf();
    await queue.put("data", { k: "v" });
    const watcher = await queue.watch({ _index_only_: "true" });
    const frame = await watcher.frame();
    assert.deepEqual([frame.index, frame.tags.k, frame.data.length], [1, "v", 0]);
    await watcher.close();
  });

  test("a tag filter, and a group whose tags differ is refused", async () => {
    const queue = queueOf();
    for (let i = 0; i < 6; i++) await queue.put(`${i}`, { kind: i % 2 ? "odd" : "even" });
    const watcher = await queue.watch({ kind: "odd" });
    assert.deepEqual(await watcher.indexes(3), [2, 4, 6]);
    await watcher.quiet();
    await assert.rejects(
      as(queue, "g", "other").watch({ kind: "even" }),
      (/** @type {any} */ error) =>
        error.status === 400 &&
        error.text === "group g watches with other tags; all consumers of a group must use the same tags",
    );
    assert.match((await lines(queue, "consumers"))[0], /, AutoCommit: false, Tags: tags\[kind=odd\]$/);
    await queue.commit(2, 4, 6);
    assert.equal(await queue.length(), 3, "what no group wants stays");
    await watcher.close();
  });

  test("start index, and -1 for what is new", async () => {
    const queue = queueOf();
    await queue.puts(5);
    const from = await queue.watch({ _index_: "4" });
    assert.deepEqual(await from.indexes(2), [4, 5]);
    const newest = await as(queue, "n", "u").watch({ _index_: "-1" });
    await newest.quiet();
    await queue.put("new");
    assert.equal((await newest.frame()).index, 6);
    await Promise.all([from.close(), newest.close()]);
  });

  test("consumer and group lines are the vendor's, to the letter", async () => {
    const queue = queueOf("imageasync", "pod-1");
    await queue.puts(3);
    const watcher = await queue.watch({ _window_: "5" });
    await watcher.frames(3);
    await queue.commit(1);
    /** The line of a consumer, with its time of rest as "?". */
    const consumer = async (at) => (await lines(queue, "consumers"))[at].replace(/Idle: \d+(\.\d+)?m?s/, "Idle: ?");
    assert.equal(
      await consumer(0),
      "Id: imageasync.pod-1, Index: 3, Pending: 2, Status: Running, Idle: ?, Window: 5, Slots: 3, AutoCommit: false",
    );
    assert.deepEqual(await lines(queue, "groups"), [
      "Id: imageasync, Index: 3, Pending: 2, Delivered: 1, Consumers: 1",
    ]);
    await queue.commit(2, 3);
    assert.match((await lines(queue, "consumers"))[0], /Index: 0, Pending: 0, Status: Running/);
    const auto = await as(queue, "imageasync", "pod-2").watch({ _auto_commit_: "true" });
    assert.equal(
      await consumer(1),
      "Id: imageasync.pod-2, Index: 0, Pending: 0, Status: Running, Idle: ?, Window: 0, Slots: 0, AutoCommit: true",
    );
    const attributes = await queue.attributes();
    assert.deepEqual([attributes["consumers.stats.total"], attributes["consumers.status.total"]], ["2", "2"]);
    await Promise.all([watcher.close(), auto.close()]);
  });

  test("the identity headers of the Python and Java clients count too", async () => {
    const queue = fresh(service);
    const watcher = await queue.watch(
      {},
      { headers: { "X-EAS-QueueService-Redis-Uid": "r-user", "X-EAS-QueueService-Redis-Gid": "r-group" } },
    );
    assert.match((await lines(queue, "consumers"))[0], /^Id: r-group\.r-user, /);
    await watcher.close();
  });
});

describe("groups", () => {
  test("each gets every entry; an entry leaves when all have committed", async () => {
    const queue = queueOf("a", "u");
    const other = as(queue, "b", "u");
    const [a, b] = [await queue.watch(), await other.watch()];
    await queue.puts(3);
    assert.deepEqual(await a.indexes(3), [1, 2, 3]);
    assert.deepEqual(await b.indexes(3), [1, 2, 3]);
    await queue.commit(1, 2, 3);
    assert.equal(await queue.length(), 3);
    await other.commit(1, 2, 3);
    assert.equal(await queue.length(), 0);
    await Promise.all([a.close(), b.close()]);
  });

  test("inside one, entries are spread and none goes to two", async () => {
    const queue = queueOf("g", "one");
    const watchers = [await queue.watch({ _window_: "5" }), await as(queue, "g", "two").watch({ _window_: "5" })];
    await queue.puts(10);
    const got = await Promise.all(watchers.map((watcher) => watcher.indexes(5)));
    assert.deepEqual(
      got.flat().sort((x, y) => x - y),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    await Promise.all(watchers.map((watcher) => watcher.close()));
  });
});

describe("lost and taken over", () => {
  test("another consumer gets the entries of one whose connection was cut, at once", async () => {
    await within(1000, async () => {
      const queue = queueOf("g", "lost");
      await queue.puts(3);
      const lost = await queue.watch();
      await lost.frames(3);
      const heir = await as(queue, "g", "heir").watch();
      await heir.quiet();
      const cut = performance.now();
      lost.drop();
      assert.deepEqual(await heir.indexes(3), [1, 2, 3]);
      const took = performance.now() - cut;
      assert.match(
        (await lines(queue, "consumers")).find((line) => line.includes("g.lost")),
        /Status: (Leaving|Exit), /,
      );
      await heir.close();
      return took;
    });
  });

  test("the same consumer coming back gets its uncommitted entries first and at once", async () => {
    const queue = queueOf();
    await queue.puts(6);
    const first = await queue.watch({ _window_: "3" });
    await first.frames(3);
    await queue.commit(2);
    await first.frame();
    first.drop();
    await first.closed;
    const second = await queue.watch({ _window_: "3" });
    assert.deepEqual(await second.indexes(3), [1, 3, 4]);
    await second.close();
  });

  test("a second connection with the same ids takes over before the first is closed", async () => {
    const queue = queueOf();
    await queue.puts(2);
    const first = await queue.watch();
    await first.frames(2);
    const second = await queue.watch();
    assert.deepEqual(await second.indexes(2), [1, 2]);
    assert.deepEqual(await first.closed, { code: 4001, reason: "the same group and user connected again" });
    await queue.commit(1, 2);
    assert.equal(await queue.length(), 0);
    assert.equal((await queue.attributes())["consumers.stats.total"], "1");
    await queue.put("next");
    assert.equal((await second.frame()).data.toString(), "next");
    await second.close();
  });

  test("a connection that never answers its close does not come back as a consumer", async () => {
    const queue = queueOf();
    const { socket, answer } = await raw(
      service.port,
      `GET ${queue.path}?_watch_=true HTTP/1.1\r\nHost: x\r\nAuthorization: ${service.token}\r\n` +
        "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
        "X-EAS-QueueService-Uid: u\r\nX-EAS-QueueService-Gid: g\r\n" +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${crypto.randomBytes(16).toString("base64")}\r\n\r\n`,
      (seen) => seen.includes("\r\n\r\n"),
    );
    await answer;
    const second = await queue.watch();
    assert.equal((await queue.fault("storage", "POST", {}, "lost")).status, 503);
    assert.deepEqual(
      (await lines(queue, "consumers")).map((line) => line.split(",")[0]),
      ["Id: g.u"],
    );
    assert.equal((await lines(queue, "groups")).length, 1);
    await queue.commit(await queue.put("x"));
    assert.equal(await queue.length(), 0);
    socket.destroy();
    await second.close();
  });

  test("max_idle: who holds an entry for too long loses it", async () => {
    await within(3000, async () => {
      const queue = queueOf("g", "slow");
      await queue.set({ max_idle: "1s" });
      await queue.put("x");
      const slow = await queue.watch();
      await slow.frame();
      const other = await as(queue, "g", "other").watch();
      const began = performance.now();
      assert.equal((await other.frame()).index, 1);
      const took = performance.now() - began;
      await Promise.all([slow.close(), other.close()]);
      return took;
    });
  });

  test("max_silence: a half-dead connection that holds entries is closed, and others get them", async () => {
    await within(3000, async () => {
      const queue = queueOf("g", "mute");
      await queue.set({ max_silence: "1s" });
      await queue.put("x");
      const mute = await queue.watch();
      await mute.frame();
      const other = await as(queue, "g", "other").watch();
      const began = performance.now();
      assert.equal((await mute.closed).code, 4002);
      const took = performance.now() - began;
      assert.equal((await other.frame()).index, 1, "after the grace in which the other could have come back");
      await queue.commit(1);
      await other.close();
      return took;
    });
  });
});

describe("an endless body", () => {
  test("brings length-delimited frames as they are put, also to a client that takes compression", async () => {
    const queue = queueOf();
    await queue.puts(2);
    const stream = await queue.stream({ _window_: "3" }, { headers: { "Accept-Encoding": "gzip, br" } });
    assert.equal(stream.status, 200);
    assert.deepEqual(
      (await stream.frames(2)).map((frame) => frame.index),
      [1, 2],
    );
    await within(1000, async () => {
      await queue.put("live");
      const frame = await stream.frame();
      assert.equal(frame.data.toString(), "live");
      await queue.commit(frame.index);
    });
    await queue.commit(1, 2);
    assert.equal(await queue.length(), 0);
    stream.leave();
  });

  test("ends when it is taken over, and when the queue is ended", async () => {
    const queue = queueOf();
    await queue.put("x");
    const first = await queue.stream();
    await first.frame();
    const second = await queue.stream();
    assert.equal(await first.ended, "end");
    assert.equal((await second.frame()).index, 1);
    assert.equal((await queue.ask("POST", { _eos_: "true" })).status, 200);
    await queue.commit(1);
    assert.equal(await second.ended, "end");
  });
});

test("end of stream: watchers get what is left and are then closed with 1000", async () => {
  const queue = queueOf();
  await queue.puts(3);
  const watcher = await queue.watch({ _window_: "2" });
  await watcher.frames(2);
  await queue.ask("POST", { _eos_: "true" });
  await queue.commit(1, 2);
  assert.equal((await watcher.frame()).index, 3);
  await queue.commit(3);
  assert.equal((await watcher.closed).code, 1000);
});

test("delete, truncate and get take entries away from who holds them", async () => {
  const queue = queueOf();
  await queue.puts(6);
  const watcher = await queue.watch({ _window_: "3" });
  await watcher.frames(3);
  await queue.ask("DELETE", { _index_: "1" });
  assert.equal((await watcher.frame()).index, 4, "its slot is free");
  await queue.get({ _index_: "2" });
  assert.equal((await watcher.frame()).index, 5);
  await queue.ask("DELETE", { _index_: "6", _trunc_: "true" });
  assert.equal((await watcher.frame()).index, 6);
  assert.equal(await queue.length(), 1);
  await watcher.close();
});

describe("after a sleep", () => {
  test("sockets are still served: leases are kept, commits free slots, auto commit goes on", async () => {
    const queue = queueOf("g", "sleeper");
    await queue.puts(4);
    const watcher = await queue.watch({ _window_: "2" });
    assert.deepEqual(await watcher.indexes(2), [1, 2]);
    const auto = queueOf("g", "auto");
    const autoWatcher = await auto.watch({ _auto_commit_: "true" });
    const closing = queueOf("g", "closing");
    await closing.puts(1);
    const closingWatcher = await closing.watch();
    await closingWatcher.frame();
    const before = await queue.measured();
    assert.ok(before.rows_written > 0);
    await sleep(12_000);
    // The counters are memory of the object: that they began anew proves the sleep.
    assert.equal((await queue.measured()).rows_written, 0);
    await watcher.quiet(100);
    assert.match((await lines(queue, "consumers"))[0], /Pending: 2, Status: Running,.* Window: 2, Slots: 0,/);
    await queue.commit(1);
    assert.equal((await watcher.frame()).index, 3);
    await watcher.quiet(200);
    await auto.put("woke");
    assert.equal((await autoWatcher.frame()).data.toString(), "woke");
    assert.equal(await auto.length(), 0);
    // The first event after the sleep is the end of the socket itself.
    closingWatcher.drop();
    const heir = await as(closing, "g", "heir").watch();
    assert.equal((await heir.frame()).index, 1);
    assert.match((await lines(closing, "consumers"))[0], /^Id: g\.closing, .* Status: (Leaving|Exit),/);
    await Promise.all([watcher.close(), autoWatcher.close(), heir.close()]);
    await eventually("the auto-committing consumer is seen to be gone", async () =>
      / Status: Leaving,/.test((await lines(auto, "consumers"))[0]),
    );
  });
});
