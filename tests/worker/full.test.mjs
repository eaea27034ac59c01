// A disk that takes nothing more: stood in for by a limit on the length of files, which makes writes fail in the same
// place.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { TOKEN, ours, stop } from "../bench/servers.mjs";

const dir = mkdtempSync(path.join(os.tmpdir(), "edgequeue-full-"));
let server;
after(async () => {
  if (server) await stop(server);
  rmSync(dir, { recursive: true, force: true });
});

const ask = (method, query = "", body = undefined) =>
  fetch(`${server.url}/api/predict/full${query}`, { method, body, headers: { Authorization: TOKEN } });

/** What is stored, by index. */
async function everything() {
  const answer = await ask("GET", "?_length_=5000&_auto_delete_=false&_raw_=false");
  assert.equal(answer.status, 200);
  return new Map((await answer.json()).map(({ index, data }) => [index, Buffer.from(data, "base64").toString()]));
}

test("a full disk refuses puts and loses nothing that was acknowledged; with room again it goes on", async () => {
  const acknowledged = new Map();
  const refusals = [];
  const put = async (text) => {
    const answer = await ask("POST", "", text);
    const said = await answer.text();
    if (answer.status === 200) acknowledged.set(Number(said), text);
    else refusals.push({ status: answer.status, said });
  };

  server = await ours(dir, { fileKiB: 1024 });
  for (let i = 0; refusals.length < 40; i += 8) {
    assert.ok(i < 4000, "nothing was refused");
    await Promise.all(Array.from({ length: 8 }, (_, j) => put(`${i + j} ${"x".repeat(3000)}`)));
  }
  assert.ok(acknowledged.size > 20, `${acknowledged.size} puts were acknowledged`);
  for (const { status, said } of refusals) {
    assert.equal(status, 507, said);
    assert.match(said, /^The disk is full or failing; nothing of this request was kept\./);
  }
  assert.deepEqual(await everything(), acknowledged);

  await stop(server);
  server = await ours(dir);
  assert.deepEqual(await everything(), acknowledged);
  await put("there is room again");
  assert.deepEqual(await everything(), acknowledged);
});
