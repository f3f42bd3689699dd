import { sql } from 'kysely';
import type { Transact } from '../context.ts';

/** The only writer of patches. */

export interface PatchRow {
  readonly id: string;
  readonly ecosystem: string;
  readonly release: string;
  readonly package: string;
  readonly version: string;
  readonly known_since: Date;
  readonly offered_since: Date | null;
}

export async function savePatches(
  trx: Transact,
  patches: readonly { id: string; ecosystem: string; release: string; package: string; version: string }[],
  at: Date,
  offered: boolean,
): Promise<void> {
  if (patches.length === 0) return;
  const sorted = patches.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  await sql`insert into patch (id, ecosystem, release, package, version, known_since, offered_since)
    select x.id, x.ecosystem, x.release, x.package, x.version, ${at}, ${offered ? at : null}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(sorted)}::jsonb)
      as x(id text, ecosystem text, release text, package text, version text) order by x.id
    on conflict (id) do update set offered_since = excluded.offered_since
      where patch.offered_since is null and excluded.offered_since is not null`.execute(trx);
}

export async function patchRows(
  trx: Transact,
  filter: { ids?: readonly string[]; packages?: readonly string[] },
): Promise<PatchRow[]> {
  let query = trx.selectFrom('patch').selectAll().orderBy('id');
  if (filter.ids !== undefined) query = query.where('id', '=', sql<string>`any(${filter.ids})`);
  if (filter.packages !== undefined)
    query = query.where('package', '=', sql<string>`any(${filter.packages})`);
  return query.execute();
}

/** Patches of a product's packages, for what supersedes what. */
export async function patchesOfPackages(
  trx: Transact,
  product: { ecosystem: string; release: string },
  packages: readonly string[],
): Promise<PatchRow[]> {
  return trx
    .selectFrom('patch')
    .selectAll()
    .where('ecosystem', '=', product.ecosystem)
    .where('release', '=', product.release)
    .where('package', '=', sql<string>`any(${packages})`)
    .execute();
}

export async function patchesOfEcosystem(
  trx: Transact,
  product: { ecosystem: string; release: string },
): Promise<{ id: string; package: string }[]> {
  return trx
    .selectFrom('patch')
    .select(['id', 'package'])
    .where('ecosystem', '=', product.ecosystem)
    .where('release', '=', product.release)
    .execute();
}
