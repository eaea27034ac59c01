// The declarations of the browser client as a program in TypeScript meets them. Compiled by `npm test -- lint`, never
// run: a line that no longer compiles, or that compiles although it must not, is a change that users notice.
import init, { QueueClient, QueueError } from "../../src/browser/edgequeue.js";
import type { Frame, Index, Receipt, RequestStatus, Watch, WatchState } from "../../src/browser/edgequeue.js";

export async function use(signal: AbortSignal): Promise<void> {
  await init();
  const queue = new QueueClient({ url: "/api/predict/demo", token: "dev-token", protocol: "auto" });
  const receipt: Receipt = await queue.put("hello", { tags: { model: "a" }, priority: 1, requestId: "r1", signal });
  const receipts: Receipt[] = await queue.putMany(["a", new Blob(["b"]), { data: new Uint8Array(3), priority: 2n }]);
  const [frame]: Frame[] = await queue.sink().get({ requestId: receipt.requestId, wait: 5_000, remove: true });
  const body: string | Uint8Array<ArrayBuffer> = frame ? frame.text() : new Uint8Array(0);
  const status: RequestStatus = await queue.status("r1");
  if (status.status === "queued") await queue.cancel("r1");
  await queue.commit(receipts.map(({ index }) => index));
  await queue.rear().negative(1n, "OOM", String(body));

  const watch: Watch = queue.watch({ window: 5, signal, onState: told });
  for await (const entry of watch) {
    void entry.commit();
    await entry.negative("BadRequest", `${entry.index}`);
    await watch.window(10);
  }
  try {
    for await (const entry of queue.tail({ start: "newest" })) entry.json();
  } catch (error) {
    if (error instanceof QueueError && error.code === "unauthorized") throw error;
  }
}

function told(state: WatchState): void {
  switch (state.name) {
    case "open":
      return void state.transport;
    case "reconnecting":
      return void [state.attempt, state.nextTryAt];
    case "closed":
      return void state.error?.code;
    case "connecting":
    case "closing":
      return;
  }
  // Every state was named: a new one must be declared to users as a change.
  return state satisfies never;
}

export function refused(queue: QueueClient, frame: Frame, watch: Watch, index: Index): void {
  // @ts-expect-error an index is a number
  void queue.commit("1");
  // @ts-expect-error tags are texts
  void queue.put("x", { tags: { a: 1 } });
  // @ts-expect-error a queue has an address
  new QueueClient({ token: "dev-token" });
  // @ts-expect-error only an entry of a watch can be committed by itself
  void frame.commit();
  // @ts-expect-error the state is told, not set
  watch.state = { name: "closing" };
  // @ts-expect-error beyond 2^53 an index is a bigint
  const wrong: number = index;
  void wrong;
}
