// Who is told of the end of a request, how often, and who never is. Signatures are checked with the runtime's own
// crypto.
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Client, eventually, fresh } from "./client.mjs";
import { predictor } from "./predictor.mjs";
import { start } from "./service.mjs";

const KEY = randomBytes(24);
const SECRET = `whsec_${KEY.toString("base64")}`;

let service;
let model;
let ear;
before(async () => {
  model = await predictor((request) =>
    request.text === "bad"
      ? { status: 500, body: "cannot" }
      : request.text === "empty"
        ? ""
        : `result of ${request.text}`,
  );
  ear = await predictor(() => "");
  service = await start({
    vars: {
      EDGEQUEUE_ALLOW_LOOPBACK: "allow",
      EDGEQUEUE_ALLOWED_HOSTS: "*.example.com",
      EDGEQUEUE_CALLBACK_SECRET: SECRET,
      EDGEQUEUE_PREDICTOR: model.url,
      EDGEQUEUE_MAX_DELIVERY: "1",
      EDGEQUEUE_CALLBACKS_RETRY_DELAY: "200ms",
      EDGEQUEUE_CALLBACKS_MAX_DELIVERY: "3",
      EDGEQUEUE_CALLBACKS_PREDICTOR_TIMEOUT: "2s",
    },
  });
});
after(async () => {
  await service?.stop();
  await Promise.all([model?.stop(), ear?.stop()]);
});

const nameOf = (queue) => queue.path.slice("/api/predict/".length);
const callbacksOf = (queue, options) => new Client(service, `${nameOf(queue)}/~callbacks`, options);

/** Waits for notices about a request and checks their signatures. */
async function notices(requestId, count = 1) {
  const about = () => ear.requests.filter((request) => JSON.parse(request.text).requestId === requestId);
  await eventually(`${count} notice(s) about ${requestId}`, () => about().length >= count || about().length);
  for (const { headers, text, method } of about()) {
    assert.equal(method, "POST");
    assert.equal(headers["content-type"], "application/json");
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`;
    assert.equal(headers["webhook-signature"], `v1,${createHmac("sha256", KEY).update(signed).digest("base64")}`);
    assert.ok(Math.abs(Number(headers["webhook-timestamp"]) - Date.now() / 1000) < 30);
  }
  return about();
}

describe("a callback", () => {
  for (const [body, status, rest] of /** @type {[string, string, object][]} */ ([
    ["good", "done", { sinkIndex: 1 }],
    ["bad", "failed", { sinkIndex: 1, code: "500", reason: "cannot" }],
    ["empty", "empty", {}],
  ])) {
    test(`is told that a request ended: ${status}`, async () => {
      const queue = fresh(service);
      await queue.put(body, { requestId: `told-${status}`, _callback_: `${ear.url}/hook?x=1` });
      const [notice] = await notices(`told-${status}`);
      assert.deepEqual(JSON.parse(notice.text), {
        requestId: `told-${status}`,
        service: nameOf(queue),
        status,
        index: 1,
        ...rest,
      });
      assert.deepEqual([notice.path, notice.query], ["/hook", { x: "1" }]);
      await eventually("it is not told again", async () => (await callbacksOf(queue).length()) === 0);
      assert.equal((await notices(`told-${status}`)).length, 1);
    });
  }

  test("of a service is told of every request, also of those in batches", async () => {
    const queue = fresh(service);
    await queue.set({ callback: `${ear.url}/service` });
    const entries = [
      { text: "a", tags: { requestId: "batch-a" } },
      { text: "b", tags: { requestId: "batch-b", callback: `${ear.url}/own` } },
    ];
    const answer = await queue.ask(
      "POST",
      { _batch_: "true" },
      { body: JSON.stringify(entries), headers: { "Content-Type": "application/json" } },
    );
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await notices("batch-a"))[0].path, "/service");
    assert.equal((await notices("batch-b"))[0].path, "/own");
  });

  test("is not in the tags of the result, nor in what the predictor is sent", async () => {
    const queue = fresh(service);
    await queue.put("x", { requestId: "tags", _callback_: ear.url });
    const [result] = await new Client(service, `${nameOf(queue)}/sink`).get({ requestId: "tags", _timeout_: "10s" });
    assert.deepEqual(Object.keys(result.tags).sort(), ["Header:Content-Type", "requestId", "ts@sink", "ts@source"]);
    assert.deepEqual(model.requests.find((request) => request.headers["x-request-id"] === "tags").query, {});
  });

  test("that fails is told again, later each time, under the same name", async () => {
    const queue = fresh(service);
    ear.answer = (request) => (request.count < 3 ? { status: 503 } : "");
    await queue.put("x", { requestId: "again", _callback_: ear.url });
    const told = await notices("again", 3);
    ear.answer = () => "";
    assert.equal(new Set(told.map((notice) => notice.headers["webhook-id"])).size, 1);
    assert.equal(new Set(told.map((notice) => notice.text)).size, 1);
    const pauses = [told[1].at_ms - told[0].at_ms, told[2].at_ms - told[1].at_ms];
    assert.ok(pauses[0] >= 195 && pauses[1] >= 395, `${pauses}`);
  });

  for (const [what, answer, code] of [
    ["fails for good", { status: 410, body: "gone" }, "410"],
    ["hangs", "hang", "504"],
    ["redirects", { status: 307, headers: { Location: "/elsewhere" } }, "307"],
  ]) {
    test(`that ${what} is among the dead, where a person can look at it`, async () => {
      const queue = fresh(service);
      ear.answer = () => answer;
      const requestId = `dead-${code}`;
      await queue.put("x", { requestId, _callback_: `${ear.url}/dead` });
      const rear = callbacksOf(queue, { rear: true });
      await eventually("it is dead", async () => (await rear.length()) === 1);
      ear.answer = () => "";
      const [dead] = await rear.get();
      assert.deepEqual(
        [dead.tags.requestId, dead.tags.callback, dead.tags.lastCode],
        [requestId, `${ear.url}/dead`, code],
      );
      assert.equal(dead.tags.Path, undefined, "the path of the queue it waited in is not its own");
      assert.equal(JSON.parse(String(dead.data)).status, "done");
      assert.equal((await notices(requestId)).length, 3);
      assert.ok(!ear.requests.some((request) => request.path === "/elsewhere"));
    });
  }
});

describe("nobody", () => {
  const queue = () => fresh(service);
  const EVIL = [
    "http://hooks.example.com/",
    "https://example.com/",
    "https://example.org/",
    "https://hooks.example.com.evil.org/",
    "https://127.0.0.2/",
    "https://10.0.0.1/",
    "https://192.168.0.1/",
    "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/",
    "https://0/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[::]/",
    "https://metadata.google.internal/",
    "https://printer.local/",
    "https://a.localhost/",
    "https://hooks.example.com@127.0.0.1/",
    "https://127.0.0.1\\@hooks.example.com/",
    "ftp://hooks.example.com/",
    "javascript:alert(1)",
    "hooks.example.com",
    "//hooks.example.com",
  ];

  test("is told at an address that the deployment does not allow: the put is refused at once", async () => {
    const refusing = queue();
    for (const url of EVIL) {
      const answer = await refusing.ask("POST", { _callback_: url }, { body: "x" });
      assert.equal(answer.status, 400, url);
      assert.match(answer.text, /callback/, url);
      const batch = await refusing.ask(
        "POST",
        { _batch_: "true" },
        {
          body: JSON.stringify([{ text: "x", tags: { callback: url } }]),
          headers: { "Content-Type": "application/json" },
        },
      );
      assert.equal(batch.status, 400, url);
      const setting = await refusing.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ callback: url }) });
      assert.equal(setting.status, 400, url);
    }
    assert.equal(await refusing.length(), 0);
    assert.equal(
      (await refusing.ask("POST", { _callback_: "https://hooks.example.com/x" }, { body: "bad" })).status,
      200,
      "what is listed is allowed",
    );
  });

  test("puts into the queue of callbacks but the service itself", async () => {
    const answer = await callbacksOf(queue()).ask("POST", {}, { body: "{}" });
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.get("Allow"), "GET, PUT, DELETE");
  });

  test("is told anything by a deployment without a secret to sign with", async () => {
    const unsigned = await start({ vars: { EDGEQUEUE_ALLOWED_HOSTS: "*" } });
    try {
      const answer = await fresh(unsigned).ask("POST", { _callback_: "https://hooks.example.com/" }, { body: "x" });
      assert.equal(answer.status, 400);
      assert.match(answer.text, /EDGEQUEUE_CALLBACK_SECRET/);
    } finally {
      await unsigned.stop();
    }
  });
});

test("the secret is shown nowhere", () => {
  assert.ok(!service.output.includes(SECRET.slice(6)));
});
