// `npm run sim:mutants`: breaks the rooms on purpose, one way at a time, and lets the simulators look for it.
// Each file of this folder is one mutant: why it is wrong, the file it changes, if need be `by` and the tests that look
// for it, and the text to replace between `<<<<`, `====` and `>>>>`. Names given as arguments run only those. Exits
// with 1 if any mutant survives.
//
// MUTANT_SECONDS (20) is how long a simulator may look. A mutant costs at most a build and that time for each of its
// tests; most die within seconds.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "..", "..");
const build = path.join(root, "target-mutants");
const copy = path.join(build, "copy");
const seconds = Number(process.env.MUTANT_SECONDS ?? 20);
/** Beyond its time a test is stopped: a mutant that never comes to an end is found too. */
const GRACE_MS = 60_000;

/** The tests that look after a room, the cheapest first. */
const TESTS = { queue: ["sim"], store: ["sim"], inference: ["inference"], broker: ["sim", "inference"] };

// Quick builds: nothing is measured here. `cargo test` builds with the profile `test`.
const env = {
  ...process.env,
  CARGO_TARGET_DIR: build,
  CARGO_PROFILE_TEST_OPT_LEVEL: "1",
  CARGO_PROFILE_TEST_DEBUG: "0",
  CARGO_PROFILE_TEST_INCREMENTAL: "true",
  SIM_SECONDS: String(seconds),
  SIM_SHRINK: "0",
  RUST_BACKTRACE: "0",
};

/** Mutants by name: `{ name, why, file, tests, from, to }`. */
function parse(name) {
  const text = readFileSync(path.join(here, `${name}.txt`), "utf8");
  const parts = /^(.+)\n(\S+)\n(?:by (.+)\n)?<<<<\n([^]*?)\n====\n([^]*?)\n>>>>\n?$/.exec(text);
  if (!parts)
    throw new Error(`${name}.txt cannot be read as a mutant: reason, file, "by" and tests, <<<<, old, ====, new, >>>>`);
  const [, why, file, by, from, to] = parts;
  return { name, why, file, tests: by?.split(" ") ?? TESTS[file.split("/")[1]], from, to };
}

/**
 * Makes the copy that mutants are made in equal to the project. Only files that differ are written, and with the time
 * of now: cargo goes by times, and would take the binary of the last mutant for that of an older file that comes back.
 */
function restore() {
  const wanted = new Map();
  for (const part of ["src", "tests", "docs", "Cargo.toml", "Cargo.lock"]) collect(path.join(root, part), wanted);
  for (const file of collect(copy, new Map()).keys()) {
    if (!wanted.has(path.join(root, path.relative(copy, file)))) rmSync(file);
  }
  for (const [file, text] of wanted) {
    const target = path.join(copy, path.relative(root, file));
    if (existsSync(target) && readFileSync(target).equals(text)) continue;
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}

/** All files below a path, with their bytes. */
function collect(from, files) {
  if (!existsSync(from)) return files;
  const below = readdirSync(path.dirname(from), { withFileTypes: true }).find(
    (entry) => entry.name === path.basename(from),
  );
  if (!below.isDirectory()) return files.set(from, readFileSync(from));
  for (const name of readdirSync(from)) collect(path.join(from, name), files);
  return files;
}

/** Builds a test and runs it: `{ verdict, text }`. */
function look(test) {
  const built = spawn("cargo", [
    "test",
    "--quiet",
    "--no-default-features",
    "--features",
    "std",
    "--test",
    test,
    "--no-run",
    "--message-format",
    "json-render-diagnostics",
  ]);
  if (built.status !== 0) return { verdict: "does not compile", text: built.stderr };
  const binary = built.stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .findLast(({ executable }) => executable).executable;
  // Not by way of cargo, which would leave it running when its time is over.
  const played = spawn(binary, ["--nocapture"], { timeout: seconds * 1000 + GRACE_MS, killSignal: "SIGKILL" });
  if (played.signal === "SIGKILL") return { verdict: "killed", text: "panicked: it never comes to an end" };
  return { verdict: played.status === 0 ? "survived" : "killed", text: played.stdout + played.stderr };
}

function spawn(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: copy, env, encoding: "utf8", maxBuffer: 1 << 28, ...options });
  /** @type {NodeJS.ErrnoException | undefined} */
  const error = result.error;
  if (error && error.code !== "ETIMEDOUT") throw error;
  return result;
}

/** The line that tells what was found. */
function found(text) {
  const lines = text.split("\n");
  const line =
    lines.find((line) => /^seed \d+.* fails/.test(line)) ?? lines.find((line) => line.includes("panicked")) ?? "";
  return line.slice(0, 150);
}

/** Whether a mutant dies. */
function hunt({ name, why, file, tests, from, to }) {
  restore();
  const target = path.join(copy, file);
  const source = existsSync(target) ? readFileSync(target, "utf8") : "";
  if (source.split(from).length !== 2) {
    console.log(`STALE     ${name}: its text is not once in ${file}`);
    return false;
  }
  writeFileSync(
    target,
    source.replace(from, () => to),
  );
  const begun = Date.now();
  const took = () => `${((Date.now() - begun) / 1000).toFixed(0)} s`;
  for (const test of tests) {
    const { verdict, text } = look(test);
    if (verdict === "killed") {
      console.log(`killed    ${name} (${test}, ${took()}): ${found(text)}`);
      return true;
    }
    if (verdict !== "survived") {
      console.log(
        `BROKEN    ${name} (${took()}) does not compile: ${why}\n${text
          .split("\n")
          .filter((line) => line.startsWith("error"))
          .join("\n")}`,
      );
      return false;
    }
  }
  console.log(`SURVIVED  ${name} (${tests.join(", ")}, ${took()}): ${why}`);
  return false;
}

const begun = Date.now();
const minutes = () => `${((Date.now() - begun) / 60_000).toFixed(1)} min`;
const names = readdirSync(here)
  .filter((file) => file.endsWith(".txt"))
  .map((file) => file.slice(0, -4))
  .sort();
const asked = process.argv.slice(2);
const mutants = (asked.length > 0 ? asked : names).map(parse);

restore();
for (const test of new Set(mutants.flatMap(({ tests }) => tests))) {
  const { verdict, text } = look(test);
  if (verdict !== "survived") {
    console.error(`${test} fails without any mutant (${verdict}):\n${text.slice(0, 3000)}`);
    process.exit(1);
  }
  console.log(`${test} passes without any mutant (${minutes()})`);
}
let killed = 0;
for (const [place, mutant] of mutants.entries()) {
  killed += hunt(mutant) ? 1 : 0;
  if ((place + 1) % 10 === 0) console.log(`--- ${place + 1} of ${mutants.length}, ${killed} killed, ${minutes()}`);
}
restore();
console.log(`${killed} of ${mutants.length} mutants killed in ${minutes()}`);
process.exit(killed === mutants.length ? 0 : 1);
