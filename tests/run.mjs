// `npm test`: every check there is, in stages; `npm test -- NAME...` runs only the named ones.
// A stage that cannot run has failed: nothing is skipped silently.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "../tools/build.mjs";
import { CARGO_ARGS, CARGO_ENV } from "../tools/client.mjs";
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
import { simulate } from "./sim/run.mjs";
import { start } from "./worker/service.mjs";
import { needBrowser } from "./www/browser.mjs";

const cargo = (...args) => run("cargo", args, { why: `cargo ${args[0]}` });
// The default feature is the command line; everything else is built without it.
const WASM = ["--no-default-features", "--features", "worker", "--target", "wasm32-unknown-unknown"];

/** In order: the cheap and telling ones first. */
const STAGES = {
  format: () => cargo("fmt", "--check"),
  // The pure rooms compile where there is no operating system and no std: the wall between pure and impure.
  purity: () => {
    for (const target of ["thumbv7em-none-eabihf", "wasm32v1-none"]) {
      cargo(
        "check",
        "--quiet",
        "--locked",
        "--lib",
        "--no-default-features",
        "--target",
        target,
        "--target-dir",
        "target-pure",
      );
    }
  },
  lint: () => {
    cargo(
      "clippy",
      "--quiet",
      "--locked",
      "--all-targets",
      "--test",
      "cli",
      "--features",
      "bindgen",
      "--",
      "-D",
      "warnings",
    );
    run(
      "cargo",
      ["clippy", "--quiet", "--locked", "--lib", ...WASM, "--target-dir", "target-worker", "--", "-D", "warnings"],
      { env: { WASM_BINDGEN_USE_JS_SYS: "1" }, why: "cargo clippy of the worker" },
    );
    run("cargo", ["clippy", "--quiet", "--locked", "--lib", ...CARGO_ARGS, "--", "-D", "warnings"], {
      env: CARGO_ENV,
      why: "cargo clippy of the browser client",
    });
    notBoth();
  },
  rust: () => cargo("test", "--quiet", "--locked", "--no-default-features", "--features", "std"),
  sim: () => simulate({}),
  build,
  worker: () =>
    run(nodeForWrangler(), ["--test", "--test-concurrency=2", "--test-reporter=spec", "tests/worker/*.test.mjs"], {
      why: "node --test",
    }),
  // A queue of a million entries beside an empty one.
  deep: () =>
    run(nodeForWrangler(), ["--test", "--test-reporter=spec", "tests/worker/large.mjs"], { why: "node --test" }),
  // Unoptimised: what waits for the service gains nothing from minutes of compilation.
  cli: () =>
    beside("cargo", [["test", "--quiet", "--locked", "--profile", "dev", "--bin", "edgequeue", "--test", "cli"]]),
  sdk: pythonSdk,
  www: pages,
};

/** Worker and browser client are two modules; together they must not compile, and say why. */
function notBoth() {
  const args = [
    "check",
    "--quiet",
    "--locked",
    "--lib",
    "--no-default-features",
    "--features",
    "worker,browser",
    ...WASM.slice(-2),
    "--target-dir",
    "target-worker",
  ];
  const done = spawnSync("cargo", args, { cwd: root, encoding: "utf8", env: { ...process.env, ...CARGO_ENV } });
  if (done.status === 0 || !done.stderr.includes("build them one at a time"))
    throw new Refused("The features worker and browser compile together, or fail for another reason.");
}

/**
 * The browser client in a real Chromium, which is installed when there is none; and the command line, for which the
 * page writes commands.
 */
async function pages() {
  await needBrowser();
  cargo("build", "--quiet", "--locked", "--bin", "edgequeue");
  run(nodeForWrangler(), ["--test", "--test-concurrency=2", "--test-reporter=spec", "tests/www/*.test.mjs"], {
    why: "node --test",
  });
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
  run(
    python,
    [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "-r",
      path.join("tests", "sdk", "requirements.txt"),
    ],
    { why: "pip install" },
  );
  writeFileSync(stamp, wanted);
  return python;
}

await command(async () => {
  const names = process.argv.slice(2);
  const unknown = names.filter((name) => !Object.hasOwn(STAGES, name));
  if (unknown.length > 0)
    throw new Refused(`no stage ${unknown.join(", ")}; there are: ${Object.keys(STAGES).join(", ")}`);
  needPackages();
  needRust(["wasm32-unknown-unknown", "wasm32v1-none", "thumbv7em-none-eabihf"]);

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
