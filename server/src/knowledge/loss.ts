/** A complete file, or a part of it, that lacks more than this share of what is held is rather cut short than right. */
const implausibleLossShare = 0.2;
const implausibleLossRecords = 20;

export class ImplausibleLoss extends Error {
  readonly lost: number;
  readonly held: number;
  constructor(lost: number, held: number) {
    super('implausible loss');
    this.lost = lost;
    this.held = held;
  }
}

/**
 * Refuses what would take too much away at once. Each part is looked at by itself: a repository of a release that came empty
 * is a small share of all of them.
 *
 * @param present ids of the parts in question as they would be before anything is taken away
 * @param missing those of them that are not published any more
 * @param fresh those that were not held before
 * @param partOf as in Feed
 * @throws ImplausibleLoss
 */
export function refuseImplausibleLoss(
  present: readonly string[],
  missing: readonly string[],
  fresh: ReadonlySet<string>,
  partOf: (record: string) => string = () => '',
): void {
  const lost = Map.groupBy(missing, partOf);
  const held = Map.groupBy(
    present.filter((id) => !fresh.has(id)),
    partOf,
  );
  for (const [part, { length }] of lost) {
    const before = held.get(part)?.length ?? 0;
    if (length > implausibleLossRecords && length > before * implausibleLossShare) {
      throw new ImplausibleLoss(length, before);
    }
  }
}
