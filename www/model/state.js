// What the page shows, as the part of its address behind `#`, which no server ever sees. The token is never part of it.

const DEFAULTS = {
  service: "demo",
  panel: "put",
  live: "sink",
  mode: "tail",
  group: "page",
  window: "10",
  start: "oldest",
  side: "input",
};
/** @typedef {typeof DEFAULTS} State */

/** Names of services as the wire allows them. */
const SERVICE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const CHOICES = {
  panel: ["put", "live", "worker", "queue", "dead"],
  live: ["input", "sink", "input-dead", "sink-dead"],
  mode: ["tail", "consume"],
  start: ["oldest", "newest"],
  side: ["input", "sink"],
};

/** @param {string} text */
export const isService = (text) => SERVICE.test(text);

/** Reads an address; what makes no sense in it is passed over. @param {string} hash @returns {State} */
export function parse(hash) {
  const state = { ...DEFAULTS };
  for (const [key, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!Object.hasOwn(DEFAULTS, key)) continue;
    const choices = /** @type {Record<string, string[]>} */ (CHOICES)[key];
    if (choices ? !choices.includes(value) : value.length > 128) continue;
    if (key === "service" && !isService(value)) continue;
    if (key === "window" && !(Number.isInteger(Number(value)) && Number(value) >= 1 && Number(value) <= 1000)) continue;
    state[/** @type {keyof State} */ (key)] = value;
  }
  return state;
}

/** The address of a state: the service, and what is not as usual. @param {State} state */
export function print(state) {
  const query = new URLSearchParams({ service: state.service });
  for (const [key, value] of Object.entries(state)) {
    if (key !== "service" && value !== DEFAULTS[/** @type {keyof State} */ (key)]) query.set(key, value);
  }
  return `#${query}`;
}
