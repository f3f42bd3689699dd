import type { Kysely } from 'kysely';
import type { AgentMode } from '@fixpoint/contract/agent.ts';
import type { Database } from '../database/tables.ts';

/** What the guard needs to know of the asset behind a session; one read by primary key. */
export async function agentOfAsset(
  db: Kysely<Database>,
  assetId: number,
): Promise<{ assetId: number; uid: string; mode: AgentMode; retiredAt: Date | null } | null> {
  const row = await db
    .selectFrom('asset')
    .select(['id', 'uid', 'mode', 'retired_at'])
    .where('id', '=', assetId)
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    assetId: row.id,
    uid: row.uid,
    mode: row.mode === 'manage' ? 'manage' : 'assess',
    retiredAt: row.retired_at,
  };
}
