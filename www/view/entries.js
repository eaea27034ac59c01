// One entry as a row that unfolds: index, a line of its body, size and age; then tags and the whole body.
import { kind, picture, preview } from "../model/bodies.js";
import { download, view } from "./body.js";
import { button, copy, icon, make } from "./dom.js";
import { age, bytes } from "../model/format.js";

/** @typedef {import("../pkg/edgequeue.js").Frame} Frame */

let named = 0;

/**
 * @param {Frame} frame
 * @param {{actions?: (Node|null)[], onfold?: (open: boolean) => void}} [options]
 * @returns {HTMLElement & {release: () => void, tick: (now: number) => void}}
 */
export function entryRow(frame, { actions = [], onfold } = {}) {
  const id = `entry-${(named += 1)}`;
  const age_ = make("span", { class: "meta" });
  const fold = make(
    "button",
    {
      type: "button",
      class: "fold",
      "aria-expanded": "false",
      "aria-label": `Entry ${frame.index}: details`,
      onclick: () => unfold(more === null),
    },
    icon("chevron"),
  );
  const row = make(
    "div",
    { class: "entry-row" },
    fold,
    make("span", { class: "index" }, `#${frame.index}`),
    make("span", { class: "body" }, preview(frame.data)),
    age_,
    make("span", { class: "doing" }, ...actions),
  );
  const element = make("li", { class: "entry" }, row);
  /** @type {{element: HTMLElement, release: () => void}|null} */
  let more = null;

  function unfold(/** @type {boolean} */ open) {
    more?.release();
    more?.element.remove();
    more = open ? details(frame, id) : null;
    if (more) element.append(more.element);
    fold.setAttribute("aria-expanded", String(open));
    if (open) fold.setAttribute("aria-controls", id);
    else fold.removeAttribute("aria-controls");
    onfold?.(open);
  }

  return Object.assign(element, {
    release: () => more?.release(),
    tick: (/** @type {number} */ now) => {
      const text = `${bytes(frame.data.length)}${frame.putAt ? ` · ${age(now - frame.putAt)}` : ""}`;
      if (age_.textContent !== text) age_.textContent = text;
    },
  });
}

/** @param {Frame} frame @param {string} id @returns {{element: HTMLElement, release: () => void}} */
function details(frame, id) {
  const place = make("div");
  let shown = { element: /** @type {HTMLElement} */ (place), release: () => {} };
  const show = (/** @type {import("../model/bodies.js").Kind} */ as) => {
    shown.release();
    shown = view(frame.data, as);
    shown.element.setAttribute("aria-label", `Body of entry ${frame.index}`);
    shown.element.setAttribute("role", "region");
    place.replaceChildren(shown.element);
  };
  const first = kind(frame.data);
  const kinds = /** @type {const} */ ([
    ["text", "Text"],
    ["json", "JSON"],
    ["image", "Image"],
    ["hex", "Hex"],
  ]).filter(([name]) => name !== "image" || picture(frame.data));
  const choice = make(
    "div",
    { class: "choice", role: "radiogroup", "aria-label": "Show the body as" },
    ...kinds.map(([name, label]) =>
      make(
        "label",
        {},
        make("input", { type: "radio", name: id, checked: name === first, onchange: () => show(name) }),
        label,
      ),
    ),
  );
  show(first);
  const tags = Object.entries(frame.tags)
    .map(([key, value]) => [make("dt", {}, key), make("dd", {}, value, timeOf(key, value))])
    .flat();
  const element = make(
    "div",
    { class: "entry-more", id },
    tags.length > 0 ? make("dl", {}, ...tags) : null,
    make(
      "div",
      { class: "actions" },
      choice,
      button("Copy", () => copy(new TextDecoder().decode(frame.data), "Body"), { class: "small" }),
      button("Download", () => download(frame.data, `entry-${frame.index}${extension(frame.data)}`), {
        class: "small",
      }),
      frame.requestId ? button("Copy request id", () => copy(frame.requestId, "Request id"), { class: "small" }) : null,
    ),
    place,
  );
  return { element, release: () => shown.release() };
}

/** Times of the service are milliseconds; people read clocks. @param {string} key @param {string} value */
function timeOf(key, value) {
  const at = Number(value);
  return key.startsWith("ts@") && at > 1e12 && at < 1e14
    ? make("span", { class: "note" }, ` (${new Date(at).toLocaleTimeString()})`)
    : null;
}

/** @param {Uint8Array} data */
const extension = (data) =>
  ({ image: `.${picture(data)?.slice(6)}`, json: ".json", text: ".txt", hex: ".bin" })[kind(data)];
