// Puts the page together: the address, the token, the clients, the clock that asks for the state, and the panels.
import init, { QueueClient } from "./pkg/edgequeue.js";
import { Board } from "./view/board.js";
import { byId, write } from "./view/dom.js";
import { Monitor } from "./monitor.js";
import { mountDead } from "./panels/dead.js";
import { mountLive } from "./panels/live.js";
import { mountPut } from "./panels/put.js";
import { mountQueue } from "./panels/queue.js";
import { mountWorker } from "./panels/worker.js";
import { Results } from "./results.js";
import { isService, parse, print } from "./model/state.js";

const TOKEN_KEY = "edgequeue-token";
const THEME_KEY = "edgequeue-theme";
const SERVICES_KEY = "edgequeue-services";
const SERVICES_MAX = 8;
const THEMES = ["auto", "light", "dark"];
const TABS = ["put", "live", "worker", "queue", "dead"];
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * @typedef {{input: QueueClient, sink: QueueClient, inputDead: QueueClient, sinkDead: QueueClient}} Clients
 *
 * @typedef {object} Context what a panel gets; it lives until another service or token is chosen
 * @property {import("./model/state.js").State} state read it anew each time: it changes
 * @property {(changes: Partial<import("./model/state.js").State>) => void} update the state and the address
 * @property {Clients} clients
 * @property {(who: {queue: string, group: string}) => QueueClient} client for consuming, with a name of its own
 * @property {Monitor} monitor @property {Results} results
 * @property {(panel: string) => void} select
 * @property {AbortSignal} signal ends everything the panel has begun
 */

let state = parse(location.hash);
/** @type {AbortController|null} */
let living = null;
let token = stored(sessionStorage, TOKEN_KEY) ?? "";
const wide = matchMedia("(min-width: 1081px)");

/** Storage may be forbidden; then the page forgets. @param {Storage} storage @param {string} key */
function stored(storage, key) {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {Storage} storage @param {string} key @param {string|null} value */
function store(storage, key, value) {
  try {
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // It is kept for as long as the page is open.
  }
}

/** @param {Partial<import("./model/state.js").State>} changes */
function update(changes) {
  Object.assign(state, changes);
  history.replaceState(null, "", print(state));
}

/** Opens the service of the address with the token there is. */
async function open() {
  living?.abort();
  living = new AbortController();
  const { signal } = living;
  state = { ...state };
  document.title = `${state.service} · edgequeue`;
  byId("service").value = state.service;
  const url = new URL(`/api/predict/${state.service}`, location.href);
  const input = new QueueClient({ url, token });
  // One question first: a wrong token is one refusal and not one of each part of the page.
  const refusal = await input.attributes({ signal }).then(
    () => null,
    (error) => error,
  );
  if (signal.aborted) return;
  if (refusal?.code === "unauthorized") return refused(refusal.message);
  const clients = { input, sink: input.sink(), inputDead: input.rear(), sinkDead: input.sink().rear() };
  const client = (/** @type {{queue: string, group: string}} */ { queue, group }) => {
    const own = new QueueClient({ url, token, group, user: `page-${Math.random().toString(36).slice(2, 8)}` });
    const one = queue.startsWith("sink") ? own.sink() : own;
    return queue.endsWith("dead") ? one.rear() : one;
  };
  const monitor = new Monitor(clients, signal);
  monitor.addEventListener(
    "trouble",
    () => {
      if (/** @type {any} */ (monitor.trouble)?.code === "unauthorized")
        refused(/** @type {Error} */ (monitor.trouble).message);
    },
    { signal },
  );
  const results = new Results(clients, signal);
  results.addEventListener("frame", (/** @type {any} */ { detail }) => monitor.waits.add(Date.now(), detail.tags), {
    signal,
  });
  monitor.addEventListener("moment", () => remember(state.service), { signal, once: true });
  /** @type {Context} */
  const context = { state, update, clients, client, monitor, results, select: (panel) => select(panel, true), signal };
  mountPut(context);
  mountLive(context);
  mountQueue(context);
  mountDead(context);
  const worker = mountWorker(context);
  new Board(context, worker);
  byId("welcome").hidden = true;
  byId("token-button").hidden = byId("dashboard").hidden = false;
  select(state.panel);
}

/** Asks for a token; `trouble` says why. @param {string} trouble */
function refused(trouble) {
  living?.abort();
  byId("token-button").hidden = byId("dashboard").hidden = true;
  byId("welcome").hidden = false;
  byId("token-trouble").hidden = trouble === "";
  write(byId("token-trouble"), trouble);
  byId("token-local").hidden = !LOOPBACK.test(location.hostname);
  byId("service").value = state.service;
  byId("token").value = "";
  byId("token").focus();
}

/** @param {string} given */
function useToken(given) {
  token = given.trim().replace(/^Bearer\s+/i, "");
  store(sessionStorage, TOKEN_KEY, token);
  open();
}

/** Names of services that were open here, for the next time. @param {string} name */
function remember(name) {
  const known = (stored(localStorage, SERVICES_KEY) ?? "").split(" ").filter((one) => isService(one) && one !== name);
  const names = [name, ...known].slice(0, SERVICES_MAX);
  store(localStorage, SERVICES_KEY, names.join(" "));
  byId("services").replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value })));
}

/**
 * Shows a panel; on wide screens the live one is always there beside the others.
 * @param {string} panel
 * @param {boolean} [byPerson]
 */
function select(panel, byPerson = false) {
  if (byPerson) update({ panel });
  const shown = panel === "live" && wide.matches ? "put" : panel;
  byId("work").dataset.panel = shown;
  for (const name of TABS) {
    const isShown = name === shown;
    byId(`tab-${name}`).setAttribute("aria-selected", String(isShown));
    byId(`tab-${name}`).tabIndex = isShown ? 0 : -1;
    if (name !== "live") byId(`panel-${name}`).hidden = !isShown;
  }
  byId("work").dispatchEvent(new Event("panel"));
}

function listen() {
  byId("token-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    useToken(byId("token").value);
  });
  byId("token-default").addEventListener("click", () => useToken("dev-token"));
  byId("token-button").addEventListener("click", () => {
    store(sessionStorage, TOKEN_KEY, null);
    refused("");
  });
  const service = byId("service");
  byId("service-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    service.blur();
  });
  service.addEventListener("change", () => {
    const name = service.value.trim();
    service.setCustomValidity(
      isService(name) ? "" : "A name has letters, digits, _, - and ., and begins with a letter or digit.",
    );
    if (!service.reportValidity() || name === state.service) return;
    location.hash = print({ ...state, service: name });
  });
  service.addEventListener("input", () => service.setCustomValidity(""));
  addEventListener("hashchange", () => {
    const next = parse(location.hash);
    const isOther = Object.entries(next).some(
      ([key, value]) => key !== "panel" && state[/** @type {"panel"} */ (key)] !== value,
    );
    Object.assign(state, { panel: next.panel });
    if (!isOther) return select(next.panel);
    state = next;
    if (token) open();
  });
  for (const name of TABS) byId(`tab-${name}`).addEventListener("click", () => select(name, true));
  byId("tab-put").parentElement.addEventListener("keydown", moveTab);
  wide.addEventListener("change", () => select(state.panel));
  // The address behind # is the state: the link may not write into it.
  document.querySelector(".skip")?.addEventListener("click", (event) => {
    event.preventDefault();
    byId("work").focus();
  });
  byId("theme-button").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % THEMES.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    store(localStorage, THEME_KEY, next);
    nameTheme();
  });
  nameTheme();
}

function nameTheme() {
  const theme = document.documentElement.dataset.theme ?? "auto";
  write(byId("theme-name"), theme[0].toUpperCase() + theme.slice(1));
  byId("theme-button").setAttribute("aria-label", `Theme: ${theme}`);
}

/** Arrows move between the tabs, as in every list of tabs. @param {KeyboardEvent} event */
function moveTab(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = TABS.filter((name) => byId(`tab-${name}`).offsetParent !== null);
  const next =
    tabs[(tabs.findIndex((name) => byId(`tab-${name}`) === document.activeElement) + step + tabs.length) % tabs.length];
  select(next, true);
  byId(`tab-${next}`).focus();
}

listen();
try {
  await init();
  if (token) await open();
  else refused("");
} catch (error) {
  refused(
    `The page could not load its client (${/** @type {Error} */ (error).message}). ` +
      "Reload it; `npm run build` builds the client again.",
  );
}
