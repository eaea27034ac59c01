// How the queue is, in one word and one sentence, from what was sampled of it. Pure: time is an argument.
import { counted, duration, milliseconds, number, rate } from "./format.js";

/**
 * @typedef {object} Sample what was seen of a service at one moment
 * @property {number} at Unix milliseconds
 * @property {number} waiting entries of the input queue that no consumer holds
 * @property {number|null} oldestMs age of the first entry; null when the service does not say
 * @property {number} inFlight entries out at consumers
 * @property {number} consumers connected now @property {number} places free and taken windows together
 * @property {number|null} consumerlessMs since when the last one is gone, as the service remembers it; null when it
 *   does not know
 * @property {number} in entries put per second @property {number} out entries that left per second
 * @property {number} dead entries in the rear queue @property {string} [lastCode] of the newest of them
 * @property {number|null} failed entries given up so far, dropped ones too; null when the service does not say
 * @property {number} fullness of the input queue, 0 to 1 @property {number} sinkFullness
 * @property {number} room entries that still fit
 * @property {boolean} ended
 * @property {number|null} waitP95Ms from put to result @property {boolean} waitIsRough few samples
 *
 * @typedef {"unknown"|"idle"|"healthy"|"filling"|"stuck"|"failing"|"ended"} HealthName
 * @typedef {{name: HealthName, reason: string, advice: string}} Health
 */

/** After this long without an answer nothing is known about the service. */
const SILENCE_MS = 8_000;
/** Entries may wait this long for a consumer that is just starting. */
const CONSUMER_GRACE_MS = 10_000;
/** Entries are out and none comes back: slow models need some time. */
const NOTHING_DONE_MS = 30_000;
/** A trend needs this much past, and this many entries. */
const TREND_MS = 15_000;
const TREND_ENTRIES = 10;
/** Dead letters are news for so long. */
const DEATH_MS = 60_000;
const NEARLY_FULL = 0.9;

/**
 * @param {number} now
 * @param {Sample[]} samples oldest first
 * @param {string} [trouble] why the last question had no answer
 * @returns {Health}
 */
export function health(now, samples, trouble) {
  const latest = samples.at(-1);
  if (!latest) return { name: "unknown", reason: trouble ?? "asking the service", advice: "" };
  const rules = [silent, ended, dying, full, deserted, standing, filling, resting];
  for (const rule of rules) {
    const found = rule(now, samples, latest, trouble);
    if (found) return found;
  }
  return { name: "healthy", reason: flow(latest), advice: "" };
}

/** @typedef {(now: number, samples: Sample[], latest: Sample, trouble?: string) => Health|null} Rule */

/** @type {Rule} */
const silent = (now, _, latest, trouble) =>
  now - latest.at < SILENCE_MS && !trouble
    ? null
    : {
        name: "unknown",
        reason: `no answer from the service for ${duration(now - latest.at)}`,
        advice: trouble ?? "The page keeps asking.",
      };

/** @type {Rule} */
const ended = (_now, _samples, latest) =>
  !latest.ended
    ? null
    : {
        name: "ended",
        reason:
          latest.waiting + latest.inFlight > 0
            ? `the stream was ended; ${counted(latest.waiting + latest.inFlight, "entry", "entries")} left to deliver`
            : "the stream was ended and everything delivered",
        advice: "It takes no more entries.",
      };

/** @type {Rule} */
const dying = (now, samples, latest) => {
  const before = firstSince(samples, now - DEATH_MS);
  const died = Math.max(0, latest.dead - before.dead, (latest.failed ?? 0) - (before.failed ?? latest.failed ?? 0));
  if (died === 0) return null;
  const span = Math.max(1000, latest.at - before.at);
  return {
    name: "failing",
    reason:
      `${counted(died, "request")} failed for good in the last ${duration(Math.min(DEATH_MS, span))}` +
      `${latest.lastCode ? ` (${latest.lastCode})` : ""}; ${counted(latest.dead, "dead letter")}`,
    advice:
      latest.dead > 0
        ? "See Dead letters for the reasons; replay them once the cause is fixed."
        : "The queue is set to drop what fails.",
  };
};

/** @type {Rule} */
const full = (_now, _samples, latest) => {
  if (latest.fullness >= 1)
    return {
      name: "stuck",
      reason:
        `the queue is full with ${counted(latest.waiting + latest.inFlight, "entry", "entries")}; ` +
        "puts are refused",
      advice: "Add consumers, or let it evict old entries.",
    };
  if (latest.sinkFullness >= 1)
    return {
      name: "stuck",
      reason: "the sink is full; results cannot be stored",
      advice: "Read results and remove them.",
    };
  return null;
};

/** @type {Rule} Entries wait and nobody is there to take them. */
const deserted = (now, samples, latest) => {
  if (latest.waiting === 0 || latest.consumers > 0 || latest.out > 0) return null;
  const seen = now - startOf(samples, (sample) => sample.waiting > 0 && sample.consumers === 0 && sample.out === 0);
  // The service remembers a consumer for some minutes; without one, nobody was there since before the first entry came.
  const since = latest.consumerlessMs ?? Math.max(seen, latest.oldestMs ?? 0);
  return {
    name: since >= CONSUMER_GRACE_MS ? "stuck" : "filling",
    reason: `${number(latest.waiting)} waiting, no consumer for ${duration(since)}`,
    advice: since >= CONSUMER_GRACE_MS ? "Start a consumer, or the worker on this page." : "",
  };
};

/** @type {Rule} Consumers hold entries, or could, and nothing gets done. */
const standing = (now, samples, latest) => {
  if (latest.inFlight + latest.waiting === 0 || latest.out > 0) return null;
  const since = now - startOf(samples, (sample) => sample.out === 0 && sample.inFlight + sample.waiting > 0);
  if (since < NOTHING_DONE_MS) return null;
  const taken =
    latest.places > 0
      ? `${number(latest.inFlight)} of ${counted(latest.places, "place")} taken`
      : `${number(latest.inFlight)} in flight`;
  return {
    name: "stuck",
    reason:
      `${number(latest.waiting)} waiting, nothing finished for ${duration(since)}; ` +
      `${taken} at ${counted(latest.consumers, "consumer")}`,
    advice: "See what the consumers are doing; disconnecting one hands its entries to the others.",
  };
};

/** @type {Rule} More comes in than goes out. */
const filling = (now, samples, latest) => {
  if (latest.sinkFullness >= NEARLY_FULL)
    return {
      name: "filling",
      reason: `the sink is ${Math.floor(latest.sinkFullness * 100)} % full`,
      advice: "Read results and remove them, or inference stops.",
    };
  if (latest.fullness >= NEARLY_FULL)
    return {
      name: "filling",
      reason: `the queue is ${Math.floor(latest.fullness * 100)} % full; ${flow(latest)}`,
      advice: "",
    };
  const before = firstSince(samples, now - 2 * TREND_MS);
  const span = latest.at - before.at;
  const growth = latest.waiting - before.waiting;
  if (span < TREND_MS || growth < TREND_ENTRIES || growth < before.waiting * 0.1) return null;
  const perSecond = growth / (span / 1000);
  const left = perSecond > 0 ? (latest.room / perSecond) * 1000 : Infinity;
  return {
    name: "filling",
    reason: `${number(latest.waiting)} waiting, ${rate(perSecond)} more each second`,
    advice:
      left < 7 * 86_400_000 ? `Full in about ${duration(left)}.` : "Entries arrive faster than they are consumed.",
  };
};

/** @type {Rule} */
const resting = (now, samples, latest) => {
  const moved = samples.some((sample) => sample.at >= now - TREND_MS && (sample.in > 0 || sample.out > 0));
  if (moved || latest.waiting + latest.inFlight > 0) return null;
  const old = latest.dead > 0 ? `; ${counted(latest.dead, "old dead letter")}` : "";
  return {
    name: "idle",
    reason:
      latest.consumers > 0
        ? `nothing waits, ${counted(latest.consumers, "consumer")} ready${old}`
        : `nothing waits, no consumer connected${old}`,
    advice: "",
  };
};

/** "5.2/s in, 5.1/s out, 3 waiting, 5 in flight at 2 consumers, results within 220 ms". @param {Sample} sample */
function flow(sample) {
  const parts = [`${rate(sample.in)}/s in, ${rate(sample.out)}/s out`, `${number(sample.waiting)} waiting`];
  if (sample.inFlight > 0 || sample.consumers > 0)
    parts.push(`${number(sample.inFlight)} in flight at ${counted(sample.consumers, "consumer")}`);
  if (sample.waitP95Ms !== null)
    parts.push(
      `${sample.waitIsRough ? "results within about" : "95 % of results within"} ${milliseconds(sample.waitP95Ms)}`,
    );
  return parts.join(", ");
}

/**
 * The oldest sample not before `from`; the newest when all are older.
 * @param {Sample[]} samples
 * @param {number} from
 * @returns {Sample}
 */
const firstSince = (samples, from) => samples.find(({ at }) => at >= from) ?? samples[samples.length - 1];

/**
 * When the run of samples that match, up to now, began.
 * @param {Sample[]} samples
 * @param {(sample: Sample) => boolean} match
 */
function startOf(samples, match) {
  let start = samples[samples.length - 1].at;
  for (let at = samples.length - 1; at >= 0 && match(samples[at]); at--) start = samples[at].at;
  return start;
}
