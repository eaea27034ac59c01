// `npm run sim -- [--seeds N] [--seconds N] [--seed X] [--first X] [--survey] [--store plain]`: more of the simulator than a
// test run has time for.
import { Refused, command, run } from "../../src/bundle/tools.mjs";

const OPTIONS = { seeds: "SIM_SEEDS", seconds: "SIM_SECONDS", seed: "SIM_SEED", first: "SIM_FIRST", store: "SIM_STORE" };

command(() => {
  const env = {};
  const words = process.argv.slice(2);
  while (words.length > 0) {
    const option = words.shift();
    const name = OPTIONS[option.replace(/^--/, "")];
    if (option === "--survey") env.SIM_SURVEY = "1";
    else if (option.startsWith("--") && name && words.length > 0) env[name] = words.shift();
    else throw new Refused(`${option} is not understood; options: --seeds N, --seconds N, --seed X, --first X, --survey, --store plain`);
  }
  run("cargo", ["test", "--quiet", "--locked", "--release", "--test", "sim", "--", "--nocapture"], { env, why: "the simulator" });
});
