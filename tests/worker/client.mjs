// A client for tests: requests as the official clients send them, frames read by hand, a watcher over a socket or a
// body.
import assert from "node:assert/strict";
import net from "node:net";
import WebSocket from "ws";
import { sleep } from "../../tools/lib.mjs";

export const PROTOBUF = "application/vnd.google.protobuf";
/** Nothing in these tests may take longer than this, except where it says so. */
const PATIENCE_MS = 15_000;

/** Fields of a protobuf message as [number, value]: varints as numbers, the rest as Buffers. */
export function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("the message ends in a varint");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = varint();
    if ((key & 7) === 0) yield [key >> 3, varint()];
    else if ((key & 7) === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new Error("the message is cut");
      yield [key >> 3, bytes.subarray(at, (at += length))];
    } else throw new Error(`wire type ${key & 7}`);
  }
}

function pair(bytes) {
  const entry = { 1: "", 2: "" };
  for (const [number, value] of fields(bytes)) entry[number] = String(value);
  return [entry[1], entry[2]];
}

export function decodeFrame(bytes) {
  const frame = { index: 0, tags: {}, data: Buffer.alloc(0) };
  for (const [number, value] of fields(bytes)) {
    if (number === 1) frame.index = value;
    else if (number === 2) Object.assign(frame.tags, Object.fromEntries([pair(value)]));
    else if (number === 3) frame.data = value;
    else throw new Error(`a frame has no field ${number}`);
  }
  return frame;
}

export const decodeList = (bytes) =>
  [...fields(bytes)].map(([number, value]) => (assert.equal(number, 1), decodeFrame(value)));
export const decodeAttributes = (bytes) =>
  Object.fromEntries([...fields(bytes)].map(([number, value]) => (assert.equal(number, 1), pair(value))));

const query = (params) => {
  const text = new URLSearchParams(params).toString();
  return text ? `?${text}` : "";
};

/** One queue of a running service, as one consumer. */
export class Client {
  /**
   * @param {{url: string, token: string}} service
   * @param {string} queue
   * @param {{user?: string, group?: string, rear?: boolean}} [who]
   */
  constructor(service, queue, { user, group, rear = false } = {}) {
    this.service = service;
    this.path = `/api/predict/${queue}`;
    /** @type {Record<string, string>} */
    this.headers = {
      Authorization: service.token,
      ...(user && { "X-EAS-QueueService-Uid": user }),
      ...(group && { "X-EAS-QueueService-Gid": group }),
      ...(rear && { "X-EAS-QueueService-Access-Rear": "true" }),
    };
  }

  /**
   * The raw answer, with its whole body as `bytes` and `text`. On a connection of its own: the service closes one that
   * is idle for five seconds, and a busy machine may send on it just then.
   * @param {string} method
   * @param {Record<string, any>} [params]
   * @param {{body?: any, headers?: Record<string, string>, path?: string, patience_ms?: number}} [options]
   * @returns {Promise<{status: number, headers: Headers, bytes: Buffer, text: string}>}
   */
  async ask(method, params = {}, { body, headers = {}, path = "", patience_ms = PATIENCE_MS } = {}) {
    const answer = await fetch(`${this.service.url}${this.path}${path}${query(params)}`, {
      method,
      body,
      headers: { Connection: "close", ...this.headers, ...headers },
      signal: AbortSignal.timeout(patience_ms),
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, headers: answer.headers, bytes, text: bytes.toString() };
  }

  /** @param {Parameters<Client["ask"]>} args */
  async #ok(...args) {
    const answer = await this.ask(...args);
    assert.equal(answer.status, 200, `${args[0]} ${JSON.stringify(args[1])}: ${answer.status} ${answer.text}`);
    return answer;
  }

  /** Puts and returns the index. A body made of a string has no content type, as with the Python client. */
  async put(data, params = {}, headers = {}) {
    const answer = await this.#ok("POST", params, { body: Buffer.from(data), headers });
    assert.match(answer.text, /^[1-9]\d*$/);
    return Number(answer.text);
  }

  async puts(count, text = (i) => `entry ${i}`) {
    const indexes = [];
    for (let i = 0; i < count; i++) indexes.push(await this.put(text(i)));
    return indexes;
  }

  /** Frames, by protobuf. */
  async get(params = {}) {
    const answer = await this.ask("GET", { _raw_: "false", ...params }, { headers: { Accept: PROTOBUF } });
    if (answer.status === 204) return [];
    assert.equal(answer.status, 200, answer.text);
    return decodeList(answer.bytes);
  }

  async commit(...indexes) {
    assert.equal((await this.#ok("PUT", { _indexes_: indexes.join(",") })).text, "OK");
  }

  async reject(indexes, code, reason) {
    const body = new URLSearchParams({ _code_: code, _reason_: reason });
    assert.equal(
      (await this.#ok("PUT", { _indexes_: [indexes].flat().join(","), _negative_: "true" }, { body })).text,
      "OK",
    );
  }

  async attributes() {
    return JSON.parse((await this.#ok("GET", { _attrs_: "true" })).text);
  }

  async length() {
    return Number((await this.attributes())["stream.length"]);
  }

  async set(settings) {
    assert.equal((await this.#ok("PUT", { _settings_: "true" }, { body: JSON.stringify(settings) })).text, "OK");
  }

  /** Asks for a fault; see faults/faults.mjs. */
  fault(name, method = "POST", params = {}, body = undefined) {
    return this.ask(method, params, { body, headers: { "X-Edgequeue-Fault": name } });
  }

  /** What the object has read and written so far: `{rows_written, rows_read, alarms_set, memory_bytes}`. */
  async measured() {
    const answer = await this.ask("GET", { _attrs_: "true" }, { headers: { "X-Edgequeue-Fault": "rows" } });
    assert.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text);
  }

  /** Watches by WebSocket. */
  async watch(params = {}, { headers = {} } = {}) {
    const url = `${this.service.url.replace("http", "ws")}${this.path}${query({ _watch_: "true", ...params })}`;
    const watcher = new Watcher(
      new WebSocket(url, { headers: { ...this.headers, ...headers }, perMessageDeflate: false }),
    );
    await watcher.opened;
    return watcher;
  }

  /** Watches by an endless body. */
  async stream(params = {}, { headers = {} } = {}) {
    const control = new AbortController();
    const answer = await fetch(`${this.service.url}${this.path}${query({ _watch_: "true", ...params })}`, {
      headers: { ...this.headers, ...headers },
      signal: control.signal,
    });
    return new StreamWatcher(answer, control);
  }
}

/** What arrives, to be waited for in order. */
class Inbox {
  #arrived = [];
  #waiting = [];

  push(item) {
    const taker = this.#waiting.shift();
    if (taker) taker(item);
    else this.#arrived.push(item);
  }

  async take(patience_ms = PATIENCE_MS, what = "a frame") {
    if (this.#arrived.length > 0) return this.#arrived.shift();
    let timer;
    const taken = new Promise((resolve) => this.#waiting.push(resolve));
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${what} did not come within ${patience_ms} ms`)), patience_ms);
    });
    try {
      return await Promise.race([taken, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  get waiting() {
    return this.#arrived.length;
  }
}

export class Watcher {
  /** The socket, with what `ws` keeps to itself. @type {any} */
  socket;
  #inbox = new Inbox();
  opcodes = [];

  constructor(socket) {
    this.socket = socket;
    this.opened = new Promise((resolve, reject) => {
      socket.once("open", resolve).once("error", reject);
      socket.once("unexpected-response", (_, answer) => {
        let text = "";
        answer
          .on("data", (chunk) => {
            text += chunk;
          })
          .on("end", () => {
            reject(Object.assign(new Error(`${answer.statusCode} ${text}`), { status: answer.statusCode, text }));
          });
      });
    });
    socket.on("message", (bytes, binary) => this.#inbox.push(binary ? decodeFrame(bytes) : { text: String(bytes) }));
    this.closed = new Promise((resolve) => {
      const done = (code, reason) => resolve({ code, reason: String(reason) });
      socket.once("close", done);
      // The close frame itself: the connection may end seconds later.
      socket.once("open", () => socket._receiver.once("conclude", done));
    });
    socket.on("error", () => {});
  }

  frame(patience_ms) {
    return this.#inbox.take(patience_ms);
  }

  async frames(count) {
    const frames = [];
    while (frames.length < count) frames.push(await this.frame());
    return frames;
  }

  async indexes(count) {
    return (await this.frames(count)).map((frame) => frame.index);
  }

  /** Fails if anything arrives within the time. */
  async quiet(ms = 300) {
    await sleep(ms);
    assert.equal(this.#inbox.waiting, 0, "a frame came that should not have");
  }

  /** What a cut cable or a killed process does: no close frame. */
  drop() {
    this.socket._socket.resetAndDestroy();
  }

  async close() {
    this.socket.close(1000);
    return this.closed;
  }
}

class StreamWatcher {
  #inbox = new Inbox();

  constructor(answer, control) {
    this.answer = answer;
    this.status = answer.status;
    this.control = control;
    this.ended = this.#read();
  }

  async #read() {
    let bytes = Buffer.alloc(0);
    try {
      for await (const chunk of this.answer.body) {
        bytes = Buffer.concat([bytes, chunk]);
        while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
          const length = bytes.readUInt32BE(0);
          assert.notEqual(length, 0, "a length of zero ends the official client");
          this.#inbox.push(decodeFrame(bytes.subarray(4, 4 + length)));
          bytes = bytes.subarray(4 + length);
        }
      }
      return bytes.length === 0 ? "end" : "cut";
    } catch (error) {
      return error.name === "AbortError" ? "left" : "broken";
    }
  }

  frame(patience_ms) {
    return this.#inbox.take(patience_ms);
  }

  async frames(count) {
    const frames = [];
    while (frames.length < count) frames.push(await this.frame());
    return frames;
  }

  leave() {
    this.control.abort();
  }
}

/**
 * Sends bytes and reads whatever comes back until `done` says so or the other end closes; the socket stays yours.
 * @param {number} port
 * @param {string|Buffer} bytes
 * @param {(seen: Buffer) => boolean} [done]
 */
export async function raw(port, bytes, done = () => false) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  let seen = Buffer.alloc(0);
  const finished = new Promise((resolve, reject) => {
    const timer = setTimeout(
      () =>
        reject(new Error(`no answer; so far ${seen.length} bytes: ${JSON.stringify(String(seen.subarray(0, 300)))}`)),
      PATIENCE_MS,
    );
    const end = () => {
      clearTimeout(timer);
      resolve(seen);
    };
    socket.on("data", (chunk) => {
      seen = Buffer.concat([seen, chunk]);
      if (done(seen)) end();
    });
    socket.on("close", end);
  });
  socket.write(bytes);
  return { socket, answer: finished };
}

/** Waits until something holds. */
export async function eventually(what, check, patience_ms = PATIENCE_MS) {
  const until = Date.now() + patience_ms;
  for (;;) {
    const last = await check();
    if (last === true) return;
    if (Date.now() > until) throw new Error(`${what}: not within ${patience_ms} ms; at last: ${JSON.stringify(last)}`);
    await sleep(50);
  }
}

/**
 * Something takes less than `ms`: at the first try or, as others use this machine too, at one of the next. What is slow
 * by itself is slow each time. `act` is told the number of the try and may say how long it took, where that is not all
 * of it.
 */
export async function within(ms, act) {
  const took = [];
  while (took.length < 5) {
    const began = performance.now();
    const told = await act(took.length);
    took.push(told ?? performance.now() - began);
    if (took.at(-1) < ms) return;
  }
  assert.fail(`${took.map(Math.round)} ms, and not once less than ${ms} ms`);
}

let queues = 0;
/** A queue nobody used yet. */
export const fresh = (service, options = {}) =>
  new Client(service, `q${process.pid}-${++queues}${options.sink ? "/sink" : ""}`, options);
