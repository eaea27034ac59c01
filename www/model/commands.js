// The put on the page as a command for a terminal or a program. The token is never part of it: it is read from the
// environment, so that a command can be pasted into a chat or a history. Pure.

/**
 * @typedef {object} PutDescription
 * @property {string} origin such as `https://queue.example.com`
 * @property {string} service @property {string} [text] body as text, missing for a file
 * @property {string} [fileName] name of the dropped file @property {string} [contentType]
 * @property {Record<string, string>} tags @property {number} priority
 */

/** A POSIX shell word. @param {string} text */
export const shell = (text) => (/^[A-Za-z0-9_.,:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A Python string literal: what is not printable ASCII is escaped. @param {string} text */
export function python(text) {
  const escaped = Array.from(text, (letter) => {
    const code = /** @type {number} */ (letter.codePointAt(0));
    if (letter === "\\" || letter === '"') return `\\${letter}`;
    if (letter === "\n") return "\\n";
    if (code >= 32 && code < 127) return letter;
    if (code < 256) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return `"${escaped.join("")}"`;
}

/**
 * Only curl has a header for the content type; for the others it is a tag.
 * @param {PutDescription} put
 * @returns {Record<string, string>}
 */
const allTags = (put) => ({ ...put.tags, ...(put.contentType && { "Header:Content-Type": put.contentType }) });

const address = (/** @type {PutDescription} */ put) => `${put.origin}/api/predict/${put.service}`;

/** @param {PutDescription} put */
export function curl(put) {
  const query = new URLSearchParams({
    ...(put.priority !== 0 && { _priority_: String(put.priority) }),
    ...put.tags,
  }).toString();
  const lines = [
    `curl -X POST ${shell(address(put) + (query ? `?${query}` : ""))}`,
    '-H "Authorization: $EDGEQUEUE_TOKEN"',
    // Without it curl would claim that the body is a form.
    `-H ${shell(`Content-Type: ${put.contentType || "text/plain"}`)}`,
    // --data-binary reads a file when its value begins with @, so a text goes through --data-raw, which never does.
    put.fileName === undefined ? `--data-raw ${shell(put.text ?? "")}` : `--data-binary ${shell(`@${put.fileName}`)}`,
  ];
  return lines.join(" \\\n  ");
}

/** @param {PutDescription} put */
export function pythonSdk(put) {
  // The client sends tags as the query, where the priority is a parameter.
  const tags = { ...(put.priority !== 0 && { _priority_: String(put.priority) }), ...allTags(put) };
  const pairs = Object.entries(tags)
    .map(([key, value]) => `${python(key)}: ${python(value)}`)
    .join(", ");
  const data = put.fileName === undefined ? python(put.text ?? "") : `open(${python(put.fileName)}, "rb").read()`;
  return [
    "# pip install eas-prediction==0.36",
    "import os",
    "from eas_prediction import QueueClient",
    "",
    `queue = QueueClient(${python(put.origin)}, ${python(put.service)})`,
    'queue.set_token(os.environ["EDGEQUEUE_TOKEN"])',
    "queue.init()",
    `index, request_id = queue.put(${data}${pairs && `, {${pairs}}`})`,
    "print(index, request_id)",
  ].join("\n");
}

/** @param {PutDescription} put */
export function commandLine(put) {
  const parts = [
    `edgequeue stream put --url ${shell(address(put))}`,
    put.fileName === undefined ? `--data=${shell(put.text ?? "")}` : `--file ${shell(put.fileName)} --whole`,
    ...(put.priority !== 0 ? [`--priority ${put.priority}`] : []),
    ...Object.entries(allTags(put)).map(([key, value]) => `--tags ${shell(`${key}=${value}`)}`),
  ];
  return `# reads the token from EDGEQUEUE_TOKEN\n${parts.join(" \\\n  ")}`;
}
