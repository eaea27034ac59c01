// The browser client of edgequeue. `docs/browser.md` is the same in prose, with examples.

/**
 * Loads the module; call it once, before anything else. Further calls return the same promise; after a failure the next
 * call tries again. `source` is where the compiled module is, for pages that keep it elsewhere than beside this file;
 * or its bytes, or the module itself.
 */
export default function init(
  source?: URL | string | Response | Promise<Response> | BufferSource | WebAssembly.Module,
): Promise<void>;

/**
 * Number of an entry. Up to 2^53 - 1 a `number`, beyond that a `bigint`, so that no digit is ever lost and equal
 * indexes are always `===`. Methods take both; a `number` that is not a safe integer is refused (`invalid_argument`).
 */
export type Index = number | bigint;
export type Tags = Record<string, string>;
/** What can be put. A string is sent as UTF-8. */
export type Data = string | Blob | ArrayBuffer | ArrayBufferView<ArrayBuffer>;

/** Codes that a program can act on; later versions may add some. */
export type ErrorCode =
  /** An argument makes no sense; nothing was sent. */
  | "invalid_argument"
  /** No token, a wrong one, or a deployment that has none. */
  | "unauthorized"
  | "not_found"
  /** The entry is longer than the queue takes, or the batch is. */
  | "too_large"
  /** The queue takes no more for now; nothing was stored. */
  | "full"
  /** The stream was ended. */
  | "ended"
  /** Something else is wrong with the request; the message says what. */
  | "bad_request"
  /** In conflict with what has happened already: the request to be cancelled has ended. */
  | "conflict"
  /** The service failed; the same request may work later. */
  | "unavailable"
  /** No answer came, or none that this page may read (see CORS). What was asked for may have been done or not. */
  | "unreachable"
  /** No answer within `timeout`. What was asked for may have been done or not. */
  | "timeout"
  /** The answer is not what the protocol says: something else than a queue is at this address. */
  | "unexpected_answer"
  /** The service is not an edgequeue and cannot do this. */
  | "unsupported"
  /** Another watch with the same group and user took the place of this one. */
  | "taken_over"
  /** The watch was closed before it could confirm this. */
  | "closed"
  /** A fault of the client itself. Nothing of it works any more: reload the page. */
  | "internal";

/** Every error of this client. Aborts are not among them: those have the signal's own `reason`, as with `fetch`. */
export class QueueError extends Error {
  readonly name: "QueueError";
  readonly code: ErrorCode;
  /** HTTP status of the refusal; 0 when there was none. */
  readonly status: number;
}

export interface ClientOptions {
  /** Address of the queue, absolute or relative to the page: `/api/predict/<service>`, with `/sink` for its results. */
  url: string | URL;
  token?: string;
  /** Consumer group; default `default_group`. Group and user are printable ASCII. */
  group?: string;
  /** Name inside the group; default a random one, so that two tabs do not take each other's place. */
  user?: string;
  /** The rear queue (dead letters) instead. */
  rear?: boolean;
  /** Milliseconds to wait for an answer, beyond what the request itself asks to wait; default 30000. */
  timeout?: number;
  /**
   * How entries are watched. `auto` (default): by our own protocol on a WebSocket with an edgequeue, else as `eas`.
   * `eas`: only what every PAI-EAS queue service has, by HTTP; each watch then keeps one of the six connections a
   * browser has for a host over HTTP/1.1.
   */
  protocol?: "auto" | "eas";
}

export interface Cancellable {
  /** Gives up: the promise is rejected with the signal's reason. A request that was sent may have been carried out. */
  signal?: AbortSignal;
}

export interface PutOptions extends Cancellable {
  tags?: Tags;
  /** Higher is delivered first; default 0. */
  priority?: Index;
  /** Default: the service makes one. */
  requestId?: string;
  /** Default: a Blob's own type, else none. */
  contentType?: string;
  /** Sub-path for whoever processes the entry, beginning with `/`. */
  path?: string;
  /** Address that is told when the request ends, if the service does that. */
  callback?: string;
}

export interface Receipt {
  index: Index;
  requestId: string;
}

export interface Entry {
  data: Data;
  tags?: Tags;
  priority?: Index;
  requestId?: string;
}

export interface GetOptions extends Cancellable {
  /** Where reading begins: an index (default 0), or the newest entry. */
  start?: Index | "newest";
  /** Most entries to wait for and to return; default 1. */
  count?: number;
  /** Milliseconds to wait for them; default 0. */
  wait?: number;
  /** Whether they are removed; default false. (The vendor's default is true: a lost answer would lose entries.) */
  remove?: boolean;
  /** Tags they must have. */
  tags?: Tags;
  /** The entry with this request id; the same as the tag `requestId`. */
  requestId?: string;
}

export interface CountOptions extends Cancellable {
  priority?: Index;
  tags?: Tags;
}

export interface Position {
  /** The consumer that holds the entry, as `group.user`; the one that asks if none does. */
  consumerId: string;
  /** Whether that consumer holds it. */
  isPending: boolean;
  /** Entries that will be delivered before it. */
  waitCount: number;
}

/** Where a request stands; the fields that are there depend on `status`. Only with an edgequeue. */
export interface RequestStatus {
  status: "queued" | "running" | "done" | "failed" | "cancelled" | "unknown";
  [detail: string]: unknown;
}

/** One queue, asked as one consumer. Nothing is sent before a method is called. */
export class QueueClient {
  /** Throws `invalid_argument`. */
  constructor(options: ClientOptions);
  readonly url: string;
  readonly group: string;
  readonly user: string;
  readonly isRear: boolean;
  /** The same consumer at the output queue of the same service. */
  sink(): QueueClient;
  /** The same consumer at the rear queue (dead letters). */
  rear(): QueueClient;

  put(data: Data, options?: PutOptions): Promise<Receipt>;
  /**
   * Puts entries, all or none, with indexes that follow each other; `tags` and `priority` hold for those that have none
   * of their own. With a service that is not an edgequeue, entries are put one by one and the first refusal ends it.
   */
  putMany(
    entries: Iterable<Data | Entry>,
    options?: Pick<PutOptions, "tags" | "priority" | "signal">,
  ): Promise<Receipt[]>;
  get(options?: GetOptions): Promise<Frame[]>;
  attributes(options?: Cancellable): Promise<Record<string, string>>;
  /** Where an entry stands; `null` when there is no such entry. */
  search(index: Index, options?: Cancellable): Promise<Position | null>;
  count(options?: CountOptions): Promise<number>;
  delete(indexes: Index | Iterable<Index>, options?: Cancellable): Promise<void>;
  /** Removes everything below an index. */
  truncate(below: Index, options?: Cancellable): Promise<void>;
  /**
   * Commits by HTTP, also entries that another connection of this consumer was sent. Frames of a watch have their own
   * `commit()`.
   */
  commit(indexes: Index | Iterable<Index>, options?: Cancellable): Promise<void>;
  /** Refuses entries. `code` as in `OOM`, `BadRequest.Body`, `500`. */
  negative(indexes: Index | Iterable<Index>, code?: string, reason?: string, options?: Cancellable): Promise<void>;
  /** Ends the stream; with `force` what waits is dropped. */
  end(options?: Cancellable & { force?: boolean }): Promise<void>;
  /** Settings of the queue. Only with an edgequeue. */
  settings(options?: Cancellable): Promise<Record<string, unknown>>;
  configure(settings: Record<string, string | number | boolean>, options?: Cancellable): Promise<void>;
  /** Where a request stands. Only with an edgequeue. */
  status(requestId: string, options?: Cancellable): Promise<RequestStatus>;
  /** Cancels a request: `conflict` when it has ended, `not_found` when it is unknown. Only with an edgequeue. */
  cancel(requestId: string, options?: Cancellable): Promise<RequestStatus>;

  /**
   * Begins to watch at once. If the first connection cannot be made, the watch ends with the reason. It lives until it
   * is closed.
   */
  watch(options?: WatchOptions): Watch;
  /**
   * Reads along without consuming: entries in the order of their indexes, as long as they are in the queue when looked
   * for. Ends when it is left or aborted; errors that pass (`unavailable`, `unreachable`, `timeout`, `full`) are waited
   * out.
   */
  tail(options?: TailOptions): AsyncIterableIterator<Frame>;
}

export interface TailOptions extends Cancellable {
  /** Where to begin; `newest` (default): what comes from now on. */
  start?: Index | "newest";
  tags?: Tags;
  /** As with a watch; `reconnecting` while errors are waited out. */
  onState?(state: WatchState): void;
}

export interface WatchOptions extends Cancellable {
  /**
   * How many entries may be uncommitted here, 1 to 1000; default 10. 0 (not with `eas`): none for now, see
   * `Watch.window`.
   */
  window?: number;
  /** Where a group that does not exist yet begins; default 0, the oldest. `newest`: what is put from now on. */
  start?: Index | "newest";
  /** The service commits what it has sent: entries on their way are lost when the connection breaks. */
  autoCommit?: boolean;
  /** Frames without data. */
  indexOnly?: boolean;
  /** Only entries with these tags; all consumers of a group must give the same. */
  tags?: Tags;
  /** Called at once with the state of the watch, and then whenever that changes. */
  onState?(state: WatchState): void;
}

export type WatchState =
  /** The first connection is being made. */
  | { name: "connecting" }
  /** `session` is our own protocol on a WebSocket, `stream` an endless HTTP answer, `poll` what a tail does. */
  | { name: "open"; transport: "session" | "stream" | "poll" }
  /** The connection is gone; the next attempt is at `nextTryAt` (Unix milliseconds; now or earlier: under way). */
  | { name: "reconnecting"; reason: string; nextTryAt: number; attempt: number }
  /** What was decided is being confirmed, the rest handed back. */
  | { name: "closing" }
  /** Over: with an error, or without one because it was left or the stream was ended. */
  | { name: "closed"; error?: QueueError };

export interface WatchTotals {
  /** Frames handed out. */
  shown: number;
  /** Bytes of their data. */
  bytes: number;
  /** Entries whose commit, negative commit was confirmed. */
  committed: number;
  rejected: number;
  /** Entries handed back at the end. */
  returned: number;
  /** Frames that the service sent again and that were not handed out again. */
  repeated: number;
  /** Connections after the first. */
  reconnects: number;
}

/**
 * A watch over as many connections as it takes. While it lives every entry is handed out once: one that the service
 * sends again after a break is committed again silently if it was committed, and skipped if it is still in the page's
 * hands. Only an entry that was refused may come again.
 *
 * Iterate it once. Leaving the loop closes it; it throws the error the watch ended with.
 */
export class Watch implements AsyncIterable<WatchedFrame> {
  [Symbol.asyncIterator](): AsyncIterableIterator<WatchedFrame>;
  readonly state: WatchState;
  readonly totals: WatchTotals;
  /** Frames that arrived and were not taken by the loop yet. */
  readonly waiting: number;
  /** Changes how many entries may be uncommitted here; 0 stops deliveries. `unsupported` with `eas`. */
  window(window: number): Promise<void>;
  /** Confirms what was decided, hands back the rest (which does not count as a failed delivery), and ends. */
  close(): Promise<void>;
}

/** An entry. */
export interface Frame {
  readonly index: Index;
  readonly tags: Tags;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly requestId: string;
  /** When it was put into this queue, Unix milliseconds; `undefined` when the service does not say. */
  readonly putAt: number | undefined;
  text(): string;
  json(): unknown;
}

/**
 * An entry of a watch. Decide once: a second decision changes nothing and has the outcome of the first. The promises
 * are fulfilled when the service has confirmed, and need not be awaited: decisions travel together, and are repeated
 * until they are confirmed.
 */
export interface WatchedFrame extends Frame {
  /** It is done. Under `autoCommit` nothing is sent. */
  commit(): Promise<void>;
  /** It is refused: it goes to another consumer, comes back here, or ends in the rear queue. */
  negative(code?: string, reason?: string): Promise<void>;
}
