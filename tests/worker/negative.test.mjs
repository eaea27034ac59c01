// Negative commits and dead letters, by watchers on the real worker.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, eventually, fresh } from "./client.mjs";
import { start } from "./service.mjs";

let service;
before(async () => {
  service = await start({ faults: true });
});
after(() => service?.stop());

const name = (queue) => queue.path.slice("/api/predict/".length);
/** The same queue as another consumer. */
const as = (queue, group, user, options = {}) => new Client(service, name(queue), { group, user, ...options });
const queueOf = (group = "g", user = "u") => fresh(service, { group, user });

describe("negative commit and dead letters", () => {
  test("frees the slot, goes to another consumer first, and tells code and reason", async () => {
    const queue = queueOf("g", "one");
    await queue.puts(2);
    const one = await queue.watch({ _window_: "1" });
    assert.equal((await one.frame()).index, 1);
    const other = as(queue, "g", "two");
    const two = await other.watch({ _window_: "2" });
    assert.equal((await two.frame()).index, 2);
    await queue.reject(1, "BadRequest.Body", "cannot read it");
    const back = await two.frame();
    assert.deepEqual([back.index, back.tags.lastCode, back.tags.lastReason], [1, "BadRequest.Body", "cannot read it"]);
    await queue.put("next");
    assert.equal((await one.frame()).index, 3, "its slot is free");
    await Promise.all([one.close(), two.close()]);
  });

  test("the only consumer gets it again", async () => {
    const queue = queueOf();
    await queue.put("x");
    const watcher = await queue.watch();
    await watcher.frame();
    await queue.reject(1, "500", "");
    const back = await watcher.frame();
    assert.deepEqual([back.index, back.tags.lastCode], [1, "500"]);
    await watcher.close();
  });

  test("Shutdown: nothing more until it connects again, and the delivery does not count", async () => {
    const queue = queueOf();
    await queue.set({ max_delivery: 2 });
    await queue.puts(2);
    for (let round = 0; round < 4; round++) {
      const watcher = await queue.watch({ _window_: "1" });
      assert.equal((await watcher.frame()).index, 1, `round ${round}`);
      await queue.reject(1, "Shutdown", "leaving");
      await watcher.quiet(100);
      await watcher.close();
    }
  });

  test("past max_delivery an entry moves to the rear queue, a full twin", async () => {
    const queue = queueOf();
    await queue.set({ max_delivery: 3 });
    await queue.put("poison", { task: "7" });
    const watcher = await queue.watch();
    for (let attempt = 1; attempt <= 3; attempt++) {
      assert.equal((await watcher.frame()).index, 1);
      await queue.reject(1, "Failed", `attempt ${attempt}`);
    }
    await watcher.quiet();
    assert.equal(await queue.length(), 0);
    const rear = as(queue, "g", "u", { rear: true });
    assert.equal((await rear.attributes())["meta.side"], "rear");
    assert.equal(await rear.length(), 1);
    const rearWatcher = await rear.watch();
    const dead = await rearWatcher.frame();
    assert.deepEqual(
      [dead.index, dead.data.toString(), dead.tags.task, dead.tags.lastCode, dead.tags.lastReason],
      [1, "poison", "7", "Failed", "attempt 3"],
    );
    await rear.commit(1);
    assert.equal(await rear.length(), 0);
    assert.equal(await rear.put("by hand"), 2);
    assert.equal((await rearWatcher.frame()).index, 2);
    assert.equal((await rear.ask("DELETE", { _index_: "3", _trunc_: "true" })).text, "OK");
    assert.equal(await rear.length(), 0);
    await Promise.all([watcher.close(), rearWatcher.close()]);
  });

  test("cut connections count as attempts too; policy Drop removes", async () => {
    const queue = queueOf();
    await queue.set({ max_delivery: 2, dead_message_policy: "Drop" });
    await queue.put("x");
    for (let attempt = 1; attempt <= 2; attempt++) {
      const watcher = await queue.watch();
      await watcher.frame();
      watcher.drop();
      await watcher.closed;
    }
    await eventually("it is gone", async () => (await queue.length()) === 0);
    assert.equal(await as(queue, "g", "u", { rear: true }).length(), 0);
  });
});
