// Inference on the real runtime: requests go in, a predictor is called, results are in the sink.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, eventually, fresh } from "./client.mjs";
import { predictor } from "./predictor.mjs";
import { start } from "./service.mjs";
import { sleep } from "../../tools/lib.mjs";

let service;
let model;
before(async () => {
  service = await start({
    faults: true,
    vars: {
      EDGEQUEUE_ALLOW_LOOPBACK: "allow",
      MODEL_HEADERS: "Authorization: Bearer hunter2\nX-Key: 1",
    },
  });
  model = await predictor();
});
after(async () => {
  await service?.stop();
  await model?.stop();
});

const nameOf = (queue) => queue.path.slice("/api/predict/".length);

/** A service of its own: its input queue, sink and rear queue, and a predictor that answers like `answer`. */
async function inferring(answer, settings = {}) {
  const input = fresh(service);
  const name = nameOf(input);
  const own = await predictor(answer);
  after(() => own.stop());
  await input.set({ predictor: own.url, retry_delay: "100ms", ...settings });
  return {
    input,
    name,
    model: own,
    sink: new Client(service, `${name}/sink`),
    rear: new Client(service, name, { rear: true }),
  };
}

/** A result is in the sink before its request is committed. */
const done = (input) => eventually("all is committed", async () => (await input.length()) === 0 || input.length());
const texts = (frames) => frames.map((frame) => frame.data.toString());
const everything = (queue) => queue.get({ _length_: "10000", _auto_delete_: "false" });
const one = async (queue, requestId) => {
  const [frame] = await queue.get({ requestId, _timeout_: "10s" });
  assert.ok(frame, `nothing came for ${requestId}`);
  return frame;
};

describe("a request", () => {
  test("is sent with its path, query and content type, and its result carries its tags", async () => {
    const { input, sink, model } = await inferring(
      () => ({ headers: { "Content-Type": "application/json" }, body: "{}" }),
      { predictor_headers: "MODEL_HEADERS" },
    );
    await input.set({ predictor: `${model.url}/v1?key=9` });
    const before = Date.now();
    const answer = await input.ask(
      "POST",
      { task: "7 8", requestId: "r1", _priority_: "1" },
      { body: "data", headers: { "Content-Type": "image/png" }, path: "/sub/path" },
    );
    assert.equal(answer.status, 200);
    const result = await one(sink, "r1");
    assert.equal(result.data.toString(), "{}");
    const { "ts@source": source, "ts@sink": stored, ...tags } = result.tags;
    assert.deepEqual(tags, { requestId: "r1", task: "7 8", "Header:Content-Type": "application/json" });
    assert.ok(before <= Number(source) && Number(source) <= Number(stored) && Number(stored) <= Date.now());
    const [request] = model.requests;
    assert.deepEqual(
      [request.method, request.path, request.query, request.text],
      ["POST", "/v1/sub/path", { task: "7 8", key: "9" }, "data"],
    );
    const { headers } = request;
    assert.equal(headers["content-type"], "image/png");
    assert.equal(headers["x-request-id"], "r1");
    assert.equal(headers["x-edgequeue-attempt"], "1");
    assert.equal(headers["x-edgequeue-index"], "1");
    assert.equal(headers.authorization, "Bearer hunter2");
    assert.equal(headers["x-key"], "1");
    await done(input);
  });

  test("never shows the secret that is sent with it", async () => {
    const { input } = await inferring(() => ({ status: 500, body: "no" }), {
      predictor_headers: "MODEL_HEADERS",
      max_delivery: 1,
    });
    await input.put("x", { requestId: "r" });
    await eventually("it failed", async () => (await input.length()) === 0);
    const shown = [
      await input.ask("GET", { _settings_: "true" }),
      await input.ask("GET", { _attrs_: "true" }),
      await input.ask("GET", { _status_: "true", requestId: "r" }),
    ];
    for (const { text } of shown) assert.ok(!text.includes("hunter2"), text);
    assert.ok(!service.output.includes("hunter2"));
  });

  test("keeps its path out of the predictor when that is fixed", async () => {
    const { input, sink, model } = await inferring(undefined, { predictor_path: "fixed" });
    await input.ask("POST", { requestId: "r" }, { body: "x", path: "/sub" });
    await one(sink, "r");
    assert.equal(model.requests[0].path, "/");
  });

  test("is worked on with others, but not with more than worker_threads", async () => {
    const { input, sink, model } = await inferring((request) => ({ body: request.text, after_ms: 30 }), {
      worker_threads: 4,
    });
    await Promise.all(Array.from({ length: 40 }, (_, i) => input.put(`${i}`)));
    await eventually("all results are there", async () => (await sink.length()) === 40);
    assert.ok(model.most > 1 && model.most <= 4, `${model.most} at a time`);
    assert.deepEqual(new Set(texts(await everything(sink))), new Set(Array.from({ length: 40 }, (_, i) => `${i}`)));
  });

  test("that is put in a batch is worked on like any other", async () => {
    const { input, sink } = await inferring();
    const answer = await input.ask(
      "POST",
      { _batch_: "true" },
      { body: "a\nb\nc\n", headers: { "Content-Type": "text/plain" } },
    );
    assert.equal(answer.status, 200);
    await eventually("all results are there", async () => (await sink.length()) === 3);
    assert.deepEqual(texts(await everything(sink)).sort(), ["result of a", "result of b", "result of c"]);
  });
});

describe("a predictor", () => {
  test("that answers nothing makes no result", async () => {
    const { input, sink, rear } = await inferring(() => ({ body: "" }));
    await input.put("x");
    await eventually("it is done", async () => (await input.length()) === 0);
    assert.equal(await sink.length(), 0);
    assert.equal(await rear.length(), 0);
  });

  test("that fails at first is asked again, later each time", async () => {
    let told = false;
    const { input, sink, model } = await inferring(
      (request) => (request.count < 4 || !told ? { status: 500, body: `failure ${request.count}` } : "at last"),
      { max_delivery: 20 },
    );
    await input.put("x", { requestId: "r" });
    await eventually("the status tells of the failure", async () => {
      const { text } = await input.ask("GET", { _status_: "true", requestId: "r" });
      told = /"status":"queued".*"attempts":(\d+).*"code":"500","reason":"failure \1"/.test(text);
      return told || text;
    });
    const result = await one(sink, "r");
    assert.equal(result.data.toString(), "at last");
    assert.equal(result.tags.lastCode, undefined);
    const attempts = model.requests.map((request) => request.headers["x-edgequeue-attempt"]);
    assert.ok(attempts.length >= 4);
    assert.deepEqual(
      attempts,
      attempts.map((_, i) => `${i + 1}`),
    );
    const pauses = model.requests.slice(1).map((request, i) => request.at_ms - model.requests[i].at_ms);
    for (const [i, least] of [100, 200, 400].entries()) assert.ok(pauses[i] >= least - 5, `${pauses}`);
    await done(input);
  });

  test("that always fails leaves the error in the sink and the request at the rear", async () => {
    const { input, sink, rear, model } = await inferring(
      () => ({ status: 422, headers: { "Content-Type": "application/json" }, body: '{"error":"no such shape"}' }),
      { max_delivery: 3 },
    );
    await input.put("the request", { requestId: "r", task: "7" });
    const result = await one(sink, "r");
    assert.equal(result.data.toString(), '{"error":"no such shape"}');
    assert.deepEqual(
      [result.tags.lastCode, result.tags.lastReason, result.tags.task, result.tags["Header:Content-Type"]],
      ["422", '{"error":"no such shape"}', "7", "application/json"],
    );
    await eventually("it is dead", async () => (await rear.length()) === 1);
    const [dead] = await rear.get();
    assert.deepEqual([dead.data.toString(), dead.tags.lastCode, dead.tags.requestId], ["the request", "422", "r"]);
    assert.equal(model.requests.length, 3);
    assert.equal(await input.length(), 0);
  });

  test("that always fails leaves only the error where the dead are dropped", async () => {
    const { input, sink, rear } = await inferring(() => ({ status: 500, body: "no" }), {
      max_delivery: 1,
      dead_message_policy: "Drop",
    });
    await input.put("x", { requestId: "r" });
    assert.equal((await one(sink, "r")).tags.lastCode, "500");
    await eventually("it is gone", async () => (await input.length()) === 0);
    assert.equal(await rear.length(), 0);
  });

  test("that hangs is given up, and others are not held up by it for longer", async () => {
    const { input, sink, model } = await inferring((request) => (request.text === "stuck" ? "hang" : "fine"), {
      predictor_timeout: "2s",
      max_delivery: 2,
    });
    await input.put("stuck", { requestId: "r" });
    await input.put("other", { requestId: "other" });
    assert.equal((await one(sink, "other")).data.toString(), "fine");
    const result = await one(sink, "r");
    assert.deepEqual([result.tags.lastCode, result.data.toString()], ["504", "no answer within 2000 ms"]);
    await eventually("its connections were closed", () => model.running === 0);
  });

  test("that cuts its answers off, or cannot be reached, is a failure", async () => {
    const { input, sink } = await inferring(() => "cut", { max_delivery: 1 });
    await input.put("x", { requestId: "cut" });
    const { lastCode, lastReason } = (await one(sink, "cut")).tags;
    assert.equal(lastCode, "502");
    assert.match(lastReason, /^the call failed: ./);
    await input.set({ predictor: "http://127.0.0.1:9/" });
    await input.put("x", { requestId: "away" });
    assert.equal((await one(sink, "away")).tags.lastCode, "502");
  });

  test("that redirects is not followed", async () => {
    const { input, sink, model } = await inferring(() => ({ status: 302, headers: { Location: "/elsewhere" } }), {
      max_delivery: 1,
    });
    await input.put("x", { requestId: "r" });
    assert.equal((await one(sink, "r")).tags.lastCode, "302");
    assert.equal(model.requests.length, 1);
  });

  test("that answers garbage makes a result all the same: what it means is not ours to say", async () => {
    const garbage = Buffer.from(Array.from({ length: 2000 }, (_, i) => (i * 7919) % 256));
    const { input, sink } = await inferring(() => ({ headers: { "Content-Type": "x\u00ffy" }, body: garbage }));
    await input.put("x", { requestId: "r" });
    assert.deepEqual((await one(sink, "r")).data, garbage);
  });

  test("whose content type is too long for a tag loses no result by it", async () => {
    const { input, sink } = await inferring(() => ({
      headers: { "Content-Type": `text/${"x".repeat(5000)}` },
      body: "fine",
    }));
    await input.put("x", { requestId: "r", task: "7" });
    const { data, tags } = await one(sink, "r");
    assert.equal(data.toString(), "fine");
    assert.deepEqual(Object.keys(tags).sort(), ["requestId", "task", "ts@sink", "ts@source"]);
  });

  for (const [what, bytes, settings] of /** @type {any[][]} */ ([
    ["10 MB", 10_000_000, {}],
    ["more than the sink takes", 40_000, { max_payload_size_kb: 32 }],
  ])) {
    test(`that answers ${what} leaves a small error`, async () => {
      const { input, sink, rear, model } = await inferring(() => Buffer.alloc(bytes, "x"));
      if (settings.max_payload_size_kb) await sink.set(settings);
      await input.put("x", { requestId: "r", task: "7" });
      const result = await one(sink, "r");
      assert.deepEqual([result.tags.lastCode, result.tags.task], ["413", "7"]);
      assert.ok(result.data.length < 300, `${result.data}`);
      await eventually("it is done", async () => (await input.length()) === 0);
      assert.equal(await rear.length(), 0);
      assert.equal(model.requests.length, 1);
    });
  }

  test("whose answers are too large in part holds no other result up", async () => {
    const { input, sink } = await inferring(
      (request) => (Number(request.text) % 3 === 0 ? Buffer.alloc(40_000) : request.text),
      { worker_threads: 30 },
    );
    await sink.set({ max_payload_size_kb: 32 });
    await input.ask(
      "POST",
      { _batch_: "true" },
      { body: Array.from({ length: 30 }, (_, i) => i).join("\n"), headers: { "Content-Type": "text/plain" } },
    );
    await eventually("all are there", async () => (await sink.length()) === 30);
    const codes = (await everything(sink)).map((frame) => frame.tags.lastCode ?? "fine");
    assert.equal(codes.filter((code) => code === "413").length, 10);
    assert.equal(codes.filter((code) => code === "fine").length, 20);
  });

  test("that is down is spared, and requests are not used up on it", async () => {
    let up = false;
    const { input, sink, model } = await inferring((request) => (up ? request.text : { status: 503 }), {
      retry_delay: "500ms",
      worker_threads: 10,
    });
    await input.ask(
      "POST",
      { _batch_: "true" },
      { body: Array.from({ length: 100 }, (_, i) => i).join("\n"), headers: { "Content-Type": "text/plain" } },
    );
    await sleep(3000);
    assert.ok(model.requests.length < 25, `${model.requests.length} requests to a predictor that is down`);
    up = true;
    await eventually("all results are there", async () => (await sink.length()) === 100 || sink.length(), 30_000);
    assert.ok((await everything(sink)).every((frame) => frame.tags.lastCode === undefined));
  });
});

test("a full sink stops the intake, which goes on by itself", async () => {
  const { input, sink, model } = await inferring(undefined, { worker_threads: 3 });
  await sink.set({ max_length: 5 });
  await input.ask(
    "POST",
    { _batch_: "true" },
    { body: Array.from({ length: 40 }, (_, i) => `${i}`).join("\n"), headers: { "Content-Type": "text/plain" } },
  );
  await eventually("the sink is full", async () => (await sink.length()) === 5);
  const line = async () => (await input.attributes())["consumers.list.[0]"];
  await eventually("the intake is stopped", async () => / Window: 0,/.test(await line()) || line());
  await eventually("no call is under way", () => model.running === 0);
  const calls = model.requests.length;
  assert.ok(calls <= 5 + 3 + 3, `${calls} calls`);
  await sleep(1000);
  assert.equal(model.requests.length, calls, "nothing is asked of the predictor meanwhile");
  const seen = new Set();
  await eventually(
    "every result came",
    async () => {
      for (const frame of await sink.get({ _length_: "100" })) {
        assert.ok(!seen.has(frame.tags.requestId), "twice");
        seen.add(frame.tags.requestId);
      }
      return seen.size === 40 || seen.size;
    },
    60_000,
  );
  await done(input);
});

test("a full sink uses nothing up: results wait for it, also for longer than max_idle", async () => {
  const { input, sink, rear } = await inferring((request) => request.text, {
    worker_threads: 2,
    max_idle: "300ms",
    max_delivery: 1,
  });
  await input.set({ predictor_timeout: "10s" });
  await sink.set({ max_length: 1 });
  for (const text of ["a", "b", "c"]) await input.put(text, { requestId: text });
  await eventually("the intake is stopped", async () =>
    / Pending: [12],.* Window: 0,/.test((await input.attributes())["consumers.list.[0]"]),
  );
  await sleep(1000);
  assert.equal((await input.length()) + (await sink.length()), 3);
  const results = [];
  await eventually(
    "all results come",
    async () => {
      results.push(...texts(await sink.get()));
      return results.length === 3 || results;
    },
    60_000,
  );
  assert.deepEqual([results.sort(), await rear.length()], [["a", "b", "c"], 0]);
});

test("after the end of the stream what is left is inferred", async () => {
  const { input, sink, rear } = await inferring((request) => ({ body: request.text, after_ms: 100 }), {
    worker_threads: 2,
  });
  for (let i = 0; i < 7; i++) await input.put(`${i}`);
  assert.equal((await input.ask("POST", { _eos_: "true" })).text, "OK");
  await eventually("all results are there", async () => (await sink.length()) === 7);
  await eventually("nothing is left", async () => (await input.length()) === 0);
  assert.equal(await rear.length(), 0);
});

for (const fault of ["panic", "trap", "storage"]) {
  test(`${fault} in the middle, again and again: every request has one result`, async () => {
    const { input, sink, model } = await inferring((request) => ({ body: request.text, after_ms: 20 }), {
      worker_threads: 8,
    });
    const COUNT = 150;
    await input.ask(
      "POST",
      { _batch_: "true" },
      { body: Array.from({ length: COUNT }, (_, i) => `${i}`).join("\n"), headers: { "Content-Type": "text/plain" } },
    );
    for (let i = 0; i < 6; i++) {
      await sleep(60);
      assert.ok((await input.fault(fault, "GET", { _count_: "true" })).status < 600);
    }
    await eventually("nothing is left", async () => (await input.length()) === 0 || input.length(), 60_000);
    const results = texts(await everything(sink));
    assert.deepEqual(
      results.map(Number).sort((a, b) => a - b),
      Array.from({ length: COUNT }, (_, i) => i),
    );
    assert.ok(model.requests.length > COUNT, "the faults met nothing");
  });
}

describe("settings", () => {
  test("change while requests are worked on", async () => {
    const { input, sink, model } = await inferring(() => "old");
    await input.put("x", { requestId: "1" });
    assert.equal((await one(sink, "1")).data.toString(), "old");
    const other = await predictor(() => "new");
    await input.set({ predictor: other.url });
    await input.put("x", { requestId: "2" });
    assert.equal((await one(sink, "2")).data.toString(), "new");
    await input.set({ predictor: "" });
    await input.put("x", { requestId: "3" });
    await sleep(500);
    assert.equal(await input.length(), 1, "without a predictor it waits for whoever watches");
    assert.equal(model.requests.length + other.requests.length, 2);
    await input.set({ predictor: other.url });
    assert.equal((await one(sink, "3")).data.toString(), "new");
    await other.stop();
  });

  test("without the predictor stop what runs, and that was no failed attempt", async () => {
    let gate = new Promise(() => {});
    const { input, sink, rear, model } = await inferring(async (request) => (await gate, request.text), {
      max_delivery: 1,
    });
    await input.put("x", { requestId: "r" });
    await eventually("it is being worked on", () => model.running === 1);
    await input.set({ predictor: "" });
    await eventually("the call is given up", () => model.running === 0);
    const { text } = await input.ask("GET", { _status_: "true", requestId: "r" });
    assert.match(text, /"status":"queued",.*"attempts":0/);
    gate = null;
    await input.set({ predictor: model.url });
    assert.equal((await one(sink, "r")).data.toString(), "x");
    assert.equal(await rear.length(), 0);
  });

  test("name only what the deployment allows", async () => {
    const input = fresh(service);
    for (const predictor of [
      "https://example.com/",
      "http://10.0.0.1/",
      "https://169.254.169.254/latest",
      "service:QUEUES",
      "ai:@cf/x/y",
      "https://[::2]/",
    ]) {
      const answer = await input.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ predictor }) });
      assert.equal(answer.status, 400, predictor);
      assert.match(
        answer.text,
        /^predictor .*(which this deployment does not allow; add .* to EDGEQUEUE_ALLOWED_HOSTS|https:\/\/|only )/,
      );
    }
    for (const predictor_headers of ["EDGEQUEUE_TOKEN", "EDGEQUEUE_CALLBACK_SECRET"]) {
      const answer = await input.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ predictor_headers }) });
      assert.equal(answer.status, 400);
    }
    assert.match((await input.ask("GET", { _settings_: "true" })).text, /"predictor":"",/);
  });
});
