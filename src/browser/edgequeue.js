// The client that pages import; edgequeue.d.ts describes it. Options become plain values here, and results become
// objects; requests, answers and watches are the compiled module's.
import load, * as core from "./glue.js";
import { QueueError } from "./classes.js";
import { ask, parsed, send } from "./http.js";
import { Watch } from "./watch.js";
import { addressOf, big, bytes, flat, integer, list, printable, priorityOf } from "./values.js";

export { QueueError, Watch };
/** For tests alone. */
export { panicForTests } from "./glue.js";

const TIMEOUT_MS = 30_000;
/** Indexes in one request: an address must stay short. */
const INDEXES_MAX = 300;
/** Entries of one look of a tail, and how long one look waits. */
const TAIL_ENTRIES = 500;
const TAIL_WAIT_MS = 25_000;

/** @typedef {import("./edgequeue.js").Cancellable} Cancellable */
/** @typedef {import("./edgequeue.js").Index | Iterable<import("./edgequeue.js").Index>} Indexes */

/** @type {Promise<void> | null} */
let loading = null;
let isLoaded = false;

export default function init(source) {
  loading ??= load({ module_or_path: source ?? new URL("edgequeue.wasm", import.meta.url) }).then(
    () => {
      isLoaded = true;
    },
    (error) => {
      loading = null;
      throw error;
    },
  );
  return loading;
}

const refuse = (text) => new QueueError("invalid_argument", text);

/**
 * The tags of an entry that is put, with those that have options of their own.
 * @param {{ tags?: Record<string, string>, requestId?: string, callback?: string }} options
 */
const tagsOf = ({ tags, requestId, callback }) =>
  flat({
    ...tags,
    ...(requestId !== undefined && { requestId }),
    ...(callback !== undefined && { callback }),
  });

const text = (answer) => answer.text();

export class QueueClient {
  #core;
  #options;
  /** Whether the service is an edgequeue, once that is known. */
  #isOurs;

  /** @param {import("./edgequeue.js").ClientOptions} options */
  constructor(options) {
    if (!isLoaded) throw refuse("the module is not loaded yet: await init() first");
    const { url, token = "", group = "default_group", rear = false, timeout = TIMEOUT_MS, protocol = "auto" } = options;
    const user = options.user ?? `web-${Math.random().toString(36).slice(2, 10)}`;
    printable({ token, group, user });
    if (!["auto", "eas"].includes(protocol)) throw refuse(`protocol is auto or eas, not ${protocol}`);
    const [secure, authority, path] = addressOf(url);
    this.#core = new core.Requests(secure, authority, path, token, group, user, Boolean(rear));
    this.#options = { url: this.#core.url(), token, group, user, rear: Boolean(rear), timeout, protocol };
  }

  get url() {
    return this.#options.url;
  }
  get group() {
    return this.#options.group;
  }
  get user() {
    return this.#options.user;
  }
  get isRear() {
    return this.#options.rear;
  }

  sink() {
    return new QueueClient({ ...this.#options, url: this.#core.sinkUrl() });
  }

  rear() {
    return new QueueClient({ ...this.#options, rear: true });
  }

  /** Sends a request; `read` makes a value of the answer. */
  #ask(signal, request, read, wait = 0) {
    return ask(request, read, signal, this.#options.timeout + wait);
  }

  async #done(signal, request) {
    await this.#ask(signal, request, text);
  }

  async #json(signal, request) {
    return parsed(await this.#ask(signal, request, text));
  }

  /**
   * @param {import("./edgequeue.js").Data} data
   * @param {import("./edgequeue.js").PutOptions} [options]
   */
  async put(data, options = {}) {
    const { priority = 0, requestId, contentType, path = "", signal } = options;
    const request = this.#core.put(tagsOf(options), priorityOf(priority), path, contentType);
    request.body = data instanceof Blob ? data : await bytes(data);
    const receipt = await this.#ask(signal, request, (answer) => answer.receipt());
    // In the answer's header it may be encoded.
    return requestId ? { ...receipt, requestId } : receipt;
  }

  /**
   * @param {Iterable<import("./edgequeue.js").Data | import("./edgequeue.js").Entry>} entries
   * @param {Pick<import("./edgequeue.js").PutOptions, "tags" | "priority" | "signal">} [options]
   */
  async putMany(entries, { tags = {}, priority = 0, signal } = {}) {
    const isEntry = (entry) => Object.hasOwn(Object(entry), "data");
    /** @type {import("./edgequeue.js").Entry[]} */
    const all = Array.from(entries, (entry) => /** @type {any} */ (isEntry(entry) ? entry : { data: entry }));
    if (all.length === 0) return [];
    if (!(await this.#takesBatches(signal))) {
      const receipts = [];
      for (const { data, ...own } of all) {
        receipts.push(await this.put(data, { priority, ...own, tags: { ...tags, ...own.tags }, signal }));
      }
      return receipts;
    }
    const batch = new core.PutBatch();
    for (const entry of all) {
      batch.add(
        await bytes(entry.data),
        tagsOf(entry),
        entry.priority === undefined ? undefined : priorityOf(entry.priority),
      );
    }
    const request = this.#core.putBatch(batch, flat(tags), priorityOf(priority));
    return this.#ask(signal, request, (answer) => answer.receipts(all.length));
  }

  async #takesBatches(signal) {
    if (this.#options.protocol === "eas") return false;
    this.#isOurs ??= (await this.attributes({ signal }))["meta.backend"] === "edgequeue";
    return this.#isOurs;
  }

  /** @param {import("./edgequeue.js").GetOptions} [options] */
  async get({ start = 0, count = 1, wait = 0, remove = false, tags = {}, requestId, signal } = {}) {
    integer({ count, wait });
    const request = this.#core.get(
      start === "newest" ? undefined : big(start),
      count,
      wait,
      remove,
      tagsOf({ tags, requestId }),
    );
    return this.#ask(signal, request, (answer) => answer.entries(), wait);
  }

  /** @param {Cancellable} [options] */
  async attributes({ signal } = {}) {
    return this.#json(signal, this.#core.attributes());
  }

  /** @param {import("./edgequeue.js").Index} index @param {Cancellable} [options] */
  async search(index, { signal } = {}) {
    try {
      const position = await this.#json(signal, this.#core.search(big(index)));
      return { consumerId: position.ConsumerId, isPending: position.IsPending, waitCount: position.WaitCount };
    } catch (cause) {
      const error = /** @type {any} */ (cause);
      if (error.code === "not_found") return null;
      throw error;
    }
  }

  /** @param {import("./edgequeue.js").CountOptions} [options] */
  async count({ priority, tags = {}, signal } = {}) {
    const request = this.#core.count(priority === undefined ? undefined : priorityOf(priority), flat(tags));
    return this.#ask(signal, request, (answer) => answer.count());
  }

  /** A request for each part of a long list. */
  async #each(signal, indexes, request) {
    const all = list(indexes);
    for (let at = 0; at < all.length; at += INDEXES_MAX) {
      await this.#done(signal, request(all.slice(at, at + INDEXES_MAX)));
    }
  }

  /** @param {Indexes} indexes @param {Cancellable} [options] */
  async delete(indexes, { signal } = {}) {
    await this.#each(signal, indexes, (part) => this.#core.delete(part));
  }

  /** @param {import("./edgequeue.js").Index} below @param {Cancellable} [options] */
  async truncate(below, { signal } = {}) {
    await this.#done(signal, this.#core.truncate(big(below)));
  }

  /** @param {Indexes} indexes @param {Cancellable} [options] */
  async commit(indexes, { signal } = {}) {
    await this.#each(signal, indexes, (part) => this.#core.commit(part));
  }

  /** @param {Indexes} indexes @param {string} [code] @param {string} [reason] @param {Cancellable} [options] */
  async negative(indexes, code = "", reason = "", { signal } = {}) {
    await this.#each(signal, indexes, (part) => this.#core.negative(part, code, reason));
  }

  /** @param {Cancellable & { force?: boolean }} [options] */
  async end({ force = false, signal } = {}) {
    await this.#done(signal, this.#core.end(force));
  }

  /** @param {Cancellable} [options] */
  async settings({ signal } = {}) {
    return this.#json(signal, this.#core.settings());
  }

  /** @param {Record<string, string | number | boolean>} settings @param {Cancellable} [options] */
  async configure(settings, { signal } = {}) {
    await this.#done(
      signal,
      this.#core.configure(Object.entries(settings).flatMap(([key, value]) => [key, String(value)])),
    );
  }

  /** @param {string} requestId @param {Cancellable} [options] */
  async status(requestId, { signal } = {}) {
    const request = this.#core.ofRequest(requestId, false);
    return parsed(await this.#ask(signal, request, (answer) => answer.textOrUnknown()));
  }

  /** @param {string} requestId @param {Cancellable} [options] */
  async cancel(requestId, { signal } = {}) {
    return this.#json(signal, this.#core.ofRequest(requestId, true));
  }

  /** @param {import("./edgequeue.js").WatchOptions} [options] */
  watch(options = {}) {
    const { window = 10, start = 0, autoCommit = false, indexOnly = false, tags = {} } = options;
    integer({ window });
    const from = start === "newest" ? undefined : big(start);
    const filter = flat(tags);
    const isOn = { eas: this.#options.protocol === "eas", autoCommit, indexOnly };
    const modes = Object.keys(isOn).filter((name) => isOn[name]);
    const begin = (attributes, window, observer) =>
      new core.Watching(this.#core, attributes, window, from, modes, filter, observer);
    const attributes = (signal) => send(this.#core.attributes(), signal);
    return new Watch(this, begin, attributes, this.#options.timeout, options);
  }

  /** @param {import("./edgequeue.js").TailOptions} [options] */
  async *tail({ start = "newest", tags = {}, signal, onState } = {}) {
    let next = start === "newest" ? null : big(start);
    let [idle, attempt, told] = [false, 0, ""];
    const retry = new core.Retry(Math.random());
    const tell = (state) => {
      if (state.name !== "reconnecting" && state.name === told) return;
      told = state.name;
      onState?.(state);
    };
    tell({ name: "connecting" });
    try {
      for (;;) {
        try {
          next ??= BigInt((await this.attributes({ signal }))["stream.lastEntry"] ?? 0) + 1n;
          // What is there is taken in large steps; then the next one is waited for.
          const look = idle ? { count: 1, wait: TAIL_WAIT_MS } : { count: TAIL_ENTRIES };
          if (told === "connecting" || !idle) tell({ name: "open", transport: "poll" });
          const frames = await this.get({ ...look, start: next, tags, signal });
          tell({ name: "open", transport: "poll" });
          attempt = 0;
          retry.reset();
          idle = frames.length === 0;
          for (const frame of frames) {
            next = BigInt(frame.index) + 1n;
            yield frame;
          }
        } catch (cause) {
          const error = /** @type {any} */ (cause);
          if (!["unavailable", "unreachable", "timeout", "full"].includes(error?.code)) throw error;
          const wait = retry.nextMs();
          attempt += 1;
          idle = false;
          tell({ name: "reconnecting", reason: error.message, nextTryAt: Date.now() + wait, attempt });
          await pause(wait, signal);
        }
      }
    } catch (error) {
      tell({ name: "closed", error });
      throw error;
    } finally {
      retry.free();
      tell({ name: "closed" });
    }
  }
}

/** Waits, unless the signal fires first. @returns {Promise<void>} */
const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
