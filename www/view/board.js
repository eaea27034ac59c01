// The top of the page: how the queue is in one line, the loop in numbers, the charts, and the offer of a demo.
import { Chart } from "./charts.js";
import { byId, write } from "./dom.js";
import { bytes, counted, duration, milliseconds, number, rate, short } from "../model/format.js";
import { health } from "../model/health.js";
import { SPAN_MS } from "../monitor.js";

const NAMES = {
  unknown: "No answer",
  idle: "Idle",
  healthy: "Healthy",
  filling: "Filling",
  stuck: "Stuck",
  failing: "Failing",
  ended: "Ended",
};
const TELL_MS = 1000;
const DEMO_KEY = "edgequeue-demo-hidden";

export class Board {
  #last = "";

  /** @param {import("../app.js").Context} context @param {{demo: () => void, isRunning: () => boolean}} worker */
  constructor({ monitor, signal }, worker) {
    this.monitor = monitor;
    this.worker = worker;
    this.rates = new Chart(
      byId("chart-rates"),
      { format: (value) => `${rate(value)}/s`, spanMs: SPAN_MS, least: 1, empty: "nothing moves yet" },
      signal,
    );
    this.depth = new Chart(
      byId("chart-depth"),
      { format: short, spanMs: SPAN_MS, stacked: true, whole: true, least: 4, empty: "nothing waits" },
      signal,
    );
    this.waits = new Chart(
      byId("chart-waits"),
      { format: milliseconds, spanMs: SPAN_MS, least: 1, empty: "no results in the last minutes" },
      signal,
    );
    monitor.addEventListener("moment", () => this.#show(), { signal });
    monitor.addEventListener("trouble", () => this.#tell(), { signal });
    const telling = setInterval(() => this.#tell(), TELL_MS);
    signal.addEventListener("abort", () => clearInterval(telling));
    byId("run-demo").addEventListener(
      "click",
      () => {
        byId("first-run").hidden = true;
        sessionStorage.setItem(DEMO_KEY, "1");
        worker.demo();
      },
      { signal },
    );
    byId("hide-demo").addEventListener(
      "click",
      () => {
        byId("first-run").hidden = true;
        sessionStorage.setItem(DEMO_KEY, "1");
      },
      { signal },
    );
    this.#tell();
  }

  #tell() {
    const { name, reason, advice } = health(Date.now(), this.monitor.moments, this.monitor.trouble?.message);
    const connecting = name === "unknown" && this.monitor.moments.length === 0 && !this.monitor.trouble;
    byId("health").dataset.health = name;
    byId("health-icon").setAttribute("href", `#icon-${name}`);
    write(byId("health-name"), connecting ? "Connecting" : NAMES[name]);
    write(byId("health-reason"), reason);
    write(byId("health-advice"), advice);
    byId("health-advice").hidden = advice === "";
    // Screen readers hear of a new state, not of every number.
    if (name !== this.#last && !connecting) write(byId("health-news"), `${NAMES[name]}: ${reason}`);
    this.#last = name;
  }

  #show() {
    this.#tell();
    const { view, moments } = this.monitor;
    const now = moments.at(-1);
    if (!view || !now) return;
    const { input, sink } = view;
    write(byId("input-figure"), short(now.waiting));
    write(byId("input-note"), `waiting · ${bytes(input.bytes)}`);
    write(
      byId("flight-figure"),
      now.places > 0 ? `${short(now.inFlight)} / ${short(now.places)}` : short(now.inFlight),
    );
    write(
      byId("flight-note"),
      now.consumers > 0
        ? `places at ${counted(now.consumers, "consumer")}`
        : now.consumerlessMs === null
          ? "no consumer"
          : `no consumer for ${duration(now.consumerlessMs)}`,
    );
    write(byId("sink-figure"), short(sink.length));
    write(byId("sink-note"), `results stored · ${bytes(sink.bytes)}`);
    write(byId("dead-figure"), short(now.dead));
    write(
      byId("dead-note"),
      now.dead === 0 ? "none failed for good" : now.lastCode ? `last: ${now.lastCode}` : "failed for good",
    );
    byId("dead-figure").parentElement.classList.toggle("alarm", now.dead > 0);
    byId("dead-badge").hidden = now.dead === 0;
    write(byId("dead-badge"), number(now.dead));
    for (const [id, value] of /** @type {[string, number][]} */ ([
      ["input-rate", now.out],
      ["sink-rate", now.sinkIn],
    ])) {
      write(byId(id), `${rate(value)}/s`);
      byId(id).parentElement.classList.toggle("moving", value > 0);
    }
    this.#draw();
    const isNew =
      input.length + sink.length === 0 &&
      now.dead === 0 &&
      !this.worker.isRunning() &&
      sessionStorage.getItem(DEMO_KEY) === null;
    byId("first-run").hidden = !isNew;
  }

  #draw() {
    const { moments } = this.monitor;
    const times = moments.map(({ at }) => at);
    this.rates.show(times, [
      { name: "in", values: moments.map((moment) => moment.in) },
      { name: "out", values: moments.map((moment) => moment.out) },
      { name: "results", values: moments.map((moment) => moment.sinkIn) },
    ]);
    const priorities = [...new Set(moments.flatMap(({ depth }) => [...depth.priorities.keys()]))].sort((a, b) => b - a);
    const busy = priorities.filter(
      (priority) => priority === 0 || moments.some(({ depth }) => depth.priorities.get(priority)),
    );
    const depths = busy.slice(0, 4).map((priority) => ({
      name: `priority ${priority}`,
      values: moments.map(({ depth }) => depth.priorities.get(priority) ?? 0),
    }));
    if (moments.some(({ depth }) => depth.other > 0))
      depths.push({ name: "others", values: moments.map(({ depth }) => depth.other) });
    this.depth.show(times, depths);
    this.waits.show(
      times,
      /** @type {const} */ (["p50", "p95", "p99"]).map((name) => ({
        name,
        values: moments.map(({ waits }) => waits?.[name] ?? null),
        rough: moments.map(({ waits }) => waits?.few[name] ?? false),
      })),
    );
  }
}
