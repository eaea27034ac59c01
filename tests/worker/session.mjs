// A client of the protocol `edgequeue.v1` for tests: protobuf written and read by hand, as docs/protocol.md describes
// it.
import assert from "node:assert/strict";
import WebSocket from "ws";
import { decodeFrame, fields } from "./client.mjs";

export const SUBPROTOCOL = "edgequeue.v1";

function varint(value) {
  const bytes = [];
  for (value = BigInt(value); value >= 0x80n; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(value)]);
}
const zigzag = (value) => varint(value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value));
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
export const bytes = (field, value) => {
  const body = Buffer.from(value);
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
};
const steps = (indexes) => bytes(1, Buffer.concat(indexes.map((index, i) => zigzag(index - (indexes[i - 1] ?? 0)))));

/** One entry: a string, a Buffer, or { data, tags, priority }. */
export function encodeEntry(entry) {
  const { data, tags = {}, priority } = typeof entry === "string" || Buffer.isBuffer(entry) ? { data: entry } : entry;
  const pairs = Object.entries(tags).map(([key, value]) => bytes(2, Buffer.concat([bytes(1, key), bytes(2, value)])));
  return Buffer.concat([
    ...pairs,
    bytes(3, data),
    ...(priority === undefined ? [] : [Buffer.concat([varint(5 << 3), zigzag(priority)])]),
  ]);
}

const put = (entries, requestIds) =>
  bytes(
    2,
    Buffer.concat([...entries.map((entry) => bytes(1, encodeEntry(entry))), ...(requestIds ? [number(2, 1)] : [])]),
  );
/** Requests of a client message. */
export const request = {
  put: (id, entries, requestIds = false) => bytes(1, Buffer.concat([number(1, id), put(entries, requestIds)])),
  commit: (id, indexes) => bytes(1, Buffer.concat([number(1, id), bytes(3, steps(indexes))])),
  reject: (id, indexes, code = "", reason = "") =>
    bytes(
      1,
      Buffer.concat([number(1, id), bytes(4, Buffer.concat([steps(indexes), bytes(2, code), bytes(3, reason)]))]),
    ),
  window: (id, window) => bytes(1, Buffer.concat([number(1, id), number(5, window)])),
};

export function decodeAnswer(encoded) {
  const answer = { id: 0, status: 0, text: "", first: 0, requestIds: [] };
  for (const [field, value] of fields(encoded)) {
    if (field === 1) answer.id = value;
    else if (field === 2) answer.status = value;
    else if (field === 3) answer.text = String(value);
    else if (field === 4) answer.first = value;
    else if (field === 5) answer.requestIds.push(String(value));
    else throw new Error(`an answer has no field ${field}`);
  }
  return answer;
}

/** An open session. `frames` are what was pushed and not taken yet, `messages` counts what came. */
export class Session {
  static async open(client, params = {}) {
    const query = new URLSearchParams({ _watch_: "true", ...params });
    const session = new Session();
    session.socket = new WebSocket(
      `${client.service.url.replace("http", "ws")}${client.path}?${query}`,
      [SUBPROTOCOL],
      { headers: client.headers },
    );
    session.socket.on("message", (data, binary) => session.#hear(data, binary));
    await new Promise((resolve, reject) => session.socket.once("open", resolve).once("error", reject));
    assert.equal(session.socket.protocol, SUBPROTOCOL);
    // The close frame itself: the connection below it may stay for half a minute longer.
    session.closed = new Promise((resolve) => {
      /** @type {any} */ (session.socket)._receiver.once("conclude", (code, reason) => resolve([code, String(reason)]));
      session.socket.once("close", (code, reason) => resolve([code, String(reason)]));
    });
    return session;
  }

  /** @type {WebSocket} */
  socket;
  /** @type {Promise<[number, string]>} */
  closed;
  frames = [];
  texts = [];
  messages = 0;
  #ids = 0;
  #answers = new Map();
  #refusals = [];
  /** @type {(value?: any) => void} */
  #wake = () => {};

  #hear(data, binary) {
    this.messages += 1;
    if (!binary) this.texts.push(String(data));
    else {
      for (const [field, value] of fields(data)) {
        if (field === 2) this.frames.push(decodeFrame(value));
        else {
          const answer = decodeAnswer(value);
          if (answer.id === 0) this.#refusals.push(answer);
          else this.#answers.set(answer.id, answer);
        }
      }
    }
    this.#wake();
  }

  async #until(found, what, patience_ms = 10_000) {
    const until = Date.now() + patience_ms;
    for (;;) {
      const value = found();
      if (value !== undefined) return value;
      if (Date.now() > until) throw new Error(`no ${what} within ${patience_ms} ms`);
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 100);
      });
    }
  }

  id() {
    return (this.#ids += 1);
  }

  send(...requests) {
    this.socket.send(Buffer.concat(requests));
  }

  answer(id) {
    return this.#until(() => this.#answers.get(id), `answer ${id}`);
  }

  refusal() {
    return this.#until(() => this.#refusals.shift(), "refusal");
  }

  /** Exactly `count` frames. */
  take(count) {
    return this.#until(
      () => (this.frames.length >= count ? this.frames.splice(0, count) : undefined),
      `${count} frames`,
    );
  }

  text() {
    return this.#until(() => this.texts.shift(), "text");
  }

  /** Sends one request and returns its answer. */
  async ask(verb, ...args) {
    const id = this.id();
    this.send(request[verb](id, ...args));
    return this.answer(id);
  }

  /** The same, for what must be done. */
  async done(verb, ...args) {
    const answer = await this.ask(verb, ...args);
    assert.equal(answer.status, 0, answer.text);
    return answer;
  }

  async close() {
    this.socket.close();
    return this.closed;
  }
}
