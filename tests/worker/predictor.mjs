// A predictor for tests, and whatever else is called by the service: a small HTTP server on the loopback interface.
import http from "node:http";
import { sleep } from "../../tools/lib.mjs";

/**
 * @typedef {string|Buffer|{status?: number, headers?: object, body?: string|Buffer, after_ms?: number}} Reply
 * @typedef {(request: any) => Reply|Promise<Reply>} Answer
 */

/**
 * Starts one. `answer(request)` gets `{method, path, query, headers, body, text, count}`, where `count` is how often
 * this request id was sent, and returns what is answered: a text, or `{status, headers, body, after_ms}`, or "hang", or
 * "cut".
 * @param {Answer} [answer]
 */
export async function predictor(answer = (request) => `result of ${request.text}`) {
  const counts = new Map();
  /** @type {any} */
  const made = { requests: [], running: 0, most: 0, aborted: 0, answer };
  const server = http.createServer(async (incoming, outgoing) => {
    made.most = Math.max(made.most, ++made.running);
    outgoing.once("close", () => {
      made.running--;
      made.aborted += outgoing.writableFinished ? 0 : 1;
    });
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const url = new URL(incoming.url, "http://x");
    const id = incoming.headers["x-request-id"] ?? incoming.headers["webhook-id"] ?? "";
    const count = (counts.get(id) ?? 0) + 1;
    counts.set(id, count);
    const request = {
      method: incoming.method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: incoming.headers,
      body,
      text: body.toString(),
      count,
      at_ms: Date.now(),
    };
    made.requests.push(request);
    const reply = await made.answer(request);
    if (reply === "hang") return;
    if (reply === "cut") return incoming.socket.destroy();
    const {
      status = 200,
      headers,
      body: said = "",
      after_ms,
    } = typeof reply === "string" || reply instanceof Buffer ? { body: reply } : reply;
    if (after_ms) await sleep(after_ms);
    outgoing.writeHead(status, /** @type {http.OutgoingHttpHeaders} */ ({ "Content-Type": "text/plain", ...headers }));
    outgoing.end(said);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  made.port = /** @type {import("node:net").AddressInfo} */ (server.address()).port;
  made.url = `http://127.0.0.1:${made.port}`;
  made.counts = counts;
  made.stop = () =>
    new Promise((resolve) => {
      server.close(() => resolve(undefined));
      server.closeAllConnections();
    });
  return made;
}
