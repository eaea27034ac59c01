// How long requests take from their put to their result, from the two times that entries of the sink carry. Pure.

/** Samples are kept this long, and at most this many of them. */
const KEEP_MS = 60_000;
const SAMPLES_MAX = 20_000;
/** Fewer samples than this say little about a percentile: at p95, five of a hundred lie above it. */
const FEW = { p50: 20, p95: 100, p99: 200 };

/**
 * @typedef {{count: number, p50: number, p95: number, p99: number, few: {p50: boolean, p95: boolean, p99: boolean}}}
 *   Percentiles
 */

/** The waits of the last minute. */
export class Waits {
  /** @type {{at: number, ms: number}[]} */
  #samples = [];
  #first = 0;

  /** @param {number} at when the result was seen @param {Record<string, string>} tags of a result */
  add(at, tags) {
    const ms = wait(tags);
    if (ms === null) return;
    this.#samples.push({ at, ms });
    if (this.#samples.length - this.#first > SAMPLES_MAX) this.#first += 1;
    this.#compact();
  }

  /** @param {number} now @returns {Percentiles|null} null without samples */
  percentiles(now) {
    while (this.#first < this.#samples.length && this.#samples[this.#first].at < now - KEEP_MS) this.#first += 1;
    this.#compact();
    const sorted = this.#samples
      .slice(this.#first)
      .map(({ ms }) => ms)
      .sort((a, b) => a - b);
    if (sorted.length === 0) return null;
    const count = sorted.length;
    return {
      count,
      p50: rank(sorted, 0.5),
      p95: rank(sorted, 0.95),
      p99: rank(sorted, 0.99),
      few: { p50: count < FEW.p50, p95: count < FEW.p95, p99: count < FEW.p99 },
    };
  }

  /** Forgets everything: another queue is looked at. */
  clear() {
    this.#samples = [];
    this.#first = 0;
  }

  #compact() {
    if (this.#first < 1024 || this.#first < this.#samples.length / 2) return;
    this.#samples = this.#samples.slice(this.#first);
    this.#first = 0;
  }
}

/**
 * Milliseconds from the put into the input queue to the put into the sink; null when they are not known.
 * @param {Record<string, string>} tags
 */
export function wait(tags) {
  const from = Number(tags["ts@source"]);
  const to = Number(tags["ts@sink"]);
  return from > 0 && to > 0 ? Math.max(0, to - from) : null;
}

/**
 * The smallest value that at least `share` of the values do not exceed.
 * @param {number[]} sorted
 * @param {number} share
 */
export const rank = (sorted, share) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
