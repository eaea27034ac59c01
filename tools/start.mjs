// `npm start`: from a fresh clone to a running service. Installs what is missing, builds, runs `wrangler dev`.
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { build } from "./build.mjs";
import {
  Refused,
  answers,
  at,
  command,
  end,
  freePort,
  needPackages,
  nodeForWrangler,
  portIsFree,
  say,
  wranglerDev,
} from "./lib.mjs";

const PORT_DEFAULT = 8787;

function portWanted() {
  const flag = process.argv.indexOf("--port");
  const text = flag > 0 ? process.argv[flag + 1] : (process.env.PORT ?? String(PORT_DEFAULT));
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Refused(`"${text}" is not a port number.`);
  return port;
}

/** The local secrets file; made once from the committed example and then left alone. */
function needDevVars() {
  if (!existsSync(at(".dev.vars"))) {
    copyFileSync(at(".dev.vars.example"), at(".dev.vars"));
    say("made .dev.vars from .dev.vars.example");
  }
  return readFileSync(at(".dev.vars"), "utf8").match(/^EDGEQUEUE_TOKEN\s*=\s*"?([^"\n]*)"?/m)?.[1] ?? "";
}

await command(async () => {
  const port = portWanted();
  if (!(await portIsFree(port))) {
    throw new Refused(
      `Port ${port} is in use. Stop what listens there, or take another one: npm start -- --port ${port + 1}`,
    );
  }
  needPackages();
  nodeForWrangler();
  const token = needDevVars();
  say("building the service and the browser client (the first time takes some minutes)");
  await build();

  say("starting");
  const service = wranglerDev({
    port,
    inspectorPort: await freePort(),
    persistDir: at(".wrangler", "state"),
    stdio: ["ignore", "inherit", "inherit"],
  });
  let ending = false;
  const stop = async (/** @type {number} */ code) => {
    if (ending) return;
    ending = true;
    await end(service);
    process.exit(code);
  };
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => stop(0));
  service.on("exit", (code) => {
    if (!ending) say(`the service ended by itself (code ${code})`);
    stop(1);
  });

  const url = `http://127.0.0.1:${port}`;
  if (await answers(`${url}/api/`, service, 60_000)) {
    say(
      `ready on ${url} (Ctrl-C ends it). Open it in a browser with the token ${token}, or try:\n\n` +
        `  curl -X POST '${url}/api/predict/demo' -H 'Authorization: ${token}' -d 'hello'\n`,
    );
  } else if (!ending) {
    say("the service did not answer within a minute");
    await stop(1);
  }
});
