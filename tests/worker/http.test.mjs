// The HTTP face: every line of the vendor's page, every parameter, every status code with its text.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, PROTOBUF, decodeAttributes, decodeList, eventually, fresh, within } from "./client.mjs";
import { start } from "./service.mjs";

let service;
before(async () => {
  service = await start({ faults: true });
});
after(() => service?.stop());

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

describe("the vendor's page", () => {
  test("put answers the index and nothing else, with a request id", async () => {
    const queue = fresh(service);
    const answer = await queue.ask(
      "POST",
      {},
      { body: "[{}]", headers: { "Content-Type": "application/x-www-form-urlencoded" } },
    );
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "1");
    assert.match(answer.headers.get("X-Eas-Queueservice-Request-Id"), UUID);
    assert.equal(answer.headers.get("Content-Type"), "text/plain; charset=utf-8");
  });

  test("a priority put goes on counting", async () => {
    const queue = fresh(service);
    assert.equal(await queue.put("[{}]"), 1);
    assert.equal(await queue.put("[{}]", { _priority_: "1" }), 2);
    assert.equal(await queue.put("[{}]", {}, { "X-EAS-QueueService-Priority": "1" }), 3);
  });

  test("get by index, by request id and with the defaults is the bare body", async () => {
    const queue = fresh(service);
    const put = await queue.ask(
      "POST",
      {},
      { body: "[{}]", headers: { "Content-Type": "application/x-www-form-urlencoded" } },
    );
    const id = put.headers.get("X-Eas-Queueservice-Request-Id");
    for (const params of [{ _index_: "1", _auto_delete_: "false" }, { requestId: id, _auto_delete_: "false" }, {}]) {
      const answer = await queue.ask("GET", params);
      assert.equal(answer.status, 200);
      assert.equal(answer.text, "[{}]");
      assert.equal(answer.headers.get("Content-Type"), "text/plain; charset=utf-8");
      assert.equal(answer.headers.get("X-Eas-Queueservice-Request-Id"), id);
    }
    const gone = await queue.ask("GET", { requestId: id });
    assert.equal(gone.status, 204);
    assert.equal(gone.text, "");
  });

  test("delete and truncate answer OK", async () => {
    const queue = fresh(service);
    await queue.puts(4);
    for (const params of [{ _index_: "1" }, { _indexes_: "2" }, { _index_: "4", _trunc_: "true" }, { _index_: "9" }]) {
      const answer = await queue.ask("DELETE", params);
      assert.deepEqual(
        [answer.status, answer.text, answer.headers.get("Content-Type")],
        [200, "OK", "text/plain; charset=utf-8"],
      );
    }
    assert.deepEqual(
      (await queue.get({ _length_: "9" })).map((frame) => frame.index),
      [4],
    );
  });

  test("attributes, as JSON and as protobuf", async () => {
    const queue = fresh(service);
    await queue.puts(3);
    const json = await queue.ask("GET", { _attrs_: "true" }, { headers: { Accept: "*/*" } });
    assert.equal(json.headers.get("Content-Type"), "application/json");
    const attributes = JSON.parse(json.text);
    for (const [key, value] of Object.entries({
      "meta.name": queue.path.replace("/api/predict/", ""),
      "meta.state": "Normal",
      "meta.backend": "edgequeue",
      "meta.header.user": "X-EAS-QueueService-Uid",
      "meta.header.group": "X-EAS-QueueService-Gid",
      "meta.header.priority": "X-EAS-QueueService-Priority",
      "meta.maxPayloadBytes": "1048576",
      "stream.maxPayloadBytes": "1048576",
      "stream.firstEntry": "1",
      "stream.lastEntry": "3",
      "stream.length": "3",
      "consumers.stats.total": "0",
      "consumers.status.total": "0",
    }))
      assert.equal(attributes[key], value, key);
    const bytes = (await queue.ask("GET", { _attrs_: "true" }, { headers: { Accept: PROTOBUF } })).bytes;
    // Time goes on between the two.
    assert.deepEqual({ ...decodeAttributes(bytes), "stream.oldestMs": attributes["stream.oldestMs"] }, attributes);
    await queue.ask("DELETE", { _index_: "4", _trunc_: "true" });
    const empty = await queue.attributes();
    assert.deepEqual([empty["stream.firstEntry"], empty["stream.lastEntry"], empty["stream.length"]], ["0", "0", "0"]);
  });

  test("the sink is another queue with its own numbers", async () => {
    const queue = fresh(service);
    const sink = new Client(service, queue.path.replace("/api/predict/", "") + "/sink");
    await queue.puts(2);
    assert.equal((await sink.ask("GET")).status, 204);
    assert.equal(await sink.put("result", { requestId: "abc", "ts@source": "5" }), 1);
    const [frame] = await sink.get();
    assert.equal(frame.tags.requestId, "abc");
    assert.equal(frame.tags["ts@source"], "5");
    assert.ok(Math.abs(Number(frame.tags["ts@sink"]) - Date.now()) < 60_000);
    assert.equal(await queue.length(), 2);
  });

  test("the bare paths are the queue named default", async () => {
    const bare = new Client(service, "default");
    bare.path = "/";
    await bare.put("at the root");
    assert.equal((await new Client(service, "default").get())[0].data.toString(), "at the root");
    bare.path = "/sink";
    await bare.put("in the sink");
    assert.equal((await new Client(service, "default/sink").get())[0].data.toString(), "in the sink");
  });

  test("a put with a sub-path keeps it, its query and its content type", async () => {
    const queue = fresh(service);
    const body = JSON.stringify({ prompt: 1 });
    assert.equal(
      (
        await queue.ask(
          "POST",
          { task_id: "t1" },
          { path: "/sdapi/v1/txt2img", body, headers: { "Content-Type": "application/json" } },
        )
      ).status,
      200,
    );
    const answer = await queue.ask("GET", { task_id: "t1", _auto_delete_: "false" });
    assert.deepEqual([answer.text, answer.headers.get("Content-Type")], [body, "application/json"]);
    const [frame] = await queue.get({ task_id: "t1" });
    assert.equal(frame.tags.Path, "/sdapi/v1/txt2img");
    assert.equal(frame.tags["Header:Content-Type"], "application/json");
    assert.equal(frame.tags.task_id, "t1");
  });
});

describe("get", () => {
  test("in all forms of encoding", async () => {
    const queue = fresh(service);
    await queue.put("hi", { requestId: "abc" });
    const keep = { _auto_delete_: "false" };
    const protobuf = { headers: { Accept: PROTOBUF } };
    const bare = await queue.ask("GET", { ...keep, _raw_: "true" }, protobuf);
    assert.equal(bare.text, "hi");
    for (const params of [{ ...keep }, { ...keep, _raw_: "false" }]) {
      const list = await queue.ask("GET", params, protobuf);
      assert.equal(list.headers.get("Content-Type"), PROTOBUF);
      const [frame] = decodeList(list.bytes);
      assert.deepEqual([frame.index, frame.data.toString(), frame.tags.requestId], [1, "hi", "abc"]);
    }
    for (const accept of ["*/*", "application/json", "application/x-flatbuffers"]) {
      const list = await queue.ask("GET", { ...keep, _raw_: "false" }, { headers: { Accept: accept } });
      assert.equal(list.headers.get("Content-Type"), "application/json");
      assert.match(list.text, /^\[\{"index":1,"tags":\{"requestId":"abc","ts@source":"\d+"\},"data":"aGk="\}\]\n$/);
    }
    await queue.put("two");
    const several = await queue.ask("GET", { ...keep, _length_: "5" });
    assert.deepEqual(
      JSON.parse(several.text).map((frame) => Buffer.from(frame.data, "base64").toString()),
      ["hi", "two"],
    );
  });

  test("by index, newest, length and any tags", async () => {
    const queue = fresh(service);
    for (let i = 1; i <= 6; i++) await queue.put(`${i}`, { colour: i % 2 ? "red" : "blue", size: `${i}` });
    const keep = { _auto_delete_: "false" };
    const indexes = async (params) => (await queue.get({ ...keep, ...params })).map((frame) => frame.index);
    assert.deepEqual(await indexes({ _index_: "3", _length_: "2" }), [3, 4]);
    assert.deepEqual(await indexes({ _index_: "-1" }), [6]);
    assert.deepEqual(await indexes({ _index_: "-1", colour: "red" }), [5]);
    assert.deepEqual(await indexes({ _length_: "9", colour: "red" }), [1, 3, 5]);
    assert.deepEqual(await indexes({ colour: "red", size: "2" }), []);
    assert.deepEqual(await indexes({ _index_: "7" }), []);
    assert.deepEqual(await indexes({ _index_: "2", colour: "red", size: "3" }), [3]);
    assert.equal(await queue.length(), 6, "nothing was removed");
    await queue.get({ _length_: "2" });
    assert.deepEqual(await indexes({ _length_: "9" }), [3, 4, 5, 6], "removed without _auto_delete_");
  });

  test("a body of any bytes comes back as it was", async () => {
    const queue = fresh(service);
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) % 256));
    await queue.put(bytes);
    await queue.put("");
    const first = await queue.ask("GET");
    assert.ok(first.bytes.equals(bytes));
    assert.equal(first.headers.get("Content-Type"), "application/octet-stream");
    const empty = await queue.ask("GET");
    assert.deepEqual([empty.status, empty.bytes.length], [200, 0], "an empty entry is not the same as none");
  });

  for (const [text, waits] of /** @type {[string, number][]} */ ([
    ["0", 0],
    ["0s", 0],
    ["300ms", 300],
    ["0.4s", 400],
    ["1s", 900],
    ["1", 900],
    ["0m1s", 900],
    ["1.2s", 1100],
  ])) {
    test(`_timeout_=${text} waits ${waits} ms`, async () => {
      const queue = fresh(service);
      await within(waits + 600, async () => {
        const began = performance.now();
        const answer = await queue.ask("GET", { _timeout_: text });
        const took = performance.now() - began;
        assert.equal(answer.status, 204);
        assert.ok(took >= waits - 2, `${took} ms`);
        return took;
      });
    });
  }

  test("a waiting get is answered by the put it waits for, at once", async () => {
    const queue = fresh(service);
    await within(500, async (tries) => {
      const waiting = queue.ask("GET", { _timeout_: "1h0m0s", task: "7" });
      await eventually("the get waits", async () => (await queue.attributes())["stream.waitingGets"] === "1");
      await queue.put("other", { task: "6" });
      const put = performance.now();
      await queue.put("mine", { task: "7" });
      assert.equal((await waiting).text, "mine");
      const took = performance.now() - put;
      assert.equal(await queue.length(), tries + 1, "the other entry stays");
      return took;
    });
  });

  test("a waiting get returns what there is when its time is up", async () => {
    const queue = fresh(service);
    const waiting = queue.get({ _timeout_: "1s", _length_: "3" });
    await queue.puts(2);
    assert.equal((await waiting).length, 2);
    assert.equal(await queue.length(), 0);
  });

  test("waiting gets are served in order of arrival, one entry each", async () => {
    const queue = fresh(service);
    const waiting = [];
    for (let i = 0; i < 5; i++) {
      waiting.push(queue.ask("GET", { _timeout_: "20s" }));
      await eventually("it waits", async () => (await queue.attributes())["stream.waitingGets"] === String(i + 1));
    }
    await queue.puts(5, String);
    assert.deepEqual(
      (await Promise.all(waiting)).map((answer) => answer.text),
      ["0", "1", "2", "3", "4"],
    );
  });
});

describe("priorities", () => {
  test("any whole number, higher first at watchers, index order at gets", async () => {
    const queue = fresh(service, { group: "g", user: "u" });
    for (const priority of ["0", "1", "-5", "9007199254740993", "1", "0"])
      await queue.put(priority, { _priority_: priority });
    const watcher = await queue.watch({ _window_: "10" });
    assert.deepEqual(
      (await watcher.frames(6)).map((frame) => frame.index),
      [4, 2, 5, 1, 6, 3],
    );
    assert.deepEqual(
      (await queue.get({ _length_: "9", _auto_delete_: "false" })).map((frame) => frame.index),
      [1, 2, 3, 4, 5, 6],
    );
    assert.equal((await queue.ask("GET", { _count_: "true", _priority_: "1" })).text, "2");
    assert.equal((await queue.ask("GET", { _count_: "true", _priority_: "9007199254740993" })).text, "1");
    assert.equal((await queue.ask("GET", { _count_: "true", _priority_: "9007199254740992" })).text, "0");
    await watcher.close();
  });
});

describe("count and search", () => {
  test("count by tags and in all", async () => {
    const queue = fresh(service);
    assert.equal((await queue.ask("GET", { _count_: "true" })).text, "0");
    for (let i = 0; i < 5; i++) await queue.put("x", { kind: i < 2 ? "a" : "b" });
    assert.equal((await queue.ask("GET", { _count_: "true" })).text, "5");
    assert.equal((await queue.ask("GET", { _count_: "true", kind: "a" })).text, "2");
    assert.equal((await queue.ask("GET", { _count_: "true", kind: "c" })).text, "0");
  });

  test("search tells who holds an entry, or how many come before it", async () => {
    const queue = fresh(service, { group: "svc", user: "worker-1" });
    await queue.puts(4);
    const watcher = await queue.watch({ _window_: "1" });
    assert.equal((await watcher.frame()).index, 1);
    const search = (client, index) => client.ask("GET", { _search_: "true", _index_: String(index) });
    const asker = new Client(service, queue.path.slice("/api/predict/".length), { group: "svc", user: "someone" });
    assert.equal((await search(asker, 1)).text, '{"ConsumerId": "svc.worker-1", "IsPending": true, "WaitCount": 0}');
    assert.equal((await search(asker, 4)).text, '{"ConsumerId": "svc.someone", "IsPending": false, "WaitCount": 2}');
    const stranger = new Client(service, queue.path.slice("/api/predict/".length));
    assert.match((await search(stranger, 1)).text, /"IsPending": false/);
    const missing = await search(asker, 77);
    assert.deepEqual([missing.status, missing.text], [404, "no data in stream"]);
    await watcher.close();
  });
});

describe("settings", () => {
  test("are shown, changed, checked and kept for the rear queue too", async () => {
    const queue = fresh(service);
    const read = async () => JSON.parse((await queue.ask("GET", { _settings_: "true" })).text);
    assert.equal((await read()).max_delivery, 5);
    await queue.set({ max_delivery: 3, max_idle: "1m", max_payload_size_kb: 8 });
    const settings = await read();
    assert.deepEqual([settings.max_delivery, settings.max_payload_size_kb], [3, 8]);
    const attributes = await queue.attributes();
    assert.deepEqual([attributes["queue.max_idle"], attributes["meta.maxPayloadBytes"]], ["1m0s", "8192"]);
    assert.equal((await queue.ask("POST", {}, { body: Buffer.alloc(8193) })).status, 413);
    for (const bad of [
      '{"max_delivery": -1}',
      '{"max_length": 0}',
      '{"unknown": 1}',
      '{"max_idle": "soon"}',
      "[1]",
      '{"max_payload_size_kb": 100000}',
    ]) {
      assert.equal((await queue.ask("PUT", { _settings_: "true" }, { body: bad })).status, 400, bad);
    }
    assert.deepEqual(await read(), settings);
  });

  test("changes made at the same time are all kept", async () => {
    const queue = fresh(service);
    await Promise.all([
      queue.set({ max_delivery: 9 }),
      queue.set({ max_length: 77 }),
      queue.set({ auto_evict: true }),
      queue.set({ max_idle: "2m" }),
    ]);
    const attributes = await queue.attributes();
    assert.deepEqual(
      ["max_delivery", "max_length", "auto_evict", "max_idle"].map((key) => attributes[`queue.${key}`]),
      ["9", "77", "true", "2m0s"],
    );
  });

  test("retention removes entries when their time is up", async () => {
    const queue = fresh(service);
    await queue.set({ retention: "3s" });
    const put = Date.now();
    await queue.puts(3);
    const { length, asked } = { length: await queue.length(), asked: Date.now() };
    assert.ok(length === 3 || asked - put >= 3000, `${length} entries`);
    await eventually("they are gone", async () => (await queue.length()) === 0);
    assert.ok(Date.now() - put >= 3000, "before their time");
  });
});

describe("end of stream", () => {
  test("later puts and watches are a 410, what is left can be read", async () => {
    const queue = fresh(service);
    await queue.put("last");
    assert.equal((await queue.ask("POST", { _eos_: "true" })).text, "OK");
    assert.equal((await queue.attributes())["meta.state"], "Ended");
    assert.equal((await queue.ask("POST", {}, { body: "x" })).status, 410);
    assert.equal((await queue.get())[0].data.toString(), "last");
    await assert.rejects(queue.watch(), { status: 410 });
  });

  test("by force drops what is waiting and answers waiting gets", async () => {
    const queue = fresh(service);
    await queue.puts(3);
    const waiting = queue.ask("GET", { _timeout_: "20s", nobody: "1" });
    await eventually("the get waits", async () => (await queue.attributes())["stream.waitingGets"] === "1");
    assert.equal((await queue.ask("POST", { _eos_: "true", _force_: "true" })).text, "OK");
    assert.equal((await waiting).status, 204);
    assert.equal(await queue.length(), 0);
  });
});

describe("rows written", () => {
  test("a put, a commit, a delete and a get that deletes each write one", async () => {
    const queue = fresh(service, { group: "g", user: "u" });
    const rows = async (act) => {
      const before = (await queue.measured()).rows_written;
      await act();
      return (await queue.measured()).rows_written - before;
    };
    await queue.puts(8);
    assert.equal(await rows(() => queue.put("x")), 1, "put");
    assert.equal(await rows(() => queue.ask("DELETE", { _index_: "1" })), 1, "delete");
    assert.equal(await rows(() => queue.ask("GET")), 1, "get");
    assert.equal(await rows(() => queue.ask("GET", { _auto_delete_: "false" })), 0, "get without delete");
    assert.equal(await rows(() => queue.attributes()), 0, "attributes");
    const watcher = await queue.watch();
    await watcher.frames(7);
    assert.equal(await rows(() => queue.commit(3)), 1, "commit of one");
    assert.equal(await rows(() => queue.commit(4, 5, 6)), 1, "commit of three");
    assert.equal(await rows(() => queue.commit(3, 4)), 0, "commit again");
    await watcher.close();
  });

  test("puts that come together share rows", async () => {
    const queue = fresh(service);
    await queue.put("first");
    const before = (await queue.measured()).rows_written;
    await Promise.all(Array.from({ length: 200 }, (_, i) => queue.put(`${i}`)));
    const rows = (await queue.measured()).rows_written - before;
    assert.ok(rows >= 1 && rows < 200, `${rows} rows for 200 puts`);
    assert.equal(await queue.length(), 201);
  });
});
