// In front of the service when its memory is measured: one more path, everything else untouched.
import entry, { QueueObject } from "../../src/worker/entry.mjs";
import { __bench_memory } from "../../build/worker/edgequeue.js";

export { QueueObject };
export default {
  fetch(request, env) {
    return request.url.endsWith("/bench/memory") ? new Response(String(__bench_memory())) : entry.fetch(request, env);
  },
};
