/**
 * Which transactions a state of the database has in it: what `pg_current_snapshot()` says.
 * https://www.postgresql.org/docs/15/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
 */

export interface Snapshot {
  /** As PostgreSQL writes it. */
  readonly text: string;
  /** All below are in it, or were rolled back. */
  readonly xmin: bigint;
  /** None from here on is in it. */
  readonly xmax: bigint;
  /** Between the two those that were under way, and so are not in it. */
  readonly underWay: ReadonlySet<bigint>;
}

/** Reads `xmin:xmax:xip,…`. */
export function parseSnapshot(text: string): Snapshot {
  const [xmin = '', xmax = '', list = ''] = text.split(':');
  return {
    text,
    xmin: BigInt(xmin),
    xmax: BigInt(xmax),
    underWay: new Set(list === '' ? [] : list.split(',').map(BigInt)),
  };
}

export function isVisible(transaction: bigint, { xmin, xmax, underWay }: Snapshot): boolean {
  if (transaction < xmin) return true;
  return transaction < xmax && !underWay.has(transaction);
}
