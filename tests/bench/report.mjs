// Figures as a table: on the terminal, and as docs/performance.md.
import os from "node:os";

export const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const number = (value, unit) =>
  value === undefined || Number.isNaN(value)
    ? "-"
    : unit === "per second"
      ? Math.round(value).toLocaleString("en")
      : value.toFixed(2);

/** Half of the distance between the highest and the lowest, in percent of the median. */
const spread = (numbers) => Math.round(((Math.max(...numbers) - Math.min(...numbers)) / 2 / median(numbers)) * 100);

/** First cell against the base, round by round, and the median of that. */
function ratio({ cells, figures, base }) {
  const [first] = Object.keys(cells);
  if (!base) return undefined;
  const pairs = figures[first]
    .map((figure, round) => figure / figures[base]?.[round])
    .filter((value) => Number.isFinite(value));
  return pairs.length ? median(pairs) : undefined;
}

const reached = (row, value) =>
  row.goal === undefined || value === undefined ? null : row.lowerIsBetter ? value <= row.goal : value >= row.goal;

function lines(rows) {
  return rows.map((row) => {
    const [first, ...others] = Object.keys(row.cells);
    const micros = (who) => (row.micros[who].length ? ` (${median(row.micros[who]).toFixed(0)} µs)` : "");
    const cell = (who) =>
      row.figures[who].length
        ? `${number(median(row.figures[who]), row.unit)} ±${spread(row.figures[who])} %${micros(who)}`
        : "-";
    const value = ratio(row);
    const goal = row.goal === undefined ? "" : `${row.lowerIsBetter ? "<=" : ">="} ${row.goal.toFixed(2)}x`;
    const verdict = { true: "yes", false: "no", null: "" }[reached(row, value)];
    return [
      row.what,
      row.unit,
      `${first === "ours" ? "" : `${first} `}${cell(first)}`,
      others.map((who) => `${who} ${cell(who)}`).join("; "),
      value === undefined ? "" : `${value.toFixed(2)}x ${row.base}`,
      goal,
      verdict,
    ];
  });
}

const HEAD = ["figure", "unit", "edgequeue", "beside it", "ratio", "goal", "reached"];

export function print(rows, notes) {
  const table = [HEAD, ...lines(rows)];
  const widths = HEAD.map((_, column) => Math.max(...table.map((line) => line[column].length)));
  console.log();
  for (const line of table)
    console.log(
      line
        .map((text, column) => text.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    );
  console.log();
  for (const note of notes) console.log(`- ${note}`);
}

export function page(rows, notes, { command, minutes, rounds, seconds, versions }) {
  const table = [HEAD, HEAD.map(() => "---"), ...lines(rows)].map((line) => `| ${line.join(" | ")} |`).join("\n");
  const cpu = os.cpus();
  const peers = Object.entries(versions)
    .filter(([, version]) => version)
    .map(([name, version]) => `${name} ${version}`);
  return `# Performance

Written by \`${command}\` on ${new Date().toISOString().slice(0, 10)}: ${rounds} rounds of ${seconds} s each,
${minutes.toFixed(1)} minutes in all, on ${cpu.length} x ${cpu[0].model.trim()},
${Math.round(os.totalmem() / 2 ** 30)} GB, ${os.type()} ${os.release()}${peers.length ? `; ${peers.join(", ")}` : ""}.
Everything talks over the loopback interface, workerd without a proxy in front of it, and load client and server share
the machine: look at ratios rather than at numbers. A cell is the median and half the distance between its best and
worst round, and in brackets the processor time that the server needs for one; a ratio is the median of the ratios
round by round.

${table}

${notes.map((note) => `- ${note}`).join("\n")}

## What is compared

- **floor**: a plain JavaScript Worker and Durable Object that do one INSERT per request or socket message and nothing
  else.
- **group**: a plain JavaScript Worker and object that do group commit and nothing else: no token, no parsing, no
  numbers, no delivery. What it and edgequeue differ by is what being a queue costs.
- **hop**: a Worker and an object that store nothing, and a socket that echoes: what the way to an object and back
  allows at best.
- **empty**, **some**, **full**: the same queue with nothing, with 20,000 and with all those entries waiting.
- **simulator**: Cloudflare Queues as miniflare plays them: entries in memory, the consumer a function in the same
  process.
- **redis**: Streams with every write synced before its answer (\`appendfsync always\`); XADD, and XREADGROUP with
  XACK and XDEL.
- **nats**: JetStream with file storage; publish with acknowledgement, and a pull consumer that acknowledges each
  message.

## Where the time goes

Nothing that goes the way of **hop** can be faster than it, and **group** is what group commit reaches there when
being a queue costs nothing. What lies between **group** and edgequeue is ours: token, parameters, numbering,
segments, the answer's headers, and the border between V8 and the compiled module. \`node tests/bench/profile.mjs\`
prints it by function; V8's profiler charges what is done below a call of the platform to that call, Linux' \`perf\`
with V8's \`--perf-basic-prof\` does not.

With one connection nothing is shared: the way to the object is half of the floor's processor time and its INSERT the
other half, **group** is at 0.85x to 0.9x of the floor for having a second task beside the request, and ours needs a
third more processor time than **group**, in pieces of one to five percent: compiled code that no cache holds any more
when the next request comes (it needs a third of that time where many requests come together), its border, headers
told and parsed, a segment written again with up to 15 entries before this one (which saves deleting 15 rows later).
Leaving one of them out saved at most four percent: waiting for the disk afterwards, the compiled module in the
Worker, the second header of the answer. Rewriting a segment in place saved nothing.

With several connections the wait in turns of the event loop (see architecture.md) is what counts: with a timer of a
millisecond instead, 16 connections reached three quarters of the rate, and without any wait two thirds.

With ten million entries of 100 B waiting (\`npm run bench -- --deep waiting\`, 2026-11-26) the flow is what falls
behind: 0.77x to 0.85x of an empty queue, while put, first answer and memory do not (1.00x, 0.95x, 0.61x). The likely
reason, not a measured one: what waits there is read from the rows it was filled in, a statement for every 100
entries, and a flow writes itself longer ones.

## Where others win, and why

- Redis and NATS are native servers beside their disk: no JavaScript engine, no hop between two isolates, no HTTP.
  With one connection they answer sooner, and with many they answer more often. They are a machine to run, to back up
  and to pay for when nothing happens; this service is none of that.
- A bare Worker with one connection answers sooner than ours: ours checks a token, parses, numbers, and keeps what
  makes a message a queue's. With many connections ours is ahead, because what arrives together becomes one row. How
  far ahead depends on the disk: ours saves writes, and can only come as close to **hop** as its own work allows.
- A queue with entries waiting hands out what it reads from its rows, an empty one what it was just given. That is the
  difference between **empty** and **some**; how many wait makes none in this table: compare **some** with **full**.
`;
}
