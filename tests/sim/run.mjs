// `npm run sim -- --seeds N`: plays N seeds of the simulator; `--seed X` replays one and prints it; without either it
// plays for `--seconds S` (60). A failing seed ends the run with its script, shrunk.
import { command, isMain, needRust, Refused, run } from "../../tools/lib.mjs";

const VARIABLES = { "--seeds": "SIM_SEEDS", "--seed": "SIM_SEED", "--seconds": "SIM_SECONDS", "--first": "SIM_FIRST" };

/** Plays the simulator with the given variables. */
export function simulate(env) {
  run(
    "cargo",
    ["test", "--quiet", "--locked", "--no-default-features", "--features", "std", "--test", "sim", "--", "--nocapture"],
    { env: { SIM_SECONDS: "60", ...env }, why: "The simulator" },
  );
}

function variables(args) {
  const env = {};
  for (let place = 0; place < args.length; place += 2) {
    const [option, value] = [args[place], args[place + 1]];
    if (!Object.hasOwn(VARIABLES, option) || !/^\d+$/.test(value ?? "")) {
      throw new Refused(
        `usage: npm run sim -- [${Object.keys(VARIABLES)
          .map((name) => `${name} N`)
          .join("] [")}]`,
      );
    }
    env[VARIABLES[option]] = value;
  }
  return env;
}

if (isMain(import.meta.url)) {
  await command(() => {
    needRust([]);
    simulate(variables(process.argv.slice(2)));
  });
}
