// What an object reads and writes, counted as the platform counts it for the bill; and failures of its storage on
// request.

const HEADER = "X-Edgequeue-Fault";
const WRITES = /^(INSERT|DELETE|REPLACE|UPDATE)/;

/** The counters of one object. */
class Meter {
  rowsWritten = 0;
  rowsRead = 0;
  /** Each is billed like a written row. */
  alarmsSet = 0;
  /** The next flush fails in its middle. */
  tears = false;
  /** A transaction is under way. */
  inside = false;

  count(cursor) {
    this.rowsWritten += cursor.rowsWritten;
    this.rowsRead += cursor.rowsRead;
  }
}

/** The platform's state of an object, with a meter in its storage. */
function metered(state, meter) {
  const { storage } = state;
  const sql = {
    exec(query, ...params) {
      const tears = meter.tears && WRITES.test(query);
      if (tears && !meter.inside) torn(meter);
      const cursor = storage.sql.exec(query, ...params);
      if (!query.startsWith("SELECT")) {
        meter.count(cursor);
        // In the middle of a transaction: after its first row.
        if (tears) torn(meter);
        return cursor;
      }
      const rows = cursor.raw().toArray();
      meter.count(cursor);
      return { raw: () => ({ toArray: () => rows }) };
    },
  };
  return {
    id: state.id,
    storage: {
      sql,
      transactionSync(body) {
        meter.inside = true;
        try {
          return storage.transactionSync(body);
        } finally {
          meter.inside = false;
        }
      },
      sync: () => storage.sync(),
      getAlarm: () => storage.getAlarm(),
      setAlarm(at) {
        meter.alarmsSet += 1;
        return storage.setAlarm(at);
      },
    },
    acceptWebSocket: (socket) => state.acceptWebSocket(socket),
    getWebSockets: () => state.getWebSockets(),
    setWebSocketAutoResponse: (pair) => state.setWebSocketAutoResponse(pair),
    getWebSocketAutoResponseTimestamp: (socket) => state.getWebSocketAutoResponseTimestamp(socket),
  };
}

function torn(meter) {
  meter.tears = false;
  throw new Error("a request asked for a failure of the storage");
}

/**
 * The class of an object with a meter. The header of an authenticated request asks it for what it counted (`rows`), or
 * for a failure in the middle of its next flush (`storage`).
 */
export function withMeter(QueueObject, memoryBytes) {
  return class extends QueueObject {
    #meter;

    constructor(state, env) {
      const meter = new Meter();
      super(metered(state, meter), env);
      this.#meter = meter;
    }

    fetch(request) {
      const fault = request.headers.get(HEADER);
      if (fault === "rows") {
        const { rowsWritten, rowsRead, alarmsSet } = this.#meter;
        const counted = { rows_written: rowsWritten, rows_read: rowsRead, alarms_set: alarmsSet };
        return Promise.resolve(Response.json({ ...counted, memory_bytes: memoryBytes() }));
      }
      if (fault === "storage") this.#meter.tears = true;
      return super.fetch(request);
    }
  };
}
