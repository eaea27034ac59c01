// Group commit and nothing else: what arrives together is one INSERT, and everyone is answered. No token, no parsing,
// no numbers, nothing to be delivered: what a queue on this platform could reach if being a queue cost nothing.
import { PlainObject } from "./object.mjs";

export { default } from "./object.mjs";

/** Turns of the event loop that bring nothing before a batch is written: what the service takes as well. */
const QUIET_TURNS = 5;

function joined(bodies) {
  const all = new Uint8Array(bodies.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let end = 0;
  for (const body of bodies) {
    all.set(new Uint8Array(body), end);
    end += body.byteLength;
  }
  return all;
}

export class Floor extends PlainObject {
  constructor(state) {
    super(state);
    this.sql = state.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, body BLOB)");
    this.waiting = [];
    this.alone = true;
  }

  async answer(request) {
    const body = await request.arrayBuffer();
    return new Promise((resolve) => this.add(body, () => resolve(new Response("OK"))));
  }

  webSocketMessage(socket, message) {
    this.add(message, () => socket.send("OK"));
  }

  add(body, answer) {
    if (this.waiting.push({ body, answer }) === 1 && !this.busy) this.work();
  }

  async work() {
    this.busy = true;
    while (this.waiting.length > 0) {
      for (
        let quiet = 0, seen = 0;
        !this.alone && quiet < QUIET_TURNS;
        quiet = this.waiting.length > seen ? 0 : quiet + 1
      ) {
        seen = this.waiting.length;
        await this.state.storage.sync();
      }
      const batch = this.waiting.splice(0);
      this.sql.exec("INSERT INTO message (body) VALUES (?)", joined(batch.map(({ body }) => body)));
      for (const { answer } of batch) answer();
      await this.state.storage.sync();
      this.alone = batch.length === 1 && this.waiting.length === 0;
    }
    this.busy = false;
  }
}
