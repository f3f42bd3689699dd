/** Columns of numbers that grow by doubling. Whoever asks for a longer one puts it in place of the other. */

export function grownNumbers(column: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  if (length <= column.length) return column;
  const bigger = new Uint32Array(Math.max(length, column.length * 2));
  bigger.set(column);
  return bigger;
}

/** What is new in it is `empty`. */
export function grownFloats(
  column: Float64Array<ArrayBuffer>,
  length: number,
  empty: number,
): Float64Array<ArrayBuffer> {
  if (length <= column.length) return column;
  const bigger = new Float64Array(Math.max(length, column.length * 2));
  bigger.set(column);
  if (empty !== 0) bigger.fill(empty, column.length);
  return bigger;
}

export function grownBytes(column: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  if (length <= column.length) return column;
  const bigger = new Uint8Array(Math.max(length, column.length * 2));
  bigger.set(column);
  return bigger;
}
