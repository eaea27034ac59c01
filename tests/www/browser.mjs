// A real Chromium for tests: one that is installed, or the one that comes with an npm package, or Debian's.
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { Refused, at, output, run, say } from "../../tools/lib.mjs";

const INSTALLED = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/** Where the one from the npm package is unpacked to. */
const UNPACKED = at("build", "chromium");
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Tests measure memory, and look at pages that nobody sees.
  "--js-flags=--expose-gc",
  "--enable-precise-memory-info",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
];

/** `{ executablePath, env }` of a Chromium that starts. Installs one if there is none and that is possible. */
export async function needBrowser() {
  for (const name of [process.env.EDGEQUEUE_CHROMIUM, ...INSTALLED]) {
    if (name && works({ executablePath: name })) return { executablePath: located(name), env: process.env };
  }
  const unpacked = await unpack().catch((error) => {
    say(`the Chromium of the npm package cannot be used: ${error.message}`);
    return null;
  });
  if (unpacked && works(unpacked)) return unpacked;
  if (process.getuid?.() !== 0 || !output("apt-get", ["--version"])) {
    throw new Refused(
      "The tests of the page need a Chromium: install chromium with your package manager, " +
        "or name one in EDGEQUEUE_CHROMIUM.",
    );
  }
  say("installing Chromium");
  run("apt-get", ["update", "-qq"]);
  run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium"], {
    env: { DEBIAN_FRONTEND: "noninteractive" },
  });
  if (!works({ executablePath: "chromium" })) throw new Refused("chromium is installed, but does not start.");
  return { executablePath: located("chromium"), env: process.env };
}

const works = ({ executablePath, env = process.env }) =>
  spawnSync(executablePath, ["--version"], { env, stdio: "ignore", timeout: 20_000 }).status === 0;
const located = (name) => (name.includes(path.sep) ? name : output("which", [name]));

async function unpack() {
  const executablePath = path.join(UNPACKED, "chromium");
  const libraries = path.join(UNPACKED, "al2023", "lib");
  if (!existsSync(executablePath)) {
    if (process.platform !== "linux" || process.arch !== "x64") throw new Error("it is for Linux on x86-64");
    const { inflate } = await import("@sparticuz/chromium");
    say("unpacking Chromium");
    // It unpacks into the directory for temporary files; several processes may be at it.
    const [before, own] = [process.env.TMPDIR, `${UNPACKED}-${process.pid}`];
    mkdirSync(own, { recursive: true });
    process.env.TMPDIR = own;
    try {
      const packed = (name) => at("node_modules", "@sparticuz", "chromium", "bin", name);
      await Promise.all(["chromium.br", "fonts.tar.br", "al2023.tar.br"].map((name) => inflate(packed(name))));
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
    try {
      renameSync(own, UNPACKED);
    } catch {
      rmSync(own, { recursive: true, force: true });
    }
  }
  const env = { ...process.env, FONTCONFIG_FILE: at("tests", "www", "fonts.conf") };
  if (works({ executablePath, env })) return { executablePath, env };
  // Its own libraries, where the system lacks them.
  return {
    executablePath,
    env: { ...env, LD_LIBRARY_PATH: [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":") },
  };
}

/** A running browser, by playwright. */
export async function launch(options = {}) {
  const [{ chromium }, found] = [await import("playwright-core"), await needBrowser()];
  return chromium.launch({ ...found, args: FLAGS, headless: true, timeout: 60_000, ...options });
}

/**
 * A page with the client: `client` are its exports, `queueOf(name, options)` is a queue of the service and
 * `wasmBytes()` the module's memory. `errors` of what is returned collects what went wrong unnoticed. `origin` is where
 * the page comes from; with `clock` its time can be put forward.
 */
export async function openPage(browser, service, { origin = service.url, clock = false } = {}) {
  const context = await browser.newContext();
  if (clock) await context.clock.install();
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  // A text without scripts of its own.
  await page.goto(`${origin}/api/`);
  await page.evaluate(
    async ({ from, token }) => {
      const instantiate = WebAssembly.instantiateStreaming;
      WebAssembly.instantiateStreaming = async (...args) => {
        const made = await instantiate.apply(WebAssembly, args);
        globalThis.wasmBytes = () => made.instance.exports.memory.buffer.byteLength;
        return made;
      };
      const client = await import(`${from}/pkg/edgequeue.js`);
      await client.default();
      const queueOf = (name, options = {}) =>
        new client.QueueClient({ url: `${from}/api/predict/${name}`, token, ...options });
      Object.assign(globalThis, { client, queueOf });
    },
    { from: service.url, token: service.token },
  );
  return page;
}

let queues = 0;
/** Name of a queue that nobody used yet. */
export const freshName = () => `w${process.pid}-${++queues}`;

/** The outcome of a promise, or an error when it takes too long: what happens in a page has no limit of its own. */
export async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
