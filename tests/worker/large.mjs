// A queue with a very large backlog beside an empty one, in the same run: opening, reading, putting and memory must not
// know the difference. `npm test -- deep`; EDGEQUEUE_LARGE sets the number of entries.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fresh } from "./client.mjs";
import { start } from "./service.mjs";

const ENTRIES = Number(process.env.EDGEQUEUE_LARGE ?? 1_000_000);
const BATCH = 10_000;
/** Batches in the queue that is neither empty nor large. */
const SEGMENTS = 5;
const ROUNDS = 200;
/**
 * The large queue may be this much slower; anything that grew with the backlog would be slower by orders of magnitude.
 */
const SLOWER_MAX = 2;
const SLOWER_MS = 3;
/** Room for the segment cache and for allocator slack, the same whatever the backlog. */
const MEMORY_MORE_MAX = 48 << 20;

let service;
const queues = {};
before(async () => {
  service = await start({ direct: true, faults: true });
  queues.empty = fresh(service, { group: "g", user: "u" });
  queues.large = fresh(service, { group: "g", user: "u" });
  queues.segments = fresh(service, { group: "g", user: "u" });
  await queues.empty.put("first");
  await fill(queues.segments, SEGMENTS * BATCH);
});
after(() => service?.stop());

async function fill(queue, entries) {
  const line = (i) => `{"n":${i}}\n`;
  for (let put = 0; put < entries; put += BATCH) {
    const count = Math.min(BATCH, entries - put);
    const body = Array.from({ length: count }, (_, i) => line(put + i)).join("");
    const answer = await queue.ask(
      "POST",
      { _batch_: "true" },
      { body, headers: { "Content-Type": "text/plain" }, patience_ms: 60_000 },
    );
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
  }
}

async function latencies(act) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    await act(round);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1];
}

function compare(what, empty, large, unit = "ms") {
  console.log(`large: ${what}: ${empty.toFixed(2)} ${unit}, ${large.toFixed(2)} ${unit} with ${ENTRIES} entries`);
}

test(`${ENTRIES} entries go in`, { timeout: 1_800_000 }, async () => {
  const began = performance.now();
  await fill(queues.large, ENTRIES);
  console.log(`large: filled in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const attributes = await queues.large.attributes();
  assert.equal(attributes["stream.length"], String(ENTRIES));
  assert.deepEqual([attributes["stream.firstEntry"], attributes["stream.lastEntry"]], ["1", String(ENTRIES)]);
});

/** The fastest first answer of each queue after a restart, and the rows it read. */
async function opening(names, act) {
  const fastest = {};
  const rows = {};
  for (let round = 0; round < 4; round++) {
    await service.restart();
    await fresh(service).attributes(); // wakes the instance itself
    for (const name of round % 2 ? names.toReversed() : names) {
      const began = performance.now();
      await act(queues[name]);
      fastest[name] = Math.min(fastest[name] ?? Infinity, performance.now() - began);
      rows[name] = (await queues[name].measured()).rows_read;
    }
  }
  return { fastest, rows };
}

// After a kill the database reads its write-ahead log again, up to some MB, whatever else it holds. So the backlog's
// price is what the large queue takes longer than one that has written a full log and holds a twentieth.
test("it opens as fast, and with the same rows read, as one that holds a twentieth", { timeout: 120_000 }, async () => {
  const { fastest, rows } = await opening(["empty", "segments", "large"], (queue) =>
    queue.ask("GET", { _count_: "true" }),
  );
  compare("open", fastest.empty, fastest.large);
  compare(`open, against ${SEGMENTS * BATCH} entries`, fastest.segments, fastest.large);
  assert.ok(
    fastest.large < fastest.segments * SLOWER_MAX + SLOWER_MS,
    `${fastest.large} ms against ${fastest.segments} ms`,
  );
  assert.ok(rows.large <= rows.empty && rows.large <= rows.segments, JSON.stringify(rows));
});

test("first attributes read its first and last segment, however many lie between", { timeout: 120_000 }, async () => {
  const { fastest, rows } = await opening(["segments", "large"], (queue) => queue.attributes());
  compare(`open and read both ends, against ${SEGMENTS * BATCH} entries`, fastest.segments, fastest.large);
  assert.ok(
    fastest.large < fastest.segments * SLOWER_MAX + SLOWER_MS,
    `${fastest.large} ms against ${fastest.segments} ms`,
  );
  assert.ok(rows.large <= rows.segments, `${rows.large} rows read against ${rows.segments}`);
});

const OPERATIONS = {
  attributes: (queue) => queue.attributes(),
  put: (queue) => queue.put("one more"),
  "get the newest": (queue) => queue.get({ _index_: "-1" }),
  count: (queue) => queue.ask("GET", { _count_: "true" }),
};
for (const [what, act] of Object.entries(OPERATIONS)) {
  test(`${what} is as fast`, { timeout: 120_000 }, async () => {
    const empty = await latencies(() => act(queues.empty));
    const large = await latencies(() => act(queues.large));
    compare(what, empty, large);
    assert.ok(large < empty * SLOWER_MAX + SLOWER_MS, `${large} ms against ${empty} ms`);
  });
}

test(
  "a tag that nothing carries is looked for in every segment's marks: not free, but bounded",
  { timeout: 120_000 },
  async () => {
    const empty = await latencies(() => queues.empty.get({ nobody: "has this" }));
    const large = await latencies(() => queues.large.get({ nobody: "has this" }));
    compare("get by a tag that nothing carries", empty, large);
    assert.ok(large < empty + 5 + ENTRIES / 5_000, `${large} ms`);
  },
);

test("it is drained by a watcher, in order, once each, in bounded memory", { timeout: 1_800_000 }, async () => {
  const queue = queues.large;
  const length = await queue.length();
  const before = (await queues.empty.measured()).memory_bytes;
  const began = performance.now();
  const watcher = await queue.watch({ _window_: "1000" });
  let last = 0;
  let most = 0;
  const done = [];
  for (let seen = 1; seen <= length; seen++) {
    const { index } = await watcher.frame(60_000);
    assert.ok(index > last, `${index} after ${last}`);
    last = index;
    done.push(index);
    if (done.length === 500 || seen === length) {
      await queue.commit(...done.splice(0));
      if (seen % 100_000 === 0) most = Math.max(most, (await queue.measured()).memory_bytes);
    }
  }
  console.log(`large: drained in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  assert.equal(await queue.length(), 0);
  await watcher.quiet();
  const after = Math.max(most, (await queue.measured()).memory_bytes);
  compare("wasm memory", before / 1e6, after / 1e6, "MB");
  assert.ok(after < before + MEMORY_MORE_MAX);
  await watcher.close();
});
