// Requests at a steady rate, to see a queue at work.

const STEP_MS = 100;
/** Every fifth request goes before the others. */
const URGENT_EVERY = 5;
export const URGENT = 1;

/**
 * Puts `perSecond` requests for `seconds`, or until the signal aborts.
 * @param {{input: import("../pkg/edgequeue.js").QueueClient, request: (step: number) => string, perSecond: number,
 *   seconds: number, signal: AbortSignal,
 *   onput: (total: number) => void}} options
 */
export async function traffic({ input, request, perSecond, seconds, signal, onput }) {
  const began = performance.now();
  const total = Math.round(perSecond * seconds);
  let sent = 0;
  while (sent < total && !signal.aborted) {
    const due = Math.min(total, Math.max(1, Math.ceil(((performance.now() - began) / 1000) * perSecond)));
    const entries = Array.from({ length: due - sent }, (_, at) => ({
      data: request(sent + at),
      priority: (sent + at) % URGENT_EVERY === URGENT_EVERY - 1 ? URGENT : 0,
      tags: { from: "page" },
    }));
    if (entries.length > 0) await input.putMany(entries, { signal });
    sent = due;
    onput(sent);
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(STEP_MS, (sent / perSecond) * 1000 - (performance.now() - began))),
    );
  }
}
