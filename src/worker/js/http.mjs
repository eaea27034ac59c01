// Requests and answers as the instance takes and gives them: few texts and buffers, since each crossing costs.

/** What is read of a body that nobody wants, in bytes. */
const DISCARD_BYTES_MAX = 16 * 1024 * 1024;
/** A body up to this many bytes is read before the instance is entered; longer ones when it asks for them. */
const SHORT_BODY_BYTES_MAX = 256 * 1024;
const NOTHING = new Uint8Array();

/** Method, address and headers in one text, a line each. */
export function headOf(request) {
  let head = `${request.method}\n${request.url}`;
  for (const [name, value] of request.headers) head += `\n${name}: ${value}`;
  return head;
}

/** Headers from lines, `name: value` each. */
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

/** The body of a request that says that it has a short one, or the promise of it; `undefined` for other requests. */
export function shortBody(request) {
  const length = request.headers.get("Content-Length");
  if (length === null || !(Number(length) <= SHORT_BODY_BYTES_MAX)) return undefined;
  // The connection may break in the middle; then it is found out when the instance asks for the body.
  return length === "0"
    ? NOTHING
    : request.arrayBuffer().then(
        (body) => new Uint8Array(body),
        () => undefined,
      );
}

/** Reads a body of at most `max` bytes; `undefined` for a longer one, which is never held. */
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

/** Chunks as one array of `length` bytes; what is beyond that is left out. */
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
 * Reads what a refused request still sends. An answer in the middle of a body makes proxies and clients that are still
 * sending report a broken connection instead of it.
 */
export async function discard(request) {
  if (!request.body || request.bodyUsed) return;
  let left = DISCARD_BYTES_MAX;
  for await (const chunk of request.body) {
    left -= chunk.byteLength;
    if (left <= 0) break;
  }
}
