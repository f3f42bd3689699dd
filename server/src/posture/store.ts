import { sql } from 'kysely';
import type { Transact } from '../context.ts';

/** The only writer of fleet_change, beside the triggers that write most of it. */

/** So many vulnerabilities are named; when more have changed, all of them are read again. */
const named = 20_000;

/**
 * Tells the read models that something else is said of vulnerabilities. Not by a trigger: records are replaced one by one, and
 * with each its facts.
 */
export async function noteVulnerabilities(trx: Transact, ids: ReadonlySet<string>): Promise<void> {
  if (ids.size === 0) return;
  const keys = ids.size > named ? null : [...ids];
  await sql`select note_fleet_change('vulnerability', null, ${keys}::text[])`.execute(trx);
}

/** Clears away what every read model that follows has long taken in. Answers how many rows that were. */
export async function forgetChanges(trx: Transact, olderThanHours: number): Promise<number> {
  const result = await sql`delete from fleet_change
    where at < clock_timestamp() - make_interval(hours => ${olderThanHours})`.execute(trx);
  return Number(result.numAffectedRows ?? 0);
}
