// Statements with their parameters in one call out of the instance: each call costs, and so does each buffer.

/** Parameters in the shape of a statement that are not a number of bytes. */
const NUMBER = -1;
const NOTHING = -2;

/**
 * Executes a statement. `shape` has the kind of each parameter, or its number of bytes. `numbers` and `bytes` are their
 * values, one after the other. The bytes are the instance's own memory and must be copied, as the storage may keep them
 * for longer.
 */
export function execute(sql, query, shape, numbers, bytes) {
  const kept = bytes.slice();
  let number = 0;
  let end = 0;
  const params = [];
  for (const one of shape) {
    if (one === NUMBER) params.push(numbers[number++]);
    else if (one === NOTHING) params.push(null);
    else params.push(kept.subarray(end, (end += one)));
  }
  return sql.exec(query, ...params);
}
