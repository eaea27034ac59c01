// The pure parts of the page: rates from attributes, percentiles, commands, addresses, bodies.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { duration, fullness, parse } from "../../www/model/attributes.js";
import { asText, hexDump, kind, picture, preview } from "../../www/model/bodies.js";
import { axis } from "../../www/model/series.js";
import { commandLine, curl, python, pythonSdk, shell } from "../../www/model/commands.js";
import { Depths } from "../../www/model/depths.js";
import { Flow } from "../../www/model/flow.js";
import * as format from "../../www/model/format.js";
import * as state from "../../www/model/state.js";
import { Waits } from "../../www/model/waits.js";

/** What a page gives its scripts and a pure module must not touch: document, network, storage, timers, the clock. */
const IMPURE = new RegExp(
  String.raw`\b(?:document|window|navigator|location|self|globalThis|\w*[sS]torage|fetch|setTimeout|` +
    String.raw`setInterval|Date\.now|performance|crypto|Math\.random|HTML\w*Element|URL\.createObjectURL)\b(?!:)`,
);
const MODEL = new URL("../../www/model/", import.meta.url);

const bytes = (text) => new TextEncoder().encode(text);

test("the modules of www/model are pure", () => {
  const names = readdirSync(MODEL);
  assert.ok(names.length >= 10, "the folder of the pure modules");
  for (const name of names) {
    const text = readFileSync(new URL(name, MODEL), "utf8");
    const code = text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "").replaceAll(/"[^"\n]*"/g, '""');
    assert.doesNotMatch(code, IMPURE, `www/model/${name} touches something that only a page or a clock has`);
    for (const [, from] of text.matchAll(/^import .* from "(.+)";$/gm)) {
      assert.match(from, /^\.\/\w+\.js$/, `www/model/${name} imports ${from}, which is outside the pure modules`);
    }
  }
});

test("attributes: consumers and groups, whatever their names hold", () => {
  const queue = parse({
    "meta.name": "demo",
    "meta.state": "Normal",
    "stream.length": "7",
    "stream.bytes": "800",
    "stream.firstEntry": "3",
    "stream.lastEntry": "9",
    "stream.maxPayloadBytes": "1048576",
    "stream.waitingGets": "1",
    "queue.max_length": "100",
    "queue.max_delivery": "5",
    "consumers.list.[0]":
      "Id: eas.a, b, Index: 5, Pending: 2, Status: Running, Idle: 1m2.5s, Window: 5, Slots: 3, AutoCommit: false, " +
      "Tags: tags[x=1, Index: 9 y=2]",
    "consumers.list.[1]":
      "Id: eas.w2, Index: 0, Pending: 0, Status: Leaving, Idle: 19.997s, Window: 0, Slots: 0, AutoCommit: true",
    "groups.list.[0]": "Id: eas, Index: 5, Pending: 2, Delivered: 40, Consumers: 2",
  });
  assert.deepEqual(queue.consumers[0], {
    group: "eas",
    user: "a, b",
    pending: 2,
    status: "Running",
    idleMs: 62_500,
    window: 5,
    slots: 3,
    autoCommit: false,
    tags: "x=1, Index: 9 y=2",
  });
  assert.equal(queue.consumers[1].idleMs, 19_997);
  assert.deepEqual([queue.inFlight, queue.delivered, queue.lengthMax, queue.settings.max_delivery], [2, 40, 100, "5"]);
  assert.deepEqual([queue.waiting, queue.oldestMs, queue.failed], [5, null, null]);
  const told = parse({
    "stream.length": "7",
    "stream.waiting": "3",
    "stream.inFlight": "4",
    "stream.oldestMs": "1500",
    "stream.failed": "2",
  });
  assert.deepEqual([told.waiting, told.inFlight, told.oldestMs, told.failed], [3, 4, 1500, 2]);
  assert.equal(fullness(queue), 0.07);
  assert.equal(duration("1h2m3s4ms"), 3_723_004);
});

test("rates follow the last index, also when the queue is empty in between", () => {
  const flow = new Flow();
  const at = (seconds, last, length, delivered) =>
    flow.see(seconds * 1000, { last, length, groups: delivered === undefined ? [] : [{ delivered }] });
  assert.deepEqual(at(0, 100, 10), { in: 0, out: 0 });
  assert.deepEqual(at(1, 110, 15), { in: 10, out: 5 });
  assert.deepEqual(at(2, 110, 5), { in: 5, out: 7.5 });
  assert.deepEqual(at(3, 0, 0), { in: 10 / 3, out: 20 / 3 });
  // The next entry is number 111: nothing was missed.
  assert.deepEqual(at(4, 111, 1), { in: 11 / 4, out: 5 });
});

test("rates of a queue that is always empty when it is looked at come from its group", () => {
  const flow = new Flow();
  const at = (seconds, last, length, delivered) => flow.see(seconds * 1000, { last, length, groups: [{ delivered }] });
  at(0, 0, 0, 500);
  assert.deepEqual(at(1, 0, 0, 520), { in: 20, out: 20 });
  // Its first index is seen: only one more entry than was counted came.
  assert.deepEqual(at(2, 9_000, 1, 540), { in: 20.5, out: 20 });
});

test("percentiles are ranks, and say when few samples are behind them", () => {
  const waits = new Waits();
  assert.equal(waits.percentiles(0), null);
  for (let ms = 1; ms <= 100; ms++) waits.add(1000, { "ts@source": "5000", "ts@sink": String(5000 + ms) });
  waits.add(1000, { "ts@sink": "7" });
  assert.deepEqual(waits.percentiles(2000), {
    count: 100,
    p50: 50,
    p95: 95,
    p99: 99,
    few: { p50: false, p95: false, p99: true },
  });
  assert.equal(waits.percentiles(62_000), null);
});

test("a hundred thousand samples keep the memory of twenty thousand", () => {
  const waits = new Waits();
  for (let at = 0; at < 100_000; at++) waits.add(at / 10, { "ts@source": "1", "ts@sink": String(1 + at) });
  assert.equal(waits.percentiles(10_000).count, 20_000);
});

test("priorities are found by counting", async () => {
  const stored = new Map([
    [0, 5],
    [7, 40],
    [-1, 3],
  ]);
  const count = async (priority) => (priority === undefined ? 48 : (stored.get(priority) ?? 0));
  const depths = new Depths();
  let found;
  for (let round = 0; round < 8; round++) found = await depths.sample(count);
  assert.deepEqual(
    [...found.priorities].sort((a, b) => a[0] - b[0]).filter(([, amount]) => amount > 0),
    [
      [-1, 3],
      [0, 5],
      [7, 40],
    ],
  );
  assert.equal(found.other, 0);
});

const NASTY = `it's "quoted" $HOME \`id\` \\ 100% ünïcode 🦀\nsecond line\ttab`;

test("shell words mean what they say", () => {
  for (const text of [NASTY, "", "plain", "-d", "@file", "a'b'c"]) {
    const { stdout } = spawnSync("sh", ["-c", `printf %s ${shell(text)}`], { encoding: "utf8" });
    assert.equal(stdout, text);
  }
});

test("Python literals mean what they say", () => {
  for (const text of [NASTY, "", "\u0000\u007f\u00e9\ud83d\ude00"]) {
    const { stdout, error } = spawnSync(
      "python3",
      ["-c", `import sys; sys.stdout.buffer.write((${python(text)}).encode())`],
      { encoding: "utf8" },
    );
    assert.ifError(error);
    assert.equal(stdout, text);
  }
});

test("commands never hold a token, and say what was put", () => {
  const put = {
    origin: "http://127.0.0.1:8787",
    service: "demo",
    text: "it's",
    tags: { model: "a b" },
    priority: 2,
    contentType: "application/json",
  };
  assert.equal(
    curl(put),
    `curl -X POST 'http://127.0.0.1:8787/api/predict/demo?_priority_=2&model=a+b' \\
  -H "Authorization: $EDGEQUEUE_TOKEN" \\
  -H 'Content-Type: application/json' \\
  --data-raw 'it'\\''s'`,
  );
  assert.match(
    pythonSdk(put),
    /queue\.put\("it's", \{"_priority_": "2", "model": "a b", "Header:Content-Type": "application\/json"\}\)/,
  );
  assert.match(
    commandLine(put),
    new RegExp(
      String.raw`--data='it'\\''s' \\\n {2}--priority 2 \\\n {2}--tags 'model=a b' \\\n {2}--tags ` +
        String.raw`Header:Content-Type=application/json$`,
    ),
  );
  assert.match(curl({ ...put, text: undefined, fileName: "my photo.png" }), /--data-binary '@my photo\.png'$/);
});

test("the address keeps what is not as usual, and nothing that makes no sense", () => {
  const first = state.parse("");
  assert.equal(state.print(first), "#service=demo");
  const other = { ...first, service: "a.b-c", panel: "queue", group: "g & h", window: "300" };
  assert.deepEqual(state.parse(state.print(other)), other);
  assert.deepEqual(state.parse("#service=../x&panel=nowhere&window=0&token=secret&live=sink"), first);
});

test("bodies are what their bytes say", () => {
  assert.equal(kind(bytes('{"a": 1}')), "json");
  assert.equal(kind(bytes("12")), "text");
  assert.equal(kind(bytes("<svg onload=alert(1)>")), "text");
  assert.equal(kind(new Uint8Array([0, 1, 2])), "hex");
  assert.equal(picture(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0])), "image/png");
  assert.equal(asText(new Uint8Array([0xff, 0xfe])), null);
  assert.equal(preview(bytes("a\n\n b")), "a b");
  assert.equal(preview(bytes("é".repeat(5000))), "é".repeat(160));
  assert.match(hexDump(bytes("hello")), /^000000 {2}68 65 6c 6c 6f .*hello$/);
});

test("numbers as people read them", () => {
  assert.deepEqual([0, 0.04, 5.25, 12.34, 1234].map(format.rate), ["0", "0.04", "5.3", "12", "1,234"]);
  assert.deepEqual([0, 1023, 1536, 10_240, 5e9].map(format.bytes), ["0 B", "1023 B", "1.5 KB", "10 KB", "4.7 GB"]);
  assert.deepEqual([0, 0.4, 7, 220, 1240, 125_000].map(format.milliseconds), [
    "0 ms",
    "0.4 ms",
    "7 ms",
    "220 ms",
    "1.24 s",
    "2 min 5 s",
  ]);
  assert.deepEqual([999, 9999, 12_345, 1_234_567].map(format.short), ["999", "9,999", "12.3k", "1.23M"]);
  assert.deepEqual(axis(7.3), [0, 2.5, 5, 7.5]);
  assert.deepEqual(axis(7.3, true), [0, 5, 10]);
});
