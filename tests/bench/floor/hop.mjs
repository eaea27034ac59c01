// The way alone: a Worker that asks an object that stores nothing, and a socket that echoes. No service that goes this way
// once per request or message answers more often, whatever it saves behind it.

export default {
  fetch(request, env) {
    return env.FLOOR.getByName("floor").fetch(request);
  },
};

export class Floor {
  constructor(state) {
    this.state = state;
  }

  async fetch(request) {
    if (request.headers.get("Upgrade") === "websocket") {
      const { 0: client, 1: server } = new WebSocketPair();
      this.state.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }
    await request.arrayBuffer();
    return new Response("OK");
  }

  webSocketMessage(socket) {
    socket.send("OK");
  }

  webSocketClose(socket, code) {
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
  }
}
