import { sql, type Insertable, type Kysely, type Selectable } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database, SlaRuleTable } from '../database/tables.ts';

/** The only writer of sla_rule. */

export type SlaRuleRow = Selectable<SlaRuleTable>;

/** In their order. */
export async function listSlaRules(db: Kysely<Database>): Promise<SlaRuleRow[]> {
  return await db.selectFrom('sla_rule').selectAll().orderBy('position').execute();
}

/** Keeps others from changing the rules until the transaction ends; reading goes on. */
export async function lockSlaRules(trx: Transact): Promise<SlaRuleRow[]> {
  await sql`lock table sla_rule in share row exclusive mode`.execute(trx);
  return await listSlaRules(trx);
}

export async function replaceSlaRules(
  trx: Transact,
  rows: readonly Insertable<SlaRuleTable>[],
): Promise<void> {
  await trx.deleteFrom('sla_rule').execute();
  if (rows.length > 0)
    await trx
      .insertInto('sla_rule')
      .values([...rows])
      .execute();
}
