// Outbound calls: predictors, callbacks, other objects. They are made here, as a call from inside the instance would
// cross its border a dozen times.
import { joined } from "./http.mjs";

/** One call, from its request to the end of its answer. */
export class OutboundCall {
  #control = new AbortController();
  #response;
  /** Whether there was more of the body than was read. */
  cut = false;

  /**
   * Sends it and waits for the beginning of the answer. `name` depends on `target`: nothing for a `url`, the binding of
   * a `service`, the name of a `model` of Workers AI or of another `queue`. `headers` are names and values in turn.
   */
  async begin(env, target, name, method, url, headers, body) {
    const pairs = [];
    for (let at = 0; at < headers.length; at += 2) pairs.push([headers[at], headers[at + 1]]);
    const request = { method, headers: pairs, redirect: "manual", signal: this.#control.signal };
    if (method !== "GET") request.body = body;
    this.#response = await send(env, target, name, url, request);
  }

  get status() {
    return this.#response.status;
  }

  get contentType() {
    return this.#response.headers.get("Content-Type") ?? undefined;
  }

  /** Bytes of the body, if known. That of a compressed body says nothing, as it grows when it is read. */
  get length() {
    const { headers } = this.#response;
    const length = headers.get("Content-Length");
    return length === null || headers.get("Content-Encoding") ? undefined : Number(length);
  }

  /** Reads at most `max` bytes of the body. The rest is neither kept nor waited for. */
  async read(max) {
    const chunks = [];
    let length = 0;
    for await (const chunk of this.#response.body ?? []) {
      chunks.push(chunk);
      length += chunk.byteLength;
      if (length > max) break;
    }
    this.cut = length > max;
    return joined(chunks, Math.min(length, max));
  }

  /** Ends the call, wherever it is. */
  abort() {
    this.#control.abort();
  }
}

function send(env, target, name, url, request) {
  switch (target) {
    case "model":
      if (!env.AI) throw new Error('the deployment has no binding AI; add [ai] binding = "AI" to wrangler.toml');
      return infer(env.AI, name, request.body);
    case "service":
      if (typeof env[name]?.fetch !== "function") {
        throw new Error(`the deployment has no service binding ${name}; add it to wrangler.toml`);
      }
      return env[name].fetch(url, request);
    case "queue":
      return env.QUEUES.getByName(name).fetch(url, request);
    default:
      return fetch(url, request);
  }
}

/** Runs a model. Its input is the JSON of the request, or `{prompt}` for a text that is not JSON. */
async function infer(ai, model, body) {
  const text = new TextDecoder().decode(body);
  let input;
  try {
    input = JSON.parse(text);
  } catch {
    input = { prompt: text };
  }
  const output = await ai.run(model, input);
  if (output instanceof Response) return output;
  if (output instanceof ReadableStream || output instanceof ArrayBuffer || ArrayBuffer.isView(output)) {
    return new Response(output, { headers: { "Content-Type": "application/octet-stream" } });
  }
  if (output === undefined || output === null) return new Response(null);
  return typeof output === "string" ? new Response(output) : Response.json(output);
}
