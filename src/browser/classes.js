// The values that the module and the page's side both make, and what becomes of a page whose instance of the module
// dies.

/** Every error of the client has a `code` that a program can switch on; edgequeue.d.ts lists them. */
export class QueueError extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.name = "QueueError";
    this.code = code;
    this.status = status;
  }
}

/** An index as pages see it: a number as long as that is exact. Where two are equal, they are `===`. */
export const index = (big) => (big <= Number.MAX_SAFE_INTEGER ? Number(big) : big);

const decoder = new TextDecoder();

/** An entry. */
export class Frame {
  /** `flat`: names and values of tags, taking turns. */
  constructor(big, flat, data) {
    this.index = index(big);
    this.tags = {};
    // Not by assignment, which would lose a tag of the name __proto__.
    const tag = (value) => ({ value, writable: true, enumerable: true, configurable: true });
    for (let at = 0; at < flat.length; at += 2) Object.defineProperty(this.tags, flat[at], tag(flat[at + 1]));
    this.data = data;
  }

  get requestId() {
    return this.tags.requestId ?? "";
  }

  /** Entries of a sink carry both stamps: that of the request, and their own. */
  get putAt() {
    const stamp = this.tags["ts@sink"] ?? this.tags["ts@source"];
    return stamp === undefined ? undefined : Number(stamp);
  }

  text() {
    return decoder.decode(this.data);
  }

  json() {
    return JSON.parse(this.text());
  }
}

// What the module calls.
export function request(method, url, headers, body) {
  const pairs = new Headers();
  for (let at = 0; at < headers.length; at += 2) pairs.set(headers[at], headers[at + 1]);
  return { url, method, headers: pairs, body: body.length > 0 ? body : undefined };
}
export const frame = (big, flat, data) => new Frame(big, flat, data);
export const receipt = (big, requestId) => ({ index: index(big), requestId });
export const now = () => performance.now();

/**
 * The error of an instance that died. A panic leaves its memory in an unknown state, so it is not entered again.
 * @type {QueueError | null}
 */
let dead = null;
let fault = "";
/** Gives up whatever waits for the instance: functions that take the error. */
const live = new Set();

/** Called by the module when it panics; the trap follows. */
export const noteFault = (message) => {
  fault = message;
};

function die(error) {
  dead ??= new QueueError("internal", `a fault of the edgequeue client (${fault || error.message}); reload the page`);
  const lost = [...live];
  live.clear();
  for (const giveUp of lost) giveUp(dead);
  return dead;
}

/** Calls `giveUp` with the error if the instance dies before the function that is returned was called. */
export function whileAlive(giveUp) {
  if (dead) throw dead;
  live.add(giveUp);
  return () => live.delete(giveUp);
}

/** The exports of the instance behind the only door there is into it; the generated script is made to use it. */
export function guarded(exports) {
  const guard =
    (name, call) =>
    (...args) => {
      if (dead) {
        // Nothing is left to be freed, and the garbage collector must not meet an error.
        if (name.endsWith("_free")) return undefined;
        throw dead;
      }
      try {
        return call(...args);
      } catch (error) {
        // Traps, and a stack that is used up. What imported functions throw passes through.
        throw error instanceof WebAssembly.RuntimeError || error instanceof RangeError ? die(error) : error;
      }
    };
  const entries = Object.entries(exports).map(([name, value]) => [
    name,
    typeof value === "function" ? guard(name, value) : value,
  ]);
  return Object.fromEntries(entries);
}
