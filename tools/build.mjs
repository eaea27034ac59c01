// `npm run build`: compiles the worker to wasm, generates its bindings into build/worker, and weighs the result; the
// same for the browser client, into www/pkg; then the command line.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { buildPackage } from "./client.mjs";
import { Refused, at, command, isMain, needPackages, needRust, run, say } from "./lib.mjs";

/** The bundle's weight decides the cold start; the platform's own limit (3 MB) is far away. */
const GZIP_BYTES_MAX = 300 * 1024;

const TARGET = "wasm32-unknown-unknown";
const WASM = at("target-worker", TARGET, "wasm", "edgequeue.wasm");
const OUT = at("build", "worker");
/** The worker's scripts, which stand beside the generated module: no path in them knows how deep the output lies. */
const SCRIPTS = at("src", "worker", "js");
/** The compiled file the bindings were made from. */
const STAMP = at("build", "worker.wasm");

/** What the service serves: itself and the package for pages. */
export async function build() {
  needRust([TARGET]);
  buildWorker();
  await buildPackage();
}

function buildWorker() {
  // Without WASM_BINDGEN_USE_JS_SYS the macros name other paths than the ones the worker crate was built with.
  run(
    "cargo",
    [
      "rustc",
      "--quiet",
      "--locked",
      "--profile",
      "wasm",
      "--lib",
      "--crate-type",
      "cdylib",
      "--no-default-features",
      "--features",
      "worker",
      "--target",
      TARGET,
      "--target-dir",
      at("target-worker"),
    ],
    { env: { WASM_BINDGEN_USE_JS_SYS: "1" }, why: "Compiling the worker" },
  );
  if (!fresh()) {
    rmSync(OUT, { recursive: true, force: true });
    mkdirSync(OUT, { recursive: true });
    run(
      "cargo",
      [
        "run",
        "--quiet",
        "--locked",
        "--no-default-features",
        "--features",
        "bindgen",
        "--bin",
        "bindgen",
        "--target-dir",
        at("target-bundle"),
        "--",
        WASM,
        OUT,
      ],
      { why: "Generating the bindings" },
    );
    for (const name of scripts()) copyFileSync(path.join(SCRIPTS, name), path.join(OUT, name));
    copyFileSync(WASM, STAMP);
  }
  weigh();
}

const scripts = () => (existsSync(SCRIPTS) ? readdirSync(SCRIPTS).filter((name) => name.endsWith(".mjs")) : []);

/** The output belongs to the compiled file, the scripts and the generator as they are now. */
function fresh() {
  const made = at("build", "worker", "edgequeue_bg.wasm");
  if (!existsSync(STAMP) || !existsSync(made)) return false;
  const sources = [
    at("src", "bin", "bindgen.rs"),
    at("tools", "build.mjs"),
    ...scripts().map((name) => path.join(SCRIPTS, name)),
  ];
  if (sources.some((name) => statSync(name).mtimeMs > statSync(made).mtimeMs)) return false;
  // A script that was deleted must not linger, and one whose file is older than the output must not be missing.
  if (
    readdirSync(OUT)
      .filter((name) => name.endsWith(".mjs"))
      .sort()
      .join() !== scripts().sort().join()
  )
    return false;
  return readFileSync(STAMP).equals(readFileSync(WASM));
}

function weigh() {
  const bytes = readFileSync(at("build", "worker", "edgequeue_bg.wasm"));
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const kb = (/** @type {number} */ size) => `${(size / 1024).toFixed(1)} KB`;
  say(`worker built: ${kb(bytes.length)} wasm, ${kb(gzip)} gzip (limit ${kb(GZIP_BYTES_MAX)})`);
  if (gzip > GZIP_BYTES_MAX)
    throw new Refused(
      "The worker is over its size limit: see what grew with `cargo tree --no-default-features --features worker`.",
    );
}

function buildCommandLine() {
  run("cargo", ["build", "--quiet", "--locked", "--release", "--bin", "edgequeue"], {
    why: "Compiling the command line",
  });
  say(`command line built: ${path.relative(process.cwd(), at("target", "release", "edgequeue"))}`);
}

if (isMain(import.meta.url)) {
  await command(async () => {
    needPackages();
    await build();
    buildCommandLine();
  });
}
