// An object that sleeps leaves nothing behind in the instance's memory, which never shrinks.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fresh } from "./client.mjs";
import { start } from "./service.mjs";
import { sleep } from "../../tools/lib.mjs";

/** An object without work loses its memory after ten seconds. */
const SLEEP_MS = 10_500;
const ROUNDS = 20;
const OTHERS = 50;
const MIB = 1024 * 1024;
/** Entries of nearly a mebibyte that wait in the queue. An object that is not freed leaves all of them behind. */
const BACKLOG = 2;
const GROWTH_BYTES_MAX = 8 * MIB;

let service;
before(async () => {
  service = await start({ direct: true, faults: true });
});
after(() => service?.stop());

/** Reads what waits in a queue, without removing it: then the store keeps it in memory. */
async function load(queue) {
  assert.equal((await queue.get({ _length_: "9", _auto_delete_: "false" })).length, BACKLOG);
}

test(`one queue that sleeps ${ROUNDS} times beside ${OTHERS} that sleep once`, { timeout: 400_000 }, async () => {
  const queue = fresh(service);
  const others = Array.from({ length: OTHERS }, () => fresh(service));
  for (const other of others) await other.put("once");
  for (let i = 0; i < BACKLOG; i++) await queue.put(Buffer.alloc(MIB - 1024, "x"));
  await load(queue);
  const first = await queue.measured();
  const sizes = [];
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(SLEEP_MS);
    // Each wakes up once.
    if (round === 0) for (const other of others) assert.equal((await other.get({ _length_: "9" })).length, 1);
    await load(queue);
    const { rows_written: rows, memory_bytes: bytes } = await queue.measured();
    assert.ok(rows < first.rows_written, `round ${round}: the object did not sleep (${rows} rows written since)`);
    sizes.push(bytes);
  }
  const mib = (bytes) => (bytes / MIB).toFixed(1);
  console.log(`wasm memory: ${mib(first.memory_bytes)} MiB, then ${sizes.map(mib).join(", ")}`);
  const growth = sizes[ROUNDS - 1] - sizes[1];
  assert.ok(growth <= GROWTH_BYTES_MAX, `${ROUNDS - 2} sleeps cost ${mib(growth)} MiB that are never given back`);
});
