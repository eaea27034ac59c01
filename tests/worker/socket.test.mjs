// Our own protocol on a WebSocket, on the real worker.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { Client, eventually, fresh } from "./client.mjs";
import { start } from "./service.mjs";
import { SUBPROTOCOL, Session, bytes, request } from "./session.mjs";
import { sleep } from "../../tools/lib.mjs";

let service;
before(async () => {
  service = await start();
});
after(() => service?.stop());

const queueOf = (user = "u", group = "g") => fresh(service, { group, user });
const name = (queue) => queue.path.slice("/api/predict/".length);
const as = (queue, user, group = "g") => new Client(service, name(queue), { group, user });
const producer = (queue) => Session.open(queue, { _window_: "0" });
const many = (count, text = "entry") => Array.from({ length: count }, (_, i) => `${text} ${i}`);
const indexes = (frames) => frames.map((frame) => frame.index);
const range = (first, count) => Array.from({ length: count }, (_, i) => first + i);

describe("the handshake", () => {
  const open = (queue, protocols, params = "_watch_=true&_window_=1") =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${service.url.replace("http", "ws")}${queue.path}?${params}`, protocols, {
        headers: queue.headers,
      });
      socket.once("open", () => resolve(socket)).once("error", reject);
    });

  test("names the protocol only to who offers it, out of a list", async () => {
    const queue = queueOf();
    const socket = await open(queue, ["token.abc", SUBPROTOCOL, "other"]);
    assert.equal(socket.protocol, SUBPROTOCOL);
    socket.close();
    const plain = await open(queue, []);
    assert.equal(plain.protocol, "");
    plain.close();
    await assert.rejects(open(queue, ["edgequeue.v2"]), /no subprotocol/);
  });

  test("who does not ask for it gets one frame per message, and can do no harm by sending", async () => {
    const queue = queueOf();
    for (const text of many(3)) await queue.put(text);
    const socket = await open(queue, [], "_watch_=true&_window_=3");
    const seen = [];
    socket.on("message", (data) => seen.push(data));
    await eventually("three messages", () => seen.length === 3);
    assert.ok(
      seen.every((message) => message[0] === 0x08),
      "each begins with its index",
    );
    socket.send(request.commit(1, [1, 2, 3]));
    socket.send("hello");
    await sleep(200);
    assert.equal((await queue.attributes())["stream.length"], "3");
    assert.equal(socket.readyState, WebSocket.OPEN);
    socket.close();
    const refused = await queue.ask("GET", { _watch_: "true", _window_: "0" });
    assert.equal(refused.status, 400);
  });
});

describe("putting", () => {
  test("is answered with the first index, and with request ids when asked", async () => {
    const queue = queueOf();
    const session = await producer(queue);
    assert.deepEqual(await session.done("put", many(3)), { id: 1, status: 0, text: "", first: 1, requestIds: [] });
    const answer = await session.done(
      "put",
      [{ data: "x", tags: { requestId: "mine", a: "b" }, priority: 7 }, "y"],
      true,
    );
    assert.equal(answer.first, 4);
    assert.equal(answer.requestIds[0], "mine");
    const frames = await queue.get({ _length_: "10", _auto_delete_: "false" });
    assert.deepEqual(
      frames.map((frame) => String(frame.data)),
      ["entry 0", "entry 1", "entry 2", "x", "y"],
    );
    assert.equal(frames[4].tags.requestId, answer.requestIds[1]);
    assert.ok(frames.every((frame) => frame.tags["ts@source"]));
    assert.equal(frames[3].tags.a, "b");
    assert.equal((await queue.ask("GET", { _count_: "true", _priority_: "7" })).text, "1");
    await session.close();
  });

  test("without watching takes nobody's place and begins no group", async () => {
    const queue = queueOf();
    const consumer = await Session.open(queue, { _window_: "5" });
    const session = await producer(queue);
    await session.done("put", ["a"]);
    assert.equal(String((await consumer.take(1))[0].data), "a");
    assert.equal(consumer.socket.readyState, WebSocket.OPEN);
    const other = queueOf();
    const alone = await producer(other);
    await alone.done("put", ["a"]);
    assert.equal((await other.attributes())["consumers.stats.total"], "0");
    await Promise.all([consumer.close(), session.close(), alone.close()]);
  });

  test("to the sink gives the sink's stamp, to the rear the rear's entries", async () => {
    const queue = queueOf();
    const sink = await producer(new Client(service, `${name(queue)}/sink`));
    await sink.done("put", [{ data: "r", tags: { "ts@source": "5" } }]);
    const [frame] = await new Client(service, `${name(queue)}/sink`).get();
    assert.ok(frame.tags["ts@source"] === "5" && frame.tags["ts@sink"]);
    const rear = new Client(service, name(queue), { rear: true });
    const session = await producer(rear);
    await session.done("put", ["r"]);
    assert.equal((await queue.attributes())["stream.length"], "0");
    assert.equal((await rear.attributes())["stream.length"], "1");
    await Promise.all([sink.close(), session.close()]);
  });

  test("many messages at once are each answered, in few messages", async () => {
    const queue = queueOf();
    const session = await producer(queue);
    const ids = Array.from({ length: 500 }, () => session.id());
    for (const id of ids) session.send(request.put(id, [`entry ${id}`]));
    const answers = await Promise.all(ids.map((id) => session.answer(id)));
    assert.deepEqual(
      answers.map((answer) => answer.first),
      range(1, 500),
    );
    assert.ok(session.messages < 250, `${session.messages} messages for 500 answers`);
    assert.equal((await queue.attributes())["stream.length"], "500");
    await session.close();
  });

  test("is all or nothing, and refused with the status it would have over HTTP", async () => {
    const queue = queueOf();
    assert.equal(
      (
        await queue.ask(
          "PUT",
          { _settings_: "true" },
          { body: JSON.stringify({ max_length: 2, max_payload_size_kb: 1 }) },
        )
      ).status,
      200,
    );
    const session = await producer(queue);
    assert.equal((await session.ask("put", many(3))).status, 429);
    assert.equal((await session.ask("put", ["a", Buffer.alloc(1025)])).status, 413);
    assert.equal((await session.ask("put", [])).status, 400);
    assert.equal((await session.ask("put", [{ data: "a", tags: { _x_: "" } }])).status, 400);
    assert.equal((await session.ask("put", Array(10_001).fill(""))).status, 413);
    assert.equal((await session.ask("put", Array(17).fill(Buffer.alloc(1 << 20)))).status, 413);
    assert.equal((await queue.attributes())["stream.length"], "0");
    session.send(request.put(0, many(3)), request.put(0, many(2)));
    const refusal = await session.refusal();
    assert.equal(refusal.status, 429);
    assert.equal((await queue.attributes())["stream.length"], "2", "without an id it is done without an answer");
    await queue.ask("POST", { _eos_: "true", _force_: "true" });
    assert.equal((await session.ask("put", ["a"])).status, 410);
    await session.close();
  });

  test("16 MiB in one message", async () => {
    const queue = queueOf();
    const session = await producer(queue);
    await session.done(
      "put",
      Array.from({ length: 15 }, (_, i) => Buffer.alloc(1 << 20, i)),
    );
    assert.equal((await queue.attributes())["stream.length"], "15");
    await session.close();
  });
});

describe("watching", () => {
  test("several entries come in one message, are committed in one, and make room for more", async () => {
    const queue = queueOf();
    const session = await Session.open(queue, { _window_: "100" });
    await session.done("put", many(250));
    const before = session.messages;
    let frames = await session.take(100);
    assert.deepEqual(indexes(frames), range(1, 100));
    assert.ok(session.messages - before <= 1, `${session.messages - before} messages for 100 frames`);
    assert.equal(session.frames.length, 0, "never more than the window");
    await session.done("commit", indexes(frames));
    frames = await session.take(100);
    await session.done("commit", [...indexes(frames)].reverse());
    await session.done("commit", indexes(await session.take(50)));
    await session.done("commit", [1, 250, 999]);
    assert.equal((await queue.attributes())["stream.length"], "0");
    await session.close();
  });

  test("one message may put, commit and ask for more", async () => {
    const queue = queueOf();
    const session = await Session.open(queue, { _window_: "1" });
    await session.done("put", many(3));
    const [first] = await session.take(1);
    session.send(request.commit(10, [first.index]), request.put(11, ["late"]), request.window(12, 50));
    for (const id of [10, 11, 12]) assert.equal((await session.answer(id)).status, 0);
    assert.deepEqual(indexes(await session.take(3)), [2, 3, 4]);
    await session.close();
  });

  test("large entries come in several messages", async () => {
    const queue = queueOf();
    const session = await producer(queue);
    await session.done(
      "put",
      Array.from({ length: 10 }, (_, i) => Buffer.alloc(500_000, i)),
    );
    const before = session.messages;
    await session.done("window", 10);
    const frames = await session.take(10);
    assert.ok(frames.every((frame, i) => frame.data.equals(Buffer.alloc(500_000, i))));
    assert.ok(session.messages - before >= 3);
    await session.close();
  });

  test("credit widens, narrows and stops the window", async () => {
    const queue = queueOf();
    const session = await producer(queue);
    await session.done("put", many(20));
    await session.done("window", 3);
    await session.take(3);
    await session.done("window", 5);
    assert.deepEqual(indexes(await session.take(2)), [4, 5]);
    await session.done("window", 2);
    await session.done("commit", [1, 2, 3]);
    await sleep(100);
    assert.equal(session.frames.length, 0, "two are still out");
    await session.done("commit", [4]);
    assert.deepEqual(indexes(await session.take(1)), [6]);
    await session.done("window", 0);
    await session.done("commit", [5, 6]);
    await sleep(100);
    assert.equal(session.frames.length, 0);
    const line = Object.entries(await queue.attributes()).find(([key]) => key.startsWith("consumers.list."))[1];
    assert.match(line, /Status: Running.*Window: 0, Slots: 0/);
    await session.done("window", 4_000_000_000);
    assert.equal((await session.take(14)).length, 14);
    await session.close();
  });

  test("a rejected entry comes again with code and reason; Shutdown stops until credit is given", async () => {
    const queue = queueOf();
    const session = await Session.open(queue, { _window_: "2" });
    await session.done("put", many(3));
    await session.take(2);
    await session.done("reject", [1], "OOM", "too little memory");
    const [again] = await session.take(1);
    assert.deepEqual([again.index, again.tags.lastCode, again.tags.lastReason], [1, "OOM", "too little memory"]);
    assert.equal((await session.ask("reject", [1], "no code!")).status, 400);
    await session.done("reject", [1, 2], "Shutdown");
    await sleep(100);
    assert.equal(session.frames.length, 0);
    await session.done("window", 3);
    assert.deepEqual(indexes(await session.take(3)).sort(), [1, 2, 3]);
    await session.close();
  });

  test("leases end with the session, and a second one of the same consumer takes over", async () => {
    const queue = queueOf();
    const session = await Session.open(queue, { _window_: "2" });
    await session.done("put", many(2));
    await session.take(2);
    const other = await Session.open(as(queue, "other"), { _window_: "2" });
    const second = await Session.open(queue, { _window_: "0" });
    assert.equal(session.socket.readyState, WebSocket.OPEN);
    await second.done("window", 2);
    assert.equal((await session.closed)[0], 4001);
    assert.deepEqual(indexes(await second.take(2)), [1, 2]);
    await second.close();
    assert.deepEqual(indexes(await other.take(2)), [1, 2]);
    await other.close();
  });

  test("other tags than the group's are refused when the window opens", async () => {
    const queue = queueOf();
    const session = await Session.open(queue, { _window_: "1" });
    const differing = await Session.open(as(queue, "other"), { _window_: "0", color: "red" });
    const answer = await differing.ask("window", 1);
    assert.equal(answer.status, 400);
    assert.match(answer.text, /other tags/);
    assert.equal((await differing.ask("put", ["still good"])).status, 0);
    await Promise.all([session.close(), differing.close()]);
  });

  test("auto commit, and index only", async () => {
    const queue = queueOf();
    const session = await Session.open(queue, { _window_: "0", _auto_commit_: "true", _index_only_: "true" });
    await session.done("put", many(20));
    await sleep(100);
    assert.equal(session.frames.length, 0);
    await session.done("window", 1);
    const frames = await session.take(20);
    assert.ok(frames.every((frame) => frame.data.length === 0));
    await eventually("an empty queue", async () => (await queue.attributes())["stream.length"] === "0");
    await session.close();
  });
});

describe("what is wrong", () => {
  test("a request that makes no sense is refused, the others are carried out", async () => {
    const queue = queueOf();
    const session = await producer(queue);
    const unknown = bytes(1, Buffer.concat([Buffer.from([0x08, 1]), bytes(9, "?")]));
    const unreadable = bytes(1, Buffer.concat([Buffer.from([0x08, 2]), bytes(2, [0xff])]));
    const below = bytes(1, Buffer.concat([Buffer.from([0x08, 3]), bytes(3, bytes(1, [0x01]))]));
    const text = bytes(1, Buffer.concat([Buffer.from([0x08, 4]), bytes(4, bytes(3, [0xff]))]));
    const withUnknownField = bytes(
      1,
      Buffer.concat([Buffer.from([0x08, 5]), bytes(2, bytes(1, bytes(3, "x"))), bytes(15, "new")]),
    );
    const commits = bytes(1, Buffer.concat([Buffer.from([0x08, 6]), bytes(3, bytes(1, Buffer.alloc(10_001, 2)))]));
    session.send(unknown, unreadable, below, text, withUnknownField, commits, bytes(7, "a newer kind of list"));
    for (const [id, status] of [
      [1, 400],
      [2, 400],
      [3, 400],
      [4, 400],
      [5, 0],
      [6, 413],
    ]) {
      const answer = await session.answer(id);
      assert.equal(answer.status, status, `${id}: ${answer.text}`);
    }
    assert.equal((await queue.attributes())["stream.length"], "1");
    await session.close();
  });

  test("bytes that are not a message end the session, and its leases", async () => {
    const queue = queueOf();
    for (const [message, code] of [
      [Buffer.from([0xff]), 1002],
      [Buffer.from([0x0a, 5, 1]), 1002],
      [bytes(1, "").toString() + "text", 1003],
      [Buffer.alloc(4 << 20).fill(Buffer.from([0x0a, 0])), 1002],
    ]) {
      const session = await Session.open(queue, { _window_: "1" });
      await session.done("put", ["x"]);
      const [frame] = await session.take(1);
      session.socket.send(message);
      const [seen, reason] = await session.closed;
      assert.equal(seen, code);
      assert.match(reason, /message/);
      const next = await Session.open(as(queue, "next"), { _window_: "1" });
      assert.deepEqual(indexes(await next.take(1)), [frame.index]);
      await next.done("commit", [frame.index]);
      await next.close();
    }
  });

  test("a flood without waiting is stored or refused, never lost", async () => {
    const queue = queueOf();
    const session = await producer(queue);
    const ids = Array.from({ length: 80 }, () => session.id());
    const body = Buffer.alloc(1 << 20, 1);
    for (const id of ids) session.send(request.put(id, [body]));
    const answers = await Promise.all(ids.map((id) => session.answer(id)));
    const stored = answers.filter((answer) => answer.status === 0).length;
    assert.ok(answers.every((answer) => answer.status === 0 || answer.status === 429));
    assert.equal((await queue.attributes())["stream.length"], String(stored));
    await session.close();
  });
});

describe("sleep", () => {
  test("sessions outlive the object's memory: leases, window, mode and what they do next", async () => {
    const queue = queueOf();
    const consumer = await Session.open(queue, { _window_: "2" });
    const put = await producer(as(queue, "producer"));
    const late = await Session.open(as(queue, "late", "second"), { _window_: "0", _index_: "-1" });
    await put.done("put", many(4));
    await consumer.take(2);
    await consumer.done("window", 3);
    await consumer.take(1);
    await sleep(11_500);
    assert.equal((await put.done("put", ["after"])).first, 5);
    await consumer.done("commit", [1, 2, 3]);
    assert.deepEqual(indexes(await consumer.take(2)), [4, 5], "nothing twice");
    await late.done("window", 5);
    assert.equal((await late.done("put", ["new"])).first, 6);
    assert.deepEqual(indexes(await late.take(1)), [6], "new entries only, counted from its first window");
    await Promise.all([consumer.close(), put.close(), late.close()]);
  });

  test("ping is answered, and counts as a heartbeat", async () => {
    const queue = queueOf();
    assert.equal(
      (await queue.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ max_silence: "2s" }) })).status,
      200,
    );
    const alive = await Session.open(queue, { _window_: "1" });
    const silent = await Session.open(as(queue, "silent"), { _window_: "1" });
    await alive.done("put", many(2));
    await alive.take(1);
    await silent.take(1);
    const pings = setInterval(() => alive.socket.send("ping"), 500);
    try {
      assert.equal((await silent.closed)[0], 4002);
      await sleep(3_000);
      assert.equal(alive.socket.readyState, WebSocket.OPEN);
      assert.equal(await alive.text(), "pong");
    } finally {
      clearInterval(pings);
    }
    assert.equal((await alive.closed)[0], 4002);
  });
});
