// One running service for tests: `wrangler dev` on a free port, with a state directory and an inspector of its own.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { answers, end, freePort, sleep, wranglerDev } from "../../src/bundle/tools.mjs";

const READY_MS_MAX = 60_000;
export const TOKEN = "test-token";

/** Services that are still running; nothing survives the test process. */
const running = new Set();
const killAll = () => running.forEach((service) => service.killGroup());
process.on("exit", killAll);
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(name, () => process.exit(1));

/**
 * Starts a service and waits until it answers. Without `persistDir` its state is in a temporary directory that goes
 * away with `stop()`. `vars` are added to the Worker's variables.
 */
export async function start({ persistDir, vars = {}, port } = {}) {
  const service = new Service(persistDir, vars, port);
  await service.up();
  return service;
}

class Service {
  token = TOKEN;
  #temporary = null;
  #persistDir;
  #vars;
  #output = "";

  constructor(persistDir, vars, port) {
    if (!persistDir) this.#temporary = mkdtempSync(path.join(os.tmpdir(), "edgequeue-test-"));
    this.#persistDir = persistDir ?? this.#temporary;
    this.#vars = { EDGEQUEUE_TOKEN: this.token, ...vars };
    this.port = port;
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
    this.child = wranglerDev({
      port: this.port, inspectorPort: await freePort(), persistDir: this.#persistDir, vars: this.#vars, stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(this);
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (text) => { this.#output += text; });
    if (!(await answers(`${this.url}/api/`, this.child, READY_MS_MAX))) {
      this.killGroup();
      throw new Error(`the service did not start:\n${this.#output}`);
    }
  }

  /** Ends the service; the state stays only if the caller gave the directory. */
  async stop() {
    await this.#down(() => end(this.child));
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
    if (running.has(this)) await this.#down(() => end(this.child));
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
    const gone = new Promise((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) resolve();
      else this.child.once("exit", resolve);
    });
    await act();
    await Promise.race([gone, sleep(5000)]);
    running.delete(this);
  }
}

/** The pids of all workerd processes below `ancestor`, from /proc. */
function workerds(ancestor) {
  const parents = new Map();
  const names = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number)) {
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
