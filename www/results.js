// The one reader of the sink: everybody on the page who wants to see results listens here. It reads along and takes nothing.

/** Results that were there before the page came, and those that a panel shows when it is opened later. */
const RECENT_MAX = 100;
const RECENT_BYTES_MAX = 4 * 1024 * 1024;

/** @typedef {import("./pkg/edgequeue.js").Frame} Frame */

/** Events: `frame` with the frame as `detail`; `state` with the tail's state. */
export class Results extends EventTarget {
  /** Newest last. @type {Frame[]} */
  recent = [];
  /** @type {import("./pkg/edgequeue.js").WatchState} */
  state = { name: "connecting" };
  #bytes = 0;

  /** @param {import("./app.js").Clients} clients @param {AbortSignal} signal */
  constructor(clients, signal) {
    super();
    this.#follow(clients.sink, signal);
  }

  /** @param {import("./pkg/edgequeue.js").QueueClient} sink @param {AbortSignal} signal */
  async #follow(sink, signal) {
    try {
      const { "stream.lastEntry": last } = await sink.attributes({ signal });
      const start = Math.max(0, Number(last) - RECENT_MAX + 1);
      const tail = sink.tail({ start, signal, onState: (state) => this.#become(state) });
      for await (const frame of tail) this.#take(frame);
    } catch (error) {
      if (!signal.aborted) this.#become({ name: "closed", error: /** @type {any} */ (error) });
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
