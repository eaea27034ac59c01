// The two wasm modules: how they are compiled, given their bindings and weighed.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { Refused, at, run, say } from "./lib.mjs";

export const TARGET = "wasm32-unknown-unknown";

/** Without WASM_BINDGEN_USE_JS_SYS the macros name other paths than the ones the worker crate was built with. */
export const CARGO_ENV = { WASM_BINDGEN_USE_JS_SYS: "1" };

/**
 * What cargo is told to see the library as one of the modules. They have target directories of their own, so that
 * neither throws away what was compiled for the other.
 * @param {"worker"|"faults"|"browser"} module
 */
export const cargoArgs = (module, targetDir = `target-${module}`) =>
  `--lib --no-default-features --features ${module} --target ${TARGET} --target-dir ${targetDir}`.split(" ");

/**
 * Compiles a module and returns the path of the file.
 * @param {"worker"|"faults"|"browser"} module
 * @param {{targetDir?: string, env?: Record<string, string>}} [options]
 */
export function compile(module, { targetDir = `target-${module}`, env = {} } = {}) {
  const args = "rustc --quiet --locked --profile wasm --crate-type cdylib".split(" ");
  run("cargo", [...args, ...cargoArgs(module, targetDir)], {
    env: { ...CARGO_ENV, ...env },
    why: `Compiling the ${module} module`,
  });
  return at(targetDir, TARGET, "wasm", "edgequeue.wasm");
}

/**
 * Writes the module and its bindings into a folder; see src/bin/bindgen.rs for the options.
 * @param {string} wasm
 * @param {string} out
 * @param {...string} options
 */
export function bind(wasm, out, ...options) {
  const args = "run --quiet --locked --no-default-features --features bindgen --bin bindgen --".split(" ");
  run("cargo", [...args, wasm, out, ...options], { why: "Generating the bindings" });
}

const kb = (/** @type {number} */ bytes) => `${(bytes / 1024).toFixed(1)} KB`;

/**
 * Says what files weigh together when they are compressed, and refuses more than `max` bytes.
 * @param {string} name
 * @param {string[]} files
 * @param {number} max
 */
export function weigh(name, files, max) {
  const parts = files.map((file) => gzipSync(readFileSync(file), { level: 9 }).length);
  const all = parts.reduce((sum, part) => sum + part, 0);
  say(`${name} built: ${parts.map(kb).join(" and ")} gzip (limit ${kb(max)})`);
  if (all > max) throw new Refused(`The ${name} is over its size limit: see what grew with \`cargo tree\`.`);
}
