import { sql, type Insertable, type Kysely, type Selectable, type Updateable } from 'kysely';
import type { Transact } from '../context.ts';
import type { AssetTable, Database } from '../database/tables.ts';

/** The only writer of asset, asset_contact and change_log. */

export type AssetRow = Selectable<AssetTable>;

export async function insertAsset(trx: Transact, asset: Insertable<AssetTable>): Promise<number> {
  const row = await trx.insertInto('asset').values(asset).returning('id').executeTakeFirstOrThrow();
  return row.id;
}

export async function updateAsset(trx: Transact, id: number, changes: Updateable<AssetTable>): Promise<void> {
  await trx.updateTable('asset').set(changes).where('id', '=', id).execute();
}

/**
 * Locks the asset, so that what is decided by its row still holds when it is written. Not its key: an import that writes
 * the history of its findings refers to the asset, and must not wait for who may be waiting for the import.
 */
export async function lockAsset(trx: Transact, id: number): Promise<AssetRow> {
  return await trx
    .selectFrom('asset')
    .selectAll()
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
}

export async function assetByPublicKey(trx: Transact, publicKey: string): Promise<AssetRow | null> {
  const row = await trx
    .selectFrom('asset')
    .selectAll()
    .where('public_key', '=', publicKey)
    .forNoKeyUpdate()
    .executeTakeFirst();
  return row ?? null;
}

/** What opening a session needs. */
export async function assetKey(
  db: Kysely<Database>,
  uid: string,
): Promise<{ id: number; public_key: string; retired_at: Date | null } | null> {
  const row = await db
    .selectFrom('asset')
    .select(['id', 'public_key', 'retired_at'])
    .where('uid', '=', uid)
    .executeTakeFirst();
  return row ?? null;
}

/** What a check-in needs, in one read; whether there is a task is read here so that most check-ins need no transaction. */
export async function assetState(
  db: Kysely<Database>,
  id: number,
): Promise<
  Pick<AssetRow, 'uid' | 'mode' | 'retired_at' | 'digests' | 'agent_version' | 'problems'> & {
    has_open_task: boolean;
    has_open_question: boolean;
  }
> {
  return await db
    .selectFrom('asset')
    .select([
      'uid',
      'mode',
      'retired_at',
      'digests',
      'agent_version',
      'problems',
      sql<boolean>`exists (select 1 from task where task.asset_id = asset.id and task.ended_at is null)`.as(
        'has_open_task',
      ),
      sql<boolean>`exists (select 1 from simulation where simulation.asset_id = asset.id
        and simulation.answered_at is null and simulation.given_up is null)`.as('has_open_question'),
    ])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
}

export async function assetsByIds(db: Kysely<Database>, ids: readonly number[]): Promise<AssetRow[]> {
  return await db
    .selectFrom('asset')
    .selectAll()
    .where(sql<boolean>`id = any(${[...ids]}::integer[])`)
    .execute();
}

/** Assets by id (uuid) or host name, retired ones by id only: a host name may be given to another host later. */
export async function assetsNamed(
  db: Kysely<Database>,
  uids: readonly string[],
  hostnames: readonly string[],
): Promise<{ id: number; uid: string; hostname: string }[]> {
  return await db
    .selectFrom('asset')
    .select(['id', 'uid', 'hostname'])
    .where(
      sql<boolean>`uid = any(${[...uids]}::uuid[]) or (hostname = any(${[...hostnames]}::text[]) and retired_at is null)`,
    )
    .orderBy('id')
    .execute();
}

export async function candidatesByIds(
  db: Kysely<Database>,
  ids: readonly number[],
): Promise<Pick<AssetRow, 'id' | 'candidates'>[]> {
  return await db
    .selectFrom('asset')
    .select(['id', 'candidates'])
    .where(sql<boolean>`id = any(${[...ids]}::integer[])`)
    .execute();
}

export interface AssetFilter {
  readonly assetIds: readonly number[] | null;
  readonly hostname: string | null;
}

function filtered(db: Kysely<Database>, filter: AssetFilter) {
  let query = db.selectFrom('asset');
  if (filter.assetIds !== null)
    query = query.where(sql<boolean>`id = any(${[...filter.assetIds]}::integer[])`);
  if (filter.hostname !== null) query = query.where('hostname', '=', filter.hostname);
  return query;
}

export async function countAssets(db: Kysely<Database>, filter: AssetFilter): Promise<number> {
  const row = await filtered(db, filter)
    .select((expression) => expression.fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Rows of a list: everything but the large columns, with how many packages there are. */
export async function listAssets(
  db: Kysely<Database>,
  filter: AssetFilter,
  after: { readonly hostname: string; readonly id: number } | null,
  limit: number,
) {
  let query = filtered(db, filter)
    .leftJoin('asset_contact', 'asset_id', 'id')
    .select([
      'id',
      'uid',
      'hostname',
      'mode',
      'os',
      'os_release',
      'arch',
      'agent_version',
      'criticality_set',
      'enrolled_at',
      'retired_at',
      'last_seen_at',
      sql<number>`coalesce(next_check_in_seconds, 60)`.as('next_check_in_seconds'),
      'inventory_at',
      sql<number>`cardinality(software)`.as('packages'),
      sql<number>`jsonb_array_length(problems)`.as('problem_count'),
    ])
    .orderBy('hostname')
    .orderBy('id')
    .limit(limit);
  if (after !== null) query = query.where(sql<boolean>`(hostname, id) > (${after.hostname}, ${after.id})`);
  return await query.execute();
}
export type ListedAsset = Awaited<ReturnType<typeof listAssets>>[number];

/** What storing an inventory needs of an asset; candidates and residue only where they are asked for. */
export interface LockedAsset {
  readonly id: number;
  readonly retired_at: Date | null;
  readonly os: string;
  readonly os_release: string;
  readonly software: readonly number[];
  readonly since: readonly number[];
  readonly digests: AssetRow['digests'];
  readonly host: AssetRow['host'];
  readonly residue: AssetRow['residue'];
}

/** As {@link lockAsset}, many in the order of ids, so that two that lock the same ones cannot wait for each other. */
export async function lockAssetsForInventory(
  trx: Transact,
  ids: readonly number[],
): Promise<Map<number, LockedAsset>> {
  // Arrays as text that JSON can read: reading hundreds of numbers one character at a time would cost more than all else.
  const { rows } = await sql<Omit<LockedAsset, 'software' | 'since'> & { software: string; since: string }>`
    select id, retired_at, os, os_release, translate(software::text, '{}', '[]') as software,
      translate(since::text, '{}', '[]') as since, digests, host, residue
    from asset where id = any(${[...ids]}::integer[]) order by id for no key update`.execute(trx);
  return new Map(rows.map((row) => [row.id, { ...row, ...ascending(row) }]));
}

/** Software is stored in ascending order; should it ever not be, it is brought into it. */
function ascending(row: { readonly software: string; readonly since: string }) {
  const [software, since] = [numbersOf(row.software), numbersOf(row.since)];
  if (software.every((id, i) => i === 0 || id > (software[i - 1] ?? 0))) return { software, since };
  const sinceOf = new Map(software.map((id, i) => [id, since[i] ?? 0]));
  const sorted = [...sinceOf.keys()].toSorted((a, b) => a - b);
  return { software: sorted, since: sorted.map((id) => sinceOf.get(id) ?? 0) };
}

function numbersOf(text: string): number[] {
  // Of an array of integers nothing else can come.
  const numbers: number[] = JSON.parse(text);
  return numbers;
}

export interface StoredInventory {
  readonly id: number;
  readonly hostname: string;
  readonly os: string;
  readonly os_release: string;
  readonly arch: string;
  readonly software: readonly number[];
  readonly since: readonly number[];
  readonly digests: unknown;
  /** Null: as it is. What does not change is not written again. */
  readonly host: unknown;
  readonly candidates: unknown;
  readonly residue: unknown;
}

const arrayText = (numbers: readonly number[]) => `{${numbers.join(',')}}`;
const jsonText = (value: unknown) => (value === null ? null : JSON.stringify(value));

export async function storeInventories(
  trx: Transact,
  inventories: readonly StoredInventory[],
  at: Date,
): Promise<void> {
  const of = <T>(value: (one: StoredInventory) => T) => inventories.map(value);
  await sql`
    update asset set hostname = n.hostname, os = n.os, os_release = n.os_release, arch = n.arch,
      software = n.software::integer[], since = n.since::integer[], digests = n.digests::jsonb, inventory_at = ${at},
      host = coalesce(n.host::jsonb, asset.host), candidates = coalesce(n.candidates::jsonb, asset.candidates),
      residue = coalesce(n.residue::jsonb, asset.residue)
    from unnest(${of((one) => one.id)}::integer[], ${of((one) => one.hostname)}::text[], ${of((one) => one.os)}::text[],
      ${of((one) => one.os_release)}::text[], ${of((one) => one.arch)}::text[], ${of((one) => arrayText(one.software))}::text[],
      ${of((one) => arrayText(one.since))}::text[], ${of((one) => jsonText(one.digests))}::text[],
      ${of((one) => jsonText(one.host))}::text[], ${of((one) => jsonText(one.candidates))}::text[],
      ${of((one) => jsonText(one.residue))}::text[])
      as n (id, hostname, os, os_release, arch, software, since, digests, host, candidates, residue)
    where asset.id = n.id`.execute(trx);
}

export async function insertChanges(
  trx: Transact,
  changes: readonly {
    readonly assetId: number;
    readonly added: readonly number[];
    readonly removed: readonly number[];
  }[],
  at: Date,
): Promise<void> {
  if (changes.length === 0) return;
  await sql`
    insert into change_log (asset_id, added, removed, at)
    select id, added::integer[], removed::integer[], ${at}
    from unnest(${changes.map((one) => one.assetId)}::integer[], ${changes.map((one) => arrayText(one.added))}::text[],
      ${changes.map((one) => arrayText(one.removed))}::text[]) as n (id, added, removed)`.execute(trx);
}

/** Writes that one asset was heard, without saying when it comes back. Never moves a time back. */
export async function stampContact(trx: Transact, assetId: number, at: Date): Promise<void> {
  await sql`
    insert into asset_contact (asset_id, last_seen_at) values (${assetId}, ${at})
    on conflict (asset_id) do update set last_seen_at = excluded.last_seen_at
      where asset_contact.last_seen_at < excluded.last_seen_at
  `.execute(trx);
}

/** Writes when many assets were heard last, in one statement. Never moves a time back. */
export async function stampContacts(
  db: Kysely<Database>,
  contacts: readonly { readonly assetId: number; readonly at: Date; readonly nextCheckInSeconds: number }[],
): Promise<void> {
  // In the order of ids, so that two replicas which write the same assets cannot wait for each other.
  const sorted = contacts.toSorted((a, b) => a.assetId - b.assetId);
  const ids = sorted.map((contact) => contact.assetId);
  const times = sorted.map((contact) => contact.at.toISOString());
  const seconds = sorted.map((contact) => contact.nextCheckInSeconds);
  await sql`
    insert into asset_contact (asset_id, last_seen_at, next_check_in_seconds)
    select id, at, seconds from unnest(${ids}::integer[], ${times}::timestamptz[], ${seconds}::real[]) as news (id, at, seconds)
    on conflict (asset_id) do update
      set last_seen_at = excluded.last_seen_at, next_check_in_seconds = excluded.next_check_in_seconds
      where asset_contact.last_seen_at < excluded.last_seen_at
  `.execute(db);
}

/** Assets that would have more attributes than this with the change. */
export async function assetsWithTooManyAttributes(
  trx: Transact,
  ids: readonly number[],
  change: AttributeChange,
  most: number,
): Promise<string[]> {
  const { rows } = await sql<{ hostname: string }>`
    select hostname from asset where id = any(${[...ids]}::integer[])
      and (select count(*) from jsonb_object_keys(${changed(change)})) > ${most} order by hostname limit 5`.execute(
    trx,
  );
  return rows.map((row) => row.hostname);
}

interface AttributeChange {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}
const changed = ({ set, remove }: AttributeChange) =>
  sql`((attributes - ${[...remove]}::text[]) || ${JSON.stringify(set)}::jsonb)`;

/** Which assets have other attributes now, with those they had. */
export async function updateAttributes(
  trx: Transact,
  ids: readonly number[],
  change: AttributeChange,
): Promise<
  { uid: string; hostname: string; before: Record<string, string>; after: Record<string, string> }[]
> {
  const { rows } = await sql<{
    uid: string;
    hostname: string;
    before: Record<string, string>;
    after: Record<string, string>;
  }>`
    with wanted as materialized (
      select id, attributes as before, ${changed(change)} as after from asset
      where id = any(${[...ids]}::integer[]) and retired_at is null order by id for no key update
    )
    update asset a set attributes = w.after from wanted w where a.id = w.id and w.after is distinct from w.before
    returning a.uid, a.hostname, w.before, w.after`.execute(trx);
  return rows;
}
