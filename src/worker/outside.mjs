// What an object calls: predictors, callbacks, other objects. Here and not in the instance, because a call would cross
// its border a dozen times.

/** One call, from the request to the end of the answer. */
export class Outgoing {
  #control = new AbortController();
  #response;

  /**
   * Sends a POST and waits for the beginning of the answer. `kind` says what `name` is: nothing for a `url`, the binding of
   * a `service`, a `model` of Workers AI, or the `queue` of another object, which `ask` asks by GET. `headers` are lines, `body` is the instance's
   * own memory and must be copied.
   */
  async begin(env, kind, name, url, headers, body) {
    const request = { method: "POST", headers: [...lines(headers)], body: body.slice(), redirect: "manual", signal: this.#control.signal };
    this.#response = await this.#send(env, kind, name, url, request);
    return this;
  }

  #send(env, kind, name, url, request) {
    switch (kind) {
      case "model":
        if (!env.AI) throw new Error("the deployment has no binding AI; add [ai] binding = \"AI\" to wrangler.toml");
        return infer(env.AI, name, request.body);
      case "service":
        if (typeof env[name]?.fetch !== "function") throw new Error(`the deployment has no service binding ${name}; add it to wrangler.toml`);
        return env[name].fetch(url, request);
      case "queue":
        return env.QUEUES.getByName(name).fetch(url, request);
      case "ask":
        return env.QUEUES.getByName(name).fetch(url, { headers: request.headers, signal: request.signal });
      default:
        return fetch(url, request);
    }
  }

  get status() {
    return this.#response.status;
  }

  get contentType() {
    return this.#response.headers.get("Content-Type") ?? undefined;
  }

  /** Bytes of the body, where that is known. What is compressed becomes longer. */
  get length() {
    const { headers } = this.#response;
    const length = headers.get("Content-Length");
    return length === null || headers.get("Content-Encoding") ? undefined : Number(length);
  }

  /** Reads the body, at most `max` bytes; more is neither kept nor waited for. */
  async read(max) {
    const chunks = [];
    let length = 0;
    const reader = this.#response.body?.getReader();
    while (reader) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value.subarray(0, max - length));
      length += value.byteLength;
      if (length > max) {
        this.abort();
        break;
      }
    }
    this.cut = length > max;
    const body = new Uint8Array(Math.min(length, max));
    let at = 0;
    for (const chunk of chunks) {
      body.set(chunk, at);
      at += chunk.byteLength;
    }
    return body;
  }

  /** Nobody waits for it any more. */
  abort() {
    this.#control.abort();
  }
}

/** Header lines as pairs. */
function* lines(headers) {
  for (const line of headers.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) yield [line.slice(0, colon), line.slice(colon + 2)];
  }
}

/** Runs a model. Its input is the JSON of the request, or `{prompt}` for a text that is none. */
async function infer(ai, model, body) {
  const text = new TextDecoder().decode(body);
  let input;
  try {
    input = JSON.parse(text);
  } catch {
    input = { prompt: text };
  }
  const output = await ai.run(model, input);
  const binary = output instanceof ReadableStream || output instanceof ArrayBuffer || ArrayBuffer.isView(output);
  if (output instanceof Response) return output;
  if (binary) return new Response(output, { headers: { "Content-Type": "application/octet-stream" } });
  if (output === undefined || output === null) return new Response(null);
  return typeof output === "string" ? new Response(output) : Response.json(output);
}

/** A setting of one queue in the deployment: `[vars.EDGEQUEUE_SERVICES.<queue>]`, or the same as JSON text. */
export function serviceSetting(env, queue, key) {
  let services = env.EDGEQUEUE_SERVICES;
  if (typeof services === "string") {
    try {
      services = JSON.parse(services);
    } catch {
      return undefined;
    }
  }
  const value = services?.[queue]?.[key];
  return value === undefined || value === null ? undefined : String(value);
}
