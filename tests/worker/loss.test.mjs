// 2,000 requests to a predictor that fails, and SIGKILL in the middle: every request ends exactly once.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Client, eventually } from "./client.mjs";
import { predictor } from "./predictor.mjs";
import { start } from "./service.mjs";

const COUNT = 2000;
/** Requests that fail whenever they are tried: their end is the rear queue. */
const isDoomed = (i) => i % 100 === 50;

let service;
let model;
after(async () => {
  await service?.stop();
  await model?.stop();
});

test("2,000 requests, 5 % of calls fail, kill -9: 2,000 results or dead letters, none twice", async () => {
  let calls = 0;
  model = await predictor((request) => {
    if (isDoomed(Number(request.text)) || ++calls % 20 === 0) return { status: 500, body: "by chance" };
    return { body: `result of ${request.text}`, after_ms: 20 };
  });
  service = await start({
    vars: {
      EDGEQUEUE_ALLOW_LOOPBACK: "allow",
      EDGEQUEUE_PREDICTOR: model.url,
      EDGEQUEUE_WORKER_THREADS: "20",
      EDGEQUEUE_RETRY_DELAY: "100ms",
    },
  });
  const [input, sink, rear] = [
    new Client(service, "loss"),
    new Client(service, "loss/sink"),
    new Client(service, "loss", { rear: true }),
  ];
  const ids = Array.from({ length: COUNT }, (_, i) => `request-${i}`);
  for (let from = 0; from < COUNT; from += 500) {
    const entries = ids.slice(from, from + 500).map((requestId, i) => ({ text: `${from + i}`, tags: { requestId } }));
    const answer = await input.ask(
      "POST",
      { _batch_: "true" },
      { body: JSON.stringify(entries), headers: { "Content-Type": "application/json" } },
    );
    assert.equal(answer.status, 200, answer.text);
  }
  for (const share of [0.25, 0.6]) {
    await eventually("some are done", async () => (await sink.length()) > COUNT * share || sink.length(), 60_000);
    await service.kill9();
    await service.restart();
    // Whatever wakes the queue will do; the alarm would, within half a minute.
    assert.ok((await input.length()) > 0, "it was killed too late to prove anything");
  }
  await eventually("nothing is left in the queue", async () => (await input.length()) === 0 || input.length(), 120_000);

  const results = await sink.get({ _length_: "10000", _auto_delete_: "false" });
  const dead = await rear.get({ _length_: "10000", _auto_delete_: "false" });
  const byId = new Map(results.map((frame) => [frame.tags.requestId, frame]));
  assert.equal(results.length, byId.size, "a result is there twice");
  assert.deepEqual([...byId.keys()].sort(), [...ids].sort(), "a result is missing");
  assert.equal(new Set(dead.map((frame) => frame.tags.requestId)).size, dead.length, "a dead letter is there twice");
  for (const [i, id] of ids.entries()) {
    const { data, tags } = byId.get(id);
    if (isDoomed(i)) assert.equal(tags.lastCode, "500", id);
    else assert.equal(data.toString(), `result of ${i}`);
  }
  // A result that was stored when it died makes its request end there.
  assert.ok(
    dead.every((frame) => isDoomed(Number(frame.data.toString()))) && dead.length <= COUNT / 100,
    `${dead.length} dead letters`,
  );
  assert.ok(model.requests.length > COUNT, "nothing was ever called twice");
});
