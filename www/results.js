// The one reader of the sink: everybody on the page who wants to see results listens here. It reads along and takes
// nothing.

/** Results that were there before the page came, and those that a panel shows when it is opened later. */
const RECENT_MAX = 100;
const RECENT_BYTES_MAX = 4 * 1024 * 1024;
const BACKLOG_MAX = 50;
/** A page that nobody sees stops reading after this long: a request that waits keeps the queue awake. */
const HIDDEN_MS = 60_000;
const RETRY_MS = 3_000;

/** @typedef {import("./pkg/edgequeue.js").Frame} Frame */
/** @typedef {import("./pkg/edgequeue.js").QueueClient} QueueClient */

/**
 * Where to begin to see the newest entries of a queue, but not more of them than are quickly loaded.
 * @param {Record<string, string>} attributes
 */
export function recentStart(attributes) {
  const [last, length, bytes] = ["lastEntry", "length", "bytes"].map((name) =>
    Number(attributes[`stream.${name}`] ?? 0),
  );
  const each = length > 0 ? bytes / length : 0;
  return Math.max(0, last - Math.min(BACKLOG_MAX, Math.floor(RECENT_BYTES_MAX / Math.max(1, each))) + 1);
}

/** Events: `frame` with the frame as `detail`; `state` with the tail's state. */
export class Results extends EventTarget {
  /** Newest last. @type {Frame[]} */
  recent = [];
  /** @type {import("./pkg/edgequeue.js").WatchState} */
  state = { name: "connecting" };
  #bytes = 0;
  /** @type {number|bigint|null} */
  #next = null;

  /** @param {import("./app.js").Clients} clients @param {AbortSignal} signal */
  constructor(clients, signal) {
    super();
    this.#follow(clients.sink, signal);
  }

  /** @param {QueueClient} sink @param {AbortSignal} signal */
  async #follow(sink, signal) {
    while (!signal.aborted) {
      const sleeping = new AbortController();
      let hiding = 0;
      const look = () => {
        clearTimeout(hiding);
        if (document.hidden) hiding = window.setTimeout(() => sleeping.abort(), HIDDEN_MS);
      };
      document.addEventListener("visibilitychange", look, { signal: sleeping.signal });
      look();
      try {
        await this.#read(sink, AbortSignal.any([signal, sleeping.signal]));
      } catch (error) {
        if (!signal.aborted && !sleeping.signal.aborted) {
          this.#become({ name: "closed", error: /** @type {any} */ (error) });
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
      sleeping.abort();
      clearTimeout(hiding);
      if (document.hidden && !signal.aborted)
        await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true, signal }));
    }
  }

  /** @param {QueueClient} sink @param {AbortSignal} signal */
  async #read(sink, signal) {
    this.#next ??= recentStart(await sink.attributes({ signal }));
    for await (const frame of sink.tail({ start: this.#next, signal, onState: (state) => this.#become(state) })) {
      this.#next = typeof frame.index === "bigint" ? frame.index + 1n : frame.index + 1;
      this.#take(frame);
    }
  }

  /** @param {import("./pkg/edgequeue.js").WatchState} state */
  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  /** @param {Frame} frame */
  #take(frame) {
    this.recent.push(frame);
    this.#bytes += frame.data.length;
    while (this.recent.length > RECENT_MAX || (this.#bytes > RECENT_BYTES_MAX && this.recent.length > 1)) {
      this.#bytes -= /** @type {Frame} */ (this.recent.shift()).data.length;
    }
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }
}
