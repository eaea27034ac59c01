// Connections that watch: sockets, which outlive the object's memory, and endless bodies, which do not.
import { register, unregister } from "./instance.mjs";

/** The connection of each socket, while the object is in memory. The attachment of a socket outlives it. */
const ID = Symbol("connection");
/** Set once for an object: the platform answers a ping without waking it. */
const PING = "ping";
const PONG = "pong";

/**
 * Calls `then` when the client of a request is known to have left: later, also if that is known already.
 * @param {AbortSignal} signal
 * @param {() => void} then
 */
export function whenAborted(signal, then) {
  if (signal.aborted) Promise.resolve().then(then);
  else signal.addEventListener("abort", then);
}

/** The connection of a socket; `undefined` for one that must not be resumed. */
export function idOf(socket) {
  return (socket[ID] ??= socket.deserializeAttachment()?.[0]);
}

/** A WebSocket of the platform. */
export class Socket {
  #socket;

  constructor(socket) {
    this.#socket = socket;
  }

  /** Accepts a connection. Returns our end of it, and the response that gives the client the other end. */
  static accept(state, id, subprotocol, answersPings) {
    const [theirs, ours] = Object.values(new WebSocketPair());
    ours[ID] = id;
    state.acceptWebSocket(ours);
    if (answersPings) state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    /** @type {Record<string, string>} */
    const headers = subprotocol ? { "Sec-WebSocket-Protocol": subprotocol } : {};
    return [new Socket(ours), new Response(null, { status: 101, webSocket: theirs, headers })];
  }

  send(bytes) {
    this.#socket.send(bytes);
  }

  keep(id, bytes) {
    this.#socket.serializeAttachment([id, bytes]);
  }

  /** When the platform last answered a ping on it, in Unix milliseconds; 0 if it never did. */
  heartbeat(state) {
    return state.getWebSocketAutoResponseTimestamp(this.#socket)?.getTime() ?? 0;
  }

  /** Closes it. From now on it must not be resumed, even if the closing handshake takes long. */
  close(code, reason) {
    this.#socket.serializeAttachment(null);
    this.#socket.close(code, reason);
  }
}

/** The body of an HTTP watch. Its client must notice when the instance that feeds it dies. */
export class Stream {
  #writer;
  #gone;

  /**
   * Accepts a connection. Returns the body's writing end, and the response with its reading end. `gone` is called when
   * the client leaves.
   */
  static accept(signal, gone) {
    const { readable, writable } = new IdentityTransformStream();
    const stream = new Stream();
    stream.#writer = writable.getWriter();
    stream.#gone = gone;
    stream.#writer.closed.catch(() => {}).finally(() => stream.#end());
    whenAborted(signal, () => stream.#end());
    register(stream);
    // Without a type, proxies compress the body and thereby hold it back.
    return [stream, new Response(readable, { headers: { "Content-Type": "application/octet-stream" } })];
  }

  #end() {
    unregister(this);
    this.#gone?.();
    this.#gone = undefined;
  }

  send(bytes) {
    this.#writer.write(bytes).catch(() => this.#end());
  }

  keep() {}

  heartbeat() {
    return 0;
  }

  close() {
    this.#gone = undefined;
    this.#writer.close().catch(() => {});
  }

  giveUp(error) {
    this.#gone = undefined;
    this.#writer.abort(error).catch(() => {});
  }
}
