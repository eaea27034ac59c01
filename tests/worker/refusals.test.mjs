// What the HTTP face refuses: wrong parameters, wrong tokens, hostile requests.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, fresh, raw } from "./client.mjs";
import { start } from "./service.mjs";

let service;
before(async () => {
  service = await start({ faults: true });
});
after(() => service?.stop());

describe("refusals", () => {
  const cases = /** @type {any[][]} */ ([
    ["GET", { _length_: "0" }, 400, /^_length_ must be at least 1/],
    ["GET", { _length_: "-3" }, 400, /_length_/],
    ["GET", { _index_: "first" }, 400, /^_index_ must be a whole number from 0, or -1/],
    ["GET", { _index_: "-2" }, 400, /_index_/],
    ["GET", { _timeout_: "soon" }, 400, /_timeout_/],
    ["GET", { _auto_delete_: "yes" }, 400, /_auto_delete_/],
    ["GET", { _raw_: "2" }, 400, /_raw_/],
    ["GET", { _lenght_: "1" }, 400, /_lenght_/],
    ["GET", { _search_: "true" }, 400, /_index_/],
    ["GET", { _count_: "true", _attrs_: "true" }, 400, /_attrs_.*_count_|_count_.*_attrs_/],
    ["GET", { _watch_: "true", _window_: "0" }, 400, /^_window_ must be at least 1/],
    ["GET", { _watch_: "true", _window_: "many" }, 400, /_window_/],
    ["GET", { _count_: "true", _priority_: "high" }, 400, /_priority_/],
    ["POST", { _priority_: "1.5" }, 400, /_priority_/],
    ["POST", { _priority_: "99999999999999999999" }, 400, /_priority_/],
    ["POST", { requestId: "a\nb" }, 400, /requestId/],
    ["POST", { ["k".repeat(129)]: "v" }, 400, /128/],
    ["POST", { k: "v".repeat(2049) }, 400, /2,?048/],
    ["POST", Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, "v"])), 400, /32/],
    ["PUT", {}, 400, /_indexes_=1,2,3/],
    ["PUT", { _indexes_: "1,,2" }, 400, /_indexes_/],
    ["PUT", { _indexes_: "1, 2" }, 400, /_indexes_/],
    ["DELETE", {}, 400, /_index/],
    ["DELETE", { _trunc_: "true" }, 400, /_index_/],
    ["POST", { _attrs_: "true" }, 405, /_attrs_ goes with GET/, { Allow: "GET" }],
    ["GET", { _trunc_: "true", _index_: "5" }, 405, /_trunc_ goes with DELETE/, { Allow: "DELETE" }],
    ["GET", { _negative_: "true", _indexes_: "5" }, 405, /_negative_ goes with PUT/, { Allow: "PUT" }],
    ["DELETE", { _eos_: "true" }, 405, /_eos_ goes with POST/, { Allow: "POST" }],
    ["PATCH", {}, 405, /PATCH/, { Allow: "GET, POST, PUT, DELETE" }],
  ]);
  for (const [method, params, status, text, headers = {}] of cases) {
    test(`${method} ${JSON.stringify(params).slice(0, 60)} is a ${status}`, async () => {
      const queue = fresh(service);
      await queue.put("stays");
      const answer = await queue.ask(method, params);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.text, text);
      assert.equal(answer.headers.get("Content-Type"), "text/plain; charset=utf-8");
      assert.ok(!answer.text.includes("\n"), "one line");
      for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers.get(name), value);
      assert.equal(await queue.length(), 1, "nothing changed");
    });
  }

  test("a negative commit with a bad code", async () => {
    const queue = fresh(service);
    for (const [code, text] of [
      ["5xx", "code must match regular expression: ^([A-Z][a-z]*)+(.[A-Z][a-z]*)?$|^[0-9]+$"],
      ["A".repeat(21), "code can not have more than 20 characters"],
    ]) {
      const answer = await queue.ask(
        "PUT",
        { _indexes_: "1", _negative_: "true" },
        { body: new URLSearchParams({ _code_: code }) },
      );
      assert.deepEqual([answer.status, answer.text], [400, text]);
    }
  });

  test("paths that are no queue", async () => {
    const client = new Client(service, "x");
    for (const [path, status] of /** @type {[string, number][]} */ ([
      ["/api/predict/", 404],
      ["/api/predict", 404],
      ["/api/nothing", 404],
      ["/api/predict/a%20b", 400],
      [`/api/predict/${"n".repeat(129)}`, 400],
      ["/api/predict/.hidden", 400],
    ])) {
      client.path = path;
      const answer = await client.ask("POST", {}, { body: "x" });
      assert.equal(answer.status, status, `${path}: ${answer.text}`);
    }
    client.path = "/api/predict/svc/some/path";
    assert.equal((await client.ask("GET")).status, 404);
    assert.equal((await client.ask("GET", { _attrs_: "true" })).status, 200);
  });

  test("a body over the limit is a 413 and not stored, one of the limit is stored", async () => {
    const queue = fresh(service);
    assert.equal((await queue.ask("POST", {}, { body: Buffer.alloc(1_048_577) })).status, 413);
    const huge = await queue.ask("POST", {}, { body: Buffer.alloc(3_000_000) });
    assert.equal(huge.status, 413);
    assert.match(huge.text, /1800000|1048576/);
    assert.equal(await queue.length(), 0);
    await queue.put(Buffer.alloc(1_048_576, 7));
    const answer = await queue.ask("GET");
    assert.equal(answer.bytes.length, 1_048_576);
    assert.ok(answer.bytes.every((byte) => byte === 7));
  });

  test("whatever is refused, an unread body does not turn the answer into a broken connection", async () => {
    const queue = fresh(service);
    const bad = new Client(service, queue.path.slice("/api/predict/".length));
    bad.headers = { Authorization: "wrong" };
    for (let round = 0; round < 5; round++) {
      assert.equal((await queue.ask("POST", {}, { body: Buffer.alloc(5_000_000) })).status, 413);
      assert.equal((await queue.ask("POST", { _priority_: "x" }, { body: Buffer.alloc(1_000_000) })).status, 400);
      assert.equal((await bad.ask("POST", {}, { body: Buffer.alloc(1_000_000) })).status, 401);
    }
  });

  test("a body of unknown length is stopped at the limit too", async () => {
    const queue = fresh(service);
    const parts = async function* () {
      for (let i = 0; i < 40; i++) yield Buffer.alloc(65_536);
    };
    // A body that is told in parts, which the types of `fetch` do not know.
    const options = /** @type {any} */ ({ body: parts(), duplex: "half" });
    const answer = await fetch(`${service.url}${queue.path}`, { method: "POST", headers: queue.headers, ...options });
    assert.equal(answer.status, 413);
    assert.equal(await queue.length(), 0);
  });

  test("a full queue is a 429 with Retry-After, and takes entries again when there is room", async () => {
    const queue = fresh(service);
    await queue.set({ max_length: 2 });
    await queue.puts(2);
    const answer = await queue.ask("POST", {}, { body: "x" });
    assert.deepEqual([answer.status, answer.headers.get("Retry-After")], [429, "1"]);
    assert.match(answer.text, /^the queue is full: it holds 2 of at most 2 entries/);
    assert.equal(await queue.length(), 2);
    await queue.ask("GET");
    assert.equal(await queue.put("x"), 3);
  });

  test("auto_evict removes the oldest instead", async () => {
    const queue = fresh(service);
    await queue.set({ max_length: 2, auto_evict: true });
    await queue.puts(5);
    assert.deepEqual(
      (await queue.get({ _length_: "9" })).map((frame) => frame.index),
      [4, 5],
    );
  });
});

describe("the token", () => {
  test("missing, wrong, right, and right with Bearer", async () => {
    const queue = fresh(service);
    for (const token of [
      "",
      "wrong",
      "Bearer wrong",
      "Bearer",
      `${service.token}x`,
      `x${service.token}`,
      `Basic ${service.token}`,
    ]) {
      queue.headers.Authorization = token;
      for (const method of ["GET", "POST", "PUT", "DELETE"]) {
        const answer = await queue.ask(method);
        assert.equal(answer.status, 401, `${method} with ${JSON.stringify(token)}`);
        assert.equal(answer.headers.get("WWW-Authenticate"), "Bearer");
      }
      await assert.rejects(queue.watch(), { status: 401 });
    }
    for (const token of [service.token, `Bearer ${service.token}`, `bearer ${service.token}`]) {
      queue.headers.Authorization = token;
      assert.equal((await queue.ask("GET")).status, 204);
    }
  });

  test("without it no object comes to be", async () => {
    const before = service.stateFiles().length;
    const queue = fresh(service);
    const { Authorization, ...headers } = queue.headers;
    queue.headers = headers;
    for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH"])
      assert.equal((await queue.ask(method, { _index_: "1" })).status, 401);
    assert.equal(service.stateFiles().length, before);
    queue.headers.Authorization = Authorization;
    await queue.put("x");
    assert.equal(service.stateFiles().length, before + 1, "the check sees objects that do exist");
  });

  test("the page needs none", async () => {
    const page = await fetch(`${service.url}/`);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<h1>edgequeue<\/h1>/);
  });
});

test("hostile requests get a 4xx and never a 5xx", async () => {
  const { port } = service;
  const auth = `Authorization: ${service.token}\r\nHost: x\r\nConnection: close\r\n`;
  const requests = [
    `GET /api/predict/h?_index_=%ff%fe HTTP/1.1\r\n${auth}\r\n`,
    `GET /api/predict/h?%00=%00 HTTP/1.1\r\n${auth}\r\n`,
    `GET /api/predict/h?a=1&a=2 HTTP/1.1\r\n${auth}\r\n`,
    `GET /api/predict/h?_index_=1;_length_=2 HTTP/1.1\r\n${auth}\r\n`,
    `POST /api/predict/h?k=%zz HTTP/1.1\r\n${auth}Content-Length: 1\r\n\r\nx`,
    `GET /api/predict/%2e%2e%2f HTTP/1.1\r\n${auth}\r\n`,
    `PUT /api/predict/h?_indexes_=18446744073709551616 HTTP/1.1\r\n${auth}Content-Length: 0\r\n\r\n`,
    `PUT /api/predict/h?_indexes_=1&_negative_=true HTTP/1.1\r\n${auth}Content-Length: 3\r\n\r\n\xff\xfe%`,
    `PUT /api/predict/h?_settings_=true HTTP/1.1\r\n${auth}Content-Length: 2\r\n\r\n{"`,
    `GET /api/predict/h?_watch_=true HTTP/1.1\r\n${auth}X-EAS-QueueService-Uid: ${"u".repeat(300)}\r\n\r\n`,
    `GET /api/predict/h?_attrs_=true HTTP/1.1\r\n${auth}X-EAS-QueueService-Access-Rear: maybe\r\n\r\n`,
    `GET /api/predict/h HTTP/1.1\r\n${auth}Upgrade: websocket\r\n\r\n`,
  ];
  for (const request of requests) {
    const { socket, answer: bytes } = await raw(port, Buffer.from(request, "latin1"), (seen) =>
      seen.includes("\r\n\r\n"),
    );
    const answer = String(await bytes);
    socket.destroy();
    assert.match(answer, /^HTTP\/1\.1 4\d\d /, `${request.split("\r\n")[0]}: ${answer.slice(0, 200)}`);
  }
});
