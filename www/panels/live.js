// Shows entries as they come: reading along without taking anything, or consuming as a member of a group.
import { busy, button, byId, make, write } from "../view/dom.js";
import { counted, number } from "../model/format.js";
import { LiveList } from "../view/livelist.js";
import { recentStart } from "../results.js";

const QUEUES = /** @type {const} */ ([
  ["sink", "Sink"],
  ["input", "Input"],
  ["input-dead", "Dead letters of the input"],
  ["sink-dead", "Dead letters of the sink"],
]);

/** @param {import("../app.js").Context} context */
export function mountLive({ state, update, clients, results, monitor, client, signal }) {
  const panel = byId("panel-live");
  /** Ends what runs now. */
  let running = new AbortController();
  /** @type {import("../pkg/edgequeue.js").Watch|null} */
  let watch = null;
  const counts = { received: 0, committed: 0, refused: 0, skipped: 0 };
  /** @type {number|null} */
  let lastIndex = null;

  const queue = make(
    "select",
    {
      id: "live-queue",
      onchange: () => {
        update({ live: queue.value });
        restart();
      },
    },
    ...QUEUES.map(([value, label]) => make("option", { value }, label)),
  );
  queue.value = state.live;
  const mode = make(
    "div",
    { class: "choice", role: "radiogroup", "aria-label": "How to read" },
    ...[
      ["tail", "Read along"],
      ["consume", "Consume"],
    ].map(([value, label]) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name: "live-mode",
          value,
          checked: state.mode === value,
          onchange: () => {
            update({ mode: value });
            restart();
          },
        }),
        label,
      ),
    ),
  );
  const group = make("input", {
    id: "live-group",
    type: "text",
    value: state.group,
    required: true,
    maxlength: "128",
    spellcheck: "false",
    onchange: () => {
      update({ group: group.value.trim() || "page" });
      restart();
    },
  });
  const window_ = make("input", {
    id: "live-window",
    type: "number",
    min: "1",
    max: "1000",
    value: state.window,
    required: true,
    onchange: changeWindow,
  });
  const start = make(
    "select",
    {
      id: "live-start",
      onchange: () => {
        update({ start: start.value });
        restart();
      },
    },
    make("option", { value: "oldest" }, "oldest entry"),
    make("option", { value: "newest" }, "now on"),
  );
  start.value = state.start;
  const commits = make("input", { type: "checkbox", id: "live-commits" });
  const toggle = make(
    "button",
    {
      type: "button",
      class: "primary",
      onclick: () =>
        busy(toggle, async () => {
          await (watch ? stop() : consume());
        }),
    },
    "Start consuming",
  );
  const consuming = make(
    "div",
    { class: "fields row", hidden: true },
    make("div", { class: "field" }, make("label", { for: "live-group" }, "Group"), group),
    make("div", { class: "field" }, make("label", { for: "live-window" }, "Window"), window_),
    make("div", { class: "field" }, make("label", { for: "live-start" }, "New group from"), start),
    make("label", { class: "check" }, commits, "Commit on arrival"),
    make("div", { class: "actions" }, toggle),
  );
  const warning = make(
    "p",
    { class: "hint", hidden: true },
    "A committed entry is done for this group, and leaves the queue unless another group still wants it.",
  );
  const trouble = make("p", { class: "trouble", role: "alert", hidden: true });
  const list = new LiveList({ label: "Entries, newest first", signal, empty, actions });
  const status = make("span", { role: "status" });
  const tally = make("span", {});
  panel.replaceChildren(
    make(
      "header",
      {},
      make("h2", {}, "Live"),
      make("div", { class: "actions" }, make("label", { class: "unseen", for: "live-queue" }, "Queue"), queue, mode),
    ),
    consuming,
    warning,
    trouble,
    list.element,
    make(
      "div",
      { class: "live-foot" },
      status,
      make(
        "span",
        {},
        tally,
        " ",
        button(
          "Clear",
          () => {
            list.clear();
            reset();
          },
          { class: "link" },
        ),
      ),
    ),
  );

  restart();
  const telling = setInterval(tell, 250);
  signal.addEventListener("abort", () => {
    clearInterval(telling);
    stop();
  });
  // A page that is left hands back what it holds: a connection that is merely lost counts as a failure of each entry.
  addEventListener(
    "pagehide",
    () => {
      if (watch) stop();
    },
    { signal },
  );

  function reset() {
    Object.assign(counts, { received: 0, committed: 0, refused: 0, skipped: 0 });
    lastIndex = null;
    tell();
  }

  function empty() {
    const what =
      state.mode === "consume"
        ? "Nothing was delivered yet."
        : state.live === "sink"
          ? "No results yet. They appear here as soon as they are in the sink."
          : "Nothing here yet.";
    return make("p", {}, what);
  }

  /** Another queue or way of reading: begins anew. */
  function restart() {
    stop();
    list.clear();
    reset();
    trouble.hidden = true;
    const consumes = state.mode === "consume";
    consuming.hidden = warning.hidden = !consumes;
    if (consumes) write(status, "stopped");
    else readAlong();
  }

  function readAlong() {
    running = new AbortController();
    const until = AbortSignal.any([signal, running.signal]);
    if (state.live !== "sink") return tail(until);
    for (const frame of results.recent) seen(frame);
    counts.received = counts.skipped = 0;
    results.addEventListener("frame", (/** @type {any} */ { detail }) => seen(detail), { signal: until });
    results.addEventListener("state", () => follow(results.state), { signal: until });
    follow(results.state);
  }

  /** @param {AbortSignal} until */
  async function tail(until) {
    const source = selected();
    try {
      const start = recentStart(await source.attributes({ signal: until }));
      for await (const frame of source.tail({ start, signal: until, onState: follow })) seen(frame);
    } catch (error) {
      if (!until.aborted) fail(/** @type {Error} */ (error));
    }
  }

  /** @param {import("../pkg/edgequeue.js").Frame} frame */
  function seen(frame) {
    counts.received += 1;
    const index = Number(frame.index);
    if (lastIndex !== null && index > lastIndex + 1) counts.skipped += index - lastIndex - 1;
    lastIndex = index;
    list.add(frame);
  }

  async function consume() {
    if (!window_.reportValidity() || !group.reportValidity()) return;
    trouble.hidden = true;
    const reader = client({ queue: state.live, group: state.group });
    const opened = (watch = reader.watch({
      window: Number(state.window),
      start: state.start === "newest" ? "newest" : 0,
      signal,
      onState: follow,
    }));
    write(toggle, "Stop");
    toggle.classList.remove("primary");
    take(opened);
  }

  /** @param {import("../pkg/edgequeue.js").Watch} opened */
  async function take(opened) {
    try {
      for await (const frame of opened) {
        counts.received += 1;
        if (commits.checked) {
          frame.commit().then(
            () => {
              counts.committed += 1;
            },
            () => {},
          );
          list.add(frame);
        } else {
          list.add(frame, false);
        }
      }
    } catch (error) {
      if (!signal.aborted && watch === opened) fail(/** @type {Error} */ (error));
    }
    if (watch === opened) await stop();
  }

  /** @param {import("../view/livelist.js").Item} item */
  function actions(item) {
    if (item.settled) return [];
    const frame = /** @type {import("../pkg/edgequeue.js").WatchedFrame} */ (item.frame);
    return [
      button("Commit", () => decide(item, frame.commit(), "committed"), {
        class: "small",
        "aria-label": `Commit entry ${frame.index}`,
      }),
      button("Reject", () => decide(item, frame.negative("Rejected", "by hand on the page"), "rejected"), {
        class: "small danger-quiet",
        "aria-label": `Reject entry ${frame.index}`,
      }),
    ];
  }

  /**
   * @param {import("../view/livelist.js").Item} row
   * @param {Promise<void>} confirmed
   * @param {"committed"|"rejected"} word
   */
  async function decide(row, confirmed, word) {
    list.decided(row, "…", word === "committed" ? "done" : "refused");
    list.element.focus({ preventScroll: true });
    try {
      await confirmed;
      list.decided(row, word);
      counts[word === "committed" ? "committed" : "refused"] += 1;
      monitor.hurry();
    } catch (error) {
      list.decided(row, "handed back", "refused");
      if (watch) fail(/** @type {Error} */ (error));
    }
  }

  async function changeWindow() {
    if (!window_.reportValidity()) return;
    update({ window: window_.value });
    await watch?.window(Number(window_.value)).catch(fail);
  }

  /** Ends reading; what is not decided goes back to the queue. */
  async function stop() {
    running.abort();
    const ending = watch;
    watch = null;
    write(toggle, "Start consuming");
    toggle.classList.add("primary");
    if (!ending) return;
    await ending.close().catch(() => {});
    list.handedBack();
    monitor.hurry();
  }

  /** @param {import("../pkg/edgequeue.js").WatchState} now */
  function follow(now) {
    const words = {
      connecting: () => "connecting",
      open: () => (state.mode === "consume" ? `consuming as ${state.group}` : "reading along"),
      reconnecting: () => `reconnecting: ${"reason" in now ? now.reason : ""}`,
      closing: () => "handing back",
      closed: () => "stopped",
    };
    write(status, words[now.name]());
    if (now.name === "closed" && now.error && !watch) fail(now.error);
    else if (now.name === "open") trouble.hidden = true;
  }

  /** @param {Error} error */
  function fail(error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
  }

  function tell() {
    const parts = [`${number(counts.received)} received`];
    if (state.mode === "consume") parts.push(`${number(counts.committed)} committed`);
    if (counts.refused > 0) parts.push(`${number(counts.refused)} rejected`);
    if (counts.skipped > 0) parts.push(`${counted(counts.skipped, "index", "indexes")} gone before`);
    write(tally, parts.join(" · "));
  }

  function selected() {
    return { input: clients.input, sink: clients.sink, "input-dead": clients.inputDead, "sink-dead": clients.sinkDead }[
      /** @type {"input"} */ (state.live)
    ];
  }
}
