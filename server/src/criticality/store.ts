import { sql, type Insertable, type Kysely, type Selectable, type Updateable } from 'kysely';
import type { Transact } from '../context.ts';
import type { CriticalityRuleTable, Database } from '../database/tables.ts';

/** The only writer of criticality_rule. */

export type CriticalityRuleRow = Selectable<CriticalityRuleTable>;

/** In their order. */
export async function listRules(db: Kysely<Database>): Promise<CriticalityRuleRow[]> {
  return await db.selectFrom('criticality_rule').selectAll().orderBy('position').execute();
}

/** Keeps others from changing the rules until the transaction ends; reading goes on. */
export async function lockRules(trx: Transact): Promise<CriticalityRuleRow[]> {
  await sql`lock table criticality_rule in share row exclusive mode`.execute(trx);
  return await listRules(trx);
}

export async function insertRule(
  trx: Transact,
  row: Insertable<CriticalityRuleTable>,
): Promise<CriticalityRuleRow> {
  return await trx.insertInto('criticality_rule').values(row).returningAll().executeTakeFirstOrThrow();
}

export async function updateRule(
  trx: Transact,
  id: string,
  changes: Updateable<CriticalityRuleTable>,
): Promise<CriticalityRuleRow> {
  return await trx
    .updateTable('criticality_rule')
    .set(changes)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function deleteRule(trx: Transact, id: string): Promise<void> {
  await trx.deleteFrom('criticality_rule').where('id', '=', id).execute();
}

/** Puts all rules in this order. */
export async function orderRules(trx: Transact, ids: readonly string[]): Promise<void> {
  await sql`
    update criticality_rule r set position = o.position
    from unnest(${[...ids]}::uuid[]) with ordinality as o(id, position)
    where r.id = o.id and r.position <> o.position`.execute(trx);
}
