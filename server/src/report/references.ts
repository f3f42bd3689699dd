import type { Transact } from '../context.ts';

/** Something that is run by a report: a job whose criteria it is. */
export interface Reference {
  /** `job` */
  readonly kind: string;
  readonly id: string;
  readonly name: string;
}

/** A room's answer to what of it refers to a report. Whoever makes such a reference locks the report's row while doing so. */
export type Referrer = (trx: Transact, reportId: string) => Promise<readonly Reference[]>;

/** No room has anything yet that a report runs: zero-touch jobs will be the first. */
export const noReferrers: readonly Referrer[] = [];

/** What refers to a report, by asking the rooms. The report must be locked, so that nothing new does meanwhile. */
export async function referencesTo(
  trx: Transact,
  reportId: string,
  referrers: readonly Referrer[] = noReferrers,
): Promise<Reference[]> {
  const found: Reference[] = [];
  for (const referrer of referrers) found.push(...(await referrer(trx, reportId)));
  return found;
}
