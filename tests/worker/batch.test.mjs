// Batched puts in their three encodings, on the real worker.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, PROTOBUF, decodeList, fresh } from "./client.mjs";
import { start } from "./service.mjs";
import { bytes, encodeEntry } from "./session.mjs";

let service;
before(async () => {
  service = await start();
});
after(() => service?.stop());

const batch = (queue, type, body, params = {}, headers = {}) =>
  queue.ask("POST", { _batch_: "true", ...params }, { body, headers: { "Content-Type": type, ...headers } });
const list = (...entries) => Buffer.concat(entries.map((entry) => bytes(1, encodeEntry(entry))));
const all = (queue) => queue.get({ _length_: "100", _auto_delete_: "false" });

test("JSON: tags, bodies in base64 or as text, priorities; answered with indexes and request ids", async () => {
  const queue = fresh(service);
  const answer = await batch(
    queue,
    "application/json",
    JSON.stringify([
      { data: "aGk=", tags: { a: "1" } },
      { text: "grüß", tags: { requestId: "mine", all: "own" }, priority: 5 },
      {},
      { data: null, tags: null, index: 77, message: "" },
    ]),
    { all: "yes" },
  );
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get("content-type"), "application/json");
  const { indexes, requestIds } = JSON.parse(answer.text);
  assert.deepEqual(indexes, [1, 2, 3, 4]);
  assert.equal(requestIds[1], "mine");
  const frames = await all(queue);
  assert.deepEqual(
    frames.map((frame) => String(frame.data)),
    ["hi", "grüß", "", ""],
  );
  assert.deepEqual(
    frames.map((frame) => frame.tags.all),
    ["yes", "own", "yes", "yes"],
  );
  assert.deepEqual(
    frames.map((frame) => frame.tags.requestId),
    requestIds,
  );
  assert.equal(new Set(requestIds).size, 4);
  assert.ok(frames.every((frame) => Number(frame.tags["ts@source"]) > 1.7e12));
  assert.equal((await queue.ask("GET", { _count_: "true", _priority_: "5" })).text, "1");
  assert.equal((await queue.get({ requestId: requestIds[2] }))[0].index, 3, "an id that was made finds its entry");
});

test("protobuf, there and back; what was read can be put again", async () => {
  const queue = fresh(service);
  const answer = await batch(
    queue,
    PROTOBUF,
    list({ data: "one", tags: { a: "1" } }, Buffer.alloc(100_000, 7), { data: "three", priority: -2 }),
    { _priority_: "3" },
    { Accept: PROTOBUF },
  );
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get("content-type"), PROTOBUF);
  const receipts = decodeList(answer.bytes);
  assert.deepEqual(
    receipts.map((frame) => frame.index),
    [1, 2, 3],
  );
  const frames = await all(queue);
  assert.deepEqual(
    receipts.map((frame) => frame.tags.requestId),
    frames.map((frame) => frame.tags.requestId),
  );
  assert.equal(frames[1].data.length, 100_000);
  assert.equal((await queue.ask("GET", { _count_: "true", _priority_: "3" })).text, "2");
  assert.equal((await queue.ask("GET", { _count_: "true", _priority_: "-2" })).text, "1");
  const raw = await queue.ask("GET", { _length_: "3", _raw_: "false" }, { headers: { Accept: PROTOBUF } });
  const sink = new Client(service, `${queue.path.slice("/api/predict/".length)}/sink`);
  assert.equal((await batch(sink, PROTOBUF, raw.bytes)).status, 200);
  const passed = await all(sink);
  assert.deepEqual(
    passed.map((frame) => frame.tags.requestId),
    frames.map((frame) => frame.tags.requestId),
  );
  assert.ok(
    passed.every((frame) => frame.tags["ts@source"] && frame.tags["ts@sink"]),
    "the stamp of the input queue stays",
  );
});

test("lines: LF or CRLF, empty ones passed over, the last with or without an end", async () => {
  for (const type of ["text/plain; charset=utf-8", "application/x-ndjson"]) {
    const queue = fresh(service);
    const answer = await batch(queue, type, '{"a":1}\r\n\n two \nlast');
    assert.deepEqual(JSON.parse(answer.text).indexes, [1, 2, 3]);
    assert.deepEqual(
      (await all(queue)).map((frame) => String(frame.data)),
      ['{"a":1}', " two ", "last"],
    );
  }
});

test("all or nothing", async () => {
  const queue = fresh(service);
  assert.equal(
    (
      await queue.ask(
        "PUT",
        { _settings_: "true" },
        { body: JSON.stringify({ max_length: 3, max_payload_size_kb: 1 }) },
      )
    ).status,
    200,
  );
  assert.equal((await batch(queue, "text/plain", "1\n2\n3\n4")).status, 429);
  assert.equal((await batch(queue, "text/plain", `1\n${"x".repeat(1025)}`)).status, 413);
  assert.equal((await batch(queue, "application/json", '[{"text":"fine"},{"data":"?"}]')).status, 400);
  assert.equal((await queue.attributes())["stream.length"], "0");
  assert.deepEqual(JSON.parse((await batch(queue, "text/plain", "1\n2\n3")).text).indexes, [1, 2, 3]);
});

test("what makes no sense is refused with a sentence", async () => {
  const queue = fresh(service);
  for (const [type, body, status, says] of /** @type {any[][]} */ ([
    ["application/x-www-form-urlencoded", "a=b", 400, /Content-Type of a batch must be/],
    ["text/plain", "\n\n", 400, /no entry/],
    ["application/json", "[]", 400, /no entry/],
    ["application/json", "{}", 400, /list of entries/],
    ["application/json", '[{"body":1}]', 400, /unknown field "body"/],
    ["application/json", '[{"data":"aGk=","text":"hi"}]', 400, /either data/],
    ["application/json", '[{"tags":{"_index_":"1"}}]', 400, /reserved/],
    [PROTOBUF, Buffer.from([0xff]), 400, /DataFrameListProto/],
    [PROTOBUF, Buffer.from([0x0a, 1, 0xff]), 400, /DataFrameProto/],
    [
      PROTOBUF,
      list({ data: "x", tags: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`t${i}`, ""])) }),
      400,
      /more than 32 tags/,
    ],
    ["text/plain", "x\n".repeat(10_001), 413, /10000/],
    ["application/json", `[${Array(10_001).fill("{}")}]`, 413, /10000/],
    [PROTOBUF, Buffer.alloc(2 * 10_001).fill(Buffer.from([0x0a, 0])), 413, /10000/],
    [PROTOBUF, Buffer.alloc(16 * 1024 * 1024).fill(Buffer.from([0x0a, 0])), 413, /10000/],
    ["text/plain", Buffer.alloc(16 * 1024 * 1024 + 1, 10), 413, /larger/],
  ])) {
    const answer = await batch(queue, type, body);
    assert.equal(answer.status, status, `${type} ${String(body).slice(0, 40)}: ${answer.status} ${answer.text}`);
    assert.match(answer.text, says);
  }
  assert.equal((await queue.ask("GET", { _batch_: "true" })).status, 405);
  assert.equal((await queue.attributes())["stream.length"], "0");
});

test("10,000 entries and 16 MiB in one call", async () => {
  const many = fresh(service);
  const answer = await batch(many, "text/plain", Array.from({ length: 10_000 }, (_, i) => `line ${i}`).join("\n"));
  assert.equal(JSON.parse(answer.text).indexes.at(-1), 10_000);
  const large = fresh(service);
  const bodies = list(...Array.from({ length: 15 }, (_, i) => Buffer.alloc(1_048_576, i)));
  assert.equal((await batch(large, PROTOBUF, bodies)).status, 200);
  const [last] = await large.get({ _index_: "15" });
  assert.ok(last.data.equals(Buffer.alloc(1_048_576, 14)));
});
