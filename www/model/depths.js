// How many entries wait at each priority. The service counts one priority at a time and does not list them, so the page
// counts those it knows, and while some entries are of none of them looks for more.

/** Tried in this order, some at a time. */
const CANDIDATES = [1, -1, 2, -2, 3, 5, 10, -10, 4, 6, 7, 8, 9, 20, 50, 100, -3, -5, -100, 1000];
const TRIES = 3;
const PRIORITIES_MAX = 4;
const BLUR = 0.05;

/** @typedef {{priorities: Map<number, number>, other: number}} Depth */

export class Depths {
  #known = new Set([0]);
  #next = 0;

  /** Somebody used this priority here. @param {number} priority */
  learn(priority) {
    if (this.#known.size < PRIORITIES_MAX) this.#known.add(priority);
  }

  /**
   * @param {(priority?: number) => Promise<number>} count of one priority, or of all
   * @returns {Promise<Depth>}
   */
  async sample(count) {
    /** @type {Map<number, number>} */
    const priorities = new Map();
    const note = async (/** @type {number} */ priority) => priorities.set(priority, await count(priority));
    const [total] = await Promise.all([count(), ...[...this.#known].map(note)]);
    const rest = () => total - [...priorities.values()].reduce((sum, amount) => sum + amount, 0);
    // The counts are from slightly different moments: a small difference is no other priority.
    const isBlurred = () => rest() <= Math.max(2, total * BLUR);
    if (isBlurred()) return { priorities, other: 0 };
    if (this.#known.size < PRIORITIES_MAX) {
      const tried = Array.from(
        { length: TRIES },
        (_, step) => CANDIDATES[(this.#next + step) % CANDIDATES.length],
      ).filter((priority) => !this.#known.has(priority));
      this.#next += TRIES;
      await Promise.all(
        tried.map(async (priority) => {
          const amount = await count(priority);
          if (amount === 0) return;
          this.learn(priority);
          priorities.set(priority, amount);
        }),
      );
    }
    return { priorities, other: isBlurred() ? 0 : rest() };
  }
}
