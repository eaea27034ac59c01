// Every panel's main path in a real browser against the real service.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync, mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { at, sleep } from "../../tools/lib.mjs";
import { eventually } from "../worker/client.mjs";
import { TOKEN } from "../worker/service.mjs";
import { stage } from "./page.mjs";

let scene;
before(async () => {
  scene = await stage();
});
after(() => scene.stop());

const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
const REFUSED = [/status of 401/];
const put = (page) => page.getByRole("button", { name: "Put", exact: true }).click();

test("a first visit asks for the token, says where it is, and refuses a wrong one", async () => {
  const one = await scene.open({ token: "", errors: REFUSED });
  assert.match(await one.text("#welcome"), /npm start keeps it in the file \.dev\.vars/);
  await one.page.fill("#token", "wrong");
  await one.page.click("#token-form button");
  await one.says("#token-trouble", /token/i);
  await one.page.fill("#token", `Bearer ${TOKEN}`);
  await one.page.click("#token-form button");
  await one.says("#health-name", /Idle/);
  assert.ok(!one.page.url().includes(TOKEN), "the token is not in the address");
  // A reload keeps it; another tab does not have it.
  await one.page.reload();
  await one.says("#health-name", /Idle/);
  assert.equal(await one.page.evaluate((token) => JSON.stringify(localStorage).includes(token), TOKEN), false);
  await one.page.click("#token-button");
  await one.page.waitForSelector("#welcome:not([hidden])");
  assert.equal(await one.page.evaluate(() => sessionStorage.getItem("edgequeue-token")), null);
  await one.close();
});

test("the demo shows the whole loop with one button", async () => {
  const one = await scene.open();
  await one.page.click("#run-demo");
  await one.page.waitForSelector("#panel-live .entry");
  await one.says("#health-name", /Healthy/);
  await one.says("#worker-status", /running · \d+ results/);
  await one.says("#chart-waits .legend", /p50 ~?\d/);
  await one.says("#chart-rates .legend", /results [1-9]/);
  // Results carry the request ids of their requests, and none is lost.
  const frames = await one.sink.get({ _length_: 100, _auto_delete_: "false" });
  assert.ok(frames.every(({ tags }) => tags.requestId && tags["ts@source"] && tags["ts@sink"]));
  assert.match(String(frames[0].data), /"label":/);
  await one.page.click("#traffic-toggle");
  await one.says("#traffic-toggle", /^Send requests$/);
  await one.holds(one.input, "stream.length", /^0$/);
  await one.says("#input-figure", /^0$/);
  await one.says("#flight-figure", /^0 \/ 4$/);
  await one.page.click("#worker-toggle");
  await one.says("#worker-status", /stopped/);
  // A put that was under way when the traffic stopped may have come after the worker, or between its result and its
  // commit. The index of one more put says how many there were.
  const puts = await one.input.put("the last one");
  await eventually("every request either waits or has its result", async () => {
    const left = (await one.input.length()) + (await one.sink.length());
    return left === puts || { left, puts };
  });
  await one.close();
});

test("put: a text is stored, and its result is shown with the time it took", async () => {
  const one = await scene.open();
  await one.page.fill("#put-text", "héllo <b>bold</b>");
  await one.page.getByRole("button", { name: "Add a tag" }).click();
  await one.page.fill('.tag-row input[placeholder="name"]', "model");
  await one.page.fill('.tag-row input[placeholder="value"]', "a & b");
  await one.page.fill("#put-priority", "3");
  await put(one.page);
  await one.says(".receipt-head strong", /^#1$/);
  const [frame] = await one.input.get({ _auto_delete_: "false" });
  assert.equal(String(frame.data), "héllo <b>bold</b>");
  assert.equal(frame.tags.model, "a & b");
  assert.equal(await one.page.locator(".receipt .link").getAttribute("title"), frame.tags.requestId);
  assert.equal((await one.input.ask("GET", { _count_: "true", _priority_: "3" })).text, "1");
  await one.says("#chart-depth .legend", /priority 3 1/);
  await one.sink.put("<img src=x onerror=alert(1)>", {
    requestId: frame.tags.requestId,
    "ts@source": frame.tags["ts@source"],
  });
  await one.says(".receipt .state", /^result after [\d.]+ m?s$/);
  await one.says(".receipt .entry .body", /^<img src=x onerror=alert\(1\)>$/);
  assert.equal(await one.page.locator(".receipt img, #panel-live img").count(), 0, "a body is never markup");
  await one.close();
});

test("put: a failed result says so", async () => {
  const one = await scene.open();
  await one.page.fill("#put-text", "x");
  await put(one.page);
  await one.says(".receipt-head strong", /^#1$/);
  const [frame] = await one.input.get({ _auto_delete_: "false" });
  await one.sink.put("out of memory", { requestId: frame.tags.requestId, lastCode: "500" });
  await one.says(".receipt .state", /^failed \(500\) after/);
  await one.close();
});

test("put: JSON is checked before it is sent, and a dropped file keeps its type", async () => {
  const one = await scene.open();
  await one.page.fill("#put-text", "{broken");
  await one.choose("The body is", "JSON");
  await put(one.page);
  await one.says("#panel-put .trouble", /This is not JSON/);
  assert.equal((await one.input.attributes())["stream.length"], "0");
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), "edgequeue-page-")), "dot.png");
  writeFileSync(file, PNG);
  await one.page.setInputFiles("#put-file", file);
  await one.says("#panel-put .chip", /dot\.png · \d+ B/);
  await put(one.page);
  await one.says(".receipt-head strong", /^#1$/);
  const [frame] = await one.input.get({ _auto_delete_: "false" });
  assert.deepEqual(frame.data, PNG);
  assert.equal(frame.tags["Header:Content-Type"], "image/png");
  await one.close();
});

test("put: an oversize body is refused with a sentence, and nothing is stored", async () => {
  const one = await scene.open({ errors: [/status of 413/] });
  await one.page.evaluate(() => {
    /** @type {HTMLTextAreaElement} */ (document.querySelector("#put-text")).value = "x".repeat(1024 * 1024 + 1);
  });
  await one.page.locator("#put-text").dispatchEvent("input");
  await one.says("#panel-put .note.wrong", /more than the 1\.0 MB/);
  await put(one.page);
  await one.page.waitForSelector("#panel-put .trouble:not([hidden])");
  assert.match(await one.text("#panel-put .trouble"), /1048576|1,048,576|bytes|longer/);
  assert.equal((await one.input.attributes())["stream.length"], "0");
  await one.close();
});

test("put: the copied commands for curl and the command line put the same entry", async () => {
  const one = await scene.open();
  const body = `it's "nasty" $HOME \`id\`\nsecond line`;
  await one.page.fill("#put-text", body);
  await one.page.fill("#put-priority", "2");
  await one.page.getByRole("button", { name: "Add a tag" }).click();
  await one.page.fill('.tag-row input[placeholder="name"]', "kind");
  await one.page.fill('.tag-row input[placeholder="value"]', "it's");
  const copied = async (name) => {
    await one.page.getByRole("button", { name: `Copy as ${name}` }).click();
    await one.says("#toast", new RegExp(`${name} copied`));
    const command = await one.page.evaluate(() => navigator.clipboard.readText());
    assert.ok(!command.includes(TOKEN), `the token is in the command for ${name}`);
    return command;
  };
  const env = {
    ...process.env,
    EDGEQUEUE_TOKEN: TOKEN,
    PATH: `${at("target", "debug")}${path.delimiter}${process.env.PATH}`,
  };
  for (const [index, name, answer] of /** @type {any[][]} */ ([
    [1, "curl", /^1$/],
    [2, "CLI", /\b2\n$/],
  ])) {
    const ran = spawnSync("sh", ["-c", await copied(name)], { encoding: "utf8", env });
    assert.match(ran.stdout, answer, ran.stderr);
    const [frame] = await one.input.get({ _index_: index, _auto_delete_: "false" });
    assert.deepEqual([frame.index, String(frame.data), frame.tags.kind], [index, body, "it's"], name);
  }
  assert.equal((await one.input.ask("GET", { _count_: "true", _priority_: "2" })).text, "2");
  assert.match(await copied("Python SDK"), /queue\.put\("it's \\"nasty\\" \$HOME `id`\\nsecond line"/);
  await one.close();
});

test("put: a request that waits can be taken back", async () => {
  const one = await scene.open({ errors: [/status of 404/] });
  await one.page.fill("#put-text", "never mind");
  await put(one.page);
  await one.says(".receipt-head strong", /^#1$/);
  await one.says(".receipt .state", /next in the queue|queued/);
  await one.page.getByRole("button", { name: "Cancel" }).click();
  await one.says(".receipt .state", /cancelled/);
  assert.equal((await one.input.attributes())["stream.length"], "0");
  await one.close();
});

test("live: reading along shows bodies as what they are and takes nothing", async () => {
  const one = await scene.open();
  await one.sink.put(PNG, { requestId: "r1", model: "m" });
  await one.sink.put('{"a":[1,2]}');
  await one.sink.put(Buffer.from([0, 255, 65]));
  await one.page.waitForSelector("#panel-live .entry >> nth=2");
  const rows = one.page.locator("#panel-live .entry");
  assert.match(await rows.nth(0).innerText(), /#3\s+00 ff 41\s+3 B · (now|\d+ s)/);
  await rows.nth(2).locator(".fold").click();
  await one.page.waitForFunction(
    () => /** @type {HTMLImageElement} */ (document.querySelector("#panel-live .view img"))?.naturalWidth === 1,
  );
  assert.match(await rows.nth(2).innerText(), /requestId\s+r1/);
  await rows.nth(1).locator(".fold").click();
  assert.match(await rows.nth(1).locator(".view").innerText(), /"a": \[\n/);
  await one.choose("Show the body as", "Hex").catch(() => rows.nth(1).getByText("Hex", { exact: true }).click());
  await rows.nth(1).locator(".view.hex").waitFor();
  // While somebody reads, the list stands still and counts.
  await one.sink.put("later");
  await one.page.getByRole("button", { name: "1 newer entry" }).click();
  await one.says("#panel-live .entry .body", /^later$/);
  assert.equal((await one.sink.attributes())["stream.length"], "4");
  assert.equal((await one.sink.attributes())["consumers.stats.total"], "0");
  await one.close();
});

test("live: consuming as a group with a window, commit and reject", async () => {
  const one = await scene.open({ hash: "&live=input&mode=consume&group=readers&window=2" });
  for (const text of ["a", "b", "c"]) await one.input.put(text);
  await one.page.getByRole("button", { name: "Start consuming" }).click();
  await one.page.waitForSelector("#panel-live .entry >> nth=1");
  await sleep(300);
  assert.equal(await one.page.locator("#panel-live .entry").count(), 2, "no more than the window");
  await one.page.getByRole("button", { name: "Commit entry 1" }).click();
  await one.page.getByRole("button", { name: "Commit entry 3" }).click();
  await one.page.getByRole("button", { name: "Reject entry 2" }).click();
  await one.says("#panel-live .live-foot", /2 committed · 1 rejected/);
  // It comes back, since nobody else is there, with the reason.
  await one.page.getByRole("button", { name: "Commit entry 2" }).first().waitFor();
  await one.says("#health-reason", /1 in flight/);
  const attributes = await one.input.attributes();
  assert.match(attributes["consumers.list.[0]"], /^Id: readers\.page-.*Pending: 1, Status: Running.*Window: 2/);
  await one.page.getByRole("button", { name: "Stop", exact: true }).click();
  await one.says("#panel-live .live-foot", /stopped/);
  await one.says("#panel-live .entry .doing", /handed back/);
  await one.holds(one.input, "groups.list.[0]", /Pending: 0/);
  await one.close();
});

test("queue: consumers, groups, finding by index, request id and tag, deleting, truncating", async () => {
  const one = await scene.open({ hash: "&panel=queue" });
  for (let n = 1; n <= 25; n++)
    await one.input.put(`entry ${n}`, { requestId: `id-${n}`, parity: n % 2 ? "odd" : "even" });
  await one.says("#panel-queue .facts", /Entries25/);
  const found = one.page.locator("#panel-queue .entries");
  await one.page.fill("#find-what", "id-7");
  await one.page.keyboard.press("Enter");
  await found.getByText("entry 7", { exact: true }).waitFor();
  await one.page.selectOption("#find-kind", "index");
  await one.page.fill("#find-what", "12");
  await one.page.getByRole("button", { name: "Find" }).click();
  await found.getByText("entry 12", { exact: true }).waitFor();
  await one.says("#panel-queue", /11 entries will be delivered before it/);
  await one.page.fill("#find-what", "4711");
  await one.page.getByRole("button", { name: "Find" }).click();
  await one.says("#panel-queue", /There is no entry #4711/);
  await one.page.fill("#find-what", "twelve");
  await one.page.getByRole("button", { name: "Find" }).click();
  await one.says("#panel-queue", /"twelve" is not an index/);
  await one.page.selectOption("#find-kind", "tag");
  await one.page.fill("#find-what", "parity=even");
  await one.page.getByRole("button", { name: "Find" }).click();
  await found.getByText("entry 24", { exact: true }).waitFor();
  assert.equal(await found.locator(".entry").count(), 12);
  await one.page.getByRole("button", { name: "Show the oldest" }).click();
  await found.getByText("entry 20", { exact: true }).waitFor();
  await one.page.getByRole("button", { name: "Next" }).click();
  await found.getByText("entry 25", { exact: true }).waitFor();
  await one.page.getByRole("button", { name: "Delete entry 25" }).click();
  await one.says("#panel-queue .facts", /Entries24/);
  await one.page.getByText("Remove entries, end the stream").click();
  await one.page.fill("#truncate-below", "21");
  await one.page.getByRole("button", { name: "Truncate" }).click();
  await one.page.getByRole("button", { name: "Remove them" }).click();
  await one.says("#panel-queue .facts", /Entries4/);
  await one.page.getByRole("button", { name: "End the stream" }).click();
  await one.page.getByRole("button", { name: "Keep" }).click();
  assert.equal((await one.input.attributes())["meta.state"], "Normal");
  await one.page.getByRole("button", { name: "End the stream" }).click();
  await one.page.getByRole("button", { name: "End it" }).click();
  await one.says("#health-name", /Ended/);
  await one.close();
});

test("dead letters: what fails for good is there with its reason, is replayed, is deleted", async () => {
  const one = await scene.open({ hash: "&panel=worker" });
  await one.input.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ max_delivery: 1 }) });
  await one.page.fill(
    "#worker-code",
    "export default ({ text }) => { if (text !== 'good') throw new RangeError(`cannot do ${text}`); return 'fine'; }",
  );
  await one.page.click("#worker-toggle");
  for (const text of ["bad", "worse", "good"]) await one.input.put(text, { job: text });
  await one.says("#health-name", /Failing/);
  await one.says("#health-reason", /2 requests failed for good .*\(Exception\)/);
  await one.page.click("#worker-toggle");
  await one.page.click("#tab-dead");
  await one.says("#panel-dead", /RangeError: cannot do bad/);
  await one.page.locator("#panel-dead .entry").filter({ hasText: "cannot do bad" }).getByRole("checkbox").check();
  await one.page.getByRole("button", { name: "Replay 1" }).click();
  await one.says("#panel-dead", /1 dead letter\./);
  const [back] = await one.input.get({ _auto_delete_: "false" });
  assert.equal(String(back.data), "bad");
  assert.equal(back.tags.job, "bad");
  assert.equal("lastCode" in back.tags, false);
  await one.page.getByRole("checkbox", { name: "All shown" }).check();
  await one.page.getByRole("button", { name: "Delete 1" }).click();
  await one.page.locator("#confirm").getByRole("button", { name: "Delete" }).click();
  await one.page.getByText("No dead letters.").waitFor();
  assert.equal((await one.dead.attributes())["stream.length"], "0");
  await one.close();
});

test("input and sink: nothing chosen in one is done to the other, and all panels show the same one", async () => {
  const one = await scene.open({ hash: "&panel=dead" });
  await one.dead.put("of the input", { lastCode: "A" });
  await one.sink.put("of the sink", { lastCode: "B" }, { "X-EAS-QueueService-Access-Rear": "true" });
  await one.input.put("request");
  const isChosen = (group, label) =>
    one.page.getByRole("radiogroup", { name: group, exact: true }).getByLabel(label).isChecked();
  await one.says("#panel-dead .entries", /of the input/);
  await one.page.getByRole("checkbox", { name: "Choose dead letter 1" }).check();
  await one.choose("Dead letters of", "Sink");
  await one.says("#panel-dead .entries", /of the sink/);
  assert.doesNotMatch(await one.text("#panel-dead"), /of the input/);
  assert.equal(await one.page.getByRole("button", { name: "Delete", exact: true }).isDisabled(), true);
  await one.page.click("#tab-queue");
  assert.equal(await isChosen("Queue", "Sink"), true);
  await one.choose("Queue", "Input");
  await one.page.getByRole("button", { name: "Show the oldest" }).click();
  await one.says("#panel-queue .entries", /request/);
  await one.page.click("#tab-dead");
  await one.says("#panel-dead .entries", /of the input/);
  assert.equal(await isChosen("Dead letters of", "Input"), true);
  await one.choose("Dead letters of", "Sink");
  await one.page.click("#tab-queue");
  assert.equal(await one.page.locator("#panel-queue .entry").count(), 0, "entries of the other queue are gone");
  await one.close();
});

test("worker: the function has no network, no storage and no page; an endless loop ends at its timeout", async () => {
  // A connection that a policy forbids is reported on the console: that is what is wanted.
  const one = await scene.open({ hash: "&panel=worker", errors: [/Content Security Policy/, /Refused to connect/] });
  await one.input.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ max_delivery: 1 }) });
  await one.page.fill(
    "#worker-code",
    `export default async ({ text }) => {
    if (text === "loop") for (;;);
    const opened = (ok, no) => Object.assign(new WebSocket("ws://127.0.0.1:9/"), { onerror: no, onopen: ok });
    const tries = {
      same: () => fetch("/api/predict/demo"),
      other: () => fetch("https://example.com/"),
      socket: () => new Promise(opened),
    };
    const reached = [];
    for (const [name, go] of Object.entries(tries)) await go().then(() => reached.push(name), () => {});
    return { reached, page: typeof document, storage: typeof sessionStorage };
  }`,
  );
  // Long enough for the other entry on a busy machine.
  await one.page.fill("#worker-timeout", "5");
  await one.page.click("#worker-toggle");
  await one.input.put("loop");
  await one.input.put("reach");
  await one.page.waitForSelector("#panel-live .entry");
  const [frame] = await one.sink.get({ _auto_delete_: "false" });
  assert.deepEqual(JSON.parse(frame.data), { reached: [], page: "undefined", storage: "undefined" });
  await one.says("#worker-status", /1 failed · entry 1: no result within 5 s/);
  const [dead] = await one.dead.get({ _auto_delete_: "false", _timeout_: "5s" });
  assert.deepEqual([dead.tags.lastCode, dead.tags.lastReason], ["Timeout", "no result within 5 s"]);
  await one.page.click("#worker-toggle");
  await one.close();
});

test("worker: code that does not load says why and takes nothing", async () => {
  const one = await scene.open({ hash: "&panel=worker" });
  await one.input.put("waits");
  await one.page.fill("#worker-code", "export default function (");
  await one.page.click("#worker-toggle");
  await one.says("#panel-worker .trouble", /SyntaxError/);
  await one.page.fill("#worker-code", "export const infer = () => 1;");
  await one.page.click("#worker-toggle");
  await one.says("#panel-worker .trouble", /export default function infer/);
  assert.equal((await one.input.attributes())["stream.length"], "1");
  await one.close();
});

test("worker: a result that the sink does not take becomes a small one that says so", async () => {
  const one = await scene.open({ hash: "&panel=worker", errors: [/status of 413/] });
  await one.sink.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ max_payload_size_kb: 1 }) });
  await one.page.fill("#worker-code", "export default ({ text }) => text === 'nothing' ? undefined : 'x'.repeat(5000)");
  await one.page.click("#worker-toggle");
  await one.input.put("nothing");
  await one.input.put("much", { requestId: "big" });
  const [frame] = await one.sink.get({ requestId: "big", _timeout_: "10s", _auto_delete_: "false" });
  assert.deepEqual(
    [frame.tags.lastCode, String(frame.data)],
    ["413", "the result has 5000 bytes, more than the sink takes"],
  );
  await one.says("#worker-status", /1 result · 1 without a result/);
  await one.holds(one.input, "stream.length", /^0$/);
  await one.page.click("#worker-toggle");
  await one.close();
});

test("the address holds the state: a copied one opens the same view, and going back works", async () => {
  const one = await scene.open();
  await one.page.click("#tab-queue");
  await one.choose("Queue", "Sink");
  await one.page.selectOption("#live-queue", "input");
  const url = one.page.url();
  assert.match(url, new RegExp(`#service=${one.queue}&panel=queue&live=input&side=sink$`));
  await one.page.goto("about:blank");
  await one.page.goto(url);
  await one.page.waitForSelector("#panel-queue:not([hidden])");
  assert.equal(await one.page.getByRole("radio", { name: "Sink" }).first().isChecked(), true);
  await one.page.fill("#service", "another");
  await one.page.keyboard.press("Enter");
  await one.page.waitForFunction(() => document.title.startsWith("another"));
  await one.page.goBack();
  await one.page.waitForFunction((queue) => document.title.startsWith(queue), one.queue);
  assert.equal(await one.page.locator("#live-queue").inputValue(), "input");
  assert.equal(await one.page.getByRole("tab", { name: "Queue" }).getAttribute("aria-selected"), "true");
  await one.close();
});

test("a page that is left hands back what its worker and its reader hold, and no failure is counted", async () => {
  const one = await scene.open({ hash: "&panel=worker&live=input&mode=consume&group=readers" });
  // A connection that is lost counts as one failure.
  await one.input.ask("PUT", { _settings_: "true" }, { body: JSON.stringify({ max_delivery: 1 }) });
  await one.page.fill("#worker-code", "export default () => new Promise(() => {})");
  await one.page.click("#worker-toggle");
  await one.page.getByRole("button", { name: "Start consuming" }).click();
  await one.says("#flight-figure", /^0 \/ 14$/);
  await one.input.put("held");
  for (const group of [0, 1]) await one.holds(one.input, `groups.list.[${group}]`, /Pending: 1/);
  await one.page.goto("about:blank");
  // First the page hands back over its sockets, then it closes them.
  for (const consumer of [0, 1])
    await one.holds(one.input, `consumers.list.[${consumer}]`, /Pending: 0, Status: (Leaving|Complete)/);
  for (const group of [0, 1]) await one.holds(one.input, `groups.list.[${group}]`, /Pending: 0/);
  assert.deepEqual([await one.input.length(), await one.dead.length()], [1, 0]);
  await one.close();
});
