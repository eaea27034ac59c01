// A list of entries to which a thousand a second may come: drawn at most some times a second, bounded in rows and
// bytes, and held still while a person reads in it.
import { button, make, write } from "./dom.js";
import { entryRow } from "./entries.js";
import { counted } from "../model/format.js";

const ROWS_MAX = 100;
const BYTES_MAX = 16 * 1024 * 1024;
const DRAW_MS = 80;
const TICK_MS = 1000;

/** @typedef {import("../pkg/edgequeue.js").Frame} Frame */
/** @typedef {{frame: Frame, row: ReturnType<typeof entryRow>|null, settled: boolean}} Item */

export class LiveList {
  /** Newest first; rows that wait for a decision stay whatever comes. @type {Item[]} */
  #items = [];
  /** Arrived and not drawn yet, oldest first. @type {Item[]} */
  #held = [];
  #heldCount = 0;
  #open = 0;
  #drawnAt = 0;
  #frame = 0;

  /**
   * @param {{label: string, empty: () => Node, actions?: (item: Item) => (Node|null)[], signal: AbortSignal}} options
   */
  constructor(options) {
    this.options = options;
    this.list = make("ol", {});
    this.newer = button("", () => this.#release(), { class: "primary small", hidden: true });
    this.empty = make("div", { class: "empty" });
    this.element = make(
      "div",
      { class: "entries", tabindex: "0", role: "region", "aria-label": options.label },
      make("div", { class: "newer-place" }, this.newer),
      this.empty,
      this.list,
    );
    this.element.addEventListener("scroll", () => this.#resume(), { passive: true });
    this.element.addEventListener("focusout", () => setTimeout(() => this.#resume()));
    const ticking = setInterval(() => this.#tick(), TICK_MS);
    options.signal.addEventListener("abort", () => {
      clearInterval(ticking);
      cancelAnimationFrame(this.#frame);
      this.clear();
    });
    this.clear();
  }

  /** @param {Frame} frame @param {boolean} [settled] false while somebody has to decide about it @returns {Item} */
  add(frame, settled = true) {
    const item = { frame, row: null, settled };
    this.#held.push(item);
    this.#heldCount += 1;
    // What would be pushed out at once needs no row, unless it waits for a decision.
    if (this.#held.length > 2 * ROWS_MAX) this.#held = bounded(this.#held.reverse()).reverse();
    this.#wake();
    return item;
  }

  /**
   * Shows again what an entry's row offers, after something was decided.
   * @param {Item} item
   * @param {string} text
   * @param {string} [look]
   */
  decided(item, text, look = "done") {
    item.settled = true;
    if (!item.row) return;
    item.row.classList.add(look);
    item.row.querySelector(".doing")?.replaceChildren(text);
  }

  /** Nobody can decide any more about what was not decided. */
  handedBack() {
    for (const item of [...this.#items, ...this.#held]) if (!item.settled) this.decided(item, "handed back", "refused");
  }

  clear() {
    for (const { row } of this.#items) row?.release();
    this.#items = [];
    this.#held = [];
    this.#heldCount = 0;
    this.#open = 0;
    this.list.replaceChildren();
    this.newer.hidden = true;
    this.empty.replaceChildren(this.options.empty());
    this.empty.hidden = false;
  }

  #isRead() {
    const inside = document.activeElement !== this.element && this.list.contains(document.activeElement);
    return this.#open > 0 || this.element.scrollTop > 8 || inside;
  }

  #wake() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  #resume() {
    if (this.#held.length > 0 && !this.#isRead()) this.#wake();
  }

  /** The person asked for what is new. */
  #release() {
    for (const fold of this.list.querySelectorAll('[aria-expanded="true"]')) /** @type {HTMLElement} */ (fold).click();
    this.element.scrollTop = 0;
    this.element.focus({ preventScroll: true });
    this.#wake();
  }

  /** @param {number} now */
  #draw(now) {
    this.#frame = 0;
    if (this.#held.length === 0) return;
    const reading = this.#items.length > 0 && this.#isRead();
    this.newer.hidden = !reading;
    if (reading) {
      write(this.newer, `${counted(this.#heldCount, "newer entry", "newer entries")}`);
      return;
    }
    if (now - this.#drawnAt < DRAW_MS) return this.#wake();
    this.#drawnAt = now;
    const fresh = bounded(this.#held.reverse());
    this.#held = [];
    this.#heldCount = 0;
    const kept = bounded([...fresh, ...this.#items]);
    const keep = new Set(kept);
    for (const item of this.#items) {
      if (keep.has(item)) continue;
      item.row?.release();
      item.row?.remove();
    }
    const time = Date.now();
    const rows = fresh
      .filter((item) => keep.has(item))
      .map((item) => {
        item.row = entryRow(item.frame, {
          actions: this.options.actions?.(item),
          onfold: (open) => this.#folded(open),
        });
        item.row.tick(time);
        return item.row;
      });
    this.list.prepend(...rows);
    this.#items = kept;
    this.empty.hidden = true;
  }

  /** @param {boolean} open */
  #folded(open) {
    this.#open += open ? 1 : -1;
    this.#resume();
  }

  #tick() {
    const now = Date.now();
    for (const { row } of this.#items) row?.tick(now);
  }
}

/** The first rows within the bounds, and all that wait for a decision. @param {Item[]} items newest first */
function bounded(items) {
  let rows = 0;
  let bytes = 0;
  return items.filter(({ frame, settled }) => {
    if (!settled) return true;
    rows += 1;
    bytes += frame.data.length;
    return rows <= ROWS_MAX && (bytes <= BYTES_MAX || rows === 1);
  });
}
