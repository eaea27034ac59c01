// The connections of a watch: a WebSocket with the protocol edgequeue.v1, or an endless HTTP answer. There is one at a
// time; the module numbers them, and one that was let go says nothing more.
import { begin, send, within } from "./http.js";

/** How long a reader that is too far ahead rests before it looks again, in milliseconds. */
const REST_MS = 20;

export class Link {
  /** @type {import("./glue.js").Watching | null} */
  #core;
  #letGo = () => {};
  /** @type {WebSocket | null} */
  #socket = null;
  #timeout;
  /** Asks for the attributes, as `send` gives them. */
  #attributes;
  /** Set while the page has more than it can take. */
  isFull = false;

  constructor(core, timeout, attributes) {
    this.#core = core;
    this.#timeout = timeout;
    this.#attributes = attributes;
  }

  connect(number, url, protocols) {
    const control = new AbortController();
    const listener = { signal: control.signal };
    let socket;
    try {
      socket = new WebSocket(url, protocols);
    } catch (error) {
      queueMicrotask(() => this.#core?.lost(number, 0, String(/** @type {any} */ (error).message)));
      return;
    }
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#core?.opened(number, socket.protocol), listener);
    socket.addEventListener(
      "message",
      ({ data }) => {
        if (typeof data === "string") this.#core?.heard(number);
        else this.#core?.message(number, new Uint8Array(data));
      },
      listener,
    );
    socket.addEventListener("close", ({ code, reason }) => this.#closed(number, code, reason), listener);
    this.#socket = socket;
    this.#letGo = () => {
      control.abort();
      socket.close();
    };
  }

  /** A browser does not say why a WebSocket was not opened, but another request may tell. */
  async #closed(number, code, reason) {
    const why = reason || `the connection was closed with code ${code}`;
    if (!this.#core?.asksWhy()) {
      this.#core?.lost(number, code, why);
      return;
    }
    let answer;
    try {
      answer = await within(undefined, this.#timeout, this.#attributes);
    } catch (error) {
      this.#core?.lost(number, 0, String(/** @type {any} */ (error).message));
      return;
    }
    const [status, , body] = answer;
    if (status === 200)
      this.#core?.lost(number, code, `the service answers, but a WebSocket to it could not be opened: ${why}`);
    else this.#core?.refused(number, status, body);
  }

  stream(number, request) {
    const control = new AbortController();
    this.#letGo = () => control.abort();
    const tell = (verb, ...args) => control.signal.aborted || this.#core?.[verb](number, ...args);
    const read = async () => {
      const answer = await begin(request, control.signal);
      if (answer.status !== 200) {
        tell("refused", answer.status, new Uint8Array(await answer.arrayBuffer()));
        return;
      }
      tell("opened", "");
      const reader = /** @type {ReadableStream} */ (answer.body).getReader();
      for (;;) {
        while (this.isFull && !control.signal.aborted) await new Promise((resolve) => setTimeout(resolve, REST_MS));
        const { done, value } = await reader.read();
        if (done) return void tell("lost", 0, "the answer ended");
        tell("piece", value);
      }
    };
    read().catch((error) => tell("lost", 0, error.message));
  }

  send(message) {
    // In the middle of closing it would throw or be dropped; what is lost with a connection is sent again on the next.
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  hangUp() {
    this.#letGo();
    this.#letGo = () => {};
    this.#socket = null;
  }

  /** The module has nothing more to do with it. */
  end() {
    this.hangUp();
    this.#core = null;
  }

  /** Decisions by HTTP; a request without an answer is repeated by the module. */
  async settle(request) {
    /** @type {import("./http.js").Answer} */
    let answer = [0, undefined, new Uint8Array()];
    try {
      answer = await within(undefined, this.#timeout, (signal) => send(request, signal));
    } catch {
      // no answer
    }
    this.#core?.settledByHttp(answer[0], answer[2]);
  }
}
