// A queue with a very large backlog beside an empty one, in the same run: opening, reading, putting and memory must not
// know the difference. `npm test -- deep`; EDGEQUEUE_LARGE sets the number of entries.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fresh } from "./client.mjs";
import { start } from "./service.mjs";

const ENTRIES = Number(process.env.EDGEQUEUE_LARGE ?? 1_000_000);
const BATCH = 10_000;
const ROUNDS = 200;
/** The large queue may be this much slower; anything that grew with the backlog would be slower by orders of magnitude. */
const SLOWER_MAX = 2;
const SLOWER_MS = 3;
/** Room for the segment cache and for allocator slack, the same whatever the backlog. */
const MEMORY_MORE_MAX = 48 << 20;

let service;
const queues = {};
before(async () => {
  service = await start({ direct: true, vars: { EDGEQUEUE_FAULTS: "allow" } });
  queues.empty = fresh(service, { group: "g", user: "u" });
  queues.large = fresh(service, { group: "g", user: "u" });
  await queues.empty.put("first");
});
after(() => service?.stop());

async function fill(queue) {
  const line = (i) => `{"n":${i}}\n`;
  for (let put = 0; put < ENTRIES; put += BATCH) {
    const count = Math.min(BATCH, ENTRIES - put);
    const body = Array.from({ length: count }, (_, i) => line(put + i)).join("");
    const answer = await queue.ask("POST", { _batch_: "true" }, { body, headers: { "Content-Type": "text/plain" }, patience_ms: 60_000 });
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
  console.log(`large: ${what}: ${empty.toFixed(2)} ${unit} empty, ${large.toFixed(2)} ${unit} with ${ENTRIES} entries`);
}

test(`${ENTRIES} entries go in`, { timeout: 1_800_000 }, async () => {
  const began = performance.now();
  await fill(queues.large);
  console.log(`large: filled in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const attributes = await queues.large.attributes();
  assert.equal(attributes["stream.length"], String(ENTRIES));
  assert.deepEqual([attributes["stream.firstEntry"], attributes["stream.lastEntry"]], ["1", String(ENTRIES)]);
});

test("it opens as fast as an empty one", { timeout: 120_000 }, async () => {
  const opened = { empty: [], large: [] };
  for (let round = 0; round < 3; round++) {
    await service.restart();
    await fresh(service).attributes(); // wakes the instance itself
    for (const name of round % 2 ? ["large", "empty"] : ["empty", "large"]) {
      const began = performance.now();
      await queues[name].attributes();
      opened[name].push(performance.now() - began);
    }
  }
  const [empty, large] = [Math.min(...opened.empty), Math.min(...opened.large)];
  compare("open", empty, large);
  assert.ok(large < empty * SLOWER_MAX + 20, `${large} ms against ${empty} ms`);
  const rows = (await queues.large.measured()).rows_read;
  const rowsEmpty = (await queues.empty.measured()).rows_read;
  assert.ok(rows <= rowsEmpty + 5, `${rows} rows read against ${rowsEmpty}`);
});

const OPERATIONS = {
  attributes: (queue) => queue.attributes(),
  put: (queue) => queue.put("one more"),
  "get the newest": (queue) => queue.get({ _index_: "-1" }),
  "get by request id that is not there": (queue) => queue.get({ requestId: "00000000-0000-8000-8000-00000000ffff" }),
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
