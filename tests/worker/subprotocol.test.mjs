// What a browser cannot say in headers when it opens a WebSocket, said in subprotocols, on the real worker.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { decodeFrame, eventually, fresh } from "./client.mjs";
import { start, TOKEN } from "./service.mjs";

let service;
before(async () => {
  service = await start({ direct: true });
});
after(() => service?.stop());

const carry = (name, value) => `edgequeue.${name}.${Buffer.from(value).toString("base64url")}`;
const BEARER = carry("bearer", TOKEN);

/** `{ protocol, socket }` of a connection, or `{ status, text, headers }` of its refusal. */
const connect = (queue, protocols, { params = "_watch_=true&_window_=1", headers = {} } = {}) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${service.url.replace("http", "ws")}${queue.path}?${params}`, protocols, {
      headers,
      perMessageDeflate: false,
    });
    const messages = [];
    socket.on("message", (data) => messages.push(data));
    socket.once("open", () => resolve({ protocol: socket.protocol, socket, messages }));
    socket.once("unexpected-response", (_, answer) => {
      let text = "";
      answer
        .on("data", (chunk) => {
          text += chunk;
        })
        .on("end", () => resolve({ status: answer.statusCode, text, headers: answer.headers }));
    });
    socket.once("error", reject);
  });

test("a token in the list is as good as one in a header, and is never named in the answer", async () => {
  const queue = fresh(service);
  for (const [list, named] of [
    [["edgequeue.v1", BEARER], "edgequeue.v1"],
    [[BEARER, "edgequeue.plain"], "edgequeue.plain"],
    [[BEARER, "edgequeue.plain", "edgequeue.v1"], "edgequeue.v1"],
  ]) {
    const { protocol, socket } = await connect(queue, list);
    assert.equal(protocol, named);
    socket.close();
  }
  // A client that asks for nothing it could be told gets no name; `ws`, like browsers, then breaks the connection
  // itself.
  await assert.rejects(connect(queue, [BEARER]), /no subprotocol/);
});

test("a wrong token, one that is not base64url, none, and one in the address are refused", async () => {
  const queue = fresh(service);
  const objects = service.stateFiles().length;
  for (const list of [
    ["edgequeue.v1"],
    ["edgequeue.v1", carry("bearer", "wrong")],
    ["edgequeue.v1", `edgequeue.bearer.${TOKEN}`],
    ["edgequeue.v1", carry("bearer", "")],
    ["edgequeue.v1", carry("user", TOKEN)],
  ]) {
    const refused = await connect(queue, list);
    assert.equal(refused.status, 401, `${list}: ${refused.text}`);
    assert.equal(refused.headers["www-authenticate"], "Bearer");
  }
  for (const name of ["token", "Authorization", "access_token", "_token_"]) {
    const refused = await connect(queue, ["edgequeue.v1"], { params: `_watch_=true&${name}=${TOKEN}` });
    assert.equal(refused.status, 401, name);
    const answer = await fetch(`${service.url}${queue.path}?_attrs_=true&${name}=${TOKEN}`);
    assert.equal(answer.status, 401, name);
  }
  assert.equal(service.stateFiles().length, objects, "no object was made");
});

test("a header wins over the list", async () => {
  const queue = fresh(service);
  assert.equal((await connect(queue, ["edgequeue.v1", BEARER], { headers: { Authorization: "wrong" } })).status, 401);
  const { socket } = await connect(queue, ["edgequeue.v1", carry("bearer", "wrong")], {
    headers: { Authorization: TOKEN },
  });
  socket.close();
});

test("it is for watches: other requests need the header", async () => {
  const queue = fresh(service);
  const refused = await connect(queue, ["edgequeue.v1", BEARER], { params: "_attrs_=true" });
  assert.equal(refused.status, 401);
});

test("group, user and the rear queue come the same way", async () => {
  const queue = fresh(service);
  const rear = fresh(service, { rear: true });
  rear.path = queue.path;
  await queue.put("in front");
  await rear.put("behind");
  const { socket, messages } = await connect(queue, [
    BEARER,
    "edgequeue.plain",
    carry("group", "gr\u00fcn"),
    carry("user", "us,er"),
    "edgequeue.rear",
  ]);
  await eventually("a frame", () => messages.length === 1);
  assert.equal(String(decodeFrame(messages[0]).data), "behind");
  const consumers = Object.entries(await rear.attributes()).filter(([key]) => key.startsWith("consumers.list."));
  assert.match(consumers[0][1], /^Id: gr\u00fcn\.us,er, /);
  assert.equal((await queue.attributes())["consumers.stats.total"], "0");
  socket.close();
});

test("under the plain name one frame comes per message, and commits go by HTTP", async () => {
  const queue = fresh(service, { group: "g", user: "u" });
  await queue.put("a");
  await queue.put("b");
  const { socket, messages } = await connect(queue, [
    BEARER,
    "edgequeue.plain",
    carry("group", "g"),
    carry("user", "u"),
  ]);
  await eventually("a frame", () => messages.length === 1);
  await queue.commit(decodeFrame(messages[0]).index);
  await eventually("the next", () => messages.length === 2);
  assert.equal(String(decodeFrame(messages[1]).data), "b");
  socket.close();
});

test("on the bare path as well", async () => {
  const { socket, protocol } = await connect({ path: "/" }, ["edgequeue.v1", BEARER]);
  assert.equal(protocol, "edgequeue.v1");
  socket.close();
});
