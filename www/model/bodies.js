// What the body of an entry is: text, JSON, a picture or bytes. The body alone decides, never a tag.

/** A dump in hexadecimal shows this much of a body. */
export const HEX_SHOWN_MAX = 4096;
const PREVIEW_LENGTH = 160;
const HEX_COLUMNS = 16;

/**
 * Pictures that browsers decode and that cannot hold scripts, by their first bytes.
 * @type {[string, (data: Uint8Array) => boolean][]}
 */
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
  return indented(text) === null ? "text" : "json";
}

/** Indented JSON, or null when the text is neither an object nor an array. @param {string} text */
export function indented(text) {
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
  if (asText(data.subarray(0, PREVIEW_LENGTH)) === null && text.includes("\ufffd"))
    return hex(data.subarray(0, 24)).replaceAll(/ {2,}/g, " ");
  return text.slice(0, PREVIEW_LENGTH).replaceAll(/\s+/g, " ").trim() || "(blank)";
}

/** @param {Uint8Array} data */
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** Offsets, bytes and letters in columns. @param {Uint8Array} data */
export function hexDump(data) {
  const lines = [];
  for (let at = 0; at < Math.min(data.length, HEX_SHOWN_MAX); at += HEX_COLUMNS) {
    const row = data.subarray(at, at + HEX_COLUMNS);
    const letters = Array.from(row, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex(row).padEnd(HEX_COLUMNS * 3 - 1)}  ${letters}`);
  }
  return lines.join("\n");
}
