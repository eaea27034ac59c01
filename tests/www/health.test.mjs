// What the page says of a queue: the word, and the numbers in the reason.
import assert from "node:assert/strict";
import { test } from "node:test";
import { health } from "../../www/model/health.js";

const NOW = 1_700_000_000_000;
const CALM = {
  waiting: 0,
  inFlight: 0,
  consumers: 0,
  places: 0,
  consumerlessMs: null,
  in: 0,
  out: 0,
  dead: 0,
  failed: null,
  oldestMs: null,
  fullness: 0,
  sinkFullness: 0,
  room: 1e8,
  ended: false,
  waitP95Ms: null,
  waitIsRough: true,
};
/** A sample each second up to now; `at(seconds)` gives the sample of that many seconds ago. */
const past = (seconds, at) =>
  Array.from({ length: seconds + 1 }, (_, step) => ({
    ...CALM,
    ...at(seconds - step),
    at: NOW - (seconds - step) * 1000,
  }));
const now = (samples, trouble) => health(NOW, samples, trouble);

test("nothing is known before the first answer", () => {
  assert.equal(now([]).name, "unknown");
  assert.equal(now([]).reason, "asking the service");
});

test("an empty queue is idle, and says whether somebody would take an entry", () => {
  assert.deepEqual(now(past(20, () => ({}))), {
    name: "idle",
    reason: "nothing waits, no consumer connected",
    advice: "",
  });
  assert.equal(now(past(20, () => ({ consumers: 2, places: 10 }))).reason, "nothing waits, 2 consumers ready");
  assert.equal(now(past(90, () => ({ dead: 3 }))).reason, "nothing waits, no consumer connected; 3 old dead letters");
});

test("entries without a consumer: filling at first, stuck after ten seconds, with the time the page has seen", () => {
  const waiting = (seconds) => now(past(60, (ago) => (ago <= seconds ? { waiting: 12 } : {})));
  assert.deepEqual(waiting(4), { name: "filling", reason: "12 waiting, no consumer for 4 s", advice: "" });
  assert.equal(waiting(40).name, "stuck");
  assert.equal(waiting(40).reason, "12 waiting, no consumer for 40 s");
  assert.match(waiting(40).advice, /Start a consumer/);
});

test("the service knows longer than the page when the last consumer left", () => {
  const { name, reason } = now(past(3, () => ({ waiting: 1_200, consumerlessMs: 125_000 })));
  assert.equal(name, "stuck");
  assert.equal(reason, "1,200 waiting, no consumer for 2 min 5 s");
});

test("without a consumer that the service remembers, the age of the first entry tells how long nobody came", () => {
  assert.equal(now(past(3, () => ({ waiting: 12, oldestMs: 10_800_000 }))).reason, "12 waiting, no consumer for 3 h");
  assert.equal(
    now(past(3, () => ({ waiting: 12, oldestMs: 10_800_000, consumerlessMs: 40_000 }))).reason,
    "12 waiting, no consumer for 40 s",
  );
});

test("what is given up and dropped is failing too", () => {
  const { name, reason, advice } = now(past(60, (ago) => ({ in: 1, out: 1, failed: ago > 10 ? 20 : 23 })));
  assert.deepEqual(
    [name, reason, advice],
    ["failing", "3 requests failed for good in the last 1 min; 0 dead letters", "The queue is set to drop what fails."],
  );
});

test("a queue that is read by gets has no consumers and is healthy while it moves", () => {
  assert.equal(now(past(20, () => ({ waiting: 3, in: 1, out: 1 }))).name, "healthy");
});

test("a healthy queue says its rates, what is under way and how long results take", () => {
  const found = now(
    past(60, () => ({
      waiting: 3,
      inFlight: 5,
      consumers: 2,
      places: 10,
      in: 5.2,
      out: 5.1,
      waitP95Ms: 220,
      waitIsRough: false,
    })),
  );
  assert.deepEqual(found, {
    name: "healthy",
    reason: "5.2/s in, 5.1/s out, 3 waiting, 5 in flight at 2 consumers, 95 % of results within 220 ms",
    advice: "",
  });
  const rough = now(past(60, () => ({ inFlight: 1, consumers: 1, in: 1, out: 1, waitP95Ms: 1240, waitIsRough: true })));
  assert.match(rough.reason, /results within about 1\.24 s$/);
});

test("consumers that finish nothing are stuck after thirty seconds, not before", () => {
  const held = (seconds) =>
    now(past(120, (ago) => ({ waiting: 7, inFlight: 5, consumers: 1, places: 5, out: ago <= seconds ? 0 : 2 })));
  assert.equal(held(20).name, "healthy");
  assert.equal(held(45).name, "stuck");
  assert.equal(held(45).reason, "7 waiting, nothing finished for 45 s; 5 of 5 places taken at 1 consumer");
});

test("a backlog that grows is filling, with the speed and when it will be full", () => {
  const found = now(
    past(60, (ago) => ({ waiting: 1000 - ago * 10, consumers: 1, inFlight: 5, in: 15, out: 5, room: 36_000 })),
  );
  assert.equal(found.name, "filling");
  assert.equal(found.reason, "1,000 waiting, 10 more each second");
  assert.equal(found.advice, "Full in about 1 h.");
});

test("a backlog that shrinks or hardly grows is healthy", () => {
  assert.equal(now(past(60, (ago) => ({ waiting: 400 + ago * 10, consumers: 1, in: 5, out: 15 }))).name, "healthy");
  assert.equal(now(past(60, (ago) => ({ waiting: ago > 30 ? 3 : 5, consumers: 1, in: 5, out: 5 }))).name, "healthy");
});

test("new dead letters are failing for a minute, with the code; old ones are not", () => {
  const died = (seconds) =>
    now(past(200, (ago) => ({ in: 1, out: 1, consumers: 1, dead: ago <= seconds ? 7 : 4, lastCode: "OOM" })));
  assert.equal(died(10).name, "failing");
  assert.equal(died(10).reason, "3 requests failed for good in the last 1 min (OOM); 7 dead letters");
  assert.equal(died(90).name, "healthy");
});

test("dead letters that were replayed are no failure", () => {
  assert.equal(now(past(30, (ago) => ({ in: 1, out: 1, dead: ago > 10 ? 5 : 0 }))).name, "healthy");
});

test("full queues", () => {
  assert.equal(
    now(past(9, () => ({ waiting: 100, fullness: 1, consumers: 1, out: 1 }))).reason,
    "the queue is full with 100 entries; puts are refused",
  );
  assert.equal(now(past(9, () => ({ sinkFullness: 1, consumers: 1, out: 1 }))).name, "stuck");
  const nearly = now(past(9, () => ({ sinkFullness: 0.93, consumers: 1, out: 1, in: 1 })));
  assert.deepEqual([nearly.name, nearly.reason], ["filling", "the sink is 93 % full"]);
});

test("an ended stream says what is left", () => {
  assert.equal(
    now(past(9, () => ({ ended: true, waiting: 2, inFlight: 1 }))).reason,
    "the stream was ended; 3 entries left to deliver",
  );
  assert.equal(now(past(9, () => ({ ended: true }))).name, "ended");
});

test("silence is told before everything else that was known", () => {
  const old = past(9, () => ({ dead: 3, in: 1 })).map((sample) => ({ ...sample, at: sample.at - 20_000 }));
  const found = now(old, "the service does not answer");
  assert.deepEqual(found, {
    name: "unknown",
    reason: "no answer from the service for 20 s",
    advice: "the service does not answer",
  });
});
