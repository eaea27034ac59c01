// Pages of other origins, on the real worker: closed by default, open for those on the list.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { start, TOKEN } from "./service.mjs";

const APP = "https://app.example";
const OTHER = "https://other.example";
const PATH = "/api/predict/cors";
const AUTHORIZATION = { Authorization: TOKEN };

const services = {};
before(async () => {
  services.closed = await start({ direct: true });
  services.listed = await start({ direct: true, vars: { EDGEQUEUE_ALLOWED_ORIGINS: `${APP}, http://localhost:3000` } });
  services.open = await start({ direct: true, vars: { EDGEQUEUE_ALLOWED_ORIGINS: "*" } });
});
after(() => Promise.all(Object.values(services).map((service) => service.stop())));

/**
 * @param {{url: string}} service
 * @param {string} method
 * @param {{path?: string, origin?: string, headers?: Record<string, string>, body?: string}} [options]
 */
async function ask(service, method, { path = PATH, origin, headers = {}, body = "" } = {}) {
  const request = http.request(`${service.url}${path}`, {
    method,
    headers: { ...(origin && { Origin: origin }), ...headers },
  });
  request.end(body);
  const [answer] = await once(request, "response");
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text: Buffer.concat(await Array.fromAsync(answer)).toString(),
  };
}

const preflight = (service, origin, path = PATH) =>
  ask(service, "OPTIONS", {
    path,
    origin,
    headers: { "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,content-type" },
  });
const allowed = (answer) => answer.headers["access-control-allow-origin"];
const names = (text) => text.split(",").map((name) => name.trim().toLowerCase());

describe("by default", () => {
  test("a preflight is refused with a sentence, and no answer can be read elsewhere", async () => {
    const refused = await preflight(services.closed, APP);
    assert.equal(refused.status, 403);
    assert.match(refused.text, /https:\/\/app\.example.*EDGEQUEUE_ALLOWED_ORIGINS/);
    const put = await ask(services.closed, "POST", { origin: APP, headers: AUTHORIZATION, body: "x" });
    assert.equal(put.status, 200, "a client with the token may do this, whether or not a page may read it");
    for (const answer of [refused, put]) {
      const added = Object.keys(answer.headers).filter((name) => name.startsWith("access-control") || name === "vary");
      assert.deepEqual(added, []);
    }
  });

  test("OPTIONS that is not a preflight is what it was", async () => {
    assert.equal((await ask(services.closed, "OPTIONS")).status, 401);
    assert.equal((await ask(services.closed, "OPTIONS", { headers: AUTHORIZATION })).status, 405);
    assert.equal((await ask(services.closed, "OPTIONS", { origin: APP, headers: AUTHORIZATION })).status, 405);
  });
});

describe("with a list", () => {
  test("a preflight of a listed origin says what may be sent, without a token", async () => {
    for (const path of [PATH, `${PATH}/sink?_attrs_=true`, "/", "/sink"]) {
      const answer = await preflight(services.listed, APP, path);
      assert.equal(answer.status, 204, path);
      assert.equal(allowed(answer), APP);
      assert.equal(answer.text, "");
      assert.deepEqual(names(answer.headers["access-control-allow-methods"]), ["get", "post", "put", "delete"]);
      const headers = names(answer.headers["access-control-allow-headers"]);
      for (const name of [
        "authorization",
        "content-type",
        "accept",
        "x-eas-queueservice-uid",
        "x-eas-queueservice-gid",
        "x-eas-queueservice-redis-uid",
        "x-eas-queueservice-redis-gid",
        "x-eas-queueservice-priority",
        "x-eas-queueservice-access-rear",
      ])
        assert.ok(headers.includes(name), name);
      assert.equal(answer.headers["access-control-max-age"], "7200");
      assert.deepEqual(names(answer.headers.vary), ["origin"]);
    }
    assert.equal(allowed(await preflight(services.listed, "http://localhost:3000")), "http://localhost:3000");
  });

  test("others are refused, also those that look alike", async () => {
    for (const origin of [
      OTHER,
      "http://app.example",
      "https://app.example:444",
      "https://app.example.evil",
      "https://evil-app.example",
      "null",
    ]) {
      const answer = await preflight(services.listed, origin);
      assert.equal(answer.status, 403, origin);
      assert.equal(allowed(answer), undefined);
      assert.deepEqual(names(answer.headers.vary), ["origin"]);
    }
  });

  test("answers can be read there whatever their status is, with the headers a client needs", async () => {
    const listed = (method, options = {}) => ask(services.listed, method, { origin: APP, ...options });
    const put = await listed("POST", { headers: AUTHORIZATION, body: "x" });
    assert.equal(put.status, 200);
    assert.ok(names(put.headers["access-control-expose-headers"]).includes("x-eas-queueservice-request-id"));
    await listed("PUT", { path: `${PATH}?_settings_=true`, headers: AUTHORIZATION, body: '{"max_length": 1}' });
    const answers = {
      401: await listed("GET"),
      400: await listed("GET", { path: `${PATH}?_nonsense_=1`, headers: AUTHORIZATION }),
      404: await listed("GET", { path: "/api/nothing", headers: AUTHORIZATION }),
      405: await listed("PATCH", { headers: AUTHORIZATION }),
      413: await listed("POST", { headers: AUTHORIZATION, body: "x".repeat(4_000_000) }),
      429: await listed("POST", { headers: AUTHORIZATION, body: "y" }),
      204: await listed("GET", { path: `${PATH}?_index_=99`, headers: AUTHORIZATION }),
    };
    for (const [status, answer] of Object.entries(answers)) {
      assert.equal(answer.status, Number(status), answer.text);
      assert.equal(allowed(answer), APP, status);
      assert.deepEqual(names(answer.headers.vary), ["origin"], status);
    }
    assert.ok(names(answers[429].headers["access-control-expose-headers"]).includes("retry-after"));
    assert.equal(answers[429].headers["retry-after"], "1");
  });

  test("answers to others carry nothing but Vary, with and without an origin", async () => {
    for (const origin of [undefined, OTHER]) {
      const answer = await ask(services.listed, "GET", {
        path: `${PATH}?_attrs_=true`,
        origin,
        headers: AUTHORIZATION,
      });
      assert.equal(answer.status, 200);
      assert.equal(allowed(answer), undefined);
      assert.deepEqual(names(answer.headers.vary), ["origin"]);
    }
  });
});

test("with * every origin may, and caches need not tell them apart", async () => {
  assert.equal(allowed(await preflight(services.open, OTHER)), "*");
  const answer = await ask(services.open, "GET", { origin: "null" });
  assert.equal(answer.status, 401);
  assert.equal(allowed(answer), "*");
  assert.equal(answer.headers.vary, undefined);
});

describe("a WebSocket", () => {
  const BEARER = `edgequeue.bearer.${Buffer.from(TOKEN).toString("base64url")}`;
  const status = (service, origin, headers = {}) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://127.0.0.1:${service.port}${PATH}?_watch_=true`, ["edgequeue.v1", BEARER], {
        origin,
        headers,
      });
      socket.once("open", () => {
        socket.close();
        resolve(101);
      });
      socket.once("unexpected-response", (_, answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      socket.once("error", reject);
    });

  test("that is authorised as browsers do it opens from the own origin and from listed ones", async () => {
    const own = (service) => `http://127.0.0.1:${service.port}`;
    assert.equal(await status(services.closed, own(services.closed)), 101);
    assert.equal(await status(services.closed, undefined), 101, "no browser");
    assert.equal(await status(services.closed, APP), 403);
    assert.equal(await status(services.closed, "null"), 403);
    assert.equal(await status(services.listed, APP), 101);
    assert.equal(await status(services.listed, own(services.listed)), 101);
    assert.equal(await status(services.listed, OTHER), 403);
    assert.equal(await status(services.open, OTHER), 101);
  });

  test("of the official clients opens whatever origin they send", async () => {
    for (const origin of ["http://localhost:3030/sink", "http://elsewhere.example", "nonsense"]) {
      assert.equal(await status(services.closed, origin, AUTHORIZATION), 101, origin);
    }
  });
});
