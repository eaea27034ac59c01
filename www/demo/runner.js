// Runs the function that a person wrote. It is loaded as a worker of its own with a policy of its own (see _headers):
// no page, no storage of the page, no token, no network. It gets one entry at a time and answers with bytes.

/** @type {((entry: any) => unknown)|null} */
let infer = null;

/** The scope of a worker, which has another `postMessage` than a page. @type {any} */
const scope = self;
scope.onmessage = (/** @type {MessageEvent} */ { data }) => (data.code === undefined ? run(data) : load(data.code));

/** @param {string} code a module whose default export is the function */
async function load(code) {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    const module = await import(url);
    if (typeof module.default !== "function")
      throw new TypeError("the code must have `export default function infer(entry) { … }`");
    infer = module.default;
    scope.postMessage({ ready: true });
  } catch (error) {
    scope.postMessage({ broken: message(error) });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** @param {{index: number|bigint, tags: Record<string, string>, data: Uint8Array<ArrayBuffer>}} entry */
async function run({ index, tags, data }) {
  try {
    const text = () => new TextDecoder().decode(data);
    const result = await infer?.({
      index,
      tags,
      data,
      get text() {
        return text();
      },
      get json() {
        return JSON.parse(text());
      },
    });
    const body = await bytes(result);
    scope.postMessage({ done: true, body: body?.data, type: body?.type }, body ? [body.data.buffer] : []);
  } catch (error) {
    scope.postMessage({ failed: message(error) });
  }
}

/**
 * What a function returned, as bytes with their type; nothing for nothing.
 * @param {unknown} result
 * @returns {Promise<{data: Uint8Array<ArrayBuffer>, type: string}|null>}
 */
async function bytes(result) {
  if (result === undefined || result === null) return null;
  if (result instanceof Blob) return { data: new Uint8Array(await result.arrayBuffer()), type: result.type };
  if (result instanceof ArrayBuffer) return { data: new Uint8Array(result), type: "" };
  if (ArrayBuffer.isView(result))
    return { data: new Uint8Array(result.buffer, result.byteOffset, result.byteLength).slice(), type: "" };
  const isText = typeof result === "string";
  return {
    data: new TextEncoder().encode(isText ? result : JSON.stringify(result)),
    type: isText ? "text/plain; charset=utf-8" : "application/json",
  };
}

/** @param {unknown} error */
const message = (error) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));
