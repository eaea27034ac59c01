//! Turns the compiled worker into a module that wrangler can bundle.
//!
//! `bundle INPUT.wasm OUTPUT_DIR [--names]` writes `edgequeue.js` and `edgequeue_bg.wasm`; with `--names` functions keep
//! their names, for a profiler. It is the binding generator used as a
//! library, pinned by `Cargo.lock` to the version the worker was compiled against, so nothing has to be installed.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

/// The name of the generated module; `src/worker/entry.mjs` imports it.
const NAME: &str = "edgequeue";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (wasm, out, names) = match arguments.as_slice() {
        [wasm, out] => (wasm, out, false),
        [wasm, out, flag] if flag == "--names" => (wasm, out, true),
        _ => bail!("usage: bundle INPUT.wasm OUTPUT_DIR [--names]"),
    };
    let (wasm, out) = (Path::new(wasm), Path::new(out));
    let bytes = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    Bindgen::new()
        .input_bytes(NAME, bytes)
        .module(true)?
        // entry.mjs replaces a dead instance through the exported `__wbg_reset_state`.
        .reset_state_function(true)
        .typescript(false)
        .remove_name_section(!names)
        .remove_producers_section(true)
        .generate(out)
        .context("cannot generate the bindings")?;
    import_as_module(&out.join(format!("{NAME}.js")))
}

/// wrangler's bundler does not know source-phase imports; a plain import of a `.wasm` file gives it the same
/// `WebAssembly.Module`.
fn import_as_module(script: &Path) -> Result<()> {
    let text = fs::read_to_string(script)?;
    let plain = text.replacen("import source wasmModule from", "import wasmModule from", 1);
    ensure!(plain != text, "the generated module no longer imports `wasmModule`: adapt src/bundle/main.rs");
    fs::write(script, plain)?;
    Ok(())
}
