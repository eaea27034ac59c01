// What tests put into a page, for the functions that run there. Each test file is its own page.
type Client = typeof import("../../src/browser/edgequeue.js");
type Queue = InstanceType<Client["QueueClient"]>;

declare var client: Client;
declare var queueOf: (name: string, options?: object) => Queue;
declare var wasmBytes: () => number;
declare var thrown: (act: () => unknown) => Promise<any>;
declare var watch: any;
declare var states: any;
declare var seen: any;
declare var times: any;
declare var running: any;
declare var OldSocket: any;
declare var axe: any;
declare var frameTimes: number[];
declare var stalls: number[];
