//! The binding generator: turns a compiled module into one that wrangler can bundle, or that a page can import.
//!
//! `bindgen INPUT.wasm OUTPUT_DIR [--names]` writes `edgequeue.js` and `edgequeue_bg.wasm` for the worker; with
//! `--names` functions keep their names, for a profiler. `bindgen INPUT.wasm OUTPUT_DIR --page` writes `glue.js` and
//! `edgequeue.wasm` for pages. It is the binding generator used as a library, pinned by `Cargo.lock` to the version
//! that both were compiled against, so nothing has to be installed.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

/// The name of the worker's module; `src/worker/js/entry.mjs` imports it.
const WORKER: &str = "edgequeue";
/// The name of the pages' module; `src/browser/edgequeue.js` imports it.
const PAGE: &str = "glue";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [wasm, out] => worker(wasm, Path::new(out), false),
        [wasm, out, "--names"] => worker(wasm, Path::new(out), true),
        [wasm, out, "--page"] => page(wasm, Path::new(out)),
        _ => bail!("usage: bindgen INPUT.wasm OUTPUT_DIR [--names | --page]"),
    }
}

fn generator(name: &str, wasm: &str) -> Result<Bindgen> {
    let bytes = fs::read(wasm).with_context(|| format!("cannot read {wasm}"))?;
    let mut generator = Bindgen::new();
    generator.input_bytes(name, bytes).typescript(false).remove_producers_section(true);
    Ok(generator)
}

fn worker(wasm: &str, out: &Path, names: bool) -> Result<()> {
    generator(WORKER, wasm)?
        .module(true)?
        // entry.mjs replaces a dead instance through the exported `__wbg_reset_state`.
        .reset_state_function(true)
        .remove_name_section(!names)
        .generate(out)
        .context("cannot generate the bindings")?;
    let script = out.join(format!("{WORKER}.js"));
    patch(&script, "import source wasmModule from", "import wasmModule from")?;
    patch(&script, " queueMicrotask(", " Promise.resolve().then(")
}

/// Every call into the instance goes through a function of classes.js, which notices when the instance dies.
fn page(wasm: &str, out: &Path) -> Result<()> {
    generator(PAGE, wasm)?
        .web(true)?
        .remove_name_section(true)
        .generate(out)
        .context("cannot generate the bindings")?;
    let script = out.join(format!("{PAGE}.js"));
    patch(&script, "wasm = instance.exports;", "wasm = guarded(instance.exports);")?;
    // Beside the one script that all of them are made into, this is the better name.
    fs::rename(out.join(format!("{PAGE}_bg.wasm")), out.join("edgequeue.wasm"))?;
    let text = fs::read_to_string(&script)?;
    fs::write(&script, format!("import {{ guarded }} from \"./classes.js\";\n{text}"))?;
    Ok(())
}

/// Replaces what the generator wrote and the platform does not like:
///
/// - wrangler's bundler does not know source-phase imports; a plain import of a `.wasm` file gives the same
///   `WebAssembly.Module`;
/// - `queueMicrotask` of the platform costs twenty times what a promise does to the same end.
fn patch(script: &Path, from: &str, to: &str) -> Result<()> {
    let text = fs::read_to_string(script)?;
    let patched = text.replacen(from, to, 1);
    ensure!(patched != text, "the generated module no longer has `{from}`: adapt src/bin/bindgen.rs");
    fs::write(script, patched)?;
    Ok(())
}
