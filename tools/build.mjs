// `npm run build`: compiles the worker to wasm and puts its bindings and scripts into build/worker; makes the browser
// client in www/pkg; then compiles the command line.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { buildClient } from "./client.mjs";
import { at, command, isMain, needPackages, needRust, run, say } from "./lib.mjs";
import { TARGET, bind, compile, weigh } from "./wasm.mjs";

/** The module's weight decides the cold start; the platform's own limit (3 MB) is far away. */
const GZIP_BYTES_MAX = 300 * 1024;

const OUT = at("build", "worker");
const MADE = path.join(OUT, "edgequeue_bg.wasm");
/** The compiled file the bindings were made from. */
const STAMP = at("build", "worker.wasm");
const SCRIPTS = at("src", "worker", "js");
const scripts = () => readdirSync(SCRIPTS).filter((name) => name.endsWith(".mjs"));

/** What the service serves: itself and the package for pages. */
export async function build() {
  needRust([TARGET]);
  buildWorker();
  await buildClient();
}

function buildWorker() {
  const wasm = compile("worker");
  if (!fresh(wasm)) {
    rmSync(OUT, { recursive: true, force: true });
    assemble(wasm, OUT);
    copyFileSync(wasm, STAMP);
  }
  weigh("worker", [MADE], GZIP_BYTES_MAX);
}

/**
 * Puts module, bindings and scripts side by side: no path in the scripts knows how deep the output lies.
 * @param {string} wasm
 * @param {string} out
 * @param {...string} options of the binding generator
 */
export function assemble(wasm, out, ...options) {
  mkdirSync(out, { recursive: true });
  bind(wasm, out, ...options);
  for (const name of scripts()) copyFileSync(path.join(SCRIPTS, name), path.join(out, name));
}

/** The output belongs to the compiled file, the scripts and the generator as they are now. @param {string} wasm */
function fresh(wasm) {
  if (!existsSync(STAMP) || !existsSync(MADE)) return false;
  // A script that was deleted, or whose file is older than the output, changes no time.
  const copied = readdirSync(OUT).filter((name) => name.endsWith(".mjs"));
  if (copied.sort().join() !== scripts().sort().join()) return false;
  const sources = [at("src", "bin", "bindgen.rs"), at("tools", "build.mjs"), at("tools", "wasm.mjs")];
  const own = scripts().map((name) => path.join(SCRIPTS, name));
  if ([...sources, ...own].some((name) => statSync(name).mtimeMs > statSync(MADE).mtimeMs)) return false;
  return readFileSync(STAMP).equals(readFileSync(wasm));
}

function buildCommandLine() {
  run("cargo", "build --quiet --locked --release --bin edgequeue".split(" "), { why: "Compiling the command line" });
  say(`command line built: ${path.relative(process.cwd(), at("target", "release", "edgequeue"))}`);
}

if (isMain(import.meta.url)) {
  await command(async () => {
    needPackages();
    await build();
    buildCommandLine();
  });
}
