// Predictors that are bindings of the deployment: another Worker, and Workers AI, for which a Worker with a method
// `run` stands in.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, eventually, fresh } from "./client.mjs";
import { start } from "./service.mjs";

const MODELS = `
import { WorkerEntrypoint } from "cloudflare:workers";

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/v1/fail") return new Response("no", { status: 418 });
    const id = request.headers.get("X-Request-Id");
    return Response.json({ path: url.pathname, query: url.search, text: await request.text(), id });
  }
}

export class Ai extends WorkerEntrypoint {
  async run(model, input) {
    if (model === "@cf/test/rejects") throw new Error("3040: Capacity temporarily exceeded");
    if (model === "@cf/test/text") return "a text";
    if (model === "@cf/test/bytes") return new Uint8Array([1, 2, 3]);
    if (model === "@cf/test/stream") return new Response("data: streamed").body;
    if (model === "@cf/test/nothing") return null;
    if (model === "@cf/test/hangs") return new Promise((resolve) => setTimeout(resolve, 60000));
    return { model, input };
  }
}
`;

let service;
before(async () => {
  service = await start({
    direct: true,
    workers: [{ name: "models", script: MODELS, bindings: { MODELS: "", AI: "Ai" } }],
    vars: {
      EDGEQUEUE_ALLOWED_HOSTS: "service:MODELS, ai",
      EDGEQUEUE_SERVICES: {
        trusted: { predictor: "service:MODELS/v1", max_delivery: 1, retry_delay: "100ms" },
        "trusted/sink": { max_length: 7 },
      },
    },
  });
});
after(() => service?.stop());

async function ask(predictor, body, { path = "", settings = {} } = {}) {
  const input = fresh(service);
  await input.set({ predictor, max_delivery: 1, ...settings });
  const sink = new Client(service, `${input.path.slice("/api/predict/".length)}/sink`);
  const answer = await input.ask("POST", { requestId: "r" }, { body, path });
  assert.equal(answer.status, 200, answer.text);
  const [result] = await sink.get({ requestId: "r", _timeout_: "10s" });
  assert.ok(result, service.output);
  return result;
}

test("a service binding is sent what an endpoint would be", async () => {
  const result = await ask("service:MODELS/v1", "data", { path: "/sub" });
  assert.deepEqual(JSON.parse(String(result.data)), { path: "/v1/sub", query: "", text: "data", id: "r" });
  assert.equal(result.tags["Header:Content-Type"], "application/json");
  assert.equal((await ask("service:MODELS/v1", "x", { path: "/fail" })).tags.lastCode, "418");
});

test("a model is run with the JSON of the request, or with its text as prompt", async () => {
  const result = await ask("ai:@cf/test/echo", '{"prompt":"hi","max_tokens":5}');
  assert.deepEqual(JSON.parse(String(result.data)), { model: "@cf/test/echo", input: { prompt: "hi", max_tokens: 5 } });
  assert.equal(result.tags["Header:Content-Type"], "application/json");
  assert.deepEqual(JSON.parse(String((await ask("ai:@cf/test/echo", "just a text")).data)), {
    model: "@cf/test/echo",
    input: { prompt: "just a text" },
  });
});

test("a model may answer with a text, bytes or a stream", async () => {
  assert.equal((await ask("ai:@cf/test/text", "{}")).data.toString(), "a text");
  assert.deepEqual([...(await ask("ai:@cf/test/bytes", "{}")).data], [1, 2, 3]);
  assert.equal((await ask("ai:@cf/test/stream", "{}")).data.toString(), "data: streamed");
});

test("a model that rejects is a failure that says why", async () => {
  const result = await ask("ai:@cf/test/rejects", "{}");
  assert.equal(result.tags.lastCode, "502");
  assert.match(result.tags.lastReason, /3040: Capacity temporarily exceeded/);
});

test("a model that hangs is given up", async () => {
  const result = await ask("ai:@cf/test/hangs", "{}", { settings: { predictor_timeout: "300ms" } });
  assert.equal(result.tags.lastCode, "504");
});

test("what the deployment gives one service holds for it alone", async () => {
  const trusted = new Client(service, "trusted");
  const settings = JSON.parse((await trusted.ask("GET", { _settings_: "true" })).text);
  assert.deepEqual(
    [settings.predictor, settings.max_delivery, settings.retry_delay],
    ["service:MODELS/v1", 1, "100ms"],
  );
  const sink = new Client(service, "trusted/sink");
  assert.equal(JSON.parse((await sink.ask("GET", { _settings_: "true" })).text).max_length, 7);
  assert.equal(JSON.parse((await fresh(service).ask("GET", { _settings_: "true" })).text).predictor, "");
  await trusted.put("x", { requestId: "r" });
  assert.equal(JSON.parse(String((await sink.get({ requestId: "r", _timeout_: "10s" }))[0].data)).text, "x");
});

test("a binding that is not there is told in the status of the request", async () => {
  const input = fresh(service);
  const refused = await input.ask(
    "PUT",
    { _settings_: "true" },
    { body: JSON.stringify({ predictor: "service:OTHER" }) },
  );
  assert.equal(refused.status, 400);
  const other = await start({
    direct: true,
    vars: { EDGEQUEUE_PREDICTOR: "service:OTHER", EDGEQUEUE_RETRY_DELAY: "100ms" },
  });
  try {
    const queue = fresh(other);
    await queue.put("x", { requestId: "r" });
    await eventually("it is told", async () => {
      const { text } = await queue.ask("GET", { _status_: "true", requestId: "r" });
      return /the deployment has no service binding OTHER; add it to wrangler.toml/.test(text) || text;
    });
  } finally {
    await other.stop();
  }
});
