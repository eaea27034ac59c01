// One running service for tests, on a free port and with a state directory of its own: `wrangler dev`, or the same
// worker in workerd alone, without the proxy that `wrangler dev` puts in front of it.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { answers, at, end, freePort, nodeForWrangler, output, sleep, wranglerDev } from "../../tools/lib.mjs";

const READY_MS_MAX = 60_000;
export const TOKEN = "test-token";

/** Services that are still running; nothing survives the test process. */
const running = new Set();
const killAll = () => running.forEach((service) => service.killGroup());
process.on("exit", killAll);
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(name, () => process.exit(1));

/**
 * Starts a service and waits until it answers. Without `persistDir` its state is in a temporary directory that goes
 * away with `stop()`. `vars` are added to the Worker's variables; `direct` leaves wrangler out, and then `workers` run
 * beside the service: scripts by their names, each with bindings to it:
 * `{ name, script, bindings: { BINDING: entrypoint } }`. With `faults` it is the build that has faults on request: see
 * faults/faults.mjs.
 * @param {{persistDir?: string, vars?: object, port?: number, direct?: boolean, faults?: boolean,
 *   workers?: {name: string, script: string, bindings: Record<string, string>}[]}} [options]
 */
export async function start({ persistDir, vars = {}, port, direct = false, faults = false, workers = [] } = {}) {
  const entry = faults ? at("build", "faults", "faults.mjs") : undefined;
  const service = direct
    ? new DirectService(persistDir, vars, port, entry, workers)
    : new Service(persistDir, vars, port, entry);
  await service.up();
  return service;
}

class Service {
  token = TOKEN;
  /** How long it may take to end by itself. */
  patience_ms = 3000;
  /** @type {import("node:child_process").ChildProcess} */
  child;
  #temporary = null;
  #output = "";

  constructor(persistDir, vars, port, entry) {
    if (!persistDir) this.#temporary = mkdtempSync(path.join(os.tmpdir(), "edgequeue-test-"));
    this.persistDir = persistDir ?? this.#temporary;
    this.vars = { EDGEQUEUE_TOKEN: this.token, ...vars };
    this.port = port;
    this.entry = entry;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What the service printed so far: warnings and errors only. */
  get output() {
    return this.#output;
  }

  async up() {
    this.port ??= await freePort();
    this.child = await this.launch();
    running.add(this);
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on("data", (text) => {
        this.#output += text;
      });
    if (!(await answers(`${this.url}/api/`, this.child, READY_MS_MAX))) {
      this.killGroup();
      throw new Error(`the service did not start:\n${this.#output}`);
    }
  }

  /** @returns {Promise<import("node:child_process").ChildProcess>} */
  async launch() {
    return wranglerDev({
      entry: this.entry,
      // The tests must not depend on what a developer has in .dev.vars.
      envFile: at(".dev.vars.example"),
      port: this.port,
      inspectorPort: await freePort(),
      persistDir: this.persistDir,
      vars: this.vars,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** The names of the files in which objects keep their state; one for each object that ever stored something. */
  stateFiles() {
    const names = readdirSync(this.persistDir, { recursive: true, encoding: "utf8" });
    return names.filter((name) => /[0-9a-f]{64}\.sqlite$/.test(name));
  }

  /** Ends the service; the state stays only if the caller gave the directory. */
  async stop() {
    await this.#down(() => end(this.child, this.patience_ms));
    if (this.#temporary) rmSync(this.#temporary, { recursive: true, force: true });
  }

  /**
   * SIGKILL for every workerd of ours, found by pid among the descendants of the process we started, then for the
   * rest: what a power cut does to the service. The state directory stays, also a temporary one, for `restart()`.
   */
  async kill9() {
    const found = workerds(this.child.pid);
    if (found.length === 0) throw new Error("no workerd process found to kill");
    await this.#down(async () => {
      for (const pid of found) process.kill(pid, "SIGKILL");
      this.killGroup();
    });
    return found;
  }

  /** Starts again on the same port with the same state, after `kill9()` or, if it still runs, a quiet end. */
  async restart() {
    if (running.has(this)) await this.#down(() => end(this.child, this.patience_ms));
    await this.up();
  }

  killGroup() {
    running.delete(this);
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // nothing is left of it
    }
  }

  async #down(act) {
    /** @type {Promise<void>} */
    const gone = new Promise((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) resolve();
      else this.child.once("exit", resolve);
    });
    await act();
    await Promise.race([gone, sleep(5000)]);
    running.delete(this);
  }
}

/** The bundled workers by their entries, each made once for each test process. */
const bundles = new Map();

/** The folder of the bundled worker. */
function bundled(entry) {
  const made = bundles.get(entry);
  if (made) return made;
  const bundle = mkdtempSync(path.join(os.tmpdir(), "edgequeue-bundle-"));
  process.on("exit", () => rmSync(bundle, { recursive: true, force: true }));
  const args = ["deploy", ...(entry ? [entry] : []), "--dry-run", "--config", at("wrangler.toml"), "--outdir", bundle];
  if (output(nodeForWrangler(), [at("node_modules", "wrangler", "bin", "wrangler.js"), ...args]) === null) {
    throw new Error("wrangler could not bundle the worker");
  }
  bundles.set(entry, bundle);
  return bundle;
}

class DirectService extends Service {
  // Alone it waits for every open request.
  patience_ms = 200;

  constructor(persistDir, vars, port, entry, workers) {
    super(persistDir, vars, port, entry);
    this.workers = workers;
  }

  async launch() {
    const bundle = bundled(this.entry);
    const state = path.join(this.persistDir, "objects");
    mkdirSync(state, { recursive: true });
    // Beside the modules, which it names relative to itself.
    const config = path.join(bundle, `${this.port}.capnp`);
    writeFileSync(config, this.#config(bundle, state));
    /** @type {import("node:child_process").SpawnOptions} */
    const flags = { stdio: ["ignore", "pipe", "pipe"], detached: process.platform !== "win32" };
    const { default: workerd } = await import("workerd");
    return spawn(workerd.default ?? workerd, ["serve", "--experimental", config], flags);
  }

  /** What wrangler.toml says, in workerd's own language. */
  #config(bundle, state) {
    const toml = readFileSync(at("wrangler.toml"), "utf8");
    const line = (name) => toml.match(new RegExp(`^${name} = (.*)$`, "m"))[1];
    const text = JSON.stringify;
    const modules = readdirSync(bundle)
      .filter((name) => /\.(js|wasm)$/.test(name))
      .sort((a, b) => Number(b.endsWith(".js")) - Number(a.endsWith(".js")));
    const vars = {
      ...Object.fromEntries([...toml.matchAll(/^(EDGEQUEUE_\w+) = "(.*)"$/gm)].map(([, name, value]) => [name, value])),
      ...this.vars,
    };
    const valued = (value) => (typeof value === "string" ? `text = ${text(value)}` : `json = ${text(text(value))}`);
    const variables = Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, ${valued(value)})`);
    const bindings = this.workers.flatMap((worker) =>
      Object.entries(worker.bindings).map(([name, entrypoint]) => {
        const entry = entrypoint && `, entrypoint = ${text(entrypoint)}`;
        return `(name = ${text(name)}, service = (name = ${text(worker.name)}${entry}))`;
      }),
    );
    const embedded = modules.map((name) => {
      const [path, kind] = name.endsWith(".wasm") ? [`./${name}`, "wasm"] : [name, "esModule"];
      return `(name = ${text(path)}, ${kind} = embed ${text(name)})`;
    });
    const dated = `compatibilityDate = ${line("compatibility_date")}`;
    const page = "addEventListener('fetch', (event) => event.respondWith(new Response('page')))";
    const others = this.workers.map(({ name, script }) => {
      const modules = `[(name = "main", esModule = ${text(script)})]`;
      return `const ${name} :Workerd.Worker = (modules = ${modules}, ${dated});`;
    });
    const beside = this.workers.map(({ name }) => `, (name = ${text(name)}, worker = .${name})`).join("");
    return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "page", worker = .page),
    (name = "disk", disk = (path = ${text(state)}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"]))${beside}],
  sockets = [(name = "http", address = "127.0.0.1:${this.port}", http = (), service = "main")]
);
const main :Workerd.Worker = (
  modules = [${embedded.join(", ")}],
  ${dated},
  compatibilityFlags = ${line("compatibility_flags")},
  durableObjectNamespaces = [(className = "QueueObject", uniqueKey = "queues", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [
    (name = "QUEUES", durableObjectNamespace = "QueueObject"), (name = "ASSETS", service = "page"),
    ${[...variables, ...bindings].join(", ")}
  ]
);
${others.join("\n")}
const page :Workerd.Worker = (serviceWorkerScript = ${text(page)}, ${dated});
`;
  }
}

/** The pids of all workerd processes below `ancestor`, from /proc. */
function workerds(ancestor) {
  const parents = new Map();
  const names = new Map();
  for (const pid of readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    try {
      // The name is in parentheses and may itself hold spaces and parentheses: split after the last one.
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      names.set(pid, stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")));
      parents.set(pid, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // it ended while we looked
    }
  }
  const below = (pid) => pid === ancestor || (parents.has(pid) && below(parents.get(pid)));
  return [...names.keys()].filter((pid) => names.get(pid) === "workerd" && below(pid));
}
