// What charts compute of their values. Pure.

/** Position of the time nearest to `wanted`. @param {number[]} times @param {number} wanted */
export const nearest = (times, wanted) =>
  times.reduce((best, time, at) => (Math.abs(time - wanted) < Math.abs(times[best] - wanted) ? at : best), 0);

/** Series on top of each other. @param {{values: (number|null)[]}[]} series @param {number} length */
export function stack(series, length) {
  const sum = Array.from({ length }, () => 0);
  return series.map(({ values }) => values.map((value, at) => (sum[at] += value ?? 0)));
}

/** A line is interrupted where the page did not ask for longer than this. */
const GAP_MS = 25_000;

/** Stretches of values without a hole. @param {number[]} times @param {(number|null)[]} values */
export function* runs(times, values) {
  let from = -1;
  for (let at = 0; at <= values.length; at++) {
    const joined = at < values.length && values[at] !== null && (from < 0 || times[at] - times[at - 1] < GAP_MS);
    if (joined && from < 0) from = at;
    if (joined) continue;
    if (from >= 0) yield [from, at - 1];
    from = at < values.length && values[at] !== null ? at : -1;
  }
}

/** Round numbers from 0 to just above `largest`. @param {number} largest @param {boolean} [whole] */
export function axis(largest, whole = false) {
  if (!(largest > 0)) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(largest / 2));
  const step = /** @type {number} */ (
    [1, 2, 2.5, 5, 10, 20]
      .map((factor) => factor * power)
      .find((size) => largest / size <= 3.01 && (!whole || Number.isInteger(size)))
  );
  return Array.from({ length: Math.ceil(largest / step - 1e-9) + 1 }, (_, at) => at * step);
}
