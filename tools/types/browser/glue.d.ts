// What the scripts of `src/browser` use of the generated module, which exists only after a build. Names and values of
// tags and headers take turns in lists.
import type { Frame, Receipt } from "../../../src/browser/edgequeue.js";

export default function load(options: { module_or_path: unknown }): Promise<unknown>;
export function panicForTests(): void;

/** A request as `fetch` takes it, with its address. */
export interface FetchRequest extends RequestInit {
  url: string;
}

export class Requests {
  constructor(
    secure: boolean,
    authority: string,
    path: string,
    token: string,
    group: string,
    user: string,
    rear: boolean,
  );
  url(): string;
  sinkUrl(): string;
  put(tags: string[], priority: bigint, path: string, contentType?: string): FetchRequest;
  putBatch(batch: PutBatch, tags: string[], priority: bigint): FetchRequest;
  get(from: bigint | undefined, count: number, waitMs: number, remove: boolean, tags: string[]): FetchRequest;
  attributes(): FetchRequest;
  search(index: bigint): FetchRequest;
  count(priority: bigint | undefined, tags: string[]): FetchRequest;
  delete(indexes: BigUint64Array): FetchRequest;
  truncate(below: bigint): FetchRequest;
  commit(indexes: BigUint64Array): FetchRequest;
  negative(indexes: BigUint64Array, code: string, reason: string): FetchRequest;
  end(force: boolean): FetchRequest;
  settings(): FetchRequest;
  configure(settings: string[]): FetchRequest;
  ofRequest(id: string, cancel: boolean): FetchRequest;
}

export class PutBatch {
  add(data: Uint8Array, tags: string[], priority?: bigint): void;
}

export class HttpAnswer {
  constructor(status: number, requestId: string | undefined, body: Uint8Array);
  receipt(): Receipt;
  receipts(count: number): Receipt[];
  entries(): Frame[];
  count(): number;
  text(): string;
  textOrUnknown(): string;
}

/** What a watch has its page do. None of these throws, and none calls the module before it returns. */
export interface Observer {
  connect(number: number, url: string, protocols: string[]): void;
  stream(number: number, request: FetchRequest): void;
  send(message: Uint8Array<ArrayBuffer>): void;
  say(text: string): void;
  hangUp(): void;
  settle(request: FetchRequest): void;
  wake(waitMs: number): void;
  frame(index: bigint, tags: string[], data: Uint8Array<ArrayBuffer>): void;
  turned(state: string, why: string, nextTryMs: number, attempt: number): void;
  settled(indexes: BigUint64Array): void;
  resized(refusal?: Error): void;
  over(error?: Error): void;
}

export class Watching {
  constructor(
    queue: Requests,
    attributes: string[],
    window: number,
    from: bigint | undefined,
    modes: string[],
    filter: string[],
    observer: Observer,
  );
  commit(index: bigint): void;
  negative(index: bigint, code: string, reason: string): void;
  resize(window: number): void;
  flow(isFull: boolean): void;
  leave(): void;
  totals(): Float64Array;
  woken(): void;
  opened(number: number, protocol: string): void;
  heard(number: number): void;
  message(number: number, message: Uint8Array): void;
  piece(number: number, piece: Uint8Array): void;
  refused(number: number, status: number, body: Uint8Array): void;
  asksWhy(): boolean;
  lost(number: number, code: number, why: string): void;
  settledByHttp(status: number, body: Uint8Array): void;
  free(): void;
}

export class Retry {
  constructor(seed: number);
  nextMs(): number;
  reset(): void;
  free(): void;
}
