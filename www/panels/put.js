// Puts an entry, and follows it to its result.
import { commandLine, curl, pythonSdk } from "../model/commands.js";
import { busy, button, byId, copy, icon, make, write } from "../view/dom.js";
import { entryRow } from "../view/entries.js";
import { bytes, counted, middle, milliseconds } from "../model/format.js";

const RECEIPTS_MAX = 20;
const LOOK_MS = 2_500;
/** How many of the newest receipts are asked about in turn, and for how long. */
const LOOKED_AFTER_MAX = 4;
const PATIENCE_MS = 900_000;

/**
 * @typedef {{requestId: string, index: number|bigint, began: number, over: boolean, element: HTMLElement, state:
 *   HTMLElement, more: HTMLElement, cancel: HTMLElement}} Receipt
 */

/** @param {import("../app.js").Context} context */
export function mountPut({ state, clients, monitor, results, signal }) {
  /** @type {File|null} */
  let file = null;
  /** Newest first. @type {Receipt[]} */
  let receipts = [];
  const panel = byId("panel-put");

  const text = make("textarea", {
    id: "put-text",
    class: "code",
    rows: "6",
    spellcheck: "false",
    placeholder: 'A text, JSON such as {"prompt": "…"}, or a dropped file',
  });
  const as = make(
    "div",
    { class: "choice", role: "radiogroup", "aria-label": "The body is" },
    ...[
      ["text", "Text"],
      ["json", "JSON"],
    ].map(([value, label]) =>
      make(
        "label",
        {},
        make("input", { type: "radio", name: "put-as", value, checked: value === "text", onchange: check }),
        label,
      ),
    ),
  );
  const chosen = make("input", {
    type: "file",
    id: "put-file",
    class: "unseen",
    tabindex: "-1",
    "aria-hidden": "true",
    onchange: () => take(chosen.files[0]),
  });
  const fileChip = make("div", { class: "chip", hidden: true });
  const size = make("span", { class: "note" });
  const trouble = make("p", { class: "trouble", role: "alert", hidden: true });
  const priority = make("input", { id: "put-priority", type: "number", step: "1", value: "0", required: true });
  const requestId = make("input", {
    id: "put-request-id",
    type: "text",
    maxlength: "512",
    spellcheck: "false",
    placeholder: "automatic",
  });
  const tagRows = make("div", { class: "tag-rows", role: "group", "aria-label": "Tags" });
  const send = make("button", { type: "submit", class: "primary" }, "Put");
  const list = make("ol", { class: "receipts", "aria-label": "What was put here" });

  const drop = make(
    "div",
    { class: "field drop" },
    make("div", { class: "panel-head" }, make("label", { for: "put-text" }, "Body"), as),
    text,
    fileChip,
  );
  const form = make(
    "form",
    {
      class: "put",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        busy(send, put, show);
      },
    },
    drop,
    make(
      "div",
      { class: "actions" },
      button("Choose a file", () => chosen.click(), { class: "small" }),
      chosen,
      button("Add a tag", () => addTag().focus(), { class: "small" }),
      size,
    ),
    tagRows,
    make(
      "div",
      { class: "fields" },
      make("div", { class: "field" }, make("label", { for: "put-priority" }, "Priority"), priority),
      make("div", { class: "field" }, make("label", { for: "put-request-id" }, "Request id"), requestId),
    ),
    trouble,
    make(
      "div",
      { class: "actions" },
      send,
      make("span", { class: "note" }, "Ctrl + Enter"),
      make(
        "span",
        { class: "copy-as" },
        make("span", { class: "note" }, "Copy as "),
        ...[
          ["curl", "curl", curl],
          ["Python", "Python SDK", pythonSdk],
          ["CLI", "CLI", commandLine],
        ].map(([label, what, print]) =>
          button(
            /** @type {string} */ (label),
            () => describe() && copy(/** @type {any} */ (print)(describe()), `The put for ${what}`),
            { class: "small", "aria-label": `Copy as ${what}` },
          ),
        ),
      ),
    ),
  );
  panel.replaceChildren(form, list);

  text.addEventListener("input", check);
  text.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  for (const name of ["dragover", "dragleave", "drop"])
    drop.addEventListener(name, (/** @type {DragEvent} */ event) => {
      if (name !== "dragleave") event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer?.files[0]) take(event.dataTransfer.files[0]);
    });
  check();

  /** @param {File|undefined} next */
  function take(next) {
    file = next ?? null;
    text.hidden = file !== null;
    as.hidden = file !== null;
    fileChip.hidden = file === null;
    fileChip.replaceChildren(
      ...(file
        ? [
            icon("file"),
            make("span", {}, `${file.name} · ${bytes(file.size)}`),
            button(
              "",
              () => {
                chosen.value = "";
                take(undefined);
                text.focus();
              },
              { class: "quiet", "aria-label": "Remove the file" },
            ),
          ]
        : []),
    );
    fileChip.querySelector("button")?.append(icon("close"));
    check();
  }

  function isJson() {
    return file === null && form.elements.namedItem("put-as").value === "json";
  }

  /** Says what can be seen before anything is sent. */
  function check() {
    trouble.hidden = true;
    let invalid = "";
    if (isJson() && text.value !== "") {
      try {
        JSON.parse(text.value);
      } catch (error) {
        invalid = /** @type {Error} */ (error).message;
      }
    }
    text.setAttribute("aria-invalid", String(invalid !== ""));
    const length = file ? file.size : new TextEncoder().encode(text.value).length;
    const most = monitor.view?.input.payloadBytesMax ?? 0;
    const over = most > 0 && length > most;
    write(size, invalid || `${bytes(length)}${over ? `: more than the ${bytes(most)} that this queue takes` : ""}`);
    size.classList.toggle("wrong", invalid !== "" || over);
    return invalid;
  }

  function addTag(key = "", value = "") {
    const name = make("input", {
      type: "text",
      value: key,
      placeholder: "name",
      "aria-label": "Name of the tag",
      maxlength: "128",
    });
    const row = make(
      "div",
      { class: "tag-row" },
      name,
      make("input", { type: "text", value, placeholder: "value", "aria-label": "Value of the tag", maxlength: "2048" }),
      button(
        "",
        () => {
          row.remove();
          send.focus();
        },
        { class: "quiet", "aria-label": "Remove the tag" },
      ),
    );
    row.querySelector("button")?.append(icon("close"));
    tagRows.append(row);
    return name;
  }

  function tags() {
    /** @type {Record<string, string>} */
    const found = {};
    for (const row of tagRows.children) {
      const [key, value] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
      if (key === "" && value === "") continue;
      if (key === "" || key.startsWith("_"))
        throw new Error(
          key === ""
            ? "A tag has a value but no name."
            : `The tag "${key}" begins with _, which is reserved for parameters: choose another name.`,
        );
      found[key] = value;
    }
    return found;
  }

  /** The put as a command would do it. */
  function describe() {
    try {
      return {
        origin: location.origin,
        service: state.service,
        tags: { ...tags(), ...(requestId.value.trim() && { requestId: requestId.value.trim() }) },
        priority: Number(priority.value),
        contentType: file?.type || (isJson() ? "application/json" : ""),
        ...(file ? { fileName: file.name } : { text: text.value }),
      };
    } catch (error) {
      show(/** @type {Error} */ (error));
      return null;
    }
  }

  /** @param {Error} error */
  function show(error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
  }

  async function put() {
    trouble.hidden = true;
    const wrong = check();
    if (wrong) throw new Error(`This is not JSON: ${wrong}`);
    const level = Number(priority.value);
    const contentType = isJson() ? "application/json" : file?.type;
    const options = {
      tags: tags(),
      priority: level,
      signal,
      ...(requestId.value.trim() && { requestId: requestId.value.trim() }),
      ...(contentType && { contentType }),
    };
    const began = performance.now();
    const receipt = await clients.input.put(file ?? text.value, options);
    monitor.depths.learn(level);
    monitor.hurry();
    requestId.value = "";
    follow(receipt, began, performance.now() - began);
  }

  /** @param {import("../pkg/edgequeue.js").Receipt} put @param {number} began @param {number} tookMs */
  function follow({ index, requestId: id }, began, tookMs) {
    const status = make("span", { class: "state" }, "waiting for the result");
    const more = make("div", {});
    const cancel = button("Cancel", () => busy(cancel, () => takeBack(receipt)), { class: "small" });
    const element = make(
      "li",
      { class: "receipt" },
      make(
        "div",
        { class: "receipt-head" },
        make("strong", {}, `#${index}`),
        make(
          "button",
          {
            type: "button",
            class: "link mono",
            title: id,
            "aria-label": `Copy request id ${id}`,
            onclick: () => copy(id, "Request id"),
          },
          middle(id, 16),
        ),
        make("span", { class: "note" }, `stored in ${milliseconds(tookMs)}`),
        status,
        cancel,
      ),
      more,
    );
    /** @type {Receipt} */
    const receipt = { requestId: id, index, began, over: false, element, state: status, more, cancel };
    receipts.unshift(receipt);
    list.prepend(element);
    for (const old of receipts.splice(RECEIPTS_MAX)) finish(old, "").element.remove();
  }

  /** @param {Receipt} receipt @param {string} words @param {string} [look] */
  function finish(receipt, words, look = "") {
    receipt.over = true;
    receipt.cancel.remove();
    write(receipt.state, words);
    receipt.state.className = `state ${look}`;
    return receipt;
  }

  /** @param {Receipt} receipt @param {import("../pkg/edgequeue.js").Frame} frame */
  function resolve(receipt, frame) {
    const failed = "lastCode" in frame.tags;
    finish(
      receipt,
      `${failed ? `failed (${frame.tags.lastCode})` : "result"} after ` +
        milliseconds(performance.now() - receipt.began),
      failed ? "failed" : "done",
    );
    const row = entryRow(frame);
    row.tick(Date.now());
    receipt.more.replaceChildren(make("ul", { class: "entries" }, row));
  }

  /** @param {Receipt} receipt */
  async function takeBack(receipt) {
    try {
      await clients.input.cancel(receipt.requestId, { signal });
      finish(receipt, "cancelled");
    } catch (error) {
      const { code, message } = /** @type {any} */ (error);
      if (code === "conflict") write(receipt.state, message);
      else if (code === "not_found") write(receipt.state, "it is not in the queue any more");
      // A service that cannot cancel can still delete what nobody has taken.
      else if (code === "bad_request" || code === "unsupported") {
        await clients.input.delete(receipt.index, { signal });
        finish(receipt, "deleted from the input queue");
      } else throw error;
    }
    monitor.hurry();
  }

  results.addEventListener(
    "frame",
    (/** @type {any} */ { detail: frame }) => {
      const receipt = receipts.find(({ requestId: id, over }) => !over && id === frame.requestId);
      if (receipt) resolve(receipt, frame);
    },
    { signal },
  );

  let knowsStatus = true;
  /** Where requests stand that have no result yet; results that the reader of the sink has missed. */
  async function look() {
    const open = receipts
      .filter(({ over, began }) => !over && performance.now() - began < PATIENCE_MS)
      .slice(0, LOOKED_AFTER_MAX);
    for (const receipt of open) {
      if (signal.aborted) return;
      const [frame] = await clients.sink.get({ requestId: receipt.requestId, signal }).catch(() => []);
      if (receipt.over) continue;
      if (frame) resolve(receipt, frame);
      else await stand(receipt);
    }
  }

  /** @param {Receipt} receipt */
  async function stand(receipt) {
    if (knowsStatus) {
      try {
        const { status, position, attempt, attempts, code, reason } = await clients.input.status(receipt.requestId, {
          signal,
        });
        if (receipt.over) return;
        if (status === "failed")
          finish(receipt, `failed${code ? ` (${code})` : ""}${reason ? `: ${reason}` : ""}`, "failed");
        else if (status === "queued")
          write(
            receipt.state,
            (Number(position) > 1
              ? `queued, ${counted(Number(position) - 1, "entry", "entries")} before it`
              : "next in the queue") +
              (Number(attempts) > 0 ? `, failed ${Number(attempts)}× (${code || reason})` : ""),
          );
        else if (status === "running")
          write(receipt.state, Number(attempt) > 1 ? `being processed, attempt ${attempt}` : "being processed");
        else if (status === "done") write(receipt.state, "done; its result is not in the sink any more");
        if (status !== "unknown") return;
      } catch (error) {
        knowsStatus =
          /** @type {any} */ (error).code !== "bad_request" && /** @type {any} */ (error).code !== "unsupported";
      }
    }
    const position = await clients.input.search(receipt.index, { signal }).catch(() => undefined);
    if (position === undefined || receipt.over) return;
    if (position === null) write(receipt.state, "taken; its result is not in the sink");
    else if (position.isPending) write(receipt.state, `being processed by ${position.consumerId}`);
    else
      write(
        receipt.state,
        position.waitCount > 0
          ? `queued, ${counted(position.waitCount, "entry", "entries")} before it`
          : "next in the queue",
      );
  }

  let looking = false;
  const timer = setInterval(() => {
    if (looking || document.hidden) return;
    looking = true;
    look().finally(() => {
      looking = false;
    });
  }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
