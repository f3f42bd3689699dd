import type { FeedId } from '@fixpoint/core/knowledge/facts.ts';
import { sql } from 'kysely';
import type { Transact } from '../context.ts';
import type { FeedRecord, FeedRejection } from '../feed/feed.ts';

/** The only writer of feeds, their records and the facts from them. Facts live and die with the record that said them. */

export interface RecordToStore extends FeedRecord {
  readonly digest: string;
}

/** Digests of those of these records that are held. */
export async function recordDigests(
  trx: Transact,
  feed: FeedId,
  records: readonly string[],
): Promise<Map<string, string>> {
  if (records.length === 0) return new Map();
  const rows = await trx
    .selectFrom('feed_record')
    .select(['record', 'digest'])
    .where('feed', '=', feed)
    .where('record', '=', sql<string>`any(${records})`)
    .execute();
  return new Map(rows.map((row) => [row.record, row.digest]));
}

export async function recordIds(trx: Transact, feed: FeedId): Promise<string[]> {
  const rows = await trx.selectFrom('feed_record').select('record').where('feed', '=', feed).execute();
  return rows.map((row) => row.record);
}

export async function countRecords(trx: Transact, feed: FeedId): Promise<number> {
  const row = await trx
    .selectFrom('feed_record')
    .select(({ fn }) => fn.countAll<string>().as('records'))
    .where('feed', '=', feed)
    .executeTakeFirst();
  return Number(row?.records ?? 0);
}

/** Products that these records speak of, in statements or of updates for them, before the records are replaced or removed. */
export async function productsOfRecords(
  trx: Transact,
  feed: FeedId,
  records: readonly string[],
): Promise<{ ecosystem: string; release: string; package: string; vulnerability?: string }[]> {
  if (records.length === 0) return [];
  const stated = await trx
    .selectFrom('statement')
    .select(['ecosystem', 'release', 'package', 'vulnerability'])
    .distinct()
    .where('feed', '=', feed)
    .where('record', '=', sql<string>`any(${records})`)
    .execute();
  // What an update contains decides about flaws that its own record does not name.
  const updated = await trx
    .selectFrom('vendor_update')
    .select('product')
    .distinct()
    .where('feed', '=', feed)
    .where('record', '=', sql<string>`any(${records})`)
    .execute();
  return [
    ...stated,
    ...updated.map(({ product }) => ({ ecosystem: 'windows', release: '', package: product })),
  ];
}

/** Products that any statement about these vulnerabilities speaks of: what a withdrawal touches. */
export async function productsOfVulnerabilities(
  trx: Transact,
  vulnerabilities: readonly string[],
): Promise<{ ecosystem: string; release: string; package: string; vulnerability: string }[]> {
  if (vulnerabilities.length === 0) return [];
  return trx
    .selectFrom('statement')
    .select(['ecosystem', 'release', 'package', 'vulnerability'])
    .distinct()
    .where('vulnerability', '=', sql<string>`any(${vulnerabilities})`)
    .execute();
}

/** What these records say of vulnerabilities as such: other names of each, and whether it is withdrawn. */
export async function vulnerabilitiesOfRecords(
  trx: Transact,
  feed: FeedId,
  records: readonly string[],
): Promise<{ id: string; aliases: string[]; withdrawn_at: Date | null }[]> {
  if (records.length === 0) return [];
  return trx
    .selectFrom('vulnerability')
    .select(['id', 'aliases', 'withdrawn_at'])
    .where('feed', '=', feed)
    .where('record', '=', sql<string>`any(${records})`)
    .execute();
}

/** Vulnerabilities that these records describe: by name, by score or by threat. */
export async function vulnerabilitiesDescribed(
  trx: Transact,
  feed: FeedId,
  records: readonly string[],
): Promise<string[]> {
  if (records.length === 0) return [];
  const { rows } = await sql<{ id: string }>`
    select id from vulnerability where feed = ${feed} and record = any(${records}::text[])
    union select vulnerability from cvss where feed = ${feed} and record = any(${records}::text[])
    union select vulnerability from threat where feed = ${feed} and record = any(${records}::text[])`.execute(
    trx,
  );
  return rows.map(({ id }) => id);
}

/** Any number; the same in every replica. */
const knowledgeLock = 4_206_003;

/** Waits for those who are adding software, and keeps others from it until the transaction ends. */
export async function lockKnowledge(trx: Transact): Promise<void> {
  await sql`select pg_advisory_xact_lock(${knowledgeLock})`.execute(trx);
}

/**
 * Keeps what is known as it is until the transaction ends. While an import is matching, which can take a while, it waits a
 * few seconds and then fails with 55P03, which the caller of the API hears as "try again".
 */
export async function holdKnowledge(trx: Transact): Promise<void> {
  await sql`select set_config('lock_timeout', '5s', true)`.execute(trx);
  await sql`select pg_advisory_xact_lock_shared(${knowledgeLock})`.execute(trx);
  await sql`select set_config('lock_timeout', '0', true)`.execute(trx);
}

/** Removes records with all their facts. */
export async function removeRecords(trx: Transact, feed: FeedId, records: readonly string[]): Promise<void> {
  if (records.length === 0) return;
  await trx
    .deleteFrom('feed_record')
    .where('feed', '=', feed)
    .where('record', '=', sql<string>`any(${records})`)
    .execute();
}

/** The JSON escape of NUL, which PostgreSQL cannot hold; not the same letters after an escaped backslash. */
const nulEscape = /(?<=(?:^|[^\\])(?:\\\\)*)\\u0000/g;

/** Stores new records with their facts; the rows travel as one JSON text a table, whatever their number. */
export async function insertRecords(
  trx: Transact,
  feed: FeedId,
  records: readonly RecordToStore[],
  at: Date,
): Promise<void> {
  if (records.length === 0) return;
  const rows = (list: readonly object[]) => JSON.stringify(list).replaceAll(nulEscape, '');
  await sql`insert into feed_record (feed, record, digest, raw, imported_at)
    select ${feed}, x.record, x.digest, x.raw, ${at}
    from jsonb_to_recordset(${rows(records.map((r) => ({ record: r.id, digest: r.digest, raw: r.raw })))}::jsonb)
      as x(record text, digest text, raw text)`.execute(trx);

  const facts = records.flatMap((record) => record.facts.map((fact) => ({ record: record.id, ...fact })));
  const advisories = facts.filter((f) => f.kind === 'advisory');
  if (advisories.length > 0) {
    await sql`insert into advisory (feed, record, id, title, published_at, withdrawn_at, vulnerabilities, url)
      select ${feed}, x.record, x.id, x.title, x."publishedAt", x."withdrawnAt",
        array(select jsonb_array_elements_text(x.vulnerabilities)), x.url
      from jsonb_to_recordset(${rows(advisories)}::jsonb) as x(record text, id text, title text,
        "publishedAt" timestamptz, "withdrawnAt" timestamptz, vulnerabilities jsonb, url text)`.execute(trx);
  }
  const vulnerabilities = facts.filter((f) => f.kind === 'vulnerability');
  if (vulnerabilities.length > 0) {
    await sql`insert into vulnerability (feed, record, id, aliases, title, description, published_at, withdrawn_at)
      select ${feed}, x.record, x.id, array(select jsonb_array_elements_text(x.aliases)), x.title, x.description,
        x."publishedAt", x."withdrawnAt"
      from jsonb_to_recordset(${rows(vulnerabilities)}::jsonb) as x(record text, id text, aliases jsonb, title text,
        description text, "publishedAt" timestamptz, "withdrawnAt" timestamptz)`.execute(trx);
  }
  const statements = facts.filter((f) => f.kind === 'statement');
  if (statements.length > 0) {
    await sql`insert into statement (feed, record, vulnerability, ecosystem, release, package, package_kind, module,
        channel, status, introduced_version, fixed_version, updates, fix_state, note, advisory, stated_at)
      select ${feed}, x.record, x.vulnerability, x.ecosystem, x.release, x.package, x."packageKind", x.module,
        x.channel, x.status, x."introducedVersion", x."fixedVersion",
        array(select jsonb_array_elements_text(x.updates)), x."fixState", x.note, x.advisory, x."statedAt"
      from jsonb_to_recordset(${rows(statements)}::jsonb) as x(record text, vulnerability text, ecosystem text,
        release text, package text, "packageKind" text, module text, channel text, status text,
        "introducedVersion" text, "fixedVersion" text, updates jsonb, "fixState" text, note text, advisory text,
        "statedAt" timestamptz)`.execute(trx);
  }
  const updates = facts.filter((f) => f.kind === 'update');
  if (updates.length > 0) {
    await sql`insert into vendor_update (feed, record, id, product, title, supersedes, fixed_build, restart, type,
        published_at, url, known_issues)
      select ${feed}, x.record, x.id, x.product, x.title, array(select jsonb_array_elements_text(x.supersedes)),
        x."fixedBuild", x.restart, x.type, x."publishedAt", x.url, x."knownIssues"
      from jsonb_to_recordset(${rows(updates)}::jsonb) as x(record text, id text, product text, title text,
        supersedes jsonb, "fixedBuild" text, restart text, type text, "publishedAt" timestamptz, url text,
        "knownIssues" boolean)`.execute(trx);
  }
  const scores = facts.filter((f) => f.kind === 'cvss');
  if (scores.length > 0) {
    await sql`insert into cvss (feed, record, vulnerability, scorer, version, vector, base_score)
      select ${feed}, x.record, x.vulnerability, x.scorer, x.version, x.vector, x."baseScore"
      from jsonb_to_recordset(${rows(scores)}::jsonb) as x(record text, vulnerability text, scorer text, version text,
        vector text, "baseScore" real)`.execute(trx);
  }
  const threats = facts.filter((f) => f.kind === 'threat');
  if (threats.length > 0) {
    await sql`insert into threat (feed, record, vulnerability, threat, probability, percentile, ransomware, ssvc,
        asserted_on, due_on, title, reference)
      select ${feed}, x.record, x.vulnerability, x.threat, x.probability, x.percentile, x.ransomware,
        nullif(x.ssvc, 'null'::jsonb), x."assertedOn", x."dueOn", x.title, x.reference
      from jsonb_to_recordset(${rows(threats)}::jsonb) as x(record text, vulnerability text, threat text,
        probability real, percentile real, ransomware boolean, ssvc jsonb, "assertedOn" date, "dueOn" date,
        title text, reference text)`.execute(trx);
  }
}

/**
 * Takes rejections back: all of a feed whose file holds everything, else those of the records that have now been read. What
 * an import of single documents refused stays visible until that document is read again.
 */
export async function clearRejections(
  trx: Transact,
  feed: FeedId,
  read: { readonly records: readonly string[]; readonly positions: readonly string[] } | 'all',
): Promise<void> {
  let query = trx.deleteFrom('feed_rejection').where('feed', '=', feed);
  if (read !== 'all') {
    query = query.where((eb) =>
      eb.or([
        eb('record', '=', sql<string>`any(${read.records})`),
        eb.and([eb('record', 'is', null), eb('position', '=', sql<string>`any(${read.positions})`)]),
      ]),
    );
  }
  await query.execute();
}

/** Adds rejections to those that are kept; answers how many there are now. */
export async function addRejections(
  trx: Transact,
  feed: FeedId,
  rejections: readonly FeedRejection[],
  at: Date,
): Promise<number> {
  const { rows } = await sql<{ held: number; next: number }>`
    select count(*)::integer as held, coalesce(max(ordinal) + 1, 0) as next
    from feed_rejection where feed = ${feed}`.execute(trx);
  const { held = 0, next = 0 } = rows[0] ?? {};
  const added = rejections.map((r, i) => ({
    feed,
    ordinal: next + i,
    position: r.position,
    code: r.code,
    message: r.message,
    excerpt: r.excerpt.replaceAll('\0', ''),
    record: r.record,
    at,
  }));
  for (let i = 0; i < added.length; i += 1000) {
    await trx
      .insertInto('feed_rejection')
      .values(added.slice(i, i + 1000))
      .execute();
  }
  return held + added.length;
}

export interface FeedRow {
  readonly published_at?: string | null;
  readonly last_attempt_at: Date;
  readonly last_success_at?: Date;
  readonly last_error_code: string | null;
  readonly last_error: string | null;
  readonly source_name: string;
  readonly source_digest?: string;
  readonly records?: number;
  readonly rejected?: number;
}

export async function saveFeed(trx: Transact, id: FeedId, row: FeedRow): Promise<void> {
  await trx
    .insertInto('feed')
    .values({ id, records: 0, rejected: 0, ...row })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
    .execute();
}

export async function touchFeed(trx: Transact, id: FeedId): Promise<void> {
  await trx
    .insertInto('feed')
    .values({ id })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await trx.selectFrom('feed').select('id').where('id', '=', id).forUpdate().execute();
}

export async function feedRows(trx: Transact) {
  return trx.selectFrom('feed').selectAll().orderBy('id').execute();
}

export async function feedRejections(trx: Transact, feed: string, limit: number) {
  return trx
    .selectFrom('feed_rejection')
    .select(['position', 'code', 'message', 'excerpt', 'at'])
    .where('feed', '=', feed)
    .orderBy('ordinal')
    .limit(limit)
    .execute();
}
