// Bodies of entries, shown as what they are. They are only ever text or, by the first bytes and nothing else, pictures;
// never markup.
import { bytes as size } from "./format.js";
import { make } from "./dom.js";

const TEXT_SHOWN_MAX = 100_000;
const HEX_SHOWN_MAX = 4096;
const PREVIEW_LENGTH = 160;
const HEX_COLUMNS = 16;

/** Pictures that browsers decode and that cannot hold scripts, by their first bytes. @type {[string, (data: Uint8Array) => boolean][]} */
const PICTURES = [
  ["image/png", begins(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
  ["image/jpeg", begins(0, 0xff, 0xd8, 0xff)],
  ["image/gif", begins(0, 0x47, 0x49, 0x46, 0x38)],
  ["image/webp", (data) => begins(0, 0x52, 0x49, 0x46, 0x46)(data) && begins(8, 0x57, 0x45, 0x42, 0x50)(data)],
  ["image/avif", begins(4, 0x66, 0x74, 0x79, 0x70, 0x61, 0x76, 0x69, 0x66)],
];

/** @param {number} at @param {...number} wanted @returns {(data: Uint8Array) => boolean} */
function begins(at, ...wanted) {
  return (data) => wanted.every((byte, position) => data[at + position] === byte);
}

/** The media type of a picture, or null. @param {Uint8Array} data */
export const picture = (data) => PICTURES.find(([, matches]) => matches(data))?.[0] ?? null;

/** The text of a body, or null when it is none: not UTF-8, or with control characters. @param {Uint8Array} data */
export function asText(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    return /[\x00-\x08\x0e-\x1a\x1c-\x1f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** @typedef {"text"|"json"|"image"|"hex"} Kind */

/** What a body is best shown as. @param {Uint8Array} data @returns {Kind} */
export function kind(data) {
  if (picture(data)) return "image";
  const text = asText(data);
  if (text === null) return "hex";
  return json(text) === null ? "text" : "json";
}

/** Indented JSON, or null when the text is no object or array of it. @param {string} text */
function json(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

/** One line about a body. @param {Uint8Array} data */
export function preview(data) {
  if (data.length === 0) return "(empty)";
  const type = picture(data);
  if (type) return `${type.slice(6).toUpperCase()} picture`;
  // A cut inside a letter must not make binary of a text.
  const text = new TextDecoder().decode(data.subarray(0, PREVIEW_LENGTH * 4));
  if (asText(data.subarray(0, PREVIEW_LENGTH)) === null && text.includes("\ufffd")) return hex(data.subarray(0, 24)).replaceAll(/ {2,}/g, " ");
  return text.slice(0, PREVIEW_LENGTH).replaceAll(/\s+/g, " ").trim() || "(blank)";
}

/** @param {Uint8Array} data */
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** Offsets, bytes and letters in columns. @param {Uint8Array} data */
export function hexDump(data) {
  const lines = [];
  for (let at = 0; at < Math.min(data.length, HEX_SHOWN_MAX); at += HEX_COLUMNS) {
    const row = data.subarray(at, at + HEX_COLUMNS);
    const letters = Array.from(row, (byte) => byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·").join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex(row).padEnd(HEX_COLUMNS * 3 - 1)}  ${letters}`);
  }
  return lines.join("\n");
}

/**
 * An element that shows a body; `release` when it goes away.
 * @param {Uint8Array<ArrayBuffer>} data @param {Kind} as @returns {{element: HTMLElement, release: () => void}}
 */
export function view(data, as) {
  const type = picture(data);
  if (as === "image" && type) {
    const url = URL.createObjectURL(new Blob([data], { type }));
    const image = make("img", { src: url, alt: `Body of the entry, a ${type.slice(6).toUpperCase()} picture of ${size(data.length)}` });
    return { element: make("div", { class: "view", tabindex: "0" }, image), release: () => URL.revokeObjectURL(url) };
  }
  const whole = as === "hex" ? hexDump(data) : textView(data, as);
  const cut = as === "hex" ? data.length > HEX_SHOWN_MAX : whole.length > TEXT_SHOWN_MAX;
  const shown = whole.slice(0, as === "hex" ? undefined : TEXT_SHOWN_MAX);
  const element = make("pre", { class: as === "hex" ? "view hex" : "view", tabindex: "0" }, shown || "(empty)", cut && `\n\n… cut here; download it to see all of its ${size(data.length)}`);
  return { element, release: () => {} };
}

/** @param {Uint8Array} data @param {Kind} as */
function textView(data, as) {
  const text = new TextDecoder().decode(data);
  return as === "json" ? json(text) ?? text : text;
}

/** Saves a body as a file. @param {Uint8Array<ArrayBuffer>} data @param {string} name */
export function download(data, name) {
  const url = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
