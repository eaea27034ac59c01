// How the compiled module survives the death of its instance. A panic or trap leaves a wasm instance in an unknown
// state, and the calls inside it would never be answered. So every call is registered here. When the instance dies, all
// of them are given up, and a fresh instance takes over. The next event that reaches an object opens it again from its
// storage, as after a sleep.
import * as rust from "./edgequeue.js";

/** Everything that ends with the instance: requests inside it, and bodies that it feeds. `giveUp(error)` ends one. */
const live = new Set();
let generation = 0;
let dying = false;

export class InstanceDied extends Error {
  constructor() {
    super("the wasm instance died");
  }
}

/** Counts instances. Nothing that belongs to an older one may be used. */
export const current = () => generation;

/** Between its death and its replacement an instance must not be entered. */
export const isDying = () => dying;

/** Registers something that ends with the instance. */
export const register = (one) => live.add(one);
export const unregister = (one) => live.delete(one);

/** Ends the instance. Its own frames may still be on the stack, so it is replaced a little later. */
export function died() {
  if (dying) return;
  dying = true;
  queueMicrotask(() => {
    dying = false;
    generation += 1;
    rust.__wbg_reset_state();
    const lost = [...live];
    live.clear();
    for (const one of lost) one.giveUp(new InstanceDied());
    console.error(
      `edgequeue: a fault ended instance ${generation}; ${lost.length} call(s) inside it failed, a new one took over`,
    );
  });
}

/** Whether this error means the end of the instance, which then is ended. */
export function trapped(error) {
  if (error instanceof WebAssembly.RuntimeError) died();
  return dying;
}

// The panic hook of the `worker` crate sets this flag; other traps (out of memory, stack overflow) surface as errors.
Object.defineProperty(rust.__worker_init_state(), "criticalError", {
  get: () => dying,
  set: (value) => value && died(),
});
addEventListener(/** @type {any} */ ("error"), (/** @type {any} */ event) => trapped(event.error));
addEventListener("unhandledrejection", (event) => trapped(event.reason));
