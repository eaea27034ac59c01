// Requests and answers, by `fetch`.
import { QueueError, whileAlive } from "./classes.js";
import { HttpAnswer } from "./glue.js";

/** @typedef {[status: number, requestId: string | undefined, body: Uint8Array<ArrayBuffer>]} Answer */

const HEADER_REQUEST_ID = "X-Eas-Queueservice-Request-Id";

/** A browser does not say why there is no answer. */
const unreachable = (url) =>
  new QueueError(
    "unreachable",
    `there was no answer from ${url.split("?")[0]}, or none that this page may read: see whether the service is up ` +
      "and, if the page comes from elsewhere, whether its origin is in the service's EDGEQUEUE_ALLOWED_ORIGINS",
  );

/** Waits until the answer begins. */
export async function begin({ url, ...request }, signal) {
  try {
    return await fetch(url, { ...request, signal, cache: "no-store" });
  } catch {
    throw unreachable(url);
  }
}

/**
 * The whole answer: status, request id and body.
 * @returns {Promise<Answer>}
 */
export async function send(request, signal) {
  const answer = await begin(request, signal);
  try {
    return [
      answer.status,
      answer.headers.get(HEADER_REQUEST_ID) ?? undefined,
      new Uint8Array(await answer.arrayBuffer()),
    ];
  } catch {
    throw new QueueError("unreachable", "the connection broke in the middle of the answer");
  }
}

/**
 * Runs `act` with a signal that fires after `ms`, or when the caller's does, or when the module dies.
 * @template T
 * @param {AbortSignal | undefined} signal
 * @param {number} ms
 * @param {(signal: AbortSignal) => Promise<T>} act
 * @returns {Promise<T>}
 */
export async function within(signal, ms, act) {
  const control = new AbortController();
  const abort = () => control.abort();
  let died;
  const release = whileAlive((error) => {
    died = error;
    abort();
  });
  const timer = setTimeout(abort, ms);
  signal?.addEventListener("abort", abort);
  try {
    signal?.throwIfAborted();
    return await act(control.signal);
  } catch (error) {
    if (died) throw died;
    if (signal?.aborted) throw signal.reason;
    if (control.signal.aborted)
      throw new QueueError(
        "timeout",
        `there was no answer within ${ms / 1000} s; what was asked for may have been done or not`,
      );
    throw error;
  } finally {
    release();
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Sends a request and reads the answer with one of `HttpAnswer`'s methods. */
export async function ask(request, read, signal, ms) {
  const answer = await within(signal, ms, (signal) => send(request, signal));
  return read(new HttpAnswer(...answer));
}

/** What an answer's JSON says. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new QueueError("unexpected_answer", "the answer is not JSON: something else than a queue is at this address");
  }
}
