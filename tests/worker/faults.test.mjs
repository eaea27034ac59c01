// Panic, trap and storage failure on the real runtime: the request that meets one fails, everything else goes on.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, eventually, fresh } from "./client.mjs";
import { start } from "./service.mjs";
import { sleep } from "../../tools/lib.mjs";

let service;
before(async () => {
  service = await start({ faults: true });
});
after(() => service?.stop());

const name = (queue) => queue.path.slice("/api/predict/".length);
const FAULTS = { panic: 500, trap: 500, storage: 503 };

for (const [fault, status] of Object.entries(FAULTS)) {
  describe(fault, () => {
    test("fails that request only; nothing acknowledged is lost, nothing that failed is stored", async () => {
      const queue = fresh(service);
      for (let round = 1; round <= 3; round++) {
        await queue.put(`${round}`);
        const answer = await queue.fault(fault, "POST", {}, "failed");
        assert.equal(answer.status, status);
        assert.match(
          answer.text,
          status === 503
            ? /^the request failed and nothing of it was kept: /
            : /^The service met an internal error\. What was acknowledged is stored;/,
        );
        if (status === 503) assert.equal(answer.headers.get("Retry-After"), "1");
      }
      const texts = (await queue.get({ _length_: "9", _auto_delete_: "false" })).map((frame) => frame.data.toString());
      assert.deepEqual(texts, ["1", "2", "3"]);
      assert.equal(await queue.length(), 3);
      assert.deepEqual(
        (await queue.get({ _index_: "2" })).map((frame) => frame.data.toString()),
        ["2"],
      );
    });

    test("removals that failed did not happen", async () => {
      const queue = fresh(service);
      await queue.puts(3);
      assert.equal((await queue.fault(fault, "DELETE", { _index_: "4", _trunc_: "true" })).status, status);
      assert.equal((await queue.fault(fault, "GET", { _length_: "3" })).status, status);
      assert.equal((await queue.get({ _length_: "9" })).length, 3);
    });

    test("every request that came together with it gets an answer that is true", async () => {
      const queue = fresh(service);
      await queue.put("first");
      const put = async (i) => ({ i, status: (await queue.ask("POST", {}, { body: `p${i}` })).status });
      const puts = [];
      for (let i = 0; i < 40; i++)
        puts.push(
          i === 20 ? queue.fault(fault, "POST", {}, "failed").then(({ status }) => ({ i: -1, status })) : put(i),
        );
      const answers = await Promise.all(puts);
      assert.ok(
        answers.some((answer) => answer.status === status),
        "nobody met the fault",
      );
      for (const answer of answers) assert.ok([200, status].includes(answer.status), `${answer.status}`);
      const stored = new Set((await queue.get({ _length_: "99" })).map((frame) => frame.data.toString()));
      for (const { i, status } of answers)
        if (i >= 0 && status === 200) assert.ok(stored.has(`p${i}`), `p${i} was acknowledged`);
      // A failure of the storage meets the next flush, which may be the one before its own.
      assert.equal(stored.has("failed"), answers.find(({ i }) => i === -1).status === 200);
      assert.ok(stored.has("first"));
    });

    test("gets that wait are answered, not forgotten", async () => {
      const queue = fresh(service);
      const waiting = queue.ask("GET", { _timeout_: "30s" });
      await eventually("the get waits", async () => (await queue.attributes())["stream.waitingGets"] === "1");
      await queue.fault(fault, "POST", { other: "1" }, "x");
      assert.equal((await waiting).status, status);
    });

    test("watchers of this and of other objects keep their connections and leases", async () => {
      const [queue, bystander] = [fresh(service, { group: "g", user: "u" }), fresh(service, { group: "g", user: "u" })];
      const watchers = [];
      for (const each of [queue, bystander]) {
        await each.puts(3);
        const watcher = await each.watch({ _window_: "2" });
        await watcher.frames(2);
        watchers.push(watcher);
      }
      assert.equal((await queue.fault(fault, "PUT", { _indexes_: "1" })).status, status);
      for (const [i, each] of [queue, bystander].entries()) {
        await watchers[i].quiet(200);
        const line = (await each.attributes())["consumers.list.[0]"];
        assert.match(line, /Pending: 2, Status: Running,.* Slots: 0,/);
        await each.commit(1);
        assert.equal((await watchers[i].frame()).index, 3, "and it is not sent twice");
        await watchers[i].quiet(100);
        await each.commit(2, 3);
        assert.equal(await each.length(), 0);
        await watchers[i].close();
      }
    });

    test("a watch that comes with it is either there or refused, and can be asked for again", async () => {
      const queue = fresh(service, { group: "g", user: "u" });
      await queue.puts(2);
      const [watch] = await Promise.allSettled([queue.watch(), queue.fault(fault, "POST", {}, "x")]);
      if (watch.status === "rejected") assert.equal(watch.reason.status, status);
      const watcher = await queue.watch();
      assert.deepEqual(await watcher.indexes(2), [1, 2]);
      await watcher.close();
    });

    test("an endless body ends or goes on, and never just falls silent", async () => {
      const queue = fresh(service, { group: "g", user: "u" });
      await queue.put("x");
      const stream = await queue.stream();
      await stream.frame();
      await queue.fault(fault, "POST", {}, "x");
      const next = queue.put("after");
      assert.notEqual(
        await Promise.race([stream.ended, stream.frame().then(() => "went on"), sleep(5000).then(() => "silent")]),
        "silent",
      );
      await next;
      const again = await queue.stream();
      assert.deepEqual(
        (await again.frames(2)).map((frame) => frame.index),
        [1, 2],
      );
      again.leave();
    });
  });
}

test("after a failed flush the queue comes back by itself: those who wait are served", async () => {
  const queue = fresh(service, { group: "g", user: "one" });
  await queue.puts(2);
  const one = await queue.watch({ _window_: "2" });
  await one.frames(2);
  const two = await new Client(service, name(queue), { group: "g", user: "two" }).watch();
  assert.equal((await queue.fault("storage", "PUT", { _indexes_: "1", _negative_: "true" }, "_code_=500")).status, 503);
  await two.quiet(1500);
  await queue.reject(1, "500", "");
  assert.equal((await two.frame()).index, 1);
  await Promise.all([one.close(), two.close()]);
});

test("the alarm comes again when its work failed", async () => {
  const queue = fresh(service, { group: "g", user: "slow" });
  await queue.set({ max_idle: "2s" });
  await queue.put("x");
  const slow = await queue.watch();
  await slow.frame();
  const other = await new Client(service, name(queue), { group: "g", user: "other" }).watch();
  // Armed, and met by whatever writes next: the alarm's turn, which takes the entry back.
  assert.equal((await queue.fault("storage", "GET", { _attrs_: "true" })).status, 200);
  assert.equal((await other.frame()).index, 1);
  await Promise.all([slow.close(), other.close()]);
});

test("a deployment that does not allow faults has none", async () => {
  const plain = await start();
  try {
    const queue = fresh(plain);
    for (const fault of Object.keys(FAULTS)) assert.equal((await queue.fault(fault, "POST", {}, "x")).status, 200);
    const answer = await queue.ask("GET", { _attrs_: "true" }, { headers: { "X-Edgequeue-Fault": "rows" } });
    assert.equal(JSON.parse(answer.text)["stream.length"], "3");
  } finally {
    await plain.stop();
  }
});

test("a deployment without the secret refuses everything, and says why", async () => {
  const closed = await start({ vars: { EDGEQUEUE_TOKEN: "" } });
  try {
    const queue = fresh(closed);
    for (const token of ["", "anything", undefined]) {
      queue.headers = token === undefined ? {} : { Authorization: token };
      for (const method of ["GET", "POST", "PUT", "DELETE"]) {
        const answer = await queue.ask(method);
        assert.equal(answer.status, 403);
        assert.match(answer.text, /EDGEQUEUE_TOKEN/);
      }
    }
    assert.deepEqual(closed.stateFiles(), []);
  } finally {
    await closed.stop();
  }
});
