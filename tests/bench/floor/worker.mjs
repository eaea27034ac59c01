// The floor: what a plain JavaScript Worker and Durable Object cost when every request or socket message is one INSERT.
// No parsing, no token, no queue: nothing that answers durably on this platform can do less per message.
import { PlainObject } from "./object.mjs";

export { default } from "./object.mjs";

export class Floor extends PlainObject {
  constructor(state) {
    super(state);
    this.sql = state.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, body BLOB)");
  }

  async answer(request) {
    this.sql.exec("INSERT INTO message (body) VALUES (?)", await request.arrayBuffer());
    return new Response("OK");
  }

  /** The acknowledgement leaves when the INSERT is durable: the platform holds it back until then. */
  webSocketMessage(socket, message) {
    this.sql.exec("INSERT INTO message (body) VALUES (?)", message);
    socket.send("OK");
  }
}
