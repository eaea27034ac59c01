// How many entries wait at each priority. The service counts one priority at a time and does not list them, so the page
// counts those it knows, and while some entries are of none of them looks for more.

/** Tried in this order, some at a time. */
const CANDIDATES = [1, -1, 2, -2, 3, 5, 10, -10, 4, 6, 7, 8, 9, 20, 50, 100, -3, -5, -100, 1000];
const TRIES = 3;
const PRIORITIES_MAX = 5;

/** @typedef {{priorities: Map<number, number>, other: number}} Depth */

export class Depths {
  #known = new Set([0]);
  #next = 0;

  /** Somebody used this priority here. @param {number} priority */
  learn(priority) {
    if (this.#known.size < PRIORITIES_MAX) this.#known.add(priority);
  }

  /**
   * @param {(priority: number) => Promise<number>} count @param {number} length of the queue
   * @returns {Promise<Depth>}
   */
  async sample(count, length) {
    /** @type {Map<number, number>} */
    const priorities = new Map();
    if (length === 0) {
      for (const priority of this.#known) priorities.set(priority, 0);
      return { priorities, other: 0 };
    }
    await Promise.all([...this.#known].map(async (priority) => priorities.set(priority, await count(priority))));
    const rest = () => length - [...priorities.values()].reduce((sum, amount) => sum + amount, 0);
    if (rest() > 0 && this.#known.size < PRIORITIES_MAX) {
      const tried = Array.from({ length: TRIES }, (_, step) => CANDIDATES[(this.#next + step) % CANDIDATES.length]).filter((priority) => !this.#known.has(priority));
      this.#next += TRIES;
      await Promise.all(tried.map(async (priority) => {
        const amount = await count(priority);
        if (amount === 0) return;
        this.learn(priority);
        priorities.set(priority, amount);
      }));
    }
    // The length was asked a moment earlier: a small difference is no other priority.
    return { priorities, other: Math.max(0, rest()) };
  }
}
