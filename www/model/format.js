// Numbers, sizes and times as people read them. Pure.

const WHOLE = new Intl.NumberFormat("en-US");
const BYTES_STEP = 1024;

/** 1234567 as "1,234,567". @param {number|bigint} value */
export const number = (value) => WHOLE.format(value);

/** Large numbers with three digits: "1.23M"; small ones as they are. @param {number} value */
export function short(value) {
  if (value >= 1e9) return `${digits(value / 1e9)}G`;
  if (value >= 1e6) return `${digits(value / 1e6)}M`;
  // Four digits are still short.
  return value >= 1e4 ? `${digits(value / 1e3)}k` : number(Math.round(value));
}

/** Three digits that count. @param {number} value */
const digits = (value) => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);

/** A rate per second: "5.2", "0.25", "1,200". @param {number} perSecond */
export function rate(perSecond) {
  if (perSecond === 0) return "0";
  if (perSecond < 0.1) return perSecond.toFixed(2);
  return perSecond < 9.95 ? perSecond.toFixed(1) : short(perSecond);
}

/** "512 B", "1.5 KB", "3.2 MB". @param {number} count */
export function bytes(count) {
  if (count < BYTES_STEP) return `${count} B`;
  const units = ["KB", "MB", "GB", "TB"];
  let value = count / BYTES_STEP;
  let unit = 0;
  while (value >= BYTES_STEP * 0.9995 && unit < units.length - 1) {
    value /= BYTES_STEP;
    unit += 1;
  }
  return `${value.toFixed(value < 9.995 ? 1 : 0)} ${units[unit]}`;
}

/** Measured milliseconds: "7 ms", "1.24 s", "2 min 5 s". @param {number} ms */
export function milliseconds(ms) {
  if (ms <= 0) return "0 ms";
  if (ms < 9.95) return `${ms.toFixed(ms < 1 ? 1 : 0)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9_950 ? 2 : 1)} s`;
  return duration(ms);
}

/** A span in its two largest units: "40 s", "2 min 5 s", "3 h 10 min", "4 d". @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${number(Math.floor(hours / 24))} d`;
}

/** An age for narrow columns: "now", "40 s", "5 min", "3 h", "4 d". @param {number} ms */
export function age(ms) {
  if (ms < 1000) return "now";
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${number(Math.floor(seconds / 86_400))} d`;
}

/** "1 entry", "2 entries". @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** Keeps both ends of a long name: "0b6f…91c2". @param {string} text @param {number} [length] */
export function middle(text, length = 12) {
  if (text.length <= length) return text;
  const half = Math.max(2, Math.floor((length - 1) / 2));
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
