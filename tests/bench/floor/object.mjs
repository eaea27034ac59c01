// What the plain Workers beside the service share: the way to their one object, and sockets that are opened and closed.

export default {
  fetch(request, env) {
    return env.FLOOR.getByName("floor").fetch(request);
  },
};

/** An object; `answer` gives the response to a request that does not open a socket. */
export class PlainObject {
  constructor(state) {
    this.state = state;
  }

  fetch(request) {
    if (request.headers.get("Upgrade") !== "websocket") return this.answer(request);
    const { 0: client, 1: server } = new WebSocketPair();
    this.state.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketClose(socket, code) {
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
  }
}
