// Producer and consumer of a platform queue. A request body is cut into messages of 1 KB, sent as one batch.
let delivered = 0;

export default {
  async fetch(request, env) {
    if (request.method === "GET") return new Response(String(delivered));
    const body = new Uint8Array(await request.arrayBuffer());
    const messages = [];
    for (let at = 0; at < body.length; at += 1024)
      messages.push({ body: body.slice(at, at + 1024), contentType: "bytes" });
    if (messages.length === 1) await env.QUEUE.send(messages[0].body, { contentType: "bytes" });
    else await env.QUEUE.sendBatch(messages);
    return new Response("OK");
  },

  /** A batch that ends without an error is acknowledged. */
  async queue(batch) {
    delivered += batch.messages.length;
  },
};
