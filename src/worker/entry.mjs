// What the platform loads: hands every event to the compiled module, and survives its death.
//
// A panic or trap leaves a wasm instance in an unknown state, and the calls inside it would never be answered. So every
// call is registered here; when the instance dies, all of them are answered, a fresh instance takes over, and each
// object is opened again from its storage by the next event that reaches it: the same way as after sleep.
import * as rust from "../../build/worker/edgequeue.js";

/** Each call that is inside the instance now, and each endless body it feeds; `giveUp` ends one with an error. */
const live = new Set();
/** Counts instances; an object made by an older one is made anew. */
let generation = 0;
let dying = false;

class InstanceDied extends Error {
  constructor() {
    super("the wasm instance died");
  }
}

/** The instance must not be used any more. Its own frames may still be on the stack, so it is replaced a little later. */
function died() {
  if (dying) return;
  dying = true;
  queueMicrotask(() => {
    dying = false;
    generation += 1;
    rust.__wbg_reset_state();
    const lost = [...live];
    live.clear();
    for (const one of lost) one.giveUp(new InstanceDied());
    console.error(`edgequeue: a fault ended instance ${generation}; ${lost.length} call(s) inside it failed, a new one took over`);
  });
}

// The panic hook of the `worker` crate sets this flag; other traps (out of memory, stack overflow) surface as errors.
Object.defineProperty(rust.__worker_init_state(), "criticalError", { get: () => dying, set: (value) => value && died() });
const trapped = (error) => error instanceof WebAssembly.RuntimeError && died();
addEventListener("error", (event) => trapped(event.error));
addEventListener("unhandledrejection", (event) => trapped(event.reason));

/** A call into the instance. It is settled by the instance, or given up when that dies. */
class Call {
  constructor(resolve, reject) {
    this.resolve = resolve;
    this.reject = reject;
    live.add(this);
  }

  done(outcome) {
    live.delete(this);
    this.resolve(outcome);
  }

  giveUp(error) {
    live.delete(this);
    this.reject(error);
  }

  /** Called by the instance: an answer with a short text. It comes with its headers in one, as each text costs a call. */
  text(status, answer) {
    try {
      const end = answer.indexOf("\n\n");
      this.done(new Response(answer.slice(end + 2), { status, headers: named(answer.slice(0, end)) }));
    } catch (error) {
      this.giveUp(error);
    }
  }

  /** Called by the instance: an answer with bytes, which are the instance's own and must be copied, or with none. */
  bytes(status, headers, body) {
    try {
      this.done(new Response(body?.slice(), { status, headers: named(headers) }));
    } catch (error) {
      this.giveUp(error);
    }
  }
}

/** Headers from lines. */
function named(lines) {
  const headers = {};
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) headers[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return headers;
}

/** Runs `enter` with a call that it settles. A call that arrives between a death and its burial waits for the new instance. */
function call(enter) {
  if (dying) return Promise.resolve().then(() => call(enter));
  return new Promise((resolve, reject) => {
    const one = new Call(resolve, reject);
    try {
      enter(one);
    } catch (error) {
      trapped(error);
      // A dying instance takes all calls with it.
      if (!dying) one.giveUp(error);
    }
  });
}

/** Hands a body on; ends when either side does. A reader whose instance died never comes back from its read. */
async function feed(reader, writer) {
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return await writer.close();
      await writer.write(value);
    }
  } catch (error) {
    await Promise.allSettled([reader.cancel(error), writer.abort(error)]);
  }
}

/** The instance feeds the body of an HTTP watch for as long as it lives; its clients must notice when it does not. */
function endWithInstance(request, response) {
  if (request.method !== "GET" || response.status !== 200 || !request.url.includes("_watch_") || !response.body) return response;
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const watched = { giveUp: (error) => writer.abort(error).catch(() => {}) };
  live.add(watched);
  feed(response.body.getReader(), writer).catch(() => {}).finally(() => live.delete(watched));
  return new Response(readable, response);
}

/** What is read of a body that nobody wants, in bytes. */
const DISCARD_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Reads what a refused request still sends. An answer in the middle of a body makes proxies and clients that are still
 * sending report a broken connection instead of it.
 */
async function discard(request) {
  if (!request.body || request.bodyUsed) return;
  const reader = request.body.getReader();
  for (let left = DISCARD_BYTES_MAX; left > 0;) {
    const { done, value } = await reader.read();
    if (done) return;
    left -= value.byteLength;
  }
}

/** A body up to this many bytes is read before the instance is called; longer ones it reads itself, within its limits. */
const SHORT_BODY_BYTES_MAX = 256 * 1024;

/** The body of a request that says that it has a short one, or the promise of it; `undefined` for other requests. */
function shortBody(request) {
  const length = request.headers.get("Content-Length");
  if (length === null || !(Number(length) <= SHORT_BODY_BYTES_MAX)) return undefined;
  // The connection may break in the middle; then the instance finds out and says so.
  return length === "0" ? NOTHING : request.arrayBuffer().then((body) => new Uint8Array(body), () => undefined);
}

const NOTHING = new Uint8Array();

function refuse(error) {
  if (!(error instanceof InstanceDied)) console.error("edgequeue:", error);
  // The write itself failed: the platform let none of the answers out that waited for it, and began the object anew.
  if (/SQLITE_(FULL|IOERR)/.test(error.message)) {
    return new Response("The disk is full or failing; nothing of this request was kept. Make room, then try it again.\n", { status: 507 });
  }
  // The platform marks what came from an object that is busy or just moving.
  if (error.overloaded || error.retryable) {
    return new Response("The queue is busy; try again in a moment.\n", { status: 503, headers: { "Retry-After": "1" } });
  }
  return new Response("The service met an internal error. What was acknowledged is stored; try this request again.\n", { status: 500 });
}

/** Method, address and headers in one text, a line each: every text that crosses into the instance costs a call. */
function headOf(request) {
  let head = `${request.method}\n${request.url}`;
  for (const [name, value] of request.headers) head += `\n${name}: ${value}`;
  return head;
}

/** The answer with what a page of another origin needs to read it, in a deployment that allows some. */
function readable(request, env, answer) {
  const list = env.EDGEQUEUE_ALLOWED_ORIGINS;
  return !list || answer.webSocket ? answer : withOrigin(request, list, answer);
}

async function withOrigin(request, list, answer) {
  if (dying) await null;
  const open = new Response(answer.body, answer);
  const headers = named(rust.origin_headers(list, request.headers.get("Origin") ?? undefined));
  for (const [name, value] of Object.entries(headers)) open.headers.append(name, value);
  return open;
}

/** What the Worker decides by: of most requests nothing but the token. */
function shortHeadOf(request) {
  const token = request.method === "OPTIONS" ? null : request.headers.get("Authorization");
  return token === null ? headOf(request) : `${request.method}\n${request.url}\nAuthorization: ${token}`;
}

export default {
  /** One synchronous call into the instance: nothing of the request stays in it while the object answers. */
  fetch(request, env) {
    if (dying) return Promise.resolve().then(() => this.fetch(request, env));
    try {
      const answer = rust.fetch(request, shortHeadOf(request), env);
      // The object's answer, or our own: then nobody has read the body.
      const answered = answer instanceof Promise ? answer : discard(request).then(() => answer);
      return answered.then((answer) => readable(request, env, answer), (error) => readable(request, env, refuse(error)));
    } catch (error) {
      trapped(error);
      return readable(request, env, refuse(error));
    }
  },
};

/** Works off an object's desk: the instance takes its turns, the clerk waits in between. */
class Clerk {
  #storage;
  #object;
  #born = generation;

  constructor(storage, object) {
    this.#storage = storage;
    this.#object = object;
  }

  /** A promise, as the platform's `queueMicrotask` costs twenty times as much. */
  begin() {
    Promise.resolve().then(() => this.#work());
  }

  async #work() {
    try {
      while (!dying && this.#born === generation) {
        switch (this.#object.step()) {
          case rust.Wait.Idle:
            return;
          case rust.Wait.Moment:
            await new Promise((resolve) => setTimeout(resolve, 0));
            break;
          case rust.Wait.Turn: // nothing waits to become durable then, and the answer comes with the next turn
          case rust.Wait.Disk:
            await this.#storage.sync();
        }
      }
    } catch (error) {
      // Whatever was thrown, it left the instance in the middle of something. A write that fails is not seen here: the
      // platform then lets nothing out and begins the object anew.
      console.error("edgequeue:", error);
      died();
    }
  }
}

/** The Durable Object class: a new Rust object whenever there is none from the living instance. */
export class QueueObject {
  #state;
  #env;
  #object;
  #generation = -1;

  constructor(state, env) {
    this.#state = state;
    this.#env = env;
  }

  /** The object in the living instance. */
  #living() {
    if (this.#generation !== generation) {
      this.#object = new rust.QueueObject(this.#state, this.#env);
      this.#object.employ(new Clerk(this.#state.storage, this.#object));
      this.#generation = generation;
    }
    return this.#object;
  }

  /** Calls a method that returns a promise. */
  #call(enter) {
    return call((one) => {
      enter(this.#living()).then((outcome) => one.done(outcome), (error) => one.giveUp(error));
    });
  }

  async fetch(request) {
    try {
      let body = shortBody(request);
      if (body instanceof Promise) body = await body;
      let quick = true;
      const response = await call((one) => {
        const object = this.#living();
        quick = object.quick(one, headOf(request), body);
        if (!quick) object.fetch(request).then((response) => one.done(response), (error) => one.giveUp(error));
      });
      if (response.status >= 400) await discard(request);
      return quick ? response : endWithInstance(request, response);
    } catch (error) {
      return refuse(error);
    }
  }

  /** A failed alarm is thrown on: the platform then tries it again. */
  alarm() {
    return this.#call((object) => object.alarm());
  }

  // Nobody waits for the outcome of a socket event, and the socket itself is still good.
  webSocketMessage(socket, message) {
    if (dying || typeof message === "string") {
      return this.#call((object) => object.webSocketMessage(socket, message)).catch(refuse).then(() => {});
    }
    try {
      this.#living().message(socket, new Uint8Array(message));
    } catch (error) {
      trapped(error);
      refuse(error);
    }
  }

  webSocketClose(socket, code, reason, clean) {
    return this.#call((object) => object.webSocketClose(socket, code, reason, clean)).catch(refuse).then(() => {});
  }

  webSocketError(socket, error) {
    return this.#call((object) => object.webSocketError(socket, error)).catch(refuse).then(() => {});
  }
}
