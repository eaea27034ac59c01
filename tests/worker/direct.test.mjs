// Clients that go away, and clients that come together. In workerd alone: the proxy of `wrangler dev` keeps its side of
// a connection open, so that the service behind it cannot notice, and hands requests on at its own pace.
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, test } from "node:test";
import { Client, eventually, fresh, raw } from "./client.mjs";
import { start } from "./service.mjs";

let service;
before(async () => {
  service = await start({ direct: true, faults: true });
});
after(() => service?.stop());

const name = (queue) => queue.path.slice("/api/predict/".length);
const request = (queue, query) =>
  `GET ${queue.path}?${query} HTTP/1.1\r\nHost: x\r\n${Object.entries(queue.headers)
    .map(([key, value]) => `${key}: ${value}\r\n`)
    .join("")}\r\n`;
const waiting = async (queue) => Number((await queue.attributes())["stream.waitingGets"]);

test("a client whose connection is reset while its get waits gets nothing removed", async () => {
  const queue = fresh(service);
  const gone = await raw(service.port, request(queue, "_timeout_=60s"));
  gone.answer.catch(() => {});
  await eventually("the get waits", async () => (await waiting(queue)) === 1);
  gone.socket.resetAndDestroy();
  await eventually("it waits no more", async () => (await waiting(queue)) === 0, 3000);
  await queue.put("stays");
  assert.equal(await queue.length(), 1);
});

test("others that wait go on waiting", async () => {
  const queue = fresh(service);
  const gone = await raw(service.port, request(queue, "_timeout_=60s"));
  gone.answer.catch(() => {});
  await eventually("the get waits", async () => (await waiting(queue)) === 1);
  const stays = queue.ask("GET", { _timeout_: "30s" });
  await eventually("both wait", async () => (await waiting(queue)) === 2);
  gone.socket.resetAndDestroy();
  await eventually("one waits", async () => (await waiting(queue)) === 1);
  await queue.put("for the one that stayed");
  assert.equal((await stays).text, "for the one that stayed");
});

test("an endless body whose client is gone gives its entries to others, without anything being sent", async () => {
  const queue = fresh(service, { group: "g", user: "gone" });
  await queue.puts(2);
  const gone = await raw(service.port, request(queue, "_watch_=true"), (seen) => seen.includes("entry 1"));
  await gone.answer;
  const other = await new Client(service, name(queue), { group: "g", user: "other" }).watch();
  await other.quiet(200);
  gone.socket.resetAndDestroy();
  assert.deepEqual(await other.indexes(2), [1, 2]);
  const lines = Object.entries(await queue.attributes())
    .filter(([key]) => key.startsWith("consumers.list"))
    .map(([, line]) => line);
  assert.match(
    lines.find((line) => line.startsWith("Id: g.gone,")),
    /Status: (Leaving|Exit), /,
  );
  await other.close();
});

test("an endless body that is left many times over leaves nothing behind", async () => {
  const queue = fresh(service, { group: "g", user: "u" });
  await queue.put("x");
  let memory = 0;
  for (let round = 0; round < 60; round++) {
    const gone = await raw(service.port, request(queue, "_watch_=true"), (seen) => seen.includes("requestId"));
    await gone.answer;
    gone.socket.resetAndDestroy();
    await eventually("the watcher is gone", async () =>
      /Status: (Leaving|Exit|Complete)/.test((await queue.attributes())["consumers.list.[0]"] ?? "Status: Complete"),
    );
    if ((await queue.length()) === 0) await queue.put("again");
    if (round === 20) memory = (await queue.measured()).memory_bytes;
  }
  assert.equal((await queue.measured()).memory_bytes, memory);
  assert.equal((await queue.attributes())["consumers.stats.total"], "1");
});

/**
 * Rows that `clients` write for each put, when each of them puts `rounds` times and waits for every answer. They are
 * bare sockets: a whole HTTP client beside the service is slower than that, and nothing would ever come together.
 */
async function rowsOfPuts(clients, rounds) {
  const queue = fresh(service);
  await queue.put("opens it");
  const before = (await queue.measured()).rows_written;
  const put = request(queue, "").replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx");
  await Promise.all(
    Array.from(
      { length: clients },
      () =>
        /** @type {Promise<void>} */
        new Promise((resolve, reject) => {
          const socket = net.connect(service.port, "127.0.0.1", () => socket.write(put));
          let answered = 0;
          let text = "";
          socket
            .setNoDelay(true)
            .once("error", reject)
            .on("data", (bytes) => {
              text += bytes;
              if (!/^HTTP\/1.1 200 [^]*\r\n\r\n\d+$/.test(text)) return;
              text = "";
              if (++answered < rounds) return socket.write(put);
              socket.destroy();
              resolve(undefined);
            });
        }),
    ),
  );
  assert.equal(await queue.length(), clients * rounds + 1);
  return ((await queue.measured()).rows_written - before) / (clients * rounds);
}

test("clients that put side by side share rows, though each waits for its answers", async () => {
  const rows = { one: await rowsOfPuts(1, 200), four: await rowsOfPuts(4, 200), thirty: await rowsOfPuts(30, 60) };
  console.log(`rows per put: ${JSON.stringify(rows)}`);
  assert.equal(rows.one, 1);
  assert.ok(rows.four < 0.85, `${rows.four} rows per put of four clients`);
  assert.ok(rows.thirty < 0.2, `${rows.thirty} rows per put of thirty clients`);
});
