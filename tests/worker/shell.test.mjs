// The shell around the queue: the platform's bindings, a panic, sleep, a crash. The skeleton object's verbs serve it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { start } from "./service.mjs";
import { sleep } from "../../src/bundle/tools.mjs";

let service;
before(async () => { service = await start(); });
after(() => service?.stop());

const post = (queue, verb = "") => fetch(`${service.url}/api/predict/${queue}/${verb}`, { method: "POST", signal: AbortSignal.timeout(10_000) });
const text = async (answer) => (await answer).text();

async function watch(queue) {
  const socket = new WebSocket(`${service.url.replace("http", "ws")}/api/predict/${queue}`);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
}
const said = (socket) => new Promise((resolve) => socket.once("message", (data, binary) => resolve(binary ? data : String(data))));

test("the page is served, and everything else is the service's", async () => {
  const page = await fetch(`${service.url}/`);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<h1>edgequeue<\/h1>/);
  assert.equal((await fetch(`${service.url}/api/nothing`)).status, 404);
});

test("a failed transaction leaves nothing behind", async () => {
  assert.equal(await text(post("rollback")), "1");
  assert.equal((await post("rollback", "fail")).status, 500);
  assert.equal(await text(post("rollback")), "2");
});

for (const fault of ["panic", "trap"]) {
  test(`a ${fault} answers 500 and the next request works`, async () => {
    assert.equal(await text(post(fault)), "1");
    for (let round = 0; round < 3; round++) {
      const answer = await post(fault, fault);
      assert.equal(answer.status, 500);
      assert.match(await answer.text(), /^The service met an internal error\./);
      assert.equal(await text(post(fault)), String(round + 2));
    }
  });
}

test("a panic in a socket's event leaves its and other sockets open", async () => {
  const sockets = [await watch("sockets"), await watch("sockets")];
  sockets[0].send("panic");
  await sleep(300);
  for (const socket of sockets) {
    const answer = said(socket);
    socket.send("hello");
    assert.match(await answer, /^Some\(\[0, 0, 0, 0, 0, 0, 0, 0\]\) 2 0$/);
  }
  for (const socket of sockets) socket.close();
});

test("binary messages come back whole", async () => {
  const socket = await watch("echo");
  const bytes = Buffer.alloc(1 << 20, 7);
  const answer = said(socket);
  socket.send(bytes);
  assert.ok((await answer).equals(bytes));
  const closed = new Promise((resolve) => socket.once("close", (code, reason) => resolve([code, String(reason)])));
  socket.close(4001, "bye");
  assert.deepEqual(await closed, [4001, "bye"]);
});

test("a stream arrives chunk by chunk, not at its end", async () => {
  const began = performance.now();
  const answer = await post("stream", "stream");
  const times = [];
  for await (const _chunk of answer.body) times.push(performance.now() - began);
  assert.ok(times.length >= 10, `${times.length} chunks`);
  assert.ok(times[0] < 1000 && times.at(-1) > 2000, `first after ${times[0]} ms, last after ${times.at(-1)} ms`);
});

test("the alarm comes", async () => {
  await text(post("alarm", "alarm"));
  await sleep(800);
  assert.equal(await text(post("alarm")), "101");
});

test("sockets outlive the object's memory, with what is attached to them", async () => {
  await text(post("sleep"));
  const sockets = [await watch("sleep"), await watch("sleep")];
  await sleep(11_500);
  for (const socket of sockets) {
    const answer = said(socket);
    socket.send("hello");
    // The attachment is from before the sleep; no request has reached the memory made after it.
    assert.match(await answer, /^Some\(\[0, 0, 0, 0, 0, 0, 0, 1\]\) 2 0$/);
  }
  for (const socket of sockets) socket.close();
});

test("what was answered survives kill -9", async () => {
  for (let round = 1; round <= 2; round++) {
    assert.equal(await text(post("crash")), String(round));
    const killed = await service.kill9();
    assert.ok(killed.length >= 1);
    await service.restart();
  }
  assert.equal(await text(post("crash")), "3");
});
