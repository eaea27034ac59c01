// The client for web pages: compiles it to wasm, generates its bindings, makes one script of all, weighs the result.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { Refused, at, run, say } from "./lib.mjs";

/** Module and script together: everybody who opens a page with it waits for this. */
const GZIP_BYTES_MAX = 60 * 1024;

const TARGET = "wasm32-unknown-unknown";
const COMPILED = at("target-browser", TARGET, "wasm", "edgequeue.wasm");
/** Bindings and sources side by side, as the script is made of them. */
const PARTS = at("build", "browser");
/** The compiled file the package was made from. */
const STAMP = at("build", "browser.wasm");
const OUT = at("www", "pkg");
const SOURCES = at("src", "browser");

/** Without WASM_BINDGEN_USE_JS_SYS the macros name other paths than the ones the worker crate was built with. */
export const CARGO_ENV = { WASM_BINDGEN_USE_JS_SYS: "1" };
export const CARGO_ARGS = [
  "--no-default-features",
  "--features",
  "browser",
  "--target",
  TARGET,
  "--target-dir",
  at("target-browser"),
];

export async function buildPackage() {
  run(
    "cargo",
    ["rustc", "--quiet", "--locked", "--profile", "wasm", "--lib", "--crate-type", "cdylib", ...CARGO_ARGS],
    { env: CARGO_ENV, why: "Compiling the browser client" },
  );
  if (!fresh()) {
    for (const folder of [PARTS, OUT]) {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
    }
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
        COMPILED,
        PARTS,
        "--page",
      ],
      { why: "Generating the bindings" },
    );
    for (const name of scripts()) copyFileSync(`${SOURCES}/${name}`, `${PARTS}/${name}`);
    const { buildSync } = await import("esbuild");
    buildSync({
      entryPoints: [`${PARTS}/edgequeue.js`],
      outfile: `${OUT}/edgequeue.js`,
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      logLevel: "warning",
    });
    copyFileSync(`${PARTS}/edgequeue.wasm`, `${OUT}/edgequeue.wasm`);
    copyFileSync(`${SOURCES}/edgequeue.d.ts`, `${OUT}/edgequeue.d.ts`);
    copyFileSync(COMPILED, STAMP);
  }
  weigh();
}

const scripts = () => readdirSync(SOURCES).filter((name) => name.endsWith(".js"));

/** The package belongs to the compiled file, the scripts and the generator as they are now. */
function fresh() {
  const made = `${OUT}/edgequeue.d.ts`;
  if (!existsSync(STAMP) || !existsSync(made)) return false;
  const sources = [
    at("src", "bin", "bindgen.rs"),
    at("tools", "client.mjs"),
    ...readdirSync(SOURCES).map((name) => `${SOURCES}/${name}`),
  ];
  if (sources.some((name) => statSync(name).mtimeMs > statSync(made).mtimeMs)) return false;
  return readFileSync(STAMP).equals(readFileSync(COMPILED));
}

function weigh() {
  const parts = ["edgequeue.js", "edgequeue.wasm"].map(
    (name) => gzipSync(readFileSync(`${OUT}/${name}`), { level: 9 }).length,
  );
  const [script, module] = parts;
  const kb = (/** @type {number} */ size) => `${(size / 1024).toFixed(1)} KB`;
  say(`browser client built: ${kb(module)} wasm and ${kb(script)} script, gzip (limit together ${kb(GZIP_BYTES_MAX)})`);
  if (script + module > GZIP_BYTES_MAX) throw new Refused("The browser client is over its size limit: see what grew.");
}
