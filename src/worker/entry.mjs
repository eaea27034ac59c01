// What the platform loads: hands every event to the compiled module, and survives its death.
//
// A panic or trap leaves a wasm instance in an unknown state, and the calls inside it would never be answered. So every
// call is registered here; when the instance dies, all of them are answered, a fresh instance takes over, and each
// object is opened again from its storage by the next event that reaches it: the same way as after sleep.
import * as rust from "../../build/worker/edgequeue.js";

/** How to give up on each call that is inside the instance now, and on each endless body it feeds. */
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
    for (const giveUp of lost) giveUp(new InstanceDied());
    console.error(`edgequeue: a fault ended instance ${generation}; ${lost.length} call(s) inside it failed, a new one took over`);
  });
}

// The panic hook of the `worker` crate sets this flag; other traps (out of memory, stack overflow) surface as errors.
Object.defineProperty(rust.__worker_init_state(), "criticalError", { get: () => dying, set: (value) => value && died() });
const trapped = (error) => error instanceof WebAssembly.RuntimeError && died();
addEventListener("error", (event) => trapped(event.error));
addEventListener("unhandledrejection", (event) => trapped(event.reason));

/** Runs `enter`, a call into the instance, so that it ends even if the instance does not. */
async function call(enter) {
  // A call that arrives between a death and its burial waits for the new instance.
  if (dying) await null;
  return new Promise((resolve, reject) => {
    live.add(reject);
    const leave = (settle) => (outcome) => {
      live.delete(reject);
      settle(outcome);
    };
    try {
      enter().then(leave(resolve), leave(reject));
    } catch (error) {
      trapped(error);
      if (!dying) leave(reject)(error);
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
  if (!response.body || response.status !== 200 || !request.url.includes("_watch_")) return response;
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const end = (error) => writer.abort(error).catch(() => {});
  live.add(end);
  feed(response.body.getReader(), writer).catch(() => {}).finally(() => live.delete(end));
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

function refuse(error) {
  if (!(error instanceof InstanceDied)) console.error("edgequeue:", error);
  // The platform marks what came from an object that is busy or just moving.
  if (error.overloaded || error.retryable) {
    return new Response("The queue is busy; try again in a moment.\n", { status: 503, headers: { "Retry-After": "1" } });
  }
  return new Response("The service met an internal error. What was acknowledged is stored; try this request again.\n", { status: 500 });
}

export default {
  /** One synchronous call into the instance: nothing of the request stays in it while the object answers. */
  async fetch(request, env) {
    try {
      if (dying) await null;
      const answer = await rust.fetch(request, env);
      if (answer.status >= 400) await discard(request);
      return answer;
    } catch (error) {
      trapped(error);
      return refuse(error);
    }
  },
};

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

  #call(enter) {
    return call(() => {
      if (this.#generation !== generation) {
        this.#object = new rust.QueueObject(this.#state, this.#env);
        this.#generation = generation;
      }
      return enter(this.#object);
    });
  }

  fetch(request) {
    return this.#call((object) => object.fetch(request)).then(async (response) => {
      if (response.status >= 400) await discard(request);
      return endWithInstance(request, response);
    }).catch(refuse);
  }

  /** A failed alarm is thrown on: the platform then tries it again. */
  alarm() {
    return this.#call((object) => object.alarm());
  }

  // Nobody waits for the outcome of a socket event, and the socket itself is still good.
  webSocketMessage(socket, message) {
    return this.#call((object) => object.webSocketMessage(socket, message)).catch(refuse).then(() => {});
  }

  webSocketClose(socket, code, reason, clean) {
    return this.#call((object) => object.webSocketClose(socket, code, reason, clean)).catch(refuse).then(() => {});
  }

  webSocketError(socket, error) {
    return this.#call((object) => object.webSocketError(socket, error)).catch(refuse).then(() => {});
  }
}
