// What the bench measures, as processes of its own: workerd without any proxy in front, and the peers. Each gets a
// directory under the bench's temporary one, listens on the loopback interface only, and is ended by its pid.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { at, answers, freePort, nodeForWrangler, sleep } from "../../tools/lib.mjs";

export const TOKEN = "bench-token";

const running = new Set();
/** A server with children of its own leads a process group. */
function kill(child) {
  try {
    process.kill(child.leads ? -child.pid : child.pid, "SIGKILL");
  } catch {
    // it is gone already
  }
}
const killAll = () => running.forEach(kill);
process.on("exit", killAll);
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(name, () => process.exit(1));

function start(program, args, options = {}) {
  /** @type {import("node:child_process").ChildProcess & {leads?: boolean, output?: string}} */
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  running.add(child);
  child.leads = Boolean(options.detached);
  child.output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (text) => {
      child.output = (child.output + text).slice(-4000);
    });
  child.once("exit", () => running.delete(child));
  child.once("error", () => running.delete(child));
  return child;
}

/** Ends a server without asking: what it acknowledged is on the disk. */
export async function stop(server) {
  const { child } = server;
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  kill(child);
  await Promise.race([gone, sleep(5000)]);
}

async function listens(child, port, patience_ms = 10_000) {
  const until = Date.now() + patience_ms;
  while (Date.now() < until && child.exitCode === null) {
    const open = await new Promise((resolve) => {
      const probe = net.connect(port, "127.0.0.1", () => {
        probe.destroy();
        resolve(true);
      });
      probe.once("error", () => resolve(false));
    });
    if (open) return;
    await sleep(20);
  }
  throw new Error(`nothing listens on port ${port}:\n${child.output}`);
}

/** Peak and present memory of a process, in MB. */
export function memory(server) {
  const status = readFileSync(`/proc/${server.child.pid}/status`, "utf8");
  const of = (name) => Number(status.match(new RegExp(`${name}:\\s+(\\d+) kB`))?.[1] ?? 0) / 1024;
  return { now: of("VmRSS"), peak: of("VmHWM") };
}

/** Processor time that a process has used, in microseconds; not a number where that is not known, or not all of it. */
export function processor({ child }) {
  if (child.leads) return NaN;
  try {
    // The fields after the name, which may have blanks: the 12th and 13th are user's and system's hundredths of a
    // second.
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ").at(-1).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return NaN;
  }
}

const workerdBinary = () => createRequire(import.meta.url)(at("node_modules", "workerd")).default;

/** The compatibility date and flags of the deployment. */
function compatibility() {
  const text = readFileSync(at("wrangler.toml"), "utf8");
  const date = text.match(/^compatibility_date = "(.*)"/m)[1];
  const flags = text.match(/^compatibility_flags = (\[.*\])/m)[1];
  return { date, flags };
}

/**
 * One Worker with one class of objects on workerd. `modules` are `[name, kind, file]`, the main one first; names are
 * paths, so that modules import each other as they do in the repository. With `fileKiB` no file can become longer than
 * that.
 * @param {string} dir
 * @param {{modules: string[][], className: string, bindings: string, inspect?: number, v8?: string[],
 *   fileKiB?: number}} options
 */
async function worker(dir, { modules, className, bindings, inspect, v8 = [], fileKiB }) {
  const port = await freePort();
  mkdirSync(path.join(dir, "state"), { recursive: true });
  for (const [name, , file] of modules) cpSync(file, path.join(dir, name));
  const { date, flags } = compatibility();
  const list = modules.map(([name, kind]) => `(name = "${name}", ${kind} = embed "${name}")`).join(",\n    ");
  writeFileSync(
    path.join(dir, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main), (name = "disk", disk = (path = "${dir}/state", writable = true)) ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ],
  v8Flags = [${v8.map((flag) => `"${flag}"`).join(", ")}],
);
const main :Workerd.Worker = (
  modules = [
    ${list} ],
  compatibilityDate = "${date}",
  compatibilityFlags = ${flags},
  durableObjectNamespaces = [ (className = "${className}", uniqueKey = "bench", enableSql = true) ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [ ${bindings} ],
);
`,
  );
  const args = ["serve", path.join(dir, "config.capnp"), ...(inspect ? [`--inspector-addr=127.0.0.1:${inspect}`] : [])];
  const limited = ["-c", `trap '' XFSZ; ulimit -f ${fileKiB * 2}; exec "$0" "$@"`, workerdBinary(), ...args];
  const child = fileKiB ? start("sh", limited) : start(workerdBinary(), args);
  await listens(child, port);
  return { child, address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}`, dir };
}

const bare =
  (file) =>
  (dir, options = {}) =>
    worker(dir, {
      modules: [file, "object.mjs"].map((name) => [name, "esModule", at("tests", "bench", "floor", name)]),
      className: "Floor",
      bindings: `(name = "FLOOR", durableObjectNamespace = "Floor")`,
      ...options,
    });

/** A plain JavaScript Worker and object: see floor/worker.mjs. */
export const floor = bare("worker.mjs");

/** The same without storing: see floor/hop.mjs. */
export const hop = bare("hop.mjs");

/** Group commit alone: see floor/group.mjs. */
export const group = bare("group.mjs");

/**
 * The service as it is built. With `metered` it tells how much memory its instance has.
 * @param {string} dir
 * @param {{metered?: boolean, built?: string, inspect?: number, fileKiB?: number}} [options]
 */
export function ours(dir, { metered = false, built = at("build", "worker"), ...options } = {}) {
  const names = readdirSync(built, { recursive: true, encoding: "utf8" }).filter((name) => /\.(m?js|wasm)$/.test(name));
  const files = Object.fromEntries(names.map((name) => [name, path.join(built, name)]));
  if (metered) {
    files["metered.mjs"] = at("tests", "bench", "metered.mjs");
    files["meter.mjs"] = at("tests", "worker", "faults", "meter.mjs");
  }
  const isMain = (name) => Number(name === (metered ? "metered.mjs" : "entry.mjs"));
  // The first one is the Worker.
  const sorted = Object.keys(files).sort((a, b) => isMain(b) - isMain(a));
  const kind = (name) => (name.endsWith(".wasm") ? "wasm" : "esModule");
  const modules = sorted.map((name) => [name, kind(name), files[name]]);
  const bindings = [`(name = "EDGEQUEUE_TOKEN", text = "${TOKEN}")`];
  return worker(dir, {
    modules,
    className: "QueueObject",
    bindings: [`(name = "QUEUES", durableObjectNamespace = "QueueObject")`, ...bindings].join(", "),
    ...options,
  });
}

/** The platform's own queues as its simulator plays them: see simulator/. */
export async function simulator() {
  const child = start(nodeForWrangler(), [at("tests", "bench", "simulator", "start.mjs")], { detached: true });
  const until = Date.now() + 30_000;
  while (Date.now() < until && child.exitCode === null) {
    const url = child.output.match(/listening on (http:\S+?)\/?\s/)?.[1];
    if (url && (await answers(url, child, 5000))) return { child, url, address: url.replace("http://", "") };
    await sleep(50);
  }
  throw new Error(`the simulator did not start:\n${child.output}`);
}

const version = (program, args) => {
  const done = spawnSync(program, args, { encoding: "utf8" });
  return done.status === 0 ? ((done.stdout + done.stderr).match(/\d+\.\d+\.\d+/)?.[0] ?? "?") : null;
};

/** Redis with every write on the disk before its answer. Null when it is not installed. */
export async function redis(dir) {
  const is = version("redis-server", ["--version"]);
  if (!is) return null;
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  const child = start("redis-server", [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--dir",
    dir,
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--save",
    "",
    "--daemonize",
    "no",
  ]);
  await listens(child, port);
  return { child, address: `127.0.0.1:${port}`, version: is };
}

/** NATS JetStream with file storage. Null when it is not installed. */
export async function nats(dir) {
  const is = version("nats-server", ["--version"]);
  if (!is) return null;
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  // `sync_interval: always` exists from 2.10 on; before, a publish is acknowledged without waiting for the disk.
  const [major, minor] = is.split(".").map(Number);
  const syncs = major > 2 || minor >= 10;
  writeFileSync(
    path.join(dir, "nats.conf"),
    `listen: "127.0.0.1:${port}"
jetstream { store_dir: "${dir}/jetstream"${syncs ? ", sync_interval: always" : ""} }
`,
  );
  const child = start("nats-server", ["--config", path.join(dir, "nats.conf")]);
  await listens(child, port);
  return { child, address: `127.0.0.1:${port}`, version: is, syncs };
}
