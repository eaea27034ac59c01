// `npm run sim:mutants`: breaks the machine and the store on purpose, one way at a time, and lets the simulator look
// for it. Each file of this folder is one mutant: why it is wrong, the file it changes, and the text to replace between
// `<<<<`, `====` and `>>>>`. Names given as arguments run only those. Exits with 1 if any mutant survives.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "..", "..");
const build = path.join(root, "target-mutants");
const copy = path.join(build, "copy");
const seconds = process.env.MUTANT_SECONDS ?? "30";

// Quick builds: the simulator is not what is measured here.
const env = {
  ...process.env,
  CARGO_TARGET_DIR: build,
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
  CARGO_PROFILE_RELEASE_INCREMENTAL: "true",
  CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS: "true",
  SIM_SECONDS: seconds,
  SIM_SHRINK: "0",
  RUST_BACKTRACE: "0",
};

function parse(name) {
  const text = readFileSync(path.join(here, `${name}.txt`), "utf8");
  const parts = /^(.+)\n(\S+)\n<<<<\n([^]*?)\n====\n([^]*?)\n>>>>\n?$/.exec(text);
  if (!parts)
    throw new Error(`${name}.txt is not a mutant; it must hold: reason, file, <<<<, old text, ====, new text, >>>>`);
  const [, why, file, from, to] = parts;
  return { name, why, file, from, to };
}

/** A fresh copy of what the simulator is built from; files keep their times, so that little is built again. */
function restore() {
  mkdirSync(copy, { recursive: true });
  for (const part of ["src", "tests", "Cargo.toml", "Cargo.lock"]) {
    rmSync(path.join(copy, part), { recursive: true, force: true });
    cpSync(path.join(root, part), path.join(copy, part), { recursive: true, preserveTimestamps: true });
  }
}

function cargo(...args) {
  const result = spawnSync("cargo", args, { cwd: copy, env, encoding: "utf8" });
  if (result.error) throw result.error;
  return { passed: result.status === 0, text: result.stdout + result.stderr };
}

/**
 * Plays the simulator that looks after a file: the one of whole services for the runner, else the one of the machine.
 */
function simulate(file = "") {
  const test = file.startsWith("src/inference/") ? "inference" : "sim";
  const call = ["test", "--quiet", "--no-default-features", "--features", "std", "--test", test];
  const built = cargo(...call, "--no-run");
  if (!built.passed) return { verdict: "does not compile", text: built.text };
  const played = cargo(...call, "--", "--nocapture");
  return { verdict: played.passed ? "survived" : "killed", text: played.text };
}

function firstLine(text) {
  const line =
    text.split("\n").find((line) => /^seed \d+ fails/.test(line)) ??
    text.split("\n").find((line) => line.includes("panicked")) ??
    "";
  return line.slice(0, 150);
}

const names = readdirSync(here)
  .filter((file) => file.endsWith(".txt"))
  .map((file) => file.slice(0, -4))
  .sort();
const asked = process.argv.slice(2);
const chosen = asked.length > 0 ? asked : names;

restore();
for (const file of new Set(chosen.map((name) => parse(name).file.split("/", 2).join("/")))) {
  const sound = simulate(`${file}/`);
  if (sound.verdict !== "survived") {
    console.error(`${file} fails without any mutant (${sound.verdict}):\n${sound.text.slice(0, 3000)}`);
    process.exit(1);
  }
}
let failures = 0;
for (const name of chosen) {
  const { why, file, from, to } = parse(name);
  restore();
  const target = path.join(copy, file);
  const source = readFileSync(target, "utf8");
  if (source.split(from).length !== 2) {
    console.log(`STALE     ${name}: its text is not once in ${file}`);
    failures += 1;
    continue;
  }
  writeFileSync(
    target,
    source.replace(from, () => to),
  );
  const begun = Date.now();
  const { verdict, text } = simulate(file);
  const took = `${((Date.now() - begun) / 1000).toFixed(0)} s`;
  if (verdict === "killed") {
    console.log(`killed    ${name} (${took}): ${firstLine(text)}`);
  } else {
    console.log(`${verdict.toUpperCase()}  ${name} (${took}): ${why}`);
    if (verdict !== "survived")
      console.log(
        text
          .split("\n")
          .filter((line) => line.startsWith("error"))
          .join("\n"),
      );
    failures += 1;
  }
}
rmSync(copy, { recursive: true, force: true });
console.log(`${chosen.length - failures} of ${chosen.length} mutants killed`);
process.exit(failures === 0 ? 0 : 1);
