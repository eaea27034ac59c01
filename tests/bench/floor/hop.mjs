// The way alone: a Worker that asks an object that stores nothing, and a socket that echoes. No service that goes this
// way once per request or message answers more often, whatever it saves behind it.
import { PlainObject } from "./object.mjs";

export { default } from "./object.mjs";

export class Floor extends PlainObject {
  async answer(request) {
    await request.arrayBuffer();
    return new Response("OK");
  }

  webSocketMessage(socket) {
    socket.send("OK");
  }
}
