// The client for web pages: module, bindings and scripts in build/browser, and one script of them all in www/pkg.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { at } from "./lib.mjs";
import { bind, compile, weigh } from "./wasm.mjs";

/** Module and script together: everybody who opens a page with it waits for this. */
const GZIP_BYTES_MAX = 60 * 1024;

/** Bindings and sources side by side, as the script is made of them. */
const PARTS = at("build", "browser");
/** The compiled file the package was made from. */
const STAMP = at("build", "browser.wasm");
const OUT = at("www", "pkg");
const SOURCES = at("src", "browser");
const DECLARATIONS = "edgequeue.d.ts";
const scripts = () => readdirSync(SOURCES).filter((name) => name.endsWith(".js"));

export async function buildClient() {
  const wasm = compile("browser");
  if (!fresh(wasm)) {
    for (const folder of [PARTS, OUT]) {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
    }
    bind(wasm, PARTS, "--page");
    for (const name of scripts()) copyFileSync(path.join(SOURCES, name), path.join(PARTS, name));
    // Loaded only here: it comes with `npm ci`.
    const { buildSync } = await import("esbuild");
    buildSync({
      entryPoints: [path.join(PARTS, "edgequeue.js")],
      outfile: path.join(OUT, "edgequeue.js"),
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      logLevel: "warning",
    });
    copyFileSync(path.join(PARTS, "edgequeue.wasm"), path.join(OUT, "edgequeue.wasm"));
    copyFileSync(path.join(SOURCES, DECLARATIONS), path.join(OUT, DECLARATIONS));
    copyFileSync(wasm, STAMP);
  }
  const parts = ["edgequeue.wasm", "edgequeue.js"].map((name) => path.join(OUT, name));
  weigh("browser client", parts, GZIP_BYTES_MAX);
}

/** The package belongs to the compiled file, the scripts and the generator as they are now. @param {string} wasm */
function fresh(wasm) {
  const made = path.join(OUT, DECLARATIONS);
  if (!existsSync(STAMP) || !existsSync(made)) return false;
  const sources = [at("src", "bin", "bindgen.rs"), at("tools", "client.mjs"), at("tools", "wasm.mjs")];
  const own = [...scripts(), DECLARATIONS].map((name) => path.join(SOURCES, name));
  if ([...sources, ...own].some((name) => statSync(name).mtimeMs > statSync(made).mtimeMs)) return false;
  return readFileSync(STAMP).equals(readFileSync(wasm));
}
