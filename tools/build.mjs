// `npm run build`: compiles the worker to wasm and puts its bindings and scripts into build/worker; makes the browser
// client in www/pkg; then compiles the command line.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { buildClient } from "./client.mjs";
import { at, command, isMain, needPackages, needRust, run, say } from "./lib.mjs";
import { TARGET, bind, compile, weigh } from "./wasm.mjs";

/** The module's weight decides the cold start; the platform's own limit (3 MB) is far away. */
const GZIP_BYTES_MAX = 300 * 1024;

const SCRIPTS = at("src", "worker", "js");

/** @param {string[]} folders */
const scripts = (folders) =>
  folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".mjs"))
      .map((name) => path.join(folder, name)),
  );

/** What the service serves: itself and the package for pages. */
export async function build() {
  needRust([TARGET]);
  const module = buildWorker("worker", [SCRIPTS]);
  weigh("worker", [module], GZIP_BYTES_MAX);
  await buildClient();
}

/** The same service with faults on request, for tests: build/faults/faults.mjs in place of build/worker/entry.mjs. */
export function buildFaults() {
  needRust([TARGET]);
  buildWorker("faults", [SCRIPTS, at("tests", "worker", "faults")]);
}

/**
 * Makes build/<features> and returns its module.
 * @param {"worker"|"faults"} features
 * @param {string[]} folders of scripts
 */
function buildWorker(features, folders) {
  const out = at("build", features);
  const [module, stamp] = [path.join(out, "edgequeue_bg.wasm"), at("build", `${features}.wasm`)];
  const wasm = compile(features, { targetDir: "target-worker" });
  if (!fresh(wasm, out, module, stamp, folders)) {
    rmSync(out, { recursive: true, force: true });
    assemble(wasm, out, folders);
    copyFileSync(wasm, stamp);
  }
  return module;
}

/**
 * Puts module, bindings and scripts side by side: no path in the scripts knows how deep the output lies.
 * @param {string} wasm
 * @param {string} out
 * @param {string[]} folders of scripts
 * @param {...string} options of the binding generator
 */
export function assemble(wasm, out, folders = [SCRIPTS], ...options) {
  mkdirSync(out, { recursive: true });
  bind(wasm, out, ...options);
  for (const script of scripts(folders)) copyFileSync(script, path.join(out, path.basename(script)));
}

/**
 * The output belongs to the compiled file, the scripts and the generator as they are now.
 * @param {string} wasm the compiled file
 * @param {string} out
 * @param {string} module the one with bindings
 * @param {string} stamp the compiled file that the bindings were made from
 * @param {string[]} folders of scripts
 */
function fresh(wasm, out, module, stamp, folders) {
  if (!existsSync(stamp) || !existsSync(module)) return false;
  // A script that was deleted, or whose file is older than the output, changes no time.
  const copied = readdirSync(out).filter((name) => name.endsWith(".mjs"));
  const wanted = scripts(folders);
  const names = wanted.map((script) => path.basename(script));
  if (copied.sort().join() !== names.sort().join()) return false;
  const sources = [at("src", "bin", "bindgen.rs"), at("tools", "build.mjs"), at("tools", "wasm.mjs"), ...wanted];
  if (sources.some((name) => statSync(name).mtimeMs > statSync(module).mtimeMs)) return false;
  return readFileSync(stamp).equals(readFileSync(wasm));
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
