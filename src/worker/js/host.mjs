// The platform of one object, as its shell in the instance sees it. It carries out the shell's calls
// (`src/worker/host.rs`) and passes events on to it. The shell gets the host with each call and never keeps it, so that
// both are freed when the object sleeps.
import * as rust from "./edgequeue.js";
import { Socket, Stream, idOf, whenAborted } from "./connections.mjs";
import { OutboundCall } from "./egress.mjs";
import { headOf, headersOf, readBody, textResponse } from "./http.mjs";
import { current, died, isDying, register, unregister } from "./instance.mjs";

/** A request inside the instance. The instance settles it; if the instance dies, the request is given up. */
class Call {
  constructor(request, resolve, reject) {
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
    register(this);
  }

  settle(response) {
    unregister(this);
    this.resolve(response);
  }

  giveUp(error) {
    unregister(this);
    this.reject(error);
  }
}

/**
 * The newest host of each object. The garbage collector does not see the instance's memory behind a host, and may leave
 * the hosts of sleeping objects for long. So an object that wakes up frees its last host itself.
 * @type {Map<string, WeakRef<Host>>}
 */
const hosts = new Map();
const collected = new FinalizationRegistry((/** @type {string} */ id) => {
  if (hosts.get(id)?.deref() === undefined) hosts.delete(id);
});

export class Host {
  #state;
  #env;
  #shell;
  #born = current();
  #last = 0;
  #calls = new Map();
  #connections = new Map();
  #fetches = new Map();
  #timer;
  #alarm;

  constructor(state, env) {
    this.#state = state;
    this.#env = env;
    const id = state.id.toString();
    const before = hosts.get(id)?.deref();
    if (before) before.#free();
    hosts.set(id, new WeakRef(this));
    collected.register(this, id);
    this.#shell = new rust.Shell(state, env);
  }

  /** The object slept, and another host has taken over: the shell of this one is freed at once. */
  #free() {
    if (!this.isCurrent) return;
    this.#shell.free();
    this.#shell = undefined;
  }

  /** Whether its instance lives, and no other host has taken over. */
  get isCurrent() {
    return this.#born === current() && this.#shell !== undefined;
  }

  // Events, passed on to the instance.

  /** Answers a request. `body` is given if it is short and complete. */
  fetch(request, body) {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#calls.set(id, new Call(request, resolve, reject));
      this.#enter((shell) => shell.request(this, id, headOf(request), body));
    });
  }

  message(socket, message) {
    const id = idOf(socket);
    if (id === undefined) return;
    if (!this.#connections.has(id)) this.#connections.set(id, new Socket(socket));
    if (typeof message === "string") this.#enter((shell) => shell.text(this, id));
    else this.#enter((shell) => shell.message(this, id, new Uint8Array(message)));
  }

  /** The client closed a socket, or it broke. */
  closed(id) {
    if (id !== undefined) this.#gone(id);
  }

  /** Resolves when everything due is done. After a failure the platform tries the alarm again. */
  alarm() {
    return new Promise((resolve, reject) => {
      this.#alarm = { settle: resolve, giveUp: reject };
      register(this.#alarm);
      this.#enter((shell) => shell.alarm(this));
    });
  }

  #gone(id) {
    this.#connections.delete(id);
    this.#enter((shell) => shell.closed(this, id));
  }

  /** Enters the instance, and begins the wait that it asks for. */
  #enter(enter) {
    if (isDying() || !this.isCurrent) return;
    try {
      const wait = enter(this.#shell);
      if (wait !== rust.Wait.None) this.#drive(wait);
    } catch (error) {
      // Whatever was thrown, the instance is in an unknown state.
      console.error("edgequeue:", error);
      died();
    }
  }

  /** Waits between turns. Only one wait is under way at a time. */
  async #drive(wait) {
    try {
      while (wait !== rust.Wait.None) {
        switch (wait) {
          case rust.Wait.Soon: // a promise, as the platform's `queueMicrotask` costs twenty times as much
            await null;
            break;
          case rust.Wait.Moment:
            await new Promise((resolve) => setTimeout(resolve, 0));
            break;
          case rust.Wait.Turn: // nothing waits to become durable then, and the answer comes with the next turn
          case rust.Wait.Durable:
            await this.#state.storage.sync();
        }
        if (isDying() || !this.isCurrent) return;
        wait = this.#shell.waited(this);
      }
    } catch (error) {
      // A write that fails does not end here: the platform then lets nothing out and restarts the object.
      console.error("edgequeue:", error);
      died();
    }
  }

  // Calls of the shell. None may throw, or enter the instance before it has returned.

  #later(enter) {
    Promise.resolve().then(() => this.#enter(enter));
  }

  #settle(id, make) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    try {
      call?.settle(make());
    } catch (error) {
      call?.giveUp(error);
    }
  }

  answerText(id, status, answer) {
    this.#settle(id, () => textResponse(status, answer));
  }

  /** `body` is the instance's own memory and must be copied. */
  answer(id, status, headers, body) {
    this.#settle(id, () => new Response(body?.slice(), { status, headers: headersOf(headers) }));
  }

  hold(id) {
    whenAborted(this.#calls.get(id).request.signal, () => {
      if (!this.#calls.has(id)) return;
      // Nobody reads it, and the instance gives no other answer.
      this.#settle(id, () => new Response(null, { status: 204 }));
      this.#enter((shell) => shell.gone(this, id));
    });
  }

  readBody(id, max) {
    const { request } = this.#calls.get(id);
    readBody(request, max).then(
      (body) => this.#enter((shell) => shell.body(this, id, body)),
      (error) => this.#enter((shell) => shell.body_failed(this, id, error.message)),
    );
  }

  accept(id, connection, transport, subprotocol) {
    const { signal } = this.#calls.get(id).request;
    this.#settle(id, () => {
      try {
        const [accepted, response] =
          transport === "stream"
            ? Stream.accept(signal, () => this.#gone(connection))
            : Socket.accept(this.#state, connection, subprotocol, transport === "session");
        this.#connections.set(connection, accepted);
        return response;
      } catch (error) {
        this.#later((shell) => shell.closed(this, connection));
        throw error;
      }
    });
  }

  /**
   * The bytes are copied first: the message may wait for a write to become durable, and by then the instance's memory
   * holds something else.
   */
  send(connection, bytes) {
    try {
      this.#connections.get(connection)?.send(bytes.slice());
    } catch {
      this.#later(() => this.#gone(connection));
    }
  }

  close(connection, code, reason) {
    const closing = this.#connections.get(connection);
    this.#connections.delete(connection);
    try {
      closing?.close(code, reason);
    } catch {
      // It is closed already.
    }
  }

  keep(connection, bytes) {
    try {
      this.#connections.get(connection)?.keep(connection, bytes.slice());
    } catch {
      // It is closed already.
    }
  }

  /** Every open socket as `[id, bytes]`, in no particular order, those from before a sleep included. */
  sockets() {
    const sockets = [];
    for (const socket of this.#state.getWebSockets()) {
      const kept = socket.deserializeAttachment();
      if (!kept) continue;
      sockets.push(kept);
      this.#connections.set(kept[0], new Socket(socket));
    }
    return sockets;
  }

  /** When the platform last answered a ping on each connection, in Unix milliseconds; 0 if it never did. */
  heartbeats(connections) {
    return connections.map((connection) => this.#connections.get(connection)?.heartbeat(this.#state) ?? 0);
  }

  askAlarm() {
    this.#state.storage
      .getAlarm()
      .then(
        (at) => at,
        () => null,
      )
      .then((at) => this.#enter((shell) => shell.alarm_set(this, at ?? undefined)));
  }

  setAlarm(at) {
    this.#state.storage.setAlarm(at).catch(() => {});
  }

  alarmDone(error) {
    unregister(this.#alarm);
    if (error === undefined) this.#alarm.settle();
    else this.#alarm.giveUp(new Error(error));
  }

  /** Sets the timer to a time in Unix milliseconds, or stops it, as a timer keeps the object awake. */
  setTimer(at) {
    clearTimeout(this.#timer);
    if (at === undefined) return;
    this.#timer = setTimeout(() => this.#enter((shell) => shell.timer(this)), Math.max(0, at - Date.now()));
  }

  /** `body` is the instance's own memory and must be copied. */
  fetchOutside(id, target, name, method, url, headers, body) {
    const call = new OutboundCall();
    this.#fetches.set(id, call);
    call.begin(this.#env, target, name, method, url, headers, body.slice()).then(
      () => this.#news(id, (shell) => shell.begun(this, id, call.status, call.length)),
      (error) => this.#failed(id, error),
    );
  }

  readOutside(id, max) {
    const call = this.#fetches.get(id);
    call?.read(max).then(
      (body) => {
        this.#news(id, (shell) => shell.answered(this, id, call.status, call.contentType, body, call.cut));
        this.#fetches.delete(id);
        if (call.cut) call.abort();
      },
      (error) => this.#failed(id, error),
    );
  }

  abortOutside(id) {
    this.#fetches.get(id)?.abort();
    this.#fetches.delete(id);
  }

  /** News of a call that was given up is dropped. */
  #news(id, enter) {
    if (this.#fetches.has(id)) this.#enter(enter);
  }

  #failed(id, error) {
    this.#news(id, (shell) => shell.failed(this, id, error?.message ?? String(error)));
    this.#fetches.delete(id);
  }

  log(line) {
    console.error(`edgequeue: ${line}`);
  }
}
