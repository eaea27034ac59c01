// `npm test`: every check there is, in stages; `npm test -- NAME...` runs only the named ones.
// A stage that cannot run has failed: nothing is skipped silently.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build, buildFaults } from "../tools/build.mjs";
import {
  Refused,
  at,
  command,
  needPackages,
  needRust,
  nodeForWrangler,
  output,
  root,
  run,
  say,
} from "../tools/lib.mjs";
import { CARGO_ENV, TARGET, cargoArgs } from "../tools/wasm.mjs";
import { simulate } from "./sim/run.mjs";
import { start } from "./worker/service.mjs";
import { needBrowser } from "./www/browser.mjs";

/** @param {string} line what follows `cargo` @param {Parameters<typeof run>[2]} [options] */
const cargo = (line, options) => run("cargo", line.split(" "), { why: `cargo ${line.split(" ")[0]}`, ...options });
/** A program of node_modules. @param {string} script @param {string} line */
const node = (script, line) =>
  run(nodeForWrangler(), [at("node_modules", ...script.split("/")), ...line.split(" ")], {
    why: path.parse(script).name,
  });
/** @param {string} line */
const nodeTest = (line) =>
  run(nodeForWrangler(), ["--test", "--test-reporter=spec", ...line.split(" ")], { why: "node --test" });
const WORKER = cargoArgs("worker").join(" ");
const BROWSER = cargoArgs("browser").join(" ");
const TYPES = [
  "tools/tsconfig.json",
  "tools/tsconfig.browser.json",
  "tools/tsconfig.page.json",
  "tools/tsconfig.worker.json",
  "tests/tsconfig.json",
];

/** In order: the cheap and telling ones first. */
const STAGES = {
  format: () => {
    cargo("fmt --check");
    node("prettier/bin/prettier.cjs", "--check --log-level warn .");
  },
  // The pure rooms compile where there is no operating system and no std: the wall between pure and impure.
  purity: () => {
    for (const target of ["thumbv7em-none-eabihf", "wasm32v1-none"]) {
      cargo(`check --quiet --locked --lib --no-default-features --target ${target} --target-dir target-pure`);
    }
  },
  lint: () => {
    cargo("clippy --quiet --locked --all-targets --test cli --features bindgen -- -D warnings");
    for (const worker of [WORKER, cargoArgs("faults", "target-worker").join(" ")]) {
      cargo(`clippy --quiet --locked ${worker} -- -D warnings`, { env: CARGO_ENV, why: "clippy of the worker" });
    }
    cargo(`clippy --quiet --locked ${BROWSER} -- -D warnings`, { env: CARGO_ENV, why: "clippy of the browser client" });
    notBoth();
    documentation();
    for (const project of TYPES) node("typescript/bin/tsc", `--project ${project}`);
    advisories();
  },
  rust: () => cargo("test --quiet --locked --no-default-features --features std"),
  sim: () => simulate({}),
  build: async () => {
    await build();
    buildFaults();
  },
  worker: () => nodeTest("--test-concurrency=2 tests/worker/*.test.mjs"),
  // A queue of a million entries beside an empty one.
  deep: () => nodeTest("tests/worker/large.mjs"),
  // Unoptimised: what waits for the service gains nothing from minutes of compilation.
  cli: () => beside("cargo", ["test --quiet --locked --profile dev --bin edgequeue --test cli".split(" ")]),
  sdk: pythonSdk,
  www: pages,
};

/** Worker and browser client are two modules; together they must not compile, and say why. */
function notBoth() {
  const line = `check --quiet --locked ${WORKER.replace("--features worker", "--features worker,browser")}`;
  const env = { ...process.env, ...CARGO_ENV };
  const done = spawnSync("cargo", line.split(" "), { cwd: root, encoding: "utf8", env });
  if (done.status === 0 || !done.stderr.includes("build them one at a time")) {
    throw new Refused("The features worker and browser compile together, or fail for another reason.");
  }
}

/** The pages of the library, for those who use it and for us: every link in a comment leads somewhere. */
function documentation() {
  const host = ["--lib --no-default-features --features std", "--features bindgen --document-private-items"];
  const wasm = [WORKER, BROWSER].map((module) => `--document-private-items ${module}`);
  for (const line of [...host, ...wasm]) {
    cargo(`doc --quiet --locked --no-deps ${line}`, { env: { ...CARGO_ENV, RUSTDOCFLAGS: "-D warnings" } });
  }
}

/**
 * Licences, duplicates and sources are checked by `tests/tidy.rs` everywhere. Where cargo-deny is installed it checks
 * them once more, and known advisories, for which it needs the internet.
 */
function advisories() {
  if (output("cargo", ["deny", "--version"])) cargo("deny --locked check");
  else say("cargo-deny is not installed: known advisories were not looked up (cargo install cargo-deny --locked)");
}

/**
 * The browser client in a real Chromium, which is installed when there is none; and the command line, for which the
 * page writes commands.
 */
async function pages() {
  await needBrowser();
  cargo("build --quiet --locked --bin edgequeue");
  nodeTest("--test-concurrency=2 tests/www/*.test.mjs");
}

/** Runs a program with each list of arguments beside a service, whose address and token it finds in its environment. */
async function beside(program, runs, vars = {}) {
  const service = await start({ vars });
  const env = { ...process.env, EDGEQUEUE_URL: service.url, EDGEQUEUE_TOKEN: service.token };
  try {
    for (const args of runs) {
      // Not `run`, which would keep us from reading what the service prints: it would wait for us for ever.
      const child = spawn(program, args, { cwd: root, env, stdio: "inherit" });
      const [code, signal] = await once(child, "exit");
      if (code !== 0) throw new Refused(`${program} ${args.join(" ")} ended with ${signal ?? `code ${code}`}.`);
    }
  } finally {
    await service.stop();
  }
}

/** The official Python client against a running service, with predictors and consumers beside it. */
async function pythonSdk() {
  const scripts = ["official.py", "traffic.py", "consumers.py"];
  const python = needPython();
  await beside(
    python,
    scripts.map((script) => [at("tests", "sdk", script)]),
    { EDGEQUEUE_ALLOW_LOOPBACK: "allow" },
  );
}

/** The interpreter of .venv with the official client in it; both are made when they are missing. */
function needPython() {
  const python = at(".venv", "bin", "python");
  const wanted = readFileSync(at("tests", "sdk", "requirements.txt"), "utf8");
  const stamp = at(".venv", "edgequeue-stamp");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return python;
  say("installing the official Python client into .venv");
  const venv = () => spawnSync("python3", ["-m", "venv", "--clear", at(".venv")], { stdio: "ignore" }).status === 0;
  if (!venv()) {
    if (process.getuid?.() !== 0 || !output("apt-get", ["--version"])) {
      throw new Refused(
        "Python 3 with its venv module is needed: install python3 and python3-venv with your package manager.",
      );
    }
    run("apt-get", ["update", "-qq"]);
    run("apt-get", ["install", "-y", "-qq", "python3", "python3-venv"], { env: { DEBIAN_FRONTEND: "noninteractive" } });
    if (!venv()) throw new Refused("python3 -m venv does not work, although python3-venv is installed.");
  }
  const install = "-m pip install --quiet --disable-pip-version-check -r".split(" ");
  run(python, [...install, path.join("tests", "sdk", "requirements.txt")], { why: "pip install" });
  writeFileSync(stamp, wanted);
  return python;
}

await command(async () => {
  const names = process.argv.slice(2);
  const unknown = names.filter((name) => !Object.hasOwn(STAGES, name));
  if (unknown.length > 0)
    throw new Refused(`no stage ${unknown.join(", ")}; there are: ${Object.keys(STAGES).join(", ")}`);
  needPackages();
  needRust([TARGET, "wasm32v1-none", "thumbv7em-none-eabihf"]);

  const results = [];
  for (const name of names.length > 0 ? names : Object.keys(STAGES)) {
    console.log(`\n--- ${name}`);
    const began = performance.now();
    let failure = null;
    try {
      await STAGES[name]();
    } catch (error) {
      failure = error instanceof Refused ? error.message : error.stack;
      console.error(failure);
    }
    results.push({ name, failure, seconds: (performance.now() - began) / 1000 });
    console.log(`--- ${name}: ${failure ? "FAILED" : "passed"} in ${results.at(-1).seconds.toFixed(1)} s`);
  }

  console.log();
  for (const { name, failure, seconds } of results)
    console.log(`${failure ? "FAILED" : "passed"}  ${seconds.toFixed(1).padStart(6)} s  ${name}`);
  const failed = results.filter(({ failure }) => failure).length;
  console.log(`${results.length - failed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
});
