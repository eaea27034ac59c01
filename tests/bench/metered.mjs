// The service as it is deployed, with a meter: what benches start instead of `entry.mjs`.
import * as rust from "./edgequeue.js";
import worker, { QueueObject as Deployed } from "./entry.mjs";
import { withMeter } from "./meter.mjs";

export default worker;
export class QueueObject extends withMeter(Deployed, rust.memory_bytes) {}
