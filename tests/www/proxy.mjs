// A wire between the browser and the service that can be cut.
import net from "node:net";

/** A proxy in front of a port: `cut` resets its connections, `stall` leaves them open and silent. */
export async function proxy(service) {
  const open = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(service.port, "127.0.0.1");
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      open.add(one);
      one
        .on("error", () => {})
        .on("close", () => {
          open.delete(one);
          other.destroy();
        });
      one.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const cut = () => {
    const count = open.size;
    for (const socket of open) socket.resetAndDestroy();
    return count;
  };
  const stall = () => {
    for (const socket of open) socket.unpipe().pause();
  };
  const close = () => {
    server.close();
    cut();
  };
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, token: service.token, cut, stall, close };
}
