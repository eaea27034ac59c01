// The worker on the page: takes entries from the input queue as a consumer with a window, lets the function infer them,
// puts results into the sink under the same request id, and commits. A result is stored before its request is
// committed, so a page that is closed in between loses nothing; at worst a request is inferred twice.
import { InferenceError, Pool } from "./pool.js";

const RETRY_MS = 500;
const RETRY_MS_MAX = 10_000;
const REASON_LENGTH_MAX = 500;
/** Tags that tell of the request's own way and not of its result. */
const OWN_TAGS = new Set(["requestId", "Header:Content-Type", "lastCode", "lastReason", "ts@sink"]);
/** What passes by itself: the sink was full, the service away. */
const PASSING = new Set(["full", "unavailable", "unreachable", "timeout"]);

/** @typedef {import("../pkg/edgequeue.js").WatchedFrame} WatchedFrame */
/**
 * @typedef {{done: number, silent: number, failed: number, running: number, waitingForSink: boolean, lastError: string,
 *   state: string}} Progress
 */

/** Event: `change`, whenever something in `progress` does. */
export class Inference extends EventTarget {
  /** @type {Progress} */
  progress = { done: 0, silent: 0, failed: 0, running: 0, waitingForSink: false, lastError: "", state: "starting" };
  /** @type {import("../pkg/edgequeue.js").Watch|null} */
  #watch = null;
  #stopped = false;

  /**
   * Runs until `stop()`; throws when the function cannot be loaded or the watch ends with an error.
   * @param {{input: import("../pkg/edgequeue.js").QueueClient, code: string, window: number, timeoutMs: number}}
   *   options
   */
  async run({ input, code, window, timeoutMs }) {
    const pool = await Pool.open(code);
    try {
      if (this.#stopped) return;
      this.#watch = input.watch({
        window,
        onState: (state) =>
          this.#tell({ state: state.name === "reconnecting" ? `reconnecting: ${state.reason}` : state.name }),
      });
      const sink = input.sink();
      for await (const frame of this.#watch) this.#handle(frame, pool, sink, timeoutMs);
    } finally {
      pool.close();
      this.#stopped = true;
      this.#tell({ state: "stopped", running: 0 });
    }
  }

  /** What is not finished is handed back to the queue. */
  async stop() {
    this.#stopped = true;
    await this.#watch?.close();
  }

  /**
   * @param {WatchedFrame} frame
   * @param {Pool} pool
   * @param {import("../pkg/edgequeue.js").QueueClient} sink
   * @param {number} timeoutMs
   */
  async #handle(frame, pool, sink, timeoutMs) {
    this.#tell({ running: this.progress.running + 1 });
    try {
      const outcome = await pool.run(frame, timeoutMs);
      if (this.#stopped) return;
      const stored = !outcome.data || (await this.#store(frame, outcome, sink));
      if (!stored) return;
      frame.commit().catch(() => {});
      this.#tell(outcome.data ? { done: this.progress.done + 1 } : { silent: this.progress.silent + 1 });
    } catch (error) {
      if (this.#stopped) return;
      const { message } = /** @type {Error} */ (error);
      const code = error instanceof InferenceError ? error.code : "Exception";
      frame.negative(code, message.slice(0, REASON_LENGTH_MAX)).catch(() => {});
      this.#tell({ failed: this.progress.failed + 1, lastError: `entry ${frame.index}: ${message}` });
    } finally {
      this.#tell({ running: Math.max(0, this.progress.running - 1) });
    }
  }

  /**
   * Puts a result, for as long as it takes; the entry keeps its place in the window meanwhile, so a full sink stops the
   * intake.
   * @returns {Promise<boolean>} false when the worker was stopped before
   */
  async #store(
    /** @type {WatchedFrame} */ frame,
    /** @type {import("./pool.js").Outcome} */ outcome,
    /** @type {import("../pkg/edgequeue.js").QueueClient} */ sink,
  ) {
    const tags = Object.fromEntries(Object.entries(frame.tags).filter(([key]) => !OWN_TAGS.has(key)));
    let data = /** @type {Uint8Array<ArrayBuffer>|string} */ (outcome.data ?? "");
    for (let pause = RETRY_MS; !this.#stopped; pause = Math.min(pause * 2, RETRY_MS_MAX)) {
      try {
        await sink.put(data, { tags, requestId: frame.requestId, ...(outcome.type && { contentType: outcome.type }) });
        this.#tell({ waitingForSink: false });
        return true;
      } catch (error) {
        const { code, message } = /** @type {import("../pkg/edgequeue.js").QueueError} */ (error);
        if (code === "too_large" && tags.lastCode !== "413") {
          // The one who asked must learn of it: a small entry takes the result's place.
          tags.lastCode = "413";
          tags.lastReason = `the result has ${data.length} bytes, more than the sink takes`;
          data = tags.lastReason;
          outcome = { type: "text/plain; charset=utf-8" };
        } else if (PASSING.has(code)) {
          this.#tell({ waitingForSink: true, lastError: `the sink: ${message}` });
          await new Promise((resolve) => setTimeout(resolve, pause));
        } else {
          throw error;
        }
      }
    }
    return false;
  }

  /** @param {Partial<Progress>} changes */
  #tell(changes) {
    Object.assign(this.progress, changes);
    this.dispatchEvent(new Event("change"));
  }
}
