// What inference costs while there is something to infer, and that it costs nothing while there is not.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, eventually, fresh } from "./client.mjs";
import { predictor } from "./predictor.mjs";
import { start } from "./service.mjs";
import { sleep } from "../../tools/lib.mjs";

/** An object without work loses its memory after ten seconds. */
const SLEEP_MS = 12_000;
/** After so long the alarm rings that is set while something is under way. */
const WATCHDOG_MS = 30_000;

let service;
let model;
before(async () => {
  model = await predictor(async (request) =>
    request.text === "slow" ? { body: "at last", after_ms: 14_000 } : `result of ${request.text}`,
  );
  service = await start({
    direct: true,
    faults: true,
    vars: { EDGEQUEUE_ALLOW_LOOPBACK: "allow", EDGEQUEUE_PREDICTOR: model.url },
  });
});
after(async () => {
  await service?.stop();
  await model?.stop();
});

const sinkOf = (queue) => new Client(service, `${queue.path.slice("/api/predict/".length)}/sink`);

test("requests that come one after the other: rows of the input queue and of the sink", async () => {
  const input = fresh(service);
  const sink = sinkOf(input);
  await input.put("first", { requestId: "first" });
  await eventually("it is done", async () => (await input.length()) === 0);
  const COUNT = 50;
  const before = [await input.measured(), await sink.measured()];
  const began = Date.now();
  for (let i = 0; i < COUNT; i++) {
    await input.put(`${i}`, { requestId: `r${i}` });
    await eventually("it is done", async () => (await input.length()) === 0);
  }
  const after = [await input.measured(), await sink.measured()];
  const rows = after.map((measured, i) => (measured.rows_written - before[i].rows_written) / COUNT);
  const alarms = after[0].alarms_set - before[0].alarms_set;
  console.log(`rows per request: input ${rows[0]}, sink ${rows[1]}; alarms: ${alarms}`);
  assert.ok(rows[0] <= 2.1, `input: ${rows[0]} rows per request`);
  assert.ok(rows[1] <= 2.1, `sink: ${rows[1]} rows per request`);
  assert.ok(alarms <= Math.ceil((Date.now() - began) / WATCHDOG_MS), `${alarms} alarms`);
});

test("a thousand requests at a time: rows", async () => {
  const input = fresh(service);
  const sink = sinkOf(input);
  await input.set({ worker_threads: 100 });
  const body = Array.from({ length: 1000 }, (_, i) => `${i}`).join("\n");
  const before = [await input.measured(), await sink.measured()];
  assert.equal(
    (await input.ask("POST", { _batch_: "true" }, { body, headers: { "Content-Type": "text/plain" } })).status,
    200,
  );
  await eventually("all are done", async () => (await input.length()) === 0 && (await sink.length()) === 1000, 60_000);
  const after = [await input.measured(), await sink.measured()];
  const rows = after.map((measured, i) => (measured.rows_written - before[i].rows_written) / 1000);
  console.log(`rows per request of a thousand: input ${rows[0]}, sink ${rows[1]}`);
  assert.ok(rows[0] < 1 && rows[1] < 2, `${rows}`);
});

test("the object sleeps when nothing is left to infer, and is woken at most once", async () => {
  const input = fresh(service);
  for (let i = 0; i < 10; i++) await input.put(`${i}`);
  await eventually("all are done", async () => (await input.length()) === 0);
  const began = Date.now();
  assert.ok((await input.measured()).rows_written > 0);
  await sleep(SLEEP_MS);
  // The counters are memory of the object: that they began anew proves the sleep.
  assert.equal((await input.measured()).rows_written, 0, "it kept its memory");
  const calls = model.requests.length;
  await sleep(Math.max(0, began + WATCHDOG_MS + 1_000 - Date.now()));
  const { rows_written, alarms_set } = await input.measured();
  assert.deepEqual([rows_written, alarms_set], [0, 0], "the alarm found nothing to do and was not set again");
  await sleep(SLEEP_MS);
  await input.put("again", { requestId: "again" });
  const [result] = await sinkOf(input).get({ requestId: "again", _timeout_: "5s" });
  assert.equal(result.data.toString(), "result of again", "and it goes on after the sleep");
  assert.equal(model.requests.length, calls + 1);
});

test("a call that takes longer than an idle object keeps its memory is not repeated", async () => {
  const input = fresh(service);
  await input.put("slow", { requestId: "slow" });
  const [result] = await sinkOf(input).get({ requestId: "slow", _timeout_: "20s" });
  assert.ok(result, "no result");
  assert.equal(result.data.toString(), "at last");
  assert.equal(model.requests.filter((request) => request.text === "slow").length, 1);
});
