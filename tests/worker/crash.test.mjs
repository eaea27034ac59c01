// SIGKILL in the middle of everything, then a restart with the same state.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, eventually, fresh } from "./client.mjs";
import { start } from "./service.mjs";

let service;
before(async () => {
  service = await start({ faults: true });
});
after(() => service?.stop());

/** All entries that are there. */
async function everything(queue) {
  const frames = [];
  for (let from = 0; ;) {
    const some = await queue.get({ _index_: String(from), _length_: "5000", _auto_delete_: "false" });
    if (some.length === 0) return frames;
    frames.push(...some);
    from = some.at(-1).index + 1;
  }
}

test("a quiet restart keeps entries, settings, groups, the numbers and the dead", async () => {
  const queue = fresh(service, { group: "g", user: "u" });
  const rear = new Client(service, queue.path.slice("/api/predict/".length), { group: "g", user: "u", rear: true });
  await queue.set({ max_delivery: 1, max_length: 50 });
  await queue.puts(4);
  const watcher = await queue.watch({ _window_: "3" });
  await watcher.frames(3);
  await queue.commit(2);
  await queue.reject(1, "Failed", "why");
  // As the service ends, its sockets may close before it does: a lost connection, which must not be anybody's last
  // attempt.
  await queue.set({ max_delivery: 5 });
  await service.restart();
  assert.equal((await queue.attributes())["queue.max_length"], "50");
  assert.deepEqual(
    (await everything(queue)).map((frame) => frame.index),
    [3, 4],
  );
  const [dead] = await everything(rear);
  assert.equal(dead.tags.lastCode, "Failed");
  assert.equal(await queue.put("next"), 5);
  const again = await queue.watch({ _window_: "9" });
  assert.deepEqual(await again.indexes(3), [3, 4, 5]);
  await queue.commit(3, 4, 5);
  assert.equal(await queue.length(), 0);
  await again.close();
  await service.restart();
  assert.equal(await queue.put("one more"), 6, "indexes are never used twice, not even after the queue was empty");
});

for (let round = 1; round <= 2; round++) {
  test(`kill -9 while several clients put, round ${round}: every acknowledged entry is there`, async () => {
    const queue = fresh(service);
    const acknowledged = new Map();
    let running = true;
    const client = async (id) => {
      for (let i = 0; running; i++) {
        const text = `${id}-${i}-${"x".repeat((i * 37) % 3000)}`;
        try {
          const answer = await queue.ask("POST", { _priority_: String(i % 3) }, { body: text });
          if (answer.status === 200) acknowledged.set(Number(answer.text), text);
        } catch {
          return; // it was cut off: not acknowledged
        }
      }
    };
    const clients = Array.from({ length: 8 }, (_, id) => client(id));
    // However fast this machine is now.
    await eventually("enough puts are acknowledged", () => acknowledged.size > 200 || acknowledged.size, 60_000);
    await service.kill9();
    running = false;
    await Promise.all(clients);
    await service.restart();
    const stored = new Map((await everything(queue)).map((frame) => [frame.index, frame.data.toString()]));
    for (const [index, text] of acknowledged) assert.equal(stored.get(index), text, `entry ${index}`);
    assert.ok(stored.size <= acknowledged.size + 8, "at most what was on its way when it died is there besides");
    assert.equal(await queue.length(), stored.size);
  });
}

test("kill -9 in the middle of a watch: committed entries do not come back, all others come", async () => {
  const queue = fresh(service, { group: "g", user: "u" });
  const COUNT = 600;
  for (let i = 0; i < COUNT; i += 30) await Promise.all(Array.from({ length: 30 }, (_, j) => queue.put(`${i + j}`)));
  const committed = new Set();
  const watcher = await queue.watch({ _window_: "20" });
  let dead = false;
  const consume = (async () => {
    for (;;) {
      const frame = await watcher.frame(5000);
      const answer = await queue.ask("PUT", { _indexes_: String(frame.index) });
      if (answer.status === 200) committed.add(frame.index);
      if (committed.size === 100) dead = service.kill9();
    }
  })().catch(() => {});
  await consume;
  assert.ok(dead && committed.size >= 100 && committed.size < COUNT, `${committed.size} commits`);
  await service.restart();
  const again = await queue.watch({ _window_: "1000" });
  const left = await queue.length();
  const seen = new Set(await again.indexes(left));
  await again.quiet();
  assert.equal(seen.size, left, "none twice");
  for (const index of committed) assert.ok(!seen.has(index), `${index} was committed`);
  for (let index = 1; index <= COUNT; index++)
    assert.ok(seen.has(index) || committed.has(index) || COUNT - left > committed.size, `${index} is lost`);
  assert.ok(COUNT - left - committed.size <= 1, "at most the commit on its way took effect without an answer");
  await again.close();
});
