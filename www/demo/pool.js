// Workers for the function on the page, one for each entry under way: an endless loop in one stops no other, and is
// ended when its time is up.

/** Modules load from the network once; a machine under load may take its time. */
const LOAD_MS = 20_000;

/** The one place where the page starts code from an address; Trusted Types allow no other. */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("edgequeue", {
  createScriptURL: (/** @type {string} */ url) => url,
});
const RUNNER = new URL("./runner.js", import.meta.url).href;

/** The function could not do it; `code` and `message` become those of the negative commit. */
export class InferenceError extends Error {
  /** @param {"Exception"|"Timeout"|"Broken"} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** @typedef {{data?: Uint8Array<ArrayBuffer>, type: string}} Outcome */

export class Pool {
  /** @type {Worker[]} */
  #idle = [];
  /** @type {Set<Worker>} */
  #all = new Set();
  #code = "";
  #closed = false;

  /** Loads the function; throws when it cannot be. @param {string} code */
  static async open(code) {
    const pool = new Pool();
    pool.#code = code;
    pool.#idle.push(await pool.#start());
    return pool;
  }

  /**
   * Runs the function for an entry.
   * @param {{index: number|bigint, tags: Record<string, string>, data: Uint8Array}} entry @param {number} timeoutMs
   * @returns {Promise<Outcome>}
   */
  async run({ index, tags, data }, timeoutMs) {
    const worker = this.#idle.pop() ?? (await this.#start());
    try {
      const answer = await this.#ask(
        worker,
        { index, tags, data },
        timeoutMs,
        "Timeout",
        `no result within ${timeoutMs / 1000} s`,
      );
      if (answer.failed !== undefined) throw new InferenceError("Exception", answer.failed);
      return { data: answer.body, type: answer.type ?? "" };
    } finally {
      if (this.#closed) worker.terminate();
      else if (this.#all.has(worker)) this.#idle.push(worker);
    }
  }

  close() {
    this.#closed = true;
    for (const worker of this.#all) worker.terminate();
    this.#all.clear();
    this.#idle = [];
  }

  async #start() {
    const worker = new Worker(policy ? policy.createScriptURL(RUNNER) : RUNNER, { type: "module", name: "infer" });
    this.#all.add(worker);
    const answer = await this.#ask(worker, { code: this.#code }, LOAD_MS, "Broken", "the code did not load");
    if (answer.broken !== undefined) {
      this.#end(worker);
      throw new InferenceError("Broken", answer.broken);
    }
    return worker;
  }

  /** One question, one answer, within a time; a worker that does not answer is ended. */
  #ask(
    /** @type {Worker} */ worker,
    /** @type {any} */ question,
    /** @type {number} */ patienceMs,
    /** @type {"Timeout"|"Broken"} */ code,
    /** @type {string} */ late,
  ) {
    return /** @type {Promise<any>} */ (
      new Promise((resolve, reject) => {
        const give = (/** @type {Error} */ error) => {
          clearTimeout(timer);
          this.#end(worker);
          reject(error);
        };
        const timer = setTimeout(() => give(new InferenceError(code, late)), patienceMs);
        worker.onmessage = ({ data }) => {
          clearTimeout(timer);
          resolve(data);
        };
        worker.onerror = (event) =>
          give(
            new InferenceError(
              code === "Broken" ? "Broken" : "Exception",
              event.message || "the worker could not be loaded",
            ),
          );
        worker.postMessage(question);
      })
    );
  }

  #end(/** @type {Worker} */ worker) {
    worker.terminate();
    this.#all.delete(worker);
  }
}
