// The floor: what a plain JavaScript Worker and Durable Object cost when every request or socket message is one INSERT.
// No parsing, no token, no queue: nothing that answers durably on this platform can do less per message.

export default {
  fetch(request, env) {
    return env.FLOOR.getByName("floor").fetch(request);
  },
};

export class Floor {
  constructor(state) {
    this.state = state;
    this.sql = state.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, body BLOB)");
  }

  async fetch(request) {
    if (request.headers.get("Upgrade") === "websocket") {
      const { 0: client, 1: server } = new WebSocketPair();
      this.state.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    this.sql.exec("INSERT INTO message (body) VALUES (?)", await request.arrayBuffer());
    return new Response("OK");
  }

  /** The acknowledgement leaves when the INSERT is durable: the platform holds it back until then. */
  webSocketMessage(socket, message) {
    this.sql.exec("INSERT INTO message (body) VALUES (?)", message);
    socket.send("OK");
  }

  webSocketClose(socket, code) {
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
  }
}
