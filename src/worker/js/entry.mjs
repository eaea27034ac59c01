// The module that the platform loads: the Worker, and the class of its objects. Both pass every event to the compiled
// module, and survive the death of its instance.
import * as rust from "./edgequeue.js";
import { idOf } from "./connections.mjs";
import { Host } from "./host.mjs";
import { discard, headOf, headersOf, shortBody } from "./http.mjs";
import { InstanceDied, isDying, trapped } from "./instance.mjs";

/** The answer to a request that failed with an error. */
function refuse(error) {
  if (!(error instanceof InstanceDied)) console.error("edgequeue:", error);
  // The write itself failed. The platform dropped the answers that waited for it, and restarted the object.
  if (/SQLITE_(FULL|IOERR)/.test(error.message)) {
    const text = "The disk is full or failing; nothing of this request was kept. Make room, then try it again.\n";
    return new Response(text, { status: 507 });
  }
  // The platform marks errors of an object that is busy or just moving.
  if (error.overloaded || error.retryable) {
    const text = "The queue is busy; try again in a moment.\n";
    return new Response(text, { status: 503, headers: { "Retry-After": "1" } });
  }
  const text = "The service met an internal error. What was acknowledged is stored; try this request again.\n";
  return new Response(text, { status: 500 });
}

/** The answer with the headers that let a page of another origin read it, where the deployment allows that. */
function readable(request, env, answer) {
  const list = env.EDGEQUEUE_ALLOWED_ORIGINS;
  return !list || answer.webSocket ? answer : withOrigin(request, list, answer);
}

async function withOrigin(request, list, answer) {
  while (isDying()) await null;
  const open = new Response(answer.body, answer);
  const headers = headersOf(rust.origin_headers(list, request.headers.get("Origin") ?? undefined));
  for (const [name, value] of Object.entries(headers)) open.headers.append(name, value);
  return open;
}

/** The parts of a request by which the Worker decides: for most requests only the token. */
function shortHeadOf(request) {
  const token = request.method === "OPTIONS" ? null : request.headers.get("Authorization");
  return token === null ? headOf(request) : `${request.method}\n${request.url}\nAuthorization: ${token}`;
}

export default {
  /** One synchronous call into the instance, so that nothing of the request stays there while the object answers. */
  fetch(request, env) {
    if (isDying()) return Promise.resolve().then(() => this.fetch(request, env));
    try {
      const answer = rust.fetch(request, shortHeadOf(request), env);
      // The object's answer, or our own: then the body is still unread.
      const answered = answer instanceof Promise ? answer : discard(request).then(() => answer);
      return answered.then(
        (answer) => readable(request, env, answer),
        (error) => readable(request, env, refuse(error)),
      );
    } catch (error) {
      trapped(error);
      return readable(request, env, refuse(error));
    }
  },
};

/** The Durable Object of one queue. It gets a new host whenever the living instance has none. */
export class QueueObject {
  #state;
  #env;
  #host;

  constructor(state, env) {
    this.#state = state;
    this.#env = env;
  }

  /** The host, or the promise of one between the death of an instance and its replacement. */
  #living() {
    if (isDying()) return Promise.resolve().then(() => this.#living());
    if (!this.#host?.isCurrent) this.#host = new Host(this.#state, this.#env);
    return this.#host;
  }

  async fetch(request) {
    try {
      let body = shortBody(request);
      if (body instanceof Promise) body = await body;
      let host = this.#living();
      if (host instanceof Promise) host = await host;
      const response = await host.fetch(request, body);
      if (response.status >= 400) await discard(request);
      return response;
    } catch (error) {
      return refuse(error);
    }
  }

  /** Throws if the alarm fails, so that the platform tries it again. */
  async alarm() {
    const host = await this.#living();
    return host.alarm();
  }

  webSocketMessage(socket, message) {
    const host = this.#living();
    if (host instanceof Promise) return host.then((living) => living.message(socket, message));
    host.message(socket, message);
  }

  async webSocketClose(socket, code, reason) {
    const host = await this.#living();
    host.closed(idOf(socket));
    try {
      // Without our half of the closing handshake the client waits ten seconds and reports a broken connection. 1005,
      // 1006 and 1015 only ever describe a close.
      socket.close([1005, 1006, 1015].includes(code) ? 1000 : code, reason);
    } catch {
      // It is closed already.
    }
  }

  async webSocketError(socket) {
    const host = await this.#living();
    host.closed(idOf(socket));
  }
}
