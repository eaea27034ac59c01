// The worker on the page: a function that a person can edit infers what is in the input queue; and traffic to give it
// something to do.
import { Inference } from "../demo/inference.js";
import { EXAMPLES } from "../demo/examples.js";
import { traffic } from "../demo/traffic.js";
import { busy, byId, make, write } from "../view/dom.js";
import { counted, number } from "../model/format.js";

const WINDOW_MAX = 16;
const DEMO = { perSecond: 4, seconds: 60, window: 4 };

/** @param {import("../app.js").Context} context */
export function mountWorker({ state, clients, client, monitor, select, signal }) {
  const panel = byId("panel-worker");
  /** @type {Inference|null} */
  let worker = null;
  /** @type {AbortController|null} */
  let sending = null;
  let drawing = false;

  const example = make(
    "select",
    { id: "worker-example", onchange: choose },
    ...EXAMPLES.map(({ name }, at) => make("option", { value: String(at) }, name)),
  );
  const code = make("textarea", {
    id: "worker-code",
    class: "code",
    rows: "16",
    wrap: "off",
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    "aria-describedby": "worker-code-hint",
  });
  const window_ = make("input", {
    id: "worker-window",
    type: "number",
    min: "1",
    max: String(WINDOW_MAX),
    value: "4",
    required: true,
  });
  const timeout = make("input", {
    id: "worker-timeout",
    type: "number",
    min: "0.1",
    max: "600",
    step: "any",
    value: "10",
    required: true,
  });
  const toggle = make(
    "button",
    {
      type: "button",
      class: "primary",
      id: "worker-toggle",
      onclick: () =>
        busy(toggle, async () => {
          await (worker ? stop() : start());
        }),
    },
    "Start the worker",
  );
  const status = make("p", { class: "note", role: "status", id: "worker-status" }, "stopped");
  const pool = make("ul", { class: "pool", "aria-hidden": "true" });
  const trouble = make("p", { class: "trouble", role: "alert", hidden: true });
  const perSecond = make("input", {
    id: "traffic-rate",
    type: "number",
    min: "0.1",
    max: "1000",
    step: "any",
    value: String(DEMO.perSecond),
    required: true,
  });
  const seconds = make("input", {
    id: "traffic-seconds",
    type: "number",
    min: "1",
    max: "3600",
    step: "1",
    value: String(DEMO.seconds),
    required: true,
  });
  const send = make(
    "button",
    { type: "button", id: "traffic-toggle", onclick: () => (sending ? sending.abort() : startTraffic()) },
    "Send requests",
  );
  const sent = make("p", { class: "note", role: "status" });
  panel.replaceChildren(
    make(
      "div",
      { class: "panel-head" },
      make("h2", {}, "Infer on this page"),
      make("div", { class: "actions" }, make("label", { for: "worker-example", class: "note" }, "Example"), example),
    ),
    make(
      "div",
      { class: "field" },
      make("label", { for: "worker-code" }, "Function"),
      code,
      make(
        "p",
        { class: "hint", id: "worker-code-hint" },
        "It runs in a worker of its own: no access to this page or the token, and no network.",
      ),
    ),
    make(
      "div",
      { class: "fields" },
      make("div", { class: "field" }, make("label", { for: "worker-window" }, "Window"), window_),
      make("div", { class: "field" }, make("label", { for: "worker-timeout" }, "Timeout, seconds"), timeout),
      make("div", { class: "actions" }, toggle),
    ),
    trouble,
    make("div", { class: "actions" }, pool, status),
    make(
      "div",
      { class: "part" },
      make("h3", {}, "Requests"),
      make(
        "div",
        { class: "fields" },
        make("div", { class: "field" }, make("label", { for: "traffic-rate" }, "Per second"), perSecond),
        make("div", { class: "field" }, make("label", { for: "traffic-seconds" }, "For, seconds"), seconds),
        make("div", { class: "actions" }, send),
      ),
      sent,
    ),
  );
  choose();
  signal.addEventListener("abort", () => {
    sending?.abort();
    stop();
  });
  // A page that is left hands its entries back; losing its connection would count as a failure of each.
  addEventListener(
    "pagehide",
    () => {
      worker?.stop();
    },
    { signal },
  );

  function choose() {
    code.value = EXAMPLES[Number(example.value)].code;
    if (worker) restart();
  }

  async function restart() {
    await stop();
    await busy(toggle, start);
  }

  async function start() {
    if (!window_.reportValidity() || !timeout.reportValidity()) return;
    trouble.hidden = true;
    const started = (worker = new Inference());
    toggle.textContent = "Stop the worker";
    toggle.classList.remove("primary");
    worker.addEventListener("change", draw);
    draw();
    monitor.hurry();
    // As the inference services of the vendor do: the group has the name of the service.
    const input = client({ queue: "input", group: state.service });
    started
      .run({ input, code: code.value, window: Number(window_.value), timeoutMs: Number(timeout.value) * 1000 })
      .catch((error) => {
        if (!signal.aborted) fail(error);
      })
      .finally(() => {
        if (worker === started) stopped();
      });
  }

  async function stop() {
    const ending = worker;
    stopped();
    await ending?.stop().catch(() => {});
    monitor.hurry();
  }

  function stopped() {
    worker = null;
    toggle.textContent = "Start the worker";
    toggle.classList.add("primary");
    draw();
  }

  /** @param {Error} error */
  function fail(error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
  }

  /** Progress changes with every entry; it is drawn once a frame. */
  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      const progress = worker?.progress;
      const places = progress ? Number(window_.value) : 0;
      if (pool.children.length !== places) pool.replaceChildren(...Array.from({ length: places }, () => make("li")));
      [...pool.children].forEach((place, at) => place.classList.toggle("working", at < (progress?.running ?? 0)));
      if (!progress) return write(status, "stopped");
      const parts = [
        progress.waitingForSink ? "waiting for the sink" : progress.state === "open" ? "running" : progress.state,
        `${counted(progress.done, "result")}`,
      ];
      if (progress.silent > 0) parts.push(`${number(progress.silent)} without a result`);
      if (progress.failed > 0) parts.push(`${number(progress.failed)} failed`);
      if (progress.lastError) parts.push(progress.lastError);
      write(status, parts.join(" · "));
    });
  }

  async function startTraffic() {
    if (!perSecond.reportValidity() || !seconds.reportValidity()) return;
    const controller = (sending = new AbortController());
    send.textContent = "Stop sending";
    monitor.depths.learn(1);
    monitor.hurry();
    let total = 0;
    try {
      await traffic({
        input: clients.input,
        request: (step) => EXAMPLES[Number(example.value)].request(step),
        perSecond: Number(perSecond.value),
        seconds: Number(seconds.value),
        signal: AbortSignal.any([signal, controller.signal]),
        onput: (count) => {
          total = count;
          write(sent, `${counted(total, "request")} sent`);
        },
      });
      write(sent, `${counted(total, "request")} sent, done`);
    } catch (error) {
      if (!controller.signal.aborted && !signal.aborted)
        write(sent, `${counted(total, "request")} sent, then: ${/** @type {Error} */ (error).message}`);
    } finally {
      sending = null;
      send.textContent = "Send requests";
    }
  }

  /** The whole loop with one button. */
  async function demo() {
    select("worker");
    perSecond.value = String(DEMO.perSecond);
    seconds.value = String(DEMO.seconds);
    window_.value = String(DEMO.window);
    if (!worker) await busy(toggle, start);
    if (!sending) startTraffic();
  }
  return { demo, isRunning: () => worker !== null };
}
