// The few helpers with which panels build elements. Text always goes in as text: nothing here takes HTML.

/** The element with this id. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element: attributes, listeners as `onclick`, `class`, `dataset`, then children; `null` and `false` are
 * passed over.
 * @param {string} name
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|number|null|false|undefined)} children
 * @returns {any}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key === "value" || key === "checked" || key === "hidden") /** @type {any} */ (element)[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(
    ...children
      .filter((child) => child !== null && child !== false && child !== undefined)
      .map((child) => (child instanceof Node ? child : String(child))),
  );
  return element;
}

/**
 * Writes a text only when it differs: screen readers and layout notice every write.
 * @param {Node} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Puts a drawing of the page's sprite into an element. @param {string} name */
export function icon(name) {
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(NAMESPACE, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(NAMESPACE, "use");
  use.setAttribute("href", `#icon-${name}`);
  drawing.append(use);
  return drawing;
}

/**
 * A button with a text.
 * @param {string} text
 * @param {(event: MouseEvent) => unknown} onclick
 * @param {Record<string, any>} [attributes]
 */
export const button = (text, onclick, attributes = {}) =>
  make("button", { type: "button", onclick, ...attributes }, text);

let quiet = 0;
/**
 * Says something to screen readers and shows it for some seconds at the bottom.
 * @param {string} text
 * @param {"good"|"bad"} [kind]
 */
export function toast(text, kind = "good") {
  const place = byId("toast");
  place.className = `toast ${kind}`;
  place.textContent = text;
  place.hidden = false;
  clearTimeout(quiet);
  quiet = window.setTimeout(
    () => {
      place.hidden = true;
    },
    kind === "bad" ? 8000 : 3500,
  );
}

/** Copies a text and says so. @param {string} text @param {string} what */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast("The browser refused the clipboard; select the text and copy it by hand.", "bad");
  }
}

/**
 * Asks before something is lost.
 * @param {string} question
 * @param {string} action the verb on the button
 * @returns {Promise<boolean>}
 */
export function confirmed(question, action) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = question;
  byId("confirm-yes").textContent = action;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}

/**
 * Runs an action with its button busy, and shows what went wrong.
 * @param {HTMLButtonElement} control @param {() => Promise<unknown>} action @param {(error: Error) => void} [failed]
 */
export async function busy(control, action, failed = (error) => toast(error.message, "bad")) {
  if (control.ariaBusy === "true") return;
  control.ariaBusy = "true";
  try {
    await action();
  } catch (error) {
    failed(/** @type {Error} */ (error));
  } finally {
    control.ariaBusy = null;
  }
}
