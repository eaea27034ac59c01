// A body on the page: a text node or, by its first bytes and nothing else, a picture; never markup.
import { HEX_SHOWN_MAX, hexDump, indented, picture } from "../model/bodies.js";
import { bytes as size } from "../model/format.js";
import { make } from "./dom.js";

/** @typedef {import("../model/bodies.js").Kind} Kind */

const TEXT_SHOWN_MAX = 100_000;

/**
 * An element that shows a body; `release` when it goes away.
 * @param {Uint8Array<ArrayBuffer>} data @param {Kind} as @returns {{element: HTMLElement, release: () => void}}
 */
export function view(data, as) {
  const type = picture(data);
  if (as === "image" && type) {
    const url = URL.createObjectURL(new Blob([data], { type }));
    const image = make("img", {
      src: url,
      alt: `Body of the entry, a ${type.slice(6).toUpperCase()} picture of ${size(data.length)}`,
    });
    return { element: make("div", { class: "view", tabindex: "0" }, image), release: () => URL.revokeObjectURL(url) };
  }
  const whole = as === "hex" ? hexDump(data) : textView(data, as);
  const cut = as === "hex" ? data.length > HEX_SHOWN_MAX : whole.length > TEXT_SHOWN_MAX;
  const shown = whole.slice(0, as === "hex" ? undefined : TEXT_SHOWN_MAX);
  const element = make(
    "pre",
    { class: as === "hex" ? "view hex" : "view", tabindex: "0" },
    shown || "(empty)",
    cut && `\n\n… cut here; download it to see all of its ${size(data.length)}`,
  );
  return { element, release: () => {} };
}

/** @param {Uint8Array} data @param {Kind} as */
function textView(data, as) {
  const text = new TextDecoder().decode(data);
  return as === "json" ? (indented(text) ?? text) : text;
}

/** Saves a body as a file. @param {Uint8Array<ArrayBuffer>} data @param {string} name */
export function download(data, name) {
  const url = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
