// Requests and answers in the form of the instance: few texts and buffers, as each crossing costs.

/** Most bytes read of a body that is not wanted. */
const DISCARD_BYTES_MAX = 16 * 1024 * 1024;
/** A body up to this many bytes is read before the instance is entered, a longer one when the instance asks for it. */
const SHORT_BODY_BYTES_MAX = 256 * 1024;
const NOTHING = new Uint8Array();

/** Method, address and headers in one text, each in a line. */
export function headOf(request) {
  let head = `${request.method}\n${request.url}`;
  for (const [name, value] of request.headers) head += `\n${name}: ${value}`;
  return head;
}

/** Headers from lines of `name: value`. */
export function headersOf(lines) {
  const headers = {};
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) headers[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return headers;
}

/** An answer with a short text: its headers, an empty line, the text. */
export function textResponse(status, answer) {
  const end = answer.indexOf("\n\n");
  return new Response(answer.slice(end + 2), { status, headers: headersOf(answer.slice(0, end)) });
}

/** The body of a request that announces a short one, or the promise of it; `undefined` for other requests. */
export function shortBody(request) {
  const length = request.headers.get("Content-Length");
  if (length === null || !(Number(length) <= SHORT_BODY_BYTES_MAX)) return undefined;
  // If the connection breaks meanwhile, the instance hears of it when it asks for the body.
  return length === "0"
    ? NOTHING
    : request.arrayBuffer().then(
        (body) => new Uint8Array(body),
        () => undefined,
      );
}

/** Reads a body of at most `max` bytes. Returns `undefined` for a longer one, which is never held in memory. */
export async function readBody(request, max) {
  const declared = request.headers.get("Content-Length");
  if (declared !== null && Number(declared) > max) return undefined;
  if (declared !== null) return new Uint8Array(await request.arrayBuffer());
  const chunks = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.byteLength;
    if (length > max) chunks.length = 0;
    else chunks.push(chunk);
    if (length > DISCARD_BYTES_MAX) break;
  }
  return length > max ? undefined : joined(chunks, length);
}

/** The first `length` bytes of the chunks, in one array. */
export function joined(chunks, length) {
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    const part = chunk.subarray(0, length - at);
    body.set(part, at);
    at += part.byteLength;
  }
  return body;
}

/**
 * Reads the rest of a refused request. Proxies and clients that are still sending would otherwise report a broken
 * connection instead of the answer.
 */
export async function discard(request) {
  if (!request.body || request.bodyUsed) return;
  let left = DISCARD_BYTES_MAX;
  for await (const chunk of request.body) {
    left -= chunk.byteLength;
    if (left <= 0) break;
  }
}
