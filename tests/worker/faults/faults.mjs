// The service with faults on request: what tests start instead of `entry.mjs`, beside the scripts and the module of a
// build with the feature `faults`. The header `X-Edgequeue-Fault` of an authenticated request asks for one:
//
// - `panic`, `trap`: during the next flush of its object;
// - `storage`: the next flush fails in the middle of its transaction, after its first row;
// - `rows`: no fault; the answer says what the object has read and written, and how much memory the instance has.
import * as rust from "./edgequeue.js";
import worker, { QueueObject as Deployed } from "./entry.mjs";
import { withMeter } from "./meter.mjs";

const { request } = rust.Shell.prototype;
rust.Shell.prototype.request = function (host, id, head, body) {
  const fault = /^x-edgequeue-fault: (panic|trap)$/m.exec(head);
  if (fault) this.strike(fault[1]);
  return request.call(this, host, id, head, body);
};

export default worker;
export class QueueObject extends withMeter(Deployed, rust.memory_bytes) {}
