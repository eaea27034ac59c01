// Statements with their parameters in one call out of the instance: each call costs, and so does each buffer.

/** What a parameter is, where it is not a number of bytes. */
const NUMBER = -1;
const NOTHING = -2;

/**
 * Executes a statement. `shape` says of each parameter what it is, or how many bytes it has; `numbers` and `bytes` are
 * theirs one after the other. Bytes are the instance's own memory and must be copied: the storage may keep them for
 * longer.
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
