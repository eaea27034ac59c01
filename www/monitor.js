// Asks the service how its queues are, more often while something happens, and keeps the last minutes of it.
import { fullness, parse } from "./model/attributes.js";
import { Depths } from "./model/depths.js";
import { Flow } from "./model/flow.js";
import { Waits } from "./model/waits.js";

/** How long a chart looks back. */
export const SPAN_MS = 300_000;
/** Between two questions: while something changes, after half a minute of rest, after five. */
const BUSY_MS = 1_000;
const CALM_MS = 5_000;
const QUIET_MS = 15_000;
const CALM_AFTER_MS = 30_000;
const QUIET_AFTER_MS = 300_000;
const TROUBLE_MS = 3_000;
/** The dead letters of the sink are rare: asked for at every fifth question. */
const RARELY = 5;

/**
 * @typedef {import("./model/health.js").Sample & {sinkIn: number, depth: import("./model/depths.js").Depth, waits:
 *   import("./model/waits.js").Percentiles|null}} Moment
 *
 * @typedef {object} View what is known of a service now
 * @property {import("./model/attributes.js").QueueState} input
 * @property {import("./model/attributes.js").QueueState} sink
 * @property {import("./model/attributes.js").QueueState} inputDead
 * @property {import("./model/attributes.js").QueueState} sinkDead
 * @property {{in: number, out: number}} inputFlow @property {{in: number, out: number}} sinkFlow
 */

/** Events: `moment` after each answer, `trouble` when there is none. */
export class Monitor extends EventTarget {
  /** @type {Moment[]} */
  moments = [];
  /** @type {View|null} */
  view = null;
  /** Why the last question had no answer. @type {Error|null} */
  trouble = null;
  waits = new Waits();
  depths = new Depths();
  #flows = { input: new Flow(), sink: new Flow() };
  #changedAt = Date.now();
  #questions = 0;
  #fingerprint = "";
  #timer = 0;
  /** The newest dead letter whose code is known. */
  #death = { index: 0, code: "" };

  /** @param {import("./app.js").Clients} clients @param {AbortSignal} signal */
  constructor(clients, signal) {
    super();
    this.clients = clients;
    this.signal = signal;
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    document.addEventListener("visibilitychange", () => this.hurry(), { signal });
    this.#run();
  }

  /** Somebody did something here: look at once, and often for a while. */
  hurry() {
    this.#changedAt = Date.now();
    clearTimeout(this.#timer);
    if (!this.signal.aborted) this.#timer = window.setTimeout(() => this.#run(), 100);
  }

  async #run() {
    clearTimeout(this.#timer);
    // A page that nobody sees asks nothing; it does when it is shown again.
    if (this.signal.aborted || document.hidden) return;
    try {
      await this.#ask();
      this.trouble = null;
      this.dispatchEvent(new Event("moment"));
    } catch (error) {
      if (this.signal.aborted) return;
      this.trouble = /** @type {Error} */ (error);
      this.dispatchEvent(new Event("trouble"));
    }
    if (this.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#run(), this.#pause());
  }

  #pause() {
    if (this.trouble) return TROUBLE_MS;
    const rest = Date.now() - this.#changedAt;
    return rest < CALM_AFTER_MS ? BUSY_MS : rest < QUIET_AFTER_MS ? CALM_MS : QUIET_MS;
  }

  async #ask() {
    const { input, sink, inputDead, sinkDead } = this.clients;
    const signal = this.signal;
    const asked = (/** @type {import("./pkg/edgequeue.js").QueueClient} */ client) =>
      client.attributes({ signal }).then(parse);
    const rare = this.#questions % RARELY === 0 || !this.view;
    this.#questions += 1;
    const [inputState, sinkState, inputDeadState, sinkDeadState] = await Promise.all([
      asked(input),
      asked(sink),
      asked(inputDead),
      rare ? asked(sinkDead) : this.view?.sinkDead,
    ]);
    const at = Date.now();
    const view = {
      input: inputState,
      sink: sinkState,
      inputDead: inputDeadState,
      sinkDead: /** @type {import("./model/attributes.js").QueueState} */ (sinkDeadState),
      inputFlow: this.#flows.input.see(at, inputState),
      sinkFlow: this.#flows.sink.see(at, sinkState),
    };
    const depth =
      inputState.length === 0
        ? { priorities: new Map(), other: 0 }
        : await this.depths.sample((priority) => input.count({ priority, signal }));
    await this.#lastDeath(inputDeadState);
    this.#notice(view);
    this.view = view;
    this.moments.push(this.#moment(at, view, depth));
    while (this.moments.length > 0 && this.moments[0].at < at - SPAN_MS) this.moments.shift();
  }

  /** @param {number} at @param {View} view @param {import("./model/depths.js").Depth} depth @returns {Moment} */
  #moment(at, { input, sink, inputDead, sinkDead, inputFlow, sinkFlow }, depth) {
    const running = input.consumers.filter(({ status }) => status === "Running");
    const gone = input.consumers.filter(({ status }) => status !== "Running").map(({ idleMs }) => idleMs);
    const waits = this.waits.percentiles(at);
    return {
      at,
      depth,
      waits,
      waiting: input.waiting,
      oldestMs: input.length > 0 ? input.oldestMs : null,
      inFlight: input.inFlight,
      consumers: running.length,
      places: running.reduce((sum, { window }) => sum + window, 0),
      consumerlessMs: running.length === 0 && gone.length > 0 ? Math.min(...gone) : null,
      in: inputFlow.in,
      out: inputFlow.out,
      sinkIn: sinkFlow.in,
      dead: inputDead.length + sinkDead.length,
      failed: input.failed,
      lastCode: this.#death.code || undefined,
      fullness: fullness(input),
      sinkFullness: fullness(sink),
      room: Math.max(0, input.lengthMax - input.length),
      ended: input.ended,
      waitP95Ms: waits?.p95 ?? null,
      waitIsRough: waits?.few.p95 ?? true,
    };
  }

  /**
   * The code of the newest dead letter, read once for each.
   * @param {import("./model/attributes.js").QueueState} dead
   */
  async #lastDeath(dead) {
    if (dead.last === this.#death.index) return;
    this.#death = { index: dead.last, code: "" };
    if (dead.last === 0) return;
    const [frame] = await this.clients.inputDead.get({ start: dead.last, signal: this.signal });
    this.#death.code = frame?.tags.lastCode ?? "";
  }

  /** @param {View} view */
  #notice({ input, sink, inputDead }) {
    const fingerprint = [input, sink, inputDead]
      .map(({ length, last, inFlight, delivered, consumers }) => [
        length,
        last,
        inFlight,
        delivered,
        consumers.map(({ status }) => status),
      ])
      .join(";");
    if (fingerprint !== this.#fingerprint) this.#changedAt = Date.now();
    this.#fingerprint = fingerprint;
  }
}
