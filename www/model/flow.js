// How many entries came into a queue and how many left it, from what its attributes say at different moments. Pure.

/** Rates are over this span: shorter ones jump, longer ones lag. */
const SPAN_MS = 4_000;

/**
 * A queue's indexes grow by one with every entry and are never used twice, so the last index counts what came in and,
 * without what is still there, what left. An empty queue does not show its last index; then what its only group
 * committed helps.
 */
export class Flow {
  #in = 0;
  #out = 0;
  /** What the last index is ahead of our own count; not known before the first index is seen. @type {number|null} */
  #ahead = null;
  /** @type {number|null} */
  #delivered = null;
  /** @type {{at: number, in: number, out: number}[]} */
  #totals = [];

  /**
   * Takes in a state and answers the rates per second of the last seconds.
   * @param {number} at @param {{last: number, length: number, groups: {delivered: number}[]}} queue
   * @returns {{in: number, out: number}}
   */
  see(at, { last, length, groups }) {
    const delivered = groups.length === 1 ? groups[0].delivered : null;
    const committed = delivered !== null && this.#delivered !== null ? Math.max(0, delivered - this.#delivered) : 0;
    this.#delivered = delivered;
    const least = this.#out + committed + length;
    if (last > 0) this.#ahead ??= this.#totals.length === 0 ? 0 : last - least;
    this.#in = Math.max(this.#in, least, last - (this.#ahead ?? 0));
    this.#out = Math.max(this.#out, this.#in - length);
    this.#totals.push({ at, in: this.#in, out: this.#out });
    while (this.#totals.length > 2 && this.#totals[1].at <= at - SPAN_MS) this.#totals.shift();
    const from = this.#totals[0];
    const seconds = (at - from.at) / 1000;
    return seconds > 0
      ? { in: (this.#in - from.in) / seconds, out: (this.#out - from.out) / seconds }
      : { in: 0, out: 0 };
  }
}
