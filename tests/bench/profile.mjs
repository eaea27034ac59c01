// `node tests/bench/profile.mjs [put | KEY=VALUE...]`: where the processor's time goes in the service under load, from
// V8's own profiler, by function. Compiles the worker once more, with names.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import WebSocket from "ws";
import { assemble } from "../../tools/build.mjs";
import { at, command, freePort, run } from "../../tools/lib.mjs";
import { compile } from "../../tools/wasm.mjs";
import { TOKEN, floor, ours, stop } from "./servers.mjs";

const SECONDS = 4;
const [program = "http", ...pairs] = process.argv.slice(2);
const wish = {
  path: "/api/predict/profile",
  token: TOKEN,
  connections: 64,
  seconds: SECONDS,
  ...Object.fromEntries(pairs.map((pair) => pair.split("="))),
};

/** The worker with the names of its functions, in build/profile. */
function buildWithNames() {
  const wasm = compile("worker", { targetDir: "target-profile", env: { CARGO_PROFILE_WASM_STRIP: "none" } });
  assemble(wasm, at("build", "profile"), undefined, "--names");
}

/** A client of the inspector: `ask(method, params)`. */
async function inspector(port) {
  const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const socket = new WebSocket(targets[0].webSocketDebuggerUrl);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const asked = new Map();
  socket.on("message", (text) => {
    const { id, result, error } = JSON.parse(String(text));
    asked.get(id)?.(result ?? error);
  });
  let count = 0;
  return (method, params = {}) =>
    new Promise((resolve) => {
      asked.set(++count, resolve);
      socket.send(JSON.stringify({ id: count, method, params }));
    });
}

/** Sums over the nodes of a profile: time in a function itself, and with what it called. */
function sums({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, { ...node, self: 0, total: 0 }]));
  samples.forEach((id, place) => {
    byId.get(id).self += timeDeltas[place];
  });
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const name = ({ callFrame: { functionName, url, lineNumber } }) =>
    `${functionName || "(anonymous)"}  ${url.split("/").at(-1).slice(0, 24)}:${lineNumber}`;
  const table = new Map();
  for (const node of byId.values()) {
    const entry = (of) => table.get(of) ?? table.set(of, { self: 0, total: 0 }).get(of);
    entry(name(node)).self += node.self;
    const seen = new Set();
    for (let id = node.id; id !== undefined; id = parents.get(id)) seen.add(name(byId.get(id)));
    for (const of of seen) entry(of).total += node.self;
  }
  return table;
}

await command(async () => {
  const bare = process.env.PROFILE_FLOOR === "1";
  if (!bare) buildWithNames();
  run(
    "cargo",
    ["build", "--quiet", "--locked", "--release", "--no-default-features", "--features", "bench", "--bin", "load"],
    { why: "Compiling the load client" },
  );
  const dir = mkdtempSync(path.join(process.env.PROFILE_DIR ?? os.tmpdir(), "edgequeue-profile-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const inspect = await freePort();
  const server = bare ? await floor(dir, { inspect }) : await ours(dir, { inspect, built: at("build", "profile") });
  const words = Object.entries({ address: server.address, ...wish }).map(([key, value]) => `${key}=${value}`);
  const load = (...more) => promisify(execFile)(at("target", "release", "load"), [program, ...words, ...more]);
  await load("seconds=1");
  const ask = await inspector(inspect);
  await ask("Profiler.enable");
  await ask("Profiler.setSamplingInterval", { interval: 200 });
  await ask("Profiler.start");
  const { stdout } = await load();
  const { profile } = await ask("Profiler.stop");
  await stop(server);
  const entries = (JSON.parse(stdout).rate * (profile.endTime - profile.startTime)) / 1e6;
  const table = [...sums(profile)].sort((a, b) => b[1].self - a[1].self);
  const all = table.reduce((sum, [, { self }]) => sum + self, 0);
  const share = (part) => ((part / all) * 100).toFixed(1).padStart(5);
  const line = ([name, { self, total }]) =>
    `${share(self)} % ${(self / entries).toFixed(1).padStart(7)} us  ${share(total)} %  ${name}`;
  console.log(`${stdout.trim()}\n\n self   per entry    total  function`);
  console.log(
    table
      .slice(0, Number(process.env.PROFILE_LINES ?? 50))
      .map(line)
      .join("\n"),
  );
  process.exit(0);
});
