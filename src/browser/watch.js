// A watch as an async iterable: what the module hands out waits here until the page takes it.
import { Frame, QueueError, whileAlive } from "./classes.js";
import { HttpAnswer } from "./glue.js";
import { parsed, within } from "./http.js";
import { Link } from "./link.js";

/** @typedef {import("./glue.js").Observer} Observer */

/**
 * Under auto commit nothing but the page's own pace bounds what waits: above the first of each the service is asked to
 * stop, and at the second to go on. Otherwise the window is the bound.
 */
const FULL = { frames: 2_000, bytes: 32 * 1024 * 1024 };
const ROOM = { frames: 500, bytes: 8 * 1024 * 1024 };

const NOTHING = new Float64Array(7);
/** @type {IteratorReturnResult<undefined>} */
const DONE = { value: undefined, done: true };
/**
 * A promise that may fail unheard: pages need not look at it.
 * @returns {{ promise: Promise<any>, resolve: (value?: any) => void, reject: (error?: any) => void }}
 */
function decision() {
  const made = /** @type {any} */ (Promise.withResolvers?.() ?? {});
  made.promise ??= new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {});
  return made;
}

class WatchedFrame extends Frame {
  #decider;
  #decided;

  constructor(decider, ...parts) {
    super(...parts);
    this.#decider = decider;
  }

  commit() {
    return this.#decide(null);
  }

  negative(code = "", reason = "") {
    return this.#decide([code, reason]);
  }

  #decide(refusal) {
    if (!this.#decided) {
      this.#decided = this.#decider.decide(this.index, refusal);
      // After a code that makes no sense, the frame can be decided again. Other failures concern only pages that look.
      this.#decided.catch((error) => {
        if (error.code === "invalid_argument") this.#decided = undefined;
      });
    }
    return this.#decided;
  }
}

export class Watch {
  #client;
  /** The module's side of it, once the service has said who it is. */
  #core = /** @type {import("./glue.js").Watching} */ (/** @type {unknown} */ (null));
  #link;
  #timer;
  #window;
  #autoCommit;
  #signal;
  #onState;
  #release;
  /** @type {import("./edgequeue.js").WatchState} */
  #state = { name: "connecting" };
  #frames = [];
  #bytes = 0;
  #isFull = false;
  #takers = [];
  /** Decisions that are not confirmed, by index. */
  #decisions = new Map();
  #resizes = [];
  #isLeft = false;
  /** Once the module is done with it. */
  #totals = /** @type {Float64Array | null} */ (null);
  /** Once it is over for the page: null, or what the loop throws. */
  #error;
  #over = decision();
  #decider = { decide: (index, refusal) => this.#decide(index, refusal) };

  /**
   * `begin` makes the module's side of it, of the attributes that `attributes` asks for.
   * @param {import("./edgequeue.js").QueueClient} client
   * @param {(attributes: string[], window: number, observer: Observer) => import("./glue.js").Watching} begin
   * @param {(signal: AbortSignal) => Promise<import("./http.js").Answer>} attributes
   * @param {number} timeout
   * @param {import("./edgequeue.js").WatchOptions} options
   */
  constructor(client, begin, attributes, timeout, { window = 10, autoCommit = false, signal, onState }) {
    signal?.throwIfAborted();
    this.#client = client;
    this.#autoCommit = autoCommit;
    this.#signal = signal;
    this.#onState = onState;
    this.#window = window;
    this.#release = whileAlive((error) => this.#end(error));
    this.#tell(this.#state);
    signal?.addEventListener("abort", this.#abort);
    this.#begin(begin, attributes, timeout).catch((error) => this.#end(error));
  }

  /**
   * @param {Function} begin
   * @param {(signal: AbortSignal) => Promise<import("./http.js").Answer>} attributes
   * @param {number} timeout
   */
  async #begin(begin, attributes, timeout) {
    const answered = new HttpAnswer(...(await within(undefined, timeout, attributes)));
    const flat = Object.entries(parsed(answered.text())).flat().map(String);
    if (this.#isLeft || this.#error !== undefined) return this.#end(null);
    const observer = {
      connect: (...args) => this.#link.connect(...args),
      stream: (...args) => this.#link.stream(...args),
      send: (message) => this.#link.send(message),
      say: (text) => this.#link.send(text),
      hangUp: () => this.#link.hangUp(),
      settle: (request) => void this.#link.settle(request),
      wake: (ms) => this.#wake(ms),
      frame: (index, tags, data) => this.#arrived([index, tags, data]),
      turned: (...parts) => this.#turned(...parts),
      settled: (indexes) => this.#settled(indexes),
      resized: (refusal) => this.#resized(refusal),
      over: (error) => this.#end(error ?? null),
    };
    this.#core = begin(flat, this.#window, observer);
    this.#link = new Link(this.#core, timeout, attributes);
    for (const resize of this.#resizes.splice(0)) resize.resolve();
    this.#core.woken();
  }

  #wake(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#core.woken(), Math.min(ms, 0x7fffffff));
  }

  get state() {
    return this.#state;
  }
  get waiting() {
    return this.#frames.length;
  }

  get totals() {
    const [shown, bytes, committed, rejected, returned, repeated, reconnects] =
      this.#totals ?? this.#core?.totals() ?? NOTHING;
    return { shown, bytes, committed, rejected, returned, repeated, reconnects };
  }

  async window(window) {
    if (this.#error !== undefined) throw new QueueError("closed", "the watch is over");
    if (!Number.isInteger(window) || window < 0)
      throw new QueueError("invalid_argument", `a window is a whole number from 0, not ${String(window)}`);
    this.#window = window;
    const resize = decision();
    // Before it has begun, this is the window it begins with.
    this.#core?.resize(window);
    this.#resizes.push(resize);
    return resize.promise;
  }

  async close() {
    this.#leave();
    await this.#over.promise;
  }

  [Symbol.asyncIterator]() {
    const iterator = {
      next: () => this.#next(),
      return: async () => {
        await this.close();
        return DONE;
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  #next() {
    if (this.#frames.length > 0) return Promise.resolve({ value: this.#take(), done: false });
    if (this.#error) {
      const error = this.#error;
      this.#error = null;
      return Promise.reject(error);
    }
    if (this.#error === null || this.#isLeft) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  #take() {
    const frame = this.#frames.shift();
    this.#bytes -= frame.data.length;
    if (this.#frames.length <= ROOM.frames && this.#bytes <= ROOM.bytes) this.#flow(false);
    return frame;
  }

  #flow(isFull) {
    if (!this.#autoCommit || isFull === this.#isFull) return;
    this.#isFull = isFull;
    // Not from within a call of the module.
    queueMicrotask(() => {
      if (this.#totals !== null) return;
      this.#link.isFull = this.#isFull;
      this.#core.flow(this.#isFull);
    });
  }

  /** @param {[index: bigint, tags: string[], data: Uint8Array<ArrayBuffer>]} parts */
  #arrived(parts) {
    if (this.#error !== undefined || (this.#isLeft && !this.#autoCommit)) return;
    const frame = new WatchedFrame(this.#decider, ...parts);
    const taker = this.#takers.shift();
    if (taker) {
      taker.resolve({ value: frame, done: false });
      return;
    }
    this.#bytes += frame.data.length;
    this.#frames.push(frame);
    if (this.#frames.length > FULL.frames || this.#bytes > FULL.bytes) this.#flow(true);
  }

  /**
   * Takes a decision to the service: `refusal` is null for a commit, else code and reason.
   * @param {import("./edgequeue.js").Index} index
   * @param {[code: string, reason: string] | null} refusal
   */
  #decide(index, refusal) {
    if (this.#autoCommit) return Promise.resolve();
    // It was handed back or the connection is gone, but what is done is done.
    if (this.#isLeft || this.#error !== undefined) {
      return this.#over.promise.then(() =>
        refusal ? this.#client.negative(index, ...refusal) : this.#client.commit(index),
      );
    }
    // One that was refused may have come again before that was confirmed.
    const [key, made] = [BigInt(index), this.#decisions.get(BigInt(index)) ?? decision()];
    this.#decisions.set(key, made);
    try {
      if (refusal) this.#core.negative(key, ...refusal);
      else this.#core.commit(key);
    } catch (error) {
      this.#decisions.delete(key);
      made.reject(error);
    }
    return made.promise;
  }

  #settled(indexes) {
    for (const index of indexes) {
      this.#decisions.get(index)?.resolve();
      this.#decisions.delete(index);
    }
  }

  #resized(refusal) {
    const resize = this.#resizes.shift();
    if (refusal) resize?.reject(refusal);
    else resize?.resolve();
  }

  #turned(name, reason, nextTry, attempt) {
    if (this.#error !== undefined) return;
    if (name === "session" || name === "stream") this.#tell({ name: "open", transport: name });
    else if (name === "reconnecting") this.#tell({ name, reason, nextTryAt: Date.now() + nextTry, attempt });
    else if (name !== this.#state.name) this.#tell({ name });
  }

  #tell(state) {
    this.#state = state;
    // The page's own code never runs inside a call of the module.
    if (this.#onState) queueMicrotask(() => this.#onState(state));
  }

  /** What was decided is still confirmed, and the rest handed back, but the page does not wait for it. */
  #abort = () => {
    if (this.#error !== undefined) return;
    this.#frames = [];
    this.#conclude(this.#signal.reason);
    this.#core?.leave();
  };

  #leave() {
    if (this.#isLeft || this.#error !== undefined) return;
    this.#isLeft = true;
    // Under auto commit no other consumer will ever see what waits here.
    if (!this.#autoCommit) this.#frames = [];
    for (const { resolve } of this.#takers.splice(0)) resolve(DONE);
    if (this.#core) this.#core.leave();
    else this.#conclude(null);
  }

  /** Nothing more comes from the module. */
  #end(error) {
    if (this.#totals !== null) return;
    this.#totals = NOTHING;
    this.#release();
    clearTimeout(this.#timer);
    this.#link?.end();
    const core = this.#core;
    if (core && !(error?.code === "internal")) {
      this.#totals = core.totals();
      // It may be in the middle of a call.
      queueMicrotask(() => core.free());
    }
    this.#conclude(error);
  }

  /** It is over for the page. */
  #conclude(error) {
    if (this.#error !== undefined) return;
    this.#error = error;
    // What others are given now must not be done here as well.
    if (error && !this.#autoCommit) this.#frames = [];
    this.#signal?.removeEventListener("abort", this.#abort);
    const cut = error ?? new QueueError("closed", "the watch was over before this was confirmed");
    for (const { reject } of [...this.#decisions.values(), ...this.#resizes.splice(0)]) reject(cut);
    this.#decisions.clear();
    for (const { resolve, reject } of this.#takers.splice(0)) {
      if (error) reject(error);
      else resolve(DONE);
    }
    this.#tell(error ? { name: "closed", error } : { name: "closed" });
    this.#over.resolve(undefined);
  }
}
