// `npm run bench [-- --quick | --deep] [ROW...]`: measures the service beside a bare Worker and beside what its users
// would pick instead, all on this machine, in interleaved rounds. Prints one table and writes docs/performance.md.
// `--dir=DIR` puts what is stored there; in a memory file system nothing but the processor's work is left to measure.
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { build } from "../../tools/build.mjs";
import { Refused, at, command, needPackages, run, say } from "../../tools/lib.mjs";
import { median, page, print } from "./report.mjs";
import { TOKEN, floor, group, hop, memory, nats, ours, processor, redis, simulator, stop } from "./servers.mjs";

const flags = process.argv.slice(2).filter((word) => word.startsWith("--"));
const wanted = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const quick = flags.includes("--quick");
const deep = flags.includes("--deep");
const dir = flags.find((flag) => flag.startsWith("--dir="))?.slice("--dir=".length) ?? os.tmpdir();
const ROUNDS = quick ? 3 : 5;
const SECONDS = quick ? 0.5 : 2;
/** Entries that wait, and their size: with ten million a queue would not hold 1 KB each. */
const WAITING = deep ? { count: 10_000_000, bytes: 100 } : { count: 1_000_000, bytes: 1024 };

/** Enough that the flow below never reaches the end of them. */
const SOME_WAITING = 20_000;

/**
 * How often a queue is opened for one figure: the first answer of a process is told by milliseconds, and those vary.
 */
const OPENINGS = quick ? 1 : 5;

/**
 * How often a queue is put under load before its memory is read: what it took once it keeps, and one time may take more
 * than another.
 */
const LOADS = quick ? 1 : 3;

const LOAD = at("target", "release", process.platform === "win32" ? "load.exe" : "load");
const temporary = mkdtempSync(path.join(dir, "edgequeue-bench-"));
process.on("exit", () => rmSync(temporary, { recursive: true, force: true }));

/** Runs the load client to its end. */
async function load(program, wish) {
  const words = Object.entries({ seconds: SECONDS, ...wish }).map(([key, value]) => `${key}=${value}`);
  const { stdout } = await promisify(execFile)(LOAD, [program, ...words], { timeout: 300_000 });
  return JSON.parse(stdout);
}

// A row is a figure: `cells` measure it here and there, each with its name; `base` is whom the first cell is compared
// with. Cells of a row are measured right after each other, in turning order, and their ratio is taken round by round.
const rows = [];
const notes = [];
/**
 * @param {string} name
 * @param {{what: string, unit?: string, goal?: number, base?: string, lowerIsBetter?: boolean}} about
 * @param {Record<string, any>} cells
 */
const row = (name, { what, unit = "per second", goal, base, lowerIsBetter = false }, cells) => {
  const used = Object.fromEntries(Object.entries(cells).filter(([, measure]) => measure));
  const empty = () => Object.fromEntries(Object.keys(used).map((who) => [who, []]));
  rows.push({ name, what, unit, goal, base, lowerIsBetter, cells: used, figures: empty(), micros: empty() });
};
/**
 * Entries per second that a server takes from a load client, and the processor time it needs for one, in microseconds.
 */
const rate =
  (server, program, wish = {}) =>
  async () => {
    const before = processor(server);
    const { rate } = await load(program, { address: server.address, ...wish });
    // The load client counts after a quarter of the time, in which it does the same.
    return { figure: rate, micros: (processor(server) - before) / (rate * (wish.seconds ?? SECONDS) * 1.25) };
  };

async function plan() {
  const servers = {};
  const start = async (name, starting) => {
    const server = await starting(path.join(temporary, name));
    if (!server)
      notes.push(
        `${name} is not installed here (Debian: \`apt-get install ${name}-server\`), so it is missing from the table.`,
      );
    return (servers[name] = server);
  };
  const [bare, own] = [await start("floor", floor), await start("ours", ours)];
  const [way, grouped] = [await start("hop", hop), await start("group", group)];
  const sim = await start("simulator", simulator);
  const [red, jet] = [await start("redis", redis), await start("nats", nats)];
  if (jet && !jet.syncs)
    notes.push(
      `NATS ${jet.version} acknowledges a publish before it is on the disk (\`sync_interval: always\` exists from ` +
        "2.10 on): its figures are for less durability.",
    );

  let queues = 0;
  /** A queue that nobody else uses. */
  const mine = (wish = {}) => ({ path: `/api/predict/q${++queues}`, token: TOKEN, ...wish });
  const path_ = "/";
  for (const connections of [1, 16, 64]) {
    row(
      `put-${connections}`,
      {
        what: `put of 1 KB over HTTP, ${connections} connection${connections > 1 ? "s" : ""}`,
        base: "floor",
        goal: connections === 1 ? 0.8 : connections === 64 ? 1.5 : undefined,
      },
      {
        ours: rate(own, "http", mine({ connections })),
        floor: rate(bare, "http", { path: path_, connections }),
        group: rate(grouped, "http", { path: path_, connections }),
        hop: rate(way, "http", { path: path_, connections }),
        redis: red && rate(red, "redis-put", { connections }),
        nats: jet && rate(jet, "nats-put", { connections }),
      },
    );
  }
  for (const [connections, what, goal] of /** @type {[number, string, number?][]} */ ([
    [64, "put of 1 KB on a socket with acknowledgement, 64 connections", 4],
    [1, "the same, 1 connection"],
  ])) {
    row(
      `socket-${connections}`,
      { what, base: "floor", goal },
      {
        ours: rate(own, "session-puts", mine({ connections })),
        floor: rate(bare, "socket", { path: path_, connections }),
        group: rate(grouped, "socket", { path: path_, connections }),
        hop: rate(way, "socket", { path: path_, connections }),
      },
    );
  }
  row(
    "batches",
    { what: "put of 1 KB on a socket in batches of 100, 1 connection" },
    {
      ours: rate(own, "session-puts", mine({ entries: 100 })),
    },
  );
  // A flow that is broken off leaves entries behind, which the next one would be given first: each begins with a queue
  // of its own.
  row(
    "flow",
    { what: "put, pushed, committed on sockets in batches of 100", base: "simulator", goal: 0.9 },
    {
      ours: () => rate(own, "session-flow", mine())(),
      simulator: rate(sim, "simulator-flow", { path: path_ }),
      redis: red && rate(red, "redis-flow"),
      nats: jet && rate(jet, "nats-flow"),
    },
  );
  row(
    "eas-flow",
    { what: "the same by EAS clients: single puts over HTTP, 64 connections" },
    {
      ours: () => rate(own, "eas-flow", mine({ connections: 64 }))(),
    },
  );
  if (wanted.length === 0 || wanted.some((word) => word.startsWith("waiting"))) await planWaiting(servers);
  return servers;
}

/** The same queue three times, empty, with some and with many entries waiting, each on a workerd of its own. */
async function planWaiting(servers) {
  const path_ = "/api/predict/waiting";
  const { count, bytes } = WAITING;
  const made = {};
  const restart = async (name) => {
    if (made[name]) await stop(made[name]);
    made[name] = servers[name] = await ours(path.join(temporary, name), { metered: true });
  };
  const ask = async (name, suffix = "", method = "GET") => {
    const answer = await fetch(`${made[name].url}${path_}${suffix}`, {
      method,
      headers: { Authorization: TOKEN },
      body: method === "POST" ? "x" : undefined,
    });
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  };
  const waiting = { empty: 0, some: SOME_WAITING, full: count };
  for (const [name, count] of Object.entries(waiting)) {
    await restart(name);
    await ask(name, "", "POST");
    if (count === 0) continue;
    await stop(made[name]);
    say(`filling a queue with ${count.toLocaleString("en")} entries of ${bytes} bytes`);
    await load("fill", { file: databaseOf(path.join(temporary, name)), count, bytes });
    await restart(name);
  }

  const both = (what) => ({ full: what("full"), empty: what("empty"), some: what("some") });
  const goal = 1 / 1.1;
  const label = `${(count / 1e6).toFixed(0)} M waiting`;
  row(
    "waiting-put",
    { what: `put of ${bytes} B over HTTP, 64 connections, ${label}`, base: "empty", goal },
    both((name) => () => rate(made[name], "http", { path: path_, token: TOKEN, connections: 64, bytes })()),
  );
  row(
    "waiting-flow",
    { what: `put, pushed, committed on sockets in batches of 100, ${label}`, base: "empty", goal },
    both((name) => () => rate(made[name], "session-flow", { path: path_, token: TOKEN, bytes })()),
  );
  row(
    "waiting-open",
    { what: `first answer of a queue, ${label}`, unit: "ms", base: "empty", goal: 1.1, lowerIsBetter: true },
    both((name) => async () => {
      const seen = [];
      for (let i = 0; i < OPENINGS; i++) {
        await restart(name);
        // Another queue wakes the instance, so that only the opening is left.
        await (
          await fetch(`${made[name].url}/api/predict/other?_attrs_=true`, { headers: { Authorization: TOKEN } })
        ).text();
        const began = performance.now();
        await ask(name, "?_attrs_=true");
        seen.push(performance.now() - began);
      }
      return { figure: median(seen) };
    }),
  );
  row(
    "waiting-memory",
    { what: `wasm memory after that, ${label}`, unit: "MB", base: "empty", goal: 1.1, lowerIsBetter: true },
    both((name) => async () => {
      for (let time = 0; time < LOADS; time++) {
        for (const program of ["http", "session-flow"])
          await load(program, { address: made[name].address, path: path_, token: TOKEN, connections: 64, bytes });
      }
      const headers = { Authorization: TOKEN, "X-Edgequeue-Fault": "rows" };
      const report = await (await fetch(`${made[name].url}${path_}?_attrs_=true`, { headers })).json();
      return { figure: report.memory_bytes / 2 ** 20 };
    }),
  );
}

/** The one database in a state directory that is the object's, not the platform's. */
function databaseOf(dir) {
  const files = readdirSync(path.join(dir, "state"), { recursive: true }).map(String);
  const found = files.filter((name) => /[0-9a-f]{64}\.sqlite$/.test(name));
  if (found.length !== 1) throw new Error(`expected one database in ${dir}: ${files.join(", ")}`);
  return path.join(dir, "state", found[0]);
}

async function measure() {
  const chosen = rows.filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.startsWith(word)));
  if (chosen.length === 0)
    throw new Refused(`no row ${wanted.join(", ")}; there are: ${rows.map(({ name }) => name).join(", ")}`);
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, cells, figures, micros, unit } of chosen) {
      const turned = Object.entries(cells).map((_, place, all) => all[(place + round) % all.length]);
      for (const [who, cell] of turned) {
        try {
          const seen = await cell();
          figures[who].push(seen.figure);
          if (seen.micros) micros[who].push(seen.micros);
        } catch (error) {
          notes.push(`${name}, ${who}: ${(error.stderr || error.message).trim()}`);
        }
      }
      const seen = Object.entries(figures).map(
        ([who, all]) => `${who} ${all.at(-1)?.toFixed(unit === "per second" ? 0 : 2)}`,
      );
      say(`round ${round + 1}/${ROUNDS}  ${name.padEnd(15)} ${seen.join("  ")}`);
    }
  }
  return chosen;
}

await command(async () => {
  const unknown = flags.filter((flag) => !["--quick", "--deep"].includes(flag) && !flag.startsWith("--dir="));
  if (unknown.length > 0)
    throw new Refused(`unknown option ${unknown.join(" ")}: there are --quick, --deep and --dir=DIR`);
  needPackages();
  await build();
  run(
    "cargo",
    ["build", "--quiet", "--locked", "--release", "--no-default-features", "--features", "bench", "--bin", "load"],
    { why: "Compiling the load client" },
  );
  const began = performance.now();
  const servers = await plan();
  const measured = await measure();
  const peak = memory(servers.ours).peak;
  notes.push(
    `workerd with our service took at most ${peak.toFixed(0)} MB of memory, ` +
      `with a bare Worker ${memory(servers.floor).peak.toFixed(0)} MB.`,
  );
  for (const server of Object.values(servers)) if (server) await stop(server);
  const facts = {
    command: ["npm run bench", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" "),
    minutes: (performance.now() - began) / 60_000,
    rounds: ROUNDS,
    seconds: SECONDS,
    versions: { redis: servers.redis?.version, nats: servers.nats?.version },
  };
  print(measured, notes);
  if (wanted.length === 0 && dir === os.tmpdir()) {
    writeFileSync(at("docs", "performance.md"), page(measured, notes, facts));
    say("wrote docs/performance.md");
  }
  process.exit(0);
});
