// Attributes of a queue, which are a map of strings, as values. Pure.

/**
 * @typedef {object} Consumer
 * @property {string} group @property {string} user @property {number} pending @property {string} status
 * @property {number} idleMs
 * @property {number} window
 * @property {number} slots
 * @property {boolean} autoCommit
 * @property {string} tags
 *
 * @typedef {object} Group
 * @property {string} name @property {number} pending @property {number} delivered @property {number} consumers
 *
 * @typedef {object} QueueState
 * @property {string} name @property {boolean} ended
 * @property {number} length entries stored
 * @property {number} bytes
 * @property {number} first
 * @property {number} last 0 when empty
 * @property {number} waitingGets @property {number} payloadBytesMax @property {number} lengthMax
 * @property {Consumer[]} consumers @property {Group[]} groups
 * @property {number} waiting entries out at no consumer @property {number} inFlight entries out at consumers
 * @property {number|null} oldestMs age of the first entry
 * @property {number|null} failed entries given up; both null when the service does not say
 * @property {number} delivered entries committed, of the group that committed most
 * @property {Record<string, string>} settings
 */

/** At most this many bytes fit into a queue and its rear queue; see docs/protocol.md, Limits. */
const QUEUE_BYTES_MAX = 8_000_000_000;

/** @param {Record<string, string>} map @returns {QueueState} */
export function parse(map) {
  const amount = (/** @type {string} */ key) => Number(map[key] ?? 0);
  const groups = list(map, "groups").map(group);
  const settings = Object.fromEntries(
    Object.entries(map)
      .filter(([key]) => key.startsWith("queue."))
      .map(([key, value]) => [key.slice(6), value]),
  );
  const known = (/** @type {string} */ key) => (map[key] === undefined ? null : Number(map[key]));
  // Services that do not say how many are out: those of the group that holds most.
  const inFlight = known("stream.inFlight") ?? Math.max(0, ...groups.map(({ pending }) => pending));
  return {
    name: map["meta.name"] ?? "",
    ended: map["meta.state"] === "Ended",
    length: amount("stream.length"),
    bytes: amount("stream.bytes"),
    first: amount("stream.firstEntry"),
    last: amount("stream.lastEntry"),
    waitingGets: amount("stream.waitingGets"),
    payloadBytesMax: amount("stream.maxPayloadBytes"),
    lengthMax: Number(settings.max_length ?? map["stream.approxMaxLength"] ?? 0),
    consumers: list(map, "consumers").map(consumer),
    groups,
    waiting: known("stream.waiting") ?? Math.max(0, amount("stream.length") - inFlight),
    inFlight,
    oldestMs: known("stream.oldestMs"),
    failed: known("stream.failed"),
    delivered: Math.max(0, ...groups.map(({ delivered }) => delivered)),
    settings,
  };
}

/** How full a queue is, from 0 to 1, by entries or by bytes, whichever is closer. @param {QueueState} queue */
export const fullness = (queue) =>
  Math.min(1, Math.max(queue.lengthMax ? queue.length / queue.lengthMax : 0, queue.bytes / QUEUE_BYTES_MAX));

/** The lines of a list in order. @param {Record<string, string>} map @param {string} name */
function list(map, name) {
  const lines = [];
  for (let position = 0; map[`${name}.list.[${position}]`] !== undefined; position++)
    lines.push(map[`${name}.list.[${position}]`]);
  return lines;
}

/** `Id: a.b, Index: 0` as a map. Tags come last and may hold anything. @param {string} line */
function fields(line) {
  const tagsAt = line.indexOf(", Tags: tags[");
  const tags = tagsAt < 0 ? "" : line.slice(tagsAt + ", Tags: tags[".length, -1);
  // A name may hold a comma; no field's name follows it then.
  const pairs = (tagsAt < 0 ? line : line.slice(0, tagsAt)).split(
    /, (?=(?:Index|Pending|Status|Idle|Window|Slots|AutoCommit|Delivered|Consumers): )/,
  );
  return {
    ...Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf(": ")), pair.slice(pair.indexOf(": ") + 2)])),
    tags,
  };
}

/** @param {string} line @returns {Consumer} */
function consumer(line) {
  const field = /** @type {Record<string, string>} */ (fields(line));
  const id = field.Id ?? "";
  // Groups and users may have dots themselves; the first one is taken, as the vendor's own tools do.
  const dot = id.indexOf(".");
  return {
    group: id.slice(0, dot),
    user: id.slice(dot + 1),
    pending: Number(field.Pending ?? 0),
    status: field.Status ?? "",
    idleMs: duration(field.Idle ?? "0s"),
    window: Number(field.Window ?? 0),
    slots: Number(field.Slots ?? 0),
    autoCommit: field.AutoCommit === "true",
    tags: field.tags,
  };
}

/** @param {string} line @returns {Group} */
function group(line) {
  const field = /** @type {Record<string, string>} */ (fields(line));
  return {
    name: field.Id ?? "",
    pending: Number(field.Pending ?? 0),
    delivered: Number(field.Delivered ?? 0),
    consumers: Number(field.Consumers ?? 0),
  };
}

const UNITS_MS = /** @type {Record<string, number>} */ ({
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  ns: 0.000001,
});

/** A Go duration in milliseconds: `1m2.5s`. @param {string} text */
export function duration(text) {
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|us|µs|ns|h|m|s)/g))
    total += Number(amount) * UNITS_MS[unit];
  return total;
}
