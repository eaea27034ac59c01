// Dead letters: what failed for good, why, and putting it back or removing it.
import { busy, button, byId, confirmed, make, toast, write } from "../view/dom.js";
import { entryRow } from "../view/entries.js";
import { counted, number } from "../model/format.js";

const PAGE = 50;
/** Tags of the failure; the rest goes back with the entry. */
const FAILURE_TAGS = new Set([
  "lastCode",
  "lastReason",
  "ts@source",
  "ts@sink",
  "requestId",
  "Header:Content-Type",
  "Path",
]);

/** @typedef {import("../pkg/edgequeue.js").Frame} Frame */

/** @param {import("../app.js").Context} context */
export function mountDead({ state, update, clients, monitor, signal }) {
  const panel = byId("panel-dead");
  /** @type {Map<string, {frame: Frame, box: HTMLInputElement}>} */
  let shown = new Map();
  let last = -1;
  let length = -1;
  /** Whose letters are shown. */
  let shownSide = "";

  const side = make(
    "div",
    { class: "choice", role: "radiogroup", "aria-label": "Dead letters of" },
    ...[
      ["input", "Input"],
      ["sink", "Sink"],
    ].map(([value, label]) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name: "dead-side",
          value,
          checked: state.side === value,
          onchange: () => {
            update({ side: value });
            draw();
          },
        }),
        label,
      ),
    ),
  );
  const all = make("input", {
    type: "checkbox",
    id: "dead-all",
    onchange: () => {
      for (const { box } of shown.values()) box.checked = all.checked;
      choose();
    },
  });
  const replay = make(
    "button",
    { type: "button", class: "primary", disabled: true, onclick: () => busy(replay, putBack) },
    "Replay",
  );
  const remove = make(
    "button",
    { type: "button", class: "danger-quiet", disabled: true, onclick: () => busy(remove, drop) },
    "Delete",
  );
  const summary = make("p", { class: "note", role: "status" });
  const list = make("ol", { class: "entries" });
  const empty = make(
    "div",
    { class: "empty" },
    make(
      "p",
      {},
      "No dead letters. Entries that failed as often as the queue allows appear here, with code and reason.",
    ),
  );
  const more = button("Load again from the oldest", () => load(), { class: "small" });
  const bar = make(
    "div",
    { class: "actions" },
    make("label", { class: "check" }, all, "All shown"),
    replay,
    remove,
    more,
  );
  panel.replaceChildren(
    make("div", { class: "panel-head" }, make("h2", {}, "Dead letters"), side),
    summary,
    bar,
    list,
    empty,
  );

  const dead = () => (state.side === "sink" ? clients.sinkDead : clients.inputDead);
  const home = () => (state.side === "sink" ? clients.sink : clients.input);
  const current = () => monitor.view?.[state.side === "sink" ? "sinkDead" : "inputDead"];
  monitor.addEventListener("moment", draw, { signal });
  byId("work").addEventListener("panel", draw, { signal });
  draw();

  /** The side is chosen here or in the queue panel. What was chosen on one must not be done to the other. */
  function turn() {
    shownSide = state.side;
    for (const input of side.querySelectorAll("input")) input.checked = input.value === state.side;
    shown = new Map();
    list.replaceChildren();
    length = -1;
    list.hidden = bar.hidden = empty.hidden = true;
    write(summary, "");
    choose();
  }

  /** Loads anew when something came or went, unless a person has chosen something meanwhile. */
  function draw() {
    const queue = current();
    if (panel.hidden || !queue) return;
    if (shownSide !== state.side) turn();
    if (queue.length === length && queue.last === last) return;
    length = queue.length;
    last = queue.last;
    const untouched =
      [...shown.values()].every(({ box }) => !box.checked) && !list.querySelector('[aria-expanded="true"]');
    if (untouched) load();
    else tell();
  }

  async function load() {
    const from = dead();
    try {
      const frames = length === 0 ? [] : await from.get({ count: PAGE, signal });
      if (from !== dead()) return;
      const still = new Set(chosen().map(({ index }) => index));
      shown = new Map(
        frames.map((frame) => [
          String(frame.index),
          {
            frame,
            box: make("input", {
              type: "checkbox",
              "aria-label": `Choose dead letter ${frame.index}`,
              checked: still.has(frame.index),
              onchange: choose,
            }),
          },
        ]),
      );
      list.replaceChildren(
        ...[...shown.values()].map(({ frame, box }) => {
          const code = make("span", { class: "code-chip" }, frame.tags.lastCode || "no code");
          const row = entryRow(frame, {
            actions: [
              make("span", { class: "reason", title: frame.tags.lastReason ?? "" }, code, frame.tags.lastReason ?? ""),
            ],
          });
          row.querySelector(".entry-row")?.prepend(box);
          row.classList.add("chosen-row");
          row.tick(Date.now());
          return row;
        }),
      );
    } catch (error) {
      if (!signal.aborted) toast(/** @type {Error} */ (error).message, "bad");
    }
    choose();
    tell();
  }

  function tell() {
    list.hidden = bar.hidden = shown.size === 0;
    empty.hidden = shown.size > 0;
    write(
      summary,
      shown.size === 0
        ? ""
        : length > shown.size
          ? `The oldest ${number(shown.size)} of ${number(length)}.`
          : `${counted(length, "dead letter")}.`,
    );
  }

  const chosen = () => [...shown.values()].filter(({ box }) => box.checked).map(({ frame }) => frame);

  function choose() {
    const count = chosen().length;
    replay.disabled = remove.disabled = count === 0;
    write(replay, count > 0 ? `Replay ${number(count)}` : "Replay");
    write(remove, count > 0 ? `Delete ${number(count)}` : "Delete");
    all.checked = count > 0 && count === shown.size;
    all.indeterminate = count > 0 && count < shown.size;
  }

  /** Puts entries back first and removes them then: what is interrupted in between is there twice, never lost. */
  async function putBack() {
    const [frames, from, to, name] = [chosen(), dead(), home(), state.side];
    let done = 0;
    try {
      for (const frame of frames) {
        const tags = Object.fromEntries(Object.entries(frame.tags).filter(([key]) => !FAILURE_TAGS.has(key)));
        await to.put(frame.data, {
          tags,
          requestId: frame.requestId || undefined,
          contentType: frame.tags["Header:Content-Type"],
          path: frame.tags.Path,
          signal,
        });
        await from.delete(frame.index, { signal });
        done += 1;
        write(summary, `${number(done)} of ${number(frames.length)} put back`);
      }
      toast(`${counted(done, "entry", "entries")} put back into the ${name} queue`);
    } finally {
      await settle();
    }
  }

  async function drop() {
    const [frames, from] = [chosen(), dead()];
    if (
      !(await confirmed(
        `Delete ${counted(frames.length, "dead letter")}? Their requests will not be answered.`,
        "Delete",
      ))
    )
      return;
    await from.delete(
      frames.map(({ index }) => index),
      { signal },
    );
    toast(`${counted(frames.length, "dead letter")} deleted`);
    await settle();
  }

  async function settle() {
    const from = dead();
    const count = await from.count({ signal });
    if (from === dead()) {
      length = count;
      await load();
    }
    monitor.hurry();
  }
}
