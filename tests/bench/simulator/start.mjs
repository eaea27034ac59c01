// Runs worker.mjs on miniflare, which plays the platform's queues in memory, until killed.
import { createRequire } from "node:module";
import { at } from "../../../tools/lib.mjs";

const { Miniflare, convertV4MiniflareOptions } = createRequire(import.meta.url)(at("node_modules", "miniflare"));
const here = at("tests", "bench", "simulator");
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    workers: [
      {
        name: "bench",
        modules: true,
        modulesRoot: here,
        scriptPath: `${here}/worker.mjs`,
        compatibilityDate: "2026-10-01",
        queueProducers: { QUEUE: "bench" },
        queueConsumers: { bench: { maxBatchSize: 100, maxBatchTimeout: 1 } },
      },
    ],
  }),
);
console.log(`listening on ${await miniflare.ready}\n`);
