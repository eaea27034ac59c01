// One queue in numbers: what is in it, who consumes it, how it is set; finding entries; and what cannot be undone.
import { fullness } from "../model/attributes.js";
import { busy, button, byId, confirmed, make, toast } from "../view/dom.js";
import { entryRow } from "../view/entries.js";
import { age, bytes, counted, number } from "../model/format.js";

const PAGE = 20;

/** @param {import("../app.js").Context} context */
export function mountQueue({ state, update, clients, monitor, signal }) {
  const panel = byId("panel-queue");
  const side = make(
    "div",
    { class: "choice", role: "radiogroup", "aria-label": "Queue" },
    ...[
      ["input", "Input"],
      ["sink", "Sink"],
    ].map(([value, label]) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name: "queue-side",
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
  const facts = make("dl", { class: "facts" });
  const consumers = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Consumers" });
  const groups = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Groups" });
  const settings = make("dl", { class: "pairs" });
  const kind = make(
    "select",
    {
      id: "find-kind",
      onchange: () => {
        what.placeholder = HINTS[/** @type {"index"} */ (kind.value)];
      },
    },
    make("option", { value: "requestId" }, "Request id"),
    make("option", { value: "index" }, "Index"),
    make("option", { value: "tag" }, "Tag"),
  );
  const what = make("input", {
    id: "find-what",
    type: "text",
    spellcheck: "false",
    autocomplete: "off",
    required: true,
    placeholder: HINTS.requestId,
  });
  const seek = make("button", { type: "submit" }, "Find");
  const found = make("div", { "aria-live": "polite" });
  const below = make("input", { id: "truncate-below", type: "number", min: "1", step: "1", required: true });

  panel.replaceChildren(
    make("div", { class: "panel-head" }, make("h2", {}, "Queue"), side),
    facts,
    make(
      "div",
      { class: "part" },
      make("h3", {}, "Find entries"),
      make(
        "form",
        {
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            busy(seek, search, (error) => say(error.message));
          },
        },
        make(
          "div",
          { class: "joined find" },
          make("label", { class: "unseen", for: "find-kind" }, "Find by"),
          kind,
          make("label", { class: "unseen", for: "find-what" }, "What to find"),
          what,
          seek,
        ),
      ),
      make(
        "div",
        { class: "actions" },
        button("Show the oldest", () => page(0), { class: "small" }),
        button("Show the newest", () => newest(), { class: "small" }),
      ),
      found,
    ),
    make("div", { class: "part" }, make("h3", {}, "Consumers"), consumers),
    make("div", { class: "part" }, make("h3", {}, "Groups"), groups),
    make("details", { class: "part" }, make("summary", {}, "Settings"), settings),
    make(
      "details",
      { class: "part" },
      make("summary", {}, "Remove entries, end the stream"),
      make(
        "form",
        {
          class: "fields",
          onsubmit: (/** @type {SubmitEvent} */ event) => {
            event.preventDefault();
            truncate(/** @type {any} */ (event.submitter));
          },
        },
        make(
          "div",
          { class: "field" },
          make("label", { for: "truncate-below" }, "Remove everything below index"),
          below,
        ),
        make(
          "div",
          { class: "actions" },
          make("button", { type: "submit", class: "danger-quiet" }, "Truncate"),
          button("End the stream", (event) => end(/** @type {any} */ (event.currentTarget)), { class: "danger-quiet" }),
        ),
      ),
    ),
  );

  const client = () => (state.side === "sink" ? clients.sink : clients.input);
  /** Whose entries were found. */
  let shownSide = state.side;
  monitor.addEventListener("moment", draw, { signal });
  byId("work").addEventListener("panel", draw, { signal });
  draw();

  function draw() {
    if (panel.hidden || !monitor.view) return;
    // It is chosen here or among the dead letters; what was found in one queue is no more to be seen in the other.
    if (shownSide !== state.side) {
      shownSide = state.side;
      for (const input of side.querySelectorAll("input")) input.checked = input.value === state.side;
      found.replaceChildren();
    }
    const queue = monitor.view[state.side === "sink" ? "sink" : "input"];
    fill(
      facts,
      [
        ["Entries", number(queue.length)],
        ["In flight", number(queue.inFlight)],
        ["Size", bytes(queue.bytes)],
        ["Full", percent(fullness(queue))],
        ["Indexes", queue.length ? `${number(queue.first)} – ${number(queue.last)}` : "–"],
        ["Waiting gets", number(queue.waitingGets)],
      ],
      true,
    );
    table(
      consumers,
      "No consumer is connected. One appears when a program watches the queue.",
      ["Consumer", "State", "In flight", "Window", "Free", "Last sign"],
      queue.consumers.map((one) => [
        [`${one.group}.${one.user}`, one.tags && make("div", { class: "note" }, `only ${one.tags}`)],
        make(
          "span",
          { class: `status ${one.status.toLowerCase()}` },
          one.autoCommit ? `${one.status}, auto commit` : one.status,
        ),
        one.pending,
        one.window,
        one.slots,
        age(one.idleMs),
      ]),
    );
    table(
      groups,
      "No group. A group exists from its first watch on; without one, entries stay until they are removed.",
      ["Group", "In flight", "Committed", "Consumers"],
      queue.groups.map((one) => [one.name, one.pending, one.delivered, one.consumers]),
    );
    fill(
      settings,
      Object.entries(queue.settings).map(([name, value]) => [name, value || "–"]),
    );
    if (below.placeholder !== String(queue.last + 1)) below.placeholder = String(queue.last + 1);
  }

  async function search() {
    const wanted = what.value.trim();
    const source = client();
    if (kind.value === "index") {
      const index = wholeIndex(wanted);
      const [frame] = await source.get({ start: index, signal });
      if (!frame || BigInt(frame.index) !== BigInt(index))
        return say(`There is no entry #${wanted}: it was consumed or removed, or never put.`);
      const position = await source.search(frame.index, { signal });
      return list(
        source,
        [frame],
        position?.isPending
          ? `Delivered to ${position.consumerId}.`
          : position
            ? `${counted(position.waitCount, "entry", "entries")} will be delivered before it.`
            : "",
      );
    }
    const at = wanted.indexOf("=");
    if (kind.value === "tag" && at < 1) throw new Error("Write a tag as name=value.");
    const options =
      kind.value === "tag"
        ? { tags: { [wanted.slice(0, at)]: wanted.slice(at + 1) }, count: PAGE }
        : { requestId: wanted, count: PAGE };
    const frames = await source.get({ ...options, signal });
    if (frames.length === 0)
      return say(
        `No entry here has the ${kind.value === "tag" ? "tag" : "request id"} ${wanted}. ` +
          "It may be in the other queue or among the dead letters.",
      );
    list(source, frames, frames.length === PAGE ? `The first ${PAGE}.` : "");
  }

  /** Entries from an index on. @param {number|bigint} start */
  async function page(start) {
    const source = client();
    try {
      const frames = await source.get({ start, count: PAGE, signal });
      if (frames.length === 0) return say(start === 0 ? "The queue is empty." : "There are no more.");
      const last = frames[frames.length - 1].index;
      list(
        source,
        frames,
        "",
        frames.length === PAGE
          ? button("Next", () => page(typeof last === "bigint" ? last + 1n : last + 1), { class: "small" })
          : null,
      );
    } catch (error) {
      say(/** @type {Error} */ (error).message);
    }
  }

  async function newest() {
    const last = monitor.view?.[state.side === "sink" ? "sink" : "input"].last ?? 0;
    await page(Math.max(0, last - PAGE + 1));
  }

  /**
   * @param {import("../pkg/edgequeue.js").QueueClient} source
   * @param {import("../pkg/edgequeue.js").Frame[]} frames
   * @param {string} words
   * @param {Node|null} [more]
   */
  function list(source, frames, words, more = null) {
    if (source !== client()) return;
    const rows = frames.map((frame) => {
      const remove = button(
        "Delete",
        () =>
          busy(remove, async () => {
            await source.delete(frame.index, { signal });
            row.remove();
            toast(`Entry ${frame.index} deleted`);
            monitor.hurry();
          }),
        { class: "small danger-quiet", "aria-label": `Delete entry ${frame.index}` },
      );
      const row = entryRow(frame, { actions: [remove] });
      row.tick(Date.now());
      return row;
    });
    found.replaceChildren(
      ...[words && make("p", { class: "note" }, words), make("ol", { class: "entries" }, ...rows), more].filter(
        (part) => part instanceof Node,
      ),
    );
  }

  /** @param {string} words */
  const say = (words) => found.replaceChildren(make("p", { class: "hint" }, words));

  /** @param {HTMLButtonElement} control */
  async function truncate(control) {
    const index = below.value;
    if (
      !(await confirmed(
        `Remove all entries of the ${state.side} queue below index ${number(Number(index))}? This cannot be undone.`,
        "Remove them",
      ))
    )
      return;
    await busy(control, async () => {
      await client().truncate(wholeIndex(index), { signal });
      below.value = "";
      toast("Removed");
      monitor.hurry();
    });
  }

  /** @param {HTMLButtonElement} control */
  async function end(control) {
    if (
      !(await confirmed(
        `End the ${state.side} queue of ${state.service}? It takes no more entries, for good; ` +
          "what waits is still delivered.",
        "End it",
      ))
    )
      return;
    await busy(control, async () => {
      await client().end({ signal });
      toast("The stream was ended");
      monitor.hurry();
    });
  }
}

const HINTS = { requestId: "the id that the put answered", index: "a number", tag: "name=value" };

/** @param {number} share */
const percent = (share) => (share === 0 ? "0 %" : share < 0.01 ? "< 1 %" : `${Math.floor(share * 100)} %`);

/** @param {string} text @returns {number|bigint} */
function wholeIndex(text) {
  if (!/^\d{1,20}$/.test(text)) throw new Error(`"${text}" is not an index: indexes are whole numbers from 1.`);
  const value = BigInt(text);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/**
 * Writes names and values; only what changed is touched.
 * @param {HTMLElement} place
 * @param {[string, string][]} pairs
 * @param {boolean} [boxed]
 */
function fill(place, pairs, boxed = false) {
  const now = JSON.stringify(pairs);
  if (place.dataset.now === now) return;
  place.dataset.now = now;
  const parts = pairs.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  place.replaceChildren(...(boxed ? parts.map((part) => make("div", {}, ...part)) : parts.flat()));
}

/**
 * @param {HTMLElement} place
 * @param {string} empty
 * @param {string[]} head
 * @param {any[][]} rows the first cell is a text or a list
 */
function table(place, empty, head, rows) {
  if (rows.length === 0) return place.replaceChildren(make("p", { class: "hint" }, empty));
  const cell = (/** @type {any} */ value) =>
    typeof value === "number"
      ? make("td", { class: "amount" }, number(value))
      : make("td", {}, ...[value].flat().filter(Boolean));
  place.replaceChildren(
    make(
      "table",
      {},
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          ...head.map((name, at) =>
            make("th", { class: typeof rows[0][at] === "number" ? "amount" : null, scope: "col" }, name),
          ),
        ),
      ),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))),
    ),
  );
}
