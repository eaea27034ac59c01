// What pages give, checked, in the form that the module takes.
import { QueueError } from "./classes.js";

const refuse = (text) => new QueueError("invalid_argument", text);
const encoder = new TextEncoder();

/** An index. A number that may have lost digits is refused rather than sent. */
export function big(index) {
  const fits = typeof index === "bigint" ? index >= 0n && index < 2n ** 64n : Number.isSafeInteger(index) && index >= 0;
  if (!fits) throw refuse(`an index is a whole number from 0, beyond 2^53 - 1 as a bigint; not ${String(index)}`);
  return BigInt(index);
}

/** One index or many. */
export function list(indexes) {
  const isOne = ["number", "bigint"].includes(typeof indexes);
  if (!isOne && typeof indexes?.[Symbol.iterator] !== "function")
    throw refuse(`${String(indexes)} is neither an index nor a list of them`);
  return BigUint64Array.from(isOne ? [indexes] : indexes, big);
}

/** A priority. */
export function priorityOf(priority) {
  const fits = typeof priority === "bigint" ? BigInt.asIntN(64, priority) === priority : Number.isSafeInteger(priority);
  if (!fits) throw refuse(`a priority is a whole number, not ${String(priority)}`);
  return BigInt(priority);
}

/** Whole numbers from 0 that fit 32 bits. */
export function integer(values) {
  for (const [name, value] of Object.entries(values)) {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
      throw refuse(`${name} is a whole number from 0, not ${String(value)}`);
  }
}

/** Texts that headers can have. */
export function printable(values) {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== "string" || !/^[\x20-\x7e]*$/.test(value))
      throw refuse(`${name} is a text of printable ASCII characters`);
  }
}

/** Names and values of tags, taking turns. */
export function flat(tags) {
  return Object.entries(tags).flatMap(([name, value]) => {
    if (name.startsWith("_")) throw refuse(`the tag ${name} needs another name: those that begin with _ are reserved`);
    if (typeof value !== "string") throw refuse(`the tag ${name} is a text, not ${String(value)}`);
    return [name, value];
  });
}

/** Data as bytes; nothing is copied that is bytes already. */
export async function bytes(data) {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Blob) return new Uint8Array(await data.arrayBuffer());
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw refuse("data is a text, a Blob, an ArrayBuffer or a view of one");
}

/**
 * Of the address of a queue: whether it is encrypted, its host, its path.
 * @returns {[secure: boolean, authority: string, path: string]}
 */
export function addressOf(url) {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const parts = /** @type {Record<string, string>} */ (
    /** @type {unknown} */ (URL.canParse(url, base) ? new URL(url, base) : {})
  );
  const { protocol, host, pathname, search, hash, username, password } = parts;
  const wrong = (why) => refuse(`the url ${String(url)} ${why}`);
  if (!host) throw wrong("cannot be read as an address");
  if (!/^(https?|wss?):$/.test(protocol)) throw wrong("begins with neither http: nor https:");
  if (search || hash) throw wrong("must end with the path of the queue, without ? and #");
  if (username || password) throw wrong("must not contain a user name; the token is given on its own");
  return [protocol === "https:" || protocol === "wss:", host, pathname];
}
