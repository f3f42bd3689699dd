import type { Kysely } from 'kysely';
import type { Transact } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import {
  assetsByIds,
  assetsNamed,
  candidatesByIds,
  lockAsset,
  stampContact,
  updateAsset,
  type AssetRow,
} from './store.ts';

/** What other rooms ask of this one. Enrolment, sessions, check-in, inventory and lists are in files of their own. */

export type { AssetRow } from './store.ts';

/** Writes at once, in the caller's transaction, that the asset was heard. Usually that can wait for a batch (`contact.ts`). */
export async function stampHeard(trx: Transact, assetId: number, at: Date): Promise<void> {
  await stampContact(trx, assetId, at);
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * The assets that people mean by ids or host names, in that order and each once. A host name must be the name of exactly
 * one asset that is not retired.
 */
export async function assetsByReference(
  db: Kysely<Database>,
  references: readonly string[],
): Promise<Answer<{ id: number; uid: string; hostname: string }[]>> {
  const uids = references
    .filter((reference) => uuid.test(reference))
    .map((reference) => reference.toLowerCase());
  const hostnames = references.filter((reference) => !uuid.test(reference));
  const rows = await assetsNamed(db, uids, hostnames);
  const byUid = new Map(rows.map((row) => [row.uid, row]));
  const byHostname = Map.groupBy(rows, (row) => row.hostname);
  const found = new Map<number, { id: number; uid: string; hostname: string }>();
  const unknown: string[] = [];
  const ambiguous: string[] = [];
  for (const reference of references) {
    const named = uuid.test(reference)
      ? [byUid.get(reference.toLowerCase()) ?? []].flat()
      : (byHostname.get(reference) ?? []);
    const [row] = named;
    if (row === undefined) unknown.push(reference);
    else if (named.length > 1) ambiguous.push(reference);
    else found.set(row.id, row);
  }
  if (unknown.length > 0) {
    return refuse(
      404,
      'asset_unknown',
      `there is no asset ${some(unknown)}`,
      'name assets by id or host name, as GET /api/v1/assets lists them',
    );
  }
  if (ambiguous.length > 0) {
    return refuse(
      409,
      'asset_ambiguous',
      `more than one asset is called ${some(ambiguous)}`,
      'name them by id',
    );
  }
  return answer([...found.values()]);
}

function some(names: readonly string[]): string {
  const shown = names
    .slice(0, 5)
    .map((name) => name.slice(0, 80))
    .join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

/** Whole rows, without an order. Ids that there are not are missing from the answer. */
export async function assetRows(db: Kysely<Database>, ids: readonly number[]): Promise<AssetRow[]> {
  return ids.length === 0 ? [] : await assetsByIds(db, ids);
}

/** What a person says of an asset: how critical it is (null: by the rules), and its attributes. For the room criticality. */
export { assetsWithTooManyAttributes, updateAttributes } from './store.ts';

/** Sets an asset's criticality; what it was before. */
export async function setCriticality(
  trx: Transact,
  assetId: number,
  criticality: number | null,
): Promise<Answer<number | null>> {
  const row = await lockAsset(trx, assetId);
  if (row.retired_at !== null)
    return refuse(
      409,
      'asset_retired',
      `${row.hostname} is retired`,
      'name one that is managed: fixpoint asset list',
    );
  await updateAsset(trx, assetId, { criticality_set: criticality });
  return answer(row.criticality_set);
}

/** What the repositories of these assets offered when they reported last. */
export async function storedCandidates(
  db: Kysely<Database>,
  ids: readonly number[],
): Promise<Map<number, AssetRow['candidates']>> {
  if (ids.length === 0) return new Map();
  return new Map((await candidatesByIds(db, ids)).map((row) => [row.id, row.candidates]));
}
